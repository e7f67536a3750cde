import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LedgerRecord } from '../../src/domain/match.ts';
import { findOverRefunded, findSettledTwice, type RefundRow, type SettledRow } from '../../src/domain/settled.ts';

/** Each line: date, batch, transaction, flags; `->` names the other batch that is expected. Lines stand in reading order. */
function checkSettled(story: string, lookbackDays?: number) {
  const lines = story
    .trim()
    .split('\n')
    .map((line) => line.trim());
  const rows = lines.map((line, at): SettledRow => {
    const [date, batch, transactionId] = line.split(/\s+/);
    const [batchId, currency = 'USD'] = batch!.split('/');
    return {
      settlementDate: date === 'unknown' ? '' : date!,
      batchId: batchId!,
      currency,
      fileOrder: 0,
      line: at + 2,
      transactionId: transactionId === '-' ? null : transactionId!,
      inInstalments: line.includes('instalment'),
      hasSettlement: !line.includes('unsettled'),
      isDuplicate: line.includes('duplicate'),
    };
  });
  const expected = lines.flatMap((line, at) => {
    const other = line.split('-> ')[1];
    return other === undefined ? [] : [`line ${at + 2}: ${other.includes('/') ? other : `${other}/USD`}`];
  });
  // The order in which the database hands them over must not matter.
  for (const given of [rows, rows.toReversed()]) {
    const found = findSettledTwice(given, lookbackDays).map(
      ({ row, other }) => `line ${row.line}: ${other.batchId}/${other.currency}`,
    );
    assert.deepEqual(found, expected);
  }
}

test('a key settles once', () => checkSettled('2026-01-05 B1 t1'));

test('the later batch is told, and names the latest before it', () =>
  checkSettled(`
    2026-01-05 B1 t1
    2026-01-06 B2 t1 -> B1
    2026-01-09 B3 t1 -> B2`));

test('batches of one day follow each other by id, and by currency where they share it', () =>
  checkSettled(`
    2026-01-05 B1     t1
    2026-01-05 B2/EUR t1 -> B1
    2026-01-05 B2/USD t1 -> B2/EUR`));

test('in one batch only another transaction id is a second settlement', () =>
  checkSettled(`
    2026-01-05 B1 t1
    2026-01-05 B1 t1 duplicate
    2026-01-05 B1 t2 -> B1
    2026-01-05 B1 -  -> B1`));

test('a row is told once, of the latest: its own batch comes after all others', () =>
  checkSettled(`
    2026-01-05 B1 t1
    2026-01-06 B2 t1 -> B1
    2026-01-06 B2 t1 duplicate
    2026-01-06 B2 t2 -> B2`));

test('instalments and rows that are not settled yet neither settle twice nor first', () =>
  checkSettled(`
    2026-01-05 B1 t1 instalment
    2026-01-06 B2 t1 instalment
    2026-01-07 B3 t1 unsettled
    2026-01-08 B4 t1
    2026-01-09 B5 t1 unsettled`));

test('it looks back 120 days, across leap days and years', () => {
  checkSettled(`
    2027-11-01 B1 t1
    2028-02-29 B2 t1 -> B1`);
  checkSettled(`
    2027-11-01 B1 t1
    2028-03-01 B2 t1`);
  checkSettled(
    `
    2026-01-01 B1 t1
    2026-01-03 B2 t1
    2026-01-04 B3 t1 -> B2`,
    1,
  );
});

test('a batch whose settlement date is not known is near any other, and itself', () => {
  checkSettled(`
    unknown B1 t1
    unknown B1 t2 -> B1
    unknown B2 t1 -> B1`);
  checkSettled(`
    unknown    B1 t1
    2026-01-05 B2 t1 -> B1
    2027-01-05 B3 t1`);
});

const payment: LedgerRecord = {
  type: 'PAYMENT',
  requestId: 'p-1',
  amountMinor: 100n,
  currency: 'USD',
  status: 'SUCCESS',
  originalRequestId: null,
  occurredAtMicros: 0n,
};

/** Each line: date, batch, REFUND or REFUND_REVERSAL, request id, amount, flags; `->` gives the sum told on that line. */
function checkRefunds(story: string) {
  const lines = story
    .trim()
    .split('\n')
    .map((line) => line.trim());
  const rows = lines.map((line, at): RefundRow => {
    const [settlementDate, batchId, type, requestId, amount] = line.split(/\s+/);
    return {
      settlementDate: settlementDate!,
      batchId: batchId!,
      currency: 'HKD',
      fileOrder: 0,
      line: at + 2,
      type: type as RefundRow['type'],
      requestId: requestId!,
      amountMinor: BigInt(amount!),
      transactionCurrency: line.includes('EUR') ? 'EUR' : 'USD',
      hasSettlement: !line.includes('unsettled'),
      isDuplicate: line.includes('duplicate'),
      wrongUnit: line.includes('wrong-unit'),
    };
  });
  const at = lines.findIndex((line) => line.includes('->'));
  const expected = at < 0 ? null : `line ${at + 2}: ${lines[at]!.split('-> ')[1]}`;
  for (const given of [rows, rows.toReversed()]) {
    const found = findOverRefunded(payment, given);
    assert.equal(found && `line ${found.row.line}: ${found.sumMinor}`, expected);
  }
}

test('refunds up to the payment are fine', () =>
  checkRefunds(`
    2026-01-05 B1 REFUND r-1 -60
    2026-01-06 B2 REFUND r-2 -40`));

test('told once, on the row that first goes over, with the sum of all', () =>
  checkRefunds(`
    2026-01-05 B1 REFUND r-1 -60
    2026-01-06 B2 REFUND r-2  50 -> 150
    2026-01-07 B3 REFUND r-3 -40`));

test('a reversal gives back what it reverses', () => {
  checkRefunds(`
    2026-01-05 B1 REFUND          r-1 -60
    2026-01-06 B2 REFUND_REVERSAL v-1  60
    2026-01-07 B3 REFUND          r-2 -100`);
  checkRefunds(`
    2026-01-05 B1 REFUND          r-1 -60
    2026-01-06 B2 REFUND          r-2 -60
    2026-01-07 B3 REFUND_REVERSAL v-1  20`);
  checkRefunds(`
    2026-01-05 B1 REFUND          r-1 -60
    2026-01-06 B2 REFUND          r-2 -60 -> 119
    2026-01-07 B3 REFUND_REVERSAL v-1  1`);
});

test('duplicates, other currencies, a wrong unit, and a refund that comes again to be settled do not count', () =>
  checkRefunds(`
    2026-01-05 B1 REFUND r-1 -60 unsettled
    2026-01-06 B2 REFUND r-1 -60
    2026-01-06 B2 REFUND r-1 -60 duplicate
    2026-01-07 B3 REFUND r-2 -90 EUR
    2026-01-08 B4 REFUND r-3 -4000 wrong-unit`));

test('a refund that waits to be settled counts until then', () =>
  checkRefunds(`
    2026-01-05 B1 REFUND r-1 -60
    2026-01-06 B2 REFUND r-2 -60 unsettled -> 120`));

test('something is told exactly when the sum exceeds the payment', () => {
  const amounts = fc.array(fc.record({ amount: fc.bigInt(0n, 80n), isReversal: fc.boolean() }), { maxLength: 8 });
  fc.assert(
    fc.property(amounts, (given) => {
      const rows = given.map(({ amount, isReversal }, at) => ({
        settlementDate: '2026-01-05',
        batchId: 'B1',
        currency: 'USD',
        fileOrder: 0,
        line: at + 2,
        type: isReversal ? ('REFUND_REVERSAL' as const) : ('REFUND' as const),
        requestId: `r-${at}`,
        amountMinor: -amount,
        transactionCurrency: 'USD',
        hasSettlement: true,
        isDuplicate: false,
        wrongUnit: false,
      }));
      const sum = given.reduce((all, { amount, isReversal }) => all + (isReversal ? -amount : amount), 0n);
      assert.equal(findOverRefunded(payment, rows)?.sumMinor, sum > 100n ? sum : undefined);
    }),
  );
});
