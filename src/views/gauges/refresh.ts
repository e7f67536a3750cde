import { AGES, type GaugeValues } from '../../adapters/metrics/definitions.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { QueueState, RedisFacts } from '../../adapters/queue/queue.ts';
import { type BatchState, KINDS } from '../../domain/discrepancy.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import * as query from './gauges.sql.ts';

/** After how many days the provider of a source deletes a file. */
type KeepDays = Readonly<Record<string, number>>;
const KEEP_DAYS = 7;

const UNUSABLE = ['waiting', 'refused', 'parked'] as const;
const STATES: readonly BatchState[] = ['waiting', 'incomplete', 'discrepant', 'reconciled'];

/** How far the work is. A source that has nothing open shows zeros, also before its first file is found. */
export async function gaugesOfReports(
  db: Db,
  sources: readonly string[],
  keepDays: KeepDays = {},
): Promise<GaugeValues> {
  const open = await query.openDeliveries(db);
  const standing = await query.standingOfSources(db);
  const now = Date.now() / 1_000;
  const all = named(sources, [...open, ...standing]);
  const of = <Row extends { source: string }>(rows: readonly Row[], source: string) =>
    rows.find((row) => row.source === source);
  return {
    recon_backlog_reports: all.map((source) => ({ labels: { source }, value: of(open, source)?.reports ?? 0 })),
    recon_backlog_bytes: all.map((source) => ({ labels: { source }, value: of(open, source)?.bytes ?? 0 })),
    recon_oldest_open_report_timestamp_seconds: known(open, ({ oldestAt }) => oldestAt),
    recon_retention_headroom_seconds: known(open, ({ source, oldestUnfetchedAt }) =>
      oldestUnfetchedAt === null ? null : oldestUnfetchedAt + (keepDays[source] ?? KEEP_DAYS) * 86_400 - now,
    ),
    recon_reconciled_until_timestamp_seconds: known(standing, ({ until }) => until),
    recon_last_report_found_timestamp_seconds: known(standing, ({ lastFoundAt }) => lastFoundAt),
    recon_reports_unusable: all.flatMap((source) =>
      UNUSABLE.map((state) => ({ labels: { source, state }, value: of(standing, source)?.[state] ?? 0 })),
    ),
  };
}

/** How the batches stand. Every state of every source is told, so that its end is seen as well as its beginning. */
export async function gaugesOfBatches(db: Db, sources: readonly string[]): Promise<GaugeValues> {
  const batches = await query.batchStates(db);
  const undone = await query.undoneBatches(db);
  const all = named(sources, [...batches, ...undone]);
  const count = (source: string, of: string, state: BatchState) =>
    sum(
      batches.filter((row) => row.source === source && row.of === of && row.state === state).map(({ count }) => count),
    );
  const off = batches.filter(({ residuals }) => residuals > 0);
  return {
    recon_batches: all.flatMap((source) =>
      (['settlement', 'day'] as const).flatMap((of) =>
        STATES.map((state) => ({ labels: { source, of, state }, value: count(source, of, state) })),
      ),
    ),
    recon_residual_batches: all.map((source) => ({
      labels: { source },
      value: sum(off.filter((row) => row.source === source).map(({ residuals }) => residuals)),
    })),
    recon_residual_amount: summed(
      off.map(({ source, currency, residualMinor }) => ({
        labels: { source, currency: currency! },
        value: inMajorUnits(residualMinor!, currency!),
      })),
    ),
    recon_backlog_batches: all.map((source) => ({
      labels: { source },
      value: undone.find((row) => row.source === source)?.wanted ?? 0,
    })),
    recon_batches_parked: all.map((source) => ({
      labels: { source },
      value: undone.find((row) => row.source === source)?.parked ?? 0,
    })),
  };
}

/** What does not add up. A kind or age of which nothing is open shows a zero. */
export async function gaugesOfDiscrepancies(db: Db, sources: readonly string[]): Promise<GaugeValues> {
  const open = await query.openDiscrepancies(db);
  const handled = await query.handledDiscrepancies(db);
  const all = named(sources, [...open, ...handled]);
  const count = (isIn: (row: query.OpenDiscrepancies) => boolean) => sum(open.filter(isIn).map(({ count }) => count));
  const staked = open.filter(({ currency, stakeMinor }) => currency !== null && stakeMinor !== null);
  const value = ({ stakeMinor, currency }: query.OpenDiscrepancies) => inMajorUnits(stakeMinor!, currency!);
  return {
    recon_discrepancies_open: all.flatMap((source) =>
      KINDS.map((kind) => ({
        labels: { source, kind },
        value: count((row) => row.source === source && row.kind === kind),
      })),
    ),
    recon_discrepancy_amount_open: summed(
      staked.map((row) => ({
        labels: { source: row.source, kind: row.kind, currency: row.currency! },
        value: value(row),
      })),
    ),
    recon_discrepancies_open_by_age: all.flatMap((source) =>
      AGES.map((age, index) => ({
        labels: { source, age },
        value: count((row) => row.source === source && row.age === index),
      })),
    ),
    recon_discrepancy_amount_open_by_age: summed(
      staked.map((row) => ({
        labels: { source: row.source, age: AGES[row.age]!, currency: row.currency! },
        value: value(row),
      })),
    ),
    ...gaugesOfHandled(handled, all),
  };
}

/** What people accepted, and what waits for a second one. */
function gaugesOfHandled(handled: readonly query.HandledDiscrepancies[], all: readonly string[]): GaugeValues {
  const count = (isIn: (row: query.HandledDiscrepancies) => boolean) =>
    sum(handled.filter(isIn).map(({ count }) => count));
  const accepted = handled.filter(({ state }) => state === 'accepted');
  return {
    recon_discrepancies_accepted: all.flatMap((source) =>
      KINDS.map((kind) => ({
        labels: { source, kind },
        value: count((row) => row.source === source && row.kind === kind && row.state === 'accepted'),
      })),
    ),
    recon_discrepancy_amount_accepted: summed(
      accepted.flatMap(({ source, kind, currency, stakeMinor }) =>
        currency === null || stakeMinor === null
          ? []
          : [{ labels: { source, kind, currency }, value: inMajorUnits(stakeMinor, currency) }],
      ),
    ),
    recon_handling_pending_approval: all.map((source) => ({
      labels: { source },
      value: count((row) => row.source === source && row.state === 'pendingApproval'),
    })),
  };
}

export const gaugesOfQueue = (queues: readonly QueueState[], redis: RedisFacts | null): GaugeValues => ({
  recon_queue_jobs: queues.flatMap(({ queue, counts }) =>
    (['waiting', 'active', 'delayed', 'failed'] as const).map((state) => ({
      labels: { queue, state },
      value: counts[state],
    })),
  ),
  recon_queue_oldest_waiting_timestamp_seconds: queues.flatMap(({ queue, oldestWaitingAtMs }) =>
    oldestWaitingAtMs === null ? [] : [{ labels: { queue }, value: oldestWaitingAtMs / 1_000 }],
  ),
  recon_redis_memory_bytes: redis
    ? [
        { labels: { of: 'used' }, value: redis.usedMemoryBytes },
        { labels: { of: 'allowed' }, value: redis.maxMemoryBytes },
      ]
    : [],
  recon_redis_memory_policy: redis ? [{ labels: { policy: redis.evictionPolicy }, value: 1 }] : [],
});

/** The server that keeps the book, as this process sees it. */
export async function gaugesOfDatabase(db: Db): Promise<GaugeValues> {
  const askedAt = performance.now();
  await query.answer(db);
  const answerSeconds = (performance.now() - askedAt) / 1_000;
  const { sizeBytes, used, allowed } = await query.databaseFacts(db);
  return {
    recon_database_answer_seconds: [{ labels: {}, value: answerSeconds }],
    recon_database_size_bytes: [{ labels: {}, value: sizeBytes }],
    recon_database_connections: [
      { labels: { of: 'used' }, value: used },
      { labels: { of: 'allowed' }, value: allowed },
    ],
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Money is exact up to here: Prometheus knows nothing but floats. */
const inMajorUnits = (minor: string, currency: Currency): number => Number(formatAmount(BigInt(minor), currency));

/** The sources that are named, and those that the book knows besides. */
const named = (sources: readonly string[], rows: readonly { source: string }[]): string[] => [
  ...new Set([...sources, ...rows.map(({ source }) => source)]),
];

/** A series for each source of which the value is known. */
const known = <Row extends { source: string }>(rows: readonly Row[], tell: (row: Row) => number | null) =>
  rows.flatMap((row) => {
    const value = tell(row);
    return value === null ? [] : [{ labels: { source: row.source }, value }];
  });

/** Those with the same labels are one. */
function summed<Labels extends object>(series: readonly { labels: Labels; value: number }[]) {
  return [...Map.groupBy(series, ({ labels }) => JSON.stringify(labels)).values()].map((same) => ({
    labels: same[0]!.labels,
    value: sum(same.map(({ value }) => value)),
  }));
}
