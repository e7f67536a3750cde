import type { Database } from '../../adapters/postgres/connection.ts';
import { bankNotes } from '../bank/notes.ts';
import { type BatchPayout, isBankUsed, openPayouts } from '../bank/payouts.sql.ts';
import { batchPayoutJson } from '../bank/tables.ts';
import { jsonArray } from '../batches/batches.ts';
import { isDue, type recordPage } from './lines.ts';
import * as known from './open-items.ts';

export type Open = {
  readonly waiting: readonly known.Waiting[];
  readonly missing: readonly known.Missing[];
  readonly unsettled: known.Unsettled;
  readonly byAge: readonly known.AgedSum[];
  readonly toCome: readonly known.ExpectedSum[];
  readonly notes: readonly string[];
  /** Null in a book that is not asked for the bank. */
  readonly payouts: readonly BatchPayout[] | null;
};

export type Page = ReturnType<typeof recordPage>;

/** Lists of all that is open but the records one by one. */
export async function everythingOpen({ db }: Database, asked: known.Asked): Promise<Open> {
  const merchants = await known.merchantsAsked(db, asked);
  const unsettled = await known.unsettled(db, asked, merchants);
  const payouts = (await isBankUsed(db)) ? await openPayouts(db, asked.filter) : null;
  return {
    waiting: await known.waiting(db, asked),
    missing: await known.missing(db, asked, merchants),
    unsettled,
    ...known.sumsOf(unsettled, merchants, asked.nowMs),
    notes: [...known.notesOf(merchants), ...(await bankNotes(db, payouts ?? []))],
    payouts,
  };
}

/** What `open --json` prints, as one document; records, where they are asked for, come some hundred at a time. */
export async function* openAnswer(
  { waiting, missing, byAge, toCome, notes, payouts }: Open,
  list: Page | null,
): AsyncGenerator<string> {
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
  yield head.slice(0, -1);
  if (list) {
    yield ',"records":';
    yield* jsonArray(list.portions());
    yield `,"next":${JSON.stringify(list.next())}`;
  }
  yield '}\n';
}
