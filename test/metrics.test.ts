import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openEmbeddedPostgres } from '../src/adapters/embedded-postgres.ts';
import { openHttp } from '../src/adapters/http.ts';
import { type GaugeValues, openMetrics } from '../src/adapters/metrics.ts';
import { type Database, migrate, openDatabase } from '../src/adapters/postgres.ts';
import { openQueue } from '../src/adapters/queue.ts';
import { JOBS, reconcile } from '../src/jobs.ts';
import { startWatch } from '../src/views/backlog.ts';
import { gaugesOfDiscrepancies, gaugesOfReports } from '../src/views/gauges.ts';
import { freshDatabase } from './support/postgres.ts';
import { lintMetrics, startPrometheus } from './support/prometheus.ts';

/** What dashboards rely on: type and labels of each metric. */
const PROMISED: Readonly<Record<string, string>> = {
  recon_rows_total: 'counter kind outcome source',
  recon_rows_loaded_total: 'counter kind source',
  recon_bytes_total: 'counter source',
  recon_reports_total: 'counter kind outcome source',
  recon_stage_duration_seconds: 'histogram stage',
  recon_report_lag_seconds: 'histogram kind source',
  recon_oldest_open_report_timestamp_seconds: 'gauge source',
  recon_reconciled_until_timestamp_seconds: 'gauge source',
  recon_backlog_reports: 'gauge source',
  recon_backlog_bytes: 'gauge source',
  recon_queue_jobs: 'gauge queue state',
  recon_queue_oldest_waiting_timestamp_seconds: 'gauge queue',
  recon_job_wait_seconds: 'histogram job',
  recon_job_duration_seconds: 'histogram job outcome',
  recon_jobs_stalled_total: 'counter',
  recon_fenced_writes_total: 'counter',
  recon_replays_total: 'counter',
  recon_discrepancies_open: 'gauge kind source',
  recon_discrepancy_amount_open: 'gauge currency kind source',
  recon_last_poll_success_timestamp_seconds: 'gauge source',
  recon_retention_headroom_seconds: 'gauge source',
  recon_collector_up: 'gauge of',
};

const NAMED = { source: ['shop'], job: JOBS.map(({ name }) => name) };
const RULES = { format: 'apo', amountUnit: 'major', tolerance: '2', timeZone: 'Asia/Shanghai' };

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
async function until(tell: () => Promise<string>, isSo: (text: string) => boolean, withinMs = 10_000): Promise<string> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const text = await tell();
    if (isSo(text)) return text;
    if (performance.now() > deadline) throw new Error(`not so after ${withinMs} ms:\n${oursIn(text)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A book that is filled by hand. */
async function newBook() {
  const database = await openDatabase(await freshDatabase(), 2);
  after(() => database.close());
  const { pool } = database;
  await pool.query(`insert into merchant (id) values ('M')`);
  return { database, pool, find: (file: Partial<File>) => find(database, file) };
}

type File = {
  /** Of the batch; the report is new if the batch is. */
  batchId: string | null;
  day: string | null;
  directoryDate: string | null;
  settlementDate: string | null;
  state: string;
  modifiedAt: string;
  sizeBytes: number;
  isFetched: boolean;
  parkedReason: string | null;
  source: string;
};

/** Records a file as it stands. Another one of the same batch is another content of the same report. */
async function find({ pool }: Database, file: Partial<File>): Promise<{ batchNo: number; deliveryNo: number }> {
  const batch = await pool.query(
    `insert into batch (merchant_no, batch_id, day, settlement_date, wanted, done) values (1, $1, $2, $3, 1, 1)
     on conflict (merchant_no, batch_id, currency, day) do update set wanted = batch.wanted returning no`,
    [file.batchId, file.day, file.settlementDate],
  );
  const batchNo = batch.rows[0].no;
  const report = await pool.query(
    `insert into report (batch_no, kind, name, seq) values ($1, 'settlementDetails', 'r', 0)
     on conflict (batch_no, kind, name) do update set seq = 0 returning no`,
    [batchNo],
  );
  const reportNo = report.rows[0].no;
  const delivery = await pool.query(
    `insert into delivery (report_no, source, rules, path, file, directory_date, size_bytes, modified_at, state, parked_reason)
     values ($1, $2, $3, 'p', 'f', $4, $5, $6, $7, $8) returning no`,
    [
      ...[reportNo, file.source ?? 'shop', RULES, file.directoryDate, file.sizeBytes ?? 1],
      ...[file.modifiedAt ?? '2026-03-10T00:00:00Z', file.state ?? 'closed', file.parkedReason],
    ],
  );
  const deliveryNo = delivery.rows[0].no;
  if (file.isFetched) {
    await pool.query(
      `insert into load (delivery_no, report_no, slot, rules, format, header, archive_path, size_bytes, chunks) values ($1, $2, 1, $3, 'apo', '{}', 'a', 1, 1)`,
      [deliveryNo, reportNo, RULES],
    );
  }
  return { batchNo, deliveryNo };
}

const tellOf = (
  { pool }: Database,
  batchNo: number,
  kind: string,
  stakeMinor: string | null,
  currency: string | null,
  closedRun: number | null = null,
) =>
  pool.query(
    `insert into discrepancy (batch_no, identity, of_matchable, kind, message, stake_minor, stake_currency, first_seen_at, opened_run, opened_at, closed_run)
     values ($1, gen_random_uuid()::text, true, $2, 'm', $3, $4, now(), 1, now(), $5)`,
    [batchNo, kind, stakeMinor, currency, closedRun],
  );

const seconds = (time: string) => Date.parse(time) / 1_000;

/** The one value of a gauge that has one series; null where it has none. */
const onlyValue = (values: GaugeValues, name: keyof GaugeValues) => {
  const series = values[name] ?? [];
  assert.ok(series.length <= 1, `${name} has ${series.length} series`);
  return series[0]?.value ?? null;
};

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
  const { measured, text } = openMetrics(NAMED);
  const kind = 'settlementDetails';
  // As it comes from another process.
  for (const value of [3, 4]) {
    measured(JSON.parse(JSON.stringify({ name: 'recon_rows_loaded_total', labels: { source: 'shop', kind }, value })));
  }
  for (const value of [-5, 2, 90_000])
    measured({ name: 'recon_report_lag_seconds', labels: { source: 'shop', kind }, value });
  const found = seriesIn(await text()).filter(({ labels }) => labels['kind'] === kind);
  const told = (name: string, le?: string) => found.find((one) => one.name === name && one.labels['le'] === le)?.value;
  assert.equal(told('recon_rows_loaded_total'), 7);
  assert.equal(told('recon_report_lag_seconds_sum'), 90_002);
  assert.equal(told('recon_report_lag_seconds_bucket', '1'), 1);
  assert.equal(told('recon_report_lag_seconds_bucket', '86400'), 2);
  assert.equal(told('recon_report_lag_seconds_bucket', '604800'), 3);
});

test('all that is promised is told of a real book and queue, with those labels and no others', async () => {
  const { database, find } = await newBook();
  const { batchNo } = await find({ day: '2026-03-01' });
  await tellOf(database, batchNo, 'amount_mismatch', '1', 'USD');
  await find({ day: '2026-03-02', state: 'found' });
  const queue = await openQueue({ databaseUrl: database.url, bookId: 'b' });
  after(() => queue.close(0));
  await queue.enqueue(reconcile, { batchNo, wanted: 1, attempt: 0 });
  const metrics = openMetrics(NAMED);
  metrics.measured({ name: 'recon_last_poll_success_timestamp_seconds', labels: { source: 'shop' }, value: 1 });
  const queueState = () => queue.state(JOBS);
  const watch = startWatch({ ...quiet(metrics), databaseUrl: database.url, queueState });
  after(() => watch.stop());
  const text = await until(metrics.text, (text) => upOf(text) === '1 1 1');

  const types = new Map([...text.matchAll(/^# TYPE (recon_\w+) (\w+)$/gm)].map(([, name, type]) => [name!, type!]));
  const labels = new Map<string, Set<string>>();
  for (const series of seriesIn(text)) {
    const name = types.has(series.name) ? series.name : series.name.replace(/_(bucket|sum|count)$/, '');
    const known = labels.get(name) ?? new Set();
    for (const label of Object.keys(series.labels)) if (label !== 'le') known.add(label);
    labels.set(name, known);
  }
  const told = [...types].map(([name, type]) => [name, [type, ...[...(labels.get(name) ?? ['?'])].sort()].join(' ')]);
  assert.deepEqual(Object.fromEntries(told), PROMISED);
  for (const name of types.keys()) assert.match(text, new RegExp(`^# HELP ${name} [A-Z].{20,}\\.$`, 'm'));
  assert.equal(lintMetrics(oursIn(text)), '');
  assert.match(text, /^recon_queue_jobs\{queue="reconcile",state="waiting"\} 1$/m);
  assert.deepEqual(await watch.problems(), []);
});

const quiet = (metrics: ReturnType<typeof openMetrics>) => ({
  metrics,
  queueState: async () => [],
  sources: ['shop'],
  log: { warn: () => {} },
});

/** Whether the last looks at reports, discrepancies and the queue went well: `1 0 1`. */
const upOf = (text: string): string =>
  ['reports', 'discrepancies', 'queue']
    .map((of) => new RegExp(`^recon_collector_up\\{of="${of}"\\} (\\d)$`, 'm').exec(text)?.[1])
    .join(' ');

describe('how far the work is', () => {
  const gauges = async (database: Database) => gaugesOfReports(database.db, ['shop']);

  test('nothing was found yet: no backlog, and no time that would be invented', async () => {
    const { database } = await newBook();
    const told = await gauges(database);
    assert.deepEqual(told.recon_backlog_reports, [{ labels: { source: 'shop' }, value: 0 }]);
    assert.deepEqual(told.recon_backlog_bytes, [{ labels: { source: 'shop' }, value: 0 }]);
    assert.deepEqual(told.recon_oldest_open_report_timestamp_seconds, []);
    assert.deepEqual(told.recon_retention_headroom_seconds, []);
    assert.deepEqual(told.recon_reconciled_until_timestamp_seconds, []);
  });

  test('all is closed: reconciled to the end of the last day, as days end where the source is', async () => {
    const { database, find } = await newBook();
    await find({ day: '2026-03-01' });
    await find({ batchId: 'B1', directoryDate: '2026-03-02' });
    await find({ batchId: 'B2', settlementDate: '2026-03-03' });
    const told = await gauges(database);
    assert.equal(onlyValue(told, 'recon_reconciled_until_timestamp_seconds'), seconds('2026-03-03T16:00:00Z'));
    assert.equal(onlyValue(told, 'recon_backlog_reports'), 0);
  });

  test('a day on which a file is not done, not whole, refused, or not reconciled holds back all days after it', async () => {
    const { database, pool, find } = await newBook();
    const untilNow = async () => onlyValue(await gauges(database), 'recon_reconciled_until_timestamp_seconds');
    for (const day of ['2026-03-01', '2026-03-02', '2026-03-03']) await find({ day });
    for (const state of ['found', 'reading', 'waiting', 'refused']) {
      await find({ day: '2026-03-02', state });
      assert.equal(await untilNow(), seconds('2026-03-01T16:00:00Z'), state);
      // What is found last under the name counts.
      await find({ day: '2026-03-02', state: state === 'waiting' ? 'duplicate' : 'closed' });
      assert.equal(await untilNow(), seconds('2026-03-03T16:00:00Z'), `after ${state}`);
    }
    await pool.query(`update batch set wanted = 2 where day = '2026-03-03'`);
    assert.equal(await untilNow(), seconds('2026-03-02T16:00:00Z'));
  });

  test('a file whose day nobody says stands for the day on which it was written', async () => {
    const { database, find } = await newBook();
    await find({ day: '2026-03-05' });
    // The second of March there.
    await find({ batchId: 'B', state: 'found', modifiedAt: '2026-03-01T17:00:00Z' });
    const told = await gauges(database);
    assert.equal(onlyValue(told, 'recon_reconciled_until_timestamp_seconds'), seconds('2026-03-01T16:00:00Z'));
  });

  test('the backlog is what is found and not done; what was given up is no work, but open', async () => {
    const { database, find } = await newBook();
    const [old, older, oldest] = ['2026-03-09T00:00:00Z', '2026-03-08T00:00:00Z', '2026-03-07T00:00:00Z'];
    await find({ day: '2026-03-01', state: 'found', modifiedAt: old, sizeBytes: 1_000 });
    await find({ day: '2026-03-02', state: 'reading', modifiedAt: older, sizeBytes: 500, isFetched: true });
    await find({ day: '2026-03-03', state: 'refused', modifiedAt: '2026-01-01T00:00:00Z' });
    let told = await gauges(database);
    assert.equal(onlyValue(told, 'recon_backlog_reports'), 2);
    assert.equal(onlyValue(told, 'recon_backlog_bytes'), 1_500);
    assert.equal(onlyValue(told, 'recon_oldest_open_report_timestamp_seconds'), seconds(older));
    const headroom = onlyValue(told, 'recon_retention_headroom_seconds')!;
    // Seven days after the file was written the provider may delete it. What is in the archive may go.
    assert.ok(Math.abs(headroom - (seconds(old) + 7 * 86_400 - Date.now() / 1_000)) < 60, `${headroom}`);

    await find({ day: '2026-03-04', state: 'found', modifiedAt: oldest, sizeBytes: 70, parkedReason: 'tried 8 times' });
    told = await gauges(database);
    assert.equal(onlyValue(told, 'recon_backlog_reports'), 2);
    assert.equal(onlyValue(told, 'recon_backlog_bytes'), 1_500);
    assert.equal(onlyValue(told, 'recon_oldest_open_report_timestamp_seconds'), seconds(oldest));
  });

  test('open discrepancies count for the source of the newest file of their batch, and their money is in major units', async () => {
    const { database, find } = await newBook();
    const { batchNo: moved } = await find({ batchId: 'B1', source: 'portal' });
    await find({ batchId: 'B1', source: 'shop', state: 'duplicate' });
    const { batchNo: portal } = await find({ batchId: 'B2', source: 'portal' });
    for (const stake of ['1005', '995']) await tellOf(database, moved, 'amount_mismatch', stake, 'USD');
    await tellOf(database, moved, 'amount_mismatch', '500', 'JPY');
    await tellOf(database, moved, 'amount_mismatch', '77', 'EUR', 1);
    await tellOf(database, portal, 'orphan_row', '90000000000000000000', 'KWD');
    await tellOf(database, portal, 'missing_part', null, null);

    const told = await gaugesOfDiscrepancies(database.db, ['shop', 'quiet']);
    const counts = (told.recon_discrepancies_open ?? []).map(({ labels, value }) => [
      labels.source,
      labels.kind,
      value,
    ]);
    assert.deepEqual(counts.filter(([, , value]) => value !== 0).sort(), [
      ['portal', 'missing_part', 1],
      ['portal', 'orphan_row', 1],
      ['shop', 'amount_mismatch', 3],
    ]);
    assert.ok(counts.some(([source, kind, value]) => source === 'quiet' && kind === 'orphan_row' && value === 0));
    const amounts = (told.recon_discrepancy_amount_open ?? []).map(({ labels, value }) => [
      ...[labels.source, labels.kind, labels.currency],
      value,
    ]);
    assert.deepEqual(amounts.sort(), [
      ['portal', 'orphan_row', 'KWD', 90_000_000_000_000_000],
      ['shop', 'amount_mismatch', 'JPY', 500],
      ['shop', 'amount_mismatch', 'USD', 20],
    ]);
  });
});

describe('a neighbour that does not answer', () => {
  test('a table is locked: what is told of it grows old, and the rest stays fresh', async () => {
    const { database, pool, find } = await newBook();
    await find({ day: '2026-03-01', state: 'found' });
    const metrics = openMetrics(NAMED);
    const warned: object[] = [];
    const log = { warn: (fields: object) => void warned.push(fields) };
    const watch = startWatch({ ...quiet(metrics), log, databaseUrl: database.url }, 20);
    after(() => watch.stop());
    const seen = await until(metrics.text, (text) => upOf(text) === '1 1 1');
    assert.match(seen, /^recon_discrepancies_open\{/m);
    const holder = await pool.connect();
    await holder.query('begin; lock table discrepancy in access exclusive mode');
    const stale = await until(metrics.text, (text) => upOf(text) === '1 0 1');
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
    assert.match((await watch.problems()).join(), /^migrations: not applied: 0001_book\.sql\. Run: /);
    await database.pool.query(`insert into migration (version, name) values (1, '')`);
    assert.deepEqual(await watch.problems(), []);
    await until(metrics.text, (text) => upOf(text) === '1 1 1');
    await database.close();

    await first.close();
    assert.match((await watch.problems()).join('\n'), /^database: .+$/);
    await until(metrics.text, (text) => upOf(text) === '0 0 1');
    await until(metrics.text, (text) => !text.includes('recon_backlog_reports{'));
    assert.match(await metrics.text(), /^recon_rows_total\{/m);

    const second = await openEmbeddedPostgres({ dataDir });
    door.leadTo(second.url);
    await until(metrics.text, (text) => upOf(text) === '1 1 1');
    assert.deepEqual(await watch.problems(), []);

    door.hang();
    const asked = performance.now();
    const [problems, text] = await Promise.all([
      watch.problems(),
      metrics.text().then(() => performance.now() - asked),
    ]);
    assert.match(problems.join('\n'), /^database: .+$/);
    assert.ok(text < 200, `the metrics took ${text} ms`);
    assert.ok(performance.now() - asked < 3_000, 'a check has two seconds');
    door.close();
    await second.close();
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
  metrics.measured({ name: 'recon_rows_total', labels, value: 12 });
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
