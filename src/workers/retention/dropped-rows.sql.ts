import { type RawBuilder, sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import { withoutNestedLoops } from '../../adapters/postgres/transactions.ts';
import { type ReadLoad, rowsOf } from '../../store/loads.ts';

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
  const last = await db
    .selectFrom('dropped')
    .select('no')
    .where('what', '=', 'rows')
    .where('merchant_no', '=', merchantNo)
    .orderBy('no', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last?.no ?? 0n;
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

/** What a run has looked for in vain, by where it may stand. */
type Place = {
  /** A condition on batches `b`. */
  readonly batches: RawBuilder<unknown>;
  /** Of ids, as they are kept of dropped rows. */
  readonly ids: RawBuilder<unknown>;
};

/** References, cancellations and refunds may stand in any batch. The temporary tables of the run say which were not found. */
const ANYWHERE: Place = {
  batches: sql`true`,
  ids: sql`
    select hashtextextended(transaction_id, 1) from reference where request_id is null
    union select hashtextextended(c.request_id, 2) from candidate c
           where c.r_status = 'CANCELLED' and not exists (select from cancelled x where x.request_id = c.request_id)
    union select hashtextextended(c.transaction_id, 3) from candidate c
           where c.r_status = 'CANCELLED' and not exists (select from cancelled x where x.request_id = c.request_id)
    union select hashtextextended(request_id, 0) from named_refund where payment is null
    union select hashtextextended(transaction_id, 1) from named_refund where payment is null`,
};

const told = (kind: string) => sql`select hashtextextended(request_id, 0) from finding where kind = ${kind}`;

/** Records of a day: those of which nothing was reported in the reports next to it, those not settled in all settlements since. */
const placesOfDay = (day: string): Place[] => [
  {
    batches: sql`b.batch_id is null and b.day between ${day}::date - 1 and ${day}::date + 1`,
    ids: told('unreported_transaction'),
  },
  {
    batches: sql`b.batch_id is not null and coalesce(b.settlement_date, ${day}::date) >= ${day}::date`,
    ids: told('unsettled_transaction'),
  },
];

/** What was settled: the same key in settlements near to it, and the row in the reports of the days on which it was paid. */
function placesOfSettlement(
  details: readonly ReadLoad[],
  settlementDate: string | null,
  lookbackDays: number,
): Place[] {
  const date = sql`${settlementDate}::date`;
  const notReported = sql`finding t join ${rowsOf(details)} s on s.load_no = t.load_no and s.line = t.line and t.kind = 'settled_not_reported'`;
  return [
    {
      batches: sql`b.batch_id is not null and (b.settlement_date is null or ${date} is null
        or b.settlement_date between ${date} - ${lookbackDays}::int and ${date} + ${lookbackDays}::int)`,
      ids: sql`select s.key_hash from ${rowsOf(details)} s where s.request_id is not null and s.settlement_minor is not null`,
    },
    {
      batches: sql`b.batch_id is null and b.day between (select min(s.paid_at)::date - 2 from ${notReported})
        and (select max(s.paid_at)::date + 2 from ${notReported})`,
      ids: told('settled_not_reported'),
    },
  ];
}

/** Which dropped loads of other batches hold an id that this run looked for in vain. */
export async function lookedForIn(
  db: Db,
  other: Other,
  of: {
    /** The batch is this day of transactions. */
    readonly day: string | null;
    readonly details: readonly ReadLoad[];
    readonly settlementDate: string | null;
    /** So far away a key may have been settled before, or be settled again. */
    readonly lookbackDays: number;
  },
): Promise<DroppedLoad[]> {
  const { day, details, settlementDate, lookbackDays } = of;
  const ofBatch =
    day !== null
      ? placesOfDay(day)
      : details.length > 0
        ? placesOfSettlement(details, settlementDate, lookbackDays)
        : [];
  const found = new Set<number>();
  for (const place of [ANYWHERE, ...ofBatch])
    for (const loadNo of await loadsHolding(db, other, place)) found.add(loadNo);
  return found.size === 0 ? [] : droppedAmong(db, [...found]);
}

async function loadsHolding(db: Db, other: Other, { batches, ids }: Place): Promise<number[]> {
  const dropped = await sql<{ no: number }>`select l.no from ${othersDropped(other)} and ${batches}`.execute(db);
  if (dropped.rows.length === 0) return [];
  await sql`drop table if exists pg_temp.looked_for`.execute(db);
  await sql`create temp table looked_for (id) as ${ids}`.execute(db);
  const some = await sql`select from looked_for limit 1`.execute(db);
  if (some.rows.length === 0) return [];
  await sql`analyze looked_for`.execute(db);
  const nos = dropped.rows.map(({ no }) => no);
  const found = await byHash(
    db,
    sql<{ no: number }>`
      select distinct k.load_no as no from (select load_no, unnest(ids) as id from dropped_ids where load_no = any(${nos}::int[])) k
        join looked_for f on f.id = k.id`,
  );
  return found.map(({ no }) => no);
}

/** Nobody knows how many ids an array holds, and millions must not be looked up one by one. */
async function byHash<Row>(db: Db, statement: RawBuilder<Row>): Promise<Row[]> {
  const found = await withoutNestedLoops(db, () => statement.execute(db));
  return found.rows;
}

/** The batches that looked for something which stands in those of these loads whose rows were dropped. */
export async function batchesLookingFor(
  db: Db,
  loads: readonly ReadLoad[],
  { merchantNo, no }: { merchantNo: number; no: number },
): Promise<number[]> {
  const found = await byHash(
    db,
    sql<{ no: number }>`
      select distinct b.no from (
          select unnest(k.ids) as id from dropped_ids k join load l on l.no = k.load_no and l.rows_dropped_at is not null
           where k.load_no = any(${loads.map(({ loadNo }) => loadNo)}::int[])) held
        join (select o.run_no, i.id from run_open_reference o cross join lateral (values
                (hashtextextended(o.transaction_id, 1)), (hashtextextended(o.transaction_id, 3)),
                (hashtextextended(o.request_id, 0)), (hashtextextended(o.request_id, 2))) i(id)
               where o.merchant_no = ${merchantNo}) o on o.id = held.id
        join batch b on b.current_run = o.run_no and b.no <> ${no}`,
  );
  return found.map((row) => row.no);
}

/** The batch waits until the rows of these loads are there again. */
export const requestRowsOf = (db: Db, batchNo: number, loadNos: readonly number[]) =>
  sql`insert into wanted_rows (load_no, batch_no) select no, ${batchNo} from load where no = any(${[...loadNos]}::int[]) on conflict (load_no, batch_no) do update set attempts = 0`.execute(
    db,
  );

/** The batch cannot be reconciled, until somebody does something about it. */
export const parkBatch = (db: Db, batchNo: number, reason: string) =>
  db
    .updateTable('batch')
    .set({ parked_reason: reason })
    .where('no', '=', batchNo)
    .whereRef('done', '<', 'wanted')
    .execute();

/** A run of the batch is there: it waits no more. */
export const wantNoRows = (db: Db, batchNo: number) =>
  db.deleteFrom('wanted_rows').where('batch_no', '=', batchNo).execute();

/** So often it was tried to read the rows of a load again. */
export const attemptsAt = (db: Db, loadNos: readonly number[]): Promise<{ loadNo: number; attempt: number }[]> =>
  db
    .selectFrom('wanted_rows')
    .select((wanted) => ['load_no as loadNo', wanted.fn.max('attempts').as('attempt')])
    .where('load_no', '=', anyOf(loadNos))
    .groupBy('load_no')
    .execute();
