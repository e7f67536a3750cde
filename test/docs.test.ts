import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { KINDS } from '../src/domain/discrepancy.ts';

const ROOT = resolve(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const pages = globSync(['*.md', 'docs/*.md'], { cwd: ROOT });

test('the README names every setting, and no other', () => {
  const names = (text: string) => new Set(text.match(/\b(DATABASE_URL|REDIS_URL|SETTLESTREAM_[A-Z_]+)\b/g));
  const known = globSync('src/**/*.ts', { cwd: ROOT }).map(read).join('\n');
  assert.deepEqual([...names(read('README.md'))].sort(), [...names(known)].sort());
});

test('the README names every kind of discrepancy', () => {
  const text = read('README.md');
  assert.ok(text.includes(`${KINDS.length} kinds`));
  assert.deepEqual(
    KINDS.filter((kind) => !text.includes(`\`${kind}\``)),
    [],
  );
});

test('links and commands of the documentation lead somewhere', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  for (const page of pages) {
    const text = read(page);
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      assert.ok(existsSync(join(ROOT, dirname(page), target)), `${page} links to ${target}`);
    }
    for (const [, script = ''] of text.matchAll(/npm run ([a-z:]+)/g)) {
      assert.ok(script in scripts, `${page} says npm run ${script}`);
    }
    for (const [, path = ''] of text.matchAll(/`((?:src|test|bin|demo|migrations)\/[\w./-]+\.\w+)`/g)) {
      assert.ok(existsSync(join(ROOT, path)), `${page} names ${path}`);
    }
  }
});
