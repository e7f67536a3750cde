import { type Database, inTransaction, onOneConnection } from '../adapters/postgres.ts';
import { ReportRefused } from '../domain/errors.ts';
import { addFacts } from '../domain/facts.ts';
import { type CloseLoadJob, type Enqueue, ingestReport, reconcile } from '../jobs.ts';
import * as query from './ingest-report.sql.ts';
import { takeOver } from './take.ts';

type Context = { readonly database: Database; readonly enqueue: Enqueue };

/**
 * Closes a load whose chunks are all loaded: its rows become part of the book and its batch wants a run. The index is built
 * afterwards, beside that run. Run twice, the second finds everything done.
 */
export async function closeLoad(context: Context, { loadNo }: CloseLoadJob): Promise<void> {
  await onOneConnection(context.database, async (db) => {
    await takeOver(db, `close-load ${loadNo}`);
    // Whoever loaded the last chunk may have died before saying so.
    await inTransaction(db, () => query.markLoaded(db, loadNo));
    const load = await query.loadToClose(db, loadNo);
    const hasOwnTable = load.slot > 0 && load.kind !== 'settlementSummary';
    if (load.state === 'loaded') {
      const facts = addFacts(load.chunks.map((chunk) => chunk.facts));
      await inTransaction(db, async () => {
        await query.lockBatch(db, load.batchNo);
        if (facts.customerIds.length > 1) {
          const refusal = new ReportRefused('mixed_merchants', `customerId ${facts.customerIds.join(' and ')}`);
          const delivery = { no: load.deliveryNo, batchNo: load.batchNo, epoch: load.epoch };
          const end = { state: 'refused' as const, code: refusal.code, message: refusal.message, revision: null };
          await query.endDelivery(db, delivery, end);
        } else {
          if (hasOwnTable) await query.attachRowTable(db, load.slot);
          await query.closeLoad(db, load, facts);
        }
      });
      await askNext(context, load.batchNo);
    }
    if (hasOwnTable && (await query.isClosed(db, loadNo))) await query.indexRowTable(db, load.slot);
  });
}

/** Asks for what the end of a delivery sets going. */
export async function askNext({ database, enqueue }: Context, batchNo: number): Promise<void> {
  const next = await query.nextAfter(database.db, batchNo);
  for (const delivery of next.deliveries) await enqueue(ingestReport, delivery);
  for (const batch of next.batches) await enqueue(reconcile, batch);
}
