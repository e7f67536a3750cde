import { type RawBuilder, sql } from 'kysely';
import { columns, type RowOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Facts } from '../../domain/report/facts.ts';
import { IS_HELD } from '../../store/away.sql.ts';
import { requestRuns } from '../../store/batches.ts';
import { settleRivals } from '../../store/rivals.ts';

/** True for exactly one caller: all chunks are known and loaded. The load's row is locked, so the last two see each other. */
export async function markLoaded(db: Db, loadNo: number): Promise<boolean> {
  await sql`select from load where no = ${loadNo} for update`.execute(db);
  const marked = await sql`
    update load set state = 'loaded' where no = ${loadNo} and state = 'reading'
       and chunks = (select count(*) from chunk where load_no = ${loadNo} and state = 'loaded')`.execute(db);
  return marked.numAffectedRows === 1n;
}

const CLOSING = columns('load as l', ['no', 'state', 'slot', 'report_no', 'delivery_no', 'rules']);
const ITS_REPORT = columns('report as r', ['kind', 'batch_no']);
const ITS_DELIVERY = columns('delivery as d', ['epoch', 'intervention_no', 'source', 'modified_at']);

export type ClosingLoad = RowOf<typeof CLOSING> &
  RowOf<typeof ITS_REPORT> &
  RowOf<typeof ITS_DELIVERY> & {
    /** For a dry run: it is not closed, but tried. */
    isDry: boolean;
    /** Its bytes were read before. */
    isReplay: boolean;
    chunks: { no: number; facts: Facts }[];
  };

export async function loadToClose(db: Db, loadNo: number): Promise<ClosingLoad> {
  const found = await sql<ClosingLoad>`
    select ${CLOSING}, ${ITS_REPORT}, ${ITS_DELIVERY}, d.state = 'dry' as "isDry", d.replay_of is not null as "isReplay",
           coalesce((select jsonb_agg(jsonb_build_object('no', c.no, 'facts', c.facts) order by c.no) from chunk c where c.load_no = l.no), '[]') as chunks
      from load l join report r on r.no = l.report_no join delivery d on d.no = l.delivery_no where l.no = ${loadNo}`.execute(
    db,
  );
  return found.rows[0]!;
}

/** The batch that its report belongs to now. */
export async function batchOf(db: Db, loadNo: number): Promise<number> {
  const of = db.selectFrom('load as l').innerJoin('report as r', 'r.no', 'l.report_no').where('l.no', '=', loadNo);
  return (await of.select('r.batch_no').executeTakeFirstOrThrow()).batch_no;
}

export async function isClosed(db: Db, loadNo: number): Promise<boolean> {
  const closed = db.selectFrom('load').select('no').where('no', '=', loadNo).where('state', '=', 'closed');
  return (await closed.executeTakeFirst()) !== undefined;
}

/** Something new is known of the batch: it wants a run. */
const requestRun = (db: Db, batchNo: number, interventionNo: number | null) =>
  requestRuns(db, [batchNo], interventionNo === null ? 'report' : 'replay', interventionNo);

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
  await db
    .updateTable('report')
    .set({ load_no: load.no, revision })
    .where('no', '=', load.reportNo)
    .where('revision', '<=', revision)
    .execute();
  await sql`select place_report(${load.reportNo})`.execute(db);
  // A workbook that came before the CSV of the same report is not read any more.
  await sql`
    update delivery d set state = 'duplicate' from delivery mine
     where mine.no = ${load.deliveryNo} and not mine.is_sheet and d.report_no = mine.report_no and d.is_sheet and d.state = 'closed'`.execute(
    db,
  );
  const now = db.selectFrom('report').select('batch_no').where('no', '=', load.reportNo);
  for (const batchNo of new Set([load.batchNo, (await now.executeTakeFirstOrThrow()).batch_no]))
    await requestRun(db, batchNo, load.interventionNo);
  return true;
}

/** What was not read because this report held the same bytes is read after all when other bytes take their place. */
const releaseDuplicates = (db: Db, { no, reportNo }: ClosingLoad, revision: number) =>
  sql`select release_duplicates(${reportNo}, ${revision}, (select sha256 from load where no = ${no}))`.execute(db);

/** Whether another content of the report counts, and whether anything else holds the same bytes: mostly neither, and nothing more is asked. */
export async function besidesOf(
  db: Db,
  loadNo: number,
): Promise<{ isAnotherCounting: boolean; hasSameBytes: boolean }> {
  const found = await sql<{ isAnotherCounting: boolean; hasSameBytes: boolean }>`
    select r.load_no is not null as "isAnotherCounting",
           exists (select from load o where o.sha256 = l.sha256 and o.no <> l.no) as "hasSameBytes"
      from load l join report r on r.no = l.report_no where l.no = ${loadNo}`.execute(db);
  return found.rows[0]!;
}

/**
 * The report that counts in the same batch for the same part with the same bytes under another name. Only a first content is
 * a duplicate for that: what takes the place of other rows is always read.
 */
export async function sameUnderAnotherName(db: Db, { no, reportNo, deliveryNo }: ClosingLoad): Promise<number | null> {
  const found = await sql<{ loadNo: number }>`
    select o.no as "loadNo"
      from report r join report x on x.batch_no = r.batch_no and x.kind = r.kind and x.seq = r.seq and x.no <> r.no
      join load o on o.no = x.load_no join delivery y on y.no = o.delivery_no
     where r.no = ${reportNo} and o.sha256 = (select sha256 from load where no = ${no})
       and y.is_sheet = (select is_sheet from delivery where no = ${deliveryNo})
     order by o.no limit 1`.execute(db);
  return found.rows[0]?.loadNo ?? null;
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

const ENDED = columns('delivery as d', ['state', 'report_no', 'intervention_no']);

/**
 * Ends a delivery that is not read: refused, waiting, a duplicate. Its load, if it has one, is abandoned. Of a dry run only the
 * reason is kept.
 */
export async function endDelivery(
  db: Db,
  delivery: { no: number; batchNo: number; epoch: number },
  end: End,
): Promise<boolean> {
  const ended = await sql<RowOf<typeof ENDED>>`
    update delivery d set state = case d.state when 'dry' then 'dry' else ${end.state} end,
           error_code = ${end.code}, error_message = ${end.message}, duplicate_of = ${end.duplicateOf ?? null},
           revision = ${end.state === 'refused' ? sql`coalesce(d.revision, ${nextRevision(sql`d.report_no`)})` : sql`${end.revision}::int`},
           next_attempt_at = null, vanished_at = ${end.isVanished ? sql`now()` : null}
     where no = ${delivery.no} and epoch = ${delivery.epoch} and ${UNDER_WAY}
    returning ${ENDED}`.execute(db);
  const [as] = ended.rows;
  if (!as) return false;
  await db
    .updateTable('load')
    .set({ state: 'abandoned' })
    .where('delivery_no', '=', delivery.no)
    .where('state', 'in', ['reading', 'loaded'])
    .execute();
  if (end.state !== 'duplicate' && as.state !== 'dry') await requestRun(db, delivery.batchNo, as.interventionNo);
  if (as.state !== 'dry') await settleRivals(db, as.reportNo);
  return true;
}

const DELIVERY = columns('delivery as d', ['no as deliveryNo', 'attempts as attempt']);
const BATCH = columns('batch as b', ['no as batchNo', 'wanted', 'attempts as attempt']);

/** What the end of a delivery sets going: the next content of the same report, and the batch once nothing of it is under way. */
export async function nextAfter(db: Db, batchNo: number) {
  const deliveries = await sql<RowOf<typeof DELIVERY>>`
    select distinct on (d.report_no) ${DELIVERY}
      from delivery d join report r on r.no = d.report_no
     where r.batch_no = ${batchNo} and d.state = 'found' and d.parked_reason is null
       and (d.archived is not null or exists (select from delivery e where e.report_no = d.report_no and e.no < d.no))
     order by d.report_no, d.no`.execute(db);
  const batches = await sql<RowOf<typeof BATCH>>`
    select ${BATCH} from batch b
     where b.no = ${batchNo} and b.done < b.wanted and b.parked_reason is null and not exists (
       select from delivery d join report r on r.no = d.report_no
        where r.batch_no = b.no and d.state in ('found', 'reading') and d.parked_reason is null and not ${IS_HELD})`.execute(
    db,
  );
  return { deliveries: deliveries.rows, batches: batches.rows };
}

/** A delivery that is being read: for the book, or for a dry run. */
export const UNDER_WAY = sql`state in ('reading', 'dry')`;

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

export async function rivalFiles(db: Db, reportNo: number): Promise<string[]> {
  const rivals = db.selectFrom('rival_content').select('file').distinct().where('report_no', '=', reportNo);
  return (await rivals.orderBy('file').limit(10).execute()).map(({ file }) => file!);
}
