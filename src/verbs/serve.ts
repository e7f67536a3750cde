import type { ListedFile } from '../adapters/folder.ts';
import { openLog } from '../adapters/log.ts';
import type { JobQueue } from '../adapters/queue.ts';
import type { Config } from '../config.ts';
import { findReports, type Source } from '../producers/find-reports.ts';
import { sweep } from '../producers/sweep.ts';
import { type ParserPool, startParsers } from '../workers/pool.ts';
import { work } from '../workers/work.ts';
import { type Book, enqueueNamed, migrate, openBook, openQueueOf } from './book.ts';

type Log = ReturnType<typeof openLog>;

/** How long jobs under way may take to end after SIGTERM; what is not done by then, another worker does again. */
const GRACE_MS = 25_000;

/** The standing service: finds reports, works on them, or both, until SIGTERM or SIGINT, which drain. */
export async function serve(config: Config, role: 'run' | 'produce' | 'work'): Promise<number> {
  const log = openLog();
  const stopping = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'draining');
      stopping.abort();
    });
  }
  let queue: JobQueue | undefined;
  let book: Book | undefined;
  let parsers: ParserPool | undefined;
  try {
    if (role !== 'produce') {
      parsers = startParsers(config.processes, (name, payload, delayMs) => {
        enqueueNamed(queue!, name, payload as object, delayMs).catch((error: Error) =>
          log.warn({ job: name, error: error.message }, 'could not enqueue'),
        );
      });
    }
    book = await openBook(config, { mayBeTemporary: false });
    log.info({}, book.description);
    await migrate(book.database);
    queue = await openQueueOf(config, book);
    if (parsers) {
      parsers.open({ databaseUrl: book.database.url, archiveDir: book.archiveDir, chunkBytes: config.chunkBytes });
      work({ database: book.database, queue, parsers, processes: config.processes, log });
    }
    if (role === 'work')
      await new Promise((resolve) => stopping.signal.addEventListener('abort', resolve, { once: true }));
    else await produce(config, book, queue, log, stopping.signal);
    await queue.close(GRACE_MS);
    log.info({}, 'stopped');
    return 0;
  } finally {
    await queue?.close(0).catch(() => {});
    parsers?.close();
    await book?.close();
  }
}

/** Looks for reports and asks again for what was forgotten, until told to stop. One bad round does not end the service. */
async function produce(
  config: Config,
  { database }: Book,
  queue: JobQueue,
  log: Log,
  stop: AbortSignal,
): Promise<void> {
  const settled = settledTwice();
  const attempt = async (what: string, step: () => Promise<void>) =>
    step().catch((error: Error) => log.error({ error: error.message }, `${what} failed, the next round tries again`));
  while (!stop.aborted) {
    const { folder } = config;
    if (folder) {
      await attempt('looking for reports', async () => {
        const found = await findReports({ database, enqueue: queue.enqueue }, sourceOf(config, folder), settled);
        for (const file of found.growing) log.debug({ file: file.file }, 'still growing');
      });
    }
    await attempt('the sweep', () => sweep({ database, enqueue: queue.enqueue }));
    await pause(config.pollSeconds * 1_000, stop);
  }
}

/** A file is settled when its end is there, or when two listings show it the same. */
function settledTwice() {
  const seen = new Map<string, string>();
  return (file: ListedFile, isWhole: boolean): boolean => {
    const looks = `${file.sizeBytes} ${file.modifiedAtMicros}`;
    const isSame = seen.get(file.path) === looks;
    if (isWhole || isSame) seen.delete(file.path);
    else seen.set(file.path, looks);
    return isWhole || isSame;
  };
}

/** A folder, and how its reports are read. */
export const sourceOf = (config: Config, folder: string): Source => ({
  name: 'files',
  folder,
  merchantId: config.merchant ?? null,
  format: config.format,
  amountUnit: config.amountUnit,
  toleranceMinor: config.tolerance,
  timeZone: config.timeZone,
});

const pause = (ms: number, stop: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    stop.addEventListener('abort', done, { once: true });
    function done() {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    }
  });
