import { type Kysely, type RawBuilder, sql } from 'kysely';
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
  /** Of these, those whose sum may not agree with their record. */
  exceeded_total: Pick<Schema['run_allocation'], 'total' | 'record_type' | 'request_id' | 'key_hash'>;
  /** Refunds that a reversal names, and the payment of each where it is found. */
  named_refund: {
    request_id: string;
    payment: string | null;
    transaction_id: string | null;
    refund_load: number | null;
    payment_load: number | null;
  };
  /** Keys that may be settled in another batch too. */
  settled_key: Key & { key_hash: bigint };
  /** What was found in rows of another batch, and in which load. */
  found_elsewhere: { request_id: string | null; transaction_id: string | null; other_load: number };
  /** Rows that no report of their day lists. */
  not_reported: Row & { day: string };
  /** Rows of days that have few of them. */
  paid_row: Row & Key & { key_hash: bigint; day: string };
  finding: Finding;
  cross_batch_finding: Finding;
  /** Batches in which something was opened by this run beside its own. */
  touched_batch: { batch_no: number };
};

const ITS_RECORD = (prefix: 'r' | 'o') =>
  `${prefix}_type text, ${prefix}_request_id text, ${prefix}_amount_minor bigint, ${prefix}_currency text, ${prefix}_status text,
   ${prefix}_original_request_id text, ${prefix}_occurred_at_micros bigint`;

const FINDING = `batch_no int, identity text, ordinal int, of_matchable boolean, kind text, load_no int, line int, type text, request_id text,
  transaction_id text, field text, reported text, recorded text, difference text, currency text, message text, stake_minor numeric,
  stake_currency text, other_batch_no int, is_cross_batch boolean not null default false, referenced_ids text[], referenced_fingerprint bigint,
  row_type text, row_needs_record boolean, row_settlement_minor bigint`;

/** Their columns. Texts are compared byte by byte, as those of the book are. */
const COLUMNS: Readonly<Record<keyof WorkTables, string>> = {
  repeated_key: 'key_hash bigint',
  duplicate: 'load_no int, line int, primary key (load_no, line)',
  unmatched_row: 'load_no int, line int',
  row_with_original: `like report_row, original text, ${ITS_RECORD('r')}`,
  original_id: 'id text, is_refund_too boolean, id_hash bigint',
  original_record: `id text, is_refund_too boolean, type text, request_id text, amount_minor bigint, currency text, status text,
    original_request_id text, occurred_at timestamptz`,
  candidate: `like report_row, original text, ${ITS_RECORD('r')}, ${ITS_RECORD('o')}, reported_root text, recorded_root text`,
  reference: 'transaction_id text, request_id text, other_load int',
  cancelled: 'request_id text, other_load int',
  unreported_record: ITS_RECORD('r'),
  allocation: `load_no int, line int, flags smallint, type text, request_id text, transaction_id text, original text, amount_minor bigint,
    currency text, settlement_minor bigint, is_settled boolean, is_fee_alone boolean`,
  allocation_key: 'total text, record_type text, request_id text, key_hash bigint',
  exceeded_total: 'total text, record_type text, request_id text, key_hash bigint',
  named_refund: 'request_id text, payment text, transaction_id text, refund_load int, payment_load int',
  settled_key: 'type text, request_id text, key_hash bigint',
  found_elsewhere: 'request_id text, transaction_id text, other_load int',
  not_reported: 'load_no int, line int, day date',
  paid_row: 'load_no int, line int, type text, request_id text, key_hash bigint, day date',
  finding: FINDING,
  cross_batch_finding: FINDING.replace('default false', 'default true'),
  touched_batch: 'batch_no int',
};

const NAMES = Object.keys(COLUMNS) as (keyof WorkTables)[];

/** The same connection, for statements on one of them. */
export const workTables = (db: Db): Kysely<Schema & WorkTables> => db.withTables<WorkTables>();

/** Returns whether the table has a row. */
export async function hasRows(db: Db, table: keyof WorkTables): Promise<boolean> {
  const found = await sql`select from ${sql.ref(table)} limit 1`.execute(db);
  return found.rows.length > 0;
}

/** Up to so many rows of a work table are planned for well enough without statistics. */
export const FEW_ROWS = 1_000;

/** Up to this size rows are deleted, of which nothing stays but their room; more are cut off, with the files that they are in. */
const SMALL_BYTES = 65_536;

/**
 * Empties the temporary tables of a reconciliation, and creates those that this connection does not have yet. They are kept for the next
 * run: with the tables and indexes of long texts that belong to them, they were a tenth of what the server did for a batch of 16 rows.
 */
export async function makeWorkTables(db: Db): Promise<void> {
  const found = await sql<{ table: keyof WorkTables; bytes: bigint }>`
    select relname as table, pg_relation_size(oid) as bytes from pg_class
     where relnamespace = pg_my_temp_schema() and relkind = 'r' and relname = any(${NAMES}::name[])`.execute(db);
  const sizes = new Map(found.rows.map(({ table, bytes }) => [table, bytes]));
  const statements = NAMES.flatMap((table) => {
    const bytes = sizes.get(table);
    if (bytes === undefined) return [`create temp table ${table} (${bytewise(COLUMNS[table])})`];
    if (bytes === 0n) return [];
    return [bytes <= SMALL_BYTES ? `delete from ${table}` : `truncate ${table}`];
  });
  // Per process: enough for a million rows; larger sets use the disk instead of more memory.
  await sql.raw([`set work_mem = '16MB'`, ...statements].join(';\n')).execute(db);
}

const bytewise = (columns: string): string => columns.replace(/\btext\b(\[\])?/g, '$& collate "C"');

/**
 * Fills an empty work table with the rows of a query. A large table is made anew by it, because a query alone is worked on by all cores, and one
 * that is inserted from is not. Returns how many rows it has.
 */
export async function fill(
  db: Db,
  table: keyof WorkTables,
  rows: RawBuilder<unknown>,
  isLarge: boolean,
): Promise<number> {
  if (!isLarge) {
    const filled = await sql`insert into ${sql.ref(table)} ${rows}`.execute(db);
    return Number(filled.numAffectedRows);
  }
  await sql`drop table ${sql.id('pg_temp', table)}`.execute(db);
  await sql`create temp table ${sql.ref(table)} as ${rows}`.execute(db);
  const found = await sql<{ count: bigint }>`select count(*) as count from ${sql.ref(table)}`.execute(db);
  return Number(found.rows[0]!.count);
}
