import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digitsOf, isCurrency, MINOR_DIGITS } from '../../src/domain/money/currency.ts';

test('every currency has the digits that ISO 4217 gives it', () => {
  const table = {
    0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF BYR',
    3: 'BHD IQD JOD KWD LYD OMR TND',
    4: 'CLF UYW',
  };
  const odd = new Map(
    Object.entries(table).flatMap(([digits, codes]) => codes.split(' ').map((code) => [code, +digits])),
  );
  for (const code of Object.keys(MINOR_DIGITS)) {
    assert.ok(isCurrency(code));
    assert.match(code, /^[A-Z]{3}$/);
    assert.equal(digitsOf(code), odd.get(code) ?? 2, code);
  }
  for (const code of odd.keys()) assert.ok(isCurrency(code), code);
});

test('no currency in use is missing', () => {
  // CLDR knows which codes are in use, though not all their digits, and it knows no fund codes.
  const noMinorUnit = 'XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX'.split(' ');
  for (const code of noMinorUnit) assert.ok(!isCurrency(code), code);
  for (const code of Intl.supportedValuesOf('currency'))
    assert.ok(isCurrency(code) || noMinorUnit.includes(code), code);
  for (const code of 'BOV CHE CHW CLF COU MXV USN UYI UYW VED XAD HRK BGN ANG SLL ZWL CUC'.split(' ')) {
    assert.ok(isCurrency(code), code);
  }
});

test('anything else is no currency', () => {
  for (const text of ['', 'usd', 'USD ', 'US', 'ABC', 'toString', 'constructor', '__proto__']) {
    assert.ok(!isCurrency(text), text);
  }
});
