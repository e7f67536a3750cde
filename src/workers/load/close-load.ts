import type { RecordMetric } from '../../adapters/metrics/definitions.ts';
import { type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { ReportRefused } from '../../domain/errors.ts';
import { addFacts, type Facts } from '../../domain/report/facts.ts';
import { headerChange } from '../../domain/report/header.ts';
import { type CloseLoadJob, type Enqueue, ingestReport, reconcile } from '../../jobs.ts';
import { lockBatches } from '../../store/batches.ts';
import { settleRivals } from '../../store/rivals.ts';
import { attachRowTable, hasOwnTable, indexRowTable } from '../../store/row-tables.ts';
import type { LogEvent } from '../context.ts';
import { claimTask } from '../fencing.ts';
import * as closing from './close-load.sql.ts';
import { customersBefore } from './close-load.sql.ts';

type Context = {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly recordMetric: RecordMetric;
  readonly logEvent: LogEvent;
};

/**
 * Closes a load whose chunks are all loaded: its rows become part of the book and its batch wants a run. The index is built
 * afterwards, beside that run. Run twice, the second finds everything done.
 */
export async function closeLoad(context: Context, { loadNo }: CloseLoadJob): Promise<void> {
  await onOneConnection(context.database, async (db) => {
    await claimTask(db, `close-load ${loadNo}`);
    // Whoever loaded the last chunk may have died before saying so.
    await inTransaction(db, () => closing.markLoaded(db, loadNo));
    const load = await closing.loadToClose(db, loadNo);
    const isOwnTable = hasOwnTable(load);
    // A dry run closes it in a transaction of its own, which is rolled back.
    if (load.isDry) {
      if (isOwnTable && load.state === 'loaded') await indexRowTable(db, load.slot);
      return;
    }
    if (load.state === 'loaded') {
      const outcome = await inTransaction(db, async () => {
        await lockBatches(db, [load.batchNo]);
        return closeLocked(db, load, context.logEvent);
      });
      if (outcome) reportLoadEnd(context, load, outcome);
      const hasTwins = outcome !== null && (await closing.besidesOf(db, loadNo)).hasSameBytes;
      const twins = hasTwins ? await closing.filesWithSameBytes(db, loadNo) : null;
      if (twins && twins.others.length > 0)
        context.logEvent('warn', 'a report has the same content as others', { ...twins, outcome });
      if (outcome === 'closed' && !load.isReplay) await noteHeader(context, db, loadNo);
      await enqueueNext(context, load.batchNo);
      // Its rows may have shown that it belongs to another batch.
      const batchNo = await closing.batchOf(db, loadNo);
      if (batchNo !== load.batchNo) await enqueueNext(context, batchNo);
    }
    if (isOwnTable && (await closing.isClosed(db, loadNo))) await indexRowTable(db, load.slot);
  });
}

const WRAPPED_IDS =
  'ids of this report are written as ="…" or behind \', as by a spreadsheet: the characters around them are ignored; use reports as the provider sends them';

type Outcome = 'closed' | 'refused' | 'duplicate';

/** Closes a load, or ends its delivery otherwise; its batch is locked. Null: another worker did it. */
export async function closeLocked(db: Db, load: closing.ClosingLoad, logEvent?: LogEvent): Promise<Outcome | null> {
  const facts = addFacts(load.chunks.map((chunk) => chunk.facts));
  const end = await endInstead(db, load, facts);
  if (end) {
    const delivery = { no: load.deliveryNo, batchNo: load.batchNo, epoch: load.epoch };
    return (await closing.endDelivery(db, delivery, end)) ? end.state : null;
  }
  if (hasOwnTable(load)) await attachRowTable(db, load.slot);
  if (!(await closing.closeLoad(db, load, facts))) return null;
  const rivalry = await settleRivals(db, load.reportNo);
  if (rivalry)
    logEvent?.('warn', RIVALS[rivalry], { kind: load.kind, files: await closing.rivalFiles(db, load.reportNo) });
  return rivalry === 'conflict' ? 'refused' : 'closed';
}

const RIVALS = {
  conflict: 'files in one listing have different contents of one report: none of them counts',
  ordered: 'files in directories of several days have different contents of one report: the latest counts',
} as const;

/** What only all rows together show: another customer's are among them, or all of them stand in another report. */
async function endInstead(
  db: Db,
  load: closing.ClosingLoad,
  facts: Facts,
): Promise<(closing.End & { readonly state: 'refused' | 'duplicate' }) | null> {
  const strangers = strangersIn(facts.customerIds, load.rules.customerIds);
  if (strangers) {
    const { code, message } = new ReportRefused('mixed_merchants', strangers);
    return { state: 'refused', code, message, revision: null };
  }
  const { isAnotherCounting, hasSameBytes } = await closing.besidesOf(db, load.no);
  const mayBeMixed = isAnotherCounting && facts.customerIds.length > 0;
  const before = mayBeMixed ? await customersBefore(db, load, facts.customerIds) : [];
  if (before.length > 0) {
    const detail = `customerId ${facts.customerIds.join()}, but ${before.join()} in the content before it`;
    const { code, message } = new ReportRefused('mixed_merchants', detail);
    return { state: 'refused', code, message, revision: null };
  }
  // Only a first content is a duplicate for that: what takes the place of other rows is always read.
  const mayBeSame = hasSameBytes && !isAnotherCounting && !load.isReplay;
  const same = mayBeSame ? await closing.sameUnderAnotherName(db, load) : null;
  return same === null ? null : { state: 'duplicate', code: null, message: null, revision: null, duplicateOf: same };
}

/** Whose rows make the report a mixed one, in words; null where it is one customer's, and one that it may be. */
function strangersIn(customerIds: readonly string[], allowed: readonly string[] | undefined): string | null {
  if (customerIds.length > 1) return `customerId ${customerIds.join(' and ')}`;
  const stranger = allowed && customerIds.find((id) => !allowed.includes(id));
  return stranger === undefined ? null : `customerId ${stranger}`;
}

function reportLoadEnd({ recordMetric, logEvent }: Context, load: closing.ClosingLoad, outcome: Outcome): void {
  const { source, kind } = load;
  const { rows, refusedRows, hasWrappedIds } = addFacts(load.chunks.map((chunk) => chunk.facts));
  if (hasWrappedIds) logEvent('warn', WRAPPED_IDS, { kind });
  logEvent('info', 'report read', { kind, outcome, rows, refusedRows });
  recordMetric({ name: 'recon_reports_total', labels: { source, kind, outcome }, value: 1 });
  // How late a report was is told when it is first read.
  if (outcome !== 'closed' || load.isReplay) return;
  const lagSeconds = (Date.now() - load.modifiedAt.getTime()) / 1_000;
  recordMetric({ name: 'recon_report_lag_seconds', labels: { source, kind }, value: Math.max(0, lagSeconds) });
}

/** A header that is another than that of the report before may be the reason for whatever is told next. */
async function noteHeader({ logEvent }: Context, db: Db, loadNo: number): Promise<void> {
  const headers = await closing.headersOf(db, loadNo);
  const change = headers && headerChange(headers.before, headers.header);
  if (change) logEvent('info', 'the header of a report has changed', { since: headers.since, ...change });
}

/** Asks for what the end of a delivery sets going. */
export async function enqueueNext(
  { database, enqueue }: Pick<Context, 'database' | 'enqueue'>,
  batchNo: number,
): Promise<void> {
  const next = await closing.nextAfter(database.db, batchNo);
  for (const delivery of next.deliveries) await enqueue(ingestReport, delivery);
  for (const batch of next.batches) await enqueue(reconcile, batch);
}
