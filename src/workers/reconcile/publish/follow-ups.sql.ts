import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { type ReadLoad, rowsOf } from '../../../store/loads.ts';

/**
 * Replaces the open references of the previous run: ids that this run looked for and did not find, and those that it found in another batch
 * (an original, a cancellation, a refund), because a later revision may no longer contain them. Returns how many were not found, or were
 * found in a load that no current run reads any more.
 */
export async function replaceOpenReferences(
  db: Db,
  runNo: number,
  before: number | null,
  { merchantNo, loads, others }: { merchantNo: number; loads: readonly ReadLoad[]; others: readonly ReadLoad[] },
): Promise<number> {
  const [ownNos, otherNos] = [loads, others].map((some) => some.map((load) => load.loadNo));
  await sql`delete from run_open_reference where run_no = ${before}`.execute(db);
  const inserted = await sql`insert into run_open_reference (run_no, merchant_no, request_id, transaction_id)
    select ${runNo}::int, ${merchantNo}::int, null, transaction_id from reference where request_id is null
    union all
    select ${runNo}::int, ${merchantNo}::int, c.request_id, c.transaction_id from candidate c
     where c.r_status = 'CANCELLED' and not exists (select from cancelled x where x.request_id = c.request_id)
    union all
    select ${runNo}::int, ${merchantNo}::int, case when n.transaction_id is null then n.request_id end, n.transaction_id
      from named_refund n where n.payment is null`.execute(db);
  // No other report can change what a batch found in its own loads or in a record.
  await sql`insert into found_elsewhere
    select null, transaction_id, other_load from reference where other_load is not null
    union all
    select c.request_id, c.transaction_id, x.other_load from candidate c join cancelled x on x.request_id = c.request_id
     where c.r_status = 'CANCELLED' and not exists (select from cancelled y where y.request_id = c.request_id and y.other_load is null)
    union all
    select request_id, null, refund_load from named_refund where refund_load <> all(${ownNos}::int[])
    union all
    select null, transaction_id, payment_load from named_refund where payment_load <> all(${ownNos}::int[])`.execute(
    db,
  );
  const found = await sql`insert into run_open_reference (run_no, merchant_no, request_id, transaction_id)
    select distinct ${runNo}::int, ${merchantNo}::int, request_id, transaction_id from found_elsewhere`.execute(db);
  if ((found.numAffectedRows ?? 0n) === 0n) return Number(inserted.numAffectedRows ?? 0n);
  const gone = await sql`select from found_elsewhere where other_load <> all(${otherNos}::int[]) limit 1`.execute(db);
  return Number(inserted.numAffectedRows ?? 0n) + gone.rows.length;
}

/** Returns the batches that looked for rows in these loads, old or new. */
export async function withOpenReferences(
  db: Db,
  loads: readonly ReadLoad[],
  { merchantNo, batchNo }: { merchantNo: number; batchNo: number },
): Promise<number[]> {
  if (loads.length === 0) return [];
  const open = await sql`select from run_open_reference o join batch b on b.current_run = o.run_no
    where o.merchant_no = ${merchantNo} and b.no <> ${batchNo} limit 1`.execute(db);
  if (open.rows.length === 0) return [];
  const found = await sql<{ no: number }>`
      select b.no from run_open_reference o join batch b on b.current_run = o.run_no and b.no <> ${batchNo}
        join ${rowsOf(loads)} d on d.transaction_id = o.transaction_id and d.request_id is not null
       where o.merchant_no = ${merchantNo} and o.request_id is null
      union
      select b.no from run_open_reference o join batch b on b.current_run = o.run_no and b.no <> ${batchNo}
        join ${rowsOf(loads)} d on d.original_request_id = o.request_id
       where o.merchant_no = ${merchantNo} and o.request_id is not null and d.type in ('CANCEL', 'VOID')
      union
      select b.no from run_open_reference o join batch b on b.current_run = o.run_no and b.no <> ${batchNo}
        join ${rowsOf(loads)} d on d.original_request_id is null and d.original_transaction_id = o.transaction_id
       where o.merchant_no = ${merchantNo} and o.request_id is not null and d.type in ('CANCEL', 'VOID')
      union
      select b.no from run_open_reference o join batch b on b.current_run = o.run_no and b.no <> ${batchNo}
        join ${rowsOf(loads)} d on d.request_id = o.request_id and d.type = 'REFUND'
       where o.merchant_no = ${merchantNo} and o.transaction_id is null`.execute(db);
  return found.rows.map((row) => row.no);
}

/**
 * Returns the neighbouring days whose result this day's report can change: those that miss records which may be in it, and all of them
 * if it replaced an older report.
 */
export async function neighboursOf(
  db: Db,
  { merchantNo, day, replaced }: { merchantNo: number; day: string; replaced: boolean },
): Promise<number[]> {
  const found = await sql<{ no: number }>`
    select b.no from batch b
     where b.merchant_no = ${merchantNo} and b.batch_id is null and b.day in (${day}::date - 1, ${day}::date + 1)
       and b.current_run is not null
       and (${replaced} or exists (select from discrepancy x where x.batch_no = b.no and x.closed_run is null and x.kind = 'unreported_transaction'))`.execute(
    db,
  );
  return found.rows.map((row) => row.no);
}

/** Returns runs of the merchant's other batches with new loads that were published after this one took its snapshot. */
export async function publishedSince(db: Db, merchantNo: number, batchNo: number, lastRun: number) {
  const found = await sql<{ batchNo: number; day: string | null; isSettlement: boolean }>`
    select b.no as "batchNo", b.day::text, b.batch_id is not null as "isSettlement" from run r join batch b on b.no = r.batch_no
     where r.no > ${lastRun} and r.changed and b.merchant_no = ${merchantNo} and b.no <> ${batchNo}`.execute(db);
  return found.rows;
}
