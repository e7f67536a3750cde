/** Whether a row is done is said by name alone: what nobody lists is told, and compared all the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tryFiles } from './support/try-files.ts';

const formatWith = (more: string) => `name: corner
extensions: [csv]
names:
  transactionDetails: day_{date}
  settlementDetails: p_{currency}_{batchId}
required:
  transactionDetails: [transactionType, transactionRequestId, Amount, Currency]
  settlementDetails: [transactionType, transactionRequestId, Amount, Currency, Net]
amounts:
  transactionDetails:
    - { column: Amount, currencyColumn: Currency, role: transaction }
  settlementDetails:
    - { column: Amount, currencyColumn: Currency, role: transaction }
    - { column: Net, currencyColumn: Currency, role: settlement }
types:
  PAYMENT: { matchBy: own, grossSign: 1 }
${more}`;
const LISTED = 'doneStatuses: [paid, settled]\nnotDoneStatuses: [failed, pending]\n';

const RECORDS = [
  'p-1,PAYMENT,10.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00',
  'p-2,PAYMENT,20.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00',
  'p-3,PAYMENT,30.00,EUR,FAILED,2026-03-02T10:15:00+01:00',
];
const batchOf = (column: string, ...rows: (readonly [id: string, amount: string, word: string])[]) => ({
  'p_EUR_1.csv': [
    `transactionType,transactionRequestId,Amount,Currency,Net,${column}`,
    ...rows.map(([id, amount, word]) => `PAYMENT,${id},${amount},EUR,${amount},${word}`),
  ],
});

test('a column of states that comes one day takes no row out of what is compared', async () => {
  const files = batchOf('status', ['p-1', '10.00', 'paid'], ['p-2', '15.00', ' Paid '], ['p-9', '99.00', '']);
  const { code, told, ended } = await tryFiles({ files, records: RECORDS, format: formatWith('') });
  const { json } = ended;
  assert.equal(code, 1);
  assert.deepEqual(told(), [
    'amount_mismatch 3 PAYMENT p-2 transactionAmount 15.00 20.00 EUR',
    'unknown_status 2 PAYMENT p-1 status paid - -',
    'unknown_status 3 PAYMENT p-2 status Paid - -',
    'unknown_transaction 4 PAYMENT p-9 - 99.00 - EUR',
  ]);
  const [{ state, matchedRows, details }] = json.batches;
  assert.deepEqual([state, matchedRows, details.settlementAmount], ['discrepant', 0, '124.00']);
  const total = json.discrepancyTotals.find(({ kind }: { kind: string }) => kind === 'unknown_status');
  assert.deepEqual(total, { kind: 'unknown_status', currency: null, count: 2, amountAtStake: null });
});

test('a format that lists its words, under whatever name the column has', async () => {
  const format = formatWith(`${LISTED}aliases: { status: [Zustand, State] }\n`);
  const right = batchOf('State', ['p-1', '10.00', 'PAID'], ['p-2', '20.00', 'settled'], ['p-3', '30.00', 'Failed']);
  const answer = await tryFiles({ files: right, records: RECORDS, format });
  assert.deepEqual([answer.code, answer.told()], [0, []]);
  assert.deepEqual(answer.ended.json.batches[0].details, { count: 3, settlementAmount: '30.00', feeAmount: '0.00' });
  const changed = batchOf('State', ['p-1', '10.00', 'PAID'], ['p-2', '20.00', 'refunded'], ['p-3', '30.00', '']);
  const { code, told } = await tryFiles({ files: changed, records: RECORDS, format });
  assert.equal(code, 1);
  assert.deepEqual(told(), [
    'status_mismatch 4 PAYMENT p-3 status SUCCESS FAILED -',
    'unknown_status 3 PAYMENT p-2 status refunded - -',
    'unknown_status 4 PAYMENT p-3 status  - -',
  ]);
});

test('what is not done is no news where nobody has it as done, or another row of it is done', async () => {
  const files = batchOf(
    'status',
    ['p-1', '10.00', 'failed'],
    ['p-1', '10.00', 'paid'],
    ['p-2', '20.00', 'pending'],
    ['p-3', '30.00', 'failed'],
    ['p-4', '40.00', 'failed'],
  );
  const { code, told } = await tryFiles({ files, records: RECORDS, format: formatWith(LISTED) });
  assert.equal(code, 1);
  assert.deepEqual(told(), ['status_mismatch 4 PAYMENT p-2 status pending SUCCESS -']);
});

test('in the report of a day, what is recorded as done and is not done there is not reported', async () => {
  const files = {
    'M1/20260302/day_20260302.csv': [
      'transactionType,transactionRequestId,Amount,Currency,status',
      'PAYMENT,p-1,10.00,EUR,paid',
      'PAYMENT,p-2,20.00,EUR,pending',
      'PAYMENT,p-3,30.00,EUR,failed',
    ],
  };
  const args = ['--time-zone', 'Europe/Amsterdam'];
  const format = formatWith(`${LISTED}directory: /{merchantId}/{date}\n`);
  const { code, told } = await tryFiles({ files, records: RECORDS, format, args });
  assert.equal(code, 1);
  assert.deepEqual(told(), ['unreported_transaction - PAYMENT p-2 - - 20.00 EUR']);
});

test('the formats that come with the program hear a state in settlements, too', async () => {
  const HEADER =
    'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,status';
  const files = (word: string) => ({
    'M1/20260303/settlementItems_EUR_B1_000.csv': [
      HEADER,
      'B1,PAYMENT,t-1,p-1,10.00,EUR,10.00,EUR,SUCCESS',
      `B1,PAYMENT,t-2,p-2,20.00,EUR,20.00,EUR,${word}`,
      '<END>',
    ],
    'M1/20260303/settlementSummary_EUR_B1_000.csv': [
      'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
      `B1,TOTAL,2,${word === 'PENDING' ? '10.00' : '30.00'},EUR`,
      '<END>',
    ],
  });
  for (const [word, expected] of [
    ['success', []],
    ['PENDING', ['status_mismatch 3 PAYMENT p-2 status PENDING SUCCESS -']],
    ['HELD', ['unknown_status 3 PAYMENT p-2 status HELD - -']],
  ] as const)
    assert.deepEqual((await tryFiles({ files: files(word), records: RECORDS })).told(), expected, word);
});

test('a format that reads states and lists none is refused, with the line and what to write', async () => {
  for (const [more, place] of [
    ['aliases: { status: State }\n', /format\.yaml:\d+:\d+: aliases\.status: is read, but its values are not defined/],
    ['columns: { settlementDetails: [Note, status] }\n', /columns\.settlementDetails\[1\]: is read/],
  ] as const) {
    const { ended } = await tryFiles({ files: {}, records: RECORDS, format: formatWith(more) });
    assert.equal(ended.code, 2);
    assert.match(ended.stderr, place);
    assert.match(ended.stderr, /doneStatuses: \[paid\]/);
  }
});
