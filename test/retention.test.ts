/**
 * What is old is dropped in the background, and nobody misses it: a merchant's book that drops what it may says after every event
 * just what a book says that keeps everything.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { type Database, inTransaction, onOneConnection, openDatabase } from '../src/adapters/postgres.ts';
import type { Calendar } from '../src/domain/calendar.ts';
import { type Retention, retain } from '../src/producers/retain.ts';
import { withdraw } from '../src/producers/withdraw.ts';
import { checkBook, digestsOf, query, sameDigests, temporaryFolder } from './support/book.ts';
import { startMornings } from './support/morning.ts';
import { copyOf } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const CALENDAR: Calendar = {
  timeZone: 'Asia/Shanghai',
  weekend: [],
  holidays: [],
  quietMinutes: 30,
  transactionDetails: { due: { days: 1, isBusiness: false, at: '10:00' }, daysWithoutTransactions: 'no file' },
  settlement: { date: { days: 2, isBusiness: false }, reportsDue: { days: 1, isBusiness: false, at: '12:00' } },
};

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,originalTransactionId,originalTransactionRequestId';
type Row = {
  type?: string;
  id: string;
  amount?: string;
  original?: string;
  originalId?: string;
  transactionId?: string;
};
const line = (batch: string, row: Row) => {
  const { type = 'PAYMENT', id, amount = '10.00', original = '', originalId = '', transactionId = `t-${id}` } = row;
  const own = /DISPUTE/.test(type) ? '' : id;
  return `${batch},${type},${transactionId},${own},${amount},USD,${amount},USD,${originalId},${original}`;
};
const details = (batch: string, ...rows: Row[]) => [HEADER, ...rows.map((row) => line(batch, row)), '<END>'];
const summary = (batch: string, count: number, amount: string) => [
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
  `${batch},TOTAL,${count},${amount},USD`,
  '<END>',
];
/** Both halves of a settlement. */
const settlement = (date: string, batch: string, ...rows: Row[]) => {
  const cents = rows.reduce((sum, { amount = '10.00' }) => sum + Math.round(Number(amount) * 100), 0);
  return {
    [items(date, batch)]: details(batch, ...rows),
    [`M1/${date}/settlementSummary_USD_${batch}_000.csv`]: summary(batch, rows.length, (cents / 100).toFixed(2)),
  };
};
const items = (date: string, batch: string, part = '000') => `M1/${date}/settlementItems_USD_${batch}_${part}.csv`;
const dayFile = (date: string) => `M1/${date}/transactionItems_${date}_000.csv`;
const day = (date: string, ...rows: Row[]) => [
  'transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime,originalTransactionRequestId',
  ...rows.map(
    ({ type = 'PAYMENT', id, amount = '10.00', original = '' }) =>
      `${type},t-${id},${id},${amount},USD,${date}T12:00:00+08:00,${original}`,
  ),
  '<END>',
];
const record = (
  id: string,
  date: string,
  { type = 'PAYMENT', amount = '10.00', status = 'SUCCESS', original = '' } = {},
) => `${id},${type},${amount},USD,${status},${date}T12:00:00+08:00,${original}`;

/** A book that drops what is older than a year, and one that keeps everything. */
const [dropping, keeping] = await Promise.all([startMornings(CALENDAR), startMornings(CALENDAR)]);
after(() => Promise.all([dropping.close(), keeping.close()]));
const { url } = dropping.database;
type Book = typeof dropping;
const both = (act: (book: Book) => Promise<void> | void) => Promise.all([act(dropping), act(keeping)]);
const arrive = (files: Parameters<Book['arrive']>[0]) => both((book) => book.arrive(files));
const records = (...lines: string[]) => both((book) => book.record(...lines));

const countOf = async (from: string) =>
  (await query<{ n: number }>(url, `select count(*)::int as n from ${from}`))[0]!.n;
const rowsOf = (batch: string) =>
  countOf(`report_row d join load l on l.no = d.load_no join report r on r.no = l.report_no join batch b on b.no = r.batch_no
           where coalesce(b.batch_id, b.day::text) = '${batch}'`);

/** Some days later: everything that came is worked on, and both books say the same. */
let nowMs = 0;
async function later(days = 1) {
  nowMs += days * 86_400_000;
  await both((book) => book.at(new Date(nowMs).toISOString()));
  const states = await dropping.states();
  assert.deepEqual(states, await keeping.states());
  sameDigests(await digestsOf(url), await digestsOf(keeping.database.url));
  assert.equal(await countOf('batch where parked_reason is not null or done < wanted'), 0);
  return states;
}
/** What is older than a year goes; what was read again lately goes too, for a month has passed. */
async function drop() {
  const states = await later(40);
  await dropping.retain({ rowsMonths: 12 });
  return states;
}

/** More than 64 KiB of rows are a table of their own. */
const MANY = Array.from({ length: 90 }, (_, at) => ({ id: `many-${String(at).padStart(400, '0')}` }));

suite('rows that were dropped are not missed', () => {
  test('they go, but for what is open; totals, runs and discrepancies stay', async () => {
    nowMs = Date.parse('2026-03-01T04:00:00Z');
    await records(
      ...['a', 'b', 'c', 'd', 'n'].map((id) => record(id, '2026-03-02')),
      ...MANY.map(({ id }) => record(id, '2026-03-02')),
      record('e', '2026-03-03', { status: 'CANCELLED' }),
      record('x-e', '2026-03-03', { type: 'CANCEL' }),
      record('o', '2026-02-27'),
      record('r', '2026-03-03', { type: 'REFUND', amount: '6.00', original: 'a' }),
    );
    await arrive({
      [dayFile('20260302')]: day('2026-03-02', ...[...['a', 'b', 'c', 'd'].map((id) => ({ id })), ...MANY]),
      // By its clock n is of the next day.
      [dayFile('20260303')]: day(
        '2026-03-03',
        { id: 'r', type: 'REFUND', amount: '-6.00', original: 'a' },
        { id: 'x-e', type: 'CANCEL', original: 'e' },
        { id: 'n' },
      ),
      ...settlement('20260301', 'B0', { id: 'o' }),
      ...settlement('20260304', 'B1', { id: 'a' }, { id: 'b' }),
      ...settlement('20260304', 'MANY', ...MANY),
      ...settlement(
        '20260305',
        'B2',
        { id: 'c' },
        { id: 'd' },
        { id: 'n' },
        { id: 'r', type: 'REFUND', amount: '-6.00', original: 'a' },
      ),
      ...settlement('20260306', 'OPEN', { id: 'unknown' }),
    });
    await later(9);
    // The books were written today; two years later everything is old.
    nowMs = Date.parse('2028-03-01T04:00:00Z');
    const states = await drop();
    assert.deepEqual(await dropping.states(), states);
    assert.equal(states['B1'], 'reconciled');
    assert.match(states['OPEN']!, /^discrepant: unknown_transaction/);
    for (const batch of ['B1', 'B2', 'MANY', '2026-03-02', '2026-03-03']) assert.equal(await rowsOf(batch), 0, batch);
    assert.equal(await rowsOf('OPEN'), 1);
    assert.equal(await countOf(`pg_class where relname ~ '^report_row_[0-9]+$'`), 0, 'tables of their own are gone');
    await checkBook(url);
  });

  test('a key that was settled in them is known to be settled twice', async () => {
    await arrive(settlement('20260502', 'TWICE', { id: 'a' }, { id: 'c' }));
    const states = await later();
    assert.equal(states['TWICE'], 'discrepant: settled_twice a B1, settled_twice c B2');
    assert.deepEqual(
      [await rowsOf('B1'), await rowsOf('B2'), await rowsOf('MANY')],
      [2, 4, 0],
      'only these are read again',
    );
    // As long as that is open, what it names stays.
    await drop();
    assert.deepEqual([await rowsOf('B1'), await rowsOf('B2')], [2, 4]);
  });

  test('further away than that is looked back, nobody needs them', async () => {
    await arrive(settlement('20260901', 'LATER', MANY[0]!));
    assert.equal((await later())['LATER'], 'reconciled');
    assert.equal(await rowsOf('MANY'), 0);
  });

  test('an original and a cancellation that stand in them are found', async () => {
    await arrive(
      settlement(
        '20271201',
        'REFERS',
        { id: 'dispute', type: 'DISPUTE', amount: '-10.00', originalId: `t-${MANY[7]!.id}` },
        { id: 'nobody', type: 'DISPUTE', amount: '-10.00', originalId: 't-nobody' },
        { id: 'e' },
      ),
    );
    assert.equal((await later())['REFERS'], 'discrepant: orphan_row');
    // The day has it, too.
    assert.deepEqual([await rowsOf('MANY'), await rowsOf('2026-03-02')], [90, 94]);
    await checkBook(url);
    await drop();
    assert.equal(await rowsOf('MANY'), 0, 'they go again after a month');
  });

  test('refunds of what was paid in them add up', async () => {
    await records(record('r2', '2027-12-01', { type: 'REFUND', amount: '5.00', original: 'a' }));
    await arrive(settlement('20271202', 'MORE', { id: 'r2', type: 'REFUND', amount: '-5.00', original: 'a' }));
    assert.match((await later())['MORE']!, /over_refunded a 10.00/);
  });

  test('a record that comes late is looked for in them, and none of the others is missed', async () => {
    await drop();
    await records(record('z', '2026-03-02'));
    assert.equal(
      (await later())['2026-03-02'],
      'discrepant: unreported_transaction z 10.00, unsettled_transaction z 10.00',
    );
  });

  test('a record that changes is compared with its rows again', async () => {
    const { id } = MANY[3]!;
    await records(record(id, '2026-03-02', { amount: '12.00' }));
    assert.equal((await later())['MANY'], `discrepant: amount_mismatch ${id} 12.00`);
    await records(record(id, '2026-03-02'));
    assert.equal((await later())['MANY'], 'reconciled');
  });

  test('a report that is restated is compared with what it said, and a withdrawn one makes room for it', async () => {
    await drop();
    assert.equal(await rowsOf('2026-03-03'), 0);
    await arrive({ [dayFile('20260303')]: day('2026-03-03', { id: 'n' }) });
    assert.match((await later())['2026-03-03']!, /unreported_transaction r 6.00/);
    assert.equal(await rowsOf('2026-03-03'), 4, 'both contents are there');
    await both((book) =>
      onOneConnection(book.database, (db) =>
        inTransaction(db, async () => {
          const report = dayFile('20260303');
          await withdraw(db, { report, merchant: undefined, reason: 'sent by mistake' });
        }),
      ),
    );
    assert.equal((await later())['2026-03-03'], 'reconciled');
    await checkBook(url);
  });

  test('a part that comes late joins them', async () => {
    await arrive({ [items('20260304', 'MANY', '001')]: details('MANY', { id: 'a' }) });
    await later();
    assert.match((await later())['MANY']!, /^discrepant: settled_twice a B1, summary_mismatch/);
  });
});
