/** The report of a day lists what happened: a key of the merchant's stands in it once, whatever the provider calls it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DayAnswer } from './support/answer.ts';
import { tryFiles } from './support/try-files.ts';

const HEADER =
  'transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,paymentTime';
const AT = '2026-03-02T10:15:00+08:00';
const RECORDS = [
  `p-1,PAYMENT,10.00,USD,SUCCESS,${AT}`,
  `a-1,AUTHORIZATION,10.00,USD,SUCCESS,${AT}`,
  `c-1,CAPTURE,4.00,USD,SUCCESS,${AT},a-1`,
  `c-2,CAPTURE,4.00,USD,SUCCESS,${AT},a-1`,
  `r-1,REFUND,1.00,USD,SUCCESS,${AT},p-1`,
  `r-2,REFUND,1.00,USD,SUCCESS,${AT},p-1`,
];
/** Parts of one payment or authorization have ids of their own. */
const ROWS = [
  `PAYMENT,t-1,p-1,,10.00,USD,${AT}`,
  `AUTHORIZATION,t-2,a-1,,10.00,USD,${AT}`,
  `CAPTURE,t-2,c-1,a-1,4.00,USD,${AT}`,
  `CAPTURE,t-2,c-2,a-1,4.00,USD,${AT}`,
  `REFUND,t-3,r-1,p-1,-1.00,USD,${AT}`,
  `REFUND,t-4,r-2,p-1,-1.00,USD,${AT}`,
];

test('a row that comes again under another transaction id is told, in whichever part', async () => {
  const part = (seq: number, rows: readonly string[]) => [
    `M1/20260302/transactionItems_20260302_00${seq}.csv`,
    [HEADER, ...rows, '<END>'],
  ];
  const again = (row: number, id: string) => ROWS[row]!.replace(/t-\d/, id);
  const answer = await tryFiles({
    files: Object.fromEntries([
      part(0, [...ROWS, again(0, 't-9'), again(1, '')]),
      part(1, [again(2, 't-9'), again(4, 't-8').replace('-1.00', '-0.50'), again(4, 't-3')]),
    ]),
    records: RECORDS,
  });
  assert.deepEqual(answer.told(), [
    'duplicate_row 2 CAPTURE c-1 - - - -',
    'duplicate_row 3 REFUND r-1 - - - -',
    'duplicate_row 4 REFUND r-1 - - - -',
    'duplicate_row 8 PAYMENT p-1 - - - -',
    'duplicate_row 9 AUTHORIZATION a-1 - - - -',
  ]);
  assert.deepEqual(
    (answer.ended.json.transactionDays as DayAnswer[]).map(({ state, rows, matchedRows }) => [
      state,
      rows,
      matchedRows,
    ]),
    [['discrepant', 11, 6]],
  );
});

test('captures of one authorization, and refunds of one payment, are as many movements as they have ids', async () => {
  const answer = await tryFiles({
    files: { 'M1/20260302/transactionItems_20260302_000.csv': [HEADER, ...ROWS, '<END>'] },
    records: RECORDS,
  });
  assert.deepEqual([answer.told(), answer.code], [[], 0]);
});
