/** What a green is made of: each row of a batch or day stands in one part of its coverage, whatever is told, and where. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Coverage } from './support/answer.ts';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const ITEMS =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency';
const SUMMARY =
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency';
const DAY = 'transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime';
const RECORDS = [
  'requestId,type,amount,currency,status,occurredAt,originalRequestId',
  ...Array.from({ length: 12 }, (_, at) => `p-${at + 1},PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,`),
  'f-1,PAYMENT,10.00,USD,PENDING,2026-01-04T09:00:00+08:00,',
  'r-1,REFUND,6.00,USD,SUCCESS,2026-01-04T10:00:00+08:00,p-1',
  'r-2,REFUND,6.00,USD,SUCCESS,2026-01-04T10:00:00+08:00,p-1',
];
const payment = (batch: string, id: string, amount = '10.00') =>
  `${batch},PAYMENT,t-${id},${id},,${amount},USD,${amount},USD,,`;
const refund = (batch: string, id: string) => `${batch},REFUND,t-${id},${id},p-1,-6.00,USD,-6.00,USD,,`;
const items = (batch: string, ...rows: string[]) => ({
  [`settlementItems_USD_${batch}_000.csv`]: [ITEMS, ...rows, '<END>'],
});
const summary = (batch: string, count: number, amount: string, fee = '0') => ({
  [`settlementSummary_USD_${batch}_000.csv`]: [SUMMARY, `${batch},TOTAL,${count},${amount},USD,${fee},USD`, '<END>'],
});

/** A book of its own, and the files of a merchant by day. */
async function startBook() {
  const folder = writeFiles(temporaryFolder(), { 'records.csv': RECORDS });
  const env = {
    DATABASE_URL: await freshDatabase(),
    SETTLESTREAM_DATA_DIR: join(folder, 'book'),
    SETTLESTREAM_PROCESSES: '1',
  };
  const call = (...args: string[]) => settlestream(args, { env, cwd: folder });
  return {
    url: env.DATABASE_URL,
    call,
    put: (day: string, files: Readonly<Record<string, readonly string[]>>) =>
      void writeFiles(join(folder, 'reports', 'M1', day), files),
    write: (files: Readonly<Record<string, readonly string[]>>) => void writeFiles(folder, files),
    reconcile: (...more: string[]) => call('reconcile', 'reports', '--ledger', 'records.csv', '--json', ...more),
    show: async (id: string, ...more: string[]) => (await call('show', id, '--json', ...more)).json,
  };
}

/** In short: rows and amount of each part that has any. */
function partsOf({ matched, noRecordNeeded, notDone, discrepant, refused }: Coverage): Record<string, string> {
  const parts = { matched, notDone, discrepant, refused: { ...refused, settlementAmount: null } };
  const others = noRecordNeeded.map(({ type, ...part }) => [type, part] as const);
  return Object.fromEntries(
    [...Object.entries(parts), ...others]
      .filter(([, { rows }]) => rows > 0)
      .map(([name, { rows, settlementAmount }]) => [
        name,
        [rows, settlementAmount].filter((said) => said !== null).join(' '),
      ]),
  );
}

/** Where calls follow each other. */
const across = await startBook();

// biome-ignore lint/suspicious/noExplicitAny: as the program prints it
const inShort = ({ batches, transactionDays }: any) =>
  Object.fromEntries(
    // biome-ignore lint/suspicious/noExplicitAny: as the program prints it
    [...batches, ...transactionDays].map((of: any) => [
      of.settlementBatchId ?? of.transactionDate,
      { state: of.state, ...partsOf(of.coverage) },
    ]),
  );

test('rows of a batch and of a day stand in one part each', async () => {
  const book = await startBook();
  book.put('20260105', {
    ...items(
      'B1',
      payment('B1', 'p-1'),
      payment('B1', 'p-2', '11.00'),
      payment('B1', 'p-3'),
      payment('B1', 'p-3'),
      'B1,PAYMENT,t-9,,,10.00,USD,10.00,USD,,',
      'B1,RESERVE,,,,,,-3.00,USD,,',
      'B1,ADJUSTMENT_FEE,,,,,,-1.00,USD,-2.00,USD',
      'B1,ADJUSTMENT_FEE,,,,,,-1.00,USD,,',
      'B1,PAYMENT,t-8,p-8,,ten,USD,10.00,USD,,',
    ),
    ...summary('B1', 8, '46.00'),
    ...items('F1', 'F1,RESERVE,,,,,,-3.00,USD,,', 'F1,DEFAULT,,,,,,,,-0.50,USD'),
    ...summary('F1', 2, '-3.50', '-0.50'),
    ...items('E1'),
    ...summary('E1', 0, '0'),
  });
  book.put('20260104', {
    'transactionItems_20260104_000.csv': [
      `${DAY},status`,
      'PAYMENT,t-p-1,p-1,10.00,USD,2026-01-04T09:00:00+08:00,SUCCESS',
      'PAYMENT,t-p-2,p-2,11.00,USD,2026-01-04T09:00:00+08:00,SUCCESS',
      'PAYMENT,t-p-3,p-3,10.00,USD,2026-01-04T09:00:00+08:00,FAILED',
      'SETTLEMENT_FEE,,,,,2026-01-04T09:00:00+08:00,SUCCESS',
      '<END>',
    ],
  });
  const { json, code } = await book.reconcile();
  assert.deepEqual(inShort(json), {
    B1: {
      state: 'discrepant',
      matched: '2 20.00',
      discrepant: '4 30.00',
      ADJUSTMENT_FEE: '1 -1.00',
      RESERVE: '1 -3.00',
      refused: '1',
    },
    // Rows that need no record, and no rows at all, are in order where nothing is told of them.
    F1: { state: 'reconciled', DEFAULT: '1 -0.50', RESERVE: '1 -3.00' },
    E1: { state: 'reconciled' },
    '2026-01-04': { state: 'discrepant', matched: '1', discrepant: '1', notDone: '1', SETTLEMENT_FEE: '1' },
  });
  for (const { matchedRows, coverage } of [...json.batches, ...json.transactionDays])
    assert.equal(matchedRows, coverage.matched.rows);
  assert.equal(code, 1);
});

test('in a report of the wrong unit nothing is matched', async () => {
  const book = await startBook();
  const ids = [1, 2, 3, 4, 5, 6].map((at) => `p-${at}`);
  book.put('20260105', {
    ...items('U1', ...ids.map((id) => payment('U1', id, '1000.00')), 'U1,RESERVE,,,,,,-3.00,USD,,'),
    ...summary('U1', 7, '5997.00'),
  });
  const { json } = await book.reconcile();
  assert.deepEqual(
    json.discrepancies.map(({ kind }: { kind: string }) => kind),
    ['unit_mismatch'],
  );
  assert.deepEqual(inShort(json), { U1: { state: 'discrepant', discrepant: '6 6000.00', RESERVE: '1 -3.00' } });
});

suite('what another batch has told, and takes back', () => {
  const book = across;
  let before: string;

  test('its rows are then among the discrepant', async () => {
    book.put('20260106', {
      ...items('L1', payment('L1', 'p-1'), payment('L1', 'p-4'), refund('L1', 'r-1')),
      ...summary('L1', 3, '14.00'),
    });
    assert.deepEqual(inShort((await book.reconcile()).json), { L1: { state: 'reconciled', matched: '3 14.00' } });
    const [now] = await query<{ now: string }>(
      book.url,
      `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
    );
    before = now!.now;
    // An earlier settlement of the same payment, and another refund of it: both are told on rows of L1.
    book.put('20260105', {
      ...items('K1', payment('K1', 'p-1'), refund('K1', 'r-2')),
      ...summary('K1', 2, '4.00'),
    });
    assert.deepEqual(inShort((await book.reconcile()).json), {
      K1: { state: 'reconciled', matched: '2 4.00' },
      L1: { state: 'discrepant', matched: '1 10.00', discrepant: '2 4.00' },
    });
    const { batches } = (await book.call('batches', '--json')).json;
    assert.deepEqual(inShort({ batches, transactionDays: [] })['L1'], {
      state: 'discrepant',
      matched: '1 10.00',
      discrepant: '2 4.00',
    });
  });

  test('as it was known before, they were matched', async () => {
    const { coverage } = await book.show('L1', '--as-of', before);
    assert.deepEqual(partsOf(coverage), { matched: '3 14.00' });
  });

  test('when the other batch is withdrawn they are matched again', async () => {
    await book.call('withdraw', '--report', 'settlementItems_USD_K1_000', '--reason', 'not ours', '--json');
    const { coverage, matchedRows } = await book.show('L1');
    assert.deepEqual([partsOf(coverage), matchedRows], [{ matched: '3 14.00' }, 3]);
  });

  test('a run of before counted nothing, and says so until the next', async () => {
    await query(book.url, 'update run set coverage = null');
    await query(
      book.url,
      'update discrepancy set row_type = null, row_needs_record = null, row_settlement_minor = null',
    );
    assert.equal((await book.show('L1')).coverage, null);
    await book.call('replay', '--batch', 'L1', '--json');
    assert.deepEqual(partsOf((await book.show('L1')).coverage), { matched: '3 14.00' });
  });
});

suite('a batch of which no row was compared', () => {
  const FORMAT = [
    'name: with-status',
    'names: { settlementDetails: "paid_{currency}_{batchId}", transactionDetails: "sold_{date}" }',
    'required:',
    '  settlementDetails: [transactionType, transactionRequestId, Amount, Currency, Net, status]',
    '  transactionDetails: [transactionType, transactionRequestId, Amount, Currency, status]',
    'amounts:',
    '  settlementDetails:',
    '    - { column: Amount, currencyColumn: Currency, role: transaction }',
    '    - { column: Net, currencyColumn: Currency, role: settlement }',
    '  transactionDetails:',
    '    - { column: Amount, currencyColumn: Currency, role: transaction }',
    'doneStatuses: [DONE]',
    'notDoneStatuses: [OPEN]',
    'types:',
    '  PAYMENT: { matchBy: own, grossSign: 1 }',
    '  FEE: { matchBy: none }',
  ];
  const HEADER = 'transactionType,transactionRequestId,Amount,Currency,Net,status';
  const paid = (...rows: string[]) => [HEADER, ...rows];

  test('is not reconciled, though nothing is told of it; a day of which nothing happened is', async () => {
    const book = await startBook();
    book.write({ 'format.yaml': FORMAT });
    book.put('20260107', {
      'paid_USD_N1.csv': paid('PAYMENT,f-1,10.00,USD,10.00,OPEN', 'FEE,,,USD,-1.00,DONE'),
      'paid_USD_N2.csv': paid('PAYMENT,f-1,10.00,USD,10.00,OPEN', 'PAYMENT,p-2,10.00,USD,10.00,DONE'),
      'paid_USD_N3.csv': paid('FEE,,,USD,-1.00,DONE'),
      'sold_20260108.csv': [
        'transactionType,transactionRequestId,Amount,Currency,status',
        'PAYMENT,f-1,10.00,USD,OPEN',
      ],
    });
    const { json, code } = await book.reconcile('--format', 'format.yaml');
    assert.deepEqual(json.discrepancies, []);
    assert.deepEqual(inShort(json), {
      N1: { state: 'incomplete', notDone: '1 0.00', FEE: '1 -1.00' },
      N2: { state: 'reconciled', notDone: '1 0.00', matched: '1 10.00' },
      N3: { state: 'reconciled', FEE: '1 -1.00' },
      '2026-01-07': { state: 'reconciled', notDone: '1' },
    });
    assert.equal(code, 1, 'what was not compared is not in order');
    const { batches } = (await book.call('batches', '--json', '--state', 'incomplete')).json;
    assert.deepEqual(
      batches.map(({ settlementBatchId }: { settlementBatchId: string }) => settlementBatchId),
      ['N1'],
    );
    const states = await query<{ state: string }>(
      book.url,
      'select state from dashboard.batch where settlement_batch = $$N1$$',
    );
    assert.deepEqual(states, [{ state: 'incomplete' }]);
  });
});
