import { realpath, unlink } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import { sql } from 'kysely';
import { type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { lockMerchant } from '../../adapters/postgres/locks.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { SYSTEM } from '../../domain/audit.ts';
import type { Retention } from '../../domain/calendar/retention.ts';
import { recordAudit } from '../../store/audit.ts';
import * as query from './retain.sql.ts';

type Context = {
  readonly database: Database;
  readonly archiveDir: string;
  readonly now?: () => number;
  /** What is begun is ended, and nothing more is begun. */
  readonly stop?: AbortSignal;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
};

/** What one call does at most: the next one goes on. */
const BATCHES = 2_000;
const ROWS = 2_000_000;
const LOADS = 10_000;
const TEXTS = 5_000;
const FILES = 500;
/** So many tables go at once: each time that some do, all who read rows wait for a moment. */
const TABLES = 50;
/** Blocks of a month's table that one transaction looks through: 32 MB. */
const BLOCKS = 4_096;

/**
 * Drops what is older than it is to be kept, of batches that nothing more is expected of; runs, totals, discrepancies and their
 * history stay. All of it is written down before it is done, so that one that comes later, or after one that was killed, does
 * what is left; two at once do no harm. Returns whether there may be more to do.
 */
export async function retain(context: Context, retention: Retention): Promise<boolean> {
  const nowMs = (context.now ?? Date.now)();
  const { rowsMonths, rawTextMonths, archiveMonths } = retention;
  const isMore: boolean[] = [await removeRows(context, nowMs), await removeFiles(context, nowMs)];
  if (rowsMonths !== null) isMore.push(await dropRows(context, { months: rowsMonths, nowMs }));
  if (rawTextMonths !== null) isMore.push(await dropTexts(context, { months: rawTextMonths, nowMs }));
  if (archiveMonths !== null) isMore.push(await dropFiles(context, { months: archiveMonths, nowMs }));
  return isMore.some((one) => one);
}

/** First the ids of the rows are kept, then nobody reads them any more, then they go: each by itself, for the first takes longest. */
async function dropRows(context: Context, old: query.Old): Promise<boolean> {
  const { database, log } = context;
  const batches = await query.batchesWithOldRows(database.db, old, BATCHES);
  if (batches.length === 0) return false;
  const loads = someOf(
    await query.loadsWithRows(
      database.db,
      batches.map(({ batchNo }) => batchNo),
    ),
  );
  for (const [slot, ofSlot] of Map.groupBy(loads, (load) => load.slot))
    await short(context, (db) =>
      query.keepIds(
        db,
        slot,
        ofSlot.map(({ no }) => no),
      ),
    );
  const taken = new Set(loads.map(({ batchNo }) => batchNo));
  const dropped: query.OldLoad[] = [];
  for (const [merchantNo, ofMerchant] of Map.groupBy(batches, (batch) => batch.merchantNo)) {
    const batchNos = ofMerchant.map(({ batchNo }) => batchNo).filter((no) => taken.has(no));
    const marked = await short(context, async (db) => {
      await lockMerchant(db, merchantNo);
      const loads = await query.markRowsDropped(db, batchNos, old);
      const rows = loads.reduce((sum, load) => sum + load.rows, 0);
      if (loads.length > 0)
        await tell(db, `rows of ${new Set(loads.map((load) => load.batchNo)).size} batches`, {
          rows,
          months: old.months,
        });
      return loads;
    });
    dropped.push(...(marked ?? []));
  }
  if (dropped.length > 0) {
    const batchNos = new Set(dropped.map(({ batchNo }) => batchNo));
    const dates = batches.flatMap(({ batchNo, date }) => (batchNos.has(batchNo) && date !== null ? [date] : [])).sort();
    const rows = dropped.reduce((sum, { rows }) => sum + rows, 0);
    log.info(
      { batches: batchNos.size, rows, from: dates[0], to: dates.at(-1), months: old.months },
      'retention: dropped rows of old batches; their totals and discrepancies are kept',
    );
  }
  return (await removeRows(context, old.nowMs)) || dropped.length > 0;
}

/** Whole batches, up to so many rows; one at least. */
function someOf(loads: readonly query.OldLoad[]): query.OldLoad[] {
  const some: query.OldLoad[] = [];
  let rows = 0;
  for (const ofBatch of Map.groupBy(loads, ({ batchNo }) => batchNo).values()) {
    if (rows > ROWS) break;
    some.push(...ofBatch);
    rows += ofBatch.reduce((sum, load) => sum + load.rows, 0);
  }
  return some;
}

/** Removes rows that are marked as dropped. Whoever reads rows goes first. Returns whether some are left. */
async function removeRows(context: Context, nowMs: number): Promise<boolean> {
  const { database } = context;
  const left = await query.rowsToRemove(database.db, LOADS);
  const own = left.filter(({ slot }) => slot > 0);
  for (let from = 0; from < own.length; from += TABLES) {
    const some = own.slice(from, from + TABLES);
    // Who reads rows waits behind whoever waits to remove some: it is not tried with the others as well.
    if ((await short(context, (db) => removeTables(db, some, nowMs))) === null) return true;
  }
  let isLeft = left.length === LOADS;
  for (const [slot, loads] of Map.groupBy(left, ({ slot }) => slot)) {
    if (slot > 0) continue;
    const nos = loads.map(({ no }) => no);
    const isWhole = await short(context, (db) => removeMonth(db, slot, nos, nowMs));
    if (!isWhole && !(await removeFromMonth(context, slot, nos, nowMs))) isLeft = true;
  }
  return isLeft;
}

async function removeTables(db: Db, loads: readonly { no: number; slot: number }[], nowMs: number): Promise<true> {
  const mine = await query.takeForRemoval(
    db,
    loads.map(({ no }) => no),
  );
  if (mine.length > 0) {
    const slots = loads.filter(({ no }) => mine.includes(no)).map(({ slot }) => slot);
    await query.dropTables(
      db,
      slots.map((slot) => `report_row_${slot}`),
    );
    await query.markRowsGone(db, mine, nowMs);
  }
  return true;
}

/** A month's table of which nothing is kept goes as a whole. Returns whether it did. */
async function removeMonth(db: Db, slot: number, loadNos: readonly number[], nowMs: number): Promise<boolean> {
  await query.lockMonths(db);
  const mine = await query.takeForRemoval(db, loadNos);
  if (mine.length < loadNos.length || (await query.isInUse(db, slot))) return false;
  await query.dropTables(db, [monthTable(slot)]);
  await query.markRowsGone(db, mine, nowMs);
  return true;
}

/** Else its table is gone through in portions, so that nothing is locked for long. Returns whether all of it was. */
async function removeFromMonth(
  context: Context,
  slot: number,
  loadNos: readonly number[],
  nowMs: number,
): Promise<boolean> {
  const table = monthTable(slot);
  const blocks = await query.blocksOf(context.database.db, table);
  for (let from = 0; from < blocks; from += BLOCKS) {
    const isDone = await short(context, async (db) => {
      const mine = await query.takeForRemoval(db, loadNos);
      if (mine.length > 0) await query.deleteRows(db, table, { from, to: from + BLOCKS }, mine);
      return true;
    });
    if (!isDone) return false;
  }
  const isMarked = await short(context, async (db) => {
    await query.markRowsGone(db, await query.takeForRemoval(db, loadNos), nowMs);
    return true;
  });
  return isMarked ?? false;
}

const monthTable = (slot: number): string => `report_row_m${-slot}`;

async function dropTexts(context: Context, old: query.Old): Promise<boolean> {
  const { log } = context;
  const dropped = await short(context, async (db) => {
    const batches = await query.dropTexts(db, old, TEXTS);
    const texts = Number(batches.reduce((sum, { count }) => sum + count, 0n));
    if (texts > 0) await tell(db, `text of refused rows of ${batches.length} batches`, { texts, months: old.months });
    return batches;
  });
  if (dropped === null || dropped.length === 0) return false;
  const count = dropped.reduce((sum, { count }) => sum + count, 0n);
  log.info(
    { batches: dropped.length, texts: Number(count), months: old.months },
    'retention: dropped the text of refused rows of old batches',
  );
  return Number(count) === TEXTS;
}

async function dropFiles(context: Context, old: query.Old): Promise<boolean> {
  const { database, archiveDir, log } = context;
  const files = await query.oldFiles(database.db, old, archiveDir + sep, FILES);
  let dropped = 0;
  for (const [merchantNo, ofMerchant] of Map.groupBy(files, (file) => file.merchantNo)) {
    const marked = await short(context, async (db) => {
      await lockMerchant(db, merchantNo);
      const files = await query.markFilesDropped(db, ofMerchant, old);
      if (files > 0) await tell(db, 'archived files of old batches', { files, months: old.months });
      return files;
    });
    dropped += marked ?? 0;
  }
  if (dropped > 0) log.info({ files: dropped, months: old.months }, 'retention: dropped archived files of old batches');
  return (await removeFiles(context, old.nowMs)) || dropped > 0;
}

/** Removes archived files that are marked as dropped; none that lies elsewhere, whatever the book says. */
async function removeFiles({ database, archiveDir, log }: Context, nowMs: number): Promise<boolean> {
  const left = await query.filesToRemove(database.db, archiveDir + sep, FILES);
  for (const { no, path } of left) {
    if (await isBelow(archiveDir, path)) await unlink(path).catch(ignoreMissing);
    else log.warn({ file: path, archive: archiveDir }, 'retention: kept a file outside of the archive folder');
    await query.markFileGone(database.db, no, nowMs);
  }
  return left.length === FILES;
}

/** Links are followed, for one in the archive may lead out of it. What is in a directory that is gone is gone. */
async function isBelow(folder: string, path: string): Promise<boolean> {
  const root = await realpath(folder);
  const directory = await realpath(dirname(path)).catch(ignoreMissing);
  return directory === undefined || `${directory}${sep}`.startsWith(root + sep);
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

/** For the audit trail, as the last statement of the transaction. */
const tell = (db: Db, subject: string, after: object) =>
  recordAudit(db, { name: SYSTEM, via: 'retention' }, [{ what: 'retention', subject, after }]);

/** Somebody reads it, writes it or is at the same: they go first. */
const CLASHES = ['55P03', '40P01', '40001'];

/** A transaction that waits for nobody. Null: others were in the way, or it is time to stop. */
async function short<T>({ database, stop }: Context, work: (db: Db) => Promise<T>): Promise<T | null> {
  if (stop?.aborted) return null;
  return onOneConnection(database, async (db) => {
    try {
      return await inTransaction(db, async () => {
        await sql`set local lock_timeout = '1s'`.execute(db);
        return work(db);
      });
    } catch (error) {
      if (CLASHES.includes((error as { code?: string }).code ?? '')) return null;
      throw error;
    }
  });
}
