import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../adapters/postgres.ts';
import { type ReadLoad, rowsOf } from './reconcile.sql.ts';

/** A load whose rows were dropped, and what is needed to read them again. */
export type DroppedLoad = {
  readonly loadNo: number;
  /** Of the batch or day that it belongs to. */
  readonly batch: string;
  readonly file: string;
  readonly rowsDroppedAt: Date;
  /** When its archived copy was dropped, too; null while that is kept. */
  readonly fileDroppedAt: Date | null;
};

const DROPPED = sql`
  l.no as "loadNo", coalesce(b.batch_id, b.day::text, '') as batch, d.file, l.rows_dropped_at as "rowsDroppedAt",
  (select max(f.dropped_at) from dropped f where f.path = l.archive_path) as "fileDroppedAt"`;

const LOADS = sql`load l join report r on r.no = l.report_no join batch b on b.no = r.batch_no join delivery d on d.no = l.delivery_no`;

/** Those of these loads whose rows were dropped. */
export async function droppedAmong(db: Db, loadNos: readonly number[]): Promise<DroppedLoad[]> {
  const found = await sql<DroppedLoad>`
    select ${DROPPED} from ${LOADS} where l.no = any(${[...loadNos]}::int[]) and l.rows_dropped_at is not null order by l.no`.execute(
    db,
  );
  return found.rows;
}

/**
 * Loads of the batch's current run whose rows were dropped, whose reports say something else by now and whose archived copy is
 * kept: what the new contents changed can be shown only beside them.
 */
export async function droppedBefore(db: Db, runNo: number | null): Promise<DroppedLoad[]> {
  const found = await sql<DroppedLoad>`
    select * from (
      select ${DROPPED} from run_load rl join ${LOADS} on l.no = rl.load_no
       where rl.run_no = ${runNo} and l.rows_dropped_at is not null and d.revision <> r.revision order by l.no) before
     where "fileDroppedAt" is null`.execute(db);
  return found.rows;
}

/** The last drop of rows of this merchant; 0 where there was none. Each has a higher number than those that others saw before it. */
export async function lastDropped(db: Db, merchantNo: number): Promise<bigint> {
  const found = await sql<{ no: bigint }>`
    select coalesce(max(no), 0)::bigint as no from dropped where what = 'rows' and merchant_no = ${merchantNo}`.execute(
    db,
  );
  return found.rows[0]!.no;
}

/** Loads of other batches that current runs read and whose rows were dropped, after this number. */
const othersDropped = ({ merchantNo, batchNo, after }: Other) => sql`
  load l join report r on r.no = l.report_no join batch b on b.no = r.batch_no join run_load rl on rl.load_no = l.no and rl.run_no = b.current_run
   where l.rows_dropped_at is not null and b.merchant_no = ${merchantNo} and b.no <> ${batchNo}
     and exists (select from dropped p where p.load_no = l.no and p.no > ${after.toString()}::bigint)`;

export type Other = { readonly merchantNo: number; readonly batchNo: number; readonly after: bigint };

export async function hasOthersDropped(db: Db, other: Other): Promise<boolean> {
  const found = await sql`select from ${othersDropped(other)} limit 1`.execute(db);
  return found.rows.length > 0;
}

/**
 * Which dropped loads of other batches hold an id that this run looked for in vain. The temporary tables of the run say what that
 * was. Everything of which an id may stand anywhere is looked for everywhere; what belongs to days or settlements, only there.
 */
export async function lookedForIn(
  db: Db,
  other: Other,
  {
    day,
    settled,
    settlementDate,
    lookbackDays,
  }: {
    /** The batch is this day of transactions. */
    readonly day: string | null;
    /** The details of the settlement. */
    readonly settled: readonly ReadLoad[];
    readonly settlementDate: string | null;
    /** So far away a key may have been settled before, or be settled again. */
    readonly lookbackDays: number;
  },
): Promise<DroppedLoad[]> {
  await sql`drop table if exists pg_temp.looked_for`.execute(db);
  await sql`create temp table looked_for as
    select hashtextextended(transaction_id, 1) as id from reference where request_id is null
    union select hashtextextended(c.request_id, 2) from candidate c
           where c.r_status = 'CANCELLED' and not exists (select from cancelled x where x.request_id = c.request_id)
    union select hashtextextended(c.transaction_id, 3) from candidate c
           where c.r_status = 'CANCELLED' and not exists (select from cancelled x where x.request_id = c.request_id)
    union select hashtextextended(request_id, 0) from named_refund where payment is null
    union select hashtextextended(transaction_id, 1) from named_refund where payment is null`.execute(db);
  const told = (kind: string) => sql`select hashtextextended(request_id, 0) from told where kind = ${kind}`;
  const near = (batch: string) => sql`(${sql.ref(batch)}.settlement_date is null or ${settlementDate}::date is null
    or ${sql.ref(batch)}.settlement_date between ${settlementDate}::date - ${lookbackDays}::int and ${settlementDate}::date + ${lookbackDays}::int)`;
  const notReported = sql`told t join ${rowsOf(settled)} s on s.load_no = t.load_no and s.line = t.line and t.kind = 'settled_not_reported'`;
  const places: RawBuilder<unknown>[] = [
    holding(other, sql`true`, sql`select id from looked_for`),
    ...(day === null
      ? []
      : [
          holding(
            other,
            sql`b.batch_id is null and b.day between ${day}::date - 1 and ${day}::date + 1`,
            told('unreported_transaction'),
          ),
          holding(
            other,
            sql`b.batch_id is not null and coalesce(b.settlement_date, ${day}::date) >= ${day}::date`,
            told('unsettled_transaction'),
          ),
        ]),
    ...(settled.length === 0
      ? []
      : [
          holding(
            other,
            sql`b.batch_id is not null and ${near('b')}`,
            sql`select s.key_hash from ${rowsOf(settled)} s where s.request_id is not null and s.settlement_minor is not null`,
          ),
          holding(
            other,
            sql`b.batch_id is null and b.day between (select min(s.paid_at)::date - 2 from ${notReported}) and (select max(s.paid_at)::date + 2 from ${notReported})`,
            told('settled_not_reported'),
          ),
        ]),
  ];
  const found = await sql<DroppedLoad>`
    select ${DROPPED} from ${LOADS} where l.no in (${sql.join(places, sql` union `)}) order by l.no`.execute(db);
  return found.rows;
}

/** Numbers of dropped loads, of batches `b` in this place, that hold one of these ids. */
const holding = (other: Other, place: RawBuilder<unknown>, ids: RawBuilder<unknown>): RawBuilder<unknown> => sql`
  (select k.load_no from dropped_ids k cross join lateral unnest(k.ids) i(id)
    where k.load_no in (select l.no from ${othersDropped(other)} and ${place}) and i.id in (${ids}))`;

/** The batches that looked for something which stands in those of these loads whose rows were dropped. */
export async function batchesLookingFor(
  db: Db,
  loads: readonly ReadLoad[],
  { merchantNo, no }: { merchantNo: number; no: number },
): Promise<number[]> {
  const found = await sql<{ no: number }>`
    with held as materialized (
      select unnest(k.ids) as id from dropped_ids k join load l on l.no = k.load_no and l.rows_dropped_at is not null
       where k.load_no = any(${loads.map(({ loadNo }) => loadNo)}::int[]))
    select distinct b.no from run_open_reference o join batch b on b.current_run = o.run_no and b.no <> ${no}
      cross join lateral (values
        (hashtextextended(o.transaction_id, 1)), (hashtextextended(o.transaction_id, 3)),
        (hashtextextended(o.request_id, 0)), (hashtextextended(o.request_id, 2))) i(id)
     where o.merchant_no = ${merchantNo} and i.id in (select id from held)`.execute(db);
  return found.rows.map(({ no }) => no);
}

/** The batch waits until the rows of these loads are there again. */
export const wantRows = (db: Db, batchNo: number, loadNos: readonly number[]) =>
  sql`insert into wanted_rows (load_no, batch_no) select no, ${batchNo} from load where no = any(${[...loadNos]}::int[]) on conflict (load_no, batch_no) do update set attempts = 0`.execute(
    db,
  );

/** The batch cannot be reconciled, until somebody does something about it. */
export const parkBatch = (db: Db, batchNo: number, reason: string) =>
  sql`update batch set parked_reason = ${reason} where no = ${batchNo} and done < wanted`.execute(db);

/** A run of the batch is there: it waits no more. */
export const wantNoRows = (db: Db, batchNo: number) =>
  sql`delete from wanted_rows where batch_no = ${batchNo}`.execute(db);

/** So often it was tried to read the rows of a load again. */
export async function attemptsAt(db: Db, loadNos: readonly number[]): Promise<{ loadNo: number; attempt: number }[]> {
  const found = await sql<{ loadNo: number; attempt: number }>`
    select load_no as "loadNo", max(attempts) as attempt from wanted_rows where load_no = any(${[...loadNos]}::int[]) group by 1`.execute(
    db,
  );
  return found.rows;
}
