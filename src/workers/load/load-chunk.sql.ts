import { sql } from 'kysely';
import type { Encoding } from '../../adapters/file-formats/encoding.ts';
import { columns, type RowOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Discrepancy } from '../../domain/discrepancy.ts';
import type { Facts } from '../../domain/report/facts.ts';
import { tableOf } from '../../store/row-tables.ts';
import { clean } from '../../store/stored-row.ts';

const PLACE = columns('chunk as c', [
  'load_no',
  'no',
  'epoch',
  'offset_bytes as offset',
  'length_bytes',
  'first_line',
  'crc32',
]);
/** `format`: the id of the format that its header is read as. */
const ITS_LOAD = columns('load as l', ['slot', 'archive_path', 'header', 'format', 'rules']);
const ITS_REPORT = columns('report as r', ['batch_no', 'kind']);
const ITS_BATCH = columns('batch as b', ['batch_id']);
/** `is_sheet`: the text was made from a workbook. */
const ITS_DELIVERY = columns('delivery as d', ['is_sheet', 'source']);

export type ClaimedChunk = RowOf<typeof PLACE> &
  RowOf<typeof ITS_LOAD> &
  RowOf<typeof ITS_REPORT> &
  RowOf<typeof ITS_BATCH> &
  RowOf<typeof ITS_DELIVERY> & { settlementCurrency: string | null; encoding: Encoding };

const CHUNK = sql`${PLACE}, ${ITS_LOAD}, ${ITS_REPORT}, ${ITS_BATCH}, ${ITS_DELIVERY}, c.encoding,
  coalesce(l.settlement_currency, b.currency) as "settlementCurrency"`;

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
