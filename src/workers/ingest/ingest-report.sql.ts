import { type NotNull, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { ReportKind } from '../../domain/formats/format.ts';
import type { Rules } from '../../domain/report/rules.ts';
import { UNDER_WAY } from '../load/close-load.sql.ts';

export type Delivery = {
  no: number;
  epoch: number;
  reportNo: number;
  batchNo: number;
  kind: ReportKind;
  merchantNo: number;
  batchId: string | null;
  /** Null if the report's name has no settlement currency. */
  settlementCurrency: string | null;
  /** Currency of its batch; null if it is not known yet. */
  batchCurrency: string | null;
  /** Some content of it counts. */
  isCounting: boolean;
  name: string;
  source: string;
  path: string;
  /** Its path below the folder; on a server its path. */
  file: string;
  /** Inside a zip: the file that is the report. */
  entry: string | null;
  isSheet: boolean;
  /** The same report is read from a CSV, which has priority over a workbook. */
  hasCsv: boolean;
  sizeBytes: bigint;
  modifiedAtMicros: bigint;
  rules: Rules;
  /** Path of its copy in the archive, for a replay; null if it is read from its source. */
  archived: string | null;
  archivedSha256: string | null;
  isDry: boolean;
};

/**
 * Claims a delivered file: older attempts are fenced, and their loads are abandoned. Returns null if there is nothing to do, or if an
 * earlier content of the same report is still being read; its end enqueues this one.
 */
export async function claimDelivery(db: Db, deliveryNo: number): Promise<Delivery | null> {
  const taken = await sql<Delivery>`
    update delivery d set epoch = d.epoch + 1, state = case d.state when 'dry' then 'dry' else 'reading' end
      from report r join batch b on b.no = r.batch_no
     where d.no = ${deliveryNo} and r.no = d.report_no and d.parked_reason is null
       and (d.state = 'dry' and d.error_code is null
            or d.state in ('found', 'reading')
               and not exists (select from delivery e where e.report_no = d.report_no and e.no < d.no and e.state in ('found', 'reading')
                                  and e.parked_reason is null))
       and not exists (select from load l where l.delivery_no = d.no and l.state in ('reading', 'loaded') and l.chunks is not null)
    returning d.no, d.epoch, d.report_no as "reportNo", r.batch_no as "batchNo", r.kind, r.name,
              b.merchant_no as "merchantNo", b.batch_id as "batchId", b.currency as "batchCurrency", case when not r.is_currency_in_rows then b.currency end as "settlementCurrency",
              r.load_no is not null as "isCounting", d.source, d.path, d.file, d.entry, d.is_sheet as "isSheet", d.size_bytes as "sizeBytes",
              exists (select from load l join delivery e on e.no = l.delivery_no where l.no = r.load_no and not e.is_sheet)
                or exists (select from delivery e where e.report_no = r.no and not e.is_sheet and e.state = 'refused' and e.error_code = 'conflicting_files') as "hasCsv",
              (extract(epoch from d.modified_at) * 1000000)::bigint as "modifiedAtMicros", d.rules, d.archived,
              d.archived_sha256 as "archivedSha256", d.state = 'dry' as "isDry"`.execute(db);
  const delivery = taken.rows[0];
  if (!delivery) return null;
  await db
    .updateTable('load')
    .set({ state: 'abandoned' })
    .where('delivery_no', '=', deliveryNo)
    .where('state', '=', 'reading')
    .execute();
  return delivery;
}

/** Abandons what a failed attempt had recorded of the file. */
export const abandonLoad = (db: Db, { no, epoch }: Pick<Delivery, 'no' | 'epoch'>) =>
  sql`update load set state = 'abandoned' where delivery_no = ${no} and state = 'reading' and chunks is null
         and exists (select from delivery where no = ${no} and epoch = ${epoch})`.execute(db);

export type Revision = { revision: number; sha256: string; sizeBytes: bigint; isSameRules: boolean };

/**
 * Returns the newest content of a report that was read to its end, and whether it was read under this delivery's rules. A content of which
 * neither rows nor file are kept cannot be compared.
 */
export async function newestRevision(db: Db, reportNo: number, deliveryNo: number): Promise<Revision | null> {
  const found = await sql<Revision>`
    select r.revision, l.sha256, l.size_bytes as "sizeBytes", l.rules = d.rules
             and not (l.rows_dropped_at is not null and exists (select from dropped f where f.path = l.archive_path)) as "isSameRules"
      from report r join load l on l.no = r.load_no, delivery d where r.no = ${reportNo} and d.no = ${deliveryNo}`.execute(
    db,
  );
  return found.rows[0] ?? null;
}

/** Returns withdrawn contents of a report with this size that are newer than the one that counts. The same bytes do not bring them back. */
export async function withdrawnRevisions(db: Db, reportNo: number, sizeBytes: number) {
  return db
    .selectFrom('delivery as d')
    .innerJoin('report as r', (join) => join.onRef('r.no', '=', 'd.report_no').onRef('d.revision', '>', 'r.revision'))
    .innerJoin('load as l', 'l.delivery_no', 'd.no')
    .select(['d.revision', 'l.sha256', 'd.withdrawn_reason as reason'])
    .where('r.no', '=', reportNo)
    .where('d.state', '=', 'withdrawn')
    .where('l.size_bytes', '=', BigInt(sizeBytes))
    .$narrowType<{ revision: NotNull; reason: NotNull }>()
    .where('l.sha256', 'is not', null)
    .$narrowType<{ sha256: NotNull }>()
    .execute();
}

/** Stores a refused report as it was received, so that it can be replayed once the cause is fixed. */
export const keepRefused = (db: Db, deliveryNo: number, path: string, sha256: string) =>
  db.updateTable('delivery').set({ archived: path, archived_sha256: sha256 }).where('no', '=', deliveryNo).execute();

export async function createLoad(
  db: Db,
  load: {
    deliveryNo: number;
    epoch: number;
    reportNo: number;
    isLarge: boolean;
    rules: Rules;
    /** The id of the format that its header selected. */
    format: string;
    header: readonly string[];
    /** From its rows; null if the report's name has it. */
    currency: string | null;
    archivePath: string;
    originalPath: string | null;
    sizeBytes: number;
  },
): Promise<{ loadNo: number; slot: number } | null> {
  const next = await sql<{ no: number; month: number }>`
    select nextval(pg_get_serial_sequence('load', 'no'))::int as no, to_char(now(), 'YYYYMM')::int as month`.execute(
    db,
  );
  const { no, month } = next.rows[0]!;
  const slot = load.isLarge ? no : -month;
  const inserted = await sql`
    insert into load (no, delivery_no, report_no, series, slot, rules, format, header, settlement_currency, archive_path, original_path, size_bytes) overriding system value
    select ${no}, ${load.deliveryNo}, ${load.reportNo},
           (select jsonb_build_array(d.source, b.merchant_no, r.kind, r.psp, r.seq, r.is_portal, ${load.format}::text)::text
              from report r join batch b on b.no = r.batch_no where r.no = d.report_no),
           ${slot}, ${JSON.stringify(load.rules)}::jsonb, ${load.format}, ${[...load.header]}::text[],
           ${load.currency}::text, ${load.archivePath}, ${load.originalPath}, ${load.sizeBytes}
      from delivery d where no = ${load.deliveryNo} and epoch = ${load.epoch} and ${UNDER_WAY} for share`.execute(db);
  return inserted.numAffectedRows === 1n ? { loadNo: no, slot } : null;
}

/** Assigns a report without a currency in its name to the batch of its rows. Returns that batch. */
export async function moveReport(
  db: Db,
  { reportNo, merchantNo, batchId }: Pick<Delivery, 'reportNo' | 'merchantNo' | 'batchId'>,
  currency: string,
): Promise<number> {
  const batch = await sql<{ no: number }>`
    insert into batch (merchant_no, batch_id, currency, day)
    select merchant_no, batch_id, ${currency}, day from batch where no = (select batch_no from report where no = ${reportNo})
    on conflict (merchant_no, batch_id, currency, day) do update set merchant_no = ${merchantNo} returning no`.execute(
    db,
  );
  const batchNo = batch.rows[0]!.no;
  await db
    .updateTable('report')
    .set({ batch_no: batchNo })
    .where('no', '=', reportNo)
    .where('batch_no', '<>', batchNo)
    .execute();
  if (batchId === null) throw new Error('a day has no settlement currency');
  return batchNo;
}

/** Records a chunk. Returns false if another attempt has claimed the file. */
export async function insertChunk(
  db: Db,
  deliveryNo: number,
  epoch: number,
  chunk: {
    loadNo: number;
    no: number;
    offset: number;
    lengthBytes: number;
    firstLine: number;
    crc32: number;
    encoding: string;
  },
): Promise<boolean> {
  const inserted = await sql`
    insert into chunk (load_no, no, offset_bytes, length_bytes, first_line, crc32, encoding)
    select ${chunk.loadNo}, ${chunk.no}, ${chunk.offset}, ${chunk.lengthBytes}, ${chunk.firstLine}, ${chunk.crc32}, ${chunk.encoding}
      from delivery where no = ${deliveryNo} and epoch = ${epoch} and ${UNDER_WAY} for share`.execute(db);
  return inserted.numAffectedRows === 1n;
}

/** Records that the file was read to its end and all chunks are known. Returns false if another attempt has claimed the file. */
export async function finishReading(
  db: Db,
  {
    loadNo,
    deliveryNo,
    epoch,
    chunks,
    sha256,
  }: { loadNo: number; deliveryNo: number; epoch: number; chunks: number; sha256: string },
): Promise<boolean> {
  const finished = await sql`
    update load set chunks = ${chunks}, sha256 = ${sha256} where no = ${loadNo} and state = 'reading'
       and exists (select from delivery where no = ${deliveryNo} and epoch = ${epoch} and ${UNDER_WAY})`.execute(db);
  return finished.numAffectedRows === 1n;
}
