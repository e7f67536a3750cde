export type ReportKind = 'transactionDetails' | 'settlementDetails' | 'settlementSummary';

/**
 * What an amount column is for.
 * - `fee`: what the report calls the fee; the sum of them is a row's fee. Part of net.
 * - `charge`: beside the fee, and part of net. `discount`: the same, but taken off.
 * - `breakdown`: says what the fee is made of, so it is inside it and no part of net.
 */
export type AmountRole = 'transaction' | 'converted' | 'settlement' | 'fee' | 'charge' | 'discount' | 'breakdown';

export type AmountColumn = { readonly column: string; readonly currencyColumn: string; readonly role: AmountRole };

/** What a transaction type carries, and what is expected of it. */
export type TypeRule = {
  /** A row of this type has the merchant's own request id. */
  readonly ownId: boolean;
  /** Its record is found by its own request id or by the original it names; `none` needs no record. */
  readonly matchBy: 'own' | 'original' | 'none';
  /** Which way its gross moves; absent where both are right. */
  readonly grossSign?: 1 | -1;
  /** Its fee is the settlement amount where no settlement amount stands. */
  readonly feeMaySettle?: true;
  /** It keeps money back as a safeguard, or gives it back. */
  readonly holding?: { readonly of: 'reserve' | 'collateral'; readonly step: 'withheld' | 'released' };
};

/** A report format as data: what a new provider or layout needs is a value of this type, not code. */
export type Format = {
  readonly name: string;
  /** Lower case, without the point. They are no part of a report's name. */
  readonly extensions: readonly string[];
  /** Where reports lie, of `{merchantId}` and `{date}` (yyyyMMdd). */
  readonly directory: string;
  /** Names without extension, of `{date} {psp} {currency} {batchId} {seq}`; the first that fits counts. */
  readonly names: Readonly<Record<ReportKind, readonly string[]>>;
  /** The first cell of the line that closes a report. */
  readonly endMarker: string;
  /** Every known column; a report may lack those that are not required. Order does not matter. */
  readonly columns: Readonly<Record<ReportKind, readonly string[]>>;
  readonly required: Readonly<Record<ReportKind, readonly string[]>>;
  /** Other names of a column, which count only where its own name is absent. */
  readonly aliases: Readonly<Record<string, readonly string[]>>;
  /** Every column that is read as an amount, with the column of its currency. */
  readonly amounts: Readonly<Record<ReportKind, readonly AmountColumn[]>>;
  /** Acquirers that print charges as positive numbers: these columns of theirs are deducted. */
  readonly deducted: Readonly<Record<string, readonly string[]>>;
  readonly types: Readonly<Record<string, TypeRule>>;
};
