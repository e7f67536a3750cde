import { statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { openEmbeddedPostgres } from '../src/adapters/postgres/embedded.ts';

/** Reports that became part of a book in a span of time, and for how long they had lain on the server by then, added up. */
export type Lag = { readonly reports: number; readonly seconds: number };

type Closed = { readonly path: string; readonly closedAt: Date };

/** What metrics of lag have to say, from two other witnesses: the files on the provider's disk, and the book. */
export async function lagOf(dataDir: string, reportsDir: string, since: Date): Promise<(until: Date) => Lag> {
  const { url, close } = await openEmbeddedPostgres({ dataDir });
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    const { rows } = await client.query<Closed>(
      `select d.path, l.closed_at as "closedAt" from load l join delivery d on d.no = l.delivery_no where l.closed_at > $1`,
      [since],
    );
    const reports = rows.map(({ path, closedAt }) => ({
      closedAt,
      // SFTP tells whole seconds.
      seconds: closedAt.getTime() / 1_000 - Math.floor(statSync(join(reportsDir, path)).mtimeMs / 1_000),
    }));
    return (until) => {
      const closed = reports.filter(({ closedAt }) => closedAt <= until);
      return { reports: closed.length, seconds: closed.reduce((sum, { seconds }) => sum + seconds, 0) };
    };
  } finally {
    await client.end();
    await close();
  }
}
