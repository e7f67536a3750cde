import type { Database } from '../../adapters/postgres/connection.ts';
import { batchDetail } from './batch-detail.ts';
import type { BatchFilter, BatchView } from './batches.sql.ts';
import { agedJson, handledJson, handledPortions, jsonArray } from './batches.ts';

/** What `show --json` prints of a batch or day, as one document; discrepancies and rows come some hundred at a time. */
export async function* batchAnswer(
  database: Database,
  batch: BatchView,
  filter: BatchFilter,
  { hasRows }: { readonly hasRows: boolean },
): AsyncGenerator<string> {
  const { reports, crossDigest, runs, revisions, revisedRows } = await batchDetail(database, batch, filter);
  const head = JSON.stringify({
    ...agedJson(batch),
    reports,
    run: batch.run,
    rulesVersion: batch.rules,
    digest: batch.digest,
    crossDigest,
    runs,
    revisions,
  });
  yield head.slice(0, -1);
  if (hasRows) {
    yield ',"revisedRows":';
    yield* jsonArray(revisedRows());
  }
  yield ',"discrepancies":';
  yield* jsonArray(handledPortions(database, filter), handledJson);
  yield '}\n';
}
