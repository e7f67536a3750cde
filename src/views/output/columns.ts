import { type Currency, isCurrency } from '../../domain/money/currency.ts';
import type { BatchView, DatedDiscrepancy, DiscrepancyView, HandledDiscrepancy } from '../batches/batches.sql.ts';
import { acceptedJson, ageOf, batchJson, matchedRowsOf, stateOfBatch } from '../batches/batches.ts';

/** What stands in a cell of an export: text, which stays text whatever it looks like; a count; an amount; a day (YYYY-MM-DD). */
export type Cell =
  | string
  | number
  | { readonly amount: string; readonly currency: Currency }
  | { readonly day: string }
  | null;

export type Column<Row> = {
  readonly name: string;
  /** How many characters of it a spreadsheet shows. */
  readonly width: number;
  readonly cell: (row: Row) => Cell;
};

export const BATCH_COLUMNS: readonly Column<BatchView>[] = [
  { name: 'date', width: 11, cell: (batch) => dayCell(batch.settlementDate ?? batch.day) },
  { name: 'merchantId', width: 20, cell: (batch) => batch.merchantId },
  { name: 'settlementBatchId', width: 22, cell: (batch) => batch.batchId },
  { name: 'acquirer', width: 14, cell: (batch) => batch.acquirer },
  { name: 'currency', width: 10, cell: (batch) => batch.currency },
  { name: 'state', width: 12, cell: stateOfBatch },
  { name: 'rows', width: 10, cell: (batch) => batch.facts.rows },
  { name: 'matchedRows', width: 13, cell: matchedRowsOf },
  { name: 'details', width: 18, cell: (batch) => settled(batch, ({ details }) => details?.settlementAmount) },
  { name: 'summary', width: 18, cell: (batch) => settled(batch, ({ summary }) => summary?.settlementAmount) },
  { name: 'residual', width: 18, cell: (batch) => settled(batch, ({ residual }) => residual) },
  { name: 'open', width: 10, cell: (batch) => batch.open },
  { name: 'since', width: 11, cell: (batch) => timeCell(ageOf(batch).since) },
  { name: 'ageDays', width: 9, cell: (batch) => ageOf(batch).ageDays },
  { name: 'accepted', width: 10, cell: (batch) => batch.accepted },
  { name: 'acceptedAmounts', width: 18, cell: (batch) => acceptedText(batch) || null },
];

/** Money that was accepted, one currency after the other. */
export const acceptedText = (batch: BatchView): string =>
  acceptedJson(batch)
    .amounts.map(({ currency, amount }) => `${amount} ${currency}`)
    .join('; ');

const DISCREPANCY_COLUMNS: readonly Column<DiscrepancyView>[] = [
  { name: 'kind', width: 24, cell: (row) => row.kind },
  { name: 'merchantId', width: 20, cell: (row) => row.merchantId },
  { name: 'settlementBatchId', width: 22, cell: (row) => row.settlementBatchId },
  { name: 'transactionDate', width: 16, cell: (row) => dayCell(row.transactionDate) },
  { name: 'file', width: 40, cell: (row) => row.file },
  { name: 'line', width: 10, cell: (row) => row.line },
  { name: 'type', width: 16, cell: (row) => row.type },
  { name: 'requestId', width: 30, cell: (row) => row.requestId },
  { name: 'transactionId', width: 34, cell: (row) => row.transactionId },
  { name: 'field', width: 24, cell: (row) => row.field },
  { name: 'reported', width: 18, cell: (row) => sideCell(row.reported, row) },
  { name: 'recorded', width: 18, cell: (row) => sideCell(row.recorded, row) },
  { name: 'difference', width: 18, cell: (row) => sideCell(row.difference, row) },
  { name: 'currency', width: 10, cell: (row) => row.currency },
  { name: 'message', width: 80, cell: (row) => row.message },
];

/** Its number, and how it is handled. */
const HANDLING_COLUMNS: readonly Column<HandledDiscrepancy>[] = [
  { name: 'no', width: 10, cell: (row) => Number(row.no) },
  { name: 'handling', width: 16, cell: (row) => row.handling?.state ?? null },
  { name: 'assignedTo', width: 16, cell: (row) => row.handling?.assignedTo ?? null },
];

/** To be filled in, and handed to `handle --file`. */
const ACTION_COLUMNS: readonly Column<HandledDiscrepancy>[] = ['action', 'reason', 'text', 'to', 'until'].map(
  (name) => ({
    name,
    width: name === 'text' ? 40 : 16,
    cell: () => null,
  }),
);

export const HANDLED_COLUMNS: readonly Column<HandledDiscrepancy>[] = [
  ...DISCREPANCY_COLUMNS,
  ...HANDLING_COLUMNS,
  ...ACTION_COLUMNS,
];

const SINCE: Column<DatedDiscrepancy> = { name: 'since', width: 11, cell: (row) => timeCell(row.since) };

/** With since when it is open. */
export const DATED_COLUMNS: readonly Column<DatedDiscrepancy>[] = [
  ...DISCREPANCY_COLUMNS,
  SINCE,
  ...HANDLING_COLUMNS,
  ...ACTION_COLUMNS,
];

/** With how they ended. What ended is not handled, so there is nothing to fill in. */
export const HISTORY_COLUMNS: readonly Column<DatedDiscrepancy>[] = [
  ...DISCREPANCY_COLUMNS,
  SINCE,
  { name: 'until', width: 11, cell: (row) => timeCell(row.until) },
  { name: 'closedBecause', width: 50, cell: (row) => row.closedBecause },
  ...HANDLING_COLUMNS,
];

/** The day of it, in UTC. */
export const timeCell = (time: Date | null): Cell => dayCell(time?.toISOString().slice(0, 10) ?? null);

export const dayCell = (day: string | null): Cell => (day === null ? null : { day });

export const amountCell = (amount: string, currency: string | null): Cell =>
  currency !== null && isCurrency(currency) ? { amount, currency } : amount;

/** A day settles nothing. */
function settled(batch: BatchView, of: (shown: ReturnType<typeof batchJson>) => string | null | undefined): Cell {
  const amount = batch.batchId === null ? null : of(batchJson(batch));
  return amount === null || amount === undefined ? null : amountCell(amount, batch.currency);
}

/** What a side says is an amount beside a currency, a count in the field of that name, and else a code, an id or raw text. */
function sideCell(text: string | null, { currency, field }: DiscrepancyView): Cell {
  if (text === null) return null;
  if (field === 'count') return /^\d{1,15}$/.test(text) ? Number(text) : text;
  return /^-?\d+(\.\d+)?$/.test(text) ? amountCell(text, currency) : text;
}
