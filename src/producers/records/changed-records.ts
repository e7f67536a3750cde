import { sql } from 'kysely';
import { type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction, untilStopped } from '../../adapters/postgres/transactions.ts';
import { fingerprintOf, fingerprintsOf, hasCancels, updatedSince } from '../../store/ledger/conditions.ts';
import { keepLateDays } from '../schedule/late-days.sql.ts';
import { wantRunsOfDropped } from './dropped-rows.sql.ts';

/** Looking takes at most one part in so many of the time, whatever it costs on the merchant's relation. */
const SHARE = 20;
/** So long, and the page that was begun, is looked at in one sweep. */
const MOST_MS = 500;
const PAGE_ROWS = 10_000;
/** What a transaction stamps with its beginning may be seen so much later. */
const LATE_COMMITS = sql`interval '15 minutes'`;

type Context = {
  readonly database: Database;
  readonly now?: () => number;
  readonly pageRows?: number;
  /** Looking at a large relation without an index takes long, and can be left at any time. */
  readonly stop?: AbortSignal | undefined;
};

/**
 * Wants a new run of each batch and day that has an open discrepancy whose records are not what they were when it was told; and,
 * where records say when they were changed, of those that no longer agree with one that was. It goes on in the next sweep where it
 * stops in this one. Run twice, or twice at once, one does the work. A run that finds the same again leaves nothing to ask for.
 */
export const checkRecords = (context: Context): Promise<void> => check(context, MOST_MS);

/** The same, from the first open discrepancy to the last: for whoever is about to tell what is open. */
export const checkAllRecords = (context: Context): Promise<void> => check(context, Number.POSITIVE_INFINITY);

async function check({ database, now = Date.now, pageRows = PAGE_ROWS, stop }: Context, mostMs: number): Promise<void> {
  const isAll = mostMs === Number.POSITIVE_INFINITY;
  const look = (db: Db) =>
    inTransaction(db, async () => {
      const turn = await takeTurn(db, now(), isAll);
      if (!turn) return;
      const startedAt = performance.now();
      const tookMs = () => performance.now() - startedAt;
      let checkedNo = isAll ? 0n : turn.checkedNo;
      const differing = new Set<number>();
      do {
        const page = await nextPage(db, checkedNo, pageRows);
        for (const no of page.batchNos) differing.add(no);
        checkedNo = page.isLast ? 0n : page.lastNo;
      } while (checkedNo !== 0n && tookMs() < mostMs);
      // One that has a run to come will be looked at again when that has come.
      await sql`select want_runs(array(select no from batch where no = any(${[...differing]}::int[]) and done = wanted order by no for update),
                                 'records')`.execute(db);
      if (turn.hasUpdatedAt) while ((await checkChanged(db, pageRows)) && tookMs() < mostMs);
      const next_check_at = new Date(Math.round(now() + SHARE * tookMs()));
      await db.updateTable('ledger_setting').set({ checked_no: checkedNo, next_check_at }).execute();
    });
  await onOneConnection(database, (db) => untilStopped(database, db, stop, () => look(db)));
}

/** Null while another sweep is at it, or the last one was a short while ago. */
async function takeTurn(db: Db, nowMs: number, isAll: boolean) {
  const turn = db
    .selectFrom('ledger_setting')
    .select(['checked_no as checkedNo', 'has_updated_at as hasUpdatedAt'])
    .forUpdate();
  const isDue = sql<boolean>`(next_check_at is null or next_check_at <= ${new Date(nowMs)})`;
  return (await (isAll ? turn : turn.where(isDue).skipLocked()).executeTakeFirst()) ?? null;
}

/** The batches of the next open discrepancies whose records say something else now. */
async function nextPage(db: Db, checkedNo: bigint, rows: number) {
  const found = await db
    .selectFrom('discrepancy')
    .select('no')
    .where('closed_run', 'is', null)
    .where('referenced_ids', 'is not', null)
    .where('no', '>', checkedNo)
    .orderBy('no')
    .limit(rows)
    .execute();
  const nos = found.map(({ no }) => no.toString());
  const page = { lastNo: found.at(-1)?.no ?? 0n, isLast: nos.length < rows };
  if (nos.length === 0) return { ...page, batchNos: [] };
  // By their numbers: how many there are decides whether records are looked up one by one.
  const differing = await sql<{ batchNo: number }>`
    with page as materialized (
      select d.no, d.batch_no, b.merchant_no, d.referenced_ids, d.referenced_fingerprint, ${hasCancels(sql`d.kind`)} as has_cancels
        from discrepancy d join batch b on b.no = d.batch_no where d.no = any(${nos}::int8[]))
    select distinct p.batch_no as "batchNo" from page p
      left join ${fingerprintsOf(sql`select no as place, merchant_no, referenced_ids as ids, has_cancels from page`)} n on n.place = p.no
     where n.fingerprint is distinct from p.referenced_fingerprint`.execute(db);
  return { ...page, batchNos: differing.rows.map(({ batchNo }) => batchNo) };
}

/** Looks at records that were changed since it was last looked. Returns whether there are more of them. */
async function checkChanged(db: Db, rows: number): Promise<boolean> {
  await sql`drop table if exists pg_temp.changed`.execute(db);
  // Each version once: what was seen within the time of late commits is remembered.
  await sql`create temp table changed as
    select r.merchant_no, r.type, r.request_id, r.amount_minor, r.currency, r.status, r.occurred_at, r.key_hash, r.updated_at, ${fingerprintOf('r')} as fingerprint
      from ledger() r where ${updatedSince('r', sql`(select changed_until - ${LATE_COMMITS} from ledger_setting)`)}
       and not exists (select from seen_change s where s.key_hash = r.key_hash and s.merchant_no = r.merchant_no and s.fingerprint = ${fingerprintOf('r')}
                          and s.updated_at = r.updated_at)
     order by r.updated_at limit ${rows}`.execute(db);
  const looked = await sql<{ count: number }>`
    with kept as (
      insert into seen_change (key_hash, merchant_no, fingerprint, updated_at) select distinct key_hash, merchant_no, fingerprint, updated_at from changed
      on conflict do nothing)
    select count(*)::int as count from changed`.execute(db);
  const { count } = looked.rows[0]!;
  if (count > 0) await wantRunsOf(db);
  // A time to come would hide what changes until then.
  await sql`update ledger_setting
      set changed_until = greatest(changed_until, (select least(max(updated_at), now()) from changed))`.execute(db);
  await sql`delete from seen_change where updated_at < (select changed_until - ${LATE_COMMITS} from ledger_setting)`.execute(
    db,
  );
  return count === rows;
}

/**
 * Of records that were changed: batches with a row that matched and no longer agrees, days that may miss one, and batches with a
 * share of a sum that is not theirs any more. What is told already is looked at by what it quotes.
 */
async function wantRunsOf(db: Db): Promise<void> {
  await sql`analyze changed`.execute(db);
  await keepLateDays(db, 'changed');
  await wantRunsOfDropped(db, 'changed');
  await sql`select want_runs(array(
    select b.no from changed c join report_row d on d.key_hash = c.key_hash and d.request_id = c.request_id and d.type = c.type
      join run_load l on l.load_no = d.load_no join batch b on b.current_run = l.run_no and b.merchant_no = c.merchant_no
     where (d.flags & 3) = 1 and (c.currency is distinct from d.currency or c.status <> 'SUCCESS'
                                  -- Of instalments the sum is compared.
                                  or (d.flags & 4) = 0 and c.amount_minor is distinct from abs(d.amount_minor))
       and not exists (select from discrepancy x where x.batch_no = b.no and x.closed_run is null and x.load_no = d.load_no and x.line = d.line
                          and x.referenced_ids is not null)
    union
    select b.no from changed c join batch b on b.merchant_no = c.merchant_no and b.batch_id is null
       and b.day between c.occurred_at::date - 1 and c.occurred_at::date + 1
      left join lateral (
        select l.rules->>'timeZone' as time_zone from run_load rl join load l on l.no = rl.load_no where rl.run_no = b.current_run limit 1) z on true
     where c.status = 'SUCCESS' and b.day >= (select max(coalesce(settlement_date, day)) - 130 from batch l where l.merchant_no = c.merchant_no)
       and (z.time_zone is null or (c.occurred_at at time zone z.time_zone)::date = b.day)
       and not exists (select from report_row d join run_load l on l.load_no = d.load_no join batch o on o.current_run = l.run_no
                        where d.key_hash = c.key_hash and d.request_id = c.request_id and d.type = c.type and o.merchant_no = c.merchant_no)
       and not exists (select from discrepancy x where x.batch_no = b.no and x.closed_run is null and x.request_id = c.request_id
                          and x.referenced_ids is not null)
    union
    select b.no from changed c
      join lateral (select s.total, sum(s.amount_minor) as minor, sum(greatest(s.amount_minor, 0)) as added_minor, count(*) as shares,
                           max(s.flags >> 4) as instalments, min(s.run_no) as run_no
                      from run_allocation s where s.merchant_no = c.merchant_no and s.key_hash = c.key_hash and s.request_id = c.request_id
                       and s.currency = c.currency and coalesce(s.record_type, c.type) = c.type group by s.total) f on true
      join batch b on b.current_run = f.run_no
     where case f.total when 'instalments' then f.minor > c.amount_minor or f.shares >= f.instalments and f.minor < c.amount_minor
                      else c.type in ('PAYMENT', 'CAPTURE', 'AUTHORIZATION') and f.added_minor > c.amount_minor end
       and not exists (select from discrepancy x where x.closed_run is null and x.is_cross_batch and x.request_id = c.request_id
                          and x.kind in ('over_refunded', 'over_captured', 'amount_mismatch'))),
    'records')`.execute(db);
}
