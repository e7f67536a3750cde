/** What lies in archives: files in zips, in zips within zips, and gzipped ones. Memory stays flat, whatever they hold. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ReportRefused } from '../../domain/errors.ts';
import { isZipName } from '../../domain/report/report-name.ts';
import { type ByteSource, isSuspicious, localBytes, NotAZip, openZip, type Zip, type ZipEntry } from './zip.ts';

/** So many archives may stand one in the other. */
const DEEPEST = 3;
/** What archives within one archive may come to, unpacked. */
const MOST_UNPACKED_BYTES = 4 * 2 ** 30;
const IN_MEMORY_BYTES = 16 << 20;

/** The files in a zip by their paths in it; one in a zip within it is `inner.zip/file`. */
export type ZipContents = {
  readonly files: readonly string[];
  /** Archives in it that were not looked into, and what else of it cannot be read. */
  readonly unopened: readonly { readonly name: string; readonly why: string }[];
};

/** @throws NotAZip, or ReportRefused if it is too large */
export async function lookIntoZip(source: ByteSource): Promise<ZipContents> {
  const files = new Set<string>();
  const unopened: { name: string; why: string }[] = [];
  let leftBytes = MOST_UNPACKED_BYTES;
  const lookInto = async (zip: Zip, prefix: string, depth: number) => {
    for (const entry of zip.entries) {
      const name = `${prefix}${entry.name}`;
      if (entry.name.endsWith('/')) continue;
      if (!isZipName(entry.name)) {
        if (files.has(name)) unopened.push({ name, why: 'the name appears twice in the zip' });
        else files.add(name);
        continue;
      }
      leftBytes -= entry.sizeBytes;
      if (depth === DEEPEST || leftBytes < 0) {
        unopened.push({ name, why: depth === DEEPEST ? `zips are opened ${DEEPEST} deep` : 'it is too large' });
        continue;
      }
      try {
        const inner = await openInner(zip, entry);
        await lookInto(inner, `${name}/`, depth + 1).finally(() => inner.close());
      } catch (error) {
        if (!isOfTheArchive(error)) throw error;
        unopened.push({ name, why: error.message });
      }
    }
  };
  const zip = await openZip(source);
  await lookInto(zip, '', 1).finally(() => zip.close());
  return { files: [...files], unopened };
}

/** Says something of the archive, and nothing of where it lies. */
const isOfTheArchive = (error: unknown): error is Error => error instanceof NotAZip || error instanceof ReportRefused;

/** The entry of that path, and the zip that it stands in; null: there is none. Closing that zip closes those around it. */
export async function findInZip(outer: Zip, path: string): Promise<{ zip: Zip; entry: ZipEntry } | null> {
  const entry = outer.entries.find(({ name }) => name === path);
  if (entry) return { zip: outer, entry };
  const around = outer.entries.find(({ name }) => isZipName(name) && path.startsWith(`${name}/`));
  if (!around) return null;
  const inner = await openInner(outer, around);
  const zip = { ...inner, close: () => inner.close().finally(() => outer.close()) };
  const found = await findInZip(zip, path.slice(around.name.length + 1)).catch(async (error) => {
    await inner.close();
    throw error;
  });
  if (!found) await inner.close();
  return found;
}

/** A zip within a zip. It has to be unpacked first, for its directory stands at its end. */
async function openInner(zip: Zip, entry: ZipEntry): Promise<Zip> {
  if (isSuspicious(entry) || entry.sizeBytes > MOST_UNPACKED_BYTES)
    throw new ReportRefused('too_large', `${entry.name} would have ${entry.sizeBytes} bytes when unpacked`);
  const source = await (entry.sizeBytes <= IN_MEMORY_BYTES ? inMemory : onDisk)(zip.blocks(entry));
  const inner = await openZip(source).catch(async (error) => {
    await source.close();
    throw error;
  });
  return { ...inner, close: () => inner.close().finally(() => source.close()) };
}

type Unpacked = ByteSource & { close(): Promise<void> };

async function inMemory(blocks: AsyncGenerator<Buffer>): Promise<Unpacked> {
  const kept: Buffer[] = [];
  for await (const block of blocks) kept.push(Buffer.from(block));
  const bytes = Buffer.concat(kept);
  return {
    sizeBytes: bytes.length,
    async *blocks(from, to) {
      if (from < to) yield bytes.subarray(from, to);
    },
    close: async () => {},
  };
}

/** The file has no name any more once it is open: it is gone however this process ends. */
async function onDisk(blocks: AsyncGenerator<Buffer>): Promise<Unpacked> {
  const folder = await mkdtemp(join(tmpdir(), 'settlestream-zip-'));
  try {
    const path = join(folder, 'inner.zip');
    const file = await open(path, 'wx');
    try {
      for await (const block of blocks) await file.writeFile(block);
    } finally {
      await file.close();
    }
    return await localBytes(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** More than this times as large as it is packed, and large: made to fill disks. */
const MAX_UNPACKED = 200;
const UNSUSPICIOUS_BYTES = 256 << 20;

/** @throws ReportRefused where it is damaged, cut off, or unpacks to far too much */
export async function* gunzipped(packed: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let packedBytes = 0;
  let sizeBytes = 0;
  const counted = async function* () {
    for await (const block of packed) {
      packedBytes += block.length;
      yield Buffer.from(block);
    }
  };
  const inflating = pipeline(counted(), createGunzip({ chunkSize: 1 << 17 }), () => {});
  try {
    for await (const block of inflating as AsyncIterable<Buffer>) {
      sizeBytes += block.length;
      if (sizeBytes > UNSUSPICIOUS_BYTES && sizeBytes > MAX_UNPACKED * packedBytes)
        throw new ReportRefused('too_large', `${packedBytes} gzipped bytes unpack to more than ${sizeBytes}`);
      yield block;
    }
  } catch (error) {
    const isOfZlib = /^Z_/.test((error as NodeJS.ErrnoException).code ?? '');
    throw isOfZlib
      ? new ReportRefused('unreadable', `the gzipped file is damaged (${(error as Error).message})`)
      : error;
  }
  if (packedBytes === 0) throw new ReportRefused('unreadable', 'the gzipped file is empty');
}

/** How large a gzipped file is unpacked, as its last bytes say: right for less than 4 GiB that were packed at once. */
export async function sizeOfGzip(packed: AsyncGenerator<Buffer>): Promise<number> {
  let tail = Buffer.alloc(0);
  for await (const block of packed) tail = Buffer.concat([tail, block.subarray(-4)]).subarray(-4);
  return tail.length === 4 ? tail.readUInt32LE(0) : 0;
}
