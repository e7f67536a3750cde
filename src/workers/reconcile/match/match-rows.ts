import type { Db } from '../../../adapters/postgres/connection.ts';
import { fetchBatches } from '../../../adapters/postgres/cursors.ts';
import { compareOriginal, compareOwn, decideUnit, type Report, unitMismatch } from '../../../domain/matching/match.ts';
import { MINOR_DIGITS } from '../../../domain/money/currency.ts';
import type { Facts } from '../../../domain/report/facts.ts';
import type { BatchRow } from '../../../store/batches.ts';
import { recordFrom } from '../../../store/ledger/columns.ts';
import { currentLoadsOf, LARGE_ROWS } from '../../../store/loads.ts';
import { rowFrom, type StoredRow } from '../../../store/stored-row.ts';
import { findAllocations } from '../cross-batch/cumulative.sql.ts';
import type { Details } from '../decision.ts';
import { type Finding, recordFindings } from '../findings.ts';
import { hasRows } from '../work-tables.sql.ts';
import * as match from './candidates.sql.ts';
import { findDuplicates } from './duplicates.ts';
import { resolveReferences } from './originals.sql.ts';
import { countUnits, someOffByUnit } from './units.sql.ts';

/** Tells what is wrong with rows: duplicates first, for they are compared no further. Returns whether the unit is wrong. */
export async function matchRows(db: Db, batch: BatchRow, details: Details, facts: Facts): Promise<boolean> {
  const { loads } = details;
  const others = await currentLoadsOf(db, batch.merchantNo, batch.no);
  const report: Report = { settlementCurrency: batch.currency, wrongUnit: false };
  const isLarge = facts.rows > LARGE_ROWS;
  await findDuplicates(db, details, report, batch.batchId === null, isLarge);
  const hasReferences = await resolveReferences(db, loads, others);
  await match.findCandidates(db, loads, {
    merchantNo: batch.merchantNo,
    paidFrom: facts.paidFrom,
    paidTo: facts.paidTo,
    isLarge,
    hasReferences,
    isSettlement: batch.batchId !== null,
  });
  await match.findCancelled(db, loads, others, batch.merchantNo);

  const units = await countUnits(
    db,
    loads,
    JSON.stringify(Object.entries(MINOR_DIGITS).map(([currency, digits]) => ({ currency, digits }))),
  );
  const direction = decideUnit(units);
  if (direction) {
    const referencedIds = await someOffByUnit(db);
    await recordFindings(db, [
      { discrepancy: unitMismatch(direction, units), loadNo: loads[0]!.loadNo, ofMatchable: false, referencedIds },
    ]);
  }
  if (await hasRows(db, 'candidate')) await judgeCandidates(db, { ...report, wrongUnit: direction !== null });
  await match.copyRowFindings(db, loads, direction !== null, details.besideNet);
  await match.tellNotDone(db, loads, batch.merchantNo);
  // Amounts in the wrong unit say nothing, alone or added up.
  await findAllocations(db, direction === null && batch.batchId !== null ? loads : [], others, {
    merchantNo: batch.merchantNo,
    types: Object.keys(facts.types),
    isLarge,
    hasReferences,
  });
  return direction !== null;
}

async function judgeCandidates(db: Db, report: Report): Promise<void> {
  for await (const rows of fetchBatches<CandidateRow>(db, match.CANDIDATES))
    await recordFindings(
      db,
      rows.flatMap((row) => matchRow(row, report)),
    );
}

type CandidateRow = StoredRow & {
  original: string | null;
  r_type: string | null;
  r_original_request_id: string | null;
  o_type: string | null;
  reported_root: string | null;
  recorded_root: string | null;
  cancelled: boolean;
};

function matchRow(stored: CandidateRow, report: Report): Finding[] {
  const row = rowFrom(stored);
  const found =
    row.matchBy === 'own'
      ? compareOwn(
          row,
          recordFrom(stored, 'r'),
          {
            cancelled: stored.cancelled,
            original: stored.original,
            originalRecorded: stored.o_type !== null,
            reportedRoot: stored.reported_root,
            recordedRoot: stored.recorded_root,
          },
          report,
        )
      : compareOriginal(row, stored.original, recordFrom(stored, 'o'), report);
  const referencedIds = [stored.request_id, stored.original, stored.r_original_request_id].filter((id) => id !== null);
  return found.map((discrepancy) => ({ discrepancy, loadNo: stored.load_no, ofMatchable: true, referencedIds }));
}
