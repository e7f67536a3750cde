import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { openDatabase } from '../../src/adapters/postgres/connection.ts';
import { openEmbeddedPostgres } from '../../src/adapters/postgres/embedded.ts';
import { migrate } from '../../src/adapters/postgres/migrations.ts';
import { openQueue } from '../../src/adapters/queue/queue.ts';

/** Where `npm test` says which server all test files share. */
export const SHARED_URL = 'SETTLESTREAM_TEST_POSTGRES';
const TEMPLATE = 'settlestream_template';

export type TestPostgres = { readonly url: string; close(): Promise<void> };

/** Starts a throwaway Postgres with a migrated template in it, the queue's tables and all. It also goes away by itself when this process ends. */
export async function startPostgres(): Promise<TestPostgres> {
  const own = await openEmbeddedPostgres({
    dataDir: mkdtempSync(join(tmpdir(), 'settlestream-test-')),
    throwaway: true,
  });
  await run(own.url, `create database ${TEMPLATE}`);
  const template = await openDatabase(databaseUrl(own.url, TEMPLATE), 1);
  await migrate(template);
  await template.close();
  // A call that finds them made takes 0.2 s less, and the tests make a thousand.
  await (await openQueue({ databaseUrl: databaseUrl(own.url, TEMPLATE), bookId: 'template' })).close();
  return own;
}

let server: Promise<string> | undefined;

/** The server of this test run; a file that runs alone starts its own. */
function serverUrl(): Promise<string> {
  const shared = process.env[SHARED_URL];
  server ??= shared ? Promise.resolve(shared) : startPostgres().then(({ url }) => url);
  return server;
}

/**
 * The URL of a new, migrated database: a copy of the template, which takes some 50 ms. It is dropped at the end of the test,
 * suite or file that calls this, with whatever connections are left.
 */
export async function freshDatabase(): Promise<string> {
  const url = await serverUrl();
  const copy = await templateCopy(url);
  after(() => run(url, `drop database if exists ${copy.slice(copy.lastIndexOf('/') + 1)} with (force)`));
  return copy;
}

/** The URL of a new, migrated database on a server that `startPostgres` started. It goes away with the server. */
export async function templateCopy(url: string): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await run(url, `create database ${name} template ${TEMPLATE}`);
  return databaseUrl(url, name);
}

/** The URL of a copy of a database that nobody is connected to. It goes away like a new one. */
export async function copyOf(url: string): Promise<string> {
  const server = await serverUrl();
  await pools.get(url)?.end();
  pools.delete(url);
  const nameOf = (url: string) => url.slice(url.lastIndexOf('/') + 1);
  const copy = `test_${randomBytes(6).toString('hex')}`;
  await run(server, `create database ${copy} template ${nameOf(url)}`);
  after(() => run(server, `drop database if exists ${copy} with (force)`));
  return databaseUrl(server, copy);
}

const pools = new Map<string, pg.Pool>();

/** Asks on a connection that is kept for the next question: who waits for a fact asks a hundred times a second. */
export async function query<T>(url: string, text: string): Promise<T[]> {
  let pool = pools.get(url);
  if (!pool) {
    pool = new pg.Pool({ connectionString: url, idleTimeoutMillis: 300, allowExitOnIdle: true });
    // One that is ended between two questions is replaced.
    pool.on('error', () => {});
    pools.set(url, pool);
  }
  return (await pool.query(text)).rows as T[];
}

const databaseUrl = (url: string, database: string) => url.replace(/[^/]+$/, database);

const run = (url: string, statement: string): Promise<void> =>
  connected(url, async (client) => void (await client.query(statement)));

async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The processes of a Postgres on this machine, now: its backends, and last the postmaster. */
export async function processesOf(url: string): Promise<() => number[]> {
  const postmaster = await connected(url, async (client) => {
    const { rows } = await client.query('select pg_backend_pid() as pid');
    // Gone with its connection.
    const status = readFileSync(`/proc/${rows[0].pid}/status`, 'utf8');
    return Number(/^PPid:\s+(\d+)$/m.exec(status)![1]);
  });
  return () => [
    ...readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8').trim().split(' ').map(Number),
    postmaster,
  ];
}
