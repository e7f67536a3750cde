import { ReportRefused } from '../errors.ts';
import type { Format, ReportKind } from '../formats/format.ts';

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
  const { columns, known, twice, missing } = look(cells, kind, format);
  if (known === 0) throw new ReportRefused('no_header');
  if (twice.length > 0) throw new ReportRefused('duplicate_columns', twice.join(', '));
  if (missing.length > 0) throw new ReportRefused('missing_columns', missing.join(', '));
  return columns;
}

/**
 * The format that a report is printed in: of those that find all columns they need, the one that knows most of the header's.
 * The preferred one wins where several know as many. Throws ReportRefused when none fits, and says which is the nearest.
 */
export function chooseFormat(
  cells: readonly string[],
  kind: ReportKind,
  formats: readonly Format[],
  preferred: Format,
): Format {
  const others = formats.filter(({ id }) => id !== preferred.id);
  const looks = [preferred, ...others].map((format) => ({ format, ...look(cells, kind, format) }));
  const fitting = looks.filter(({ known, missing }) => known > 0 && missing.length === 0);
  if (fitting.length > 0) return fitting.reduce(better).format;
  const { format, columns, known, twice, missing } = looks.reduce(better);
  if (known === 0) throw new ReportRefused('no_header');
  if (twice.length > 0) throw new ReportRefused('duplicate_columns', twice.join(', '));
  const news = columns.unknown.length === 0 ? '' : `; it does not know ${columns.unknown.join(', ')}`;
  throw new ReportRefused('missing_columns', `${missing.join(', ')} (nearest format: ${format.name}${news})`);
}

const better = <L extends Look>(a: L, b: L): L => (b.known > a.known ? b : a);

/** How many of these names are columns of a report of that kind, in the format of these that knows the most. */
export const namesKnown = (names: readonly string[], kind: ReportKind, formats: readonly Format[]): number =>
  Math.max(0, ...formats.map((format) => look(names, kind, format).known));

type Look = {
  readonly columns: Columns;
  /** How many of the header's columns the format knows. */
  readonly known: number;
  /** Columns that stand there more than once, so that it is open which one counts. */
  readonly twice: readonly string[];
  /** Columns that the format cannot do without, with the other names that they may have. */
  readonly missing: readonly string[];
};

function look(cells: readonly string[], kind: ReportKind, format: Format): Look {
  const all = cells.map((cell) => cell.trim());
  const width = all.findLastIndex((name) => name !== '') + 1;
  const names = all.slice(0, width);
  const at: Partial<Record<string, number>> = {};
  const twice: string[] = [];
  for (const column of format.columns[kind]) {
    const printed = namesOf(column, format).find((name) => names.includes(name));
    if (printed === undefined) continue;
    at[column] = names.indexOf(printed);
    if (names.lastIndexOf(printed) !== at[column]) twice.push(printed);
  }
  const positions = new Set(Object.values(at));
  const missing = format.required[kind].filter((column) => at[column] === undefined);
  const unknown = names.filter((name, index) => name !== '' && !positions.has(index));
  return {
    columns: { width, names, at, unknown },
    known: positions.size,
    twice,
    missing: missing.map((column) => namesOf(column, format).join(' or ')),
  };
}

/** What came into a header, and what went from it. */
export type HeaderChange = { readonly came: readonly string[]; readonly went: readonly string[] };

/** Null where the same columns stand there, in whatever order. */
export function headerChange(before: readonly string[], now: readonly string[]): HeaderChange | null {
  const [old, young] = [before, now].map(
    (cells) => new Set(cells.map((cell) => cell.trim()).filter((name) => name !== '')),
  );
  const came = [...young!].filter((name) => !old!.has(name));
  const went = [...old!].filter((name) => !young!.has(name));
  return came.length + went.length === 0 ? null : { came, went };
}

/** Positions of the columns that nothing is read from, whether they have a name or not. */
export function positionsUnread({ width, at }: Columns): number[] {
  const read = new Set(Object.values(at));
  return Array.from({ length: width }, (_, position) => position).filter((position) => !read.has(position));
}

const namesOf = (column: string, format: Format): readonly string[] => [column, ...(format.aliases[column] ?? [])];

/** A column as this report's header prints it; by the format's own name where the report has no such column. */
export function printedName(columns: Columns, column: string): string {
  const index = columns.at[column];
  return index === undefined ? column : (columns.names[index] ?? column);
}
