import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { test } from 'node:test';
import { FORMATS } from '../src/domain/formats/all.ts';

const ROOT = resolve(import.meta.dirname, '..');

/**
 * Who may import what: files and folders of src, `node:`, and packages by name. Each folder may import itself; `types:` allows
 * type-only imports, which are gone at run time.
 */
const WALLS: Readonly<Record<string, readonly string[]>> = {
  // Decides, and touches nothing: no clock, no disk, no package.
  'src/domain': [],
  'src/jobs.ts': ['zod'],
  'src/config': ['src/domain', 'node:', 'zod', 'yaml'],
  // One folder per neighbour. Adapters know no table of the book but the list of migrations.
  'src/adapters': ['src/domain', 'types:src/jobs.ts', 'node:', 'packages'],
  // Statements and row types that two or more rooms need. It decides nothing.
  'src/store': ['src/adapters', 'src/domain', 'src/jobs.ts', 'node:', 'kysely'],
  // They meet in jobs.ts and in the store, never in each other. Of packages only the templates for SQL.
  'src/producers': ['src/store', 'src/adapters', 'src/domain', 'src/jobs.ts', 'node:', 'kysely'],
  // What people decide: the same for verbs, console and API.
  'src/operations': ['src/store', 'src/adapters', 'src/domain', 'src/jobs.ts', 'node:', 'kysely'],
  'src/workers': ['src/store', 'src/adapters', 'src/domain', 'src/jobs.ts', 'node:', 'kysely'],
  'src/views': ['src/store', 'src/adapters', 'src/domain', 'node:', 'packages'],
  // Pages of the console: over views and operations, without a statement of their own.
  'src/console': [
    'src/views',
    'src/operations',
    'src/store',
    'src/adapters',
    'src/domain',
    'types:src/api/parts.ts',
    'node:',
    'hono',
    '@hono/node-server',
    'openid-client',
  ],
  // What programs are answered: over the same, and as guarded as the pages.
  'src/api': [
    'src/views',
    'src/operations',
    'src/store',
    'src/adapters',
    'src/domain',
    'src/console/security.ts',
    'node:',
    'hono',
    '@hono/node-server',
    'zod',
  ],
  // Wiring.
  'src/verbs': ['src', 'node:', 'packages'],
  'src/cli.ts': ['src/cli', 'src/verbs', 'src/config', 'src/domain', 'node:', 'commander'],
  'src/cli': ['src/verbs', 'src/config', 'src/domain', 'commander'],
};

/** Inside the workers a step may import those that stand before it, and none behind it. */
const STEPS: readonly (readonly string[])[] = [
  ['context.ts', 'fencing.ts', 'handling.sql.ts'],
  ['load'],
  ['ingest', 'retention'],
  ['bank'],
  ['reconcile'],
  ['replay'],
  ['runtime'],
].map((names) => names.map((name) => `src/workers/${name}`));

type Import = { readonly file: string; readonly of: string; readonly isType: boolean };

const IMPORT = /^(?:import|export)\s+(type\s+)?(?:[^;'"]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'/gm;

function importsOf(file: string): Import[] {
  return [...readFileSync(join(ROOT, file), 'utf8').matchAll(IMPORT)].map(([, type, named, loaded]) => {
    const of = (named ?? loaded)!;
    const isOurs = of.startsWith('.');
    return {
      file,
      of: isOurs ? posix.join(posix.dirname(file), of) : of,
      isType: type !== undefined,
    };
  });
}

function isAllowed({ of, isType }: Import, allowed: string): boolean {
  if (allowed.startsWith('types:')) return isType && isAllowed({ file: '', of, isType }, allowed.slice(6));
  if (allowed === 'node:') return of.startsWith('node:');
  if (allowed === 'packages') return !of.startsWith('node:') && !of.startsWith('src/');
  return of === allowed || of.startsWith(`${allowed}/`);
}

const files = globSync('src/**/*.ts', { cwd: ROOT }).map((file) => file.replaceAll('\\', '/'));

test('every file of the program stands behind a wall', () => {
  const outside = files.filter(
    (file) => !Object.keys(WALLS).some((wall) => file === wall || file.startsWith(`${wall}/`)),
  );
  assert.deepEqual(outside, []);
});

test('nothing is imported through a wall', () => {
  const breaches = Object.entries(WALLS).flatMap(([wall, allowed]) =>
    files
      .filter((file) => file === wall || file.startsWith(`${wall}/`))
      .flatMap(importsOf)
      .filter((of) => ![wall, ...allowed].some((rule) => isAllowed(of, rule)))
      .map(({ file, of }) => `${file} imports ${of}`),
  );
  assert.deepEqual([...new Set(breaches)].sort(), []);
});

test('a step of the workers imports none behind it', () => {
  const levelOf = (file: string) =>
    STEPS.findIndex((names) => names.some((name) => file === name || file.startsWith(`${name}/`)));
  const steps = files.filter((file) => file.startsWith('src/workers/'));
  assert.deepEqual(
    steps.filter((file) => levelOf(file) < 0),
    [],
  );
  const breaches = steps
    .flatMap(importsOf)
    .filter(({ file, of }) => of.startsWith('src/workers/') && levelOf(of) > levelOf(file))
    .map(({ file, of }) => `${file} imports ${of}`);
  assert.deepEqual(breaches, []);
});

test('records are read through ledger(), so that they may stand anywhere', () => {
  const writers = ['src/producers/records/import-ledger.sql.ts', 'src/store/ledger/functions.ts'];
  const readers = files.filter((file) => !writers.includes(file));
  assert.deepEqual(
    readers.filter((file) =>
      /\b((from|join|update|into)\s+|(From|Join|Table|Into)\(')record\b/.test(readFileSync(join(ROOT, file), 'utf8')),
    ),
    [],
  );
});

test('a command or page holds no statement: only the doctor asks the database about itself', () => {
  const commands = files.filter((file) => /^src\/(verbs\/(?!doctor\/)|cli|console\/)/.test(file));
  assert.deepEqual(
    commands.filter((file) =>
      /from 'kysely'|\.(selectFrom|insertInto|updateTable|deleteFrom)\(/.test(readFileSync(join(ROOT, file), 'utf8')),
    ),
    [],
  );
});

test('the program does not know its demo, tests, benchmarks and dashboards', () => {
  const known = files.flatMap(importsOf).filter(({ of }) => /^(demo|test|bench|deploy)\//.test(of));
  assert.deepEqual(
    known.map(({ file, of }) => `${file} imports ${of}`),
    [],
  );
});

/** Providers, acquirers and wallets that the formats know, and the formats' own names. */
const PROVIDERS = [
  'alipay',
  'antom',
  'adyen',
  'hundsun',
  '2c2p',
  'kakaopay',
  'checkout.com',
  'isftp',
  ...Object.keys(FORMATS),
];

test('no provider is named outside of domain/formats: what differs between them is data', () => {
  const named = globSync('{src,bin}/**/*.{ts,js}', { cwd: ROOT })
    .map((file) => file.replaceAll('\\', '/'))
    .flatMap((file) =>
      readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .map((text, at) => ({ file, line: at + 1, text })),
    )
    .filter(({ text }) =>
      PROVIDERS.some((name) => new RegExp(`(?<![a-z0-9])${name.replaceAll('.', '\\.')}(?![a-z0-9])`, 'i').test(text)),
    );
  const outside = named.filter(({ file }) => !file.startsWith('src/domain/formats/'));
  assert.deepEqual(
    outside.map(({ file, line, text }) => `${file}:${line}: ${text.trim()}`),
    [],
  );
  assert.ok(named.length > 5, 'and inside of it they are');
});

test('the walls see every way to import', () => {
  const text = [
    "import { a } from './a.ts';",
    "import './b.ts';",
    "import type { C } from './c.ts';",
    'import {\n  d,\n} from "./no.ts";'.replaceAll('"', "'"),
    "export { e } from './e.ts';",
    "const { f } = await import('./f.ts');",
    "const text = 'said from \\'./g.ts\\'';",
  ].join('\n');
  const found = [...text.matchAll(IMPORT)].map(([, type, named, loaded]) => `${type ? 'type ' : ''}${named ?? loaded}`);
  assert.deepEqual(found, ['./a.ts', './b.ts', 'type ./c.ts', './no.ts', './e.ts', './f.ts']);
});
