/** A check whose column is called otherwise one day does not go silently: it is told, and what could not be checked is said. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt',
    ...[1, 2, 3, 4].map((at) => `p-${at},PAYMENT,${at}0.00,USD,SUCCESS,2026-01-04T09:00:00+08:00`),
  ],
});
const DATABASE_URL = await freshDatabase();

/** Columns of a report by name, each with a cell a row. */
type Table = Readonly<Record<string, readonly string[]>>;
const linesOf = (table: Table): string[] => {
  const rows = Object.values(table)[0]!.map((_, row) =>
    Object.values(table)
      .map((cells) => cells[row]!)
      .join(','),
  );
  return [Object.keys(table).join(','), ...rows, '<END>'];
};

const ITEMS: Table = {
  settlementBatchId: ['', '', ''],
  transactionType: ['PAYMENT', 'PAYMENT', 'PAYMENT'],
  transactionId: ['t-1', 't-2', 't-3'],
  transactionRequestId: ['p-1', 'p-2', 'p-3'],
  transactionAmountValue: ['10.00', '20.00', '30.00'],
  transactionCurrency: ['USD', 'USD', 'USD'],
  settlementAmountValue: ['9.70', '19.40', '30.00'],
  settlementCurrency: ['USD', 'USD', 'USD'],
  feeAmountValue: ['-0.30', '-0.60', '0'],
  feeCurrency: ['USD', 'USD', 'USD'],
};
const SUMMARY: Table = {
  settlementBatchId: ['', ''],
  summaryType: ['PAYMENT', 'TOTAL'],
  count: ['3', '3'],
  settlementAmountValue: ['59.10', '59.10'],
  settlementCurrency: ['USD', 'USD'],
  feeAmountValue: ['-0.90', '-0.90'],
  feeCurrency: ['USD', 'USD'],
};
const renamed = (table: Table, from: string, to: string): Table =>
  Object.fromEntries(Object.entries(table).map(([name, cells]) => [name === from ? to : name, cells]));

let number = 0;
/** What is told of such a batch: kind, file, line, field, reported; the checks that were not possible; and all of it. */
async function answerTo(items: Table, summary: Table, ...more: string[]) {
  const batch = `B${++number}`;
  const reports = join(folder, batch);
  writeFiles(join(reports, `M${number}`, '20260105'), {
    [`settlementItems_USD_${batch}_000.csv`]: linesOf(items),
    [`settlementSummary_USD_${batch}_000.csv`]: linesOf(summary),
  });
  const args = [
    'reconcile',
    reports,
    '--ledger',
    join(folder, 'records.csv'),
    '--merchant',
    `M${number}`,
    '--json',
    ...more,
  ];
  const { json, code } = await settlestream(args, { env: { DATABASE_URL, SETTLESTREAM_PROCESSES: '1' } });
  const [{ state, coverage, summary: stated }] = json.batches;
  return {
    summary: stated,
    code,
    state,
    told: json.discrepancies.map(({ kind, file, line, field, reported }: Record<string, string>) =>
      [kind, file!.includes('Items') ? 'items' : 'summary', line, field, reported].join(' '),
    ),
    messages: json.discrepancies.map(({ message }: { message: string }) => message),
    notPossible: coverage.checks
      .filter(({ state }: { state: string }) => state === 'notPossible')
      .map(({ name }: { name: string }) => name),
    whyOf: (name: string) => coverage.checks.find((check: { name: string }) => check.name === name).why,
  };
}

/** An ordinary report of this layout has none of these columns. */
const ALWAYS = ['feeBreakdown', 'conversion'];

test('a whole pair is green, and so is one with new columns that are empty or hold words', async () => {
  const whole = await answerTo(ITEMS, SUMMARY);
  assert.deepEqual([whole.state, whole.code, whole.notPossible], ['reconciled', 0, ALWAYS]);
  const more = { note: ['x', ''], empty: ['', ''], numbers: ['7', '7'] };
  const withMore = await answerTo({ ...ITEMS, bonus: ['1.00', '', '2'] }, { ...SUMMARY, ...more });
  assert.deepEqual([withMore.state, withMore.code], ['reconciled', 0], 'nothing is lacking');
  const { count: _, ...lacking } = SUMMARY;
  const frozen = await answerTo(ITEMS, { ...lacking, note: ['x', ''], empty: ['', ''] });
  assert.deepEqual([frozen.state, frozen.code, frozen.told], ['reconciled', 0, []]);
  assert.deepEqual(frozen.notPossible, [...ALWAYS, 'summaryCount']);
  assert.match(frozen.whyOf('summaryCount'), /count/);
  assert.deepEqual([whole.summary.count, frozen.summary.count], [3, null]);
});

test('a count that is called otherwise is told, whether it is right or not', async () => {
  for (const count of [SUMMARY['count']!, ['4', '4']]) {
    const found = await answerTo(ITEMS, renamed({ ...SUMMARY, count }, 'count', 'rowCount'));
    assert.deepEqual(found.told, ['unread_column summary 1 count rowCount']);
    assert.deepEqual([found.state, found.code, found.notPossible], ['discrepant', 1, [...ALWAYS, 'summaryCount']]);
    assert.match(found.whyOf('summaryCount'), /count.*rowCount/);
  }
});

test('so are the fees of a summary, also beside the count', async () => {
  const fees = renamed(SUMMARY, 'feeAmountValue', 'totalFees');
  assert.deepEqual((await answerTo(ITEMS, fees)).told, ['unread_column summary 1 feeAmountValue totalFees']);
  const both = await answerTo(ITEMS, renamed(fees, 'count', 'rows'));
  assert.deepEqual(both.told, ['unread_column summary 1 count rows']);
  assert.match(both.messages[0], /feeAmountValue.*totalFees/);
  assert.deepEqual(both.notPossible, [...ALWAYS, 'summaryCount', 'summaryFeeAmount']);
});

test('the fees of details: each wrong net names what nothing reads, whatever the size of the chunks', async () => {
  const items = renamed(ITEMS, 'feeAmountValue', 'feeAmount2');
  for (const more of [[], ['--chunk-bytes', '65536']]) {
    const found = await answerTo(items, SUMMARY, ...more);
    assert.deepEqual(found.told, [
      'unread_column items 1 feeAmountValue feeAmount2',
      'net_mismatch items 2 settlementAmount 9.70',
      'net_mismatch items 3 settlementAmount 19.40',
    ]);
    for (const message of found.messages) assert.match(message, /feeAmount2/);
    assert.deepEqual(found.notPossible, ['fees', ...ALWAYS, 'summaryFeeAmount']);
  }
});

test('what a fee is made of, and what was converted, where their currency stands there and they do not', async () => {
  const parts = { interchangeFeeAmountValue: ['-0.30', '-0.60', '0'], interchangeFeeCurrency: ['USD', 'USD', 'USD'] };
  const items: Table = {
    ...ITEMS,
    ...parts,
    convertedTransactionAmountValue: ['10.00', '20.00', '30.00'],
    convertedCurrency: ['USD', 'USD', 'USD'],
  };
  const whole = await answerTo(items, SUMMARY);
  assert.deepEqual([whole.state, whole.code, whole.notPossible], ['reconciled', 0, []]);
  const both = renamed(items, 'convertedTransactionAmountValue', 'convertedValue');
  const found = await answerTo(renamed(both, 'interchangeFeeAmountValue', 'interchange'), SUMMARY);
  assert.deepEqual(found.told, ['unread_column items 1 interchangeFeeAmountValue interchange']);
  assert.match(found.messages[0], /convertedTransactionAmountValue.*convertedValue/);
  assert.deepEqual(found.notPossible, ALWAYS);
  assert.match(found.whyOf('conversion'), /convertedTransactionAmountValue.*convertedValue/);
  const { convertedTransactionAmountValue: _, ...without } = items;
  const gone = await answerTo(without, SUMMARY);
  assert.deepEqual([gone.told, gone.notPossible], [[], ['conversion']], 'nothing that is not read may be it');
});

test('a new fee beside the known one makes nets wrong, and is named', async () => {
  const items = {
    ...ITEMS,
    settlementAmountValue: ['9.65', '19.40', '29.00'],
    rtauServiceFeeAmountValue: ['-0.05', '', ''],
    storeNo: ['17', '17', '17'],
  };
  const found = await answerTo(items, { ...SUMMARY, settlementAmountValue: ['58.05', '58.05'] });
  assert.deepEqual(found.told, [
    'net_mismatch items 2 settlementAmount 9.65',
    'net_mismatch items 4 settlementAmount 29.00',
  ]);
  for (const message of found.messages) {
    assert.match(message, /rtauServiceFeeAmountValue/);
    assert.doesNotMatch(message, /storeNo/);
  }
});

test('a header that changes is noted with what came and went, by kind and part, and no discrepancy', async () => {
  const reports = join(folder, 'headers');
  const put = (day: string, files: Record<string, Table>) =>
    writeFiles(
      join(reports, 'H1', day),
      Object.fromEntries(Object.entries(files).map(([name, table]) => [name, linesOf(table)])),
    );
  const ofOther = { ...ITEMS, transactionId: ['t-4', 't-5', 't-6'], transactionRequestId: ['p-4', 'p-5', 'p-6'] };
  put('20260105', { 'settlementItems_USD_H1_000.csv': ITEMS, 'settlementSummary_USD_H1_000.csv': SUMMARY });
  put('20260106', {
    'settlementItems_USD_H2_000.csv': { ...renamed(ofOther, 'feeCurrency', 'feeCurrencyCode'), note: ['x', '', ''] },
    'settlementItems_USD_H2_001.csv': { ...ofOther, more: ['', '', ''] },
    'settlementSummary_USD_H2_000.csv': SUMMARY,
  });
  const records = join(folder, 'records.csv');
  const env = { DATABASE_URL, SETTLESTREAM_PROCESSES: '1', SETTLESTREAM_DATA_DIR: join(folder, 'book') };
  const { json, stderr } = await settlestream(
    ['reconcile', reports, '--ledger', records, '--merchant', 'H1', '--json'],
    { env },
  );
  const logEvent = (list: { file: string; headerChange?: object }[]) =>
    list.flatMap(({ file, headerChange }) => (headerChange ? [[file, headerChange]] : []));
  const change = {
    since: 'H1/20260105/settlementItems_USD_H1_000.csv',
    came: ['feeCurrencyCode', 'note'],
    went: ['feeCurrency'],
  };
  const expected = [['H1/20260106/settlementItems_USD_H2_000.csv', change]];
  assert.deepEqual(logEvent(json.reports), expected, stderr);
  const shown = await settlestream(['show', 'H2', '--json'], { env });
  assert.deepEqual(logEvent(shown.json.reports), expected);
  const text = await settlestream(['show', 'H2'], { env });
  assert.match(text.stdout, /added: feeCurrencyCode, note; removed: feeCurrency/);
  assert.match(text.stdout, /summaryCount/);
});
