import { archiveTrouble } from '../../adapters/archive.ts';
import type { RecordMetric } from '../../adapters/metrics/definitions.ts';
import { type Database, pingDatabase } from '../../adapters/postgres/connection.ts';
import type { JobQueue } from '../../adapters/queue/queue.ts';
import {
  ingestReport,
  JOBS,
  type JobKind,
  MAX_ATTEMPTS,
  matchPayouts,
  readStatements,
  retryDelayMs,
} from '../../jobs.ts';
import { recordAway } from '../../store/away.sql.ts';
import type { LogContext } from '../context.ts';
import { enqueueNext } from '../load/close-load.ts';
import { type Away, JobFailed } from './failure.ts';
import * as query from './failures.sql.ts';
import { type Gate, openGate } from './gate.ts';
import { logContextOf } from './log-context.sql.ts';
import type { ParserPool } from './parser-pool.ts';

export type Log = Readonly<Record<'debug' | 'warn' | 'error', (fields: object, message: string) => void>>;

/** Each fetch may hold a connection to a provider's server, which does not like many. */
const MOST_FETCHES = 4;

/** What the worker works with. */
export type WorkerContext = {
  readonly database: Database;
  readonly queue: JobQueue;
  readonly parsers: ParserPool;
  readonly processes: number;
  readonly archiveDir: string;
  readonly log: Log;
  /** What waits for a database that is away is left then. */
  readonly stop: AbortSignal;
  readonly recordMetric: RecordMetric;
};

/**
 * Takes jobs of every kind and has parsers do them, until the queue is closed. What fails is counted in the book: it is tried
 * again a little later, and parked for a person after so many tries.
 */
export function work(given: Omit<WorkerContext, 'recordMetric'> & { recordMetric?: RecordMetric }): void {
  const context = { recordMetric: () => {}, ...given };
  const { database, queue, processes, log, stop, recordMetric } = context;
  const gate = openGate({
    ping: () => pingDatabase(database.url),
    stop,
    tellAway: ({ message }) => log.warn({ error: message }, 'the database is unavailable: jobs wait until it answers'),
    tellBack: (seconds) => log.warn({ seconds }, 'the database answers again'),
  });
  for (const job of JOBS) {
    queue.work(
      job,
      concurrencyOf(job, processes),
      (payload, waitedMs) => runTaken(context, gate, { job, payload, waitedMs }),
      (error) => log.warn({ job: job.name, error: error.message }, 'queue'),
      () => recordMetric({ name: 'recon_jobs_stalled_total', labels: {}, value: 1 }),
    );
  }
}

/** Payouts are matched by one at a time. */
function concurrencyOf({ name }: { readonly name: string }, processes: number): number {
  if (name === matchPayouts.name) return 1;
  return name === ingestReport.name || name === readStatements.name ? Math.min(processes, MOST_FETCHES) : processes;
}

/** A job as the queue hands it out. */
type Taken = { readonly job: JobKind<object>; readonly payload: object; readonly waitedMs: number | null };

/** Does a job as soon as the database answers, and once more where it went away in the middle. */
async function runTaken(context: WorkerContext, gate: Gate, { job, payload, waitedMs }: Taken): Promise<void> {
  const { log, recordMetric } = context;
  if (waitedMs !== null)
    recordMetric({ name: 'recon_job_wait_seconds', labels: { job: job.name }, value: waitedMs / 1_000 });
  const startedAt = performance.now();
  // What the job is about comes into it as soon as that is known.
  const logContext: LogContext & { job: string } = { job: job.name, ...payload };
  const observeDuration = (outcome: 'done' | 'failed') => {
    const seconds = (performance.now() - startedAt) / 1_000;
    recordMetric({ name: 'recon_job_duration_seconds', labels: { job: job.name, outcome }, value: seconds });
    if (outcome === 'done') log.debug({ ...logContext, seconds }, 'done');
  };
  const runOnce = async () => {
    try {
      await context.parsers.run(job.name, payload, logContext);
      observeDuration('done');
    } catch (error) {
      observeDuration('failed');
      const away = error instanceof JobFailed ? error.away : null;
      if (away?.what === 'database') throw error;
      const reason = (error as Error).message;
      if (away) await leave(context, away, logContext, reason);
      else await retryLater(context, { job, payload, logContext, reason });
    }
  };
  // What cannot be done by the end the queue forgets; the book does not, and the sweep asks again.
  await gate.pass(runOnce).catch((lost: Error) => {
    log.warn({ ...logContext, error: lost.message }, 'failed, and the failure could not be recorded');
    throw lost;
  });
}

/** What it needs is away, which is no fault of its: it is asked for when that is back. */
async function leave(
  { database, archiveDir, log }: WorkerContext,
  away: Exclude<Away, { what: 'database' }>,
  logContext: LogContext,
  reason: string,
): Promise<void> {
  const what = away.what === 'archive' ? away.what : (`source ${logContext.source!}` as const);
  const found =
    away.what === 'archive'
      ? { needsBytes: away.needsBytes, isSeen: (await archiveTrouble(archiveDir, away.needsBytes)) !== null }
      : { isLogin: away.isLogin };
  const isNew = await recordAway(database.db, what, { reason, ...found });
  if (isNew) log.warn({ ...logContext, what, error: reason }, 'unavailable: jobs that need it wait and are retried');
}

/** Counts the failed try in the book, and asks for the job once more, unless it was the last one. */
async function retryLater(
  { database, queue, log, recordMetric }: WorkerContext,
  { job, payload, logContext, reason }: Omit<Taken, 'waitedMs'> & { logContext: object; reason: string },
): Promise<void> {
  // A parser that was killed at the very beginning did not come to say it.
  if (!('source' in logContext))
    Object.assign(logContext, (await logContextOf(database.db, payload as query.AnyPayload)).logContext);
  const failed = await query.recordFailure(
    database.db,
    job.name,
    payload as query.AnyPayload,
    reason,
    MAX_ATTEMPTS,
    retryDelayMs,
  );
  if (failed.isGone) return;
  log[failed.isParked ? 'error' : 'warn'](
    { ...logContext, attempts: failed.attempts, error: reason },
    failed.isParked ? 'gave up after many tries: parked' : 'failed, will be tried again',
  );
  if (failed.isParked && failed.batchNo !== null)
    await enqueueNext({ database, enqueue: queue.enqueue }, failed.batchNo);
  const again = 'attempt' in payload ? { ...payload, attempt: failed.attempts } : payload;
  if (failed.isParked) return;
  recordMetric({ name: 'recon_job_retries_total', labels: { job: job.name }, value: 1 });
  await queue.enqueue(job, again, { delayMs: failed.delayMs });
}
