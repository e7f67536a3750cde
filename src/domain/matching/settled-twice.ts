import type { Currency } from '../money/currency.ts';

/** A settled row of one key (merchant, type, request id). */
export type SettledRow = {
  /** The batch's, `YYYY-MM-DD`; empty where it is not known. */
  readonly settlementDate: string;
  readonly batchId: string;
  /** The settlement currency: with the id it makes the batch. */
  readonly currency: Currency;
  readonly transactionId: string | null;
};

/** What has to be remembered of a key's earlier rows, however many they are. */
export type Earlier<R> = {
  readonly last: R;
  /** The latest before the last that is another transaction. */
  readonly other: R | null;
};

/**
 * Whether a row settles what was settled before, and by which row last. The rows of a key come one after the other, in the order
 * in which they settle; instalments, duplicates and rows that are not settled are not among them.
 */
export function settledBefore<R extends SettledRow>(earlier: Earlier<R> | null, row: R, lookbackDays = 120): R | null {
  const other = latestOther(earlier, row);
  return other !== null && daysBetween(other.settlementDate, row.settlementDate) <= lookbackDays ? other : null;
}

/** What is to be remembered when that row has passed. */
export const andAfter = <R extends SettledRow>(earlier: Earlier<R> | null, row: R): Earlier<R> => ({
  last: row,
  other: latestOther(earlier, row),
});

/** The same transaction in one batch is told as a duplicate, if it is one: it settles nothing again. */
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
