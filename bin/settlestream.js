#!/usr/bin/env node
// Plain JavaScript that any Node can read, so that an old one gets an answer and not a syntax error.
import { existsSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const found = Number(process.versions.node.split('.')[0]);
if (found < NEEDED) {
  process.stderr.write(
    `settlestream needs Node ${NEEDED} or newer; this is Node ${process.versions.node} (${process.execPath}).\n` +
      'In a checkout, "npm ci" brings the right one: then use "npm run …" or "npx settlestream …".\n',
  );
  process.exit(2);
}
// A service that is told to stop while it is still being loaded ends well, too. The second time it ends at once.
const stopping = new AbortController();
if (['run', 'produce', 'work', 'console'].includes(process.argv[2]))
  for (const signal of ['SIGTERM', 'SIGINT'])
    process.once(signal, () => stopping.abort(Object.assign(new Error(`told to stop by ${signal}`), { signal })));
// Compiled once and kept beside the program, where it may write: starting then takes 0.6 s of processor time less. Not in the
// temporary folder, where others could lay down what this one would run.
module.enableCompileCache(fileURLToPath(new URL('../.cache/compiled', import.meta.url)));
// A checkout runs its sources as they are; what is shipped has only the built ones.
const isCheckout = existsSync(new URL('../src/cli.ts', import.meta.url));
const load = (name) => import(new URL(isCheckout ? `../${name}.ts` : `../dist/${name}.js`, import.meta.url));
const { main } = await load('src/cli');
process.exitCode = await main(process.argv.slice(2), {
  demo: () => load('demo/demo'),
  stop: stopping.signal,
});
