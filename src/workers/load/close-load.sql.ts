import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { ReportKind } from '../../domain/formats/format.ts';
import type { Facts } from '../../domain/report/facts.ts';
import type { Rules } from '../../domain/report/rules.ts';
import { IS_HELD } from '../../store/away.sql.ts';
import { settleRivals } from '../../store/rivals.ts';

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
const requestRun = (db: Db, batchNo: number, interventionNo: number | null) =>
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
  for (const batchNo of new Set([load.batchNo, now.rows[0]!.batchNo]))
    await requestRun(db, batchNo, load.interventionNo);
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
  if (end.state !== 'duplicate' && as.state !== 'dry') await requestRun(db, delivery.batchNo, as.interventionNo);
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
  const found = await sql<{ file: string }>`
    select distinct file from rival_content where report_no = ${reportNo} order by 1 limit 10`.execute(db);
  return found.rows.map(({ file }) => file);
}
