/** Whatever lies where reports are looked for is read, or told; and where nothing was read, the exit code says so. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Answer } from './support/answer.ts';
import { answerOf, inBook, query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';
import { type Part, zipOf } from './support/sheets.ts';

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const details = (batch: string, amount = '10.00') =>
  `${HEADER}\n${batch},PAYMENT,t-${batch},p-${batch},${amount},USD,${amount},USD\n<END>\n`;
const summary = (batch: string, amount = '10.00') =>
  `settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency\n${batch},TOTAL,1,${amount},USD\n<END>\n`;
const DAY = 'M1/20260303';
const ITEMS = 'settlementItems_USD_B1_000.csv';
const SUMMARY = 'settlementSummary_USD_B1_000.csv';
const RECORDS = [
  'requestId,type,amount,currency,status,occurredAt',
  ...['B1', 'B2'].map((batch) => `p-${batch},PAYMENT,10.00,USD,SUCCESS,2026-03-02T10:15:00+08:00`),
];

type Files = Readonly<Record<string, string | Buffer>>;

function put(folder: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, 'reports', DAY, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}

function folderOf(files: Files): string {
  const folder = writeFiles(temporaryFolder(), { 'records.csv': RECORDS });
  mkdirSync(join(folder, 'reports', DAY), { recursive: true });
  put(folder, files);
  return folder;
}

const run = (folder: string, ...more: string[]) =>
  inBook(['reconcile', join(folder, 'reports'), '--ledger', join(folder, 'records.csv'), ...more]);
const reconcile = async (folder: string, ...more: string[]): Promise<Answer> =>
  answerOf(await run(folder, '--json', ...more));

const told = ({ reports }: Answer) =>
  Object.fromEntries(
    reports.map(({ file, state, kind }) => [file.slice(DAY.length + 1), kind === null ? state : `${state} ${kind}`]),
  );
const zip = (files: Files): Buffer =>
  zipOf(Object.entries(files).map(([name, content]): Part => ({ name, content, isStored: name.endsWith('.gz') })));

suite('whatever a report is packed in', () => {
  const pair = { [ITEMS]: details('B1'), [SUMMARY]: summary('B1') };
  const read: Record<string, Files> = {
    'a zip with both': { 'b.zip': zip(pair) },
    'a zip in a zip in a zip': { 'a.zip': zip({ 'deep/b.ZIP': zip({ 'c.zip': zip(pair) }) }) },
    'gzip, beside a gzipped one in a zip': {
      [`${ITEMS}.gz`]: gzipSync(details('B1')),
      'b.zip': zip({ [`${SUMMARY}.GZ`]: gzipSync(summary('B1')) }),
    },
    'names in another case': {
      'SETTLEMENTITEMS_usd_B1_000.CSV': details('B1'),
      'SettlementSummary_Usd_B1_000.ZIP': zip({ [SUMMARY]: summary('B1') }),
    },
  };
  for (const [how, files] of Object.entries(read))
    test(`it is read: ${how}`, async () => {
      const answer = await reconcile(folderOf(files));
      assert.deepEqual(
        answer.batches.map(({ settlementBatchId, state, rows }) => [settlementBatchId, state, rows]),
        [['B1', 'reconciled', 1]],
      );
      assert.deepEqual([answer.exitCode, answer.counts.reports], [0, 2], JSON.stringify(answer.reports));
    });

  test('several reports of a zip are shown by their place in it, and a newer zip brings newer contents of them', async () => {
    const folder = folderOf({ 'b.zip': zip({ [ITEMS]: details('B1'), 'x/y.zip': zip({ [SUMMARY]: summary('B1') }) }) });
    const dataDir = temporaryFolder();
    const first = await reconcile(folder, '--data-dir', dataDir);
    const names = [`${DAY}/b.zip/${ITEMS}`, `${DAY}/b.zip/x/y.zip/${SUMMARY}`];
    assert.deepEqual(
      first.reports.map(({ file, state, revision }) => [file, state, revision]),
      names.map((name) => [name, 'closed', 1]),
    );
    assert.deepEqual(await reconcile(folder, '--data-dir', dataDir), first, 'known, it is told the same');
    put(folder, { 'b.zip': zip({ [ITEMS]: details('B1', '11.00'), 'x/y.zip': zip({ [SUMMARY]: summary('B1') }) }) });
    const then = await reconcile(folder, '--data-dir', dataDir);
    assert.deepEqual(
      then.reports.map(({ file, state, revision }) => [file, state, revision]),
      [
        [names[0], 'closed', 2],
        [names[1], 'duplicate', 1],
      ],
    );
    const { json } = await inBook(['replay', '--batch', 'B1', '--data-dir', dataDir, '--json']);
    assert.equal(json.batches[0].before.digest, json.batches[0].after.digest, 'the archive has what was in it');
  });
});

suite('what is not read is told', () => {
  const good = { [ITEMS]: details('B1'), [SUMMARY]: summary('B1') };
  const notes: Files = { 'README.txt': 'hello', '.DS_Store': 'x', 'pictures.zip': zip({ 'cat.png': 'meow' }) };

  test('notes beside reports change no exit code', async () => {
    const answer = await reconcile(folderOf({ ...good, ...notes }));
    assert.deepEqual(told(answer), {
      '.DS_Store': 'skipped',
      'README.txt': 'skipped',
      'pictures.zip': 'skipped',
      [ITEMS]: 'closed settlementDetails',
      [SUMMARY]: 'closed settlementSummary',
    });
    assert.deepEqual([answer.exitCode, answer.counts.reports], [0, 2]);
  });

  for (const [name, content, shown = name] of [
    ['settlementItems_USD_B2_000.csv.pgp', 'x'],
    ['settlementItems_USD_B2_000.txt', details('B2')],
    ['SETTLEMENTITEMS_USD_B2_000', details('B2')],
    ['settlementItems_USD_B2_000 (1).csv', details('B2')],
    ['settlementItems_USD_B2_000.csv.filepart', 'x'],
    ['.settlementItems_USD_B2_000.csv', details('B2')],
    ['more.zip', zip({ 'settlementItems_USD_B2_000.csv.gpg': 'x' }), 'more.zip/settlementItems_USD_B2_000.csv.gpg'],
  ] as const)
    test(`${shown} speaks of a report, and is unseen`, async () => {
      const answer = await reconcile(folderOf({ ...good, [name]: content }));
      assert.equal(told(answer)[shown], 'skipped settlementDetails');
      assert.deepEqual([answer.exitCode, answer.batches[0]!.state], [3, 'reconciled']);
    });

  test('an archive that cannot be opened is unseen, too', async () => {
    const deep = zip({ 'b.zip': zip({ 'c.zip': zip({ 'd.zip': zip(good) }) }) });
    for (const content of [zip(good).subarray(0, 90), deep]) {
      const answer = await reconcile(folderOf({ ...good, 'other.zip': content }));
      assert.equal(answer.exitCode, 3);
      assert.equal(answer.reports.filter(({ state }) => state === 'skipped').length, 1);
    }
  });

  test('a symbolic link is told; one that is called like a report, or leads to a folder, is unseen', async () => {
    for (const [name, to, code] of [
      ['note', 'README.txt', 0],
      ['settlementItems_USD_B2_000.csv', ITEMS, 3],
      ['archive', '.', 3],
    ] as const) {
      const folder = folderOf({ ...good, 'README.txt': 'hello' });
      symlinkSync(to, join(folder, 'reports', DAY, name));
      const answer = await reconcile(folder);
      const link = answer.reports.find(({ file }) => file === `${DAY}/${name}`)!;
      assert.deepEqual([link.state, link.error!.code, answer.exitCode], ['skipped', 'unreadable', code], name);
    }
  });

  test('where nothing was read, that is the answer', async () => {
    for (const files of [{}, notes]) {
      const folder = folderOf(files);
      const { code, json, stderr } = await run(folder, '--json');
      assert.equal(code, 3);
      assert.equal(json.reports.length, Object.keys(files).length);
      assert.match(
        stderr,
        /nothing was read in .*: (there are no files|3 files are there, and none is a readable report)/,
      );
    }
  });

  test('the service tells a link once, and doctor warns of it', async () => {
    const folder = folderOf(good);
    symlinkSync('nowhere', join(folder, 'reports', DAY, 'settlementItems_USD_B2_000.csv'));
    const url = await freshDatabase();
    const env = { DATABASE_URL: url, SETTLESTREAM_FOLDER: join(folder, 'reports'), SETTLESTREAM_POLL_SECONDS: '1' };
    const service = startSettlestream(['run', '--data-dir', temporaryFolder()], { env });
    await service.says(/symbolic link, which is not followed.*skipped files that are no reports/);
    for (const name of ['a', 'b']) {
      const path = join(folder, 'reports', DAY, `settlementItems_USD_${name}_000.csv`);
      writeFileSync(path, details(name));
      utimesSync(path, 1_700_000_000, 1_700_000_000);
      for (let found = 0; found === 0; )
        found = (await query(url, `select from delivery where file like '%_${name}_000.csv' and state = 'closed'`))
          .length;
      unlinkSync(path);
    }
    service.kill('SIGTERM');
    const { stderr } = await service.ended;
    assert.equal(stderr.split('\n').filter((line) => line.includes('symbolic link')).length, 1);
    const { json } = await settlestream(['doctor', '--json', '--data-dir', temporaryFolder()], { env });
    assert.match(JSON.stringify(json.checks), /1 symbolic links or special files are not followed/);
  });
});
