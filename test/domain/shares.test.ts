import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Allocation,
  addShare,
  type CumulativeTotal,
  NOTHING_SUMMED,
  type Summed,
  tellSum,
} from '../../src/domain/matching/cumulative.ts';
import type { LedgerRecord } from '../../src/domain/report/record-types.ts';

const record = (type: LedgerRecord['type']): LedgerRecord => ({
  type,
  requestId: 'p-1',
  amountMinor: 100n,
  currency: 'USD',
  status: 'SUCCESS',
  originalRequestId: null,
  occurredAtMicros: 0n,
});
const RECORDS = { refunded: record('PAYMENT'), captured: record('AUTHORIZATION'), instalments: record('PAYMENT') };
const KINDS = { refunded: 'over_refunded', captured: 'over_captured', instalments: 'amount_mismatch' };

const summedOf = (sum: CumulativeTotal, shares: readonly Allocation[]): Summed<Allocation> =>
  shares.reduce((summed, share) => addShare(summed, share, RECORDS[sum]), NOTHING_SUMMED as Summed<Allocation>);

/** Each line: type, what it adds to the sum, `of` so many instalments; `->` what is told on that line. The record is of 1.00 USD. */
function check(sum: CumulativeTotal, story: string) {
  const lines = story
    .trim()
    .split('\n')
    .map((line) => line.trim());
  const shares = lines.map((line, at): Allocation => {
    const [type, amount] = line.split(/\s+/);
    return {
      line: at + 2,
      type: type!,
      requestId: 'p-1',
      transactionId: `t-${at}`,
      amountMinor: BigInt(amount!),
      instalments: Number(/ of (\d+)/.exec(line)?.[1] ?? 1),
    };
  });
  const at = lines.findIndex((line) => line.includes('->'));
  const found = tellSum(sum, RECORDS[sum], summedOf(sum, shares));
  const expected = at < 0 ? null : `line ${at + 2}: ${lines[at]!.split('-> ')[1]}`;
  const told = found && `line ${found.share.line}: ${found.discrepancy.reported}`;
  assert.equal(told, expected, story);
  if (found === null) return null;
  assert.equal(found.discrepancy.kind, KINDS[sum]);
  assert.equal(found.discrepancy.line, found.share.line);
  return found.discrepancy;
}

test('refunds up to the payment are fine', () =>
  void check(
    'refunded',
    `
    REFUND 60
    REFUND 40`,
  ));

test('more is told once, on the row that first goes over, with the sum of all', () => {
  const told = check(
    'refunded',
    `
    REFUND 60
    REFUND 50 -> 1.50
    REFUND 40`,
  );
  const { type, requestId, transactionId, field, recorded, difference, stake, message } = told!;
  assert.deepEqual([type, requestId, transactionId, field], ['PAYMENT', 'p-1', null, null]);
  assert.deepEqual([recorded, difference, stake?.amountMinor], ['1.00', '0.50', 50n]);
  assert.equal(message, 'Refunds of 1.50 USD were settled for PAYMENT p-1 of 1.00 USD.');
});

test('a reversal gives back what it reverses', () => {
  check(
    'refunded',
    `
    REFUND           60
    REFUND_REVERSAL -60
    REFUND          100`,
  );
  check(
    'refunded',
    `
    REFUND           60
    REFUND           60
    REFUND_REVERSAL -20`,
  );
  check(
    'refunded',
    `
    REFUND           60
    REFUND           60 -> 1.19
    REFUND_REVERSAL  -1`,
  );
});

test('refunds and disputes add up, and both are named', () => {
  const told = check(
    'refunded',
    `
    REFUND  60
    DISPUTE 60 -> 1.20`,
  );
  assert.equal(told?.message, 'Refunds of 0.60 USD and disputes of 0.60 USD were settled for PAYMENT p-1 of 1.00 USD.');
  check(
    'refunded',
    `
    RAPID_DISPUTE_RESOLUTION 100
    REFUND                    10 -> 1.10`,
  );
  check(
    'refunded',
    `
    DISPUTE 100
    DISPUTE 100 -> 2.00`,
  );
});

test('a dispute that is given back leaves room again, but makes none for refunds', () => {
  check(
    'refunded',
    `
    REFUND            60
    DISPUTE           60
    DISPUTE_REVERSAL -60`,
  );
  check(
    'refunded',
    `
    DISPUTE_REVERSAL -60
    REFUND           120 -> 1.20`,
  );
  // The sign says which way money goes: this one took again.
  check(
    'refunded',
    `
    REFUND            60
    DISPUTE_REVERSAL  60 -> 1.20`,
  );
});

test('a single dispute of more than its payment is told by its own row', () => void check('refunded', 'DISPUTE 110'));

test('captures up to the authorization are fine, and more is not', () => {
  check(
    'captured',
    `
    CAPTURE 60
    CAPTURE 40`,
  );
  const told = check(
    'captured',
    `
    CAPTURE 60
    CAPTURE 60 -> 1.30
    CAPTURE 10`,
  );
  assert.deepEqual([told?.type, told?.requestId, told?.transactionId], ['AUTHORIZATION', 'p-1', null]);
  check('captured', 'CAPTURE 101 -> 1.01');
});

test('instalments are right when all of them make the record', () => {
  check(
    'instalments',
    `
    PAYMENT 34 of 3
    PAYMENT 33 of 3
    PAYMENT 33 of 3`,
  );
  check(
    'instalments',
    `
    PAYMENT 34 of 3
    PAYMENT 33 of 3`,
  );
});

test('they are told on the row that goes over, or on the last of all where something is lacking', () => {
  const over = check(
    'instalments',
    `
    PAYMENT 60 of 3
    PAYMENT 60 of 3 -> 1.30
    PAYMENT 10 of 3`,
  );
  assert.deepEqual([over?.transactionId, over?.field], ['t-1', 'transactionAmount']);
  const short = check(
    'instalments',
    `
    PAYMENT 33 of 3
    PAYMENT 33 of 3
    PAYMENT 33 of 3 -> 0.99`,
  );
  assert.match(short!.message, /^All 3 instalments of PAYMENT p-1 add up to 0.99 USD/);
});

test('rows that each print the whole are right, however many', () => {
  check(
    'instalments',
    `
    PAYMENT 100 of 2
    PAYMENT 100 of 2
    PAYMENT 100 of 2`,
  );
  check('instalments', 'PAYMENT 100 of 3');
  check(
    'instalments',
    `
    PAYMENT 100 of 3
    PAYMENT  50 of 3 -> 1.50`,
  );
});

test('the first row above stands where the sums of all that came so far say so', () => {
  const share = fc.record({
    type: fc.constantFrom('REFUND', 'REFUND_REVERSAL', 'DISPUTE', 'DISPUTE_REVERSAL'),
    minor: fc.bigInt(0n, 80n),
    isTurned: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(share, { maxLength: 8 }), (given) => {
      const shares = given.map(({ type, minor, isTurned }, at): Allocation => {
        const isDispute = type.startsWith('DISPUTE');
        const adds = isDispute ? !isTurned : type === 'REFUND';
        const ids = { requestId: null, transactionId: null, instalments: 1 };
        return { line: at, type, amountMinor: adds ? minor : -minor, ...ids };
      });
      const sum = (some: readonly Allocation[], isDispute: boolean) =>
        some
          .filter(({ type }) => type.startsWith('DISPUTE') === isDispute)
          .reduce((all, { amountMinor }) => all + amountMinor, 0n);
      const total = (some: readonly Allocation[]) => {
        const disputed = sum(some, true);
        return sum(some, false) + (disputed > 0n ? disputed : 0n);
      };
      const isOver = total(shares) > 100n;
      const isTold = isOver && (sum(shares, false) > 100n || shares.filter((one) => one.amountMinor > 0n).length > 1);
      const first = shares.findIndex((_, at) => total(shares.slice(0, at + 1)) > 100n);
      const found = tellSum('refunded', RECORDS.refunded, summedOf('refunded', shares));
      assert.equal(found?.share.line, isTold ? first : undefined);
    }),
  );
});
