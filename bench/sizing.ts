/**
 * What a million rows take: seconds of a core, memory, and room on disk for rows, index, records and archive.
 *
 *     node bench/sizing.ts [--rows 1000000] [--processes 2] [--json]
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { openEmbeddedPostgres } from '../src/adapters/postgres/embedded.ts';
import { makeBatch } from './make-batch.ts';
import type { CpuSeconds, Peak } from './memory-of.ts';
import {
  count,
  inPlace,
  megabytes,
  readOptions,
  removeBook,
  tell,
  timeReconcile,
  timeSettlestream,
  type Workspace,
} from './place.ts';

const given = readOptions({ rows: 1_000_000, processes: 2 });

type Result = {
  readonly rows: number;
  readonly processes: number;
  readonly seconds: number;
  readonly cpu: CpuSeconds | null;
  readonly memory: Peak | null;
  /** In bytes. */
  readonly disk: Readonly<
    Record<'report' | 'archive' | 'rows' | 'index' | 'records' | 'recordIndexes' | 'rest', number>
  >;
};

async function measure({ dir, signal }: Workspace): Promise<void> {
  tell(`making ${count(given.rows)} rows …`);
  const batch = await makeBatch(dir, given.rows);
  const serverDir = join(dir, 'server');
  const dataDir = join(dir, 'book');
  const server = await openEmbeddedPostgres({ dataDir: serverDir });
  try {
    const env = { DATABASE_URL: server.url, SETTLESTREAM_PROCESSES: String(given.processes) };
    await timeSettlestream(['ledger', 'import', batch.recordsFile], { signal, env });
    tell('reconciling them …');
    const timed = await timeReconcile(batch, dataDir, { signal, env, watched: serverDir });
    const disk = {
      report: sizeOf(batch.reportsDir),
      archive: sizeOf(join(dataDir, 'archive')),
      ...(await sizesIn(server.url)),
    };
    const result = { rows: given.rows, processes: given.processes, ...timed, disk };
    process.stdout.write(given.json ? `${JSON.stringify(result)}\n` : `${textOf(result)}\n`);
  } finally {
    await server.close();
    await removeBook(serverDir);
  }
}

function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** A large load has a table of its own; small ones share one. */
async function sizesIn(url: string) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('checkpoint');
    const { rows } = await client.query<Record<'rows' | 'index' | 'records' | 'recordIndexes' | 'all', string>>(`
      select sum(pg_table_size(c.oid)) filter (where c.relname like 'report_row%') as rows,
             sum(pg_indexes_size(c.oid)) filter (where c.relname like 'report_row%') as index,
             sum(pg_table_size(c.oid)) filter (where c.relname = 'record') as records,
             sum(pg_indexes_size(c.oid)) filter (where c.relname = 'record') as "recordIndexes",
             pg_database_size(current_database()) as all
        from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace`);
    const { all, ...sizes } = Object.fromEntries(Object.entries(rows[0]!).map(([name, size]) => [name, Number(size)]));
    const { rows: ofRows = 0, index = 0, records = 0, recordIndexes = 0 } = sizes;
    return { rows: ofRows, index, records, recordIndexes, rest: all! - ofRows - index - records - recordIndexes };
  } finally {
    await client.end();
  }
}

function textOf({ rows, processes, seconds, cpu, memory, disk }: Result): string {
  const perMillion = (bytes: number) => megabytes((bytes / rows) * 1_000_000);
  const perCoreSecond = (used: number) => count(Math.round(rows / used));
  return [
    `${count(rows)} rows in ${seconds.toFixed(1)} s, with ${processes} parser processes`,
    cpu === null
      ? 'what they used of the processor is read from /proc, which this system has not'
      : `${perCoreSecond(cpu.node + cpu.postgres)} rows a core-second: ${cpu.node.toFixed(1)} s of node, ${cpu.postgres.toFixed(1)} s of Postgres`,
    ...(memory
      ? [`memory at its peak: node ${megabytes(memory.node.pssBytes)}, postgres ${megabytes(memory.postgres.pssBytes)}`]
      : []),
    '',
    '| of a million rows | on disk |',
    '|---|---:|',
    `| the report, as it came | ${perMillion(disk.report)} |`,
    `| its copy in the archive | ${perMillion(disk.archive)} |`,
    `| rows in the book | ${perMillion(disk.rows)} |`,
    `| their index | ${perMillion(disk.index)} |`,
    `| your records of them | ${perMillion(disk.records)} |`,
    `| their indexes | ${perMillion(disk.recordIndexes)} |`,
    `| everything else in the database, in all | ${megabytes(disk.rest)} |`,
  ].join('\n');
}

await inPlace(measure);
