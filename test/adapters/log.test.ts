import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'settlestream-log-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const program = join(folder, 'says.ts');
writeFileSync(
  program,
  `import { openLog } from '${resolve(import.meta.dirname, '../../src/adapters/log.ts')}';
  const log = openLog('info');
  log.debug({}, 'nobody asked for this');
  log.warn({ source: 'a', files: ['b c'] }, 'three of them');`,
);

test('where it is no terminal a log is JSON, a line each, with its time', () => {
  const { stdout, stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
  assert.equal(stdout, '');
  const { time, ...said } = JSON.parse(stderr);
  assert.deepEqual(said, { level: 40, source: 'a', files: ['b c'], msg: 'three of them' });
  assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000, time);
});

test('at a terminal it is a line for people', () => {
  // `script` is a terminal for the program that it runs.
  const { stdout } = spawnSync('script', ['-qec', `'${process.execPath}' '${program}'`, '/dev/null'], {
    encoding: 'utf8',
  });
  assert.equal(stdout.trim(), 'warning: three of them  (source=a files=["b c"])');
});
