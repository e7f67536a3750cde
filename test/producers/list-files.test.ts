import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { openFolders } from '../../src/adapters/source-files/local-folder.ts';
import type { SourceFiles } from '../../src/adapters/source-files/source-files.ts';
import { Denied } from '../../src/domain/errors.ts';
import { listFiles } from '../../src/producers/discovery/list-files.ts';
import type { Source } from '../../src/producers/discovery/source.ts';
import { temporaryFolder } from '../support/book.ts';
import { filesAt } from '../support/context.ts';

const TODAY = '2026-03-10';

function folderWith(...paths: string[]): string {
  const folder = temporaryFolder();
  for (const path of paths) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), path);
  }
  return folder;
}

/** `file merchant date` of each, and why directories were not listed. Those that end in `closed` may not be read. */
async function look(folder: string, settings: Partial<Source> = {}) {
  const listed: string[] = [];
  const place: SourceFiles = {
    ...openFolders(),
    entries: async (directory) => {
      listed.push(directory);
      if (directory.endsWith('closed')) throw new Denied(`${directory} is closed`);
      return openFolders().entries(directory);
    },
  };
  const { files, notListed } = await listFiles({ ...filesAt(folder), ...settings }, place, TODAY);
  assert.equal(new Set(listed).size, listed.length, 'each directory is listed once');
  return {
    files: files.map(({ file, merchantId, date }) => `${file} ${merchantId ?? '-'} ${date ?? '-'}`),
    notListed: notListed.map(({ message }) => message.replaceAll(`${folder}/`, '')),
  };
}

async function list(folder: string, settings: Partial<Source> = {}): Promise<string[]> {
  const { files, notListed } = await look(folder, settings);
  assert.deepEqual(notListed, []);
  return files;
}

const everywhere = (directory: string) => ({
  transactionDetails: directory,
  settlementDetails: directory,
  settlementSummary: directory,
});

test('a folder is searched as a whole, and each file tells by its directories whose it is', async () => {
  const folder = folderWith('b.csv', 'M1/20260301/a.csv', 'M1/20260301/deep/c.csv', 'M2/notaday/d.csv');
  symlinkSync(join(folder, 'b.csv'), join(folder, 'link.csv'));
  assert.deepEqual(await list(folder), [
    'M1/20260301/a.csv M1 2026-03-01',
    'M1/20260301/deep/c.csv - -',
    'M2/notaday/d.csv - -',
    'b.csv - -',
  ]);
  const [named] = await list(join(folder, 'b.csv'));
  assert.equal(named, 'b.csv - -');
});

test('where directories are said, only those are looked into, and only days within reach', async () => {
  const folder = folderWith(
    'out/M1/20260228/far.csv',
    'out/M1/20260301/near.csv',
    'out/M1/20260312/ahead.csv',
    'out/M1/20260399/noday.csv',
    'out/M1/20260301/sub/deep.csv',
    'out/M2/20260301/others.csv',
    'elsewhere.csv',
  );
  const settings = { merchantId: 'M1', directories: everywhere('/out/{merchantId}/{date}'), lookbackDays: 9 };
  assert.deepEqual(await list(folder, settings), [
    'out/M1/20260301/near.csv M1 2026-03-01',
    'out/M1/20260312/ahead.csv M1 2026-03-12',
  ]);
});

test('kinds may lie apart, parents are listed once, and names around a placeholder are matched whole', async () => {
  const folder = folderWith('in/tx-20260301/a.csv', 'in/st-20260301/b.csv', 'in/st-20260301-old/c.csv', 'flat/d.csv');
  const settings = {
    merchantId: 'M1',
    directories: {
      transactionDetails: 'in/tx-{date}',
      settlementDetails: 'in/st-{date}',
      settlementSummary: 'flat',
    },
  };
  assert.deepEqual(await list(folder, settings), [
    'flat/d.csv M1 -',
    'in/st-20260301/b.csv M1 2026-03-01',
    'in/tx-20260301/a.csv M1 2026-03-01',
  ]);
});

test('a directory that has to be there and is not is told with what to look at', async () => {
  const folder = folderWith('out/M2/20260301/a.csv');
  const settings = { merchantId: 'M1', directories: everywhere('/out/{merchantId}/{date}') };
  const { files, notListed } = await look(folder, settings);
  assert.deepEqual(files, []);
  assert.match(notListed.join('\n'), /^the directory out\/M1 does not exist: check merchantId and directories[^\n]*$/);
});

test('a directory that is not there, or closed, hides no file of the others, and is told once', async () => {
  const folder = folderWith('st/20260301/a.csv', 'st/20260302/closed/b.csv', 'sum/closed/c.csv', 'd.csv');
  const settings = {
    merchantId: 'M1',
    directories: { transactionDetails: 'tx/{date}', settlementDetails: 'st/{date}', settlementSummary: 'sum/closed' },
  };
  const named = await look(folder, settings);
  assert.deepEqual(named.files, ['st/20260301/a.csv M1 2026-03-01']);
  assert.deepEqual(
    named.notListed.map((message) => message.split(/ is | does /)[0]),
    ['the directory tx', 'sum/closed'],
  );
  const searched = await look(folder);
  assert.deepEqual(searched.files, ['d.csv - -', 'st/20260301/a.csv st 2026-03-01']);
  assert.deepEqual(searched.notListed.sort(), ['st/20260302/closed is closed', 'sum/closed is closed']);
});
