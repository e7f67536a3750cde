import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { type Answer, differences, sameAnswer } from './answer.ts';
import { cleanWeek, makeFaults } from './faults.ts';
import { csvRecords, decode, expectedAnswer, halfEven, parseAmount, printAmount } from './oracle.ts';

const folder = mkdtempSync(join(tmpdir(), 'settlestream-oracle-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => {
  folders += 1;
  return join(folder, String(folders));
};

type Cells = Record<string, string> & {
  [column in 'transactionAmountValue' | 'settlementAmountValue' | 'feeAmountValue']?: string;
};
/** A payment of 10.00 USD that settles as it is; what differs is given. */
const row = (type: string, requestId: string, more: Cells = {}): Cells => ({
  transactionType: type,
  transactionId: `t-${requestId}`,
  transactionRequestId: requestId,
  transactionAmountValue: '10.00',
  transactionCurrency: 'USD',
  settlementAmountValue: more.transactionAmountValue ?? '10.00',
  ...more,
});
const refund = (requestId: string, of: string, more: Cells = {}) =>
  row('REFUND', requestId, { transactionAmountValue: '-10.00', originalTransactionRequestId: of, ...more });

function csv(rows: Cells[], columns: string[]): string {
  const all = [...new Set([...columns, ...rows.flatMap((cells) => Object.keys(cells))])];
  return [all, ...rows.map((cells) => all.map((column) => cells[column] ?? '')), ['<END>'], []]
    .map((cells) => cells.join(','))
    .join('\n');
}
const items = (rows: Cells[], batch = 'B1', currency = 'USD') =>
  csv(
    rows.map((cells) => ({ settlementBatchId: batch, settlementCurrency: currency, ...cells })),
    'settlementBatchId transactionType transactionId transactionRequestId transactionAmountValue transactionCurrency settlementAmountValue settlementCurrency'.split(
      ' ',
    ),
  );
const summary = (rows: Cells[], batch = 'B1', currency = 'USD') =>
  csv(
    rows.map((cells) => ({ settlementBatchId: batch, settlementCurrency: currency, feeCurrency: currency, ...cells })),
    'settlementBatchId summaryType count settlementAmountValue settlementCurrency feeAmountValue feeCurrency'.split(
      ' ',
    ),
  );
const total = (count: string, settlementAmountValue: string, feeAmountValue = '0') => ({
  summaryType: 'TOTAL',
  count,
  settlementAmountValue,
  feeAmountValue,
});
const day = (rows: Cells[]) =>
  csv(
    rows.map(({ settlementAmountValue: _, ...cells }) => cells),
    'transactionType transactionId transactionRequestId transactionAmountValue transactionCurrency paymentTime'.split(
      ' ',
    ),
  );

/** Ledger lines read `type requestId amount currency status original`; what is not said is 10.00 USD SUCCESS. */
function answerTo(files: Record<string, string>, ledger: string[], options = {}): Answer {
  const dir = newFolder();
  for (const [file, text] of Object.entries(files)) {
    const path = join(dir, 'reports/M1', file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  const records = ledger.map((line) => {
    const [type, requestId, amount = '10.00', currency = 'USD', status = 'SUCCESS', original = ''] = line.split(' ');
    return [requestId, type, amount, currency, status, '2024-01-05T10:00:00+08:00', original].join(',');
  });
  writeFileSync(
    join(dir, 'ledger.csv'),
    ['requestId,type,amount,currency,status,occurredAt,originalRequestId', ...records].join('\n'),
  );
  return expectedAnswer([join(dir, 'reports')], join(dir, 'ledger.csv'), options);
}
const shown = (answer: Answer) =>
  answer.discrepancies.map(({ kind, line, field, reported, recorded, difference }) =>
    [kind, line ?? '-', field, reported, recorded, difference].filter((part) => part !== null).join(' '),
  );

/** One batch B1 of 2024-01-06 with these rows and a summary that agrees with them in count alone, if none is given. */
function batchOf(rows: Cells[], ledger: string[], stated?: Cells[]): Answer {
  const sum = rows.reduce((cents, cells) => cents + Math.round(Number(cells.settlementAmountValue || 0) * 100), 0);
  const fees = rows.reduce((cents, cells) => cents + Math.round(Number(cells.feeAmountValue || 0) * 100), 0);
  const agreed = [total(String(rows.length), (sum / 100).toFixed(2), (fees / 100).toFixed(2))];
  const files = {
    '20240106/settlementItems_USD_B1_000.csv': items(rows),
    '20240106/settlementSummary_USD_B1_000.csv': summary(stated ?? agreed),
  };
  return answerTo(files, ledger);
}

const P1 = 'PAYMENT p1';
const cases: [string, Cells[], string[], string[]][] = [
  ['a row that agrees', [row('PAYMENT', 'p1')], [P1], []],
  ['unknown_transaction', [row('PAYMENT', 'p2')], [P1], ['unknown_transaction 2 10.00']],
  [
    'amount_mismatch',
    [row('PAYMENT', 'p1')],
    ['PAYMENT p1 9.00'],
    ['amount_mismatch 2 transactionAmount 10.00 9.00 1.00'],
  ],
  ['amounts by magnitude', [refund('r1', 'p1')], [P1, 'REFUND r1'], []],
  [
    'currency_mismatch instead of the amount',
    [row('PAYMENT', 'p1')],
    ['PAYMENT p1 9.00 EUR'],
    ['currency_mismatch 2 transactionCurrency USD EUR'],
  ],
  [
    'status_mismatch',
    [row('PAYMENT', 'p1')],
    ['PAYMENT p1 10.00 USD FAILED'],
    ['status_mismatch 2 status SUCCESS FAILED'],
  ],
  [
    'CANCELLED passes beside its CANCEL',
    [row('PAYMENT', 'p1')],
    ['PAYMENT p1 10.00 USD CANCELLED', 'CANCEL c1 10.00 USD SUCCESS p1'],
    [],
  ],
  [
    'original_mismatch',
    [refund('r1', 'p1')],
    [P1, 'PAYMENT p2', 'REFUND r1 10.00 USD SUCCESS p2'],
    ['original_mismatch 2 originalTransactionRequestId p1 p2'],
  ],
  [
    'an original by way of its capture',
    [refund('r1', 'c1')],
    ['AUTHORIZATION a1', 'CAPTURE c1 10.00 USD SUCCESS a1', 'REFUND r1 10.00 USD SUCCESS a1'],
    [],
  ],
  ['missing_key', [row('PAYMENT', '')], [P1], ['missing_key 2 transactionRequestId']],
  [
    'missing_key of a reversal with an id of its own',
    [row('PAYMENT_REVERSAL', 'v1', { transactionAmountValue: '-1.00', settlementAmountValue: '-1.00' })],
    [P1],
    ['missing_key 2 originalTransactionRequestId'],
  ],
  [
    'missing_key of a dispute',
    [
      row('DISPUTE', '', {
        transactionAmountValue: '',
        settlementAmountValue: '-1.00',
        disputeHandlingFee: '-1.00',
        disputeHandlingFeeCurrency: 'USD',
      }),
    ],
    [P1],
    ['missing_key 2 originalTransactionRequestId'],
  ],
  [
    'a dispute finds its payment by transactionId; above it is amount_mismatch',
    [
      row('PAYMENT', 'p1'),
      row('DISPUTE', '', { transactionId: 't9', originalTransactionId: 't-p1', transactionAmountValue: '-11.00' }),
    ],
    [P1],
    ['amount_mismatch 3 transactionAmount 11.00 10.00 1.00'],
  ],
  [
    'sign_mismatch',
    [row('PAYMENT', 'p1', { transactionAmountValue: '-10.00' })],
    [P1],
    ['sign_mismatch 2 settlementAmount -10.00'],
  ],
  [
    'duplicate_row is compared no further',
    [row('PAYMENT', 'p1'), row('PAYMENT', 'p1', { transactionAmountValue: '7.00' })],
    [P1],
    ['duplicate_row 3'],
  ],
  [
    'settled_twice within a batch',
    [row('PAYMENT', 'p1'), row('PAYMENT', 'p1', { transactionId: 'other' })],
    [P1],
    ['settled_twice 3 settlementBatchId B1 B1'],
  ],
  [
    'instalments are not settled twice',
    [
      row('PAYMENT', 'p1', { installmentsNum: '3' }),
      row('PAYMENT', 'p1', { transactionId: 'other', installmentsNum: '3' }),
    ],
    [P1],
    [],
  ],
  ['orphan_row', [refund('r1', 'p9')], [P1, 'REFUND r1'], ['orphan_row 2 originalTransactionRequestId p9']],
  [
    'over_refunded on the row that first exceeds',
    [refund('r1', 'p1', { transactionAmountValue: '-6.00' }), refund('r2', 'p1', { transactionAmountValue: '-6.00' })],
    [P1, 'REFUND r1 6.00', 'REFUND r2 6.00'],
    ['over_refunded 3 12.00 10.00 2.00'],
  ],
  [
    'a reversal of the refund subtracts',
    [
      refund('r1', 'p1', { transactionAmountValue: '-6.00' }),
      row('REFUND_REVERSAL', 'v1', { transactionAmountValue: '6.00', originalTransactionRequestId: 'r1' }),
      refund('r2', 'p1', { transactionAmountValue: '-6.00' }),
    ],
    [P1, 'REFUND r1 6.00 USD SUCCESS p1', 'REFUND r2 6.00'],
    [],
  ],
  [
    'net_mismatch beyond the tolerance only',
    [
      row('PAYMENT', 'p1', { settlementAmountValue: '9.48', feeAmountValue: '-0.50', feeCurrency: 'USD' }),
      row('PAYMENT', 'p2', { settlementAmountValue: '9.47', feeAmountValue: '-0.50', feeCurrency: 'USD' }),
    ],
    [P1, 'PAYMENT p2'],
    ['net_mismatch 3 settlementAmount 9.47 9.50 -0.03'],
  ],
  [
    'Hundsun prints its charges positive',
    [
      row('PAYMENT', 'p1', {
        acquirer: 'Hundsun',
        settlementAmountValue: '9.50',
        feeAmountValue: '0.50',
        feeCurrency: 'USD',
      }),
    ],
    [P1],
    [],
  ],
  [
    'fee_breakdown_mismatch',
    [
      row('PAYMENT', 'p1', {
        settlementAmountValue: '9.50',
        feeAmountValue: '-0.50',
        feeCurrency: 'USD',
        interchangeFeeAmountValue: '-0.40',
        interchangeFeeCurrency: 'USD',
      }),
    ],
    [P1],
    ['fee_breakdown_mismatch 2 feeAmount -0.50 -0.40 -0.10'],
  ],
  [
    'a conversion in both directions',
    [
      row('PAYMENT', 'p1', {
        transactionAmountValue: '1000',
        transactionCurrency: 'JPY',
        settlementAmountValue: '6.70',
        quoteCurrencyPair: 'JPY/USD',
        quotePrice: '0.0067',
      }),
      row('PAYMENT', 'p2', {
        transactionAmountValue: '1000',
        transactionCurrency: 'JPY',
        settlementAmountValue: '6.67',
        quoteCurrencyPair: 'USD/JPY',
        quotePrice: '150',
      }),
    ],
    ['PAYMENT p1 1000 JPY', 'PAYMENT p2 1000 JPY'],
    [],
  ],
  [
    'conversion_mismatch without a price; net is then not checked',
    [
      row('PAYMENT', 'p1', {
        transactionCurrency: 'EUR',
        settlementAmountValue: '99.00',
        quoteCurrencyPair: 'EUR/USD',
      }),
    ],
    ['PAYMENT p1 10.00 EUR'],
    ['conversion_mismatch 2 convertedTransactionAmount'],
  ],
  [
    'a reserve needs no record',
    [row('RESERVE_RELEASED', '', { transactionAmountValue: '', settlementAmountValue: '5.00' })],
    [P1],
    [],
  ],
];

for (const [name, rows, ledger, expected] of cases)
  test(`oracle: ${name}`, () => assert.deepEqual(shown(batchOf(rows, ledger)), expected));

test('oracle: refused rows name their column, and only they are lost', () => {
  const rows = [
    row('PAYMENT', 'p1', { transactionAmountValue: '1e3' }),
    row('PAYMENT', 'p2', { transactionCurrency: 'ZZZ' }),
    row('PAYMENT', 'p3', { transactionAmountValue: '1.001' }),
    row('PAYMENT', 'p4', { settlementBatchId: 'B2' }),
    row('PAYMENT', 'p5'),
  ].map((cells) => ({ ...cells, settlementAmountValue: '10.00' }));
  const answer = batchOf(rows, ['PAYMENT p5'], [total('1', '10.00')]);
  assert.deepEqual(shown(answer), [
    'refused_row 2 transactionAmountValue 1e3',
    'refused_row 3 transactionCurrency ZZZ',
    'refused_row 4 transactionAmountValue 1.001',
    'refused_row 5 settlementBatchId B2',
  ]);
  assert.deepEqual(answer.counts, { reports: 2, rows: 5, matchedRows: 1, refusedRows: 4, discrepancies: 4 });
  assert.equal(answer.exitCode, 1);
});

test('oracle: nine in ten rows off by 100 are one unit_mismatch', () => {
  const rows = Array.from({ length: 10 }, (_, i) =>
    row('PAYMENT', `p${i}`, { transactionAmountValue: i ? '1000.00' : '10.00' }),
  );
  const answer = batchOf(
    rows,
    rows.map((_, i) => `PAYMENT p${i}`),
  );
  assert.deepEqual(shown(answer), ['unit_mismatch -']);
  assert.equal(answer.counts.matchedRows, 0);
});

test('oracle: summary_mismatch by type and in TOTAL, total_mismatch beside it', () => {
  const stated = [
    { summaryType: 'PAYMENT', count: '1', settlementAmountValue: '9.00', feeAmountValue: '0' },
    total('1', '10.00'),
  ];
  const answer = batchOf([row('PAYMENT', 'p1')], [P1], stated);
  assert.deepEqual(shown(answer), [
    'summary_mismatch 2 settlementAmount 10.00 9.00 1.00',
    'total_mismatch 3 settlementAmount 10.00 9.00 1.00',
  ]);
  assert.deepEqual(answer.discrepancyTotals, [
    { kind: 'summary_mismatch', currency: 'USD', count: 1, amountAtStake: null },
    { kind: 'total_mismatch', currency: 'USD', count: 1, amountAtStake: '1.00' },
  ]);
  assert.equal(answer.batches[0]?.residual, '0.00');
});

test('oracle: a DEFAULT row without a settlement amount settles its fee', () => {
  const fee = { transactionType: 'DEFAULT', feeAmountValue: '-5.00', feeCurrency: 'USD' };
  const answer = batchOf([row('PAYMENT', 'p1'), fee], [P1], [total('2', '5.00', '-5.00')]);
  assert.deepEqual(shown(answer), []);
  assert.deepEqual(answer.batches[0]?.details, { count: 2, settlementAmount: '5.00', feeAmount: '-5.00' });
});

test('oracle: settled_twice in a later batch names the earlier one', () => {
  const files = Object.fromEntries(
    ['20240106 B1', '20240110 B2', '20240620 B3'].flatMap((text) => {
      const [date, batch] = text.split(' ') as [string, string];
      return [
        [`${date}/settlementItems_USD_${batch}_000.csv`, items([row('PAYMENT', 'p1')], batch)],
        [`${date}/settlementSummary_USD_${batch}_000.csv`, summary([total('1', '10.00')], batch)],
      ];
    }),
  );
  const answer = answerTo(files, [P1]);
  assert.deepEqual(shown(answer), ['settled_twice 2 settlementBatchId B2 B1']); // B3 looks back 120 days, not 162
  assert.deepEqual(
    answer.batches.map(({ state }) => state),
    ['reconciled', 'discrepant', 'reconciled'],
  );
});

test('oracle: parts that are not there, reports that are not there', () => {
  const answer = answerTo(
    {
      '20240106/settlementItems_USD_B1_001.csv': items([row('PAYMENT', 'p1')]),
      '20240106/settlementItems_USD_B1_002.csv': 'uploading',
      '20240106/settlementSummary_USD_B1_000.csv': summary([total('1', '10.00')]),
      '20240106/settlementSummary_USD_B2_000.csv': summary([total('1', '10.00')], 'B2'),
      '20240106/settlementItems_USD_B3_000.csv': items([row('PAYMENT', 'p3')], 'B3'),
    },
    [P1, 'PAYMENT p3'],
  );
  assert.deepEqual(shown(answer), [
    'missing_part - settlementDetails 000',
    'missing_part - settlementDetails 002',
    'missing_details -',
    'missing_summary -',
  ]);
  assert.deepEqual(
    answer.batches.map(({ state }) => state),
    ['incomplete', 'incomplete', 'incomplete'],
  );
  assert.equal(answer.batches[0]?.residual, null);
  assert.equal(answer.exitCode, 3);
});

test('oracle: unreported_transaction, unless a neighbouring day reports it', () => {
  const ledger = [P1, 'PAYMENT p2', 'PAYMENT p3', 'AUTHORIZATION a1', 'PAYMENT p4 10.00 USD FAILED'];
  const answer = answerTo(
    {
      '20240105/transactionItems_20240105_000.csv': day([row('PAYMENT', 'p1')]),
      '20240106/transactionItems_20240106_000.csv': day([row('PAYMENT', 'p2')]),
    },
    ledger,
  );
  assert.deepEqual(shown(answer), ['unreported_transaction - 10.00']);
  assert.deepEqual(
    answer.transactionDays.map(({ transactionDate, state }) => `${transactionDate} ${state}`),
    ['2024-01-05 discrepant', '2024-01-06 reconciled'],
  );
});

test('oracle: what makes a report refused, a duplicate, a revision', () => {
  const good = items([row('PAYMENT', 'p1')]);
  const files = {
    '20240106/settlementItems_USD_B1_000.csv': good,
    '20240107/settlementItems_USD_B1_000.csv': good,
    '20240108/settlementItems_USD_B1_000.csv': items([row('PAYMENT', 'p1'), row('PAYMENT', 'p2')]),
    '20240106/settlementItems_USD_H_000.csv': '<END>\n',
    '20240106/settlementItems_USD_I_000.csv': good.replace('transactionType', 'somethingElse'),
    '20240106/settlementItems_USD_J_000.csv': good.replace('transactionType', 'transactionType,transactionType'),
    '20240106/settlementItems_USD_K_000.csv': `${good}more\n`,
    '20240106/settlementItems_USD_L_000.csv': items(
      [row('PAYMENT', 'p1', { customerId: '1' }), row('PAYMENT', 'p2', { customerId: '2' })],
      'L',
    ),
    '20240106/settlementItems_USD_M_000.csv': good.replace('<END>', ''),
  };
  const answer = answerTo(files, [P1, 'PAYMENT p2']);
  assert.deepEqual(
    answer.reports.map(({ state, revision, rows, error }) =>
      `${state} ${revision} ${rows} ${error?.code ?? ''}`.trim(),
    ),
    [
      'closed 1 1',
      'refused 1 0 no_header',
      'refused 1 0 missing_columns',
      'refused 1 0 duplicate_columns',
      'refused 1 0 rows_after_end',
      'refused 1 0 mixed_merchants',
      'waiting 1 0 no_end',
      'duplicate 1 0',
      'closed 2 2',
    ],
  );
  assert.equal(answer.batches.length, 1);
  assert.equal(answer.batches[0]?.rows, 2);
});

test('oracle: two empty pairs under the id of all zeros are two reconciled batches', () => {
  const zero = '0'.repeat(19);
  const pair = (date: string) => ({
    [`${date}/settlementItems_USD_${zero}_000.csv`]: items([], zero),
    [`${date}/settlementSummary_KaKaoPay_USD_${zero}_000.csv`]: summary([], zero),
  });
  const answer = answerTo({ ...pair('20240105'), ...pair('20240106') }, [P1]);
  assert.deepEqual(
    answer.batches.map(({ settlementDate, state, rows }) => `${settlementDate} ${state} ${rows}`),
    ['2024-01-05 reconciled 0', '2024-01-06 reconciled 0'],
  );
  assert.equal(answer.exitCode, 0);
});

test('oracle: quotes, lines and encodings', () => {
  const text = 'a,b\n"x\r\ny",1\n\n5" disk,2\n"open,3\n"closed" wrong,4\n"say ""hi""",5\n';
  assert.deepEqual(
    [...csvRecords(text)].map(({ line, cells }) => [line, ...(cells ?? ['bad'])].join('|')),
    ['1|a|b', '2|x\r\ny|1', '5|5" disk|2', '6|bad', '7|bad', '8|say "hi"|5'],
  );
  assert.equal(decode(Buffer.from([0xd6, 0xd0, 0xce, 0xc4])), '中文');
  assert.equal(decode(Buffer.from('\ufeff中')), '中');
  assert.equal(decode(Buffer.from([0xe4, 0xb8, 0xad, 0x2c, 0xe4, 0xb8])), '中,\ufffd');
  assert.equal(decode(Buffer.from('\ufeffa', 'utf16le')), null);
});

test('oracle: money', () => {
  assert.deepEqual([halfEven(5n, 2n), halfEven(7n, 2n), halfEven(-5n, 2n), halfEven(8n, 3n)], [2n, 4n, -2n, 3n]);
  assert.deepEqual(
    ['1.5', '-0.50', '1.005', '1e3', '.5'].map((text) => parseAmount(text, 'USD', 'major')),
    [150n, -50n, null, null, null],
  );
  assert.equal(parseAmount('1450', 'USD', 'minor'), 1450n);
  assert.deepEqual(
    [printAmount(-5n, 'USD'), printAmount(0n, 'JPY'), printAmount(1234n, 'KWD')],
    ['-0.05', '0', '1.234'],
  );
});

test('sameAnswer says what differs, and leaves messages and new keys alone', () => {
  const answer = batchOf([row('PAYMENT', 'p2')], [P1]);
  const other = structuredClone(answer);
  other.discrepancies[0]!.message = 'anything';
  Object.assign(other.batches[0]!, { addedLater: 1 });
  sameAnswer(other, answer);
  other.discrepancies[0]!.reported = '11.00';
  other.counts.rows = 7;
  assert.deepEqual(
    differences(other, answer).map((text) => text.replace(/^\S+ M1.*?: /, '')),
    ['reported - "10.00" + "11.00"', 'counts: rows - 1 + 7'],
  );
  assert.throws(() => sameAnswer(other, answer), /reported - "10.00" \+ "11.00"/);
});

test('a clean week is reconciled to the last row', () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const { paths, ledger, options } = cleanWeek(newFolder(), seed, 600);
    const answer = expectedAnswer(paths, ledger, options);
    assert.deepEqual(answer.discrepancies, []);
    assert.equal(answer.exitCode, 0);
    assert.ok(answer.counts.matchedRows > 500);
  }
});

const KINDS =
  'unknown_transaction amount_mismatch currency_mismatch status_mismatch unknown_status original_mismatch missing_key sign_mismatch unknown_type unit_mismatch duplicate_row settled_twice orphan_row over_refunded over_captured net_mismatch fee_breakdown_mismatch conversion_mismatch refused_row summary_mismatch total_mismatch missing_summary missing_details missing_part unreported_transaction'.split(
    ' ',
  );
const STATES =
  'closed duplicate waiting:no_end refused:no_header refused:missing_columns refused:duplicate_columns refused:mixed_merchants refused:bad_encoding refused:rows_after_end refused:row_too_long'.split(
    ' ',
  );

test('twenty seeds of faults show every kind and every state of a report, several times', () => {
  const seen = new Map<string, Set<number>>();
  const see = (what: string, seed: number) => seen.set(what, (seen.get(what) ?? new Set()).add(seed));
  for (let seed = 1; seed <= 20; seed += 1) {
    const { paths, ledger, options } = makeFaults(newFolder(), seed);
    const answer = expectedAnswer(paths, ledger, options);
    for (const { kind } of answer.discrepancies) see(kind, seed);
    for (const { state, error, revision } of answer.reports) {
      see(error ? `${state}:${error.code}` : state, seed);
      if (revision > 1) see('revision', seed);
    }
    see(`exit ${answer.exitCode}`, seed);
  }
  const rare = KINDS.filter((kind) => (seen.get(kind)?.size ?? 0) < 3);
  const missing = [...STATES, 'revision', 'exit 1', 'exit 3'].filter((what) => !seen.has(what));
  assert.deepEqual({ rare, missing }, { rare: [], missing: [] });
});

test('a seed writes the same bytes again', () => {
  const [a, b] = [makeFaults(newFolder(), 12), makeFaults(newFolder(), 12)];
  assert.deepEqual(expectedAnswer(a.paths, a.ledger, a.options), expectedAnswer(b.paths, b.ledger, b.options));
});
