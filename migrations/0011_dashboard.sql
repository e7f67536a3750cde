-- What is shown outside of the program: how batches stand, and views that dashboards read. The views of schema dashboard are
-- for others to build on, as metrics are: columns may be added, and do not change. Who may read them says deploy/grafana/reader.sql.

-- How each batch or day that has a result stands, as `batches` tells it. A residual is known where both reports are whole.
create view batch_state as
select b.no as batch_no, r.no as run_no,
       case when (r.facts->>'waiting')::boolean then 'waiting'
            when (r.facts->>'missing')::boolean then 'incomplete'
            when exists (select from discrepancy d where d.batch_no = b.no and d.closed_run is null) then 'discrepant'
            else 'reconciled' end as state,
       (r.facts->>'residualMinor')::numeric as residual_minor
  from batch b join run r on r.no = b.current_run;

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

-- Settlement batches and days of transactions. The source is that of the newest file.
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
       r.no as run, r.published_at as reconciled_at
  from batch b join merchant m on m.no = b.merchant_no join batch_state s on s.batch_no = b.no join run r on r.no = s.run_no
 cross join lateral (
   select count(*) as open, min(d.first_seen_at) as since,
          count(distinct (d.load_no, d.line)) filter (where d.of_matchable) as rows
     from discrepancy d where d.batch_no = b.no and d.closed_run is null) told;

-- What does not add up now.
create view dashboard.discrepancy as
select d.no, m.id as merchant, b.batch_id as settlement_batch, coalesce(b.settlement_date, b.day) as date, y.source, y.file, d.line,
       d.kind, d.type, d.request_id, d.transaction_id, d.field, d.reported, d.recorded, d.difference, d.currency, d.message,
       dashboard.major(d.stake_minor, d.stake_currency) as amount_at_stake, d.stake_currency, d.first_seen_at
  from discrepancy d join batch b on b.no = d.batch_no join merchant m on m.no = b.merchant_no
  left join load l on l.no = d.load_no left join delivery y on y.no = l.delivery_no
 where d.closed_run is null;

-- The newest file of each report, and what became of it: found, reading, closed, duplicate, waiting, refused, withdrawn, parked.
create view dashboard.report as
select d.source, m.id as merchant, r.kind, d.file, b.batch_id as settlement_batch, coalesce(b.settlement_date, b.day, d.directory_date) as date,
       case when d.parked_reason is not null and d.state in ('found', 'reading') then 'parked' else d.state end as state,
       d.size_bytes, d.modified_at, d.found_at, d.attempts, coalesce(d.error_message, d.parked_reason, d.withdrawn_reason) as reason
  from report r join batch b on b.no = r.batch_no join merchant m on m.no = b.merchant_no
 cross join lateral (
   select * from delivery e where e.report_no = r.no and e.state not in ('dry', 'over') order by e.no desc limit 1) d;
