import type { RecordMetric } from '../../adapters/metrics/definitions.ts';
import { type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { type Enqueue, matchPayouts, type ReconcileJob, reconcile as reconcileJob } from '../../jobs.ts';
import { dueMatching } from '../../store/bank/matching.ts';
import { claimBatch } from '../../store/batches.ts';
import type { LogEvent, Schedule } from '../context.ts';
import { claimTask } from '../fencing.ts';
import { RowsNeeded, requestRows } from '../retention/dropped-rows.ts';
import { decide } from './decide.ts';
import type { Decision, PublishResult } from './decision.ts';
import { countRefused } from './match/candidates.sql.ts';
import { countAmounts, countRowOutcomes } from './publish/outcomes.ts';
import * as publish from './publish/publish.sql.ts';
import { publishRun } from './publish/publish.ts';
import { stopwatch, type Timed } from './stopwatch.ts';
import { makeWorkTables } from './work-tables.sql.ts';

/** Batches that are published together are matched with the bank together. */
const MATCH_DELAY_MS = 1_000;

export type ReconcileContext = Schedule & {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly recordMetric: RecordMetric;
  readonly logEvent: LogEvent;
};

/**
 * Reconciles a batch or day: reads one snapshot of its rows and of the merchant's records, decides, and publishes the result
 * as a run in one transaction. Run twice, or twice at once, it publishes once: the epoch decides.
 */
export async function reconcile(
  { database, enqueue, recordMetric, logEvent, ...schedule }: ReconcileContext,
  { batchNo }: ReconcileJob,
): Promise<void> {
  const timed = stopwatch(recordMetric);
  const asked = await onOneConnection(database, async (db) => {
    await claimTask(db, `reconcile ${batchNo}`);
    const taken = await claimBatch(db, batchNo);
    if (!taken) return [batchNo];
    await makeWorkTables(db);
    const ended = await decideAndPublish(db, { batchNo, epoch: taken.epoch }, timed, schedule).catch((error) => {
      if (error instanceof RowsNeeded) return error;
      throw error;
    });
    if (ended instanceof RowsNeeded) {
      await requestRows(db, enqueue, batchNo, ended);
      return [];
    }
    const { decision, published, refused } = ended;
    if (refused > 0)
      logEvent('warn', 'rows whose records cannot be used: settlestream doctor says why', { rows: refused });
    if (published.run) logEvent('info', 'run published', published.run);
    // A call of `reconcile` has no metrics to count, and should not take longer for them.
    if (published.changed && schedule.calendars) {
      await countRowOutcomes(db, batchNo, recordMetric);
      await countAmounts(db, decision, recordMetric);
    }
    if (published.isReplay) recordMetric({ name: 'recon_replays_total', labels: {}, value: 1 });
    return published.asked;
  });
  for (const wanted of await publish.wantedOf(database.db, asked)) await enqueue(reconcileJob, wanted);
  // A call matches once, when all is reconciled.
  const due = schedule.calendars === null ? null : await dueMatching(database.db);
  if (due) await enqueue(matchPayouts, due, { delayMs: MATCH_DELAY_MS });
}

async function decideAndPublish(
  db: Db,
  { batchNo, epoch }: { batchNo: number; epoch: number },
  timed: Timed,
  schedule: Schedule,
): Promise<{ readonly decision: Decision; readonly published: PublishResult; readonly refused: number }> {
  const decision = await inTransaction(db, () => decide(db, batchNo, timed, schedule), 'repeatable read');
  const refused = await countRefused(db);
  const published = await timed('publish', () => inTransaction(db, () => publishRun(db, decision, epoch, schedule)));
  return { decision, published, refused };
}

/**
 * Decides and publishes a batch inside the caller's transaction, which a dry run rolls back. Returns the batches to enqueue again.
 * No other run of this merchant may be published meanwhile.
 */
export async function reconcileInside(db: Db, batchNo: number, schedule: Schedule): Promise<readonly number[]> {
  const taken = await claimBatch(db, batchNo);
  if (!taken) return [];
  await makeWorkTables(db);
  const decision = await decide(db, batchNo, (_, step) => step(), schedule);
  return (await publishRun(db, decision, taken.epoch, schedule)).asked;
}
