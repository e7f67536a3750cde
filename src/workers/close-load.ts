import type { Measured } from '../adapters/metrics.ts';
import { type Database, inTransaction, onOneConnection } from '../adapters/postgres.ts';
import { ReportRefused } from '../domain/errors.ts';
import { addFacts } from '../domain/facts.ts';
import { type CloseLoadJob, type Enqueue, ingestReport, reconcile } from '../jobs.ts';
import * as query from './ingest-report.sql.ts';
import { takeOver } from './take.ts';

type Context = { readonly database: Database; readonly enqueue: Enqueue; readonly measured: Measured };

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
      let outcome: 'closed' | 'refused' | null = null;
      await inTransaction(db, async () => {
        await query.lockBatch(db, load.batchNo);
        const strangers = strangersIn(facts.customerIds, load.rules.customerIds);
        if (strangers) {
          const refusal = new ReportRefused('mixed_merchants', strangers);
          const delivery = { no: load.deliveryNo, batchNo: load.batchNo, epoch: load.epoch };
          const end = { state: 'refused' as const, code: refusal.code, message: refusal.message, revision: null };
          if (await query.endDelivery(db, delivery, end)) outcome = 'refused';
        } else {
          if (hasOwnTable) await query.attachRowTable(db, load.slot);
          if (await query.closeLoad(db, load, facts)) outcome = 'closed';
        }
      });
      if (outcome) tellEnd(context.measured, load, outcome);
      await askNext(context, load.batchNo);
    }
    if (hasOwnTable && (await query.isClosed(db, loadNo))) await query.indexRowTable(db, load.slot);
  });
}

/** Whose rows make the report a mixed one, in words; null where it is one customer's, and one that it may be. */
function strangersIn(customerIds: readonly string[], allowed: readonly string[] | undefined): string | null {
  if (customerIds.length > 1) return `customerId ${customerIds.join(' and ')}`;
  const stranger = allowed && customerIds.find((id) => !allowed.includes(id));
  return stranger === undefined ? null : `customerId ${stranger}`;
}

function tellEnd(measured: Measured, load: query.ClosingLoad, outcome: 'closed' | 'refused'): void {
  const { source, kind } = load;
  measured({ name: 'recon_reports_total', labels: { source, kind, outcome }, value: 1 });
  if (outcome === 'refused') return;
  const lagSeconds = (Date.now() - load.modifiedAt.getTime()) / 1_000;
  measured({ name: 'recon_report_lag_seconds', labels: { source, kind }, value: Math.max(0, lagSeconds) });
}

/** Asks for what the end of a delivery sets going. */
export async function askNext({ database, enqueue }: Omit<Context, 'measured'>, batchNo: number): Promise<void> {
  const next = await query.nextAfter(database.db, batchNo);
  for (const delivery of next.deliveries) await enqueue(ingestReport, delivery);
  for (const batch of next.batches) await enqueue(reconcile, batch);
}
