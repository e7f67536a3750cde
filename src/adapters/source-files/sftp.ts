import { posix } from 'node:path';
import { Denied, Unreachable } from '../../domain/errors.ts';
import {
  AnswerIsNo,
  type Connection,
  ConnectionLost,
  type Limits,
  type ListedEntry,
  NO_SUCH_FILE,
  openSession,
  type SftpSession,
  type SftpSettings,
  type Stats,
} from './sftp-connection.ts';
import type { Entry, FileState, SourceFiles } from './source-files.ts';

export { HostKeyRefused } from '../../domain/errors.ts';
export type { Limits, SftpSettings } from './sftp-connection.ts';

const LIMITS: Limits = {
  connectMs: 20_000,
  keepaliveMs: 10_000,
  stallMs: 30_000,
  idleMs: 30_000,
  pauseMs: 500,
  retries: 5,
  maxEntries: 500_000,
};
const LONGEST_PAUSE_MS = 30_000;

/** The most that OpenSSH answers at once. So many blocks are asked for ahead: one at a time would wait for the line at each. */
const BLOCK_BYTES = 261_120;
const BLOCKS_AHEAD = 16;
/** A server that answers less than was asked for is asked for less from then on, but for no less than this. */
const SMALLEST_BLOCK_BYTES = 16_384;

const END_OF_LIST = 1;

/** Files on an SFTP server, which are only ever read. Nothing is connected before something is asked for. */
export function openSftp(settings: SftpSettings, given: Partial<Limits> = {}): SourceFiles {
  const limits = { ...LIMITS, ...given };
  const line = openSession(settings, limits);

  /** Where the connection breaks, it is done once more on a new one. */
  const ask = async <T>(work: (connection: Connection) => Promise<T>): Promise<T> => {
    line.hold();
    try {
      const connection = await line.connection();
      return await work(connection).catch(async (error: unknown) => {
        if (!(error instanceof ConnectionLost)) throw error;
        return work(await line.connection());
      });
    } finally {
      line.release();
    }
  };

  return {
    entries: (directory) => ask((connection) => entriesOf(connection, directory, limits.maxEntries)),
    stat: (path) => ask((connection) => stateAt(connection, path)),
    read: (path, offset, length) => ask((connection) => readAt(connection, path, offset, length)),
    blocks: (path, from = 0, to = Number.POSITIVE_INFINITY) => blocksOf(line, limits, path, from, to),
    close: line.close,
  };
}

async function entriesOf(connection: Connection, directory: string, maxEntries: number): Promise<Entry[] | null> {
  const { sftp, ask, where } = connection;
  const handle = await ask<Buffer>(directory, (done) => sftp.opendir(directory, done)).catch(notThere);
  if (handle === null) return null;
  try {
    const entries: Entry[] = [];
    for (let seen = 0; ; ) {
      const some = await ask<ListedEntry[]>(directory, (done) => sftp.readdir(handle, done)).catch(atEnd);
      if (some === null) return entries;
      // One that has nothing to tell and does not end is no better than one that is endless.
      seen += Math.max(1, some.length);
      if (seen > maxEntries)
        throw new Denied(
          `${where}: ${directory} has more than ${maxEntries} files: ask the provider for directories of days.`,
        );
      entries.push(...(await told(connection, directory, some)));
    }
  } finally {
    await closeHandle(connection, directory, handle);
  }
}

/** What they are. What the listing leaves open of one of them is asked for. */
async function told(connection: Connection, directory: string, listed: readonly ListedEntry[]): Promise<Entry[]> {
  const entries = listed
    .filter(({ filename }) => isName(filename))
    .map(async ({ filename: name, attrs: shown }): Promise<Entry | null> => {
      const path = posix.join(directory, name);
      const attrs = isComplete(shown) ? shown : await attrsOf(connection, path);
      if (!attrs) return null;
      const isDirectory = attrs.isDirectory();
      if (isDirectory || attrs.isFile()) return { name, isDirectory, ...stateOf(connection, path, attrs) };
      const other = attrs.isSymbolicLink() ? 'link' : 'special';
      return { name, isDirectory, other, sizeBytes: 0, modifiedAtMicros: 0n };
    });
  return (await Promise.all(entries)).filter((entry) => entry !== null);
}

async function stateAt(connection: Connection, path: string): Promise<FileState | null> {
  const seen = await attrsOf(connection, path);
  return seen?.isFile() ? stateOf(connection, path, seen) : null;
}

/** Of the file itself, where it is a link. */
async function attrsOf({ sftp, ask, where }: Connection, path: string): Promise<Stats | null> {
  const seen = await ask<Stats>(path, (done) => sftp.lstat(path, done)).catch(notThere);
  if (seen !== null && seen.mode === undefined) throw new Denied(untold(where, path, 'whether it is a file'));
  return seen;
}

async function readAt(connection: Connection, path: string, offset: number, length: number): Promise<Buffer> {
  const file = await openFile(connection, path);
  try {
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const got = await readSome(file, bytes, done, Math.min(BLOCK_BYTES, length - done), offset + done);
      if (got === 0) break;
      done += got;
    }
    return bytes.subarray(0, done);
  } finally {
    await closeFile(file);
  }
}

/**
 * The file as large as it is at the beginning. When the connection breaks, it is gone on with where it was, on a new one; only
 * if the file is still the same, for the halves of two files would look like one.
 */
async function* blocksOf(
  line: SftpSession,
  limits: Limits,
  path: string,
  from: number,
  to: number,
): AsyncGenerator<Buffer> {
  let file: OpenFile | null = null;
  let first: FileState | null = null;
  let offset = from;
  let failures = 0;
  line.hold();
  try {
    while (first === null || offset < Math.min(to, first.sizeBytes)) {
      try {
        file = await openFile(await line.connection(), path);
        first ??= file.state;
        checkSame(file, first);
        for await (const block of readAhead(file, offset, Math.min(to, first.sizeBytes))) {
          offset += block.length;
          failures = 0;
          yield block;
        }
      } catch (error) {
        if (!(error instanceof ConnectionLost) || ++failures > limits.retries) throw error;
        file = null;
        await line.pause(pauseMs(failures, limits.pauseMs));
      }
    }
  } finally {
    if (file) await closeFile(file);
    line.release();
  }
}

/** At least half of the time; the rest is chance, so that those who lost the same server do not all come back at once. */
function pauseMs(failures: number, firstMs: number): number {
  const most = Math.min(LONGEST_PAUSE_MS, firstMs * 2 ** (failures - 1));
  return most / 2 + (Math.random() * most) / 2;
}

function checkSame({ connection, path, state }: OpenFile, first: FileState): void {
  if (state.sizeBytes === first.sizeBytes && state.modifiedAtMicros === first.modifiedAtMicros) return;
  throw new Unreachable(
    `${connection.where}: ${path} was replaced while it was read (${first.sizeBytes} bytes before, ${state.sizeBytes} now): read it again from the beginning.`,
  );
}

/**
 * Bytes of an open file, in order, with the next blocks already asked for. There are as many buffers as blocks are asked for
 * ahead, and the one that was handed out is used again when the next is wanted: who reads slowly is sent no more.
 */
async function* readAhead(file: OpenFile, from: number, to: number): AsyncGenerator<Buffer> {
  let blockBytes = Math.min(BLOCK_BYTES, to - from);
  const count = Math.min(BLOCKS_AHEAD, Math.ceil((to - from) / BLOCK_BYTES));
  const free: Buffer[] = Array.from({ length: count }, () => Buffer.allocUnsafe(blockBytes));
  const asked: { readonly buffer: Buffer; readonly length: number; readonly read: Promise<number> }[] = [];
  let next = from;

  /** Less than was asked for is not the end of the file; nothing is. */
  const readAll = async (buffer: Buffer, length: number, position: number): Promise<number> => {
    let done = 0;
    while (done < length) {
      const got = await readSome(file, buffer, done, length - done, position + done);
      if (got === 0) break;
      done += got;
      if (done < length) blockBytes = Math.min(blockBytes, Math.max(SMALLEST_BLOCK_BYTES, got));
    }
    return done;
  };
  const askAhead = () => {
    while (next < to && free.length > 0) {
      const buffer = free.pop()!;
      const length = Math.min(blockBytes, to - next);
      const read = readAll(buffer, length, next);
      // It may fail before anybody waits for it.
      read.catch(() => {});
      asked.push({ buffer, length, read });
      next += length;
    }
  };

  for (askAhead(); asked.length > 0; askAhead()) {
    const { buffer, length, read } = asked.shift()!;
    const done = await read;
    if (done < length) {
      throw new Unreachable(
        `${file.connection.where}: ${file.path} became shorter while it was read: read it again from the beginning.`,
      );
    }
    yield buffer.subarray(0, length);
    free.push(buffer);
  }
}

type OpenFile = {
  readonly connection: Connection;
  readonly path: string;
  readonly handle: Buffer;
  readonly state: FileState;
};

async function openFile(connection: Connection, path: string): Promise<OpenFile> {
  const { sftp, ask } = connection;
  const handle = await ask<Buffer>(path, (done) => sftp.open(path, 'r', done));
  try {
    const state = stateOf(connection, path, await ask<Stats>(path, (done) => sftp.fstat(handle, done)));
    return { connection, path, handle, state };
  } catch (error) {
    await closeHandle(connection, path, handle);
    throw error;
  }
}

const closeFile = ({ connection, path, handle }: OpenFile): Promise<void> => closeHandle(connection, path, handle);

/** Where the connection is gone, so is the handle. */
const closeHandle = ({ sftp, ask }: Connection, path: string, handle: Buffer): Promise<void> =>
  ask<void>(path, (done) => sftp.close(handle, done)).catch(() => {});

/** How many bytes came; 0 at the end of the file. */
const readSome = (file: OpenFile, into: Buffer, at: number, length: number, position: number): Promise<number> =>
  file.connection.ask(file.path, (done) => file.connection.sftp.read(file.handle, into, at, length, position, done));

/** A server may leave out whatever it likes. */
const isComplete = ({ mode, size, mtime }: Partial<Stats>): boolean =>
  mode !== undefined && size !== undefined && mtime !== undefined;

/** In whole seconds, for SFTP's version 3 tells no finer time. */
function stateOf({ where }: Connection, path: string, { size, mtime }: Partial<Stats>): FileState {
  if (size === undefined || mtime === undefined) throw new Denied(untold(where, path, 'its size and time'));
  return { sizeBytes: size, modifiedAtMicros: BigInt(mtime) * 1_000_000n };
}

const untold = (where: string, path: string, what: string): string =>
  `${where}: the server does not say ${what} of ${path}, so it cannot be read safely: ask the provider.`;

/** A name that leads elsewhere, or that no text can hold, is no name. */
const isName = (text: string): boolean => !['', '.', '..'].includes(text) && !/[/\0]/.test(text);

const nullAt =
  (code: number) =>
  (error: unknown): null => {
    if (error instanceof AnswerIsNo && error.code === code) return null;
    throw error;
  };
const notThere = nullAt(NO_SUCH_FILE);
const atEnd = nullAt(END_OF_LIST);
