import { createHash } from 'node:crypto';
import type { RecordMetric } from '../../adapters/metrics/metrics.ts';
import { type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { dateIn } from '../../domain/calendar/time.ts';
import type { Format } from '../../domain/formats/format.ts';
import { checksOfDay, checksOfSettlement, prints } from '../../domain/matching/checks.ts';
import { splitOf } from '../../domain/matching/coverage.ts';
import {
  awaitedOf,
  missingParts,
  missingReport,
  missingReports,
  type Part,
  readParts,
} from '../../domain/matching/parts.ts';
import { comparePayout, missingPayout, statedPayout } from '../../domain/matching/payout.ts';
import type { RunFacts } from '../../domain/matching/run.ts';
import {
  compareTotals,
  detailsTotals,
  residualOf,
  type SummaryRow,
  summaryTotals,
} from '../../domain/matching/totals.ts';
import { formatAmount } from '../../domain/money/money.ts';
import { addFacts, type Facts } from '../../domain/report/facts.ts';
import { type Enqueue, type ReconcileJob, reconcile as reconcileJob } from '../../jobs.ts';
import { batchOf, claimBatch } from '../../store/batches.ts';
import { formatsOf } from '../../store/formats.ts';
import { isMatchable } from '../../store/stored-row.ts';
import type { LogEvent, Schedule } from '../context.ts';
import { claimTask, RULES_VERSION } from '../fencing.ts';
import { lastDropped } from '../retention/dropped-rows.sql.ts';
import { RowsNeeded, requestRows, requireOtherRows, requireOwnRows } from '../retention/dropped-rows.ts';
import { deadlinesOf, waitUntil } from './completeness/deadlines.ts';
import { besideHeld, heldOf } from './completeness/held.ts';
import { findSettledNotReported } from './completeness/settled-not-reported.ts';
import { findUnreported } from './completeness/unreported.ts';
import { findUnsettled } from './completeness/unsettled.ts';
import type { Decision, PublishResult } from './decision.ts';
import { type Finding, recordFindings } from './findings.ts';
import { copyRowFindings, countRefused } from './match/candidates.sql.ts';
import { matchRows } from './match/match-rows.ts';
import { tellOfAllRows } from './match/whole-report.ts';
import { amountOutcomes, rowOutcomes } from './publish/outcomes.sql.ts';
import * as publish from './publish/publish.sql.ts';
import { publishRun } from './publish/publish.ts';
import * as query from './snapshot.sql.ts';
import { checkSums } from './totals/check-sums.ts';
import { payoutRowsOf } from './totals/payout.sql.ts';
import { besideNet, headersOf, tellUnread } from './totals/unread-columns.ts';

export type ReconcileContext = Schedule & {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly recordMetric: RecordMetric;
  readonly logEvent: LogEvent;
};

/**
 * Reconciles a batch or day: reads one snapshot of its rows and of the merchant's records, decides, and publishes the result
 * as a run in one transaction. Run twice, or twice at once, it publishes once: the epoch decides.
 */
export async function reconcile(
  { database, enqueue, recordMetric, logEvent, ...standing }: ReconcileContext,
  { batchNo }: ReconcileJob,
): Promise<void> {
  const timed = stopwatch(recordMetric);
  const asked = await onOneConnection(database, async (db) => {
    await claimTask(db, `reconcile ${batchNo}`);
    const taken = await claimBatch(db, batchNo);
    if (!taken) return [batchNo];
    await query.makeWorkTables(db);
    const ended = await decideAndPublish(db, { batchNo, epoch: taken.epoch }, timed, standing).catch((error) => {
      if (error instanceof RowsNeeded) return error;
      throw error;
    });
    if (ended instanceof RowsNeeded) {
      await requestRows(db, enqueue, batchNo, ended);
      return [];
    }
    const { decided, published, refused } = ended;
    if (refused > 0)
      logEvent('warn', 'rows whose records cannot be used: settlestream doctor says why', { rows: refused });
    if (published.run) logEvent('info', 'run published', published.run);
    if (published.changed) await countRowOutcomes(db, batchNo, recordMetric);
    // A call of `reconcile` has no metrics to count, and should not take longer for them.
    if (published.changed && standing.calendars) await countAmounts(db, decided, recordMetric);
    if (published.isReplay) recordMetric({ name: 'recon_replays_total', labels: {}, value: 1 });
    return published.asked;
  });
  for (const wanted of await publish.wantedOf(database.db, asked)) await enqueue(reconcileJob, wanted);
}

async function decideAndPublish(
  db: Db,
  { batchNo, epoch }: { batchNo: number; epoch: number },
  timed: Timed,
  standing: Schedule,
): Promise<{ readonly decided: Decision; readonly published: PublishResult; readonly refused: number }> {
  const decided = await inTransaction(db, () => decide(db, batchNo, timed, standing), 'repeatable read');
  const refused = await countRefused(db);
  const published = await timed('publish', () => inTransaction(db, () => publishRun(db, decided, epoch, standing)));
  return { decided, published, refused };
}

/**
 * Decides and publishes a batch inside the caller's transaction, which a dry run rolls back. Returns the batches to enqueue again.
 * No other run of this merchant may be published meanwhile.
 */
export async function reconcileInside(db: Db, batchNo: number, standing: Schedule): Promise<readonly number[]> {
  const taken = await claimBatch(db, batchNo);
  if (!taken) return [];
  await query.makeWorkTables(db);
  const decided = await decide(db, batchNo, (_, step) => step(), standing);
  return (await publishRun(db, decided, taken.epoch, standing)).asked;
}

type Timed = <T>(stage: 'match' | 'total' | 'publish', step: () => Promise<T>) => Promise<T>;

const stopwatch =
  (recordMetric: RecordMetric): Timed =>
  async (stage, step) => {
    const startedAt = performance.now();
    const result = await step();
    const seconds = (performance.now() - startedAt) / 1_000;
    recordMetric({ name: 'recon_stage_duration_seconds', labels: { stage }, value: seconds });
    return result;
  };

/** Counts the rows of a run by outcome, if it read new ones. */
async function countRowOutcomes(db: Db, batchNo: number, recordMetric: RecordMetric): Promise<void> {
  for (const { source, kind, ...outcomes } of await rowOutcomes(db, batchNo)) {
    for (const [outcome, rows] of Object.entries(outcomes) as [keyof typeof outcomes, bigint][])
      recordMetric({ name: 'recon_rows_total', labels: { source, kind, outcome }, value: Number(rows) });
  }
}

/** Counts the settlement amounts of such a run by outcome. */
async function countAmounts(db: Db, { batch, details }: Decision, recordMetric: RecordMetric): Promise<void> {
  const { no, batchId, currency } = batch;
  if (batchId === null || currency === null || details.length === 0) return;
  for (const { source, outcome, amountMinor } of await amountOutcomes(db, no, details)) {
    const value = Number(formatAmount(BigInt(amountMinor), currency));
    recordMetric({ name: 'recon_settlement_amount_total', labels: { source, currency, outcome }, value });
  }
}

/** Decides everything about the batch itself, in one snapshot. Findings go to a temporary table. */
async function decide(db: Db, batchNo: number, timed: Timed, standing: Schedule): Promise<Decision> {
  const batch = await batchOf(db, batchNo);
  const lastRun = await query.lastRunOf(db, batch.merchantNo);
  const dropped = await lastDropped(db, batch.merchantNo);
  const reports = await query.reportsOf(db, batchNo);
  const isDay = batch.batchId === null;
  const details = readKind(reports, isDay ? 'transactionDetails' : 'settlementDetails');
  const summary = readKind(reports, 'settlementSummary');
  const due = await deadlinesOf(db, batch, standing);
  const { calendar } = due;
  if (dropped > 0n) await requireOwnRows(db, batch, details.loads);
  const isNothingRead = details.read.length + summary.read.length === 0;
  const isUnsettledDue = [due, ...due.others].some(({ settledBy }) => settledBy !== null);
  const held = heldOf(reports, (kind) => (kind === 'settlementSummary' ? summary : details).reading);
  // A batch exists once a report of it was read; a day by the name of its report.
  const isHeldDay = isDay && held.length > 0;
  const isEmpty = isNothingRead && !due.isReportDue && !isUnsettledDue && !isHeldDay;
  // A batch that has lost all its reports needs one more run, which closes its discrepancies.
  if (isEmpty && !(await query.hasReports(db, batch.currentRun)))
    return { batch, lastRun, lastDropped: dropped, calendar, details: [], run: null };

  const facts = addFacts(details.read.map((part) => part.facts!));
  const summedRows = await timed('total', () => checkSums(db, details.loads, facts, batchNo));
  const detailsHeaders = await headersOf(db, details.read);
  const summaryHeaders = await headersOf(db, summary.read);
  const formats = await formatsOf(db, details.read);
  const hasSummaries = mayHaveSummaries([...formats.values()]);
  const detailsWhole = !isDay && details.read.length > 0 && details.reading.missing.length === 0;
  const payout = isDay ? null : await payoutRowsOf(db, details, formats);
  const lacksPayout = !hasSummaries && detailsWhole && payout !== null && statedPayout(payout) === null;
  const missing = [
    ...(lacksPayout ? [missingPayout()] : []),
    ...(isDay || isEmpty ? [] : missingReports(details.reading, summary.reading, hasSummaries)),
    ...missingParts(isDay ? 'transactionDetails' : 'settlementDetails', details.reading.missing),
    ...missingParts('settlementSummary', summary.reading.missing),
  ];
  const settlementDate = isDay ? null : settlementDateOf(details.read, summary.read);
  const summaryRows = await query.summaryRowsOf(db, summary.loads);
  const stated: (SummaryRow & { loadNo: number })[] = summaryRows.map((row) => ({
    ...row,
    count: row.count === null ? null : Number(row.count),
    settlementMinor: row.settlementMinor === null ? null : BigInt(row.settlementMinor),
    feeMinor: row.feeMinor === null ? null : BigInt(row.feeMinor),
  }));
  const paid = hasSummaries || payout === null ? null : statedPayout(payout);
  const summed = summary.read.length > 0 ? summaryTotals(stated) : paid;
  const waitsUntilMs = isNothingRead
    ? null
    : waitUntil(due, standing, {
        duty: isDay ? 'transactionDetails' : 'settlementReports',
        day: isDay ? batch.day : settlementDate,
        // A report without parts has all its rows; another part may contain the payout row.
        isMissing: missing.length > (lacksPayout && !mayHaveParts(details.read, formats) ? 1 : 0),
        hasAllRows: isDay || !hasSummaries || summed?.count === facts.rows,
      });
  const isWaiting = waitsUntilMs !== null || held.length > 0;
  const { wrongUnit, listed } = await timed('match', async () => {
    const wrongUnit = await matchRows(db, batch, { ...details, besideNet: besideNet(detailsHeaders) }, facts);
    const listed = await findSettledNotReported(db, batch, details.loads, due, standing);
    if (!isWaiting) await tellOfAllRows(db, batch, details, formats);
    await copyRowFindings(db, summary.loads, false);
    await tellUnread(db, [...detailsHeaders, ...summaryHeaders]);
    if (isDay && !isNothingRead && !isWaiting) await findUnreported(db, batch, details, facts, due);
    if (isDay) await findUnsettled(db, batch, due);
    return { wrongUnit, listed };
  });

  const totals =
    details.read.length > 0 && !isDay ? detailsTotals(typeSums(facts), prints(detailsHeaders, 'fee')) : null;
  const summaryWhole = summary.read.length > 0 ? summary.reading.missing.length === 0 : paid !== null;
  // A report that may still arrive is not missing, and nothing that it could change is reported.
  const missed = isWaiting ? [] : due.isReportDue && isNothingRead ? [missingReport(batch.day!)] : missing;
  const said: Finding[] = missed.map((discrepancy) => ({ discrepancy, loadNo: null, ofMatchable: false }));
  if (summary.read.length > 0 && batch.currency) {
    for (const { at, discrepancy } of compareTotals(
      detailsWhole && summaryWhole && !isWaiting ? totals : null,
      stated,
      batch.currency,
    )) {
      said.push({ discrepancy, loadNo: at?.loadNo ?? summary.loads[0]!.loadNo, ofMatchable: false });
    }
  }
  if (totals && payout && detailsWhole && !isWaiting && batch.currency && (payout.payouts > 0 || !hasSummaries))
    for (const discrepancy of comparePayout(totals, payout, batch.currency))
      said.push({ discrepancy, loadNo: payout.at!.loadNo, ofMatchable: false });
  await recordFindings(db, said);
  // A day without a report produces no run, unless an earlier run opened discrepancies that must be closed.
  if (isNothingRead && batch.currentRun === null && !isHeldDay && !(await query.hasFindings(db)))
    return { batch, lastRun, lastDropped: dropped, calendar, details: [], run: null };
  if (dropped > 0n) await requireOtherRows(db, { batch, details: details.loads, settlementDate });

  const others = besideHeld(lacksPayout ? missing.slice(1) : missing, held);
  const isRestAwaited = waitsUntilMs !== null && (held.length === 0 || others.length > 0);
  const mayCome = isRestAwaited ? awaitedOf(others, facts.rows, summed?.count ?? null) : [];
  const residual = totals && detailsWhole && summaryWhole && !isWaiting ? residualOf(totals, summed!) : null;
  const runFacts: RunFacts = {
    rows: facts.rows,
    matchableRows: facts.matchableRows,
    wrongUnit,
    missing: missed.length > 0,
    ...(isWaiting ? { waiting: true as const, awaits: [...held, ...mayCome] } : {}),
    totals: (totals?.types ?? []).map(({ type, ...sums }) => ({ type, ...inText(sums) })),
    details: totals && inText(totals.all),
    summary: summed && inText(summed),
    residualMinor: residual?.toString() ?? null,
    ...(isUncompared(summedRows, isDay) ? { uncompared: true as const } : {}),
  };
  const looked = {
    details: detailsHeaders,
    rows: facts.rows,
    matchableRows: facts.matchableRows,
    notDoneRows: rowsNotDone(summedRows),
    wrongUnit,
    isWaiting,
  };
  const checks = isDay
    ? checksOfDay(looked)
    : checksOfSettlement({
        ...looked,
        summary: summaryHeaders,
        hasSummaries,
        detailsWhole,
        summaryWhole,
        hasFees: totals?.hasFees ?? false,
        stated: summed,
        summaryTypes: stated.map(({ type }) => type),
      });
  const all = [...details.read, ...summary.read];
  const parts = all.map((part, index) => ({ loadNo: part.loadNo!, part: index }));
  const loads = all.map((part) => ({ loadNo: part.loadNo!, slot: part.slot! }));
  await query.identifyFindings(db, { batchNo, loads, details: details.loads });
  await query.fingerprintReferences(db, batch.merchantNo);
  const rules = createHash('sha256').update(
    JSON.stringify([RULES_VERSION, ...new Set(all.map((p) => JSON.stringify([p.rules, p.format])))]),
  );
  const digest = createHash('sha256')
    .update(JSON.stringify([batch.merchantId, batch.batchId, batch.currency, batch.day, runFacts, facts.rowHash]))
    .update(await query.digestOfFindings(db));
  return {
    batch,
    lastRun,
    lastDropped: dropped,
    calendar,
    details: details.loads,
    run: {
      facts: runFacts,
      coverage: { ...splitOf(summedRows.map(countedRows), facts.refusedRows), checks },
      digest: digest.digest('hex'),
      rules: rules.digest('hex').slice(0, 16),
      parts,
      settlementDate,
      againAtMs: earlier(waitsUntilMs, listed.againAtMs),
      listed: listed.days,
      acquirer: addFacts(all.map((part) => part.facts!)).acquirer,
      isGone: isEmpty,
    },
  };
}

const earlier = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.min(a, b);

/** Some providers send no totals: their batches are complete without a summary. */
const mayHaveSummaries = (formats: readonly Format[]): boolean =>
  formats.length === 0 || formats.some(({ names }) => names.settlementSummary.length > 0);

/** By the name patterns of the format, the details may have several parts. */
const mayHaveParts = (details: readonly ReadPart[], formats: ReadonlyMap<string, Format>): boolean =>
  details.some((part) => formats.get(part.format!)!.names.settlementDetails.some((name) => name.includes('{seq}')));

type ReadPart = query.ReportState & Part;

function readKind(reports: readonly query.ReportState[], kind: query.ReportState['kind']) {
  const parts = reports.filter((report) => report.kind === kind);
  const reading = readParts<ReadPart>(parts);
  return {
    reading,
    read: reading.read,
    loads: reading.read.map((part) => ({ loadNo: part.loadNo!, slot: part.slot! })),
  };
}

const countedRows = ({ type, matchBy, isDone, count, settlementMinor }: query.SummedRows) => ({
  type,
  isDone,
  needsRecord: isMatchable(matchBy),
  rows: Number(count),
  settlementMinor: settlementMinor ?? '0',
});

const rowsNotDone = (rows: readonly query.SummedRows[]): number =>
  rows.reduce((sum, { isDone, count }) => sum + (isDone ? 0 : Number(count)), 0);

/**
 * Returns whether no row was compared with a record although some should be: they have no id, or, in a settlement, did not happen. A day
 * without any transaction is compared from the side of the records.
 */
const isUncompared = (rows: readonly query.SummedRows[], isDay: boolean): boolean =>
  !rows.some(({ matchBy }) => isMatchable(matchBy)) &&
  rows.some(({ matchBy, isDone }) => matchBy === 'lost' || (!isDone && !isDay));

const typeSums = (facts: Facts) =>
  Object.entries(facts.types).map(([type, sums]) => ({
    type,
    count: sums.count,
    settlementMinor: sums.settlementMinor === null ? null : BigInt(sums.settlementMinor),
    feeMinor: sums.feeMinor === null ? null : BigInt(sums.feeMinor),
  }));

const inText = <C>({
  count,
  settlementMinor,
  feeMinor,
}: {
  count: C;
  settlementMinor: bigint | null;
  feeMinor: bigint | null;
}) => ({
  count,
  settlementMinor: settlementMinor?.toString() ?? null,
  feeMinor: feeMinor?.toString() ?? null,
});

/** Returns the day of the directory, else of the rows in the source's time zone; of the details before the summary. */
function settlementDateOf(details: readonly ReadPart[], summary: readonly ReadPart[]): string | null {
  for (const parts of [details, summary]) {
    const day = parts.map((part) => part.day).find((date) => date !== null);
    if (day) return day;
  }
  for (const parts of [details, summary]) {
    if (parts.length === 0) continue;
    const facts = addFacts(parts.map((part) => part.facts!));
    const micros = facts.settledFrom ?? facts.paidFrom;
    if (micros !== null) return dateIn(BigInt(micros), parts[0]!.rules!.timeZone);
  }
  return null;
}
