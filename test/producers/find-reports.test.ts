/** What a round of looking makes of a server that goes away in the middle of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '../../src/adapters/postgres/connection.ts';
import { openFolders } from '../../src/adapters/source-files/local-folder.ts';
import type { SourceFiles } from '../../src/adapters/source-files/source-files.ts';
import { Denied, Unreachable } from '../../src/domain/errors.ts';
import { findReports } from '../../src/producers/discovery/find-reports.ts';
import { ingestReport } from '../../src/workers/ingest/ingest-report.ts';
import { temporaryFolder, writeFiles } from '../support/book.ts';
import { contextOf, filesAt } from '../support/context.ts';
import { freshDatabase } from '../support/postgres.ts';
import { zipOf } from '../support/sheets.ts';

const NAME = 'settlementItems_USD_B1_000';
const CSV = [
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
  'B1,PAYMENT,t-1,p-1,1.00,USD,1.00,USD',
  '<END>',
  '',
].join('\n');

test('a zip that the server does not give says nothing of itself: it is looked into again, and read again', async () => {
  const folder = writeFiles(temporaryFolder(), {
    // Its own name is a report's, and so is that of the file inside.
    [`M1/20260105/${NAME}.zip`]: zipOf([{ name: `${NAME}.csv`, content: CSV }]),
    'M1/20260105/settlementItems_USD_B2_000.csv': [CSV.replace('B1', 'B2').trimEnd()],
  });
  const database = await openDatabase(await freshDatabase(), 4);
  try {
    /** What comes instead of the bytes of a zip. */
    let failure: Error | null = new Unreachable('the line was cut');
    const place: SourceFiles = {
      ...openFolders(),
      async *blocks(path, from, to) {
        if (failure && path.endsWith('.zip')) throw failure;
        yield* openFolders().blocks(path, from, to);
      },
    };
    const asked: number[] = [];
    const enqueue = async (_: unknown, payload: unknown) =>
      void asked.push((payload as { deliveryNo?: number }).deliveryNo ?? 0);
    const look = () => findReports({ database, enqueue }, filesAt(folder), place, () => true);

    const first = await look();
    assert.deepEqual([first.deliveryNos.length, first.notReports, first.unseen], [1, [], [failure]]);
    failure = null;
    const second = await look();
    assert.deepEqual([second.deliveryNos.length, second.notReports, second.unseen], [2, [], []]);

    const context = { ...contextOf(database, enqueue, temporaryFolder()), sourceFilesOf: async () => place };
    const zip = second.deliveryNos.find((no) => !first.deliveryNos.includes(no))!;
    for (failure of [new Unreachable('the line was cut'), new Denied('not for you')])
      await assert.rejects(ingestReport(context, { deliveryNo: zip, attempt: 0 }), failure);
    failure = null;
    await ingestReport(context, { deliveryNo: zip, attempt: 1 });
    const { rows } = await database.pool.query('select state, error_code from delivery where no = $1', [zip]);
    assert.deepEqual(rows, [{ state: 'closed', error_code: null }]);
  } finally {
    await database.close();
  }
});

test('a round in which nothing says whose a report is takes all the others, and tells of it again in the next', async () => {
  const folder = writeFiles(temporaryFolder(), {
    'settlementItems_USD_B3_000.csv': [CSV.replace('B1', 'B3').trimEnd()],
    'M1/20260105/settlementItems_USD_B1_000.csv': [CSV.trimEnd()],
    'M2/20260105/settlementItems_USD_B2_000.csv': [CSV.replace('B1', 'B2').trimEnd()],
  });
  const database = await openDatabase(await freshDatabase(), 4);
  try {
    const context = { database, enqueue: async () => {}, isForGood: true };
    const look = () => findReports(context, filesAt(folder), openFolders(), () => true);
    for (const round of [await look(), await look()]) {
      const refused = round.notReports.map(({ file, code, isRefused, why }) => [
        file,
        code,
        isRefused,
        /M1, M2/.test(why),
      ]);
      assert.deepEqual(
        [round.deliveryNos.length, refused],
        [2, [['settlementItems_USD_B3_000.csv', 'unclear_merchant', true, true]]],
      );
    }
  } finally {
    await database.close();
  }
});
