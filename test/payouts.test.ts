/** Rows that say what is paid out stand for the summary, where a provider writes none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tryFiles } from './support/try-files.ts';

const HEADER =
  'Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Payment Method Variant,Modification Merchant Reference,Batch Number';
const SALE = 'Co,Shop,P1,order-1,visa,2026-03-02 10:15:00,CET,Settled,M1,EUR,,20.00,1,EUR,,19.60,0.40,,,,,<auto>,7';
/** A row that is about no payment: what leaves the batch is a debit. */
const other = (type: string, debit: string, credit = '', reference = `${type} of batch 7`) =>
  `Co,Shop,,,,2026-03-03 00:10:00,CET,${type},${reference},,,,,EUR,${debit},${credit},,,,,,,7`;
const payout = (debit: string, credit = '', reference?: string) => other('MerchantPayout', debit, credit, reference);
const RECORDS = ['order-1,PAYMENT,20.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00'];

async function settled(...rows: string[]) {
  const files = { 'settlement_detail_report_batch_7.csv': [HEADER, ...rows] };
  const answer = await tryFiles({ files, records: RECORDS, format: 'adyen-settlement-details' });
  const [{ state, details, summary, residual }] = answer.ended.json.batches;
  const said = [state, details.settlementAmount, summary?.settlementAmount ?? null, residual];
  return { said, told: answer.told(), code: answer.code, json: answer.ended.json };
}

test('what is paid out is what the rows add up to', async () => {
  const right = await settled(SALE, other('Fee', '1.10'), payout('18.50'));
  assert.deepEqual([right.code, right.told], [0, []]);
  assert.deepEqual(right.said, ['reconciled', '18.50', '18.50', '0.00']);
  assert.equal(right.json.batches[0].summary.count, null, 'nothing states a count');
  const { code, said, told, json } = await settled(SALE, other('Fee', '1.10'), payout('15.00', '', 'TX1'));
  assert.deepEqual([code, told], [1, ['summary_mismatch 4 PAYOUT - settlementAmount 18.50 15.00 EUR']]);
  assert.deepEqual(said, ['discrepant', '18.50', '15.00', '3.50']);
  const [{ file, transactionId, difference }] = json.discrepancies;
  assert.deepEqual([file, transactionId, difference], ['settlement_detail_report_batch_7.csv', 'TX1', '3.50']);
  assert.equal(json.discrepancyTotals[0].amountAtStake, '3.50');
});

test('without such a row nothing says what they should add up to', async () => {
  const { code, said, told } = await settled(SALE);
  assert.deepEqual([code, told], [1, ['missing_summary - - - - - - -']]);
  assert.deepEqual(said, ['incomplete', '19.60', null, null]);
});

test('several payouts add up, and the sign of each counts', async () => {
  const parts = await settled(SALE, payout('10.00', '', 'TX1'), payout('9.60', '', 'TX2'));
  assert.deepEqual([parts.told, parts.said], [[], ['reconciled', '19.60', '19.60', '0.00']]);
  const back = await settled(SALE, payout('29.60', '', 'TX1'), payout('', '10.00', 'TX2'));
  assert.deepEqual(back.told, []);
  const wrong = await settled(SALE, payout('', '19.60'));
  assert.deepEqual(wrong.told, ['summary_mismatch 3 PAYOUT - settlementAmount 19.60 -19.60 EUR']);
});

test('a payout that stands there twice is told as a duplicate, and pays twice', async () => {
  const { told } = await settled(SALE, payout('19.60', '', 'TX1'), payout('19.60', '', 'TX1'));
  assert.deepEqual(told, [
    'duplicate_row 4 PAYOUT - - - - -',
    'summary_mismatch 3 PAYOUT - settlementAmount 19.60 39.20 EUR',
  ]);
});

test('with what is carried over from another batch and to another one all adds up to nothing', async () => {
  const from = await settled(SALE, other('Balancetransfer', '', '5.00'), payout('24.60'));
  assert.deepEqual([from.told, from.said], [[], ['reconciled', '24.60', '24.60', '0.00']]);
  const onwards = await settled(SALE, other('Balancetransfer', '19.60'));
  assert.deepEqual([onwards.told, onwards.said], [[], ['reconciled', '0.00', '0.00', '0.00']]);
  const part = await settled(
    SALE,
    other('ReserveAdjustment', '2.00'),
    other('Balancetransfer', '7.60'),
    payout('10.00'),
  );
  assert.deepEqual(part.told, []);
  const lost = await settled(SALE, other('Balancetransfer', '', '5.00'));
  assert.deepEqual(lost.told, ['summary_mismatch 3 Balancetransfer - settlementAmount 24.60 0.00 EUR']);
});

test('a payout that cannot be read is no payout', async () => {
  const { said, told } = await settled(SALE, payout('much'));
  assert.deepEqual(told, ['missing_summary - - - - - - -', 'refused_row 3 - - Net Debit (NC) much - -']);
  assert.equal(said[0], 'incomplete');
});

const corner = (more = '', names = 'p_{currency}_{batchId}') => `name: corner
extensions: [csv]
names:
  settlementDetails: '${names}'
required:
  settlementDetails: [transactionType, transactionRequestId, Amount, Currency, Net]
columns:
  settlementDetails: [Note]
amounts:
  settlementDetails:
    - { column: Amount, currencyColumn: Currency, role: transaction }
    - { column: Net, currencyColumn: Currency, role: settlement }
types:
  PAYMENT: { matchBy: own, grossSign: 1 }
  Total: { matchBy: none, isPayout: true, grossSign: 1, ids: { transactionRequestId: none } }
${more}`;
const ROWS = ['transactionType,transactionRequestId,Amount,Currency,Net', 'PAYMENT,order-1,20.00,EUR,20.00'];

test('a line with the total is such a row, too, in a format that says so', async () => {
  const of = (...rows: string[]) =>
    tryFiles({ files: { 'p_EUR_1.csv': [...ROWS, ...rows] }, records: RECORDS, format: corner() });
  assert.deepEqual((await of('Total,,,EUR,20.00')).told(), []);
  assert.deepEqual((await of('Total,,,EUR,2.00')).told(), [
    'summary_mismatch 3 Total - settlementAmount 20.00 2.00 EUR',
  ]);
  assert.deepEqual((await of()).told(), ['missing_summary - - - - - - -']);
});

test('in parts it may stand in any; where one is not there, it is not missed', async () => {
  const format = corner('', 'p_{currency}_{batchId}_{seq}');
  const [header = '', row = ''] = ROWS;
  const of = (files: Record<string, readonly string[]>) => tryFiles({ files, records: RECORDS, format });
  const whole = await of({ 'p_EUR_1_000.csv': [header, 'Total,,,EUR,20.00'], 'p_EUR_1_001.csv': [header, row] });
  assert.deepEqual(whole.told(), []);
  const cut = await of({ 'p_EUR_1_000.csv': [header, row], 'p_EUR_1_002.csv': [header, 'Total,,,EUR,25.00'] });
  assert.deepEqual(cut.told(), ['missing_part - - - settlementDetails - 001 -']);
  const none = await of({ 'p_EUR_1_000.csv': [header, row], 'p_EUR_1_002.csv': [header] });
  assert.deepEqual(none.told(), ['missing_part - - - settlementDetails - 001 -']);
});

test('where there are summaries these count, and the row is compared as well', async () => {
  const summaries = `extends: apo\n`;
  const format = `name: both\n${summaries}types:\n  PAYOUT: { matchBy: none, isPayout: true }\n`;
  const files = (paid: string, ...more: string[]) => ({
    'M1/20260303/settlementItems_EUR_B1_000.csv': [
      'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
      'B1,PAYMENT,t-1,order-1,20.00,EUR,20.00,EUR',
      ...more,
      `<END>`,
    ],
    'M1/20260303/settlementSummary_EUR_B1_000.csv': [
      'settlementBatchId,summaryType,settlementAmountValue,settlementCurrency',
      `B1,TOTAL,${paid},EUR`,
      '<END>',
    ],
  });
  const of = async (...given: Parameters<typeof files>) =>
    (await tryFiles({ files: files(...given), records: RECORDS, format })).told();
  assert.deepEqual(await of('20.00'), []);
  assert.deepEqual(await of('20.00', 'B1,PAYOUT,t-2,,,,-20.00,EUR'), []);
  assert.deepEqual(await of('20.00', 'B1,PAYOUT,t-2,,,,-19.00,EUR'), [
    'summary_mismatch 3 PAYOUT - settlementAmount 20.00 19.00 EUR',
  ]);
});

test('a payment under the name of what needs no record is looked for by its reference; a fee may name a payment', async () => {
  const called = (type: string) => SALE.replace('Settled', type);
  for (const type of ['Fee', 'DepositCorrection', 'Balancetransfer', 'MerchantPayout']) {
    const shown = type === 'MerchantPayout' ? 'PAYOUT' : type;
    const { told, said } = await settled(called(type), other('Fee', '1.10'), payout('18.50'));
    assert.deepEqual(told, [`unknown_transaction 2 ${shown} order-1 - 20.00 - EUR`], type);
    assert.deepEqual(said, ['discrepant', '18.50', '18.50', '0.00']);
  }
  const fee = 'Co,Shop,P1,order-1,visa,2026-03-02 10:15:00,CET,Fee,M1,,,,,EUR,1.10,,,,,,,,7';
  const named = await settled(SALE, fee, payout('18.50'));
  assert.deepEqual([named.told, named.code], [[], 0]);
});

test('a chargeback goes out and comes back, and no other way', async () => {
  const about = (type: string, sides: string) =>
    `Co,Shop,P1,order-1,visa,2026-03-02 10:15:00,CET,${type},M2,EUR,${sides},1,EUR,${sides},,,,,,,7`;
  const out = await settled(SALE, about('Chargeback', '5.00,'), about('ChargebackReversed', ',5.00'), payout('19.60'));
  assert.deepEqual([out.told, out.code], [[], 0]);
  const wrong = await settled(
    SALE,
    about('SecondChargeback', ',5.00'),
    about('ChargebackReversed', '5.00,'),
    payout('19.60'),
  );
  assert.deepEqual(wrong.told, [
    'sign_mismatch 3 DISPUTE - settlementAmount 5.00 - EUR',
    'sign_mismatch 4 DISPUTE_REVERSAL - settlementAmount -5.00 - EUR',
  ]);
});
