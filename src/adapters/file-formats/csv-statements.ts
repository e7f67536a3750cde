import { type CsvStatementFormat, columnsOf } from '../../domain/bank/csv-format.ts';
import { CsvStatementReader } from '../../domain/bank/csv-statements.ts';
import type { BankEvent } from '../../domain/bank/statement.ts';
import { ReportRefused, RowRefused } from '../../domain/errors.ts';
import { cellText, RowReader, refusalOf } from './csv.ts';
import type { Encoding } from './encoding.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** Rows of a CSV whose cells end at any delimiter. */
class DelimitedRows {
  readonly #reader = new RowReader();
  readonly #format: CsvStatementFormat;
  /** Null: as it comes. */
  readonly #swapped: number | null;

  constructor(format: CsvStatementFormat) {
    this.#format = format;
    this.#swapped = format.delimiter === ',' ? null : format.delimiter.charCodeAt(0);
  }

  /**
   * Takes the next bytes. The reader of reports knows one delimiter, and is as fast as it is for that. So the delimiter and the comma change
   * places in the bytes, and in the text of each cell once more.
   */
  push(block: Buffer): void {
    if (this.#swapped === null) {
      this.#reader.push(block);
      return;
    }
    const own = Buffer.from(block);
    for (let at = 0; at < own.length; at++) {
      if (own[at] === COMMA) own[at] = this.#swapped;
      else if (own[at] === this.#swapped) own[at] = COMMA;
    }
    this.#reader.push(own);
  }

  end(): void {
    this.#reader.end();
  }

  /** The next row behind the lines above the header; cells are null where it cannot be read. */
  next(): { readonly line: number; readonly cells: string[] | null; readonly refused: RowRefused | null } | null {
    const reader = this.#reader;
    while (reader.next()) {
      const { line } = reader;
      if (line <= this.#format.linesAbove) continue;
      if (reader.status !== 'ok') return { line, cells: null, refused: new RowRefused(refusalOf(reader), null, null) };
      return { line, cells: Array.from({ length: reader.cells }, (_, cell) => this.#text(cell)), refused: null };
    }
    return null;
  }

  #text(cell: number): string {
    const reader = this.#reader;
    const encoding = this.#format.encoding ?? encodingOf(reader.buf.subarray(reader.starts[cell]!, reader.ends[cell]!));
    const text = cellText(reader, cell, encoding);
    if (this.#swapped === null) return text;
    const { delimiter } = this.#format;
    return text.replaceAll(/[,;|\t]/g, (sign) => (sign === ',' ? delimiter : sign === delimiter ? ',' : sign));
  }
}

const COMMA = 0x2c;

/** A cell that is no UTF-8 is Windows-1252, as banks write it. */
function encodingOf(bytes: Buffer): Encoding {
  try {
    UTF8.decode(bytes);
    return 'utf8';
  } catch {
    return 'windows-1252';
  }
}

const namesIn = (cells: readonly string[]): string[] => cells.map((cell) => cell.trim());

/**
 * The format that a CSV is written in, by its first bytes: its header has all columns of the format. Of several the one with the most
 * columns counts. Null: none fits.
 * @throws ReportRefused where two of them fit equally.
 */
export function csvFormatOf(head: Buffer, formats: readonly CsvStatementFormat[]): CsvStatementFormat | null {
  const fitting = formats.filter((format) => missingIn(head, format).length === 0);
  const most = Math.max(...fitting.map((format) => columnsOf(format).length));
  const [best = null, ...others] = fitting.filter((format) => columnsOf(format).length === most);
  if (others.length > 0)
    throw new ReportRefused(
      'unknown_format',
      `the formats ${[best!, ...others].map(({ name }) => name).join(' and ')} fit equally`,
      'Remove one of them from bank.formats, or name more columns in it.',
    );
  return best;
}

/** What the nearest of these formats lacks in the header; null: there is none, or nothing of any is there. */
export function nearestCsvFormat(head: Buffer, formats: readonly CsvStatementFormat[]): string | null {
  const [best] = formats
    .map((format) => ({ format, missing: missingIn(head, format) }))
    .filter(({ format, missing }) => missing.length < columnsOf(format).length)
    .sort((a, b) => a.missing.length - b.missing.length);
  return best === undefined
    ? null
    : `line ${best.format.linesAbove + 1} is not the header of ${best.format.name}: it lacks ${best.missing.join(', ')}`;
}

function missingIn(head: Buffer, format: CsvStatementFormat): string[] {
  const rows = new DelimitedRows(format);
  rows.push(head);
  rows.end();
  const header = namesIn(rows.next()?.cells ?? []);
  return columnsOf(format).filter((name) => !header.includes(name));
}

/** A CSV of statements, read block by block. */
export function openCsv(format: CsvStatementFormat) {
  const rows = new DelimitedRows(format);
  let reader: CsvStatementReader | null = null;
  const read = () => {
    for (let row = rows.next(); row !== null; row = rows.next()) {
      if (reader === null) reader = new CsvStatementReader(format, namesIn(row.cells ?? []));
      else if (row.cells === null) reader.refuse(row.line, row.refused!);
      else reader.push(row.line, row.cells);
    }
  };
  return {
    push(block: Buffer): void {
      rows.push(block);
      read();
    },
    end(events: BankEvent[]): void {
      rows.end();
      read();
      // One by one: there may be more than a call takes arguments.
      for (const event of reader?.end() ?? []) events.push(event);
    },
  };
}
