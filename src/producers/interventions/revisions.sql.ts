import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import { requestRuns } from '../../store/batches.ts';
import { settleRivals } from '../../store/rivals.ts';

/** A content of a report that counts, or would if it could be read, as its newest delivery holds it. */
export type Revision = {
  readonly deliveryNo: number;
  readonly reportNo: number;
  readonly batchNo: number;
  readonly merchantNo: number;
  readonly source: string;
  readonly file: string;
  readonly name: string;
  /** Null: nobody has read it to its end. */
  readonly revision: number | null;
  readonly sha256: string | null;
  /** Of the content that counts of its report; 0 where none does. */
  readonly countingRevision: number;
  readonly state: 'found' | 'reading' | 'closed' | 'refused' | 'withdrawn';
  readonly isParked: boolean;
  /** Others that lie beside it hold something else, so that none counts. */
  readonly isConflicting: boolean;
  /** The archive holds its bytes. */
  readonly isArchived: boolean;
  /** When its archived copy was dropped because it is old; null while it is kept. */
  readonly fileDroppedAt: Date | null;
  /** Of its batch or day. */
  readonly batch: string;
  readonly date: string | null;
  /** What it was read under last, as JSON. */
  readonly rules: string;
};

export type RevisionFilter = {
  readonly merchant?: string | undefined;
  /** A settlement batch's id, or a day. */
  readonly batch?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** A file as it is shown, a report's name with or without extension, or digits of its SHA-256. */
  readonly report?: string | undefined;
  /** Only the report of this number. */
  readonly reportNo?: number | undefined;
};

/** Where the bytes of a delivery are in the archive: where it says so, or in a copy that was made for rows of this content. */
const BYTES = sql`
  left join lateral (select coalesce(l.original_path, l.archive_path) as path, l.sha256 from load l join delivery e on e.no = l.delivery_no
                      where e.report_no = d.report_no and (e.no = d.no or e.revision = d.revision) and e.state not in ('dry', 'over')
                        and l.sha256 is not null order by e.no = d.no desc, l.no desc limit 1) kept on true`;

/**
 * The contents of reports that a filter names, as the newest delivery of each holds them, oldest first. What a newer content
 * took the place of is left out; a digit of its SHA-256 finds it all the same, so that it can be said.
 */
export async function revisionsOf(db: Db, filter: RevisionFilter): Promise<Revision[]> {
  const { merchant, batch, from, to, report, reportNo } = filter;
  const isHash = report !== undefined && /^[0-9a-f]{8,64}$/i.test(report);
  const hash = isHash ? sql`starts_with(sha256, ${report.toLowerCase()})` : sql`false`;
  const found = await sql<Revision>`
    with newest as (
      select distinct on (d.report_no, coalesce(d.revision, -d.no)) d.*, coalesce(d.archived, kept.path) as bytes,
             coalesce(d.archived_sha256, kept.sha256) as sha256
        from delivery d ${BYTES}
       where d.state not in ('duplicate', 'waiting', 'dry', 'over')
       order by d.report_no, coalesce(d.revision, -d.no), d.no desc)
    select d.no as "deliveryNo", d.report_no as "reportNo", r.batch_no as "batchNo", b.merchant_no as "merchantNo", d.source, d.file, r.name,
           d.revision, d.sha256, r.revision as "countingRevision", d.state, d.rules::text as rules,
           d.parked_reason is not null as "isParked", d.state = 'refused' and d.error_code is not distinct from 'conflicting_files' as "isConflicting", d.bytes is not null as "isArchived",
           (select f.dropped_at from dropped f where f.path = d.bytes) as "fileDroppedAt", coalesce(b.batch_id, b.day::text, '') as batch,
           coalesce(b.settlement_date, b.day, d.directory_date)::text as date
      from newest d join report r on r.no = d.report_no join batch b on b.no = r.batch_no join merchant m on m.no = b.merchant_no
     where (d.revision is null or d.revision >= r.revision or ${hash})
       and ${merchant === undefined ? sql`true` : sql`m.id = ${merchant}`}
       and ${reportNo === undefined ? sql`true` : sql`r.no = ${reportNo}`}
       and ${batch === undefined ? sql`true` : sql`coalesce(b.batch_id, b.day::text) = ${batch}`}
       and ${from === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day, d.directory_date) >= ${from}::date`}
       and ${to === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day, d.directory_date) <= ${to}::date`}
       and ${report === undefined ? sql`true` : sql`(d.file = ${report} or r.name = ${report} or regexp_replace(d.file, '^.*/', '') = ${report} or ${hash})`}
     order by d.revision nulls last, d.no`.execute(db);
  return found.rows;
}

/** Batches and days that were given up, as a filter names them. */
export async function parkedBatches(db: Db, { merchant }: RevisionFilter): Promise<number[]> {
  const found = await db
    .selectFrom('batch as b')
    .innerJoin('merchant as m', 'm.no', 'b.merchant_no')
    .select('b.no')
    .where('b.parked_reason', 'is not', null)
    .whereRef('b.done', '<', 'b.wanted')
    .$if(merchant !== undefined, (parked) => parked.where('m.id', '=', merchant!))
    .orderBy('b.no')
    .execute();
  return found.map(({ no }) => no);
}

/** They are reconciled again, with all tries before them, and so are rows read again that they wait for. */
export async function wantAgain(db: Db, batchNos: readonly number[], interventionNo: number): Promise<void> {
  await db.updateTable('wanted_rows').set({ attempts: 0 }).where('batch_no', '=', anyOf(batchNos)).execute();
  await requestRuns(db, batchNos, 'replay', interventionNo);
}

/** Writes down what a person asked for. */
export async function recordIntervention(
  db: Db,
  kind: 'replay' | 'withdrawal' | 'bankMatch' | 'bankUnmatch',
  asked: string,
): Promise<number> {
  const made = await db.insertInto('intervention').values({ kind, asked }).returning('no').executeTakeFirstOrThrow();
  return made.no;
}

/** The last run of each merchant: what came after it is new. */
export async function lastRuns(db: Db): Promise<{ merchantNo: number; runNo: number }[]> {
  const found = await sql<{ merchantNo: number; runNo: number }>`
    select m.no as "merchantNo", coalesce(max(r.no), 0) as "runNo"
      from merchant m left join batch b on b.merchant_no = m.no left join run r on r.batch_no = b.no group by m.no`.execute(
    db,
  );
  return found.rows;
}

export type Asked = { readonly deliveryNo: number /** JSON. */; readonly rules: string };

const requestedRows = (asked: readonly Asked[]) =>
  sql`unnest(${asked.map((one) => one.deliveryNo)}::int[], ${asked.map((one) => one.rules)}::jsonb[]) with ordinality as a(no, rules, place)`;

/** Records new deliveries of contents that are known: from the archive where it holds them, else from their source. */
export async function recordAgain(
  db: Db,
  asked: readonly Asked[],
  { interventionNo, isDry }: { interventionNo: number; isDry: boolean },
): Promise<number[]> {
  const made = await sql<{ no: number }>`
    insert into delivery (report_no, source, rules, path, file, entry, is_sheet, directory_date, size_bytes, modified_at, state, revision,
                          replay_of, archived, archived_sha256, intervention_no)
    select d.report_no, d.source, a.rules, d.path, d.file, d.entry, d.is_sheet, d.directory_date, d.size_bytes, d.modified_at,
           ${isDry ? 'dry' : 'found'}, d.revision, coalesce(d.replay_of, d.no), coalesce(d.archived, kept.path),
           coalesce(d.archived_sha256, kept.sha256), ${interventionNo}
      from ${requestedRows(asked)} join delivery d on d.no = a.no ${BYTES} order by a.place returning no`.execute(db);
  return made.rows.map(({ no }) => no);
}

/** Sets deliveries back to the beginning: they are read anew, from the archive where it holds them, else from their source. */
export async function setBack(db: Db, asked: readonly Asked[], interventionNo: number): Promise<number[]> {
  const found = await sql<{ no: number }>`
    update delivery set state = 'found', rules = n.rules, epoch = epoch + 1, attempts = 0, next_attempt_at = null, parked_reason = null,
           error_code = null, error_message = null, archived = n.path, archived_sha256 = n.sha256, intervention_no = ${interventionNo}
      from (select d.no, a.rules, coalesce(d.archived, kept.path) as path, coalesce(d.archived_sha256, kept.sha256) as sha256
              from ${requestedRows(asked)} join delivery d on d.no = a.no ${BYTES}) n
     where delivery.no = n.no and (delivery.parked_reason is not null or delivery.state = 'refused') returning delivery.no`.execute(
    db,
  );
  const nos = found.rows.map(({ no }) => no);
  await db
    .updateTable('load')
    .set({ state: 'abandoned' })
    .where('delivery_no', '=', anyOf(nos))
    .where('state', 'in', ['reading', 'loaded'])
    .execute();
  return nos;
}

/** Takes a content out: what was closed of it, and whatever reads it again right now. */
export async function withdrawRevision(
  db: Db,
  content: { reportNo: number; batchNo: number; revision: number },
  withdrawal: { reason: string; message: string; interventionNo: number },
): Promise<void> {
  const { reportNo, batchNo, revision } = content;
  const { reason, message, interventionNo } = withdrawal;
  await sql`
    with taken_out as (
      update delivery set state = 'withdrawn', error_code = 'withdrawn', error_message = ${message}, withdrawn_at = now(),
             withdrawn_reason = ${reason}, intervention_no = ${interventionNo}, epoch = epoch + 1, parked_reason = null
       where report_no = ${reportNo} and revision = ${revision} and state in ('closed', 'refused', 'found', 'reading') returning no)
    update load set state = 'abandoned' where state in ('reading', 'loaded') and delivery_no in (select no from taken_out)`.execute(
    db,
  );
  const before = await revisionBefore(db, reportNo, revision);
  await sql`select release_duplicates(${reportNo}, ${revision}, ${before?.sha256 ?? null})`.execute(db);
  await db
    .updateTable('report')
    .set({ load_no: before?.loadNo ?? null, revision: before?.revision ?? 0 })
    .where('no', '=', reportNo)
    .execute();
  // A workbook that was put aside for its CSV counts again.
  await db
    .updateTable('delivery')
    .set({ state: 'closed' })
    .where('no', '=', before?.deliveryNo ?? null)
    .where('state', '=', 'duplicate')
    .execute();
  await sql`select place_report(${reportNo})`.execute(db);
  await settleRivals(db, reportNo);
  await sql`select want_runs(array[b.no, r.batch_no], 'withdrawal', null, array[${interventionNo}]::int[])
              from report r, batch b where r.no = ${reportNo} and b.no = ${batchNo}`.execute(db);
}

/** The newest content before this one that was read to its end and not withdrawn. */
const revisionBefore = (db: Db, reportNo: number, revision: number) =>
  db
    .selectFrom('load as l')
    .innerJoin('delivery as d', 'd.no', 'l.delivery_no')
    .select(['l.no as loadNo', 'd.no as deliveryNo', 'd.revision', 'l.sha256'])
    .where('d.report_no', '=', reportNo)
    .where('l.state', '=', 'closed')
    .where('d.state', 'in', ['closed', 'duplicate'])
    .where('d.revision', '<', revision)
    .orderBy('d.revision', 'desc')
    .orderBy('l.no', 'desc')
    .executeTakeFirst();
