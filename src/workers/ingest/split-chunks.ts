import { isAscii } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { ArchivedFile } from '../../adapters/archive.ts';
import {
  BoundaryFinder,
  type Chunk,
  cellText,
  Head,
  MAX_ROW_BYTES,
  RowReader,
} from '../../adapters/file-formats/csv.ts';
import { type Encoding, EncodingDetector } from '../../adapters/file-formats/encoding.ts';
import { onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { ReportRefused } from '../../domain/errors.ts';
import type { Format } from '../../domain/formats/format.ts';
import { settlementCurrencyOf, whyNoCurrency } from '../../domain/report/amounts.ts';
import type { Columns } from '../../domain/report/header.ts';
import { loadChunk as loadChunkJob } from '../../jobs.ts';
import { formatById } from '../../store/formats.ts';
import { createRowTable } from '../../store/row-tables.ts';
import { Fenced } from '../fencing.ts';
import type { IngestContext } from './ingest-context.ts';
import * as query from './ingest-report.sql.ts';
import type { ReportContent } from './open-report.ts';
import { knownEncoding, noEnd, readHead } from './read-head.ts';

export type ReadLoad = {
  readonly loadNo: number;
  readonly chunks: number;
  readonly sha256: string;
  readonly isLarge: boolean;
};

export async function readChunks(
  context: IngestContext,
  delivery: query.Delivery,
  incoming: ReportContent,
  archive: ArchivedFile,
): Promise<ReadLoad> {
  const { db } = context.database;
  const hash = createHash('sha256');
  const own = await formatById(db, delivery.rules.format);
  const encoding = new EncodingDetector(saidEncoding(delivery, own, incoming));
  const boundaries = new BoundaryFinder(context.chunkBytes, { rowsAreLines: incoming.original !== null });
  const head = new Head();
  const reading = { head, boundaries, encoding, kind: delivery.kind, own };
  const isLarge = incoming.textBytes > context.chunkBytes;
  let onlyAscii = true;
  let load: { loadNo: number; format: Format } | null = null;
  let chunks = 0;
  const held: Chunk[] = [];

  const record = async (found: readonly Chunk[], isAtEnd: boolean) => {
    held.push(...found);
    // The last byte may decide that a file is GB18030; until then chunks with such text wait.
    if (!onlyAscii && !encoding.isDecided && !isAtEnd) return;
    const known = knownEncoding(encoding);
    for (const chunk of held.splice(0)) {
      load ??= await createLoad(context, delivery, reading, { incoming, archive, isLarge, chunk });
      const crc32 = await archive.crcOf(chunk.offset, chunk.lengthBytes);
      const no = chunks++;
      const recorded = await query.insertChunk(db, delivery.no, delivery.epoch, {
        loadNo: load.loadNo,
        no,
        ...chunk,
        crc32,
        encoding: known,
      });
      if (!recorded) throw new Fenced();
      if (isLarge) await context.enqueue(loadChunkJob, { loadNo: load.loadNo, chunk: no, attempt: 0 });
    }
  };

  for await (const block of incoming.text()) {
    hash.update(block);
    encoding.push(block);
    onlyAscii &&= isAscii(block);
    if (encoding.isDecided) knownEncoding(encoding);
    head.push(block);
    await archive.write(block);
    await record(boundaries.push(block), false);
    if (boundaries.rowsAfterEndLine !== null)
      throw new ReportRefused('rows_after_end', `line ${boundaries.rowsAfterEndLine}`);
  }
  const last = boundaries.end();
  const needsEnd = () => (load?.format ?? own).endMarker !== null;
  if (boundaries.endLine === null && needsEnd()) throw noEnd(reading);
  if (boundaries.rowsAfterEndLine !== null)
    throw new ReportRefused('rows_after_end', `line ${boundaries.rowsAfterEndLine}`);
  await record(last, true);
  if (boundaries.endLine === null && needsEnd()) throw noEnd(reading);
  load ??= await createLoad(context, delivery, reading, { incoming, archive, isLarge, chunk: null });
  await archive.finish();
  const sha256 = incoming.original?.sha256 ?? hash.digest('hex');
  return { loadNo: load.loadNo, chunks, sha256, isLarge };
}

/** Reads the header, which decides whether the report can be read at all, and creates the load. */
async function createLoad(
  context: IngestContext,
  delivery: query.Delivery,
  reading: Parameters<typeof readHead>[0],
  { incoming, archive, isLarge, chunk }: Reading,
): Promise<{ loadNo: number; format: Format }> {
  const { cells, format, columns } = readHead(reading);
  const { kind } = delivery;
  const encoding = knownEncoding(reading.encoding);
  const currency =
    kind === 'transactionDetails' || delivery.settlementCurrency !== null
      ? null
      : await currencyIn(archive, chunk, encoding, { kind, columns, format }, delivery.batchCurrency);
  const load = await onOneConnection(context.database, (db) =>
    inTransaction(db, async () => {
      // While another content counts, the report stays in the batch of that one until this one is read.
      if (currency !== null && !delivery.isCounting && !delivery.isDry)
        delivery.batchNo = await query.moveReport(db, delivery, currency);
      const made = await query.createLoad(db, {
        deliveryNo: delivery.no,
        epoch: delivery.epoch,
        reportNo: delivery.reportNo,
        isLarge,
        rules: delivery.rules,
        format: format.id,
        header: cells.map((cell) => cell.replaceAll('\0', '\u2400')),
        currency,
        archivePath: archive.path,
        originalPath: incoming.original?.path ?? null,
        sizeBytes: incoming.sizeBytes,
      });
      if (made && delivery.kind !== 'settlementSummary') await createRowTable(db, made.slot);
      return made;
    }),
  );
  if (!load) throw new Fenced();
  return { ...load, format };
}

type Reading = {
  readonly incoming: ReportContent;
  readonly archive: ArchivedFile;
  readonly isLarge: boolean;
  /** The first; null if the report has no row. */
  readonly chunk: Chunk | null;
};

/** Reads the settlement currency from the first rows, for a report without it in its name. */
async function currencyIn(
  archive: ArchivedFile,
  chunk: Chunk | null,
  encoding: Encoding,
  context: { kind: query.Delivery['kind']; columns: Columns; format: Format },
  known: string | null,
): Promise<string> {
  const bytes = chunk && (await archive.read(chunk.offset, Math.min(chunk.lengthBytes, MAX_ROW_BYTES)));
  const reader = new RowReader({ offset: 1, line: chunk?.firstLine ?? 1 });
  const rows: { line: number; cells: string[] }[] = [];
  if (bytes) reader.push(bytes);
  // The last line of a file may lack its end.
  if (bytes && bytes.length === chunk.lengthBytes) reader.end();
  while (reader.next()) {
    const cells = Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, encoding));
    const currency = settlementCurrencyOf([cells], context);
    if (currency !== null) return currency;
    rows.push({ line: reader.line, cells });
  }
  if (known !== null) return known;
  throw new ReportRefused('missing_columns', ...whyNoCurrency(rows, context));
}

/** Reads the whole file if its last bytes hold no end mark: it is truncated, or has text behind its end. */
export async function checkEnd(incoming: ReportContent, delivery: query.Delivery, own: Format): Promise<void> {
  const encoding = new EncodingDetector(saidEncoding(delivery, own, incoming));
  const boundaries = new BoundaryFinder(Number.MAX_SAFE_INTEGER);
  const head = new Head();
  for await (const block of incoming.text()) {
    encoding.push(block);
    head.push(block);
    boundaries.push(block);
  }
  boundaries.end();
  knownEncoding(encoding);
  if (boundaries.endLine === null) throw noEnd({ head, boundaries, encoding, kind: delivery.kind, own });
  if (boundaries.rowsAfterEndLine !== null)
    throw new ReportRefused('rows_after_end', `line ${boundaries.rowsAfterEndLine}`);
}

/** Returns the encoding: that of the source before that of the format. The text of a workbook is always UTF-8. */
const saidEncoding = ({ rules }: query.Delivery, own: Format, { original }: ReportContent): Encoding | null =>
  original === null ? (rules.encoding ?? own.encoding ?? null) : 'utf8';
