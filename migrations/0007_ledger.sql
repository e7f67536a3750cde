-- Whose records are compared: the imported ones (table record), or a table or view of the merchant's own in this database.

create table ledger_setting (
  is_only       boolean primary key default true check (is_only),
  -- What the functions below were last made from: they are made anew when it changes.
  definition    text not null default '',
  -- For people: shop.payments where provider = 'x'.
  described     text not null default 'the imported records',
  is_imported   boolean not null default true,
  -- Its records say when they were last changed.
  has_updated_at boolean not null default false,
  since         timestamptz not null default now(),
  -- Open discrepancies up to this number have been compared with the records that they quote, in this round; when it goes on.
  checked_no    bigint not null default 0,
  next_check_at timestamptz,
  -- Records that changed up to then were looked at.
  changed_until timestamptz
);
insert into ledger_setting default values;

-- Versions of records that were looked at, as long as others of the same time may still be committed.
create table seen_change (
  key_hash    bigint not null,
  merchant_no integer not null,
  print       bigint not null,
  updated_at  timestamptz not null,
  primary key (key_hash, merchant_no, print, updated_at)
);

-- Days that were checked when nothing was recorded of them, and of which something is recorded now: they are checked once more.
create table late_day (
  merchant_no integer not null references merchant,
  day         date not null,
  primary key (merchant_no, day)
);

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
create function record_print(type text, request_id text, amount_minor bigint, currency text, status text, occurred_at timestamptz,
  original_request_id text) returns bigint
language sql stable parallel safe as $$
  select hashtextextended(type || '|' || amount_minor::text || '|' || currency || '|' || status || '|' || extract(epoch from occurred_at)::text
                          || '|' || request_id || '|' || coalesce(original_request_id, ''), 0)
$$;

-- The request ids of the records that a discrepancy quotes or misses, and what these said when it was told: null where there was
-- none. What differs from what they say now is reconciled anew.
alter table discrepancy add column quoted_ids text[] collate "C", add column quoted_print bigint;
update discrepancy
   set quoted_ids = array_remove(array[request_id, case when kind in ('orphan_row', 'original_mismatch') then reported end,
                                       case when kind = 'original_mismatch' then recorded end], null)
 where closed_run is null
   and kind in ('unknown_transaction', 'amount_mismatch', 'currency_mismatch', 'status_mismatch', 'original_mismatch', 'orphan_row',
                'over_refunded', 'unreported_transaction', 'unsettled_transaction');
create index discrepancy_quotes on discrepancy (no) where closed_run is null and quoted_ids is not null;
