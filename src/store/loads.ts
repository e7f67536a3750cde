import { type RawBuilder, sql } from 'kysely';
import { columns, type RowOf } from '../adapters/postgres/columns.ts';
import type { Db } from '../adapters/postgres/connection.ts';

/** A load that a run reads, in the order of its parts. */
export type ReadLoad = { readonly loadNo: number; readonly slot: number };

/** Rows of these loads. Numbers stand in the text, so that Postgres leaves out all other partitions when it plans. */
export const rowsOf = (loads: readonly ReadLoad[]): RawBuilder<unknown> =>
  loads.length === 0
    ? sql`(select * from report_row where false)`
    : sql`(select * from report_row where slot in (${sql.raw([...new Set(loads.map((load) => load.slot))].join(', '))})
        and load_no in (${sql.raw(loads.map((load) => load.loadNo).join(', '))}))`;

/** The place of a load among the parts of its batch. */
export const partOf = (loads: readonly ReadLoad[], column: string): RawBuilder<number> =>
  sql`array_position(array[${sql.raw(loads.map((load) => load.loadNo).join(', ') || '0')}]::int[], ${sql.ref(column)})`;

/** From so many rows on the merchant's records are read as a whole rather than one by one. */
export const LARGE_ROWS = 20_000;

const LOAD = columns('load as l', ['no as loadNo', 'slot']);
const ITS_BATCH = columns('batch as b', ['no as batchNo', 'day', 'settlement_date']);

/** What is read of other batches of the merchant right now. Rows that were dropped are not there: `dropped.ts` says whether they are needed. */
export async function currentLoadsOf(
  db: Db,
  merchantNo: number,
  exceptBatchNo: number,
): Promise<(RowOf<typeof LOAD> & RowOf<typeof ITS_BATCH> & { readonly isSettlement: boolean })[]> {
  const found = await sql<RowOf<typeof LOAD> & RowOf<typeof ITS_BATCH> & { readonly isSettlement: boolean }>`
    select ${LOAD}, ${ITS_BATCH}, b.batch_id is not null as "isSettlement"
      from batch b join run_load rl on rl.run_no = b.current_run join load l on l.no = rl.load_no join report r on r.no = l.report_no
     where b.merchant_no = ${merchantNo} and b.no <> ${exceptBatchNo} and r.kind <> 'settlementSummary' and l.rows_dropped_at is null`.execute(
    db,
  );
  return found.rows;
}
