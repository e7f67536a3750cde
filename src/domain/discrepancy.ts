import type { Currency } from './currency.ts';
import { formatAmount, type Money, magnitude } from './money.ts';

/** Every kind of discrepancy that can be told, in the order a reader meets them in the documentation. */
export const KINDS = [
  'unknown_transaction',
  'amount_mismatch',
  'currency_mismatch',
  'status_mismatch',
  'original_mismatch',
  'missing_key',
  'sign_mismatch',
  'unit_mismatch',
  'duplicate_row',
  'settled_twice',
  'orphan_row',
  'over_refunded',
  'net_mismatch',
  'fee_breakdown_mismatch',
  'conversion_mismatch',
  'refused_row',
  'summary_mismatch',
  'total_mismatch',
  'missing_summary',
  'missing_details',
  'missing_part',
  'unreported_transaction',
] as const;

export type Kind = (typeof KINDS)[number];

/**
 * Something that does not add up, as it is shown: amounts are decimal strings in major units.
 * Where it stands (merchant, batch or day, file) is known to whoever keeps it.
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
  /** reported − recorded: above zero, the provider says more than we do. Null when a side is null or no amount. */
  readonly difference: string | null;
  /** Currency of `reported` and `recorded` where these are amounts. */
  readonly currency: Currency | null;
  readonly message: string;
  /** How much money it is about, as a magnitude; null where the kind has none. */
  readonly stake: Money | null;
};

/** A discrepancy of which only what is named has to be said. */
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

/** Two amounts that should be one, shown side by side; the stake is what lies between them. */
export const sayAmounts = (reportedMinor: bigint, recordedMinor: bigint, currency: Currency) => ({
  reported: formatAmount(reportedMinor, currency),
  recorded: formatAmount(recordedMinor, currency),
  difference: formatAmount(reportedMinor - recordedMinor, currency),
  currency,
  stake: { amountMinor: magnitude(reportedMinor - recordedMinor), currency },
});

/** A discrepancy and where it stands: in a settlement batch, or on a transaction day. */
export type PlacedDiscrepancy = Discrepancy & {
  readonly merchantId: string;
  readonly settlementBatchId: string | null;
  readonly transactionDate: string | null;
  readonly file: string | null;
};

/** The promised order. What follows the transaction id only keeps the order the same when all before it is equal. */
export const compareDiscrepancies = (a: PlacedDiscrepancy, b: PlacedDiscrepancy): number =>
  compareText(a.settlementBatchId ?? a.transactionDate, b.settlementBatchId ?? b.transactionDate) ||
  compareText(a.file, b.file) ||
  (a.line ?? -1) - (b.line ?? -1) ||
  compareText(a.kind, b.kind) ||
  compareText(a.field, b.field) ||
  compareText(a.type, b.type) ||
  compareText(a.requestId, b.requestId) ||
  compareText(a.transactionId, b.transactionId) ||
  compareText(a.merchantId, b.merchantId) ||
  compareText(a.currency, b.currency) ||
  compareText(a.reported, b.reported) ||
  compareText(a.recorded, b.recorded);

/** Code point order, null first: what Postgres does with collation "C". JavaScript's `<` puts 😀 before ﬀ. */
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

/** Surrogates stand for code points above all others, so they move behind U+E000 to U+FFFF. */
const codePointRank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

/** Kinds that put money at stake. The others are counted only. */
const MONEY_KINDS: ReadonlySet<Kind> = new Set([
  'unknown_transaction',
  'amount_mismatch',
  'missing_key',
  'sign_mismatch',
  'duplicate_row',
  'settled_twice',
  'orphan_row',
  'over_refunded',
  'net_mismatch',
  'fee_breakdown_mismatch',
  'summary_mismatch',
  'total_mismatch',
  'unreported_transaction',
]);

/** Whether a kind is about money at all. */
export const hasStake = (kind: Kind): boolean => MONEY_KINDS.has(kind);

export type DiscrepancyTotal = {
  readonly kind: Kind;
  readonly currency: Currency | null;
  readonly count: number;
  /** Decimal string in major units; null where the kind has no money at stake or there is no currency to state it in. */
  readonly amountAtStake: string | null;
};

/** How many of each kind and currency, and how much money they are about. */
export function totalsByKind(discrepancies: Iterable<Discrepancy>): DiscrepancyTotal[] {
  const groups = new Map<string, { kind: Kind; currency: Currency | null; count: number; stakeMinor: bigint }>();
  for (const { kind, stake, currency: shown } of discrepancies) {
    // The stake may be in another currency than what is shown: a row unknown in EUR can have settled in USD.
    const currency = stake?.currency ?? shown;
    const key = `${kind} ${currency}`;
    const group = groups.get(key) ?? { kind, currency, count: 0, stakeMinor: 0n };
    groups.set(key, group);
    group.count += 1;
    group.stakeMinor += stake?.amountMinor ?? 0n;
  }
  return [...groups.values()]
    .sort((a, b) => compareText(a.kind, b.kind) || compareText(a.currency, b.currency))
    .map(({ kind, currency, count, stakeMinor }) => ({
      kind,
      currency,
      count,
      amountAtStake: currency && MONEY_KINDS.has(kind) ? formatAmount(stakeMinor, currency) : null,
    }));
}

/** Where a discrepancy keeps its identity: one batch (the currency is part of it) or one day of one merchant. */
export type Scope = {
  readonly merchantId: string;
  readonly batch: { readonly id: string; readonly currency: Currency; readonly settlementDate: string } | null;
  readonly transactionDate: string | null;
  readonly file: string | null;
};

/**
 * What makes a discrepancy the same one after a replay. Two of one run can share it (the second and third copy of a row);
 * `occurrence` counts them from 1 in the promised order.
 */
export function identityOf(discrepancy: Discrepancy, scope: Scope, occurrence = 1): string {
  const { kind, type, requestId, transactionId, field, line, recorded } = discrepancy;
  const { batch } = scope;
  const place = batch
    ? // Empty batches share an id of all zeros: only there the date tells them apart, elsewhere it may be corrected.
      ['batch', batch.id, batch.currency, /^0+$/.test(batch.id) ? batch.settlementDate : null]
    : ['day', scope.transactionDate];
  const id =
    requestId !== null ? ['request', requestId] : transactionId !== null ? ['transaction', transactionId] : null;
  // Missing parts have neither id nor file nor line: their number tells them apart.
  const instead = id ?? [scope.file, line, kind === 'missing_part' ? recorded : null];
  return JSON.stringify([kind, scope.merchantId, ...place, type, ...instead, field, occurrence]);
}

export type BatchState = 'waiting' | 'incomplete' | 'discrepant' | 'reconciled';

/** The state of a batch or day. Waiting wins over missing: what may still come is not yet missed. */
export const stateOf = (batch: { waiting: boolean; missing: boolean; open: number }): BatchState =>
  batch.waiting ? 'waiting' : batch.missing ? 'incomplete' : batch.open > 0 ? 'discrepant' : 'reconciled';
