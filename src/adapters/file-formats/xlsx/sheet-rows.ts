/**
 * Makes CSV of a sheet: line n of the text is row n of the sheet. A row stays one line even if a cell holds line ends, so
 * `RowReader` must be told that rows are lines. A date or time that names no offset of its own is quoted: so a reader can tell that the offset behind
 * it is not the cell's, and read the clock's time in a zone that the row names (`clockTimeOf`).
 */
import { ReportRefused } from '../../../domain/errors.ts';
import { MAX_CELLS, MAX_ROW_BYTES } from '../csv.ts';
import { BadXml, ByteText, nameCode, type XmlHandler, type XmlReader } from '../xml.ts';
import { isWritten, numberText, type SheetTimes, unescaped } from './sheet-values.ts';

/** What the other parts of a workbook say of the cells of its sheets. */
export type Workbook = {
  readonly strings: SharedStrings;
  /** Whether a number of that style is a date or a time. */
  readonly isTime: readonly boolean[];
  readonly times: SheetTimes;
};

const C = nameCode('c');
const R = nameCode('r');
const RPH = nameCode('rPh');
const ROW = nameCode('row');
const S = nameCode('s');
const SHEET_DATA = nameCode('sheetData');
const SI = nameCode('si');
const T = nameCode('t');
const V = nameCode('v');

const MAX_STRINGS = 16 << 20;
const MAX_STRINGS_BYTES = 256 << 20;

/** The strings that cells name by their number, kept outside the heap as the cells of CSV that they become. */
export class SharedStrings implements XmlHandler {
  readonly bytes: Buffer;
  readonly #ends: Uint32Array;
  #count = 0;
  #length = 0;
  readonly #cell = new CellText();

  /** `xmlBytes` is the size of their part. */
  constructor(xmlBytes: number) {
    // Memory is not taken before it is written, so room for the most that there can be costs nothing: quoting doubles a text, and
    // no string takes less than `<si/>`.
    this.bytes = Buffer.allocUnsafeSlow(Math.min(2 * xmlBytes, MAX_STRINGS_BYTES));
    this.#ends = new Uint32Array(Math.min(Math.ceil(xmlBytes / 5), MAX_STRINGS));
  }

  get count(): number {
    return this.#count;
  }

  start(index: number): number {
    return index === 0 ? 0 : this.#ends[index - 1]!;
  }

  end(index: number): number {
    return this.#ends[index]!;
  }

  open(xml: XmlReader): void {
    if (xml.depth === 2) this.#cell.begin();
    else this.#cell.open(xml.name, T);
  }

  text(xml: XmlReader): void {
    this.#cell.add(xml);
  }

  close({ name, depth }: XmlReader): void {
    this.#cell.close(name);
    if (depth === 2 && name === SI) this.#keep();
  }

  #keep(): void {
    this.#cell.unescape();
    const { bytes, length } = this.#cell;
    if (this.#count === this.#ends.length || this.#length + 2 * length + 2 > this.bytes.length)
      throw new ReportRefused('too_large', `more than ${MAX_STRINGS} texts, or ${MAX_STRINGS_BYTES} bytes of them`);
    this.#length = writeCell(bytes, length, this.bytes, this.#length);
    this.#ends[this.#count++] = this.#length;
  }
}

const MAX_ROWS = 1_048_576;
const MAX_COLUMNS = 16_384;

// The types of cells.
const SHARED = S;
const NUMBER = nameCode('n');
const BOOLEAN = nameCode('b');
const DATE = nameCode('d');
const ERROR = nameCode('e');
const FORMULA_TEXT = nameCode('str');
const INLINE_TEXT = nameCode('inlineStr');

/** Reads the XML of a sheet, and writes its rows. */
export class SheetRows implements XmlHandler {
  readonly #workbook: Workbook;
  readonly #writer = new RowWriter();
  readonly #cell = new CellText();
  #isInRows = false;
  #isInRow = false;
  /** The row and the column at hand or passed last, from 1. */
  #row = 0;
  #column = 0;
  /** Of the cell at hand. */
  #type = NUMBER;
  #style = 0;

  constructor(workbook: Workbook) {
    this.#workbook = workbook;
  }

  /** The text of the rows that are read, and not yet taken. */
  take(): Buffer[] {
    return this.#writer.take();
  }

  /** Says that there are no more; gives the rest of the text. */
  end(): Buffer[] {
    return this.#writer.end();
  }

  open(xml: XmlReader): void {
    const { name, depth } = xml;
    if (depth === 5) this.#cell.open(name, V);
    else if (depth > 5) this.#cell.open(name, T);
    else if (depth === 4 && name === C && this.#isInRow) this.#beginCell(xml);
    else if (depth === 3 && name === ROW && this.#isInRows) this.#beginRow(xml);
    else if (depth === 2) this.#isInRows = name === SHEET_DATA;
  }

  text(xml: XmlReader): void {
    this.#cell.add(xml);
  }

  close({ name, depth }: XmlReader): void {
    if (depth >= 5) this.#cell.close(name);
    else if (depth === 4 && name === C && this.#isInRow) this.#endCell();
    else if (depth === 3 && this.#isInRow) {
      this.#isInRow = false;
      this.#writer.endRow();
    } else if (depth === 2) this.#isInRows = false;
  }

  #beginRow(xml: XmlReader): void {
    let row = this.#row + 1;
    while (xml.nextAttribute())
      if (xml.attribute === R && !xml.hasPrefix) row = wholeNumber(xml.buf, xml.valueStart, xml.valueEnd);
    if (!(row > this.#row)) throw new BadXml(`a row ${row} is behind row ${this.#row}, but rows must ascend`);
    if (row > MAX_ROWS) throw new BadXml(`row ${row} is beyond the ${MAX_ROWS} that a sheet can have`);
    this.#writer.skipRows(row - this.#row - 1);
    this.#row = row;
    this.#column = 0;
    this.#isInRow = true;
  }

  #beginCell(xml: XmlReader): void {
    let column = this.#column + 1;
    this.#type = NUMBER;
    this.#style = 0;
    while (xml.nextAttribute()) {
      if (xml.hasPrefix) continue;
      if (xml.attribute === R) column = columnOf(xml, this.#row);
      else if (xml.attribute === T) this.#type = xml.valueCode();
      else if (xml.attribute === S) this.#style = wholeNumber(xml.buf, xml.valueStart, xml.valueEnd);
    }
    if (column <= this.#column || column > MAX_COLUMNS)
      throw new BadXml(`column ${column} of row ${this.#row} is behind column ${this.#column}, or beyond the last`);
    this.#column = column;
    this.#cell.begin();
  }

  #endCell(): void {
    const cell = this.#cell;
    if (cell.length === 0) return;
    if (this.#type === SHARED) this.#putShared();
    else {
      const isClock = this.#readClock(cell);
      if (!isClock) this.#readValue(cell);
      this.#writer.putCell(this.#column, cell.bytes, cell.length, isClock);
    }
  }

  #putShared(): void {
    const { strings } = this.#workbook;
    const index = wholeNumber(this.#cell.bytes, 0, this.#cell.length);
    if (!(index < strings.count))
      throw new BadXml(`a cell of row ${this.#row} names text ${index}, and there are ${strings.count}`);
    const [start, end] = [strings.start(index), strings.end(index)];
    if (start < end) this.#writer.putBytes(this.#column, strings.bytes, start, end);
  }

  /** Makes it a time with an offset, if it is a date or a time without one. */
  #readClock(cell: CellText): boolean {
    const { isTime, times } = this.#workbook;
    const isDays = this.#type === NUMBER && isTime[this.#style];
    if (!isDays && this.#type !== DATE) return false;
    const time = isDays ? times.ofDays(cell.text) : times.ofIso(cell.text);
    if (time !== null) cell.change(() => time);
    return time !== null;
  }

  /** Makes the text of the cell what it stands for. */
  #readValue(cell: CellText): void {
    const type = this.#type;
    if (type === NUMBER && !isWritten(cell.bytes, cell.length)) cell.change(numberText);
    else if (type === FORMULA_TEXT || type === INLINE_TEXT) cell.unescape();
    else if (type === BOOLEAN) cell.change((text) => (text === '1' || text === 'true' ? 'TRUE' : 'FALSE'));
    else if (type !== NUMBER && type !== DATE && type !== ERROR)
      throw new BadXml(`a cell of row ${this.#row} is of a type that there is not`);
  }
}

/** The column of a reference, from 1: 28 of `AB7`. It must be one to that row. */
function columnOf({ buf, valueStart, valueEnd }: XmlReader, row: number): number {
  let column = 0;
  let at = valueStart;
  for (; at < valueEnd; at++) {
    const letter = buf[at]! & ~0x20; // Small letters are as good.
    if (letter < 0x41 || letter > 0x5a) break;
    column = column * 26 + letter - 0x40;
  }
  if (column === 0 || wholeNumber(buf, at, valueEnd) !== row) {
    const ref = buf.toString('utf8', valueStart, Math.min(valueEnd, valueStart + 20));
    throw new BadXml(`a cell ${ref} is in row ${row}`);
  }
  return column;
}

/** NaN if other characters than digits stand there, or nothing. */
function wholeNumber(bytes: Buffer, start: number, end: number): number {
  let number = start === end ? Number.NaN : 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - 0x30;
    number = digit >= 0 && digit <= 9 ? number * 10 + digit : Number.NaN;
  }
  return number;
}

/** Gathers a cell's text out of its elements: runs of rich text follow each other, how they are pronounced is left out. */
class CellText {
  /** What is longer makes its row too long in any case. */
  readonly #text = new ByteText(MAX_ROW_BYTES);
  #isOpen = false;
  #isPhonetic = false;

  get bytes(): Buffer {
    return this.#text.bytes;
  }

  get length(): number {
    return this.#text.length;
  }

  get text(): string {
    return this.bytes.toString('utf8', 0, this.length);
  }

  begin(): void {
    this.#text.length = 0;
  }

  /** `wanted` is the name of the element that holds text here. */
  open(name: number, wanted: number): void {
    if (name === wanted) this.#isOpen = !this.#isPhonetic;
    else if (name === RPH) this.#isPhonetic = true;
  }

  add(xml: XmlReader): void {
    if (this.#isOpen) xml.addTo(this.#text);
  }

  close(name: number): void {
    this.#isOpen = false;
    if (name === RPH) this.#isPhonetic = false;
  }

  unescape(): void {
    if (this.bytes.subarray(0, this.length).includes('_x')) this.change(unescaped);
  }

  change(to: (text: string) => string): void {
    this.#text.length = this.bytes.write(to(this.text));
  }
}

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
/** The first byte of a byte order mark, which is text only within quotes. */
const MARK = 0xef;

/** Writes a text as a cell of CSV, quoted where it must be, and returns where it ends. There is room for twice its length. */
function writeCell(text: Buffer, length: number, to: Buffer, position: number, isQuoted = false): number {
  let at = position;
  if (!isQuoted && !mustBeQuoted(text, length)) {
    for (let i = 0; i < length; i++) to[at++] = text[i]!;
    return at;
  }
  to[at++] = QUOTE;
  for (let i = 0; i < length; i++) {
    const byte = text[i]!;
    if (byte === QUOTE) to[at++] = QUOTE;
    to[at++] = byte;
  }
  to[at++] = QUOTE;
  return at;
}

function mustBeQuoted(text: Buffer, length: number): boolean {
  if (length > 0 && text[0] === MARK) return true;
  for (let i = 0; i < length; i++) {
    const byte = text[i]!;
    if (byte <= COMMA && (byte === COMMA || byte === QUOTE || byte === LF || byte === CR)) return true;
  }
  return false;
}

/** The text is given away in blocks of this size, or little more. */
const BLOCK_BYTES = 1 << 17;
/** No honest sheet makes so much text of one block of XML, or of all: the same long text stands in its cells. */
const MAX_WAITING_BYTES = 32 << 20;
const MAX_TEXT_BYTES = 4 * 1024 ** 3;
/** A row that is not yet too long, commas, and one more cell, all of it quotes. */
const ROOM_BYTES = MAX_ROW_BYTES + 2 * MAX_COLUMNS + 2 * (MAX_ROW_BYTES + 8);

/** Writes rows as lines of CSV, filled up with blank cells to the width of the first row that has any text. */
class RowWriter {
  readonly #buf = Buffer.allocUnsafeSlow(BLOCK_BYTES + ROOM_BYTES);
  #length = 0;
  #rowStart = 0;
  /** Of the row: commas so far, and whether it has more bytes or cells than a row may have. */
  #commas = 0;
  #isTooLong = false;
  #width = 0;
  #blocks: Buffer[] = [];
  #waitingBytes = 0;
  #textBytes = 0;

  skipRows(count: number): void {
    for (let i = 0; i < count; i++) this.endRow();
  }

  putCell(column: number, text: Buffer, length: number, isQuoted: boolean): void {
    if (this.#goTo(column)) this.#length = writeCell(text, length, this.#buf, this.#length, isQuoted);
  }

  /** A cell that `writeCell` has written. */
  putBytes(column: number, bytes: Buffer, start: number, end: number): void {
    if (!this.#goTo(column)) return;
    const buf = this.#buf;
    let length = this.#length;
    // A call of `copy` costs as much as to copy so many bytes.
    if (end - start > 64) length += bytes.copy(buf, length, start, end);
    else for (let at = start; at < end; at++) buf[length++] = bytes[at]!;
    this.#length = length;
  }

  endRow(): void {
    if (this.#length > this.#rowStart) {
      if (this.#width === 0) this.#width = Math.min(this.#commas + 1, MAX_CELLS);
      this.#goTo(this.#width);
      if (this.#isTooLong || this.#length - this.#rowStart > MAX_ROW_BYTES) this.#giveUpRow();
    }
    this.#buf[this.#length++] = LF;
    this.#rowStart = this.#length;
    this.#commas = 0;
    this.#isTooLong = false;
    if (this.#length >= BLOCK_BYTES) this.#endBlock();
  }

  take(): Buffer[] {
    this.#waitingBytes = 0;
    return this.#blocks.splice(0);
  }

  end(): Buffer[] {
    if (this.#length > 0) this.#endBlock();
    return this.take();
  }

  /** Goes on to the cell of that column. False: the row is too long already. */
  #goTo(column: number): boolean {
    if (column > MAX_CELLS || this.#length - this.#rowStart > MAX_ROW_BYTES) this.#isTooLong = true;
    if (this.#isTooLong) return false;
    for (; this.#commas < column - 1; this.#commas++) this.#buf[this.#length++] = COMMA;
    return true;
  }

  /** A row that is too long is refused by whoever reads it; without quotes and line ends it stays one line. */
  #giveUpRow(): void {
    const end = this.#rowStart + MAX_ROW_BYTES + 1;
    if (this.#length < end) this.#buf.fill(SPACE, this.#length, end);
    for (let at = this.#rowStart; at < end; at++) {
      const byte = this.#buf[at]!;
      if (byte === QUOTE || byte === LF || byte === CR) this.#buf[at] = SPACE;
    }
    this.#length = end;
  }

  #endBlock(): void {
    this.#blocks.push(Buffer.from(this.#buf.subarray(0, this.#length)));
    this.#waitingBytes += this.#length;
    this.#textBytes += this.#length;
    if (this.#waitingBytes > MAX_WAITING_BYTES || this.#textBytes > MAX_TEXT_BYTES)
      throw new ReportRefused('too_large', 'the same long text is in too many cells');
    this.#length = this.#rowStart = 0;
  }
}
