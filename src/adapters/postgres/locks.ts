import { sql } from 'kysely';
import type { Db } from './connection.ts';

/** Until the end of this transaction nobody else publishes for this merchant, or drops rows that whoever publishes reads. */
export const lockMerchant = (db: Db, merchantNo: number) =>
  sql`select pg_advisory_xact_lock(7355609, ${merchantNo})`.execute(db);

/** The same of all these, if nobody has one of them now. */
export async function tryLockMerchants(db: Db, merchantNos: readonly number[]): Promise<boolean> {
  const { rows } = await sql<{ isLocked: boolean }>`
    select coalesce(bool_and(pg_try_advisory_xact_lock(7355609, no)), true) as "isLocked" from unnest(${merchantNos}::int[]) no`.execute(
    db,
  );
  return rows[0]!.isLocked;
}
