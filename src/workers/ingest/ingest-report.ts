import { isAscii } from 'node:buffer';
import { createHash } from 'node:crypto';
import { basename, dirname } from 'node:path';
import { type ArchivedFile, archiveError, archiveFile, keptFile } from '../../adapters/archive.ts';
import {
  BoundaryFinder,
  type Chunk,
  cellText,
  Head,
  MAX_ROW_BYTES,
  RowReader,
} from '../../adapters/file-formats/csv.ts';
import { type Encoding, EncodingDetector } from '../../adapters/file-formats/encoding.ts';
import type { RecordMetric } from '../../adapters/metrics/definitions.ts';
import { type Database, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import type { SourceFiles } from '../../adapters/source-files/source-files.ts';
import { ReportRefused, ReportVanished, Unreachable } from '../../domain/errors.ts';
import type { Format } from '../../domain/formats/format.ts';
import { settlementCurrencyOf, whyNoCurrency } from '../../domain/report/amounts.ts';
import type { Columns } from '../../domain/report/header.ts';
import {
  closeLoad as closeLoadJob,
  type Enqueue,
  type IngestReportJob,
  loadChunk as loadChunkJob,
} from '../../jobs.ts';
import { formatById } from '../../store/formats.ts';
import { createRowTable } from '../../store/row-tables.ts';
import type { LogEvent } from '../context.ts';
import { Fenced } from '../fencing.ts';
import * as closing from '../load/close-load.sql.ts';
import { closeLoad, enqueueNext } from '../load/close-load.ts';
import { loadChunk } from '../load/load-chunk.ts';
import * as query from './ingest-report.sql.ts';
import { openArchived, openFile, openReport, type ReportContent } from './open-report.ts';
import { knownEncoding, noEnd, readHead } from './read-head.ts';

export type IngestContext = {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly recordMetric: RecordMetric;
  readonly logEvent: LogEvent;
  readonly archiveDir: string;
  readonly chunkBytes: number;
  /** Opens the files of a source. */
  sourceFilesOf(source: string): Promise<SourceFiles>;
};

/**
 * Reads a delivered file once, from start to end: copies it to the archive, hashes it, and records and enqueues each chunk as
 * its boundary is found. A file without its end is waiting, an unreadable one is refused; neither leaves a row. Returns false if there
 * was nothing to read.
 */
export async function ingestReport(context: IngestContext, { deliveryNo }: IngestReportJob): Promise<boolean> {
  const { db } = context.database;
  const delivery = await query.claimDelivery(db, deliveryNo);
  if (!delivery) return false;
  const end = await read(context, delivery).catch(async (error: unknown): Promise<closing.End | null> => {
    if (error instanceof ReportRefused) {
      const state = error.code === 'no_end' ? ('waiting' as const) : ('refused' as const);
      const isVanished = error instanceof ReportVanished;
      if (state === 'refused' && !isVanished && delivery.archived === null && !delivery.isDry)
        await keepRefused(context, delivery);
      return { state, code: error.code, message: error.message, revision: null, isVanished };
    }
    if (error instanceof Fenced) return null;
    throw await archiveError(context.archiveDir, error, Number(delivery.sizeBytes) + ROOM_BYTES);
  });
  if (!end) return true;
  const isMine = await onOneConnection(context.database, (db) =>
    inTransaction(db, async () => {
      await closing.lockBatch(db, delivery.batchNo);
      return closing.endDelivery(db, delivery, end);
    }),
  );
  const { source, kind } = delivery;
  if (isMine && !delivery.isDry) {
    context.logEvent('info', 'report read', { kind, outcome: end.state, code: end.code ?? undefined });
    if (end.state === 'refused') context.logEvent('warn', 'report refused', { code: end.code, why: end.message });
    if (end.state === 'refused' || end.state === 'duplicate')
      context.recordMetric({ name: 'recon_reports_total', labels: { source, kind, outcome: end.state }, value: 1 });
  }
  await enqueueNext(context, delivery.batchNo);
  return true;
}

/** Free space that the disk needs in addition to the copy of a report. */
const ROOM_BYTES = 1 << 16;

/** Reads the file into a load. Returns the end state if it brings nothing new; null if the load continues by itself. */
async function read(context: IngestContext, delivery: query.Delivery): Promise<closing.End | null> {
  if (delivery.archived !== null) {
    await finishLoad(context, await readAgain(context, delivery, delivery.archived));
    return null;
  }
  const place = await context.sourceFilesOf(delivery.source);
  await checkUnchanged(place, delivery);
  const newest = await query.newestRevision(context.database.db, delivery.reportNo, delivery.no);
  const duplicate: closing.End = { state: 'duplicate', code: null, message: null, revision: newest?.revision ?? null };
  // A workbook beside its CSV is a duplicate, whatever its content.
  if (delivery.isSheet && delivery.hasCsv) return duplicate;
  const load = await fetch(context, delivery, place, newest).catch(async (error) => {
    // If the file was replaced while it was read, any other error is a consequence of that: report only the replacement.
    if (!(error instanceof Fenced)) await checkUnchanged(place, delivery);
    throw refusalOf(error, delivery);
  });
  if (load === 'duplicate') return duplicate;
  if ('state' in load) return load;
  // From here on the load continues even if this job fails, so its copy must stay.
  await finishLoad(context, load);
  return null;
}

/**
 * Reads the file from its source, once, into the archive and into chunks. Returns the end state if its bytes are those of the newest
 * content, or of a withdrawn one.
 */
async function fetch(
  context: IngestContext,
  delivery: query.Delivery,
  place: SourceFiles,
  newest: query.Revision | null,
): Promise<ReadLoad | closing.End | 'duplicate'> {
  const startedAt = performance.now();
  const archiveName = archiveNameOf(delivery);
  const incoming = await openReport(place, delivery, context.archiveDir, archiveName);
  let archive: ArchivedFile | undefined;
  try {
    const isSame = newest !== null && (await isSameAs(incoming, newest));
    const withdrawn = isSame ? null : await withdrawnAs(context, delivery, incoming);
    if (isSame || withdrawn) {
      await incoming.discard();
      return withdrawn ?? 'duplicate';
    }
    const own = await formatById(context.database.db, delivery.rules.format);
    const isCut = async () =>
      own.endMarker !== null && incoming.tail && !(await incoming.tail()).includes(own.endMarker);
    if (await isCut()) await checkEnd(incoming, delivery, own);
    archive = await archiveFile(context.archiveDir, `${archiveName}.csv`);
    const load = await readChunks(context, delivery, incoming, archive);
    await checkUnchanged(place, delivery);
    await finishReading(context, delivery, load);
    await incoming.close();
    const { source } = delivery;
    context.recordMetric({ name: 'recon_bytes_total', labels: { source }, value: incoming.sizeBytes });
    recordFetch(context, startedAt);
    return load;
  } catch (error) {
    // Stop chunk jobs before the copy is removed.
    await query.abandonLoad(context.database.db, delivery).catch(() => {});
    await archive?.discard().catch(() => {});
    await incoming.discard().catch(() => {});
    throw error;
  }
}

/** Reads the archived copy into chunks of a new load, which uses the same copy. Nothing is copied or removed. */
async function readAgain(context: IngestContext, delivery: query.Delivery, path: string): Promise<ReadLoad> {
  const startedAt = performance.now();
  const incoming = await openArchived(delivery, path, context.archiveDir);
  // The text of a workbook is made again, because its times depend on the source's time zone.
  const archive = incoming.original
    ? await archiveFile(context.archiveDir, `${archiveNameOf(delivery)}.csv`)
    : await keptFile(path);
  try {
    const load = await readChunks(context, delivery, incoming, archive);
    if (load.sha256 !== delivery.archivedSha256)
      throw new ReportRefused(
        'unreadable',
        `the archived copy ${path} is not what was archived (SHA-256 ${load.sha256}, was ${delivery.archivedSha256})`,
      );
    await finishReading(context, delivery, load);
    recordFetch(context, startedAt);
    return load;
  } catch (error) {
    await archive.discard().catch(() => {});
    throw error;
  }
}

async function finishReading(context: IngestContext, { no, epoch }: query.Delivery, load: ReadLoad): Promise<void> {
  const { loadNo, chunks, sha256 } = load;
  const state = { loadNo, deliveryNo: no, epoch, chunks, sha256 };
  if (!(await query.finishReading(context.database.db, state))) throw new Fenced();
}

function recordFetch(context: IngestContext, startedAt: number): void {
  const seconds = (performance.now() - startedAt) / 1_000;
  context.recordMetric({ name: 'recon_stage_duration_seconds', labels: { stage: 'fetch' }, value: seconds });
}

/** Archives a refused report as it was received. One that cannot even be copied can only be read from its source again. */
async function keepRefused(context: IngestContext, delivery: query.Delivery): Promise<void> {
  try {
    const place = await context.sourceFilesOf(delivery.source);
    await checkUnchanged(place, delivery);
    const file = await openFile(place, delivery);
    const extension = delivery.isSheet ? 'xlsx' : 'csv';
    const copy = await archiveFile(context.archiveDir, `${archiveNameOf(delivery)}_refused.${extension}`);
    try {
      const hash = createHash('sha256');
      for await (const block of file.blocks()) {
        hash.update(block);
        await copy.write(block);
      }
      await checkUnchanged(place, delivery);
      await copy.finish();
      await query.keepRefused(context.database.db, delivery.no, copy.path, hash.digest('hex'));
    } catch (error) {
      await copy.discard().catch(() => {});
      throw error;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!(refusalOf(error, delivery) instanceof ReportRefused)) throw error;
  }
}

/** Returns the end state of withdrawn bytes: they stay withdrawn, also under a new time. */
async function withdrawnAs(
  { database }: IngestContext,
  { reportNo }: query.Delivery,
  incoming: ReportContent,
): Promise<closing.End | null> {
  for (const { revision, sha256, reason } of await query.withdrawnRevisions(
    database.db,
    reportNo,
    incoming.sizeBytes,
  )) {
    if ((await incoming.sha256()) !== sha256) continue;
    return { state: 'withdrawn', code: 'withdrawn', message: new ReportRefused('withdrawn', reason).message, revision };
  }
  return null;
}

/** Returns whether the bytes are the same. Only a file of the same size is hashed. */
const isSameAs = async (incoming: ReportContent, newest: query.Revision): Promise<boolean> =>
  newest.isSameRules && Number(newest.sizeBytes) === incoming.sizeBytes && (await incoming.sha256()) === newest.sha256;

/** Closes the load if its last chunk was loaded before this job ended. A single chunk is loaded here. */
async function finishLoad(context: IngestContext, { loadNo, chunks, isLarge }: ReadLoad): Promise<void> {
  if (!isLarge && chunks === 1) {
    await loadChunk(context, { loadNo, chunk: 0, attempt: 0 });
    return;
  }
  const isLast = await onOneConnection(context.database, (db) =>
    inTransaction(db, () => closing.markLoaded(db, loadNo)),
  );
  if (!isLast) return;
  if (isLarge) await context.enqueue(closeLoadJob, { loadNo });
  else await closeLoad(context, { loadNo });
}

type ReadLoad = {
  readonly loadNo: number;
  readonly chunks: number;
  readonly sha256: string;
  readonly isLarge: boolean;
};

async function readChunks(
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
async function checkEnd(incoming: ReportContent, delivery: query.Delivery, own: Format): Promise<void> {
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

/**
 * Handles a file that is no longer the one that was found: it is another delivery, which the next poll finds.
 * @throws Unreachable if its source is unavailable, or still lists it.
 */
async function checkUnchanged(place: SourceFiles, delivery: query.Delivery): Promise<void> {
  const now = await place.stat(delivery.path).catch((error: unknown) => {
    throw refusalOf(error, delivery);
  });
  if (!now) throw await whyNotThere(place, delivery);
  if (now.sizeBytes !== Number(delivery.sizeBytes) || now.modifiedAtMicros !== delivery.modifiedAtMicros) {
    throw new ReportVanished('unreadable', `${delivery.path} changed while it was read`);
  }
}

/** A missing folder hides its files, so it says nothing about them. */
async function whyNotThere(place: SourceFiles, { path, file }: query.Delivery): Promise<Error> {
  const listed = await place.entries(dirname(path));
  if (listed?.some(({ name, isDirectory }) => !isDirectory && name === basename(path)))
    return new Unreachable(`${path} is listed but cannot be opened: check the server.`);
  const root = path.endsWith(`/${file}`) ? path.slice(0, -file.length - 1) : '/';
  if (listed === null && root !== '' && (await place.entries(root)) === null)
    return new Unreachable(`the folder ${root} does not exist: mount or restore it.`);
  return new ReportVanished('unreadable', `${path} no longer exists`);
}

/** Refuses a file that this user may not read, because a retry cannot help. A silent server or disk says nothing about the file. */
function refusalOf(error: unknown, { path }: query.Delivery): unknown {
  const { code, path: logContext, message } = error as NodeJS.ErrnoException;
  const isDenied = (code === 'EACCES' || code === 'EPERM') && logContext === path;
  return isDenied ? new ReportRefused('unreadable', `${path} (${message})`) : error;
}

/** By number: a report's own name may be as long as a file system allows. */
const archiveNameOf = ({ no, epoch }: query.Delivery): string => `${Math.floor(no / 1000)}/${no}_${epoch}`;
