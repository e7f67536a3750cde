import { sql } from 'kysely';
import type { Db } from './connection.ts';

/** Until the end of this transaction nobody else publishes for this merchant, or drops rows that whoever publishes reads. */
export const lockMerchant = (db: Db, merchantNo: number) =>
  sql`select pg_advisory_xact_lock(7355609, ${merchantNo})`.execute(db);
