/**
 * `npm run check`: everything that has to hold before a change goes in, cheapest first. Stops at the first step that fails. With
 * `--nightly` (`npm run check:nightly`) the property tests try what there is no time for otherwise.
 */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/** The tools are programs of node_modules/.bin, which npm puts on the PATH. The walls between folders are kept by a test. */
const STEPS: readonly (readonly [name: string, mend: string, command: string])[] = [
  ['format and lint', 'npm run format mends most of it', 'biome ci --colors=off .'],
  ['types', 'tsc says where', 'tsc'],
  ['unused code and dependencies', 'remove what nobody uses, or say in knip.json who does', 'knip --no-progress'],
  ['tests', 'one file alone: npx node --test test/walls.test.ts', 'npm test'],
];

const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const started = performance.now();
if (process.argv.includes('--nightly')) process.env['SETTLESTREAM_TEST_SIZE'] = 'nightly';
for (const [name, mend, command] of STEPS) {
  const stepStarted = performance.now();
  const isLong = name === 'tests';
  process.stdout.write(isLong ? `${name} …\n` : `${name} … `);
  const [program = '', ...args] = command.split(' ');
  const run = spawnSync(program, args, { cwd: ROOT, stdio: isLong ? 'inherit' : 'pipe', encoding: 'utf8' });
  if (run.status !== 0) {
    process.stdout.write(`failed\n\n${run.stdout ?? ''}${run.stderr ?? ''}`);
    const why = run.error
      ? `${program} did not start (${run.error.message}): run npm ci, and this by npm run check`
      : mend;
    process.stdout.write(`\ncheck: "${name}" failed after ${seconds(stepStarted)} (${command}): ${why}.\n`);
    process.exit(1);
  }
  process.stdout.write(isLong ? `${name} ok, ${seconds(stepStarted)}\n` : `ok, ${seconds(stepStarted)}\n`);
}
process.stdout.write(`check: all ok, ${seconds(started)}\n`);
