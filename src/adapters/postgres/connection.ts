import { pipeline } from 'node:stream/promises';
import { Kysely, PostgresDialect, type PostgresPool } from 'kysely';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { Unreachable, UsageError } from '../../domain/errors.ts';
import { awayText, isLostConnection } from '../away.ts';
import { reasonOf } from '../timeout.ts';
import type { Schema } from './schema.ts';

/** What the tables are is known from a migrated database: `npm run schema`. */
export type Db = Kysely<Schema>;
export type Client = pg.PoolClient;

/** The database, as a pool of connections and as a typed door to it. */
export type Database = {
  readonly url: string;
  readonly pool: pg.Pool;
  readonly db: Db;
  close(): Promise<void>;
};

/** int8 as bigint, whatever it holds: a count, an amount, a hash. Nothing of the book passes through a float. */
const TYPES: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 && format !== 'binary'
      ? (text: string) => BigInt(text)
      : oid === pg.types.builtins.DATE
        ? (text: string) => text
        : pg.types.getTypeParser(oid, format)) as pg.CustomTypesConfig['getTypeParser'],
};

/**
 * A stopped process must not hold a lock for ever, and nobody waits for one for ever. Compiling statements pays nowhere here: most are short,
 * and those that are not wait for rows.
 */
const SESSION_SETTINGS =
  '-c jit=off -c lock_timeout=60s -c statement_timeout=30min -c idle_in_transaction_session_timeout=';

/** Temporary tables live as long as their connection. The server can freeze nothing that is younger than the oldest of them. */
const LIFETIME_SECONDS = 3_600;

/**
 * Connects to the database.
 * @throws DatabaseAway when no connection can be made.
 */
export async function openDatabase(url: string, connections = 4, idleInTransaction = '60s'): Promise<Database> {
  const options = SESSION_SETTINGS + idleInTransaction;
  const pool = openPool({
    connectionString: url,
    max: connections,
    types: TYPES,
    options,
    maxLifetimeSeconds: LIFETIME_SECONDS,
  });
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  try {
    (await pool.connect()).release();
  } catch (error) {
    await pool.end();
    const reason = reasonOf(error);
    const cannot = reason.includes(' is unavailable (') ? 'cannot reach' : 'cannot open';
    throw new DatabaseAway(`${cannot} the database: ${reason}. ${mendFor(error)}`, { cause: error });
  }
  return { url, pool, db, close: () => pool.end() };
}

/** A pool that breaks nothing when a connection breaks, and whose errors name the server where that is why. */
export function openPool(settings: pg.PoolConfig & { readonly connectionString: string }): pg.Pool {
  const nameServer = postgresNamer(settings.connectionString);
  const pool = new pg.Pool(settings);
  // An idle connection that breaks is replaced by the pool; one in use fails its next statement. Without listeners either
  // would end the process.
  pool.on('error', () => {});
  pool.on('connect', (client) => {
    client.on('error', () => {});
    client.query = named(client.query.bind(client), nameServer) as typeof client.query;
  });
  pool.connect = named(pool.connect.bind(pool), nameServer) as typeof pool.connect;
  return pool;
}

/** The same function, whose promise is rejected, or whose callback is called, with what `nameServer` makes of an error. */
function named(call: (...given: never[]) => unknown, nameServer: (error: unknown) => unknown) {
  return (...given: unknown[]): unknown => {
    const last = given.at(-1);
    if (typeof last === 'function')
      given[given.length - 1] = (error: unknown, ...rest: unknown[]) => last(error && nameServer(error), ...rest);
    const result = call(...(given as never[]));
    if (!(result instanceof Promise)) return result;
    return result.catch((error: unknown) => {
      throw nameServer(error);
    });
  };
}

/** The database, and not what was asked of it, is why something failed: the same will work when it is back. */
export class DatabaseAway extends Unreachable {}

/**
 * What Postgres says when it cannot work for anybody: connections that break (08), a login that is not allowed (28), no room on
 * its disk, no memory or no connection left (53), a server that stops, has crashed or is starting (57P01 to 57P03), disk errors, a
 * database that is not there, and a standby, which can only be read.
 */
const AWAY_CODES = /^(08...|28...|53...|57P0[123]|58030|3D000|25006)$/;
/** What the client says without a code. */
const AWAY_WORDS =
  /^(Connection terminated|Client has encountered a connection error|Client was closed|Connection ended|timeout exceeded when trying to connect|timeout expired|Query read timeout)/;

export function isDatabaseAway(error: unknown): boolean {
  if (error instanceof DatabaseAway) return true;
  if (!(error instanceof Error) || error instanceof Unreachable) return false;
  const { code = '' } = error as NodeJS.ErrnoException;
  return AWAY_CODES.test(code) || isLostConnection(error) || AWAY_WORDS.test(error.message) || isOfTls(error);
}

/** It has no TLS, or a certificate that is not trusted, has expired, or is another's. */
const isOfTls = ({ code = '', message }: NodeJS.ErrnoException): boolean =>
  /^(ERR_TLS|ERR_SSL)|CERT|UNABLE_TO_VERIFY/.test(code) ||
  /^(The server does not support SSL|There was an error establishing an SSL)/.test(message);

/**
 * Which server it is, as it can be shown. The client knows what an address leaves out.
 * @throws UsageError where the address names a certificate that cannot be read.
 */
export function postgresAt(url: string): string {
  try {
    const { host, port } = new pg.Client({ connectionString: url });
    return `Postgres at ${host.includes(':') ? `[${host}]` : host}:${port}`;
  } catch (error) {
    throw new UsageError(`DATABASE_URL: ${(error as Error).message}. Correct it, or provide that file.`);
  }
}

/** Makes DatabaseAway of what says that this server is away, and leaves all else as it is. A code is kept for those who look at it. */
export function postgresNamer(url: string): <E>(error: E) => E | DatabaseAway {
  const server = postgresAt(url);
  return (error) => {
    if (error instanceof Unreachable || !isDatabaseAway(error)) return error;
    const { code } = error as { code?: unknown };
    const away = new DatabaseAway(awayText(server, reasonOf(error), whatItDoes(error as Error)), { cause: error });
    return code === undefined ? away : Object.assign(away, { code });
  };
}

/** A server that answers is not told to be away. */
function whatItDoes(error: Error): Parameters<typeof awayText>[2] {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (isOfTls(error)) return 'does not support the requested TLS';
  if (/^(28|3D)/.test(code)) return 'refuses the login';
  return /^(53|58030|25006)/.test(code) ? 'accepts no writes' : 'is unavailable';
}

function mendFor(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code.startsWith('28')) return 'Check the user and the password in DATABASE_URL, and pg_hba.conf of the server.';
  if (code === '3D000') return 'Create this database, or correct its name in DATABASE_URL.';
  if (code.startsWith('53')) return 'Check the log of the server, and its max_connections.';
  if (message.includes('does not support the requested TLS'))
    return 'Check sslmode and sslrootcert in DATABASE_URL against the certificate of the server.';
  return 'Check DATABASE_URL and that the server is up.';
}

const PING_MS = 3_000;

/** Asks the database whether it can be written to, on a connection of its own. Throws where it cannot. */
export async function pingDatabase(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: PING_MS, query_timeout: PING_MS });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ readOnly: boolean }>('select pg_is_in_recovery() as "readOnly"');
    const why = 'read only: it is a standby, or recovering';
    if (rows[0]!.readOnly) throw new DatabaseAway(awayText(postgresAt(connectionString), why, 'accepts no writes'));
  } catch (error) {
    throw postgresNamer(connectionString)(error);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Connections for looking: they take none from the work, change nothing, and give up on a database that hangs. */
export function openReadOnlyPool(connectionString: string, connectMs: number): pg.Pool {
  return openPool({
    connectionString,
    types: TYPES,
    // One for each look of the service at the whole, and one for the question whether it is ready.
    max: 5,
    connectionTimeoutMillis: connectMs,
    // The server ends what takes too long. Where the server itself hangs, its connection is left.
    query_timeout: 6_000,
    options: '-c statement_timeout=5s -c lock_timeout=1s -c default_transaction_read_only=on',
  });
}

/** The same as a database, for those who look again and again. */
export function openReadOnly(url: string, connectMs: number): Database {
  const pool = openReadOnlyPool(url, connectMs);
  return { url, pool, db: new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) }), close: () => pool.end() };
}

/** Runs `work` on one connection of its own, for temporary tables, COPY and explicit transactions. */
export async function onOneConnection<T>(
  { pool }: Pick<Database, 'pool'>,
  work: (db: Db, client: Client) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const lost = (error: Error) => {
    broken ??= error;
  };
  client.on('error', lost);
  try {
    const result = await work(dbOn(client), client);
    // What it is named after ends here: the next task on this connection is another one, and must not be ended for this one.
    await client.query('reset application_name');
    return result;
  } catch (error) {
    // Why the connection was lost says more than that a statement on it failed; a code says most.
    const isCoded = (error as { code?: unknown }).code !== undefined;
    const told = isCoded || !broken ? (error as Error) : broken;
    const cause = postgresNamer(pool.options.connectionString!)(told) as Error;
    broken ??= cause;
    throw cause;
  } finally {
    client.off('error', lost);
    // A connection on which something failed may still be inside a COPY or a transaction: end it.
    client.release(broken);
  }
}

/** A typed door to this one connection. Ending it leaves the connection alone. */
export function dbOn(client: Client): Db {
  const lent = Object.assign(Object.create(client), { query: client.query.bind(client), release: () => {} });
  const pool = { connect: async () => lent, end: async () => {} } as unknown as PostgresPool;
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
}

/** Streams blocks of COPY data into a table. `statement` is the COPY … FROM STDIN. */
export async function copyIn(client: Client, statement: string, blocks: AsyncIterable<Buffer> | Iterable<Buffer>) {
  await pipeline(blocks, client.query(copyFrom(statement)));
}

/** An address to show. Postgres takes a password behind the question mark, too. */
export function withoutPassword(url: string): string {
  const shown = URL.parse(url);
  if (!shown) return '***';
  if (shown.password !== '') shown.password = '***';
  for (const name of shown.searchParams.keys()) if (/password/i.test(name)) shown.searchParams.set(name, '***');
  return shown.href;
}
