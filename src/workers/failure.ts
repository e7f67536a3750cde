import { isDatabaseAway } from '../adapters/postgres.ts';

/** A neighbour that a job needs and that does not answer. */
export type Away = { readonly what: 'database' };

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
  return { message: withPlace(error as Error), away: null };
}

/** What went wrong, and where in our own code. */
function withPlace({ message, stack = '' }: Error): string {
  const frame = stack.split('\n').find((line) => line.includes('/src/') || line.includes('/dist/'));
  return frame ? `${message} (${frame.trim()})` : message;
}
