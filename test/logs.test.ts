/** What the service says of its work: enough to find a report, batch or run again, and nothing that is nobody's business. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Redis } from 'ioredis';
import { startSftpServer } from '../demo/sftp-server.ts';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { startRedis } from './support/redis.ts';
import { type Started, settlestream, startSettlestream } from './support/settlestream.ts';

const PASSWORDS = { sftp: 'sftp-s3cret', redis: 'redis-s3cret' };
/** Stands in cells of every row. */
const CELL = 'cell-of-a-row';
const HEADER =
  'settlementBatchId,customerId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,orderDescription';
const rowOf = (batch: string, amount = '10.00') =>
  `${batch},C1,PAYMENT,${CELL}-t-${batch},${CELL}-${batch},${amount},USD,10.00,USD,${CELL}`;
const summaryOf = (batch: string) => [
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
  `${batch},TOTAL,1,10.00,USD`,
  '<END>',
];
const reportsOf = (batch: string, details: readonly string[]) => ({
  [`v1/settlements/M1/20260105/settlementItems_USD_${batch}_000.csv`]: [...details, '<END>'],
  [`v1/settlements/M1/20260105/settlementSummary_USD_${batch}_000.csv`]: summaryOf(batch),
});

type Line = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg: string };
const linesOf = (stderr: string): Line[] =>
  stderr
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

const folder = temporaryFolder();
const reports = join(folder, 'reports');
const url = await freshDatabase();
const redis = await startRedis();
after(() => redis.stop());
mkdirSync(reports);
const sftp = await startSftpServer({ folder: reports, username: 'reader', password: PASSWORDS.sftp });
after(() => sftp.close());

const secrets = [...Object.values(PASSWORDS), decodeURIComponent(new URL(url).password)];
const env = {
  DATABASE_URL: url,
  REDIS_URL: redis.url.replace('redis://', `redis://:${PASSWORDS.redis}@`),
  SFTP_PASSWORD: PASSWORDS.sftp,
  SETTLESTREAM_DATA_DIR: join(folder, 'data'),
};
const settings = [
  'pollSeconds: 1',
  'processes: 2',
  'sources:',
  `- { name: provider, merchantId: M1, lookbackDays: 36500, sftp: { host: ${sftp.host}, port: ${sftp.port}, username: reader, passwordEnv: SFTP_PASSWORD, hostKeySha256: "${sftp.hostKeySha256}" } }`,
  `- { name: away, merchantId: M2, sftp: { host: 127.0.0.1, port: 1, username: reader, passwordEnv: SFTP_PASSWORD, hostKeySha256: "${sftp.hostKeySha256}" } }`,
];
const start = (level: string) =>
  startSettlestream(['run', '--config', join(folder, 'settlestream.yaml')], {
    env: { ...env, SETTLESTREAM_LOG_LEVEL: level },
  });
const stop = async (service: Started): Promise<string> => {
  service.kill('SIGTERM');
  const { code, stderr } = await service.ended;
  assert.equal(code, 0, stderr);
  return stderr;
};

/** Of the service while nothing goes wrong but what stands in the reports, and while much else does. */
let well: string;
let sick: string;

before(async () => {
  const client = new Redis(redis.url);
  await client.config('SET', 'requirepass', PASSWORDS.redis);
  client.disconnect();
  writeFiles(folder, {
    'settlestream.yaml': settings,
    'records.csv': [
      'merchantId,requestId,type,amount,currency,status,occurredAt',
      ...['A1', 'A2', 'A3'].map((id) => `M1,${CELL}-${id},PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00`),
    ],
  });
  assert.equal((await settlestream(['ledger', 'import', join(folder, 'records.csv')], { env })).code, 0);

  writeFiles(reports, {
    ...reportsOf('A1', [HEADER, rowOf('A1')]),
    ...reportsOf('A2', [HEADER, rowOf('A2', '9.00'), `${rowOf('A2')},,,surplus-${CELL}`]),
    'v1/settlements/M1/20260105/settlementItems_USD_A9_000.csv': ['no,columns,of,ours', CELL, '<END>'],
  });
  const quiet = start('debug');
  await Promise.all([
    quiet.says(/"batch":"A1".*"state":"reconciled"/),
    quiet.says(/"batch":"A2".*"state":"discrepant"/),
    quiet.says(/"outcome":"refused"/),
    quiet.says(/"source":"away".*poll failed/),
  ]);
  well = await stop(quiet);

  // Its first tries fail: a parser is killed in the middle of loading, and then the book refuses to publish.
  await query(
    url,
    `create sequence tries;
     create sequence runs;
     create function slow_once() returns trigger language plpgsql as 'begin if nextval(''tries'') = 1 then perform pg_sleep(60); end if; return new; end';
     create trigger slow before update on chunk for each row when (new.state = 'loaded') execute function slow_once();
     create function fail_once() returns trigger language plpgsql as 'begin if nextval(''runs'') < 3 then raise exception ''made to fail''; end if; return new; end';
     create trigger fail before insert on run for each row execute function fail_once()`,
  );
  writeFiles(reports, reportsOf('A3', [HEADER, rowOf('A3')]));
  const disturbed = start('info');
  const loading = `select pid from pg_stat_activity where datname = current_database() and query like '%update chunk%' and wait_event = 'PgSleep'`;
  while ((await query(url, loading)).length === 0) await new Promise((wake) => setTimeout(wake, 20));
  const parsers = spawnSync('pgrep', ['-P', String(disturbed.pid)], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n');
  for (const pid of parsers) process.kill(Number(pid), 'SIGKILL');
  await disturbed.says(/"batch":"A3".*"state":"reconciled"/);
  sick = await stop(disturbed);
});

test('every line of a job says what it is about', () => {
  const ofJobs = [...linesOf(well), ...linesOf(sick)].filter((line) => 'job' in line && line.msg !== 'queue');
  assert.ok(ofJobs.length > 15, `${ofJobs.length} lines`);
  for (const line of ofJobs) {
    const named = ['source', 'batch', ...(line['job'] === 'reconcile' ? [] : ['report'])];
    for (const name of named) assert.equal(typeof line[name], 'string', `${name} in ${JSON.stringify(line)}`);
    if (line.msg === 'run published') assert.equal(typeof line['run'], 'number', JSON.stringify(line));
  }
});

test('what failed is told with what it was about, and so is what came of it', () => {
  const failed = linesOf(sick).filter(({ msg }) => msg === 'failed, will be tried again');
  const killed = failed.find(({ error }) => /SIGKILL/.test(String(error)));
  assert.deepEqual([killed?.['source'], killed?.['batch'], killed?.['attempts']], ['provider', 'A3', 1]);
  assert.match(String(killed?.['report']), /^settlement(Items|Summary)_USD_A3_000$/);
  const refused = failed.find(({ error }) => /made to fail/.test(String(error)));
  assert.deepEqual([refused?.['job'], refused?.['source'], refused?.['batch']], ['reconcile', 'provider', 'A3']);
});

test('a line a report and a line a run, at the usual level', () => {
  const counts: Record<string, number> = {};
  for (const { msg, level } of linesOf(well)) if (level === 30) counts[msg] = (counts[msg] ?? 0) + 1;
  assert.equal(counts['report read'], 5);
  const runs = counts['run published']!;
  assert.ok(runs >= 2 && runs <= 5, `${runs} runs`);
  const others = linesOf(well).filter((line) => line.level === 30 && !('job' in line));
  assert.ok(others.length < 8, 'and some of start and end');
  assert.equal(linesOf(well).filter(({ level }) => level === 30).length, 5 + runs + others.length);
  assert.ok(linesOf(sick).every(({ level }) => level >= 30));
});

test('neither secrets nor cells of rows are in it, at any level', () => {
  for (const said of [well, sick]) {
    for (const secret of [...secrets, CELL, 'surplus'])
      assert.ok(!said.includes(secret), `${secret}: ${said.split('\n').find((line) => line.includes(secret))}`);
  }
});
