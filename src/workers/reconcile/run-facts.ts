import { type Check, checksOfDay, checksOfSettlement } from '../../domain/matching/checks.ts';
import { awaitedOf } from '../../domain/matching/parts.ts';
import type { RunFacts } from '../../domain/matching/run.ts';
import { isMatchable } from '../../store/stored-row.ts';
import type { Completeness } from './completeness/completeness.ts';
import { besideHeld } from './completeness/held.ts';
import type { Inputs } from './inputs.ts';
import type { SummedRows } from './snapshot.sql.ts';
import type { TotalsComparison } from './totals/against-summary.ts';
import type { Stated } from './totals/stated.ts';

/** What the steps of a decision have found. */
export type Results = {
  readonly inputs: Inputs;
  readonly stated: Stated;
  readonly completeness: Completeness;
  readonly comparison: TotalsComparison;
  readonly summedRows: readonly SummedRows[];
  readonly wrongUnit: boolean;
};

/** What a run says of its batch. The digest is taken over its JSON, so the order of the keys must stay. */
export function runFactsOf(results: Results): RunFacts {
  const { inputs, stated, completeness, comparison, summedRows, wrongUnit } = results;
  const { totals, residualMinor } = comparison;
  return {
    rows: inputs.facts.rows,
    matchableRows: inputs.facts.matchableRows,
    wrongUnit,
    missing: completeness.missed.length > 0,
    ...(completeness.isWaiting ? { waiting: true as const, awaits: awaits(results) } : {}),
    totals: (totals?.types ?? []).map(({ type, ...sums }) => ({ type, ...inText(sums) })),
    details: totals && inText(totals.all),
    summary: stated.sums && inText(stated.sums),
    residualMinor: residualMinor?.toString() ?? null,
    ...(isUncompared(summedRows, inputs.isDay) ? { uncompared: true as const } : {}),
  };
}

/** What is held, and what else may still come. */
function awaits({ inputs: { held, facts }, stated, completeness: { absent, waitsUntilMs } }: Results) {
  const others = besideHeld(absent, held);
  const isRestAwaited = waitsUntilMs !== null && (held.length === 0 || others.length > 0);
  return [...held, ...(isRestAwaited ? awaitedOf(others, facts.rows, stated.sums?.count ?? null) : [])];
}

/** What was checked of the batch, and why the rest could not be. */
export function checksOf({ inputs, stated, completeness, comparison, summedRows, wrongUnit }: Results): Check[] {
  const looked = {
    details: stated.detailsHeaders,
    rows: inputs.facts.rows,
    matchableRows: inputs.facts.matchableRows,
    notDoneRows: rowsNotDone(summedRows),
    wrongUnit,
    isWaiting: completeness.isWaiting,
  };
  if (inputs.isDay) return checksOfDay(looked);
  return checksOfSettlement({
    ...looked,
    summary: stated.summaryHeaders,
    hasSummaries: stated.hasSummaries,
    detailsWhole: completeness.isDetailsWhole,
    summaryWhole: completeness.isSummaryWhole,
    hasFees: comparison.totals?.hasFees ?? false,
    stated: stated.sums,
    summaryTypes: stated.summaryRows.map(({ type }) => type),
  });
}

const rowsNotDone = (rows: readonly SummedRows[]): number =>
  rows.reduce((sum, { isDone, count }) => sum + (isDone ? 0 : Number(count)), 0);

/**
 * Returns whether no row was compared with a record although some should be: they have no id, or, in a settlement, did not happen. A day
 * without any transaction is compared from the side of the records.
 */
const isUncompared = (rows: readonly SummedRows[], isDay: boolean): boolean =>
  !rows.some(({ matchBy }) => isMatchable(matchBy)) &&
  rows.some(({ matchBy, isDone }) => matchBy === 'lost' || (!isDone && !isDay));

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
