import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awayText } from '../../src/adapters/away.ts';
import { Repeats } from '../../src/adapters/repeats.ts';

type SftpSession = readonly [message: string, fields: object];
const REDIS = 'Redis at 127.0.0.1:6379';

/** What is written of these lines at once, and what when a minute, which is short here, is over. */
async function written(lines: readonly SftpSession[], { thenWait = false } = {}): Promise<SftpSession[]> {
  const repeats = new Repeats(thenWait ? 20 : 60_000);
  const out: SftpSession[] = [];
  const { promise: minuteOver, resolve } = Promise.withResolvers<void>();
  for (const [message, fields] of lines)
    repeats.tell(fields as Record<string, unknown>, message, (shown, said) => {
      out.push([said, shown]);
      if ('count' in shown) resolve();
    });
  if (thenWait) {
    const keepAlive = setInterval(() => {}, 1_000);
    await minuteOver.finally(() => clearInterval(keepAlive));
  }
  return out;
}

const times = (count: number, line: (no: number) => SftpSession): SftpSession[] =>
  Array.from({ length: count }, (_, no) => line(no));

test('of one cause the first line is written, and after a minute the last with how many there were and whom they were about', async () => {
  const failed = (no: number): SftpSession => [
    'failed, will be tried again',
    {
      report: `r${no}`,
      error: `ENOSPC: no space left on device, write '/data/archive/${no}.part' (at ingest.ts:${no})`,
    },
  ];
  const out = await written(times(40, failed), { thenWait: true });
  assert.equal(out.length, 2);
  assert.deepEqual(out[0], failed(0));
  assert.deepEqual(out[1], [
    'failed, will be tried again',
    { ...failed(39)[1], count: 39, among: times(10, (no) => [`r${no + 1}`, {}]).map(([name]) => name) },
  ]);
});

test('a server that is away is one cause, whatever it was wanted for and however that failed', async () => {
  const error = (no: number) => ({ error: awayText(REDIS, `reason ${'x'.repeat(no)}`) });
  const sentences = ['queue', 'could not enqueue', 'sweep failed; retrying in the next one', 'cannot look'];
  const out = await written([
    ...times(20, (no) => [sentences[no % sentences.length]!, { ...error(no), job: 'load-chunk', loadNo: no }]),
    ['queue', { error: awayText('Postgres at [::1]:5432', 'Connection terminated unexpectedly') }],
  ]);
  assert.deepEqual(
    out.map(([message]) => message),
    [`${REDIS} is unavailable; retrying`, 'Postgres at [::1]:5432 is unavailable; retrying'],
  );
});

test('what people look for keeps its words while a server is away', async () => {
  const { error } = { error: awayText(REDIS, 'gone') };
  const kept = ['poll failed; retrying in the next poll', 'failed, will be tried again'];
  const out = await written([
    ['queue', { error }],
    ...times(10, (no): SftpSession => [kept[no % 2]!, { source: `s${no}`, error }]),
  ]);
  assert.deepEqual(
    out.map(([message]) => message),
    [`${REDIS} is unavailable; retrying`, ...kept],
  );
});

test('other causes, other sentences and lines without a cause are each told', async () => {
  const lines: SftpSession[] = [
    ['failed', { error: 'one thing' }],
    ['failed', { error: 'another thing' }],
    ['failed, too', { error: 'one thing' }],
    ['failed', { error: 'one thing', cause: 'a named one' }],
    ['this report may soon be deleted', { file: 'a' }],
    ['this report may soon be deleted', { file: 'a' }],
    ['report read', { outcome: 'refused', error: 'no header' }],
    ['report read', { outcome: 'refused', error: 'no header' }],
  ];
  assert.deepEqual(await written(lines), lines);
  assert.equal(
    (await written([...lines, ['failed', { error: 'what else', cause: 'a named one' }]])).length,
    lines.length,
  );
});

test('what was only counted is told at the end', () => {
  const repeats = new Repeats();
  const out: SftpSession[] = [];
  for (let no = 0; no < 5; no++) repeats.tell({ error: 'x', no }, 'failed', (shown, said) => out.push([said, shown]));
  repeats.flush();
  repeats.flush();
  assert.deepEqual(out, [
    ['failed', { error: 'x', no: 0 }],
    ['failed', { error: 'x', no: 4, count: 4 }],
  ]);
});
