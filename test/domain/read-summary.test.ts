import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { apo } from '../../src/domain/formats/apo.ts';
import type { Currency } from '../../src/domain/money/currency.ts';
import type { AmountUnit } from '../../src/domain/money/money.ts';
import { readHeader } from '../../src/domain/report/header.ts';
import { readRow } from '../../src/domain/report/read-row.ts';
import { readReportName } from '../../src/domain/report/report-name.ts';
import { readSummaryRow } from '../../src/domain/report/summary.ts';

const folder = new URL('../fixtures/reports/', import.meta.url);

/** Read as the name tells, in minor units, as the samples are printed. None of them has a quote. */
function readSample(fileName: string) {
  const name = readReportName(fileName, [apo]);
  assert.ok(name);
  const lines = readFileSync(new URL(fileName, folder), 'utf8').split('\n');
  const [header = [], ...rows] = lines.slice(0, lines.indexOf('<END>')).map((line) => line.split(','));
  const { kind, batchId, settlementCurrency } = name;
  const common = {
    format: apo,
    batchId,
    settlementCurrency,
    amountUnit: 'minor' as const,
    toleranceMinor: 2n,
  };
  const columns = readHeader(header, kind, apo);
  return rows.map((cells, index) =>
    kind === 'settlementSummary'
      ? readSummaryRow(cells, index + 2, { ...common, kind, columns })
      : readRow(cells, index + 2, { ...common, kind, columns }),
  );
}

test('every published sample reads without a refusal', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.csv'));
  const reads = files.flatMap(readSample);
  assert.equal(reads.length, 11);
  for (const read of reads) assert.ok('row' in read, 'refused' in read ? read.refused.message : '');
});

test('the samples say what their pages say', () => {
  const rowsOf = (fileName: string) =>
    readSample(fileName).map((read) => {
      assert.ok('row' in read && 'countRows' in read.row);
      const { type, countRows, settlementMinor, feeMinor, acquirer } = read.row;
      return [acquirer, type, countRows, settlementMinor, feeMinor].join(' ');
    });
  assert.deepEqual(rowsOf('settlementSummary_HKD_2C2P0000000101_000.csv'), [
    '2C2P_SG CAPTURE 1 96 -4',
    '2C2P_SG DEFAULT 1 -5 -5',
    '2C2P_SG TOTAL 2 91 -9',
  ]);
  assert.deepEqual(rowsOf('settlementSummary_JPY_2022101909031102123_000.csv'), [
    'Hundsun PAYMENT 2 192 8',
    'Hundsun REFUND 1 -96 -4',
    'Hundsun TOTAL 4 96 4',
    'Hundsun DEFAULT 1 0 0',
  ]);
  assert.deepEqual(rowsOf('settlementSummary_USD_2018122611021040123_000.csv'), [
    'Alipay_SG TOTAL 2 725 -25',
    'Alipay_SG PAYMENT 1 1450 -50',
    'Alipay_SG REFUND 1 -725 25',
  ]);
  assert.deepEqual(rowsOf('settlementSummary_KaKaoPay_USD_0000000000000000000_000.csv'), []);
});

const HEADER = [
  'settlementBatchId',
  'summaryType',
  'count',
  'settlementAmountValue',
  'settlementCurrency',
  'feeAmountValue',
  'feeCurrency',
  'settlementTime',
];

function read(
  line: string,
  { header = HEADER, currency = 'USD' as Currency | null, amountUnit = 'major' as AmountUnit } = {},
) {
  const columns = readHeader(header, 'settlementSummary', apo);
  const ctx = {
    kind: 'settlementSummary',
    columns,
    format: apo,
    batchId: 'B',
    settlementCurrency: currency,
    amountUnit,
  } as const;
  return readSummaryRow(line.split(','), 4, ctx);
}

test('a summary row is refused for what a details row is refused for', () => {
  const table: [string, string | null, string | null][] = [
    ['B,PAYMENT,x,1,USD,,,', 'count', 'x'],
    ['B,PAYMENT,-1,1,USD,,,', 'count', '-1'],
    ['B,PAYMENT,1.5,1,USD,,,', 'count', '1.5'],
    ['B,PAYMENT,1000000000000000,1,USD,,,', 'count', '1000000000000000'],
    [`B,${'x'.repeat(1_001)},1,1,USD,,,`, 'summaryType', 'x'.repeat(200)],
    ['C,PAYMENT,1,1,USD,,,', 'settlementBatchId', 'C'],
    ['B,PAYMENT,1,1,EUR,,,', 'settlementCurrency', 'EUR'],
    ['B,PAYMENT,1,,USD,-1,USD,', 'settlementAmountValue', ''],
    ['B,DEFAULT,1,,USD,,,', 'settlementAmountValue', ''],
    ['B,TOTAL,1,1.001,USD,,,', 'settlementAmountValue', '1.001'],
    ['B,TOTAL,1,1,USD,1e2,USD,', 'feeAmountValue', '1e2'],
    ['B,TOTAL,1,1,USD,,,yesterday', 'settlementTime', 'yesterday'],
    ['B,TOTAL,1,1,USD,,', 'settlementTime', null],
    ['B,TOTAL,1,1,USD,,,,x', null, 'B,TOTAL,1,1,USD,,,,x'],
  ];
  for (const [line, field, reported] of table) {
    const outcome = read(line);
    assert.ok('refused' in outcome, line);
    assert.deepEqual([outcome.refused.kind, outcome.refused.line], ['refused_row', 4]);
    assert.deepEqual([outcome.refused.field, outcome.refused.reported], [field, reported], line);
  }
});

test('absent is null, not zero', () => {
  const outcome = read('B,,,1.50,USD,none,,');
  assert.ok('row' in outcome);
  const { type, countRows, settlementMinor, feeMinor, settledAtMicros } = outcome.row;
  assert.deepEqual([type, countRows, settlementMinor, feeMinor, settledAtMicros], [null, null, 150n, null, null]);
});

test('a summary without types, and a fee that is not in the settlement currency', () => {
  const untyped = read('B,1.50,USD', { header: ['settlementBatchId', 'settlementAmountValue', 'settlementCurrency'] });
  assert.ok('row' in untyped);
  assert.equal(untyped.row.type, null);
  const foreign = read('B,TOTAL,1,1.50,USD,-1,EUR,');
  assert.ok('row' in foreign);
  // None was taken in the settlement currency: that is a statement, which the fees of the details are compared with.
  assert.equal(foreign.row.feeMinor, 0n);
});
