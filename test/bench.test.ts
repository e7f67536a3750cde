import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { test } from 'node:test';

const run = (file: string, ...args: string[]) =>
  spawnSync(process.execPath, [resolve(import.meta.dirname, '../bench', file), ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  });

test('the benchmark prints our seconds beside those of psql and of one query a row', () => {
  const { status, stdout, stderr } = run('bench.ts', '--rows', '2000', '--runs', '1', '--sample', '200');
  assert.equal(status, 0, stderr);
  assert.match(stderr, /^run 1: settlestream \d+\.\d+ s, by hand \d+\.\d+ s, ratio \d+\.\d+$/m);
  assert.match(stdout, /^\| settlestream reconcile \| \d+\.\d \| [\d,]+ \| 1\.0 \|$/m);
  assert.match(stdout, /^\| .*by hand.* \| \d+\.\d \| [\d,]+ \| \d+\.\d \|$/m);
  assert.match(stdout, /^\| .*200 rows\) \| \d+\.\d \| [\d,]+ \| \d+\.\d \|$/m);
});

test('the benchmark of replays prints how much longer the second time takes', () => {
  const { status, stdout, stderr } = run('replay.ts', '--rows', '2000', '--runs', '1', '--json');
  assert.equal(status, 0, stderr);
  assert.ok(JSON.parse(stdout).ratio > 0, stdout);
});

test('the benchmark of a morning prints imports and the whole beside the same by hand', () => {
  const { status, stdout, stderr } = run('morning.ts', '--rows', '2000', '--runs', '1');
  assert.equal(status, 0, stderr);
  for (const what of [
    'the whole morning',
    'import of new records',
    'import of as many again',
    'import of the same file again',
  ])
    assert.match(stdout, new RegExp(`^\\| ${what} \\| \\d+\\.\\d \\| \\d+\\.\\d\\d \\|$`, 'm'));
});

test('the memory of a run is told for node and for postgres', { skip: process.platform !== 'linux' }, () => {
  const { status, stdout, stderr } = run('memory.ts', '--rows', '2000', '--json');
  assert.equal(status, 0, stderr);
  const { rows, memory } = JSON.parse(stdout);
  assert.equal(rows, 2_000);
  assert.ok(memory.node.pssBytes > 0 && memory.postgres.pssBytes > 0, stdout);
});

test('the benchmark of a bank prints seconds of a file and of matching, and what xmllint needs', () => {
  const { status, stdout, stderr } = run('bank.ts', '--entries', '2000', '--payouts', '100', '--json');
  assert.equal(status, 0, stderr);
  const { entries, payouts, seconds, databaseSeconds, xmllintSeconds } = JSON.parse(stdout);
  assert.deepEqual([entries, payouts], [2_000, 100]);
  assert.ok(seconds > 0 && databaseSeconds > 0, stdout);
  assert.ok(xmllintSeconds > 0 || /libxml2-utils/.test(stderr), stderr);
});
