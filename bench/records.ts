/** A Postgres of the benchmark's own that holds the records of a batch, as often as they are needed. */
import { join } from 'node:path';
import pg from 'pg';
import { openEmbeddedPostgres } from '../src/adapters/postgres/embedded.ts';
import type { MadeBatch } from './make-batch.ts';
import { removeBook, tell, timeSettlestream } from './place.ts';

export type Bench = {
  readonly batch: MadeBatch;
  readonly serverDir: string;
  readonly signal: AbortSignal;
  readonly postgres: string;
  /** Runs `work` with the URL of a new database that holds the records, all of it written to disk. */
  onFreshDatabase<T>(work: (url: string) => Promise<T>): Promise<T>;
};

/** Imports the records once, into the database that all others are copies of. */
export const withRecords = (
  dir: string,
  batch: MadeBatch,
  signal: AbortSignal,
  work: (bench: Bench) => Promise<void>,
): Promise<void> =>
  withServer(dir, signal, async ({ query, urlOf, version, serverDir }) => {
    await query('create database bench_template');
    const env = { DATABASE_URL: urlOf('bench_template') };
    const { seconds } = await timeSettlestream(['ledger', 'import', batch.recordsFile], { signal, env });
    // As autovacuum would have done by the time that the reports come; in the middle of a run it would disturb one of the two.
    await query('vacuum (analyze) record', 'bench_template');
    tell(`records imported in ${seconds.toFixed(1)} s`);
    await work({
      batch,
      serverDir,
      signal,
      postgres: version,
      async onFreshDatabase(work) {
        signal.throwIfAborted();
        await query('create database bench template bench_template strategy file_copy');
        await query('checkpoint');
        return work(urlOf('bench')).finally(() => query('drop database bench with (force)'));
      },
    });
  });

export type Server = {
  readonly serverDir: string;
  readonly version: string;
  urlOf(database: string): string;
  query(text: string, database?: string): Promise<pg.QueryResult>;
};

/** A Postgres of the benchmark's own. */
export async function withServer(
  dir: string,
  signal: AbortSignal,
  work: (server: Server) => Promise<void>,
): Promise<void> {
  signal.throwIfAborted();
  const serverDir = join(dir, 'server');
  // Kept rather than throwaway settings: what is measured must be safe against a power cut.
  const { url, close } = await openEmbeddedPostgres({ dataDir: serverDir });
  const urlOf = (database: string) => url.replace(/[^/]*$/, database);
  const query = async (text: string, database = 'settlestream') => {
    const client = new pg.Client({ connectionString: urlOf(database) });
    await client.connect();
    return client.query(text).finally(() => client.end());
  };
  try {
    const version = (await query('show server_version')).rows[0].server_version;
    await work({ serverDir, version, urlOf, query });
  } finally {
    await close();
    await removeBook(serverDir);
  }
}
