-- Files that one listing shows of one report. Where they hold different contents and the days of their directories do not say which
-- is the later, none of them counts.

-- Only where there are, or were, several; the newest delivery of each. Those of a source are those of its last listing.
create table rival (
  delivery_no integer primary key references delivery,
  source      text collate "C" not null,
  report_no   integer not null references report
);
create index rival_report on rival (report_no);
create index delivery_conflicting on delivery (report_no) where state = 'refused' and error_code = 'conflicting_files';

-- What a report settles in whose name does not say it: its rows do, and those of another content may say something else.
alter table report add column is_currency_in_rows boolean not null default false;
alter table load add column settlement_currency text collate "C";

-- A report whose rows say what it settles in stands in the batch of the content that counts. Both batches have to be asked for again.
create function place_report(of_report integer) returns void language plpgsql as $$
declare
  here batch;
  there integer;
  said text;
begin
  select b.* into here from report r join batch b on b.no = r.batch_no where r.no = of_report;
  select l.settlement_currency into said from report r join load l on l.no = r.load_no where r.no = of_report;
  if said is null or said is not distinct from here.currency then return; end if;
  insert into batch (merchant_no, batch_id, currency, day) values (here.merchant_no, here.batch_id, said, here.day)
    on conflict (merchant_no, batch_id, currency, day) do update set merchant_no = excluded.merchant_no returning no into there;
  if exists (select from report r join report o on o.kind = r.kind and o.name = r.name where r.no = of_report and o.batch_no = there) then return; end if;
  update report set batch_no = there where no = of_report;
end
$$;

-- The bytes of each listed file that was read to its end. A workbook beside a CSV has no say.
create view rival_content as
with content as (
  select v.report_no, d.no as delivery_no, d.file, d.directory_date as day, d.is_sheet, d.revision,
         (select l.sha256 from load l join delivery e on e.no = l.delivery_no
           where l.state = 'closed' and (e.no = d.no or e.report_no = d.report_no and e.revision = d.revision and e.is_sheet = d.is_sheet)
           order by e.no = d.no desc, l.no desc limit 1) as sha256
    from rival v join delivery d on d.no = v.delivery_no
   where d.state in ('closed', 'duplicate') and d.duplicate_of is null or d.state = 'refused' and d.error_code = 'conflicting_files')
select c.* from content c
 where sha256 is not null
   and (not is_sheet or not exists (select from content o where o.report_no = c.report_no and not o.is_sheet and o.sha256 is not null));

-- Decides which of the listed contents of a report counts: the only one, or the one of the latest day, or none. Its batch is locked.
-- Done again it changes nothing. Returns what there is to tell: 'conflict', 'ordered', or null.
create function settle_rivals(of_report integer, why text) returns text language plpgsql as $$
declare
  contents integer;
  winner text;
  files text;
  counting integer;
  is_among boolean;
  left_batch integer;
  next_load integer;
  next_revision integer;
  newest integer;
  marked integer;
begin
  if not exists (select from rival where report_no = of_report) then return null; end if;
  -- What is still being read may hold anything.
  if exists (select from rival v join delivery d on d.no = v.delivery_no
              where v.report_no = of_report and d.state in ('found', 'reading') and d.parked_reason is null) then return null; end if;
  select count(distinct sha256) into contents from rival_content where report_no = of_report;
  if contents = 0 then return null; end if;
  with dated as (
    select sha256, max(day) as day from rival_content where report_no = of_report group by sha256),
  latest as (
    select sha256 from dated where day = (select max(day) from dated))
  select case when contents = 1 then (select sha256 from dated)
              when not exists (select from dated where day is null) and (select count(*) from latest) = 1 then (select sha256 from latest)
         end into winner;
  select load_no into counting from report where no = of_report for update;
  -- What came later from elsewhere counts whatever is listed here.
  select counting is null or exists (select from rival_content c join load l on l.no = counting and l.sha256 = c.sha256 where c.report_no = of_report)
    into is_among;

  if winner is null then
    select string_agg(file, ' and ' order by file) into files
      from (select file from rival_content where report_no = of_report order by file limit 6) few;
    update delivery d set state = 'refused', error_code = 'conflicting_files',
           error_message = files || ' hold different contents of one report: ' || why
      from rival_content c
     where c.report_no = of_report and d.report_no = of_report and (d.no = c.delivery_no or d.revision = c.revision and d.is_sheet = c.is_sheet)
       and (d.state in ('closed', 'duplicate') and d.duplicate_of is null or d.state = 'refused' and d.error_code = 'conflicting_files'
            and d.error_message <> files || ' hold different contents of one report: ' || why);
    get diagnostics marked = row_count;
    if counting is not null and is_among then
      perform release_duplicates(of_report, (select revision from report where no = of_report), null);
      update report set load_no = null, revision = 0 where no = of_report;
    end if;
    if marked > 0 or counting is not null and is_among then
      perform want_runs(array[(select batch_no from report where no = of_report)], 'report');
    end if;
    return 'conflict';
  end if;

  update delivery d
     set state = case when exists (select from load l where l.delivery_no = d.no and l.state = 'closed') then 'closed' else 'duplicate' end,
         error_code = null, error_message = null
   where d.report_no = of_report and d.state = 'refused' and d.error_code = 'conflicting_files';
  select l.no, d.revision into next_load, next_revision from load l join delivery d on d.no = l.delivery_no
   where l.report_no = of_report and l.state = 'closed' and l.sha256 = winner and d.state in ('closed', 'duplicate')
   order by d.revision desc, l.no desc limit 1;
  if next_load is null then return null; end if;
  if counting is null or is_among and winner is distinct from (select sha256 from load where no = counting) then
    -- It counts from now on: its content is the newest, whenever it came.
    select max(revision) into newest from delivery where report_no = of_report;
    if next_revision < newest then
      update delivery set revision = newest + 1 where report_no = of_report and revision = next_revision;
      next_revision = newest + 1;
    end if;
    if counting is not null then perform release_duplicates(of_report, next_revision, winner); end if;
    update report set load_no = next_load, revision = next_revision where no = of_report;
    select batch_no into left_batch from report where no = of_report;
    perform place_report(of_report);
    perform want_runs(array[left_batch, (select batch_no from report where no = of_report)], 'report');
  end if;
  return case when contents > 1 then 'ordered' end;
end
$$;
