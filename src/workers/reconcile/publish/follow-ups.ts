import type { Db } from '../../../adapters/postgres/connection.ts';
import type { BatchRow } from '../../../store/batches.ts';
import type { ReadLoad } from '../../../store/loads.ts';
import type { Schedule } from '../../context.ts';
import { batchesLookingFor } from '../../retention/dropped-rows.sql.ts';
import { settlementsListedBy } from '../completeness/settled-not-reported.ts';
import { daysSettledBy } from '../completeness/unsettled.ts';
import type { DecidedRun, Decision } from '../decision.ts';
import * as query from './follow-ups.sql.ts';

/** What a run was published as. */
export type Published = {
  /** It reads other loads than the run before. */
  readonly isChanged: boolean;
  /** Those of the run before; null where there was none. */
  readonly before: readonly ReadLoad[] | null;
  /** Rows of the merchant were dropped because they are old. */
  readonly hasDropped: boolean;
  /** How many of its references to rows of other batches found nothing. */
  readonly openReferences: number;
};

/** The batches and days to be reconciled again: those whose answer this run changes, and its own where others changed meanwhile. */
export async function followUps(
  db: Db,
  decision: Decision & { readonly run: DecidedRun },
  published: Published,
  schedule: Schedule,
): Promise<number[]> {
  const asked = published.isChanged ? await changedBy(db, decision, published, schedule) : [];
  return (await isOutrun(db, decision, published)) ? [...asked, decision.batch.no] : asked;
}

async function changedBy(
  db: Db,
  { batch, details, calendar }: Decision,
  { before, hasDropped }: Published,
  schedule: Schedule,
): Promise<number[]> {
  const { merchantNo } = batch;
  const day = dayOf(batch);
  const asked: number[] = [];
  if (day === null) asked.push(...(await daysSettledBy(db, merchantNo, details, before)));
  // Rows that another batch found in the previous loads may be gone.
  const loads = [...details, ...(before ?? [])];
  asked.push(...(await query.withOpenReferences(db, loads, { merchantNo, batchNo: batch.no })));
  if (hasDropped && before) asked.push(...(await batchesLookingFor(db, before, batch)));
  if (day !== null) {
    asked.push(...(await query.neighboursOf(db, { merchantNo, day, replaced: before !== null })));
    asked.push(...(await settlementsListedBy(db, merchantNo, day, calendar, schedule)));
  }
  return asked;
}

/** Runs that were published after this one took its snapshot may contain what it did not find. */
async function isOutrun(
  db: Db,
  { batch, lastRun, run }: Decision & { readonly run: DecidedRun },
  { openReferences }: Published,
): Promise<boolean> {
  const own = dayOf(batch);
  const looksInto = own === null ? run.listed.map(({ day }) => day) : [own];
  const isNear = (day: string) => looksInto.some((other) => Math.abs(Date.parse(day) - Date.parse(other)) <= DAY_MS);
  const since = await query.publishedSince(db, batch.merchantNo, batch.no, lastRun);
  return since.some(({ isSettlement, day }) => openReferences > 0 || (!isSettlement && day !== null && isNear(day)));
}

/** The day of transactions; null for a settlement batch, even one that is known by its day. */
const dayOf = ({ batchId, day }: BatchRow): string | null => (batchId === null ? day : null);

const DAY_MS = 86_400_000;
