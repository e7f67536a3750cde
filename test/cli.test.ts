import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { settlestream } from './support/settlestream.ts';

const BIN = resolve(import.meta.dirname, '../bin/settlestream.js');
const folder = mkdtempSync(join(tmpdir(), 'settlestream-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const run = (...args: string[]) => settlestream(args, { cwd: folder });

/** Every verb that does something, groups like `ledger` opened: found in the help, so that a new one is tested too. */
async function verbs(group: readonly string[] = []): Promise<string[][]> {
  const { code, stdout } = await run(...group, '--help');
  assert.equal(code, 0);
  const [, commands = ''] = stdout.split(/^Commands:\n/m);
  const names = [...commands.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name!).filter((name) => name !== 'help');
  if (names.length === 0) return [[...group]];
  const below = await Promise.all(names.map((name) => verbs([...group, name])));
  return below.flat();
}

const all = await verbs();

test('the program says what it can do', () => {
  const known = all.map((verb) => verb.join(' '));
  const work = ['reconcile', 'demo', 'ledger import', 'run', 'produce', 'work', 'migrate'];
  for (const verb of [...work, 'batches', 'show', 'discrepancies', 'explain', 'doctor']) {
    assert.ok(known.includes(verb), `${verb} is not in the help: ${known}`);
  }
});

test('every verb has help with an example of itself, and ends with 0', async () => {
  for (const verb of all) {
    const { code, stdout, stderr } = await run(...verb, '--help');
    assert.deepEqual([code, stderr], [0, ''], verb.join(' '));
    assert.match(stdout, new RegExp(`Examples?:\\n  \\$ settlestream ${verb.join(' ')}`), verb.join(' '));
    assert.match(stdout, /--json/, verb.join(' '));
  }
});

test('what nobody knows ends with 2, says so on stderr, and keeps stdout clean', async () => {
  for (const verb of all) {
    const { code, stdout, stderr } = await run(...verb, '--no-such-option');
    assert.deepEqual([code, stdout], [2, ''], verb.join(' '));
    assert.match(stderr, /no-such-option.*\n.*--help/, verb.join(' '));
  }
  const { code, stderr } = await run('reconsile');
  assert.equal(code, 2);
  assert.match(stderr, /reconsile/);
});

test('all mistakes in the settings are told at once, with where each was made', async () => {
  const { code, stdout, stderr } = await settlestream(['batches', '--data-dir', folder], {
    cwd: folder,
    env: { SETTLESTREAM_TIME_ZONE: 'Mars/Olympus', SETTLESTREAM_TOLERANCE: '-1' },
  });
  assert.deepEqual([code, stdout], [2, '']);
  assert.match(stderr, /SETTLESTREAM_TIME_ZONE=Mars\/Olympus/);
  assert.match(stderr, /SETTLESTREAM_TOLERANCE=-1/);
});

test('a path that is not there ends with 2', async () => {
  const { code, stderr } = await run('reconcile', 'no/such/folder');
  assert.equal(code, 2);
  assert.match(stderr, /no\/such\/folder does not exist/);
});

test('a database that does not answer ends with 4, and its password is not shown', async () => {
  const { code, stderr } = await settlestream(['migrate'], {
    cwd: folder,
    env: { DATABASE_URL: 'postgresql://me:secret@127.0.0.1:1/book' },
  });
  assert.equal(code, 4);
  assert.match(stderr, /127\.0\.0\.1:1/);
  assert.doesNotMatch(stderr, /secret/);
});

test('a list that cannot be given as asked ends with 2 before any book is opened', async () => {
  const fresh = mkdtempSync(join(folder, 'fresh-'));
  for (const [args, says] of [
    [['discrepancies', '--kind', 'wrong'], /--kind wrong: unknown; allowed: unknown_transaction/],
    [['discrepancies', '--from', 'yesterday'], /--from yesterday: not a day/],
    [['discrepancies', '--limit', '-1'], /--limit -1: not a whole number above zero/],
    [['batches', '--state', 'fine'], /--state fine: unknown; allowed: waiting/],
    [['show', 'B1', '--format', 'pdf'], /--format pdf: unknown; allowed: table, json, csv, xlsx/],
    [['explain'], /missing required argument 'requestId'/],
  ] as const) {
    const { code, stdout, stderr } = await settlestream(args, { cwd: fresh });
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, says);
  }
  assert.deepEqual(readdirSync(fresh), []);
});

test('an older Node gets an answer, not a syntax error', () => {
  const older = olderNode();
  // Where there is none, this one says that it is older.
  const args = older ? [] : ['--import', "data:text/javascript,process.versions={...process.versions,node:'20.1.0'}"];
  const { status, stdout, stderr } = spawnSync(older ?? process.execPath, [...args, BIN, 'demo'], { encoding: 'utf8' });
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /^settlestream needs Node 24 or newer; this is Node \d+/);
  assert.match(stderr, /npm ci/);
});

function olderNode(): string | undefined {
  const { PATH = '' } = process.env;
  const folders = PATH.split(delimiter).filter((folder) => !folder.includes('node_modules'));
  return folders
    .map((folder) => join(folder, 'node'))
    .find((path) => {
      if (!existsSync(path)) return false;
      const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' });
      return /^v(18|20|22)\./.test(stdout ?? '');
    });
}
