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
  const checked = await db
    .selectFrom('checked_day')
    .select('day')
    .where('source', '=', source)
    .where('merchant_no', '=', merchantNo)
    .where('duty', '=', duty)
    .executeTakeFirst();
  return checked ? addDays(checked.day, 1) : null;
}

/** Nothing is expected for days before the first that ever came: null where none did. */
export async function firstDay(db: Db, merchantNo: number, duty: Duty): Promise<string | null> {
  const isSettlement = duty === 'settlement';
  const first = await db
    .selectFrom('batch')
    .select((batch) => batch.fn.min(isSettlement ? 'settlement_date' : 'day').as('day'))
    .where('merchant_no', '=', merchantNo)
    .where('current_run', 'is not', null)
    .where('batch_id', isSettlement ? 'is not' : 'is', null)
    .executeTakeFirstOrThrow();
  return first.day;
}

/** Days of transactions whose report is there. */
export async function reportedDays(db: Db, merchantNo: number): Promise<Set<string>> {
  const found = await db
    .selectFrom('batch as b')
    .select('b.day')
    .distinct()
    .innerJoin('report as r', 'r.batch_no', 'b.no')
    .where('b.merchant_no', '=', merchantNo)
    .where('b.batch_id', 'is', null)
    .where('r.load_no', 'is not', null)
    .execute();
  return new Set(found.map(({ day }) => day!));
}
