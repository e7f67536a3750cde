import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { withoutNestedLoops } from '../../../adapters/postgres/transactions.ts';
import { LARGE_ROWS, type ReadLoad, rowsOf } from '../../../store/loads.ts';

/** What every report of a day lists, if it happened on that day. */
const LISTED = sql`(d.flags & 3) = 1 and d.type in ('PAYMENT', 'CAPTURE', 'REFUND') and d.paid_at is not null`;

const dayIn = (timeZone: string) => sql`(d.paid_at at time zone ${sql.lit(timeZone)})::date`;

export type PaidDay = { readonly day: string; readonly rows: number };

/** The days on which what these loads settle was paid, and how many rows are of each. */
export async function paidDays(db: Db, loads: readonly ReadLoad[], timeZone: string): Promise<PaidDay[]> {
  const found = await sql<PaidDay>`
    select ${dayIn(timeZone)}::text as day, count(*)::int as rows from ${rowsOf(loads)} d where ${LISTED} group by 1 order by 1`.execute(
    db,
  );
  return found.rows;
}

export type DayLoad = ReadLoad & { readonly day: string };

/** What the current runs of these days read, of days whose whole report is there. */
export async function wholeReports(db: Db, merchantNo: number, days: readonly string[]): Promise<DayLoad[]> {
  const found = await sql<DayLoad>`
    select b.day::text, l.no as "loadNo", l.slot from batch b join run r on r.no = b.current_run
      join run_load rl on rl.run_no = r.no join load l on l.no = rl.load_no
     where b.merchant_no = ${merchantNo} and b.batch_id is null and b.day = any(${[...days]}::date[])
       and not (r.facts->>'missing')::boolean and not coalesce((r.facts->>'waiting')::boolean, false)
     order by b.day, rl.part`.execute(db);
  return found.rows;
}

/**
 * Leaves in a table the rows of these days that no report of the day or of one next to it lists. Days of many rows are joined as a
 * whole with their three reports; the rows of all others are looked up one by one, so that a batch with a few rows of each of a
 * hundred days does not read as many reports.
 */
export async function findNotReported(
  db: Db,
  loads: readonly ReadLoad[],
  days: readonly PaidDay[],
  reportsAround: (day: string) => readonly DayLoad[],
  timeZone: string,
): Promise<void> {
  const isSame = sql`x.key_hash = d.key_hash and x.request_id = d.request_id and x.type = d.type`;
  for (const { day } of days.filter(({ rows }) => rows > LARGE_ROWS)) {
    // As with records: a fresh table has no statistics, and so many rows must not be looked up one by one.
    await withoutNestedLoops(db, () =>
      sql`insert into not_reported
      select d.load_no, d.line, ${day}::date from ${rowsOf(loads)} d
       where ${LISTED} and d.paid_at >= ${day}::date::timestamp at time zone ${timeZone}
         and d.paid_at < (${day}::date + 1)::timestamp at time zone ${timeZone}
         and not exists (select from ${rowsOf(reportsAround(day))} x where ${isSame})`.execute(db),
    );
  }
  const few = days.filter(({ rows }) => rows <= LARGE_ROWS);
  if (few.length === 0) return;
  await sql`insert into paid_row
    select d.load_no, d.line, d.type, d.request_id, d.key_hash, ${dayIn(timeZone)} as day from ${rowsOf(loads)} d
     where ${LISTED} and ${dayIn(timeZone)} = any(${few.map(({ day }) => day)}::date[])`.execute(db);
  await sql`analyze paid_row`.execute(db);
  const reports = new Map(few.flatMap(({ day }) => reportsAround(day)).map((load) => [load.loadNo, load]));
  const daysOfLoads = [...reports.values()];
  await sql`insert into not_reported
    select d.load_no, d.line, d.day from paid_row d
     where not exists (
       select from ${rowsOf(daysOfLoads)} x
         join unnest(${daysOfLoads.map(({ loadNo }) => loadNo)}::int[], ${daysOfLoads.map(({ day }) => day)}::date[]) as u(load_no, day)
           on u.load_no = x.load_no
        where ${isSame} and u.day between d.day - 1 and d.day + 1)`.execute(db);
}

/** Those rows; what is a duplicate is compared no further. */
export const notReportedRows = (loads: readonly ReadLoad[]): RawBuilder<unknown> => sql`
  select d.*, (extract(epoch from d.paid_at) * 1000000)::bigint as paid_at_micros, n.day::text as day
    from not_reported n join ${rowsOf(loads)} d on d.load_no = n.load_no and d.line = n.line
   where not exists (select from duplicate u where u.load_no = d.load_no and u.line = d.line)`;

export type RunDay = { readonly day: string; readonly isChecked: boolean };

/** Keeps the days of a run in place of those of the run before. */
export async function replaceDays(
  db: Db,
  runNo: number,
  before: number | null,
  merchantNo: number,
  days: readonly RunDay[],
): Promise<void> {
  await sql`delete from run_day where run_no = ${before}`.execute(db);
  if (days.length === 0) return;
  await sql`insert into run_day (run_no, merchant_no, day, is_checked)
    select ${runNo}::int, ${merchantNo}::int, day, is_checked
      from unnest(${days.map(({ day }) => day)}::date[], ${days.map(({ isChecked }) => isChecked)}::boolean[]) as u(day, is_checked)`.execute(
    db,
  );
}

/** The settlements of what was paid on this day or one next to it. */
export async function settlementsOfDay(db: Db, merchantNo: number, day: string) {
  const found = await sql<RunDay & { batchNo: number }>`
    select b.no as "batchNo", u.day::text, u.is_checked as "isChecked" from run_day u join batch b on b.current_run = u.run_no
     where u.merchant_no = ${merchantNo} and u.day between ${day}::date - 1 and ${day}::date + 1`.execute(db);
  return found.rows;
}

/** The batch is to be asked for at this time, if nothing else asks before. */
export const askAt = (db: Db, batchNo: number, atMs: number) =>
  sql`update batch set waiting_until = least(waiting_until, timestamptz 'epoch' + ${atMs}::int8 * interval '1 millisecond')
       where no = ${batchNo}`.execute(db);
