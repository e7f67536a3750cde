import { reasonOf, within } from '../adapters/in-time.ts';
import type { GaugeValues, Metrics } from '../adapters/metrics.ts';
import { type Db, missingMigrations, onOneConnection, poolToLook } from '../adapters/postgres.ts';
import type { QueueState } from '../adapters/queue.ts';
import { gaugesOfDiscrepancies, gaugesOfQueue, gaugesOfReports } from './gauges.ts';

export type Watch = {
  /** What keeps this process from working, a line each; nothing when it is ready. */
  problems(): Promise<string[]>;
  stop(): void;
};

type Watched = {
  readonly databaseUrl: string;
  readonly queueState: () => Promise<QueueState[]>;
  /** Sources that show a zero before their first file is found. */
  readonly sources: readonly string[];
  readonly metrics: Metrics;
  readonly log: { warn(fields: object, message: string): void };
};

/** Looks at the whole begin so often at most, and take a tenth of the time at most, however much there is to look at. */
const EVERY_MS = 15_000;
const TIMES_ITS_LENGTH = 10;
/** So long a look may take, and a check whether this process is ready. */
const LOOK_MS = 8_000;
const CHECK_MS = 2_000;
/** After so many looks in vain what was seen before is no longer told. */
const FAILURES = 3;

/**
 * Keeps the gauges fresh that are about the whole; every process tells the same of them. They are looked up in the background,
 * so that whoever reads the metrics waits neither for the database nor for the queue.
 */
export function startWatch({ databaseUrl, queueState, sources, metrics, log }: Watched, everyMs = EVERY_MS): Watch {
  const pool = poolToLook(databaseUrl, CHECK_MS);
  const ask = <T>(question: (db: Db) => Promise<T>) => onOneConnection({ pool }, question);
  const looks: readonly Look[] = [
    { of: 'reports', see: () => ask((db) => gaugesOfReports(db, sources)) },
    { of: 'discrepancies', see: () => ask((db) => gaugesOfDiscrepancies(db, sources)) },
    { of: 'queue', see: async () => gaugesOfQueue(await queueState()) },
  ];
  const stops = looks.map((look) => lookAgainAndAgain(look, metrics, log, everyMs));
  return {
    async problems() {
      const [book, queue] = await Promise.all([
        within(CHECK_MS, ask(missing)).catch((error) => [`database: ${reasonOf(error)}`]),
        within(CHECK_MS, queueState()).then(
          () => [],
          (error) => [`queue: ${reasonOf(error)}`],
        ),
      ]);
      return [...book, ...queue];
    },
    stop() {
      for (const stop of stops) stop();
      pool.end().catch(() => {});
    },
  };
}

type Look = { readonly of: 'reports' | 'discrepancies' | 'queue'; readonly see: () => Promise<GaugeValues> };

/** One look at a time. Returns what ends it. */
function lookAgainAndAgain({ of, see }: Look, metrics: Metrics, log: Watched['log'], everyMs: number): () => void {
  const tellUp = (value: 0 | 1) => metrics.measured({ name: 'recon_collector_up', labels: { of }, value });
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
      failures++;
      if (failures === 1) log.warn({ of, error: reasonOf(result.error) }, 'cannot look: these metrics grow old');
      if (failures === FAILURES) metrics.replaceGauges(withoutSeries(seen));
    } else {
      tellUp(1);
      failures = 0;
      seen = result;
      metrics.replaceGauges(seen);
    }
    timer = setTimeout(look, Math.max(everyMs, TIMES_ITS_LENGTH * (performance.now() - began))).unref();
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

async function missing(db: Db): Promise<string[]> {
  const names = await missingMigrations(db);
  return names.length === 0 ? [] : [`migrations: not applied: ${names.join(', ')}. Run: settlestream migrate`];
}
