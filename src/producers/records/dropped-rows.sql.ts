import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { withoutNestedLoops } from '../../adapters/postgres/transactions.ts';

/**
 * Wants a new run of the batches and days that held one of these records in rows which were dropped: the ids that such rows leave
 * behind say so. `table` has merchant_no, key_hash and occurred_at.
 */
export async function wantRunsOfDropped(db: Db, table: 'changed_record' | 'changed'): Promise<void> {
  // A record is reported or settled on its day at the earliest, by whichever clock: mostly nothing so late is dropped.
  const dropped = await sql<{ no: number }>`
    select l.no from load l join report r on r.no = l.report_no join batch b on b.no = r.batch_no
      join run_load rl on rl.load_no = l.no and rl.run_no = b.current_run
     where l.rows_dropped_at is not null
       and coalesce(b.settlement_date, b.day, 'infinity') >= (select min(occurred_at)::date - 2 from ${sql.ref(table)})`.execute(
    db,
  );
  if (dropped.rows.length === 0) return;
  // Nobody knows how many ids an array holds, and millions must not be looked up one by one.
  await withoutNestedLoops(db, () =>
    sql`
    select want_runs(array(
      select distinct b.no from (select load_no, unnest(ids) as id from dropped_ids where load_no = any(${dropped.rows.map(({ no }) => no)}::int[])) k
        join load l on l.no = k.load_no join report r on r.no = l.report_no join batch b on b.no = r.batch_no
        join ${sql.ref(table)} c on c.merchant_no = b.merchant_no and c.key_hash = k.id), 'records')`.execute(db),
  );
}
