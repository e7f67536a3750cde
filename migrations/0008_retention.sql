-- What is kept only so long: rows, what refused rows say, and archived files.

-- Its rows were dropped because they are old. They are read again from the archive where something needs them.
alter table load add column rows_dropped_at timestamptz;
create index load_rows_dropped on load (report_no) where rows_dropped_at is not null;

-- Everything that was dropped, one row each: the rows of a load, what the refused rows of a batch said, or an archived file.
-- Written before it is done, so that whoever comes later can do it.
create table dropped (
  no          bigint generated always as identity primary key,
  -- rows, text or file.
  what        text collate "C" not null,
  merchant_no integer not null references merchant,
  batch_no    integer not null references batch,
  load_no     integer,
  path        text collate "C",
  -- How many rows, or refused rows.
  row_count   bigint,
  -- The setting that it follows.
  months      integer not null,
  dropped_at  timestamptz not null,
  -- Nothing is left of it.
  gone_at     timestamptz,
  -- Its rows were read again.
  restored_at timestamptz
);
create unique index dropped_path on dropped (path) where path is not null;
create index dropped_load on dropped (load_no) where load_no is not null;
create index dropped_batch on dropped (batch_no);
create index dropped_rows on dropped (merchant_no, no) where what = 'rows';
create index dropped_not_gone on dropped (no) where gone_at is null;

-- The ids that stand in the rows of a load, as hashes: what looks for one of them knows by it that the rows are needed. Of request
-- ids with seed 0, of transaction ids 1, of the originals of both kinds 2 and 3.
create table dropped_ids (
  load_no  integer not null references load,
  ids      bigint[] not null
);
-- Hashes cannot be packed.
alter table dropped_ids alter column ids set storage external;
create index dropped_ids_load on dropped_ids (load_no);

-- Batches that cannot be reconciled before the rows of these loads are read again.
create table wanted_rows (
  load_no   integer not null references load,
  batch_no  integer not null references batch,
  attempts  integer not null default 0,
  primary key (load_no, batch_no)
);
create index wanted_rows_batch on wanted_rows (batch_no);

-- When a source's server was last listed.
create table source_use (
  source   text collate "C" primary key,
  used_at  timestamptz not null
);

-- Told of refused rows once, and no longer: what they said may be dropped.
create index discrepancy_refused_text on discrepancy (batch_no) where kind = 'refused_row' and closed_run is not null and reported is not null;
