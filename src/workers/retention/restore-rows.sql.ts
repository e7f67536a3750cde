import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Facts } from '../../domain/report/facts.ts';

export type DroppedRows = {
  readonly slot: number;
  readonly archivePath: string;
  readonly file: string;
  /** What its rows added up to when they were first read. */
  readonly facts: Facts;
};

/** Locks a load whose rows were dropped, against whoever else reads them again or removes what is left of them. Null: they are there. */
export async function claimDropped(db: Db, loadNo: number): Promise<DroppedRows | null> {
  const found = await sql<DroppedRows>`
    select l.slot, l.archive_path as "archivePath", d.file, l.facts from load l join delivery d on d.no = l.delivery_no
     where l.no = ${loadNo} and l.rows_dropped_at is not null and l.state = 'closed' for no key update of l`.execute(
    db,
  );
  return found.rows[0] ?? null;
}

/** What nobody had removed yet. */
export async function removeLeft(db: Db, loadNo: number, { slot }: Pick<DroppedRows, 'slot'>): Promise<void> {
  if (slot > 0) await sql`drop table if exists ${sql.ref(`report_row_${slot}`)}`.execute(db);
  else await sql`delete from report_row where slot = ${sql.raw(String(slot))} and load_no = ${loadNo}`.execute(db);
  await sql`delete from row_finding where load_no = ${loadNo}`.execute(db);
}

/** The rows are there again, for all who read them. */
export async function markRestored(db: Db, loadNo: number, nowMs: number): Promise<void> {
  const now = sql`timestamptz 'epoch' + ${nowMs}::int8 * interval '1 millisecond'`;
  await sql`update load set rows_dropped_at = null where no = ${loadNo}`.execute(db);
  await sql`update dropped set restored_at = ${now}, gone_at = coalesce(gone_at, ${now})
    where load_no = ${loadNo} and restored_at is null`.execute(db);
}

/** Nobody waits for this load any more. Returns the batches that wait for none now, and can be reconciled. */
export async function releaseWaiting(db: Db, loadNo: number) {
  const waiting = await sql<{ batchNo: number }>`
    delete from wanted_rows where load_no = ${loadNo} returning batch_no as "batchNo"`.execute(db);
  const found = await sql<{ batchNo: number; wanted: number; attempt: number }>`
    select no as "batchNo", wanted, attempts as attempt from batch b
     where no = any(${waiting.rows.map(({ batchNo }) => batchNo)}::int[]) and done < wanted and parked_reason is null
       and not exists (select from wanted_rows w where w.batch_no = b.no)`.execute(db);
  return found.rows;
}
