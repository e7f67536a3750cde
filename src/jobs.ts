import { z } from 'zod';

/**
 * A kind of job: what it is called, what it carries and under which id it stands in the queue.
 * A job carries ids, never rows or money, and may run twice: the book decides what the second run may still do.
 * The queue ignores an id that it still holds, so asking again for a job that is waiting changes nothing.
 * Ids end in the attempt, for a job is asked for anew after each failure.
 */
export type JobKind<P> = {
  readonly name: string;
  readonly payload: z.ZodType<P>;
  idOf(payload: P): string;
};

const defineJob = <P extends object>(job: JobKind<P>): JobKind<P> => job;

const id = z.int().min(1);
const attempt = z.int().min(0);

/** Reads one delivered file once, from start to end. */
export const ingestReport = defineJob({
  name: 'ingest-report',
  payload: z.strictObject({ deliveryNo: id, attempt }),
  idOf: (p) => `d${p.deliveryNo}_a${p.attempt}`,
});

/** Parses one byte range of an archived report into rows. */
export const loadChunk = defineJob({
  name: 'load-chunk',
  payload: z.strictObject({ loadNo: id, chunk: z.int().min(0), attempt }),
  idOf: (p) => `l${p.loadNo}_c${p.chunk}_a${p.attempt}`,
});

/** Makes a load whose chunks are all loaded part of the book. */
export const closeLoad = defineJob({
  name: 'close-load',
  payload: z.strictObject({ loadNo: id }),
  idOf: (p) => `l${p.loadNo}`,
});

/** Reconciles one batch or day and publishes the result as a run. */
export const reconcile = defineJob({
  name: 'reconcile',
  payload: z.strictObject({ batchNo: id, wanted: z.int().min(1), attempt }),
  idOf: (p) => `b${p.batchNo}_w${p.wanted}_a${p.attempt}`,
});

/** Reads the rows of a load again that were dropped because they are old. */
export const restoreRows = defineJob({
  name: 'restore-rows',
  payload: z.strictObject({ loadNo: id, attempt }),
  idOf: (p) => `l${p.loadNo}_a${p.attempt}`,
});

/** Reads one file of bank statements once, from start to end. */
export const readStatements = defineJob({
  name: 'read-statements',
  payload: z.strictObject({ fileNo: id, attempt }),
  idOf: (p) => `f${p.fileNo}_a${p.attempt}`,
});

/** Matches payouts with the entries of statements, up to this change. */
export const matchPayouts = defineJob({
  name: 'match-payouts',
  payload: z.strictObject({ change: id, attempt }),
  idOf: (p) => `m${p.change}_a${p.attempt}`,
});

export const JOBS: readonly JobKind<object>[] = [
  ingestReport,
  loadChunk,
  closeLoad,
  reconcile,
  restoreRows,
  readStatements,
  matchPayouts,
];

export type IngestReportJob = z.infer<typeof ingestReport.payload>;
export type LoadChunkJob = z.infer<typeof loadChunk.payload>;
export type CloseLoadJob = z.infer<typeof closeLoad.payload>;
export type ReconcileJob = z.infer<typeof reconcile.payload>;
export type RestoreRowsJob = z.infer<typeof restoreRows.payload>;
export type ReadStatementsJob = z.infer<typeof readStatements.payload>;

/** How often something is tried before it is parked, to be started again by a person. */
export const MAX_ATTEMPTS = 8;

/** A quarter of a second, then twice as long each time, up to a minute; ± 25 % so that many do not come back at once. */
export const retryDelayMs = (attempts: number, random = Math.random): number =>
  Math.min(60_000, 125 * 2 ** attempts) * (0.75 + random() / 2);

/** Puts a job on the queue. */
export type Enqueue = <P>(job: JobKind<P>, payload: P, options?: { readonly delayMs?: number }) => Promise<void>;
