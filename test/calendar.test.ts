/** What time alone changes: what may still come is waited for, what is due and not there is told, and not before. */
import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { Calendar } from '../src/domain/calendar/calendar.ts';
import { query } from './support/book.ts';
import { startMornings } from './support/morning.ts';

const CALENDAR: Calendar = {
  timeZone: 'Asia/Shanghai',
  weekend: ['saturday', 'sunday'],
  holidays: ['2026-03-10'],
  quietMinutes: 30,
  transactionDetails: { due: { days: 1, isBusiness: false, at: '10:00' }, daysWithoutTransactions: 'no file' },
  settlement: {
    date: { days: 2, isBusiness: true },
    reportsDue: { days: 1, isBusiness: true, at: '12:00' },
  },
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
const day = (...rows: string[]) => [
  'transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime',
  ...rows,
  '<END>',
];
const sold = (id: string, date: string) => `PAYMENT,t-${id},${id},10.00,USD,${date}T12:00:00+08:00`;
const recorded = (id: string, date: string, status = 'SUCCESS') =>
  `${id},PAYMENT,10.00,USD,${status},${date}T12:00:00+08:00,`;

const [ofBatches, ofDays] = await Promise.all([startMornings(CALENDAR), startMornings(CALENDAR)]);
after(() => Promise.all([ofBatches.close(), ofDays.close()]));

suite('a batch is waited for', () => {
  const mornings = ofBatches;

  test('until its other half has come, and nothing is told meanwhile', async () => {
    await mornings.record(recorded('a', '2026-03-02'));
    mornings.arrive({ 'M1/20260304/settlementItems_USD_B1_000.csv': details('B1', 'a') });
    await mornings.at('2026-03-05T09:00:00+08:00');
    assert.deepEqual(await mornings.states(), { B1: 'waiting' });
    mornings.arrive({ 'M1/20260304/settlementSummary_USD_B1_000.csv': summary('B1', 1) });
    await mornings.at('2026-03-05T09:20:00+08:00');
    assert.deepEqual(await mornings.states(), { B1: 'reconciled' });
  });

  test('until it is due, and then what is missing is told', async () => {
    mornings.arrive({ 'M1/20260304/settlementSummary_USD_B2_000.csv': summary('B2', 1) });
    await mornings.at('2026-03-05T09:30:00+08:00');
    await mornings.at('2026-03-05T11:59:00+08:00');
    assert.equal((await mornings.states())['B2'], 'waiting');
    await mornings.at('2026-03-05T12:00:00+08:00');
    assert.equal((await mornings.states())['B2'], 'incomplete: missing_details');
    mornings.arrive({ 'M1/20260304/settlementItems_USD_B2_000.csv': details('B2', 'a2') });
    await mornings.record(recorded('a2', '2026-03-02'));
    await mornings.at('2026-03-05T13:00:00+08:00');
    assert.equal((await mornings.states())['B2'], 'reconciled');
  });

  test('for rows that the summary counts, only as long as something may be on its way', async () => {
    await mornings.record(recorded('b', '2026-03-03'));
    mornings.arrive({
      'M1/20260305/settlementItems_USD_B3_000.csv': details('B3', 'b'),
      'M1/20260305/settlementSummary_USD_B3_000.csv': summary('B3', 2),
    });
    await mornings.at('2026-03-06T09:00:00+08:00');
    assert.equal((await mornings.states())['B3'], 'waiting');
    await mornings.at('2026-03-06T09:30:00+08:00');
    assert.match((await mornings.states())['B3']!, /^discrepant: summary_mismatch/);
  });
});

suite('days and what was sold on them', () => {
  const mornings = ofDays;

  test('a report that is due and not there is told, and taken back when it comes', async () => {
    await mornings.record(recorded('a', '2026-03-04'), recorded('b', '2026-03-05'));
    mornings.arrive({ 'M1/20260304/transactionItems_20260304_000.csv': day(sold('a', '2026-03-04')) });
    await mornings.at('2026-03-05T09:00:00+08:00');
    await mornings.at('2026-03-06T09:59:00+08:00');
    assert.deepEqual(await mornings.states(), { '2026-03-04': 'reconciled' });
    await mornings.at('2026-03-06T10:00:00+08:00');
    assert.deepEqual(await mornings.states(), {
      '2026-03-04': 'reconciled',
      '2026-03-05': 'incomplete: missing_report',
    });
    mornings.arrive({ 'M1/20260305/transactionItems_20260305_000.csv': day(sold('b', '2026-03-05')) });
    await mornings.at('2026-03-06T11:00:00+08:00');
    assert.deepEqual(await mornings.states(), { '2026-03-04': 'reconciled', '2026-03-05': 'reconciled' });
  });

  test('a day on which nothing was sold expects no file', async () => {
    await mornings.at('2026-03-07T10:00:00+08:00');
    assert.deepEqual(Object.keys(await mornings.states()), ['2026-03-04', '2026-03-05']);
  });

  test('what is due to be settled and is not, is told; over weekend and holiday, and not before', async () => {
    mornings.arrive({
      'M1/20260304/settlementItems_USD_S0_000.csv': details('S0', 'z'),
      'M1/20260304/settlementSummary_USD_S0_000.csv': summary('S0', 1),
    });
    await mornings.record(recorded('z', '2026-03-02'), recorded('c', '2026-03-06'));
    mornings.arrive({ 'M1/20260306/transactionItems_20260306_000.csv': day(sold('c', '2026-03-06')) });
    // Sold on Wednesday the 4th: to be settled on Friday, and reported by Monday noon.
    await mornings.at('2026-03-09T11:59:00+08:00');
    assert.equal((await mornings.states())['2026-03-04'], 'reconciled');
    await mornings.at('2026-03-09T12:00:00+08:00');
    assert.equal((await mornings.states())['2026-03-04'], 'discrepant: unsettled_transaction a 10.00');
    // Sold on Thursday: settled on Monday, reported on Wednesday, for Tuesday is a holiday.
    await mornings.at('2026-03-11T11:59:00+08:00');
    assert.equal((await mornings.states())['2026-03-05'], 'reconciled');
    await mornings.at('2026-03-11T12:00:00+08:00');
    assert.equal((await mornings.states())['2026-03-05'], 'discrepant: unsettled_transaction b 10.00');
  });

  test('a settlement that comes at last takes it back', async () => {
    mornings.arrive({
      'M1/20260306/settlementItems_USD_S1_000.csv': details('S1', 'a', 'b'),
      'M1/20260306/settlementSummary_USD_S1_000.csv': summary('S1', 2),
    });
    await mornings.at('2026-03-11T15:00:00+08:00');
    const states = await mornings.states();
    assert.deepEqual(
      [states['2026-03-04'], states['2026-03-05'], states['S1']],
      ['reconciled', 'reconciled', 'reconciled'],
    );
  });

  test('what a settlement loses is unsettled again', async () => {
    mornings.arrive({ 'M1/20260306/settlementItems_USD_S1_000.csv': details('S1', 'b') });
    await mornings.at('2026-03-11T16:00:00+08:00');
    assert.equal((await mornings.states())['2026-03-04'], 'discrepant: unsettled_transaction a 10.00');
    assert.equal((await mornings.states())['2026-03-05'], 'reconciled');
  });

  test('what is taken back by a cancellation is not waited for', async () => {
    await mornings.record('x-a,CANCEL,10.00,USD,SUCCESS,2026-03-11T12:00:00+08:00,a');
    await mornings.at('2026-03-11T17:00:00+08:00');
    assert.equal((await mornings.states())['2026-03-04'], 'reconciled');
  });

  test('what is recorded only after its day was checked is looked at once more', async () => {
    await mornings.at('2026-03-13T13:00:00+08:00');
    const before = await mornings.states();
    assert.equal(before['2026-03-07'], undefined);
    await mornings.record(recorded('w', '2026-03-07'));
    await mornings.at('2026-03-13T13:10:00+08:00');
    assert.deepEqual(await mornings.states(), {
      ...before,
      '2026-03-07': 'incomplete: missing_report, unsettled_transaction w 10.00',
    });
    await mornings.record(recorded('v', '2026-03-07'));
    await mornings.at('2026-03-13T13:20:00+08:00');
    assert.match(
      (await mornings.states())['2026-03-07']!,
      /unsettled_transaction v 10.00, unsettled_transaction w 10.00/,
    );
  });
});

suite('two providers of one merchant', async () => {
  const mornings = await startMornings(CALENDAR, {
    other: {
      ...CALENDAR,
      settlement: { date: { days: 4, isBusiness: true }, reportsDue: CALENDAR.settlement!.reportsDue },
    },
  });
  after(() => mornings.close());

  test('a record that says by which of them it goes is missed in the reports of that one, when these are due', async () => {
    mornings.arrive({
      'M1/20260301/settlementItems_USD_S0_000.csv': details('S0', 'z'),
      'M1/20260301/settlementSummary_USD_S0_000.csv': summary('S0', 1),
      'M1/20260302/transactionItems_20260302_000.csv': day(sold('a', '2026-03-02')),
    });
    await mornings.record(recorded('z', '2026-02-27'), ...['a', 'b', 'c', 'd'].map((id) => recorded(id, '2026-03-02')));
    await query(
      mornings.database.url,
      `update record set source = case request_id when 'b' then 'other' when 'c' then 'provider' when 'd' then 'unheard of' end`,
    );
    const missed = async () => (await mornings.states())['2026-03-02'];
    await mornings.at('2026-03-03T11:00:00+08:00');
    assert.equal(await missed(), 'discrepant: unreported_transaction c 10.00, unreported_transaction d 10.00');
    mornings.arrive({ 'M1/20260302/transactionItems_20260302_001.csv': day(sold('e', '2026-03-02')) }, 'other');
    await mornings.record(recorded('e', '2026-03-02'));
    await mornings.at('2026-03-03T12:00:00+08:00');
    assert.match((await missed())!, /unreported_transaction b 10.00, unreported_transaction c/);
    const unsettled = async () =>
      [...(await missed())!.matchAll(/unsettled_transaction (\w)/g)].map(([, id]) => id).join('');
    await mornings.at('2026-03-05T12:00:00+08:00');
    // Those that name none wait for the source whose report came last.
    assert.equal(await unsettled(), 'c');
    await mornings.at('2026-03-09T12:00:00+08:00');
    assert.equal(await unsettled(), 'abcde');
  });
});
