import { sql } from 'kysely';
import type { Encoding } from '../../adapters/file-formats/encoding.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Discrepancy } from '../../domain/discrepancy.ts';
import type { ReportKind } from '../../domain/formats/format.ts';
import type { Facts } from '../../domain/report/facts.ts';
import type { Rules } from '../../domain/report/rules.ts';
import { tableOf } from '../../store/row-tables.ts';
import { clean } from '../../store/stored-row.ts';

export type ClaimedChunk = {
  epoch: number;
  loadNo: number;
  no: number;
  slot: number;
  batchNo: number;
  kind: ReportKind;
  batchId: string | null;
  settlementCurrency: string | null;
  archivePath: string;
  offset: bigint;
  lengthBytes: bigint;
  firstLine: number;
  crc32: bigint;
  encoding: Encoding;
  header: string[];
  /** The text was made from a workbook. */
  isSheet: boolean;
  source: string;
  /** The id of the format that its header is read as. */
  format: string;
  rules: Rules;
};

const CHUNK = sql`
  c.epoch, c.load_no as "loadNo", c.no, l.slot, r.batch_no as "batchNo", r.kind, b.batch_id as "batchId",
  coalesce(l.settlement_currency, b.currency) as "settlementCurrency", l.archive_path as "archivePath", c.offset_bytes as "offset",
  c.length_bytes as "lengthBytes", c.first_line as "firstLine", c.crc32, c.encoding, l.header, d.is_sheet as "isSheet", d.source,
  l.format, l.rules`;

/** Takes a chunk: whoever took it before can no longer commit. Null: it is loaded, or its load is not wanted any more. */
export async function claimChunk(db: Db, loadNo: number, chunk: number): Promise<ClaimedChunk | null> {
  const taken = await sql<ClaimedChunk>`
    update chunk c set epoch = c.epoch + 1
      from load l join report r on r.no = l.report_no join batch b on b.no = r.batch_no join delivery d on d.no = l.delivery_no
     where c.load_no = ${loadNo} and c.no = ${chunk} and c.state <> 'loaded' and l.no = c.load_no and l.state = 'reading'
    returning ${CHUNK}`.execute(db);
  return taken.rows[0] ?? null;
}

/** All chunks of a load that was read before, in order. */
export async function chunksOf(db: Db, loadNo: number): Promise<ClaimedChunk[]> {
  const found = await sql<ClaimedChunk>`
    select ${CHUNK} from chunk c join load l on l.no = c.load_no join report r on r.no = l.report_no join batch b on b.no = r.batch_no
      join delivery d on d.no = l.delivery_no
     where c.load_no = ${loadNo} order by c.no`.execute(db);
  return found.rows;
}

export const ROW_COLUMNS = [
  'load_no',
  'line',
  'offset_bytes',
  'length_bytes',
  'flags',
  'type',
  'request_id',
  'key_hash',
  'transaction_id',
  'original_request_id',
  'original_transaction_id',
  'amount_minor',
  'currency',
  'settlement_minor',
  'fee_minor',
  'paid_at',
] as const;
export const copyRows = (slot: number): string =>
  `copy ${tableOf(slot)} (${ROW_COLUMNS.join(', ')}) from stdin (format binary)`;

export const COPY_SUMMARY_ROWS =
  'copy summary_row (load_no, line, type, row_count, settlement_minor, fee_minor) from stdin (format binary)';

export type RowFinding = { readonly discrepancy: Discrepancy; readonly ofMatchable: boolean };

/** Writes down what rows show by themselves. A stake may be the difference of two amounts, which no bigint has to hold. */
export async function insertFindings(db: Db, loadNo: number, findings: readonly RowFinding[]): Promise<void> {
  if (findings.length === 0) return;
  const texts = (of: (d: Discrepancy) => string | null) =>
    sql`${findings.map((f) => clean(of(f.discrepancy)))}::text[]`;
  await sql`insert into row_finding (load_no, line, of_matchable, kind, type, request_id, transaction_id, field, reported,
      recorded, difference, currency, message, stake_minor, stake_currency)
    select ${loadNo}::int, line, of_matchable, kind, type, request_id, transaction_id, field, reported, recorded, difference,
           currency, message, stake_minor::numeric, stake_currency
      from unnest(${findings.map((f) => f.discrepancy.line)}::int[], ${findings.map((f) => f.ofMatchable)}::boolean[],
        ${texts((d) => d.kind)}, ${texts((d) => d.type)}, ${texts((d) => d.requestId)}, ${texts((d) => d.transactionId)},
        ${texts((d) => d.field)}, ${texts((d) => d.reported)}, ${texts((d) => d.recorded)}, ${texts((d) => d.difference)},
        ${texts((d) => d.currency)}, ${texts((d) => d.message)}, ${texts((d) => d.stake?.amountMinor.toString() ?? null)},
        ${texts((d) => d.stake?.currency ?? null)})
        as f (line, of_matchable, kind, type, request_id, transaction_id, field, reported, recorded, difference, currency,
              message, stake_minor, stake_currency)`.execute(db);
}

/** Last of all: the chunk is loaded, if it is still ours. False: another worker took it, and what we wrote must go. */
export async function markChunkLoaded(
  db: Db,
  { loadNo, no, epoch }: Pick<ClaimedChunk, 'loadNo' | 'no' | 'epoch'>,
  facts: Facts,
): Promise<boolean> {
  const marked = await sql`
    update chunk set state = 'loaded', facts = ${JSON.stringify(facts)}::jsonb
     where load_no = ${loadNo} and no = ${no} and epoch = ${epoch} and state <> 'loaded'`.execute(db);
  return marked.numAffectedRows === 1n;
}
