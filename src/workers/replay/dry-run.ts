import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { lockBatches, requestRuns } from '../../store/batches.ts';
import type { Schedule } from '../context.ts';
import * as closing from '../load/close-load.sql.ts';
import { closeLocked } from '../load/close-load.ts';
import { reconcileInside } from '../reconcile/reconcile.ts';

/** What was not committed because others wrote to the same rows: tried again, it may be. */
const CLASHES = ['40001', '40P01', '55P03'];
const TRIES = 5;

/**
 * Does all that the replay of these dry deliveries would do, once they are loaded: closes them, reconciles and publishes every
 * batch that they touch, in one transaction. `look` sees the book as it would be; then everything is rolled back.
 * Others wait meanwhile before they publish for the same merchants.
 */
export async function tryOut<T>(
  db: Db,
  {
    interventionNo,
    deliveryNos,
    merchantNos,
    parkedNos,
    ...standing
  }: {
    interventionNo: number;
    deliveryNos: readonly number[];
    merchantNos: readonly number[];
    /** Batches that were given up. */
    parkedNos: readonly number[];
  } & Schedule,
  look: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    // Taken before the snapshot, so that it shows everything that was published. In order, so that two do not block each other.
    for (const no of [...merchantNos].sort((a, b) => a - b))
      await sql`select pg_advisory_lock(7355609, ${no})`.execute(db);
    try {
      return await rolledBack(db, async () => {
        for (const no of deliveryNos) await end(db, no);
        await requestRuns(db, parkedNos, 'replay', interventionNo);
        await reconcileWanted(db, interventionNo, standing);
        return look();
      });
    } catch (error) {
      if (tries === TRIES || !CLASHES.includes((error as { code?: string }).code ?? '')) throw error;
    } finally {
      for (const no of merchantNos) await sql`select pg_advisory_unlock(7355609, ${no})`.execute(db);
    }
  }
}

class RolledBack<T> {
  readonly result: T;
  constructor(result: T) {
    this.result = result;
  }
}

async function rolledBack<T>(db: Db, work: () => Promise<T>): Promise<T> {
  try {
    return await inTransaction(
      db,
      async () => {
        throw new RolledBack(await work());
      },
      'repeatable read',
    );
  } catch (thrown) {
    if (thrown instanceof RolledBack) return thrown.result as T;
    throw thrown;
  }
}

/** A dry delivery ends as it would in earnest. */
async function end(db: Db, deliveryNo: number): Promise<void> {
  const found = await sql<{
    epoch: number;
    batchNo: number;
    code: string | null;
    message: string | null;
    loadNo: number | null;
  }>`
    update delivery d set state = 'reading' from report r
     where d.no = ${deliveryNo} and d.state = 'dry' and r.no = d.report_no
    returning d.epoch, r.batch_no as "batchNo", d.error_code as code, d.error_message as message,
              (select l.no from load l where l.delivery_no = d.no and l.state = 'loaded') as "loadNo"`.execute(db);
  const [delivery] = found.rows;
  if (!delivery) return;
  await lockBatches(db, [delivery.batchNo]);
  if (delivery.loadNo !== null) {
    await closeLocked(db, await closing.loadToClose(db, delivery.loadNo));
  } else if (delivery.code !== null) {
    const state = delivery.code === 'no_end' ? ('waiting' as const) : ('refused' as const);
    const { code, message } = delivery;
    await closing.endDelivery(db, { no: deliveryNo, ...delivery }, { state, code, message, revision: null });
  }
}

/** Batch after batch, those too that another one asked for. */
async function reconcileWanted(db: Db, interventionNo: number, standing: Schedule): Promise<void> {
  for (;;) {
    const batch = await db
      .selectFrom('batch as b')
      .innerJoin('run_cause as c', 'c.batch_no', 'b.no')
      .select('b.no')
      .where('c.intervention_no', '=', interventionNo)
      .whereRef('b.done', '<', 'b.wanted')
      .where('b.parked_reason', 'is', null)
      .orderBy('b.no')
      .limit(1)
      .executeTakeFirst();
    if (!batch) return;
    await reconcileInside(db, batch.no, standing);
  }
}
