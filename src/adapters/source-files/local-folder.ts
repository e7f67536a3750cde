import { createReadStream } from 'node:fs';
import { lstat, open, readdir, stat as statOf } from 'node:fs/promises';
import { join } from 'node:path';
import { Denied, Unreachable } from '../../domain/errors.ts';
import { isDiskAway } from '../disk.ts';
import type { Entry, FileState, SourceFiles } from './source-files.ts';

const BLOCK_BYTES = 1 << 20;

/** Folders of this machine as a place of reports. Paths are the file system's own; symbolic links are not followed. */
export const openFolders = (): SourceFiles => ({
  entries: (directory) => entries(directory).catch((error) => notReached(error, directory)),
  stat: (path) => stat(path).catch((error) => notReached(error, path)),
  read: (path, offset, length) => read(path, offset, length).catch((error) => notReached(error, path)),
  blocks,
  close: async () => {},
});

async function entries(directory: string): Promise<Entry[] | null> {
  const found = await readdir(directory, { withFileTypes: true })
    .catch(notThere)
    .catch((error) => notAllowed(error, directory));
  if (found === null) return null;
  const entries: Entry[] = [];
  for (const { name } of found) {
    const path = join(directory, name);
    // A file can go between the listing and the look at it: it is then not there.
    const seen = await lstat(path, { bigint: true }).catch(notThere);
    if (!seen) continue;
    const isDirectory = seen.isDirectory();
    const entry = { name, isDirectory, ...stateOf(seen) };
    if (isDirectory || seen.isFile()) entries.push(entry);
    else entries.push({ ...entry, other: seen.isSymbolicLink() ? await linkAt(path) : 'special' });
  }
  return entries;
}

/** What a link leads to is told, and not looked into. */
const linkAt = async (path: string): Promise<'link' | 'linkToDirectory'> =>
  (await statOf(path).catch(() => null))?.isDirectory() ? 'linkToDirectory' : 'link';

async function stat(path: string): Promise<FileState | null> {
  const seen = await lstat(path, { bigint: true }).catch(notThere);
  return seen?.isFile() ? stateOf(seen) : null;
}

async function read(path: string, offset: number, length: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  } finally {
    await file.close();
  }
}

async function* blocks(path: string, from = 0, to = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
  try {
    if (from < to) yield* createReadStream(path, { start: from, end: to - 1, highWaterMark: BLOCK_BYTES });
  } catch (error) {
    notReached(error, path);
  }
}

const stateOf = (seen: { size: bigint; mtimeNs: bigint }): FileState => ({
  sizeBytes: Number(seen.size),
  modifiedAtMicros: seen.mtimeNs / 1000n,
});

function notThere(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
  throw error;
}

/** A disk or network share that is broken says nothing of the file. */
function notReached(error: unknown, path: string): never {
  if (!isDiskAway(error)) throw error;
  throw new Unreachable(`${path} cannot be reached (${error.message}): check its disk or share.`);
}

function notAllowed(error: NodeJS.ErrnoException, directory: string): never {
  if (error.code !== 'EACCES' && error.code !== 'EPERM') throw error;
  throw new Denied(`the directory ${directory} may not be read by this user: change its permissions.`);
}
