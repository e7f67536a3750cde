/** A connection to an SFTP server: whose it is, how it is logged in, when it is given up and when it is made again. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerHostKeyAlgorithm } from 'ssh2';
import SftpClient from 'ssh2-sftp-client';
import { Denied, HostKeyRefused, LoginRefused, Unreachable, UsageError } from '../../domain/errors.ts';

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

/** So long a connection may take to end in good order. */
const GOODBYE_MS = 2_000;
/** What comes on a line on which nothing is answered: keepalive. */
const NOISE_BYTES = 1_024;

export const NO_SUCH_FILE = 2;
const PERMISSION_DENIED = 3;

/** There was no connection, or it broke: the only error after which the same thing is tried anew within a call. */
export class ConnectionLost extends Unreachable {}

/** The server answered, and the answer is no. `code` is SFTP's. */
export class AnswerIsNo extends Denied {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export type SftpSession = {
  /** The one connection that all calls share, made if there is none. */
  connection(): Promise<Connection>;
  /** While somebody holds the line, it is not idle. */
  hold(): void;
  release(): void;
  /** Ends early when the line is closed. */
  pause(ms: number): Promise<void>;
  close(): Promise<void>;
};

export function openSession(settings: SftpSettings, limits: Limits): SftpSession {
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
    `cannot reach ${reasons.join(', nor ')}. Check host and port, and that the provider allows this machine's address.`,
  );
}

/** The kinds of keys that a server may have, one of each, in the order in which it is asked for them. */
const KEY_KINDS: readonly (readonly ServerHostKeyAlgorithm[])[] = [
  ['ssh-ed25519'],
  ['ecdsa-sha2-nistp256'],
  ['ecdsa-sha2-nistp384'],
  ['ecdsa-sha2-nistp521'],
  ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'],
];

/** The server showed a key that is not known. */
class OtherKey extends Error {
  readonly key: Buffer;

  constructor(key: Buffer) {
    super('the key is not known');
    this.key = key;
  }
}

/**
 * Logs in at one host. A server shows one key at a time, and the one that is known may be of another kind: it is asked for its others.
 * @throws HostKeyRefused, LoginRefused; UsageError when the private key cannot be read; ConnectionLost for all else.
 */
async function connectTo(
  host: string,
  settings: SftpSettings,
  limits: Limits,
  closed: AbortSignal,
): Promise<Connection> {
  const shown: Buffer[] = [];
  const refuse = () => hostKeyRefused(nameOf(settings, host), shown, settings.hostKeySha256);
  for (let kinds = KEY_KINDS; ; ) {
    try {
      return await logIn(host, settings, kinds.flat(), limits, closed);
    } catch (error) {
      // Asked for what it has not, a server ends the connection.
      if (error instanceof ConnectionLost && shown.length > 0) throw refuse();
      if (!(error instanceof OtherKey)) throw error;
      const { key } = error;
      shown.push(key);
      kinds = kinds.filter((kind) => !kind.some((algorithm) => algorithm === typeOf(key)));
      if (settings.hostKeySha256.length === 0 || kinds.length === 0) throw refuse();
    }
  }
}

/** @throws OtherKey, beside what `connectTo` throws. */
async function logIn(
  host: string,
  settings: SftpSettings,
  serverHostKey: ServerHostKeyAlgorithm[],
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
        if (!isKnown) troubles.push(new OtherKey(key));
        return isKnown;
      },
      algorithms: { serverHostKey },
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
  if (error instanceof Unreachable || error instanceof OtherKey) return error;
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

const typeOf = (key: Buffer): string => key.toString('latin1', 4, 4 + key.readUInt32BE(0));

function hostKeyRefused(where: string, keys: readonly Buffer[], pinned: readonly string[]): HostKeyRefused {
  const named = keys.map((key) => [typeOf(key), `SHA256:${unpadded(createHash('sha256').update(key).digest())}`]);
  const isOne = keys.length === 1;
  const shown = isOne
    ? `the ${named[0]![0]} key ${named[0]![1]}`
    : `the keys ${named.map((words) => words.join(' ')).join(' and ')}`;
  const known =
    pinned.length === 0
      ? 'and hostKeySha256 is not set'
      : `${isOne ? 'which is not' : 'none of which is'} in hostKeySha256`;
  const ask = isOne ? 'whether this key is its own; if it is' : 'whether one of these keys is its own; if one is';
  return new HostKeyRefused(
    `${where} shows ${shown}, ${known}. Nothing was sent to it. Ask the provider ${ask}, set hostKeySha256 to it.`,
  );
}

function loginRefused(where: string, settings: SftpSettings): LoginRefused {
  const tried = waysIn(settings).map((way) => (way === 'publickey' ? 'the private key' : 'the password'));
  return new LoginRefused(
    `${where} refuses the login (tried: ${tried.join(', ') || 'nothing, because neither a password nor a private key is set'}). Check with the provider the user and its login method, and that this machine's address is allowed.`,
  );
}

type Sftp = Awaited<ReturnType<SftpClient['connect']>>;
export type ListedEntry = Parameters<Parameters<Sftp['readdir']>[1]>[1][number];
export type Stats = Parameters<Parameters<Sftp['fstat']>[1]>[1];

export type Connection = {
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
    } else if (++silentLooks === LOOKS) giveUp(`no data for ${stallMs / 1000} s`);
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
      lose('it was closed on our side');
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
