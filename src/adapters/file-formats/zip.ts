/**
 * Reads ZIP archives by their directory, which stands last: what is in them and how large it says it is are known before
 * anything is inflated. An archive that was cut off has no directory, so that it is told at once.
 */
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { crc32, createInflateRaw } from 'node:zlib';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { ReportRefused } from '../../domain/errors.ts';
import { strangerIn } from './strangers.ts';

/** Bytes that can be read from anywhere: a remote or a local file. */
export type ByteSource = {
  readonly sizeBytes: number;
  /** From `from` up to, not including, `to`; fewer only where the file ends. A block may be reused for the next. */
  blocks(from: number, to: number): AsyncGenerator<Buffer>;
};

export type ZipEntry = {
  readonly name: string;
  /** As the directory says; more is never read, and less is an error. */
  readonly sizeBytes: number;
  readonly compressedBytes: number;
};

export type Zip = {
  readonly entries: readonly ZipEntry[];
  /** The entry's content. Its size and checksum are known to be right when the last block was read, not before. */
  blocks(entry: ZipEntry): AsyncGenerator<Buffer>;
  /** Leaves the source open. */
  close(): Promise<void>;
};

/** The archive, or an entry of it, cannot be read. */
export class NotAZip extends Error {
  override readonly name = 'NotAZip';
  /** It begins like an archive, and is cut off or damaged. */
  readonly isTruncated: boolean;
  /** What to do, where it is more than to fetch it again. */
  readonly advice: string | undefined;

  constructor(isTruncated: boolean, detail: string, advice?: string) {
    super(detail);
    this.isTruncated = isTruncated;
    this.advice = advice;
  }
}

/** A report's archive has one entry and a workbook's a dozen. */
const MAX_ENTRIES = 10_000;
const BLOCK_BYTES = 1 << 17;
/** Text packs to a fifth or a tenth, a sheet to a twentieth; what claims to be so much more is made to fill disks. */
const MAX_UNPACKED = 200;
const UNSUSPICIOUS_BYTES = 256 << 20;

/** Whether an entry is so much larger than it is packed that nobody would have written it as a report. */
export const isSuspicious = ({ sizeBytes, compressedBytes }: ZipEntry): boolean =>
  sizeBytes > UNSUSPICIOUS_BYTES && sizeBytes > MAX_UNPACKED * compressedBytes;

/** Reads the directory of an archive. Throws NotAZip, or ReportRefused if it is too large. */
export async function openZip(source: ByteSource): Promise<Zip> {
  await checkBeginning(source);
  const reader = new SourceReader(source);
  try {
    const directory = await fromRandomAccessReaderPromise(reader, source.sizeBytes, { autoClose: false });
    if (directory.entryCount > MAX_ENTRIES)
      throw new ReportRefused(
        'too_large',
        `${directory.entryCount} entries in the ZIP archive, of ${MAX_ENTRIES} at most`,
      );
    const found = new Map<ZipEntry, Entry>();
    for await (const entry of directory.eachEntry())
      found.set(
        { name: entry.fileName, sizeBytes: entry.uncompressedSize, compressedBytes: entry.compressedSize },
        entry,
      );
    return {
      entries: [...found.keys()],
      blocks: (entry) => blocksOf(reader, directory, found.get(entry)!),
      close: async () => directory.close(),
    };
  } catch (error) {
    throw error instanceof ReportRefused ? error : (reader.failure ?? damaged(error));
  }
}

/** A file of this machine. */
export async function localBytes(path: string): Promise<ByteSource & { close(): Promise<void> }> {
  const file = await open(path, 'r');
  const { size: sizeBytes } = await file.stat();
  return {
    sizeBytes,
    async *blocks(from, to) {
      for (let at = from; at < to; ) {
        const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, to - at));
        const { bytesRead } = await file.read(block, 0, block.length, at);
        if (bytesRead === 0) return;
        yield block.subarray(0, bytesRead);
        at += bytesRead;
      }
    },
    close: () => file.close(),
  };
}

async function checkBeginning(source: ByteSource): Promise<void> {
  const head = (await bytesOf(source, 0, Math.min(4, source.sizeBytes))).toString('latin1');
  if (head === 'PK\x03\x04' || head === 'PK\x05\x06') return;
  if (head === '') throw new NotAZip(false, 'the file is empty');
  if ('PK\x03\x04'.startsWith(head)) throw new NotAZip(true, 'this does not begin like a ZIP archive');
  if (head === '\xd0\xcf\x11\xe0') throw await oldWorkbook(source);
  const bytes = await bytesOf(source, 0, Math.min(1_024, source.sizeBytes));
  const stranger = strangerIn(bytes);
  if (stranger !== null) throw new NotAZip(false, `this is ${stranger.what}`, stranger.advice);
  const isText = !bytes.subarray(0, 64).some((byte) => byte < 0x09);
  throw isText
    ? new NotAZip(false, 'this is text, not a ZIP archive', 'If it is CSV, name it .csv.')
    : new NotAZip(false, 'this does not begin like a ZIP archive');
}

/** Both are of the container that came before ZIP; what is in it stands in its directory, in UTF-16. */
async function oldWorkbook(source: ByteSource): Promise<NotAZip> {
  const head = await bytesOf(source, 0, Math.min(512, source.sizeBytes));
  const sectorBytes = 1 << (head.length < 52 ? 9 : head.readUInt16LE(30));
  const at = head.length < 52 ? 0 : (head.readUInt32LE(48) + 1) * sectorBytes;
  const directory = await bytesOf(source, Math.min(at, source.sizeBytes), Math.min(at + 4_096, source.sizeBytes));
  if (directory.includes(Buffer.from('EncryptedPackage', 'utf16le')))
    return new NotAZip(false, 'this is a workbook with a password', 'Save it without a password.');
  return new NotAZip(
    false,
    'this is a workbook of the old kind (.xls), or one with a password',
    'Save it as .xlsx or CSV, without a password.',
  );
}

async function* blocksOf(reader: SourceReader, directory: ZipFile, entry: Entry): AsyncGenerator<Buffer> {
  const { fileName: name, compressionMethod, compressedSize, uncompressedSize } = entry;
  if (!entry.canDecodeFileData()) {
    throw entry.isEncrypted()
      ? new NotAZip(false, `${name} is encrypted in the zip`, 'Ask for it without a password, or unpack it.')
      : new NotAZip(
          false,
          `${name} is compressed by method ${compressionMethod}`,
          'Ask for the usual method (deflate), or unpack it.',
        );
  }
  const from = await dataStart(reader, directory, entry);
  const packed = reader.source.blocks(from, from + compressedSize);
  let sizeBytes = 0;
  let sum = 0;
  for await (const block of compressionMethod === 0 ? packed : inflated(packed, name)) {
    sizeBytes += block.length;
    if (sizeBytes > uncompressedSize) break;
    sum = crc32(block, sum);
    yield block;
  }
  if (sizeBytes !== uncompressedSize)
    throw new NotAZip(true, `${name} is ${sizeBytes > uncompressedSize ? 'longer' : 'shorter'} than the archive says`);
  if (sum !== entry.crc32) throw new NotAZip(true, `${name} has another checksum than the archive says`);
}

async function dataStart(reader: SourceReader, directory: ZipFile, entry: Entry): Promise<number> {
  try {
    return (await directory.readLocalFileHeaderPromise(entry, { minimal: true })).fileDataStart;
  } catch (error) {
    throw reader.failure ?? damaged(error);
  }
}

async function* inflated(packed: AsyncGenerator<Buffer>, name: string): AsyncGenerator<Buffer> {
  // An error of either comes out of the last one, below; leaving early ends both.
  const inflating = pipeline(copies(packed), createInflateRaw({ chunkSize: BLOCK_BYTES }), () => {});
  try {
    yield* inflating;
  } catch (error) {
    const isOfZlib = /^Z_/.test((error as NodeJS.ErrnoException).code ?? '');
    throw isOfZlib ? new NotAZip(true, `${name}: ${(error as Error).message}`) : error;
  }
}

const damaged = (error: unknown) => new NotAZip(true, (error as Error).message);

/** The directory is read in many small pieces: they are taken from one larger one. */
class SourceReader extends RandomAccessReader {
  /** What the source itself failed with: no word on the archive. */
  failure: unknown = null;
  readonly source: ByteSource;
  #kept: Buffer = Buffer.alloc(0);
  #keptFrom = 0;

  constructor(source: ByteSource) {
    super();
    this.source = source;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ) {
    this.#bytes(position, length).then(
      (bytes) => {
        bytes.copy(buffer, offset);
        callback(bytes.length < length ? new Error('the file ends within its directory') : null);
      },
      (error) => {
        this.failure = error;
        callback(error);
      },
    );
  }

  async #bytes(from: number, length: number): Promise<Buffer> {
    const isKept = from >= this.#keptFrom && from + length <= this.#keptFrom + this.#kept.length;
    if (!isKept) {
      const to = Math.min(from + Math.max(length, BLOCK_BYTES), this.source.sizeBytes);
      this.#kept = await bytesOf(this.source, from, to);
      this.#keptFrom = from;
    }
    return this.#kept.subarray(from - this.#keptFrom, from - this.#keptFrom + length);
  }
}

async function bytesOf(source: ByteSource, from: number, to: number): Promise<Buffer> {
  const blocks: Buffer[] = [];
  for await (const block of copies(source.blocks(from, to))) blocks.push(block);
  return Buffer.concat(blocks);
}

/** For who looks at a block later, when its source may have reused it. */
async function* copies(blocks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  for await (const block of blocks) yield Buffer.from(block);
}
