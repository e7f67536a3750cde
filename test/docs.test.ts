import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { METRICS } from '../src/adapters/metrics/definitions.ts';
import { readConfig } from '../src/config/config.ts';
import { KINDS } from '../src/domain/discrepancy.ts';
import { temporaryFolder } from './support/book.ts';

const ROOT = resolve(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
/** Where options and commands are written. */
const cli = globSync(['src/cli.ts', 'src/cli/**/*.ts', 'src/verbs/**/*.ts'], { cwd: ROOT }).map(read).join('\n');
const pages = globSync(['*.md', 'docs/*.md', 'deploy/*.md'], { cwd: ROOT });

test('docs/configuration.md names every setting, and no other', () => {
  const names = (text: string) => new Set(text.match(/\b(DATABASE_URL|REDIS_URL|SETTLESTREAM_[A-Z_]+)\b/g));
  const known = globSync('src/**/*.ts', { cwd: ROOT }).map(read).join('\n');
  assert.deepEqual([...names(read('docs/configuration.md'))].sort(), [...names(known)].sort());
});

test('defaults, options and keys in docs/configuration.md are those of the program', () => {
  const folder = temporaryFolder();
  const cell = '([^|]*)\\|';
  const rows = [...read('docs/configuration.md').matchAll(new RegExp(`^\\| \`(\\w+)\` \\|${cell.repeat(4)}`, 'gm'))];
  // Logs begin before settings are read, and have this default.
  const configOf = (...given: Parameters<typeof readConfig>) => {
    const { console, ...config } = readConfig(...given);
    // Saying anything of the console has `run` serve it.
    return { logLevel: 'info', ...config, console: { ...console, isSaid: null } };
  };
  const defaults = configOf({}, {}, null);
  let checked = 0;
  for (const [, variable = '', option = '', key = '', , fallback = ''] of rows) {
    if (option.trim() !== '') assert.ok(cli.includes(option.trim().replaceAll('`', '')), `${variable}: ${option}`);
    const [, value] = /^ `([^`]+)` $/.exec(fallback) ?? [];
    if (value === undefined) continue;
    assert.deepEqual(configOf({}, { [variable]: value }, null), defaults, `${variable}=${value}`);
    checked++;
    if (key.trim() === '') continue;
    const file = join(folder, 'settlestream.yaml');
    const path = key.trim().replaceAll('`', '').split('.');
    writeFileSync(file, JSON.stringify(path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value)));
    assert.deepEqual(configOf({ config: file }, {}, null), defaults, `${key}: ${value}`);
  }
  assert.ok(rows.length > 25 && checked > 10, `${checked} defaults of ${rows.length} settings`);
});

test('docs/discrepancies.md describes every kind of discrepancy once, and the README says how many', () => {
  const described = [...read('docs/discrepancies.md').matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, kind = '']) => kind);
  const states = ['waiting', 'incomplete', 'discrepant', 'reconciled'];
  assert.deepEqual(described.filter((kind) => !states.includes(kind)).sort(), [...KINDS].sort());
  for (const page of ['README.md', 'docs/discrepancies.md']) {
    assert.ok(read(page).includes(`detects ${KINDS.length} kinds`), page);
  }
});

test('the README is short', () => {
  assert.ok(read('README.md').split(/\s+/).length <= 1_200);
});

/** As GitHub makes them of headings. */
const anchorsOf = (page: string): string[] =>
  [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );

test('links of the documentation lead somewhere', () => {
  for (const page of pages) {
    const text = read(page);
    for (const [, target = '', anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)) {
      const path = target === '' ? page : join(dirname(page), target);
      assert.ok(existsSync(join(ROOT, path)), `${page} links to ${target}`);
      if (anchor) assert.ok(anchorsOf(path).includes(anchor), `${page} links to ${target}#${anchor}`);
    }
    for (const [, path = ''] of text.matchAll(
      /`(?:node )?((?:src|test|bin|bench|demo|docs|deploy|migrations)\/[\w./-]+\.\w+)[^`]*`/g,
    )) {
      assert.ok(existsSync(join(ROOT, path)), `${page} names ${path}`);
    }
    // Files and folders of src may be named without it, and files without their ending.
    for (const [, path = ''] of text.matchAll(
      /`((?:domain|adapters|store|producers|workers|views|verbs)\/[\w./-]+)`/g,
    )) {
      const names = [path, `${path}.ts`].map((name) => join(ROOT, 'src', name));
      assert.ok(names.some(existsSync), `${page} names ${path}`);
    }
  }
  const readme = read('README.md');
  for (const page of globSync('docs/*.md', { cwd: ROOT })) {
    assert.ok(readme.includes(`(${page})`), `the README links to ${page}`);
  }
});

test('commands, options and metrics in the documentation exist', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  let commands = 0;
  for (const page of pages) {
    const text = read(page);
    for (const [, script = ''] of text.matchAll(/npm run ([a-z:]+)/g)) {
      assert.ok(script in scripts, `${page} says npm run ${script}`);
    }
    const code = [...text.matchAll(/^```\w*\n(.*?)^```|`([^`\n]+)`/gms)].map(([, block, word]) => block ?? word ?? '');
    for (const [command, verb = '', rest = ''] of code
      .join('\n')
      .matchAll(/(?<!=|-n )\bsettlestream ([a-z]+)([^#\n]*)/g)) {
      commands++;
      assert.ok(cli.includes(`'${verb}'`), `${page}: ${command}`);
      for (const [option] of rest.matchAll(/--[a-z-]+/g)) assert.ok(cli.includes(option), `${page}: ${command}`);
    }
    for (const [metric] of text.matchAll(/(?<!:)\brecon_\w+/g)) {
      const name = metric.replace(/_(count|sum|bucket)$/, '');
      if (name.endsWith('_')) continue;
      assert.ok(name in METRICS || metric in METRICS, `${page}: ${metric}`);
    }
  }
  assert.ok(commands > 40, `${commands} commands`);
});
