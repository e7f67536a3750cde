-- The archive lies in another folder than before: the book follows.
--     psql "$DATABASE_URL" -v from=/old/archive -v to=/new/archive -f deploy/postgres/move-archive.sql
\set ON_ERROR_STOP on
begin;
update load set archive_path = :'to' || substr(archive_path, length(:'from') + 1) where starts_with(archive_path, :'from' || '/');
update load set original_path = :'to' || substr(original_path, length(:'from') + 1) where starts_with(original_path, :'from' || '/');
update delivery set archived = :'to' || substr(archived, length(:'from') + 1) where starts_with(archived, :'from' || '/');
update dropped set path = :'to' || substr(path, length(:'from') + 1) where starts_with(path, :'from' || '/');
commit;
