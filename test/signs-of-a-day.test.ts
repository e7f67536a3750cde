/** Which way the money of a transaction report goes: payments come in, and refunds go as most of the report's refunds do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tryFiles } from './support/try-files.ts';

const HEADER =
  'transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,paymentTime';
const AT = '2026-03-02T10:15:00+08:00';
const refundsOf = (...amounts: string[]) =>
  amounts.map((amount, at) => `REFUND,tr-${at},r-${at},p-1,${amount},USD,${AT}`);
const RECORDS = [
  `p-1,PAYMENT,10.00,USD,SUCCESS,${AT}`,
  ...[0, 1, 2, 3].map((at) => `r-${at},REFUND,1.00,USD,SUCCESS,${AT},p-1`),
];
const PAYMENT = `PAYMENT,t-1,p-1,,10.00,USD,${AT}`;
const recordsOf = (refunds: number) => RECORDS.slice(0, 1 + refunds);
const told = async (records: readonly string[], ...parts: (readonly string[])[]) => {
  const files = Object.fromEntries(
    parts.map((rows, seq) => [`M1/20260302/transactionItems_20260302_00${seq}.csv`, [HEADER, ...rows, '<END>']]),
  );
  const answer = await tryFiles({ files, records });
  assert.equal(answer.code, answer.told().length > 0 ? 1 : 0);
  return answer.told();
};

test('a payment or capture below zero', async () => {
  const records = [...recordsOf(0), `c-1,CAPTURE,10.00,USD,SUCCESS,${AT},p-1`];
  const rows = [PAYMENT.replace(',10.00', ',-10.00'), `CAPTURE,t-2,c-1,p-1,-10.00,USD,${AT}`];
  assert.deepEqual(await told(records, rows), [
    'sign_mismatch 2 PAYMENT p-1 transactionAmount -10.00 - USD',
    'sign_mismatch 3 CAPTURE c-1 transactionAmount -10.00 - USD',
  ]);
});

test('a refund alone goes out', async () => {
  assert.deepEqual(await told(recordsOf(1), [PAYMENT, ...refundsOf('-1.00')]), []);
  assert.deepEqual(await told(recordsOf(1), [PAYMENT, ...refundsOf('1.00')]), [
    'sign_mismatch 3 REFUND r-0 transactionAmount 1.00 - USD',
  ]);
});

test('of several the sign of most is right, whichever that is, over all parts', async () => {
  assert.deepEqual(await told(recordsOf(3), [PAYMENT, ...refundsOf('1.00', '1.00', '1.00')]), []);
  const [first = '', second = '', third = ''] = refundsOf('1.00', '1.00', '-1.00');
  assert.deepEqual(await told(recordsOf(3), [PAYMENT, third], [first, second]), [
    'sign_mismatch 3 REFUND r-2 transactionAmount -1.00 - USD',
  ]);
  assert.deepEqual(await told(recordsOf(4), [PAYMENT, ...refundsOf('-1.00', '-1.00', '1.00', '-1.00')]), [
    'sign_mismatch 5 REFUND r-2 transactionAmount 1.00 - USD',
  ]);
});

test('where both signs have as many, none of them is right', async () => {
  assert.deepEqual(await told(recordsOf(2), [PAYMENT, ...refundsOf('-1.00', '1.00')]), [
    'sign_mismatch 3 REFUND r-0 transactionAmount -1.00 - USD',
    'sign_mismatch 4 REFUND r-1 transactionAmount 1.00 - USD',
  ]);
});
