import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Encoding, ReportKind } from '../../domain/formats/format.ts';
import type { Facts } from '../../domain/report/facts.ts';
import { IS_HELD } from '../../store/away.sql.ts';
import { settleRivals } from '../../store/rivals.ts';

/** What a report is read under. Kept with the load, so that a chunk is read the same way whenever and wherever it is. */
export type Rules = {
  readonly format: string;
  readonly amountUnit: 'major' | 'minor';
  readonly tolerance: string;
  readonly timeZone: string;
  /** Left out where a source does not say whose rows its reports may hold. */
  readonly customerIds?: readonly string[];
  /** Left out where a source does not say how its text is to be read. */
  readonly encoding?: Encoding;
};

export type Delivery = {
  no: number;
  epoch: number;
  reportNo: number;
  batchNo: number;
  kind: ReportKind;
  merchantNo: number;
  batchId: string | null;
  /** Null where the report's name does not say what it settles in. */
  settlementCurrency: string | null;
  /** Of the batch that it stands in; null where nothing has told it yet. */
  batchCurrency: string | null;
  /** Some content of it counts. */
  isCounting: boolean;
  name: string;
  source: string;
  path: string;
  /** Its path below the folder that was given; on a server its path. */
  file: string;
  /** Inside a zip: the file that is the report. */
  entry: string | null;
  isSheet: boolean;
  /** The same report is read from a CSV, which goes before a workbook. */
  hasCsv: boolean;
  sizeBytes: bigint;
  modifiedAtMicros: bigint;
  rules: Rules;
  /** Where its bytes are in the archive, where they are read again; null: they are read from their source. */
  archived: string | null;
  archivedSha256: string | null;
  isDry: boolean;
};

/** A delivery that is being read: for the book, or for a dry run. */
const UNDER_WAY = sql`state in ('reading', 'dry')`;

/**
 * Takes a delivered file: older attempts at it lose it, and their loads are abandoned. Null: there is nothing to do, or an
 * earlier content of the same report is still being read, whose end asks for this one.
 */
export async function takeDelivery(db: Db, deliveryNo: number): Promise<Delivery | null> {
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
  await sql`update load set state = 'abandoned' where delivery_no = ${deliveryNo} and state = 'reading'`.execute(db);
  return delivery;
}

/** What an attempt that failed had recorded of the file: nobody goes on with it. */
export const abandonLoad = (db: Db, { no, epoch }: Pick<Delivery, 'no' | 'epoch'>) =>
  sql`update load set state = 'abandoned' where delivery_no = ${no} and state = 'reading' and chunks is null
         and exists (select from delivery where no = ${no} and epoch = ${epoch})`.execute(db);

export type Revision = { revision: number; sha256: string; sizeBytes: bigint; isSameRules: boolean };

/**
 * The newest content of a report that was read to its end, and whether it was read under this delivery's rules. One of which
 * nothing is kept, neither rows nor file, is not known well enough to be the same.
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

/** A withdrawn content of a report, of this size and newer than what counts. The same bytes do not bring it back. */
export async function withdrawnRevisions(db: Db, reportNo: number, sizeBytes: number) {
  const found = await sql<{ revision: number; sha256: string; reason: string }>`
    select d.revision, l.sha256, d.withdrawn_reason as reason
      from delivery d join report r on r.no = d.report_no and d.revision > r.revision join load l on l.delivery_no = d.no
     where r.no = ${reportNo} and d.state = 'withdrawn' and l.sha256 is not null and l.size_bytes = ${sizeBytes}`.execute(
    db,
  );
  return found.rows;
}

/** A report that cannot be read is kept as it came, to be read again once what was wrong is mended. */
export const keepRefused = (db: Db, deliveryNo: number, path: string, sha256: string) =>
  sql`update delivery set archived = ${path}, archived_sha256 = ${sha256} where no = ${deliveryNo}`.execute(db);

/** The header of a load, and that of the source's report of its kind before; null where there was none. */
export async function headersOf(db: Db, loadNo: number) {
  const found = await sql<{ file: string; header: string[]; since: string; before: string[] }>`
    select d.file, l.header, b.file as since, b.header as before
      from load l join delivery d on d.no = l.delivery_no cross join lateral header_before(l.no) b where l.no = ${loadNo}`.execute(
    db,
  );
  return found.rows[0] ?? null;
}

/** Other reports with rows that hold the same bytes. */
export async function filesWithSameBytes(db: Db, loadNo: number): Promise<{ file: string; others: string[] } | null> {
  const found = await sql<{ file: string; others: string[] }>`
    select d.file, array(select y.file from load o join report x on x.load_no = o.no and x.no <> l.report_no join delivery y on y.no = o.delivery_no
                          where o.sha256 = l.sha256 and coalesce((o.facts->>'rows')::int, 0) > 0 order by 1) as others
      from load l join delivery d on d.no = l.delivery_no where l.no = ${loadNo}`.execute(db);
  return found.rows[0] ?? null;
}

export async function createLoad(
  db: Db,
  load: {
    deliveryNo: number;
    epoch: number;
    reportNo: number;
    isLarge: boolean;
    rules: Rules;
    /** The id of the format that its header is read as. */
    format: string;
    header: readonly string[];
    /** As its rows say; null where the report's name does. */
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
    insert into load (no, delivery_no, report_no, slot, rules, format, header, settlement_currency, archive_path, original_path, size_bytes) overriding system value
    select ${no}, ${load.deliveryNo}, ${load.reportNo}, ${slot}, ${JSON.stringify(load.rules)}::jsonb, ${load.format}, ${[...load.header]}::text[],
           ${load.currency}::text, ${load.archivePath}, ${load.originalPath}, ${load.sizeBytes}
      from delivery where no = ${load.deliveryNo} and epoch = ${load.epoch} and ${UNDER_WAY} for share`.execute(db);
  return inserted.numAffectedRows === 1n ? { loadNo: no, slot } : null;
}

/** A report whose name does not say what it settles in belongs to the batch that its rows tell. Returns that batch. */
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
  await sql`update report set batch_no = ${batchNo} where no = ${reportNo} and batch_no <> ${batchNo}`.execute(db);
  if (batchId === null) throw new Error('a day has no settlement currency');
  return batchNo;
}

/** The table that a load's rows go to: one of its own for a large load, which costs a fifth of a shared, indexed one. */
export const tableOf = (slot: number): string => (slot > 0 ? `report_row_${slot}` : `report_row_m${-slot}`);

/**
 * Makes the table of a slot. A load's own stands alone until it is closed, so that loading it disturbs nobody; a month's is
 * indexed and part of all rows from the start.
 */
export async function createRowTable(db: Db, slot: number): Promise<void> {
  const table = tableOf(slot);
  if (slot < 0) await sql`select pg_advisory_xact_lock(7355610)`.execute(db);
  const known = await sql<{ name: string | null }>`select to_regclass(${table})::text as name`.execute(db);
  if (known.rows[0]!.name !== null) return;
  // A load is written once and analysed when it is closed. Autovacuum would come in between, and attaching would wait for it.
  const storage = slot > 0 ? sql`with (autovacuum_enabled = false)` : sql``;
  await sql`create table ${sql.ref(table)} (like report_row including defaults, check (slot = ${sql.raw(String(slot))}))
    ${storage}`.execute(db);
  await sql`alter table ${sql.ref(table)} alter column slot set default ${sql.raw(String(slot))}`.execute(db);
  if (slot > 0) return;
  await indexRowTable(db, slot);
  await attachRowTable(db, slot);
}

/** Makes the table part of all rows. Readers go on meanwhile: nothing is checked again, and no other partition is locked. */
export async function attachRowTable(db: Db, slot: number): Promise<void> {
  const attached = await sql`select from pg_inherits where inhrelid = ${tableOf(slot)}::regclass`.execute(db);
  if (attached.rows.length > 0) return;
  await sql`alter table report_row attach partition ${sql.ref(tableOf(slot))} for values in (${sql.raw(String(slot))})`.execute(
    db,
  );
}

/** By key. Built after loading: kept up during it they would cost four times as much. */
export async function indexRowTable(db: Db, slot: number): Promise<void> {
  const table = tableOf(slot);
  await sql`create index if not exists ${sql.ref(`${table}_key`)} on ${sql.ref(table)} (key_hash)`.execute(db);
  await sql`analyze ${sql.ref(table)}`.execute(db);
}

/** Records a chunk. False: another attempt has taken the file over. */
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

/** The file was read to its end: all chunks are known. False: another attempt has taken the file over. */
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

/** True for exactly one caller: all chunks are known and loaded. The load's row is locked, so the last two see each other. */
export async function markLoaded(db: Db, loadNo: number): Promise<boolean> {
  await sql`select from load where no = ${loadNo} for update`.execute(db);
  const marked = await sql`
    update load set state = 'loaded' where no = ${loadNo} and state = 'reading'
       and chunks = (select count(*) from chunk where load_no = ${loadNo} and state = 'loaded')`.execute(db);
  return marked.numAffectedRows === 1n;
}

export type ClosingLoad = {
  no: number;
  state: string;
  slot: number;
  kind: ReportKind;
  reportNo: number;
  batchNo: number;
  deliveryNo: number;
  epoch: number;
  /** For a dry run: it is not closed, but tried. */
  isDry: boolean;
  interventionNo: number | null;
  /** Its bytes were read before. */
  isReplay: boolean;
  rules: Rules;
  source: string;
  modifiedAt: Date;
  chunks: { no: number; facts: Facts }[];
};

/** Its rows stand in a table of their own. */
export const hasOwnTable = ({ slot, kind }: Pick<ClosingLoad, 'slot' | 'kind'>): boolean =>
  slot > 0 && kind !== 'settlementSummary';

export async function loadToClose(db: Db, loadNo: number): Promise<ClosingLoad> {
  const found = await sql<ClosingLoad>`
    select l.no, l.state, l.slot, r.kind, l.report_no as "reportNo", r.batch_no as "batchNo", l.delivery_no as "deliveryNo", d.epoch,
           d.state = 'dry' as "isDry", d.intervention_no as "interventionNo", d.replay_of is not null as "isReplay", l.rules, d.source, d.modified_at as "modifiedAt",
           coalesce((select jsonb_agg(jsonb_build_object('no', c.no, 'facts', c.facts) order by c.no) from chunk c where c.load_no = l.no), '[]') as chunks
      from load l join report r on r.no = l.report_no join delivery d on d.no = l.delivery_no where l.no = ${loadNo}`.execute(
    db,
  );
  return found.rows[0]!;
}

export async function isClosed(db: Db, loadNo: number): Promise<boolean> {
  const found = await sql`select from load where no = ${loadNo} and state = 'closed'`.execute(db);
  return found.rows.length === 1;
}

/** Locks the batch: whoever closes the last two reports at the same moment, the second sees the first. */
export const lockBatch = (db: Db, batchNo: number) =>
  sql`select from batch where no = ${batchNo} for update`.execute(db);

/** Something new is known of the batch: it wants a run. */
const wantRun = (db: Db, batchNo: number, interventionNo: number | null) =>
  sql`select want_runs(array[${batchNo}]::int[], ${interventionNo === null ? 'report' : 'replay'}, null,
        ${interventionNo === null ? [] : [interventionNo]}::int[])`.execute(db);

/** Every content of a report has a number of its own, also one that was refused. */
const nextRevision = (reportNo: RawBuilder<unknown>) =>
  sql`(select coalesce(max(e.revision), 0) + 1 from delivery e where e.report_no = ${reportNo})`;

/**
 * The load becomes what counts of its report, unless a newer content does, and its batch wants a run. What is read again keeps
 * the number of its content. False: it was closed, or taken over.
 */
export async function closeLoad(db: Db, load: ClosingLoad, facts: Facts): Promise<boolean> {
  const closed = await sql<{ revision: number }>`
    with closed as (
      update load set state = 'closed', facts = ${JSON.stringify(facts)}::jsonb, closed_at = now()
       where no = ${load.no} and state = 'loaded' returning sha256)
    update delivery d set state = 'closed', next_attempt_at = null, revision = coalesce(d.revision, case
             when (select b.sha256 from load b where b.no = r.load_no) = c.sha256 then r.revision else ${nextRevision(sql`r.no`)} end)
      from closed c, report r
     where d.no = ${load.deliveryNo} and r.no = d.report_no
    returning d.revision`.execute(db);
  const revision = closed.rows[0]?.revision;
  if (revision === undefined) return false;
  await releaseDuplicates(db, load, revision);
  await sql`update report set load_no = ${load.no}, revision = ${revision} where no = ${load.reportNo} and revision <= ${revision}`.execute(
    db,
  );
  await sql`select place_report(${load.reportNo})`.execute(db);
  // A workbook that came before the CSV of the same report is not read any more.
  await sql`
    update delivery d set state = 'duplicate' from delivery mine
     where mine.no = ${load.deliveryNo} and not mine.is_sheet and d.report_no = mine.report_no and d.is_sheet and d.state = 'closed'`.execute(
    db,
  );
  const now = await sql<{
    batchNo: number;
  }>`select batch_no as "batchNo" from report where no = ${load.reportNo}`.execute(db);
  for (const batchNo of new Set([load.batchNo, now.rows[0]!.batchNo])) await wantRun(db, batchNo, load.interventionNo);
  return true;
}

/** What was not read because this report held the same bytes is read after all when other bytes take their place. */
const releaseDuplicates = (db: Db, { no, reportNo }: ClosingLoad, revision: number) =>
  sql`select release_duplicates(${reportNo}, ${revision}, (select sha256 from load where no = ${no}))`.execute(db);

/**
 * The report that counts in the same batch for the same part with the same bytes under another name. Only a first content is
 * a duplicate for that: what takes the place of other rows is always read.
 */
export async function sameUnderAnotherName(db: Db, { no }: ClosingLoad): Promise<number | null> {
  const found = await sql<{ loadNo: number }>`
    select o.no as "loadNo" from load l join report r on r.no = l.report_no join delivery d on d.no = l.delivery_no
      join load o on o.sha256 = l.sha256 join report x on x.load_no = o.no and x.no <> r.no join delivery y on y.no = o.delivery_no
     where l.no = ${no} and r.load_no is null and d.replay_of is null and x.batch_no = r.batch_no and x.kind = r.kind and x.seq = r.seq and y.is_sheet = d.is_sheet
     order by o.no limit 1`.execute(db);
  return found.rows[0]?.loadNo ?? null;
}

/**
 * Whose rows another content of the report holds that counts, where this one holds somebody else's. Not where one listing shows both
 * and no day says which is the later: then neither counts.
 */
export async function customersBefore(db: Db, { no }: ClosingLoad, customerIds: readonly string[]): Promise<string[]> {
  const found = await sql<{ customerIds: string[] }>`
    select array(select jsonb_array_elements_text(o.facts->'customerIds')) as "customerIds"
      from load l join delivery d on d.no = l.delivery_no join report r on r.no = l.report_no join load o on o.no = r.load_no
     where l.no = ${no} and o.sha256 <> l.sha256 and jsonb_array_length(o.facts->'customerIds') > 0
       and not (o.facts->'customerIds' ?| ${[...customerIds]}::text[])
       and not exists (
         select from rival v join rival w on w.report_no = v.report_no and w.source = v.source
           join rival_content c on c.delivery_no = w.delivery_no and c.sha256 = o.sha256
          where v.delivery_no = d.no and (c.day is null or d.directory_date is null or c.day = d.directory_date))`.execute(
    db,
  );
  return found.rows[0]?.customerIds ?? [];
}

export async function rivalFiles(db: Db, reportNo: number): Promise<string[]> {
  const found = await sql<{ file: string }>`
    select distinct file from rival_content where report_no = ${reportNo} order by 1 limit 10`.execute(db);
  return found.rows.map(({ file }) => file);
}

/** How a delivery ends that is not read. */
export type End = {
  readonly state: 'refused' | 'waiting' | 'duplicate' | 'withdrawn';
  readonly code: string | null;
  readonly message: string | null;
  readonly revision: number | null;
  /** Another report's load with the same bytes. */
  readonly duplicateOf?: number;
  /** It is not there any more as it was found, and may come back. */
  readonly isVanished?: boolean;
};

/**
 * Ends a delivery that is not read: refused, waiting, a duplicate. Its load, if it has one, is abandoned. Of a dry run only the
 * reason is kept.
 */
export async function endDelivery(
  db: Db,
  delivery: { no: number; batchNo: number; epoch: number },
  end: End,
): Promise<boolean> {
  const ended = await sql<{ state: string; reportNo: number; interventionNo: number | null }>`
    update delivery d set state = case d.state when 'dry' then 'dry' else ${end.state} end,
           error_code = ${end.code}, error_message = ${end.message}, duplicate_of = ${end.duplicateOf ?? null},
           revision = ${end.state === 'refused' ? sql`coalesce(d.revision, ${nextRevision(sql`d.report_no`)})` : sql`${end.revision}::int`},
           next_attempt_at = null, vanished_at = ${end.isVanished ? sql`now()` : null}
     where no = ${delivery.no} and epoch = ${delivery.epoch} and ${UNDER_WAY}
    returning d.state, d.report_no as "reportNo", d.intervention_no as "interventionNo"`.execute(db);
  const [as] = ended.rows;
  if (!as) return false;
  await sql`update load set state = 'abandoned' where delivery_no = ${delivery.no} and state in ('reading', 'loaded')`.execute(
    db,
  );
  if (end.state !== 'duplicate' && as.state !== 'dry') await wantRun(db, delivery.batchNo, as.interventionNo);
  if (as.state !== 'dry') await settleRivals(db, as.reportNo);
  return true;
}

/** What the end of a delivery sets going: the next content of the same report, and the batch once nothing of it is under way. */
export async function nextAfter(db: Db, batchNo: number) {
  const deliveries = await sql<{ deliveryNo: number; attempt: number }>`
    select distinct on (d.report_no) d.no as "deliveryNo", d.attempts as attempt
      from delivery d join report r on r.no = d.report_no
     where r.batch_no = ${batchNo} and d.state = 'found' and d.parked_reason is null
       and (d.archived is not null or exists (select from delivery e where e.report_no = d.report_no and e.no < d.no))
     order by d.report_no, d.no`.execute(db);
  const batches = await sql<{ batchNo: number; wanted: number; attempt: number }>`
    select b.no as "batchNo", b.wanted, b.attempts as attempt from batch b
     where b.no = ${batchNo} and b.done < b.wanted and b.parked_reason is null and not exists (
       select from delivery d join report r on r.no = d.report_no
        where r.batch_no = b.no and d.state in ('found', 'reading') and d.parked_reason is null and not ${IS_HELD})`.execute(
    db,
  );
  return { deliveries: deliveries.rows, batches: batches.rows };
}
