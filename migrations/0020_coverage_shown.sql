-- Coverage and checks for dashboards, and the header that a report had before.

create or replace view dashboard.batch as
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
       case when b.batch_id is not null then dashboard.major(named.other_minor + compared.told_minor, b.currency) end as discrepant_amount
  from batch b join merchant m on m.no = b.merchant_no join batch_state s on s.batch_no = b.no join run r on r.no = s.run_no
 cross join lateral (
   select count(*) as open, min(d.first_seen_at) as since,
          count(distinct (d.load_no, d.line)) filter (where d.of_matchable) as rows
     from discrepancy d where d.batch_no = b.no and d.closed_run is null) told
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

-- The header of the source's report of the same merchant, kind, format and part that came before the one of this load. What is read
-- again stands where it first came.
create function header_before(of_load integer) returns table (file text, header text[]) stable language sql as $$
  select y.file, o.header
    from load l join report r on r.no = l.report_no join batch b on b.no = r.batch_no join delivery d on d.no = l.delivery_no
    join delivery y on y.source = d.source and y.no < coalesce(d.replay_of, d.no) and y.state = 'closed' and y.replay_of is null
    join load o on o.delivery_no = y.no and o.format = l.format
    join report x on x.no = y.report_no and x.kind = r.kind and x.seq = r.seq and x.psp is not distinct from r.psp and x.is_portal = r.is_portal
    join batch c on c.no = x.batch_no and c.merchant_no = b.merchant_no
   where l.no = of_load
   order by y.no desc, o.no desc limit 1
$$;
