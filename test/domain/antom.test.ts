import assert from 'node:assert/strict';
import { test } from 'node:test';
import { antom } from '../../src/domain/formats/antom.ts';
import { settlementCurrencyOf } from '../../src/domain/report/amounts.ts';
import { readHeader } from '../../src/domain/report/header.ts';
import { readReport, show } from './reading.ts';

const SETTLED =
  'settlementBatchId,PSP,transactionId,transactionRequestId,originalTransactionRequestId,transactionType,transactionCompletionTime,settlementInitiatedDate,transactionAmountValue,transactionCurrency,convertedTransactionAmountValue,convertedCurrency,quoteCurrencyPair,quotePrice,settlementAmountValue,settlementCurrency';

/** One settlement row: the columns of `SETTLED`, and whatever else is named. */
function settled(row: string, more: Readonly<Record<string, string>> = {}) {
  const header = [SETTLED, ...Object.keys(more)].join(',');
  const [read] = readReport(`${header}\n${[row, ...Object.values(more)].join(',')}`, 'settlementDetails', antom, {
    settlementCurrency: 'USD',
    batchId: 'B-1',
  });
  return read!;
}

test('net is gross and all fees, each in a column of its own with a currency', () => {
  const fees = antom.amounts.settlementDetails.filter(({ role }) => role === 'fee');
  assert.equal(fees.length, 20);
  const more = Object.fromEntries(
    fees.flatMap(({ column, currencyColumn }) => [
      [column, '-0.10'],
      [currencyColumn, 'USD'],
    ]),
  );
  const { row, findings } = settled('B-1,P,pay-1,r-1,,PAYMENT,2026-01-01T10:00:00+08:00,,10.00,USD,,,,,8.00,USD', more);
  assert.deepEqual(findings, []);
  assert.equal(row?.feeMinor, -200n);
  assert.equal(row?.settlementMinor, 800n);
  assert.equal(row?.acquirer, 'P');
  const off = settled('B-1,P,pay-1,r-1,,PAYMENT,,,10.00,USD,,,,,8.10,USD', more);
  assert.deepEqual(off.findings.map(show), ['net_mismatch settlementAmount 8.10 / 8.00 0.10 USD 0.10:USD']);
});

test('a fee in another currency than the settlement is told, and counts in no fee', () => {
  const { row, findings } = settled('B-1,P,pay-1,r-1,,PAYMENT,,,10.00,USD,,,,,9.00,USD', {
    withholdingTaxAmountValue: '-1.00',
    withholdingTaxFeeCurrency: 'EUR',
  });
  assert.equal(row?.feeMinor, null);
  assert.deepEqual(findings.map(show), ['net_mismatch settlementAmount 9.00 / - - USD -']);
});

test('the printed converted amount is the gross', () => {
  const right = settled('B-1,P,pay-1,r-1,,PAYMENT,,,1300,KRW,1.00,USD,USD/KRW,1300,1.00,USD');
  assert.deepEqual(right.findings, []);
  const wrong = settled('B-1,P,pay-1,r-1,,PAYMENT,,,1300,KRW,1.50,USD,USD/KRW,1300,1.50,USD');
  assert.deepEqual(wrong.findings.map(show), ['conversion_mismatch convertedTransactionAmount 1.50 / 1.00 0.50 USD -']);
});

test('what is not settled yet moves nothing, and all else about it is kept', () => {
  const { row, findings } = settled('B-1,P,pay-1,r-1,,PAYMENT,,,1300,KRW,,,,,,');
  assert.deepEqual(findings, []);
  assert.deepEqual([row?.settlementMinor, row?.feeMinor, row?.amountMinor, row?.matchBy], [null, null, 1300n, 'own']);
  // A fee of the batch has no amount but the one that settles.
  assert.equal(settled('B-1,P,,,,SETTLEMENT_FEE,,,,,,,,,,USD').refused?.field, 'settlementAmountValue');
  assert.equal(
    settled('B-1,P,,,,DEFAULT,,,,,,,,,,USD', { taxFeeAmountValue: '-5', taxFeeCurrency: 'USD' }).row?.settlementMinor,
    -500n,
  );
});

test('what is done with a payment names it by the transaction id that they share', () => {
  const table: [string, string, string | null, string | null][] = [
    ['B-1,P,pay-1,r-1,,PAYMENT,,,1,USD,,,,,1,USD', 'own', null, null],
    ['B-1,P,pay-1,f-1,r-1,REFUND,,,-1,USD,,,,,-1,USD', 'own', 'r-1', 'pay-1'],
    ['B-1,P,pay-1,f-1,,REFUND,,,-1,USD,,,,,-1,USD', 'own', null, 'pay-1'],
    ['B-1,P,pay-1,,,DISPUTE,,,-1,USD,,,,,-1,USD', 'original', null, 'pay-1'],
    ['B-1,P,pay-1,,,SETTLEMENT_FEE,,,,,,,,,-1,USD', 'none', null, null],
  ];
  for (const [text, matchBy, originalRequestId, originalTransactionId] of table) {
    const { row, findings } = settled(text);
    assert.deepEqual(findings, [], text);
    assert.deepEqual(
      [row?.matchBy, row?.originalRequestId, row?.originalTransactionId, row?.transactionId],
      [matchBy, originalRequestId, originalTransactionId, 'pay-1'],
      text,
    );
  }
});

test('the date of settlement may come without a time', () => {
  const at = (text: string) => settled(`B-1,P,pay-1,r-1,,PAYMENT,,${text},1,USD,,,,,1,USD`);
  const day = (hour: number) => BigInt(Date.UTC(2026, 0, 31, hour)) * 1000n;
  assert.equal(at('2026-01-31').row?.settledAtMicros, day(10));
  assert.equal(at('20260131').row?.settledAtMicros, day(10));
  assert.equal(at('2026-01-31T04:00:00+01:00').row?.settledAtMicros, day(3));
  assert.equal(at('2026-02-30').refused?.field, 'settlementInitiatedDate');
  assert.equal(at('31/01/2026').refused?.reported, '31/01/2026');
});

const LISTED =
  'transactionType,transactionRequestId,originalTransactionRequestId,transactionId,transactionAmountValue,transactionCurrency,transactionCreationTime,transactionCompletionTime,status';

test('what did not happen is counted, and answers no question', () => {
  const rows = readReport(
    `${LISTED}
     PAYMENT,r-1,,pay-1,10.00,USD,2026-01-31T10:00:00Z,2026-01-31T10:01:00Z,SUCCESS
     PAYMENT,r-2,,pay-2,10.00,USD,2026-01-31T10:00:00Z,,FAIL
     CANCEL,c-2,r-2,pay-2,10.00,USD,2026-01-31T10:00:00Z,,PROCESSING
     DISPUTE,,,pay-2,,,2026-01-31T10:00:00Z,,pending
     PAYMENT,r-3,,pay-3,x,USD,2026-01-31T10:00:00Z,,FAIL`,
    'transactionDetails',
    antom,
  );
  assert.deepEqual(
    rows.flatMap(({ findings }) => findings),
    [],
  );
  const [paid, failed, cancel, dispute, unreadable] = rows;
  assert.deepEqual([paid?.row?.isDone, paid?.row?.matchBy], [true, 'own']);
  // When it was complete, not when it began.
  assert.equal(paid?.row?.paidAtMicros, BigInt(Date.UTC(2026, 0, 31, 10, 1)) * 1000n);
  for (const { row } of [failed!, cancel!, dispute!]) {
    const { isDone, matchBy, transactionId, originalRequestId, originalTransactionId } = row!;
    assert.deepEqual(
      [isDone, matchBy, transactionId, originalRequestId, originalTransactionId],
      [false, 'none', null, null, null],
    );
  }
  assert.deepEqual([failed?.row?.requestId, failed?.row?.amountMinor], ['r-2', 1000n]);
  assert.equal(unreadable?.refused?.field, 'transactionAmountValue');
});

test('without a status all that is listed is done', () => {
  const text = 'transactionType,transactionRequestId,transactionAmountValue,transactionCurrency,transactionUpdateTime';
  const [read] = readReport(`${text}\nPAYMENT,r-1,1,USD,2026-01-31T10:00:00Z`, 'transactionDetails', antom);
  assert.equal(read?.row?.isDone, true);
});

test('where the name of a report carries no currency, its first row that has one says it', () => {
  const kind = 'settlementDetails' as const;
  const columns = readHeader(SETTLED.split(','), kind, antom);
  const row = (currency: string) => [
    ...SETTLED.split(',')
      .slice(1)
      .map(() => ''),
    currency,
  ];
  const currencyOf = (...currencies: string[]) =>
    settlementCurrencyOf(currencies.map(row), { kind, columns, format: antom });
  assert.equal(currencyOf(), null);
  assert.equal(currencyOf('', 'none', 'dollars'), null);
  assert.equal(currencyOf('', ' EUR ', 'USD'), 'EUR');
  assert.equal(settlementCurrencyOf([['B-1']], { kind, columns, format: antom }), null);
  // The others are then refused by the rule that holds for every report.
  assert.equal(settled('B-1,P,pay-1,r-1,,PAYMENT,,,1,EUR,,,,,1,EUR').refused?.field, 'settlementCurrency');
});
