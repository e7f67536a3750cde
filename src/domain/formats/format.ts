export type ReportKind = 'transactionDetails' | 'settlementDetails' | 'settlementSummary';

/**
 * The columns that something is read from beside amounts, by the names they have here. A provider's own names for them are
 * aliases of these.
 */
export const MEANINGS = [
  'transactionType',
  'transactionRequestId',
  'transactionId',
  'originalTransactionRequestId',
  'originalTransactionId',
  'status',
  'paymentTime',
  'settlementTime',
  'settlementBatchId',
  'customerId',
  'acquirer',
  'installmentsNum',
  'quoteCurrencyPair',
  'quotePrice',
  'summaryType',
  'count',
] as const;

/** How the text of a report may be read, where its format or source says it. */
export type Encoding = 'utf8' | 'gb18030' | 'windows-1252';

/** The columns that hold the ids of a row. */
export const ID_COLUMNS = [
  'transactionRequestId',
  'transactionId',
  'originalTransactionRequestId',
  'originalTransactionId',
] as const;
export type IdColumn = (typeof ID_COLUMNS)[number];

/**
 * What an amount column is for.
 * - `fee`: what the report calls the fee; the sum of them is a row's fee. Part of net.
 * - `charge`: beside the fee, and part of net. `discount`: the same, but taken off.
 * - `breakdown`: says what the fee is made of, so it is inside it and no part of net.
 */
export const AMOUNT_ROLES = [
  'transaction',
  'converted',
  'settlement',
  'fee',
  'charge',
  'discount',
  'breakdown',
] as const;
export type AmountRole = (typeof AMOUNT_ROLES)[number];

export type AmountColumn = {
  readonly column: string;
  /** What goes out stands in a column of its own, without a sign: it is taken off what stands in `column`. */
  readonly debitColumn?: string;
  readonly currencyColumn: string;
  readonly role: AmountRole;
};

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
  /**
   * It is about no transaction, and has no gross. A row of it that names one of the merchant's and prints a gross moves that, whatever
   * it is called: it is compared like one of a type that is not listed.
   */
  readonly noGross?: true;
  /** It says what is paid out: the others' sum, and so no part of it. Printed below zero, unless `grossSign` is 1. */
  readonly isPayout?: true;
  /** It brings what is left over to another batch, or from one. A batch that has it may pay out nothing, and say nothing of that. */
  readonly isCarryOver?: true;
  /** Where its ids stand, if not in the columns of the same names; null: it has none, whatever stands there. */
  readonly ids?: { readonly [Column in IdColumn]?: string | null };
  /** It keeps money back as a safeguard, or gives it back. */
  readonly holding?: { readonly of: 'reserve' | 'collateral'; readonly step: 'withheld' | 'released' };
};

/** How a column of times is printed, where that is not ISO 8601 with an offset. */
export type TimeColumn = {
  /** The column that names the time zone, one of `zones`. */
  readonly zoneColumn?: string;
  /** A date alone is enough. */
  readonly mayBeDate?: true;
};

type Names = Readonly<Record<ReportKind, readonly string[]>>;

/** A report format as data, which JSON can hold: what a new provider or layout needs is a value of this type, not code. */
export type Format = {
  readonly name: string;
  /** Tells apart what a format of that name has meant at different times. What comes with the program has its name alone. */
  readonly id: string;
  /** Lower case, without the point. They are no part of a report's name. */
  readonly extensions: readonly string[];
  /** How its text is read; left out where the bytes tell it. */
  readonly encoding?: Encoding;
  /** Where reports lie, of `{merchantId}` and `{date}` (yyyyMMdd). */
  readonly directory: string;
  /** Names without extension, of `{date} {psp} {currency} {batchId} {seq}`; the first that fits counts. None: there is no such report. */
  readonly names: Names;
  /** Names of what the provider's portal hands out: the whole of a report in one file. */
  readonly portalNames: Names;
  /** The first cell of the line that closes a report; null: nothing says where it ends. */
  readonly endMarker: string | null;
  /** Every known column; a report may lack those that are not required. Order does not matter. */
  readonly columns: Names;
  readonly required: Names;
  /** Other names of a column, the first that is there; they count only where its own name is absent. */
  readonly aliases: Readonly<Record<string, readonly string[]>>;
  /** Every column that is read as an amount, with the column of its currency. */
  readonly amounts: Readonly<Record<ReportKind, readonly AmountColumn[]>>;
  /** Acquirers that print charges as positive numbers: these columns of theirs are deducted. `*` means all acquirers. */
  readonly deducted: Readonly<Record<string, readonly string[]>>;
  /** A price without a currency pair is that of one unit of the transaction currency. */
  readonly priceNeedsNoPair: boolean;
  /** A settlement amount may be blank as long as the row is not settled. */
  readonly mayBeUnsettled: boolean;
  /**
   * What `status` says of a transaction that is done, in upper case; `NONE` is a blank cell. A word that is in neither list is
   * told, and its row is compared as if it were done.
   */
  readonly doneStatuses: readonly string[];
  /** The same of a transaction that is not done: it is counted, and compared with nothing. Left out where there is none. */
  readonly notDoneStatuses?: readonly string[];
  /** Columns of times that are printed in a way of their own. */
  readonly times: Readonly<Record<string, TimeColumn>>;
  /** Offsets (`+01:00`) of time zones by the abbreviations that the report prints. */
  readonly zones: Readonly<Record<string, string>>;
  /** Our name for a type that the report calls otherwise. */
  readonly typeNames: Readonly<Record<string, string>>;
  readonly types: Readonly<Record<string, TypeRule>>;
};
