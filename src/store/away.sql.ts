import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';

/**
 * What cannot be reached, as the book knows it: whoever finds that a source or the archive is away writes it down, and nobody
 * else tries before its time. It is no fault of the reports that wait for it.
 */
export type AwayRow = {
  readonly what: What;
  readonly reason: string;
  readonly since: Date;
  readonly isDue: boolean;
  readonly needsBytes: bigint | null;
  /** A look at the archive said so, too. */
  readonly isSeen: boolean;
  readonly isTold: boolean;
};

export type What = 'archive' | `source ${string}`;

/** The source's name; null where it is the archive. */
export const sourceIn = (what: What): string | null => (what === 'archive' ? null : what.slice('source '.length));

/** An account is locked by who asks too often: only the round that looks for reports asks earlier, and less and less often. */
const LOGIN_PAUSE_MS = 15 * 60_000;

/** Writes down that it is away. The pause before the next try grows to a minute. True: nobody knew it. */
export async function recordAway(
  db: Db,
  what: What,
  found: {
    readonly reason: string;
    readonly isLogin?: boolean;
    readonly needsBytes?: number | null;
    readonly isSeen?: boolean;
  },
): Promise<boolean> {
  const { reason, isLogin = false, needsBytes = null, isSeen = false } = found;
  // As long as for a job that failed: see retryDelayMs. Several that fail at the same moment count once.
  const tries = sql`(a.tries + case when a.failed_at < now() - interval '0.2 seconds' then 1 else 0 end)`;
  const pauseAfter = (tries: unknown) =>
    isLogin ? sql`${LOGIN_PAUSE_MS}::float8` : sql`least(60000, 125 * 2 ^ least(${tries}, 10)) * (0.75 + random() / 2)`;
  const made = await sql<{ isNew: boolean }>`
    insert into away as a (what, reason, next_try_at, needs_bytes, is_seen)
    values (${what}, ${reason.slice(0, 2_000)}, now() + ${pauseAfter(sql`1`)} * interval '1 millisecond', ${needsBytes}::bigint, ${isSeen})
    on conflict (what) do update set reason = excluded.reason, tries = ${tries}, failed_at = now(), needs_bytes = excluded.needs_bytes,
           is_seen = excluded.is_seen, next_try_at = now() + ${pauseAfter(tries)} * interval '1 millisecond'
    returning a.tries = 1 and a.since = a.failed_at as "isNew"`.execute(db);
  return made.rows[0]!.isNew;
}

/** It answers again. For how many seconds it was away; null where nobody knew. */
export async function clearAway(db: Db, what: What): Promise<number | null> {
  const gone = await db
    .deleteFrom('away')
    .where('what', '=', what)
    .returning(sql<number>`extract(epoch from now() - since)::float8`.as('seconds'))
    .executeTakeFirst();
  return gone?.seconds ?? null;
}

export async function whatIsAway(db: Db): Promise<AwayRow[]> {
  return db
    .selectFrom('away')
    .select(['what', 'reason', 'since', 'needs_bytes as needsBytes', 'is_seen as isSeen', 'is_told as isTold'])
    .select(sql<boolean>`next_try_at <= now()`.as('isDue'))
    .orderBy('what')
    .execute();
}

/** A try may take so long; then another may be made. */
const TRY = sql`interval '1 minute'`;

/**
 * Whether something that needs all of these may be done now. Where one of them is away and its next try is due, whoever asks first
 * makes it.
 */
export async function mayTry(db: Db, needs: readonly What[]): Promise<boolean> {
  const found = await sql<{ isAllowed: boolean }>`
    with mine as (update away set next_try_at = now() + ${TRY} where what = any(${[...needs]}::text[]) and next_try_at <= now() returning what)
    select not exists (select from away where what = any(${[...needs]}::text[]) and what not in (select what from mine)) as "isAllowed"`.execute(
    db,
  );
  return found.rows[0]!.isAllowed;
}

/** Whoever calls now is asked to wait for nothing that was tried before. */
export const tryAllNow = (db: Db) =>
  db.updateTable('away').set({ next_try_at: sql`now()` }).where('next_try_at', '>', sql<Date>`now()`).execute();

/** Those deliveries `d` that wait for nothing that is away, or are the first to try it again. */
export const NOT_HELD = sql`(not exists (select from away) or away_reason(d) is null or d.no in (select no from away_probe))`;

/** A delivery `d` waits for what is away. */
export const IS_HELD = sql`(exists (select from away) and away_reason(d) is not null)`;

/** So long a call that ends when its work is done waits for what is away; the standing service waits for ever. */
export const PATIENCE_MS = 15_000;

/** A call that began then has waited long enough for what a delivery `d` needs. */
export const isLeft = (startedAtMs: number) =>
  Date.now() - startedAtMs < PATIENCE_MS
    ? sql`false`
    : sql`(not exists (select from away where since > now() - ${PATIENCE_MS} * interval '1 millisecond') and ${IS_HELD})`;

/** The batches of files that wait for this are asked for a run, which says so: those that have a result, and days. */
export const tellBatches = (db: Db, what: What) =>
  sql`with told as (update away set is_told = true where what = ${what} and not is_told returning what),
       held as (
         select distinct b.no from told, delivery d join report r on r.no = d.report_no join batch b on b.no = r.batch_no
          where d.state in ('found', 'reading') and d.parked_reason is null and away_reason(d) is not null
            and (b.current_run is not null or b.batch_id is null))
      select want_runs(array(select no from held), 'report') where exists (select from held)`.execute(db);
