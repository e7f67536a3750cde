import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { partOf, type ReadLoad, rowsOf } from '../../../store/loads.ts';
import { fill } from '../work-tables.sql.ts';

/** Leaves the keys that stand in several rows of the batch in a table of their own. Returns how many there are. */
export async function findRepeatedKeys(db: Db, loads: readonly ReadLoad[], isLarge: boolean): Promise<number> {
  // Sorting whole numbers takes half the time of hashing them.
  await sql`set local enable_hashagg = off`.execute(db);
  const keys = sql`select key_hash from ${rowsOf(loads)} d where key_hash is not null group by key_hash having count(*) > 1`;
  const found = await fill(db, 'repeated_key', keys, isLarge);
  await sql`set local enable_hashagg = on`.execute(db);
  return found;
}

/** Rows of those keys, key by key, each key's in the order of the parts. */
export const repeatedRows = (loads: readonly ReadLoad[]): RawBuilder<unknown> => sql`
  select d.*, (extract(epoch from d.paid_at) * 1000000)::bigint as paid_at_micros
    from ${rowsOf(loads)} d where d.key_hash in (select key_hash from repeated_key)
   order by d.key_hash, ${partOf(loads, 'd.load_no')}, d.line`;
