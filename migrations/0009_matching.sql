-- Sums over several batches that are compared with one record, and rows that are settled and not reported.

-- Beside the refunds of a payment: what disputes took of it, captures of an authorization, and the instalments of a key.
-- Runs of before hold refunds alone; the others of theirs are known when their batch is reconciled again.
alter table run_refund rename to run_share;
alter table run_share rename column payment_request_id to request_id;
alter table run_share
  -- returned, captured or instalments: domain/shares.ts.
  add column sum             text collate "C" not null default 'returned',
  -- The type of the record; null: the payment, whichever of its types it is recorded as.
  add column record_type     text collate "C",
  -- Of request_id, as in record.
  add column key_hash        bigint,
  -- The row's own type, and its own ids where something is made of them.
  add column type            text collate "C",
  add column own_request_id  text collate "C",
  add column transaction_id  text collate "C",
  add column is_settled      boolean not null default true;
update run_share set key_hash = hashtextextended(request_id, 0), type = case when amount_minor < 0 then 'REFUND_REVERSAL' else 'REFUND' end;
alter table run_share
  alter column sum drop default,
  alter column key_hash set not null,
  alter column type set not null,
  alter column is_settled drop default;
drop index run_refund_payment;
create index run_share_key on run_share (key_hash);
alter index run_refund_run rename to run_share_run;

-- What belongs to a key rather than to the batch: decided anew over all current runs whenever one of them changes, and no part of
-- the digest of the run. Kinds alone do not say it, for a sum of instalments is an amount like any other.
alter table discrepancy add column is_by_key boolean not null default false;
update discrepancy set is_by_key = true where kind in ('settled_twice', 'over_refunded');
drop index discrepancy_settled_twice;
drop index discrepancy_over_refunded;
create index discrepancy_by_key on discrepancy (request_id) where closed_run is null and is_by_key;

-- The days on which the rows of a current run were paid, where transaction reports are expected.
create table run_day (
  run_no       integer not null,
  merchant_no  integer not null,
  day          date not null,
  -- It was looked whether the reports of the day list them; else one of these was not there, or not due.
  is_checked   boolean not null
);
create index run_day_run on run_day (run_no);
create index run_day_day on run_day (merchant_no, day);

comment on column report_row.flags is
  'Bits 0-1: how it finds its record (0 none, 1 own, 2 original, 3 lost); bit 2: in instalments; bit 3: did not happen; from bit 4: in how many instalments.';
