import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Currency } from '../../src/domain/currency.ts';
import {
  compareDiscrepancies,
  compareText,
  type Discrepancy,
  identityOf,
  type PlacedDiscrepancy,
  type Scope,
  stateOf,
  tell,
  totalsByKind,
} from '../../src/domain/discrepancy.ts';

const placed = (said: Partial<PlacedDiscrepancy>): PlacedDiscrepancy => ({
  ...tell('refused_row', '', {}),
  merchantId: 'M1',
  settlementBatchId: null,
  transactionDate: null,
  file: null,
  ...said,
});

test('text is ordered by code point, null first', () => {
  const ordered = [null, '', 'B', 'a', 'aa', 'b', 'é', '\ue000', 'ﬀ', '😀', '😁'];
  assert.deepEqual(ordered.toReversed().sort(compareText), ordered);
  const bytes = (text: string) => Buffer.from(text, 'utf8');
  // UTF-8 bytes sort as code points do.
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      assert.equal(Math.sign(compareText(a, b)), Buffer.compare(bytes(a), bytes(b)));
    }),
  );
});

test('discrepancies come in the promised order', () => {
  const ordered = [
    placed({ settlementBatchId: null, transactionDate: '2026-01-05' }),
    placed({ settlementBatchId: 'B1' }),
    placed({ settlementBatchId: 'B1', file: 'a.csv' }),
    placed({ settlementBatchId: 'B1', file: 'a.csv', line: 2 }),
    placed({ settlementBatchId: 'B1', file: 'a.csv', line: 10, kind: 'amount_mismatch' }),
    placed({ settlementBatchId: 'B1', file: 'a.csv', line: 10 }),
    placed({ settlementBatchId: 'B1', file: 'a.csv', line: 10, field: 'count' }),
    placed({ settlementBatchId: 'B1', file: 'a.csv', line: 10, field: 'count', type: 'PAYMENT' }),
    placed({ settlementBatchId: 'B1', file: 'a.csv', line: 10, field: 'count', type: 'PAYMENT', requestId: 'r' }),
    placed({
      settlementBatchId: 'B1',
      file: 'a.csv',
      line: 10,
      field: 'count',
      type: 'PAYMENT',
      requestId: 'r',
      transactionId: 't',
    }),
    placed({ settlementBatchId: 'B2' }),
  ];
  assert.deepEqual(ordered.toReversed().sort(compareDiscrepancies), ordered);
});

test('totals by kind and currency: the stake, else what is shown', () => {
  const usd = (amountMinor: bigint) => ({ amountMinor, currency: 'USD' as Currency });
  const told: Discrepancy[] = [
    tell('unknown_transaction', '', { currency: 'EUR', stake: usd(1000n) }),
    tell('unknown_transaction', '', { currency: 'USD', stake: usd(5n) }),
    tell('unknown_transaction', '', { currency: 'EUR', stake: { amountMinor: 7n, currency: 'EUR' } }),
    tell('unknown_transaction', '', {}),
    tell('status_mismatch', '', {}),
    tell('conversion_mismatch', '', { currency: 'USD' }),
    tell('summary_mismatch', '', { field: 'count' }),
    tell('summary_mismatch', '', { field: 'feeAmount', currency: 'JPY' }),
  ];
  assert.deepEqual(totalsByKind(told), [
    { kind: 'conversion_mismatch', currency: 'USD', count: 1, amountAtStake: null },
    { kind: 'status_mismatch', currency: null, count: 1, amountAtStake: null },
    { kind: 'summary_mismatch', currency: null, count: 1, amountAtStake: null },
    { kind: 'summary_mismatch', currency: 'JPY', count: 1, amountAtStake: '0' },
    { kind: 'unknown_transaction', currency: null, count: 1, amountAtStake: null },
    { kind: 'unknown_transaction', currency: 'EUR', count: 1, amountAtStake: '0.07' },
    { kind: 'unknown_transaction', currency: 'USD', count: 2, amountAtStake: '10.05' },
  ]);
  assert.deepEqual(totalsByKind([]), []);
});

test('an identity outlives amounts and messages, and lines where there is an id', () => {
  const scope: Scope = {
    merchantId: 'M1',
    batch: { id: 'B1', currency: 'USD', settlementDate: '2026-01-05' },
    transactionDate: null,
    file: 'a.csv',
  };
  const own = tell('amount_mismatch', 'x', {
    line: 2,
    type: 'PAYMENT',
    requestId: 'r',
    transactionId: 't',
    field: 'f',
    reported: '1',
  });
  const is = (a: Discrepancy, b: Discrepancy, other: Scope = scope) => identityOf(a, scope) === identityOf(b, other);
  assert.ok(is(own, { ...own, line: 3, reported: '2', transactionId: 'u', message: 'y' }, { ...scope, file: 'b.csv' }));
  assert.ok(!is(own, { ...own, field: 'g' }));
  assert.ok(!is(own, { ...own, type: 'REFUND' }));
  assert.ok(!is(own, { ...own, requestId: 's' }));
  assert.ok(!is(own, { ...own, requestId: null, transactionId: 'r' }));
  assert.ok(!is(own, own, { ...scope, merchantId: 'M2' }));
  assert.ok(!is(own, own, { ...scope, batch: { ...scope.batch!, currency: 'EUR' } }));
  assert.ok(!is(own, own, { ...scope, batch: null, transactionDate: '2026-01-05' }));
  assert.ok(is(own, own, { ...scope, batch: { ...scope.batch!, settlementDate: '2026-01-06' } }));
  assert.notEqual(identityOf(own, scope, 2), identityOf(own, scope));

  const bare = tell('refused_row', 'x', { line: 2, field: 'f' });
  assert.ok(!is(bare, { ...bare, line: 3 }));
  assert.ok(!is(bare, bare, { ...scope, file: 'b.csv' }));
  const part = tell('missing_part', 'x', { field: 'settlementDetails', recorded: '001' });
  assert.ok(!is(part, { ...part, recorded: '002' }));

  const empty = { ...scope, batch: { ...scope.batch!, id: '000' } };
  const nextDay = { ...scope, batch: { ...empty.batch, settlementDate: '2026-01-06' } };
  assert.notEqual(identityOf(bare, empty), identityOf(bare, nextDay));
});

test('the state of a batch', () => {
  assert.equal(stateOf({ waiting: true, missing: true, open: 1 }), 'waiting');
  assert.equal(stateOf({ waiting: false, missing: true, open: 1 }), 'incomplete');
  assert.equal(stateOf({ waiting: false, missing: false, open: 1 }), 'discrepant');
  assert.equal(stateOf({ waiting: false, missing: false, open: 0 }), 'reconciled');
});
