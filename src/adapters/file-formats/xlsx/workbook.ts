/** Reads the first sheet of a workbook (.xlsx) as CSV: as a stream, in flat memory, and with no trust in what the file says of itself. */
import { posix } from 'node:path';
import { ReportRefused } from '../../../domain/errors.ts';
import { BadXml, CLOSE, MORE, nameCode, OPEN, type XmlHandler, XmlReader } from '../xml.ts';
import { isSuspicious, localBytes, NotAZip, openZip, type Zip, type ZipEntry } from '../zip.ts';
import { SharedStrings, SheetRows, type Workbook } from './sheet-rows.ts';
import { isTimeFormat, SheetTimes } from './sheet-values.ts';

const CELL_XFS = nameCode('cellXfs');
const NUM_FMT = nameCode('numFmt');
const NUM_FMTS = nameCode('numFmts');
const RELATIONSHIP = nameCode('Relationship');
const SHEET = nameCode('sheet');
const WORKBOOK_PR = nameCode('workbookPr');
const XF = nameCode('xf');

const MAX_SHEET_BYTES = 4 * 1024 ** 3;
const MAX_STRINGS_BYTES = 512 * 1024 ** 2;
const MAX_PART_BYTES = 16 * 1024 ** 2;

/**
 * The CSV of the first visible sheet of a workbook on this machine, in UTF-8: line n is row n of the sheet, a row that is not there is a
 * blank line, and line ends inside quotes are no new line (`rowsAreLines` of `RowReader`). Times are written with the offset of the zone.
 * Throws ReportRefused, after rows were given, too: that a part is damaged is known for certain when it has been read to its end.
 */
export async function* sheetAsCsv(path: string, { timeZone }: { timeZone: string }): AsyncGenerator<Buffer> {
  const file = await localBytes(path);
  try {
    const zip = await openZip(file);
    const { sheet, styles, strings, is1904 } = await findParts(zip);
    const workbook: Workbook = {
      isTime: styles === undefined ? [] : await readStyles(zip, styles),
      strings: await readStrings(zip, strings),
      times: new SheetTimes(timeZone, is1904),
    };
    const rows = new SheetRows(workbook);
    for await (const _ of readPart(zip, sheet, rows, MAX_SHEET_BYTES)) yield* rows.take();
    yield* rows.end();
  } catch (error) {
    throw error instanceof NotAZip ? refusalOf(error) : error;
  } finally {
    await file.close();
  }
}

const refusalOf = ({ isTruncated, message, advice }: NotAZip) =>
  new ReportRefused(isTruncated ? 'truncated_xlsx' : 'not_xlsx', message, advice);

type Parts = {
  readonly sheet: ZipEntry;
  readonly styles: ZipEntry | undefined;
  readonly strings: ZipEntry | undefined;
  readonly is1904: boolean;
};

/** A workbook names its parts by relationships: where they stand in the archive, and how they are called, is the writer's choice. */
async function findParts(zip: Zip): Promise<Parts> {
  const root = await readRelationships(zip, '');
  const path = root.find(({ type }) => type === 'officeDocument')?.path ?? 'xl/workbook.xml';
  const part = entryAt(zip, path);
  if (part === undefined) throw new ReportRefused('not_xlsx', `the archive holds no ${path}`);
  const { sheets, is1904 } = await readWorkbook(zip, part);
  const related = await readRelationships(zip, path);
  const at = (wanted: Relationship | undefined) => (wanted === undefined ? undefined : entryAt(zip, wanted.path));
  const sheet = sheets
    .filter(({ isVisible }) => isVisible)
    .map(({ id }) => related.find((relationship) => relationship.id === id))
    // One that leads nowhere is not passed over: the next sheet may be about something else.
    .find((relationship) => relationship === undefined || relationship.type === 'worksheet');
  const entry = at(sheet);
  if (entry === undefined) throw new ReportRefused('not_xlsx', 'the workbook has no visible sheet, or it is missing');
  return {
    sheet: entry,
    styles: at(related.find(({ type }) => type === 'styles')),
    strings: at(related.find(({ type }) => type === 'sharedStrings')),
    is1904,
  };
}

/** Names of parts are the same in large and small letters. */
const entryAt = ({ entries }: Zip, path: string) =>
  entries.find(({ name }) => name.toLowerCase() === path.toLowerCase());

type Relationship = { readonly id: string | undefined; readonly type: string; readonly path: string };

/** What a part, or the archive itself (''), names as its own. */
async function readRelationships(zip: Zip, path: string): Promise<Relationship[]> {
  const entry = entryAt(zip, posix.join(posix.dirname(path), '_rels', `${posix.basename(path)}.rels`));
  const found: Relationship[] = [];
  if (entry === undefined) return found;
  const from = posix.resolve('/', posix.dirname(path));
  await readElements(zip, entry, (name, attribute) => {
    if (name !== RELATIONSHIP || attribute('TargetMode') === 'External') return;
    const target = posix.resolve(from, attribute('Target') ?? '').slice(1);
    found.push({ id: attribute('Id'), type: posix.basename(attribute('Type') ?? ''), path: target });
  });
  return found;
}

type Sheet = { readonly id: string | undefined; readonly isVisible: boolean };

async function readWorkbook(zip: Zip, entry: ZipEntry): Promise<{ sheets: Sheet[]; is1904: boolean }> {
  const sheets: Sheet[] = [];
  let is1904 = false;
  await readElements(zip, entry, (name, attribute) => {
    if (name === SHEET)
      sheets.push({ id: attribute('id'), isVisible: (attribute('state') ?? 'visible') === 'visible' });
    if (name === WORKBOOK_PR) is1904 = /^(1|true)$/.test(attribute('date1904') ?? '');
  });
  return { sheets, is1904 };
}

/** By number of style: whether it shows numbers as dates or times. */
async function readStyles(zip: Zip, entry: ZipEntry): Promise<boolean[]> {
  const codes = new Map<number, string>();
  const formats: number[] = [];
  await readElements(zip, entry, (name, attribute, parent) => {
    const id = Number(attribute('numFmtId') ?? 0);
    if (name === NUM_FMT && parent === NUM_FMTS) codes.set(id, attribute('formatCode') ?? '');
    if (name === XF && parent === CELL_XFS) formats.push(id);
  });
  return formats.map((id) => isTimeFormat(id, codes.get(id)));
}

async function readStrings(zip: Zip, entry: ZipEntry | undefined): Promise<SharedStrings> {
  if (entry === undefined) return new SharedStrings(0);
  checkSize(entry, MAX_STRINGS_BYTES);
  const strings = new SharedStrings(entry.sizeBytes);
  for await (const _ of readPart(zip, entry, strings, MAX_STRINGS_BYTES));
  return strings;
}

/** Tells of each element of a small part: its name's code, its attributes by name, and the element in which it stands. */
async function readElements(
  zip: Zip,
  entry: ZipEntry,
  take: (name: number, attribute: (name: string) => string | undefined, parent: number | undefined) => void,
): Promise<void> {
  const path: number[] = [];
  const handler: XmlHandler = {
    open: (xml) => {
      const attributes = new Map<number, string>();
      while (xml.nextAttribute()) attributes.set(xml.attribute, xml.value());
      take(xml.name, (name) => attributes.get(nameCode(name)), path.at(-1));
      path.push(xml.name);
    },
    text: () => {},
    close: () => path.pop(),
  };
  for await (const _ of readPart(zip, entry, handler, MAX_PART_BYTES));
}

/**
 * Reads a part block by block, and lets the caller look after each. One whose XML is broken is read to its end all the same: if its
 * checksum is wrong it was damaged on its way, and that is the better reason.
 */
async function* readPart(zip: Zip, entry: ZipEntry, handler: XmlHandler, maxBytes: number): AsyncGenerator<void> {
  checkSize(entry, maxBytes);
  const xml = new XmlReader();
  let broken: BadXml | null = null;
  for await (const block of zip.blocks(entry)) {
    if (broken !== null) continue;
    xml.push(block);
    broken = handTo(handler, xml);
    yield;
  }
  broken ??= xml.end();
  if (broken !== null) throw refusalOfPart(entry, broken);
}

/** Hands on what there is to read; returns what is wrong with it. */
function handTo(handler: XmlHandler, xml: XmlReader): BadXml | null {
  try {
    for (let token = xml.next(); token !== MORE; token = xml.next()) {
      if (token === OPEN) handler.open(xml);
      else if (token === CLOSE) handler.close(xml);
      else handler.text(xml);
    }
    return null;
  } catch (error) {
    if (error instanceof BadXml) return error;
    throw error;
  }
}

const refusalOfPart = ({ name }: ZipEntry, { isCut, message }: BadXml) =>
  new ReportRefused(isCut ? 'truncated_xlsx' : 'not_xlsx', `${name}: ${message}`);

function checkSize(entry: ZipEntry, maxBytes: number): void {
  const { name, sizeBytes, compressedBytes } = entry;
  if (sizeBytes > maxBytes)
    throw new ReportRefused('too_large', `${name} is ${sizeBytes} bytes long, of ${maxBytes} at most`);
  if (isSuspicious(entry))
    throw new ReportRefused('too_large', `${name} would be ${sizeBytes} bytes, out of ${compressedBytes}`);
}
