import { reasonAt, tellAway } from '../../adapters/away.ts';
import type { GaugeValues } from '../../adapters/metrics/definitions.ts';
import type { Metrics } from '../../adapters/metrics/registry.ts';
import { type Db, onOneConnection, openReadOnlyPool, postgresAt } from '../../adapters/postgres/connection.ts';
import { missingMigrations } from '../../adapters/postgres/migrations.ts';
import type { JobQueue } from '../../adapters/queue/queue.ts';
import { within } from '../../adapters/timeout.ts';
import { sourceIn, type What, whatIsAway } from '../../store/away.sql.ts';
import { gaugesOfBank } from './bank.ts';
import { gaugesOfBatches, gaugesOfDatabase, gaugesOfDiscrepancies, gaugesOfQueue, gaugesOfReports } from './refresh.ts';

export type Watch = {
  /** What keeps this process from working, a line each; nothing when it is ready. */
  problems(): Promise<string[]>;
  /** What is away and keeps only its own reports waiting, a line each. */
  notes(): Promise<string[]>;
  stop(): void;
};

type Watched = {
  readonly databaseUrl: string;
  /** The server that holds the queue, as it can be shown. */
  readonly queueServer?: string;
  readonly queueState: () => ReturnType<JobQueue['state']>;
  readonly redis: JobQueue['redis'];
  /** Sources that show a zero before their first file is found. */
  readonly sources: readonly string[];
  /** After how many days the provider of a source deletes a file, where that is not a week. */
  readonly keepDays?: Readonly<Record<string, number>>;
  readonly metrics: Metrics;
  readonly log: { warn(fields: object, message: string): void };
};

/**
 * So long is waited at least after a look before it is taken again. One that takes milliseconds is taken every other second; one
 * at a large book takes a fiftieth of the time until that would be seldom, and then a tenth of it at most.
 */
const LEAST_MS = 2_000;
const TIMES_SELDOM = 7;
const TIMES_MOST = 30;
/** So long a look may take, and a check whether this process is ready. */
const LOOK_MS = 8_000;
const CHECK_MS = 2_000;
/** After so many looks in vain what was seen before is no longer told. */
const FAILURES = 3;

/**
 * Keeps the gauges fresh that are about the whole; every process tells the same of them. They are looked up in the background,
 * so that whoever reads the metrics waits neither for the database nor for the queue.
 */
export function startWatch(
  { databaseUrl, queueState, queueServer, redis, sources, keepDays = {}, metrics, log }: Watched,
  leastMs = LEAST_MS,
): Watch {
  const servers = { database: postgresAt(databaseUrl), queue: queueServer };
  const pool = openReadOnlyPool(databaseUrl, CHECK_MS);
  const ask = <T>(question: (db: Db) => Promise<T>) => onOneConnection({ pool }, question);
  const tellUnreachable = async (db: Db) => {
    const away = (await whatIsAway(db)).map(({ what }) => what);
    const isAway = (what: What) => (away.includes(what) ? 1 : 0);
    metrics.recordMetric({
      name: 'recon_unreachable',
      labels: { what: 'archive', source: '' },
      value: isAway('archive'),
    });
    for (const source of new Set([...sources, ...away.flatMap((what) => sourceIn(what) ?? [])])) {
      const value = isAway(`source ${source}`);
      metrics.recordMetric({ name: 'recon_unreachable', labels: { what: 'source', source }, value });
    }
  };
  const seeReports = async (db: Db) => {
    await tellUnreachable(db);
    return gaugesOfReports(db, sources, keepDays);
  };
  const seeBatches = async (db: Db) => ({ ...(await gaugesOfBatches(db, sources)), ...(await gaugesOfBank(db)) });
  const looks: readonly Look[] = [
    { of: 'reports', server: servers.database, see: () => ask(seeReports) },
    { of: 'batches', server: servers.database, see: () => ask(seeBatches) },
    { of: 'discrepancies', server: servers.database, see: () => ask((db) => gaugesOfDiscrepancies(db, sources)) },
    { of: 'database', server: servers.database, see: () => ask(gaugesOfDatabase) },
    {
      of: 'queue',
      server: servers.queue,
      see: async () => gaugesOfQueue(...(await Promise.all([queueState(), redis()]))),
    },
  ];
  const stops = looks.map((look) => lookAgainAndAgain(look, metrics, log, leastMs));
  return {
    async problems() {
      const [book, queue] = await Promise.all([
        within(CHECK_MS, ask(missingInBook)).catch((error) => [`database: ${tellAway(servers.database, error)}`]),
        within(CHECK_MS, queueState()).then(
          () => [],
          (error) => [`queue: ${tellAway(servers.queue, error)}`],
        ),
      ]);
      return [...book, ...queue];
    },
    notes: () =>
      within(CHECK_MS, ask(whatIsAway)).then(
        (away) => away.flatMap(({ what, reason }) => (what === 'archive' ? [] : [`${what} is unavailable: ${reason}`])),
        () => [],
      ),
    stop() {
      for (const stop of stops) stop();
      pool.end().catch(() => {});
    },
  };
}

type Look = {
  readonly of: 'reports' | 'batches' | 'discrepancies' | 'queue' | 'database';
  readonly server: string | undefined;
  readonly see: () => Promise<GaugeValues>;
};

/** A look in vain is not taken again as soon: what was seen before it stays for most of a minute. */
const pauseMs = (lengthMs: number, leastMs: number, error: unknown): number => {
  const least =
    error === null ? Math.max(leastMs, Math.min(TIMES_SELDOM * leastMs, 50 * lengthMs)) : TIMES_SELDOM * leastMs;
  // A server that does not answer has no work with it, but one that gave up did.
  const hasWorked = error === null || (error as { code?: unknown }).code === QUERY_CANCELED;
  return Math.min(TIMES_MOST * leastMs, Math.max(least, hasWorked ? 10 * lengthMs : 0));
};

const QUERY_CANCELED = '57014';

/** One look at a time. Returns what ends it. */
function lookAgainAndAgain(
  { of, server, see }: Look,
  metrics: Metrics,
  log: Watched['log'],
  leastMs: number,
): () => void {
  const tellUp = (value: 0 | 1) => metrics.recordMetric({ name: 'recon_collector_up', labels: { of }, value });
  const tellUnreachable = (value: 0 | 1) => {
    if (of === 'database' || of === 'queue')
      metrics.recordMetric({ name: 'recon_unreachable', labels: { what: of, source: '' }, value });
  };
  let seen: GaugeValues = {};
  let failures = 0;
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async () => {
    const began = performance.now();
    const result = await within(LOOK_MS, see()).catch((error: unknown) => ({ error }));
    if (isStopped) return;
    if ('error' in result) {
      tellUp(0);
      tellUnreachable(1);
      failures++;
      if (failures === 1)
        log.warn(
          { of, error: reasonAt(server, result.error) },
          'collecting metrics failed: these values are getting old',
        );
      if (failures === FAILURES) metrics.replaceGauges(withoutSeries(seen));
    } else {
      tellUp(1);
      tellUnreachable(0);
      if (failures > 0 && (of === 'database' || of === 'queue')) log.warn({ of }, `${server ?? of} answers again`);
      failures = 0;
      seen = result;
      metrics.replaceGauges(seen);
    }
    const error = 'error' in result ? result.error : null;
    timer = setTimeout(look, pauseMs(performance.now() - began, leastMs, error)).unref();
  };
  tellUp(0);
  void look();
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}

const withoutSeries = (values: GaugeValues): GaugeValues =>
  Object.fromEntries(Object.keys(values).map((name) => [name, []]));

async function missingInBook(db: Db): Promise<string[]> {
  const names = await missingMigrations(db);
  if (names.length === 0)
    return (await whatIsAway(db)).flatMap(({ what, reason }) => (what === 'archive' ? [`archive: ${reason}`] : []));
  return [`migrations: not applied: ${names.join(', ')}. Run: settlestream migrate`];
}
