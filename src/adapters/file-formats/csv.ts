/**
 * Reads CSV as bytes.
 *
 * - A row ends at CRLF, LF or a lone CR; inside quotes these are text, and each still counts as one physical line.
 * - A cell is quoted only if its very first byte is a quote. `""` inside it is one quote. The closing quote must be
 *   followed by a comma, a line end or the end of the file. A quote inside an unquoted cell is a character.
 * - A row with a quote that is not closed like that, or not before the file or the row's size limit ends, is refused as
 *   `bad_quotes`, and reading goes on at the physical line after the one on which that quote opened.
 * - A row that is too long, or has too many cells, with no quote open is refused as `row_too_long`, and reading goes on at
 *   the next physical line.
 * - Text that was made from a sheet (`rowsAreLines`) has a line for each row of it: a line end inside quotes is no new line.
 * - Lines that are empty or all ASCII white space are no rows. A UTF-8 byte order mark is skipped at the start of a file.
 *
 * None of these bytes is ever the second byte of a UTF-8 or GBK character, so nothing is decoded until a cell's text is
 * wanted.
 *
 * Going back after a bad quote stays linear, because only an odd run of quotes can leave a quote open past its line:
 * until the next odd run, which ends it one way or the other, there are even runs, and read again with no quote open
 * each of those closes, or is refused, where it stands. So no byte is read more than three times.
 */
import type { RowRefusalCode } from '../../domain/errors.ts';
import { decode, type Encoding } from './encoding.ts';

/** A row may be this long, without its line end. Only so much is ever held beside the block at hand. */
export const MAX_ROW_BYTES = 1_048_576;
/** Far above any report's columns; it keeps a line of a million commas from being a row. */
export const MAX_CELLS = 4_096;

export type RowStatus = 'ok' | 'bad_quotes' | 'row_too_long';

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
const COMMA = 0x2c;

// What the byte at hand is.
const AT_ROW = 0;
const IN_CELL = 1;
const IN_QUOTES = 2;
/** Of a refused row, the end of its line not yet found. */
const REFUSING = 3;
/** Of the rest of a refused row's line. */
const SKIPPING = 4;

/** What a step comes to: the bytes ran out, a row stands, a blank line was passed, a quote opens or closes. */
type Step = typeof MORE | typeof ROW | typeof BLANK | typeof TURN;
const MORE = 0;
const ROW = 1;
const BLANK = 2;
const TURN = 3;

/**
 * Reads rows out of blocks of any size:
 * ```ts
 * reader.push(block); // or reader.end(), after the last one
 * while (reader.next()) use(reader.cells, reader.starts, reader.ends, …);
 * ```
 * The fields describe the current row until the next call; they are the reader's own and are overwritten, so that a row
 * costs no allocation. A block may be reused once `next` has said false.
 */
export class RowReader {
  /** Holds the current row: all positions below are in it. */
  buf: Buffer = Buffer.alloc(0);
  status: RowStatus = 'ok';
  /** How many cells the row has. 0 if it is refused. */
  cells = 0;
  /** Where in `buf` each cell begins and ends, without the quotes around it. */
  readonly starts = new Int32Array(MAX_CELLS);
  readonly ends = new Int32Array(MAX_CELLS);
  /** Some cell holds `""` that stands for one quote: bytes are not text then, `cellText` is. */
  hasEscapes = false;
  /** Where the row begins: in `buf`, in the file, and on which physical line (from 1). */
  start = 0;
  offset = 0;
  line = 1;
  /** Without the line end. Of a refused row: to the end of the line that is given up, at most `MAX_ROW_BYTES`. */
  byteLength = 0;

  /** Bytes of `buf` that are filled. */
  #length = 0;
  /** The file's offset of `buf[0]`. */
  #base: number;
  /** The next byte to look at. */
  #pos = 0;
  /** The first byte that is still needed. */
  #rowStart = 0;
  /** The physical line of `#pos`. */
  #line: number;
  #state = AT_ROW;
  /** The open quote, while `IN_QUOTES`. */
  #quoteAt = 0;
  #quoteLine = 0;
  /** 1 between a cell's closing quote and what follows it, else 0. */
  #closing = 0;
  readonly #rowsAreLines: boolean;
  #mayHaveMark: boolean;
  #ended = false;
  /** Where the bytes of an unfinished row wait for the next block. */
  #own: Buffer = Buffer.alloc(0);

  /** `offset` and `line` tell where in the file the first block begins; a later chunk begins at a row's start. */
  constructor({ offset = 0, line = 1, rowsAreLines = false } = {}) {
    this.#base = offset;
    this.#line = line;
    this.#rowsAreLines = rowsAreLines;
    this.#mayHaveMark = offset === 0;
  }

  /** Takes the next bytes of the file. */
  push(block: Buffer): void {
    if (this.#rowStart < this.#length) {
      this.#keep(block.length);
      block.copy(this.buf, this.#length);
      this.#length += block.length;
      return;
    }
    this.#base += this.#length;
    this.#pos = this.#rowStart = 0;
    this.buf = block;
    this.#length = block.length;
  }

  /** Says that the file, or the chunk, ends here. */
  end(): void {
    this.#ended = true;
  }

  /** Goes to the next row, good or refused. False: it takes more bytes, or there is none. */
  next(): boolean {
    for (;;) {
      const step = this.#step();
      if (step === ROW) return true;
      if (step === BLANK) continue;
      if (this.buf !== this.#own && this.#rowStart < this.#length) this.#keep(0);
      return false;
    }
  }

  /** Where in `buf` the next row, or a blank line before it, begins; -1 amid a row. */
  get nextStart(): number {
    return this.#state === AT_ROW && !this.#mayHaveMark ? this.#pos : -1;
  }

  /** The same as an offset in the file. */
  get nextOffset(): number {
    return this.#base + this.#pos;
  }

  /** The physical line on which the next row, or a blank line before it, begins. */
  get nextLine(): number {
    return this.#line;
  }

  /** How many bytes of `buf` are filled. */
  get length(): number {
    return this.#length;
  }

  /** From `nextStart` to `position` in `buf`, for who knows that only rows stand between, and on how many lines. */
  passRows(position: number, lines: number): void {
    this.#pos = this.#rowStart = position;
    this.#line += lines;
  }

  #step(): Step {
    if (this.#mayHaveMark && !this.#skipMark()) return MORE;
    if (this.#state === SKIPPING && !this.#skipLine()) return MORE;
    if (this.#state === REFUSING) return this.#settleRefusal();
    if (this.#state === AT_ROW) {
      if (this.#pos === this.#length) return MORE;
      this.#beginRow();
    }
    return this.#readRow();
  }

  #beginRow(): void {
    this.status = 'ok';
    this.cells = 0;
    this.starts[0] = this.#pos;
    this.hasEscapes = false;
    this.start = this.#pos;
    this.offset = this.#base + this.#pos;
    this.line = this.#line;
    this.#state = IN_CELL;
  }

  #readRow(): Step {
    for (;;) {
      const step = this.#state === IN_QUOTES ? this.#readQuotes() : this.#readCells();
      if (step !== TURN) return step;
    }
  }

  /**
   * Reads from outside quotes until the row ends or a quote opens. Everything waits for this loop: all but a few bytes
   * of a report are above the comma, so one comparison passes them.
   *
   * MB/s in rows of 44 cells and 270 bytes, blocks of 64 KiB, one core: this loop 1,000, with a quoted cell of two lines
   * in each row too. A look behind each comma for a quote made it 700. The bare loop without cells' ends, quotes and
   * limits ran at 1,700; with a table of byte classes 1,370; with `indexOf` from comma to comma 350.
   */
  #readCells(): Step {
    const { buf, starts, ends } = this;
    const limit = this.#rowStart + MAX_ROW_BYTES;
    const bound = Math.min(this.#length, limit + 1); // The byte past the limit may be the row's line end.
    let pos = this.#pos;
    let cells = this.cells;
    let cellStart = starts[cells]!;
    let closing = this.#closing;
    while (pos < bound) {
      const byte = buf[pos]!;
      if (byte > COMMA) {
        pos++;
      } else if (byte === COMMA) {
        ends[cells++] = pos++ - closing;
        if (cells === MAX_CELLS) return this.#refuse('row_too_long', Math.min(pos, limit));
        starts[cells] = cellStart = pos;
        closing = 0;
      } else if (byte === LF || byte === CR) {
        break;
      } else if (byte === QUOTE && pos === cellStart && pos < limit) {
        this.cells = cells;
        this.#openQuote(pos);
        return TURN;
      } else {
        pos++;
      }
    }
    this.#pos = pos;
    this.cells = cells;
    this.#closing = closing;
    if (pos < bound) return this.#endRow();
    if (pos > limit) return this.#refuse('row_too_long', limit);
    return this.#ended ? this.#endRow() : MORE;
  }

  #openQuote(position: number): void {
    this.#quoteAt = position;
    this.#quoteLine = this.#line;
    this.#pos = this.starts[this.cells] = position + 1;
    this.#state = IN_QUOTES;
  }

  /** Reads to behind the closing quote. */
  #readQuotes(): Step {
    const { buf } = this;
    const length = this.#length;
    const limit = this.#rowStart + MAX_ROW_BYTES;
    const bound = Math.min(length, limit);
    let pos = this.#pos;
    for (; pos < bound; pos++) {
      const byte = buf[pos]!;
      if (byte > QUOTE) continue;
      if (byte === QUOTE) {
        const isAtEnd = pos + 1 === length;
        if (isAtEnd && !this.#ended) break;
        const next = isAtEnd ? LF : buf[pos + 1];
        if (next === QUOTE) {
          this.hasEscapes = true;
          pos++;
        } else if (next === COMMA || next === LF || next === CR) {
          this.#pos = pos + 1;
          this.#closing = 1;
          this.#state = IN_CELL;
          return TURN;
        } else return this.#refuseQuote();
      } else if (!this.#rowsAreLines && (byte === CR || (byte === LF && buf[pos - 1] !== CR))) this.#line++;
    }
    if (pos >= limit || (this.#ended && pos === length)) return this.#refuseQuote();
    this.#pos = pos;
    return MORE;
  }

  #endRow(): Step {
    const end = this.#pos;
    if (this.#isCutLineEnd(end)) return MORE;
    this.ends[this.cells++] = end - this.#closing;
    this.byteLength = end - this.start;
    const isBlank = this.cells === 1 && isWhiteSpace(this.buf, this.start, end);
    this.#closing = 0;
    this.#beginLine(end);
    return isBlank ? BLANK : ROW;
  }

  #refuseQuote(): Step {
    this.#line = this.#quoteLine;
    return this.#refuse('bad_quotes', this.#quoteAt + 1);
  }

  /** Refuses the row; reading will go on at the line after that of `position`. */
  #refuse(status: RowStatus, position: number): Step {
    this.status = status;
    this.cells = 0;
    this.#closing = 0;
    this.#pos = position;
    this.#state = REFUSING;
    return this.#settleRefusal();
  }

  /** A refused row stands when the end of its line is found or it is as long as a row can be, whatever the blocks were. */
  #settleRefusal(): Step {
    const bound = Math.min(this.#length, this.#rowStart + MAX_ROW_BYTES);
    this.#pos = lineEndFrom(this.buf, this.#pos, bound);
    if (this.#pos === this.#length && !this.#ended) return MORE;
    this.byteLength = this.#pos - this.start;
    this.#rowStart = this.#pos;
    this.#state = SKIPPING;
    return ROW;
  }

  /** Forgets bytes up to the end of the line. False: it is not among them. */
  #skipLine(): boolean {
    this.#rowStart = this.#pos = lineEndFrom(this.buf, this.#pos, this.#length);
    if (this.#pos === this.#length ? !this.#ended : this.#isCutLineEnd(this.#pos)) return false;
    this.#beginLine(this.#pos);
    return true;
  }

  /** A CR is the last byte there is, and an LF that belongs to it may follow. */
  #isCutLineEnd(position: number): boolean {
    return position + 1 === this.#length && this.buf[position] === CR && !this.#ended;
  }

  /** Goes behind the line end at `position`; the end of the file is one. */
  #beginLine(position: number): void {
    const isPair = position + 1 < this.#length && this.buf[position] === CR && this.buf[position + 1] === LF;
    this.#pos = this.#rowStart = Math.min(position + (isPair ? 2 : 1), this.#length);
    this.#line++;
    this.#state = AT_ROW;
  }

  /** False: more bytes are needed to know whether the file begins with a byte order mark. */
  #skipMark(): boolean {
    const found = this.buf.subarray(0, Math.min(BYTE_ORDER_MARK.length, this.#length));
    const isPrefix = found.equals(BYTE_ORDER_MARK.subarray(0, found.length));
    if (isPrefix && found.length < BYTE_ORDER_MARK.length && !this.#ended) return false;
    this.#mayHaveMark = false;
    if (isPrefix && found.length === BYTE_ORDER_MARK.length) this.#pos = this.#rowStart = found.length;
    return true;
  }

  /**
   * Keeps the unfinished row in memory of our own, with room for `more` bytes. Twice the room that is needed, so that
   * bytes are moved only when as many were added: small blocks must not make a long row quadratic.
   */
  #keep(more: number): void {
    const kept = this.#length - this.#rowStart;
    if (this.buf === this.#own && this.#length + more <= this.#own.length) return;
    if (this.#own.length < 2 * (kept + more)) this.#own = Buffer.allocUnsafe(2 * (kept + more));
    this.buf.copy(this.#own, 0, this.#rowStart, this.#length);
    this.buf = this.#own;
    this.#moveBack(this.#rowStart);
  }

  #moveBack(bytes: number): void {
    this.#base += bytes;
    this.#length -= bytes;
    this.#rowStart -= bytes;
    this.#pos -= bytes;
    this.#quoteAt -= bytes;
    this.start -= bytes;
    for (let i = 0; i <= this.cells && i < MAX_CELLS; i++) {
      this.starts[i]! -= bytes;
      this.ends[i]! -= bytes;
    }
  }
}

const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);

/** The first CR or LF in `buf[from, bound)`, or `bound`. */
function lineEndFrom(buf: Buffer, from: number, bound: number): number {
  let pos = from;
  while (pos < bound && buf[pos] !== LF && buf[pos] !== CR) pos++;
  return pos;
}

function isWhiteSpace(buf: Buffer, from: number, to: number): boolean {
  for (let pos = from; pos < to; pos++) {
    const byte = buf[pos]!;
    if (byte !== 0x20 && (byte < 0x09 || byte > 0x0d)) return false;
  }
  return true;
}

/** Whether the cell of the current row is quoted. In front of an unquoted one stands a comma, a line end, a byte order mark or nothing. */
export const isQuoted = ({ buf, starts, cells }: RowReader, cell: number): boolean =>
  cell < cells && buf[starts[cell]! - 1] === QUOTE;

/** The text of the current row's cell, `""` made one quote, not trimmed. What cannot be decoded becomes U+FFFD. */
export function cellText(reader: RowReader, cell: number, encoding: Encoding): string {
  const { buf } = reader;
  const start = reader.starts[cell]!;
  const text = decode(buf, start, reader.ends[cell]!, encoding);
  return reader.hasEscapes && isQuoted(reader, cell) ? text.replaceAll('""', '"') : text;
}

/** The beginning of the current row as it stands in the file, to show a row that was refused. */
export function rowText(reader: RowReader, encoding: Encoding, maxCharacters: number): string {
  // No character has more than four bytes.
  const end = reader.start + Math.min(reader.byteLength, 4 * maxCharacters);
  return [...decode(reader.buf, reader.start, end, encoding)].slice(0, maxCharacters).join('');
}

/** The cells of a row that was cut out of a file, such as the header; null if they cannot be read. */
export function cellsOf(bytes: Buffer, encoding: Encoding): string[] | null {
  const reader = new RowReader({ offset: 1 }); // Amid a file a byte order mark is text.
  reader.push(bytes);
  reader.end();
  if (!reader.next() || reader.status !== 'ok') return null;
  return Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, encoding));
}

/** Why the current row, which is not ok, is none. */
export const refusalOf = ({ status, byteLength }: Pick<RowReader, 'status' | 'byteLength'>): RowRefusalCode => {
  if (status === 'bad_quotes') return 'bad_quoting';
  return byteLength < MAX_ROW_BYTES ? 'too_many_cells' : 'row_too_long';
};

const HEAD_BYTES = 65_536;

/** The first bytes of a text, kept while it streams past: they tell what it is where it is no report. */
export class Head {
  bytes: Buffer = Buffer.alloc(0);

  push(block: Buffer): void {
    if (this.bytes.length < HEAD_BYTES)
      this.bytes = Buffer.concat([this.bytes, block.subarray(0, HEAD_BYTES - this.bytes.length)]);
  }

  lines(encoding: Encoding): string[] {
    const text = decode(this.bytes, 0, this.bytes.length, encoding).replace(/^\ufeff/, '');
    const lines = text.split(/\r\n|\n|\r/);
    // The last one may go on.
    return this.bytes.length < HEAD_BYTES ? lines : lines.slice(0, -1);
  }
}

/** A byte range of a file that is read on its own: it begins where a row begins, and no row reaches across its end. */
export type Chunk = {
  readonly offset: number;
  readonly lengthBytes: number;
  /** The physical line of its first byte, and how many lines begin in it. */
  readonly firstLine: number;
  readonly lines: number;
};

export type Header = {
  readonly status: RowStatus;
  readonly offset: number;
  readonly line: number;
  /** Without the line end; for `cellsOf`, once the encoding is known. */
  readonly bytes: Buffer;
};

const END = Buffer.from('<END>');
/** Shorter stretches are as quickly read row by row. */
const WORTH_PASSING_BYTES = 4_096;

/**
 * Streams a file once and cuts it into chunks, so that a `RowReader` over each, started at its offset and line, gives the
 * very rows, good and refused, that one over the whole file gives. Neither the header nor the `<END>` row is in a chunk,
 * and nothing behind `<END>` is.
 *
 * Without a quote every line is a row, so such stretches are passed by counting their lines; only the lines that hold a
 * quote or `<END>` are read.
 */
export class BoundaryFinder {
  /** The first row of the file; null while there was none. */
  header: Header | null = null;
  /** The line of the `<END>` row; null while there was none. */
  endLine: number | null = null;
  /** The line of the first row behind `<END>`, if any. */
  rowsAfterEndLine: number | null = null;

  readonly #reader: RowReader;
  readonly #targetBytes: number;
  #chunkStart: { readonly offset: number; readonly line: number } | null = null;
  #chunks: Chunk[] = [];
  /** Positions in the reader's buffer, good until it runs out of rows: it may then move its bytes. */
  #nextQuote = -1;
  #nextEnd = -1;
  #passedAllBefore = -1;

  /** A chunk ends at the first row that begins `targetBytes` or more behind the chunk's own beginning. */
  constructor(targetBytes: number, { rowsAreLines = false } = {}) {
    this.#targetBytes = targetBytes;
    this.#reader = new RowReader({ rowsAreLines });
  }

  /** Takes the next bytes of the file; returns the chunks whose end is now known. */
  push(block: Buffer): readonly Chunk[] {
    if (this.rowsAfterEndLine !== null) return [];
    this.#reader.push(block);
    return this.#takeRows();
  }

  /** Says that the file ends here; returns the last chunks. */
  end(): readonly Chunk[] {
    if (this.rowsAfterEndLine !== null) return [];
    this.#reader.end();
    const chunks = this.#takeRows();
    if (this.#chunkStart === null) return chunks;
    this.#cut(this.#reader.nextOffset, this.#reader.nextLine);
    return [...chunks, ...this.#chunks.splice(0)];
  }

  #takeRows(): readonly Chunk[] {
    this.#nextQuote = this.#nextEnd = this.#passedAllBefore = -1;
    for (;;) {
      this.#passPlainRows();
      if (!this.#reader.next()) return this.#chunks.splice(0);
      this.#takeRow();
    }
  }

  #takeRow(): void {
    const reader = this.#reader;
    const { offset, line } = reader;
    if (this.endLine !== null) {
      this.rowsAfterEndLine ??= line;
    } else if (isEndRow(reader)) {
      this.endLine = line;
      this.#cut(offset, line);
    } else if (this.header === null) {
      const bytes = Buffer.from(reader.buf.subarray(reader.start, reader.start + reader.byteLength));
      this.header = { status: reader.status, offset, line, bytes };
    } else if (this.#chunkStart === null) {
      this.#chunkStart = { offset, line };
    } else if (offset - this.#chunkStart.offset >= this.#targetBytes) {
      this.#cut(offset, line);
      this.#chunkStart = { offset, line };
    }
  }

  #cut(end: number, endLine: number): void {
    if (this.#chunkStart === null) return;
    const { offset, line } = this.#chunkStart;
    this.#chunks.push({ offset, lengthBytes: end - offset, firstLine: line, lines: endLine - line });
    this.#chunkStart = null;
  }

  /** Passes whole lines, as far as there is neither a quote nor `<END>` nor the place to cut. */
  #passPlainRows(): void {
    const { buf, nextStart: from, nextOffset, length } = this.#reader;
    if (this.#chunkStart === null || from < 0) return;
    if (this.#nextQuote < from) this.#nextQuote = indexOrEnd(buf.indexOf(QUOTE, from), length);
    if (this.#nextEnd < from) this.#nextEnd = indexOrEnd(buf.indexOf(END, from), length);
    const target = from + this.#chunkStart.offset + this.#targetBytes - nextOffset;
    const until = Math.min(this.#nextQuote, this.#nextEnd, target);
    if (until - from < WORTH_PASSING_BYTES || until === this.#passedAllBefore) return;

    // Only an LF is taken for a line end: a file with lone CRs is read row by row, and is as right.
    const passed = buf.subarray(from, until).lastIndexOf(LF) + 1;
    this.#passedAllBefore = until;
    this.#reader.passRows(from + passed, countLines(buf.subarray(from, from + passed)));
  }
}

function indexOrEnd(index: number, end: number): number {
  return index < 0 ? end : Math.min(index, end);
}

/** Line ends in bytes that end with an LF or are none. By `indexOf`: 12 GB/s in rows of 265 bytes, a byte loop 1.6. */
function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) lines++;
  for (let at = bytes.indexOf(CR); at >= 0; at = bytes.indexOf(CR, at + 1)) if (bytes[at + 1] !== LF) lines++;
  return lines;
}

/** `<END>` in the first cell, and nothing in the others: some writers fill it up to the header's width. */
function isEndRow({ buf, status, cells, starts, ends }: RowReader): boolean {
  if (status !== 'ok') return false;
  let from = starts[0]!;
  while (from < ends[0]! && isWhiteSpace(buf, from, from + 1)) from++;
  const to = from + END.length;
  if (to > ends[0]! || !buf.subarray(from, to).equals(END) || !isWhiteSpace(buf, to, ends[0]!)) return false;
  for (let cell = 1; cell < cells; cell++) if (!isWhiteSpace(buf, starts[cell]!, ends[cell]!)) return false;
  return true;
}
