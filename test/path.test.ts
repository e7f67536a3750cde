/**
 * The whole path of a few rows, from files to an answer. Read this first: what stands here by hand is what the program does
 * with millions of rows.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, writeFiles } from './support/book.ts';
import { settlestream } from './support/settlestream.ts';

const folder = writeFiles(temporaryFolder(), {
  // The merchant's own records. p-2 was paid with 25 and not with 20; p-4 was paid on the 4th; there is no p-3.
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt,originalRequestId',
    'p-1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,',
    'p-2,PAYMENT,25.00,USD,SUCCESS,2026-01-03T12:00:00+08:00,',
    'p-4,PAYMENT,40.00,USD,SUCCESS,2026-01-04T23:59:59+08:00,',
    'r-1,REFUND,4.00,USD,SUCCESS,2026-01-04T10:00:00+08:00,p-1',
  ],

  // A day of transactions, as the provider saw it. It knows nothing of p-4.
  'reports/M1/20260104/transactionItems_20260104_000.csv': [
    'transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,originalTransactionRequestId,paymentTime',
    'PAYMENT,t-1,p-1,10.00,USD,,2026-01-04T09:00:00+08:00',
    'REFUND,t-9,r-1,-4.00,USD,p-1,2026-01-04T10:00:00+08:00',
    '<END>',
  ],

  // What it settles of it, and of the day before, in two parts: amount less fee is what is paid out.
  'reports/M1/20260105/settlementItems_USD_B1_000.csv': [
    'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
    'B1,PAYMENT,t-1,p-1,10.00,USD,9.70,USD,-0.30,USD',
    'B1,PAYMENT,t-2,p-2,20.00,USD,19.40,USD,-0.60,USD',
    '<END>',
  ],
  'reports/M1/20260105/settlementItems_USD_B1_001.csv': [
    'settlementBatchId,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
    'B1,PAYMENT,t-3,p-3,,30.00,USD,29.10,USD,-0.90,USD',
    'B1,REFUND,t-9,r-1,p-1,-4.00,USD,-4.00,USD,,',
    '<END>',
  ],

  // What it says that all of this comes to. It agrees with the details.
  'reports/M1/20260105/settlementSummary_USD_B1_000.csv': [
    'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
    'B1,PAYMENT,3,58.20,USD,-1.80,USD',
    'B1,REFUND,1,-4.00,USD,0,USD',
    'B1,TOTAL,4,54.20,USD,-1.80,USD',
    '<END>',
  ],
});

test('a file becomes a job, chunks, rows, matches, totals, discrepancies', async () => {
  const ended = await settlestream([
    'reconcile',
    join(folder, 'reports'),
    '--ledger',
    join(folder, 'records.csv'),
    '--json',
  ]);

  // The words are for people; everything else is a promise.
  const answer = JSON.parse(ended.stdout, (key, value) =>
    key === 'message' || (key === 'why' && value) ? undefined : value,
  );
  const report = { state: 'closed', revision: 1, refusedRows: 0, error: null };
  const merchantId = 'M1';
  const done = { state: 'done', why: null };
  const notPossible = { state: 'notPossible' };
  assert.deepEqual(answer, {
    // Every file was read to its end.
    reports: [
      { file: 'M1/20260104/transactionItems_20260104_000.csv', kind: 'transactionDetails', ...report, rows: 2 },
      { file: 'M1/20260105/settlementItems_USD_B1_000.csv', kind: 'settlementDetails', ...report, rows: 2 },
      { file: 'M1/20260105/settlementItems_USD_B1_001.csv', kind: 'settlementDetails', ...report, rows: 2 },
      { file: 'M1/20260105/settlementSummary_USD_B1_000.csv', kind: 'settlementSummary', ...report, rows: 3 },
    ],
    // Its two parts are one batch. Two of its four rows have their record, and nothing is wrong with them.
    batches: [
      {
        merchantId,
        settlementBatchId: 'B1',
        acquirer: null,
        settlementCurrency: 'USD',
        settlementDate: '2026-01-05',
        state: 'discrepant',
        rows: 4,
        matchedRows: 2,
        totals: [
          { type: 'PAYMENT', count: 3, settlementAmount: '58.20', feeAmount: '-1.80' },
          { type: 'REFUND', count: 1, settlementAmount: '-4.00', feeAmount: '0.00' },
        ],
        details: { count: 4, settlementAmount: '54.20', feeAmount: '-1.80' },
        summary: { count: 4, settlementAmount: '54.20', feeAmount: '-1.80' },
        residual: '0.00',
        // What this answer is made of: each row stands in one part.
        coverage: {
          matched: { rows: 2, settlementAmount: '5.70' },
          noRecordNeeded: [],
          notDone: { rows: 0, settlementAmount: '0.00' },
          discrepant: { rows: 2, settlementAmount: '48.50' },
          refused: { rows: 0 },
          // And what was checked. Its header has no columns for two of the checks.
          checks: [
            { name: 'records', ...done },
            { name: 'net', ...done },
            { name: 'fees', ...done },
            { name: 'feeBreakdown', ...notPossible },
            { name: 'conversion', ...notPossible },
            { name: 'summaryCount', ...done },
            { name: 'summarySettlementAmount', ...done },
            { name: 'summaryFeeAmount', ...done },
            { name: 'total', ...done },
          ],
        },
        accepted: { count: 0, amounts: [] },
        // No bank was asked: test/bank.test.ts.
        bank: null,
      },
    ],
    // Both rows of the day are right; what is wrong is the one that is not there.
    transactionDays: [
      {
        merchantId,
        transactionDate: '2026-01-04',
        state: 'discrepant',
        rows: 2,
        matchedRows: 2,
        coverage: {
          matched: { rows: 2, settlementAmount: null },
          noRecordNeeded: [],
          notDone: { rows: 0, settlementAmount: null },
          discrepant: { rows: 0, settlementAmount: null },
          refused: { rows: 0 },
          checks: [
            { name: 'records', ...done },
            { name: 'unreported', ...done },
          ],
        },
        accepted: { count: 0, amounts: [] },
      },
    ],
    discrepancies: [
      {
        kind: 'unreported_transaction',
        merchantId,
        settlementBatchId: null,
        transactionDate: '2026-01-04',
        file: null,
        line: null,
        type: 'PAYMENT',
        requestId: 'p-4',
        transactionId: null,
        field: null,
        reported: null,
        recorded: '40.00',
        difference: null,
        currency: 'USD',
      },
      {
        kind: 'amount_mismatch',
        merchantId,
        settlementBatchId: 'B1',
        transactionDate: null,
        file: 'M1/20260105/settlementItems_USD_B1_000.csv',
        line: 3,
        type: 'PAYMENT',
        requestId: 'p-2',
        transactionId: 't-2',
        field: 'transactionAmount',
        reported: '20.00',
        recorded: '25.00',
        difference: '-5.00',
        currency: 'USD',
      },
      {
        kind: 'unknown_transaction',
        merchantId,
        settlementBatchId: 'B1',
        transactionDate: null,
        file: 'M1/20260105/settlementItems_USD_B1_001.csv',
        line: 2,
        type: 'PAYMENT',
        requestId: 'p-3',
        transactionId: 't-3',
        field: null,
        reported: '30.00',
        recorded: null,
        difference: null,
        currency: 'USD',
      },
    ],
    // What is at stake: the five that the two sides differ by, the settlement nobody has a record of, the payment nobody reported.
    discrepancyTotals: [
      { kind: 'amount_mismatch', currency: 'USD', count: 1, amountAtStake: '5.00' },
      { kind: 'unknown_transaction', currency: 'USD', count: 1, amountAtStake: '29.10' },
      { kind: 'unreported_transaction', currency: 'USD', count: 1, amountAtStake: '40.00' },
    ],
    counts: { reports: 4, rows: 6, matchedRows: 4, refusedRows: 0, discrepancies: 3 },
  });
  assert.equal(ended.code, 1, 'there are discrepancies');
});
