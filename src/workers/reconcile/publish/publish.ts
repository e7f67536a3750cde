import type { Db } from '../../../adapters/postgres/connection.ts';
import { lockMerchant } from '../../../adapters/postgres/locks.ts';
import { stateOf } from '../../../domain/discrepancy.ts';
import { noteBankChange } from '../../../store/bank/settings.ts';
import type { BatchRow } from '../../../store/batches.ts';
import { currentLoadsOf, type ReadLoad } from '../../../store/loads.ts';
import type { Schedule } from '../../context.ts';
import { carryHandling } from '../../handling.sql.ts';
import { lastDropped, wantNoRows } from '../../retention/dropped-rows.sql.ts';
import { requireOtherRows } from '../../retention/dropped-rows.ts';
import { replaceDays } from '../completeness/settled-not-reported.sql.ts';
import { publishSettledTwice, publishTotals } from '../cross-batch/settled-twice.ts';
import type { DecidedRun, Decision, PublishResult } from '../decision.ts';
import { checkCoverage } from './check-coverage.ts';
import { replaceOpenReferences } from './follow-ups.sql.ts';
import { followUps } from './follow-ups.ts';
import * as publish from './publish.sql.ts';

/** Publishes a decision under the merchant's lock. Run twice, or twice at once, it publishes once: the epoch decides. */
export async function publishRun(
  db: Db,
  decision: Decision,
  epoch: number,
  schedule: Schedule,
): Promise<PublishResult> {
  const { batch, details, run } = decision;
  if (!(await claimPublication(db, batch, epoch))) return nothingPublished(batch);
  if (!run) {
    await publish.answerWithoutRun(db, batch.no, batch.wanted);
    return nothingPublished(batch);
  }
  const hasDropped = await requireRowsDroppedSince(db, decision, run);
  const { interventions, isReplay } = await publish.causesOf(db, batch.no, batch.wanted);
  const before = await publish.loadsBefore(db, batch);
  const isChanged = !before || numbersOf(before) !== numbersOf(run.parts);
  const runNo = await writeRun(db, batch, run, isChanged);
  await publish.publishFindings(db, batch.no, runNo);
  if (batch.batchId !== null) await noteBankChange(db, 'run');

  const others = await currentLoadsOf(db, batch.merchantNo, batch.no);
  if (batch.batchId !== null) {
    const settled = others.filter((load) => load.isSettlement);
    await publishSettledTwice(db, batch, runNo, details, settled);
    await publishTotals(db, batch, runNo);
  }
  await carryHandling(db, batch.no, runNo);
  await replaceDays(db, runNo, batch.currentRun, batch.merchantNo, run.listed);
  const read = { merchantNo: batch.merchantNo, loads: details, others };
  const openReferences = await replaceOpenReferences(db, runNo, batch.currentRun, read);

  const published = { isChanged, before, hasDropped, openReferences };
  const asked = await followUps(db, { ...decision, run }, published, schedule);
  await publish.requestRunsBecauseOf(db, batch.no, interventions, asked);
  const open = await checkCoverage(db, batch.no, runNo);
  const { waiting = false, missing, uncompared = false, rows } = run.facts;
  const state = stateOf({ waiting, missing, open, uncompared });
  return { run: { run: runNo, rows, state }, asked: [batch.no, ...asked], changed: isChanged, isReplay };
}

/** Takes the merchant's lock. False: somebody else has the batch, or has answered what was asked for. */
async function claimPublication(db: Db, batch: BatchRow, epoch: number): Promise<boolean> {
  await lockMerchant(db, batch.merchantNo);
  return publish.lockBatch(db, batch.no, epoch, batch.wanted);
}

const nothingPublished = ({ no }: BatchRow): PublishResult => ({
  run: null,
  asked: [no],
  changed: false,
  isReplay: false,
});

/**
 * Rows may have been dropped after the run looked for others in them. Returns whether any of the merchant's ever were.
 * @throws RowsDropped
 */
async function requireRowsDroppedSince(
  db: Db,
  { batch, details, lastDropped: known }: Decision,
  { settlementDate }: DecidedRun,
): Promise<boolean> {
  const drop = await lastDropped(db, batch.merchantNo);
  if (drop > known) await requireOtherRows(db, { batch, details, settlementDate }, known);
  if (drop > 0n) await wantNoRows(db, batch.no);
  return drop > 0n;
}

const numbersOf = (loads: readonly Pick<ReadLoad, 'loadNo'>[]): string => loads.map(({ loadNo }) => loadNo).join();

/** Writes the run down and makes it the one that readers see. Returns its number. */
async function writeRun(db: Db, batch: BatchRow, run: DecidedRun, isChanged: boolean): Promise<number> {
  const { rules, facts, digest, isGone, coverage, settlementDate, againAtMs, acquirer } = run;
  const answers = batch.wanted;
  const written = { batchNo: batch.no, answers, rules, facts, digest, changed: isChanged, isGone, coverage };
  const runNo = await publish.insertRun(db, written, run.parts);
  await publish.switchTo(db, batch.no, isGone ? null : runNo, { answers, settlementDate, againAtMs, acquirer });
  return runNo;
}
