import type { Config, Options } from '../config/config.ts';
import { agedJson, batchesIn } from '../views/batches/batches.ts';
import { BATCH_COLUMNS } from '../views/output/columns.ts';
import { csv, writeAll } from '../views/output/output.ts';
import { batchTable } from '../views/output/tables.ts';
import { workbook } from '../views/output/workbook.ts';
import { asOfGiven, filterOf, outputOf } from './session/options.ts';
import { withDatabase } from './session/storage.ts';

/** Lists batches and days, by date. */
export async function listBatches(config: Config, options: Options): Promise<number> {
  const output = outputOf('batches', options);
  const filter = { ...filterOf(options), asOf: asOfGiven(options) };
  return withDatabase(config, async ({ db }) => {
    const batches = await batchesIn(db, { ...filter, kind: options['kind'] }, options['state']);
    if (output === 'table') return writeAll([`${batchTable(batches, { isAged: true })}\n`]);
    if (output === 'json') return writeAll([`${JSON.stringify({ batches: batches.map(agedJson) })}\n`]);
    return writeAll(output === 'csv' ? csv(BATCH_COLUMNS, [batches]) : workbook('batches', BATCH_COLUMNS, [batches]));
  });
}
