import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';

/** Raised with every change of the program that can change a result. */
export const RULES_VERSION = 3;

/**
 * Claims a task: names this connection after it, and ends any other connection with the same name. The process of that connection was
 * stopped or disconnected in the middle, and its COPY, which waits for it, would hold its locks forever.
 */
export async function claimTask(db: Db, task: string): Promise<void> {
  const name = `settlestream ${task}`;
  const text = sql.lit(name);
  // Under a lock, so that two claims at the same time do not end each other. What goes to the server at once is one transaction. The function
  // is what the view pg_stat_activity reads: each job asks, and planning the view takes longer than the answer.
  await sql`
    select pg_advisory_xact_lock(7355613, hashtext(${text}));
    select set_config('application_name', ${text}, false);
    select pg_terminate_backend(pid) from pg_stat_get_activity(null)
     where application_name = ${text} and pid <> pg_backend_pid() and datid = (select oid from pg_database where datname = current_database())`.execute(
    db,
  );
}

/** Ended by `claimTask` somewhere else, or tired of waiting for a lock that another holds; that is nobody's failure. When the server stops it looks the same: the sweep then asks again. */
export const wasFenced = (error: unknown): boolean =>
  error instanceof Fenced || ['57P01', '55P03'].includes((error as { code?: string }).code ?? '');

/** Another worker claimed the task. The transaction is rolled back, and the data is correct. */
export class Fenced extends Error {
  override readonly name = 'Fenced';
}
