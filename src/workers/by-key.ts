import { sql } from 'kysely';
import { type Db, inPortions } from '../adapters/postgres.ts';
import type { Currency } from '../domain/currency.ts';
import { overRefunded, settledTwice } from '../domain/match.ts';
import { findOverRefunded, findSettledTwice } from '../domain/settled.ts';
import * as publish from './publish.sql.ts';
import type * as query from './reconcile.sql.ts';
import { byKey, isMatchable, matchByOf, recordFrom, rowFrom, type StoredRow, type Told, tellAll } from './told.ts';

// What belongs to a key, not to a batch. Both run inside the publishing transaction, under the merchant's lock.
type KeyRow = StoredRow & {
  batch_no: number;
  batch_id: string;
  batch_currency: Currency;
  settlement_date: string;
  part: number;
  is_duplicate: boolean;
};

/** Decides anew which rows settle what was settled before: in whatever batch they stand. */
export async function publishSettledTwice(
  db: Db,
  batch: query.BatchRow,
  runNo: number,
  loads: readonly query.ReadLoad[],
  others: readonly query.ReadLoad[],
): Promise<void> {
  await publish.findSettledKeys(db, batch.no, loads, others);
  const rows = inPortions<KeyRow>(db, publish.settledRows([...loads, ...others], batch.merchantNo));
  const sameKey = (a: KeyRow, b: KeyRow) => a.type === b.type && a.request_id === b.request_id;
  let told: Told[] = [];
  for await (const group of byKey(rows, sameKey)) {
    const places = group.map((row) => ({
      settlementDate: row.settlement_date,
      batchId: row.batch_id,
      currency: row.batch_currency,
      fileOrder: row.part,
      line: row.line,
      transactionId: row.transaction_id,
      inInstalments: rowFrom(row).inInstalments,
      hasSettlement: row.settlement_minor !== null,
      isDuplicate: row.is_duplicate,
      row,
    }));
    for (const {
      row: { row },
      other: { row: other },
    } of findSettledTwice(places)) {
      told.push({
        discrepancy: settledTwice(rowFrom(row), row.batch_id, other.batch_id, {
          settlementCurrency: row.batch_currency,
          wrongUnit: false,
        }),
        loadNo: row.load_no,
        ofMatchable: isMatchable(rowFrom(row).matchBy),
        batchNo: row.batch_no,
        otherBatchNo: other.batch_no,
      });
    }
    if (told.length > 5_000) {
      await tellAll(db, told, 'told_by_key');
      told = [];
    }
  }
  await tellAll(db, told, 'told_by_key');
  await publish.identifyToldByKey(db);
  await publish.publishToldByKey(db, 'settled_twice', runNo);
  await sql`truncate told_by_key`.execute(db);
}

type RefundedRow = {
  load_no: number;
  line: number;
  flags: number;
  amount_minor: bigint;
  currency: string;
  batch_no: number;
  batch_id: string;
  batch_currency: string;
  settlement_date: string;
  part: number;
  r_request_id: string;
  /** What the records of this id said. */
  print: bigint | null;
};

/** Decides anew of which payments more was refunded than paid: in whatever batch that is told. */
export async function publishOverRefunded(db: Db, batch: query.BatchRow, runNo: number): Promise<void> {
  if ((await publish.replaceRefunds(db, runNo, batch.currentRun, batch.merchantNo)) === 0) return;
  const told: Told[] = [];
  const rows = inPortions<RefundedRow>(db, publish.overRefundedRows(batch.merchantNo));
  for await (const group of byKey(rows, (a, b) => a.r_request_id === b.r_request_id)) {
    const payment = recordFrom(group[0]!, 'r')!;
    const places = group.map((row) => ({
      settlementDate: row.settlement_date,
      batchId: row.batch_id,
      currency: row.batch_currency,
      fileOrder: row.part,
      line: row.line,
      type: row.amount_minor < 0n ? ('REFUND_REVERSAL' as const) : ('REFUND' as const),
      requestId: null,
      amountMinor: row.amount_minor,
      transactionCurrency: row.currency,
      hasSettlement: true,
      isDuplicate: false,
      wrongUnit: false,
      row,
    }));
    const over = findOverRefunded(payment, places);
    if (!over) continue;
    const { row } = over.row;
    told.push({
      discrepancy: overRefunded(payment, over.sumMinor, row.line),
      loadNo: row.load_no,
      ofMatchable: isMatchable(matchByOf(row.flags)),
      batchNo: row.batch_no,
      quotedIds: [payment.requestId],
      quotedPrint: row.print,
    });
  }
  await tellAll(db, told, 'told_by_key');
  await publish.identifyToldByKey(db);
  await publish.publishToldByKey(db, 'over_refunded', runNo);
}
