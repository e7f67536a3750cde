import { Unreachable } from '../domain/errors.ts';

/**
 * Waits at most so long. What goes on is left to itself.
 * @throws Unreachable when there is no answer by then.
 */
export async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Unreachable(`no answer in ${limitMs / 1_000} s`)), limitMs);
  return Promise.race([promise, late.promise]).finally(() => clearTimeout(timer));
}

/** Where several addresses were tried in vain, the error has a code and no message. */
export function reasonOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  return message || code || String(error);
}
