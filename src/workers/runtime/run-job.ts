import { archiveError } from '../../adapters/archive.ts';
import { pingDatabase } from '../../adapters/postgres/connection.ts';
import * as jobs from '../../jobs.ts';
import { clearAway, mayTry, type What } from '../../store/away.sql.ts';
import { matchPayouts } from '../bank/match-payouts.ts';
import { readStatements } from '../bank/read-statements.ts';
import type { JobContext, LogContext } from '../context.ts';
import { wasFenced } from '../fencing.ts';
import { ingestReport } from '../ingest/ingest-report.ts';
import { closeLoad } from '../load/close-load.ts';
import { loadChunk } from '../load/load-chunk.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import { restoreRows } from '../retention/restore-rows.ts';
import type { AnyPayload } from './failures.sql.ts';
import { type Beside, logContextOf } from './log-context.sql.ts';

/** Runs one job. That another worker took it over is no failure, and what it needs may be away: then it is left for later. */
export async function runJob(context: JobContext, name: string, payload: unknown): Promise<void> {
  const { db } = context.database;
  try {
    const { logContext, beside } = await logContextOf(db, payload as AnyPayload);
    context.logContext(logContext);
    const needs = beside.isAnythingAway ? needsOf(name, logContext, beside) : [];
    if (needs.length > 0 && !(await mayTry(db, needs))) return;
    const isUsed = await runNamed(context, name, payload);
    if (!isUsed) return;
    for (const what of needs) {
      const seconds = await clearAway(db, what);
      if (seconds !== null) context.logEvent('warn', 'available again', { what, seconds });
    }
  } catch (thrown) {
    const error = await archiveError(context.archiveDir, thrown);
    if (!wasFenced(error)) throw error;
    // A server that stops ends connections in the same way: then nobody has taken it over.
    await pingDatabase(context.database.url);
    context.recordMetric({ name: 'recon_fenced_writes_total', labels: {}, value: 1 });
  }
}

/** What a job cannot be done without, beside the database. */
function needsOf(name: string, { source }: LogContext, { isArchived }: Beside): What[] {
  if (name === jobs.ingestReport.name || name === jobs.readStatements.name)
    return ['archive', ...(source === undefined || isArchived ? [] : [`source ${source}` as const])];
  return name === jobs.loadChunk.name || name === jobs.restoreRows.name ? ['archive'] : [];
}

/** Whether it was done to its end with what it needs. */
async function runNamed(context: JobContext, name: string, payload: unknown): Promise<boolean> {
  if (name === jobs.ingestReport.name) return ingestReport(context, jobs.ingestReport.payload.parse(payload));
  if (name === jobs.readStatements.name) return readStatements(context, jobs.readStatements.payload.parse(payload));
  if (name === jobs.loadChunk.name) await loadChunk(context, jobs.loadChunk.payload.parse(payload));
  else if (name === jobs.closeLoad.name) await closeLoad(context, jobs.closeLoad.payload.parse(payload));
  else if (name === jobs.reconcile.name) await reconcile(context, jobs.reconcile.payload.parse(payload));
  else if (name === jobs.restoreRows.name) await restoreRows(context, jobs.restoreRows.payload.parse(payload));
  else if (name === jobs.matchPayouts.name) await matchPayouts(context);
  else throw new Error(`there is no job ${name}`);
  return true;
}
