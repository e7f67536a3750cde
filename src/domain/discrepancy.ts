import type { Currency } from './money/currency.ts';
import { formatAmount, type Money, magnitude } from './money/money.ts';

/** Every kind of discrepancy. docs/discrepancies.md describes each. */
export const KINDS = [
  'unknown_transaction',
  'amount_mismatch',
  'currency_mismatch',
  'status_mismatch',
  'unknown_status',
  'original_mismatch',
  'missing_key',
  'sign_mismatch',
  'unknown_type',
  'unit_mismatch',
  'duplicate_row',
  'settled_twice',
  'orphan_row',
  'over_refunded',
  'over_captured',
  'net_mismatch',
  'fee_breakdown_mismatch',
  'conversion_mismatch',
  'refused_row',
  'unread_column',
  'summary_mismatch',
  'total_mismatch',
  'missing_summary',
  'missing_details',
  'missing_part',
  'unreported_transaction',
  'unsettled_transaction',
  'settled_not_reported',
  'missing_report',
  'payout_missing',
  'payout_amount_mismatch',
  'payout_twice',
  'payout_returned',
  'unexplained_credit',
  'statement_gap',
  'statement_unbalanced',
  'missing_statement',
] as const;

/** Kinds that depend on time, in the service only: a call of `reconcile` treats the given files as everything there is. */
const TOLD_BY_TIME: readonly Kind[] = [
  'unsettled_transaction',
  'settled_not_reported',
  'missing_report',
  'missing_statement',
];

/** Kinds that one call of `reconcile` can report. */
export const KINDS_AT_ONCE: readonly Kind[] = KINDS.filter((kind) => !TOLD_BY_TIME.includes(kind));

export type Kind = (typeof KINDS)[number];

/**
 * Something that does not add up, as it is shown: amounts are decimal strings in major units.
 * Its merchant, batch or day and file are stored beside it.
 */
export type Discrepancy = {
  readonly kind: Kind;
  /** The physical line on which the row starts; null when it is about no row. */
  readonly line: number | null;
  readonly type: string | null;
  readonly requestId: string | null;
  readonly transactionId: string | null;
  readonly field: string | null;
  readonly reported: string | null;
  readonly recorded: string | null;
  /** reported − recorded: above zero, the provider reports more than the merchant recorded. Null if a side is null or no amount. */
  readonly difference: string | null;
  /** Currency of `reported` and `recorded` if these are amounts. */
  readonly currency: Currency | null;
  readonly message: string;
  /** Money at stake, as a magnitude; null if the kind has none. */
  readonly stake: Money | null;
};

/** Builds a discrepancy; fields that are left out are null. */
export const tell = (
  kind: Kind,
  message: string,
  said: Partial<Omit<Discrepancy, 'kind' | 'message'>>,
): Discrepancy => ({
  kind,
  line: null,
  type: null,
  requestId: null,
  transactionId: null,
  field: null,
  reported: null,
  recorded: null,
  difference: null,
  currency: null,
  stake: null,
  ...said,
  message,
});

/** Returns two amounts that should be equal, as the fields of a discrepancy; the stake is their difference. */
export const sayAmounts = (reportedMinor: bigint, recordedMinor: bigint, currency: Currency) => ({
  reported: formatAmount(reportedMinor, currency),
  recorded: formatAmount(recordedMinor, currency),
  difference: formatAmount(reportedMinor - recordedMinor, currency),
  currency,
  stake: { amountMinor: magnitude(reportedMinor - recordedMinor), currency },
});

/** Compares by code point, null first, as Postgres does with collation "C". JavaScript's `<` puts 😀 before ﬀ. */
export function compareText(a: string | null, b: string | null): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return codePointRank(left) - codePointRank(right);
  }
  return a.length - b.length;
}

/** Surrogates encode the highest code points, so they rank behind U+E000 to U+FFFF. */
const codePointRank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

export const BATCH_STATES = ['waiting', 'incomplete', 'discrepant', 'reconciled'] as const;
export type BatchState = (typeof BATCH_STATES)[number];

/**
 * Returns the state of a batch or day. Waiting wins over missing: a report that may still arrive is not missing yet. A batch of which nothing
 * was compared is not reconciled, even without a discrepancy.
 */
export function stateOf(batch: { waiting: boolean; missing: boolean; open: number; uncompared: boolean }): BatchState {
  if (batch.waiting) return 'waiting';
  if (batch.missing) return 'incomplete';
  if (batch.open > 0) return 'discrepant';
  return batch.uncompared ? 'incomplete' : 'reconciled';
}
