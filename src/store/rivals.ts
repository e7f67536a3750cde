import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import { REPORT_REFUSALS } from '../domain/errors.ts';

/** Several contents of a report are listed together: none counts, or the one of the latest day. */
export type Rivalry = 'conflict' | 'ordered';

/**
 * Decides anew what counts of a report of which one listing shows several files; of others nothing changes. Whoever calls it holds
 * the lock of the batch. Done again, it changes nothing.
 */
export async function settleRivals(db: Db, reportNo: number): Promise<Rivalry | null> {
  const settled = await sql<{ rivalry: Rivalry | null }>`
    select settle_rivals(${reportNo}, ${REPORT_REFUSALS.conflicting_files}) as rivalry`.execute(db);
  return settled.rows[0]!.rivalry;
}
