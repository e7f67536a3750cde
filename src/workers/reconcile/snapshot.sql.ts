import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Facts } from '../../domain/report/facts.ts';
import type { MatchBy } from '../../domain/report/row.ts';
import { fingerprintsOf, hasCancels } from '../../store/ledger/conditions.ts';
import { partOf, type ReadLoad, rowsOf } from '../../store/loads.ts';
import { matchByOf } from '../../store/stored-row.ts';

export type ReportState = {
  kind: 'transactionDetails' | 'settlementDetails' | 'settlementSummary';
  name: string;
  psp: string | null;
  seq: number;
  isPortal: boolean;
  /** The id of the format of its newest content. */
  format: string | null;
  state: 'closed' | 'waiting' | 'refused' | 'duplicate' | 'withdrawn';
  loadNo: number | null;
  slot: number | null;
  facts: Facts | null;
  rules: { tolerance: string; timeZone: string } | null;
  header: string[] | null;
  file: string;
  source: string;
  day: string | null;
  /** A found file of it that is not read, because it was parked or its source or the archive is unavailable; and the reason. */
  heldFile: string | null;
  heldWhy: string | null;
};

/** True if a delivery `e` waits for an unavailable source or archive. */
const HELD_E = sql`exists (select from away) and away_reason(e) is not null`;

/** Returns the reports of a batch: the newest content that was read to the end, else the state of the last delivery. */
export async function reportsOf(db: Db, batchNo: number): Promise<ReportState[]> {
  const found = await sql<ReportState>`
    select r.kind, r.name, r.psp, r.seq, r.is_portal as "isPortal", l.format, r.load_no as "loadNo", l.slot, l.facts, l.rules, l.header, d.file, d.source, d.day::text,
           case when r.load_no is not null then 'closed' when d.state in ('found', 'reading') then 'waiting'
                when d.state in ('waiting', 'duplicate', 'withdrawn') then d.state else 'refused' end as state,
           held.file as "heldFile", held.why as "heldWhy"
      from report r
      left join load l on l.no = r.load_no
      join lateral (
        select file, source, state, parked_reason, directory_date as day from delivery
         where report_no = r.no and (l.delivery_no is null or no = l.delivery_no) and state not in ('dry', 'over')
         order by no desc limit 1) d on true
      left join lateral (
        select e.file, coalesce(e.parked_reason, away_reason(e)) as why from delivery e left join delivery of_load on of_load.no = l.delivery_no
         where e.report_no = r.no and e.state in ('found', 'reading') and (e.parked_reason is not null or ${HELD_E})
           and (l.no is null or e.no > l.delivery_no and e.replay_of is null and (not e.is_sheet or of_load.is_sheet))
         order by e.no desc limit 1) held on true
     where r.batch_no = ${batchNo}
     order by r.kind, coalesce(r.psp, ''), r.seq, r.name`.execute(db);
  return found.rows;
}

/** Returns whether a run has read any report, or waits for one: then a batch without any content needs a run that closes its discrepancies. */
export async function hasReports(db: Db, runNo: number | null): Promise<boolean> {
  const found = await sql`
    select from run r where r.no = ${runNo} and (r.facts ? 'waiting' or exists (select from run_load l where l.run_no = r.no))`.execute(
    db,
  );
  return found.rows.length > 0;
}

/** The sums of the rows of one type that find their record in the same way. */
export type SummedRows = {
  type: string;
  matchBy: MatchBy;
  isDone: boolean;
  count: bigint;
  settlementMinor: string | null;
  feeMinor: string | null;
};

/** Returns the control totals: sums of the stored rows, by type and by how they find their record. */
export async function sumsOf(db: Db, loads: readonly ReadLoad[]): Promise<SummedRows[]> {
  // Rows that were just read are in no statistics, and without them the planner sorts all rows on disk rather than keep a few sums.
  await sql`set local enable_sort = off`.execute(db);
  const found = await sql<Omit<SummedRows, 'matchBy'> & { flags: number }>`
    select type, flags & 3 as flags, (flags & 8) = 0 as "isDone", count(*) as count, sum(settlement_minor)::text as "settlementMinor",
           sum(fee_minor)::text as "feeMinor"
      from ${rowsOf(loads)} d group by 1, 2, 3`.execute(db);
  await sql`set local enable_sort = on`.execute(db);
  return found.rows.map(({ flags, ...sums }) => ({ ...sums, matchBy: matchByOf(flags) }));
}

export async function summaryRowsOf(db: Db, loads: readonly ReadLoad[]) {
  // Rows of one type are added and the first is named. Grouping in SQL limits the result of a malformed file.
  const found = await sql<{
    type: string | null;
    count: string | null;
    settlementMinor: string | null;
    feeMinor: string | null;
    place: number[];
  }>`
    select type, sum(row_count)::text as count, sum(settlement_minor)::text as "settlementMinor", sum(fee_minor)::text as "feeMinor",
           min(array[${partOf(loads, 'load_no')}, load_no, line]) as place
      from summary_row where load_no = any(${loads.map((load) => load.loadNo)}::int[])
     group by type order by place`.execute(db);
  return found.rows.map(({ place, ...row }) => ({ ...row, loadNo: place[1]!, line: place[2]! }));
}

/** Returns the last run of this merchant. Only runs of one merchant are numbered in the order of their commits. */
export async function lastRunOf(db: Db, merchantNo: number): Promise<number> {
  const found = await sql<{ no: number | null }>`
    select max(r.no) as no from run r join batch b on b.no = r.batch_no where b.merchant_no = ${merchantNo}`.execute(
    db,
  );
  return found.rows[0]!.no ?? 0;
}

/** Sets the identity and the named row of each finding, and numbers findings that share an identity. */
export async function identifyFindings(
  db: Db,
  { batchNo, loads, details }: { batchNo: number; loads: readonly ReadLoad[]; details: readonly ReadLoad[] },
): Promise<void> {
  await sql`update finding t set batch_no = ${batchNo}, identity = n.identity, ordinal = n.ordinal, row_type = n.type,
           row_needs_record = (n.flags & 3) in (1, 2), row_settlement_minor = n.settlement_minor
    from (select t.ctid as place, i.identity, d.type, d.flags, d.settlement_minor,
                 row_number() over (partition by i.identity order by ${partOf(loads, 't.load_no')}, t.load_no, t.line, t.recorded, t.reported) - 1 as ordinal
            from finding t left join load l on l.no = t.load_no
            left join ${rowsOf(details)} d on d.load_no = t.load_no and d.line = t.line and (d.flags & 8) = 0
            cross join lateral (select ${IDENTITY} as identity) i) n
   where t.ctid = n.place`.execute(db);
}

/** Stores with each finding the fingerprint of the records that it references, as they are in this snapshot. */
export async function fingerprintReferences(db: Db, merchantNo: number): Promise<void> {
  const some = await sql`select from finding where referenced_ids is not null limit 1`.execute(db);
  if (some.rows.length === 0) return;
  await sql`update finding t set referenced_fingerprint = p.fingerprint
    from ${fingerprintsOf(sql`select ctid as place, ${merchantNo}::int as merchant_no, referenced_ids as ids, ${hasCancels(sql`kind`)} as has_cancels
                          from finding where referenced_ids is not null`)} p
   where t.ctid = p.place`.execute(db);
}

/** Kind, type, request or transaction id and field; report and line if there is no id, unless it is reported once for all rows of a type. */
export const IDENTITY = sql`concat_ws('|', t.kind, t.type, case when t.kind <> 'unknown_type' then coalesce('r ' || t.request_id, 't ' || t.transaction_id,
  'f ' || l.report_no || ':' || t.line) end, t.field, case when t.kind = 'missing_part' then t.recorded end)`;

/** Returns a sum over the findings that does not depend on their order: 128 bits, without files, lines and messages. */
export async function digestOfFindings(db: Db): Promise<string> {
  const text = sql`concat_ws('|', kind, coalesce(type, '~'), coalesce(request_id, '~'), coalesce(transaction_id, '~'), coalesce(field, '~'),
    coalesce(reported, '~'), coalesce(recorded, '~'), coalesce(currency, '~'), stake_minor, stake_currency)`;
  const found = await sql<{ sum: string }>`
    select count(*) || ' ' || coalesce(sum(hashtextextended(${text}, 0)::numeric), 0) || ' ' ||
           coalesce(sum(hashtextextended(${text}, 7)::numeric), 0) as sum
      from finding`.execute(db);
  return found.rows[0]!.sum;
}
