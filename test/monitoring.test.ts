/**
 * The program runs, and a real Prometheus watches it with the config and the rules that are shipped; then every panel, every
 * recording rule and every alert is asked for. What says nothing while all is well says something where all is made sick.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import pg from 'pg';
import { startSftpServer } from '../demo/sftp-server.ts';
import { MINOR_DIGITS } from '../src/domain/money/currency.ts';
import type { Coverage } from './support/answer.ts';
import { mt940Of } from './support/bank-files.ts';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { freshDatabase, processesOf, startPostgres, templateCopy } from './support/postgres.ts';
import { shippedConfig, startPrometheus, type TestPrometheus } from './support/prometheus.ts';
import { startRedis } from './support/redis.ts';
import { type Started, settlestream, startSettlestream } from './support/settlestream.ts';
import { alerts, panels, records } from './support/shipped.ts';

const DETAILS =
  'settlementBatchId,customerId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const SUMMARY = 'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency';
const DAY =
  'customerId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime';
const RECORDS = 'merchantId,requestId,type,amount,currency,status,occurredAt';
const AT = '2026-01-04T09:00:00+08:00';

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const details = (
  batch: string,
  ids: readonly string[],
  amount: string,
  currency: string,
  more: readonly string[] = [],
) => [
  DETAILS,
  ...ids.map((id) => `${batch},C1,PAYMENT,t-${id},${id},${amount},${currency},${amount},${currency}`),
  ...more,
  '<END>',
];
const summary = (batch: string, count: number, amount: string, currency: string) => [
  SUMMARY,
  `${batch},TOTAL,${count},${amount},${currency}`,
  '<END>',
];

const BANK = '{ sources: [{ name: house-bank, folder: statements, pollSeconds: 1 }] }';
/** A statement in yen, with an entry that is to pay a batch. */
const statementOf = (day: string, pays: string | null): string[] =>
  mt940Of([
    {
      account: '0007654321',
      currency: 'JPY',
      number: '1',
      day,
      opening: 0n,
      entries:
        pays === null
          ? []
          : [{ minor: 900n, booked: day, value: day, reference: 'R1', text: `pays ${pays} now`, name: 'PAYER' }],
    },
  ]).split('\r\n');

const SERVICE = { timeoutMs: 400_000 };

/** What says nothing while nothing is late. */
const SILENT_WHEN_HEALTHY = [
  'source:recon_oldest_open_report:age_seconds',
  'queue:recon_queue_oldest_waiting:age_seconds',
  'source:recon_retention_headroom_seconds:min',
  'time() - max(recon_oldest_expected_payout_timestamp_seconds)',
];
type Asked = { readonly name: string; readonly expression: string };
const isSilent = ({ name, expression }: Asked) =>
  SILENT_WHEN_HEALTHY.some((silent) => name === silent || expression.startsWith(silent));

const shown = panels.flatMap(({ title, asks }) =>
  asks.flatMap(({ expression }) => (expression === null ? [] : [{ name: title, expression }])),
);

/** Waits until each says something; a quantile of nothing says NaN, which is nothing. */
async function untilAllSay(prometheus: TestPrometheus, asked: readonly Asked[], withinMs = PATIENCE_MS): Promise<void> {
  const deadline = performance.now() + withinMs;
  let left = asked;
  for (;;) {
    const found = await Promise.all(left.map(({ expression }) => prometheus.query(expression)));
    left = left.filter((_, index) => !found[index]!.some(({ value }) => !Number.isNaN(value)));
    if (left.length === 0) return;
    if (performance.now() > deadline) assert.deepEqual(left, [], 'they say nothing');
    await new Promise((wake) => setTimeout(wake, 250));
  }
}

const pageOf = async (program: Started) => /http:\/\/([\d.:]+)/.exec(await program.says(/pages:/))![1]!;

/** Somebody accepts a transaction that is not recorded, as soon as there is one. */
async function acceptOne(url: string, env: Readonly<Record<string, string>>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const statement = `select no::text from discrepancy where kind = 'unknown_transaction' and closed_run is null limit 1`;
    const [found] = await query<{ no: string }>(url, statement);
    if (found) {
      const args = ['accept', found.no, '--reason', 'timing', '--text', 'recorded tomorrow', '--as', 'ann'];
      const { code, stderr } = await settlestream(['handle', ...args], { env });
      return assert.equal(code, 0, stderr);
    }
    if (performance.now() > deadline) assert.fail('nothing is unknown');
    await new Promise((wake) => setTimeout(wake, 250));
  }
}

describe('a Prometheus with the shipped rules watches', { concurrency: true }, () => {
  test('a service that does well, and reports with faults', async (t) => {
    const folder = temporaryFolder();
    const files = join(folder, 'files');
    mkdirSync(join(files, 'in'), { recursive: true });
    const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
    writeFiles(folder, { 'statements/1.sta': statementOf(yesterday, null) });
    const [url, redis] = await Promise.all([freshDatabase(), startRedis()]);
    const server = await startSftpServer({ folder: files, username: 'reader', password: 'secret' });
    t.after(() => Promise.all([redis.stop(), server.close()]));
    await withRedis(redis.url, (client) => client.config('SET', 'maxmemory', '256mb'));
    writeFiles(folder, {
      'records.csv': [
        RECORDS,
        ...numbers(18).map((no) => `M1,j${no},PAYMENT,1000,JPY,SUCCESS,${AT}`),
        ...numbers(9).map((no) => `M1,u${no},PAYMENT,10.00,USD,SUCCESS,${AT}`),
      ],
    });
    writeFileSync(
      join(folder, 'settlestream.yaml'),
      `{ http: { port: 0 }, pollSeconds: 1, quietMinutes: 0, processes: 2, bank: ${BANK}, sources: [{ name: shop, merchantId: M1,
         sftp: { host: ${server.host}, port: ${server.port}, username: reader, passwordEnv: SFTP_PASSWORD, hostKeySha256: "${server.hostKeySha256}" },
         directories: { transactionDetails: /in, settlementDetails: /in, settlementSummary: /in } }] }`,
    );
    const env = {
      DATABASE_URL: url,
      REDIS_URL: redis.url,
      SETTLESTREAM_DATA_DIR: join(folder, 'data'),
      SFTP_PASSWORD: 'secret',
    };
    const imported = await settlestream(['ledger', 'import', join(folder, 'records.csv')], { env });
    assert.equal(imported.code, 0, imported.stderr);
    const service = startSettlestream(['run', '--config', join(folder, 'settlestream.yaml')], { env, ...SERVICE });
    t.after(() => service.kill('SIGKILL'));
    const prometheus = await startPrometheus([await pageOf(service)], shippedConfig);
    t.after(() => prometheus.stop());
    // What is counted shows against what was there before.
    await prometheus.untilSeen('recon_rows_total', PATIENCE_MS);

    writeFiles(join(files, 'in'), {
      'settlementItems_JPY_J1_000.csv': details(
        'J1',
        numbers(20).map((no) => `j${no}`),
        '1000',
        'JPY',
        ['J1,C1,SETTLEMENT_FEE,t-fee,,,,-50,JPY'],
      ),
      'settlementSummary_JPY_J1_000.csv': summary('J1', 21, '19950', 'JPY'),
      'settlementItems_USD_U1_000.csv': details('U1', ['u1', 'u2', 'u3'], '10.00', 'USD'),
      'settlementSummary_USD_U1_000.csv': summary('U1', 3, '29.00', 'USD'),
      'settlementItems_USD_U2_000.csv': details('U2', ['u4', 'u5'], '10.00', 'USD'),
      'settlementItems_USD_R1_000.csv': ['settlementBatchId,what', 'R1,ever', '<END>'],
      'transactionItems_20260104_000.csv': [
        DAY,
        ...['u6', 'u7', 'u8'].map((id) => `C1,PAYMENT,t-${id},${id},10.00,USD,${AT}`),
        '<END>',
      ],
    });
    await acceptOne(url, env);
    const asked = [...shown, ...records];
    await untilAllSay(
      prometheus,
      asked.filter((one) => !isSilent(one)),
    );
    const expected = ['ReconReportMissing', 'ReconReportUnusable', 'ReconResidual'];
    await untilAllSay(
      prometheus,
      alerts.filter(({ name }) => expected.includes(name)),
    );
    const fired: string[] = [];
    for (const { name, expression } of alerts) if ((await prometheus.query(expression)).length > 0) fired.push(name);
    assert.deepEqual(fired.sort(), expected);
    const [rate] = await prometheus.query('source:recon_rows_matched:ratio_increase1d');
    // 26 of 28; some of the increase may lie before the first sample.
    assert.ok(rate!.value > 0.85 && rate!.value < 1, `${rate!.value}`);
    await checkTables(url, join(folder, 'data'));
  });

  test('a service whose neighbours are sick, and which is killed', async (t) => {
    const folder = temporaryFolder();
    for (const name of ['files', 'old', 'statements']) mkdirSync(join(folder, name));
    const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
    t.after(() => Promise.all([redis.stop(), postgres.close()]));
    const url = await templateCopy(postgres.url);
    writeFileSync(
      join(folder, 'settlestream.yaml'),
      `{ http: { port: 0 }, pollSeconds: 1, quietMinutes: 0, processes: 2, merchant: M1, bank: ${BANK}, sources: [
         { name: sick, folder: files, merchantId: M1 }, { name: old, folder: old, merchantId: M1 },
         { name: away, merchantId: M1, sftp: { host: 127.0.0.1, port: 1, username: nobody, passwordEnv: SFTP_PASSWORD, hostKeySha256: "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU" } }] }`,
    );
    const env = {
      DATABASE_URL: url,
      REDIS_URL: redis.url,
      SETTLESTREAM_DATA_DIR: join(folder, 'data'),
      SFTP_PASSWORD: 'secret',
    };
    const started = (verb: string) => {
      const program = startSettlestream([verb, '--config', join(folder, 'settlestream.yaml')], { env, ...SERVICE });
      t.after(() => program.kill('SIGKILL'));
      return program;
    };
    const [producer, worker] = [started('produce'), started('work')];
    const prometheus = await startPrometheus(await Promise.all([pageOf(producer), pageOf(worker)]), shippedConfig);
    t.after(() => prometheus.stop());
    const put = (name: string, lines: readonly string[], at?: Date) => {
      writeFiles(folder, { [name]: lines });
      if (at) utimesSync(join(folder, name), at, at);
    };
    await prometheus.untilSeen('source:recon_discrepancies_open:sum{source="sick"} == 0', PATIENCE_MS);
    const unseen = new Set(alerts.map(({ name }) => name));
    const untilSick = async (...names: readonly string[]) => {
      await untilAllSay(
        prometheus,
        alerts.filter(({ name }) => names.includes(name)),
      );
      for (const name of names) assert.ok(unseen.delete(name), name);
    };

    // Reports that do not add up, or cannot be read.
    put(
      'files/settlementItems_USD_B1_000.csv',
      details(
        'B1',
        numbers(150).map((no) => `x${no}`),
        '1000.00',
        'USD',
      ),
    );
    put('files/settlementSummary_USD_B1_000.csv', summary('B1', 150, '140000.00', 'USD'));
    put('files/settlementItems_USD_B2_000.csv', details('B2', ['x151'], '1.00', 'USD'));
    put('files/settlementItems_USD_R1_000.csv', ['settlementBatchId,what', 'R1,ever', '<END>']);
    put('old/settlementItems_USD_B3_000.csv', details('B3', ['x152'], '1.00', 'USD'));
    await untilSick('ReconResidual', 'ReconMoneyAtRisk', 'ReconDiscrepancyBurst', 'ReconReportMissing');
    await untilSick('ReconReportUnusable', 'ReconPollFailing');

    // A payout that never came, one of which less came, and a bank that says nothing more.
    for (const batch of ['P1', 'P2']) {
      const at = `files/M1/20260105/settlement`;
      put(`${at}Items_JPY_${batch}_000.csv`, details(batch, [`p${batch}`], '1000', 'JPY'));
      put(`${at}Summary_JPY_${batch}_000.csv`, summary(batch, 1, '1000', 'JPY'));
    }
    put('statements/1.sta', statementOf('2026-01-06', 'P2'));
    await untilSick('ReconPayoutOverdue', 'ReconPayoutShort', 'ReconStatementMissing');

    // Reading fails although everything can be reached; and files lie there as if nobody had looked for long.
    await query(
      url,
      `create function fails() returns trigger language plpgsql as $$ begin raise exception 'sick'; end $$`,
    );
    await query(url, 'create trigger fails before insert on load execute function fails()');
    const tenDaysAgo = new Date(Date.now() - 10 * 86_400_000);
    for (const no of numbers(8))
      put(`files/settlementItems_USD_C${no}_000.csv`, details(`C${no}`, [`y${no}`], '1.00', 'USD'), tenDaysAgo);
    await untilSick('ReconManyRetries', 'ReconUnreachable');
    // The archive is no folder any more, so that nothing new can be read.
    renameSync(join(folder, 'data/archive'), join(folder, 'archive-of-before'));
    writeFileSync(join(folder, 'data/archive'), '');
    await query(url, `update delivery set found_at = now() - interval '81 days' where source = 'old'`);
    await query(url, `update batch set parked_reason = 'by hand' where batch_id = 'B2'`);
    // Memory is short, and Redis may throw away what it likes.
    await withRedis(redis.url, async (client) => {
      const used = Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))![1]);
      await client.config('SET', 'maxmemory', `${Math.ceil(used * 1.1)}`);
      await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    });
    for (let killed = 0; killed < 6; ) {
      for (const pid of childrenOf(worker.pid)) {
        process.kill(pid, 'SIGKILL');
        killed++;
      }
      await prometheus.untilSeen(`sum(recon_parser_restarts_total) >= ${killed}`, PATIENCE_MS);
    }
    await untilSick('ReconFileNearDeletion', 'ReconOldestReportTooOld', 'ReconBatchParked');
    await untilSick('ReconAccountUnused', 'ReconParserRestarts', 'ReconRedisMemoryShort', 'ReconRedisEvicts');
    const connections = await manyConnections(url);
    await untilSick('ReconDatabaseConnectionsShort');
    await connections.close();

    // No worker, and a job that nobody took for an hour.
    worker.kill('SIGKILL');
    await withRedis(redis.url, (client) => client.config('SET', 'maxmemory', '0'));
    await addOldJob(url, redis.url);
    await prometheus.untilSeen('up == 0', PATIENCE_MS);
    await prometheus.forget('recon_job_duration_seconds_count{exported_job="close-load"}');
    await untilSick('ReconTargetDown', 'ReconWorkerAbsent', 'ReconQueueNotDraining');
    await untilAllSay(prometheus, [...shown, ...records].filter(isSilent));

    // Redis hangs, Postgres dies, and last the producer.
    process.kill(redis.pid, 'SIGSTOP');
    process.kill((await processesOf(url))().at(-1)!, 'SIGKILL');
    await untilSick('ReconQueueUnreachable', 'ReconDatabaseUnreachable', 'ReconCollectorDown');
    producer.kill('SIGKILL');
    await untilSick('ReconProducerAbsent');
    assert.deepEqual([...unseen], []);
  });
});

async function withRedis<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { maxRetriesPerRequest: null });
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

/** Takes nearly all connections that the server allows. */
async function manyConnections(url: string) {
  const clients: pg.Client[] = [];
  const used = async () =>
    (
      await query<{ used: number }>(
        url,
        `select count(*)::int as used from pg_stat_activity where backend_type = 'client backend'`,
      )
    )[0]!.used;
  const [{ allowed }] = (await query<{ allowed: number }>(
    url,
    `select current_setting('max_connections')::int as allowed`,
  )) as [{ allowed: number }];
  while ((await used()) < allowed - 3) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    clients.push(client);
  }
  return { close: () => Promise.all(clients.map((client) => client.end())) };
}

/** A job as it stands in the queue when nobody took it for an hour. */
async function addOldJob(databaseUrl: string, redisUrl: string): Promise<void> {
  const [book] = await query<{ id: string }>(databaseUrl, 'select id from book');
  await withRedis(redisUrl, async (connection) => {
    const queue = new Queue('close-load', { connection, prefix: `{recon-${book!.id}}` });
    await queue.add('close-load', { loadNo: 1 }, { jobId: 'l1', timestamp: Date.now() - 3_600_000 });
    await queue.close();
  });
}

/** The tables of the dashboards say what the program says, to a role that can do nothing else. */
async function checkTables(url: string, dataDir: string): Promise<void> {
  const owner = new pg.Client({ connectionString: url });
  await owner.connect();
  const grants = readFileSync(resolve(import.meta.dirname, '../deploy/grafana/reader.sql'), 'utf8');
  for (const _ of ['once', 'and again']) await owner.query(grants);
  await owner.query(`alter role settlestream_reader password 'read only'`);
  const reader = new pg.Client({ connectionString: url.replace(/\/\/[^@]*@/, '//settlestream_reader:read%20only@') });
  await reader.connect();
  try {
    for (const { title, asks } of panels)
      for (const { sql } of asks) if (sql !== null) assert.ok((await reader.query(sql)).rows.length > 0, title);
    await checkBatches(reader, url, dataDir);
    await checkCurrencies(reader);
    for (const statement of [
      'select from public.batch',
      'select from public.batch_state',
      'select from public.delivery',
    ])
      await assert.rejects(reader.query(statement), /permission denied/, statement);
    // Whoever takes the read-only setting away is no further.
    await reader.query('set default_transaction_read_only = off');
    for (const statement of [
      'create table dashboard.mine (no int)',
      'create table public.mine (no int)',
      `delete from dashboard.report`,
      `update dashboard.batch set source = 'x'`,
      `insert into public.merchant (id) values ('x')`,
    ])
      await assert.rejects(reader.query(statement), /permission denied|cannot/, statement);
  } finally {
    await reader.end();
    // The role belongs to the server, which other tests share.
    await owner.query('drop owned by settlestream_reader; drop role settlestream_reader');
    await owner.end();
  }
}

const partsOf = ({ matched, noRecordNeeded, notDone, discrepant, refused }: Coverage) => [
  ...[noRecordNeeded.reduce((sum, { rows }) => sum + rows, 0), notDone.rows, discrepant.rows, refused.rows],
  ...[matched.settlementAmount, notDone.settlementAmount, discrepant.settlementAmount],
];

async function checkBatches(reader: pg.Client, url: string, dataDir: string): Promise<void> {
  const env = { DATABASE_URL: url };
  const { json } = await settlestream(['batches', '--json', '--data-dir', dataDir], { env });
  // biome-ignore lint/suspicious/noExplicitAny: as in `Ended`.
  const said = json.batches.map((batch: any) => [
    ...[batch.settlementBatchId ?? null, batch.settlementDate ?? batch.transactionDate, batch.state, batch.rows],
    ...[batch.matchedRows, batch.details?.settlementAmount ?? null, batch.details?.feeAmount ?? null],
    ...[batch.summary?.settlementAmount ?? null, batch.residual ?? null],
    ...partsOf(batch.coverage),
  ]);
  const { rows } = await reader.query({
    text: `select settlement_batch, date::text, state, rows::int, matched_rows::int, details_amount::text, fee_amount::text, summary_amount::text, residual::text,
                  no_record_rows::int, not_done_rows::int, discrepant_rows::int, refused_rows::int, matched_amount::text, not_done_amount::text, discrepant_amount::text
             from dashboard.batch order by date, settlement_batch nulls first`,
    rowMode: 'array',
  });
  const inOrder = (batches: unknown[][]) => batches.map((batch) => JSON.stringify(batch)).sort();
  assert.deepEqual(inOrder(rows), inOrder(said));
  assert.ok(rows.length >= 4);
}

/** Digits are written down in two places: here, and where nothing of the program is. */
async function checkCurrencies(reader: pg.Client): Promise<void> {
  const { rows } = await reader.query(
    'select code, dashboard.minor_digits(code) as digits, dashboard.major(9223372036854775807, code)::text as most from unnest($1::text[]) as code',
    [Object.keys(MINOR_DIGITS)],
  );
  for (const { code, digits, most } of rows) {
    const known = MINOR_DIGITS[code as keyof typeof MINOR_DIGITS];
    assert.equal(digits, known, code);
    assert.equal(most.replace('.', ''), '9223372036854775807', code);
    assert.equal(most.split('.')[1]?.length ?? 0, known, code);
  }
}
