import type { Db } from '../../../adapters/postgres/connection.ts';
import { fetchBatches } from '../../../adapters/postgres/cursors.ts';
import {
  type Allocation,
  addShare,
  type CumulativeTotal,
  NOTHING_SUMMED,
  type Summed,
  tellSum,
} from '../../../domain/matching/cumulative.ts';
import { settledTwice } from '../../../domain/matching/match.ts';
import { andAfter, type Earlier, settledBefore } from '../../../domain/matching/settled-twice.ts';
import type { Currency } from '../../../domain/money/currency.ts';
import type { BatchRow } from '../../../store/batches.ts';
import { recordFrom } from '../../../store/ledger/columns.ts';
import type { ReadLoad } from '../../../store/loads.ts';
import { instalmentsOf, isMatchable, matchByOf, rowFrom, type StoredRow } from '../../../store/stored-row.ts';
import { type Finding, type NamedRow, recordFindings } from '../findings.ts';
import * as publish from '../publish/publish.sql.ts';
import { hasRows } from '../work-tables.sql.ts';
import { exceededTotals, findExceededTotals, replaceAllocations } from './cumulative.sql.ts';
import { findSettledKeys, settledRows } from './settled-twice.sql.ts';

// What belongs to a key, not to a batch. Both run inside the publishing transaction, under the merchant's lock. A key may have any
// number of rows: they pass by one after the other, and none is kept but those that have to be named.

/** So much is told at once. */
const MANY = 5_000;

type KeyRow = StoredRow & {
  batch_no: number;
  batch_id: string;
  batch_currency: Currency;
  settlement_date: string;
};

/** Decides anew which rows settle what was settled before: in whatever batch they stand. */
export async function publishSettledTwice(
  db: Db,
  batch: BatchRow,
  runNo: number,
  loads: readonly ReadLoad[],
  others: readonly ReadLoad[],
): Promise<void> {
  await findSettledKeys(db, batch.no, loads, others);
  if (!(await hasRows(db, 'settled_key'))) return;
  let key = { type: '', requestId: '' };
  let earlier: Earlier<ReturnType<typeof settledRowOf>> | null = null;
  let findings: Finding[] = [];
  for await (const rows of fetchBatches<KeyRow>(db, settledRows([...loads, ...others], batch.merchantNo))) {
    for (const stored of rows) {
      if (stored.type !== key.type || stored.request_id !== key.requestId) earlier = null;
      key = { type: stored.type, requestId: stored.request_id! };
      const row = settledRowOf(stored);
      const other = settledBefore(earlier, row);
      if (other) findings.push(settledTwiceFinding(stored, other));
      earlier = andAfter(earlier, row);
    }
    if (findings.length < MANY) continue;
    await recordFindings(db, findings, 'cross_batch_finding');
    findings = [];
  }
  await recordFindings(db, findings, 'cross_batch_finding');
  await publish.publishSettledTwice(db, runNo);
}

const settledRowOf = (stored: KeyRow) => ({
  settlementDate: stored.settlement_date,
  batchId: stored.batch_id,
  currency: stored.batch_currency,
  transactionId: stored.transaction_id,
  batchNo: stored.batch_no,
});

function settledTwiceFinding(stored: KeyRow, other: ReturnType<typeof settledRowOf>): Finding {
  const row = rowFrom(stored);
  const report = { settlementCurrency: stored.batch_currency, wrongUnit: false };
  return {
    discrepancy: settledTwice(row, stored.batch_id, other.batchId, report),
    loadNo: stored.load_no,
    ofMatchable: isMatchable(row.matchBy),
    batchNo: stored.batch_no,
    otherBatchNo: other.batchNo,
    row: { type: row.type, needsRecord: isMatchable(row.matchBy), settlementMinor: row.settlementMinor },
  };
}

type AllocationRow = {
  total: CumulativeTotal;
  r_type: string;
  r_request_id: string;
  load_no: number;
  line: number;
  flags: number;
  type: string;
  transaction_id: string | null;
  amount_minor: bigint;
  settlement_minor: bigint | null;
  batch_no: number;
  /** What the records of this id said. */
  fingerprint: bigint | null;
};

/** Decides anew which records their sums over all batches do not agree with: in whatever batch that is told. */
export async function publishTotals(db: Db, batch: BatchRow, runNo: number): Promise<void> {
  if ((await replaceAllocations(db, runNo, batch.currentRun, batch.merchantNo)) === 0) return;
  if ((await findExceededTotals(db, batch.merchantNo)) === 0) return publish.publishTotals(db, runNo);
  let of: AllocationRow | null = null;
  let summed: Summed<ReturnType<typeof allocationOf>> = NOTHING_SUMMED;
  let findings: Finding[] = [];
  const tellLast = () => {
    if (of === null) return;
    const found = tellSum(of.total, recordFrom(of, 'r')!, summed);
    if (found === null) return;
    const { loadNo, batchNo, row } = found.share;
    const quoted = { referencedIds: [of.r_request_id], referencedFingerprint: of.fingerprint };
    findings.push({ discrepancy: found.discrepancy, loadNo, batchNo, ofMatchable: row.needsRecord, row, ...quoted });
  };
  for await (const rows of fetchBatches<AllocationRow>(db, exceededTotals(batch.merchantNo))) {
    for (const row of rows) {
      if (of === null || row.total !== of.total || row.r_type !== of.r_type || row.r_request_id !== of.r_request_id) {
        tellLast();
        of = row;
        summed = NOTHING_SUMMED;
      }
      summed = addShare(summed, allocationOf(row), recordFrom(of, 'r')!);
    }
    if (findings.length < MANY) continue;
    await recordFindings(db, findings, 'cross_batch_finding');
    findings = [];
  }
  tellLast();
  await recordFindings(db, findings, 'cross_batch_finding');
  await publish.publishTotals(db, runNo);
}

const allocationOf = (
  row: AllocationRow,
): Allocation & { readonly loadNo: number; readonly batchNo: number; readonly row: NamedRow } => ({
  line: row.line,
  type: row.type,
  requestId: row.total === 'instalments' ? row.r_request_id : null,
  transactionId: row.transaction_id,
  amountMinor: row.amount_minor,
  instalments: instalmentsOf(row.flags),
  loadNo: row.load_no,
  batchNo: row.batch_no,
  row: { type: row.type, needsRecord: isMatchable(matchByOf(row.flags)), settlementMinor: row.settlement_minor },
});
