/** The database goes away under the work: nothing is given up, no try is counted, and the work goes on by itself. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { checkBook, query, temporaryFolder, writeFiles } from '../support/book.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { startRedis } from '../support/redis.ts';
import { startServerPostgres } from '../support/server-postgres.ts';
import { type Started, settlestream, startSettlestream } from '../support/settlestream.ts';

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const reportsOf = (batch: string) => ({
  [`M1/20260105/settlementItems_USD_${batch}_000.csv`]: [
    HEADER,
    `${batch},PAYMENT,t-${batch},p-${batch},10.00,USD,10.00,USD`,
    '<END>',
  ],
});
const RECORDS = [
  'requestId,type,amount,currency,status,occurredAt',
  'p-A1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00Z',
];

const postgres = await startServerPostgres();
const redis = await startRedis();
after(() => Promise.all([postgres.stop(), redis.stop()]));

async function startService(queue: 'postgres' | 'redis') {
  const folder = temporaryFolder();
  const reports = join(folder, 'reports');
  mkdirSync(reports);
  postgres.run('createdb', [`book_${queue}`]);
  const url = postgres.url.replace(/[^/]+$/, `book_${queue}`);
  const env = {
    DATABASE_URL: url,
    SETTLESTREAM_DATA_DIR: join(folder, 'data'),
    SETTLESTREAM_POLL_SECONDS: '1',
    SETTLESTREAM_PROCESSES: '2',
    ...(queue === 'redis' ? { REDIS_URL: redis.url } : {}),
  };
  writeFiles(folder, { 'records.csv': RECORDS });
  assert.equal((await settlestream(['ledger', 'import', join(folder, 'records.csv')], { env })).code, 0);
  const service = startSettlestream(['run', '--folder', reports], { env });
  after(() => service.kill('SIGKILL'));
  const page = JSON.parse(await service.says(/"pages: /)).url as string;
  const reconciled = (batch: string) => service.says(new RegExp(`"batch":"${batch}".*"run published"`));
  return { queue, url, reports, service, page, reconciled };
}

const parsersOf = ({ pid }: Started): number[] =>
  spawnSync('ps', ['-o', 'pid=,args=', '--ppid', String(pid)], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line.includes('parser-process.'))
    .map((line) => Number.parseInt(line, 10));

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; !(await isTrue()); await delay(50))
    assert.ok(Date.now() < deadline, `this did not come about: ${what}`);
}

test('parsers that start while the database is away work when it is back, on both queues', async () => {
  const services = await Promise.all((['postgres', 'redis'] as const).map(startService));
  for (const { reports } of services) writeFiles(reports, reportsOf('A1'));
  await Promise.all(services.map(({ reconciled }) => reconciled('A1')));

  await postgres.kill();
  for (const { service, page, reports } of services) {
    const before = parsersOf(service);
    for (const pid of before) process.kill(pid, 'SIGKILL');
    await until('new parsers', () => {
      const now = parsersOf(service);
      return now.length === 2 && !now.some((pid) => before.includes(pid));
    });
    writeFiles(reports, reportsOf('A2'));
    const ready = await fetch(`${page}/readyz`);
    assert.equal(ready.status, 503);
  }
  // They have looked for it by then, in vain.
  await delay(2_000);
  await postgres.start();
  for (const { reports } of services) writeFiles(reports, reportsOf('A3'));
  await Promise.all(services.flatMap(({ reconciled }) => [reconciled('A2'), reconciled('A3')]));
  for (const { url, page } of services) {
    await until('ready again', async () => (await fetch(`${page}/readyz`)).status === 200);
    await checkBook(url);
    const counted = `select from delivery where attempts > 0 union all select from batch where attempts > 0`;
    assert.deepEqual(await query(url, counted), []);
  }
});
