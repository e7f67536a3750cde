import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Measured } from '../adapters/metrics.ts';
import { type Database, type Db, inPortions, inTransaction, onOneConnection } from '../adapters/postgres.ts';
import { addDays } from '../domain/calendar.ts';
import { MINOR_DIGITS } from '../domain/currency.ts';
import { addFacts, type Facts } from '../domain/facts.ts';
import {
  compareOriginal,
  compareOwn,
  decideUnit,
  duplicateOf,
  type Report,
  unitMismatch,
  unreported,
} from '../domain/match.ts';
import { missingParts, missingReport, missingReports, type Part, readParts } from '../domain/parts.ts';
import type { RunFacts } from '../domain/run.ts';
import { dateIn } from '../domain/time.ts';
import { compareTotals, detailsTotals, residualOf, type SummaryRow, summaryTotals } from '../domain/totals.ts';
import { type Enqueue, type ReconcileJob, reconcile as reconcileJob } from '../jobs.ts';
import { publishOverRefunded, publishSettledTwice } from './by-key.ts';
import { daysSettledBy, dueOf, type Standing, tellUnsettled, waitOf } from './due.ts';
import { formatById } from './formats.ts';
import type { Noted } from './pool.ts';
import * as publish from './publish.sql.ts';
import * as query from './reconcile.sql.ts';
import { RULES_VERSION, takeOver } from './take.ts';
import { isMatchable, recordFrom, rowFrom, type StoredRow, type Told, tellAll } from './told.ts';

export type ReconcileContext = Standing & {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly measured: Measured;
  readonly noted: Noted;
};

/**
 * Reconciles a batch or day: reads one snapshot of its rows and of the merchant's records, decides, and publishes the result
 * as a run in one transaction. Run twice, or twice at once, it publishes once: the epoch decides.
 */
export async function reconcile(
  { database, enqueue, measured, noted, ...standing }: ReconcileContext,
  { batchNo }: ReconcileJob,
): Promise<void> {
  const timed = stopwatch(measured);
  const asked = await onOneConnection(database, async (db) => {
    await takeOver(db, `reconcile ${batchNo}`);
    const taken = await query.takeBatch(db, batchNo);
    if (!taken) return [batchNo];
    await query.makeWorkTables(db);
    const decided = await inTransaction(db, () => decide(db, batchNo, timed, standing), 'repeatable read');
    const published = await timed('publish', () => inTransaction(db, () => publishRun(db, decided, taken.epoch)));
    if (published.run) noted('info', 'run published', published.run);
    if (published.changed) await tellRows(db, batchNo, measured);
    if (published.isReplay) measured({ name: 'recon_replays_total', labels: {}, value: 1 });
    return published.asked;
  });
  for (const wanted of await publish.wantedOf(database.db, asked)) await enqueue(reconcileJob, wanted);
}

/**
 * Decides and publishes a batch inside the transaction that is open, for whoever rolls it back. Returns the batches to be asked
 * for again. Nobody else may publish for this merchant meanwhile.
 */
export async function reconcileInside(db: Db, batchNo: number, standing: Standing): Promise<readonly number[]> {
  const taken = await query.takeBatch(db, batchNo);
  if (!taken) return [];
  await query.makeWorkTables(db);
  const decided = await decide(db, batchNo, (_, step) => step(), standing);
  return (await publishRun(db, decided, taken.epoch)).asked;
}

type Timed = <T>(stage: 'match' | 'total' | 'publish', step: () => Promise<T>) => Promise<T>;

const stopwatch =
  (measured: Measured): Timed =>
  async (stage, step) => {
    const startedAt = performance.now();
    const result = await step();
    const seconds = (performance.now() - startedAt) / 1_000;
    measured({ name: 'recon_stage_duration_seconds', labels: { stage }, value: seconds });
    return result;
  };

/** What became of the rows of a run that brought new ones. */
async function tellRows(db: Db, batchNo: number, measured: Measured): Promise<void> {
  for (const { source, kind, ...outcomes } of await publish.rowOutcomes(db, batchNo)) {
    for (const [outcome, rows] of Object.entries(outcomes) as [keyof typeof outcomes, bigint][])
      measured({ name: 'recon_rows_total', labels: { source, kind, outcome }, value: Number(rows) });
  }
}

type Decided = {
  readonly batch: query.BatchRow;
  readonly lastRun: number;
  readonly details: readonly query.ReadLoad[];
  /** Null: nothing of the batch can be read, and nothing ever could. */
  readonly run: {
    readonly facts: RunFacts;
    readonly digest: string;
    readonly rules: string;
    readonly parts: readonly { loadNo: number; part: number }[];
    readonly settlementDate: string | null;
    readonly waitsUntilMs: number | null;
    readonly acquirer: string | null;
    /** Nothing is left of what the run before had read. */
    readonly isGone: boolean;
  } | null;
};

/** Everything that can be said of the batch by itself, in one snapshot. What is told stands in a temporary table. */
async function decide(db: Db, batchNo: number, timed: Timed, standing: Standing): Promise<Decided> {
  const batch = await query.batchOf(db, batchNo);
  const lastRun = await query.lastRunOf(db, batch.merchantNo);
  const reports = await query.reportsOf(db, batchNo);
  const isDay = batch.batchId === null;
  const details = readKind(reports, isDay ? 'transactionDetails' : 'settlementDetails');
  const summary = readKind(reports, 'settlementSummary');
  const due = await dueOf(db, batch, standing);
  const isNothingRead = details.read.length + summary.read.length === 0;
  const isEmpty = isNothingRead && !due.isReportDue && due.settledBy === null;
  // What was there and is gone needs one more run, which closes what was told of it.
  if (isEmpty && !(await query.hasReports(db, batch.currentRun))) return { batch, lastRun, details: [], run: null };

  const facts = addFacts(details.read.map((part) => part.facts!));
  await timed('total', () => checkSums(db, details.loads, facts, batchNo));
  const hasSummaries = await mayHaveSummaries(db, details.read);
  const missing = [
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
  const summed = summary.read.length > 0 ? summaryTotals(stated) : null;
  const waitsUntilMs = isNothingRead
    ? null
    : waitOf(due, standing, {
        duty: isDay ? 'transactionDetails' : 'settlementReports',
        day: isDay ? batch.day : settlementDate,
        isMissing: missing.length > 0,
        hasAllRows: isDay || !hasSummaries || summed?.count === facts.rows,
      });
  const isWaiting = waitsUntilMs !== null;
  const wrongUnit = await timed('match', async () => {
    const wrongUnit = await tellOfRows(db, batch, details, facts);
    await query.tellFindings(db, summary.loads, false);
    if (isDay && !isNothingRead && !isWaiting) await tellOfRecords(db, batch, details, facts);
    if (isDay) await tellUnsettled(db, batch, due);
    return wrongUnit;
  });

  const totals = details.read.length > 0 && !isDay ? detailsTotals(typeSums(facts)) : null;
  const detailsWhole = totals !== null && details.reading.missing.length === 0;
  const summaryWhole = summary.read.length > 0 && summary.reading.missing.length === 0;
  // What may still come is not missed, and what it would change is not told.
  const missed = isWaiting ? [] : due.isReportDue && isNothingRead ? [missingReport(batch.day!)] : missing;
  const said: Told[] = missed.map((discrepancy) => ({ discrepancy, loadNo: null, ofMatchable: false }));
  if (summary.read.length > 0 && batch.currency) {
    for (const { at, discrepancy } of compareTotals(
      detailsWhole && summaryWhole && !isWaiting ? totals : null,
      stated,
      batch.currency,
    )) {
      said.push({ discrepancy, loadNo: at?.loadNo ?? summary.loads[0]!.loadNo, ofMatchable: false });
    }
  }
  await tellAll(db, said);
  // A day without a report is no result by itself; what was told of it before has to be taken back.
  if (isNothingRead && batch.currentRun === null && !(await query.hasTold(db)))
    return { batch, lastRun, details: [], run: null };

  const residual = detailsWhole && summaryWhole && !isWaiting ? residualOf(totals, summed!) : null;
  const runFacts: RunFacts = {
    rows: facts.rows,
    matchableRows: facts.matchableRows,
    wrongUnit,
    missing: missed.length > 0,
    ...(isWaiting ? { waiting: true as const } : {}),
    totals: (totals?.types ?? []).map(({ type, ...sums }) => ({ type, ...inText(sums) })),
    details: totals && inText(totals.all),
    summary: summed && inText(summed),
    residualMinor: residual?.toString() ?? null,
  };
  const all = [...details.read, ...summary.read];
  const parts = all.map((part, index) => ({ loadNo: part.loadNo!, part: index }));
  await query.identifyTold(
    db,
    all.map((part) => ({ loadNo: part.loadNo!, slot: part.slot! })),
    batchNo,
  );
  const rules = createHash('sha256').update(
    JSON.stringify([RULES_VERSION, ...new Set(all.map((p) => JSON.stringify([p.rules, p.format])))]),
  );
  const digest = createHash('sha256')
    .update(JSON.stringify([batch.merchantId, batch.batchId, batch.currency, batch.day, runFacts, facts.rowHash]))
    .update(await query.digestOfTold(db));
  return {
    batch,
    lastRun,
    details: details.loads,
    run: {
      facts: runFacts,
      digest: digest.digest('hex'),
      rules: rules.digest('hex').slice(0, 16),
      parts,
      settlementDate,
      waitsUntilMs,
      acquirer: addFacts(all.map((part) => part.facts!)).acquirer,
      isGone: isEmpty,
    },
  };
}

/** Some providers state no totals: their batches are whole without a summary. */
async function mayHaveSummaries(db: Db, details: readonly ReadPart[]): Promise<boolean> {
  const ids = [...new Set(details.map(({ format }) => format!))];
  const formats = await Promise.all(ids.map((id) => formatById(db, id)));
  return formats.length === 0 || formats.some(({ names }) => names.settlementSummary.length > 0);
}

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

/** The totals that were counted while parsing must be those that the database sums from its rows: two independent counts. */
async function checkSums(db: Db, loads: readonly query.ReadLoad[], facts: Facts, batchNo: number): Promise<void> {
  const counted = Object.entries(facts.types).map(([type, sums]) => [
    type,
    BigInt(sums.count),
    sums.settlementMinor,
    sums.feeMinor,
  ]);
  const summed = (await query.sumsOf(db, loads)).map((row) => [row.type, row.count, row.settlementMinor, row.feeMinor]);
  const show = (rows: unknown[][]) =>
    rows
      .map((row) => row.join(' '))
      .sort()
      .join('\n');
  if (show(counted) !== show(summed)) {
    throw new Error(
      `the rows of batch ${batchNo} do not add up to what was read:\nread:\n${show(counted)}\nkept:\n${show(summed)}`,
    );
  }
}

/** Tells what is wrong with rows: duplicates first, for they are compared no further. Returns whether the unit is wrong. */
async function tellOfRows(
  db: Db,
  batch: query.BatchRow,
  details: ReturnType<typeof readKind>,
  facts: Facts,
): Promise<boolean> {
  const { loads } = details;
  const others = await query.currentLoadsOf(db, batch.merchantNo, batch.no);
  const report: Report = { settlementCurrency: batch.currency, wrongUnit: false };
  await tellDuplicates(db, details, report);
  const hasReferences = await query.resolveReferences(db, loads, others);
  await query.findCandidates(db, loads, {
    merchantNo: batch.merchantNo,
    paidFrom: facts.paidFrom,
    paidTo: facts.paidTo,
    matchableRows: facts.matchableRows,
    hasReferences,
  });
  await query.findCancelled(db, loads, others, batch.merchantNo);

  const units = await query.countUnits(
    db,
    loads,
    JSON.stringify(Object.entries(MINOR_DIGITS).map(([currency, digits]) => ({ currency, digits }))),
  );
  const direction = decideUnit(units);
  if (direction) {
    await tellAll(db, [{ discrepancy: unitMismatch(direction, units), loadNo: loads[0]!.loadNo, ofMatchable: false }]);
  }
  for await (const rows of inPortions<CandidateRow>(db, query.CANDIDATES)) {
    await tellAll(
      db,
      rows.flatMap((row) => tellOfRow(row, { ...report, wrongUnit: direction !== null })),
    );
  }
  await query.tellFindings(db, loads, direction !== null);
  await query.findRefunds(db, direction === null && batch.batchId !== null ? loads : [], others, batch.merchantNo);
  return direction !== null;
}

type CandidateRow = StoredRow & {
  original: string | null;
  r_type: string | null;
  r_original_request_id: string | null;
  o_type: string | null;
  reported_root: string | null;
  recorded_root: string | null;
  cancelled: boolean;
};

function tellOfRow(stored: CandidateRow, report: Report): Told[] {
  const row = rowFrom(stored);
  const found =
    row.matchBy === 'own'
      ? compareOwn(
          row,
          recordFrom(stored, 'r'),
          {
            cancelled: stored.cancelled,
            original: stored.original,
            originalRecorded: stored.o_type !== null,
            reportedRoot: stored.reported_root,
            recordedRoot: stored.recorded_root,
          },
          report,
        )
      : compareOriginal(row, stored.original, recordFrom(stored, 'o'), report);
  return found.map((discrepancy) => ({ discrepancy, loadNo: stored.load_no, ofMatchable: true }));
}

async function tellDuplicates(db: Db, details: ReturnType<typeof readKind>, report: Report): Promise<void> {
  const fileOf = new Map(details.read.map((part) => [part.loadNo, part.file]));
  let told: Told[] = [];
  const settledKeys: { type: string; request_id: string }[] = [];
  const flush = async () => {
    await sql`insert into duplicate select * from unnest(${told.map((t) => t.loadNo)}::int[], ${told.map((t) => t.discrepancy.line)}::int[])`.execute(
      db,
    );
    await tellAll(db, told);
    await sql`insert into settled_key select * from unnest(${settledKeys.map((k) => k.type)}::text[], ${settledKeys.map((k) => k.request_id)}::text[])`.execute(
      db,
    );
    told = [];
    settledKeys.length = 0;
  };
  if ((await query.findTwinKeys(db, details.loads)) === 0) return;
  // A key may stand in all rows of a report: only the first place of each of its identities is kept.
  let key: bigint | null = null;
  const firsts = new Map<string, { loadNo: number; line: number }>();
  const identities = new Map<string, number>();
  for await (const rows of inPortions<TwinRow>(db, query.twinRows(details.loads))) {
    for (const stored of rows) {
      if (stored.key_hash !== key) {
        key = stored.key_hash;
        firsts.clear();
        identities.clear();
      }
      const identity = rowIdentity(stored);
      const first = firsts.get(identity);
      if (first) {
        const row = rowFrom(stored);
        const file = first.loadNo === stored.load_no ? null : (fileOf.get(first.loadNo) ?? null);
        const discrepancy = duplicateOf(row, { line: first.line, file }, report);
        told.push({ discrepancy, loadNo: stored.load_no, ofMatchable: isMatchable(row.matchBy) });
        continue;
      }
      firsts.set(identity, { loadNo: stored.load_no, line: stored.line });
      if (stored.request_id === null) continue;
      const settled = `${stored.type} ${stored.request_id}`;
      const count = (identities.get(settled) ?? 0) + 1;
      identities.set(settled, count);
      if (count === 2) settledKeys.push({ type: stored.type, request_id: stored.request_id });
    }
    if (told.length + settledKeys.length > 5_000) await flush();
  }
  await flush();
}

type TwinRow = StoredRow & { key_hash: bigint };

/** Batch or day are the same for all rows here. A row without a request id is the same one only if all that it says agrees. */
const rowIdentity = (row: TwinRow): string =>
  JSON.stringify([
    row.type,
    row.transaction_id,
    row.request_id,
    ...(row.request_id !== null
      ? []
      : [
          row.original_request_id,
          row.original_transaction_id,
          row.amount_minor,
          row.currency,
          row.settlement_minor,
          row.fee_minor,
          row.paid_at_micros,
        ].map((value) => value?.toString() ?? null)),
  ]);

/** Tells of records of this day that are in no report. */
async function tellOfRecords(
  db: Db,
  batch: query.BatchRow,
  details: ReturnType<typeof readKind>,
  facts: Facts,
): Promise<void> {
  const day = batch.day!;
  const neighbours = [addDays(day, -1), addDays(day, 1)];
  const others = (await query.currentLoadsOf(db, batch.merchantNo, batch.no)).filter(
    (load) => !load.isSettlement && neighbours.includes(load.day ?? ''),
  );
  const missing = neighbours.filter((neighbour) => !others.some((load) => load.day === neighbour));
  const types = [
    'PAYMENT',
    'CAPTURE',
    'REFUND',
    ...['AUTHORIZATION', 'CANCEL', 'VOID'].filter((type) => type in facts.types),
  ];
  const timeZone = details.read[0]!.rules!.timeZone;
  const statement = query.unreportedRecords([...details.loads, ...others], {
    merchantNo: batch.merchantNo,
    day,
    timeZone,
    types,
  });
  for await (const rows of inPortions<Record<string, unknown>>(db, statement)) {
    await tellAll(
      db,
      rows.map((row) => ({
        discrepancy: unreported(recordFrom(row, 'r')!, missing),
        loadNo: null,
        ofMatchable: false,
      })),
    );
  }
}

type Published = {
  /** What was published, in short; null: nothing was. */
  readonly run: { readonly run: number; readonly rows: number; readonly state: string } | null;
  /** The batches to be asked for again. */
  readonly asked: readonly number[];
  /** It reads other loads than the batch's run before. */
  readonly changed: boolean;
  /** Reports of the batch were read again for it. */
  readonly isReplay: boolean;
};

/** Publishes what was decided, under the merchant's lock. */
async function publishRun(db: Db, { batch, details, lastRun, run }: Decided, epoch: number): Promise<Published> {
  await publish.lockMerchant(db, batch.merchantNo);
  const nothing = { run: null, asked: [batch.no], changed: false, isReplay: false };
  if (!(await publish.lockBatch(db, batch.no, epoch, batch.wanted))) return nothing;
  if (!run) {
    await publish.answerWithoutRun(db, batch.no, batch.wanted);
    return nothing;
  }
  const { interventions, isReplay } = await publish.causesOf(db, batch.no, batch.wanted);
  const before = await runBefore(db, batch);
  const changed = !before || before.map((load) => load.loadNo).join() !== run.parts.map((part) => part.loadNo).join();
  const runNo = await publish.insertRun(
    db,
    {
      batchNo: batch.no,
      answers: batch.wanted,
      rules: run.rules,
      facts: run.facts,
      digest: run.digest,
      changed,
      isGone: run.isGone,
    },
    run.parts,
  );
  await publish.switchTo(db, batch.no, run.isGone ? null : runNo, {
    answers: batch.wanted,
    settlementDate: run.settlementDate,
    waitsUntilMs: run.waitsUntilMs,
    acquirer: run.acquirer,
  });
  await publish.publishTold(db, batch.no, runNo);

  const others = await query.currentLoadsOf(db, batch.merchantNo, batch.no);
  if (batch.batchId !== null) {
    const settled = others.filter((load) => load.isSettlement);
    await publishSettledTwice(db, batch, runNo, details, settled);
    await publishOverRefunded(db, batch, runNo);
  }
  const openReferences = await publish.replaceOpenReferences(db, runNo, batch.currentRun, {
    merchantNo: batch.merchantNo,
    others,
  });

  const asked: number[] = [];
  if (changed && batch.batchId !== null) {
    asked.push(...(await daysSettledBy(db, batch.merchantNo, details, before)));
  }
  if (changed) {
    // What another batch found in the loads of before may stand there no longer.
    const loads = [...details, ...(before ?? [])];
    asked.push(...(await publish.withOpenReferences(db, loads, { merchantNo: batch.merchantNo, batchNo: batch.no })));
    if (batch.batchId === null) {
      const of = { merchantNo: batch.merchantNo, day: batch.day!, replaced: before !== null };
      asked.push(...(await publish.neighboursOf(db, of)));
    }
  }
  const since = await publish.publishedSince(db, batch.merchantNo, batch.no, lastRun);
  // What was published after this run looked may answer what it did not find.
  const isNeighbour = (day: string | null) =>
    day !== null && batch.batchId === null && Math.abs(Date.parse(day) - Date.parse(batch.day!)) <= 86_400_000;
  if (since.some((other) => openReferences > 0 || (!other.isSettlement && isNeighbour(other.day))))
    asked.push(batch.no);
  await publish.askBecauseOf(db, batch.no, interventions, asked);
  const { waiting, missing, rows } = run.facts;
  const state = waiting
    ? 'waiting'
    : missing
      ? 'incomplete'
      : (await publish.hasOpen(db, batch.no))
        ? 'discrepant'
        : 'reconciled';
  return { run: { run: runNo, rows, state }, asked: [batch.no, ...asked], changed, isReplay };
}

async function runBefore(db: Db, batch: query.BatchRow): Promise<query.ReadLoad[] | null> {
  if (batch.currentRun === null) return null;
  const found = await sql<query.ReadLoad>`
    select l.no as "loadNo", l.slot from run_load rl join load l on l.no = rl.load_no
     where rl.run_no = ${batch.currentRun} order by rl.part`.execute(db);
  return found.rows;
}

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

/** Of the directory; else of the rows, in the source's time zone. The details' before the summary's. */
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
