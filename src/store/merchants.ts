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
  const { rows: known } = await sql<{
    no: number;
    id: string;
    placeholder: boolean;
  }>`select no, id, placeholder from merchant order by no`.execute(db);
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
    await sql`update merchant set id = ${id}, placeholder = false where no = ${placeholder.no}`.execute(db);
    return placeholder.no;
  }
  const made = await sql<{ no: number }>`
    insert into merchant (id, placeholder) values (${id ?? 'default'}, ${id === null}) returning no`.execute(db);
  return made.rows[0]!.no;
}
