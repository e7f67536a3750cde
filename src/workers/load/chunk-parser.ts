import { readArchived } from '../../adapters/archive.ts';
import { cellText, isQuoted, RowReader, refusalOf, rowText } from '../../adapters/file-formats/csv.ts';
import { type Client, copyIn, type Db } from '../../adapters/postgres/connection.ts';
import { CopyWriter } from '../../adapters/postgres/copy-binary.ts';
import type { Discrepancy } from '../../domain/discrepancy.ts';
import type { Format } from '../../domain/formats/format.ts';
import { isReturnAbove } from '../../domain/matching/whole-report.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { clockTimeOf, directionIn, idPositions } from '../../domain/report/cells.ts';
import { FactsCounter } from '../../domain/report/facts.ts';
import { readHeader } from '../../domain/report/header.ts';
import { hash, hashBytes } from '../../domain/report/key.ts';
import { readRow, refuseLine } from '../../domain/report/read-row.ts';
import type { Row } from '../../domain/report/row.ts';
import { isWrapped } from '../../domain/report/spreadsheet-id.ts';
import { type ReadSummaryRow, readSummaryRow } from '../../domain/report/summary.ts';
import { lacksOf, UnreadCells } from '../../domain/report/unread.ts';
import { formatById } from '../../store/formats.ts';
import { isMatchable } from '../../store/stored-row.ts';
import { FastRowParser, writeContent } from './fast-row.ts';
import * as query from './load-chunk.sql.ts';

/** A block is sent when it is so full, and findings are kept back until there are so many. */
const BLOCK_BYTES = 1 << 18;

const MANY_FINDINGS = 8_000;

/** Reads the chunk's rows and sends them on as they come; memory holds a block and some findings, however large the chunk. */
export async function copyRows(db: Db, client: Client, chunk: query.ClaimedChunk): Promise<FactsCounter> {
  const facts = new FactsCounter();
  const parser = new ChunkParser(chunk, await formatById(db, chunk.format), facts);
  const blocks = readArchived(chunk.archivePath, Number(chunk.offset), Number(chunk.lengthBytes), Number(chunk.crc32));
  const isSummary = chunk.kind === 'settlementSummary';
  try {
    for (let more = true; more; ) {
      parser.findings.length = 0;
      await copyIn(
        client,
        isSummary ? query.COPY_SUMMARY_ROWS : query.copyRows(chunk.slot),
        parser.rowsUntilManyFindings(blocks),
      );
      await query.insertFindings(db, chunk.loadNo, parser.findings);
      more = !parser.isDone;
    }
  } finally {
    // Whatever fails between two blocks, the archived file is closed.
    await blocks.return(undefined);
  }
  return facts;
}

class ChunkParser {
  readonly findings: query.RowFinding[] = [];
  isDone = false;
  readonly #reader: RowReader;
  readonly #chunk: query.ClaimedChunk;
  readonly #facts: FactsCounter;
  /** Null for a summary, for formats that are not read quickly, and from the first NUL on: a NUL refuses its row wherever it stands. */
  #quick: FastRowParser | null = null;
  readonly #ids: readonly number[];
  /** Cells of a workbook whose time the row names a zone for, and whether they may be a date alone. */
  readonly #zoned: readonly (readonly [cell: number, mayBeDate: boolean])[];
  readonly #readCells: (cells: string[], line: number, writer: CopyWriter) => void;

  constructor(chunk: query.ClaimedChunk, format: Format, facts: FactsCounter) {
    this.#chunk = chunk;
    this.#facts = facts;
    this.#reader = new RowReader({
      offset: Number(chunk.offset),
      line: chunk.firstLine,
      rowsAreLines: chunk.isSheet,
    });
    const context = {
      columns: readHeader(chunk.header, chunk.kind, format),
      format,
      batchId: chunk.batchId,
      settlementCurrency: chunk.settlementCurrency as Currency | null,
      amountUnit: chunk.rules.amountUnit,
      toleranceMinor: BigInt(chunk.rules.tolerance),
    };
    this.#ids = idPositions(context.columns, format);
    this.#zoned = Object.entries(chunk.isSheet ? format.times : {}).flatMap(
      ([column, { zoneColumn, mayBeDate = false }]) => {
        const cell = context.columns.at[column];
        return zoneColumn === undefined || cell === undefined ? [] : [[cell, mayBeDate] as const];
      },
    );
    const { kind } = chunk;
    if (lacksOf(context.columns, kind, format).length > 0) facts.unread = new UnreadCells(context.columns);
    facts.unreadBesideNet = new UnreadCells(context.columns);
    if (kind === 'settlementSummary') {
      this.#readCells = (cells, line, writer) => {
        const read = readSummaryRow(cells, line, { ...context, kind });
        if ('refused' in read) return this.#refuse(read.refused);
        this.#keepSummaryRow(read.row, writer);
        facts.unread?.see((position) => cells[position]);
      };
    } else {
      const rowContext = { ...context, kind };
      this.#quick = FastRowParser.for(rowContext);
      this.#readCells = (cells, line, writer) => {
        const read = readRow(cells, line, rowContext);
        if ('refused' in read) return this.#refuse(read.refused);
        this.#keepRow(read.row, writer);
        if (kind === 'transactionDetails' && isReturnAbove(read.row, directionIn(format, read.row.type)))
          this.#facts.returnsAbove++;
        this.#quick?.learn(this.#reader);
        facts.unread?.see((position) => cells[position]);
        if (read.findings.some(({ kind }) => kind === 'net_mismatch'))
          facts.unreadBesideNet?.see((position) => cells[position]);
        const ofMatchable = isMatchable(read.row.matchBy);
        for (const discrepancy of read.findings) this.findings.push({ discrepancy, ofMatchable });
      };
    }
  }

  /** Rows in COPY format, until the chunk ends or so many findings came up that they have to be written first. */
  async *rowsUntilManyFindings(blocks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
    const writer = new CopyWriter();
    const reader = this.#reader;
    for (;;) {
      while (reader.next()) {
        this.#readRow(writer);
        if (writer.length >= BLOCK_BYTES - 8192) yield writer.take();
        if (this.findings.length >= MANY_FINDINGS) {
          this.#quick?.moveTo(this.#facts);
          yield writer.finish();
          return;
        }
      }
      if (this.isDone) break;
      const block = await blocks.next();
      if (block.done) {
        reader.end();
        if (!reader.next()) {
          this.isDone = true;
          break;
        }
        this.#readRow(writer);
      } else {
        if (block.value.includes(0)) this.#leaveQuick();
        reader.push(block.value);
      }
    }
    this.#quick?.moveTo(this.#facts);
    yield writer.finish();
  }

  #readRow(writer: CopyWriter): void {
    const reader = this.#reader;
    const { encoding } = this.#chunk;
    if (reader.status !== 'ok') {
      this.#refuse(refuseLine(reader.line, refusalOf(reader), rowText(reader, encoding, 200)));
      return;
    }
    if (this.#quick !== null && this.#readQuickly(this.#quick, writer)) return;
    const cells = Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, encoding));
    for (const [cell, mayBeDate] of this.#zoned)
      if (isQuoted(reader, cell)) cells[cell] = clockTimeOf(cells[cell]!, mayBeDate);
    this.#facts.hasWrappedIds ||= this.#ids.some((id) => isWrapped(cells[id]?.trim() ?? ''));
    this.#readCells(cells, reader.line, writer);
  }

  #readQuickly(quick: FastRowParser, writer: CopyWriter): boolean {
    const before = writer.length;
    const content = this.#writePlace(writer);
    if (!quick.write(this.#reader, writer)) {
      writer.length = before;
      return false;
    }
    this.#addHash(writer, content);
    this.#facts.unread?.see((position) => cellText(this.#reader, position, this.#chunk.encoding));
    if (quick.isFull) quick.moveTo(this.#facts);
    return true;
  }

  #leaveQuick(): void {
    this.#quick?.moveTo(this.#facts);
    this.#quick = null;
  }

  /** Where the row stands. Returns where in the writer its content will begin. */
  #writePlace(writer: CopyWriter): number {
    const reader = this.#reader;
    writer.beginRow(query.ROW_COLUMNS.length);
    writer.int4(this.#chunk.loadNo);
    writer.int4(reader.line);
    writer.safeInt8(reader.offset);
    writer.int4(reader.byteLength);
    return writer.length;
  }

  /** The hash of a row is that of its content as it is kept: the same wherever and however it was read. */
  #addHash(writer: CopyWriter, content: number): void {
    hashBytes(writer.bytes, content, writer.length);
    this.#facts.addHash(hash.high, hash.low);
  }

  #refuse(discrepancy: Discrepancy): void {
    this.#facts.addRefused();
    this.findings.push({ discrepancy, ofMatchable: false });
  }

  #keepSummaryRow(row: ReadSummaryRow, writer: CopyWriter): void {
    this.#facts.addRow({ ...row, type: row.type ?? '', matchBy: 'none', paidAtMicros: null });
    writer.beginRow(6);
    writer.int4(this.#chunk.loadNo);
    writer.int4(row.line);
    writer.text(row.type);
    writer.int8(row.countRows);
    writer.int8(row.settlementMinor);
    writer.int8(row.feeMinor);
  }

  #keepRow(row: Row, writer: CopyWriter): void {
    this.#facts.addRow(row);
    const content = this.#writePlace(writer);
    writeContent(writer, row);
    this.#addHash(writer, content);
  }
}
