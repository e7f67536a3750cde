import { type RawBuilder, sql } from 'kysely';
import type { Encoding } from '../../adapters/file-formats/encoding.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Currency } from '../../domain/money/currency.ts';
import type { LedgerRecord } from '../../domain/report/record-types.ts';
import { isOfOriginal, isRecord } from '../../store/ledger/conditions.ts';

export type StoryRecord = LedgerRecord & {
  readonly orderId: string | null;
  readonly source: string | null;
};

export type StoryRow = {
  settlementBatchId: string | null;
  transactionDate: string | null;
  /** Of the batch: on what day it was settled. */
  settlementDate: string | null;
  acquirer: string | null;
  batchCurrency: Currency | null;
  kind: 'transactionDetails' | 'settlementDetails';
  loadNo: number;
  file: string;
  line: number;
  revision: number;
  /** The current run of its batch reads this revision. */
  isCounted: boolean;
  /** Its text was made from a workbook. */
  isSheet: boolean;
  flags: number;
  type: string;
  requestId: string | null;
  transactionId: string | null;
  originalRequestId: string | null;
  originalTransactionId: string | null;
  amountMinor: bigint | null;
  currency: Currency | null;
  settlementMinor: bigint | null;
  feeMinor: bigint | null;
  paidAt: Date | null;
  offset: bigint;
  lengthBytes: number;
  header: string[];
  archivePath: string;
  /** When that was dropped because it is old; null while it is kept. */
  fileDroppedAt: Date | null;
  /** Of the part of the file that was read at once, by which its bytes are checked. */
  chunkNo: number;
  chunkOffset: bigint;
  chunkLength: bigint;
  crc32: bigint;
  encoding: Encoding;
};

export type StoryMerchant = { readonly no: number; readonly id: string };

/** So many rows and discrepancies of one payment are shown: who needs more has made a list and not a story. */
export const MOST = 1_000;

/** The merchants that have a record of this request id, or a row that carries it. */
export async function merchantsThatKnow(db: Db, id: string): Promise<StoryMerchant[]> {
  const found = await sql<StoryMerchant>`
    select no, id from merchant where no in (
      select merchant_no from ledger() r where ${isRecord('r', sql`${id}::text`)}
      union
      select b.merchant_no
        from report_row d join load l on l.no = d.load_no join report r on r.no = l.report_no join batch b on b.no = r.batch_no
       where d.key_hash = hashtextextended(${id}, 0) and d.request_id = ${id})
     order by id`.execute(db);
  return found.rows;
}

export async function allMerchants(db: Db): Promise<StoryMerchant[]> {
  const found = await sql<StoryMerchant>`select no, id from merchant order by id`.execute(db);
  return found.rows;
}

/** Records with one of these request ids, and those that name one of them as their original. */
export async function recordsNaming(db: Db, merchantNo: number, ids: readonly string[]): Promise<StoryRecord[]> {
  const found = await sql<StoryRecord>`
    select type, request_id as "requestId", amount_minor as "amountMinor", currency, status, original_request_id as "originalRequestId",
           (extract(epoch from occurred_at) * 1000000)::bigint as "occurredAtMicros", order_id as "orderId", source
      from (select r.* from unnest(${[...ids]}::text[]) i(id) join ledger() r on r.merchant_no = ${merchantNo} and ${isRecord('r', sql`i.id`)}
            union
            select r.* from unnest(${[...ids]}::text[]) i(id) join ledger() r on r.merchant_no = ${merchantNo} and ${isOfOriginal('r', sql`i.id`)}) r
     order by occurred_at, type, request_id limit ${MOST}`.execute(db);
  return found.rows;
}

/** Rows that carry one of these request ids, in any report and revision: found by the index on their keys. */
export const rowsWithIds = (db: Db, merchantNo: number, ids: readonly string[]) =>
  storyRows(
    db,
    sql`d.key_hash = any(array(select hashtextextended(id, 0) from unnest(${[...ids]}::text[]) i(id)))
        and d.request_id = any(${[...ids]}::text[]) and b.merchant_no = ${merchantNo}`,
  );

/**
 * Rows that lead to these ids in another way: they name one as their original, or carry or name one of these transaction ids.
 * No index holds these, for it would make every load dearer: the merchant's rows are looked through, a million in some 0.2 s.
 */
export const rowsLeadingTo = (
  db: Db,
  loads: readonly StoryLoad[],
  { ids, transactionIds }: { readonly ids: readonly string[]; readonly transactionIds: readonly string[] },
) => {
  const names = sql`${[...transactionIds]}::text[]`;
  // Numbers stand in the text, so that Postgres leaves out all other partitions when it plans.
  const slots = sql.raw([...new Set(loads.map(({ slot }) => slot))].join(', '));
  return storyRows(
    db,
    sql`d.slot in (${slots}) and d.load_no = any(${loads.map(({ loadNo }) => loadNo)}::int[])
        and (d.original_request_id = any(${[...ids]}::text[]) or d.transaction_id = any(${names}) or d.original_transaction_id = any(${names}))`,
  );
};

export type StoryLoad = { readonly loadNo: number; readonly slot: number; readonly rows: number };

/** All that was ever read to its end of this merchant's details, and has its rows still. */
export async function loadsOf(db: Db, merchantNo: number): Promise<StoryLoad[]> {
  const found = await sql<StoryLoad>`
    select l.no as "loadNo", l.slot, coalesce((l.facts->>'rows')::int, 0) as rows
      from load l join report r on r.no = l.report_no join batch b on b.no = r.batch_no
     where b.merchant_no = ${merchantNo} and l.closed_at is not null and l.rows_dropped_at is null and r.kind <> 'settlementSummary'`.execute(
    db,
  );
  return found.rows;
}

/** A report of which nobody can see the rows any more. */
export type DroppedReport = {
  readonly settlementBatchId: string | null;
  readonly transactionDate: string | null;
  readonly file: string;
  readonly revision: number;
  readonly rowsDroppedAt: Date;
  /** When its archived copy was dropped, too; null while that is kept. */
  readonly fileDroppedAt: Date | null;
};

/** Reports whose rows were dropped and hold one of these ids, or name one as their original. */
export async function droppedWith(
  db: Db,
  merchantNo: number,
  { ids, transactionIds }: { readonly ids: readonly string[]; readonly transactionIds: readonly string[] },
): Promise<DroppedReport[]> {
  const found = await sql<DroppedReport>`
    with hashes as materialized (
      select hashtextextended(id, seed) as id from unnest(${[...ids]}::text[]) i(id), unnest(array[0, 2]) s(seed)
      union select hashtextextended(id, seed) from unnest(${[...transactionIds]}::text[]) i(id), unnest(array[1, 3]) s(seed)),
    holding as (
      select distinct l.no from load l join report r on r.no = l.report_no join batch b on b.no = r.batch_no
        join dropped_ids k on k.load_no = l.no cross join lateral unnest(k.ids) i(id)
       where b.merchant_no = ${merchantNo} and l.rows_dropped_at is not null and l.state = 'closed' and i.id in (select id from hashes))
    select b.batch_id as "settlementBatchId", case when b.batch_id is null then b.day::text end as "transactionDate", y.file, y.revision,
           l.rows_dropped_at as "rowsDroppedAt", (select f.dropped_at from dropped f where f.path = l.archive_path) as "fileDroppedAt"
      from holding h join load l on l.no = h.no join report r on r.no = l.report_no join batch b on b.no = r.batch_no
      join delivery y on y.no = l.delivery_no
     order by coalesce(b.settlement_date, b.day), b.batch_id nulls first, y.file collate "C", y.revision limit ${MOST}`.execute(
    db,
  );
  return found.rows;
}

async function storyRows(db: Db, condition: RawBuilder<unknown>): Promise<StoryRow[]> {
  const found = await sql<StoryRow>`
    select b.batch_id as "settlementBatchId", case when b.batch_id is null then b.day::text end as "transactionDate",
           b.settlement_date::text as "settlementDate", b.acquirer, b.currency as "batchCurrency", r.kind, d.load_no as "loadNo",
           y.file, d.line, y.revision,
           exists (select from run_load rl where rl.run_no = b.current_run and rl.load_no = l.no) as "isCounted",
           y.is_sheet as "isSheet", d.flags, d.type, d.request_id as "requestId", d.transaction_id as "transactionId",
           d.original_request_id as "originalRequestId", d.original_transaction_id as "originalTransactionId",
           d.amount_minor as "amountMinor", d.currency, d.settlement_minor as "settlementMinor", d.fee_minor as "feeMinor",
           d.paid_at as "paidAt", d.offset_bytes as "offset", d.length_bytes as "lengthBytes", l.header, l.archive_path as "archivePath",
           (select f.dropped_at from dropped f where f.path = l.archive_path) as "fileDroppedAt",
           c.no as "chunkNo", c.offset_bytes as "chunkOffset", c.length_bytes as "chunkLength", c.crc32, c.encoding
      from report_row d join load l on l.no = d.load_no join delivery y on y.no = l.delivery_no
      join report r on r.no = l.report_no join batch b on b.no = r.batch_no
      join chunk c on c.load_no = d.load_no and d.offset_bytes >= c.offset_bytes and d.offset_bytes < c.offset_bytes + c.length_bytes
     where l.closed_at is not null and ${condition} limit ${MOST}`.execute(db);
  return found.rows;
}

export type Place = { readonly loadNo: number; readonly line: number };

/** Which discrepancies are about these ids or rows, open and closed, in the order in which they were first seen. */
export async function discrepancyNosOf(
  db: Db,
  merchantNo: number,
  {
    ids,
    transactionIds,
    places,
  }: { readonly ids: readonly string[]; readonly transactionIds: readonly string[]; readonly places: readonly Place[] },
): Promise<bigint[]> {
  const found = await sql<{ no: bigint }>`
    select d.no from discrepancy d join batch b on b.no = d.batch_no
     where b.merchant_no = ${merchantNo}
       and (d.request_id = any(${[...ids]}::text[]) or d.transaction_id = any(${[...transactionIds]}::text[])
            or (d.load_no, d.line) in (select * from unnest(${places.map(({ loadNo }) => loadNo)}::int[], ${places.map(({ line }) => line)}::int[])))
     order by d.first_seen_at, d.no limit ${MOST}`.execute(db);
  return found.rows.map(({ no }) => no);
}
