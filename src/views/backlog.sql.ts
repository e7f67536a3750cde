import { sql } from 'kysely';
import type { Db } from '../adapters/postgres.ts';
import type { Currency } from '../domain/currency.ts';
import type { Kind } from '../domain/discrepancy.ts';

export type OpenDeliveries = {
  source: string;
  reports: number;
  bytes: number;
  /** Seconds since 1970; null where only known reports are read again. */
  oldestAt: number | null;
  /** Of those whose bytes are not in the archive; null when all are. */
  oldestUnfetchedAt: number | null;
};

/** What was found and is not done, by source. What was given up is open, but no work. */
export async function openDeliveries(db: Db): Promise<OpenDeliveries[]> {
  const found = await sql<OpenDeliveries>`
    select d.source,
           count(*) filter (where d.parked_reason is null)::int as reports,
           coalesce(sum(d.size_bytes) filter (where d.parked_reason is null), 0)::float8 as bytes,
           extract(epoch from min(d.modified_at) filter (where d.replay_of is null))::float8 as "oldestAt",
           extract(epoch from min(d.modified_at) filter (where l.no is null and d.archived is null))::float8 as "oldestUnfetchedAt"
      from delivery d
      left join load l on l.report_no = d.report_no and l.delivery_no = d.no and l.state in ('reading', 'loaded') and l.chunks is not null
     where d.state in ('found', 'reading') group by d.source`.execute(db);
  return found.rows;
}

/**
 * Up to when each source is reconciled, in seconds since 1970: the start of its first day on which something is open, else the
 * end of its last. What was found last under a report's name says how the report stands; where nothing else says its day, the
 * day on which the file was written does.
 */
export async function reconciledUntil(db: Db): Promise<{ source: string; until: number }[]> {
  const found = await sql<{ source: string; until: number }>`
    with newest as (
      select distinct on (d.report_no) d.no, d.source, d.rules->>'timeZone' as time_zone,
             coalesce(b.day, d.directory_date, b.settlement_date, (d.modified_at at time zone (d.rules->>'timeZone'))::date) as day,
             d.state in ('found', 'reading', 'waiting', 'refused') or b.done < b.wanted as is_open
        from delivery d join report r on r.no = d.report_no join batch b on b.no = r.batch_no
       where d.state not in ('dry', 'over')
       order by d.report_no, d.no desc)
    select source, extract(epoch from coalesce(min(day) filter (where is_open), max(day) + 1)::timestamp
                   at time zone (array_agg(time_zone order by no desc))[1])::float8 as until
      from newest group by source`.execute(db);
  return found.rows;
}

export type OpenDiscrepancies = {
  source: string;
  kind: Kind;
  /** Of the stake; null where nothing is at stake. */
  currency: Currency | null;
  count: number;
  stakeMinor: string | null;
};

/** Open discrepancies by source, kind and currency. Those of a batch count for the source of its newest file. */
export async function openDiscrepancies(db: Db): Promise<OpenDiscrepancies[]> {
  // Counted first, and over a million of them; the sources are then those of some thousand batches.
  const found = await sql<OpenDiscrepancies>`
    with counted as materialized (
      select batch_no, kind, stake_currency as currency, count(*) as count, sum(stake_minor) as stake
        from discrepancy where closed_run is null group by 1, 2, 3),
    newest as (
      select r.batch_no, max(d.no) as no from report r join delivery d on d.report_no = r.no
       where r.batch_no in (select batch_no from counted) group by 1)
    select coalesce(d.source, '') as source, c.kind, c.currency, sum(c.count)::int as count, sum(c.stake)::text as "stakeMinor"
      from counted c left join newest n on n.batch_no = c.batch_no left join delivery d on d.no = n.no
     group by 1, 2, 3`.execute(db);
  return found.rows;
}
