import { openLog } from '../../adapters/log.ts';
import { DatabaseAway, isDatabaseAway } from '../../adapters/postgres/connection.ts';
import type { JobQueue } from '../../adapters/queue/queue.ts';
import type { Config } from '../../config/config.ts';
import { matchPayouts } from '../../jobs.ts';
import type { Source } from '../../producers/discovery/source.ts';
import { lookerAtAway } from '../../producers/recovery/look-at-away.ts';
import { sweep } from '../../producers/recovery/sweep.ts';
import { tryAllNow } from '../../store/away.sql.ts';
import { dueMatching } from '../../store/bank/matching.ts';
import { useBank } from '../../store/bank/settings.ts';
import { type LedgerInUse, useLedger } from '../../store/ledger/ledger.ts';
import { isMatching } from '../../views/progress/bank-progress.sql.ts';
import { isMuchToDo } from '../../views/progress/progress.sql.ts';
import { startParsers } from '../../workers/runtime/parser-pool.ts';
import { work } from '../../workers/runtime/worker.ts';
import { bankSettingsOf, statementSourcesOf } from './bank.ts';
import { startProgress } from './progress.ts';
import { enqueueNamed, migrate, openQueueOf, openStorage, type Storage } from './storage.ts';

/** A verb that works itself until what it asked for is done, beside whoever else works. */
export type WorkerSession = {
  readonly book: Storage;
  readonly queue: JobQueue;
  /** Whose records are compared. */
  readonly ledger: LedgerInUse;
  /** Begins to take jobs. */
  start(): Promise<void>;
  /** Waits while something is to be done; what the queue forgot is asked for again. Progress is told of these deliveries. */
  untilDone(isBusy: () => Promise<boolean>, deliveryNos: readonly number[]): Promise<void>;
  /** Matches payouts with the bank, where something changed; waits until that is done. */
  matchPayouts(): Promise<void>;
  /** Asks for what is forgotten and clears away what counts no more. */
  sweep(): Promise<void>;
};

/** When reports are due; null where what is there is all there is. */
export type Calendars = Parameters<ReturnType<typeof startParsers>['open']>[0]['calendars'];

const POLL_MS = 40;
const SWEEP_MS = 2_000;
const LOOK_MS = 500;
/** Where there is much to look through, so much longer is worked than looked: the workers need the same cores. */
const WORK_PER_LOOK = 10;

/** Opens the book, a queue and parsers that can read these sources, and closes them when `act` has ended. */
export async function withWorkers<T>(
  config: Config,
  sources: readonly Pick<Source, 'name' | 'at'>[],
  { mayBeTemporary, calendars }: { mayBeTemporary: boolean; calendars: Calendars },
  act: (at: WorkerSession) => Promise<T>,
): Promise<T> {
  const log = openLog(config.logLevel);
  const stopping = new AbortController();
  let queue: JobQueue | undefined;
  // Started first: they come up while the database does.
  const enqueue = (name: string, payload: unknown, delayMs: number, about: object) =>
    void enqueueNamed(queue!, name, payload as object, delayMs).catch((error: Error) =>
      log.warn({ ...about, asked: name, error: error.message }, 'could not enqueue'),
    );
  // How reports and runs ended stands in the answer.
  const parsers = startParsers(1, enqueue, undefined, (level, note, about) => {
    if (level === 'warn') log.warn(about, note);
  });
  let book: Storage | undefined;
  try {
    book = await openStorage(config, { mayBeTemporary });
    const { database } = book;
    process.stderr.write(`settlestream: ${book.description}\n`);
    await migrate(database);
    const ledger = await useLedger(database, config.ledger);
    if (config.bank) await useBank(database, bankSettingsOf(config));
    if (!ledger.isImported) process.stderr.write(`settlestream: records: ${ledger.described}\n`);
    const { chunkBytes, processes } = config;
    const places = [...sources, ...statementSourcesOf(config)];
    parsers.open({ databaseUrl: database.url, archiveDir: book.archiveDir, chunkBytes, places, calendars });
    const opened = await openQueueOf(config, book);
    queue = opened;
    const sweepNow = () => sweep({ database, enqueue: opened.enqueue, held: opened.held });
    await tryAllNow(database.db);
    const look = lookerAtAway({ database, enqueue: opened.enqueue, archiveDir: book.archiveDir });
    const { db } = database;
    const wait = (isBusy: () => Promise<boolean>, deliveryNos: readonly number[]) =>
      untilDone(book!, { sweepNow, look }, isBusy, deliveryNos);
    return await act({
      book,
      queue,
      ledger,
      start: async () => {
        // To start a process takes longer than a few small reports do.
        if (await isMuchToDo(database.db)) parsers.growTo(processes);
        work({ database, queue: opened, parsers, processes, archiveDir: book!.archiveDir, log, stop: stopping.signal });
      },
      untilDone: wait,
      async matchPayouts() {
        const due = await dueMatching(db);
        if (due) await opened.enqueue(matchPayouts, due);
        await wait(() => isMatching(db), []);
      },
      sweep: sweepNow,
    });
  } catch (error) {
    // Whoever called waits for an answer, and not for a server: the same call goes on later where this one ended.
    throw book && isDatabaseAway(error)
      ? new DatabaseAway(`${(error as Error).message}: run this again when it is available.`, { cause: error })
      : error;
  } finally {
    stopping.abort();
    await queue?.close(5_000).catch(() => {});
    parsers.close();
    await book?.close();
  }
}

async function untilDone(
  { database }: Storage,
  { sweepNow, look }: { sweepNow: () => Promise<void>; look: () => Promise<void> },
  isBusy: () => Promise<boolean>,
  deliveryNos: readonly number[],
): Promise<void> {
  const progress = startProgress();
  const sweepSometimes = every(SWEEP_MS, sweepNow);
  const lookSometimes = every(LOOK_MS, look);
  try {
    for (let startedAtMs = Date.now(); await isBusy(); startedAtMs = Date.now()) {
      await progress.show(database.db, deliveryNos);
      const tookMs = Date.now() - startedAtMs;
      await sweepSometimes();
      await lookSometimes();
      await new Promise((wake) => setTimeout(wake, Math.max(POLL_MS, WORK_PER_LOOK * tookMs)));
    }
  } finally {
    progress.stop();
  }
}

/** Does it when so much time has passed since it was done last, or more if it takes long. */
function every(ms: number, act: () => Promise<void>): () => Promise<void> {
  let dueAtMs = Date.now() + ms;
  return async () => {
    const startedAtMs = Date.now();
    if (startedAtMs < dueAtMs) return;
    await act();
    const endedAtMs = Date.now();
    dueAtMs = endedAtMs + Math.max(ms, WORK_PER_LOOK * (endedAtMs - startedAtMs));
  };
}
