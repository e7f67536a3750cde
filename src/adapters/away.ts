import { Unreachable } from '../domain/errors.ts';
import { reasonOf } from './timeout.ts';

/**
 * Servers that do not work are named the same everywhere: in errors, in the log and on `/readyz`. `server` says what it is and where, as
 * in "Redis at 127.0.0.1:6379", and holds no secret.
 */
export const awayText = (server: string, reason: string, does: (typeof WORDS)[number] = 'is away'): string =>
  `${server} ${does} (${reason})`;

const WORDS = ['is away', 'does not let us in', 'does not speak TLS as asked', 'takes nothing now'] as const;
const AWAY = new RegExp(`^(\\w+ at .+?) (${WORDS.join('|')}) \\(`);

/** The server that such a text names, with what it does; null where it is none. */
export function awayServer(text: string): string | null {
  const [, server, does] = AWAY.exec(text) ?? [];
  return server === undefined ? null : `${server} ${does}`;
}

/** Why a server did not answer as it should; one that is not named yet is, where it may be away. */
export function reasonAt(server: string | undefined, error: unknown): string {
  const reason = reasonOf(error);
  const isUnnamed = error instanceof Unreachable && awayServer(reason) === null;
  return isUnnamed && server !== undefined ? awayText(server, reason) : reason;
}

/** The same for somebody who asks how it stands. */
export function tellAway(server: string | undefined, error: unknown): string {
  const reason = reasonAt(server, error);
  return awayServer(reason) === null ? reason : `${reason}; it is tried again until it answers`;
}

/** No way to the server, or the way was lost. */
const NO_WAY = [
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
];

/** A connection could not be made, or broke. */
export function isLostConnection(error: unknown): boolean {
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  // The socket of a server on this machine is a file, and so may not be there. Other files have nothing to do with it.
  return syscall === 'connect' || (NO_WAY.includes(code ?? '') && path === undefined);
}
