import type { Config, Options } from '../config/config.ts';
import { openPayoutTable } from '../views/bank/tables.ts';
import { everythingOpen, type Open, openAnswer, type Page } from '../views/open-items/everything.ts';
import {
  isDue,
  missingLine,
  type OpenLine,
  payoutLine,
  placeGiven,
  recordLine,
  recordPage,
  waitingLine,
} from '../views/open-items/lines.ts';
import * as tables from '../views/open-items/tables.ts';
import { csv, writeAll } from '../views/output/output.ts';
import { sheetOf, workbookOf } from '../views/output/workbook.ts';
import { filterOf, numberIn, outputOf } from './session/options.ts';
import { withDatabase } from './session/storage.ts';

/**
 * Lists what is still to come, by age and money: batches that wait and what for, reports that are due or will be, and what was
 * sold and no settlement has. Any number of records passes in flat memory.
 */
export async function listOpen(config: Config, options: Options, now: () => number = Date.now): Promise<number> {
  const output = outputOf('open', options);
  const { merchant, from, to } = filterOf(options);
  const calendars = config.sources.map(({ name, merchantId = null, calendar }) => ({ name, merchantId, calendar }));
  const asked = { filter: { merchant, from, to }, calendars, timeZone: config.timeZone, nowMs: now() };
  const page = { after: placeGiven(options['after']), limit: numberIn('limit', options) ?? null, nowMs: asked.nowMs };
  const isListed = [options['records'], options['after'], options['limit']].some((given) => given !== undefined);
  return withDatabase(config, async (database) => {
    const open = await everythingOpen(database, asked);
    const list = recordPage(database, open.unsettled, page);
    if (output === 'json') await writeAll(openAnswer(open, isListed ? list : null));
    else if (output === 'csv') await writeAll(csv(tables.LINE_COLUMNS, linesOf(open, list)));
    else if (output === 'xlsx') {
      const sums = sheetOf('not settled yet', tables.SUM_COLUMNS, [open.byAge]);
      await writeAll(workbookOf([sums, sheetOf('open', tables.LINE_COLUMNS, linesOf(open, list))]));
    } else {
      await writeAll(textOf(open));
      if (isListed) for await (const rows of list.portions()) await writeAll([`${tables.recordTable(rows)}\n`]);
    }
    if (list.next() !== null)
      process.stderr.write(`settlestream: there are more, see the next page with --after ${list.next()}\n`);
  });
}

async function* linesOf({ waiting, missing, payouts }: Open, list: Page): AsyncGenerator<readonly OpenLine[]> {
  yield [...waiting.map(waitingLine), ...missing.map(missingLine), ...(payouts ?? []).map(payoutLine)];
  for await (const records of list.portions()) yield records.map(recordLine);
}

function* textOf({ waiting, missing, byAge, toCome, notes, payouts }: Open): Generator<string> {
  const due = missing.filter(isDue);
  if (waiting.length > 0) yield `${tables.waitingTable(waiting)}\n\n`;
  if (due.length > 0) yield `${tables.missingTable(missing)}\n\n`;
  if (due.length < missing.length) yield `${tables.expectedTable(missing)}\n\n`;
  if (byAge.length > 0) yield `${tables.sumTable(byAge)}\n\n`;
  if (toCome.length > 0) yield `${tables.toComeTable(toCome)}\n\n`;
  if (payouts !== null && payouts.length > 0) yield `${openPayoutTable(payouts)}\n\n`;
  if (waiting.length + missing.length + byAge.length + (payouts?.length ?? 0) === 0)
    yield 'Nothing is still to come.\n';
  for (const note of notes) yield `${note}\n`;
}
