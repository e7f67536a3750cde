import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { FORMATS } from '../../src/domain/formats/all.ts';
import { apo } from '../../src/domain/formats/apo.ts';
import type { Format } from '../../src/domain/formats/format.ts';
import { isAmbiguous, kindInName, readDirectory, readReportName } from '../../src/domain/report/report-name.ts';

const show = (fileName: string) => {
  const read = readReportName(fileName, [apo]);
  if (read === null) return null;
  assert.equal(read.name, fileName.replace(/\.csv$/i, ''));
  return [read.kind, read.batchId, read.settlementCurrency, read.date, read.psp, read.seq]
    .map((part) => part ?? '-')
    .join(' ');
};

test('the name decides kind, batch, currency, date and part', () => {
  const table = {
    'transactionItems_20181225_000.csv': 'transactionDetails - - 2018-12-25 - 0',
    'transactionItems_20240229_999.CSV': 'transactionDetails - - 2024-02-29 - 999',
    'settlementItems_USD_2018122611021040123_001.csv': 'settlementDetails 2018122611021040123 USD - - 1',
    'settlementItems_HKD_2C2P-01_000.csv': 'settlementDetails 2C2P-01 HKD - - 0',
    'settlementItems_KaKaoPay_USD_0000000000000000000_000.csv':
      'settlementDetails 0000000000000000000 USD - KaKaoPay 0',
    'settlementItems_My_Pay_Co_JPY_B1_010.csv': 'settlementDetails B1 JPY - My_Pay_Co 10',
    'settlementItems_USD_HKD_B1_000.csv': 'settlementDetails B1 HKD - USD 0',
    'settlementSummary_CONNECTWALLET_EUR_abc_000.csv': 'settlementSummary abc EUR - CONNECTWALLET 0',
    'settlementSummary_EUR_USD_000.csv': 'settlementSummary USD EUR - - 0',
  };
  for (const [fileName, expected] of Object.entries(table)) assert.equal(show(fileName), expected, fileName);
});

test('a name in another case is the same report, and a packed one too', () => {
  const table = {
    'SETTLEMENTITEMS_usd_B1_000.CSV': 'settlementItems_USD_B1_000 B1 USD true',
    'settlementitems_Usd_B1_000.csv.gz': 'settlementItems_USD_B1_000 B1 USD true',
    'settlementItems_USD_B1_000.csv.GZ': 'settlementItems_USD_B1_000 B1 USD false',
    'settlementItems_usd_B1_000.xlsx': 'settlementItems_USD_B1_000 B1 USD true',
    'TRANSACTIONITEMS_20181225_000.ZIP': 'transactionItems_20181225_000 - - true',
    'settlementItems_usd_EUR_B1_000.csv': 'settlementItems_usd_EUR_B1_000 B1 EUR false',
  };
  for (const [fileName, expected] of Object.entries(table)) {
    const { name, batchId, settlementCurrency, isOtherCase } = readReportName(fileName, [apo])!;
    assert.equal(`${name} ${batchId ?? '-'} ${settlementCurrency ?? '-'} ${isOtherCase}`, expected, fileName);
  }
});

test('a name may speak of a report that is not read', () => {
  for (const fileName of [
    'settlementItems_USD_B1_000.csv.pgp',
    'settlementitems_usd_b1_000.txt',
    'settlementItems_USD_B1_000',
    'settlementItems_USD_B1_000.tar.gz',
    'settlementItems_USD_B1_000.csv.filepart',
    'settlementItems_USD_B1_000 (1).csv',
    'settlementItems_USD_B1_000 - Copy.csv',
    'Copy of settlementItems_USD_B1_000.csv',
    'settlementItems_USD_B1_000.csv~',
    '.settlementItems_USD_B1_000.csv.x8Jq2',
    'settlementItems_XAU_B1_000.csv',
  ])
    assert.equal(kindInName(fileName, [apo]), 'settlementDetails', fileName);
  for (const fileName of [
    '',
    '.',
    '.csv',
    'README.txt',
    '.DS_Store',
    'notes - old.txt',
    '._settlementItems_USD_B1_000.csv',
  ])
    assert.equal(kindInName(fileName, [apo]), null, fileName);
});

test('what fits no pattern is no report', () => {
  for (const fileName of [
    '',
    '.csv',
    'README.md',
    'transactionItems_20181225_000',
    'transactionItems_20181225_000.csv.filepart',
    'transactionItems_20181225_000csv',
    'transactionItems_20180229_000.csv',
    'transactionItems_2018122_000.csv',
    'transactionItems_20181225_00.csv',
    'transactionItems_20181225_1000.csv',
    'xtransactionItems_20181225_000.csv',
    'transactionItems_20181225_000 (1).csv',
    'settlementItems_ABC_B1_000.csv',
    'settlementitems_abc_B1_000.csv',
    'settlementItems__USD_B1_000.csv',
    'settlementItems_USD__000.csv',
    'settlementItems_XAU_B1_000.csv',
    'settlementItems_a/b_USD_B1_000.csv',
    'settlementSummary_USD_B1_000.csv\n',
    'settlementSummary_USD_B:1_000.csv',
  ]) {
    assert.equal(show(fileName), null, fileName);
  }
});

test('the published samples are reports', () => {
  const files = readdirSync(new URL('../fixtures/reports', import.meta.url)).filter((file) => file.endsWith('.csv'));
  assert.equal(files.length, 5);
  for (const file of files) assert.ok(readReportName(file, [apo]), file);
});

test('the two folders above a file name merchant and date', () => {
  const table: [string, string | null, string | null][] = [
    ['/v1/settlements/1022188000000000001/20181226/f.csv', '1022188000000000001', '2018-12-26'],
    ['M-1/20181226/f.csv', 'M-1', '2018-12-26'],
    ['C:\\in\\M-1\\20181226\\f.csv', 'M-1', '2018-12-26'],
    ['20181226/f.csv', null, '2018-12-26'],
    ['./20181226/f.csv', null, '2018-12-26'],
    ['/20181226/f.csv', null, '2018-12-26'],
    ['M-1/20180230/f.csv', null, null],
    ['M-1/f.csv', null, null],
    ['20181226/M-1/f.csv', null, null],
    ['f.csv', null, null],
    ['', null, null],
  ];
  for (const [path, merchantId, date] of table) assert.deepEqual(readDirectory(path), { merchantId, date }, path);
});

test('what the portal hands out is known by its name, which carries no currency', () => {
  const all = Object.values(FORMATS);
  const read = readReportName('SETTLEMENT_DETAIL_202604271985548486_20260428.xlsx', all);
  assert.deepEqual(read, {
    kind: 'settlementDetails',
    name: 'SETTLEMENT_DETAIL_202604271985548486_20260428',
    isOtherCase: false,
    batchId: '202604271985548486',
    settlementCurrency: null,
    date: '2026-04-28',
    psp: null,
    seq: 0,
    isPortal: true,
  });
  assert.equal(readReportName('settlementItems_USD_B1_000.csv', all)?.isPortal, false);
  assert.equal(readReportName('SETTLEMENT_DETAIL_1_20260431.xlsx', all), null);
});

test('a name is the same report in whichever order the formats are tried', () => {
  const all = Object.values(FORMATS);
  for (const name of [
    'transactionItems_20181225_000.csv',
    'settlementItems_My_Pay_Co_JPY_B1_010.xlsx',
    'settlementSummary_EUR_B1_000.zip',
    'SETTLEMENT_DETAIL_1_20260401.zip',
    'settlement_detail_report_batch_118.csv',
    'settlement_detail_report_batch_118_2.csv',
    'README.md',
  ]) {
    const first = readReportName(name, all);
    for (const format of all) {
      assert.deepEqual(readReportName(name, [format, ...all]), first, name);
    }
  }
});

const own = (names: Partial<Format['names']>): Format => ({ ...apo, names: { ...NONE, ...names }, portalNames: NONE });
const NONE = { transactionDetails: [], settlementDetails: [], settlementSummary: [] };
const batchOf = (fileName: string, names: Partial<Format['names']>) => {
  const read = readReportName(fileName, [own(names), ...Object.values(FORMATS)]);
  return (
    read &&
    [read.kind, read.batchId, read.settlementCurrency, read.date, read.psp, read.seq]
      .map((part) => part ?? '-')
      .join(' ')
  );
};

test('a batch id is whatever the rest of the name leaves, where that is of a fixed length', () => {
  const table: [pattern: string, fileName: string, expected: string | null][] = [
    ['payout_{batchId}', 'payout_po_1AbC.csv', 'settlementDetails po_1AbC - - - 0'],
    ['payout_{batchId}', 'payout_7.csv', 'settlementDetails 7 - - - 0'],
    ['payout_{batchId}', 'payout_a.b~c+d=e@f#1.csv', 'settlementDetails a.b~c+d=e@f#1 - - - 0'],
    ['payout_{batchId}', 'payout_批次_1.csv', 'settlementDetails 批次_1 - - - 0'],
    ['{batchId}', 'tr_7Xz_9.csv', 'settlementDetails tr_7Xz_9 - - - 0'],
    ['payout_{batchId}_{currency}', 'payout_po_1_EUR.csv', 'settlementDetails po_1 EUR - - 0'],
    ['payout_{batchId}_{currency}', 'payout_EUR_USD_GBP.csv', 'settlementDetails EUR_USD GBP - - 0'],
    ['{currency}_{batchId}_{seq}', 'EUR_po_1_002_003.csv', 'settlementDetails po_1_002 EUR - - 3'],
    ['{date}_{batchId}_of_{currency}', '20260302_a_of_b_of_EUR.csv', 'settlementDetails a_of_b EUR 2026-03-02 - 0'],
    ['payout_{batchId}{seq}', 'payout_a_1002.csv', 'settlementDetails a_1 - - - 2'],
    // What is no id: nothing, copies, other folders, files that programs keep beside others.
    ['payout_{batchId}', 'payout_.csv', null],
    ['payout_{batchId}', 'payout_po_1 (1).csv', null],
    ['payout_{batchId}', 'payout_po_1(1).csv', null],
    ['payout_{batchId}', 'payout_po_1 - Copy.csv', null],
    ['payout_{batchId}', 'payout_po\n1.csv', null],
    ['{batchId}', '~$po_1.csv', null],
    ['{batchId}', '._po_1.csv', null],
    ['payout_{batchId}_{currency}', 'payout_po_1_EUX.csv', null],
    ['payout_{batchId}_{date}', 'payout_po_1_20260230.csv', null],
  ];
  for (const [pattern, fileName, expected] of table)
    assert.equal(batchOf(fileName, { settlementDetails: [pattern] }), expected, `${pattern}: ${fileName}`);
});

test('beside a psp, and in the names of providers, a batch id is plain', () => {
  const psp = ['items_{currency}_{batchId}_{seq}', 'items_{psp}_{currency}_{batchId}_{seq}'];
  assert.equal(
    batchOf('items_My_Pay_EUR_B1_000.csv', { settlementDetails: psp }),
    'settlementDetails B1 EUR - My_Pay 0',
  );
  assert.equal(batchOf('items_USD_EUR_B1_000.csv', { settlementDetails: psp }), 'settlementDetails B1 EUR - USD 0');
  assert.equal(batchOf('items_My_Pay_EUR_po_1_000.csv', { settlementDetails: psp }), null);
  for (const name of ['settlementItems_USD_po_1_000.csv', 'settlement_detail_report_batch_118_2.csv'])
    assert.equal(readReportName(name, Object.values(FORMATS)), null, name);
});

test('of several names that fit, the one counts that leaves the least to the batch id', () => {
  const names = {
    settlementDetails: ['out_{batchId}', 'out_{batchId}_{seq}', 'out_{batchId}_{currency}_{seq}'],
    settlementSummary: ['out_{batchId}_total'],
  };
  const table: Record<string, string> = {
    'out_po_1.csv': 'settlementDetails po_1 - - - 0',
    'out_po_1_001.csv': 'settlementDetails po_1 - - - 1',
    'out_po_1_EUR_001.csv': 'settlementDetails po_1 EUR - - 1',
    'out_po_1_total.csv': 'settlementSummary po_1 - - - 0',
    // A plain id means what it meant before.
    'out_7_001.csv': 'settlementDetails 7 - - - 1',
    'out_7_total.csv': 'settlementSummary 7 - - - 0',
  };
  for (const [name, expected] of Object.entries(table)) assert.equal(batchOf(name, names), expected, name);
});

test('a name is ambiguous where nothing stands between psp and batch id that only one of them can hold', () => {
  const table: Record<string, boolean> = {
    '{psp}{batchId}': true,
    '{psp}-{batchId}': true,
    'x_{batchId}of{psp}': true,
    '{psp}_{batchId}': false,
    '{batchId}.{psp}': false,
    '{psp}-{currency}-{batchId}': false,
    'x{batchId}': false,
  };
  for (const [pattern, expected] of Object.entries(table)) assert.equal(isAmbiguous(pattern), expected, pattern);
});
