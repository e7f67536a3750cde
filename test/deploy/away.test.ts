/** What docs/operating.md says of a part that is away: nothing ends, nothing is lost, and it goes on by itself. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { query, temporaryFolder, writeFiles } from '../support/book.ts';
import { startRedis } from '../support/redis.ts';
import { startServerPostgres } from '../support/server-postgres.ts';
import { settlestream, startSettlestream } from '../support/settlestream.ts';

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const reportsOf = (batch: string) => ({
  [`M1/20260105/settlementItems_USD_${batch}_000.csv`]: [
    HEADER,
    `${batch},PAYMENT,t-${batch},p-1,10.00,USD,10.00,USD`,
    '<END>',
  ],
});

test('the database and the archive go away and come back while the service runs', async () => {
  const folder = temporaryFolder();
  const reports = join(folder, 'reports');
  mkdirSync(reports);
  const postgres = await startServerPostgres();
  const redis = await startRedis();
  after(() => Promise.all([postgres.stop(), redis.stop()]));
  const env = {
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    SETTLESTREAM_DATA_DIR: join(folder, 'data'),
    SETTLESTREAM_POLL_SECONDS: '1',
    SETTLESTREAM_PROCESSES: '1',
  };
  writeFiles(folder, {
    'records.csv': [
      'requestId,type,amount,currency,status,occurredAt',
      'p-1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00Z',
    ],
  });
  assert.equal((await settlestream(['ledger', 'import', join(folder, 'records.csv')], { env })).code, 0);
  const service = startSettlestream(['run', '--folder', reports], { env });
  const page = JSON.parse(await service.says(/"pages: /)).url;
  const reconciled = (batch: string) => service.says(new RegExp(`"batch":"${batch}".*"run published"`));
  /** Status and text of each page. */
  const pages = async () => {
    const all = await Promise.all(['healthz', 'readyz', 'metrics'].map((name) => fetch(`${page}/${name}`)));
    const [healthz, readyz, metrics] = all.map(({ status }) => status);
    return { healthz, readyz, metrics, reasons: await all[1]!.text() };
  };
  writeFiles(reports, reportsOf('A1'));
  await reconciled('A1');

  await postgres.kill();
  writeFiles(reports, reportsOf('A2'));
  await service.says(/poll failed/);
  const { reasons, ...status } = await pages();
  assert.deepEqual(status, { healthz: 200, readyz: 503, metrics: 200 });
  assert.match(
    reasons,
    new RegExp(`^database: Postgres at ${postgres.host}:${postgres.port} is unavailable \\(.+\\); retrying`),
  );
  await postgres.start();
  await reconciled('A2');
  assert.equal((await pages()).readyz, 200);

  renameSync(join(folder, 'data/archive'), join(folder, 'data/elsewhere'));
  writeFiles(join(folder, 'data'), { archive: ['no folder any more'] });
  writeFiles(reports, reportsOf('A3'));
  await service.says(/"report":"settlementItems_USD_A3_000".*"what":"archive"/);
  assert.match((await pages()).reasons, /^archive: .*does not exist/);
  renameSync(join(folder, 'data/archive'), join(folder, 'data/not-a-folder'));
  renameSync(join(folder, 'data/elsewhere'), join(folder, 'data/archive'));
  await reconciled('A3');

  service.kill('SIGTERM');
  assert.equal((await service.ended).code, 0);
  const parked = `select from delivery where parked_reason is not null union all select from batch where parked_reason is not null or done < wanted`;
  assert.deepEqual(await query(postgres.url, parked), []);
});
