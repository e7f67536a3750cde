import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PLANTED, PLANTED_REPORTS, plantFaults } from '../demo/faults.ts';
import { makeWeek } from '../demo/week.ts';
import { writeWeek } from '../demo/write.ts';
import { KINDS } from '../src/domain/discrepancy.ts';
import { type Answer, sameAnswer } from './support/answer.ts';
import { expectedAnswer } from './support/oracle.ts';
import { settlestream } from './support/settlestream.ts';

const folder = mkdtempSync(join(tmpdir(), 'settlestream-demo-test-'));
after(() => {
  // Where root runs it, the database is elsewhere and only linked.
  const database = join(folder, 'book/postgres');
  if (existsSync(database)) rmSync(realpathSync(database), { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
});

const plantedCounts = (): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { tells } of PLANTED)
    for (const [kind, count] of Object.entries(tells)) counts[kind] = (counts[kind] ?? 0) + count;
  return counts;
};
const countsBy = <T>(list: readonly T[], of: (item: T) => string): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(list, of)].map(([key, items]) => [key, items.length]));

test('the demo plants every kind of discrepancy', () => {
  assert.deepEqual(Object.keys(plantedCounts()).sort(), [...KINDS].sort());
});

test('the demo tells what was planted and nothing else, as the oracle does, and leaves nothing behind', async () => {
  const temporary = mkdtempSync(join(folder, 'tmp-'));
  const { code, json } = await settlestream(['demo', '--json'], { env: { TMPDIR: temporary } });
  assert.equal(code, 0);
  const answer = json as Answer;
  assert.deepEqual(
    countsBy(answer.discrepancies, ({ kind }) => kind),
    plantedCounts(),
  );
  assert.deepEqual(
    answer.reports
      .filter(({ state }) => state !== 'closed')
      .map(({ state, error }) => [state, error?.code])
      .sort(),
    PLANTED_REPORTS.map(({ state, code }) => [state, code]).sort(),
  );
  const states = countsBy([...answer.batches, ...answer.transactionDays], ({ state }) => state);
  assert.deepEqual(states, { reconciled: 22, discrepant: 9, incomplete: 3 });
  assert.ok(answer.counts.rows > 100_000);
  assert.deepEqual(readdirSync(temporary), []);

  const week = makeWeek();
  plantFaults(week);
  const { reportsDir, recordsFile } = await writeWeek(week, join(folder, 'written'));
  sameAnswer(answer, expectedAnswer([reportsDir], recordsFile));
});

test('the commands that the demo ends with work as they are printed, and a second demo changes nothing', async () => {
  // A user's own settings must not lead the made-up week into a real book.
  const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', SETTLESTREAM_AMOUNT_UNIT: 'minor' };
  const first = await settlestream(['demo', '--data-dir', 'book'], { cwd: folder, env });
  assert.equal(first.code, 0, first.stderr);
  for (const kind of KINDS) assert.ok(first.stdout.includes(`│ ${kind} `), `${kind} is in the tables`);

  const commands = [...first.stdout.matchAll(/^ {2}DATABASE_URL= npx settlestream (.*)$/gm)].map((found) => found[1]!);
  assert.deepEqual(
    commands.map((command) => command.split(' ')[0]),
    ['batches', 'discrepancies', 'show'],
  );
  for (const command of commands) {
    const looked = await settlestream(command.split(' '), { cwd: folder });
    assert.equal(looked.code, 0, looked.stderr);
    assert.match(looked.stdout, /2026110511021000003/);
  }

  const again = await settlestream(['demo', '--data-dir', 'book', '--json'], { cwd: folder });
  assert.deepEqual(
    countsBy((again.json as Answer).discrepancies, ({ kind }) => kind),
    plantedCounts(),
  );
});

test('the demo stays out of a folder that holds something else', async () => {
  const other = mkdtempSync(join(folder, 'other-'));
  writeFileSync(join(other, 'ours.txt'), '');
  const { code, stderr } = await settlestream(['demo', '--data-dir', other]);
  assert.equal(code, 2);
  assert.match(stderr, /is not empty and holds no demo/);
});
