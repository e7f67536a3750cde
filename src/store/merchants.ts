import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import { UsageError } from '../domain/errors.ts';

/**
 * The merchant with this id. Without an id it is the only merchant there is: one that is made for the purpose and takes the
 * name of the first merchant that is named.
 * @throws UsageError when no id is given and there are several merchants.
 */
export async function merchantNamed(db: Db, id: string | null): Promise<number> {
  await sql`select pg_advisory_xact_lock(7355611)`.execute(db);
  const known = await db.selectFrom('merchant').select(['no', 'id', 'placeholder']).orderBy('no').execute();
  const found =
    id === null ? (known.length === 1 ? known[0] : undefined) : known.find((merchant) => merchant.id === id);
  if (found) return found.no;
  if (id === null && known.length > 1) {
    throw new UsageError(
      'there are several merchants, and nothing says which one this belongs to: name it with --merchant ID.',
    );
  }
  const placeholder = known.find((merchant) => merchant.placeholder);
  if (id !== null && placeholder) {
    await db.updateTable('merchant').set({ id, placeholder: false }).where('no', '=', placeholder.no).execute();
    return placeholder.no;
  }
  const made = db.insertInto('merchant').values({ id: id ?? 'default', placeholder: id === null });
  return (await made.returning('no').executeTakeFirstOrThrow()).no;
}
