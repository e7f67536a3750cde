import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';

/** Held by the connection of a dry run, with its number, for as long as it lasts. */
export const DRY_RUN_LOCK = 7_355_615;

export const lockDryRun = (db: Db, interventionNo: number) =>
  sql`select pg_advisory_lock(${DRY_RUN_LOCK}, ${interventionNo})`.execute(db);

export const unlockDryRun = (db: Db, interventionNo: number) =>
  sql`select pg_advisory_unlock(${DRY_RUN_LOCK}, ${interventionNo})`.execute(db);

/** What a dry run wrote into the archive: texts of workbooks, and copies of what was not there. Nobody else points at them. */
export async function ownTexts(db: Db, deliveryNos: readonly number[]): Promise<string[]> {
  const found = await sql<{ path: string }>`
    select p.path from load l join delivery d on d.no = l.delivery_no cross join lateral (values (l.archive_path), (l.original_path)) p(path)
     where d.no = ${anyOf(deliveryNos)} and p.path is not null and p.path is distinct from d.archived`.execute(db);
  return found.rows.map(({ path }) => path);
}
