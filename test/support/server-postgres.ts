import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { debianProgram } from './debian.ts';
import { freePort } from './port.ts';

/** Debian's Postgres on a port, with passwords, as others host it: for what cannot be done on the socket of our own. */
export type ServerPostgres = {
  readonly host: string;
  readonly port: number;
  /** Of the superuser `postgres`. */
  readonly password: string;
  readonly url: string;
  /** Runs one of the programs that come with it (psql, pg_dump, pg_restore) as the superuser, and returns what it prints. */
  run(program: string, args: readonly string[], env?: Readonly<Record<string, string>>): string;
  /** For a PATH: where these programs are. */
  readonly bin: string;
  /** Ends it at once with all its connections, as a failover does, and starts it again. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
};

const HOST = '127.0.0.1';
const NOBODY = { uid: 65_534, gid: 65_534 };
const PASSWORD = 'postgres-s3cret';
/** The server lives as long as the standard input of its shell is open, which the kernel closes however this process ends. */
const KEEPER = `
"$@" & server=$!
while read -r word; do
  if [ $word = start ]; then "$@" & server=$!; else kill -QUIT $server; wait $server; fi
done
kill -QUIT $server 2>/dev/null; wait`;

/** Starts a new, empty server on a free port of the loopback, with settings over those of a test. */
export async function startServerPostgres(more: readonly string[] = []): Promise<ServerPostgres> {
  const { bin, libraries } = findPrograms();
  const folder = mkdtempSync(join(tmpdir(), 'settlestream-server-'));
  // Postgres does not run as root.
  const user = process.getuid?.() === 0 ? NOBODY : {};
  writeFileSync(join(folder, 'password'), PASSWORD);
  if (user === NOBODY) for (const path of [folder, join(folder, 'password')]) chownSync(path, NOBODY.uid, NOBODY.gid);
  const env = { PATH: process.env['PATH'], LD_LIBRARY_PATH: libraries, LC_ALL: 'C' };
  const data = join(folder, 'data');
  execFileSync(
    join(bin, 'initdb'),
    [
      `--pgdata=${data}`,
      '--username=postgres',
      `--pwfile=${join(folder, 'password')}`,
      '--auth=scram-sha-256',
      '--no-sync',
    ],
    { ...user, env, cwd: folder, stdio: 'pipe' },
  );
  const port = await freePort();
  const settings = { listen_addresses: HOST, port, unix_socket_directories: '', fsync: 'off', max_connections: 100 };
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      KEEPER,
      'postgres',
      join(bin, 'postgres'),
      '-D',
      data,
      ...Object.entries(settings).map(([key, value]) => `--${key}=${value}`),
      ...more,
    ],
    { ...user, env, cwd: folder, stdio: ['pipe', 'ignore', 'pipe'] },
  );
  const said: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => said.push(line));
  const ended = once(child, 'close').then(() => rmSync(folder, { recursive: true, force: true }));
  const url = `postgres://postgres:${PASSWORD}@${HOST}:${port}/postgres`;
  const until = async (isUp: boolean) => {
    for (const deadline = Date.now() + 30_000; (await answers(url)) !== isUp; await sleep(50))
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`Postgres says:\n${said.join('\n')}`);
  };
  await until(true);
  return {
    host: HOST,
    port,
    password: PASSWORD,
    url,
    bin,
    run: (program, args, more = {}) =>
      execFileSync(join(bin, program), args, {
        env: { ...env, PGHOST: HOST, PGPORT: `${port}`, PGUSER: 'postgres', PGPASSWORD: PASSWORD, ...more },
        encoding: 'utf8',
        stdio: 'pipe',
      }),
    kill() {
      child.stdin.write('kill\n');
      return until(false);
    },
    start() {
      child.stdin.write('start\n');
      return until(true);
    },
    stop() {
      child.stdin.end();
      return ended;
    },
  };
}

/** What is installed, else what Debian's newest is, unpacked. */
function findPrograms(): { bin: string; libraries: string } {
  const installed = globSync('/usr/lib/postgresql/*/bin/postgres').sort().at(-1);
  if (installed !== undefined) return { bin: dirname(installed), libraries: process.env['LD_LIBRARY_PATH'] ?? '' };
  const { root, libraries } = debianProgram('postgresql', 'usr/lib/postgresql');
  const unpacked = globSync(join(root, 'usr/lib/postgresql/*/bin/postgres')).sort().at(-1);
  if (unpacked === undefined || !existsSync(unpacked)) throw new Error(`there is no Postgres in ${root}`);
  return { bin: dirname(unpacked), libraries };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}
