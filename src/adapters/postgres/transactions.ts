import { CompiledQuery, sql } from 'kysely';
import type { Database, Db } from './connection.ts';

/** `work` on this connection; what it waits for there is given up when `stop` says so. */
export async function untilStopped<T>(
  { db: another }: Pick<Database, 'db'>,
  db: Db,
  stop: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (!stop) return work();
  stop.throwIfAborted();
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db);
  const cancel = () => void sql`select pg_cancel_backend(${rows[0]!.pid}::int)`.execute(another).catch(() => {});
  stop.addEventListener('abort', cancel, { once: true });
  return work().finally(() => stop.removeEventListener('abort', cancel));
}

/**
 * Plans the statements of `work` without nested loops, inside a transaction. A load that was just read is in no statistics, so that the planner
 * takes its rows for one and compares each row with each: 4 s for a report of 6,000 rows, and four times as much for twice as many.
 */
export async function withoutNestedLoops<T>(db: Db, work: () => Promise<T>): Promise<T> {
  await sql`set local enable_nestloop = off`.execute(db);
  const result = await work();
  await sql`set local enable_nestloop = on`.execute(db);
  return result;
}

/** `work` in one transaction of this connection: committed when it returns, rolled back when it throws. */
export async function inTransaction<T>(
  db: Db,
  work: () => Promise<T>,
  isolation: 'read committed' | 'repeatable read' = 'read committed',
): Promise<T> {
  await db.executeQuery(CompiledQuery.raw(`begin isolation level ${isolation}`));
  try {
    const result = await work();
    await db.executeQuery(CompiledQuery.raw('commit'));
    return result;
  } catch (error) {
    await db.executeQuery(CompiledQuery.raw('rollback')).catch(() => {});
    throw error;
  }
}
