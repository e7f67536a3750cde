import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Discrepancy } from '../../src/domain/discrepancy.ts';
import {
  compareOriginal,
  compareOwn,
  decideUnit,
  duplicateOf,
  notReported,
  type OwnFacts,
  overRefunded,
  type Report,
  settledTwice,
  unitFactorOf,
  unitMismatch,
  unreported,
} from '../../src/domain/matching/match.ts';
import type { Currency } from '../../src/domain/money/currency.ts';
import type { LedgerRecord } from '../../src/domain/report/record-types.ts';
import type { Row } from '../../src/domain/report/row.ts';

const hkd = { settlementCurrency: 'HKD', wrongUnit: false } as const;

/** 'PAYMENT req-7 -1000 USD for req-1 settled 7800': amounts are in the smallest unit. */
function row(text: string): Row {
  const [type, requestId, amount, currency] = text.split(' ');
  const after = (word: string) => text.match(new RegExp(` ${word} (\\S+)`))?.[1] ?? null;
  const settled = after('settled');
  return {
    line: 2,
    type: type!,
    matchBy: 'own',
    requestId: requestId === '-' ? null : requestId!,
    transactionId: 't-1',
    originalRequestId: after('for'),
    originalTransactionId: after('of'),
    amountMinor: BigInt(amount!),
    currency: currency as Currency,
    settlementMinor: settled === null ? null : BigInt(settled),
    feeMinor: null,
    paidAtMicros: null,
    settledAtMicros: null,
    isDone: true,
    instalments: 1,
    customerId: null,
    acquirer: null,
  };
}

/** 'PAYMENT req-7 1000 USD SUCCESS for req-1' */
function record(text: string): LedgerRecord {
  const [type, requestId, amount, currency, status, , original] = text.split(' ');
  return {
    type: type as LedgerRecord['type'],
    requestId: requestId!,
    amountMinor: BigInt(amount!),
    currency: currency as Currency,
    status: status as LedgerRecord['status'],
    originalRequestId: original ?? null,
    occurredAtMicros: 0n,
  };
}

const shown = (found: Discrepancy[]) =>
  found.map(({ kind, field, reported, recorded, difference, currency, stake }) =>
    [
      kind,
      field ?? '-',
      `${reported} / ${recorded}`,
      ...(difference === null ? [] : [`by ${difference}`]),
      ...(currency === null ? [] : [currency]),
      ...(stake === null ? [] : [`stake ${stake.amountMinor} ${stake.currency}`]),
    ].join(' '),
  );

function own(
  rowText: string,
  recordText: string | null,
  facts: Partial<OwnFacts> = {},
  report: Report = hkd,
): string[] {
  const reported = row(rowText);
  const all = {
    cancelled: false,
    original: reported.originalRequestId,
    originalRecorded: true,
    reportedRoot: null,
    recordedRoot: null,
  };
  return shown(compareOwn(reported, recordText === null ? null : record(recordText), { ...all, ...facts }, report));
}

test('a row with its own request id agrees with its record, or says in what it does not', () => {
  const cases: [row: string, record: string | null, expected: string[], facts?: Partial<OwnFacts>][] = [
    ['PAYMENT req-7 1000 USD', 'PAYMENT req-7 1000 USD SUCCESS', []],
    ['REFUND req-7 -1000 USD', 'REFUND req-7 1000 USD SUCCESS', []],
    ['REFUND req-7 -1000 USD', 'REFUND req-7 -1000 USD SUCCESS', []],
    [
      'PAYMENT req-7 1000 USD',
      'PAYMENT req-7 1001 USD SUCCESS',
      ['amount_mismatch transactionAmount 10.00 / 10.01 by -0.01 USD stake 1 USD'],
    ],
    [
      'REFUND req-7 -500 JPY',
      'REFUND req-7 300 JPY SUCCESS',
      ['amount_mismatch transactionAmount 500 / 300 by 200 JPY stake 200 JPY'],
    ],
    ['PAYMENT req-7 1000 USD', 'PAYMENT req-7 900 EUR SUCCESS', ['currency_mismatch transactionCurrency USD / EUR']],
    ['PAYMENT req-7 -1000 USD', null, ['unknown_transaction - 10.00 / null USD stake 1000 USD']],
    [
      'REFUND req-7 -1000 USD for req-1 settled -7800',
      null,
      ['unknown_transaction - 10.00 / null USD stake 7800 HKD'],
      { originalRecorded: false },
    ],
    ['PAYMENT req-7 1000 USD', 'PAYMENT req-7 1000 USD PENDING', ['status_mismatch status SUCCESS / PENDING']],
    ['PAYMENT req-7 1000 USD', 'PAYMENT req-7 1000 USD CANCELLED', ['status_mismatch status SUCCESS / CANCELLED']],
    ['PAYMENT req-7 1000 USD', 'PAYMENT req-7 1000 USD CANCELLED', [], { cancelled: true }],
    [
      'PAYMENT req-7 1000 USD',
      'PAYMENT req-7 1000 USD FAILED',
      ['status_mismatch status SUCCESS / FAILED'],
      { cancelled: true },
    ],
    [
      'PAYMENT req-7 1000 USD',
      'PAYMENT req-7 2000 USD FAILED',
      [
        'amount_mismatch transactionAmount 10.00 / 20.00 by -10.00 USD stake 1000 USD',
        'status_mismatch status SUCCESS / FAILED',
      ],
    ],
  ];
  for (const [reported, recorded, expected, facts] of cases) {
    assert.deepEqual(own(reported, recorded, facts), expected, `${reported} against ${recorded}`);
  }
});

test('originals may differ as long as they lead to the same payment', () => {
  const reported = 'REFUND r-1 -100 USD for p-1 settled -780';
  const cases: [record: string, facts: Partial<OwnFacts>, expected: string[]][] = [
    ['REFUND r-1 100 USD SUCCESS for p-1', {}, []],
    ['REFUND r-1 100 USD SUCCESS', {}, []],
    ['REFUND r-1 100 USD SUCCESS for c-1', { recordedRoot: 'p-1' }, []],
    ['REFUND r-1 100 USD SUCCESS for c-1', { reportedRoot: 'a-1', recordedRoot: 'a-1' }, []],
    ['REFUND r-1 100 USD SUCCESS for p-2', {}, ['original_mismatch originalTransactionRequestId p-1 / p-2']],
    [
      'REFUND r-1 100 USD SUCCESS for c-1',
      { recordedRoot: 'p-2' },
      ['original_mismatch originalTransactionRequestId p-1 / c-1'],
    ],
    ['REFUND r-1 100 USD SUCCESS for p-2', { original: null }, []],
    [
      'REFUND r-1 100 USD SUCCESS',
      { originalRecorded: false },
      ['orphan_row originalTransactionRequestId p-1 / null stake 780 HKD'],
    ],
    ['REFUND r-1 100 USD SUCCESS', { original: null, originalRecorded: false }, []],
  ];
  for (const [recorded, facts, expected] of cases) assert.deepEqual(own(reported, recorded, facts), expected, recorded);
});

test('a report in the wrong unit gets no amount mismatch, but everything else', () => {
  const report = { ...hkd, wrongUnit: true };
  assert.deepEqual(own('PAYMENT req-7 100000 USD', 'PAYMENT req-7 1000 USD PENDING', {}, report), [
    'status_mismatch status SUCCESS / PENDING',
  ]);
  assert.deepEqual(
    shown(compareOriginal(row('DISPUTE - -100000 USD for p-1'), 'p-1', record('PAYMENT p-1 1000 USD SUCCESS'), report)),
    [],
  );
});

test('a dispute may be about a part of its payment, never about more', () => {
  const cases: [row: string, record: string | null, expected: string[]][] = [
    ['DISPUTE - -1000 USD for p-1', 'PAYMENT p-1 1000 USD SUCCESS', []],
    ['DISPUTE - -400 USD for p-1', 'PAYMENT p-1 1000 USD CANCELLED', []],
    [
      'DISPUTE - -1001 USD for p-1',
      'PAYMENT p-1 1000 USD SUCCESS',
      ['amount_mismatch transactionAmount 10.01 / 10.00 by 0.01 USD stake 1 USD'],
    ],
    ['DISPUTE - -1 EUR for p-1', 'PAYMENT p-1 1000 USD SUCCESS', ['currency_mismatch transactionCurrency EUR / USD']],
    [
      'DISPUTE - -1000 USD for p-1 settled -7800',
      null,
      ['orphan_row originalTransactionRequestId p-1 / null stake 7800 HKD'],
    ],
    ['DISPUTE - -1000 USD of t-9', null, ['orphan_row originalTransactionRequestId t-9 / null stake 1000 USD']],
  ];
  for (const [text, recorded, expected] of cases) {
    const reported = row(text);
    const found = compareOriginal(
      reported,
      reported.originalRequestId,
      recorded === null ? null : record(recorded),
      hkd,
    );
    assert.deepEqual(shown(found), expected, text);
    if (text.includes(' of t-9')) assert.match(found[0]!.message, /t-9/);
  }
});

test('what is told of a key, a payment or a record', () => {
  const payment = record('PAYMENT p-1 1000 USD SUCCESS');
  const refund = row('REFUND r-1 -100 USD for p-1 settled -780');
  assert.deepEqual(
    shown([
      duplicateOf(refund, { line: 2, file: null, isOther: false }, hkd),
      settledTwice(refund, 'B2', 'B1', hkd),
      overRefunded(payment, { sumMinor: 1200n, disputedMinor: 0n }, 9),
      unreported(payment, ['2026-01-03']),
      notReported(row('PAYMENT p-1 1000 USD settled 7800'), '2026-01-03', hkd),
    ]),
    [
      'duplicate_row - null / null stake 780 HKD',
      'settled_twice settlementBatchId B2 / B1 stake 780 HKD',
      'over_refunded - 12.00 / 10.00 by 2.00 USD stake 200 USD',
      'unreported_transaction - null / 10.00 USD stake 1000 USD',
      'settled_not_reported - 10.00 / null USD stake 7800 HKD',
    ],
  );
  const { line, type, requestId, transactionId } = overRefunded(payment, { sumMinor: 1200n, disputedMinor: 0n }, 9);
  assert.deepEqual([line, type, requestId, transactionId], [9, 'PAYMENT', 'p-1', null]);
  assert.match(
    unreported(payment, ['2026-01-03']).message,
    /the report of 2026-01-03, which may contain it, is missing/,
  );
});

test('an instalment in a settlement is not compared by itself, in a transaction report it is', () => {
  const part = { ...row('PAYMENT req-7 400 USD'), instalments: 3 };
  const facts = { cancelled: false, original: null, originalRecorded: false, reportedRoot: null, recordedRoot: null };
  const compare = (recorded: string, report: Report = hkd) => shown(compareOwn(part, record(recorded), facts, report));
  assert.deepEqual(compare('PAYMENT req-7 1000 USD SUCCESS'), []);
  assert.deepEqual(compare('PAYMENT req-7 100 USD SUCCESS'), []);
  assert.deepEqual(compare('PAYMENT req-7 1000 USD FAILED'), ['status_mismatch status SUCCESS / FAILED']);
  assert.deepEqual(compare('PAYMENT req-7 1000 EUR SUCCESS'), ['currency_mismatch transactionCurrency USD / EUR']);
  const inDay = { settlementCurrency: null, wrongUnit: false };
  assert.deepEqual(compare('PAYMENT req-7 1000 USD SUCCESS', inDay), [
    'amount_mismatch transactionAmount 4.00 / 10.00 by -6.00 USD stake 600 USD',
  ]);
});

test('a row tells its unit by the digits of its currency', () => {
  const cases: [row: string, record: string, expected: string | null][] = [
    ['PAYMENT r 100000 USD', 'PAYMENT r 1000 USD SUCCESS', 'up'],
    ['REFUND r -100000 USD', 'REFUND r 1000 USD SUCCESS', 'up'],
    ['PAYMENT r 1000000 KWD', 'PAYMENT r 1000 KWD SUCCESS', 'up'],
    ['PAYMENT r 100000 KWD', 'PAYMENT r 1000 KWD SUCCESS', 'none'],
    ['PAYMENT r 10 USD', 'PAYMENT r 1000 USD SUCCESS', 'down'],
    ['PAYMENT r 1000 USD', 'PAYMENT r 1000 USD SUCCESS', 'none'],
    ['PAYMENT r 100 JPY', 'PAYMENT r 1 JPY SUCCESS', null],
    ['PAYMENT r 0 USD', 'PAYMENT r 0 USD SUCCESS', null],
    ['PAYMENT r 100000 USD', 'PAYMENT r 1000 EUR SUCCESS', null],
  ];
  for (const [reported, recorded, expected] of cases) {
    assert.equal(unitFactorOf(row(reported), record(recorded)), expected, `${reported} against ${recorded}`);
  }
});

test('a report is in the other unit when nine in ten of at least five rows say so', () => {
  const cases: [matched: number, up: number, down: number, expected: 'up' | 'down' | null][] = [
    [0, 0, 0, null],
    [4, 4, 0, null],
    [5, 5, 0, 'up'],
    [5, 4, 0, null],
    [10, 9, 0, 'up'],
    [10, 8, 2, null],
    [10, 1, 9, 'down'],
    [11, 9, 0, null],
  ];
  for (const [matched, up, down, expected] of cases) {
    assert.equal(decideUnit({ matched, up, down }), expected, `${matched} rows, ${up} up, ${down} down`);
  }
  assert.match(unitMismatch('up', { matched: 10, up: 9, down: 0 }).message, /^9 of 10 .* minor units/);
});

test('equal magnitudes never differ, others always do, and the stake is the distance', () => {
  const amount = fc.bigInt(-(9n * 10n ** 18n), 9n * 10n ** 18n);
  fc.assert(
    fc.property(amount, amount, (reported, recorded) => {
      const found = compareOwn(
        row(`PAYMENT r ${reported} USD`),
        record(`PAYMENT r ${recorded} USD SUCCESS`),
        { cancelled: false, original: null, originalRecorded: false, reportedRoot: null, recordedRoot: null },
        hkd,
      );
      const abs = (n: bigint) => (n < 0n ? -n : n);
      const distance = abs(abs(reported) - abs(recorded));
      assert.deepEqual(
        found.map((it) => it.stake?.amountMinor),
        distance === 0n ? [] : [distance],
      );
    }),
  );
});
