import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { andAfter, type Earlier, type SettledRow, settledBefore } from '../../src/domain/matching/settled-twice.ts';
import type { Currency } from '../../src/domain/money/currency.ts';

type Row = SettledRow & { readonly at: number };

/** Each row with the row that it settles again. */
function settledAgain(rows: readonly Row[], lookbackDays?: number): (Row | null)[] {
  let earlier: Earlier<Row> | null = null;
  return rows.map((row) => {
    const other = settledBefore(earlier, row, lookbackDays);
    earlier = andAfter(earlier, row);
    return other;
  });
}

/** Each line: date, batch, transaction; `->` names the other batch that is expected. Lines stand in the order in which they settle. */
function check(story: string, lookbackDays?: number) {
  const lines = story
    .trim()
    .split('\n')
    .map((line) => line.trim());
  const rows = lines.map((line, at): Row => {
    const [date, batch, transactionId] = line.split(/\s+/);
    const [batchId, currency = 'USD'] = batch!.split('/');
    return {
      at,
      settlementDate: date === 'unknown' ? '' : date!,
      batchId: batchId!,
      currency: currency as Currency,
      transactionId: transactionId === '-' ? null : transactionId!,
    };
  });
  const expected = lines.map((line) => {
    const other = line.split('-> ')[1] ?? null;
    return other === null || other.includes('/') ? other : `${other}/USD`;
  });
  const found = settledAgain(rows, lookbackDays).map((other) => other && `${other.batchId}/${other.currency}`);
  assert.deepEqual(found, expected);
}

test('a key settles once', () => check('2026-01-05 B1 t1'));

test('the later batch is told, and names the latest before it', () =>
  check(`
    2026-01-05 B1 t1
    2026-01-06 B2 t1 -> B1
    2026-01-09 B3 t1 -> B2`));

test('one batch id in two currencies is two batches', () =>
  check(`
    2026-01-05 B1     t1
    2026-01-05 B2/EUR t1 -> B1
    2026-01-05 B2/USD t1 -> B2/EUR`));

test('in one batch only another transaction id is a second settlement', () =>
  check(`
    2026-01-05 B1 t1
    2026-01-05 B1 t1
    2026-01-05 B1 t2 -> B1
    2026-01-05 B1 -  -> B1`));

test('a row is told once, of the latest: its own batch comes after all others', () =>
  check(`
    2026-01-05 B1 t1
    2026-01-06 B2 t1 -> B1
    2026-01-06 B2 t1 -> B1
    2026-01-06 B2 t2 -> B2`));

test('it looks back 120 days, across leap days and years', () => {
  check(`
    2027-11-01 B1 t1
    2028-02-29 B2 t1 -> B1`);
  check(`
    2027-11-01 B1 t1
    2028-03-01 B2 t1`);
  check(
    `
    2026-01-01 B1 t1
    2026-01-03 B2 t1
    2026-01-04 B3 t1 -> B2`,
    1,
  );
});

test('a batch whose settlement date is not known is near any other, and itself', () => {
  check(`
    unknown B1 t1
    unknown B1 t2 -> B1
    unknown B2 t1 -> B1`);
  check(`
    unknown    B1 t1
    2026-01-05 B2 t1 -> B1
    2027-01-05 B3 t1`);
});

test('what is remembered says the same as all rows would: the latest before it that is another transaction', () => {
  const row = fc.record({ batchId: fc.constantFrom('B1', 'B2'), transactionId: fc.constantFrom('t1', 't2', null) });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 12 }), (given) => {
      const rows = given.map((cells, at): Row => ({ at, settlementDate: '2026-01-05', currency: 'USD', ...cells }));
      const isOther = (a: Row, b: Row) => a.batchId !== b.batchId || a.transactionId !== b.transactionId;
      const expected = rows.map((row, at) => rows.slice(0, at).findLast((before) => isOther(before, row)) ?? null);
      assert.deepEqual(settledAgain(rows), expected);
    }),
  );
});
