import { sql } from 'kysely';
import { anyOf, columns, type RowOf } from '../../adapters/postgres/columns.ts';
import { type Database, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import {
  closeLoad,
  type Enqueue,
  ingestReport,
  type JobKind,
  loadChunk,
  MAX_ATTEMPTS,
  matchPayouts,
  readStatements,
  reconcile,
  restoreRows,
} from '../../jobs.ts';
import { IS_HELD, NOT_HELD } from '../../store/away.sql.ts';
import { dueMatching, unreadFiles } from '../../store/bank/matching.ts';
import { DRY_RUN_LOCK } from '../interventions/dry-run.sql.ts';
import { checkRecords } from '../records/changed-records.ts';

export type Asking = {
  readonly database: Database;
  readonly enqueue: Enqueue;
  /** How many jobs of a kind wait in the queue or are under way. */
  readonly held?: ((job: { readonly name: string }) => Promise<number>) | undefined;
};

/**
 * Asks again for everything that is recorded and not done. The queue ignores what it still holds, so only what it lost, or what
 * failed and is due for another try, starts again. Where as many jobs of a kind are `held` as are to be done nothing was lost,
 * and ten thousand files that wait are not offered to the queue again and again.
 */
export async function sweep({
  database,
  enqueue,
  held,
  now = Date.now,
  stop,
}: Asking & {
  now?: () => number;
  /** What takes long is left then. */
  stop?: AbortSignal;
}): Promise<void> {
  const { db } = database;
  // Where the merchant's relation cannot be read, everything else goes on all the same.
  const unread = await checkRecords({ database, now, stop }).then(
    () => null,
    (error: Error) => error,
  );
  // What was waited for may have come or not: that the time is over is news for the batch.
  await sql`
    with due as (
      update batch set wanted = wanted + 1, waiting_until = null
       where waiting_until <= timestamptz 'epoch' + ${now()}::int8 * interval '1 millisecond' returning no, wanted)
    insert into run_cause (batch_no, wanted, cause) select no, wanted, 'calendar' from due`.execute(db);
  await askAgain({ database, enqueue, held });

  await endDryRuns(database);
  await abandonReplaced(database);
  await dropAbandoned(database);
  await sql`delete from delivery d where d.state = 'over' and not exists (select from load l where l.delivery_no = d.no)`.execute(
    db,
  );
  if (unread && !stop?.aborted) throw unread;
}

const DELIVERY = columns('delivery as d', ['no as deliveryNo', 'attempts as attempt']);
const CHUNK = columns('chunk as c', ['load_no', 'no as chunk', 'attempts as attempt']);
const BATCH = columns('batch as b', ['no as batchNo', 'wanted', 'attempts as attempt']);

/** Asks the queue again for everything that can be done now. */
export async function askAgain({ database, enqueue, held = async () => 0 }: Asking): Promise<void> {
  const { db } = database;
  const ask = async <P>(job: JobKind<P>, payloads: readonly P[]) => {
    if (payloads.length === 0 || (await held(job)) >= payloads.length) return;
    for (const payload of payloads) await enqueue(job, payload);
  };
  const deliveries = await sql<RowOf<typeof DELIVERY>>`
    select ${DELIVERY} from delivery d
     where d.parked_reason is null and coalesce(d.next_attempt_at, now()) <= now() and ${NOT_HELD}
       and (d.state = 'dry' and d.error_code is null
            or d.state in ('found', 'reading')
               and not exists (select from delivery e where e.report_no = d.report_no and e.no < d.no and e.state in ('found', 'reading')
                                  and e.parked_reason is null))
       and not exists (select from load l where l.delivery_no = d.no and l.state in ('reading', 'loaded') and l.chunks is not null)
     order by d.no limit 10000`.execute(db);
  await ask(ingestReport, deliveries.rows);

  const chunks = await sql<RowOf<typeof CHUNK>>`
    select ${CHUNK}
      from load l join chunk c on c.load_no = l.no and c.state <> 'loaded' join delivery d on d.no = l.delivery_no
     where l.state = 'reading' and l.chunks is not null and d.parked_reason is null and coalesce(d.next_attempt_at, now()) <= now()
       and ${NOT_HELD}
     order by c.load_no, c.no limit 10000`.execute(db);
  await ask(loadChunk, chunks.rows);

  const loads = await sql<{ loadNo: number }>`
    select l.no as "loadNo" from load l join delivery d on d.no = l.delivery_no
     where d.parked_reason is null and (l.state = 'loaded' and d.state <> 'dry' or (
       l.state = 'reading' and l.chunks = (select count(*) from chunk c where c.load_no = l.no and c.state = 'loaded')))`.execute(
    db,
  );
  await ask(closeLoad, loads.rows);

  await releaseWaiting(database);
  const dropped = await sql<{ loadNo: number; attempt: number }>`
    select load_no as "loadNo", max(attempts) as attempt from ${TO_RESTORE} group by 1`.execute(db);
  await ask(restoreRows, dropped.rows);

  const batches = await sql<RowOf<typeof BATCH>>`
    select ${BATCH} from batch b
     where b.done < b.wanted and b.parked_reason is null and coalesce(b.next_attempt_at, now()) <= now()
       and not exists (select from delivery d join report r on r.no = d.report_no
                        where r.batch_no = b.no and d.state in ('found', 'reading') and d.parked_reason is null
                          and not ${IS_HELD})
       and not exists (select from ${TO_RESTORE} where w.batch_no = b.no)
     order by b.no limit 10000`.execute(db);
  await ask(reconcile, batches.rows);

  const files = await unreadFiles(db);
  await ask(readStatements, files);
  // What is still read or reconciled changes what they are matched with, and asks for it when it is done.
  const matching = files.length + batches.rows.length === 0 ? await dueMatching(db) : null;
  if (matching) await ask(matchPayouts, [matching]);
}

/** Rows that a batch waits for, where they can be read again and it was not tried too often. */
const TO_RESTORE = sql`(
  select w.* from wanted_rows w join load l on l.no = w.load_no
   where w.attempts < ${sql.lit(MAX_ATTEMPTS)} and not exists (select from dropped f where f.path = l.archive_path)) w`;

/**
 * Rows that a batch waits for are there again, or their report was read anew: it can be reconciled, also where it was given up
 * because nobody could read them.
 */
const releaseWaiting = ({ db }: Database) =>
  sql`with met as (
        delete from wanted_rows w using load l
         where l.no = w.load_no and (l.rows_dropped_at is null or l.state <> 'closed' or not (
           exists (select from report r where r.load_no = l.no)
           or exists (select from run_load rl join batch b on b.current_run = rl.run_no where rl.load_no = l.no)))
        returning w.batch_no)
      update batch set parked_reason = null, attempts = 0, next_attempt_at = null
       where no in (select batch_no from met) and done < wanted and parked_reason is not null`.execute(db);

/** Dry runs whose program is gone leave nothing behind. Whoever is at one holds its lock. */
async function endDryRuns({ db }: Database): Promise<void> {
  await sql`
    with left_behind as materialized (
      select intervention_no as no from (select distinct intervention_no from delivery where state = 'dry') d
       where pg_try_advisory_xact_lock(${DRY_RUN_LOCK}, intervention_no)),
    ended as (
      update delivery set state = 'over' where state = 'dry' and intervention_no in (select no from left_behind) returning no)
    update load set state = 'abandoned' where state in ('reading', 'loaded') and delivery_no in (select no from ended)`.execute(
    db,
  );
}

/** The same bytes were read again and count in place of these loads, and no current run reads them. Older contents stay. */
const abandonReplaced = ({ db }: Database) =>
  sql`update load l set state = 'abandoned' from report r
     where l.state = 'closed' and r.no = l.report_no and r.load_no <> l.no
       and exists (select from load n join delivery d on d.no = l.delivery_no join delivery e on e.no = n.delivery_no and e.revision = d.revision
                    where n.report_no = l.report_no and n.no > l.no and n.state = 'closed' and n.sha256 = l.sha256)
       and not exists (select from run_load rl join batch b on b.current_run = rl.run_no where rl.load_no = l.no)`.execute(
    db,
  );

/** The rows of loads that count no more, some at a time. */
async function dropAbandoned(database: Database): Promise<void> {
  const abandoned = await database.db
    .selectFrom('load')
    .select(['no', 'slot'])
    .where('state', '=', 'abandoned')
    .orderBy('no')
    .limit(100)
    .execute();
  let refusals = 0;
  // A month's table has to be read through once for all of them.
  for (const [slot, loads] of Map.groupBy(abandoned, (load) => load.slot)) {
    try {
      await dropLoads(
        database,
        slot,
        loads.map(({ no }) => no),
      );
    } catch (error) {
      // Somebody reads it, or somebody stopped still holds it, or another sweep drops it: the next sweep tries again.
      const { code } = error as { code?: string };
      if (code !== '55P03' && code !== '40P01') throw error;
      // Who reads rows waits behind whoever waits to drop some.
      refusals += 1;
      if (refusals === MOST_REFUSALS) return;
    }
  }
}

const MOST_REFUSALS = 3;

const dropLoads = (database: Database, slot: number, nos: readonly number[]) =>
  onOneConnection(database, (db) =>
    inTransaction(db, async () => {
      await sql`set local lock_timeout = '1s'`.execute(db);
      const mine = await db
        .selectFrom('load')
        .select('no')
        .where('no', '=', anyOf(nos))
        .where('state', '=', 'abandoned')
        .orderBy('no')
        .forUpdate()
        .execute();
      const loads = anyOf(mine.map(({ no }) => no));
      // The chunks first: who is still at one finds it gone, and what it wrote goes with it.
      await db.deleteFrom('chunk').where('load_no', '=', loads).execute();
      await db.deleteFrom('dropped_ids').where('load_no', '=', loads).execute();
      if (slot < 0) await sql`delete from report_row where slot = ${slot} and load_no = ${loads}`.execute(db);
      else if (mine.length > 0) await sql`drop table if exists ${sql.ref(`report_row_${slot}`)}`.execute(db);
      await db.deleteFrom('row_finding').where('load_no', '=', loads).execute();
      await db.deleteFrom('summary_row').where('load_no', '=', loads).execute();
      await db.updateTable('load').set({ state: 'deleted' }).where('no', '=', loads).execute();
      await sql`delete from load l using delivery d where l.no = ${loads} and d.no = l.delivery_no and d.state = 'over'`.execute(
        db,
      );
    }),
  );
