import type { Currency } from '../money/currency.ts';

/** A settled row of one key (merchant, type, request id). */
export type SettledRow = {
  /** The batch's, `YYYY-MM-DD`; empty if unknown. */
  readonly settlementDate: string;
  readonly batchId: string;
  /** The settlement currency: with the id it makes the batch. */
  readonly currency: Currency;
  readonly transactionId: string | null;
};

/** What is remembered of a key's earlier rows, however many they are. */
export type Earlier<R> = {
  readonly last: R;
  /** The latest row before the last that is another transaction. */
  readonly other: R | null;
};

/**
 * Returns the last row that settled the same before; null if none did. The rows of a key come in the order in which they settle, without
 * instalments, duplicates and unsettled rows.
 */
export function settledBefore<R extends SettledRow>(earlier: Earlier<R> | null, row: R, lookbackDays = 120): R | null {
  const other = latestOther(earlier, row);
  return other !== null && daysBetween(other.settlementDate, row.settlementDate) <= lookbackDays ? other : null;
}

/** Returns what is remembered after that row. */
export const andAfter = <R extends SettledRow>(earlier: Earlier<R> | null, row: R): Earlier<R> => ({
  last: row,
  other: latestOther(earlier, row),
});

/** The same transaction in one batch is reported as a duplicate, if it is one: it is not settled twice. */
const latestOther = <R extends SettledRow>(earlier: Earlier<R> | null, row: R): R | null =>
  earlier === null ? null : isSameTransaction(earlier.last, row) ? earlier.other : earlier.last;

const isSameTransaction = (a: SettledRow, b: SettledRow): boolean =>
  a.settlementDate === b.settlementDate &&
  a.batchId === b.batchId &&
  a.currency === b.currency &&
  a.transactionId === b.transactionId;

/** Calendar days; both dates are read as UTC midnights, so no clock change can shorten a day. An unknown date is near any other. */
const daysBetween = (from: string, to: string): number =>
  from === '' || to === '' ? 0 : (Date.parse(to) - Date.parse(from)) / 86_400_000;
