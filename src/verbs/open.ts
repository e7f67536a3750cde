import type { Database } from '../adapters/postgres/connection.ts';
import type { Config, Options } from '../config/config.ts';
import { type BatchPayout, isBankUsed, openPayouts } from '../views/bank/payouts.sql.ts';
import { batchPayoutJson, openPayoutTable } from '../views/bank/tables.ts';
import { jsonArray } from '../views/batches/batches.ts';
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
import * as known from '../views/open-items/open-items.ts';
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
    if (output === 'json') await writeJson(open, isListed ? list : null);
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

type Open = {
  readonly waiting: readonly known.Waiting[];
  readonly missing: readonly known.Missing[];
  readonly unsettled: known.Unsettled;
  readonly byAge: readonly known.AgedSum[];
  readonly toCome: readonly known.ExpectedSum[];
  readonly notes: readonly string[];
  /** Null in a book that is not asked for the bank. */
  readonly payouts: readonly BatchPayout[] | null;
};

type Page = ReturnType<typeof recordPage>;

/** Lists of all that is open but the records one by one. */
export async function everythingOpen({ db }: Database, asked: known.Asked): Promise<Open> {
  const merchants = await known.merchantsAsked(db, asked);
  const unsettled = await known.unsettled(db, asked, merchants);
  return {
    waiting: await known.waiting(db, asked),
    missing: await known.missing(db, asked, merchants),
    unsettled,
    ...known.sumsOf(unsettled, merchants, asked.nowMs),
    notes: known.notesOf(merchants),
    payouts: (await isBankUsed(db)) ? await openPayouts(db, asked.filter) : null,
  };
}

async function* linesOf({ waiting, missing, payouts }: Open, list: Page): AsyncGenerator<readonly OpenLine[]> {
  yield [...waiting.map(waitingLine), ...missing.map(missingLine), ...(payouts ?? []).map(payoutLine)];
  for await (const records of list.portions()) yield records.map(recordLine);
}

async function writeJson({ waiting, missing, byAge, toCome, notes, payouts }: Open, list: Page | null): Promise<void> {
  const named = <T extends { readonly merchantNo: number }>({ merchantNo: _, ...shown }: T) => shown;
  const head = JSON.stringify({
    waiting: waiting.map(named),
    missing: missing.filter(isDue).map(named),
    expected: missing.filter((one) => !isDue(one)).map(named),
    unsettled: byAge,
    settlements: toCome,
    notes,
    ...(payouts === null ? {} : { payouts: payouts.map(batchPayoutJson) }),
  });
  await writeAll([head.slice(0, -1)]);
  if (list) {
    await writeAll([',"records":']);
    await writeAll(jsonArray(list.portions()));
    await writeAll([`,"next":${JSON.stringify(list.next())}`]);
  }
  await writeAll(['}\n']);
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
