import { type FileHandle, mkdir, open, stat, statfs, unlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { crc32 } from 'node:zlib';
import { ArchiveAway } from '../domain/errors.ts';
import { isDiskAway, isNoRoom } from './disk.ts';

/** The copies of all reports, as they came: what was read can be read again, and shown to an auditor. */
export type ArchivedFile = {
  readonly path: string;
  write(block: Buffer): Promise<void>;
  /** Bytes that were written. */
  read(offset: number, length: number): Promise<Buffer>;
  /** CRC-32 of bytes that were written. */
  crcOf(offset: number, length: number): Promise<number>;
  /** Returns when the bytes would survive a crash. */
  finish(): Promise<void>;
  discard(): Promise<void>;
};

const READ_BYTES = 1 << 20;

/** An empty file that says: this folder is the archive. Where its disk is not mounted, there is a folder all the same, and an empty one. */
export const ARCHIVE_MARK = '.settlestream-archive';

/** Makes the folder of the archive, if it is not there, and marks it. What cannot be marked is told when it is written to. */
export async function openArchive(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, ARCHIVE_MARK), '', { flag: 'a' }).catch(() => {});
}

/** Why the archive cannot be used, or has too little room for so many bytes; null where nothing is seen of that. */
export async function archiveTrouble(folder: string, needsBytes: number | null): Promise<string | null> {
  const probe = join(folder, `.probe-${process.pid}`);
  try {
    if (!(await isThere(join(folder, ARCHIVE_MARK)))) return notMounted(folder);
    await writeFile(probe, Buffer.alloc(4_096));
    await unlink(probe);
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    return needsBytes !== null && free < needsBytes
      ? `${free} bytes are free in ${folder}, and ${needsBytes} are needed`
      : null;
  } catch (error) {
    await unlink(probe).catch(() => {});
    return (error as Error).message;
  }
}

const notMounted = (folder: string): string =>
  `the archive ${folder} does not exist, or this is another folder: mount or restore it.`;

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== 'ENOENT' && code !== 'ENOTDIR',
  );

/** @throws ArchiveAway where the folder is not the archive that was opened. */
export async function checkArchive(folder: string): Promise<void> {
  if (!(await isThere(join(folder, ARCHIVE_MARK)))) throw new ArchiveAway(notMounted(folder));
}

/**
 * What an error of the file system says of the archive, where it says something: that it is away. Other errors are returned as
 * they are; places wrap what they throw themselves.
 */
export async function archiveError(folder: string, error: unknown, needsBytes: number | null = null): Promise<unknown> {
  const { code, path, message } = error as NodeJS.ErrnoException;
  if (isDiskAway(error)) {
    const isFull = isNoRoom(error);
    return new ArchiveAway(
      `the archive ${folder} cannot be used (${message}): ${isFull ? 'free space on its disk' : 'check its disk'}.`,
      isFull ? needsBytes : null,
    );
  }
  const isBelow = path !== undefined && !relative(folder, path).startsWith('..');
  if (!isBelow) return error;
  if (code === 'EACCES' || code === 'EPERM')
    return new ArchiveAway(`the archive cannot be written (${message}): allow this user to write to ${folder}.`);
  if ((code === 'ENOENT' || code === 'ENOTDIR') && !(await isThere(join(folder, ARCHIVE_MARK))))
    return new ArchiveAway(notMounted(folder));
  return error;
}

/** Begins a copy under a name that no other attempt uses. */
export async function archiveFile(folder: string, name: string): Promise<ArchivedFile> {
  await checkArchive(folder);
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'w+');
  let offset = 0;
  return {
    path,
    async write(block) {
      await writeAll(file, block, offset);
      offset += block.length;
    },
    read: (from, length) => readAt(file, from, length),
    crcOf: (from, length) => crcOf(file, from, length),
    async finish() {
      await file.sync();
      await file.close();
    },
    async discard() {
      await file.close();
      await unlink(path).catch(() => {});
    },
  };
}

/** A copy that is there already, as if it were written: it is read once more, and stays whatever comes of that. */
export async function keptFile(path: string): Promise<ArchivedFile> {
  const file = await open(path, 'r');
  return {
    path,
    write: async () => {},
    read: (from, length) => readAt(file, from, length),
    crcOf: (from, length) => crcOf(file, from, length),
    finish: () => file.close(),
    discard: () => file.close(),
  };
}

async function readAt(file: FileHandle, from: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from);
  return buffer.subarray(0, bytesRead);
}

async function crcOf(file: FileHandle, from: number, length: number): Promise<number> {
  let crc = 0;
  for await (const block of blocksOf(file, from, length)) crc = crc32(block, crc);
  return crc;
}

async function writeAll(file: FileHandle, block: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < block.length; ) {
    done += (await file.write(block, done, block.length - done, offset + done)).bytesWritten;
  }
}

/** A range of an open file, block by block. The memory of a block is used again for the next one. */
async function* blocksOf(file: FileHandle, offset: number, length: number): AsyncGenerator<Buffer> {
  const block = Buffer.allocUnsafe(Math.min(READ_BYTES, length));
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(block, 0, Math.min(block.length, length - done), offset + done);
    if (bytesRead === 0) throw new Error(`ends at byte ${offset + done}, ${length - done} bytes too early`);
    yield block.subarray(0, bytesRead);
    done += bytesRead;
  }
}

/** Reads a range of an archived file, and checks at its end that it is what was archived. */
export async function* readArchived(path: string, offset: number, length: number, crc: number): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  try {
    let found = 0;
    for await (const block of blocksOf(file, offset, length)) {
      found = crc32(block, found);
      yield block;
    }
    if (found !== crc) {
      throw new Error(
        `the archived copy ${path} has changed between bytes ${offset} and ${offset + length} (CRC-32 ${found}, was ${crc}): restore it from a backup`,
      );
    }
  } finally {
    await file.close();
  }
}
