/** The whole path of a few rows in the newer layout: what differs from the older one, seen from the answer. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { inBook, temporaryFolder, writeFiles } from './support/book.ts';

const folder = writeFiles(temporaryFolder(), {
  // p-2 failed at the provider and is done here; c-3 was tried and failed, so p-3 is not cancelled there.
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt,originalRequestId',
    'p-1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,',
    'p-2,PAYMENT,20.00,USD,SUCCESS,2026-01-04T09:10:00+08:00,',
    'p-3,PAYMENT,30.00,USD,CANCELLED,2026-01-04T09:20:00+08:00,',
    'r-1,REFUND,4.00,USD,SUCCESS,2026-01-04T10:00:00+08:00,p-1',
    'p-8,PAYMENT,8.00,USD,SUCCESS,2026-01-02T10:00:00+08:00,',
    'r-8,REFUND,1.00,USD,SUCCESS,2026-01-02T11:00:00+08:00,p-8',
  ],

  // All states are listed, and a payment that failed at first has a row for each try.
  'reports/M1/20260104/transactionItems_20260104_000.csv': [
    'transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,transactionCreationTime,transactionCompletionTime,status',
    'PAYMENT,pay-1,p-1,,10.00,USD,2026-01-04T09:00:00+08:00,,FAIL',
    'PAYMENT,pay-1,p-1,,10.00,USD,2026-01-04T09:00:00+08:00,2026-01-04T09:00:05+08:00,SUCCESS',
    'PAYMENT,pay-2,p-2,,20.00,USD,2026-01-04T09:10:00+08:00,,FAIL',
    'PAYMENT,pay-3,p-3,,30.00,USD,2026-01-04T09:20:00+08:00,2026-01-04T09:20:05+08:00,SUCCESS',
    'CANCEL,pay-3,c-3,,30.00,USD,2026-01-04T09:30:00+08:00,,FAIL',
    'REFUND,pay-1,r-1,,-4.00,USD,2026-01-04T10:00:00+08:00,2026-01-04T10:00:05+08:00,SUCCESS',
    '<END>',
  ],

  // All that is done with a payment has its id. Some of it names the payment by nothing else: where no report has that payment,
  // as of r-8, which one it is stays open. One row is not settled yet.
  'reports/M1/20260105/settlementItems_USD_B1_000.csv': [
    'settlementBatchId,PSP,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,settlementInitiatedDate,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,paymentMethodFeeAmountValue,paymentMethodFeeCurrency,fxFeeAmountValue,fxFeeAmountCurrency',
    'B1,P,PAYMENT,pay-1,p-1,,2026-01-05,10.00,USD,9.60,USD,-0.30,USD,-0.10,USD',
    'B1,P,REFUND,pay-1,r-1,,2026-01-05,-4.00,USD,-4.00,USD,,,,',
    'B1,P,DISPUTE,pay-1,,,2026-01-05,-10.00,USD,-10.00,USD,,,,',
    'B1,P,DISPUTE,pay-9,,,2026-01-05,-1.00,USD,-1.00,USD,,,,',
    'B1,P,REFUND,pay-8,r-8,,2026-01-05,-1.00,USD,,,,,,',
    '<END>',
  ],
  'reports/M1/20260105/settlementSummary_USD_B1_000.csv': [
    'settlementBatchId,PSP,summaryType,count,settlementAmountValue,settlementCurrency,paymentMethodFeeAmountValue,paymentMethodFeeCurrency,fxFeeAmountValue,fxFeeAmountCurrency',
    'B1,P,TOTAL,5,-5.40,USD,-0.30,USD,-0.10,USD',
    '<END>',
  ],
});

test('what failed answers nothing, fees are added up, and a shared transaction id names the payment', async () => {
  const { json, code } = await inBook([
    'reconcile',
    join(folder, 'reports'),
    '--ledger',
    join(folder, 'records.csv'),
    '--format',
    'antom',
    '--json',
  ]);
  assert.equal(code, 1);
  assert.deepEqual(
    json.reports.map(({ state, rows, refusedRows }: Record<string, unknown>) => [state, rows, refusedRows]),
    [
      ['closed', 6, 0],
      ['closed', 5, 0],
      ['closed', 1, 0],
    ],
  );
  const [day] = json.transactionDays;
  assert.deepEqual([day.rows, day.matchedRows], [6, 2]);
  const [batch] = json.batches;
  assert.deepEqual([batch.acquirer, batch.settlementDate, batch.residual], ['P', '2026-01-05', '0.00']);
  assert.deepEqual(batch.details, { count: 5, settlementAmount: '-5.40', feeAmount: '-0.40' });
  const found = json.discrepancies.map(({ kind, line, type, requestId, reported, recorded }: Record<string, unknown>) =>
    [kind, line, type, requestId, reported, recorded].map((part) => part ?? '-').join(' '),
  );
  assert.deepEqual(found.sort(), [
    'orphan_row 5 DISPUTE - pay-9 -',
    // 4.00 were refunded, and then all 10.00 disputed.
    'over_refunded 4 PAYMENT p-1 14.00 10.00',
    'status_mismatch 5 PAYMENT p-3 SUCCESS CANCELLED',
    'unreported_transaction - PAYMENT p-2 - 20.00',
  ]);
});
