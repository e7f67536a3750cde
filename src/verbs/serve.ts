import { type HttpServer, openHttp } from '../adapters/http.ts';
import { openLog } from '../adapters/log.ts';
import { type Metrics, openMetrics, type RecordMetric } from '../adapters/metrics/metrics.ts';
import { DatabaseAway, onOneConnection } from '../adapters/postgres/connection.ts';
import { untilStopped } from '../adapters/postgres/transactions.ts';
import { type JobQueue, QueueAway } from '../adapters/queue/queue.ts';
import { openSourceFiles } from '../adapters/source-files/open.ts';
import type { Config } from '../config/config.ts';
import type { Retention } from '../domain/calendar/retention.ts';
import { Denied, HostKeyRefused, LoginRefused, Unreachable } from '../domain/errors.ts';
import { JOBS } from '../jobs.ts';
import { warnerOf } from '../producers/discovery/expiry-warnings.ts';
import { findReports } from '../producers/discovery/find-reports.ts';
import type { ListedFile } from '../producers/discovery/list-files.ts';
import type { NotReport } from '../producers/discovery/name-reports.ts';
import type { Source } from '../producers/discovery/source.ts';
import { lookerAtAway } from '../producers/recovery/look-at-away.ts';
import { sweep } from '../producers/recovery/sweep.ts';
import { retain } from '../producers/retention/retain.ts';
import { checkDays } from '../producers/schedule/check-days.ts';
import { clearAway, recordAway } from '../store/away.sql.ts';
import { useLedger } from '../store/ledger/ledger.ts';
import { startWatch, type Watch } from '../views/gauges/gauges.ts';
import { refusedRecords, refusedText } from '../views/ledger/refused-records.ts';
import { type ParserPool, startParsers } from '../workers/runtime/parser-pool.ts';
import { work } from '../workers/runtime/worker.ts';
import { sourcesOf } from './session/sources.ts';
import { enqueueNamed, migrate, openQueueOf, openStorage, type Storage } from './session/storage.ts';

type Log = ReturnType<typeof openLog>;

/** A table so large that looking through it takes longer is looked at by the doctor. */
const REFUSED_LIMIT_MS = 60_000;
/** What is away is looked at so often: those who wait for it go on soon after its return. */
const LOOK_MS = 1_000;
const AWAY_MS = 5_000;
/** What was forgotten is asked for again at least this often. */
const SWEEP_SECONDS = 10;
/** When nothing was left to drop it is looked again so much later: it is dates that make things old. */
const RETAIN_MS = 15 * 60_000;
/** A server that does not let us in is asked less and less often, for it may lock an account for good. */
const LONGEST_REFUSED_MS = 15 * 60_000;

/** The standing service: finds reports, works on them, or both, until it is told to stop, and then drains. */
export async function serve(
  config: Config,
  role: 'run' | 'produce' | 'work',
  stop: AbortSignal,
  sources: readonly Source[] = sourcesOf(config),
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
    const { book, queue } = await unlessStopped(stop, start(config, role, sources, { log, metrics, stop }, up));
    hasStarted = true;
    if (role === 'work') await aborted(stop);
    else await produce(sources, config.retention, book, queue, { log, metrics }, stop);
    await queue.close(config.drainSeconds * 1_000);
    log.info({}, 'stopped');
    return 0;
  } catch (error) {
    // Nothing is under way yet, and a migration in the middle is rolled back.
    if (hasStarted || !stop.aborted) throw error;
    log.info({}, 'stopped before it had started');
    return 0;
  } finally {
    up.watch?.stop();
    await up.queue?.close(0).catch(() => {});
    up.parsers?.close();
    const closed = up.book?.close();
    // Whoever is still at something would be waited for.
    if (hasStarted || !stop.aborted) await closed;
    else closed?.catch(() => {});
    await up.http?.close();
  }
}

/** What a service has opened so far. */
type Up = { http?: HttpServer; watch?: Watch; queue?: JobQueue; book?: Storage; parsers?: ParserPool };

/** Opens what the service needs, one after the other, and sets the parsers to work. Where it is told to stop it goes no further. */
async function start(
  config: Config,
  role: 'run' | 'produce' | 'work',
  sources: readonly Source[],
  { log, metrics, stop }: { log: Log; metrics: Metrics; stop: AbortSignal },
  up: Up,
): Promise<{ book: Storage; queue: JobQueue }> {
  const parsers = role === 'produce' ? undefined : startParsersOf(config, up, log, metrics.recordMetric);
  const book = await openStorage(config, { mayBeTemporary: false });
  up.book = book;
  stop.throwIfAborted();
  log.info({}, book.description);
  await migrate(book.database);
  stop.throwIfAborted();
  // Who only works takes the records from where the producer found them.
  const ledger = await useLedger(book.database, role === 'work' ? undefined : config.ledger);
  stop.throwIfAborted();
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
    const calendars = sources.map(({ name, merchantId, calendar }) => ({ source: name, merchantId, calendar }));
    parsers.open({ databaseUrl: database.url, archiveDir, chunkBytes, places: sources, calendars });
    work({ database, queue, parsers, processes, archiveDir, log, stop, recordMetric: metrics.recordMetric });
  }
  return { book, queue };
}

/** They come up while the database is opened. */
function startParsersOf(config: Config, up: Up, log: Log, recordMetric: RecordMetric): ParserPool {
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
async function logRefusedRecords({ database }: Storage, log: Log, stop: AbortSignal): Promise<void> {
  try {
    const refused = await onOneConnection(database, (db) =>
      untilStopped(database, db, stop, () => refusedRecords(db, REFUSED_LIMIT_MS)),
    );
    for (const records of refused ?? []) log.warn({}, `unusable records: ${refusedText(records)}`);
  } catch (error) {
    log.warn({ error: (error as Error).message }, 'could not check for unusable records');
  }
}

/**
 * Looks for reports and asks again for what was forgotten, until told to stop. Each source has a round of its own, so that a
 * server that hangs keeps only its own reports waiting. One bad round does not end the service.
 */
async function produce(
  sources: readonly Source[],
  retention: Retention,
  { database, archiveDir }: Storage,
  queue: JobQueue,
  { log, metrics }: { log: Log; metrics: Metrics },
  stop: AbortSignal,
): Promise<void> {
  const context = { database, enqueue: queue.enqueue, held: queue.held, isForGood: true };
  const rounds = sources.map(async (source) => {
    const place = await openSourceFiles(source.at);
    const settled = settledTwice();
    const warner = warnerOf(source, database.db, log);
    const { name } = source;
    const logSkippedFiles = eachOnce((files: object) =>
      log.warn({ source: name, ...files }, 'skipped files that are no reports'),
    );
    // A server that hangs must not hold up the end.
    stop.addEventListener('abort', () => void place.close(), { once: true });
    const pollMs = source.pollSeconds * 1_000;
    let refusals = 0;
    let isAway = false;
    // What is away is looked for more often, so that work goes on soon after its return; who lets nobody in less and less often.
    const pauseMs = () =>
      isAway ? Math.min(pollMs, AWAY_MS) : Math.max(pollMs, Math.min(pollMs * 2 ** refusals, LONGEST_REFUSED_MS));
    await everySoOften(pauseMs, stop, async () => {
      const reportLoadEnd = observePoll(name, metrics.recordMetric);
      try {
        const found = await findReports(context, source, place, settled);
        refusals = 0;
        isAway = !found.isReached;
        if (found.isReached) {
          const seconds = await clearAway(database.db, `source ${name}`);
          if (seconds !== null) log.warn({ source: name, seconds }, 'available again');
        } else
          await recordAway(database.db, `source ${name}`, {
            reason: found.unseen[0]?.message ?? 'its folder does not exist',
          });
        await warner.listed(found.late);
        for (const { file } of found.growing) log.debug({ source: name, file }, 'still growing');
        logSkippedFiles(found.notReports);
        for (const { message } of found.unseen)
          log.error(
            { source: name, error: message },
            'poll incomplete: some files or directories could not be read; retrying in the next poll',
          );
        reportLoadEnd(found.unseen.length === 0 ? 'done' : 'failed');
      } catch (error) {
        reportLoadEnd('failed');
        isAway = isSourceAway(error);
        if (error instanceof LoginRefused) refusals++;
        if (error instanceof Unreachable && !isOfOthers(error))
          await recordAway(database.db, `source ${name}`, {
            reason: error.message,
            isLogin: error instanceof LoginRefused,
          }).catch(() => {});
        // Each refused login brings an account nearer to being locked: all are told, and they come less and less often.
        const cause = error instanceof LoginRefused ? { cause: `login refused, time ${refusals}` } : {};
        log.error(
          { source: name, error: (error as Error).message, ...cause },
          'poll failed; retrying in the next poll',
        );
      }
      await warner
        .account()
        .catch((error: Error) => log.error({ source: name, error: error.message }, 'poll failed unexpectedly'));
    });
  });
  const lookAgain = async () => {
    const unchecked = await checkDays(context, sources).then(
      () => null,
      (error: Error) => error,
    );
    await sweep({ ...context, stop });
    if (unchecked) throw unchecked;
  };
  const sweeping = everySoOften(
    () => 1_000 * Math.min(SWEEP_SECONDS, ...sources.map(({ pollSeconds }) => pollSeconds)),
    stop,
    () =>
      lookAgain().catch((error: Error) =>
        log.error({ error: error.message }, 'sweep failed; retrying in the next one'),
      ),
  );
  const lookAtAway = lookerAtAway({
    ...context,
    archiveDir,
    tellBack: (what, seconds) => log.warn({ what, seconds }, 'available again'),
  });
  // The sweep says what is wrong with the book.
  const withDatabase = everySoOften(
    () => LOOK_MS,
    stop,
    () => lookAtAway().catch(() => {}),
  );
  let retainAtMs = 0;
  const retaining = everySoOften(
    () => 1_000 * SWEEP_SECONDS,
    stop,
    async () => {
      if (Date.now() < retainAtMs) return;
      try {
        if (!(await retain({ database, archiveDir, log, stop }, retention))) retainAtMs = Date.now() + RETAIN_MS;
      } catch (error) {
        log.error({ error: (error as Error).message }, 'retention failed; retrying in the next round');
      }
    },
  );
  await Promise.all([...rounds, sweeping, withDatabase, retaining]);
}

/** It may be back at any moment; who refuses the login, or shows another key, is not to be asked more often for that. */
const isSourceAway = (error: unknown): boolean =>
  error instanceof Unreachable &&
  !isOfOthers(error) &&
  ![LoginRefused, HostKeyRefused].some((kind) => error instanceof kind);

/** Says nothing of the source: it answers, or the database or the queue does not. */
const isOfOthers = (error: Unreachable): boolean =>
  [Denied, DatabaseAway, QueueAway].some((kind) => error instanceof kind);

/** Measures a look for reports, until it is told how it ended. */
function observePoll(source: string, recordMetric: RecordMetric) {
  const startedAt = performance.now();
  return (outcome: 'done' | 'failed') => {
    const seconds = (performance.now() - startedAt) / 1_000;
    recordMetric({ name: 'recon_poll_duration_seconds', labels: { source }, value: seconds });
    recordMetric({ name: 'recon_polls_total', labels: { source, outcome }, value: 1 });
    if (outcome === 'failed') return;
    recordMetric({ name: 'recon_last_poll_success_timestamp_seconds', labels: { source }, value: Date.now() / 1_000 });
  };
}

/** Also where it was told to stop before there was anything to stop. */
const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** Runs a step, pauses, and so on until told to stop; a step under way is waited for. */
async function everySoOften(pauseMs: () => number, stop: AbortSignal, step: () => Promise<void>): Promise<void> {
  while (!stop.aborted) {
    await step();
    if (!stop.aborted) await pause(pauseMs(), stop);
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

/** So many of the files that are new in a round are named. */
const NAMED = 10;

/** Tells of files that are no reports when they are first listed: one day a report is among them, under a name that nobody expected. */
function eachOnce(tell: (files: { readonly count: number; readonly files: readonly string[] }) => void) {
  let known = new Set<string>();
  return (notReports: readonly NotReport[]): void => {
    const fresh = notReports.filter(({ file }) => !known.has(file));
    known = new Set(notReports.map(({ file }) => file));
    const named = fresh.slice(0, NAMED).map(({ file, why }) => `${file}: ${why}`);
    if (fresh.length > 0) tell({ count: fresh.length, files: named });
  };
}

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
