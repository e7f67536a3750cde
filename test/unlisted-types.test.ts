/** Rows of a type that no format lists, which name nothing: what they move is told, once for each type. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tryFiles } from './support/try-files.ts';

const formatWith = (types = '') => `name: corner
extensions: [csv]
names:
  transactionDetails: day_{date}
  settlementDetails: ['p_{currency}_{batchId}_{seq}', 'p_{currency}_{batchId}']
required:
  transactionDetails: [transactionType, transactionRequestId, Amount, Currency]
  settlementDetails: [transactionType, transactionRequestId, Amount, Currency, Net]
amounts:
  transactionDetails:
    - { column: Amount, currencyColumn: Currency, role: transaction }
  settlementDetails:
    - { column: Amount, currencyColumn: Currency, role: transaction }
    - { column: Net, currencyColumn: Currency, role: settlement }
    - { column: Fee, currencyColumn: Currency, role: fee }
deducted: { "*": [Fee] }
typeNames: { Sale: PAYMENT }
types:
  PAYMENT: { matchBy: own }
${types}`;
const RECORDS = [
  'p-1,PAYMENT,10.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00',
  'p-2,PAYMENT,20.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00',
];
const HEADER = 'transactionType,transactionRequestId,transactionId,Amount,Currency,Net,Fee';
const ROWS = ['Sale,p-1,,10.00,EUR,9.70,0.30', 'PAYMENT,p-2,,20.00,EUR,19.40,0.60'];
const batchOf = (...rows: string[]) => ({ 'p_EUR_1.csv': [HEADER, ...rows] });

test('a line with the total is told, and so is each other type, once', async () => {
  const files = batchOf(
    ...ROWS,
    'Total,,,30.00,EUR,29.10,0.90',
    'Carry,,k-1,,EUR,-1.00,',
    'Carry,,k-2,,EUR,-2.50,',
    // It says nothing: it moves no money.
    'Remark,,,,EUR,0.00,',
  );
  const { code, told, ended } = await tryFiles({ files, records: RECORDS, format: formatWith() });
  assert.equal(code, 1);
  assert.deepEqual(told(), ['unknown_type 4 Total - type 29.10 - EUR', 'unknown_type 5 Carry - type -3.50 - EUR']);
  assert.deepEqual(
    ended.json.discrepancyTotals.map(({ kind, amountAtStake }: Record<string, string>) => [kind, amountAtStake]),
    [['unknown_type', '32.60']],
  );
  const [{ state, rows, matchedRows }] = ended.json.batches;
  assert.deepEqual([state, rows, matchedRows], ['discrepant', 6, 2]);
});

test('over all parts it is told once, on the first; a type that the format lists is no news', async () => {
  const files = {
    'p_EUR_1_000.csv': [HEADER, ...ROWS],
    'p_EUR_1_001.csv': [HEADER, 'Rounding,,,,EUR,0.01,', 'Monthly,,,,EUR,-5.00,'],
    'p_EUR_1_002.csv': [HEADER, 'Rounding,,,,EUR,0.02,'],
  };
  const of = (types: string) => tryFiles({ files, records: RECORDS, format: formatWith(types) });
  const { told, ended } = await of('  Monthly: { matchBy: none }\n');
  assert.deepEqual(told(), ['unknown_type 2 Rounding - type 0.03 - EUR']);
  assert.equal(ended.json.discrepancies[0].file, 'p_EUR_1_001.csv');
  const listed = await of('  Monthly: { matchBy: none }\n  Rounding: { matchBy: none }\n');
  assert.deepEqual([listed.code, listed.told()], [0, []]);
});

test('with ids they are compared as ever', async () => {
  const files = batchOf(...ROWS, 'TopUp,p-1,,10.00,EUR,10.00,', 'Total,TOTAL,,30.00,EUR,30.00,');
  const { told } = await tryFiles({ files, records: RECORDS, format: formatWith() });
  assert.deepEqual(told(), [
    'unknown_transaction 4 TopUp p-1 - 10.00 - EUR',
    'unknown_transaction 5 Total TOTAL - 30.00 - EUR',
  ]);
});

test('in the report of a day', async () => {
  const files = {
    'M1/20260302/day_20260302.csv': [
      'transactionType,transactionRequestId,Amount,Currency',
      'Sale,p-1,10.00,EUR',
      'Sale,p-2,20.00,EUR',
      'Sum,,30.00,EUR',
    ],
  };
  const args = ['--time-zone', 'Europe/Amsterdam'];
  const { code, told } = await tryFiles({ files, records: RECORDS, format: formatWith(), args });
  assert.equal(code, 1);
  assert.deepEqual(told(), ['unknown_type 4 Sum - type - - -']);
});
