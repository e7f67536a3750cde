import { type ArchivedFile, archiveError, archiveFile, keptFile } from '../../adapters/archive.ts';
import { onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import type { SourceFiles } from '../../adapters/source-files/source-files.ts';
import { ReportRefused, ReportVanished } from '../../domain/errors.ts';
import { closeLoad as closeLoadJob, type IngestReportJob } from '../../jobs.ts';
import { lockBatches } from '../../store/batches.ts';
import { formatById } from '../../store/formats.ts';
import { Fenced } from '../fencing.ts';
import * as closing from '../load/close-load.sql.ts';
import { closeLoad, enqueueNext } from '../load/close-load.ts';
import { loadChunk } from '../load/load-chunk.ts';
import { archiveNameOf, keepRefused } from './archive-refused.ts';
import type { IngestContext } from './ingest-context.ts';
import * as query from './ingest-report.sql.ts';
import { openArchived, openReport, type ReportContent } from './open-report.ts';
import { checkEnd, type ReadLoad, readChunks } from './split-chunks.ts';
import { checkUnchanged, refusalOf } from './unchanged.ts';

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
      await lockBatches(db, [delivery.batchNo]);
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
