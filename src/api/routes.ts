import type { z } from 'zod';
import type { Role } from '../domain/roles.ts';
import type { Answer, Call } from './parts.ts';
import * as reads from './reads.ts';
import * as asked from './schemas.ts';
import * as writes from './writes.ts';

/** A request that the API answers. What it may say, who may make it, and what is answered stand in one place. */
export type Route = {
  readonly method: 'GET' | 'POST';
  /** With `{no}`, a number, or `{id}`, any text. */
  readonly path: string;
  readonly summary: string;
  /** Who may make it; null: everybody with a token. */
  readonly roles: readonly Role[] | null;
  /** What it is about belongs to no merchant: only who may see all of them may make it. */
  readonly isOfAll: boolean;
  readonly query: z.ZodType;
  readonly body: z.ZodType | null;
  answer(call: Call<never, never>): Promise<Answer>;
};

type Said = Partial<Pick<Route, 'roles' | 'isOfAll'>>;

const get = <Query extends z.ZodType>(
  path: string,
  summary: string,
  query: Query,
  answer: (call: Call<z.output<Query>, null>) => Promise<Answer>,
  said: Said = {},
): Route => ({ method: 'GET', path, summary, roles: null, isOfAll: false, query, body: null, answer, ...said });

const post = <Body extends z.ZodType>(
  path: string,
  summary: string,
  body: Body,
  answer: (call: Call<Record<string, never>, z.output<Body>>) => Promise<Answer>,
  said: Said,
): Route => ({ method: 'POST', path, summary, roles: null, isOfAll: false, query: asked.none, body, answer, ...said });

export const ROUTES: readonly Route[] = [
  get('/batches', 'Batches and days, by date', asked.batches, reads.listBatches),
  get('/batches/{no}', 'One batch or day, as `show` prints it', asked.batch, reads.oneBatch),
  get('/discrepancies', 'What does not add up', asked.discrepancies, reads.listDiscrepancies),
  get('/payments/{id}', 'Everything known about one payment', asked.payment, reads.onePayment),
  get('/reports', 'Reports, each as its newest delivery is', asked.reports, reads.listReports),
  get('/bank/entries', 'What the bank says', asked.entries, reads.listEntries),
  get('/open', 'What is still to come', asked.open, reads.listOpen),
  get('/audit', 'Who did what', asked.audit, reads.listAudit, { isOfAll: true }),
  post('/discrepancies/{no}/handling', 'Handles a discrepancy', asked.handling, writes.handleDiscrepancy, {
    roles: ['analyst', 'approver'],
  }),
  post('/replays', 'Reads reports again, or says what that would change', asked.replay, writes.replayReports, {
    roles: ['engineer'],
  }),
  post('/reports/{no}/withdraw', 'Takes a report out', asked.withdrawal, writes.withdrawReport, {
    roles: ['engineer'],
  }),
  post('/bank/matches', 'Confirms that an entry pays a batch', asked.match, writes.confirmMatch, {
    roles: ['analyst', 'approver'],
    isOfAll: true,
  }),
];
