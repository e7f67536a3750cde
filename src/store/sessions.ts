import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import { UsageError } from '../domain/errors.ts';
import type { Person } from '../domain/roles.ts';

/**
 * Whose rows are looked at, where a merchant can be chosen; undefined: everybody's. Of a merchant that may not be seen nothing is known.
 * @throws UsageError where one must be chosen.
 */
export function merchantSeen({ merchants }: Person, chosen: string | undefined): string | undefined {
  if (merchants === null) return chosen;
  if (merchants.length === 1) return merchants[0];
  if (chosen === undefined || !merchants.includes(chosen))
    throw new UsageError(`choose a merchant: ${merchants.join(', ')}.`);
  return chosen;
}

/** Of secrets only hashes are stored. A link is valid for 15 minutes. */
export const insertLogin = (db: Db, hash: string, { name, roles, merchants }: Person) =>
  sql`insert into console_login (hash, name, roles, merchants, expires_at)
      values (${hash}, ${name}, ${[...roles]}::text[], ${merchants === null ? null : [...merchants]}::text[], now() + interval '15 minutes')`.execute(
    db,
  );

/** Uses up a one-time link; null where there is none, or somebody has used it. */
export async function takeLogin(db: Db, hash: string): Promise<Person | null> {
  const taken = await sql<Person>`
    update console_login set used_at = now() where hash = ${hash} and used_at is null and expires_at > now() returning name, roles, merchants`.execute(
    db,
  );
  return taken.rows[0] ?? null;
}

/** A session lasts twelve hours. */
export const insertSession = (db: Db, hash: string, { name, roles, merchants }: Person) =>
  sql`insert into console_session (hash, name, roles, merchants, expires_at)
      values (${hash}, ${name}, ${[...roles]}::text[], ${merchants === null ? null : [...merchants]}::text[], now() + interval '12 hours')`.execute(
    db,
  );

export async function sessionOf(db: Db, hash: string): Promise<Person | null> {
  const found = await sql<Person>`
    select name, roles, merchants from console_session where hash = ${hash} and revoked_at is null and expires_at > now()`.execute(
    db,
  );
  return found.rows[0] ?? null;
}

export const revokeSession = (db: Db, hash: string) =>
  sql`update console_session set revoked_at = now() where hash = ${hash} and revoked_at is null`.execute(db);
