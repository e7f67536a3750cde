import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';

/** `facts`: what its rows added up to when they were first read. */
export type DroppedRows = NonNullable<Awaited<ReturnType<typeof claimDropped>>>;

/** Locks a load whose rows were dropped, against whoever else reads them again or removes what is left of them. Null: they are there. */
export async function claimDropped(db: Db, loadNo: number) {
  const found = await db
    .selectFrom('load as l')
    .innerJoin('delivery as d', 'd.no', 'l.delivery_no')
    .select(['l.slot', 'l.archive_path as archivePath', 'd.file', 'l.facts'])
    .where('l.no', '=', loadNo)
    .where('l.rows_dropped_at', 'is not', null)
    .where('l.state', '=', 'closed')
    .forNoKeyUpdate('l')
    .executeTakeFirst();
  return found ? { ...found, facts: found.facts! } : null;
}

/** What nobody had removed yet. */
export async function removeLeft(db: Db, loadNo: number, { slot }: Pick<DroppedRows, 'slot'>): Promise<void> {
  if (slot > 0) await sql`drop table if exists ${sql.ref(`report_row_${slot}`)}`.execute(db);
  else await sql`delete from report_row where slot = ${sql.raw(String(slot))} and load_no = ${loadNo}`.execute(db);
  await db.deleteFrom('row_finding').where('load_no', '=', loadNo).execute();
}

/** The rows are there again, for all who read them. */
export async function markRestored(db: Db, loadNo: number, nowMs: number): Promise<void> {
  const now = new Date(nowMs);
  await db.updateTable('load').set({ rows_dropped_at: null }).where('no', '=', loadNo).execute();
  await db
    .updateTable('dropped')
    .set((dropped) => ({ restored_at: now, gone_at: dropped.fn.coalesce('gone_at', sql<Date>`${now}::timestamptz`) }))
    .where('load_no', '=', loadNo)
    .where('restored_at', 'is', null)
    .execute();
}

/** Nobody waits for this load any more. Returns the batches that wait for none now, and can be reconciled. */
export async function releaseWaiting(db: Db, loadNo: number) {
  const waiting = await db.deleteFrom('wanted_rows').where('load_no', '=', loadNo).returning('batch_no').execute();
  return db
    .selectFrom('batch as b')
    .select(['b.no as batchNo', 'b.wanted', 'b.attempts as attempt'])
    .where('b.no', '=', anyOf(waiting.map(({ batch_no }) => batch_no)))
    .whereRef('b.done', '<', 'b.wanted')
    .where('b.parked_reason', 'is', null)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('wanted_rows as w').select('w.load_no').whereRef('w.batch_no', '=', 'b.no'))),
    )
    .execute();
}
