import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';

/** The matching that is due: the last change that it has to see, and how often it failed. Null: nothing is due. */
export async function dueMatching(db: Db): Promise<{ readonly change: number; readonly attempt: number } | null> {
  const found = await sql<{ change: number | null; attempt: number }>`
    select (select max(no) from bank_change)::int as change, attempts as attempt from bank_matching
     where parked_reason is null and coalesce(next_attempt_at, now()) <= now()`.execute(db);
  const { change = null, attempt = 0 } = found.rows[0] ?? {};
  return change === null ? null : { change, attempt };
}

/** Files of statements that are not read yet and can be tried now. */
export async function unreadFiles(db: Db): Promise<{ readonly fileNo: number; readonly attempt: number }[]> {
  return db
    .selectFrom('bank_file')
    .select(['no as fileNo', 'attempts as attempt'])
    .where('state', '=', 'found')
    .where('parked_reason', 'is', null)
    .where(sql<boolean>`coalesce(next_attempt_at, now()) <= now()`)
    .where(
      sql<boolean>`not exists (select from away a where a.next_try_at > now() and a.what in ('archive', 'source ' || bank_file.source))`,
    )
    .orderBy('no')
    .limit(10_000)
    .execute();
}
