import type { GaugeValues } from '../adapters/metrics.ts';
import type { Db } from '../adapters/postgres.ts';
import type { QueueState } from '../adapters/queue.ts';
import { KINDS, type Kind } from '../domain/discrepancy.ts';
import { formatAmount } from '../domain/money.ts';
import * as query from './backlog.sql.ts';

/** The provider deletes a file after so long. */
const KEEP_SECONDS = 7 * 86_400;

/** How far the work is. A source that has nothing open shows zeros, also before its first file is found. */
export async function gaugesOfReports(db: Db, sources: readonly string[]): Promise<GaugeValues> {
  const open = await query.openDeliveries(db);
  const reconciled = await query.reconciledUntil(db);
  const now = Date.now() / 1_000;
  const idle = [...new Set([...sources, ...reconciled.map(({ source }) => source)])]
    .filter((source) => !open.some((row) => row.source === source))
    .map((source) => ({ source, reports: 0, bytes: 0 }));
  return {
    recon_backlog_reports: [...open, ...idle].map(({ source, reports }) => ({ labels: { source }, value: reports })),
    recon_backlog_bytes: [...open, ...idle].map(({ source, bytes }) => ({ labels: { source }, value: bytes })),
    recon_oldest_open_report_timestamp_seconds: open.flatMap(({ source, oldestAt }) =>
      oldestAt === null ? [] : [{ labels: { source }, value: oldestAt }],
    ),
    recon_retention_headroom_seconds: open.flatMap(({ source, oldestUnfetchedAt }) =>
      oldestUnfetchedAt === null ? [] : [{ labels: { source }, value: oldestUnfetchedAt + KEEP_SECONDS - now }],
    ),
    recon_reconciled_until_timestamp_seconds: reconciled.map(({ source, until }) => ({
      labels: { source },
      value: until,
    })),
  };
}

/** What does not add up. A kind that is not open shows a zero, so that its end is seen as well as its beginning. */
export async function gaugesOfDiscrepancies(db: Db, sources: readonly string[]): Promise<GaugeValues> {
  const open = await query.openDiscrepancies(db);
  const all = [...new Set([...sources, ...open.map(({ source }) => source)])];
  const count = (source: string, kind: Kind) =>
    open.filter((row) => row.source === source && row.kind === kind).reduce((sum, row) => sum + row.count, 0);
  return {
    recon_discrepancies_open: all.flatMap((source) =>
      KINDS.map((kind) => ({ labels: { source, kind }, value: count(source, kind) })),
    ),
    recon_discrepancy_amount_open: open.flatMap(({ source, kind, currency, stakeMinor }) => {
      if (currency === null || stakeMinor === null) return [];
      // Money is exact up to here: Prometheus knows nothing but floats.
      const value = Number(formatAmount(BigInt(stakeMinor), currency));
      return [{ labels: { source, kind, currency }, value }];
    }),
  };
}

export const gaugesOfQueue = (queues: readonly QueueState[]): GaugeValues => ({
  recon_queue_jobs: queues.flatMap(({ queue, counts }) =>
    (['waiting', 'active', 'delayed', 'failed'] as const).map((state) => ({
      labels: { queue, state },
      value: counts[state],
    })),
  ),
  recon_queue_oldest_waiting_timestamp_seconds: queues.flatMap(({ queue, oldestWaitingAtMs }) =>
    oldestWaitingAtMs === null ? [] : [{ labels: { queue }, value: oldestWaitingAtMs / 1_000 }],
  ),
});
