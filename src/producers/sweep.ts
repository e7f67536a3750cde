import { sql } from 'kysely';
import { type Database, inTransaction, onOneConnection } from '../adapters/postgres.ts';
import { closeLoad, type Enqueue, ingestReport, loadChunk, reconcile } from '../jobs.ts';

/**
 * Asks again for everything that is recorded and not done. The queue ignores what it still holds, so only what it lost, or what
 * failed and is due for another try, starts again.
 */
export async function sweep({
  database,
  enqueue,
  now = Date.now,
}: {
  database: Database;
  enqueue: Enqueue;
  now?: () => number;
}): Promise<void> {
  const { db } = database;
  // What was waited for may have come or not: that the time is over is news for the batch.
  await sql`update batch set wanted = wanted + 1, waiting_until = null
    where waiting_until <= timestamptz 'epoch' + ${now()}::int8 * interval '1 millisecond'`.execute(db);
  const deliveries = await sql<{ deliveryNo: number; attempt: number }>`
    select d.no as "deliveryNo", d.attempts as attempt from delivery d
     where d.state in ('found', 'reading') and d.parked_reason is null and coalesce(d.next_attempt_at, now()) <= now()
       and not exists (select from delivery e where e.report_no = d.report_no and e.no < d.no and e.state in ('found', 'reading')
                          and e.parked_reason is null)
       and not exists (select from load l where l.delivery_no = d.no and l.state in ('reading', 'loaded') and l.chunks is not null)
     order by d.no limit 10000`.execute(db);
  for (const delivery of deliveries.rows) await enqueue(ingestReport, delivery);

  const chunks = await sql<{ loadNo: number; chunk: number; attempt: number }>`
    select c.load_no as "loadNo", c.no as chunk, c.attempts as attempt
      from load l join chunk c on c.load_no = l.no and c.state <> 'loaded' join delivery d on d.no = l.delivery_no
     where l.state = 'reading' and l.chunks is not null and d.parked_reason is null and coalesce(d.next_attempt_at, now()) <= now()
     order by c.load_no, c.no limit 10000`.execute(db);
  for (const chunk of chunks.rows) await enqueue(loadChunk, chunk);

  const loads = await sql<{ loadNo: number }>`
    select l.no as "loadNo" from load l join delivery d on d.no = l.delivery_no
     where d.parked_reason is null and (l.state = 'loaded' or (
       l.state = 'reading' and l.chunks = (select count(*) from chunk c where c.load_no = l.no and c.state = 'loaded')))`.execute(
    db,
  );
  for (const load of loads.rows) await enqueue(closeLoad, load);

  const batches = await sql<{ batchNo: number; wanted: number; attempt: number }>`
    select b.no as "batchNo", b.wanted, b.attempts as attempt from batch b
     where b.done < b.wanted and b.parked_reason is null and coalesce(b.next_attempt_at, now()) <= now()
       and not exists (select from delivery d join report r on r.no = d.report_no
                        where r.batch_no = b.no and d.state in ('found', 'reading') and d.parked_reason is null)
     order by b.no limit 10000`.execute(db);
  for (const batch of batches.rows) await enqueue(reconcile, batch);

  await dropAbandoned(database);
}

/** Tables of loads that another attempt replaced. */
async function dropAbandoned(database: Database): Promise<void> {
  const abandoned = await sql<{ no: number; slot: number }>`
    select no, slot from load where state = 'abandoned' order by no limit 100`.execute(database.db);
  for (const { no, slot } of abandoned.rows) {
    try {
      await dropLoad(database, no, slot);
    } catch (error) {
      // Somebody stopped still holds it, or another sweep drops it: the next sweep tries again.
      const { code } = error as { code?: string };
      if (code !== '55P03' && code !== '40P01') throw error;
    }
  }
}

const dropLoad = (database: Database, no: number, slot: number) =>
  onOneConnection(database, (db) =>
    inTransaction(db, async () => {
      await sql`set local lock_timeout = '1s'`.execute(db);
      const mine = await sql`select from load where no = ${no} and state = 'abandoned' for update`.execute(db);
      if (mine.rows.length === 0) return;
      if (slot > 0) await sql`drop table if exists ${sql.ref(`report_row_${slot}`)}`.execute(db);
      else await sql`delete from report_row where slot = ${slot} and load_no = ${no}`.execute(db);
      await sql`delete from row_finding where load_no = ${no}`.execute(db);
      await sql`delete from summary_row where load_no = ${no}`.execute(db);
      await sql`delete from chunk where load_no = ${no}`.execute(db);
      await sql`update load set state = 'dropped' where no = ${no}`.execute(db);
    }),
  );
