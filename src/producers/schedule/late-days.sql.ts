import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';

/**
 * Keeps the days of records that have come, in whatever time zone, where such a day was checked without them and nothing was ever
 * told of it. `table` has merchant_no and occurred_at.
 */
export const keepLateDays = (db: Db, table: 'changed_record' | 'changed'): Promise<unknown> =>
  sql`
    insert into late_day (merchant_no, day)
    select c.merchant_no, c.day + i
      from (select distinct merchant_no, occurred_at::date as day from ${sql.ref(table)}) c cross join generate_series(-1, 1) i
     where exists (select from checked_day k where k.merchant_no = c.merchant_no and k.day >= c.day + i)
       and not exists (select from batch b where b.merchant_no = c.merchant_no and b.batch_id is null and b.day = c.day + i)
    on conflict do nothing`.execute(db);

/** The days that were kept, by merchant. */
export async function lateDays(db: Db): Promise<ReadonlyMap<number, readonly string[]>> {
  const found = await db.selectFrom('late_day').select(['merchant_no', 'day']).orderBy('day').execute();
  const byMerchant = Map.groupBy(found, (late) => late.merchant_no);
  return new Map([...byMerchant].map(([merchantNo, late]) => [merchantNo, late.map(({ day }) => day)]));
}

/** They are checked; one that was kept again meanwhile is checked again then, which is harmless. */
export async function forgetLateDays(db: Db, late: ReadonlyMap<number, readonly string[]>): Promise<void> {
  for (const [merchantNo, days] of late)
    await db.deleteFrom('late_day').where('merchant_no', '=', merchantNo).where('day', 'in', days).execute();
}
