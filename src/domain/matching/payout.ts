import { type Discrepancy, sayAmounts, tell } from '../discrepancy.ts';
import type { Currency } from '../money/currency.ts';
import type { DetailsTotals, Sums } from './totals.ts';

/** The payout rows of a batch: the only stated total if its provider sends no summary. */
export type PayoutRows<Place> = {
  /** Rows of payouts, added: below zero, the merchant owes it. */
  readonly paidMinor: bigint;
  /** Rows that carry a remainder to another batch, or from one. */
  readonly carryOvers: number;
  /** The first row of a payout, else the first of those; null where there is neither. */
  readonly at: Place | null;
  readonly payouts: number;
};

/** Where such a row stands. */
export type PayoutPlace = {
  readonly loadNo: number;
  readonly line: number;
  readonly type: string;
  readonly transactionId: string | null;
};

/** Returns the stated total: the sum of payouts; zero if everything is carried over. Null if nothing is stated. */
export const statedPayout = ({
  paidMinor,
  payouts,
  carryOvers,
}: Pick<PayoutRows<unknown>, 'paidMinor' | 'payouts' | 'carryOvers'>): Sums | null =>
  payouts + carryOvers === 0 ? null : { count: null, settlementMinor: paidMinor, feeMinor: null };

/** `missing_summary` of a complete batch: it has neither a payout row nor a summary. */
export const missingPayout = (): Discrepancy =>
  tell(
    'missing_summary',
    'No row of the settlement details says what is paid out, so their total cannot be checked.',
    {},
  );

/** `summary_mismatch` on the payout row. There is no tolerance. */
export function comparePayout(
  { all }: DetailsTotals,
  { at, paidMinor, payouts }: PayoutRows<PayoutPlace>,
  currency: Currency,
): Discrepancy[] {
  if (at === null || all.settlementMinor === paidMinor) return [];
  const amounts = sayAmounts(all.settlementMinor, paidMinor, currency);
  const message =
    payouts === 0
      ? `The rows, with the amount carried over, add up to ${amounts.reported} ${currency} instead of zero, and no row says that this is paid out.`
      : `The rows add up to ${amounts.reported} ${currency}, but ${amounts.recorded} ${currency} is paid out.`;
  const { line, type, transactionId } = at;
  return [tell('summary_mismatch', message, { line, type, transactionId, field: 'settlementAmount', ...amounts })];
}
