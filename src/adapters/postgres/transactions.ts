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
