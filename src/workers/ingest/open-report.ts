import { createHash } from 'node:crypto';
import { archiveFile, checkArchive } from '../../adapters/archive.ts';
import { findInZip, gunzipped, sizeOfGzip } from '../../adapters/file-formats/packed.ts';
import { isSuspicious, NotAZip, openZip, type Zip, type ZipEntry } from '../../adapters/file-formats/zip.ts';
import { openFolders } from '../../adapters/source-files/local-folder.ts';
import type { SourceFiles } from '../../adapters/source-files/source-files.ts';
import { ReportRefused, Unreachable } from '../../domain/errors.ts';
import { isGzipName, isZipName } from '../../domain/report/report-name.ts';
import type { Delivery } from './ingest-report.sql.ts';

/** The content of a delivered report as text, unpacked. */
export type ReportContent = {
  /** Size of the report itself: of the file in a zip, not of the zip. */
  readonly sizeBytes: number;
  /** Estimated length of its text. */
  readonly textBytes: number;
  /** The workbook in the archive that the text is made from; null if the report is text itself. */
  readonly original: { readonly path: string; readonly sha256: string } | null;
  /** Its last bytes, if they can be read without the rest. */
  readonly tail: (() => Promise<Buffer>) | null;
  /** CSV, from start to end. */
  text(): AsyncGenerator<Buffer>;
  sha256(): Promise<string>;
  close(): Promise<void>;
  /** Closes it, and removes what was added to the archive for it. */
  discard(): Promise<void>;
};

const TAIL_BYTES = 65_536;
/** Ratio of a workbook's text to its packed bytes: in reports of 44 columns 4 to 8. */
const TEXT_OF_SHEET = 6;

/** Opens a delivered file. A workbook must be complete before it can be read, so it is fetched into the archive first. */
export async function openReport(
  place: SourceFiles,
  delivery: Delivery,
  archiveDir: string,
  archiveName: string,
): Promise<ReportContent> {
  const file = await openFile(place, delivery);
  if (delivery.isSheet) return openSheet(file, delivery, archiveDir, `${archiveName}.xlsx`);
  const { path } = delivery;
  const size = Number(delivery.sizeBytes);
  const from = Math.max(0, size - TAIL_BYTES);
  return {
    ...textOf(file),
    tail: isZipName(path) || isGzipName(path) ? null : () => place.read(path, from, size - from),
  };
}

/** Opens the archived copy of a delivery. The copy stays, whatever happens to this reading. */
export async function openArchived(delivery: Delivery, path: string, archiveDir: string): Promise<ReportContent> {
  const archive = openFolders();
  const kept = await archive.stat(path);
  if (!kept) await checkArchive(archiveDir);
  if (!kept) throw new ReportRefused('unreadable', `the archived copy ${path} is missing`);
  const file = { sizeBytes: kept.sizeBytes, blocks: () => archive.blocks(path), close: async () => {} };
  const text = textOf(file);
  return delivery.isSheet ? sheetOf(path, await text.sha256(), file.sizeBytes, delivery, file.close) : text;
}

/** Text is read as it is. */
const textOf = (file: File): ReportContent => ({
  sizeBytes: file.sizeBytes,
  textBytes: file.sizeBytes,
  original: null,
  tail: null,
  text: file.blocks,
  async sha256() {
    const hash = createHash('sha256');
    for await (const block of file.blocks()) hash.update(block);
    return hash.digest('hex');
  },
  close: file.close,
  discard: file.close,
});

/** Where a file lies, and inside a zip its name there. */
type PackedFile = Pick<Delivery, 'path' | 'entry' | 'sizeBytes'>;

/** Unpacks the report. */
export async function openFile(place: SourceFiles, delivery: PackedFile): Promise<File> {
  const { path, entry } = delivery;
  const size = Number(delivery.sizeBytes);
  const file = isZipName(path)
    ? await openEntry(place, delivery)
    : { sizeBytes: size, blocks: () => place.blocks(path, 0, size), close: async () => {} };
  if (!isGzipName(entry ?? path)) return file;
  const tail = isZipName(path) ? file.blocks() : place.blocks(path, Math.max(0, size - 4), size);
  return { ...file, sizeBytes: await sizeOfGzip(tail), blocks: () => gunzipped(file.blocks()) };
}

type File = {
  readonly sizeBytes: number;
  blocks(): AsyncGenerator<Buffer>;
  close(): Promise<void>;
};

async function openEntry(place: SourceFiles, { path, sizeBytes, entry: name }: PackedFile): Promise<File> {
  const blocks = (from: number, to: number) => place.blocks(path, from, to);
  const zip: Zip = await openZip({ sizeBytes: Number(sizeBytes), blocks }).catch((error: Error) => {
    // A silent server says nothing about the zip.
    if (error instanceof Unreachable || error instanceof ReportRefused) throw error;
    throw new ReportRefused('unreadable', `the zip cannot be opened (${error.message})`);
  });
  const found = await findInZip(zip, name ?? '').catch(async (error: unknown) => {
    await zip.close();
    throw damagedAs(error);
  });
  if (!found || isSuspicious(found.entry)) {
    await (found?.zip ?? zip).close();
    throw found
      ? new ReportRefused('too_large', `${name} would have ${found.entry.sizeBytes} bytes when unpacked`)
      : new ReportRefused('unreadable', `there is no ${name ?? 'report'} in the zip`);
  }
  const { entry, zip: inner } = found;
  return { sizeBytes: entry.sizeBytes, blocks: () => blocksOf(inner, entry), close: () => inner.close() };
}

/** Refuses a damaged file, because a retry cannot help. */
async function* blocksOf(zip: Zip, entry: ZipEntry): AsyncGenerator<Buffer> {
  try {
    yield* zip.blocks(entry);
  } catch (error) {
    throw damagedAs(error);
  }
}

function damagedAs(error: unknown): unknown {
  if (!(error instanceof NotAZip)) return error;
  const { isTruncated, message, advice } = error;
  return new ReportRefused('unreadable', isTruncated ? `the zip is damaged (${message})` : message, advice);
}

async function openSheet(
  file: File,
  delivery: Delivery,
  archiveDir: string,
  archiveName: string,
): Promise<ReportContent> {
  const original = await archiveFile(archiveDir, archiveName);
  const hash = createHash('sha256');
  try {
    for await (const block of file.blocks()) {
      hash.update(block);
      await original.write(block);
    }
    await original.finish();
  } catch (error) {
    await original.discard().catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
  return sheetOf(original.path, hash.digest('hex'), file.sizeBytes, delivery, () => original.discard());
}

/** A workbook in the archive, read as text. */
async function sheetOf(
  path: string,
  sha256: string,
  sizeBytes: number,
  { rules }: Delivery,
  discard: () => Promise<void>,
): Promise<ReportContent> {
  const { sheetAsCsv } = await import('../../adapters/file-formats/xlsx/workbook.ts');
  return {
    sizeBytes,
    textBytes: TEXT_OF_SHEET * sizeBytes,
    original: { path, sha256 },
    tail: null,
    text: () => sheetAsCsv(path, { timeZone: rules.timeZone }),
    sha256: async () => sha256,
    close: async () => {},
    discard,
  };
}
