import type { Config, Options } from '../config/config.ts';
import { batchesOf } from '../views/batches/batches.sql.ts';
import { csv, writeAll } from '../views/output/output.ts';
import { workbook } from '../views/output/workbook.ts';
import { holdingsOf, ownTypesOf, RESERVE_COLUMNS, reservesTable } from '../views/reserves/reserves.ts';
import { outputOf } from './session/options.ts';
import { withDatabase } from './session/storage.ts';

/** Lists what acquirers keep back as a safeguard, what they gave back of it, and what they still hold. */
export async function showReserves(config: Config, options: Options): Promise<number> {
  const output = outputOf('show reserves', options);
  return withDatabase(config, async ({ db }) => {
    const batches = await batchesOf(db, { merchant: options['merchant'] });
    const reserves = holdingsOf(batches, await ownTypesOf(db, batches)).filter(
      ({ currency }) => options['currency'] === undefined || currency === options['currency'],
    );
    if (output === 'table') return writeAll([`${reservesTable(reserves)}\n`]);
    if (output === 'json') return writeAll([`${JSON.stringify({ reserves })}\n`]);
    return writeAll(
      output === 'csv' ? csv(RESERVE_COLUMNS, [reserves]) : workbook('reserves', RESERVE_COLUMNS, [reserves]),
    );
  });
}
