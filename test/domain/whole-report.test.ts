import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { unknownType, wrongSigns } from '../../src/domain/matching/whole-report.ts';
import { check, show } from './reading.ts';

test('in the report of a day a payment below zero is told; refunds are left to all of them together', () =>
  check(
    `
  PAYMENT req=r amount=10:USD            -> own
  PAYMENT req=r amount=0:USD             -> own
  PAYMENT req=r amount=-10:USD           -> own sign_mismatch transactionAmount -10.00 / - - USD 10.00:USD
  CAPTURE req=r amount=-0.01:USD orig=o  -> own sign_mismatch transactionAmount -0.01 / - - USD 0.01:USD
  REFUND req=r amount=-10:USD orig=o     -> own
  REFUND req=r amount=10:USD orig=o      -> own
  CANCEL req=r amount=-10:USD orig=o     -> own
  AUTHORIZATION req=r amount=-10:USD     -> own`,
    { kind: 'transactionDetails' },
  ));

test('a sign is wrong that most others do not have; of one alone, the plus', () => {
  fc.assert(
    fc.property(fc.nat(6), fc.nat(6), (above, below) => {
      const isWrong = (isAbove: boolean) => {
        if ((isAbove ? above : below) === 0) return false;
        const same = (isAbove ? above : below) - 1;
        const other = isAbove ? below : above;
        return same + other === 0 ? isAbove : other > same;
      };
      assert.deepEqual(wrongSigns({ above, below }), { isAboveWrong: isWrong(true), isBelowWrong: isWrong(false) });
    }),
  );
});

test('rows of a type that nobody lists are told once, with what they settle', () => {
  const told = unknownType({ type: 'Total', rows: 2, settlementMinor: -5820n, line: 9 }, 'EUR');
  assert.equal(show(told), 'unknown_type type -58.20 / - - EUR 58.20:EUR');
  assert.deepEqual([told.line, told.type], [9, 'Total']);
  assert.match(told.message, /^2 rows of the type Total, which the format does not list, move money .*: -58\.20 EUR\./);
  assert.equal(
    show(unknownType({ type: 'Total', rows: 1, settlementMinor: null, line: 9 }, null)),
    'unknown_type type - / - - - -',
  );
});
