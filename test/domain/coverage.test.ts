import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { coverageOf, splitOf, wrongIn } from '../../src/domain/matching/coverage.ts';

const row = { isDone: true, needsRecord: true };

test('each row stands in one part: not done, else discrepant where something names it, else matched, else no record needed', () => {
  const split = splitOf(
    [
      { ...row, type: 'PAYMENT', rows: 3, settlementMinor: '2910' },
      { ...row, type: 'REFUND', rows: 1, settlementMinor: '-500' },
      { ...row, type: 'PAYMENT', isDone: false, needsRecord: false, rows: 2, settlementMinor: '0' },
      { ...row, type: 'RESERVE', needsRecord: false, rows: 2, settlementMinor: '-900' },
      { ...row, type: 'ADJUSTMENT_FEE', needsRecord: false, rows: 1, settlementMinor: '-20' },
    ],
    4,
  );
  const named = [
    { type: 'PAYMENT', needsRecord: true, rows: 1, settlementMinor: '970' },
    { type: 'ADJUSTMENT_FEE', needsRecord: false, rows: 1, settlementMinor: '-20' },
  ];
  assert.deepEqual(coverageOf(split, named, false), {
    matched: { rows: 3, settlementMinor: '1440' },
    noRecordNeeded: [{ type: 'RESERVE', rows: 2, settlementMinor: '-900' }],
    notDone: { rows: 2, settlementMinor: '0' },
    discrepant: { rows: 2, settlementMinor: '950' },
    refused: 4,
  });
  assert.deepEqual(
    coverageOf(split, named, true),
    {
      matched: { rows: 0, settlementMinor: '0' },
      noRecordNeeded: [{ type: 'RESERVE', rows: 2, settlementMinor: '-900' }],
      notDone: { rows: 2, settlementMinor: '0' },
      discrepant: { rows: 5, settlementMinor: '2390' },
      refused: 4,
    },
    'in the wrong unit no row is matched',
  );
});

test('whatever is named, the parts add up; what does not is said', () => {
  const amount = fc.bigInt({ min: -(10n ** 12n), max: 10n ** 12n }).map(String);
  const counted = fc.array(
    fc.record({
      type: fc.constantFrom('PAYMENT', 'REFUND', 'RESERVE'),
      needsRecord: fc.boolean(),
      isDone: fc.boolean(),
      rows: fc.nat(9),
      settlementMinor: amount,
    }),
  );
  fc.assert(
    fc.property(counted, fc.nat(5), fc.boolean(), amount, (rows, refused, wrongUnit, ofNamed) => {
      const split = splitOf(rows, refused);
      const named = split.others
        .filter((other) => other.rows > 0)
        .map(({ type }) => ({ type, needsRecord: false, rows: 1, settlementMinor: ofNamed }));
      if (split.matchable.rows > 0) named.push({ type: 'X', needsRecord: true, rows: 1, settlementMinor: ofNamed });
      // Rows of one type need a record or none, whatever their amounts; a part without rows is shown nowhere.
      fc.pre(split.others.every((other) => other.rows > named.filter(({ type }) => type === other.type).length));
      const all = rows.reduce((sum, { settlementMinor }) => sum + BigInt(settlementMinor), 0n);
      const count = rows.reduce((sum, part) => sum + part.rows, refused);
      const coverage = coverageOf(split, named, wrongUnit);
      assert.equal(wrongIn(coverage, { rows: count, settlementMinor: all }), null);
      assert.match(wrongIn(coverage, { rows: count + 1, settlementMinor: all })!, /rows of/);
      assert.match(wrongIn(coverage, { rows: count, settlementMinor: all + 1n })!, /settled of/);
    }),
  );
  const none = splitOf([], 0);
  const told = [{ type: 'PAYMENT', needsRecord: true, rows: 1, settlementMinor: '0' }];
  assert.match(wrongIn(coverageOf(none, told, false), { rows: 0, settlementMinor: 0n })!, /more rows are named/);
});
