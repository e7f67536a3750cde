import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import { addDays } from '../domain/calendar/calendar.ts';

export const DUTIES = ['transactionDetails', 'settlement'] as const;

export type Duty = (typeof DUTIES)[number];

/** Those that something came for, and whom the source is configured for. */
export async function merchantsOf(
  db: Db,
  source: { readonly name: string; readonly merchantId: string | null },
): Promise<number[]> {
  const found = await sql<{ no: number }>`
    select no from merchant m where m.id = ${source.merchantId} or exists (
      select from batch b join report r on r.batch_no = b.no join delivery d on d.report_no = r.no
       where b.merchant_no = m.no and d.source = ${source.name})`.execute(db);
  return found.rows.map(({ no }) => no);
}

/** Null where none was ever checked. */
export async function firstUnchecked(db: Db, source: string, merchantNo: number, duty: Duty): Promise<string | null> {
  const checked = await sql<{ day: string }>`
    select day::text from checked_day where source = ${source} and merchant_no = ${merchantNo} and duty = ${duty}`.execute(
    db,
  );
  return checked.rows[0] ? addDays(checked.rows[0].day, 1) : null;
}

/** Nothing is expected for days before the first that ever came: null where none did. */
export async function firstDay(db: Db, merchantNo: number, duty: Duty): Promise<string | null> {
  const first = await sql<{ day: string | null }>`
    select ${duty === 'settlement' ? sql`min(settlement_date)::text` : sql`min(day)::text`} as day from batch
     where merchant_no = ${merchantNo} and current_run is not null
       and ${duty === 'settlement' ? sql`batch_id is not null` : sql`batch_id is null`}`.execute(db);
  return first.rows[0]!.day;
}

/** Days of transactions whose report is there. */
export async function reportedDays(db: Db, merchantNo: number): Promise<Set<string>> {
  const found = await sql<{ day: string }>`
    select b.day::text from batch b where b.merchant_no = ${merchantNo} and b.batch_id is null
       and exists (select from report r where r.batch_no = b.no and r.load_no is not null)`.execute(db);
  return new Set(found.rows.map(({ day }) => day));
}
