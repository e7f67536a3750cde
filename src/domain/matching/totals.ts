import { compareText, type Discrepancy, sayAmounts, tell } from '../discrepancy.ts';
import type { Currency } from '../money/currency.ts';
import { formatAmount } from '../money/money.ts';

const TOTAL = 'TOTAL';

/** Sums of rows; null if no row states a value. Amounts are in the smallest unit of the settlement currency. */
export type Sums = {
  readonly count: number | null;
  readonly settlementMinor: bigint | null;
  readonly feeMinor: bigint | null;
};

/** Sums of the details rows of one type; null if no row of the type states a value. */
export type TypeSums = Sums & { readonly type: string; readonly count: number };

/** A readable row of a summary. `type` is null where the layout has no `summaryType`. */
export type SummaryRow = Sums & { readonly line: number; readonly type: string | null };

/** Sums of the details of a batch: nothing is zero here, because it is our own count. */
export type DetailsTotals = {
  readonly types: readonly (Totals & { readonly type: string })[];
  readonly all: Totals;
  /**
   * Some row states a fee, or could: its column is there, and blank means zero. Without a fee column a summary's fee cannot be
   * compared.
   */
  readonly hasFees: boolean;
};
export type Totals = { readonly count: number; readonly settlementMinor: bigint; readonly feeMinor: bigint };

export function detailsTotals(sums: readonly TypeSums[], printsFees: boolean): DetailsTotals {
  const types = sums
    .map((sum) => ({ type: sum.type, ...filled(addUp([sum])) }))
    .sort((a, b) => compareText(a.type, b.type));
  // Details without any row state zero: nothing was settled, and no fee was taken.
  const hasFees = printsFees || sums.length === 0 || sums.some((sum) => sum.feeMinor !== null);
  return { types, all: filled(addUp(sums)), hasFees };
}

/** Returns the total of a summary: its TOTAL (rows of several parts are added), else the sum of its rows. */
export function summaryTotals(rows: readonly SummaryRow[]): Sums {
  const total = rows.filter(isTotal);
  return addUp(total.length > 0 ? total : rows);
}

/** Returns details − summary, in settlement amount; null if the summary states no amount. */
export const residualOf = (details: DetailsTotals, summary: Sums): bigint | null =>
  summary.settlementMinor === null ? null : details.all.settlementMinor - summary.settlementMinor;

/** Returns totals as they are shown; null for what is not stated. */
export const showSums = ({ count, settlementMinor, feeMinor }: Sums, currency: Currency) => ({
  count,
  settlementAmount: settlementMinor === null ? null : formatAmount(settlementMinor, currency),
  feeAmount: feeMinor === null ? null : formatAmount(feeMinor, currency),
});

/** A discrepancy and the summary row that it names; null if the summary has no such row. */
export type ToldOnSummary<R extends SummaryRow> = { readonly at: R | null; readonly discrepancy: Discrepancy };

/**
 * Compares the details with the summary, and the summary with itself. Both must be complete; without details, only the latter.
 * DEFAULT rows (the acquirer's correction) stand in both and are a type like any other. There is no tolerance.
 */
export const compareTotals = <R extends SummaryRow>(
  details: DetailsTotals | null,
  summaryRows: readonly R[],
  currency: Currency,
): ToldOnSummary<R>[] => [
  ...(details ? compareWithSummary(details, summaryRows, currency) : []),
  ...compareWithTotal(summaryRows, currency),
];

function compareWithSummary<R extends SummaryRow>(
  details: DetailsTotals,
  rows: readonly R[],
  currency: Currency,
): ToldOnSummary<R>[] {
  const found: ToldOnSummary<R>[] = [];
  const compare = (type: string, ours: Totals, theirs: Sums, at: R | null) => {
    for (const field of FIELDS) {
      if (field === 'feeAmount' && !details.hasFees) continue;
      const summary = fieldOf(theirs, field);
      if (summary === null) continue;
      const difference = differenceOf(field, fieldOf(ours, field)!, summary, currency, type === TOTAL);
      if (!difference) continue;
      const subject = `${FIELD_WORDS[field]} of ${type === TOTAL ? 'all rows' : type}`;
      const unit = unitOf(field, currency);
      const hint = at || rows.length === 0 ? '' : ` (it has no ${type} row)`;
      const message = `The ${subject} is ${difference.reported}${unit} in the details and ${difference.recorded}${unit} in the summary${hint}.`;
      const discrepancy = tell('summary_mismatch', message, { line: at?.line ?? null, type, field, ...difference });
      found.push({ at, discrepancy });
    }
  };

  const total = rows.filter(isTotal);
  const typed = rows.filter((row) => !isTotal(row) && row.type !== null);
  compare(TOTAL, details.all, summaryTotals(rows), total[0] ?? null);
  // A summary with only a TOTAL has no types to compare.
  if (typed.length === 0) return found;
  const stated = addUp(typed);
  const theirs = Map.groupBy(typed, (row) => row.type!);
  const ours = new Map(details.types.map((sum) => [sum.type, sum]));
  const names = new Set([...ours.keys(), ...theirs.keys()]);
  names.delete(TOTAL);
  for (const type of [...names].sort(compareText)) {
    const rowsOfType = theirs.get(type) ?? [];
    // A blank cell is zero in a column that other rows fill, and states nothing in a column that no row fills.
    compare(type, ours.get(type) ?? NOTHING, filledWhere(stated, addUp(rowsOfType)), rowsOfType[0] ?? null);
  }
  return found;
}

function compareWithTotal<R extends SummaryRow>(rows: readonly R[], currency: Currency): ToldOnSummary<R>[] {
  const total = rows.filter(isTotal);
  const others = rows.filter((row) => !isTotal(row));
  const at = total[0];
  if (!at || others.length === 0) return [];
  const [stated, sum] = [addUp(total), addUp(others)];
  return FIELDS.flatMap((field) => {
    const [reported, recorded] = [fieldOf(stated, field), fieldOf(sum, field)];
    const difference =
      reported === null || recorded === null ? null : differenceOf(field, reported, recorded, currency, true);
    if (!difference) return [];
    const unit = unitOf(field, currency);
    const message = `The summary's TOTAL ${FIELD_WORDS[field]} is ${difference.reported}${unit}, but its other rows add up to ${difference.recorded}${unit}.`;
    return [{ at, discrepancy: tell('total_mismatch', message, { line: at.line, type: TOTAL, field, ...difference }) }];
  });
}

const FIELDS = ['count', 'settlementAmount', 'feeAmount'] as const;
type Field = (typeof FIELDS)[number];
const FIELD_WORDS = { count: 'count', settlementAmount: 'settlement amount', feeAmount: 'fee amount' } as const;

const unitOf = (field: Field, currency: Currency): string => (field === 'count' ? '' : ` ${currency}`);

function fieldOf(sums: Sums, field: Field): bigint | null {
  if (field === 'settlementAmount') return sums.settlementMinor;
  if (field === 'feeAmount') return sums.feeMinor;
  return sums.count === null ? null : BigInt(sums.count);
}

/** Only a TOTAL's settlement amount is money at stake: the other fields and types are parts of the same money. */
function differenceOf(field: Field, reported: bigint, recorded: bigint, currency: Currency, isOfTotal: boolean) {
  if (reported === recorded) return null;
  if (field === 'count') return { reported: `${reported}`, recorded: `${recorded}` };
  const amounts = sayAmounts(reported, recorded, currency);
  return isOfTotal && field === 'settlementAmount' ? amounts : { ...amounts, stake: null };
}

const isTotal = (row: SummaryRow): boolean => row.type === TOTAL;

const NOTHING: Totals = { count: 0, settlementMinor: 0n, feeMinor: 0n };

/** No rows at all mean zero; rows with a blank column state nothing about it. */
function addUp(rows: readonly (Sums & { readonly type: string | null })[]): Sums {
  if (rows.length === 0) return NOTHING;
  const add = (amounts: (bigint | null)[]) => amounts.reduce((a, b) => (a === null ? b : b === null ? a : a + b), null);
  const count = add(rows.map((row) => fieldOf(row, 'count')));
  return {
    count: count === null ? null : Number(count),
    settlementMinor: add(rows.map(settlementOf)),
    feeMinor: add(rows.map((row) => row.feeMinor)),
  };
}

/** A correction may state its amount in the fee column only: it is then the settled amount, too. */
const settlementOf = (row: Sums & { readonly type: string | null }): bigint | null =>
  row.settlementMinor ?? (row.type === 'DEFAULT' ? row.feeMinor : null);

const filled = ({ count, settlementMinor, feeMinor }: Sums): Totals => ({
  count: count ?? 0,
  settlementMinor: settlementMinor ?? 0n,
  feeMinor: feeMinor ?? 0n,
});

const filledWhere = (stated: Sums, sums: Sums): Sums => ({
  count: stated.count === null ? null : (sums.count ?? 0),
  settlementMinor: stated.settlementMinor === null ? null : (sums.settlementMinor ?? 0n),
  feeMinor: stated.feeMinor === null ? null : (sums.feeMinor ?? 0n),
});
