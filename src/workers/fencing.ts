import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import { inTransaction } from '../adapters/postgres/transactions.ts';

/** Grows with every change that can change a result. */
export const RULES_VERSION = 3;

/**
 * Names this connection after its task, and ends any other connection that holds the same name: its process was stopped or
 * cut off in the middle, another took the task over, and a COPY that waits for a stopped process would hold its locks for ever.
 */
export async function claimTask(db: Db, task: string): Promise<void> {
  const name = `settlestream ${task}`;
  // One after the other, so that two that come together do not end each other.
  await inTransaction(db, async () => {
    await sql`select pg_advisory_xact_lock(7355613, hashtext(${name}))`.execute(db);
    await sql`select set_config('application_name', ${name}, false)`.execute(db);
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = ${name} and pid <> pg_backend_pid() and datname = current_database()`.execute(db);
  });
}

/** Ended by `claimTask` somewhere else, or tired of waiting for a lock that another holds; that is nobody's failure. When the server stops it looks the same: the sweep then asks again. */
export const wasFenced = (error: unknown): boolean =>
  error instanceof Fenced || ['57P01', '55P03'].includes((error as { code?: string }).code ?? '');

/** The step is no longer ours: another worker took over. What it did is rolled back, and nothing is wrong. */
export class Fenced extends Error {
  override readonly name = 'Fenced';
}
