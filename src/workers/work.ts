import type { Database } from '../adapters/postgres.ts';
import type { JobQueue } from '../adapters/queue.ts';
import { JOBS, type JobKind, MAX_ATTEMPTS, retryDelayMs } from '../jobs.ts';
import { askNext } from './close-load.ts';
import type { ParserPool } from './pool.ts';
import * as query from './work.sql.ts';

export type Log = { warn(fields: object, message: string): void; error(fields: object, message: string): void };

/**
 * Takes jobs of every kind and has parsers do them, until the queue is closed. What fails is counted in the book: it is tried
 * again a little later, and parked for a person after so many tries.
 */
export function work({
  database,
  queue,
  parsers,
  processes,
  log,
}: {
  database: Database;
  queue: JobQueue;
  parsers: ParserPool;
  processes: number;
  log: Log;
}): void {
  const run = async (job: JobKind<object>, payload: object) => {
    try {
      await parsers.run(job.name, payload);
    } catch (error) {
      const message = (error as Error).message;
      const failed = await query.recordFailure(
        database.db,
        job.name,
        payload as query.AnyPayload,
        message,
        MAX_ATTEMPTS,
        retryDelayMs,
      );
      if (failed.isGone) return;
      log[failed.isParked ? 'error' : 'warn'](
        { job: job.name, ...payload, attempts: failed.attempts, error: message },
        failed.isParked ? 'gave up after many tries: parked' : 'failed, will be tried again',
      );
      if (failed.isParked && failed.batchNo !== null)
        await askNext({ database, enqueue: queue.enqueue }, failed.batchNo);
      const again = 'attempt' in payload ? { ...payload, attempt: failed.attempts } : payload;
      if (!failed.isParked) await queue.enqueue(job, again, { delayMs: failed.delayMs });
    }
  };
  for (const job of JOBS) {
    queue.work(
      job,
      processes,
      (payload) => run(job, payload),
      (error) => log.warn({ job: job.name, error: error.message }, 'queue'),
    );
  }
}
