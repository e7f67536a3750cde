import { sql } from 'kysely';
import { anyOf } from '../adapters/postgres/columns.ts';
import type { Db } from '../adapters/postgres/connection.ts';
import type { Schema } from '../adapters/postgres/schema.ts';

export type BatchRow = Awaited<ReturnType<typeof batchOf>>;

/** Takes a batch: whoever holds an older epoch can no longer publish. Null: nothing is wanted of it. */
export async function claimBatch(db: Db, batchNo: number): Promise<{ epoch: number } | null> {
  const taken = await db
    .updateTable('batch')
    .set((batch) => ({ epoch: batch('epoch', '+', 1) }))
    .where('no', '=', batchNo)
    .whereRef('done', '<', 'wanted')
    .where('parked_reason', 'is', null)
    .returning('epoch')
    .executeTakeFirst();
  return taken ?? null;
}

/** What is reconciled, with its merchant. */
export const batchOf = (db: Db, batchNo: number) =>
  db
    .selectFrom('batch as b')
    .innerJoin('merchant as m', 'm.no', 'b.merchant_no')
    .select([
      'b.no',
      'b.merchant_no as merchantNo',
      'm.id as merchantId',
      'b.batch_id as batchId',
      'b.currency',
      'b.day',
    ])
    .select(['b.wanted', 'b.done', 'b.current_run as currentRun'])
    .where('b.no', '=', batchNo)
    .executeTakeFirstOrThrow();

/** Whoever else changes what these are made of waits until this transaction ends. */
export const lockBatches = (db: Db, batchNos: readonly number[]) =>
  db.selectFrom('batch').select('no').where('no', '=', anyOf(batchNos)).orderBy('no').forUpdate().execute();

/** Something new is known of these batches: they want a run. */
export const requestRuns = (
  db: Db,
  batchNos: readonly number[],
  cause: Schema['run_cause']['cause'],
  interventionNo: number | null = null,
) =>
  sql`select want_runs(${[...batchNos]}::int[], ${cause}, null, ${interventionNo === null ? [] : [interventionNo]}::int[])`.execute(
    db,
  );

/** The batches and days that these deliveries belong to by now. */
export async function batchesOfDeliveries(db: Db, deliveryNos: readonly number[]): Promise<number[]> {
  const found = await db
    .selectFrom('delivery as d')
    .innerJoin('report as r', 'r.no', 'd.report_no')
    .select('r.batch_no')
    .distinct()
    .where('d.no', '=', anyOf(deliveryNos))
    .execute();
  return found.map(({ batch_no }) => batch_no);
}

/** The merchants of these batches and days. */
export async function merchantsOfBatches(db: Db, batchNos: readonly number[]): Promise<number[]> {
  const found = await db
    .selectFrom('batch')
    .select('merchant_no')
    .distinct()
    .where('no', '=', anyOf(batchNos))
    .execute();
  return found.map(({ merchant_no }) => merchant_no);
}
