import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adyenSettlementDetails } from '../../src/domain/formats/adyen-settlement-details.ts';
import type { Format } from '../../src/domain/formats/format.ts';
import { comparePayout, statedPayout } from '../../src/domain/matching/payout.ts';
import { detailsTotals } from '../../src/domain/matching/totals.ts';
import { readReport, show } from './reading.ts';

const details = (minor: bigint) =>
  detailsTotals([{ type: 'PAYMENT', count: 1, settlementMinor: minor, feeMinor: null }], false);
const at = { loadNo: 1, line: 9, type: 'PAYOUT', transactionId: 'TX1' };

test('what is paid out has to be what the rows add up to', () => {
  const compare = (minor: bigint, paidMinor: bigint, payouts = 1, carryOvers = 0) =>
    comparePayout(details(minor), { paidMinor, payouts, carryOvers, at }, 'EUR').map(show);
  const off = (sides: string) => [`summary_mismatch settlementAmount ${sides}`];
  assert.deepEqual(compare(1960n, 1960n), []);
  assert.deepEqual(compare(1960n, 1500n), off('19.60 / 15.00 4.60 EUR 4.60:EUR'));
  assert.deepEqual(compare(1960n, 1961n), off('19.60 / 19.61 -0.01 EUR 0.01:EUR'));
  assert.deepEqual(compare(1960n, -1960n), off('19.60 / -19.60 39.20 EUR 39.20:EUR'));
  // What is owed is collected, or carried over: then nothing is left.
  assert.deepEqual(compare(-500n, -500n), []);
  assert.deepEqual(compare(0n, 0n, 0, 1), []);
  assert.deepEqual(compare(500n, 0n, 0, 1), off('5.00 / 0.00 5.00 EUR 5.00:EUR'));
});

test('nothing is stated where no row pays out or carries over', () => {
  assert.equal(statedPayout({ paidMinor: 0n, payouts: 0, carryOvers: 0 }), null);
  assert.equal(statedPayout({ paidMinor: 0n, payouts: 0, carryOvers: 1 })?.settlementMinor, 0n);
  assert.equal(statedPayout({ paidMinor: 7n, payouts: 2, carryOvers: 1 })?.settlementMinor, 7n);
});

const HEADER =
  'Merchant Account,Psp Reference,Merchant Reference,Creation Date,TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Net Currency,Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Batch Number';

test('a payout says what is paid, below zero where it is printed as money that leaves; what is not settled says nothing', () => {
  const paid = (net: string, change: Partial<Format> = {}) => {
    const text = `${HEADER}\nShop,,,2026-06-05 02:00:00,CEST,MerchantPayout,TX1,,,,EUR,${net},,,,,7`;
    const [read] = readReport(
      text,
      'settlementDetails',
      { ...adyenSettlementDetails, ...change },
      {
        settlementCurrency: 'EUR',
        batchId: '7',
      },
    );
    assert.deepEqual([read?.findings, read?.refused], [[], null]);
    return read!.row!;
  };
  assert.deepEqual([paid('10.00,').amountMinor, paid('10.00,').settlementMinor], [1000n, null]);
  assert.equal(paid(',10.00').amountMinor, -1000n);
  const { PAYOUT, ...types } = adyenSettlementDetails.types;
  assert.equal(paid(',10.00', { types: { ...types, PAYOUT: { ...PAYOUT!, grossSign: 1 } } }).amountMinor, 1000n);
});
