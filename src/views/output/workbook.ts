import { PassThrough, type Writable } from 'node:stream';
import type { CellValue, Style, stream, Worksheet } from 'exceljs';
import { digitsOf } from '../../domain/money/currency.ts';
import type { Cell, Column } from './columns.ts';

type Writer = stream.xlsx.WorkbookWriter;

/** A sheet of Excel ends with row 1,048,576, and the first is the header. */
const ROWS_A_SHEET = 1_048_575;

/** How many rows may wait to be packed. */
const ROWS_AT_ONCE = 500;

/** A spreadsheet's number holds this many digits exactly. */
const EXACT_DIGITS = 15;

const HEAD: Partial<Style> = { numFmt: '@', font: { name: 'Calibri', size: 11, bold: true } };
/** Marked as text, or editing a cell would make a number or a formula of it. */
const TEXT: Partial<Style> = { numFmt: '@' };
const COUNT: Partial<Style> = { numFmt: '0' };
const DAY: Partial<Style> = { numFmt: 'yyyy-mm-dd' };
/** By the digits of a currency. */
const AMOUNT: readonly Partial<Style>[] = ['0', '0.0', '0.00', '0.000', '0.0000'].map((numFmt) => ({ numFmt }));

/** A sheet of a workbook. */
export type Sheet = {
  readonly name: string;
  readonly head: readonly { readonly name: string; readonly width: number }[];
  readonly portions: AsyncIterable<readonly (readonly Cell[])[]>;
};

type Portions<Row> = AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>;

/** A table as a sheet. */
export const sheetOf = <Row>(name: string, columns: readonly Column<Row>[], portions: Portions<Row>): Sheet => ({
  name,
  head: columns,
  portions: cellsOf(columns, portions),
});

async function* cellsOf<Row>(columns: readonly Column<Row>[], portions: Portions<Row>): AsyncGenerator<Cell[][]> {
  for await (const rows of portions) yield rows.map((row) => columns.map(({ cell }) => cell(row)));
}

/** A table as an XLSX workbook. */
export const workbook = <Row>(name: string, columns: readonly Column<Row>[], portions: Portions<Row>) =>
  workbookOf([sheetOf(name, columns, portions)]);

/** An XLSX workbook. Any number of rows passes in flat memory: they are read no faster than bytes are taken. */
export async function* workbookOf(sheets: readonly Sheet[]): AsyncGenerator<Buffer> {
  // Loading it takes up to half a second, which nobody else should wait for.
  const { default: exceljs } = await import('exceljs');
  const bytes = new PassThrough();
  const writer = new exceljs.stream.xlsx.WorkbookWriter({ stream: bytes, useStyles: true });
  writer.creator = 'settlestream';
  writer.lastModifiedBy = 'settlestream';
  writeSheets(writer, sheets).catch((error) => bytes.destroy(error));
  yield* bytes;
}

async function writeSheets(writer: Writer, sheets: readonly Sheet[]): Promise<void> {
  for (const sheet of sheets) await writeSheet(writer, sheet);
  await writer.commit();
}

async function writeSheet(writer: Writer, { name, head, portions }: Sheet): Promise<void> {
  let sheets = 1;
  let rowsInSheet = 0;
  let sheet = startSheet(writer, name, head);
  for await (const rows of portions) {
    for (const row of rows) {
      if (rowsInSheet === ROWS_A_SHEET) {
        endSheet(sheet, rowsInSheet, head.length);
        sheets += 1;
        rowsInSheet = 0;
        sheet = startSheet(writer, `${name} ${sheets}`, head);
      }
      writeRow(sheet, row.map(spreadsheetCell));
      rowsInSheet += 1;
      if (rowsInSheet % ROWS_AT_ONCE === 0) await packed(sheet);
    }
  }
  endSheet(sheet, rowsInSheet, head.length);
}

function startSheet(writer: Writer, name: string, head: Sheet['head']): Worksheet {
  const sheet = writer.addWorksheet(name, { views: [{ state: 'frozen', ySplit: 1 }] });
  sheet.columns = head.map(({ width }) => ({ width }));
  writeRow(
    sheet,
    head.map(({ name }) => [name, HEAD]),
  );
  return sheet;
}

function endSheet(sheet: Worksheet, rows: number, columns: number): void {
  sheet.autoFilter = { from: { row: 1, column: 1 }, to: { row: 1 + rows, column: columns } };
  sheet.commit();
}

type StyledValue = readonly [CellValue, Partial<Style>] | null;

function writeRow(sheet: Worksheet, cells: readonly StyledValue[]): void {
  const row = sheet.addRow([]);
  for (const [index, cell] of cells.entries()) {
    if (cell === null) continue;
    const written = row.getCell(index + 1);
    [written.value, written.style] = cell;
  }
  row.commit();
}

function spreadsheetCell(cell: Cell): StyledValue {
  if (cell === null) return null;
  if (typeof cell === 'number') return [cell, COUNT];
  if (typeof cell === 'string') return [spreadsheetText(cell), TEXT];
  if ('day' in cell) return [new Date(cell.day), DAY];
  // As a number, a longer amount would lose its last digits; a shorter one is written out as it stands here.
  const digits = cell.amount.replace(/^[-0.]+/, '').replace('.', '').length;
  return digits > EXACT_DIGITS ? [cell.amount, TEXT] : [Number(cell.amount), AMOUNT[digitsOf(cell.currency)]!];
}

/**
 * XML cannot hold some characters: exceljs leaves most of them out, which would make two ids one, and behind a U+FFFF that it lets
 * pass LibreOffice drops all rows. `_x0041_` is how a workbook writes A, so such a text is written as `_x005F_x0041_`.
 */
const spreadsheetText = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are meant.
    .replaceAll(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]/g, '\ufffd')
    .replaceAll(/_(?=x[\dA-Fa-f]{4}_)/g, '_x005F_');

/**
 * Until all that was written to the sheet is in the zip. exceljs itself keeps whatever comes; behind its sheet stands the stream that
 * the zip reads, which has passed on an empty piece once it has passed on everything before.
 */
function packed(sheet: Worksheet): Promise<void> {
  const [read] = (sheet as unknown as { readonly stream: { readonly pipes: readonly [Writable] } }).stream.pipes;
  return new Promise((resolve) => read.write('', () => resolve()));
}
