/** One report, however it is wrapped: as CSV, as a workbook, in a zip, or as several of these at once. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import { writeSheet } from '../demo/sheet.ts';
import { zipOf } from '../demo/zip.ts';
import type { Answer } from './support/answer.ts';
import { answerOf, inBook, temporaryFolder, writeFiles } from './support/book.ts';
import type { Ended } from './support/settlestream.ts';
import { zipOf as archiveOf, type Part } from './support/sheets.ts';

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

const reconcile = async (files: Files, dataDir?: string): Promise<Answer> => answerOf(await run(files, dataDir));

async function run(files: Files, dataDir?: string): Promise<Ended> {
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
  return inBook(['reconcile', join(folder, 'reports'), '--ledger', join(folder, 'records.csv'), ...kept, '--json']);
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
      'two.zip': 'skipped unknown_format',
      'settlementItems_USD_B1_000.xlsx': 'closed',
      'settlementItems_USD_B2_000.xlsx': 'refused not_xlsx',
      'settlementItems_USD_B3_000.xlsx': 'refused truncated_xlsx',
      'settlementItems_USD_B4_000.zip': 'refused unreadable',
      'settlementItems_USD_B5_000.xlsx': 'waiting no_end',
      'settlementSummary_USD_B1_000.csv': 'closed',
    });
    assert.equal(answer.exitCode, 3);
  });

  test('a zip that cannot be used is told at once, with what is wrong with it', async () => {
    const names = ['B2', 'B3', 'B4', 'B5', 'B6', 'B7'].map((batch) => `settlementItems_USD_${batch}_000.csv`);
    const content = `${DETAILS.join('\n')}\n`;
    const lying = (name: string, says: Part['says']) => archiveOf([{ name, content, says: says! }]);
    const moved = lying(names[4]!, {});
    moved.writeUInt32LE(100_000, moved.indexOf('PK\x01\x02') + 42);
    const nested = archiveOf([{ name: names[5]!, content }]);
    const { json, stderr } = await run({
      ...summary,
      [`${NAME}.zip`]: zipped(`${NAME}.csv`, DETAILS),
      'sum.zip': lying(names[0]!, { sum: 7 }),
      'encrypted.zip': lying(names[1]!, { flags: 1 }),
      'short.zip': lying(names[2]!, { sizeBytes: 100_000 }),
      'long.zip': lying(names[3]!, { sizeBytes: 10 }),
      'moved.zip': moved,
      'nested.zip': archiveOf([{ name: 'inside.zip', content: nested.subarray(0, 100) }]),
      'none.zip': zipped('readme.txt', DETAILS),
      'cut.zip': nested.subarray(0, 100),
      'empty.zip': Buffer.alloc(0),
    });
    const told = Object.fromEntries(
      (json as Answer).reports.map(({ file, state, error }) => [
        file.slice(FOLDER.length + 1),
        state === 'skipped' ? state : (error?.message ?? state),
      ]),
    );
    const refused = (detail: string) =>
      `the zip is damaged (${detail}): The file cannot be read: check that it exists, is complete and may be read by this user; otherwise fetch it again.`;
    assert.deepEqual(told, {
      [`${NAME}.zip`]: 'closed',
      'settlementSummary_USD_B1_000.csv': 'closed',
      'sum.zip': refused(`${names[0]} has another checksum than the archive says`),
      'encrypted.zip': `${names[1]} is encrypted in the zip: Ask for it without a password, or unpack it.`,
      'short.zip': refused(`${names[2]} is shorter than the archive says`),
      'long.zip': refused(`${names[3]} is longer than the archive says`),
      'moved.zip': refused('the file ends within its directory'),
      'nested.zip/inside.zip': 'skipped',
      'none.zip': 'skipped',
      'cut.zip': 'skipped',
      'empty.zip': 'skipped',
    });
    const skipped = Object.fromEntries(
      [...stderr.matchAll(/^skipped: .*\/(\w+\.zip): (.*)$/gm)].map(([, name, why]) => [name, why]),
    );
    const none = 'No file in the zip is named like a report: check the names, and the name patterns of the source.';
    assert.deepEqual(skipped, {
      'inside.zip':
        'This cannot be read (End of central directory record signature not found. Either not a zip file, or file is truncated.): unpack it, and provide the files themselves.',
      'none.zip': none,
      'cut.zip':
        'The zip cannot be opened (End of central directory record signature not found. Either not a zip file, or file is truncated.), so its content is unknown: fetch it again.',
      'empty.zip': 'The zip cannot be opened (the file is empty), so its content is unknown: fetch it again.',
    });
    assert.doesNotMatch(stderr, /tried again|retrying/);
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
