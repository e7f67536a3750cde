-- The database of settlestream, in the order in which a file becomes an answer: settings · batches and reports · deliveries and their
-- sources · loads, chunks and rows · the merchant's records · runs · discrepancies · handling · audit · retention · functions · views ·
-- schema dashboard.
-- Everything the program knows stands here; the queue only says what to do next. (Table migration, the list of the applied files,
-- is made by the program; schema bullmq belongs to the queue.)
--
-- Amounts are whole numbers in the smallest unit of their currency. Texts compare by code point (collate "C").

-- ── Settings ──────────

-- Which book this is: what several books share, such as a Redis, is told apart by it.
create table book (id uuid not null default gen_random_uuid());
insert into book default values;

-- Whose records are compared: the imported ones (table record), or a table or view of the merchant's own in this database.
create table ledger_setting (
  is_only        boolean primary key default true check (is_only),
  -- What the functions of the ledger (below) were last made from: they are made anew when it changes.
  definition     text not null default '',
  -- For people: shop.payments where provider = 'x'.
  described      text not null default 'the imported records',
  is_imported    boolean not null default true,
  -- Its records say when they were last changed.
  has_updated_at boolean not null default false,
  since          timestamptz not null default now(),
  -- Open discrepancies up to this number have been compared with the records that they reference, in this round; when it goes on.
  checked_no     bigint not null default 0,
  next_check_at  timestamptz,
  -- Records that changed up to then were looked at.
  changed_until  timestamptz
);
insert into ledger_setting default values;

-- Formats of one's own, as they were when something was read by them: their id changes with their content.
create table format (
  id     text collate "C" primary key,
  format jsonb not null
);

-- What a person asked for: a replay, or a withdrawal.
create table intervention (
  no       integer generated always as identity primary key,
  kind     text collate "C" not null,
  -- Which reports, in words; of a withdrawal, the reason.
  asked    text not null,
  asked_at timestamptz not null default now()
);

-- ── Batches and reports: what is reconciled, and from which files ──────────

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
  -- A run is asked for by adding one to wanted (want_runs); it is published with the number it answers in done.
  wanted          integer not null default 0,
  done            integer not null default 0,
  -- Bumped by whoever takes the batch, checked when its run is published.
  epoch           integer not null default 0,
  current_run     integer,
  -- Until when something may still come: then it is reconciled again, by time alone.
  waiting_until   timestamptz,
  attempts        integer not null default 0,
  next_attempt_at timestamptz,
  parked_reason   text,
  unique nulls not distinct (merchant_no, batch_id, currency, day)
);
create index batch_waiting on batch (waiting_until) where waiting_until is not null;

-- One file by its name, whatever its extension; a part is a report of its own.
create table report (
  no                     integer generated always as identity primary key,
  batch_no               integer not null references batch,
  kind                   text collate "C" not null,
  name                   text collate "C" not null,
  psp                    text collate "C",
  seq                    integer not null,
  -- What the provider's portal hands out is the whole of a report; it is read only while no delivery in parts is whole.
  is_portal              boolean not null default false,
  -- What it settles in is not said by its name: its rows do, and those of another content may say something else.
  is_currency_in_rows    boolean not null default false,
  -- The newest content that was read to its end, and its load.
  revision               integer not null default 0,
  load_no                integer,
  unique (batch_no, kind, name)
);

-- ── Deliveries and their sources: files as they were found ──────────

-- One file as it was seen: another size, time or set of rules is another delivery of the same report.
create table delivery (
  no               integer generated always as identity primary key,
  report_no        integer not null references report,
  source           text collate "C" not null,
  -- What it is read under: format, amount unit, tolerance, time zone.
  rules            jsonb not null,
  path             text collate "C" not null,
  -- The path as it is shown: below the folder that was given.
  file             text collate "C" not null,
  -- The name of the file inside a zip that is the report.
  entry            text collate "C",
  -- Its rows stand in a workbook: what the archive holds beside the text that was made of it.
  is_sheet         boolean not null default false,
  -- The date that its directory names.
  directory_date   date,
  size_bytes       bigint not null,
  modified_at      timestamptz not null,
  found_at         timestamptz not null default now(),
  -- found → reading → closed | refused | duplicate; waiting: not complete yet; withdrawn: taken out.
  -- dry: read for a dry run, counts nowhere; over: of a dry run that has ended, to be removed.
  state            text collate "C" not null default 'found',
  revision         integer,
  error_code       text,
  error_message    text,
  -- The load of another report that holds the same bytes for the same part.
  duplicate_of     integer,
  -- The replay or withdrawal that it comes from, and the delivery whose bytes are read again.
  intervention_no  integer references intervention,
  replay_of        integer references delivery,
  -- Where its bytes are in the archive (of a zip, those of the report in it), where no load of its own says it.
  archived         text,
  archived_sha256  text,
  withdrawn_at     timestamptz,
  withdrawn_reason text,
  -- When it was to be read, the file was not there any more, or was another one. If its source lists it again as it was found, it is read.
  vanished_at      timestamptz,
  -- Where a row starts a new attempt: bumped by whoever takes the file, checked by all that it writes.
  epoch            integer not null default 0,
  attempts         integer not null default 0,
  next_attempt_at  timestamptz,
  parked_reason    text
);
create index delivery_path on delivery (source, path, no);
create index delivery_report on delivery (report_no);
create index delivery_open on delivery (no) where state in ('found', 'reading');
create index delivery_dry on delivery (no) where state in ('dry', 'over');
create index delivery_intervention on delivery (intervention_no) where intervention_no is not null;
create index delivery_duplicate_of on delivery (duplicate_of) where duplicate_of is not null;
create index delivery_conflicting on delivery (report_no) where state = 'refused' and error_code = 'conflicting_files';
create index delivery_vanished on delivery (no) where vanished_at is not null;

-- Files that one listing shows of one report, only where there are, or were, several; the newest delivery of each. Those of a source
-- are those of its last listing. Where they hold different contents and the days of their directories do not say which is the later,
-- none of them counts (settle_rivals).
create table rival (
  delivery_no integer primary key references delivery,
  source      text collate "C" not null,
  report_no   integer not null references report
);
create index rival_report on rival (report_no);

-- When a source's server was last listed.
create table source_use (
  source  text collate "C" primary key,
  used_at timestamptz not null
);

-- What cannot be reached right now: nothing is tried there before its time, and whatever needs it waits.
create table away (
  -- 'archive', or 'source ' and its name.
  what        text collate "C" primary key,
  reason      text not null,
  since       timestamptz not null default now(),
  failed_at   timestamptz not null default now(),
  -- Tries in vain, from which the pause before the next one comes.
  tries       integer not null default 1,
  next_try_at timestamptz not null,
  -- Of the archive: so much room is needed; and whether a look at it says that it is away, so that another look can say that it is back.
  needs_bytes bigint,
  is_seen     boolean not null default false,
  -- The batches that wait for it were asked for a run, which says so.
  is_told     boolean not null default false
);

-- The last day of each source that was checked when it became due. What stayed open is looked after by the discrepancies.
create table checked_day (
  source      text collate "C" not null,
  merchant_no integer not null references merchant,
  -- transactionDetails: that the day's report has come; settlement: that what was sold on it is settled.
  duty        text collate "C" not null,
  day         date not null,
  primary key (source, merchant_no, duty)
);

-- Days that were checked when nothing was recorded of them, and of which something is recorded now: they are checked once more.
create table late_day (
  merchant_no integer not null references merchant,
  day         date not null,
  primary key (merchant_no, day)
);

-- ── Loads, chunks and rows: what was read ──────────

-- One revision read under one set of rules.
create table load (
  no                  integer generated always as identity primary key,
  delivery_no         integer not null references delivery,
  report_no           integer not null references report,
  -- What follows each other: contents of one source, merchant, kind, provider and part, read as one format.
  series              text collate "C" not null,
  -- Partition of report_row that holds its rows: its own for a large report, the month's for a small one.
  slot                integer not null,
  -- reading → loaded → closed; abandoned: another attempt took over; deleted: what that left is removed.
  state               text collate "C" not null default 'reading',
  -- Rules: format, amount unit, tolerance, time zone.
  rules               jsonb not null,
  -- What it was read as, whatever its source expects.
  format              text collate "C" not null,
  header              text[] not null,
  -- Its bytes in the archive; original_path: the workbook that they were made of.
  archive_path        text not null,
  original_path       text,
  size_bytes          bigint not null,
  sha256              text,
  -- Known when the file was read to its end.
  chunks              integer,
  -- What its rows add up to, counted while parsing (ChunkFacts).
  facts               jsonb,
  -- What its rows settle in, where the name of the report does not say it.
  settlement_currency text collate "C",
  closed_at           timestamptz,
  -- Its rows were dropped because they are old. They are read again from the archive where something needs them.
  rows_dropped_at     timestamptz
);
create index load_report on load (report_no);
create index load_delivery on load (delivery_no);
create index load_sha256 on load (sha256);
create index load_series on load (series, delivery_no);
create index load_rows_dropped on load (report_no) where rows_dropped_at is not null;

create table chunk (
  load_no      integer not null references load,
  no           integer not null,
  offset_bytes bigint not null,
  length_bytes bigint not null,
  first_line   integer not null,
  crc32        bigint not null,
  encoding     text not null,
  epoch        integer not null default 0,
  attempts     integer not null default 0,
  state        text collate "C" not null default 'recorded',
  facts        jsonb,
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
comment on column report_row.flags is
  'Bits 0-1: how it finds its record (0 none, 1 own, 2 original, 3 lost); bit 2: in instalments; bit 3: did not happen; from bit 4: in how many instalments.';

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
  load_no        integer not null,
  line           integer not null,
  -- The row needs a record (own, original): a discrepancy makes it count as not matched.
  of_matchable   boolean not null,
  kind           text collate "C" not null,
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
  stake_currency text collate "C"
);
create index row_finding_load on row_finding (load_no);

-- ── The merchant's records ──────────

-- The imported ones.
create table record (
  -- Of a merchant. A reference would be checked row by row, in half of an import's time; merchants are never removed.
  merchant_no         integer not null,
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

-- Imported files of which table record says all that they say: the same bytes again change nothing, and need not be read.
create table imported_file (
  sha256              bytea primary key,
  record_count        integer not null,
  -- Whose records those are that name no merchant; null: each names one.
  unnamed_merchant_no integer references merchant
);
-- Whoever changes or removes records, by whatever way, has all files read again: who only adds some takes nothing back. An import adds its own last.
create function forget_imported_files() returns trigger language plpgsql as $$
begin
  delete from imported_file;
  return null;
end $$;
create trigger record_changed after update or delete or truncate on record for each statement execute function forget_imported_files();

-- Versions of records that were looked at, as long as others of the same time may still be committed.
create table seen_change (
  key_hash    bigint not null,
  merchant_no integer not null,
  fingerprint bigint not null,
  updated_at  timestamptz not null,
  primary key (key_hash, merchant_no, fingerprint, updated_at)
);

-- ── The functions through which all statements read the records ──────────

-- All statements read the records through these functions. They are written so that Postgres puts their text in place of the
-- call: a plan is the same as if the table were named. They depend on nothing of the merchant's, so that its tables can be
-- changed as if this book were not there. `key`, `original_key` and the other raw columns are the merchant's own, whatever
-- their types, so that its indexes serve.
create function ledger() returns table (
  merchant_no integer, type text, request_id text, amount_minor bigint, currency text, status text, occurred_at timestamptz,
  original_request_id text, order_id text, source text, updated_at timestamptz, key_hash bigint,
  key text, original_key text, raw_occurred_at timestamptz, raw_updated_at timestamptz)
language sql stable parallel safe as $$
  select merchant_no, type, request_id, amount_minor, currency, status, occurred_at, original_request_id, order_id, source,
         null::timestamptz, key_hash, request_id, original_request_id, occurred_at, null::timestamptz
    from record
$$;

-- What stands there and cannot be used: which column, by which code of a refusal, and what it says. The import refuses it before.
create function ledger_refused() returns table (
  request_id text, field text, code text, value text, occurred_at timestamptz, key_hash bigint, key text, raw_occurred_at timestamptz)
language sql stable parallel safe as $$
  select request_id, null, null, null, occurred_at, key_hash, request_id, occurred_at from record where false
$$;

-- Whether a record is the one with this request id.
create function is_record(key_hash bigint, key text, request_id text, other_hash bigint, other_id text) returns boolean
language sql immutable parallel safe as $$ select $1 = $4 and $3 = $5 collate "C" $$;

-- Whether a record names this request id as its original.
create function is_of_original(original_key text, original_request_id text, other_id text) returns boolean
language sql immutable parallel safe as $$ select $2 = $3 collate "C" $$;

create function occurred_between(raw_occurred_at timestamptz, occurred_at timestamptz, since timestamptz, until timestamptz) returns boolean
language sql immutable parallel safe as $$ select $2 >= $3 and $2 < $4 $$;

create function updated_since(raw_updated_at timestamptz, updated_at timestamptz, since timestamptz) returns boolean
language sql immutable parallel safe as $$ select $2 >= $3 $$;

-- All of a record that a run looks at, as one number.
create function record_fingerprint(type text, request_id text, amount_minor bigint, currency text, status text, occurred_at timestamptz,
  original_request_id text) returns bigint
language sql stable parallel safe as $$
  select hashtextextended(type || '|' || amount_minor::text || '|' || currency || '|' || status || '|' || extract(epoch from occurred_at)::text
                          || '|' || request_id || '|' || coalesce(original_request_id, ''), 0)
$$;

-- ── Runs: the results of a batch ──────────

-- One reconciliation of a batch. Never changed once published.
create table run (
  no           integer generated always as identity primary key,
  batch_no     integer not null references batch,
  -- The number of its batch (wanted) that it answers, and all before it.
  answers      integer not null,
  published_at timestamptz not null default now(),
  rules        text not null,
  -- RunFacts: rows, totals by type, details, summary, what is missing.
  facts        jsonb not null,
  digest       text not null,
  -- Coverage (src/domain/matching/coverage.ts): its rows before anything is told of them, and its checks. Null where nobody counted it.
  coverage     jsonb,
  -- It reads other loads than the batch's run before, or there was none: only such a run brings other batches anything new.
  changed      boolean not null,
  -- Nothing of the batch is left: from this run on it has no result.
  is_gone      boolean not null default false
);
create index run_batch on run (batch_no);

-- Why a run was asked for, one row for each time that a batch's wanted grew. A run answers all of them up to its own number.
create table run_cause (
  batch_no        integer not null references batch,
  wanted          integer not null,
  -- report, replay, withdrawal, records, calendar (time went by), or batch: another batch was published.
  cause           text collate "C" not null,
  by_batch_no     integer,
  -- The intervention that set it off, through other batches too.
  intervention_no integer
);
create index run_cause_batch on run_cause (batch_no, wanted);
create index run_cause_intervention on run_cause (intervention_no) where intervention_no is not null;

create table run_load (
  run_no  integer not null references run,
  load_no integer not null,
  -- Order of the parts: files of one batch are read as one.
  part    integer not null,
  primary key (run_no, load_no)
);

-- Rows of a current run that count towards a sum over several batches, which is compared with one record: the refunds of a payment
-- and what disputes took of it, captures of an authorization, and the instalments of a key.
create table run_allocation (
  run_no           integer not null,
  load_no          integer not null,
  line             integer not null,
  -- The row's, as in report_row.
  flags            smallint not null,
  merchant_no      integer not null,
  -- refunded, captured or instalments: src/domain/matching/cumulative.ts.
  total            text collate "C" not null,
  -- The record that they are compared with, by its key, and its type; null: the payment, whichever of its types it is recorded as.
  request_id       text collate "C" not null,
  key_hash         bigint not null,
  record_type      text collate "C",
  -- The row's own type, and its own ids where something is made of them.
  type             text collate "C" not null,
  own_request_id   text collate "C",
  transaction_id   text collate "C",
  amount_minor     bigint not null,
  currency         text collate "C" not null,
  is_settled       boolean not null,
  -- What the row settles, to be told with it although the row itself may be dropped by then.
  settlement_minor bigint
);
create index run_allocation_key on run_allocation (key_hash);
create index run_allocation_run on run_allocation (run_no);

-- What a current run looked for in other reports: asked again when such a row comes, or when the one that it found is replaced.
create table run_open_reference (
  run_no         integer not null,
  merchant_no    integer not null,
  request_id     text collate "C",
  transaction_id text collate "C"
);
create index run_open_reference_merchant on run_open_reference (merchant_no);
create index run_open_reference_run on run_open_reference (run_no);

-- The days on which the rows of a current run were paid, where transaction reports are expected.
create table run_day (
  run_no      integer not null,
  merchant_no integer not null,
  day         date not null,
  -- It was looked whether the reports of the day list them; else one of these was not there, or not due.
  is_checked  boolean not null
);
create index run_day_run on run_day (run_no);
create index run_day_day on run_day (merchant_no, day);

-- ── Discrepancies ──────────

-- A discrepancy lives from the run that opened it to the run that closed it.
create table discrepancy (
  no                     bigint generated always as identity primary key,
  -- Of a batch. No reference, for the same reason as in table record. Null: of a bank statement that belongs to no batch.
  batch_no               integer,
  identity               text collate "C" not null,
  -- Tells apart discrepancies of one identity (a row that comes a third time).
  ordinal                integer not null default 0,
  -- Belongs to a key rather than to the batch: decided anew over all current runs whenever one of them changes, and no part of the
  -- digest of the run. Kinds alone do not say it, for a sum of instalments is an amount like any other.
  is_cross_batch         boolean not null default false,
  of_matchable           boolean not null,
  kind                   text collate "C" not null,
  -- Where it stands: the row, and what is said of it.
  load_no                integer,
  line                   integer,
  type                   text collate "C",
  request_id             text collate "C",
  transaction_id         text collate "C",
  field                  text collate "C",
  reported               text,
  recorded               text,
  difference             text,
  currency               text collate "C",
  message                text not null,
  stake_minor            numeric,
  stake_currency         text collate "C",
  -- settled_twice: the batch that the key was settled in before.
  other_batch_no         integer,
  -- The bank: the file of the statement, where it stands in one, and the merchant, where no batch says it. Such discrepancies are
  -- opened and closed when payouts are matched, which is no run: their opened_run and closed_run are 0.
  bank_file_no           integer,
  merchant_no            integer,
  -- The row that it names: its type, whether it needs a record, and what it settles. No type: it names no row that was read.
  row_type               text collate "C",
  row_needs_record       boolean,
  row_settlement_minor   bigint,
  -- The request ids of the records that it is about or misses, and a hash of what these said when it was found: null where there
  -- was none. What differs from what they say now is reconciled anew.
  referenced_ids         text[] collate "C",
  referenced_fingerprint bigint,
  first_seen_at          timestamptz not null,
  opened_run             integer not null,
  opened_at              timestamptz not null,
  closed_run             integer,
  closed_at              timestamptz,
  -- Closed only because the same run opened it anew: with other amounts, on another line or in another content of its report.
  is_superseded          boolean not null default false
);
create index discrepancy_batch on discrepancy (batch_no) where closed_run is null;
create unique index discrepancy_open on discrepancy (batch_no, identity, ordinal) nulls not distinct where closed_run is null;
create index discrepancy_cross_batch on discrepancy (request_id) where closed_run is null and is_cross_batch;
create index discrepancy_other_batch on discrepancy (other_batch_no) where closed_run is null and other_batch_no is not null;
create index discrepancy_referenced on discrepancy (no) where closed_run is null and referenced_ids is not null;
create index discrepancy_closed on discrepancy (closed_run) where closed_run is not null;
-- Those of the bank, which are all decided together.
create index discrepancy_bank on discrepancy (identity) where closed_run is null and opened_run = 0;
create index discrepancy_bank_closed on discrepancy (closed_at) where closed_run = 0;
-- What was open at a time is looked for among what was closed, too.
create index discrepancy_closed_batch on discrepancy (batch_no) where closed_run is not null;
-- Told of refused rows once, and no longer: what they said may be dropped.
create index discrepancy_refused_text on discrepancy (batch_no) where kind = 'refused_row' and closed_run is not null and reported is not null;

-- ── The bank: statements, their entries, and the payouts that they pay ──────────

-- Whose the accounts are, who pays out, and how long that may take: the setting bank. No row: nobody has asked for the bank.
create table bank_setting (
  is_only     boolean primary key default true check (is_only),
  -- [{ account, currency, merchantIds }]; null: an account of a statement belongs to every merchant.
  accounts    jsonb,
  -- Names of counterparties that pay out, with *.
  payers      text[] not null,
  payout_days integer not null,
  -- Weekend and holidays of each source, by its name; under '' those of every other one.
  calendars   jsonb not null,
  -- Formats of CSV statements, as the files say that bank.formats names.
  formats     jsonb not null
);

-- What payouts have not been matched with yet: a run, a statement, a setting or a confirmation. Whoever matches removes what it has seen.
create table bank_change (
  no  bigint generated always as identity primary key,
  -- run, statement, setting, person or time.
  why text collate "C" not null
);

-- Payouts are matched by one at a time, and tried again after a failure.
create table bank_matching (
  is_only         boolean primary key default true check (is_only),
  -- The day up to which it was decided what is overdue, where the clock says it.
  matched_day     date,
  attempts        integer not null default 0,
  next_attempt_at timestamptz,
  parked_reason   text
);
insert into bank_matching default values;

-- A file of statements as it was found: another size or time is another one.
create table bank_file (
  no               integer generated always as identity primary key,
  source           text collate "C" not null,
  path             text collate "C" not null,
  -- In a zip: the file in it, and the size and time of the zip.
  entry            text collate "C",
  -- As it is shown: below the folder that was given.
  file             text collate "C" not null,
  size_bytes       bigint not null,
  modified_at      timestamptz not null,
  found_at         timestamptz not null default now(),
  -- found → read | refused; withdrawn: taken out.
  state            text collate "C" not null default 'found',
  -- camt, mt940, bai2, or the id of a format of CSV.
  format           text collate "C",
  error_code       text,
  error_message    text,
  archived         text,
  sha256           text,
  read_at          timestamptz,
  intervention_no  integer references intervention,
  withdrawn_reason text,
  -- Bumped by whoever takes the file, checked when what it holds is written.
  epoch            integer not null default 0,
  attempts         integer not null default 0,
  next_attempt_at  timestamptz,
  parked_reason    text,
  unique nulls not distinct (source, path, entry, size_bytes, modified_at)
);
create index bank_file_open on bank_file (no) where state = 'found';

-- Statements in the order of their file. One that cannot be used has an error, and may lack an account.
create table bank_statement (
  file_no       integer not null references bank_file,
  ordinal       integer not null,
  line          integer not null,
  is_final      boolean not null,
  account       text collate "C",
  currency      text collate "C",
  number        text collate "C",
  from_day      date,
  to_day        date,
  opening_minor bigint,
  closing_minor bigint,
  entry_count   integer not null,
  booked_minor  numeric not null,
  refused_count integer not null,
  -- The first entry that was refused, and why.
  refused_line  integer,
  refused_why   text,
  -- Of all that it says.
  digest        text collate "C",
  error_code    text,
  error_message text,
  -- Decided among all statements of the account: counts, duplicate, replaced or refused.
  state         text collate "C" not null default 'counts',
  primary key (file_no, ordinal)
);
create index bank_statement_account on bank_statement (account, currency);

create table bank_entry (
  file_no              integer not null,
  -- In the file, from 1.
  ordinal              integer not null,
  -- The statement that it stands in, by its ordinal.
  statement            integer not null,
  line                 integer not null,
  -- A hash of what it says: the same entry in another file has the same one.
  entry_key            bigint not null,
  -- booked, pending or information.
  status               text collate "C" not null,
  is_reversal          boolean not null,
  booking_date         date,
  value_date           date,
  amount_minor         bigint not null,
  charges_minor        bigint,
  reference            text,
  -- Every text in which a batch may be named, one a line.
  texts                text not null,
  counterparty_name    text,
  counterparty_account text
);
create index bank_entry_place on bank_entry (file_no, ordinal);

-- A person says that an entry pays a batch. Kept when statements or reports are read again.
create table bank_confirmation (
  no              integer generated always as identity primary key,
  batch_no        integer not null references batch,
  account         text collate "C" not null,
  entry_key       bigint not null,
  -- Tells apart entries that say the same.
  ordinal         integer not null,
  intervention_no integer not null references intervention,
  -- Taken back by this one.
  ended_by        integer references intervention
);

-- What was last decided of each payout: expected, overdue, arrived, different, returned or nothingDue.
create table payout (
  batch_no      integer primary key references batch,
  state         text collate "C" not null,
  amount_minor  bigint,
  arrived_minor bigint not null,
  due_by        date,
  -- confirmed, reference, amount or sum.
  matched_by    text collate "C"
);

-- The entries that pay it; surplus: the whole payout once more; returned: takes it back.
create table payout_entry (
  batch_no integer not null references batch,
  file_no  integer not null,
  ordinal  integer not null,
  role     text collate "C" not null,
  primary key (batch_no, file_no, ordinal)
);
create index payout_entry_place on payout_entry (file_no, ordinal);
-- ── Handling: what people decided about discrepancies ──────────

-- One row for each action, with how the discrepancy stands after it; the row that nothing has ended says how it stands now. Runs end
-- rows too: with the discrepancy, and where its amounts change or it comes back.
create table handling (
  no             bigint generated always as identity primary key,
  discrepancy_no bigint not null,
  -- Its batch, if it has one: what is accepted of a batch is counted without a look at all that is open.
  batch_no       integer,
  -- The discrepancy of the first action. Later ones of the same identity go on with it: what changed, and what came back.
  thread         bigint not null,
  -- comment, assign, snooze, accept, approve, reject, reopen; by runs: kept (in another place, with the same amounts), lapsed (with
  -- other amounts), ended (closed by the data), returned (found again).
  action         text collate "C" not null,
  -- open, assigned, snoozed, pendingApproval or accepted. What is snoozed is open or assigned again on the day `until`.
  state          text collate "C" not null,
  assigned_to    text,
  due            date,
  until          date,
  reason         text collate "C",
  -- The text of what put it into this state, who did that, and when.
  text           text,
  decided_by     text not null,
  decided_at     timestamptz not null,
  -- The action itself: what was said, who did it, how they came in, and when.
  said           text,
  by             text not null,
  via            text not null,
  at             timestamptz not null,
  ended_at       timestamptz
);
create unique index handling_current on handling (discrepancy_no) where ended_at is null;
create index handling_discrepancy on handling (discrepancy_no);
create index handling_accepted on handling (batch_no) where state = 'accepted';
create index handling_ended on handling (batch_no) where action = 'ended';
create index handling_thread on handling (thread, no);

-- ── Audit: who did what ──────────

-- Never changed, never removed. Each event holds a hash over its content and the hash before (audit_content; src/domain/audit.ts has
-- the same), so that whoever changes one in spite of that would have to change all that follow.
create table audit_event (
  -- Without a gap: a missing one shows.
  no            bigint primary key,
  at            timestamptz not null,
  who           text not null,
  -- How they came in.
  via           text not null,
  -- handle, replay, withdraw, import, settings, retention, and so on.
  what          text collate "C" not null,
  -- On what it was done, in words.
  subject       text not null,
  before        json,
  after         json,
  reason        text,
  previous_hash text collate "C" not null,
  hash          text collate "C" not null
);
create index audit_event_at on audit_event (at);

-- The last event, so that one that is missing at the end shows; its lock puts the events in order.
create table audit_head (
  is_only boolean primary key default true check (is_only),
  no      bigint not null default 0,
  hash    text collate "C" not null default repeat('0', 64)
);
insert into audit_head default values;

-- The content of an event: each part with its length in bytes, so that no two contents read the same.
create function audit_content(e audit_event) returns text stable language sql as $$
  select string_agg(coalesce(octet_length(part) || ':' || part, '-'), ',' order by place)
    from unnest(array[e.no::text, (extract(epoch from e.at) * 1000000)::bigint::text, e.who, e.via, e.what, e.subject, e.before::text, e.after::text,
                      e.reason]) with ordinality as parts(part, place)
$$;

create function lock_audit() returns trigger language plpgsql as $$
begin
  perform from audit_head for update;
  return null;
end
$$;

-- Goes on with the last event that there is, or that there was: as it was written, if somebody has changed it since.
create function chain_audit_event() returns trigger language plpgsql as $$
declare
  before_no bigint;
begin
  select l.no, l.hash into before_no, new.previous_hash
    from ((select no, hash, 1 as rank from audit_event order by no desc limit 1) union all select no, hash, 0 from audit_head) l
   order by l.no desc, l.rank limit 1;
  new.no := before_no + 1;
  new.at := clock_timestamp();
  new.hash := encode(sha256(convert_to(new.previous_hash || ',' || audit_content(new), 'UTF8')), 'hex');
  return new;
end
$$;

create function move_audit_head() returns trigger language plpgsql as $$
begin
  update audit_head h set no = l.no, hash = l.hash from (select no, hash from audit_event order by no desc limit 1) l where l.no > h.no;
  return null;
end
$$;

create function refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit trail is never changed: % of % is refused', lower(tg_op), tg_table_name using errcode = 'insufficient_privilege';
end
$$;

create trigger audit_event_1_lock before insert on audit_event for each statement execute function lock_audit();
create trigger audit_event_2_chain before insert on audit_event for each row execute function chain_audit_event();
create trigger audit_event_3_head after insert on audit_event for each statement execute function move_audit_head();
create trigger audit_event_kept before update or delete or truncate on audit_event for each statement execute function refuse_audit_change();
create trigger audit_head_kept before delete or truncate on audit_head for each statement execute function refuse_audit_change();
create trigger audit_head_moves before update on audit_head for each statement when (pg_trigger_depth() = 0) execute function refuse_audit_change();
-- Also for sessions that replay what others wrote.
alter table audit_event enable always trigger audit_event_kept;
alter table audit_head enable always trigger audit_head_kept;
alter table audit_head enable always trigger audit_head_moves;

-- ── Console: who may come in ──────────

-- Links that sign somebody in, once. Of secrets only hashes are kept.
create table console_login (
  hash       text collate "C" primary key,
  name       text not null,
  -- viewer, analyst, approver, engineer.
  roles      text[] not null,
  -- Whose discrepancies may be seen; null: those of all merchants.
  merchants  text[],
  expires_at timestamptz not null,
  used_at    timestamptz
);

create table console_session (
  hash       text collate "C" primary key,
  name       text not null,
  roles      text[] not null,
  merchants  text[],
  started_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);

-- ── API: programs that may come in ──────────

-- Shown once; only the hash is kept.
create table api_token (
  no         integer generated always as identity primary key,
  hash       text collate "C" not null unique,
  name       text not null,
  role       text not null,
  -- Whose rows may be seen; null: those of all merchants.
  merchants  text[],
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);

-- What was answered to a request that may be sent again: the same key gets the same answer, and nothing is done twice.
create table api_request (
  token_no integer not null references api_token,
  key      text collate "C" not null,
  -- Of method, path and body.
  hash     text collate "C" not null,
  at       timestamptz not null default now(),
  -- Null: nobody knows yet what becomes of it.
  status   integer,
  answer   text,
  primary key (token_no, key)
);

-- ── Retention: what is kept only so long ──────────

-- Everything that was dropped because it is old, one row each: the rows of a load, what the refused rows of a batch said, or an
-- archived file. Written before it is done, so that whoever comes later can do it.
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
  load_no integer not null references load,
  ids     bigint[] not null
);
-- Hashes cannot be compressed.
alter table dropped_ids alter ids set storage external;
create index dropped_ids_load on dropped_ids (load_no);

-- Batches that cannot be reconciled before the rows of these loads are read again.
create table wanted_rows (
  load_no  integer not null references load,
  batch_no integer not null references batch,
  attempts integer not null default 0,
  primary key (load_no, batch_no)
);
create index wanted_rows_batch on wanted_rows (batch_no);

-- ── Functions: asking for runs ──────────

-- The only way to ask for runs, so that none comes about without its cause. News of the batch itself may mend what failed
-- before; that another batch has news gives one that was given up no new tries.
create function want_runs(batch_nos integer[], why text, by_batch integer default null, interventions integer[] default '{}')
returns void language sql as $$
  with asked as (
    update batch b set wanted = b.wanted + 1,
           attempts = case when why = 'batch' then b.attempts else 0 end,
           next_attempt_at = case when why = 'batch' then b.next_attempt_at end,
           parked_reason = case when why = 'batch' then b.parked_reason end
     where b.no = any(batch_nos) returning b.no, b.wanted)
  insert into run_cause (batch_no, wanted, cause, by_batch_no, intervention_no)
  select a.no, a.wanted, why, by_batch, i.no from asked a left join unnest(interventions) as i(no) on true
$$;

-- ── Functions and views of deliveries ──────────

-- A report that holds the bytes of another one for the same part is a duplicate of it. When other bytes take the place of those,
-- it is read after all, from the archive.
create function release_duplicates(of_report integer, new_revision integer, new_sha256 text) returns void language sql as $$
  update delivery d set state = 'found', duplicate_of = null, archived = coalesce(l.original_path, l.archive_path), archived_sha256 = l.sha256
    from report r join load c on c.no = r.load_no join load l on l.report_no = r.no and l.sha256 = c.sha256
   where r.no = of_report and r.revision <= new_revision and c.sha256 is distinct from new_sha256
     and d.duplicate_of = l.no and d.state = 'duplicate'
     and not exists (select from delivery e where e.report_no = d.report_no and e.no > d.no and e.state not in ('dry', 'over'))
$$;

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
    -- Below two folders that were given they may be called the same.
    select string_agg(shown, ' and ' order by shown) into files
      from (select case when count(*) over (partition by c.file) > 1 then d.path else c.file end as shown
              from rival_content c join delivery d on d.no = c.delivery_no where c.report_no = of_report order by 1 limit 6) few;
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

-- Why a file that is not done cannot be gone on with now: what it needs is away. Null: it can, or it is done, or was given up.
create function away_reason(d delivery) returns text stable language sql as $$
  select a.reason from away a
   where (d.state in ('found', 'reading') or d.state = 'dry' and d.error_code is null) and d.parked_reason is null
     and (a.what = 'archive'
          or a.what = 'source ' || d.source and d.archived is null
             and not exists (select from load l where l.delivery_no = d.no and l.state in ('reading', 'loaded') and l.chunks is not null))
   order by a.what limit 1
$$;

-- A few of those that wait for what may be tried again now: whoever comes first tries for all.
create view away_probe as
select d.no from delivery d
 where exists (select from away where next_try_at <= now())
   and d.state in ('found', 'reading', 'dry') and d.parked_reason is null and away_reason(d) is not null
   and not exists (select from away a where a.next_try_at > now() and a.what in ('archive', 'source ' || d.source))
 order by d.no limit 4;

-- The header of the source's report of the same merchant, kind, format and part that came before the one of this load. What is read
-- again stands where it first came.
create function header_before(of_load integer) returns table (file text, header text[]) stable language sql as $$
  select y.file, o.header
    from load l join delivery d on d.no = l.delivery_no
    join load o on o.series = l.series and o.delivery_no < coalesce(d.replay_of, d.no)
    join delivery y on y.no = o.delivery_no and y.state = 'closed' and y.replay_of is null
   where l.no = of_load
   order by o.delivery_no desc, o.no desc limit 1
$$;

-- ── Views of results ──────────

-- How each batch or day that has a result stands, as `batches` tells it. A residual is known where both reports are whole. A batch of
-- which no row was compared, though it has some that should be, is not reconciled.
-- What was accepted is no longer open; a report that is missing is missing all the same.
create view batch_state as
select b.no as batch_no, r.no as run_no,
       case when (r.facts->>'waiting')::boolean then 'waiting'
            when (r.facts->>'missing')::boolean then 'incomplete'
            when exists (select from discrepancy d where d.batch_no = b.no and d.closed_run is null
                            and not exists (select from handling h where h.discrepancy_no = d.no and h.ended_at is null and h.state = 'accepted')) then 'discrepant'
            when (r.facts->>'uncompared')::boolean then 'incomplete'
            else 'reconciled' end as state,
       (r.facts->>'residualMinor')::numeric as residual_minor
  from batch b join run r on r.no = b.current_run;

-- The rows that are named by what is open, by batch, type and whether they need a record; each row once.
create view named_row as
select batch_no, row_type, row_needs_record, count(*) as rows, coalesce(sum(row_settlement_minor), 0) as settlement_minor
  from (select distinct on (batch_no, load_no, line) batch_no, row_type, row_needs_record, row_settlement_minor
          from discrepancy where closed_run is null and row_type is not null order by batch_no, load_no, line) named
 group by 1, 2, 3;

-- ── Schema dashboard ──────────

-- Views that dashboards read, for others to build on, as metrics are: columns may be added, and do not change. Who may read them says
-- deploy/grafana/reader.sql.

create schema dashboard;

-- Digits after the point of a currency, as src/domain/currency.ts has them.
create function dashboard.minor_digits(currency text) returns integer immutable parallel safe language sql as $$
  select case when currency in ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF', 'BYR') then 0
              when currency in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 3
              when currency in ('CLF', 'UYW') then 4
              else 2 end
$$;

-- An amount in major units. A whole number of the smallest unit stays exact.
create function dashboard.major(minor numeric, currency text) returns numeric immutable parallel safe language sql as $$
  select round(minor / 10::numeric ^ dashboard.minor_digits(currency), dashboard.minor_digits(currency))
$$;

-- Settlement batches and days of transactions, and what the answer of each is made of. The source is that of the newest file.
create view dashboard.batch as
select m.id as merchant, b.batch_id as settlement_batch, coalesce(b.settlement_date, b.day) as date,
       case when b.batch_id is null then 'day' else 'settlement' end as of,
       (select d.source from report r join delivery d on d.report_no = r.no where r.batch_no = b.no order by d.no desc limit 1) as source,
       b.acquirer, b.currency, s.state,
       (r.facts->>'rows')::bigint as rows, (r.facts->>'matchableRows')::bigint as matchable_rows,
       case when (r.facts->>'wrongUnit')::boolean then 0 else (r.facts->>'matchableRows')::bigint - told.rows end as matched_rows,
       dashboard.major((r.facts->'details'->>'settlementMinor')::numeric, b.currency) as details_amount,
       dashboard.major((r.facts->'details'->>'feeMinor')::numeric, b.currency) as fee_amount,
       dashboard.major((r.facts->'summary'->>'settlementMinor')::numeric, b.currency) as summary_amount,
       dashboard.major(s.residual_minor, b.currency) as residual,
       told.open as open_discrepancies, told.since as open_since,
       r.no as run, r.published_at as reconciled_at,
       -- What the answer is made of; null where a run of before did not count it. Days settle nothing.
       other.rows - named.other_rows as no_record_rows, (r.coverage->'notDone'->>'rows')::bigint as not_done_rows,
       named.other_rows + compared.told_rows as discrepant_rows, (r.coverage->>'refused')::bigint as refused_rows,
       case when b.batch_id is not null then dashboard.major(compared.all_minor - compared.told_minor, b.currency) end as matched_amount,
       case when b.batch_id is not null then dashboard.major(other.minor - named.other_minor, b.currency) end as no_record_amount,
       case when b.batch_id is not null then dashboard.major((r.coverage->'notDone'->>'settlementMinor')::numeric, b.currency) end as not_done_amount,
       case when b.batch_id is not null then dashboard.major(named.other_minor + compared.told_minor, b.currency) end as discrepant_amount,
       told.accepted as accepted_discrepancies
  from batch b join merchant m on m.no = b.merchant_no join batch_state s on s.batch_no = b.no join run r on r.no = s.run_no
 cross join lateral (
   select count(*) filter (where h.no is null) as open, min(d.first_seen_at) filter (where h.no is null) as since, count(h.no) as accepted,
          count(distinct (d.load_no, d.line)) filter (where d.of_matchable) as rows
     from discrepancy d left join handling h on h.discrepancy_no = d.no and h.ended_at is null and h.state = 'accepted'
    where d.batch_no = b.no and d.closed_run is null) told
 cross join lateral (
   select coalesce(sum(n.rows) filter (where n.row_needs_record), 0)::bigint as rows,
          coalesce(sum(n.settlement_minor) filter (where n.row_needs_record), 0) as minor,
          coalesce(sum(n.rows) filter (where not n.row_needs_record), 0)::bigint as other_rows,
          coalesce(sum(n.settlement_minor) filter (where not n.row_needs_record), 0) as other_minor
     from named_row n where n.batch_no = b.no) named
 cross join lateral (
   select coalesce(sum((o->>'rows')::bigint), 0)::bigint as rows, coalesce(sum((o->>'settlementMinor')::numeric), 0) as minor
     from jsonb_array_elements(r.coverage->'others') o where r.coverage is not null) sums
 cross join lateral (select case when r.coverage is not null then sums.rows end as rows, case when r.coverage is not null then sums.minor end as minor) other
 cross join lateral (
   select (r.coverage->'matchable'->>'settlementMinor')::numeric as all_minor,
          case when r.coverage is null then null when (r.facts->>'wrongUnit')::boolean then (r.coverage->'matchable'->>'rows')::bigint else named.rows end as told_rows,
          case when r.coverage is null then null when (r.facts->>'wrongUnit')::boolean then (r.coverage->'matchable'->>'settlementMinor')::numeric else named.minor end as told_minor) compared;

-- What was checked of each batch and day, and what could not be and why.
create view dashboard.checked as
select m.id as merchant, b.batch_id as settlement_batch, coalesce(b.settlement_date, b.day) as date,
       (select d.source from report r join delivery d on d.report_no = r.no where r.batch_no = b.no order by d.no desc limit 1) as source,
       s.state as batch_state, c.place, c.of->>'name' as name, c.of->>'state' as state, c.of->>'why' as why
  from batch b join merchant m on m.no = b.merchant_no join batch_state s on s.batch_no = b.no join run r on r.no = s.run_no
 cross join lateral jsonb_array_elements(r.coverage->'checks') with ordinality c(of, place);

-- What does not add up now.
create view dashboard.discrepancy as
select d.no, m.id as merchant, b.batch_id as settlement_batch, coalesce(b.settlement_date, b.day) as date, coalesce(y.source, f.source) as source, coalesce(y.file, f.file) as file, d.line,
       d.kind, d.type, d.request_id, d.transaction_id, d.field, d.reported, d.recorded, d.difference, d.currency, d.message,
       dashboard.major(d.stake_minor, d.stake_currency) as amount_at_stake, d.stake_currency, d.first_seen_at, h.state as handling, h.assigned_to
  from discrepancy d left join batch b on b.no = d.batch_no left join merchant m on m.no = coalesce(b.merchant_no, d.merchant_no)
  left join load l on l.no = d.load_no left join delivery y on y.no = l.delivery_no left join bank_file f on f.no = d.bank_file_no
  left join handling h on h.discrepancy_no = d.no and h.ended_at is null
 where d.closed_run is null and h.state is distinct from 'accepted';

-- What does not add up and was accepted: by whom, for which reason.
create view dashboard.accepted as
select d.no, m.id as merchant, b.batch_id as settlement_batch, coalesce(b.settlement_date, b.day) as date, d.kind, d.request_id, d.message,
       dashboard.major(d.stake_minor, d.stake_currency) as amount_at_stake, d.stake_currency, h.reason, h.text, h.decided_by, h.decided_at
  from handling h join discrepancy d on d.no = h.discrepancy_no left join batch b on b.no = d.batch_no
  left join merchant m on m.no = coalesce(b.merchant_no, d.merchant_no)
 where h.ended_at is null and h.state = 'accepted' and d.closed_run is null;

-- The newest file of each report, and what became of it: found, reading, closed, duplicate, waiting, refused, withdrawn, parked.
create view dashboard.report as
select d.source, m.id as merchant, r.kind, d.file, b.batch_id as settlement_batch, coalesce(b.settlement_date, b.day, d.directory_date) as date,
       case when d.parked_reason is not null and d.state in ('found', 'reading') then 'parked' else d.state end as state,
       d.size_bytes, d.modified_at, d.found_at, d.attempts, coalesce(d.error_message, d.parked_reason, d.withdrawn_reason) as reason
  from report r join batch b on b.no = r.batch_no join merchant m on m.no = b.merchant_no
 cross join lateral (
   select * from delivery e where e.report_no = r.no and e.state not in ('dry', 'over') order by e.no desc limit 1) d;
