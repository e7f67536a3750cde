-- The book. Everything the program knows stands here; the queue only says what to do next.
-- Amounts are whole numbers in the smallest unit of their currency. Texts compare by code point (collate "C").

-- Which book this is: what several books share, such as a Redis, is told apart by it.
create table book (id uuid not null default gen_random_uuid());
insert into book default values;

create table merchant (
  no          integer generated always as identity primary key,
  id          text collate "C" not null unique,
  -- Made for records or reports that name no merchant; takes the name of the first merchant that is named.
  placeholder boolean not null default false
);

-- What is reconciled: a settlement batch, or a day of transactions (batch_id is null).
create table batch (
  no              integer generated always as identity primary key,
  merchant_no     integer not null references merchant,
  batch_id        text collate "C",
  currency        text collate "C",
  -- The transaction date; for settlement batches only where the id is all zeros, which says nothing by itself.
  day             date,
  settlement_date date,
  acquirer        text,
  -- A run is asked for by adding one to wanted; it is published with the number it answers in done.
  wanted          integer not null default 0,
  done            integer not null default 0,
  epoch           integer not null default 0,
  current_run     integer,
  attempts        integer not null default 0,
  next_attempt_at timestamptz,
  parked_reason   text,
  unique nulls not distinct (merchant_no, batch_id, currency, day)
);

-- One file by its name, whatever its extension; a part is a report of its own.
create table report (
  no              integer generated always as identity primary key,
  batch_no        integer not null references batch,
  kind            text collate "C" not null,
  name            text collate "C" not null,
  psp             text collate "C",
  seq             integer not null,
  -- The newest content that was read to its end, and its load.
  revision        integer not null default 0,
  load_no         integer,
  unique (batch_no, kind, name)
);

-- One file as it was seen: another size, time or set of rules is another delivery of the same report.
create table delivery (
  no              integer generated always as identity primary key,
  report_no       integer not null references report,
  source          text collate "C" not null,
  -- What it is read under: format, amount unit, tolerance, time zone.
  rules           jsonb not null,
  path            text collate "C" not null,
  -- The path as it is shown: below the folder that was given.
  file            text collate "C" not null,
  -- The date that its directory names.
  directory_date  date,
  size_bytes      bigint not null,
  modified_at     timestamptz not null,
  found_at        timestamptz not null default now(),
  -- found → reading → closed | refused | duplicate; waiting: not complete yet.
  state           text collate "C" not null default 'found',
  revision        integer,
  error_code      text,
  error_message   text,
  -- Where a row starts a new attempt: bumped by whoever takes the file, checked by all that it writes.
  epoch           integer not null default 0,
  attempts        integer not null default 0,
  next_attempt_at timestamptz,
  parked_reason   text
);
create index delivery_path on delivery (source, path, no);
create index delivery_report on delivery (report_no);
create index delivery_open on delivery (no) where state in ('found', 'reading');

-- One revision read under one set of rules.
create table load (
  no            integer generated always as identity primary key,
  delivery_no   integer not null references delivery,
  report_no     integer not null references report,
  -- Partition of report_row that holds its rows: its own for a large report, the month's for a small one.
  slot          integer not null,
  -- reading → loaded → closed; abandoned: another attempt took over.
  state         text collate "C" not null default 'reading',
  -- Rules: format, amount unit, tolerance, time zone.
  rules         jsonb not null,
  header        text[] not null,
  archive_path  text not null,
  size_bytes    bigint not null,
  sha256        text,
  -- Known when the file was read to its end.
  chunks        integer,
  -- What its rows add up to, counted while parsing (ChunkFacts).
  facts         jsonb,
  closed_at     timestamptz
);
create index load_report on load (report_no);

create table chunk (
  load_no       integer not null references load,
  no            integer not null,
  offset_bytes  bigint not null,
  length_bytes  bigint not null,
  first_line    integer not null,
  crc32         bigint not null,
  encoding      text not null,
  epoch         integer not null default 0,
  attempts      integer not null default 0,
  state         text collate "C" not null default 'recorded',
  facts         jsonb,
  primary key (load_no, no)
);
create index chunk_open on chunk (load_no) where state <> 'loaded';

-- Rows of details reports, as they were read. The rest of a row is read from the archive.
create table report_row (
  slot                    integer not null,
  load_no                 integer not null,
  line                    integer not null,
  offset_bytes            bigint not null,
  length_bytes            integer not null,
  -- Bits 0–1: how it finds its record (0 none, 1 own, 2 original, 3 lost); bit 2: in instalments.
  flags                   smallint not null,
  type                    text collate "C" not null,
  request_id              text collate "C",
  -- hashtextextended(request_id, 0), or of the transaction id with seed 1 where there is no request id.
  key_hash                bigint,
  transaction_id          text collate "C",
  original_request_id     text collate "C",
  original_transaction_id text collate "C",
  amount_minor            bigint,
  currency                text collate "C",
  settlement_minor        bigint,
  fee_minor               bigint,
  paid_at                 timestamptz
) partition by list (slot);

create table summary_row (
  load_no          integer not null,
  line             integer not null,
  type             text collate "C",
  row_count        bigint,
  settlement_minor bigint,
  fee_minor        bigint
);
create index summary_row_load on summary_row (load_no);

-- What a row shows by itself, without a look at anything else: found while parsing.
create table row_finding (
  load_no         integer not null,
  line            integer not null,
  -- The row needs a record (own, original): a discrepancy makes it count as not matched.
  of_matchable    boolean not null,
  kind            text collate "C" not null,
  type            text collate "C",
  request_id      text collate "C",
  transaction_id  text collate "C",
  field           text collate "C",
  reported        text,
  recorded        text,
  difference      text,
  currency        text collate "C",
  message         text not null,
  stake_minor     numeric,
  stake_currency  text collate "C"
);
create index row_finding_load on row_finding (load_no);

-- The merchant's own records.
create table record (
  merchant_no         integer not null references merchant,
  type                text collate "C" not null,
  request_id          text collate "C" not null,
  amount_minor        bigint not null,
  currency            text collate "C" not null,
  status              text collate "C" not null,
  occurred_at         timestamptz not null,
  original_request_id text collate "C",
  order_id            text,
  source              text,
  key_hash            bigint not null
);
create unique index record_key on record (key_hash, merchant_no, type, request_id);
create index record_day on record (merchant_no, occurred_at);
create index record_original on record (original_request_id) where original_request_id is not null;

-- One reconciliation of a batch. Never changed once published.
create table run (
  no             integer generated always as identity primary key,
  batch_no       integer not null references batch,
  answers        integer not null,
  published_at   timestamptz not null default now(),
  rules          text not null,
  -- RunFacts: rows, totals by type, details, summary, what is missing.
  facts          jsonb not null,
  digest         text not null,
  -- It reads other loads than the batch's run before, or there was none: only such a run brings other batches anything new.
  changed        boolean not null
);
create index run_batch on run (batch_no);

create table run_load (
  run_no  integer not null references run,
  load_no integer not null,
  -- Order of the parts: files of one batch are read as one.
  part    integer not null,
  primary key (run_no, load_no)
);

-- The refunds of a current run by the payment that they take from.
create table run_refund (
  run_no              integer not null,
  load_no             integer not null,
  line                integer not null,
  -- The row's, as in report_row.
  flags               smallint not null,
  merchant_no         integer not null,
  payment_request_id  text collate "C" not null,
  amount_minor        bigint not null,
  currency            text collate "C" not null
);
create index run_refund_payment on run_refund (merchant_no, payment_request_id);
create index run_refund_run on run_refund (run_no);

-- What a current run looked for in other reports: asked again when such a row comes, or when the one that it found is replaced.
create table run_open_reference (
  run_no         integer not null,
  merchant_no    integer not null,
  request_id     text collate "C",
  transaction_id text collate "C"
);
create index run_open_reference_merchant on run_open_reference (merchant_no);
create index run_open_reference_run on run_open_reference (run_no);

-- A discrepancy lives from the run that opened it to the run that closed it.
create table discrepancy (
  no             bigint generated always as identity primary key,
  batch_no       integer not null references batch,
  identity       text collate "C" not null,
  -- Tells apart discrepancies of one identity (a row that comes a third time).
  ordinal        integer not null default 0,
  of_matchable   boolean not null,
  kind           text collate "C" not null,
  load_no        integer,
  line           integer,
  type           text collate "C",
  request_id     text collate "C",
  transaction_id text collate "C",
  field          text collate "C",
  reported       text,
  recorded       text,
  difference     text,
  currency       text collate "C",
  message        text not null,
  stake_minor    numeric,
  stake_currency text collate "C",
  -- settled_twice: the batch that the key was settled in before.
  other_batch_no integer,
  first_seen_at  timestamptz not null,
  opened_run     integer not null,
  opened_at      timestamptz not null,
  closed_run     integer,
  closed_at      timestamptz
);
create index discrepancy_batch on discrepancy (batch_no) where closed_run is null;
create unique index discrepancy_open on discrepancy (batch_no, identity, ordinal) where closed_run is null;
create index discrepancy_closed on discrepancy (closed_run) where closed_run is not null;
create index discrepancy_settled_twice on discrepancy (request_id) where closed_run is null and kind = 'settled_twice';
create index discrepancy_over_refunded on discrepancy (request_id) where closed_run is null and kind = 'over_refunded';
create index discrepancy_other_batch on discrepancy (other_batch_no) where closed_run is null and other_batch_no is not null;
