import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import type { Currency } from '../domain/money/currency.ts';

export type BatchRow = {
  no: number;
  merchantNo: number;
  merchantId: string;
  batchId: string | null;
  currency: Currency | null;
  day: string | null;
  wanted: number;
  done: number;
  currentRun: number | null;
};

/** Takes a batch: whoever holds an older epoch can no longer publish. Null: nothing is wanted of it. */
export async function claimBatch(db: Db, batchNo: number): Promise<{ epoch: number } | null> {
  const taken = await sql<{ epoch: number }>`
    update batch set epoch = epoch + 1 where no = ${batchNo} and done < wanted and parked_reason is null
    returning epoch`.execute(db);
  return taken.rows[0] ?? null;
}

export async function batchOf(db: Db, batchNo: number): Promise<BatchRow> {
  const found = await sql<BatchRow>`
    select b.no, b.merchant_no as "merchantNo", m.id as "merchantId", b.batch_id as "batchId", b.currency, b.day::text,
           b.wanted, b.done, b.current_run as "currentRun"
      from batch b join merchant m on m.no = b.merchant_no where b.no = ${batchNo}`.execute(db);
  return found.rows[0]!;
}
