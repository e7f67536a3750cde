-- Reports that come in other wrappings: a file inside a zip, and a sheet that is read as text.

-- The name of the file inside a zip that is the report.
alter table delivery add column entry text collate "C";
-- Its rows stand in a workbook: what the archive holds beside the text that was made of it.
alter table delivery add column is_sheet boolean not null default false;
alter table load add column original_path text;
