/** One report, however it is wrapped: as CSV, as a workbook, in a zip, or as several of these at once. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import { writeSheet } from '../demo/sheet.ts';
import { zipOf } from '../demo/zip.ts';
import type { Answer } from './support/answer.ts';
import { answerOf, temporaryFolder, writeFiles } from './support/book.ts';
import { settlestream } from './support/settlestream.ts';

const DETAILS = [
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
  'B1,PAYMENT,t-1,p-1,10.00,USD,9.70,USD,-0.30,USD',
  'B1,PAYMENT,t-2,0002,20.10,USD,19.50,USD,-0.60,USD',
  'B1,REFUND,t-9,r-1,-4.00,USD,-4.00,USD,,',
  '<END>',
];
const SUMMARY = [
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
  'B1,TOTAL,3,25.20,USD,-0.90,USD',
  '<END>',
];
const RECORDS = [
  'requestId,type,amount,currency,status,occurredAt,originalRequestId',
  'p-1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,',
  '0002,PAYMENT,21.10,USD,SUCCESS,2026-01-04T09:00:00+08:00,',
  'r-1,REFUND,4.00,USD,SUCCESS,2026-01-04T10:00:00+08:00,p-1',
];
const FOLDER = 'M1/20260105';
const NAME = 'settlementItems_USD_B1_000';
const AT = new Date('2026-01-05T00:00:00Z');

type Files = Readonly<Record<string, readonly string[] | Buffer | { readonly sheet: readonly string[] }>>;

async function reconcile(files: Files, dataDir?: string): Promise<Answer> {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, 'reports', FOLDER, name);
    mkdirSync(dirname(path), { recursive: true });
    if (Buffer.isBuffer(content)) writeFileSync(path, content);
    else if ('sheet' in content)
      await writeSheet(
        path,
        content.sheet.map((line) => line.split(',')),
        AT,
      );
    else writeFileSync(path, `${content.join('\n')}\n`);
  }
  writeFiles(folder, { 'records.csv': RECORDS });
  const kept = dataDir === undefined ? [] : ['--data-dir', dataDir];
  const ended = await settlestream([
    'reconcile',
    join(folder, 'reports'),
    '--ledger',
    join(folder, 'records.csv'),
    ...kept,
    '--json',
  ]);
  return answerOf(ended);
}

const zipped = (name: string, lines: readonly string[]) => zipOf(name, Buffer.from(`${lines.join('\n')}\n`), AT);

async function sheetOf(lines: readonly string[]): Promise<Buffer> {
  const path = join(temporaryFolder(), 'sheet.xlsx');
  await writeSheet(
    path,
    lines.map((line) => line.split(',')),
    AT,
  );
  return readFileSync(path);
}

/** `file state` by file, without the folder. */
const states = ({ reports }: Answer) =>
  Object.fromEntries(
    reports.map(({ file, state, error }) => [file.slice(FOLDER.length + 1), error ? `${state} ${error.code}` : state]),
  );

const withoutFiles = ({ reports, ...answer }: Answer, of: string): unknown =>
  JSON.parse(JSON.stringify(answer).replaceAll(of, 'REPORT'));

suite('one report, however it is wrapped', () => {
  const summary = { 'settlementSummary_USD_B1_000.csv': SUMMARY };

  test('a workbook and a zip say what the CSV says, to the line', async () => {
    const asCsv = await reconcile({ ...summary, [`${NAME}.csv`]: DETAILS });
    assert.deepEqual(
      asCsv.discrepancies.map(({ kind, line, requestId }) => [kind, line, requestId]),
      [['amount_mismatch', 3, '0002']],
    );
    const others: Record<string, Files[string]> = {
      [`${NAME}.xlsx`]: { sheet: DETAILS },
      [`${NAME}.zip`]: zipped(`${NAME}.csv`, DETAILS),
      'download.zip': zipped(`deep/${NAME}.csv`, DETAILS),
      'sheet.zip': zipOf(`${NAME}.xlsx`, await sheetOf(DETAILS), AT),
    };
    for (const [name, content] of Object.entries(others)) {
      const answer = await reconcile({ ...summary, [name]: content });
      assert.deepEqual(withoutFiles(answer, name), withoutFiles(asCsv, `${NAME}.csv`), name);
    }
  });

  test('beside its CSV a workbook is a duplicate, whatever is in it; where the CSV cannot be read, it is read', async () => {
    const other = DETAILS.map((line) => line.replace('20.10', '99.10'));
    const both = await reconcile({ ...summary, [`${NAME}.csv`]: DETAILS, [`${NAME}.xlsx`]: { sheet: other } });
    assert.deepEqual(states(both), {
      [`${NAME}.csv`]: 'closed',
      [`${NAME}.xlsx`]: 'duplicate',
      'settlementSummary_USD_B1_000.csv': 'closed',
    });
    const cut = await reconcile({
      ...summary,
      [`${NAME}.csv`]: DETAILS.slice(0, -1),
      [`${NAME}.xlsx`]: { sheet: DETAILS },
    });
    assert.equal(states(cut)[`${NAME}.csv`], 'waiting no_end');
    assert.equal(states(cut)[`${NAME}.xlsx`], 'closed');
    assert.equal(cut.batches[0]!.rows, 3);
  });

  test('a CSV that comes after the workbook takes its place', async () => {
    const dataDir = temporaryFolder();
    const first = await reconcile({ ...summary, [`${NAME}.xlsx`]: { sheet: DETAILS } }, dataDir);
    assert.equal(first.batches[0]!.rows, 3);
    const then = await reconcile(
      { ...summary, [`${NAME}.csv`]: DETAILS, [`${NAME}.xlsx`]: { sheet: DETAILS } },
      dataDir,
    );
    assert.equal(states(then)[`${NAME}.csv`], 'closed');
    assert.equal(states(then)[`${NAME}.xlsx`], 'duplicate');
    assert.deepEqual(then.batches, first.batches);
  });

  test('what cannot be what it says is refused with its reason, at once, and the others are read', async () => {
    const sheet = await sheetOf(DETAILS);
    const answer = await reconcile({
      ...summary,
      'settlementItems_USD_B2_000.xlsx': Buffer.from('this is no workbook'),
      'settlementItems_USD_B3_000.xlsx': sheet.subarray(0, sheet.length / 2),
      'settlementItems_USD_B4_000.zip': zipped('settlementItems_USD_B4_000.csv', DETAILS).subarray(0, 200),
      'settlementItems_USD_B5_000.xlsx': { sheet: DETAILS.slice(0, -1) },
      'two.zip': zipped('readme.txt', DETAILS),
      [`${NAME}.xlsx`]: { sheet: DETAILS },
    });
    assert.deepEqual(states(answer), {
      'settlementItems_USD_B1_000.xlsx': 'closed',
      'settlementItems_USD_B2_000.xlsx': 'refused not_xlsx',
      'settlementItems_USD_B3_000.xlsx': 'refused truncated_xlsx',
      'settlementItems_USD_B4_000.zip': 'refused unreadable',
      'settlementItems_USD_B5_000.xlsx': 'waiting no_end',
      'settlementSummary_USD_B1_000.csv': 'closed',
    });
    assert.equal(answer.exitCode, 3);
  });

  test('an id that a workbook keeps as a number has lost digits: its row is refused, the others are read', async () => {
    const { default: Excel } = await import('exceljs');
    const book = new Excel.Workbook();
    const sheet = book.addWorksheet();
    for (const [row, line] of DETAILS.entries()) {
      sheet.addRow(line.split(',').map((cell, at) => (row === 2 && at === 3 ? Number('2018122611021040123') : cell)));
    }
    const answer = await reconcile({ ...summary, [`${NAME}.xlsx`]: Buffer.from(await book.xlsx.writeBuffer()) });
    const refused = answer.discrepancies.filter(({ kind }) => kind === 'refused_row');
    assert.deepEqual(
      refused.map(({ line, field }) => [line, field]),
      [[3, 'transactionRequestId']],
    );
    assert.equal(answer.batches[0]!.matchedRows, 2);
  });
});
