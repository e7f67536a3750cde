import { cellText, Head, RowReader, refusalOf } from '../adapters/file-formats/csv.ts';
import { type Encoding, EncodingDetector } from '../adapters/file-formats/encoding.ts';
import { strangerIn } from '../adapters/file-formats/strangers.ts';
import { openFolders } from '../adapters/source-files/local-folder.ts';
import { ReportRefused, RowRefused, UsageError } from '../domain/errors.ts';
import type { Act } from '../domain/handling.ts';
import { headerTrouble } from '../domain/report/header-trouble.ts';
import type { HandleRequest, RequestMistake } from './handle.ts';

/** Columns that are read, by name, wherever they stand; all others are not. */
const COLUMNS = ['no', 'action', 'reason', 'text', 'to', 'until'] as const;
type ColumnName = (typeof COLUMNS)[number];
type Columns = Readonly<Partial<Record<ColumnName, number>>>;

/** What a file asks for, and the mistakes of its lines. */
export type HandlingFile = {
  readonly requests: readonly HandleRequest[];
  readonly mistakes: readonly RequestMistake[];
};

/**
 * Reads actions from a CSV file or a workbook: a line for each discrepancy. Lines without an action are left out, so that an export in
 * which some were filled in is such a file.
 * @throws UsageError when it is no such file.
 */
export async function readHandlingFile(path: string): Promise<HandlingFile> {
  const text = await textOf(path);
  const rows = rowsOf(text);
  const header = rows.next();
  if (header.done)
    throw new UsageError(`${path} is empty: its first line must name the columns ${COLUMNS.join(', ')}.`);
  const columns = columnsOf(header.value.cells, path, text);
  const requests: HandleRequest[] = [];
  const mistakes: RequestMistake[] = [];
  for (const row of rows) {
    const read = requestOf(row, columns);
    if (read === null) continue;
    if ('message' in read) mistakes.push(read);
    else requests.push(read);
  }
  if (requests.length + mistakes.length === 0)
    throw new UsageError(`${path}: no line has an action: fill in the column action.`);
  return { requests, mistakes };
}

type FileText = {
  readonly blocks: readonly Buffer[];
  readonly head: Head;
  readonly encoding: Encoding;
  readonly isSheet: boolean;
};

async function textOf(path: string): Promise<FileText> {
  const bytes = await blocksOf(path, openFolders().blocks(path));
  const isSheet = bytes[0]?.toString('latin1', 0, 4) === 'PK\x03\x04';
  const blocks = isSheet ? await sheetOf(path) : bytes;
  const head = new Head();
  const detector = new EncodingDetector();
  for (const block of blocks) {
    head.push(block);
    if (!detector.isDecided) detector.push(block);
  }
  const stranger = strangerIn(head.bytes);
  if (stranger !== null)
    throw new UsageError(`${path} is ${stranger.what}, but it must be CSV or an XLSX workbook. ${stranger.advice}`);
  const encoding = detector.result();
  if (encoding === 'bad_encoding') throw new UsageError(`${path} is UTF-16. Save it in UTF-8.`);
  return { blocks, head, encoding, isSheet };
}

async function sheetOf(path: string): Promise<Buffer[]> {
  const { sheetAsCsv } = await import('../adapters/file-formats/xlsx/workbook.ts');
  return blocksOf(path, sheetAsCsv(path, { timeZone: 'UTC' }));
}

/** All of it, for all of it or nothing is done. */
async function blocksOf(path: string, source: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const blocks: Buffer[] = [];
  try {
    for await (const block of source) blocks.push(Buffer.from(block));
    return blocks;
  } catch (error) {
    if (error instanceof ReportRefused) throw new UsageError(`${path}: ${error.message}`);
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}.`);
  }
}

type Row = { readonly line: number; readonly cells: readonly string[]; readonly refused: string | null };

function* rowsOf({ blocks, encoding, isSheet }: FileText): Generator<Row> {
  const reader = new RowReader({ rowsAreLines: isSheet });
  const take = function* (): Generator<Row> {
    while (reader.next()) {
      const { line, status } = reader;
      const cells = Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, encoding).trim());
      yield { line, cells, refused: status === 'ok' ? null : new RowRefused(refusalOf(reader), null, null).message };
    }
  };
  for (const block of blocks) {
    reader.push(block);
    yield* take();
  }
  reader.end();
  yield* take();
}

function columnsOf(cells: readonly string[], path: string, { head, encoding }: FileText): Columns {
  const found = (names: readonly string[]): Columns =>
    Object.fromEntries(COLUMNS.flatMap((name) => (names.includes(name) ? [[name, names.indexOf(name)]] : [])));
  const columns = found(cells);
  const missing = (['no', 'action'] as const).filter((name) => columns[name] === undefined);
  const twice = COLUMNS.filter((name) => cells.indexOf(name) !== cells.lastIndexOf(name));
  if (twice.length > 0)
    throw new UsageError(`${path}, line 1: column ${twice.join(', ')} appears twice: leave one of them out.`);
  if (missing.length === 0) return columns;
  const trouble = headerTrouble(head.lines(encoding), (names) => Object.keys(found(names)).length);
  if (trouble !== null) throw new UsageError(`${path}: ${trouble.what}. ${trouble.advice}`);
  throw new UsageError(
    `${path}, line 1: column ${missing.join(' and ')} is missing. Use the columns no and action, and where needed ${COLUMNS.slice(2).join(', ')}.`,
  );
}

function requestOf({ line, cells, refused }: Row, columns: Columns): HandleRequest | RequestMistake | null {
  if (refused !== null) return { no: null, line, part: null, message: `cannot be read: ${refused}` };
  const cell = (name: ColumnName): string | null => cells[columns[name] ?? -1] || null;
  const action = cell('action');
  const rest = (['reason', 'text', 'to', 'until'] as const).filter((name) => cell(name) !== null);
  if (action === null)
    return rest.length === 0
      ? null
      : {
          no: null,
          line,
          part: 'action',
          message: `is empty, but ${rest.join(', ')} is filled in: write an action, or leave them out`,
        };
  const no = cell('no');
  if (no === null || !/^[1-9]\d{0,17}$/.test(no))
    return {
      no: null,
      line,
      part: null,
      message: `column no: ${no === null ? 'is empty' : `${no} is not a number`}: use the number of a discrepancy`,
    };
  const act: Act = {
    action: action.toLowerCase(),
    reason: cell('reason'),
    text: cell('text'),
    to: cell('to'),
    until: dayIn(cell('until')),
  };
  return { no: BigInt(no), act, line };
}

/** A spreadsheet hands a day over as a time. */
const dayIn = (text: string | null): string | null =>
  text === null ? null : text.replace(/T00:00:00(\.0+)?([+-]00:00|Z)$/, '');
