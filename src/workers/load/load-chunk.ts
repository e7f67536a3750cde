import type { RecordMetric } from '../../adapters/metrics/definitions.ts';
import { type Database, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import type { FactsCounter } from '../../domain/report/facts.ts';
import { closeLoad as closeLoadJob, type Enqueue, type LoadChunkJob } from '../../jobs.ts';
import type { LogEvent } from '../context.ts';
import { claimTask, Fenced } from '../fencing.ts';
import { copyRows } from './chunk-parser.ts';
import { markLoaded } from './close-load.sql.ts';
import { closeLoad } from './close-load.ts';
import * as query from './load-chunk.sql.ts';

type Context = {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly recordMetric: RecordMetric;
  readonly logEvent: LogEvent;
};

/**
 * Parses a chunk row by row into the rows of its load, in one transaction whose last statement checks that the chunk is still
 * ours. Whoever loads the last chunk closes the load.
 */
export async function loadChunk(context: Context, { loadNo, chunk: chunkNo }: LoadChunkJob): Promise<void> {
  const isLast = await onOneConnection(context.database, async (db, client) => {
    await claimTask(db, `load-chunk ${loadNo} ${chunkNo}`);
    const chunk = await query.claimChunk(db, loadNo, chunkNo);
    if (!chunk) return false;
    const startedAt = performance.now();
    let rows = 0;
    const isLast = await inTransaction(db, async () => {
      const facts = await copyRows(db, client, chunk);
      rows = facts.rows;
      return markLoadedWith(db, chunk, facts);
    });
    const { source, kind } = chunk;
    const seconds = (performance.now() - startedAt) / 1_000;
    context.recordMetric({ name: 'recon_rows_loaded_total', labels: { source, kind }, value: rows });
    context.recordMetric({ name: 'recon_stage_duration_seconds', labels: { stage: 'load' }, value: seconds });
    return isLast;
  });
  if (!isLast) return;
  if (chunkNo === 0) await closeLoad(context, { loadNo });
  else await context.enqueue(closeLoadJob, { loadNo });
}

async function markLoadedWith(
  db: Parameters<typeof query.markChunkLoaded>[0],
  chunk: query.ClaimedChunk,
  facts: FactsCounter,
) {
  if (!(await query.markChunkLoaded(db, chunk, facts.toFacts()))) throw new Fenced();
  return markLoaded(db, chunk.loadNo);
}
