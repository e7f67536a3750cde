import { sql } from 'kysely';
import { anyOf, columns, type RowOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { ReportKind } from '../../domain/formats/format.ts';
import type { Currency } from '../../domain/money/currency.ts';
import type { Rules } from '../../domain/report/rules.ts';
import { lockBatches } from '../../store/batches.ts';
import { settleRivals } from '../../store/rivals.ts';
import type { ListedFile } from './list-files.ts';

const REPORT = columns('report as r', ['no as reportNo', 'batch_no']);

/** What the newest delivery of a path must have been read under to be known; null: whatever it was read under. */
const isUnder = (rules: Rules | null, column: string) =>
  rules === null ? sql`true` : sql`${sql.ref(column)} = ${JSON.stringify(rules)}::jsonb`;

/**
 * Which of these files are known just as they are, read under these rules, by path: the newest delivery of a path counts. A zip with
 * several reports has as many deliveries.
 */
export async function knownDeliveries(
  db: Db,
  source: string,
  rules: Rules | null,
  files: readonly ListedFile[],
): Promise<Map<string, number[]>> {
  const found = await sql<{ path: string; nos: number[] }>`
    with listed as (
      select * from unnest(${files.map((file) => file.path)}::text[], ${files.map((file) => file.file)}::text[],
                           ${files.map((file) => file.sizeBytes)}::bigint[], ${files.map((file) => file.modifiedAtMicros)}::bigint[])
        as f(path, file, size_bytes, modified_at_micros)),
    newest as (
      select distinct on (d.path) d.path, d.no, d.size_bytes, d.modified_at
        from delivery d join listed f on f.path = d.path
       where d.source = ${source} and d.state not in ('dry', 'over') order by d.path, d.no desc),
    member as (
      select distinct on (d.path, d.entry) d.path, d.entry, d.no, d.rules
        from delivery d join newest n on n.path = d.path and n.size_bytes = d.size_bytes and n.modified_at = d.modified_at
       where d.source = ${source} and d.state not in ('dry', 'over') order by d.path, d.entry, d.no desc),
    known as (
      select m.path, m.no, case when count(*) over (partition by m.path) > 1 then f.file || '/' || m.entry else f.file end as file
        from member m join newest n on n.path = m.path join listed f on f.path = m.path
       where n.size_bytes = f.size_bytes and n.modified_at = timestamptz 'epoch' + f.modified_at_micros * interval '1 microsecond'
         and not exists (select from member o where o.path = m.path and not ${isUnder(rules, 'o.rules')})),
    shown as (
      -- A file is shown by its path below the folder that was given last.
      update delivery d set file = k.file from known k where d.no = k.no and d.file <> k.file)
    select path, array_agg(no order by no) as nos from known group by path`.execute(db);
  return new Map(found.rows.map((row) => [row.path, row.nos]));
}

/** Of these deliveries those whose files had vanished before they could be read: they are there again, and are read. */
export async function takeUpVanished(db: Db, deliveryNos: readonly number[]): Promise<number[]> {
  const found = await db
    .updateTable('delivery')
    .set({
      state: 'found',
      vanished_at: null,
      error_code: null,
      error_message: null,
      attempts: 0,
      next_attempt_at: null,
    })
    .set((delivery) => ({ epoch: delivery('epoch', '+', 1) }))
    .where('vanished_at', 'is not', null)
    .where('state', '=', 'refused')
    .where('no', '=', anyOf(deliveryNos))
    .returning('no')
    .execute();
  return found.map(({ no }) => no);
}

export async function batchNamed(
  db: Db,
  batch: {
    merchantNo: number;
    batchId: string | null;
    currency: Currency | null;
    day: string | null;
    /** Of the id, upper and lower case say nothing: it may be that of a batch which is known. */
    isOtherCase?: boolean;
  },
): Promise<number> {
  const { merchantNo, batchId, currency, day } = batch;
  const known = !batch.isOtherCase
    ? undefined
    : await db
        .selectFrom('batch')
        .select('no')
        .where('merchant_no', '=', merchantNo)
        .where(sql<boolean>`lower(batch_id) = lower(${batchId})`)
        .where('currency', 'is not distinct from', currency)
        .where('day', 'is not distinct from', day)
        .orderBy('no')
        .executeTakeFirst();
  if (known) return known.no;
  const made = await db
    .insertInto('batch')
    .values({ merchant_no: merchantNo, batch_id: batchId, currency, day })
    .onConflict((same) =>
      same
        .columns(['merchant_no', 'batch_id', 'currency', 'day'])
        .doUpdateSet((batch) => ({ merchant_no: batch.ref('excluded.merchant_no') })),
    )
    .returning('no')
    .executeTakeFirstOrThrow();
  return made.no;
}

export async function reportNamed(
  db: Db,
  report: {
    batchNo: number;
    kind: ReportKind;
    name: string;
    psp: string | null;
    seq: number;
    isPortal: boolean;
    isOtherCase: boolean;
  },
): Promise<number> {
  const known = !report.isOtherCase
    ? undefined
    : await db
        .selectFrom('report')
        .select('no')
        .where('batch_no', '=', report.batchNo)
        .where('kind', '=', report.kind)
        .where(sql<boolean>`lower(name) = lower(${report.name})`)
        .orderBy('no')
        .executeTakeFirst();
  if (known) return known.no;
  // One whose name does not say its currency was moved to its batch when it was read.
  const moved = await sql<{ no: number }>`
    select r.no from batch mine join batch b on b.merchant_no = mine.merchant_no and b.batch_id = mine.batch_id and b.currency is not null
      join report r on r.batch_no = b.no and r.kind = ${report.kind} and r.name = ${report.name}
     where mine.no = ${report.batchNo} and mine.currency is null`.execute(db);
  if (moved.rows[0]) {
    await db
      .updateTable('report')
      .set({ is_currency_in_rows: true })
      .where('no', '=', moved.rows[0].no)
      .where('is_currency_in_rows', '=', false)
      .execute();
    return moved.rows[0].no;
  }
  const made = await sql<{ no: number }>`
    insert into report (batch_no, kind, name, psp, seq, is_portal, is_currency_in_rows)
    select ${report.batchNo}, ${report.kind}, ${report.name}, ${report.psp}, ${report.seq}, ${report.isPortal}, batch_id is not null and currency is null
      from batch where no = ${report.batchNo}
    on conflict (batch_no, kind, name) do update set seq = excluded.seq returning no`.execute(db);
  return made.rows[0]!.no;
}

/**
 * Writes down which files a listing shows of one report, where it shows several or once did, and decides what counts of those whose
 * files came, went or changed. `paths` are all that it shows, known or not; null where some of it could not be seen.
 */
export async function recordRivals(
  db: Db,
  source: string,
  deliveryNos: readonly number[],
  paths: readonly string[] | null,
): Promise<void> {
  const changed = await sql<RowOf<typeof REPORT>>`
    with listed as materialized (
      select no, report_no, path, is_sheet from delivery where no = any(${[...deliveryNos]}::int[]) and source = ${source}),
    watched as materialized (
      select report_no from listed group by report_no, is_sheet having count(*) > 1
      union select v.report_no from rival v join listed l on l.report_no = v.report_no where v.source = ${source}
      union select d.report_no from delivery d join listed l on l.report_no = d.report_no
             where d.state = 'refused' and d.error_code = 'conflicting_files'),
    gone as (
      delete from rival v using delivery d
       where v.source = ${source} and d.no = v.delivery_no and v.report_no in (select report_no from watched)
         and v.delivery_no not in (select no from listed)
         and (d.path in (select path from listed) or ${paths !== null} and d.path <> all(${paths ?? []}::text[]))
      returning v.report_no),
    come as (
      insert into rival (delivery_no, source, report_no)
      select l.no, ${source}, l.report_no from listed l join watched w on w.report_no = l.report_no on conflict do nothing returning report_no)
    select ${REPORT} from report r
     where r.no in (select report_no from gone union select report_no from come) order by r.batch_no, r.no`.execute(db);
  for (const { reportNo, batchNo } of changed.rows) {
    await lockBatches(db, [batchNo]);
    await settleRivals(db, reportNo);
  }
}

/** Records a file as it was seen, once: whoever comes second finds it recorded. The merchants' lock is held by both. */
export async function recordDelivery(
  db: Db,
  delivery: {
    reportNo: number;
    source: string;
    file: ListedFile;
    /** As it is shown. */
    shown: string;
    entry: string | null;
    isSheet: boolean;
    directoryDate: string | null;
    foundAtMs: number;
    rules: Rules;
    /** What a known delivery must have been read under; null: whatever it was read under. */
    knownUnder: Rules | null;
  },
): Promise<number> {
  const { file } = delivery;
  const made = await sql<{ no: number }>`
    with seen as (
      select ${file.sizeBytes}::bigint as size_bytes, ${JSON.stringify(delivery.rules)}::jsonb as rules,
             timestamptz 'epoch' + ${file.modifiedAtMicros}::bigint * interval '1 microsecond' as modified_at),
    newest as (
      select no, size_bytes, modified_at, rules from delivery
       where source = ${delivery.source} and path = ${file.path} and entry is not distinct from ${delivery.entry}::text and state not in ('dry', 'over') order by no desc limit 1),
    same as (select n.no from newest n join seen s using (size_bytes, modified_at) where ${isUnder(delivery.knownUnder, 'n.rules')}),
    made as (
      insert into delivery (report_no, source, path, file, entry, is_sheet, directory_date, found_at, rules, size_bytes, modified_at)
      select ${delivery.reportNo}::int, ${delivery.source}::text, ${file.path}::text, ${delivery.shown}::text,
             ${delivery.entry}::text, ${delivery.isSheet}::boolean, ${delivery.directoryDate}::date,
             timestamptz 'epoch' + ${delivery.foundAtMs}::int8 * interval '1 millisecond',
             rules, size_bytes, modified_at
        from seen where not exists (select from same) returning no)
    select no from made union all select no from same`.execute(db);
  return made.rows[0]!.no;
}
