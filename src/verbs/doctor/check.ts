import type { Db } from '../../adapters/postgres/connection.ts';
import { reasonOf, within } from '../../adapters/timeout.ts';
import { Unreachable } from '../../domain/errors.ts';

/** Asks the database on a connection of its own. */
export type Ask = <T>(question: (db: Db) => Promise<T>) => Promise<T>;

/** What was found of one thing. */
export type Finding = {
  /** `database`, `source europe`. */
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly message: string;
  /** What to do about it; null where all is well. */
  readonly mend: string | null;
};

/** A finding, and what it means for the exit code: wrong settings are 2, a server that is away 4, every other problem 3. */
export type Checked = Finding & { readonly isUsage?: boolean; readonly isAway?: boolean };

export const ok = (name: string, message: string): Checked => ({ name, state: 'ok', message, mend: null });
export const warning = (name: string, message: string, mend: string): Checked => ({
  name,
  state: 'warning',
  message,
  mend,
});
export const problem = (name: string, message: string, mend: string): Checked => ({
  name,
  state: 'problem',
  message,
  mend,
});
export const away = (name: string, message: string, mend: string): Checked => ({
  ...problem(name, message, mend),
  isAway: true,
});

/** Looks at one thing, and at most so long. Whatever goes wrong is told of this thing alone, so that the others are seen too. */
export async function check(
  name: string,
  limitMs: number,
  look: () => Promise<readonly Checked[]>,
): Promise<readonly Checked[]> {
  try {
    return await within(limitMs, look());
  } catch (error) {
    const isAway = error instanceof Unreachable;
    return [{ ...problem(name, reasonOf(error), 'Fix this, and try again.'), isAway }];
  }
}

export function exitCodeOf(checked: readonly Checked[]): number {
  if (checked.some(({ isUsage }) => isUsage)) return 2;
  if (checked.some(({ isAway }) => isAway)) return 4;
  return checked.some(({ state }) => state === 'problem') ? 3 : 0;
}
