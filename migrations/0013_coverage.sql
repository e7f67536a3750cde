-- What the answer of a run is made of: which rows were compared with a record, which need none, and what could not be checked.

-- Coverage (src/domain/coverage.ts): its rows before anything is told of them, and its checks. Null in runs of before: nobody counted it.
alter table run add column coverage jsonb;

-- The row that a discrepancy names: its type, whether it needs a record, and what it settles. No type: it names no row that was read.
alter table discrepancy
  add column row_type             text collate "C",
  add column row_needs_record     boolean,
  add column row_settlement_minor bigint;
-- What the row settles, to be told with it although the row itself may be dropped by then.
alter table run_share add column settlement_minor bigint;

-- The rows that are named by what is open, by batch, type and whether they need a record; each row once.
create view named_row as
select batch_no, row_type, row_needs_record, count(*) as rows, coalesce(sum(row_settlement_minor), 0) as settlement_minor
  from (select distinct on (batch_no, load_no, line) batch_no, row_type, row_needs_record, row_settlement_minor
          from discrepancy where closed_run is null and row_type is not null order by batch_no, load_no, line) named
 group by 1, 2, 3;

-- A batch of which no row was compared, though it has some that should be, is not reconciled.
create or replace view batch_state as
select b.no as batch_no, r.no as run_no,
       case when (r.facts->>'waiting')::boolean then 'waiting'
            when (r.facts->>'missing')::boolean then 'incomplete'
            when exists (select from discrepancy d where d.batch_no = b.no and d.closed_run is null) then 'discrepant'
            when (r.facts->>'uncompared')::boolean then 'incomplete'
            else 'reconciled' end as state,
       (r.facts->>'residualMinor')::numeric as residual_minor
  from batch b join run r on r.no = b.current_run;
