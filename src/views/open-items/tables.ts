import { amountCell, type Column, dayCell } from '../output/columns.ts';
import { minuteOf, table } from '../output/tables.ts';
import { awaitedText, isDue, missingText, type OpenLine, type OpenRecord } from './lines.ts';
import type { AgedSum, ExpectedSum, Missing, Waiting } from './open-items.ts';

/** Times with their minute: a due time is one. */
const timeText = (time: Date | null): string | null => (time === null ? null : time.toISOString());

export const LINE_COLUMNS: readonly Column<OpenLine>[] = [
  { name: 'what', width: 10, cell: (line) => line.what },
  { name: 'date', width: 11, cell: (line) => dayCell(line.date) },
  { name: 'merchantId', width: 20, cell: (line) => line.merchantId },
  { name: 'settlementBatchId', width: 22, cell: (line) => line.settlementBatchId },
  { name: 'type', width: 12, cell: (line) => line.type },
  { name: 'requestId', width: 30, cell: (line) => line.requestId },
  {
    name: 'amount',
    width: 16,
    cell: ({ amount, currency }) => (amount === null ? null : amountCell(amount, currency)),
  },
  { name: 'currency', width: 9, cell: (line) => line.currency },
  { name: 'missing', width: 40, cell: (line) => line.missing },
  { name: 'since', width: 25, cell: (line) => timeText(line.since) },
  { name: 'dueAt', width: 25, cell: (line) => timeText(line.dueAt) },
  { name: 'expectedOn', width: 11, cell: (line) => dayCell(line.expectedOn) },
  { name: 'age', width: 12, cell: (line) => line.age },
  { name: 'overdueDays', width: 12, cell: (line) => line.overdueDays },
];

export const SUM_COLUMNS: readonly Column<AgedSum>[] = [
  { name: 'merchantId', width: 20, cell: (sum) => sum.merchantId },
  { name: 'currency', width: 9, cell: (sum) => sum.currency },
  { name: 'age', width: 12, cell: (sum) => sum.age },
  { name: 'count', width: 10, cell: (sum) => sum.count },
  { name: 'amount', width: 18, cell: (sum) => amountCell(sum.amount, sum.currency) },
  { name: 'refundCount', width: 12, cell: (sum) => sum.refundCount },
  { name: 'refundAmount', width: 18, cell: (sum) => amountCell(sum.refundAmount, sum.currency) },
];

const nameOf = ({ settlementBatchId, settlementCurrency }: Waiting | Missing): string =>
  settlementBatchId === null ? 'transactions' : [settlementBatchId, settlementCurrency].filter(Boolean).join(' ');
const dateOf = ({ settlementDate, transactionDate }: Waiting | Missing) => settlementDate ?? transactionDate;
const minute = (time: Date | null): string | null => time && minuteOf(time);

export const waitingTable = (rows: readonly Waiting[]): string =>
  table(
    ['waiting', 'batch or day', 'settled so far', 'since', 'until', 'for'],
    rows.map((row) => [
      dateOf(row),
      nameOf(row),
      row.settlementAmount,
      minuteOf(row.since),
      minute(row.until),
      awaitedText(row),
    ]),
    [2],
  );

export const missingTable = (rows: readonly Missing[]): string =>
  table(
    ['missing', 'batch or day', 'what', 'was due', 'days overdue', 'reported since'],
    rows
      .filter(isDue)
      .map((row) => [
        dateOf(row),
        nameOf(row),
        missingText(row),
        minute(row.dueAt),
        row.overdueDays,
        minute(row.since),
      ]),
    [4],
  );

export const expectedTable = (rows: readonly Missing[]): string =>
  table(
    ['expected', 'batch or day', 'what', 'due'],
    rows.filter((row) => !isDue(row)).map((row) => [dateOf(row), nameOf(row), missingText(row), minute(row.dueAt)]),
  );

/** Whose it is, is said only where there are several merchants. */
const merchants = (rows: readonly { readonly merchantId: string }[]) => {
  const hasSeveral = new Set(rows.map(({ merchantId }) => merchantId)).size > 1;
  return (id: string): string[] => (hasSeveral ? [id] : []);
};

export function sumTable(rows: readonly AgedSum[]): string {
  const ofMerchant = merchants(rows);
  const at = ofMerchant('').length;
  return table(
    [...ofMerchant('merchant'), 'not settled yet', 'days overdue', 'count', 'amount', 'of these refunds', 'amount'],
    rows.map((row) => [
      ...ofMerchant(row.merchantId),
      row.currency,
      row.age,
      row.count,
      row.amount,
      row.refundCount,
      row.refundAmount,
    ]),
    [2, 3, 4, 5].map((column) => column + at),
  );
}

export function toComeTable(rows: readonly ExpectedSum[]): string {
  const ofMerchant = merchants(rows);
  const at = ofMerchant('').length;
  return table(
    [...ofMerchant('merchant'), 'to be settled on', 'reported by', 'currency', 'count', 'amount'],
    rows.map((row) => [
      ...ofMerchant(row.merchantId),
      row.expectedOn,
      minuteOf(row.dueAt),
      row.currency,
      row.count,
      row.amount,
    ]),
    [3, 4].map((column) => column + at),
  );
}

export const recordTable = (rows: readonly OpenRecord[]): string =>
  table(
    [
      'sold on',
      'merchant',
      'type',
      'request id',
      'amount',
      'currency',
      'to be settled on',
      'days overdue',
      'reported since',
    ],
    rows.map((row) => [
      row.transactionDate,
      row.merchantId,
      row.type,
      row.requestId,
      row.amount,
      row.currency,
      row.expectedOn,
      row.overdueDays ?? row.age,
      minute(row.since),
    ]),
    [4, 7],
  );
