import { Unreachable } from '../domain/errors.ts';
import { reasonOf } from './timeout.ts';

/**
 * Returns the text for an unavailable server: the same in errors, in the log and on `/readyz`. `server` says what it is and where, as
 * in "Redis at 127.0.0.1:6379", and contains no secret.
 */
export const awayText = (server: string, reason: string, does: (typeof WORDS)[number] = 'is unavailable'): string =>
  `${server} ${does} (${reason})`;

const WORDS = [
  'is unavailable',
  'refuses the login',
  'does not support the requested TLS',
  'accepts no writes',
] as const;
const AWAY = new RegExp(`^(\\w+ at .+?) (${WORDS.join('|')}) \\(`);

/** Returns the server that such a text names, with its state; null for any other text. */
export function awayServer(text: string): string | null {
  const [, server, does] = AWAY.exec(text) ?? [];
  return server === undefined ? null : `${server} ${does}`;
}

/** Returns why a server failed. Adds the name of the server if the error lacks it and the server may be unavailable. */
export function reasonAt(server: string | undefined, error: unknown): string {
  const reason = reasonOf(error);
  const isUnnamed = error instanceof Unreachable && awayServer(reason) === null;
  return isUnnamed && server !== undefined ? awayText(server, reason) : reason;
}

/** Returns the same for `/readyz`, with a note that the server is retried. */
export function tellAway(server: string | undefined, error: unknown): string {
  const reason = reasonAt(server, error);
  return awayServer(reason) === null ? reason : `${reason}; retrying until it answers`;
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
  // The socket of a local server is a file, so it may be missing. A missing file of any other kind is no lost connection.
  return syscall === 'connect' || (NO_WAY.includes(code ?? '') && path === undefined);
}
