import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type PayoutSums, waterfallOf } from '../../src/domain/matching/waterfall.ts';

const sums = (settlementMinor: bigint, feeMinor: bigint, count = 1) => ({
  count,
  settlementMinor: String(settlementMinor),
  feeMinor: String(feeMinor),
});
const shown = (steps: ReturnType<typeof waterfallOf>) =>
  steps.map(({ name, minor, isTotal }) => `${isTotal ? '=' : ''}${name} ${minor}`);

test('a batch is shown from before its fees to the bank', () => {
  const facts = {
    totals: [
      { type: 'PAYMENT', ...sums(9_700n, -300n, 5) },
      { type: 'REFUND', ...sums(-1_000n, 0n) },
    ],
    details: sums(8_700n, -300n, 6),
    summary: sums(8_750n, -300n, 6),
  };
  const payout: PayoutSums = { state: 'overdue', amountMinor: 8_750n, arrivedMinor: 0n };
  assert.deepEqual(shown(waterfallOf(facts, 1n, payout)), [
    ...['PAYMENT before fees 10000', 'REFUND -1000', '=before fees 9000', 'fees of PAYMENT -300', '=all rows 8700'],
    ...['difference to the summary 50', '=the summary says 8750', 'overdue -8750', '=arrived at the bank 0'],
  ]);
  assert.deepEqual(shown(waterfallOf(facts, null, null)).slice(0, 3), [
    'PAYMENT 9700',
    'REFUND -1000',
    '=all rows 8700',
  ]);
  const printed = { ...facts, totals: [{ type: 'PAYMENT', ...sums(9_700n, 300n) }], details: null, summary: null };
  assert.deepEqual(shown(waterfallOf(printed, -1n, null)), [
    ...['PAYMENT before fees 10000', '=before fees 10000', 'fees of PAYMENT -300'],
  ]);
});

test('each step begins where the one before it ended, and every total is what its source says', () => {
  const minor = fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n });
  const sum = fc.record({
    count: fc.nat(),
    settlementMinor: fc.option(minor.map(String)),
    feeMinor: fc.option(minor.map(String)),
  });
  const facts = fc.record({
    totals: fc.array(
      sum.chain((one) => fc.string().map((type) => ({ type, ...one }))),
      { maxLength: 5 },
    ),
    details: fc.option(sum),
    summary: fc.option(sum),
  });
  const payout = fc.option(
    fc.record({
      state: fc.constantFrom('arrived' as const, 'expected' as const, 'different' as const, 'nothingDue' as const),
      amountMinor: fc.option(minor),
      arrivedMinor: minor,
    }),
  );
  fc.assert(
    fc.property(facts, fc.constantFrom(1n as const, -1n as const, null), payout, (given, sign, bank) => {
      const steps = waterfallOf(given, sign, bank);
      steps.forEach(({ from, to, minor, isTotal }, at) => {
        assert.equal(to - from, minor);
        const before = steps[at - 1]?.to ?? 0n;
        assert.equal(isTotal ? 0n : before, from);
        // A total is where the steps before it lead, but for the first of its kind and a payout whose amount nobody knows.
        if (isTotal && steps[at - 1] !== undefined && !steps[at - 1]!.isTotal) assert.equal(to, before);
      });
      const of = (name: string) => steps.find((step) => step.name === name)?.minor;
      if (given.details !== null) assert.equal(of('all rows'), BigInt(given.details.settlementMinor ?? '0'));
      if (given.summary?.settlementMinor != null)
        assert.equal(of('the summary says'), BigInt(given.summary.settlementMinor));
      if (bank !== null && bank.state !== 'nothingDue') assert.equal(of('arrived at the bank'), bank.arrivedMinor);
    }),
  );
});
