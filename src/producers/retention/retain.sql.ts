import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import { lockBatches } from '../../store/batches.ts';

/** What was read, or reconciled, so recently is kept, however old its date: somebody may be looking at it. */
const KEPT_AFTER_READING = sql`interval '30 days'`;

export type Old = {
  readonly months: number;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
};

const at = (nowMs: number) => sql`(timestamptz 'epoch' + ${nowMs}::int8 * interval '1 millisecond')`;

/** The date of a batch `b`, or of the last that came for it, is so many months past. */
const isOld = ({ months, nowMs }: Old) => sql`
  coalesce(b.settlement_date, b.day, (select max(coalesce(d.directory_date, d.found_at::date)) from report r join delivery d on d.report_no = r.no
                                       where r.batch_no = b.no))
    < (${at(nowMs)} at time zone 'UTC')::date - make_interval(months => ${months})`;

/**
 * Nothing of a batch `b` is open or under way, here or where it is named, and it was not touched of late. What is waiting, incomplete
 * or discrepant is never at rest.
 */
const isAtRest = ({ nowMs }: Old) => sql`
  b.done = b.wanted and b.parked_reason is null and b.waiting_until is null
  and not exists (select from discrepancy x where x.closed_run is null and x.batch_no = b.no)
  and not exists (select from discrepancy x where x.closed_run is null and x.other_batch_no = b.no)
  and not exists (select from run n where n.no = b.current_run and ((n.facts->>'missing')::boolean or n.facts ? 'waiting'))
  and not exists (select from run n where n.batch_no = b.no and n.published_at > ${at(nowMs)} - ${KEPT_AFTER_READING})
  and not exists (select from report r join delivery d on d.report_no = r.no
                   where r.batch_no = b.no and (d.state in ('found', 'reading', 'dry', 'over') or d.parked_reason is not null))
  and not exists (select from report r join load l on l.report_no = r.no
                   where r.batch_no = b.no and (l.state in ('reading', 'loaded') or l.closed_at > ${at(nowMs)} - ${KEPT_AFTER_READING}))
  and not exists (select from dropped p where p.batch_no = b.no and p.restored_at > ${at(nowMs)} - ${KEPT_AFTER_READING})
  and not exists (select from wanted_rows w join load l on l.no = w.load_no join report r on r.no = l.report_no where r.batch_no = b.no)
  and not exists (select from wanted_rows w where w.batch_no = b.no)`;

/** Loads whose rows can be dropped. Those of summaries are a few lines of totals, and stay. */
const HAS_ROWS = sql`l.state = 'closed' and l.rows_dropped_at is null and r.kind <> 'settlementSummary'`;

export type OldBatch = { readonly batchNo: number; readonly merchantNo: number; readonly date: string | null };

/** The oldest batches at rest that have rows still. */
export async function batchesWithOldRows(db: Db, old: Old, limit: number): Promise<OldBatch[]> {
  const found = await sql<OldBatch>`
    select b.no as "batchNo", b.merchant_no as "merchantNo", coalesce(b.settlement_date, b.day)::text as date from batch b
     where exists (select from report r join load l on l.report_no = r.no where r.batch_no = b.no and ${HAS_ROWS})
       and ${isOld(old)} and ${isAtRest(old)}
     order by coalesce(b.settlement_date, b.day) nulls first, b.no limit ${limit}`.execute(db);
  return found.rows;
}

export type OldLoad = { readonly no: number; readonly batchNo: number; readonly slot: number; readonly rows: number };

export async function loadsWithRows(db: Db, batchNos: readonly number[]): Promise<OldLoad[]> {
  const found = await sql<OldLoad>`
    select l.no, r.batch_no as "batchNo", l.slot, coalesce((l.facts->>'rows')::int, 0) as rows
      from load l join report r on r.no = l.report_no
     where r.batch_no = any(${[...batchNos]}::int[]) and ${HAS_ROWS} order by l.no`.execute(db);
  return found.rows;
}

/** So many lines of a report are in one row of hashes, so that reading one takes little memory. */
const LINES_A_ROW = 50_000;

/** Keeps the ids of these rows, unless they are kept already. A load that somebody else is at is left to them. */
export async function keepIds(db: Db, slot: number, loadNos: readonly number[]): Promise<void> {
  const mine = await sql<{ no: number }>`
    select no from load l where no = any(${[...loadNos]}::int[]) and not exists (select from dropped_ids i where i.load_no = l.no)
     order by no for no key update skip locked`.execute(db);
  if (mine.rows.length === 0) return;
  // Sorted and not hashed: that would hold all of them in memory at once.
  await sql`set local enable_hashagg = off`.execute(db);
  await sql`
    insert into dropped_ids (load_no, ids)
    select no, '{}' from unnest(${mine.rows.map(({ no }) => no)}::int[]) as l(no)
    union all
    select load_no, array_agg(id) from (
      select d.load_no, d.line / ${LINES_A_ROW}::int as part, i.id
        from report_row d cross join lateral (values
          (case when d.request_id is not null then d.key_hash end), (hashtextextended(d.transaction_id, 1)),
          (hashtextextended(d.original_request_id, 2)), (hashtextextended(d.original_transaction_id, 3))) i(id)
       where d.slot = ${sql.raw(String(slot))} and d.load_no = any(${mine.rows.map(({ no }) => no)}::int[]) and i.id is not null) ids
     group by load_no, part`.execute(db);
}

/**
 * From now on nobody reads these rows any more. Those batches alone are meant that are at rest still. Returns their loads; inside the
 * transaction that holds the merchant's lock.
 */
export async function markRowsDropped(db: Db, batchNos: readonly number[], old: Old): Promise<OldLoad[]> {
  await lockBatches(db, batchNos);
  const found = await sql<OldLoad>`
    with marked as (
      update load l set rows_dropped_at = ${at(old.nowMs)} from report r join batch b on b.no = r.batch_no
       where r.no = l.report_no and b.no = any(${[...batchNos]}::int[]) and ${HAS_ROWS} and ${isOld(old)} and ${isAtRest(old)}
         and exists (select from dropped_ids i where i.load_no = l.no)
      returning l.no, r.batch_no, b.merchant_no, l.slot, (l.facts->>'rows')::int as rows),
    recorded as (
      insert into dropped (what, merchant_no, batch_no, load_no, row_count, months, dropped_at)
      select 'rows', merchant_no, batch_no, no, rows, ${old.months}, ${at(old.nowMs)} from marked)
    select no, batch_no as "batchNo", slot, rows from marked`.execute(db);
  return found.rows;
}

/** Loads whose rows are marked as dropped and may be there still, the longest marked first. */
export async function rowsToRemove(db: Db, limit: number): Promise<{ no: number; slot: number }[]> {
  return db
    .selectFrom('dropped as p')
    .innerJoin('load as l', 'l.no', 'p.load_no')
    .select(['l.no', 'l.slot'])
    .where('p.what', '=', 'rows')
    .where('p.gone_at', 'is', null)
    .where('l.rows_dropped_at', 'is not', null)
    .orderBy('p.no')
    .limit(limit)
    .execute();
}

/** Of these loads those whose rows are still to be removed. Nobody reads them again before this transaction ends. */
export async function takeForRemoval(db: Db, loadNos: readonly number[]): Promise<number[]> {
  const mine = await db
    .selectFrom('load as l')
    .select('l.no')
    .where('l.no', '=', anyOf(loadNos))
    .where('l.rows_dropped_at', 'is not', null)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('dropped as p').select('p.no').whereRef('p.load_no', '=', 'l.no').where('p.gone_at', 'is', null),
      ),
    )
    .orderBy('l.no')
    .forNoKeyUpdate()
    .execute();
  return mine.map(({ no }) => no);
}

export const dropTables = (db: Db, tables: readonly string[]) =>
  sql`drop table if exists ${sql.join(tables.map((table) => sql.ref(table)))}`.execute(db);

/** Nobody makes a month's table, and none is removed. */
export const lockMonths = (db: Db) => sql`select pg_advisory_xact_lock(7355610)`.execute(db);

/** Whether a month's table holds, or will hold, the rows of any load that is not dropped. */
export async function isInUse(db: Db, slot: number): Promise<boolean> {
  const found = await db
    .selectFrom('load as l')
    .innerJoin('report as r', 'r.no', 'l.report_no')
    .select('l.no')
    .where('l.slot', '=', slot)
    .where('r.kind', '<>', 'settlementSummary')
    .where('l.state', '<>', 'deleted')
    .where('l.rows_dropped_at', 'is', null)
    .limit(1)
    .execute();
  return found.length > 0;
}

/** How many blocks a table has; none where there is no such table. */
export async function blocksOf(db: Db, table: string): Promise<number> {
  const found = await sql<{ blocks: number }>`
    select coalesce(pg_relation_size(to_regclass(${table})) / current_setting('block_size')::int, 0)::int as blocks`.execute(
    db,
  );
  return found.rows[0]!.blocks;
}

/** Rows of these loads in a range of a table's blocks. */
export const deleteRows = (
  db: Db,
  table: string,
  { from, to }: { from: number; to: number },
  loadNos: readonly number[],
) =>
  sql`delete from ${sql.ref(table)} where ctid >= ${`(${from},0)`}::tid and ctid < ${`(${to},0)`}::tid
         and load_no = any(${[...loadNos]}::int[])`.execute(db);

/** Nothing is left of their rows, nor of what was found in them. */
export async function markRowsGone(db: Db, loadNos: readonly number[], nowMs: number): Promise<void> {
  await db.deleteFrom('row_finding').where('load_no', '=', anyOf(loadNos)).execute();
  await db
    .updateTable('dropped')
    .set({ gone_at: new Date(nowMs) })
    .where('load_no', '=', anyOf(loadNos))
    .where('gone_at', 'is', null)
    .execute();
}

/** What takes the place of a text that was dropped, in the sentence that quoted it. */
const DROPPED_TEXT = '(dropped)';

/**
 * Takes what refused rows said out of closed discrepancies of old batches, some at a time. Returns by batch of how many; an open
 * discrepancy is not touched.
 */
export async function dropTexts(db: Db, old: Old, limit: number): Promise<{ batchNo: number; count: bigint }[]> {
  const found = await sql<{ batchNo: number; count: bigint }>`
    with quoting as (
      select x.no from discrepancy x join batch b on b.no = x.batch_no
       where x.kind = 'refused_row' and x.closed_run is not null and x.reported is not null and ${isOld(old)}
       limit ${limit} for update of x skip locked),
    emptied as (
      update discrepancy x set reported = null, message = replace(message, '"' || left(reported, 40) || '"', ${DROPPED_TEXT})
        from quoting q where x.no = q.no returning x.batch_no),
    counted as (select b.merchant_no, b.no as batch_no, count(*) as count from emptied e join batch b on b.no = e.batch_no group by b.no),
    recorded as (
      insert into dropped (what, merchant_no, batch_no, row_count, months, dropped_at, gone_at)
      select 'text', merchant_no, batch_no, count, ${old.months}, ${at(old.nowMs)}, ${at(old.nowMs)} from counted)
    select batch_no as "batchNo", count from counted`.execute(db);
  return found.rows;
}

export type OldFile = { readonly path: string; readonly batchNo: number; readonly merchantNo: number };

/** Everything in the archive that belongs to a batch `b`. A copy that was read several times is one. */
const FILES = sql`
  report r join delivery d on d.report_no = r.no left join load l on l.delivery_no = d.no
  cross join lateral (values (l.archive_path), (l.original_path), (d.archived)) f(path)`;

/** Archived files of old batches at rest, below this folder. */
export async function oldFiles(db: Db, old: Old, folder: string, limit: number): Promise<OldFile[]> {
  const found = await sql<OldFile>`
    select b.no as "batchNo", b.merchant_no as "merchantNo", f.path
      from batch b cross join lateral (
        select distinct f.path from ${FILES} where r.batch_no = b.no and starts_with(f.path, ${folder})
           and not exists (select from dropped p where p.path = f.path)) f
     where ${isOld(old)} and ${isAtRest(old)}
     order by coalesce(b.settlement_date, b.day) nulls first, b.no limit ${limit}`.execute(db);
  return found.rows;
}

/** How many archived files of old batches lie elsewhere: in a folder that was the archive before. */
export async function filesElsewhere(db: Db, old: Old, folder: string): Promise<number> {
  const found = await sql<{ count: number }>`
    select count(distinct f.path)::int as count from batch b join lateral (
      select f.path from ${FILES} where r.batch_no = b.no and not starts_with(f.path, ${folder})
         and not exists (select from dropped p where p.path = f.path)) f on true
     where ${isOld(old)} and ${isAtRest(old)}`.execute(db);
  return found.rows[0]!.count;
}

/** From now on nobody reads these files any more: those of batches that are at rest still. Inside the merchant's lock. */
export async function markFilesDropped(db: Db, files: readonly OldFile[], old: Old): Promise<number> {
  const batchNos = [...new Set(files.map(({ batchNo }) => batchNo))];
  await lockBatches(db, batchNos);
  const marked = await sql`
    insert into dropped (what, merchant_no, batch_no, path, months, dropped_at)
    select 'file', b.merchant_no, b.no, f.path, ${old.months}, ${at(old.nowMs)}
      from unnest(${files.map(({ batchNo }) => batchNo)}::int[], ${files.map(({ path }) => path)}::text[]) as f(batch_no, path)
      join batch b on b.no = f.batch_no
     where ${isAtRest(old)} on conflict (path) where path is not null do nothing`.execute(db);
  return Number(marked.numAffectedRows ?? 0n);
}

/** Files below this folder that are marked as dropped and may be there still. */
export async function filesToRemove(db: Db, folder: string, limit: number): Promise<{ no: bigint; path: string }[]> {
  const found = await db
    .selectFrom('dropped')
    .select(['no', 'path'])
    .where('what', '=', 'file')
    .where('gone_at', 'is', null)
    .where(sql<boolean>`starts_with(path, ${folder})`)
    .orderBy('no')
    .limit(limit)
    .execute();
  return found.map(({ no, path }) => ({ no, path: path! }));
}

export const markFileGone = (db: Db, no: bigint, nowMs: number) =>
  db
    .updateTable('dropped')
    .set({ gone_at: new Date(nowMs) })
    .where('no', '=', no)
    .execute();

/** Old batches that keep what they have because something of them is open or under way, or was of late. */
export async function oldAndOpen(db: Db, old: Old): Promise<number> {
  const found = await sql<{ count: number }>`
    select count(*)::int as count from batch b
     where exists (select from report r join load l on l.report_no = r.no where r.batch_no = b.no and ${HAS_ROWS})
       and ${isOld(old)} and not (${isAtRest(old)})`.execute(db);
  return found.rows[0]!.count;
}
