import type { Db } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { type Enqueue, restoreRows } from '../../jobs.ts';
import type { BatchRow } from '../../store/batches.ts';
import type { ReadLoad } from '../../store/loads.ts';
import * as query from './dropped-rows.sql.ts';

/** So far apart a key counts as settled twice: `domain/settled.ts`. */
const LOOKBACK_DAYS = 120;

/** A run needs rows that were dropped because they are old: nothing is published before they are there again. */
export class RowsNeeded extends Error {
  override readonly name = 'RowsDropped';
  readonly loads: readonly query.DroppedLoad[];

  constructor(loads: readonly query.DroppedLoad[]) {
    super(`retention dropped rows that are needed: ${whichOf(loads)}`);
    this.loads = loads;
  }
}

/** What a run looked for among the rows of other batches. */
export type LookedFor = {
  readonly batch: BatchRow;
  readonly details: readonly ReadLoad[];
  readonly settlementDate: string | null;
};

/**
 * The rows of the batch itself have to be there, and where its reports have other contents now those of before.
 * @throws RowsDropped
 */
export async function requireOwnRows(db: Db, batch: BatchRow, details: readonly ReadLoad[]): Promise<void> {
  const own = await query.droppedAmong(
    db,
    details.map(({ loadNo }) => loadNo),
  );
  requireNone([...own, ...(await query.droppedBefore(db, batch.currentRun))]);
}

/**
 * Whether something that was looked for in vain among the rows that are there stands in rows that were dropped, after this number.
 * Those that were dropped leave their ids behind; so what is not among these is nowhere.
 * @throws RowsDropped
 */
export async function requireOtherRows(
  db: Db,
  { batch, details, settlementDate }: LookedFor,
  after = 0n,
): Promise<void> {
  const others = { merchantNo: batch.merchantNo, batchNo: batch.no, after };
  if (!(await query.hasOthersDropped(db, others))) return;
  requireNone(
    await query.lookedForIn(db, others, {
      day: batch.batchId === null ? batch.day : null,
      details,
      settlementDate,
      lookbackDays: LOOKBACK_DAYS,
    }),
  );
}

function requireNone(loads: readonly query.DroppedLoad[]): void {
  if (loads.length > 0) throw new RowsNeeded(loads);
}

/**
 * The batch waits for these rows, which are read again from the archive. Where their copy was dropped too it is parked and says
 * why, for nobody can tell its result rightly. Done twice, nothing is asked for twice.
 */
export async function requestRows(db: Db, enqueue: Enqueue, batchNo: number, { loads }: RowsNeeded): Promise<void> {
  const nos = loads.map(({ loadNo }) => loadNo);
  const lost = loads.filter(({ fileDroppedAt }) => fileDroppedAt !== null);
  await inTransaction(db, async () => {
    await query.requestRowsOf(db, batchNo, nos);
    if (lost.length > 0) await query.parkBatch(db, batchNo, describeLost(lost));
  });
  if (lost.length > 0) return;
  for (const job of await query.attemptsAt(db, nos)) await enqueue(restoreRows, job);
}

const describeLost = (loads: readonly query.DroppedLoad[]): string =>
  `retention dropped rows that are needed, and their archived copies: ${whichOf(loads)}. Deliver the files again, under their names.`;

function whichOf(loads: readonly query.DroppedLoad[]): string {
  const named = loads.slice(0, 3).map(({ file, batch, rowsDroppedAt, fileDroppedAt }) => {
    const on = (fileDroppedAt ?? rowsDroppedAt).toISOString().slice(0, 10);
    return `${file} of ${batch} (on ${on})`;
  });
  return `${named.join(', ')}${loads.length > named.length ? ` and ${loads.length - named.length} more` : ''}`;
}
