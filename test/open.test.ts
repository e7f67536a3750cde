/** What is still to come: until when it is waited for, since when it is overdue, and how much money that is. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { addDays, type Calendar } from '../src/domain/calendar/calendar.ts';
import { UsageError } from '../src/domain/errors.ts';
import { everythingOpen } from '../src/views/open-items/everything.ts';
import { placeGiven } from '../src/views/open-items/lines.ts';
import { query, temporaryFolder } from './support/book.ts';
import { startMornings } from './support/morning.ts';
import { settlestream } from './support/settlestream.ts';

const CALENDAR: Calendar = {
  timeZone: 'Asia/Shanghai',
  weekend: ['saturday', 'sunday'],
  holidays: ['2026-03-10'],
  quietMinutes: 30,
  transactionDetails: { due: { days: 1, isBusiness: false, at: '10:00' }, daysWithoutTransactions: 'no file' },
  settlement: { date: { days: 2, isBusiness: true }, reportsDue: { days: 1, isBusiness: true, at: '12:00' } },
};
const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const details = (batch: string, ...ids: string[]) => [
  HEADER,
  ...ids.map((id) => `${batch},PAYMENT,t-${id},${id},10.00,USD,10.00,USD`),
  '<END>',
];
const summary = (batch: string, count: number) => [
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
  `${batch},TOTAL,${count},${count * 10}.00,USD`,
  '<END>',
];
const day = (date: string, ...ids: string[]) => [
  'transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime',
  ...ids.map((id) => `PAYMENT,t-${id},${id},10.00,USD,${date}T12:00:00+08:00`),
  '<END>',
];
const record = (
  id: string,
  date: string,
  { type = 'PAYMENT', amount = '10.00', currency = 'USD', status = 'SUCCESS', original = '' } = {},
) => `${id},${type},${amount},${currency},${status},${date}T12:00:00+08:00,${original}`;
const utc = (local: string) => new Date(`${local}:00+08:00`);

const SLOW: Calendar = { ...CALENDAR, settlement: { ...CALENDAR.settlement!, date: { days: 9, isBusiness: true } } };

const [ofTime, ofSources, ofProgram] = await Promise.all([
  startMornings(CALENDAR),
  startMornings(CALENDAR, { slow: SLOW }),
  startMornings(CALENDAR),
]);
after(() => Promise.all([ofTime.close(), ofSources.close(), ofProgram.close()]));

suite('with a calendar', () => {
  const mornings = ofTime;
  const calendars = [{ name: 'provider', merchantId: 'M1', calendar: CALENDAR }];
  const openAt = async (local: string, filter: { merchant?: string; from?: string; to?: string } = {}) => {
    await mornings.at(utc(local).toISOString());
    return everythingOpen(mornings.database, {
      filter: { merchant: undefined, from: undefined, to: undefined, ...filter },
      calendars,
      timeZone: 'Asia/Shanghai',
      nowMs: utc(local).getTime(),
    });
  };
  const missingIn = ({ missing }: Awaited<ReturnType<typeof openAt>>) =>
    missing.map((one) => [
      one.transactionDate ?? one.settlementBatchId,
      one.report,
      one.part,
      one.dueAt,
      one.overdueDays,
    ]);

  test('a batch that waits says since when, until when, what for and with how much', async () => {
    await mornings.record(
      ...['a', 'b'].map((id) => record(id, '2026-03-02')),
      ...['c', 'd'].map((id) => record(id, '2026-03-05')),
      record('e', '2026-03-06', { currency: 'JPY', amount: '700' }),
      record('f', '2026-03-06', { type: 'REFUND', amount: '3.00', original: 'a' }),
      record('pending', '2026-03-06', { status: 'PENDING' }),
      record('cancelled', '2026-03-06'),
      record('x', '2026-03-06', { type: 'CANCEL', original: 'cancelled' }),
    );
    mornings.arrive({
      'M1/20260302/transactionItems_20260302_000.csv': day('2026-03-02', 'a', 'b'),
      'M1/20260304/settlementItems_USD_HALF_000.csv': details('HALF', 'a'),
      'M1/20260304/settlementItems_USD_PARTS_001.csv': details('PARTS', 'b'),
      'M1/20260304/settlementSummary_USD_PARTS_000.csv': summary('PARTS', 3),
      'M1/20260304/settlementItems_USD_CUT_000.csv': [HEADER],
    });
    const { waiting } = await openAt('2026-03-05T09:00');
    const since = utc('2026-03-05T09:00');
    const until = utc('2026-03-05T12:00');
    const named = {
      merchantNo: 1,
      merchantId: 'M1',
      settlementDate: '2026-03-04',
      transactionDate: null,
      settlementCurrency: 'USD',
    };
    assert.deepEqual(
      waiting.map(({ settlementBatchId, awaits, settlementAmount, since, until, file }) => ({
        settlementBatchId,
        awaits,
        settlementAmount,
        since,
        until,
        file,
      })),
      [
        {
          settlementBatchId: 'HALF',
          awaits: [{ what: 'report', kind: 'settlementSummary', part: null, rows: null }],
          settlementAmount: '10.00',
          since,
          until,
          file: null,
        },
        {
          settlementBatchId: 'PARTS',
          awaits: [{ what: 'part', kind: 'settlementDetails', part: '000', rows: null }],
          settlementAmount: '10.00',
          since,
          until,
          file: null,
        },
        {
          settlementBatchId: 'CUT',
          awaits: [],
          settlementAmount: null,
          since,
          until: null,
          file: 'M1/20260304/settlementItems_USD_CUT_000.csv',
        },
      ],
    );
    assert.deepEqual(
      { ...waiting[0], awaits: [], since, until, file: null, settlementAmount: null },
      {
        ...named,
        settlementBatchId: 'HALF',
        awaits: [],
        since,
        until,
        file: null,
        settlementAmount: null,
      },
    );
    mornings.arrive({ 'M1/20260304/settlementItems_USD_PARTS_000.csv': details('PARTS', 'z') });
    const { waiting: later } = await openAt('2026-03-05T09:10');
    assert.deepEqual(later[1]!.awaits, [{ what: 'rows', kind: 'settlementDetails', part: null, rows: 1 }]);
  });

  test('reports that are not due yet are expected, and missing when they are', async () => {
    assert.deepEqual(missingIn(await openAt('2026-03-05T09:30')), [
      ['2026-03-05', 'transactionDetails', null, utc('2026-03-06T10:00'), null],
    ]);
    const open = await openAt('2026-03-07T10:00');
    assert.deepEqual(missingIn(open), [
      ['HALF', 'settlementSummary', null, utc('2026-03-05T12:00'), 1],
      ['2026-03-05', 'transactionDetails', null, utc('2026-03-06T10:00'), 1],
      ['2026-03-06', 'transactionDetails', null, utc('2026-03-07T10:00'), 0],
    ]);
    assert.ok(open.missing.every(({ since }) => since !== null));
    assert.deepEqual(missingIn(await openAt('2026-03-07T10:00', { from: '2026-03-06' })).length, 1);
    assert.deepEqual(missingIn(await openAt('2026-03-07T10:00', { merchant: 'nobody' })), []);
  });

  test('what is sold and not settled has its due date, and ages when that is over', async () => {
    // Sold on Thursday, to be settled on Monday, reported by Wednesday noon; on Friday: on Wednesday, for Tuesday is a holiday.
    const thursday = { merchantId: 'M1', currency: 'USD', refundCount: 0, refundAmount: '0.00' };
    const { byAge, toCome, notes } = await openAt('2026-03-09T09:00');
    assert.deepEqual(notes, []);
    assert.deepEqual(byAge, [
      { merchantId: 'M1', currency: 'JPY', age: 'not due', count: 1, amount: '700', refundCount: 0, refundAmount: '0' },
      {
        merchantId: 'M1',
        currency: 'USD',
        age: 'not due',
        count: 3,
        amount: '17.00',
        refundCount: 1,
        refundAmount: '3.00',
      },
    ]);
    assert.deepEqual(toCome, [
      { ...thursday, count: 2, amount: '20.00', expectedOn: '2026-03-09', dueAt: utc('2026-03-11T12:00') },
      {
        merchantId: 'M1',
        currency: 'JPY',
        count: 1,
        amount: '700',
        refundCount: 0,
        refundAmount: '0',
        expectedOn: '2026-03-11',
        dueAt: utc('2026-03-12T12:00'),
      },
      {
        merchantId: 'M1',
        currency: 'USD',
        count: 1,
        amount: '-3.00',
        refundCount: 1,
        refundAmount: '3.00',
        expectedOn: '2026-03-11',
        dueAt: utc('2026-03-12T12:00'),
      },
    ]);
    const usd = async (local: string) =>
      (await openAt(local)).byAge
        .filter(({ currency }) => currency === 'USD')
        .map(({ age, count, amount }) => [age, count, amount]);
    assert.deepEqual(await usd('2026-03-11T12:00'), [
      ['not due', 1, '-3.00'],
      ['0-1', 2, '20.00'],
    ]);
    assert.deepEqual(await usd('2026-03-13T12:00'), [
      ['0-1', 1, '-3.00'],
      ['2-7', 2, '20.00'],
    ]);
    assert.deepEqual(await usd('2026-03-20T12:00'), [['8-30', 3, '17.00']]);
    mornings.arrive({
      'M1/20260309/settlementItems_USD_LATE_000.csv': details('LATE', 'c'),
      'M1/20260309/settlementSummary_USD_LATE_000.csv': summary('LATE', 1),
    });
    assert.deepEqual(await usd('2026-05-20T12:00'), [['over 30', 2, '7.00']]);
  });

  test('records that nobody has looked at since they became due are overdue all the same', async () => {
    await mornings.record(record('late', '2026-05-18'));
    const nowMs = utc('2026-05-30T12:00').getTime();
    const filter = { merchant: undefined, from: '2026-05-01', to: undefined };
    const { byAge } = await everythingOpen(mornings.database, { filter, calendars, timeZone: 'UTC', nowMs });
    assert.deepEqual(
      byAge.map(({ age, count }) => [age, count]),
      [['8-30', 1]],
    );
  });
});

test('what several providers settle is due by the calendar of each', async () => {
  const ids = ['quick', 'slow', 'any'];
  await ofSources.record(...ids.map((id) => record(id, '2026-03-05')));
  await query(
    ofSources.database.url,
    `update record set source = case request_id when 'quick' then 'provider' when 'slow' then 'slow' end`,
  );
  ofSources.arrive({ 'M1/20260302/settlementItems_USD_B_000.csv': details('B', 'b') });
  const openAt = async (local: string) => {
    await ofSources.at(utc(local).toISOString());
    const { byAge, unsettled } = await everythingOpen(ofSources.database, {
      filter: { merchant: undefined, from: undefined, to: undefined },
      calendars: [
        { name: 'provider', merchantId: 'M1', calendar: CALENDAR },
        { name: 'slow', merchantId: 'M1', calendar: SLOW },
      ],
      timeZone: 'UTC',
      nowMs: utc(local).getTime(),
    });
    const days = unsettled.dues.map(({ expectedOn }) => expectedOn);
    return [...byAge.map(({ age, count }) => `${count} ${age}`), ...days.sort()];
  };
  assert.deepEqual(await openAt('2026-03-06T12:00'), ['3 not due', '2026-03-09', '2026-03-19']);
  assert.deepEqual(await openAt('2026-03-14T12:00'), ['1 not due', '2 2-7', '2026-03-09', '2026-03-19']);
  assert.deepEqual(await openAt('2026-03-23T12:00'), ['2 8-30', '1 2-7'].reverse().concat('2026-03-09', '2026-03-19'));
});

suite('the program', async () => {
  const mornings = ofProgram;
  const folder = temporaryFolder();
  const today = new Date(Date.now() + 8 * 3_600_000).toISOString().slice(0, 10);
  const ids = Array.from({ length: 7 }, (_, at) => `r-${at}`);
  const file = join(folder, 'settings.yaml');
  const calendar =
    'calendar: { weekend: [], transactionDetails: { due: T+1 10:00 }, settlement: { date: T+2, reportsDue: T+1 12:00 } }';
  const call = async (settings: string, ...args: string[]) => {
    writeFileSync(file, settings);
    return settlestream(['open', '--config', file, ...args], {
      env: { DATABASE_URL: mornings.database.url, SETTLESTREAM_DATA_DIR: folder },
    });
  };
  const source = `sources:\n  - { name: provider, merchantId: M1, folder: ., timeZone: Asia/Shanghai, ${calendar} }\n`;
  await mornings.record(...ids.map((id) => record(id, today)), record('old', addDays(today, -9)));
  const firstDay = addDays(today, -20).replaceAll('-', '');
  mornings.arrive({
    [`M1/${firstDay}/settlementItems_USD_B_000.csv`]: details('B', 'b'),
    [`M1/${firstDay}/settlementSummary_USD_B_000.csv`]: summary('B', 1),
  });
  await mornings.at(new Date().toISOString());

  test('tells sums, and lists records in pages', async () => {
    const { code, json } = await call(source, '--json');
    assert.equal(code, 0);
    assert.deepEqual(json.notes, []);
    assert.equal(json.records, undefined);
    assert.deepEqual(
      json.unsettled.map(({ age, count, amount }: Record<string, unknown>) => [age, count, amount]),
      [
        ['not due', 7, '70.00'],
        ['2-7', 1, '10.00'],
      ],
    );
    const seen: string[] = [];
    for (let after: string[] = []; ; ) {
      const page = await call(source, '--json', '--limit', '5', ...after);
      seen.push(...page.json.records.map(({ requestId }: { requestId: string }) => requestId));
      if (page.json.next === null) break;
      assert.match(page.stderr, new RegExp(`--after ${page.json.next}`));
      after = ['--after', page.json.next];
    }
    assert.deepEqual(seen, ['old', ...ids]);
  });

  test('writes lists for spreadsheets and tables for people', async () => {
    const csv = await call(source, '--format', 'csv');
    const lines = csv.stdout.trimEnd().split('\n');
    assert.match(lines[0]!, /^what,date,merchantId,/);
    assert.equal(lines.filter((line) => line.startsWith('record,')).length, 8);
    assert.match(csv.stdout, new RegExp(`^record,${today},M1,,PAYMENT,r-0,10.00,USD,`, 'm'));
    const { stdout } = await call(source, '--records');
    assert.match(stdout, /to be settled on/);
    assert.match(stdout, /r-6/);
    const xlsx = await call(source, '--format', 'xlsx', '--from', today);
    assert.ok(xlsx.stdout.startsWith('PK'));
  });

  test('without a calendar says so, and lists what no settlement has', async () => {
    const { json } = await call('', '--json');
    assert.equal(json.notes.length, 2);
    assert.deepEqual(
      json.unsettled.map(({ age, count }: Record<string, unknown>) => [age, count]),
      [['no due time', 8]],
    );
    assert.throws(() => placeGiven('nowhere'), UsageError);
  });
});
