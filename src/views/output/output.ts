import type { Cell, Column } from './columns.ts';

/** Writes pieces to stdout one after the other, waiting whenever the reader is slower. */
export async function writeAll(
  pieces: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
): Promise<void> {
  for await (const piece of pieces) {
    if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
}

/** A table as CSV: its header, which stands there without rows too, then the lines of each portion. */
export async function* csv<Row>(
  columns: readonly Column<Row>[],
  portions: AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>,
): AsyncGenerator<string> {
  yield csvLine(columns.map(({ name }) => name));
  for await (const rows of portions) {
    yield rows.map((row) => csvLine(columns.map(({ cell }) => csvText(cell(row))))).join('');
  }
}

const csvLine = (texts: readonly string[]): string => `${texts.map(csvCell).join(',')}\n`;

function csvText(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell !== 'object') return String(cell);
  return 'day' in cell ? cell.day : cell.amount;
}

/** Quoted where needed. A text that a spreadsheet would take for a formula is made text by an apostrophe; a number is not. */
function csvCell(text: string): string {
  const isFormula = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text);
  const safe = isFormula ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
