import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apo } from '../../src/domain/formats/apo.ts';
import type { ReportKind } from '../../src/domain/formats/format.ts';
import { printedName, readHeader } from '../../src/domain/header.ts';

const header = (text: string, kind: ReportKind = 'settlementSummary') => readHeader(text.split(','), kind, apo);
const NEEDED = 'settlementBatchId,settlementAmountValue,settlementCurrency';

test('columns are found by name, in any order, and unknown ones are kept', () => {
  const columns = header(` count ,note,settlementCurrency,settlementAmountValue,toString,settlementBatchId`);
  assert.deepEqual(columns.at, { settlementBatchId: 5, count: 0, settlementAmountValue: 3, settlementCurrency: 2 });
  assert.deepEqual(columns.unknown, ['note', 'toString']);
  assert.equal(columns.width, 6);
});

test('blank cells at the end of the header are no columns, and one within has no name', () => {
  assert.equal(header(`${NEEDED},, ,`).width, 3);
  assert.deepEqual(header(`${NEEDED},,count`).unknown, []);
  assert.equal(header(`${NEEDED},,count`).width, 5);
});

const ACQUIRER = 'acquirer';

test('another name of a column counts where its own is absent', () => {
  const alone = header(`${NEEDED},PSP`);
  assert.equal(alone.at[ACQUIRER], 3);
  assert.equal(printedName(alone, ACQUIRER), 'PSP');
  const both = header(`${NEEDED},PSP,acquirer`);
  assert.equal(both.at[ACQUIRER], 4);
  assert.deepEqual(both.unknown, ['PSP']);
  assert.equal(printedName(both, 'count'), 'count');
});

test('a header that cannot serve refuses the report and names the columns', () => {
  const table: [string, ReportKind, string, RegExp][] = [
    ['', 'settlementSummary', 'no_header', /^The first line/],
    ['<END>', 'settlementSummary', 'no_header', /^The first line/],
    ['2018122611021040123,1022188000000000001,Alipay_SG', 'settlementSummary', 'no_header', /header/],
    ['settlementBatchId,count', 'settlementSummary', 'missing_columns', /^settlementAmountValue, settlementCurrency: /],
    [
      `${NEEDED},count,count,settlementBatchId`,
      'settlementSummary',
      'duplicate_columns',
      /^settlementBatchId, count: /,
    ],
    [`${NEEDED},count`, 'transactionDetails', 'no_header', /header/],
    [
      'transactionType,transactionRequestId,transactionAmountValue,transactionCurrency',
      'transactionDetails',
      'missing_columns',
      /^paymentTime: /,
    ],
    [
      'transactionType,transactionRequestId,transactionAmountValue,transactionCurrency,transactionCreationTime',
      'transactionDetails',
      'missing_columns',
      /^paymentTime: /,
    ],
    [
      NEEDED,
      'settlementDetails',
      'missing_columns',
      /^transactionType, transactionId, transactionRequestId, transactionAmountValue, transactionCurrency: /,
    ],
  ];
  for (const [text, kind, code, message] of table) {
    assert.throws(() => header(text, kind), { name: 'ReportRefused', code, message }, text);
  }
});

test('an unknown column may stand twice: nothing is read from it', () => {
  assert.deepEqual(header(`${NEEDED},note,note`).unknown, ['note', 'note']);
});

test('what a format says about its columns fits together', () => {
  for (const kind of Object.keys(apo.columns) as ReportKind[]) {
    const columns = apo.columns[kind];
    assert.equal(new Set(columns).size, columns.length, kind);
    for (const column of apo.required[kind]) assert.ok(columns.includes(column), column);
    for (const { column, currencyColumn } of apo.amounts[kind]) {
      assert.ok(columns.includes(column) && columns.includes(currencyColumn), column);
    }
  }
});
