import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { BatchState, Kind } from '../../domain/discrepancy.ts';
import type { Currency } from '../../domain/money/currency.ts';

export type OpenDeliveries = {
  source: string;
  reports: number;
  bytes: number;
  /** Seconds since 1970; null where only known reports are read again. */
  oldestAt: number | null;
  /** Of those whose bytes are not in the archive; null when all are. */
  oldestUnfetchedAt: number | null;
};

/** What was found and is not done, by source. What was given up is open, but no work, until another content takes its place. */
export async function openDeliveries(db: Db): Promise<OpenDeliveries[]> {
  const found = await sql<OpenDeliveries>`
    select d.source,
           count(*) filter (where d.parked_reason is null)::int as reports,
           coalesce(sum(d.size_bytes) filter (where d.parked_reason is null), 0)::float8 as bytes,
           extract(epoch from min(d.modified_at) filter (where d.replay_of is null))::float8 as "oldestAt",
           extract(epoch from min(d.modified_at) filter (where l.no is null and d.archived is null))::float8 as "oldestUnfetchedAt"
      from delivery d
      left join load l on l.report_no = d.report_no and l.delivery_no = d.no and l.state in ('reading', 'loaded') and l.chunks is not null
     where d.state in ('found', 'reading')
       and (d.parked_reason is null or not exists (
         select from delivery e where e.report_no = d.report_no and e.no > d.no and e.state not in ('dry', 'over')))
     group by d.source`.execute(db);
  return found.rows;
}

export type SourceStanding = {
  source: string;
  /** Seconds since 1970. */
  until: number;
  /** Seconds since 1970; null where all is read again. */
  lastFoundAt: number | null;
  /** Reports by what keeps their newest file out of the book. */
  waiting: number;
  refused: number;
  parked: number;
};

/**
 * How each source stands. It is reconciled up to the start of its first day on which something is open, else to the end of its
 * last. What was found last under a report's name says how the report stands; where nothing else says its day, the day on which
 * the file was written does.
 */
export async function standingOfSources(db: Db): Promise<SourceStanding[]> {
  const found = await sql<SourceStanding>`
    with newest as (
      select distinct on (d.report_no) d.no, d.source, d.rules->>'timeZone' as time_zone, d.state, d.parked_reason,
             coalesce(b.day, d.directory_date, b.settlement_date, (d.modified_at at time zone (d.rules->>'timeZone'))::date) as day,
             d.state in ('found', 'reading', 'waiting', 'refused') or b.done < b.wanted as is_open
        from delivery d join report r on r.no = d.report_no join batch b on b.no = r.batch_no
       where d.state not in ('dry', 'over')
       order by d.report_no, d.no desc)
    select source, extract(epoch from coalesce(min(day) filter (where is_open), max(day) + 1)::timestamp
                   at time zone (array_agg(time_zone order by no desc))[1])::float8 as until,
           (select extract(epoch from max(d.found_at)) from delivery d
             where d.source = newest.source and d.replay_of is null)::float8 as "lastFoundAt",
           count(*) filter (where state = 'waiting')::int as waiting,
           count(*) filter (where state = 'refused')::int as refused,
           count(*) filter (where state in ('found', 'reading') and parked_reason is not null)::int as parked
      from newest group by source`.execute(db);
  return found.rows;
}

/**
 * The source of a batch `b`: that of its newest file, else, for a day of which nothing came, that of whoever should have sent
 * it. Empty where nobody is known.
 */
const SOURCE_OF_BATCH = sql`
  coalesce((select d.source from report r join delivery d on d.report_no = r.no where r.batch_no = b.no order by d.no desc limit 1),
           (select c.source from checked_day c where c.merchant_no = b.merchant_no order by c.day desc, c.source limit 1), '')`;

export type BatchCount = {
  source: string;
  of: 'settlement' | 'day';
  state: BatchState;
  currency: Currency | null;
  count: number;
  /** Of those whose details and summary are whole, how many differ and by how much in all; null where none does. */
  residuals: number;
  residualMinor: string | null;
};

/** Batches and days that have a result, by source, state and currency. */
export async function batchStates(db: Db): Promise<BatchCount[]> {
  const found = await sql<BatchCount>`
    select ${SOURCE_OF_BATCH} as source, case when b.batch_id is null then 'day' else 'settlement' end as of, s.state, b.currency,
           count(*)::int as count, count(*) filter (where s.residual_minor <> 0)::int as residuals,
           (sum(abs(s.residual_minor)) filter (where s.residual_minor <> 0))::text as "residualMinor"
      from batch b join batch_state s on s.batch_no = b.no group by 1, 2, 3, 4`.execute(db);
  return found.rows;
}

/** Batches and days that want a run, and those that were given up, by source. */
export async function undoneBatches(db: Db): Promise<{ source: string; wanted: number; parked: number }[]> {
  const found = await sql<{ source: string; wanted: number; parked: number }>`
    select ${SOURCE_OF_BATCH} as source, count(*) filter (where b.parked_reason is null)::int as wanted,
           count(*) filter (where b.parked_reason is not null)::int as parked
      from batch b where b.done < b.wanted or b.parked_reason is not null group by 1`.execute(db);
  return found.rows;
}

export type OpenDiscrepancies = {
  source: string;
  kind: Kind;
  /** Of the stake; null where nothing is at stake. */
  currency: Currency | null;
  /** Place in AGES. */
  age: number;
  count: number;
  stakeMinor: string | null;
};

/** Where AGES end, in days. */
const AGE_DAYS = [1, 3, 7, 30];

/**
 * `sourced`: what was counted of discrepancies `d`, by its source. Those of a batch count for the source of its newest file, those of a bank
 * statement alone for that of its file. Counted first, and over a million of them; the sources are then those of some thousand batches.
 */
const sourced = (columns: RawBuilder<unknown>, from: RawBuilder<unknown>) => sql`
    counted as materialized (
      select d.batch_no, case when d.batch_no is null then d.bank_file_no end as file_no, d.kind, d.stake_currency as currency, ${columns},
             count(*) as count, sum(d.stake_minor) as stake
        from ${from} group by 1, 2, 3, 4, 5),
    placed as materialized (
      select b.no, ${SOURCE_OF_BATCH} as source from batch b where b.no in (select batch_no from counted)),
    sourced as (
      select coalesce(p.source, f.source, '') as source, c.* from counted c left join placed p on p.no = c.batch_no left join bank_file f on f.no = c.file_no)`;

/** Open discrepancies by source, kind, currency and age. */
export async function openDiscrepancies(db: Db): Promise<OpenDiscrepancies[]> {
  const age = sql`width_bucket(extract(epoch from now() - d.first_seen_at)::float8 / 86400, ${AGE_DAYS}::float8[]) as age`;
  const open = sql`discrepancy d where d.closed_run is null
    and not exists (select from handling h where h.discrepancy_no = d.no and h.ended_at is null and h.state = 'accepted')`;
  const found = await sql<OpenDiscrepancies>`
    with ${sourced(age, open)}
    select source, kind, currency, age, sum(count)::int as count, sum(stake)::text as "stakeMinor" from sourced group by 1, 2, 3, 4`.execute(
    db,
  );
  return found.rows;
}

export type HandledDiscrepancies = {
  source: string;
  kind: Kind;
  state: 'accepted' | 'pendingApproval';
  currency: Currency | null;
  count: number;
  stakeMinor: string | null;
};

/** Discrepancies that were accepted, and those that wait for approval. */
export async function handledDiscrepancies(db: Db): Promise<HandledDiscrepancies[]> {
  const handled = sql`handling h join discrepancy d on d.no = h.discrepancy_no
    where h.ended_at is null and h.state in ('accepted', 'pendingApproval')`;
  const found = await sql<HandledDiscrepancies>`
    with ${sourced(sql`h.state`, handled)}
    select source, kind, state, currency, sum(count)::int as count, sum(stake)::text as "stakeMinor" from sourced group by 1, 2, 3, 4`.execute(
    db,
  );
  return found.rows;
}

export const answer = (db: Db) => sql`select 1`.execute(db);

/** Whoever asks counts, too. */
export async function databaseFacts(db: Db): Promise<{ sizeBytes: number; used: number; allowed: number }> {
  const found = await sql<{ sizeBytes: number; used: number; allowed: number }>`
    select pg_database_size(current_database())::float8 as "sizeBytes", current_setting('max_connections')::int as allowed,
           (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as used`.execute(db);
  return found.rows[0]!;
}
