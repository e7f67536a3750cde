/**
 * What changes nothing that anybody compares, and why: the only changes of a clean day that may stay green. Everything else has to be told.
 * The first entry that fits a change counts.
 */
import type { Change } from './changes.ts';
import type { CleanDay, SheetKind } from './clean-day.ts';

export type Neutral = {
  readonly kinds: readonly string[];
  readonly in?: readonly SheetKind[];
  readonly columns?: readonly string[];
  readonly formats?: readonly string[];
  readonly when?: (change: Change, day: CleanDay) => boolean;
  /** `absent`: nothing is said of it, neither that it is in order nor that it is not. `either`: chance decides. */
  readonly stays?: 'green' | 'absent' | 'either';
  readonly why: string;
};

const REPORTS: readonly SheetKind[] = ['transactionDetails', 'settlementDetails', 'settlementSummary'];
const DETAILS: readonly SheetKind[] = ['transactionDetails', 'settlementDetails'];
const ADYEN = ['adyen-settlement-details'];
const LAYOUTS = ['apo', 'antom'];

const OF_IDS = ['id', 'id in another case', 'id of another row', 'id emptied', 'blank id filled'];
const COLUMN_AWAY = ['column renamed', 'column gone'];
/** The provider's ids: the merchant's records do not know them. */
const PROVIDERS_IDS = [
  'transactionId',
  'originalTransactionId',
  'Our Reference',
  'Psp Reference',
  'Modification Reference',
];

const typeOf = ({ row }: Change): string =>
  row['transactionType'] ?? row['Type'] ?? row['Kind'] ?? row['summaryType'] ?? row['type'] ?? '';
const isOneOf =
  (...types: readonly string[]) =>
  (change: Change) =>
    types.includes(typeOf(change));

/** Whose a report is, and of which batch. */
const WHOSE = ['settlementBatchId', 'customerId', 'Payout', 'Shop', 'Batch Number', 'Merchant Account'];
const WORDS_OF_STATUS = ['status', 'State'];

/** Amount and settlement are in one currency, so that no price is needed. */
const isOneCurrency = ({ row }: Change): boolean =>
  (row['transactionCurrency'] ?? row['Gross Currency'] ?? row['Currency']) ===
  (row['settlementCurrency'] ?? row['Net Currency']);
/** All amounts in the currency of this column are zero or blank. */
const isOfNothing = ({ row, column }: Change, { roles }: CleanDay): boolean =>
  Object.entries(row).every(([name, text]) => {
    const role = roles[name];
    return role?.is !== 'amount' || role.currencyColumn !== column || Number(text) === 0;
  });

/** These are found by what they name: disputes, and what takes a refund back. */
const byOriginal = isOneOf(
  'DISPUTE',
  'DISPUTE_REVERSAL',
  'REFUND_REVERSAL',
  'Chargeback',
  'ChargebackReversed',
  'RefundedReversed',
);
const withoutRecord = isOneOf(
  'SETTLEMENT_FEE',
  'RESERVE_WITHHOLDING',
  'Fee',
  'Balancetransfer',
  'MerchantPayout',
  'Monthly Fee',
);
const WITHOUT_RECORD = ['Fee', 'Balancetransfer', 'MerchantPayout'];
const isPending = ({ row }: Change): boolean => row['requestId'] === 'p-14';
const isNotDoneWord = (word: string): boolean => ['OPEN', 'FAIL'].includes(word);
const isNotDone = ({ row }: Change): boolean =>
  isNotDoneWord(WORDS_OF_STATUS.map((column) => row[column]).find(Boolean) ?? '');
/** Authorizations that the merchant's records have as cancelled. */
const isOfCancelled = ({ row }: Change): boolean => ['a-6', 'a-7'].includes(row['transactionRequestId'] ?? '');
/** The records of the month before, which only rows of disputes and reversals name. */
const isOfBefore = ({ row }: Change): boolean => ['p-20', 'r-21', 'p-22'].includes(row['requestId'] ?? '');

export const NEUTRAL: readonly Neutral[] = [
  {
    kinds: [
      'lines end as on Windows',
      'byte order mark',
      'all cells quoted',
      'white space around cells',
      'blank lines',
      'more cells than columns',
      'columns in another order',
      'rows in another order',
      'name in another case',
      'the same content beside it',
      'empty column added',
      'textual column added',
    ],
    why: 'the same is said in another way, or said twice',
  },
  { kinds: ['text', 'text emptied'], why: 'free text: nothing is read from it' },
  {
    kinds: COLUMN_AWAY,
    when: ({ column }, day) => !(column! in day.roles),
    why: 'free text: nothing is read from it',
  },
  {
    kinds: ['column status added, all done'],
    in: DETAILS,
    formats: [...LAYOUTS, 'corner'],
    why: 'it says of every row what was held to be so without it',
  },
  {
    kinds: [
      'column status added, nothing done',
      'column status added, unknown words',
      'column status added, one not done',
      'column status added, all done',
    ],
    in: ['settlementSummary'],
    why: 'the rows of a summary are sums, which have no status',
  },

  // ---- amounts
  {
    kinds: ['amount by a unit'],
    in: DETAILS,
    when: ({ column }) =>
      [
        'taxFeeAmountValue',
        'processingFeeAmountValue',
        'nonGuaranteeCouponValue',
        'disputeHandlingFee',
        'disputeReverseFee',
        'Tax',
      ].includes(column!),
    formats: ['apo', 'corner'],
    why: 'a charge beside the fee is in no sum but the net of its row, which has a tolerance of two units',
  },
  {
    kinds: ['amount by a unit'],
    in: ['settlementDetails'],
    columns: ['interchangeFeeAmountValue', 'schemeFeeAmountValue', 'acquirerMarkupAmountValue'],
    formats: ['apo'],
    why: 'what the fee is made of has a tolerance of two units',
  },
  {
    kinds: ['amount by a unit'],
    in: ['settlementDetails'],
    columns: ['convertedTransactionAmountValue'],
    why: 'a conversion has a tolerance of two units',
  },
  {
    kinds: ['amount by a unit'],
    in: ['settlementDetails'],
    columns: ['Commission (NC)', 'Markup (NC)', 'Scheme Fees (NC)', 'Interchange (NC)'],
    why: 'fees that no total states are only in the net of their row, which has a tolerance of two units',
  },
  {
    kinds: ['amount emptied'],
    in: ['settlementSummary', 'settlementDetails'],
    when: ({ from }) => Number(from) === 0,
    why: 'a blank cell is zero in a column that others fill',
  },
  {
    kinds: ['amount emptied'],
    in: ['settlementSummary'],
    columns: ['feeAmountValue'],
    when: isOneOf('TOTAL'),
    why: 'a summary need not state this total: it is compared by type',
  },
  {
    kinds: ['count emptied'],
    in: ['settlementSummary'],
    when: ({ row }) => (row['summaryType'] ?? 'TOTAL') === 'TOTAL',
    why: 'a summary need not state this total: coverage says that it could not be compared',
  },

  // ---- currencies
  {
    kinds: ['currency', 'currency unknown', 'currency emptied'],
    in: ['settlementSummary'],
    when: (change, day) => change.column !== 'settlementCurrency' && isOfNothing(change, day),
    stays: 'either',
    why: 'nothing in whichever currency is nothing; an unknown word is told nevertheless',
  },
  {
    kinds: ['currency emptied'],
    in: ['settlementDetails', 'settlementSummary'],
    columns: ['settlementCurrency', 'Net Currency'],
    stays: 'either',
    why: "the report's name says it, or its other rows; fees beside it want one",
  },

  // ---- ids
  {
    kinds: [
      'blank id filled',
      'blank pair filled',
      'blank price filled',
      'id',
      'id in another case',
      'id of another row',
      'id emptied',
    ],
    in: ['settlementDetails'],
    when: (change) => withoutRecord(change) && !WHOSE.includes(change.column ?? ''),
    stays: 'either',
    why: 'fees and reserves need no record: no id of theirs is compared',
  },
  {
    kinds: [...OF_IDS, ...COLUMN_AWAY],
    in: ['transactionDetails'],
    columns: PROVIDERS_IDS,
    why: "the provider's ids are compared with nothing",
  },
  {
    kinds: [...OF_IDS],
    in: ['settlementDetails'],
    columns: PROVIDERS_IDS,
    why: "the provider's ids are compared with nothing",
  },
  {
    kinds: COLUMN_AWAY,
    in: ['settlementDetails'],
    columns: ['Our Reference'],
    why: "the provider's ids are compared with nothing, and this format can do without",
  },
  {
    kinds: ['id emptied'],
    in: REPORTS,
    columns: WHOSE,
    why: 'a blank cell is no contradiction to the name and to the other rows',
  },
  {
    kinds: COLUMN_AWAY,
    in: REPORTS,
    columns: ['customerId', 'Shop', 'Payout', 'Merchant Account'],
    when: (change) => change.column !== 'Payout' || change.in === 'settlementDetails',
    why: 'whose report it is, and of which batch, its directory and name say',
  },
  {
    kinds: COLUMN_AWAY,
    in: ['transactionDetails', 'settlementDetails'],
    columns: ['originalTransactionId', 'originalTransactionRequestId', 'Refers To'],
    stays: 'either',
    why: 'either of the two leads to the original',
  },
  {
    kinds: ['id emptied'],
    in: DETAILS,
    columns: ['originalTransactionRequestId', 'Refers To', 'Merchant Reference'],
    when: (change) => change.column !== 'Merchant Reference' || isOneOf('Refunded')(change) || byOriginal(change),
    stays: 'either',
    why: "the original's transaction id leads to the same payment",
  },
  {
    kinds: ['id', 'id in another case', 'id of another row'],
    in: ['settlementDetails'],
    columns: ['transactionRequestId'],
    when: isOneOf('REFUND_REVERSAL'),
    why: 'it is found by its original: the merchant has no record of its own',
  },
  {
    kinds: ['blank id filled'],
    in: ['settlementDetails'],
    columns: ['Your Reference', 'transactionRequestId'],
    when: byOriginal,
    why: 'it is found by its original',
  },
  {
    kinds: ['id of another row'],
    in: ['settlementDetails'],
    columns: ['originalTransactionRequestId', 'Merchant Reference', 'Refers To'],
    when: byOriginal,
    stays: 'either',
    why: 'another payment of the merchant that is large enough may be disputed, too',
  },

  // ---- what needs no record
  {
    kinds: [
      'blank pair filled',
      'blank price filled',
      'price',
      'price ten times',
      'price with the other sign',
      'price emptied',
    ],
    in: ['settlementDetails'],
    when: isOneCurrency,
    why: 'an amount in the currency of its settlement is what it is, whatever a price says',
  },
  {
    kinds: ['blank id filled'],
    in: ['settlementDetails'],
    columns: ['Modification Merchant Reference'],
    when: (change) => isOneOf('Settled')(change) || byOriginal(change),
    why: 'a payment has no modification, and a dispute none of the merchant: nothing is read there',
  },
  {
    kinds: ['type unknown'],
    in: ['settlementDetails'],
    formats: ['corner'],
    when: byOriginal,
    why: 'a type that is not listed and names an original is found by it, as this one is',
  },
  {
    kinds: ['id', 'id in another case'],
    in: ['settlementSummary'],
    formats: ['corner'],
    columns: ['Shop'],
    why: 'the only row of a summary: its sums are compared to the cent, whoever is named',
  },
  {
    kinds: ['amount with the other sign'],
    in: ['transactionDetails'],
    when: isOneOf('AUTHORIZATION', 'CANCEL'),
    why: 'no money moves: either sign is printed',
  },
  {
    kinds: ['amount emptied', 'column gone'],
    in: ['settlementDetails'],
    columns: ['convertedTransactionAmountValue'],
    why: 'it need not stand there: the settlement is computed from amount and price',
  },
  {
    kinds: ['amount emptied'],
    in: ['settlementSummary'],
    formats: ['corner'],
    columns: ['Cost'],
    why: 'a summary need not state it: coverage says that it could not be compared',
  },
  {
    kinds: [
      'amount by a unit',
      'amount by three units',
      'amount ten times',
      'currency',
      'type',
      'row dropped',
      'id',
      'id of another row',
      'id in another case',
      'amount with the other sign',
      'amount unreadable',
      'amount emptied',
      'currency unknown',
      'currency emptied',
      'type unknown',
      'type emptied',
      'id emptied',
      'status unknown',
      'status emptied',
      'time unreadable',
      'time emptied',
    ],
    in: ['records'],
    when: isPending,
    why: 'what is pending is neither reported as done nor missed; what is refused of it is told by the call',
  },
  {
    kinds: ['status'],
    in: ['records'],
    when: (change) => isPending(change) && change.to !== 'SUCCESS',
    why: 'one that is not done for another reason',
  },

  {
    kinds: ['type'],
    in: ['settlementDetails'],
    formats: ADYEN,
    when: ({ from, to }) => WITHOUT_RECORD.includes(from) && WITHOUT_RECORD.includes(to),
    stays: 'either',
    why: 'neither needs a record, and all add up on whichever side a row stands: coverage tells how much of each there is',
  },
  {
    kinds: ['type'],
    in: ['settlementDetails'],
    formats: ['corner', ...ADYEN],
    when: ({ from, to }) => ['Refunded', 'Return'].includes(from) && to === 'Chargeback',
    why: 'a part of the payment goes back to who paid: that may be disputed as well, and both are summed against the payment; that no settlement has the refund, time tells',
  },
  {
    kinds: ['type'],
    in: ['settlementDetails'],
    formats: ['corner'],
    when: ({ from, to }) => from === 'Chargeback' && to === 'Monthly Fee',
    why: 'it names its original and prints a gross, so it is found by that, as a dispute is',
  },
  {
    kinds: ['type'],
    in: ['settlementDetails'],
    formats: ADYEN,
    when: ({ from, to }) => from === 'ChargebackReversed' && to === 'Settled',
    why: 'the whole of a payment comes in, and no other batch that is there has it',
  },
  {
    kinds: ['blank amount filled'],
    in: ['settlementDetails'],
    formats: ADYEN,
    when: (change) => isOneOf('MerchantPayout')(change) && !change.column!.startsWith('Net '),
    why: 'a payout is its net: it has no gross, and costs nothing',
  },

  {
    kinds: ['type'],
    in: ['transactionDetails'],
    when: (change) => isOfCancelled(change) && ['SETTLEMENT_FEE', 'RESERVE_WITHHOLDING'].includes(change.to),
    why: 'a fee needs no record, and the record says that it was cancelled: what moved no money need not be reported',
  },
  {
    kinds: ['row dropped'],
    in: ['transactionDetails'],
    when: isOfCancelled,
    why: 'the record says that it was cancelled: what moved no money need not be reported',
  },
  {
    kinds: ['status'],
    in: ['transactionDetails'],
    when: (change) => isOfCancelled(change) && isNotDoneWord(change.to),
    why: 'the record says that it was cancelled: neither side has it as done',
  },

  // ---- rows that are not done
  {
    kinds: [
      'row dropped',
      'row doubled',
      "row doubled under another id of the provider's",
      'row added',
      ...OF_IDS,
      'amount by a unit',
      'amount by three units',
      'amount ten times',
      'amount emptied',
      'amount with the other sign',
      'currency',
      'type',
      'type unknown',
      'blank amount filled',
    ],
    in: ['transactionDetails'],
    when: isNotDone,
    stays: 'either',
    why: 'what is not done is compared with nothing',
  },

  {
    kinds: ['file cut behind a line'],
    in: ['transactionDetails'],
    formats: ['corner'],
    when: ({ to }) => to === '6 lines',
    why: 'nothing says where such a file ends, and only a row is missing that is not done',
  },

  // ---- times
  { kinds: ['time'], why: 'times are not compared: the directory says the day' },
  {
    kinds: ['time unreadable'],
    in: ['transactionDetails'],
    formats: ['antom'],
    columns: ['transactionCreationTime'],
    why: 'the time of completion stands beside it, and is the one that is read',
  },
  {
    kinds: ['time emptied'],
    in: REPORTS,
    stays: 'either',
    why: 'times are not compared; some formats cannot do without',
  },
  {
    kinds: COLUMN_AWAY,
    in: REPORTS,
    columns: [
      'paymentTime',
      'settlementTime',
      'transactionCreationTime',
      'transactionCompletionTime',
      'settlementInitiatedDate',
      'Booked',
      'Zone',
    ],
    stays: 'either',
    why: 'times are not compared; some formats cannot do without',
  },

  // ---- the summary
  {
    kinds: ['row dropped'],
    in: ['settlementSummary'],
    when: isOneOf('TOTAL'),
    why: 'a summary need not state its total: the sum of its rows is it',
  },
  {
    kinds: ['column gone'],
    in: ['settlementSummary'],
    columns: ['count', 'feeAmountValue', 'Lines', 'Cost'],
    why: 'a summary need not state it: coverage says that it could not be compared',
  },

  // ---- files
  {
    kinds: ['file dropped'],
    in: ['transactionDetails'],
    stays: 'absent',
    why: 'what is there is all there is; the standing service has a calendar',
  },
  {
    kinds: ['file dropped'],
    in: ['settlementDetails'],
    formats: ADYEN,
    stays: 'absent',
    why: 'what is there is all there is; the standing service has a calendar',
  },
  {
    kinds: ['older content of an older day beside it'],
    in: ['settlementDetails', 'settlementSummary'],
    why: 'the later day is the revision',
  },
  { kinds: ['file with another date in its name'], in: ['transactionDetails'], why: 'the directory says the day' },

  // ---- records
  { kinds: ['row doubled'], in: ['records'], why: 'the same record again changes nothing' },
  {
    kinds: ['blank id filled', 'id emptied'],
    in: ['records'],
    columns: ['originalRequestId'],
    why: 'two originals are compared where both sides name one',
  },
  {
    kinds: ['row added'],
    in: ['records'],
    when: (change) => isOfBefore(change),
    why: 'of a day whose report is not there',
  },
  {
    kinds: ['row added'],
    in: ['records'],
    when: ({ row }) => row['status'] !== 'SUCCESS',
    why: 'what is not done need not be reported',
  },
  { kinds: ['row added'], in: ['records'], formats: ADYEN, why: 'no report says what happened on a day' },
  {
    kinds: ['amount by a unit', 'amount ten times'],
    in: ['records'],
    when: isOfBefore,
    why: 'a dispute may be about a part of its payment',
  },
  {
    kinds: ['status'],
    in: ['records'],
    when: isOfBefore,
    why: 'of what a dispute is about the status is not compared',
  },
  {
    kinds: ['type'],
    in: ['records'],
    when: isOfBefore,
    stays: 'either',
    why: 'what a dispute is about may be a payment, a capture or an authorization',
  },
  {
    kinds: ['id', 'id in another case', 'id of another row'],
    in: ['records'],
    columns: ['originalRequestId'],
    when: (change) => isOfBefore(change),
    stays: 'either',
    why: 'whose refund it was that is taken back, no row of the report says',
  },
  {
    kinds: ['status'],
    in: ['records'],
    when: ({ row, to }) => row['status'] === 'CANCELLED' && to === 'SUCCESS',
    why: 'it was done before it was cancelled',
  },
];

export function neutralOf(change: Change, day: CleanDay): Neutral | null {
  const fits = ({ kinds, in: sheets, columns, formats, when }: Neutral) =>
    kinds.includes(change.kind) &&
    (sheets?.includes(change.in) ?? true) &&
    (columns?.includes(change.column ?? '') ?? true) &&
    (formats?.includes(day.format) ?? true) &&
    (when?.(change, day) ?? true);
  return NEUTRAL.find(fits) ?? null;
}
