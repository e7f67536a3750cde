/** What a service says while servers are away, while it starts and when it ends: each line is JSON, names what is away, and comes once a minute. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { query, temporaryFolder, writeFiles } from '../support/book.ts';
import { freshDatabase } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import { type Ended, settlestream, startSettlestream } from '../support/settlestream.ts';

type Line = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg: string };

const folder = temporaryFolder();
const reports = join(folder, 'reports');
mkdirSync(reports);
const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const deliver = (batch: string) =>
  writeFiles(reports, {
    [`M1/20260105/settlementItems_USD_${batch}_000.csv`]: [
      HEADER,
      `${batch},PAYMENT,t-${batch},p-1,10.00,USD,10.00,USD`,
      '<END>',
    ],
  });
const settings = (more: Record<string, string>) => ({
  SETTLESTREAM_DATA_DIR: join(folder, 'data'),
  SETTLESTREAM_PROCESSES: '1',
  SETTLESTREAM_POLL_SECONDS: '1',
  ...more,
});

/** Each line of a service that ended, which has to be JSON. */
const linesOf = ({ stderr }: Ended): Line[] =>
  stderr
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      try {
        return JSON.parse(line);
      } catch {
        throw new Error(`no JSON: ${line}\nin\n${stderr.slice(0, 4_000)}`);
      }
    });

test('Redis is killed while reports come: the log says which server and how often, not what the client calls it', async () => {
  const first = await startRedis();
  const { host, port } = new URL(first.url);
  const url = await freshDatabase();
  const env = settings({ DATABASE_URL: url, REDIS_URL: first.url });
  const service = startSettlestream(['run', '--folder', reports], { env });
  const page = JSON.parse(await service.says(/"pages: /)).url;
  deliver('A1');
  await service.says(/"batch":"A1".*"run published"/);
  process.kill(first.pid, 'SIGKILL');
  await first.stop();
  deliver('A2');
  await service.says(new RegExp(`Redis at ${host} is unavailable; retrying`));
  await service.says(/poll failed/);
  const readyz = await fetch(`${page}/readyz`);
  assert.equal(readyz.status, 503);
  assert.match(await readyz.text(), new RegExp(`^queue: Redis at ${host} is unavailable \\(.+\\); retrying`));
  // Until the second file, too, was found in vain: the round of a second later.
  while ((await query(url, `select from delivery where path like '%_A2_%'`)).length === 0) await soon();
  const second = await startRedis(['--port', port]);
  after(() => second.stop());
  await service.says(/"batch":"A2".*"run published"/);
  assert.equal((await fetch(`${page}/readyz`)).status, 200);
  service.kill('SIGTERM');
  const ended = await service.ended;
  assert.equal(ended.code, 0);
  assert.doesNotMatch(ended.stderr, /enableOfflineQueue|writeable/);
  const about = linesOf(ended).filter(({ error }) => String(error).startsWith(`Redis at ${host} is unavailable`));
  const times = Object.entries(Object.groupBy(about, ({ msg }) => msg)).map(([, lines]) => lines!);
  // Once when it began, and what was counted at the end.
  for (const lines of times) assert.ok(lines.length <= 2, JSON.stringify(lines));
  const counted = about.find(({ msg, count }) => /^Redis at/.test(msg) && count !== undefined);
  assert.ok(Number(counted?.['count']) > 1, JSON.stringify(about));
});

const soon = () => new Promise((wake) => setTimeout(wake, 20));

test('what Node, libraries and dying processes print is JSON, and nothing is printed that is no news', async () => {
  const marks = join(folder, 'marks');
  mkdirSync(marks);
  const preload = join(folder, 'preload.cjs');
  // In the service itself: a library that prints, a warning, and at last a mistake. In its parser: the same, and no memory is left.
  writeFileSync(
    preload,
    `const { existsSync, writeFileSync } = require('node:fs');
     const once = (name, act) => existsSync('${marks}/' + name) || (writeFileSync('${marks}/' + name, ''), act());
     const isParser = /parser-process\\.[tj]s$/.test(process.argv[1] ?? '');
     if (/settlestream\\.js$/.test(process.argv[1] ?? '')) {
       setTimeout(() => { console.error('printed by\\n%s', 'a library'); process.emitWarning('beware'); }, 1500).unref();
       process.on('SIGUSR2', () => { throw new Error('made to end'); });
     }
     if (isParser) once('parser', () => setTimeout(() => {
       process.emitWarning('beware, parser');
       console.error('printed by a parser');
       setTimeout(() => { const all = []; for (;;) all.push(new Array(100_000).fill(all.length + 0.5)); }, 300);
     }, 1500));`,
  );
  const env = settings({ DATABASE_URL: await freshDatabase(), NODE_OPTIONS: `--require=${preload}` });
  const service = startSettlestream(['run', '--folder', reports], { env });
  await service.says(/FATAL ERROR/);
  await service.says(/"msg":"printed by\\na library"/);
  await service.says(/beware/);
  service.kill('SIGUSR2');
  const ended = await service.ended;
  assert.equal(ended.code, 3);
  const lines = linesOf(ended);
  assert.match(String(lines.find(({ text }) => /FATAL ERROR/.test(String(text)))?.['text']), /heap out of memory/);
  assert.ok(
    lines.some(({ warning, error }) => warning === 'Warning' && error === 'beware, parser'),
    ended.stderr,
  );
  assert.match(String(lines.at(-1)!['error']), /made to end[\s\S]*\n {4}at /);
  assert.ok(existsSync(join(marks, 'parser')));
  assert.doesNotMatch(ended.stderr, /MaxListeners/);
});

test('twelve sources and both queues: Node warns of nothing, and the end is the end', async () => {
  const redis = await startRedis();
  after(() => redis.stop());
  const sources = Array.from({ length: 12 }, (_, no) => `- { name: s${no}, merchantId: M${no}, folder: reports }`);
  writeFiles(folder, { 'twelve.yaml': ['pollSeconds: 1', 'sources:', ...sources] });
  for (const more of [{ REDIS_URL: redis.url }, {}]) {
    const env = settings({ DATABASE_URL: await freshDatabase(), ...more });
    const service = startSettlestream(['run', '--config', join(folder, 'twelve.yaml')], { env });
    await service.says(/"run published"/);
    service.kill('SIGTERM');
    const ended = await service.ended;
    assert.equal(ended.code, 0);
    assert.deepEqual(
      linesOf(ended).filter(({ warning }) => warning),
      [],
    );
  }
});

test('a service that is told to stop while it starts ends with 0, whatever it waits for', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  after(() => silent.close());
  await new Promise((resolve) => silent.once('listening', resolve));
  const { port } = silent.address() as { port: number };
  const hangs = { DATABASE_URL: `postgres://me:s3cret@127.0.0.1:${port}/book` };
  const queueHangs = { DATABASE_URL: await freshDatabase(), REDIS_URL: `redis://127.0.0.1:${port}` };
  const cases = [
    ['run', hangs, /"pages: /],
    ['produce', queueHangs, /"records: /],
    ['work', { DATABASE_URL: await freshDatabase() }, /"database: /],
  ] as const;
  for (const [verb, env, moment] of cases) {
    const service = startSettlestream([verb, '--folder', reports], { env: settings(env) });
    await service.says(moment);
    service.kill('SIGTERM');
    const ended = await service.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(linesOf(ended).at(-1)!.msg, /^stopped/);
  }
});

test('what keeps a verb from starting is one sentence, without a stack trace, and the exit code says whose matter it is', async () => {
  writeFileSync(join(folder, 'a-file'), '');
  const database = await freshDatabase();
  const cases = [
    [
      { DATABASE_URL: 'postgres://me:s3cret@127.0.0.1:1/book' },
      4,
      /Postgres at 127\.0\.0\.1:1 is unavailable \(.*ECONNREFUSED/,
    ],
    [{ DATABASE_URL: `${database}_none` }, 4, /refuses the login \(database .* does not exist\)\. Create/],
    [{ DATABASE_URL: database, REDIS_URL: 'redis://:s3cret@127.0.0.1:1' }, 4, /Redis at 127\.0\.0\.1:1 is unavailable/],
    [{ DATABASE_URL: database, SETTLESTREAM_ARCHIVE_FOLDER: join(folder, 'a-file') }, 2, /archive folder .*a-file/],
  ] as const;
  for (const [env, code, says] of cases) {
    const [service, call] = await Promise.all(
      [['run'], ['reconcile', reports, '--json']].map((args) => settlestream(args, { env: settings(env) })),
    );
    for (const ended of [service!, call!]) {
      assert.equal(ended.code, code, ended.stderr);
      assert.match(ended.stderr, says);
      assert.doesNotMatch(ended.stderr, /\n\s+at |s3cret/);
      assert.equal(ended.stdout, '');
    }
    assert.match(linesOf(service!).at(-1)!.msg, /./);
  }
});
