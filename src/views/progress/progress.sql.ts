import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import { IS_HELD, isLeft } from '../../store/away.sql.ts';

// How far the work of one call is: what whoever started it waits for.

/** Bytes and rows of these deliveries, and how many of them are read. */
export async function progressOf(db: Db, deliveryNos: readonly number[]) {
  const found = await sql<{ size: bigint; read: bigint; rows: bigint }>`
    select coalesce(sum(d.size_bytes), 0)::bigint as size,
           coalesce(sum(case when d.state in ('found', 'reading') then coalesce(c.bytes, 0) else d.size_bytes end), 0)::bigint as read,
           coalesce(sum(c.rows), 0)::bigint as rows
      from delivery d
      left join lateral (select sum(c.length_bytes) as bytes, sum((c.facts->>'rows')::bigint) as rows
                           from load l join chunk c on c.load_no = l.no
                          where l.delivery_no = d.no and l.state in ('reading', 'loaded', 'closed') and c.state = 'loaded') c on true
     where d.no = ${anyOf(deliveryNos)}`.execute(db);
  const { size, read, rows } = found.rows[0]!;
  return { size: Number(size), read: Number(read), rows: Number(rows) };
}

/** More than one process has work with what is to be read and to be reconciled. */
export async function isMuchToDo(db: Db): Promise<boolean> {
  const found = await sql<{ isMuch: boolean }>`
    select d.bytes > 2000000 or d.files + b.batches > 20 as "isMuch"
      from (select coalesce(sum(size_bytes), 0) as bytes, count(*) as files from delivery where state in ('found', 'reading')) d,
           (select count(*) as batches from batch where done < wanted) b`.execute(db);
  return found.rows[0]!.isMuch;
}

/** Some of these deliveries is not at its end, or some batch that wants a run can have one and has none. */
export async function isReconciling(db: Db, deliveryNos: readonly number[], startedAtMs: number): Promise<boolean> {
  const nos = anyOf(deliveryNos);
  const busy = await sql`
    select from delivery d join report r on r.no = d.report_no
     where (d.no = ${nos} or d.archived is not null and r.batch_no in (
             select s.batch_no from delivery e join report s on s.no = e.report_no where e.no = ${nos}))
       and d.state in ('found', 'reading') and d.parked_reason is null and not ${isLeft(startedAtMs)}
    union all
    select from batch b where b.done < b.wanted and b.parked_reason is null and not exists (
      select from delivery d join report r on r.no = d.report_no
       where r.batch_no = b.no and d.state in ('found', 'reading') and d.parked_reason is null and not ${IS_HELD})
    limit 1`.execute(db);
  return busy.rows.length > 0;
}

/** What a replay or withdrawal has set going. */
type Started = {
  readonly interventionNo: number;
  readonly deliveryNos: readonly number[];
  readonly batchNos: readonly number[];
};

/** Rows of these loads are not there yet, after less than so many tries. */
export async function areDropped(db: Db, loadNos: readonly number[], tries: number | null = null): Promise<boolean> {
  const found = await sql`
    select from load l where no = ${anyOf(loadNos)} and rows_dropped_at is not null
       and (${tries}::int is null or exists (select from wanted_rows w where w.load_no = l.no and w.attempts < ${tries}::int)) limit 1`.execute(
    db,
  );
  return found.rows.length > 0;
}

/** Some delivery of a replay or withdrawal is not at its end, or some batch that it set going has no run yet. */
export async function isReplaying(
  db: Db,
  { interventionNo, deliveryNos, batchNos }: Started,
  startedAtMs: number,
): Promise<boolean> {
  const busy = await sql`
    select from delivery d where no = ${anyOf(deliveryNos)} and state in ('found', 'reading') and parked_reason is null
       and not ${isLeft(startedAtMs)}
    union all
    select from run_cause c join batch b on b.no = c.batch_no
     where c.intervention_no = ${interventionNo} and b.done < c.wanted and b.parked_reason is null
    union all
    select from batch where no = ${anyOf(batchNos)} and done < wanted and parked_reason is null
    limit 1`.execute(db);
  return busy.rows.length > 0;
}

/** A dry delivery has its rows or its reason, or was given up. */
export async function isReadingDry(db: Db, deliveryNos: readonly number[], startedAtMs: number): Promise<boolean> {
  const busy = await sql`
    select from delivery d where no = ${anyOf(deliveryNos)} and error_code is null and parked_reason is null
       and not ${isLeft(startedAtMs)} and not exists (select from load l where l.delivery_no = d.no and l.state = 'loaded') limit 1`.execute(
    db,
  );
  return busy.rows.length > 0;
}

export async function hasFailed(db: Db, { interventionNo, deliveryNos }: Started): Promise<boolean> {
  const failed = await sql`
    select from delivery where no = ${anyOf(deliveryNos)} and state not in ('closed', 'duplicate')
    union all
    select from run_cause c join batch b on b.no = c.batch_no where c.intervention_no = ${interventionNo} and b.parked_reason is not null
    limit 1`.execute(db);
  return failed.rows.length > 0;
}

/** How many discrepancies of these batches are open, and whether some of these reports or batches could not be used. */
export async function outcomeIn(
  db: Db,
  {
    batchNos,
    deliveryNos,
    bankFileNos = [],
  }: Pick<Started, 'batchNos' | 'deliveryNos'> & {
    /** Where there are some, what is told of statements that belong to no batch counts too. */
    readonly bankFileNos?: readonly number[];
  },
): Promise<{ readonly discrepancies: number; readonly isIncomplete: boolean }> {
  const outcome = await sql<{ discrepancies: number; isIncomplete: boolean }>`
    select (select count(*)::int from discrepancy d where d.closed_run is null
               and (d.batch_no = ${anyOf(batchNos)} or d.batch_no is null and ${bankFileNos.length > 0})
               and not exists (select from handling h where h.discrepancy_no = d.no and h.ended_at is null and h.state = 'accepted')) as discrepancies,
           exists (select from delivery where no = ${anyOf(deliveryNos)} and state not in ('closed', 'duplicate'))
             or exists (select from batch where no = ${anyOf(batchNos)} and parked_reason is not null) as "isIncomplete"`.execute(
    db,
  );
  return outcome.rows[0]!;
}
