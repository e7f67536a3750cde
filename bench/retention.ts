/**
 * What it takes to drop the rows of a large batch, to read them again, and what becomes of runs of other batches meanwhile: with a
 * table of its own, and among the rows of a month that stay.
 *
 *     node bench/retention.ts [--rows 1000000 --json]
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import { type Database, openDatabase } from '../src/adapters/postgres/connection.ts';
import { retain } from '../src/producers/retention/retain.ts';
import { reconcile } from '../src/workers/reconcile/reconcile.ts';
import { restoreRows } from '../src/workers/retention/restore-rows.ts';
import { type MadeBatch, makeBatch } from './make-batch.ts';
import { count, inPlace, median, megabytes, readOptions, tell, timeReconcile, timeSettlestream } from './place.ts';
import { type Bench, withRecords } from './records.ts';

const given = readOptions({ rows: 1_000_000 });
const OTHER_ROWS = 1_000;

type RecordMetric = {
  readonly of: string;
  readonly rowBytes: number;
  readonly idBytes: number;
  readonly dropSeconds: number;
  readonly restoreSeconds: number;
  /** Seconds that a run of a small batch takes: alone, and while rows are dropped. */
  readonly runAlone: number;
  readonly runMeanwhile: number;
  readonly slowestMeanwhile: number;
};

/** A small batch that stays, for nobody has a record of it. */
async function writeOther(dir: string): Promise<string> {
  const folder = join(dir, 'other/M1/20260106');
  await mkdir(folder, { recursive: true });
  const rows = Array.from({ length: OTHER_ROWS }, (_, no) => `OTHER,PAYMENT,t-${no},unknown-${no},10.00,USD,10.00,USD`);
  const header =
    'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
  await writeFile(join(folder, 'settlementItems_USD_OTHER_000.csv'), [header, ...rows, '<END>', ''].join('\n'));
  return join(dir, 'other');
}

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1_000;
};

const one = async (database: Database, statement: string): Promise<number> =>
  Number((await sql<{ n: string }>`${sql.raw(statement)}`.execute(database.db)).rows[0]!.n);

const ROW_BYTES = `select coalesce(sum(pg_total_relation_size(c.oid)), 0) as n from pg_class c where c.relname ~ '^report_row_' and c.relkind = 'r'`;

async function measure(
  of: string,
  { batch, signal, onFreshDatabase }: Bench,
  dir: string,
  chunkBytes: number,
): Promise<RecordMetric> {
  return onFreshDatabase(async (url) => {
    const dataDir = join(dir, of.replaceAll(' ', '-'));
    const env = { DATABASE_URL: url, SETTLESTREAM_CHUNK_BYTES: String(chunkBytes) };
    await timeReconcile(batch as MadeBatch, dataDir, { signal, env });
    const args = ['reconcile', await writeOther(dir), '--data-dir', dataDir, '--json'];
    await timeSettlestream(args, { signal, env }).catch((error: Error) => {
      // It has discrepancies, as it should.
      if (!error.message.includes('ended with')) throw error;
    });
    const database = await openDatabase(url, 6);
    try {
      return await inBook(of, database, join(dataDir, 'archive'));
    } finally {
      await database.close();
    }
  });
}

async function inBook(of: string, database: Database, archiveDir: string): Promise<RecordMetric> {
  const now = () => Date.now() + 3 * 365 * 86_400_000;
  const nothing = { enqueue: async () => {}, recordMetric: () => {}, logEvent: () => {}, calendars: null, now };
  const context = { database, ...nothing };
  const otherNo = await one(database, `select no as n from batch where batch_id = 'OTHER'`);
  const run = () =>
    seconds(async () => {
      await sql`select want_runs(array[${otherNo}]::int[], 'records')`.execute(database.db);
      await reconcile(context, { batchNo: otherNo, wanted: 1, attempt: 0 });
    });
  const before = await one(database, ROW_BYTES);
  await run();
  const alone: number[] = [];
  for (let at = 0; at < 15; at++) alone.push(await run());
  const meanwhile: number[] = [];
  let isDropping = true;
  const running = (async () => {
    while (isDropping) meanwhile.push(await run());
  })();
  const log = { info: () => {}, warn: (_: object, message: string) => tell(message) };
  const dropSeconds = await seconds(async () => {
    while (
      await retain({ database, archiveDir, now, log }, { rowsMonths: 12, rawTextMonths: null, archiveMonths: null })
    );
  });
  isDropping = false;
  await running;
  if ((await one(database, `select count(*) as n from load where rows_dropped_at is not null`)) !== 1)
    throw new Error('nothing was dropped');
  const loadNo = await one(database, `select load_no as n from dropped where what = 'rows'`);
  const idBytes = await one(database, `select pg_total_relation_size('dropped_ids') as n`);
  const restoreSeconds = await seconds(() => restoreRows(context, { loadNo, attempt: 0 }));
  return {
    of,
    rowBytes: before,
    idBytes,
    dropSeconds,
    restoreSeconds,
    runAlone: median(alone),
    runMeanwhile: median(meanwhile),
    slowestMeanwhile: Math.max(...meanwhile),
  };
}

await inPlace(async ({ dir, signal }) => {
  tell(`making ${count(given.rows)} rows …`);
  const batch = await makeBatch(dir, given.rows);
  await withRecords(dir, batch, signal, async (bench) => {
    const recordMetric = [
      await measure('a table of its own', bench, dir, 8 << 20),
      await measure('a shared month', bench, dir, 1 << 30),
    ];
    if (given.json) return void process.stdout.write(`${JSON.stringify({ rows: given.rows, recordMetric })}\n`);
    for (const {
      of,
      rowBytes,
      idBytes,
      dropSeconds,
      restoreSeconds,
      runAlone,
      runMeanwhile,
      slowestMeanwhile,
    } of recordMetric) {
      process.stdout.write(
        `${count(given.rows)} rows in ${of}: ${megabytes(rowBytes)} dropped in ${dropSeconds.toFixed(1)} s, leaving ids of ${megabytes(idBytes)}; ` +
          `read again in ${restoreSeconds.toFixed(1)} s. A run of another batch (${count(OTHER_ROWS)} rows) took ` +
          `${runAlone.toFixed(2)} s, meanwhile ${runMeanwhile.toFixed(2)} s, at most ${slowestMeanwhile.toFixed(2)} s.\n`,
      );
    }
  });
});
