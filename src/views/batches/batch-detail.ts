import { createHash } from 'node:crypto';
import type { Database, Db } from '../../adapters/postgres/connection.ts';
import { headerChange } from '../../domain/report/header.ts';
import {
  type RevisedRow,
  type Revision,
  type RevisionView,
  type RunView,
  revisedRows,
  revisionsOf,
  revisionView,
  runsOf,
} from '../restatements/history.ts';
import * as query from './batch-detail.sql.ts';
import type { BatchReport } from './batch-sheet.ts';
import type { BatchFilter, BatchView } from './batches.sql.ts';
import type { Kept } from './dropped.ts';

/** All that `show` knows of a batch or day but its discrepancies, which may be many. */
export type BatchDetail = {
  readonly batch: BatchView;
  readonly reports: readonly (BatchReport & Kept & { readonly sameBytesAs: readonly string[] })[];
  readonly crossDigest: string;
  readonly runs: readonly RunView[];
  readonly revisions: readonly RevisionView[];
  /** Every row that a revision added, removed or changed, some hundred at a time. */
  revisedRows(): AsyncGenerator<readonly RevisedRow[]>;
};

export async function batchDetail(database: Database, batch: BatchView, filter: BatchFilter): Promise<BatchDetail> {
  const { db } = database;
  const steps = await revisionsOf(db, batch.no, filter.asOf);
  const revisions: RevisionView[] = [];
  for (const step of steps) revisions.push(await revisionView(db, step, batch.currency));
  return {
    batch,
    reports: await reportsOf(db, batch, filter),
    crossDigest: await crossDigestOf(db, batch, filter),
    runs: await runsOf(db, batch.no, filter.asOf),
    revisions,
    revisedRows: () => rowsOfAll(database, steps, batch),
  };
}

async function reportsOf(db: Db, { run }: BatchView, { merchants }: BatchFilter): Promise<BatchDetail['reports']> {
  const reports = await query.reportsOfRun(db, run, merchants);
  return reports.map(({ header, since, before, ...report }) => {
    const change = since === null ? null : headerChange(before, header);
    return change ? { ...report, headerChange: { since: since!, ...change } } : report;
  });
}

/** SHA-256 over what belongs to keys rather than to the batch. */
async function crossDigestOf(db: Db, { no }: BatchView, filter: BatchFilter): Promise<string> {
  const hash = createHash('sha256');
  for (const finding of await query.crossFindingsOf(db, no, filter)) hash.update(`${finding}\n`);
  return hash.digest('hex');
}

async function* rowsOfAll(database: Database, steps: readonly Revision[], { currency }: BatchView) {
  for (const step of steps) yield* revisedRows(database, step, currency);
}
