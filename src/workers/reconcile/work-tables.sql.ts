import { type Kysely, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Schema } from '../../adapters/postgres/schema.ts';

type Row = Pick<Schema['report_row'], 'load_no' | 'line'>;
type Key = { type: string; request_id: string };
/** A discrepancy before it is published. */
type Finding = Omit<
  Schema['discrepancy'],
  'no' | 'first_seen_at' | 'opened_run' | 'opened_at' | 'closed_run' | 'closed_at' | 'is_superseded'
>;

/** The temporary tables of one reconciliation. */
export type WorkTables = {
  /** Keys that stand in several rows of the batch. */
  repeated_key: { key_hash: bigint };
  /** Rows that say nothing new: the same key, once more. */
  duplicate: Row;
  /** Rows that do not plainly agree with the record of their key. */
  unmatched_row: Row;
  /** Rows that name an original, with the record of their own. */
  row_with_original: Row & { original: string | null };
  /** Ids that they, or their records, name as the original. */
  original_id: { id: string; is_refund_too: boolean; id_hash: bigint };
  original_record: Key & { id: string; is_refund_too: boolean };
  /** Rows that are to be judged, with their record (r) and that of their original (o). */
  candidate: Schema['report_row'] & {
    original: string | null;
    r_type: string | null;
    r_status: string | null;
    o_type: string | null;
  };
  /** Originals that are named by the provider's id alone, and the merchant's id of each where it is found. */
  reference: { transaction_id: string; request_id: string | null; other_load: number | null };
  /** Records of candidates that a CANCEL or VOID takes back. */
  cancelled: { request_id: string; other_load: number | null };
  /** Records of a day that stand in none of its reports. */
  unreported_record: Key;
  /** Rows that count towards a total over several batches. */
  allocation: Row & { type: string; request_id: string | null; original: string | null };
  /** Keys of the totals that are to be compared anew. */
  allocation_key: Pick<Schema['run_allocation'], 'total' | 'record_type' | 'request_id' | 'key_hash'>;
  /** Refunds that a reversal names, and the payment of each where it is found. */
  named_refund: {
    request_id: string;
    payment: string | null;
    transaction_id: string | null;
    refund_load: number | null;
    payment_load: number | null;
  };
  /** Keys that may be settled in another batch too. */
  settled_key: Key;
  finding: Finding;
  cross_batch_finding: Finding;
  /** Batches in which something was opened by this run beside its own. */
  touched_batch: { batch_no: number };
};

const WORK_TABLES: readonly (keyof WorkTables)[] = [
  'repeated_key',
  'duplicate',
  'unmatched_row',
  'row_with_original',
  'original_id',
  'original_record',
  'candidate',
  'reference',
  'cancelled',
  'unreported_record',
  'allocation',
  'named_refund',
  'settled_key',
  'finding',
  'cross_batch_finding',
  'touched_batch',
];

/** The same connection, for statements on one of them. */
export const workTables = (db: Db): Kysely<Schema & WorkTables> => db.withTables<WorkTables>();

/** Returns whether the table has a row. */
export async function hasRows(db: Db, table: keyof WorkTables): Promise<boolean> {
  const found = await sql`select from ${sql.ref(table)} limit 1`.execute(db);
  return found.rows.length > 0;
}

/** Creates the temporary tables of one reconciliation; the connection may have served another one before. */
export async function makeWorkTables(db: Db): Promise<void> {
  // In one call: each takes less time on the server than its way there. Memory is per process: enough for a million rows; larger sets use
  // the disk instead of more memory.
  await sql`
    set work_mem = '16MB';
    drop table if exists ${sql.join(WORK_TABLES.map((table) => sql.id('pg_temp', table)))};
    create temp table duplicate (load_no int, line int, primary key (load_no, line));
    create temp table reference (transaction_id text collate "C", request_id text collate "C", other_load int);
    create temp table named_refund (request_id text collate "C", payment text collate "C", transaction_id text collate "C", refund_load int,
      payment_load int);
    create temp table settled_key (type text collate "C", request_id text collate "C");
    create temp table finding (
      batch_no int, identity text collate "C", ordinal int, of_matchable boolean, kind text collate "C", load_no int, line int,
      type text collate "C", request_id text collate "C", transaction_id text collate "C", field text collate "C",
      reported text, recorded text, difference text, currency text, message text, stake_minor numeric, stake_currency text,
      other_batch_no int, is_cross_batch boolean not null default false, referenced_ids text[] collate "C", referenced_fingerprint bigint,
      row_type text collate "C", row_needs_record boolean, row_settlement_minor bigint);
    create temp table cross_batch_finding (like finding);
    alter table cross_batch_finding alter is_cross_batch set default true;
    create temp table touched_batch (batch_no int)`.execute(db);
}
