import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openArchive } from '../../adapters/archive.ts';
import { type Database, openDatabase, withoutPassword } from '../../adapters/postgres/connection.ts';
import { EmbeddedPostgresFailed, openEmbeddedPostgres } from '../../adapters/postgres/embedded.ts';
import { migrate } from '../../adapters/postgres/migrations.ts';
import type { JobQueue } from '../../adapters/queue/queue.ts';
import type { Config } from '../../config/config.ts';
import { Unreachable, UsageError } from '../../domain/errors.ts';
import { JOBS } from '../../jobs.ts';
import { bookIdOf } from '../../store/book.ts';

/** The book of this call: where it is, and what goes away with it. */
export type Storage = {
  readonly database: Database;
  readonly archiveDir: string;
  /** For people: which database and queue are used. */
  readonly description: string;
  close(): Promise<void>;
};

export const DEFAULT_DATA_DIR = 'settlestream-data';

/**
 * Opens the book: the database that was named, else one of our own in the data folder, else, for verbs that may, a temporary
 * one that is thrown away at the end.
 */
export async function openStorage(config: Config, { mayBeTemporary }: { mayBeTemporary: boolean }): Promise<Storage> {
  const isTemporary = mayBeTemporary && !config.databaseUrl && !config.dataDir;
  const dataDir = isTemporary
    ? await mkdtemp(join(tmpdir(), 'settlestream-book-'))
    : resolve(config.dataDir ?? DEFAULT_DATA_DIR);
  const own = config.databaseUrl ? null : await openOwn(dataDir, isTemporary);
  const url = own?.url ?? config.databaseUrl!;
  const archiveDir = config.archive.folder ?? join(dataDir, 'archive');
  await openArchive(archiveDir).catch((error: Error) => {
    throw new UsageError(
      `The archive folder ${archiveDir} cannot be created: ${error.message}. Choose one that this user can write, with archive.folder or --data-dir.`,
    );
  });
  const database = await openDatabase(url, 6);
  const where = own ? `its own Postgres in ${dataDir}${isTemporary ? ' (temporary)' : ''}` : withoutPassword(url);
  const queue = config.redisUrl ? `Redis at ${withoutPassword(config.redisUrl)}` : 'in the same Postgres';
  return {
    database,
    archiveDir,
    description: `database: ${where} · queue: ${queue}`,
    async close() {
      await database.close();
      await own?.close();
    },
  };
}

/** Opens the database of this call, brought up to date, for a verb that reads; the exit code is 0 when it was read. */
export async function withDatabase(
  config: Config,
  act: (database: Database) => Promise<number> | Promise<void>,
): Promise<number> {
  const storage = await openStorage(config, { mayBeTemporary: false });
  try {
    process.stderr.write(`settlestream: ${storage.description}\n`);
    await migrate(storage.database);
    const code = await act(storage.database);
    return typeof code === 'number' ? code : 0;
  } finally {
    await storage.close();
  }
}

async function openOwn(dataDir: string, isTemporary: boolean) {
  try {
    return await openEmbeddedPostgres({ dataDir, throwaway: isTemporary });
  } catch (error) {
    if (error instanceof EmbeddedPostgresFailed) throw new Unreachable(error.message);
    throw error;
  }
}

/** The queue of a book, ready to use. Its library is the largest of all, and looking into a book needs none of it. */
export async function openQueueOf(config: Config, { database }: Storage): Promise<JobQueue> {
  const { openQueue } = await import('../../adapters/queue/queue.ts');
  const redis = config.redisUrl ? { redisUrl: config.redisUrl } : {};
  return openQueue({ databaseUrl: database.url, bookId: await bookIdOf(database.db), ...redis });
}

/** Puts a job on the queue for a parser process, which cannot reach the queue itself. */
export const enqueueNamed = (queue: JobQueue, name: string, payload: object, delayMs: number): Promise<void> =>
  queue.enqueue(JOBS.find((job) => job.name === name)!, payload, { delayMs });

export { migrate };
