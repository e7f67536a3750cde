import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RowRefused } from '../../src/domain/errors.ts';
import { type Currency, digitsOf, MINOR_DIGITS } from '../../src/domain/money/currency.ts';
import {
  convert,
  formatAmount,
  isAbsent,
  parseAmount,
  parseCount,
  parseDecimal,
} from '../../src/domain/money/money.ts';

const MAX = 9n * 10n ** 18n;
const currencies = fc.constantFrom(...(Object.keys(MINOR_DIGITS) as Currency[]));
const minors = fc.bigInt({ min: -MAX, max: MAX });

/** The amount, or the code of its refusal. */
function outcome(read: () => bigint): bigint | string {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof RowRefused);
    return error.code;
  }
}

test('text becomes an exact amount, or is refused', () => {
  const table: [string, number, bigint | string][] = [
    ['12.34', 2, 1234n],
    ['12.340', 2, 1234n],
    ['12.3', 2, 1230n],
    ['12', 2, 1200n],
    ['-0.05', 2, -5n],
    ['-0', 2, 0n],
    ['-0.00', 2, 0n],
    ['007.5', 2, 750n],
    ['1.234', 3, 1234n],
    ['500', 0, 500n],
    ['500.000', 0, 500n],
    ['90000000000000000.00', 2, MAX],
    ['-90000000000000000', 2, -MAX],
    ['0000000000000000000000000000001', 2, 100n],
    ['90000000000000000.01', 2, 'out_of_range'],
    ['-9000000000000000001', 0, 'out_of_range'],
    ['9'.repeat(100_000), 2, 'out_of_range'],
    ['12.345', 2, 'too_many_decimals'],
    ['1.5', 0, 'too_many_decimals'],
    ...[
      '',
      '-',
      '.',
      '1.',
      '.5',
      '-.5',
      '+1',
      '1e5',
      '1,000',
      '1 000',
      ' 1',
      '1 ',
      '1\n',
      '--1',
      '0x1f',
      '１',
      '١',
      '−1',
      'NaN',
      '1.2.3',
      '(1)',
      '1_0',
    ].map((text): [string, number, string] => [text, 2, 'bad_amount']),
  ];
  for (const [text, digits, expected] of table) {
    assert.equal(
      outcome(() => parseAmount(text, digits, 'major')),
      expected,
      text.slice(0, 40),
    );
  }
});

test('in minor units a point may stand, with nothing behind it', () => {
  assert.equal(parseAmount('1450', 2, 'minor'), 1450n);
  assert.equal(parseAmount('1450.00', 2, 'minor'), 1450n);
  assert.equal(parseAmount('1450', 0, 'minor'), 1450n);
  assert.equal(
    outcome(() => parseAmount('14.5', 2, 'minor')),
    'too_many_decimals',
  );
});

test('a refusal names the column where it is told', () => {
  assert.throws(() => parseAmount('x', 2, 'major', 'amount'), { code: 'bad_amount', column: 'amount', text: 'x' });
  assert.throws(() => parseAmount('x', 2, 'major'), { column: null, message: /^"x": This is not an amount/ });
});

test('what is shown is read back the same, with exactly the digits of the currency', () =>
  fc.assert(
    fc.property(minors, currencies, (minor, currency) => {
      const text = formatAmount(minor, currency);
      assert.equal(parseAmount(text, digitsOf(currency), 'major'), minor);
      assert.equal(text.split('.')[1]?.length ?? 0, digitsOf(currency));
    }),
  ));

test('amounts as they are shown', () => {
  const table: [bigint, Currency, string][] = [
    [0n, 'USD', '0.00'],
    [-0n, 'JPY', '0'],
    [-5n, 'USD', '-0.05'],
    [5n, 'KWD', '0.005'],
    [123456n, 'CLF', '12.3456'],
    [-1450n, 'JPY', '-1450'],
  ];
  for (const [minor, currency, expected] of table) assert.equal(formatAmount(minor, currency), expected);
});

test('blank, null and none are absent, zero is not', () => {
  for (const cell of ['', '  ', 'null', 'NULL', 'None', ' none ']) assert.ok(isAbsent(cell), cell);
  for (const cell of ['0', '-', 'nil', 'nulls', 'N/A', '"']) assert.ok(!isAbsent(cell), cell);
});

test('a count is digits', () => {
  assert.equal(parseCount('007', null), 7n);
  assert.equal(parseCount('9'.repeat(15), null), 999_999_999_999_999n);
  for (const text of ['-1', '1.0', '1e3', '', '9'.repeat(16), '9'.repeat(19)]) {
    assert.equal(
      outcome(() => parseCount(text, 'count')),
      'bad_count',
      text,
    );
  }
});

test('prices relate major units, and rounding is half to even', () => {
  const table: [bigint, Currency, string, 'multiply' | 'divide', Currency, bigint][] = [
    [10000n, 'USD', '1', 'multiply', 'EUR', 10000n],
    [18000n, 'KRW', '0.00075', 'multiply', 'USD', 1350n],
    [18000n, 'KRW', '1300', 'divide', 'USD', 1385n],
    [1350n, 'USD', '1300.5', 'multiply', 'KRW', 17557n],
    [1234n, 'KWD', '3.25', 'multiply', 'USD', 401n],
    [1n, 'USD', '0.5', 'multiply', 'EUR', 0n],
    [3n, 'USD', '0.5', 'multiply', 'EUR', 2n],
    [5n, 'USD', '0.5', 'multiply', 'EUR', 2n],
    [-1n, 'USD', '0.5', 'multiply', 'EUR', 0n],
    [-3n, 'USD', '0.5', 'multiply', 'EUR', -2n],
    [-5n, 'USD', '0.5', 'multiply', 'EUR', -2n],
    [-3n, 'USD', '2', 'divide', 'EUR', -2n],
    [1n, 'JPY', '3', 'divide', 'KWD', 333n],
    [2n, 'JPY', '3', 'divide', 'KWD', 667n],
  ];
  for (const [amountMinor, currency, price, operation, to, expected] of table) {
    const converted = convert({ amountMinor, currency }, to, parseDecimal(price)!, operation);
    assert.deepEqual(converted, { amountMinor: expected, currency: to }, `${amountMinor} ${currency} ${price}`);
  }
});

test('a converted amount is the nearest there is: twice its error is at most one unit', () =>
  fc.assert(
    fc.property(
      minors,
      currencies,
      currencies,
      fc.bigInt({ min: 1n, max: 10n ** 12n }),
      fc.nat({ max: 12 }),
      fc.boolean(),
      (amountMinor, from, to, digits, scale, isProduct) => {
        const price = { digits, scale };
        const { amountMinor: rounded } = convert(
          { amountMinor, currency: from },
          to,
          price,
          isProduct ? 'multiply' : 'divide',
        );
        const unit = 10n ** BigInt(scale);
        const [top, bottom] = isProduct ? [digits, unit] : [unit, digits];
        const exactTop = amountMinor * top * 10n ** BigInt(digitsOf(to));
        const exactBottom = bottom * 10n ** BigInt(digitsOf(from));
        const twiceError = 2n * (rounded * exactBottom - exactTop);
        assert.ok(twiceError <= exactBottom && -twiceError <= exactBottom);
        if (twiceError === exactBottom || -twiceError === exactBottom) assert.equal(rounded % 2n, 0n);
      },
    ),
  ));

test('a price is a decimal of any length that makes sense', () => {
  assert.deepEqual(parseDecimal('0.00075'), { digits: 75n, scale: 5 });
  assert.deepEqual(parseDecimal('-1.0'), { digits: -10n, scale: 1 });
  for (const text of ['', '1e3', '1,5', '.5', '1'.repeat(65)]) assert.equal(parseDecimal(text), null, text);
});
