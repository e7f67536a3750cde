import { type Client, type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { compareText } from '../../domain/discrepancy.ts';
import { addFacts, type Facts } from '../../domain/report/facts.ts';
import { type Enqueue, type RestoreRowsJob, reconcile } from '../../jobs.ts';
import { attachRowTable, createRowTable, indexRowTable } from '../../store/row-tables.ts';
import { claimTask } from '../fencing.ts';
import { copyRows } from '../load/chunk-parser.ts';
import { chunksOf } from '../load/load-chunk.sql.ts';
import * as query from './restore-rows.sql.ts';

type Context = {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly now: () => number;
};

/**
 * Reads the rows of a load again that were dropped, from the archived copy, under the rules that they were first read under: they
 * are the same rows, under the same number. All in one transaction: killed in the middle, or run twice, nothing is there twice.
 */
export async function restoreRows({ database, enqueue, now }: Context, { loadNo }: RestoreRowsJob): Promise<void> {
  const released = await onOneConnection(database, async (db, client) => {
    await claimTask(db, `restore-rows ${loadNo}`);
    return inTransaction(db, async () => {
      const dropped = await query.claimDropped(db, loadNo);
      if (dropped) await readAgain(db, client, loadNo, dropped, now());
      return query.releaseWaiting(db, loadNo);
    });
  });
  for (const batch of released) await enqueue(reconcile, batch);
}

async function readAgain(
  db: Db,
  client: Client,
  loadNo: number,
  dropped: query.DroppedRows,
  nowMs: number,
): Promise<void> {
  const { slot, archivePath, file } = dropped;
  await query.removeLeft(db, loadNo, dropped);
  await createRowTable(db, slot);
  const read = [];
  for (const chunk of await chunksOf(db, loadNo)) read.push((await copyRows(db, client, chunk)).toFacts());
  if (saidBy(addFacts(read)) !== saidBy(dropped.facts))
    throw new Error(`${file}, read again from ${archivePath}, adds up to something else than before: replay it`);
  await indexRowTable(db, slot);
  await attachRowTable(db, slot);
  await query.markRestored(db, loadNo, nowMs);
}

/**
 * What a load says, to be compared. That the bytes are the same was checked while they were read; a program that is newer may keep
 * more of a row than the one before did, so that the hash of the rows says nothing.
 */
const saidBy = ({ rows, refusedRows, types }: Facts): string =>
  JSON.stringify([
    rows,
    refusedRows,
    Object.entries(types)
      .sort(([a], [b]) => compareText(a, b))
      .map(([type, { count, settlementMinor, feeMinor }]) => [type, count, settlementMinor, feeMinor]),
  ]);
