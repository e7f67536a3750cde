import type { Config, Options } from '../config/config.ts';
import { UsageError } from '../domain/errors.ts';
import { isDiscrepancy } from '../views/batches/batches.sql.ts';
import { batchesIn, datedJson, discrepancyPage, jsonArray } from '../views/batches/batches.ts';
import { DATED_COLUMNS, HISTORY_COLUMNS } from '../views/output/columns.ts';
import { csv, writeAll } from '../views/output/output.ts';
import { datedTable } from '../views/output/tables.ts';
import { workbook } from '../views/output/workbook.ts';
import { filterOf, handlingFilterOf, numberIn, outputOf } from './session/options.ts';
import { withDatabase } from './session/storage.ts';

/** Lists what does not add up, and with `--closed` what once did not. Any number of them passes in flat memory. */
export async function listDiscrepancies(config: Config, options: Options): Promise<number> {
  const output = outputOf('discrepancies', options);
  const isClosedToo = Boolean(options['closed']);
  const { batch, source, kind, state } = options;
  const asked = { ...filterOf(options), kind, batch, source, isClosedToo, ...handlingFilterOf(options) };
  const after = numberIn('after', options);
  const limit = numberIn('limit', options);
  const page = { after: after === undefined ? undefined : BigInt(after), limit };
  return withDatabase(config, async (database) => {
    if (page.after !== undefined && !(await isDiscrepancy(database.db, page.after)))
      throw new UsageError(
        `--after ${page.after}: not a valid cursor. Use the value of "next" from the previous page.`,
      );
    const batches = state === undefined ? null : await batchesIn(database.db, { ...filterOf(options), kind }, state);
    const filter = batches === null ? asked : { ...asked, batchNos: batches.map(({ no }) => no) };
    const list = discrepancyPage(database, { ...filter, ...page });
    const columns = isClosedToo ? HISTORY_COLUMNS : DATED_COLUMNS;
    if (output === 'json') {
      await writeAll(['{"discrepancies":']);
      await writeAll(jsonArray(list.portions(), (row) => datedJson(row, isClosedToo)));
      await writeAll([`,"next":${JSON.stringify(list.next())}}\n`]);
    } else if (output === 'csv') await writeAll(csv(columns, list.portions()));
    else if (output === 'xlsx') await writeAll(workbook('discrepancies', columns, list.portions()));
    else for await (const rows of list.portions()) await writeAll([`${datedTable(rows, isClosedToo)}\n`]);
    if (list.next() !== null)
      process.stderr.write(`settlestream: there are more, see the next page with --after ${list.next()}\n`);
  });
}
