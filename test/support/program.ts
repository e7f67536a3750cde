/**
 * The program in few files. Loading its 700 modules one by one, its libraries' among them, is most of what a short call costs, and the
 * tests make a thousand calls, each with parser processes of its own. What runs is the same code, laid out as it is shipped; that the
 * sources run as they are, and the shipped ones, have tests of their own (`SOURCES`, deploy/stack.test.ts).
 */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';

const ROOT = resolve(import.meta.dirname, '../..');
const CACHE = join(ROOT, '.cache/program');
/** The program as a checkout runs it. */
export const SOURCES = join(ROOT, 'bin/settlestream.js');
const ENTRIES = ['src/cli.ts', 'src/workers/runtime/parser-process.ts', 'demo/demo.ts'];
/** They load files beside themselves, or parts that are not always there. */
const AS_THEY_ARE = ['ssh2', 'ssh2-sftp-client', 'pino', 'exceljs', 'pg-native', 'msgpackr-extract'];
const DAY_MS = 86_400_000;

let made: Promise<string> | undefined;

/** The path of the program to run, made when the sources are not those of the last time. */
export function program(): Promise<string> {
  made ??= makeProgram();
  return made;
}

async function makeProgram(): Promise<string> {
  const folder = join(CACHE, hashOfSources());
  const bin = join(folder, 'bin/settlestream.js');
  if (existsSync(bin)) return bin;
  removeOld();
  const fresh = mkdtempSync(join(CACHE, 'new-'));
  try {
    await build({
      absWorkingDir: ROOT,
      entryPoints: ENTRIES,
      outbase: ROOT,
      outdir: join(fresh, 'dist'),
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node24',
      keepNames: true,
      external: AS_THEY_ARE,
      // Libraries written for `require` ask for modules of Node with it.
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
      logLevel: 'error',
      plugins: [asShippedTo(join(folder, 'dist'))],
    });
    for (const path of ['bin', 'package.json']) cpSync(join(ROOT, path), join(fresh, path), { recursive: true });
    symlinkSync(join(ROOT, 'migrations'), join(fresh, 'migrations'));
    // Several may do this at once: whoever renames first has made it.
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(bin)) throw error;
  }
  return bin;
}

/** What looks for files beside itself finds them from where it would stand, were it built file by file. */
const asShippedTo = (dist: string): Plugin => ({
  name: 'as shipped',
  setup({ onLoad }) {
    onLoad({ filter: new RegExp(`^${ROOT}/(src|demo)/.*\\.ts$`) }, ({ path }) => {
      const url = pathToFileURL(join(dist, relative(ROOT, path).replace(/\.ts$/, '.js')));
      const contents = readFileSync(path, 'utf8').replaceAll('import.meta.url', JSON.stringify(url.href));
      return { contents, loader: 'ts' };
    });
  },
});

function hashOfSources(): string {
  const hash = createHash('sha256');
  for (const path of globSync('{src,demo,bin}/**/*.{ts,js}', { cwd: ROOT }).sort())
    hash.update(path).update(readFileSync(join(ROOT, path)));
  for (const path of ['package-lock.json', 'test/support/program.ts']) hash.update(readFileSync(join(ROOT, path)));
  return hash.digest('hex').slice(0, 16);
}

function removeOld(): void {
  mkdirSync(CACHE, { recursive: true });
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name);
    if (Date.now() - statSync(path).mtimeMs > DAY_MS) rmSync(path, { recursive: true, force: true });
  }
}
