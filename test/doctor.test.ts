/** What keeps a night from going well is seen the evening before: by real servers that are set up wrongly, stopped or away. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { Redis } from 'ioredis';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase, startPostgres } from './support/postgres.ts';
import { startRedis } from './support/redis.ts';
import { settlestream } from './support/settlestream.ts';
import { makeKey, startSshd } from './support/sshd.ts';

type Check = { name: string; state: string; message: string; mend: string | null };

const SECRET = 'never-shown';
const folder = temporaryFolder();
const url = await freshDatabase();

/** Asks the doctor. Whatever it says, it tells no secret. */
async function doctor(env: Readonly<Record<string, string>>, settings = '') {
  const file = join(folder, 'settings.yaml');
  writeFileSync(file, settings);
  const { code, json, stdout, stderr } = await settlestream(['doctor', '--json', '--config', file], {
    cwd: folder,
    env: { SETTLESTREAM_DATA_DIR: join(folder, 'data'), SETTLESTREAM_PROCESSES: '2', ...env },
  });
  assert.doesNotMatch(stdout + stderr, new RegExp(SECRET));
  const checks = json.checks as Check[];
  return {
    code,
    checks,
    of: (name: string) => checks.filter((check) => check.name === name),
    /** All that is not well. */
    wrong: checks.filter(({ state }) => state !== 'ok').map(({ name, state }) => `${state} ${name}`),
  };
}

suite('the book', () => {
  test('on a server that may lose everything is told to be in danger, and to be well otherwise', async () => {
    const { code, checks, wrong } = await doctor({ DATABASE_URL: url });
    // The tests' own Postgres is one that may lose everything.
    assert.deepEqual(
      wrong.filter((line) => !line.endsWith('database settings')),
      [],
    );
    assert.equal(code, 3);
    const unsafe = checks.filter(({ name }) => name === 'database settings').map(({ message }) => message);
    assert.match(unsafe.join('\n'), /fsync is off.*\n.*full_page_writes is off.*\n.*synchronous_commit is off/);
    for (const name of ['node', 'configuration', 'archive', 'database', 'migrations', 'queue', 'reports'])
      assert.ok(
        checks.some((check) => check.name === name),
        name,
      );
  });

  test('that is not there yet is no problem, and is not made by looking', async () => {
    const { code, of } = await doctor({ SETTLESTREAM_DATA_DIR: join(folder, 'nowhere') });
    assert.equal(code, 0);
    assert.match(of('database')[0]!.message, /no database in .*nowhere yet/);
  });

  test('that lacks a migration has to be brought up to date', async () => {
    const old = await freshDatabase();
    await query(old, 'delete from migration where version = 1');
    const { code, of } = await doctor({ DATABASE_URL: old });
    assert.equal(code, 3);
    assert.match(of('migrations')[0]!.message, /0001_schema\.sql/);
    assert.match(of('migrations')[0]!.mend!, /settlestream migrate/);
  });

  test('on a server that is away ends with 4, and the rest is looked at all the same', async () => {
    const { code, checks, of } = await doctor({ DATABASE_URL: `postgres://me:${SECRET}@127.0.0.1:1/book` });
    assert.equal(code, 4);
    assert.match(of('database')[0]!.message, /127\.0\.0\.1:1.*ECONNREFUSED/);
    assert.ok(checks.some(({ name, state }) => name === 'archive' && state === 'ok'));
  });

  test('on a server that stands still is given up after some seconds', async () => {
    const server = await startPostgres();
    after(() => server.close());
    const [{ pid }] = (await query<{ pid: number }>(
      server.url,
      `select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int as pid`,
    )) as [{ pid: number }];
    process.kill(pid, 'SIGSTOP');
    const startedAt = Date.now();
    const { code, of } = await doctor({ DATABASE_URL: server.url }).finally(() => process.kill(pid, 'SIGCONT'));
    assert.equal(code, 4);
    assert.equal(of('database')[0]!.state, 'problem');
    assert.ok(Date.now() - startedAt < 45_000);
  });

  test('with a refused report and a batch that was given up says which, and ends with 3', async () => {
    const book = await freshDatabase();
    const env = { DATABASE_URL: book, SETTLESTREAM_DATA_DIR: join(folder, 'data') };
    writeFiles(folder, {
      'records.csv': [
        'requestId,type,amount,currency,status,occurredAt',
        'p,PAYMENT,1.00,USD,SUCCESS,2026-01-04T10:00:00Z',
      ],
      'reports/M1/20260105/settlementItems_USD_B1_000.csv': ['no,column,of,ours', '<END>'],
    });
    const reconciled = await settlestream(['reconcile', 'reports', '--ledger', 'records.csv'], { cwd: folder, env });
    assert.equal(reconciled.code, 3, reconciled.stderr);
    await query(book, `update batch set parked_reason = 'it was too much'`);
    const { code, of } = await doctor({ DATABASE_URL: book });
    assert.equal(code, 3);
    assert.match(of('refused reports')[0]!.message, /^1 .*settlementItems_USD_B1_000\.csv.*no column/);
    assert.match(of('parked batches')[0]!.message, /B1: it was too much/);
  });
});

suite('the queue', async () => {
  const redis = await startRedis();
  after(() => redis.stop());
  const client = new Redis(redis.url);
  after(() => client.disconnect());
  const env = { DATABASE_URL: url, REDIS_URL: redis.url };

  test('that keeps jobs in memory only is warned of', async () => {
    const { of, wrong } = await doctor(env);
    assert.match(of('queue')[0]!.message, /^Redis \d+\.\d+/);
    assert.ok(wrong.includes('warning queue persistence'));
    assert.deepEqual(of('queue memory'), []);
  });

  test('that throws jobs away when memory is short is a problem once it has a limit', async () => {
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await client.config('SET', 'appendonly', 'yes');
    const without = await doctor(env);
    assert.ok(without.wrong.includes('warning queue memory'));
    assert.ok(!without.wrong.includes('warning queue persistence'));
    await client.config('SET', 'maxmemory', '100mb');
    const { code, of } = await doctor(env);
    assert.equal(code, 3);
    assert.match(of('queue memory')[0]!.message, /allkeys-lru/);
    assert.match(of('queue memory')[0]!.mend!, /noeviction/);
  });

  test('that is away ends with 4', async () => {
    const { code, of } = await doctor({ ...env, REDIS_URL: `redis://:${SECRET}@127.0.0.1:1` });
    assert.equal(code, 4);
    assert.match(of('queue')[0]!.message, /127\.0\.0\.1:1.*ECONNREFUSED/);
  });
});

suite('sources', async () => {
  const sshd = await startSshd();
  after(() => sshd.stop());
  writeFileSync(join(folder, 'key'), sshd.privateKey, { mode: 0o600 });
  writeFileSync(join(folder, 'other-key'), makeKey(folder, 'other').privateKey, { mode: 0o600 });
  const put = (path: string, ageDays: number) => {
    mkdirSync(join(sshd.folder, 'out'), { recursive: true });
    chmodSync(sshd.folder, 0o755);
    const at = new Date(Date.now() - ageDays * 86_400_000);
    writeFileSync(join(sshd.folder, 'out', path), 'header\n<END>\n');
    utimesSync(join(sshd.folder, 'out', path), at, at);
  };
  const directory = `${sshd.remoteFolder}/out`;
  const directories = `{ transactionDetails: "${directory}", settlementDetails: "${directory}", settlementSummary: "${directory}" }`;
  const source = (name: string, { key = 'key', host = sshd.hostKeySha256 as string | null, port = sshd.port } = {}) =>
    `- { name: ${name}, merchantId: M1, directories: ${directories}, sftp: { host: 127.0.0.1, port: ${port}, username: ${sshd.username}, privateKeyFile: ${key}${host === null ? '' : `, hostKeySha256: "${host}"`} } }\n`;
  const ask = (sources: string, env = {}) => doctor({ DATABASE_URL: url, ...env }, `sources:\n${sources}`);
  put('settlementItems_USD_B7_000.csv', 1);

  test('one that answers is told with its newest file, and all that is wrong with the others beside it', async () => {
    const other = makeKey(folder, 'wrong').sha256;
    const { code, of } = await ask(
      source('right') +
        source('unpinned', { host: null }) +
        source('impostor', { host: other }) +
        source('stranger', { key: 'other-key' }) +
        source('away', { port: 1 }),
    );
    assert.equal(code, 4);
    const said = (name: string) => of(`source ${name}`).map(({ state, message }) => `${state} ${message}`)[0]!;
    assert.match(said('right'), /^ok .*1 reports, the newest .*settlementItems_USD_B7_000\.csv/);
    assert.ok(said('unpinned').includes(sshd.hostKeySha256), said('unpinned'));
    assert.match(said('impostor'), /^problem .*not in hostKeySha256/);
    assert.match(said('stranger'), /^problem .*refuses the login/);
    assert.match(said('away'), /^problem cannot reach .*:1/);
  });

  test('a server that answers and refuses is something to mend, and no server that is away', async () => {
    const { code } = await ask(source('impostor', { host: makeKey(folder, 'wrong').sha256 }));
    assert.equal(code, 3);
  });

  test('reports that will soon be deleted and were not fetched are a problem, until they are fetched', async () => {
    put('settlementItems_USD_B8_000.csv', 6);
    const { code, of } = await ask(source('right'));
    assert.equal(code, 3);
    assert.match(of('source right: retention')[0]!.message, /^1 reports .*settlementItems_USD_B8_000\.csv/);
    await query(
      url,
      `with m as (insert into merchant (id) values ('M1') returning no),
            b as (insert into batch (merchant_no, batch_id, currency) select no, 'B8', 'USD' from m returning no),
            r as (insert into report (batch_no, kind, name, seq) select no, 'settlementDetails', 'settlementItems_USD_B8_000', 0 from b returning no)
       insert into delivery (report_no, source, rules, path, file, size_bytes, modified_at, found_at, state)
       select no, 'right', '{}', '${directory}/settlementItems_USD_B8_000.csv', 'B8', 13, now(), now() - interval '85 days', 'waiting' from r`,
    );
    const fetched = await ask(source('right'));
    assert.deepEqual(fetched.of('source right: retention'), []);
    const account = fetched.of('source right: account')[0]!;
    assert.match(account.message, /last login was 85 days ago/);
    assert.equal(account.state, 'problem');
  });

  test('an account that nobody has used is warned of in time, and is well as soon as it is used', async () => {
    const used = (days: number) =>
      query(
        url,
        `insert into source_use (source, used_at) values ('right', now() - interval '${days} days')
         on conflict (source) do update set used_at = excluded.used_at`,
      );
    const states: string[] = [];
    for (const days of [59, 61]) {
      await used(days);
      const { of } = await ask(source('right'));
      states.push(...of('source right: account').map(({ state, message }) => `${state} ${/\d+/.exec(message)}`));
    }
    assert.deepEqual(states, ['warning 61']);
    await used(0);
  });

  test('a clock that is ahead of ours is told by its files', async () => {
    put('settlementItems_USD_B9_000.csv', -1 / 24);
    const { of } = await ask(source('right'));
    assert.match(of('source right: clock')[0]!.message, /is 3[56]\d\d s ahead/);
  });

  test('a folder that is not there, and a password that is not set, are told beside the others', async () => {
    const { code, of } = await ask(
      `- { name: local, merchantId: M1, folder: gone }\n- { name: silent, merchantId: M1, sftp: { host: 127.0.0.1, username: me, passwordEnv: NOT_SET } }\n${source('right')}`,
    );
    assert.equal(code, 2);
    assert.match(of('source local')[0]!.message, /gone does not exist/);
    assert.match(of('source silent')[0]!.message, /NOT_SET is not set/);
    assert.equal(of('source right')[0]!.state, 'ok');
  });
});

test('mistakes in the settings end with 2, a line each', async () => {
  const { code, of } = await doctor({}, 'timeZone: Mars/Olympus\npasword: x\n');
  assert.equal(code, 2);
  assert.equal(of('configuration').length, 2);
});

test('for people it is a line each, with what to mend below', async () => {
  const { code, stdout } = await settlestream(['doctor', '--data-dir', join(folder, 'nowhere')], {
    cwd: folder,
    env: { REDIS_URL: 'redis://127.0.0.1:1' },
  });
  assert.equal(code, 4);
  assert.match(stdout, /^ok {7}node: Node \d+/m);
  assert.match(stdout, /^problem {2}queue: cannot reach Redis.*\n {9}Check REDIS_URL/m);
});
