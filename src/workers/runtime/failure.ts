import { isDatabaseAway } from '../../adapters/postgres/connection.ts';
import { ArchiveAway, Denied, LoginRefused, Unreachable } from '../../domain/errors.ts';

/** A neighbour that a job needs and that does not answer. */
export type Away =
  | { readonly what: 'database' }
  | { readonly what: 'archive'; readonly needsBytes: number | null }
  | { readonly what: 'source'; readonly isLogin: boolean };

/** Why a job failed, as it crosses from a parser to its parent: text alone would not say whose fault it is. */
export type Failure = {
  readonly message: string;
  /** Not the job's fault: it is done when this is back. Null: it failed while everything answered. */
  readonly away: Away | null;
};

/** A job that failed in a parser. */
export class JobFailed extends Error {
  override readonly name = 'JobFailed';
  readonly away: Away | null;

  constructor({ message, away }: Failure) {
    super(message);
    this.away = away;
  }
}

/** What is known of an error where it was thrown. */
export function failureOf(error: unknown): Failure {
  const { message } = error as Error;
  if (isDatabaseAway(error)) return { message, away: { what: 'database' } };
  if (error instanceof ArchiveAway) return { message, away: { what: 'archive', needsBytes: error.needsBytes } };
  // One file that it denies says that it answers.
  if (error instanceof Unreachable && !(error instanceof Denied))
    return { message, away: { what: 'source', isLogin: error instanceof LoginRefused } };
  return { message: withPlace(error as Error), away: null };
}

/** What went wrong, and where in our own code. */
function withPlace({ message, stack = '' }: Error): string {
  const frame = stack.split('\n').find((line) => line.includes('/src/') || line.includes('/dist/'));
  return frame ? `${message} (${frame.trim()})` : message;
}
