import { sql } from 'kysely';
import type { Db } from '../adapters/postgres.ts';

/**
 * Wants a new run of the batches and days that held one of these records in rows which were dropped: the ids that such rows leave
 * behind say so. `table` has merchant_no, key_hash and occurred_at.
 */
export const wantRunsOfDropped = (db: Db, table: 'changed_record' | 'changed'): Promise<unknown> =>
  // A record is reported or settled on its day at the earliest, by whichever clock: mostly nothing so late is dropped.
  sql`
    select want_runs(array(
      select distinct b.no
        from load l join report r on r.no = l.report_no join batch b on b.no = r.batch_no
        join run_load rl on rl.load_no = l.no and rl.run_no = b.current_run
        join dropped_ids k on k.load_no = l.no cross join lateral unnest(k.ids) i(id)
        join ${sql.ref(table)} c on c.merchant_no = b.merchant_no and c.key_hash = i.id
       where l.rows_dropped_at is not null
         and coalesce(b.settlement_date, b.day, 'infinity') >= (select min(occurred_at)::date - 2 from ${sql.ref(table)})),
      'records')`.execute(db);
