import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openHttp } from '../src/adapters/http.ts';
import { openMetrics } from '../src/adapters/metrics/registry.ts';
import { openDatabase } from '../src/adapters/postgres/connection.ts';
import { openEmbeddedPostgres } from '../src/adapters/postgres/embedded.ts';
import { migrate } from '../src/adapters/postgres/migrations.ts';
import { openQueue } from '../src/adapters/queue/queue.ts';
import { JOBS, reconcile } from '../src/jobs.ts';
import { startWatch } from '../src/views/gauges/gauges.ts';
import { newBook } from './support/by-hand.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { processesOf, query, startPostgres, templateCopy } from './support/postgres.ts';
import { lintMetrics, startPrometheus } from './support/prometheus.ts';
import { startRedis } from './support/redis.ts';

/** What dashboards rely on: type and labels of each metric. */
const PROMISED: Readonly<Record<string, string>> = {
  recon_rows_total: 'counter kind outcome source',
  recon_settlement_amount_total: 'counter currency outcome source',
  recon_rows_loaded_total: 'counter kind source',
  recon_bytes_total: 'counter source',
  recon_reports_total: 'counter kind outcome source',
  recon_stage_duration_seconds: 'histogram stage',
  recon_report_lag_seconds: 'histogram kind source',
  recon_oldest_open_report_timestamp_seconds: 'gauge source',
  recon_reconciled_until_timestamp_seconds: 'gauge source',
  recon_backlog_reports: 'gauge source',
  recon_backlog_bytes: 'gauge source',
  recon_backlog_batches: 'gauge source',
  recon_batches_parked: 'gauge source',
  recon_reports_unusable: 'gauge source state',
  recon_last_report_found_timestamp_seconds: 'gauge source',
  recon_batches: 'gauge of source state',
  recon_residual_batches: 'gauge source',
  recon_residual_amount: 'gauge currency source',
  recon_payouts: 'gauge state',
  recon_payout_amount_open: 'gauge currency',
  recon_oldest_expected_payout_timestamp_seconds: 'gauge',
  recon_bank_statement_lag_seconds: 'gauge',
  recon_queue_jobs: 'gauge queue state',
  recon_queue_oldest_waiting_timestamp_seconds: 'gauge queue',
  recon_job_wait_seconds: 'histogram job',
  recon_job_duration_seconds: 'histogram job outcome',
  recon_job_retries_total: 'counter job',
  recon_jobs_stalled_total: 'counter',
  recon_fenced_writes_total: 'counter',
  recon_replays_total: 'counter',
  recon_discrepancies_open: 'gauge kind source',
  recon_discrepancy_amount_open: 'gauge currency kind source',
  recon_discrepancies_open_by_age: 'gauge age source',
  recon_discrepancy_amount_open_by_age: 'gauge age currency source',
  recon_discrepancies_accepted: 'gauge kind source',
  recon_discrepancy_amount_accepted: 'gauge currency kind source',
  recon_handling_pending_approval: 'gauge source',
  recon_polls_total: 'counter outcome source',
  recon_poll_duration_seconds: 'histogram source',
  recon_last_poll_success_timestamp_seconds: 'gauge source',
  recon_retention_headroom_seconds: 'gauge source',
  recon_process_info: 'gauge role',
  recon_parsers: 'gauge state',
  recon_parser_cpu_seconds_total: 'counter parser',
  recon_parser_resident_memory_bytes: 'gauge parser',
  recon_parser_event_loop_lag_seconds: 'gauge parser',
  recon_parser_restarts_total: 'counter',
  recon_database_answer_seconds: 'gauge',
  recon_database_size_bytes: 'gauge',
  recon_database_connections: 'gauge of',
  recon_redis_memory_bytes: 'gauge of',
  recon_redis_memory_policy: 'gauge policy',
  recon_unreachable: 'gauge source what',
  recon_collector_up: 'gauge of',
};

const NAMED = { source: ['shop'], job: JOBS.map(({ name }) => name) };

type Series = { readonly name: string; readonly labels: Record<string, string>; readonly value: number };

const seriesIn = (text: string): Series[] =>
  [...text.matchAll(/^(recon_\w+?)(?:\{(.*)\})? (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, text]) => [label, text])),
    value: Number(value),
  }));

/** Our own metrics, without those that prom-client tells of the process. */
const oursIn = (text: string): string => text.replaceAll(/^(?!recon_|# \w+ recon_).*\n/gm, '');

/** Waits until what is told is so. */
async function until(
  tell: () => Promise<string>,
  isTrue: (text: string) => boolean,
  withinMs = PATIENCE_MS,
): Promise<string> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const text = await tell();
    if (isTrue(text)) return text;
    if (performance.now() > deadline) throw new Error(`not so after ${withinMs} ms:\n${oursIn(text)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('counters of what is known begin at zero, so that the first increase shows', async () => {
  const text = await openMetrics({ source: ['shop', 'portal'], job: ['reconcile'] }).text();
  for (const line of [
    'recon_rows_total{source="portal",kind="transactionDetails",outcome="discrepant"} 0',
    'recon_reports_total{source="shop",kind="settlementSummary",outcome="refused"} 0',
    'recon_bytes_total{source="shop"} 0',
    'recon_report_lag_seconds_count{source="shop",kind="settlementDetails"} 0',
    'recon_job_duration_seconds_count{job="reconcile",outcome="failed"} 0',
    'recon_fenced_writes_total 0',
  ]) {
    assert.ok(text.includes(`\n${line}\n`), line);
  }
  assert.match(text, /^process_cpu_seconds_total /m);
});

test('counters add, histograms observe, and a clock that is ahead takes nothing away', async () => {
  const { recordMetric, text } = openMetrics(NAMED);
  const kind = 'settlementDetails';
  // As it comes from another process.
  for (const value of [3, 4]) {
    recordMetric(
      JSON.parse(JSON.stringify({ name: 'recon_rows_loaded_total', labels: { source: 'shop', kind }, value })),
    );
  }
  for (const value of [-5, 2, 90_000])
    recordMetric({ name: 'recon_report_lag_seconds', labels: { source: 'shop', kind }, value });
  const found = seriesIn(await text()).filter(({ labels }) => labels['kind'] === kind);
  const told = (name: string, le?: string) => found.find((one) => one.name === name && one.labels['le'] === le)?.value;
  assert.equal(told('recon_rows_loaded_total'), 7);
  assert.equal(told('recon_report_lag_seconds_sum'), 90_002);
  assert.equal(told('recon_report_lag_seconds_bucket', '1'), 1);
  assert.equal(told('recon_report_lag_seconds_bucket', '86400'), 2);
  assert.equal(told('recon_report_lag_seconds_bucket', '604800'), 3);
});

test('a counter whose labels nobody knew before is told as zero once, so that its first increase shows', async () => {
  const { recordMetric, text } = openMetrics(NAMED);
  const measure = (currency: string, value: number) =>
    recordMetric({
      name: 'recon_settlement_amount_total',
      labels: { source: 'shop', currency, outcome: 'matched' },
      value,
    });
  const told = async () =>
    [...(await text()).matchAll(/^recon_settlement_amount_total\{.*currency="(\w+)".*\} (\S+)$/gm)].map(
      ([, currency, value]) => `${currency} ${value}`,
    );
  measure('USD', 12.5);
  measure('USD', 2.5);
  assert.deepEqual(await told(), ['USD 0']);
  measure('USD', 1);
  measure('JPY', 700);
  assert.deepEqual(await told(), ['USD 16', 'JPY 0']);
  assert.deepEqual(await told(), ['USD 16', 'JPY 700']);
});

test('what is not known is not told as zero', async () => {
  const { replaceGauges, text } = openMetrics(NAMED);
  const told = async () => /^recon_database_size_bytes (\S+)$/m.exec(await text())?.[1];
  assert.equal(await told(), undefined);
  replaceGauges({ recon_database_size_bytes: [{ labels: {}, value: 5 }] });
  assert.equal(await told(), '5');
  replaceGauges({ recon_database_size_bytes: [] });
  assert.equal(await told(), undefined);
});

/** A payout of batch B1 that is expected, and a statement that does not have it. */
const aBank = (url: string) =>
  query(
    url,
    `with setting as (insert into bank_setting (payers, payout_days, calendars, formats) values ('{}', 5, '{}', '[]')),
          batch_of as (update batch set settlement_date = '2026-03-02' where batch_id = 'B1' returning no),
          paid as (insert into payout (batch_no, state, amount_minor, arrived_minor) select no, 'expected', 500, 0 from batch_of),
          file as (insert into bank_file (source, path, file, size_bytes, modified_at, state) values ('bank', 'f', 'f', 1, now(), 'read') returning no)
     insert into bank_statement (file_no, ordinal, line, is_final, account, currency, to_day, entry_count, booked_minor, refused_count)
     select no, 1, 1, true, 'A', 'USD', '2026-03-03', 0, 0, 0 from file`,
  );

test('all that is promised is told of a real book and queue, with those labels and no others', async () => {
  const { database, find, publish, tell } = await newBook();
  const { batchNo } = await find({ day: '2026-03-01' });
  await tell(batchNo, 'amount_mismatch', { stakeMinor: '1', currency: 'USD' });
  await tell(batchNo, 'amount_mismatch', { stakeMinor: '2', currency: 'USD', handling: 'accepted' });
  await find({ day: '2026-03-02', state: 'found' });
  await publish((await find({ batchId: 'B1', currency: 'USD' })).batchNo, { residualMinor: '-5' });
  await aBank(database.url);
  const redis = await startRedis();
  after(() => redis.stop());
  const queue = await openQueue({ databaseUrl: database.url, redisUrl: redis.url, bookId: 'b' });
  after(() => queue.close(0));
  await queue.enqueue(reconcile, { batchNo, wanted: 1, attempt: 0 });
  const metrics = openMetrics(NAMED);
  const { recordMetric } = metrics;
  recordMetric({ name: 'recon_last_poll_success_timestamp_seconds', labels: { source: 'shop' }, value: 1 });
  const labels = { source: 'shop', currency: 'USD', outcome: 'matched' } as const;
  recordMetric({ name: 'recon_settlement_amount_total', labels, value: 1 });
  recordMetric({ name: 'recon_process_info', labels: { role: 'run' }, value: 1 });
  for (const state of ['busy', 'idle'] as const) recordMetric({ name: 'recon_parsers', labels: { state }, value: 1 });
  for (const name of ['recon_parser_cpu_seconds_total', 'recon_parser_resident_memory_bytes'] as const)
    recordMetric({ name, labels: { parser: '1' }, value: 1 });
  recordMetric({ name: 'recon_parser_event_loop_lag_seconds', labels: { parser: '1' }, value: 1 });
  const watch = startWatch(
    {
      ...quiet(metrics),
      databaseUrl: database.url,
      queueState: () => queue.state(JOBS),
      redis: queue.redis,
    },
    20,
  );
  after(() => watch.stop());
  const text = await until(metrics.text, (text) => upOf(text) === ALL_UP);

  const types = new Map([...text.matchAll(/^# TYPE (recon_\w+) (\w+)$/gm)].map(([, name, type]) => [name!, type!]));
  const labelsOf = new Map<string, Set<string>>();
  for (const series of seriesIn(text)) {
    const name = types.has(series.name) ? series.name : series.name.replace(/_(bucket|sum|count)$/, '');
    const known = labelsOf.get(name) ?? new Set();
    for (const label of Object.keys(series.labels)) if (label !== 'le') known.add(label);
    labelsOf.set(name, known);
  }
  const told = [...types].map(([name, type]) => [name, [type, ...[...(labelsOf.get(name) ?? ['?'])].sort()].join(' ')]);
  assert.deepEqual(Object.fromEntries(told), PROMISED);
  for (const name of types.keys()) assert.match(text, new RegExp(`^# HELP ${name} [A-Z].{20,}\\.$`, 'm'));
  assert.equal(lintMetrics(oursIn(text)), '');
  assert.match(text, /^recon_queue_jobs\{queue="reconcile",state="waiting"\} 1$/m);
  assert.deepEqual(await watch.problems(), []);
});

const quiet = (metrics: ReturnType<typeof openMetrics>) => ({
  metrics,
  queueState: async () => [],
  redis: async () => null,
  sources: ['shop'],
  log: { warn: () => {} },
});

/** What the last look at went well: `reports queue`. */
const upOf = (text: string): string =>
  [...text.matchAll(/^recon_collector_up\{of="(\w+)"\} 1$/gm)]
    .map(([, of]) => of)
    .sort()
    .join(' ');

const ALL_UP = 'batches database discrepancies queue reports';

describe('a neighbour that does not answer', () => {
  test('a table is locked: what is told of it grows old, and the rest stays fresh', async () => {
    const { database, pool, find } = await newBook();
    await find({ day: '2026-03-01', state: 'found' });
    const metrics = openMetrics(NAMED);
    const warned: object[] = [];
    const log = { warn: (fields: object) => void warned.push(fields) };
    const watch = startWatch({ ...quiet(metrics), log, databaseUrl: database.url }, 20);
    after(() => watch.stop());
    const seen = await until(metrics.text, (text) => upOf(text) === ALL_UP);
    assert.match(seen, /^recon_discrepancies_open\{/m);
    const holder = await pool.connect();
    await holder.query('begin; lock table discrepancy in access exclusive mode');
    const stale = await until(metrics.text, (text) => upOf(text) === 'database queue reports');
    assert.match(stale, /^recon_discrepancies_open\{/m);
    assert.deepEqual(await watch.problems(), []);
    assert.match(JSON.stringify(warned), /discrepancies.*lock timeout/);
    await holder.query('rollback');
    holder.release();
  });

  test('Postgres is stopped, comes back, and hangs: the metrics are there at once, and readiness says what is wrong', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'settlestream-metrics-'));
    after(() => rmSync(dataDir, { recursive: true, force: true }));
    const first = await openEmbeddedPostgres({ dataDir });
    const door = await openDoor(first.url);
    const database = await openDatabase(door.url, 1);
    const metrics = openMetrics(NAMED);
    const watch = startWatch({ ...quiet(metrics), databaseUrl: door.url }, 20);
    after(() => watch.stop());
    assert.match((await watch.problems()).join(), /^database: .*"migration" does not exist/);
    await migrate(database);
    await database.pool.query('delete from migration where version = 1');
    assert.match((await watch.problems()).join(), /^migrations: not applied: 0001_schema\.sql\. Run: /);
    await database.pool.query(`insert into migration (version, name) values (1, '0001_schema.sql')`);
    assert.deepEqual(await watch.problems(), []);
    await until(metrics.text, (text) => upOf(text) === ALL_UP);
    await database.close();

    await first.close();
    assert.match((await watch.problems()).join('\n'), /^database: .+$/);
    await until(metrics.text, (text) => upOf(text) === 'queue');
    await until(metrics.text, (text) => !text.includes('recon_backlog_reports{'));
    assert.match(await metrics.text(), /^recon_rows_total\{/m);

    const second = await openEmbeddedPostgres({ dataDir });
    door.leadTo(second.url);
    await until(metrics.text, (text) => upOf(text) === ALL_UP);
    assert.deepEqual(await watch.problems(), []);

    door.hang();
    const asked = performance.now();
    const [problems, text] = await Promise.all([
      watch.problems(),
      metrics.text().then(() => performance.now() - asked),
    ]);
    assert.match(problems.join('\n'), /^database: .+$/);
    assert.ok(text < 1_500, `the metrics took ${text} ms`);
    assert.ok(performance.now() - asked < 8_000, 'a check has two seconds');
    door.close();
    await second.close();
  });

  test('the server process of Postgres is stopped, goes on, and is killed: the metrics are there at once all the time', async () => {
    const server = await startPostgres();
    after(() => server.close());
    const url = await templateCopy(server.url);
    const pids = await processesOf(url);
    const metrics = openMetrics(NAMED);
    const watch = startWatch({ ...quiet(metrics), databaseUrl: url }, 20);
    after(() => watch.stop());
    let longestMs = 0;
    /** Asks all the time, as several Prometheus would. */
    const timed = async () => {
      const asked = performance.now();
      const text = await metrics.text();
      longestMs = Math.max(longestMs, performance.now() - asked);
      return text;
    };
    await until(timed, (text) => upOf(text) === ALL_UP);
    for (const pid of pids()) process.kill(pid, 'SIGSTOP');
    const [problems, stopped] = await Promise.all([watch.problems(), until(timed, (text) => upOf(text) === 'queue')]);
    assert.match(problems.join('\n'), /^database: .+$/);
    assert.match(stopped, /^recon_backlog_reports\{/m);
    for (const pid of pids()) process.kill(pid, 'SIGCONT');
    await until(timed, (text) => upOf(text) === ALL_UP);
    assert.deepEqual(await watch.problems(), []);
    // What it started ends by itself then.
    process.kill(pids().at(-1)!, 'SIGKILL');
    await until(timed, (text) => upOf(text) === 'queue');
    // After three looks in vain nothing old is told any more.
    const killed = await until(
      timed,
      (text) => !/^recon_(backlog|batches|discrepancies|database)\w*(\{| )/m.test(text),
    );
    assert.match(killed, /^recon_rows_total\{/m);
    assert.match((await watch.problems()).join('\n'), /^database: .+$/);
    // A look at the database has two seconds: who waited for one would take as long.
    assert.ok(longestMs < 1_500, `the metrics took ${longestMs} ms`);
  });

  test('the queue hangs or is away: readiness says so within two seconds', async () => {
    const { database } = await newBook();
    let queueState: () => Promise<[]> = () => new Promise(() => {});
    const watch = startWatch({
      ...quiet(openMetrics(NAMED)),
      databaseUrl: database.url,
      queueState: () => queueState(),
    });
    after(() => watch.stop());
    assert.deepEqual(await watch.problems(), ['queue: no answer in 2 s']);
    queueState = () => Promise.reject(new AggregateError([], ''));
    assert.match((await watch.problems()).join(), /^queue: ./);
    queueState = async () => [];
    assert.deepEqual(await watch.problems(), []);
  });
});

/** A way to a Postgres that can be led to another one, or be open and lead nowhere. */
async function openDoor(url: string) {
  const socketOf = (to: string) => {
    const { hostname, port } = new URL(to);
    return join(decodeURIComponent(hostname), `.s.PGSQL.${port}`);
  };
  let target: string | null = socketOf(url);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    if (target === null) return;
    const inside = connect(target);
    inside.on('error', () => socket.destroy());
    socket.on('close', () => inside.destroy());
    inside.on('close', () => socket.destroy());
    socket.pipe(inside).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const through = new URL(url.replace(/@[^/]*\//, '@127.0.0.1/'));
  through.port = String((server.address() as { port: number }).port);
  return {
    url: through.href,
    leadTo(to: string) {
      target = socketOf(to);
    },
    /** What is open is not answered any more, either. */
    hang() {
      target = null;
      for (const socket of sockets) socket.unpipe().pause();
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

test('a real Prometheus reads what was measured', async () => {
  const metrics = openMetrics(NAMED);
  const labels = { source: 'shop', kind: 'settlementDetails', outcome: 'matched' } as const;
  metrics.recordMetric({ name: 'recon_rows_total', labels, value: 12 });
  const server = await openHttp(
    { host: '127.0.0.1', port: 0, log: { error: () => {} } },
    {
      metrics: async () => ({ contentType: metrics.contentType, text: await metrics.text() }),
      ready: async () => [],
    },
  );
  const prometheus = await startPrometheus([`127.0.0.1:${server.port}`]);
  after(async () => {
    await prometheus.stop();
    await server.close();
  });
  const [sample, ...others] = await prometheus.untilSeen('recon_rows_total > 0');
  assert.equal(sample?.value, 12);
  assert.equal(sample?.labels['outcome'], 'matched');
  assert.deepEqual(others, []);
  assert.equal((await prometheus.query('count(recon_rows_total)'))[0]?.value, 12);
  await assert.rejects(prometheus.query('recon_rows_total{'), /parse error/);
});
