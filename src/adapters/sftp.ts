import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { posix } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import SftpClient from 'ssh2-sftp-client';
import { Denied, LoginRefused, Unreachable, UsageError } from '../domain/errors.ts';
import type { Entry, FileState, Place } from './place.ts';

export type SftpSettings = {
  readonly host: string;
  /** Tried when `host` cannot be reached. Its key must be one of the same. */
  readonly fallbackHost: string | null;
  readonly port: number;
  readonly username: string;
  readonly password: string | null;
  /** Its text, not its path. */
  readonly privateKey: string | null;
  readonly passphrase: string | null;
  /**
   * SHA-256 fingerprints: as OpenSSH prints them (`SHA256:` and base64; prefix and padding may be left out) or as 64 hex digits.
   * The server's key must be one of them; with none, every server is refused.
   */
  readonly hostKeySha256: readonly string[];
};

export type Limits = {
  /** For reaching a host and logging in. */
  readonly connectMs: number;
  readonly keepaliveMs: number;
  /** A connection on which something is asked and nothing comes for so long is given up. */
  readonly stallMs: number;
  /** An unused connection is ended after so long, so that it takes no place that others may need. */
  readonly idleMs: number;
  /** At most so long before a file is gone on with; twice as long each further time in a row. */
  readonly pauseMs: number;
  /** So often in a row it is tried to go on with a file, without a byte of it coming. */
  readonly retries: number;
  /** A directory that holds more is not listed: one without an end would fill the memory. */
  readonly maxEntries: number;
};

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
/** So long a connection may take to end in good order. */
const GOODBYE_MS = 2_000;

/** The most that OpenSSH answers at once. So many blocks are asked for ahead: one at a time would wait for the line at each. */
const BLOCK_BYTES = 261_120;
const BLOCKS_AHEAD = 16;
/** A server that answers less than was asked for is asked for less from then on, but for no less than this. */
const SMALLEST_BLOCK_BYTES = 16_384;
/** What comes on a line on which nothing is answered: keepalive. */
const NOISE_BYTES = 1_024;

const END_OF_LIST = 1;
const NO_SUCH_FILE = 2;
const PERMISSION_DENIED = 3;

/** There was no connection, or it broke: the only error after which the same thing is tried anew within a call. */
class ConnectionLost extends Unreachable {}

/**
 * The server's key is none of those that are known. It may be another server that wants our password, so nothing was sent to it.
 * It is Unreachable to those who call: asked again later, the right server may answer.
 */
export class HostKeyRefused extends Unreachable {}

/** The server answered, and the answer is no. `code` is SFTP's. */
class AnswerIsNo extends Denied {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Files on an SFTP server, which are only ever read. Nothing is connected before something is asked for. */
export function openSftp(settings: SftpSettings, given: Partial<Limits> = {}): Place {
  const limits = { ...LIMITS, ...given };
  const line = openLine(settings, limits);

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
      const some = await ask<Listed[]>(directory, (done) => sftp.readdir(handle, done)).catch(atEnd);
      if (some === null) return entries;
      // One that has nothing to tell and does not end is no better than one that is endless.
      seen += Math.max(1, some.length);
      if (seen > maxEntries)
        throw new Denied(
          `${where}: more than ${maxEntries} files are in ${directory}: ask the provider for directories of days.`,
        );
      entries.push(...(await told(connection, directory, some)));
    }
  } finally {
    await closeHandle(connection, directory, handle);
  }
}

/** The files and directories among them. What the listing leaves open of one of them is asked for. */
async function told(connection: Connection, directory: string, listed: readonly Listed[]): Promise<Entry[]> {
  const entries = listed
    .filter(({ filename }) => isName(filename))
    .map(async ({ filename: name, attrs: shown }): Promise<Entry | null> => {
      const path = posix.join(directory, name);
      const attrs = isComplete(shown) ? shown : await attrsOf(connection, path);
      if (!attrs?.isFile() && !attrs?.isDirectory()) return null;
      return { name, isDirectory: attrs.isDirectory(), ...stateOf(connection, path, attrs) };
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
async function* blocksOf(line: Line, limits: Limits, path: string, from: number, to: number): AsyncGenerator<Buffer> {
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
  `${where}: of ${path} the server does not tell ${what}, so nothing of it can be relied on: ask the provider.`;

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

type Line = {
  /** The one connection that all calls share, made if there is none. */
  connection(): Promise<Connection>;
  /** While somebody holds the line, it is not idle. */
  hold(): void;
  release(): void;
  /** Ends early when the line is closed. */
  pause(ms: number): Promise<void>;
  close(): Promise<void>;
};

function openLine(settings: SftpSettings, limits: Limits): Line {
  const closed = new AbortController();
  let current: Connection | null = null;
  let coming: Promise<Connection> | null = null;
  let holders = 0;
  let idle: NodeJS.Timeout | undefined;
  let isClosed = false;

  return {
    async connection() {
      if (isClosed) throw new Error(`${nameOf(settings, settings.host)} is asked for something after it was closed`);
      if (current?.isOpen()) return current;
      coming ??= connect(settings, limits, closed.signal).finally(() => {
        coming = null;
      });
      current = await coming;
      return current;
    },
    hold() {
      holders++;
      clearTimeout(idle);
    },
    release() {
      if (--holders === 0 && !isClosed) idle = setTimeout(() => current?.end(), limits.idleMs);
    },
    pause: (ms) => delay(ms, undefined, { signal: closed.signal }).catch(() => {}),
    async close() {
      isClosed = true;
      clearTimeout(idle);
      await current?.end();
      closed.abort();
      await coming?.catch(() => {});
    },
  };
}

async function connect(settings: SftpSettings, limits: Limits, closed: AbortSignal): Promise<Connection> {
  const { host, fallbackHost } = settings;
  const reasons: string[] = [];
  for (const name of fallbackHost === null ? [host] : [host, fallbackHost]) {
    try {
      return await connectTo(name, settings, limits, closed);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      reasons.push(error.message);
    }
  }
  throw new ConnectionLost(
    `cannot reach ${reasons.join(', nor ')}. Check host and port, and that the provider lets this machine's address in.`,
  );
}

/**
 * Logs in at one host.
 * @throws HostKeyRefused, LoginRefused; UsageError when the private key cannot be read; ConnectionLost for all else.
 */
async function connectTo(
  host: string,
  settings: SftpSettings,
  limits: Limits,
  closed: AbortSignal,
): Promise<Connection> {
  const { port, username, password, privateKey, passphrase } = settings;
  const where = nameOf(settings, host);
  // What went wrong first is the reason for all that follows.
  const troubles: Error[] = [];
  const socket = createConnection({ host, port, signal: closed });
  // Without this, what is asked for waits until the answer before was acknowledged: a tenth of the speed.
  socket.setNoDelay(true);
  socket.on('error', (error) => troubles.push(error));
  socket.on('end', () => troubles.push(new Error('the server closed the connection')));
  const late = setTimeout(
    () => socket.destroy(new Error(`no login within ${limits.connectMs / 1000} s`)),
    limits.connectMs,
  );
  const client = new SftpClient('', { error() {}, end() {}, close() {} });
  client.on('error', (error: Error & { level?: string }) =>
    troubles.push(error.level === 'client-authentication' ? loginRefused(where, settings) : error),
  );
  try {
    await once(socket, 'connect');
    const sftp = await client.connect({
      sock: socket,
      // Only `false`, and at once, refuses: no promise may be returned here.
      hostVerifier: (key: Buffer): boolean => {
        const isKnown = isPinned(key, settings.hostKeySha256);
        if (!isKnown) troubles.push(hostKeyRefused(where, key, settings.hostKeySha256));
        return isKnown;
      },
      authHandler: waysIn(settings),
      username,
      ...(password === null ? {} : { password }),
      ...(privateKey === null ? {} : { privateKey }),
      ...(passphrase === null ? {} : { passphrase }),
      readyTimeout: 0,
      keepaliveInterval: limits.keepaliveMs,
      keepaliveCountMax: 3,
    });
    return overSocket(socket, client, sftp, { where, troubles, stallMs: limits.stallMs });
  } catch (error) {
    socket.destroy();
    throw whyNot(where, troubles[0] ?? (error as Error));
  } finally {
    clearTimeout(late);
  }
}

const nameOf = ({ username, port }: SftpSettings, host: string): string => `sftp://${username}@${host}:${port}`;

const waysIn = ({ privateKey, password }: SftpSettings): ('publickey' | 'password')[] => [
  ...(privateKey === null ? [] : (['publickey'] as const)),
  ...(password === null ? [] : (['password'] as const)),
];

function whyNot(where: string, error: Error & { code?: string }): Error {
  if (error instanceof Unreachable) return error;
  if (/^(Cannot parse privateKey|privateKey value)/.test(error.message))
    return new UsageError(`${where}: ${error.message}. Check the private key and its passphrase.`);
  // An error for several addresses of one name has a code only.
  return new ConnectionLost(`${where} (${error.message || error.code})`);
}

function isPinned(key: Buffer, pinned: readonly string[]): boolean {
  const digest = createHash('sha256').update(key).digest();
  return pinned.some((pin) => {
    const text = pin.replace(/^SHA256:/i, '').replace(/=+$/, '');
    return text === unpadded(digest) || text.toLowerCase() === digest.toString('hex');
  });
}

const unpadded = (digest: Buffer): string => digest.toString('base64').replace(/=+$/, '');

function hostKeyRefused(where: string, key: Buffer, pinned: readonly string[]): HostKeyRefused {
  const type = key.toString('latin1', 4, 4 + key.readUInt32BE(0));
  const offered = `SHA256:${unpadded(createHash('sha256').update(key).digest())}`;
  const known = pinned.length === 0 ? 'and hostKeySha256 is not set' : 'which is not in hostKeySha256';
  return new HostKeyRefused(
    `${where} shows the ${type} key ${offered}, ${known}. Nothing was sent to it. Ask the provider whether this key is its own; if it is, set hostKeySha256 to it.`,
  );
}

function loginRefused(where: string, settings: SftpSettings): LoginRefused {
  const tried = waysIn(settings).map((way) => (way === 'publickey' ? 'the private key' : 'the password'));
  return new LoginRefused(
    `${where} refuses the login (tried: ${tried.join(', ') || 'nothing, for neither a password nor a private key is set'}). Check the user and how it logs in with the provider, and that it lets this machine's address in.`,
  );
}

type Sftp = Awaited<ReturnType<SftpClient['connect']>>;
type Listed = Parameters<Parameters<Sftp['readdir']>[1]>[1][number];
type Stats = Parameters<Parameters<Sftp['fstat']>[1]>[1];

type Connection = {
  /** As errors name it. */
  readonly where: string;
  readonly sftp: Sftp;
  isOpen(): boolean;
  /**
   * Waits for an answer about `path`.
   * @throws AnswerIsNo when the server does not do it; ConnectionLost when no answer can come any more.
   */
  ask<T>(path: string, send: (done: (error?: Error | null, answer?: T) => void) => void): Promise<T>;
  /** Takes leave of the server. */
  end(): Promise<void>;
};

/** ssh2 alone may wait for ever: for a peer that is gone without a word, or for an answer to what was never sent. */
function overSocket(
  socket: Socket,
  client: SftpClient,
  sftp: Sftp,
  { where, troubles, stallMs }: { where: string; troubles: readonly Error[]; stallMs: number },
): Connection {
  const waiting = new Set<(error: Error) => void>();
  let lost: ConnectionLost | null = null;
  let answers = 0;

  const lose = (reason = troubles[0]?.message ?? 'the server ended the session') => {
    if (lost) return;
    lost = new ConnectionLost(`the connection to ${where} broke: ${reason}. Try again later.`);
    clearInterval(watch);
    for (const reject of waiting) reject(lost);
    waiting.clear();
  };
  const giveUp = (reason?: string) => {
    lose(reason);
    socket.destroy();
  };

  // Looks are counted, not the clock read: where this process itself stood still, the server is not to blame.
  const LOOKS = 10;
  let silentLooks = 0;
  let heard = { bytes: 0, answers: 0 };
  const watch = setInterval(() => {
    const isHeard = answers > heard.answers || socket.bytesRead > heard.bytes + NOISE_BYTES;
    if (waiting.size === 0 || isHeard) {
      silentLooks = 0;
      heard = { bytes: socket.bytesRead, answers };
    } else if (++silentLooks === LOOKS) giveUp(`nothing came for ${stallMs / 1000} s`);
  }, stallMs / LOOKS);

  socket.once('close', () => lose());
  sftp.on('close', () => giveUp());
  sftp.on('error', (error: Error) => giveUp(error.message));
  if (socket.destroyed) lose();

  return {
    where,
    sftp,
    isOpen: () => lost === null,
    ask: (path, send) =>
      new Promise((resolve, reject) => {
        if (lost) return reject(lost);
        waiting.add(reject);
        send((error?: (Error & { code?: unknown }) | null, answer?) => {
          answers++;
          waiting.delete(reject);
          if (!error) resolve(answer!);
          else if (typeof error.code === 'number') reject(noAnswer(where, path, error.code, error.message));
          else {
            // Not the server's word, but ssh2's: nothing more can be expected.
            giveUp();
            reject(lost!);
          }
        });
      }),
    async end() {
      lose('it was ended from here');
      if (socket.destroyed) return;
      const late = setTimeout(() => socket.destroy(), GOODBYE_MS);
      client.end().catch(() => {});
      await once(socket, 'close').catch(() => {});
      clearTimeout(late);
    },
  };
}

function noAnswer(where: string, path: string, code: number, message: string): AnswerIsNo {
  const why =
    code === NO_SUCH_FILE
      ? `there is no ${path}: check its name, and whether the provider has removed it.`
      : code === PERMISSION_DENIED
        ? `${path} may not be read by this user: ask the provider to allow it.`
        : `${path} cannot be read, the server says "${message}": ask the provider.`;
  return new AnswerIsNo(code, `${where}: ${why}`);
}
