import { type HttpServer, openHttp } from '../adapters/http.ts';
import { type Logger, openLog } from '../adapters/log.ts';
import type { RecordMetric } from '../adapters/metrics/definitions.ts';
import { type Metrics, openMetrics } from '../adapters/metrics/registry.ts';
import { onOneConnection } from '../adapters/postgres/connection.ts';
import { untilStopped } from '../adapters/postgres/transactions.ts';
import type { JobQueue } from '../adapters/queue/queue.ts';
import type { Config, Options } from '../config/config.ts';
import { JOBS } from '../jobs.ts';
import type { Source } from '../producers/discovery/source.ts';
import { produce } from '../producers/producer.ts';
import { useBank } from '../store/bank/settings.ts';
import { useLedger } from '../store/ledger/ledger.ts';
import { startWatch, type Watch } from '../views/gauges/gauges.ts';
import { refusedRecords, refusedText } from '../views/ledger/refused-records.ts';
import { type ParserPool, startParsers } from '../workers/runtime/parser-pool.ts';
import { work } from '../workers/runtime/worker.ts';
import type { ServedConsole } from './console.ts';
import { bankSettingsOf, statementSourcesOf } from './session/bank.ts';
import { recordSettings } from './session/settings.ts';
import { sourcesOf } from './session/sources.ts';
import { enqueueNamed, migrate, openQueueOf, openStorage, type Storage } from './session/storage.ts';

/** A table so large that looking through it takes longer is looked at by the doctor. */
const REFUSED_LIMIT_MS = 60_000;

/** The standing service: finds reports, works on them, or both, until it is told to stop, and then drains. */
export async function serve(
  config: Config,
  role: 'run' | 'produce' | 'work',
  stop: AbortSignal,
  sources: readonly Source[] = sourcesOf(config),
  options: Options = {},
): Promise<number> {
  const log = openLog(config.logLevel);
  void aborted(stop).then(() => log.info({ signal: (stop.reason as { signal?: string }).signal }, 'draining'));
  const metrics = openMetrics({ source: sources.map(({ name }) => name), job: JOBS.map(({ name }) => name) });
  metrics.recordMetric({ name: 'recon_process_info', labels: { role }, value: 1 });
  const up: Up = {};
  const pages = {
    metrics: async () => ({ contentType: metrics.contentType, text: await metrics.text() }),
    ready: async () => (stop.aborted ? ['draining'] : ((await up.watch?.problems()) ?? ['starting'])),
    notes: async () => (await up.watch?.notes()) ?? [],
  };
  let hasStarted = false;
  try {
    stop.throwIfAborted();
    up.http = await openHttp({ ...config.http, log }, pages);
    log.info({ url: up.http.url }, 'pages: /metrics /healthz /readyz');
    const { book, queue } = await unlessStopped(stop, openService(config, role, sources, { log, metrics, stop }, up));
    hasStarted = true;
    if (role === 'run' && config.console.isSaid) await serveConsoleToo(config, options, book, log, up);
    if (role === 'work') await aborted(stop);
    else {
      const { recordMetric } = metrics;
      const asking = { database: book.database, enqueue: queue.enqueue, held: queue.held, isForGood: true };
      const statementSources = statementSourcesOf(config);
      const settings = { sources, statementSources, retention: config.retention, archiveDir: book.archiveDir };
      await produce({ ...asking, ...settings, log, recordMetric }, stop);
    }
    await queue.close(config.drainSeconds * 1_000);
    log.info({}, 'stopped');
    return 0;
  } catch (error) {
    // Nothing is under way yet, and a migration in the middle is rolled back.
    if (hasStarted || !stop.aborted) throw error;
    log.info({}, 'stopped before it had started');
    return 0;
  } finally {
    await closeService(up, () => hasStarted || !stop.aborted);
  }
}

/** What a service has opened so far. */
type Up = {
  http?: HttpServer;
  watch?: Watch;
  queue?: JobQueue;
  book?: Storage;
  parsers?: ParserPool;
  console?: ServedConsole;
};

/** Whoever is still at something in the database is waited for, unless the service is told to stop while it starts. */
async function closeService(up: Up, isWaitedFor: () => boolean): Promise<void> {
  const { watch, queue, parsers, book, http } = up;
  watch?.stop();
  await up.console?.close();
  await queue?.close(0).catch(() => {});
  parsers?.close();
  const closed = book?.close();
  if (isWaitedFor()) await closed;
  else closed?.catch(() => {});
  await http?.close();
}

/** Opens what the service needs, one after the other, and sets the parsers to work. Where it is told to stop it goes no further. */
async function openService(
  config: Config,
  role: 'run' | 'produce' | 'work',
  sources: readonly Source[],
  { log, metrics, stop }: { log: Logger; metrics: Metrics; stop: AbortSignal },
  up: Up,
): Promise<{ book: Storage; queue: JobQueue }> {
  const parsers = role === 'produce' ? undefined : startParsersOf(config, up, log, metrics.recordMetric);
  const book = await openStorage(config, { mayBeTemporary: false });
  up.book = book;
  stop.throwIfAborted();
  log.info({}, book.description);
  await migrate(book.database);
  stop.throwIfAborted();
  await recordSettings(book.database.db, config, role);
  stop.throwIfAborted();
  // Who only works takes the records from where the producer found them.
  const ledger = await useLedger(book.database, role === 'work' ? undefined : config.ledger);
  stop.throwIfAborted();
  if (role !== 'work' && config.bank) await useBank(book.database, bankSettingsOf(config));
  log.info({}, `records: ${ledger.described}`);
  if (role !== 'work' && !ledger.isImported) void logRefusedRecords(book, log, stop);
  const { database, archiveDir } = book;
  const queue = await openQueueOf(config, book);
  up.queue = queue;
  stop.throwIfAborted();
  up.watch = startWatch({
    databaseUrl: database.url,
    queueServer: queue.server,
    queueState: () => queue.state(JOBS),
    redis: queue.redis,
    sources: sources.map(({ name }) => name),
    keepDays: Object.fromEntries(sources.map(({ name, keepDays }) => [name, keepDays])),
    metrics,
    log,
  });
  if (parsers) {
    const { processes, chunkBytes } = config;
    const places = [...sources, ...statementSourcesOf(config)];
    const calendars = sources.map(({ name, merchantId, calendar }) => ({ source: name, merchantId, calendar }));
    parsers.open({ databaseUrl: database.url, archiveDir, chunkBytes, places, calendars });
    work({ database, queue, parsers, processes, archiveDir, log, stop, recordMetric: metrics.recordMetric });
  }
  return { book, queue };
}

/** The console beside the service, where the settings have one. */
async function serveConsoleToo(config: Config, options: Options, book: Storage, log: Logger, up: Up): Promise<void> {
  const { openConsole } = await import('./console.ts');
  up.console = await openConsole(config, book.database, options);
  const link = config.console.login === null ? '; "settlestream console link" prints a link that signs in' : '';
  log.info({ url: up.console.url, listensOn: up.console.listensOn }, `console${link}`);
}

/** They come up while the database is opened. */
function startParsersOf(config: Config, up: Up, log: Logger, recordMetric: RecordMetric): ParserPool {
  const enqueue = (name: string, payload: unknown, delayMs: number, about: object) =>
    void enqueueNamed(up.queue!, name, payload as object, delayMs).catch((error: Error) =>
      log.warn({ ...about, asked: name, error: error.message }, 'could not enqueue'),
    );
  up.parsers = startParsers(config.processes, enqueue, recordMetric, (level, note, about) => log[level](about, note));
  return up.parsers;
}

/** The result; rejects as soon as it is told to stop, for a server that hangs may be waited for. */
function unlessStopped<T>(stop: AbortSignal, result: Promise<T>): Promise<T> {
  const stopped = aborted(stop).then(() => stop.throwIfAborted() as never);
  return Promise.race([result, stopped]);
}

/** Says once which of the merchant's records cannot be used, while the work goes on. */
async function logRefusedRecords({ database }: Storage, log: Logger, stop: AbortSignal): Promise<void> {
  try {
    const refused = await onOneConnection(database, (db) =>
      untilStopped(database, db, stop, () => refusedRecords(db, REFUSED_LIMIT_MS)),
    );
    for (const records of refused ?? []) log.warn({}, `unusable records: ${refusedText(records)}`);
  } catch (error) {
    log.warn({ error: (error as Error).message }, 'could not check for unusable records');
  }
}

/** Also where it was told to stop before there was anything to stop. */
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
