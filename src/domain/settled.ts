import { compareText } from './discrepancy.ts';
import type { LedgerRecord } from './match.ts';
import { magnitude } from './money.ts';

/** Where a settled row stands among all batches of a merchant. */
export type SettledPlace = {
  /** The batch's, `YYYY-MM-DD`; empty where it is not known. */
  readonly settlementDate: string;
  readonly batchId: string;
  /** The settlement currency: with the id it makes the batch. */
  readonly currency: string;
  /** The order in which the batch's parts are read. */
  readonly fileOrder: number;
  readonly line: number;
};

/** A settled row of one key (merchant, type, request id). */
export type SettledRow = SettledPlace & {
  readonly transactionId: string | null;
  readonly inInstalments: boolean;
  readonly hasSettlement: boolean;
  readonly isDuplicate: boolean;
};

/**
 * The rows of one key which settle what was settled before, each with the row that did so last.
 * An instalment, a row without a settlement amount and a duplicate neither settle twice nor are what was settled first.
 */
export function findSettledTwice<R extends SettledRow>(
  rowsOfKey: readonly R[],
  lookbackDays = 120,
): { row: R; other: R }[] {
  const rows = rowsOfKey
    .filter((row) => row.hasSettlement && !row.inInstalments && !row.isDuplicate)
    .sort(compareSettledPlaces);
  const found: { row: R; other: R }[] = [];
  for (const [at, row] of rows.entries()) {
    let before = at - 1;
    while (before >= 0 && isSameTransaction(rows[before]!, row)) before--;
    const other = rows[before];
    if (other && daysBetween(other.settlementDate, row.settlementDate) <= lookbackDays) {
      found.push({ row, other });
    }
  }
  return found;
}

/** A row of type REFUND or REFUND_REVERSAL that leads to one payment. */
export type RefundRow = SettledPlace & {
  readonly type: 'REFUND' | 'REFUND_REVERSAL';
  readonly requestId: string | null;
  /** Transaction amount, whatever its sign. */
  readonly amountMinor: bigint;
  readonly transactionCurrency: string;
  readonly hasSettlement: boolean;
  readonly isDuplicate: boolean;
  /** Its report has a `unit_mismatch`. */
  readonly wrongUnit: boolean;
};

/**
 * Whether more of a payment was refunded than paid, over all batches: the sum of all refunds, and the row that first went over.
 * A sum that later reversals bring back is not told.
 */
export function findOverRefunded<R extends RefundRow>(
  payment: LedgerRecord,
  refundRows: readonly R[],
): { row: R; sumMinor: bigint } | null {
  const counted = refundRows.filter(
    (row) => !row.isDuplicate && !row.wrongUnit && row.transactionCurrency === payment.currency,
  );
  // A row that waits for its exchange rate comes again when it is settled; the refund is the same one.
  const settled = new Set(counted.filter((row) => row.hasSettlement).map(keyOf));
  const rows = counted
    .filter((row) => row.hasSettlement || row.requestId === null || !settled.has(keyOf(row)))
    .sort(compareSettledPlaces);
  const paid = magnitude(payment.amountMinor);
  let sumMinor = 0n;
  let first: R | null = null;
  for (const row of rows) {
    sumMinor += row.type === 'REFUND' ? magnitude(row.amountMinor) : -magnitude(row.amountMinor);
    if (sumMinor > paid) first ??= row;
  }
  return first && sumMinor > paid ? { row: first, sumMinor } : null;
}

const keyOf = (row: RefundRow): string => `${row.type} ${row.requestId}`;

/** Settlement date, batch id, file, line: a batch's currency stands before the sequence in its files' names. */
const compareSettledPlaces = (a: SettledPlace, b: SettledPlace): number =>
  compareText(a.settlementDate, b.settlementDate) ||
  compareText(a.batchId, b.batchId) ||
  compareText(a.currency, b.currency) ||
  a.fileOrder - b.fileOrder ||
  a.line - b.line;

const isSameTransaction = (a: SettledRow, b: SettledRow): boolean =>
  a.settlementDate === b.settlementDate &&
  a.batchId === b.batchId &&
  a.currency === b.currency &&
  a.transactionId === b.transactionId;

/** Calendar days; both dates are read as UTC midnights, so no clock change can shorten a day. An unknown date is near any other. */
const daysBetween = (from: string, to: string): number =>
  from === '' || to === '' ? 0 : (Date.parse(to) - Date.parse(from)) / 86_400_000;
