import assert from 'node:assert/strict';
import { test } from 'node:test';
import { candidateFormats, FORMATS } from '../../src/domain/formats/all.ts';
import { antom } from '../../src/domain/formats/antom.ts';
import { apo } from '../../src/domain/formats/apo.ts';
import type { Format, ReportKind } from '../../src/domain/formats/format.ts';
import { chooseFormat, printedName, readHeader } from '../../src/domain/report/header.ts';

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

const choose = (text: string, kind: ReportKind, preferred: Format = apo) =>
  chooseFormat(text.split(','), kind, Object.values(FORMATS), preferred).name;

/** What a layout prints where it prints all that it knows: of columns with several names, the last. */
const headerOf = (format: Format, kind: ReportKind): string =>
  format.columns[kind].map((column) => format.aliases[column]?.at(-1) ?? column).join(',');

const OLDER_DETAILS =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const OLDER_DAY = 'transactionType,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime';
const NEWER_DAY =
  'transactionType,transactionRequestId,transactionAmountValue,transactionCurrency,transactionCreationTime';

test('a report is read in the layout that it is printed in, whatever its source is said to send', () => {
  for (const preferred of Object.values(FORMATS)) {
    for (const format of Object.values(FORMATS)) {
      for (const kind of Object.keys(format.names) as ReportKind[]) {
        if (format.names[kind].length === 0) continue;
        const text = headerOf(format, kind);
        assert.equal(choose(text, kind, preferred), format.name, `${format.name} ${kind} from ${preferred.name}`);
      }
    }
  }
});

test('the few columns that differ tell one layout from the other', () => {
  const table: [string, ReportKind, Format, string][] = [
    [OLDER_DAY, 'transactionDetails', apo, 'apo'],
    [OLDER_DAY, 'transactionDetails', antom, 'antom'],
    [NEWER_DAY, 'transactionDetails', apo, 'antom'],
    [`${NEWER_DAY},status`, 'transactionDetails', apo, 'antom'],
    // The same in both: then it matters to nobody, and the source's own word counts.
    [OLDER_DETAILS, 'settlementDetails', apo, 'apo'],
    [OLDER_DETAILS, 'settlementDetails', antom, 'antom'],
    [`${OLDER_DETAILS},feeAmountValue,feeCurrency`, 'settlementDetails', antom, 'apo'],
    [`${OLDER_DETAILS},originalTransactionId`, 'settlementDetails', antom, 'apo'],
    [`${OLDER_DETAILS},paymentMethodFeeAmountValue,paymentMethodFeeCurrency`, 'settlementDetails', apo, 'antom'],
    [`${OLDER_DETAILS},transactionCompletionTime`, 'settlementDetails', apo, 'antom'],
    [`${OLDER_DETAILS},settlementInitiatedDate`, 'settlementDetails', apo, 'antom'],
    [`${NEEDED},fxFeeAmountValue,fxFeeAmountCurrency`, 'settlementSummary', apo, 'antom'],
    [`${NEEDED},feeAmountValue,feeCurrency`, 'settlementSummary', antom, 'apo'],
    [`${NEEDED},aColumnOfTheirOwn`, 'settlementSummary', apo, 'apo'],
  ];
  for (const [text, kind, preferred, expected] of table)
    assert.equal(choose(text, kind, preferred), expected, `${text} from ${preferred.name}`);
});

test('a status beside the older columns is heard, too', () => {
  assert.equal(choose(`${OLDER_DAY},status`, 'transactionDetails'), 'apo');
  assert.ok('status' in readHeader(`${OLDER_DAY},status`.split(','), 'transactionDetails', apo).at);
});

test('what no layout fits is refused, and the nearest one is named with what is missing and what is new', () => {
  const table: [string, ReportKind, string, RegExp][] = [
    ['', 'settlementDetails', 'no_header', /^The first line/],
    ['a,b,c', 'settlementDetails', 'no_header', /header/],
    [
      OLDER_DETAILS.replace('settlementAmountValue', 'settledAmount'),
      'settlementDetails',
      'missing_columns',
      /^settlementAmountValue \(nearest format: apo; it does not know settledAmount\): /,
    ],
    [
      OLDER_DAY.replace('paymentTime', 'paidAt'),
      'transactionDetails',
      'missing_columns',
      /^paymentTime \(nearest format: apo; it does not know paidAt\): /,
    ],
    [
      `${NEWER_DAY},status,PSP`.replace('transactionRequestId', 'transactionRequestID'),
      'transactionDetails',
      'missing_columns',
      /^transactionRequestId \(nearest format: antom; it does not know transactionRequestID\): /,
    ],
    [
      headerOf(FORMATS['adyen-settlement-details']!, 'settlementDetails').replace('Type', 'Record Type'),
      'settlementDetails',
      'missing_columns',
      /^transactionType or Type \(nearest format: adyen-settlement-details; it does not know Record Type\): /,
    ],
    [
      `${OLDER_DAY.replace('paymentTime', 'x')},x,transactionType`,
      'transactionDetails',
      'duplicate_columns',
      /^transactionType: /,
    ],
  ];
  for (const [text, kind, code, message] of table)
    assert.throws(() => choose(text, kind), { name: 'ReportRefused', code, message }, text);
});

test("a format of one's own goes before those that it is like", () => {
  const own: Format = { ...apo, name: 'ours', id: 'ours@1' };
  assert.deepEqual(
    candidateFormats(own).map(({ name }) => name),
    ['ours', ...Object.keys(FORMATS)],
  );
  assert.equal(choose(OLDER_DETAILS, 'settlementDetails', own), 'ours');
  assert.equal(choose(headerOf(antom, 'settlementDetails'), 'settlementDetails', own), 'antom');
});

test('what a format says about its columns fits together', () => {
  for (const [name, format] of Object.entries(FORMATS)) {
    assert.deepEqual([format.name, format.id], [name, name]);
    const known = Object.values(format.columns).flat();
    for (const kind of Object.keys(format.columns) as ReportKind[]) {
      const columns = format.columns[kind];
      assert.equal(new Set(columns).size, columns.length, `${name} ${kind}`);
      for (const column of format.required[kind]) assert.ok(columns.includes(column), `${name} ${column}`);
      for (const { column, debitColumn = column, currencyColumn } of format.amounts[kind])
        for (const part of [column, debitColumn, currencyColumn]) assert.ok(columns.includes(part), `${name} ${part}`);
    }
    for (const column of Object.keys(format.aliases)) assert.ok(known.includes(column), `${name} ${column}`);
    for (const rule of Object.values(format.types))
      for (const column of Object.values(rule.ids ?? {}))
        assert.ok(column === null || known.includes(column), `${name} ${column}`);
    for (const type of Object.values(format.typeNames)) assert.ok(type in format.types, `${name} ${type}`);
  }
});

test('a format is plain data: it comes out of JSON as it went in', () => {
  for (const format of Object.values(FORMATS)) assert.deepEqual(JSON.parse(JSON.stringify(format)), format);
});
