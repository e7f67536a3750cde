import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';

/** All that there are, in the order in which they came. Nobody else makes one until the transaction ends. */
async function lockedMerchants(db: Db) {
  await sql`select pg_advisory_xact_lock(7355611)`.execute(db);
  return db.selectFrom('merchant').select(['no', 'id', 'placeholder']).orderBy('no').execute();
}

/** Makes these merchants, where they are not known. The one that was made before any had a name takes the first of them. */
export async function nameMerchants(db: Db, ids: readonly string[]): Promise<void> {
  const known = await lockedMerchants(db);
  const placeholder = known.find((merchant) => merchant.placeholder);
  const isKnown = (id: string) => known.some((merchant) => merchant.id === id && !merchant.placeholder);
  const [first, ...others] = [...new Set(ids)].filter((id) => !isKnown(id));
  if (first === undefined) return;
  if (placeholder)
    await db.updateTable('merchant').set({ id: first, placeholder: false }).where('no', '=', placeholder.no).execute();
  // One after the other, for there may be more than a statement takes.
  for (const id of placeholder ? others : [first, ...others]) await db.insertInto('merchant').values({ id }).execute();
}

/**
 * The merchant with this id. Without an id it is the only merchant there is, one that is made for the purpose where there is none;
 * null where there are several, for then nobody knows.
 */
export async function merchantNamed(db: Db, id: string | null): Promise<number | null> {
  if (id !== null) await nameMerchants(db, [id]);
  const known = await lockedMerchants(db);
  if (id !== null) return known.find((merchant) => merchant.id === id)!.no;
  if (known.length > 0) return known.length === 1 ? known[0]!.no : null;
  const made = db.insertInto('merchant').values({ id: 'default', placeholder: true });
  return (await made.returning('no').executeTakeFirstOrThrow()).no;
}

/** Those that have a name, for people: some, where there are many. */
export async function namesOfMerchants(db: Db): Promise<string> {
  const named = (await lockedMerchants(db)).filter(({ placeholder }) => !placeholder).map(({ id }) => id);
  const shown = named.slice(0, 10).join(', ');
  return named.length > 10 ? `${shown} and ${named.length - 10} others` : shown;
}
