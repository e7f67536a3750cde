import { createHash } from 'node:crypto';
import type { Db } from '../../adapters/postgres/connection.ts';
import { splitOf } from '../../domain/matching/coverage.ts';
import type { RunFacts } from '../../domain/matching/run.ts';
import { addFacts } from '../../domain/report/facts.ts';
import { isMatchable } from '../../store/stored-row.ts';
import type { Schedule } from '../context.ts';
import { RULES_VERSION } from '../fencing.ts';
import { requireOtherRows, requireOwnRows } from '../retention/dropped-rows.ts';
import { type Completeness, completenessOf } from './completeness/completeness.ts';
import { type CheckedDays, findSettledNotReported } from './completeness/settled-not-reported.ts';
import { findUnreported } from './completeness/unreported.ts';
import { findUnsettled } from './completeness/unsettled.ts';
import type { Decision } from './decision.ts';
import { type Finding, recordFindings } from './findings.ts';
import { allRead, type Inputs, readInputs } from './inputs.ts';
import { copyRowFindings } from './match/candidates.sql.ts';
import { matchRows } from './match/match-rows.ts';
import { tellOfAllRows } from './match/whole-report.ts';
import { checksOf, type Results, runFactsOf } from './run-facts.ts';
import * as query from './snapshot.sql.ts';
import type { Timed } from './stopwatch.ts';
import { compareWithSummary } from './totals/against-summary.ts';
import { checkSums } from './totals/check-sums.ts';
import { readStated, type Stated } from './totals/stated.ts';
import { besideNet, tellUnread } from './totals/unread-columns.ts';
import { hasRows } from './work-tables.sql.ts';

/** Decides everything about the batch itself, in one snapshot. Findings go to a temporary table. */
export async function decide(db: Db, batchNo: number, timed: Timed, schedule: Schedule): Promise<Decision> {
  const inputs = await readInputs(db, batchNo, schedule);
  const { batch, details, facts } = inputs;
  if (inputs.lastDropped > 0n) await requireOwnRows(db, batch, details.loads);
  // A batch that has lost all its reports needs one more run, which closes its discrepancies.
  if (inputs.isEmpty && !(await query.hasReports(db, batch.currentRun))) return withoutRun(inputs);

  const summedRows = await timed('total', () => checkSums(db, details.loads, facts, batchNo));
  const stated = await readStated(db, inputs);
  const completeness = completenessOf(inputs, stated, schedule);
  const { wrongUnit, listed } = await timed('match', () => findInRows(db, inputs, stated, completeness, schedule));
  const comparison = compareWithSummary(inputs, stated, completeness);
  await recordFindings(db, [...completeness.missed.map(ofBatch), ...comparison.findings]);
  // A day without a report produces no run, unless an earlier run opened discrepancies that must be closed.
  const isFirst = batch.currentRun === null && !inputs.isHeldDay;
  if (inputs.isNothingRead && isFirst && !(await hasRows(db, 'finding'))) return withoutRun(inputs);
  const { settlementDate } = completeness;
  if (inputs.lastDropped > 0n) await requireOtherRows(db, { batch, details: details.loads, settlementDate });

  await identify(db, inputs);
  const results = { inputs, stated, completeness, comparison, summedRows, wrongUnit };
  const runFacts = runFactsOf(results);
  return {
    ...withoutRun(inputs),
    details: details.loads,
    run: {
      facts: runFacts,
      coverage: coverageOf(results),
      digest: await digestOf(db, inputs, runFacts),
      rules: rulesOf(inputs),
      parts: allRead(inputs).map((part, index) => ({ loadNo: part.loadNo!, part: index })),
      settlementDate,
      againAtMs: earlier(completeness.waitsUntilMs, listed.againAtMs),
      listed: listed.days,
      acquirer: addFacts(allRead(inputs).map((part) => part.facts!)).acquirer,
      isGone: inputs.isEmpty,
    },
  };
}

const withoutRun = ({ batch, lastRun, lastDropped, due }: Inputs): Decision => ({
  batch,
  lastRun,
  lastDropped,
  calendar: due.calendar,
  details: [],
  run: null,
});

/** Finds what is wrong with single rows and records. Returns whether the unit is wrong, and the days that were looked for. */
async function findInRows(
  db: Db,
  { batch, isDay, isNothingRead, details, summary, facts, due }: Inputs,
  { formats, detailsHeaders, summaryHeaders }: Stated,
  { isWaiting }: Completeness,
  schedule: Schedule,
): Promise<{ readonly wrongUnit: boolean; readonly listed: CheckedDays }> {
  const wrongUnit = await matchRows(db, batch, { ...details, besideNet: besideNet(detailsHeaders) }, facts);
  const listed = await findSettledNotReported(db, batch, details.loads, due, schedule);
  if (!isWaiting) await tellOfAllRows(db, batch, details, formats);
  await copyRowFindings(db, summary.loads, false);
  await tellUnread(db, [...detailsHeaders, ...summaryHeaders]);
  if (isDay && !isNothingRead && !isWaiting) await findUnreported(db, batch, details, facts, due);
  if (isDay) await findUnsettled(db, batch, due);
  return { wrongUnit, listed };
}

const ofBatch = (discrepancy: Finding['discrepancy']): Finding => ({ discrepancy, loadNo: null, ofMatchable: false });

/** Completes what was found: what makes it the same one in another run, and what the records said that it references. */
async function identify(db: Db, inputs: Inputs): Promise<void> {
  const { batch, details, summary } = inputs;
  const loads = [...details.loads, ...summary.loads];
  await query.identifyFindings(db, { batchNo: batch.no, loads, details: details.loads });
  await query.fingerprintReferences(db, batch.merchantNo);
}

const coverageOf = (results: Results) => ({
  ...splitOf(results.summedRows.map(countedRows), results.inputs.facts.refusedRows),
  checks: checksOf(results),
});

const countedRows = ({ type, matchBy, isDone, count, settlementMinor }: query.SummedRows) => ({
  type,
  isDone,
  needsRecord: isMatchable(matchBy),
  rows: Number(count),
  settlementMinor: settlementMinor ?? '0',
});

/** Two runs that say the same have the same digest. */
const digestOf = async (db: Db, { batch, facts }: Inputs, runFacts: RunFacts): Promise<string> =>
  createHash('sha256')
    .update(JSON.stringify([batch.merchantId, batch.batchId, batch.currency, batch.day, runFacts, facts.rowHash]))
    .update(await query.digestOfFindings(db))
    .digest('hex');

/** By which rules it was decided: those of the program, and the settings and formats of each part. */
function rulesOf(inputs: Inputs): string {
  const ofParts = new Set(allRead(inputs).map(({ rules, format }) => JSON.stringify([rules, format])));
  const hash = createHash('sha256').update(JSON.stringify([RULES_VERSION, ...ofParts]));
  return hash.digest('hex').slice(0, 16);
}

const earlier = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.min(a, b);
