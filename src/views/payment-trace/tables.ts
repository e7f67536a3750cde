import { wayOfMoney } from '../bank/tables.ts';
import { dayOf } from '../batches/dropped.ts';
import type { Column } from '../output/columns.ts';
import { amountCell, dayCell, timeCell } from '../output/columns.ts';
import { minuteOf, table, wrap } from '../output/tables.ts';
import { cellsOf, movementsOf, type PaymentTrace, recordJson, rowJson, type ToldRow } from './trace.ts';

/** The rows of a story as an export has them. */
export const STORY_COLUMNS: readonly Column<ToldRow>[] = [
  { name: 'date', width: 11, cell: (row) => dayCell(row.settlementDate ?? row.transactionDate) },
  { name: 'settlementBatchId', width: 22, cell: (row) => row.settlementBatchId },
  { name: 'acquirer', width: 14, cell: (row) => row.acquirer },
  { name: 'file', width: 40, cell: (row) => row.file },
  { name: 'line', width: 8, cell: (row) => row.line },
  { name: 'revision', width: 8, cell: (row) => row.revision },
  { name: 'counts', width: 8, cell: (row) => (row.isCounted ? 'yes' : 'no') },
  { name: 'type', width: 16, cell: (row) => row.type },
  { name: 'requestId', width: 30, cell: (row) => row.requestId },
  { name: 'transactionId', width: 34, cell: (row) => row.transactionId },
  { name: 'originalRequestId', width: 30, cell: (row) => row.originalRequestId },
  { name: 'originalTransactionId', width: 34, cell: (row) => row.originalTransactionId },
  { name: 'amount', width: 14, cell: (row) => cell(rowJson(row).amount, row.currency) },
  { name: 'currency', width: 9, cell: (row) => row.currency },
  { name: 'settlementAmount', width: 17, cell: (row) => cell(rowJson(row).settlementAmount, row.batchCurrency) },
  { name: 'feeAmount', width: 12, cell: (row) => cell(rowJson(row).feeAmount, row.batchCurrency) },
  { name: 'settlementCurrency', width: 18, cell: (row) => row.batchCurrency },
  { name: 'paidAt', width: 11, cell: (row) => timeCell(row.paidAt) },
  { name: 'matchedBy', width: 13, cell: (row) => row.matchedBy },
  { name: 'rule', width: 60, cell: (row) => row.rule },
  { name: 'text', width: 80, cell: (row) => row.text ?? row.error },
];

const cell = (amount: string | null, currency: string | null) =>
  amount === null ? null : amountCell(amount, currency);

/** A story for people: the records, the rows, what was settled, what does not add up, and each line as it stands in the archive. */
export function* storyText(story: PaymentTrace): Generator<string> {
  yield `${story.requestId} of ${story.merchantId}\n\n`;
  yield story.records.length === 0 ? 'There is no record of it.\n\n' : `${recordsTable(story)}\n\n`;
  const none = story.dropped.length === 0 ? 'There is no report row of it.' : 'There is no report row of it any more.';
  yield story.rows.length === 0 ? `${none}\n\n` : `${rowsTable(story)}\n\n`;
  const movements = movementsOf(story);
  if (movements.length > 0) yield `${movementsTable(story)}\n\n`;
  for (const { settlementBatchId, payout, currency } of story.payouts)
    yield `batch ${settlementBatchId}: ${wayOfMoney(payout, currency)}\n`;
  yield story.discrepancies.length === 0 ? 'It never had a discrepancy.\n' : `${discrepanciesTable(story)}\n`;
  if (story.dropped.length > 0) yield `\n${droppedTable(story)}\n`;
  for (const row of story.rows) yield `\n${lineText(row)}`;
  if (story.isCut) yield '\nThere is more; only the first 1,000 are shown.\n';
}

const recordsTable = ({ records }: PaymentTrace): string =>
  table(
    ['record', 'request id', 'amount', 'currency', 'status', 'occurred', 'original', 'order'],
    records
      .map(recordJson)
      .map((record) => [
        record.type,
        record.requestId,
        record.amount,
        record.currency,
        record.status,
        minuteOf(record.occurredAt),
        record.originalRequestId,
        record.orderId,
      ]),
    [2],
  );

const rowsTable = ({ rows }: PaymentTrace): string =>
  table(
    ['date', 'batch or day', 'row', 'request id', 'amount', '', 'settled', 'fee', '', 'counts', 'matched by'],
    rows.map((row) => {
      const shown = rowJson(row);
      return [
        row.settlementDate ?? row.transactionDate,
        row.settlementBatchId ?? 'transactions',
        row.type,
        row.requestId,
        shown.amount,
        row.currency,
        shown.settlementAmount,
        shown.feeAmount,
        row.kind === 'settlementDetails' ? row.batchCurrency : null,
        row.isCounted ? 'yes' : `no (revision ${row.revision})`,
        row.matchedBy,
      ];
    }),
    [4, 6, 7],
  );

const movementsTable = (story: PaymentTrace): string =>
  table(
    ['settled', 'rows', 'amount', 'fee', 'currency'],
    movementsOf(story).map((of) => [of.type, of.count, of.settlementAmount, of.feeAmount, of.settlementCurrency]),
    [1, 2, 3],
  );

const discrepanciesTable = ({ discrepancies }: PaymentTrace): string =>
  table(
    ['what does not add up', 'batch or day', 'line', 'what it is', 'since', 'until', 'closed because'],
    discrepancies.map((row) => [
      row.kind,
      row.settlementBatchId ?? row.transactionDate,
      row.line,
      wrap(row.message, 60),
      minuteOf(row.since),
      row.until && minuteOf(row.until),
      wrap(row.closedBecause ?? '', 40),
    ]),
    [2],
  );

/** What the sums above are without. */
const droppedTable = ({ dropped }: PaymentTrace): string =>
  table(
    ['rows that retention dropped', 'batch or day', 'revision', 'dropped on', 'archived copy'],
    dropped.map((report) => [
      report.file,
      report.settlementBatchId ?? report.transactionDate,
      report.revision,
      dayOf(report.rowsDroppedAt),
      report.fileDroppedAt === null
        ? 'kept: settlestream replay reads it again'
        : `dropped on ${dayOf(report.fileDroppedAt)}`,
    ]),
    [2],
  );

function lineText(row: ToldRow): string {
  const place = `${row.file}, line ${row.line}, revision ${row.revision}${row.isCounted ? '' : ', which no longer counts'}`;
  const made = row.isSheet ? 'A row of a workbook, converted to text:\n' : '';
  const lines =
    row.text === null
      ? `The line cannot be shown: ${row.error}.\n`
      : `${made}${row.text}\n${table(
          ['column', 'says'],
          cellsOf(row).map(({ column, text }) => [column, text]),
        )}\n`;
  return `${place}\n${row.rule}\n${lines}`;
}
