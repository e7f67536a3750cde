import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { lockMerchant } from '../../../adapters/postgres/locks.ts';
import { stateOf } from '../../../domain/discrepancy.ts';
import { coverageOf, wrongIn } from '../../../domain/matching/coverage.ts';
import type { BatchRow } from '../../../store/batches.ts';
import { currentLoadsOf, type ReadLoad } from '../../../store/loads.ts';
import type { Schedule } from '../../context.ts';
import { batchesLookingFor, lastDropped, wantNoRows } from '../../retention/dropped-rows.sql.ts';
import { requireOtherRows } from '../../retention/dropped-rows.ts';
import { replaceDays } from '../completeness/settled-not-reported.sql.ts';
import { settlementsListedBy } from '../completeness/settled-not-reported.ts';
import { daysSettledBy } from '../completeness/unsettled.ts';
import { publishSettledTwice, publishTotals } from '../cross-batch/settled-twice.ts';
import type { Decision, PublishResult } from '../decision.ts';
import { neighboursOf, publishedSince, replaceOpenReferences, withOpenReferences } from './follow-ups.sql.ts';
import * as publish from './publish.sql.ts';

/** Publishes a decision under the merchant's lock. Run twice, or twice at once, it publishes once: the epoch decides. */
export async function publishRun(
  db: Db,
  { batch, details, lastRun, lastDropped: knownDrop, calendar, run }: Decision,
  epoch: number,
  standing: Schedule,
): Promise<PublishResult> {
  await lockMerchant(db, batch.merchantNo);
  const nothing = { run: null, asked: [batch.no], changed: false, isReplay: false };
  if (!(await publish.lockBatch(db, batch.no, epoch, batch.wanted))) return nothing;
  if (!run) {
    await publish.answerWithoutRun(db, batch.no, batch.wanted);
    return nothing;
  }
  const drop = await lastDropped(db, batch.merchantNo);
  if (drop > knownDrop) await requireOtherRows(db, { batch, details, settlementDate: run.settlementDate }, knownDrop);
  if (drop > 0n) await wantNoRows(db, batch.no);
  const { interventions, isReplay } = await publish.causesOf(db, batch.no, batch.wanted);
  const before = await runBefore(db, batch);
  const changed = !before || before.map((load) => load.loadNo).join() !== run.parts.map((part) => part.loadNo).join();
  const runNo = await publish.insertRun(
    db,
    {
      batchNo: batch.no,
      answers: batch.wanted,
      rules: run.rules,
      facts: run.facts,
      digest: run.digest,
      changed,
      isGone: run.isGone,
      coverage: run.coverage,
    },
    run.parts,
  );
  await publish.switchTo(db, batch.no, run.isGone ? null : runNo, {
    answers: batch.wanted,
    settlementDate: run.settlementDate,
    againAtMs: run.againAtMs,
    acquirer: run.acquirer,
  });
  await publish.publishFindings(db, batch.no, runNo);

  const others = await currentLoadsOf(db, batch.merchantNo, batch.no);
  if (batch.batchId !== null) {
    const settled = others.filter((load) => load.isSettlement);
    await publishSettledTwice(db, batch, runNo, details, settled);
    await publishTotals(db, batch, runNo);
  }
  await replaceDays(db, runNo, batch.currentRun, batch.merchantNo, run.listed);
  const openReferences = await replaceOpenReferences(db, runNo, batch.currentRun, {
    merchantNo: batch.merchantNo,
    loads: details,
    others,
  });

  const asked: number[] = [];
  if (changed && batch.batchId !== null) {
    asked.push(...(await daysSettledBy(db, batch.merchantNo, details, before)));
  }
  if (changed) {
    // Rows that another batch found in the previous loads may be gone.
    const loads = [...details, ...(before ?? [])];
    asked.push(...(await withOpenReferences(db, loads, { merchantNo: batch.merchantNo, batchNo: batch.no })));
    if (drop > 0n && before) asked.push(...(await batchesLookingFor(db, before, batch)));
    if (batch.batchId === null) {
      const of = { merchantNo: batch.merchantNo, day: batch.day!, replaced: before !== null };
      asked.push(...(await neighboursOf(db, of)));
      asked.push(...(await settlementsListedBy(db, batch.merchantNo, batch.day!, calendar, standing)));
    }
  }
  const since = await publishedSince(db, batch.merchantNo, batch.no, lastRun);
  // Runs that were published after this one took its snapshot may contain what it did not find.
  const looksInto = batch.batchId === null ? [batch.day!] : run.listed.map(({ day }) => day);
  const isNear = (day: string) => looksInto.some((own) => Math.abs(Date.parse(day) - Date.parse(own)) <= DAY_MS);
  if (since.some(({ isSettlement, day }) => openReferences > 0 || (!isSettlement && day !== null && isNear(day))))
    asked.push(batch.no);
  await publish.requestRunsBecauseOf(db, batch.no, interventions, asked);
  const open = await checkCoverage(db, batch.no, runNo);
  const { waiting = false, missing, uncompared = false, rows } = run.facts;
  const state = stateOf({ waiting, missing, open, uncompared });
  return { run: { run: runNo, rows, state }, asked: [batch.no, ...asked], changed, isReplay };
}

/**
 * Throws unless the coverage adds up to what was counted while rows were read: of this batch, and of others in which this run opened or
 * closed discrepancies. Returns the number of open discrepancies of this batch.
 */
async function checkCoverage(db: Db, batchNo: number, runNo: number): Promise<number> {
  let open = 0;
  for (const findings of await publish.toldOf(db, batchNo, runNo)) {
    if (findings.batchNo === batchNo) open = findings.open;
    const { facts, coverage: split, named, toldRows } = findings;
    const settlementMinor = BigInt(facts.details?.settlementMinor ?? 0);
    const coverage = coverageOf(split, named, facts.wrongUnit);
    const matched = facts.wrongUnit ? 0 : facts.matchableRows - toldRows;
    const wrong =
      coverage.matched.rows === matched
        ? wrongIn(coverage, { rows: facts.rows, settlementMinor })
        : `${coverage.matched.rows} matched rows of ${matched}`;
    if (wrong !== null)
      throw new Error(
        `the coverage of batch ${findings.batchNo} does not add up: ${wrong}: ${JSON.stringify(coverage)}`,
      );
  }
  return open;
}

const DAY_MS = 86_400_000;

async function runBefore(db: Db, batch: BatchRow): Promise<ReadLoad[] | null> {
  if (batch.currentRun === null) return null;
  const found = await sql<ReadLoad>`
    select l.no as "loadNo", l.slot from run_load rl join load l on l.no = rl.load_no
     where rl.run_no = ${batch.currentRun} order by rl.part`.execute(db);
  return found.rows;
}
