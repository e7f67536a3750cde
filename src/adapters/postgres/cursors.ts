import { CompiledQuery, type RawBuilder, sql } from 'kysely';
import { type Database, type Db, dbOn } from './connection.ts';

/** Rows of a statement a few thousand at a time, so that any number of them fits into memory. Inside a transaction only. */
export async function* fetchBatches<R>(db: Db, statement: RawBuilder<unknown>, size = 5_000): AsyncGenerator<R[]> {
  await sql`declare portion no scroll cursor for ${statement}`.execute(db);
  for (;;) {
    const { rows } = await db.executeQuery<R>(CompiledQuery.raw(`fetch ${size} from portion`));
    if (rows.length > 0) yield rows;
    if (rows.length < size) break;
  }
  await sql`close portion`.execute(db);
}

/**
 * Rows of a statement some at a time, for a reader who takes as long as it likes: the result is kept by the server, outside of any
 * transaction, so that no timeout ends it and nothing else waits. The connection is held until the last row is out, or the reader has left.
 */
export async function* streamHeld<R>(
  { pool }: Pick<Database, 'pool'>,
  statement: RawBuilder<unknown>,
  size = 500,
): AsyncGenerator<R[]> {
  const client = await pool.connect();
  const db = dbOn(client);
  try {
    await sql`declare portion no scroll cursor with hold for ${statement}`.execute(db);
    for (;;) {
      const { rows } = await db.executeQuery<R>(CompiledQuery.raw(`fetch ${size} from portion`));
      if (rows.length > 0) yield rows;
      if (rows.length < size) break;
    }
  } finally {
    // What the server keeps goes with the connection.
    client.release(true);
  }
}
