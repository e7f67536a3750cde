import type { Database, Db } from '../adapters/postgres/connection.ts';
import type { Config, Options } from '../config/config.ts';
import { UsageError } from '../domain/errors.ts';
import { batchAnswer } from '../views/batches/batch-answer.ts';
import { type BatchDetail, batchDetail } from '../views/batches/batch-detail.ts';
import { batchSheet } from '../views/batches/batch-sheet.ts';
import { batchText } from '../views/batches/batch-text.ts';
import { type BatchFilter, type BatchView, batchesOf, totalsOf } from '../views/batches/batches.sql.ts';
import { handledPortions } from '../views/batches/batches.ts';
import { HANDLED_COLUMNS } from '../views/output/columns.ts';
import { csv, writeAll } from '../views/output/output.ts';
import { discrepancyTable } from '../views/output/tables.ts';
import { sheetOf, workbookOf } from '../views/output/workbook.ts';
import { revisedRowTable } from '../views/restatements/tables.ts';
import { asOfGiven, outputOf } from './session/options.ts';
import { withDatabase } from './session/storage.ts';

/** Shows one batch or day with its reports, its run and its discrepancies. */
export async function showBatch(config: Config, id: string, options: Options): Promise<number> {
  const output = outputOf('show', options);
  const asOf = asOfGiven(options);
  const hasRows = Boolean(options['rows']);
  return withDatabase(config, async (database) => {
    const batch = await batchNamed(database.db, id, options, asOf);
    const filter = { batchNos: [batch.no], asOf };
    if (output === 'csv') return writeAll(csv(HANDLED_COLUMNS, handledPortions(database, filter)));
    if (output === 'json') return writeAll(batchAnswer(database, batch, filter, { hasRows }));
    const detail = await batchDetail(database, batch, filter);
    if (output === 'xlsx') {
      const found = sheetOf('discrepancies', HANDLED_COLUMNS, handledPortions(database, filter));
      return writeAll(workbookOf([batchSheet(batch, detail.reports), found]));
    }
    return writeText(database, detail, filter, hasRows);
  });
}

async function writeText(
  database: Database,
  detail: BatchDetail,
  filter: BatchFilter,
  hasRows: boolean,
): Promise<void> {
  await writeAll(batchText(detail, await totalsOf(database.db, filter)));
  if (hasRows) for await (const rows of detail.revisedRows()) await writeAll([`${revisedRowTable(rows)}\n`]);
  for await (const rows of handledPortions(database, filter)) await writeAll([`${discrepancyTable(rows)}\n`]);
}

async function batchNamed(db: Db, id: string, options: Options, asOf: string | undefined): Promise<BatchView> {
  const all = await batchesOf(db, { merchant: options['merchant'], asOf });
  const named = all.filter(
    (batch) =>
      (batch.batchId ?? batch.day) === id &&
      (options['currency'] === undefined || batch.currency === options['currency']),
  );
  if (named.length === 1) return named[0]!;
  if (named.length === 0)
    throw new UsageError(`there is no batch or day ${id} with a result: see "settlestream batches".`);
  const which = named
    .map((batch) => `${batch.merchantId} ${batch.settlementDate ?? batch.day} ${batch.currency ?? ''}`)
    .join(', ');
  throw new UsageError(`${id} names several batches (${which}): choose one with --merchant or --currency.`);
}
