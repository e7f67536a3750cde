/** What is told of a row because of other reports and records, and taken back when these say something else. */
import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { Calendar } from '../src/domain/calendar/calendar.ts';
import { checkBook } from './support/book.ts';
import { startMornings } from './support/morning.ts';

const CALENDAR: Calendar = {
  timeZone: 'Asia/Shanghai',
  weekend: [],
  holidays: [],
  quietMinutes: 30,
  transactionDetails: { due: { days: 1, isBusiness: false, at: '10:00' }, daysWithoutTransactions: 'no file' },
};
const { transactionDetails: _, ...WITHOUT_DAYS } = CALENDAR;

const details = (batch: string, ...rows: string[]) => [
  'settlementBatchId,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,installmentsNum,paymentTime',
  ...rows.map((row) => `${batch},${row}`),
  '<END>',
];
const summary = (batch: string, count: number, amount: number) => [
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
  `${batch},TOTAL,${count},${amount}.00,USD`,
  '<END>',
];
const day = (...rows: string[]) => [
  'transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,paymentTime',
  ...rows,
  '<END>',
];
const at = (date: string) => `${date}T12:00:00+08:00`;
const settled = (id: string, date: string) => `PAYMENT,t-${id},${id},,10.00,USD,10.00,USD,,${at(date)}`;
const reported = (id: string, date: string) => `PAYMENT,t-${id},${id},,10.00,USD,${at(date)}`;
const recorded = (id: string, date: string) => `${id},PAYMENT,10.00,USD,SUCCESS,${at(date)},`;

const [listed, unlisted, others] = await Promise.all([
  startMornings(CALENDAR),
  startMornings(WITHOUT_DAYS),
  startMornings(WITHOUT_DAYS),
]);
after(() => Promise.all([listed, unlisted, others].map((mornings) => mornings.close())));

suite('settled and not reported', () => {
  const fileOf = (date: string) =>
    `M1/${date.replaceAll('-', '')}/transactionItems_${date.replaceAll('-', '')}_000.csv`;
  const settlement = {
    'M1/20260305/settlementItems_USD_S1_000.csv': details('S1', settled('a', '2026-03-04'), settled('x', '2026-03-04')),
    'M1/20260305/settlementSummary_USD_S1_000.csv': summary('S1', 2, 20),
  };
  const stateOfS1 = async () => (await listed.states())['S1'];
  const TOLD = 'discrepant: settled_not_reported x';

  test('is told when the reports of the day and of those next to it are due and there, and not before', async () => {
    await listed.record(recorded('a', '2026-03-04'), recorded('b', '2026-03-03'), recorded('c', '2026-03-05'));
    await listed.record(recorded('x', '2026-03-04'));
    listed.arrive({
      [fileOf('2026-03-03')]: day(reported('b', '2026-03-03')),
      [fileOf('2026-03-04')]: day(reported('a', '2026-03-04')),
      ...settlement,
    });
    await listed.at('2026-03-05T15:00:00+08:00');
    assert.equal(await stateOfS1(), 'reconciled');
    listed.arrive({ [fileOf('2026-03-05')]: day(reported('c', '2026-03-05')) });
    await listed.at('2026-03-06T09:59:00+08:00');
    assert.equal(await stateOfS1(), 'reconciled');
    await listed.at('2026-03-06T10:00:00+08:00');
    assert.equal(await stateOfS1(), TOLD);
    await checkBook(listed.database.url);
  });

  test('is taken back when a revision of the report lists it, and told again when the next does not', async () => {
    listed.arrive({ [fileOf('2026-03-04')]: day(reported('a', '2026-03-04'), reported('x', '2026-03-04')) });
    await listed.at('2026-03-06T11:00:00+08:00');
    assert.equal(await stateOfS1(), 'reconciled');
    listed.arrive({ [fileOf('2026-03-04')]: day(reported('a', '2026-03-04')) });
    await listed.at('2026-03-06T12:00:00+08:00');
    assert.equal(await stateOfS1(), TOLD);
  });

  test('is taken back when the day after lists it', async () => {
    listed.arrive({ [fileOf('2026-03-05')]: day(reported('c', '2026-03-05'), reported('x', '2026-03-04')) });
    await listed.at('2026-03-06T13:00:00+08:00');
    assert.equal(await stateOfS1(), 'reconciled');
  });

  test('needs no report of a day on which nothing was sold, once that would be due', async () => {
    await listed.record(recorded('y', '2026-03-06'), recorded('z', '2026-03-06'));
    listed.arrive({
      [fileOf('2026-03-06')]: day(reported('z', '2026-03-06')),
      'M1/20260307/settlementItems_USD_S2_000.csv': details(
        'S2',
        settled('y', '2026-03-06'),
        settled('z', '2026-03-06'),
      ),
      'M1/20260307/settlementSummary_USD_S2_000.csv': summary('S2', 2, 20),
    });
    await listed.at('2026-03-08T09:59:00+08:00');
    assert.equal((await listed.states())['S2'], 'reconciled');
    await listed.at('2026-03-08T10:00:00+08:00');
    assert.equal((await listed.states())['S2'], 'discrepant: settled_not_reported y');
  });

  test('is told as soon as the last of the reports comes, where that is late', async () => {
    await listed.record(recorded('u', '2026-03-10'), recorded('v', '2026-03-11'), recorded('w', '2026-03-09'));
    listed.arrive({
      [fileOf('2026-03-09')]: day(reported('w', '2026-03-09')),
      [fileOf('2026-03-11')]: day(reported('v', '2026-03-11')),
      'M1/20260311/settlementItems_USD_S3_000.csv': details('S3', settled('u', '2026-03-10')),
      'M1/20260311/settlementSummary_USD_S3_000.csv': summary('S3', 1, 10),
    });
    await listed.at('2026-03-13T12:00:00+08:00');
    assert.equal((await listed.states())['S3'], 'reconciled');
    listed.arrive({ [fileOf('2026-03-10')]: day() });
    await listed.at('2026-03-13T13:00:00+08:00');
    assert.equal((await listed.states())['S3'], 'discrepant: settled_not_reported u');
    await checkBook(listed.database.url);
  });

  test('is never told where no reports of days are expected', async () => {
    await unlisted.record(...['a', 'x'].map((id) => recorded(id, '2026-03-04')));
    const days = ['2026-03-03', '2026-03-04', '2026-03-05'];
    unlisted.arrive({ ...settlement, ...Object.fromEntries(days.map((date) => [fileOf(date), day()])) });
    await unlisted.at('2026-03-20T12:00:00+08:00');
    assert.equal((await unlisted.states())['S1'], 'reconciled');
  });
});

suite('what was found in another report', () => {
  const CANCELLING = 'M1/20260304/transactionItems_20260304_000.csv';
  const stateOf = async (batch: string) => (await others.states())[batch];

  test('is looked for again when that report is revised: a cancellation', async () => {
    await others.record(
      `p,PAYMENT,10.00,USD,CANCELLED,${at('2026-03-03')},`,
      // Of another payment: without one, the row that cancels would be unknown.
      `k,CANCEL,10.00,USD,SUCCESS,${at('2026-03-03')},`,
    );
    others.arrive({
      [CANCELLING]: day(`CANCEL,t-k,k,p,10.00,USD,${at('2026-03-03')}`),
      'M1/20260305/settlementItems_USD_C1_000.csv': details('C1', settled('p', '2026-03-03')),
      'M1/20260305/settlementSummary_USD_C1_000.csv': summary('C1', 1, 10),
    });
    await others.at('2026-03-06T10:00:00+08:00');
    assert.equal(await stateOf('C1'), 'reconciled');
    others.arrive({ [CANCELLING]: day() });
    await others.at('2026-03-06T11:00:00+08:00');
    assert.equal(await stateOf('C1'), 'discrepant: status_mismatch p CANCELLED');
  });

  test('a refund that is taken back', async () => {
    const REFUNDING = 'M1/20260306/settlementItems_USD_R1_000.csv';
    const refund = (of: string) => details('R1', `REFUND,t-r,r,${of},-10.00,USD,-10.00,USD,,`);
    await others.record(
      ...['q', 'q2'].map((id) => recorded(id, '2026-03-03')),
      ...['r', 's'].map((id) => `${id},REFUND,10.00,USD,SUCCESS,${at('2026-03-05')},`),
    );
    others.arrive({
      [REFUNDING]: refund('q'),
      'M1/20260306/settlementSummary_USD_R1_000.csv': summary('R1', 1, -10),
      'M1/20260307/settlementItems_USD_R2_000.csv': details(
        'R2',
        'REFUND_REVERSAL,t-v,v,r,10.00,USD,10.00,USD,,',
        'REFUND,t-s,s,q,-10.00,USD,-10.00,USD,,',
      ),
      'M1/20260307/settlementSummary_USD_R2_000.csv': summary('R2', 2, 0),
    });
    await others.at('2026-03-08T10:00:00+08:00');
    // The record of the refund names no payment: only its row says which.
    assert.deepEqual([await stateOf('R1'), await stateOf('R2')], ['reconciled', 'reconciled']);
    others.arrive({ [REFUNDING]: refund('q2') });
    await others.at('2026-03-08T11:00:00+08:00');
    assert.deepEqual([await stateOf('R1'), await stateOf('R2')], ['reconciled', 'reconciled']);
    // What is taken back counts for the other payment now, so that of this one two refunds are too many.
    await others.record(`s2,REFUND,5.00,USD,SUCCESS,${at('2026-03-05')},`);
    others.arrive({
      'M1/20260309/settlementItems_USD_R3_000.csv': details('R3', 'REFUND,t-s2,s2,q,-5.00,USD,-5.00,USD,,'),
      'M1/20260309/settlementSummary_USD_R3_000.csv': summary('R3', 1, -5),
    });
    await others.at('2026-03-10T10:00:00+08:00');
    assert.equal(await stateOf('R3'), 'discrepant: over_refunded q 10.00');
    others.arrive({ [REFUNDING]: refund('q') });
    await others.at('2026-03-10T11:00:00+08:00');
    assert.equal(await stateOf('R3'), 'discrepant: over_refunded q 10.00');
    await checkBook(others.database.url);
  });
});

suite('sums follow the records that they are compared with', () => {
  const stateOf = async (batch: string) => (await others.states())[batch];

  test('an authorization that is recorded late, and changes', async () => {
    await others.record(
      `k1,CAPTURE,6.00,USD,SUCCESS,${at('2026-03-11')},`,
      `k2,CAPTURE,6.00,USD,SUCCESS,${at('2026-03-11')},`,
    );
    for (const [batch, id] of [
      ['K1', 'k1'],
      ['K2', 'k2'],
    ]) {
      others.arrive({
        [`M1/20260312/settlementItems_USD_${batch}_000.csv`]: details(
          batch!,
          `CAPTURE,t-${id},${id},a,6.00,USD,6.00,USD,,`,
        ),
        [`M1/20260312/settlementSummary_USD_${batch}_000.csv`]: summary(batch!, 1, 6),
      });
    }
    await others.at('2026-03-13T10:00:00+08:00');
    assert.deepEqual(
      [await stateOf('K1'), await stateOf('K2')],
      ['discrepant: orphan_row k1', 'discrepant: orphan_row k2'],
    );
    await others.record(`a,AUTHORIZATION,10.00,USD,SUCCESS,${at('2026-03-11')},`);
    await others.at('2026-03-13T11:00:00+08:00');
    assert.deepEqual([await stateOf('K1'), await stateOf('K2')], ['reconciled', 'discrepant: over_captured a 10.00']);
    await others.record(`a,AUTHORIZATION,12.00,USD,SUCCESS,${at('2026-03-11')},`);
    await others.at('2026-03-13T12:00:00+08:00');
    assert.deepEqual([await stateOf('K1'), await stateOf('K2')], ['reconciled', 'reconciled']);
  });

  test('instalments: told on the last of them, or where it is too much, beside what is wrong with such a row alone', async () => {
    await others.record(`i,PAYMENT,10.00,USD,SUCCESS,${at('2026-03-11')},`);
    const part = (batch: string, id: string, amount: number, count: number) => ({
      [`M1/20260314/settlementItems_USD_${batch}_000.csv`]: details(
        batch,
        `PAYMENT,t-${id},i,,${amount}.00,USD,${amount}.00,USD,${count},`,
      ),
      [`M1/20260314/settlementSummary_USD_${batch}_000.csv`]: summary(batch, 1, amount),
    });
    const states = async () => [await stateOf('I1'), await stateOf('I2'), await stateOf('I3')];
    others.arrive({ ...part('I1', 'i1', 4, 2) });
    await others.at('2026-03-15T10:00:00+08:00');
    assert.deepEqual(await states(), ['reconciled', undefined, undefined]);
    others.arrive({ ...part('I3', 'i3', 5, 2) });
    await others.at('2026-03-15T11:00:00+08:00');
    assert.deepEqual(await states(), ['reconciled', undefined, 'discrepant: amount_mismatch i 10.00']);
    // Another one after all, between the two: now it is too much, on the last still.
    others.arrive({ ...part('I2', 'i2', 2, 2) });
    await others.at('2026-03-15T12:00:00+08:00');
    assert.deepEqual(await states(), ['reconciled', 'reconciled', 'discrepant: amount_mismatch i 10.00']);
    await others.record(`i,PAYMENT,11.00,USD,SUCCESS,${at('2026-03-11')},`);
    await others.at('2026-03-15T13:00:00+08:00');
    assert.deepEqual(await states(), ['reconciled', 'reconciled', 'reconciled']);
    // One that is no instalment is compared by itself, and is told beside the sum, though both are about one key.
    await others.record(`i,PAYMENT,6.00,USD,SUCCESS,${at('2026-03-11')},`);
    others.arrive({
      'M1/20260314/settlementItems_USD_I2_000.csv': details(
        'I2',
        'PAYMENT,t-i2,i,,3.00,USD,3.00,USD,2,',
        'PAYMENT,t-i9,i,,7.00,USD,7.00,USD,,',
      ),
      'M1/20260314/settlementSummary_USD_I2_000.csv': summary('I2', 2, 10),
    });
    await others.at('2026-03-15T14:00:00+08:00');
    assert.deepEqual(await states(), [
      'reconciled',
      'discrepant: amount_mismatch i 6.00, amount_mismatch i 6.00',
      'reconciled',
    ]);
    await checkBook(others.database.url);
  });
});
