import { STATUS_CODES } from 'node:http';
import type { Context } from 'hono';

export type ProblemStatus = 400 | 401 | 403 | 404 | 409 | 413 | 414 | 415 | 421 | 422 | 500 | 503;

/** What is refused, told as RFC 9457 says. */
export class Problem extends Error {
  readonly status: ProblemStatus;
  readonly more: object;

  constructor(status: ProblemStatus, detail: string, more: object = {}) {
    super(detail);
    this.status = status;
    this.more = more;
  }
}

export function problemAnswer(context: Context, { status, message, more }: Problem): Response {
  return context.body(
    JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, detail: message, ...more }),
    status,
    { 'Content-Type': 'application/problem+json', ...(status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}) },
  );
}

export const notThere = (what: string): Problem =>
  new Problem(404, `There is no such ${what}: it has another number, or was never there.`);
