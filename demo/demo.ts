import { existsSync, readdirSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Database } from '../src/adapters/postgres.ts';
import { readConfig } from '../src/config.ts';
import { KINDS } from '../src/domain/discrepancy.ts';
import { UsageError } from '../src/domain/errors.ts';
import { printJson, printTables, reconcilePaths, type Show } from '../src/verbs/reconcile.ts';
import * as query from '../src/views/answer.sql.ts';
import { PLANTED, plantFaults } from './faults.ts';
import { makeWeek } from './week.ts';
import { writeWeek } from './write.ts';

const WEEK = 'demo-week';
const SUGGESTED_DIR = 'demo-book';

/**
 * The whole path on made-up input: writes a week of reports with known faults, and reconciles it as `reconcile` does.
 * Without `dataDir` nothing is left behind. Returns the exit code.
 */
export async function demo({ dataDir, json }: { dataDir: string | null; json: boolean }): Promise<number> {
  if (dataDir !== null) refuseOthersFolder(resolve(dataDir));
  const weekDir = dataDir === null ? await mkdtemp(join(tmpdir(), 'settlestream-demo-')) : join(resolve(dataDir), WEEK);
  const stop = dataDir === null ? removeWhenStopped(weekDir) : () => {};
  try {
    const startedAt = Date.now();
    process.stderr.write('demo: writing a week of made-up reports\n');
    const week = makeWeek();
    plantFaults(week);
    const { reportsDir, recordsFile, files, rows } = await writeWeek(week, weekDir);
    process.stderr.write(
      `demo: ${files} reports with ${rows.toLocaleString('en')} rows and ${week.records.size.toLocaleString('en')} records of the merchant, in ${secondsSince(startedAt)} s; reconciling them\n`,
    );
    // The settings of this machine are for the user's own book: the made-up week must not get into it.
    const config = readConfig(dataDir === null ? {} : { dataDir }, {});
    let batchToShow = '';
    const showAll: Show = async (book, found) => {
      const outcome = await printTables(book, found);
      batchToShow = await mostToldBatch(book.database, found.batchNos);
      return outcome;
    };
    const reconcilingAt = Date.now();
    await reconcilePaths(config, { paths: [reportsDir], ledger: recordsFile, json }, json ? printJson : showAll);
    process.stderr.write(`demo: reconciled in ${secondsSince(reconcilingAt)} s\n`);
    if (!json) process.stdout.write(whatNext(dataDir, batchToShow));
    return 0;
  } finally {
    stop();
    if (dataDir === null) await rm(weekDir, { recursive: true, force: true });
  }
}

/** Made-up records must not get among real ones. */
function refuseOthersFolder(dataDir: string): void {
  if (!existsSync(dataDir) || existsSync(join(dataDir, WEEK)) || readdirSync(dataDir).length === 0) return;
  throw new UsageError(
    `${dataDir} is not empty and holds no demo: give the demo a folder of its own (--data-dir ${SUGGESTED_DIR}).`,
  );
}

/** A demo that is stopped leaves nothing behind either. */
function removeWhenStopped(dir: string): () => void {
  const stopped = (signal: NodeJS.Signals) => {
    rmSync(dir, { recursive: true, force: true });
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stopped);
  return () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stopped);
  };
}

async function mostToldBatch(database: Database, batchNos: readonly number[]): Promise<string> {
  const batches = (await query.batchesOf(database.db, { batchNos })).filter(({ batchId }) => batchId !== null);
  return batches.sort((a, b) => b.open - a.open)[0]!.batchId!;
}

function whatNext(dataDir: string | null, batch: string): string {
  // Where a database is set, looking goes there and not into the demo's book.
  const settlestream = `${process.env['DATABASE_URL'] ? 'DATABASE_URL= ' : ''}npx settlestream`;
  const at = `--data-dir ${dataDir === null ? SUGGESTED_DIR : shellWord(dataDir)}`;
  const look = [
    `  ${settlestream} discrepancies --kind unknown_transaction ${at}`,
    `  ${settlestream} show ${batch} ${at}`,
  ];
  const next =
    dataDir === null
      ? [
          'This book was a temporary one and is gone. To keep it, and look into it:',
          `  npx settlestream demo ${at}`,
          ...look,
        ]
      : ['The book and the reports are kept. To look into them:', `  ${settlestream} batches ${at}`, ...look];
  return [
    '',
    `All of this is made up, and every fault was planted: all ${KINDS.length} kinds that can be told, by ${PLANTED.length} mishaps (demo/faults.ts says what happened).`,
    '',
    ...next,
    '',
  ].join('\n');
}

const shellWord = (text: string): string => (/^[\w./~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const secondsSince = (startMs: number): string => ((Date.now() - startMs) / 1000).toFixed(1);
