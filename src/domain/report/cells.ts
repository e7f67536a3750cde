import { parseTime } from '../calendar/time.ts';
import { type Discrepancy, tell } from '../discrepancy.ts';
import { type RowRefusalCode, RowRefused } from '../errors.ts';
import { type Format, ID_COLUMNS, type ReportKind, type TypeRule } from '../formats/format.ts';
import type { Currency } from '../money/currency.ts';
import { type AmountUnit, isAbsent } from '../money/money.ts';
import { type Columns, printedName } from './header.ts';
import { hasLostDigits, meantBy } from './spreadsheet-id.ts';

/** What the cells of a row are read against: the report's header, what its name says, and the source's settings. */
export type CellsContext = {
  readonly kind: ReportKind;
  readonly columns: Columns;
  readonly format: Format;
  readonly batchId: string | null;
  readonly settlementCurrency: Currency | null;
  readonly amountUnit: AmountUnit;
};

/** Throws RowRefused unless the row has a cell for every column, nothing beyond them, and text in all of them. */
export function checkShape(cells: readonly string[], { width, names }: Columns): void {
  if (cells.length < width) {
    const column = names.slice(cells.length).find((name) => name !== '') ?? null;
    throw new RowRefused('too_few_cells', column, null);
  }
  for (let index = width; index < cells.length; index += 1) {
    if (cells[index]!.trim() !== '') throw new RowRefused('surplus_cell', null, asLine(cells));
  }
  const bad = cells.findIndex((cell) => cell.includes('\0'));
  if (bad >= 0) throw new RowRefused('nul_in_cell', names[bad] || null, cells[bad]!.trim());
}

/** The trimmed text of a cell; null when it is absent, or the report has no such column. */
export function textOf(cells: readonly string[], columns: Columns, column: string): string | null {
  const index = columns.at[column];
  if (index === undefined) return null;
  const text = cells[index]!.trim();
  return isAbsent(text) ? null : text;
}

/** The longest id or type, in UTF-8: an entry of an index holds some 2,700 bytes, and may be made of two of them. */
export const MAX_ID_BYTES = 1_000;

/** Whether an index may not hold it. No UTF-16 unit takes more than three bytes. */
export const isTooLong = (id: string): boolean =>
  id.length > MAX_ID_BYTES || (id.length * 3 > MAX_ID_BYTES && Buffer.byteLength(id) > MAX_ID_BYTES);

/** As `textOf`, for ids: what is meant by what a spreadsheet made of them. Throws RowRefused when one is not what it was. */
export function idTextOf(cells: readonly string[], columns: Columns, column: string): string | null {
  const text = textOf(cells, columns, column);
  const id = text === null ? '' : meantBy(text);
  if (hasLostDigits(id)) throw refusal('lost_digits', cells, columns, column);
  return isAbsent(id) ? null : id;
}

/** The same, for what is looked up by: throws RowRefused when it is too long for that, too. */
export function idOf(
  cells: readonly string[],
  { columns }: Pick<CellsContext, 'columns'>,
  column: string,
): string | null {
  const id = idTextOf(cells, columns, column);
  if (id !== null && isTooLong(id)) throw refusal('id_too_long', cells, columns, column);
  return id;
}

/** The positions of cells that hold ids, of rows and of whom and what they belong to. */
export function idPositions({ at }: Columns, { types }: Format): readonly number[] {
  const own = Object.values(types).flatMap(({ ids = {} }) => Object.values(ids));
  const columns = [...ID_COLUMNS, 'settlementBatchId', 'customerId', ...own.filter((column) => column !== null)];
  return [...new Set(columns.flatMap((column) => at[column] ?? []))];
}

/** What the cell holds, word for word but trimmed, for a refusal that names it. */
export function refusal(code: RowRefusalCode, cells: readonly string[], columns: Columns, column: string): RowRefused {
  const index = columns.at[column];
  return new RowRefused(code, printedName(columns, column), index === undefined ? null : cells[index]!.trim());
}

/** The time in a cell, as the format prints it, in microseconds since 1970; null where none stands. */
export function timeOf(cells: readonly string[], ctx: CellsContext, column: string): bigint | null {
  const { columns, format } = ctx;
  const text = textOf(cells, columns, column);
  if (text === null) return null;
  const { zoneColumn, mayBeDate = false } = Object.hasOwn(format.times, column) ? format.times[column]! : {};
  const date = mayBeDate ? DATE.exec(text) : null;
  if (date) return parseTime(`${date[1]}-${date[2]}-${date[3]}${WITHIN_DAY}`, printedName(columns, column));
  if (zoneColumn !== undefined) return zonedTimeOf(cells, ctx, column, zoneColumn);
  return parseTime(text, printedName(columns, column));
}

const DATE = /^(\d{4})-?(\d\d)-?(\d\d)$/;
/** An hour that is on the same day from Honolulu to Auckland: a date alone does not say where it is. */
const WITHIN_DAY = 'T10:00:00Z';

/**
 * What a clock shows, out of a workbook's time with the offset of the source's zone: the row names another zone for it. A date without
 * a time is midnight there.
 */
export function clockTimeOf(text: string, mayBeDate: boolean): string {
  const [, day, time] = CLOCK.exec(text) ?? [];
  if (day === undefined) return text;
  return mayBeDate && time === 'T00:00:00' ? day : `${day}${time}`;
}

const CLOCK = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?)[+-]\d\d:\d\d$/;

function zonedTimeOf(cells: readonly string[], { columns, format }: CellsContext, column: string, zoneColumn: string) {
  const zone = textOf(cells, columns, zoneColumn) ?? '';
  if (!Object.hasOwn(format.zones, zone)) throw refusal('unknown_time_zone', cells, columns, zoneColumn);
  try {
    return parseTime(`${textOf(cells, columns, column)}${format.zones[zone]}`);
  } catch {
    // What is told is the cell as it stands there.
    throw refusal('bad_time', cells, columns, column);
  }
}

/** Our name for a type, as the format has it; else the one that is printed. */
export const typeNameOf = <T extends string | null>({ typeNames }: Format, printed: T): T | string =>
  printed !== null && Object.hasOwn(typeNames, printed) ? typeNames[printed]! : printed;

/** What a type is known for; null for a type that the format does not know. */
export const ruleOf = (format: Format, type: string): TypeRule | null =>
  Object.hasOwn(format.types, type) ? format.types[type]! : null;

/** Which way the money of a type goes: 1 comes in, −1 goes out, 0 may do either. What the format says, else what the word means in records. */
export const directionOf = (rule: TypeRule | null, type: string): 1 | -1 | 0 =>
  rule?.grossSign ?? (type === 'REFUND' ? -1 : type === 'PAYMENT' || type === 'CAPTURE' ? 1 : 0);

export const directionIn = (format: Format, type: string): 1 | -1 | 0 => directionOf(ruleOf(format, type), type);

/** A row that cannot be read names nothing but its line: what its cells say is not to be relied on. */
export const refusedRow = (line: number, refused: RowRefused): Discrepancy =>
  tell('refused_row', refused.message, { line, field: refused.column, reported: refused.text });

/** The row as CSV writes it: what a reader of the file looks for. */
const asLine = (cells: readonly string[]): string =>
  cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',');
