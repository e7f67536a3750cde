/** The last two files of a batch close at the same moment: the batch is reconciled, with both. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Database, openDatabase } from '../src/adapters/postgres/connection.ts';
import { type Enqueue, type JobKind, reconcile } from '../src/jobs.ts';
import { importLedger } from '../src/producers/records/import-ledger.ts';
import { ingestReport } from '../src/workers/ingest/ingest-report.ts';
import { closeLoad } from '../src/workers/load/close-load.ts';
import { runJob } from '../src/workers/runtime/run-job.ts';
import { checkBook, query, temporaryFolder, writeFiles } from './support/book.ts';
import { contextOf, listFolder } from './support/context.ts';
import { freshDatabase } from './support/postgres.ts';
import { sized } from './support/size.ts';

/** How often the two meet. Nothing is left to chance: both stand behind a barrier with everything but the closing done. */
const MEETINGS = Number(process.env['SETTLESTREAM_TEST_MEETINGS'] ?? sized(50, 500));

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';

test(`two last files at once, ${MEETINGS} times`, async () => {
  const files: Record<string, string[]> = {
    'records.csv': ['requestId,type,amount,currency,status,occurredAt'],
  };
  for (let no = 0; no < MEETINGS; no++) {
    for (const part of [0, 1]) {
      const id = `${no}-${part}`;
      files['records.csv']!.push(`p-${id},PAYMENT,1.00,USD,SUCCESS,2026-01-04T10:00:00+08:00`);
      files[`reports/M1/20260105/settlementItems_USD_B${no}_00${part}.csv`] = [
        HEADER,
        `B${no},PAYMENT,t-${id},p-${id},1.00,USD,1.00,USD`,
        '<END>',
      ];
    }
  }
  const folder = writeFiles(temporaryFolder(), files);
  const archiveDir = temporaryFolder();
  const url = await freshDatabase();
  const [one, other] = [await openDatabase(url, 4), await openDatabase(url, 4)];
  try {
    await importLedger(one, join(folder, 'records.csv'), 'M1', () => {});
    const loads = await untilLoaded(one, join(folder, 'reports'), archiveDir);
    assert.equal(loads.length, MEETINGS, 'batches of two loads that are ready to close');

    const asked: { batchNo: number; wanted: number; attempt: number }[] = [];
    const enqueue: Enqueue = async <P>(job: JobKind<P>, payload: P) => {
      if (job.name === reconcile.name) asked.push(payload as never);
    };
    for (const pair of loads) {
      await Promise.all([
        closeLoad(contextOf(one, enqueue, archiveDir), { loadNo: pair[0]! }),
        closeLoad(contextOf(other, enqueue, archiveDir), { loadNo: pair[1]! }),
      ]);
    }
    const closed = await query<{ wanted: number; batches: number }>(
      url,
      'select wanted, count(*)::int as batches from batch group by 1',
    );
    assert.deepEqual(closed, [{ wanted: 2, batches: MEETINGS }], 'each of the two asked for a run');
    assert.equal(new Set(asked.filter(({ wanted }) => wanted === 2).map(({ batchNo }) => batchNo)).size, MEETINGS);

    const context = contextOf(one, enqueue, archiveDir);
    for (const payload of asked) await runJob(context, reconcile.name, payload);
    const runs = await query<{ loads: number; batches: number }>(
      url,
      `select loads, count(*)::int as batches from (
         select b.no, count(*)::int as loads from batch b join run_load rl on rl.run_no = b.current_run where b.done = b.wanted group by 1) counted
        group by 1`,
    );
    assert.deepEqual(runs, [{ loads: 2, batches: MEETINGS }], 'each batch is reconciled with both of its files');
    await checkBook(url);
  } finally {
    await one.close();
    await other.close();
  }
});

/** Brings all files to where only the closing is left, as if each worker had died there. Returns the loads of each batch. */
async function untilLoaded(database: Database, folder: string, archiveDir: string): Promise<number[][]> {
  const enqueue: Enqueue = async () => {};
  const found = await listFolder(database, enqueue, folder);
  await query(
    database.url,
    `create function die() returns trigger language plpgsql as 'begin raise exception ''died before closing''; end';
     create trigger die before update on load for each row when (new.state = 'closed') execute function die()`,
  );
  for (const deliveryNo of found.deliveryNos) {
    const ingested = ingestReport(contextOf(database, enqueue, archiveDir), { deliveryNo, attempt: 0 });
    await assert.rejects(ingested, /died before closing/);
  }
  await query(database.url, 'drop trigger die on load');
  const { rows } = await database.pool.query<{ loads: number[] }>(
    `select array_agg(l.no order by l.no) as loads from load l join report r on r.no = l.report_no
      where l.state = 'loaded' group by r.batch_no having count(*) = 2`,
  );
  return rows.map((row) => row.loads);
}
