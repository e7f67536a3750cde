import { prints } from '../../../domain/matching/checks.ts';
import { comparePayout } from '../../../domain/matching/payout.ts';
import { compareTotals, type DetailsTotals, detailsTotals, residualOf } from '../../../domain/matching/totals.ts';
import type { Facts } from '../../../domain/report/facts.ts';
import type { Completeness } from '../completeness/completeness.ts';
import type { Finding } from '../findings.ts';
import type { Inputs } from '../inputs.ts';
import type { Stated } from './stated.ts';

/** The details of a settlement against what it says that they add up to. */
export type TotalsComparison = {
  /** What the rows add up to; null where none are there, and for a day, which settles nothing. */
  readonly totals: DetailsTotals | null;
  /** What they say beyond what is stated; null where the two cannot be compared yet. */
  readonly residualMinor: bigint | null;
  readonly findings: readonly Finding[];
};

/** Compares only what is whole: what may still come would change the result. */
export function compareWithSummary(inputs: Inputs, stated: Stated, completeness: Completeness): TotalsComparison {
  const { isDay, details, facts } = inputs;
  const { isDetailsWhole, isSummaryWhole, isWaiting } = completeness;
  if (isDay || details.read.length === 0)
    return { totals: null, residualMinor: null, findings: onSummary(null, inputs, stated) };
  const totals = detailsTotals(typeSums(facts), prints(stated.detailsHeaders, 'fee'));
  const whole = isDetailsWhole && !isWaiting ? totals : null;
  const wholePair = isSummaryWhole ? whole : null;
  return {
    totals,
    residualMinor: wholePair && residualOf(wholePair, stated.sums!),
    findings: [...onSummary(wholePair, inputs, stated), ...onPayout(whole, inputs, stated)],
  };
}

function onSummary(totals: DetailsTotals | null, { batch, summary }: Inputs, { summaryRows }: Stated): Finding[] {
  if (summary.read.length === 0 || !batch.currency) return [];
  return compareTotals(totals, summaryRows, batch.currency).map(({ at, discrepancy }) => ({
    discrepancy,
    loadNo: at?.loadNo ?? summary.loads[0]!.loadNo,
    ofMatchable: false,
  }));
}

/** Where summaries come, rows that say what is paid out are compared, too, if there are any. */
function onPayout(totals: DetailsTotals | null, { batch }: Inputs, { payout, hasSummaries }: Stated): Finding[] {
  if (!totals || !payout || !batch.currency || (payout.payouts === 0 && hasSummaries)) return [];
  return comparePayout(totals, payout, batch.currency).map((discrepancy) => ({
    discrepancy,
    loadNo: payout.at!.loadNo,
    ofMatchable: false,
  }));
}

const typeSums = (facts: Facts) =>
  Object.entries(facts.types).map(([type, sums]) => ({
    type,
    count: sums.count,
    settlementMinor: sums.settlementMinor === null ? null : BigInt(sums.settlementMinor),
    feeMinor: sums.feeMinor === null ? null : BigInt(sums.feeMinor),
  }));
