import { ReportRefused } from './errors.ts';
import type { Format, ReportKind } from './formats/format.ts';

/** Where a report's columns stand. */
export type Columns = {
  /** Cells a row must have: up to the last named column. */
  readonly width: number;
  /** Every column as the header prints it, by position; blank where it has no name. */
  readonly names: readonly string[];
  /** Position by the format's own name of a column; absent columns have none. */
  readonly at: Readonly<Partial<Record<string, number>>>;
  /** Named columns that the format does not know. They are kept, not read. */
  readonly unknown: readonly string[];
};

/** Columns are found by name, never by position. Throws ReportRefused when the header cannot serve. */
export function readHeader(cells: readonly string[], kind: ReportKind, format: Format): Columns {
  const all = cells.map((cell) => cell.trim());
  const width = all.findLastIndex((name) => name !== '') + 1;
  const names = all.slice(0, width);
  const at: Partial<Record<string, number>> = {};
  const twice: string[] = [];
  for (const column of format.columns[kind]) {
    const printed = [column, ...(format.aliases[column] ?? [])].find((name) => names.includes(name));
    if (printed === undefined) continue;
    at[column] = names.indexOf(printed);
    if (names.lastIndexOf(printed) !== at[column]) twice.push(printed);
  }
  const positions = new Set(Object.values(at));
  if (positions.size === 0) throw new ReportRefused('no_header');
  if (twice.length > 0) throw new ReportRefused('duplicate_columns', twice.join(', '));
  const missing = format.required[kind].filter((column) => at[column] === undefined);
  if (missing.length > 0) throw new ReportRefused('missing_columns', missing.join(', '));
  const unknown = names.filter((name, index) => name !== '' && !positions.has(index));
  return { width, names, at, unknown };
}

/** A column as this report's header prints it; by the format's own name where the report has no such column. */
export function printedName(columns: Columns, column: string): string {
  const index = columns.at[column];
  return index === undefined ? column : (columns.names[index] ?? column);
}
