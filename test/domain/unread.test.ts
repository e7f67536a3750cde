import assert from 'node:assert/strict';
import { test } from 'node:test';
import { antom } from '../../src/domain/formats/antom.ts';
import { apo } from '../../src/domain/formats/apo.ts';
import type { ReportKind } from '../../src/domain/formats/format.ts';
import { readHeader } from '../../src/domain/report/header.ts';
import {
  addLooks,
  insteadOf,
  lacksOf,
  moneyUnread,
  UnreadCells,
  unreadColumn,
} from '../../src/domain/report/unread.ts';

const SUMMARY = ['settlementBatchId', 'settlementAmountValue', 'settlementCurrency'];
const ITEMS =
  'settlementBatchId transactionType transactionId transactionRequestId transactionAmountValue transactionCurrency settlementAmountValue settlementCurrency'.split(
    ' ',
  );

function look(kind: ReportKind, header: readonly string[], rows: readonly (readonly string[])[], format = apo) {
  const columns = readHeader(header, kind, format);
  const first = new UnreadCells(columns);
  const rest = new UnreadCells(columns);
  for (const [at, row] of rows.entries()) {
    const cells = [...header.slice(0, header.length - row.length).map(() => 'x'), ...row];
    (at === 0 ? first : rest).see((position) => cells[position]);
  }
  const looks = addLooks([first.toLooks(), rest.toLooks()]);
  const insteads = insteadOf(lacksOf(columns, kind, format), columns, looks);
  return { told: unreadColumn(insteads), insteads, money: moneyUnread(columns, looks) };
}

/** What a summary is told of that lacks count and fee, and prints one more column. */
const inSummary = (name: string, ...cells: string[]) => {
  const rows = cells.map((cell) => [cell, 'words']);
  return look('settlementSummary', [...SUMMARY, name, 'remark'], rows).insteads.map(({ column }) => column);
};

test('what may be the count or the fee is a column of plain numbers that are not all zero', () => {
  assert.deepEqual(inSummary('rowCount', '3', '5'), ['count']);
  assert.deepEqual(inSummary('Anzahl', '3', '', 'null'), ['count']);
  assert.deepEqual(inSummary('', '3'), ['count']);
  for (const name of [
    'totalNum',
    'totalNumber',
    'transactionNumber',
    'txn_no',
    'Trade No',
    'itemsNumber',
    'number',
    'sum',
  ])
    assert.deepEqual(inSummary(name, '3', '5'), ['count'], name);
  assert.deepEqual(inSummary('totalNum', '3.50'), ['feeAmountValue'], 'what is no count may be money');
  assert.deepEqual(inSummary('totalFee', '-0.30', '0'), ['feeAmountValue']);
  assert.deepEqual(inSummary('feeMinor', '-30', '0'), ['feeAmountValue']);
  assert.deepEqual(inSummary('Gebühr', '0.30'), ['feeAmountValue']);
  for (const cell of ['1,234.50', '-1,234,567.00', '12,345', '1.234,50'])
    assert.deepEqual(inSummary('totalFee', cell, '0'), ['feeAmountValue'], cell);
  assert.deepEqual(inSummary('rowCount', '1,234', '12'), ['count']);
  for (const cell of ['1,23.50', '12,34', ',123', '01,234', '1,234,'])
    assert.deepEqual(inSummary('totalFee', cell), [], cell);
});

test('words, nothing, zeros, ids, codes, dates and rates are no news', () => {
  const told: readonly (readonly [string, ...string[]])[] = [
    ['note', 'x'],
    ['note', '3', 'x'],
    ['feeNote', '', 'none'],
    ['rowCount', '0', '0'],
    ['storeId', '10023'],
    ['merchantNo', '10023'],
    ['batchNumber', '10023'],
    ['totalNum', '2018122611021040123'],
    ['MCC', '5812'],
    ['cardBin', '424242'],
    ['terminal', '0017'],
    ['x', '0017'],
    ['x', '2018122611021040123'],
    ['x', '20260302'],
    ['phone', '13800138000'],
    ['taxRate', '0.06'],
    ['exchange_rate', '7.1'],
    ['feeCurrencyCode', '840'],
    ['settledDate', '46000'],
    ['x', '1e5'],
  ];
  for (const [name, ...cells] of told) assert.deepEqual(inSummary(name, ...cells), [], `${name}: ${cells}`);
});

test('a report that has the columns of its checks is told nothing, whatever it prints besides', () => {
  const whole = [...SUMMARY, 'count', 'feeAmountValue', 'rowCount', 'totalFee'];
  assert.equal(look('settlementSummary', whole, [['3', '-0.30', '3', '-0.30']]).told, null);
  assert.equal(look('settlementDetails', [...ITEMS, 'feeAmountValue', 'bonus'], [['-0.30', '1.00']]).told, null);
});

test('each lacking column gets one of its kind, by its name first, and all are told at once', () => {
  const { told, insteads } = look(
    'settlementSummary',
    [...SUMMARY, 'someNumbers', 'feeTotal', 'rowCount'],
    [['7', '-30', '3']],
  );
  assert.deepEqual(
    insteads.map(({ column, unread }) => [column, unread]),
    [
      ['count', 'rowCount'],
      ['feeAmountValue', 'feeTotal'],
    ],
  );
  const { kind, line, field, reported, recorded, message } = told!;
  assert.deepEqual([kind, line, field, reported, recorded], ['unread_column', 1, 'count', 'rowCount', null]);
  for (const name of ['count', 'rowCount', 'feeAmountValue', 'feeTotal']) assert.ok(message.includes(name));
});

test('details lack their fees where they print none of them; what has several prints those that there are', () => {
  const lacksIn = (header: readonly string[], format = apo) =>
    lacksOf(readHeader(header, 'settlementDetails', format), 'settlementDetails', format).map(({ column }) => column);
  assert.deepEqual(lacksIn(ITEMS), ['feeAmountValue']);
  assert.deepEqual(lacksIn([...ITEMS, 'taxFeeAmountValue']), ['feeAmountValue']);
  assert.deepEqual(lacksIn([...ITEMS, 'feeAmountValue']), []);
  assert.deepEqual(lacksIn([...ITEMS, 'fxFeeAmountValue'], antom), []);
  assert.deepEqual(lacksIn(ITEMS, antom), ['paymentMethodFeeAmountValue']);
});

test('unread money is what its name calls so, or what its cells are', () => {
  const header = [
    ...ITEMS,
    'feeAmountValue',
    'rtauServiceFeeAmountValue',
    'rtauServiceFeeCurrency',
    'x',
    'storeId',
    'points',
  ];
  assert.deepEqual(look('settlementDetails', header, [['-0.30', '', 'USD', '', '17', 'none']]).money, [
    'rtauServiceFeeAmountValue',
  ]);
  assert.deepEqual(look('settlementDetails', header, [['-0.30', '-0.05', 'USD', '0.05', '17', 'none']]).money, [
    'rtauServiceFeeAmountValue',
    'x',
  ]);
  assert.deepEqual(look('settlementDetails', header, [['-0.30', 'free', 'USD', 'blue', '17', '5 points']]).money, []);
});
