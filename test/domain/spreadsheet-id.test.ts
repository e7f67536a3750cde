import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apo } from '../../src/domain/formats/apo.ts';
import { readHeader } from '../../src/domain/report/header.ts';
import { readRow } from '../../src/domain/report/read-row.ts';
import { hasLostDigits, meantBy } from '../../src/domain/report/spreadsheet-id.ts';
import { contextOf } from './reading.ts';

test('an id in what spreadsheets put around it is what they mean', () => {
  const table: Record<string, string> = {
    '="00123"': '00123',
    "'00123": '00123',
    "'00123'": '00123',
    '=" 12 "': '12',
    '="a""b"': 'a"b',
    '=""': '',
    "'": '',
    "''": '',
    // What only looks like it stays as it is.
    '=00123': '=00123',
    '="00123': '="00123',
    "0'0123": "0'0123",
    '"00123"': '"00123"',
    '`00123': '`00123',
    order: 'order',
    '': '',
  };
  for (const [text, expected] of Object.entries(table)) assert.equal(meantBy(text), expected, text);
});

test('a number that a spreadsheet cut short is no id, and all that only looks like it is one', () => {
  const lost = [
    '2.02603E+21',
    '2.02603e+21',
    '2,02603E+21',
    '2E+20',
    '1.23457E+15',
    '20.3E+20',
    '1.00E+05',
    '-1.2E+18',
    '1E+100',
  ];
  const kept = [
    '1E5',
    '1E21',
    '12E+3',
    '2.02603E21',
    '2.02603E-21',
    'A2.02603E+21',
    '2.02603E+21x',
    '1.2.3E+21',
    '2026E+21',
    'E+21',
  ];
  for (const id of lost) assert.equal(hasLostDigits(id), true, id);
  for (const id of kept) assert.equal(hasLostDigits(id), false, id);
});

const HEADER =
  'settlementBatchId,customerId,transactionType,transactionId,transactionRequestId,originalTransactionId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const IDS = [
  'settlementBatchId',
  'customerId',
  'transactionId',
  'transactionRequestId',
  'originalTransactionId',
  'originalTransactionRequestId',
];

const read = (changes: Readonly<Record<string, string>>) => {
  const plain: Record<string, string> = {
    settlementBatchId: '007',
    customerId: '0C',
    transactionType: 'REFUND',
    transactionId: '0t',
    transactionRequestId: '0r',
    originalTransactionId: '0ot',
    originalTransactionRequestId: '0or',
    transactionAmountValue: '-1.00',
    transactionCurrency: 'USD',
    settlementAmountValue: '-1.00',
    settlementCurrency: 'USD',
    ...changes,
  };
  const columns = readHeader(HEADER.split(','), 'settlementDetails', apo);
  const context = { ...contextOf({ batchId: '007', settlementCurrency: 'USD' }), columns };
  const read = readRow(
    columns.names.map((name) => plain[name]!),
    2,
    context,
  );
  return 'row' in read ? { row: read.row, refused: null } : { row: null, refused: read.refused };
};

test('every column of ids in a report is read so', () => {
  const plain = read({});
  assert.equal(plain.refused, null);
  for (const column of IDS) {
    for (const wrap of [(id: string) => `="${id}"`, (id: string) => `'${id}`, (id: string) => ` '${id}' `]) {
      const id = {
        settlementBatchId: '007',
        customerId: '0C',
        transactionId: '0t',
        transactionRequestId: '0r',
        originalTransactionId: '0ot',
        originalTransactionRequestId: '0or',
      }[column]!;
      assert.deepEqual(read({ [column]: wrap(id) }), plain, `${column} ${wrap(id)}`);
    }
    for (const lost of ['2.02603E+21', '="2.02603E+21"', "'2,02603e+21"]) {
      const { refused } = read({ [column]: lost });
      assert.deepEqual([refused?.field, refused?.reported], [column, lost]);
      assert.match(refused!.message, /its last digits are lost: fetch the original file again/);
    }
  }
});
