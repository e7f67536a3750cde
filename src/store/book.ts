import type { Db } from '../adapters/postgres/connection.ts';

/** What tells this database from others that use the same Redis. */
export async function bookIdOf(db: Db): Promise<string> {
  return (await db.selectFrom('book').select('id').executeTakeFirstOrThrow()).id;
}
