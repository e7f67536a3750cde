import { parseTime } from '../calendar/time.ts';
import { RowRefused } from '../errors.ts';
import { type Currency, digitsOf, isCurrency } from '../money/currency.ts';
import { isAbsent, parseAmount } from '../money/money.ts';
import { isTooLong } from './cells.ts';
import type { LedgerRecord, LedgerStatus, LedgerType } from './record-types.ts';
import { hasLostDigits, isWrapped, meantBy } from './spreadsheet-id.ts';

/** A record of the merchant, as a line of its ledger file says it. */
export type ReadRecord = LedgerRecord & {
  /** Null: the only merchant. */
  readonly merchantId: string | null;
  readonly orderId: string | null;
  readonly source: string | null;
};

const REQUIRED = ['requestId', 'type', 'currency', 'status', 'occurredAt'] as const;
const OPTIONAL = ['amount', 'amountMinor', 'merchantId', 'orderId', 'originalRequestId', 'source'] as const;
/** What records are looked up by. */
const IDS: readonly string[] = ['requestId', 'originalRequestId', 'merchantId'];
export type RecordColumn = (typeof REQUIRED)[number] | (typeof OPTIONAL)[number];
export type RecordColumns = Readonly<Partial<Record<RecordColumn, number>>>;

/** Whether an id of the record stands in what spreadsheets put around ids. */
export const hasWrappedId = (cells: readonly string[], columns: RecordColumns): boolean =>
  IDS.some((column) => isWrapped(cells[columns[column as RecordColumn] ?? -1]?.trim() ?? ''));

export const LEDGER_TYPES: readonly string[] = [
  'PAYMENT',
  'AUTHORIZATION',
  'CAPTURE',
  'REFUND',
  'CANCEL',
  'VOID',
] satisfies LedgerType[];
export const LEDGER_STATUSES: readonly string[] = [
  'SUCCESS',
  'PENDING',
  'FAILED',
  'CANCELLED',
] satisfies LedgerStatus[];

/** Where the columns stand, and what is wrong with the header: columns that are missing or stand twice. */
export function readLedgerHeader(cells: readonly string[]): { columns: RecordColumns; problems: string[] } {
  const names = cells.map((cell) => cell.trim());
  const problems: string[] = [];
  const columns: Partial<Record<RecordColumn, number>> = {};
  for (const name of [...REQUIRED, ...OPTIONAL]) {
    const at = names.indexOf(name);
    if (at < 0) continue;
    columns[name] = at;
    if (names.lastIndexOf(name) !== at) problems.push(`column ${name} appears twice`);
  }
  for (const name of REQUIRED) if (columns[name] === undefined) problems.push(`column ${name} is missing`);
  if (columns.amount === undefined && columns.amountMinor === undefined)
    problems.push('column amount (or amountMinor) is missing');
  return { columns, problems };
}

/**
 * A record, from the cells of its line.
 * @throws RowRefused with the column and the reason.
 */
export function readRecord(cells: readonly string[], columns: RecordColumns): ReadRecord {
  const text = (column: RecordColumn): string | null => {
    const at = columns[column];
    if (at === undefined) return null;
    const cell = cells[at];
    if (cell === undefined) throw new RowRefused('too_few_cells', column, null);
    if (cell.includes('\0')) throw new RowRefused('nul_in_cell', column, cell);
    const trimmed = cell.trim();
    const value = IDS.includes(column) || column === 'orderId' ? meantBy(trimmed) : trimmed;
    if (IDS.includes(column) && hasLostDigits(value)) throw new RowRefused('lost_digits', column, trimmed);
    if (IDS.includes(column) && isTooLong(value)) throw new RowRefused('id_too_long', column, value);
    return isAbsent(value) ? null : value;
  };
  const needed = (column: RecordColumn, allowed?: readonly string[]): string => {
    const value = text(column);
    if (value === null) throw new RowRefused('missing_value', column, '');
    if (allowed && !allowed.includes(value))
      throw new RowRefused('not_allowed', column, `${value} (allowed: ${allowed.join(', ')})`);
    return value;
  };
  const currency = needed('currency');
  if (!isCurrency(currency)) throw new RowRefused('unknown_currency', 'currency', currency);
  return {
    requestId: needed('requestId'),
    type: needed('type', LEDGER_TYPES) as LedgerType,
    amountMinor: amountOf(text('amount'), text('amountMinor'), currency),
    currency,
    status: needed('status', LEDGER_STATUSES) as LedgerStatus,
    occurredAtMicros: parseTime(needed('occurredAt'), 'occurredAt'),
    merchantId: text('merchantId'),
    orderId: text('orderId'),
    originalRequestId: text('originalRequestId'),
    source: text('source'),
  };
}

/** Magnitudes: a record carries no sign. Where both columns are filled they must say the same. */
function amountOf(major: string | null, minor: string | null, currency: Currency): bigint {
  if (major === null && minor === null) throw new RowRefused('missing_value', 'amount', '');
  const [fromMajor, fromMinor] = [
    major === null ? null : parseAmount(major, digitsOf(currency), 'major', 'amount'),
    minor === null ? null : parseAmount(minor, digitsOf(currency), 'minor', 'amountMinor'),
  ];
  if (fromMajor !== null && fromMinor !== null && fromMajor !== fromMinor) {
    throw new RowRefused('contradicting_amounts', 'amount', `${major} and ${minor}`);
  }
  const amountMinor = fromMajor ?? fromMinor!;
  if (amountMinor < 0n)
    throw new RowRefused('negative_amount', major === null ? 'amountMinor' : 'amount', major ?? minor);
  return amountMinor;
}
