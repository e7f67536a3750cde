/** `npm test`: all test files, or those that are named (`npm test -- 'test/outage/*.test.ts'`). */
import { globSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const ROOT = resolve(import.meta.dirname, '../..');
/** For two cores: a file that waits for a pause to end, or for a program that starts, leaves its core to the others. */
const AT_ONCE = 3;
/** They begin first, so that none is left alone at the end; then the others, in the order of their names. */
const LONGEST = [
  'kill',
  'demo',
  'conflicts',
  'standing',
  'month',
  'drain',
  'adapters/embedded-postgres',
  'adapters/queue',
  'browser',
  'handling',
  'bank-service',
  'replay',
  'same-result',
  'outage/away',
  'outage/words',
  'hostile',
  'monitoring',
  'no-silent-green',
  'api',
  'adapters/sftp',
  'console-access',
  'wrappings',
  'deploy/stack',
  'bank',
  'retention',
  'faults',
].map((name) => join('test', `${name}.test.ts`));

const named = process.argv.slice(2);
const files = globSync(named.length === 0 ? 'test/**/*.test.ts' : named, { cwd: ROOT }).sort(
  (a, b) => placeOf(a) - placeOf(b) || (a < b ? -1 : 1),
);
if (files.length === 0) throw new Error(`no test file is called ${named.join(' ')}`);

// Not among the types of `run` yet.
const options = {
  cwd: ROOT,
  files: files.map((file) => join(ROOT, file)),
  concurrency: AT_ONCE,
  globalSetupPath: join(ROOT, 'test/support/setup.ts'),
};
const results = run(options);
results.on('test:fail', () => {
  process.exitCode = 1;
});
results.compose(spec()).pipe(process.stdout);

function placeOf(file: string): number {
  const place = LONGEST.indexOf(file);
  return place < 0 ? LONGEST.length : place;
}
