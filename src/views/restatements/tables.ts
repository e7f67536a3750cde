import { dayOf } from '../batches/dropped.ts';
import { table } from '../output/tables.ts';
import { causeText, type RevisedRow, type RevisionView, type RunView } from './history.ts';

/** The runs of a batch, and why they came about. */
export const runTable = (runs: readonly RunView[]): string =>
  table(
    ['run', 'published', 'settled', 'digest', 'because of'],
    runs.map((run) => [
      run.run,
      run.publishedAt.toISOString(),
      run.net,
      run.digest?.slice(0, 16) ?? 'nothing left',
      run.causes.map(causeText).join('\n'),
    ]),
    [0, 2],
  );

/** Each step of a report from one content to the next. */
export const revisionTable = (revisions: readonly RevisionView[]): string =>
  table(
    ['restated report', 'from', 'to', 'rows added', 'removed', 'changed', 'money moved'],
    revisions.map((revision) => {
      const { file, from, to, added, removed, changed, settlementAmount, transactionAmounts, rowsDroppedAt } = revision;
      const moved = (transactionAmounts ?? []).map(({ amount, currency }) => `${amount} ${currency}`).join('\n');
      const money = rowsDroppedAt === null ? (settlementAmount ?? moved) : `rows dropped on ${dayOf(rowsDroppedAt)}`;
      return [file, from, to, added, removed, changed, money];
    }),
    [1, 2, 3, 4, 5, 6],
  );

/** The rows that a step added, removed or changed. */
export const revisedRowTable = (rows: readonly RevisedRow[]): string =>
  table(
    ['restated report', 'to', 'type', 'transaction id', 'request id', 'line', 'before', 'line', 'after'],
    rows.map(({ file, to, type, transactionId, requestId, before, after }) => [
      file,
      to,
      type,
      transactionId,
      requestId,
      before?.line ?? null,
      before && (before.settlementAmount ?? before.transactionAmount),
      after?.line ?? null,
      after && (after.settlementAmount ?? after.transactionAmount),
    ]),
    [1, 5, 6, 7, 8],
  );
