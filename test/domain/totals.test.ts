import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareTotals,
  detailsTotals,
  residualOf,
  type SummaryRow,
  showSums,
  summaryTotals,
} from '../../src/domain/matching/totals.ts';
import type { Currency } from '../../src/domain/money/currency.ts';

/** 'PAYMENT 2 192 8': type, count, settlement and fee amount in the smallest unit; '-' is blank. */
function sums(lines: string[]) {
  return lines.map((line) => {
    const [type, count, settlement, fee] = line.split(/\s+/).map((cell) => (cell === '-' ? null : cell));
    return {
      type: type ?? null,
      count: count == null ? null : Number(count),
      settlementMinor: settlement == null ? null : BigInt(settlement),
      feeMinor: fee == null ? null : BigInt(fee),
    };
  });
}
const details = (lines: string[]) =>
  detailsTotals(
    sums(lines).map((sum) => ({ ...sum, type: sum.type!, count: sum.count! })),
    false,
  );
const summary = (lines: string[]): SummaryRow[] => sums(lines).map((row, at) => ({ ...row, line: at + 2 }));

function compared(ours: string[] | null, theirs: string[], currency: Currency = 'JPY'): string[] {
  return compareTotals(ours && details(ours), summary(theirs), currency).map(({ at, discrepancy: it }) => {
    assert.equal(it.line, at?.line ?? null);
    const stake = it.stake ? ` stake ${it.stake.amountMinor}` : '';
    const amount = it.currency === null ? '' : ` by ${it.difference} ${it.currency}`;
    return `${it.kind} line ${it.line} ${it.type} ${it.field} ${it.reported} / ${it.recorded}${amount}${stake}`;
  });
}

test('the published samples add up', () => {
  const hundsun = ['PAYMENT 2 192 8', 'REFUND 1 -96 -4', 'TOTAL 4 96 4', 'DEFAULT 1 0 0'];
  assert.deepEqual(compared(['PAYMENT 2 192 8', 'REFUND 1 -96 -4', 'DEFAULT 1 0 0'], hundsun), []);
  // 2C2P's correction has its amount in the fee column only: it is settled all the same.
  const twoC2P = ['CAPTURE 1 96 -4', 'DEFAULT 1 - -5', 'TOTAL 2 91 -9'];
  assert.deepEqual(compared(['CAPTURE 1 96 -4', 'DEFAULT 1 -5 -5'], twoC2P, 'HKD'), []);
  const alipay = ['TOTAL 2 725 -25', 'PAYMENT 1 1450 -50', 'REFUND 1 -725 25'];
  assert.deepEqual(compared(['PAYMENT 1 1450 -50', 'REFUND 1 -725 25'], alipay, 'USD'), []);
  assert.deepEqual(compared([], []), []);
});

test('a missing row shows in its type and in the total; only the total is money at stake', () => {
  assert.deepEqual(
    compared(['PAYMENT 1 95 3', 'REFUND 1 -96 -4'], ['PAYMENT 2 192 8', 'REFUND 1 -96 -4', 'TOTAL 3 96 4']),
    [
      'summary_mismatch line 4 TOTAL count 2 / 3',
      'summary_mismatch line 4 TOTAL settlementAmount -1 / 96 by -97 JPY stake 97',
      'summary_mismatch line 4 TOTAL feeAmount -1 / 4 by -5 JPY',
      'summary_mismatch line 2 PAYMENT count 1 / 2',
      'summary_mismatch line 2 PAYMENT settlementAmount 95 / 192 by -97 JPY',
      'summary_mismatch line 2 PAYMENT feeAmount 3 / 8 by -5 JPY',
    ],
  );
});

test('a type that one side lacks is zero there', () => {
  assert.deepEqual(compared(['REFUND 1 0 0'], ['PAYMENT 1 0 0', 'TOTAL 1 0 0']), [
    'summary_mismatch line 2 PAYMENT count 0 / 1',
    'summary_mismatch line null REFUND count 1 / 0',
  ]);
  assert.deepEqual(compared([], ['PAYMENT 1 5 -', 'TOTAL 1 5 -']), [
    'summary_mismatch line 3 TOTAL count 0 / 1',
    'summary_mismatch line 3 TOTAL settlementAmount 0 / 5 by -5 JPY stake 5',
    'summary_mismatch line 2 PAYMENT count 0 / 1',
    'summary_mismatch line 2 PAYMENT settlementAmount 0 / 5 by -5 JPY',
  ]);
  assert.deepEqual(compared(['PAYMENT 1 5 1'], []), [
    'summary_mismatch line null TOTAL count 1 / 0',
    'summary_mismatch line null TOTAL settlementAmount 5 / 0 by 5 JPY stake 5',
    'summary_mismatch line null TOTAL feeAmount 1 / 0 by 1 JPY',
  ]);
});

test('summary rows of one type are added, and the first is named', () => {
  assert.deepEqual(compared(['PAYMENT 3 30 -'], ['PAYMENT 1 10 -', 'PAYMENT 2 21 -', 'TOTAL 1 10 -', 'TOTAL 2 21 -']), [
    'summary_mismatch line 4 TOTAL settlementAmount 30 / 31 by -1 JPY stake 1',
    'summary_mismatch line 2 PAYMENT settlementAmount 30 / 31 by -1 JPY',
  ]);
});

test('a summary without types, or with nothing but its TOTAL, is compared as a whole only', () => {
  const ours = ['PAYMENT 1 10 1', 'REFUND 1 -5 1'];
  assert.deepEqual(compared(ours, ['- 2 5 2']), []);
  assert.deepEqual(compared(ours, ['- 1 3 2', '- 1 3 0']), [
    'summary_mismatch line null TOTAL settlementAmount 5 / 6 by -1 JPY stake 1',
  ]);
  assert.deepEqual(compared(ours, ['TOTAL 2 5 2']), []);
  // Types without a TOTAL row: their sum is the total, and no line states it.
  assert.deepEqual(compared(ours, ['PAYMENT 1 10 1', 'REFUND 1 -4 1']), [
    'summary_mismatch line null TOTAL settlementAmount 5 / 6 by -1 JPY stake 1',
    'summary_mismatch line 3 REFUND settlementAmount -5 / -4 by -1 JPY',
  ]);
});

test('what one side never states is not compared; a blank among stated amounts is zero', () => {
  assert.deepEqual(compared(['PAYMENT 2 10 -'], ['PAYMENT - 10 3', 'TOTAL - 10 3']), []);
  assert.deepEqual(compared(['PAYMENT 2 10 3'], ['PAYMENT - 10 -', 'TOTAL - 10 -']), []);
  assert.deepEqual(
    compared(['DISPUTE 1 -5 -1', 'PAYMENT 1 10 1'], ['DISPUTE 1 -5 -', 'PAYMENT 1 10 1', 'TOTAL 2 5 -']),
    ['summary_mismatch line 2 DISPUTE feeAmount -1 / 0 by -1 JPY'],
  );
  // Money is never passed over: details that settle nothing yet do not answer a summary that does.
  assert.deepEqual(compared(['PAYMENT 1 - -'], ['TOTAL 1 10 -']), [
    'summary_mismatch line 2 TOTAL settlementAmount 0 / 10 by -10 JPY stake 10',
  ]);
});

test('a TOTAL that is not the sum of the other rows is told without details, too', () => {
  assert.deepEqual(compared(null, ['PAYMENT 2 1000 10', 'TOTAL 3 1100 10', 'REFUND 1 -100 -'], 'USD'), [
    'total_mismatch line 3 TOTAL settlementAmount 11.00 / 9.00 by 2.00 USD stake 200',
  ]);
  assert.deepEqual(compared(null, ['PAYMENT 2 10 -', 'TOTAL 3 10 7']), ['total_mismatch line 3 TOTAL count 3 / 2']);
  assert.deepEqual(compared(null, ['TOTAL 3 10 7']), []);
});

test('totals as they are shown', () => {
  const ours = details(['REFUND 1 -500 -', 'PAYMENT 2 1450 -50']);
  assert.deepEqual(
    ours.types.map((sum) => sum.type),
    ['PAYMENT', 'REFUND'],
  );
  assert.deepEqual(showSums(ours.types[1]!, 'USD'), { count: 1, settlementAmount: '-5.00', feeAmount: '0.00' });
  const theirs = summaryTotals(summary(['PAYMENT - 1450 -', 'TOTAL - 900 -']));
  assert.deepEqual(showSums(theirs, 'USD'), { count: null, settlementAmount: '9.00', feeAmount: null });
  assert.equal(residualOf(ours, theirs), 50n);
  assert.equal(residualOf(details([]), summaryTotals([])), 0n);
});

test('a summary made from the details agrees with them, and one cent more does not', () => {
  const sum = fc.record({ count: fc.nat(9), settlementMinor: fc.bigInt(-99n, 99n), feeMinor: fc.bigInt(-9n, 9n) });
  const batch = fc.dictionary(fc.constantFrom('PAYMENT', 'REFUND', 'DISPUTE', 'DEFAULT'), sum, { minKeys: 1 });
  fc.assert(
    fc.property(batch, fc.boolean(), (byType, withTotal) => {
      const types = Object.entries(byType).map(([type, it]) => ({ type, ...it }));
      const ours = detailsTotals(types, false);
      const total = withTotal ? [{ type: 'TOTAL', ...ours.all }] : [];
      const rows = [...types, ...total].map((row, at) => ({ ...row, line: at + 2 }));
      assert.deepEqual(compareTotals(ours, rows, 'USD'), []);
      const wrong = rows.with(0, { ...rows[0]!, settlementMinor: rows[0]!.settlementMinor + 1n });
      assert.notDeepEqual(compareTotals(ours, wrong, 'USD'), []);
    }),
  );
});

test('a fee column that is there and blank says zero: the fee of the summary is compared with it', () => {
  const ours = [{ type: 'PAYMENT', count: 1, settlementMinor: 95n, feeMinor: null }];
  const told = (printsFees: boolean) =>
    compareTotals(detailsTotals(ours, printsFees), summary(['PAYMENT 1 95 -5', 'TOTAL 1 95 -5']), 'JPY').map(
      ({ discrepancy: { kind, type, field, reported, recorded } }) => [kind, type, field, reported, recorded].join(' '),
    );
  assert.deepEqual(told(true), ['summary_mismatch TOTAL feeAmount 0 -5', 'summary_mismatch PAYMENT feeAmount 0 -5']);
  // Without such a column nothing says what the fees are.
  assert.deepEqual(told(false), []);
});
