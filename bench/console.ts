/**
 * How long the pages of the console take over a large book: milliseconds until the first byte of each, at the median and the 99th
 * percentile, and the memory of the console. The book is made of one batch that is multiplied in the database.
 * Needs about 3 GB of disk where its Postgres is.
 *
 *     node bench/console.ts [--batches 100000] [--open 10] [--times 50] [--json]
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { writeFiles } from '../test/support/book.ts';
import { asker, signIn, tokenOf } from '../test/support/console.ts';
import { query, startPostgres, templateCopy } from '../test/support/postgres.ts';
import { settlestream, startSettlestream } from '../test/support/settlestream.ts';
import { count, inPlace, median, megabytes, readOptions, tell, type Workspace } from './place.ts';

const { batches, open, times, json } = readOptions({ batches: 100_000, open: 10, times: 50 });
/** What a page may take: at the median, and at the 99th percentile. */
const MOST_MS = { median: 300, p99: 1_000 };
const MERCHANTS = 20;
const DAYS = 1_000;

type Timing = { readonly path: string; readonly medianMs: number; readonly p99Ms: number; readonly bytes: number };

async function measure({ dir, signal }: Workspace): Promise<void> {
  const server = await startPostgres();
  try {
    const url = await templateCopy(server.url);
    const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(dir, 'data'), SETTLESTREAM_PROCESSES: '1' };
    await makeBook(dir, url, env);
    const served = startSettlestream(['console', '--port', '0'], { cwd: dir, env, signal });
    const base = new URL(/http:\/\/127\.0\.0\.1:\d+/.exec(await served.says(/console at/))![0]);
    const timings: Timing[] = [];
    const ask = asker(base.port);
    const { cookie } = await signIn(ask, url, { name: 'ann' });
    const authorization = `Bearer ${await tokenOf(url, { name: 'program' })}`;
    for (const path of await pagesOf(url)) {
      const timing = await timePage(base, path, { cookie, authorization });
      timings.push(timing);
      if (!json) process.stdout.write(`${lineOf(timing)}\n`);
    }
    const memoryBytes = peakOf(served.pid);
    served.kill('SIGTERM');
    await served.ended;
    process.stdout.write(
      json
        ? `${JSON.stringify({ batches, discrepancies: batches * open, pages: timings, memoryBytes })}\n`
        : `the console took ${memoryBytes === null ? 'unknown memory' : megabytes(memoryBytes)} at most\n`,
    );
  } finally {
    await server.close();
  }
}

const lineOf = ({ path, medianMs, p99Ms, bytes }: Timing): string =>
  `${medianMs.toFixed(0).padStart(6)} ms  ${p99Ms.toFixed(0).padStart(6)} ms  ${megabytes(bytes).padStart(6)}  ${path}${medianMs > MOST_MS.median || p99Ms > MOST_MS.p99 ? '  TOO SLOW' : ''}`;

/** Reconciles one batch with as many discrepancies as each has, and multiplies all that is known of it. */
async function makeBook(dir: string, url: string, env: Readonly<Record<string, string>>): Promise<void> {
  const ids = Array.from({ length: open }, (_, at) => `p-${at}`);
  const sum = (11 * open).toFixed(2);
  writeFiles(dir, {
    'records.csv': [
      'requestId,type,amount,currency,status,occurredAt',
      ...ids.map((id) => `${id},PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00`),
    ],
    'reports/M0/20260105/settlementItems_USD_B0_000.csv': [
      'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
      ...ids.map((id) => `B0,PAYMENT,t-${id},${id},11.00,USD,11.00,USD`),
      '<END>',
    ],
    'reports/M0/20260105/settlementSummary_USD_B0_000.csv': [
      'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
      `B0,TOTAL,${open},${sum},USD`,
      '<END>',
    ],
    'bank/january.csv.txt': [
      ':20:1',
      ':25:NL91ABNA0417164300',
      ':28C:1/1',
      `:60F:C260105USD0,00`,
      `:61:2601060106C${sum.replace('.', ',')}NTRFB0`,
      `:62F:C260106USD${sum.replace('.', ',')}`,
      '-',
    ],
  });
  const args = ['reconcile', 'reports', '--ledger', 'records.csv', '--bank', 'bank'];
  const { code, stderr } = await settlestream(args, { cwd: dir, env });
  if (code !== 1) throw new Error(`the batch was not reconciled: ${stderr}`);
  await settlestream(['handle', 'assign', '1', '--to', 'ann'], { cwd: dir, env });
  tell(`making ${count(batches)} batches with ${count(batches * open)} discrepancies …`);
  // Analyzed after each, or what checks references would look through whole tables.
  for (const statement of statements()) {
    const began = performance.now();
    await query(url, statement);
    await query(url, 'analyze');
    tell(`${((performance.now() - began) / 1_000).toFixed(1)} s: ${statement.slice(0, 40)} …`);
  }
  await query(url, 'vacuum analyze');
}

/** Rows of a table again, each for every batch with a number of its own. */
const again = (table: string, changes: string, where: string, times = batches - 1) =>
  // Put aside first: a table that grows while it is read would be read again and again.
  `with t as materialized (select x.*, x as whole from ${table} x where ${where.replaceAll('t.', 'x.')})
   insert into ${table} overriding system value
   select made.* from t cross join generate_series(1, ${times}) n cross join lateral jsonb_populate_record(t.whole, jsonb_build_object(${changes})) made`;

/** Numbers behind all that the first batch has used. */
const statements = (): readonly string[] => [
  `insert into merchant (id) select 'M' || n from generate_series(1, ${MERCHANTS - 1}) n`,
  again(
    'batch',
    `'no', 1000 + n, 'batch_id', 'B' || n, 'merchant_no', (select min(no) from merchant) + n % ${MERCHANTS}, 'current_run', 1000 + n,
     'settlement_date', current_date - n % ${DAYS}`,
    `t.batch_id = 'B0'`,
  ),
  again('run', `'no', 1000 + n, 'batch_no', 1000 + n`, `t.no = (select current_run from batch where batch_id = 'B0')`),
  ...['report', 'delivery', 'load'].map((table) =>
    again(
      table,
      `'no', 10 * n + 1000 + t.no, ${{ report: `'batch_no', 1000 + n, 'load_no', 10 * n + 1000 + t.load_no`, delivery: `'report_no', 10 * n + 1000 + t.report_no`, load: `'sha256', md5(n || ' ' || t.no), 'series', t.series || n % ${MERCHANTS}, 'report_no', 10 * n + 1000 + t.report_no, 'delivery_no', 10 * n + 1000 + t.delivery_no` }[table]}`,
      't.no < 10',
    ),
  ),
  again('run_load', `'run_no', 1000 + n, 'load_no', 10 * n + 1000 + t.load_no`, 't.run_no < 1000'),
  again(
    'discrepancy',
    `'no', ${open} * n + 1000 + t.no, 'batch_no', 1000 + n, 'request_id', t.request_id || '-' || n, 'transaction_id', t.transaction_id || '-' || n, 'opened_run', 1000 + n, 'load_no', 10 * n + 1000 + t.load_no,
     'first_seen_at', now() - n % ${DAYS} * interval '1 day', 'opened_at', now() - n % ${DAYS} * interval '1 day'`,
    `t.no <= ${open}`,
  ),
  again(
    'handling',
    `'no', 1000 + n, 'discrepancy_no', ${open} * n * 10 + 1001, 'batch_no', 1000 + n * 10, 'thread', ${open} * n * 10 + 1001`,
    't.no < 1000',
    Math.floor((batches - 1) / 10),
  ),
  again('payout', `'batch_no', 1000 + n`, 't.batch_no < 1000'),
  again('bank_entry', `'ordinal', n + 10, 'line', n + 10, 'entry_key', n`, 't.ordinal < 10'),
  `insert into audit_event (who, via, what, subject) select 'ann', 'bench', 'handle', 'discrepancy ' || n from generate_series(1, ${Math.min(batches, 2_000)}) n`,
];

/** Each page of the console, and lists of the API, with the filters that people use. */
async function pagesOf(url: string): Promise<readonly string[]> {
  const [{ batch, no, report, day } = { batch: 0, no: '0', report: 0, day: '' }] = await query<{
    batch: number;
    no: string;
    report: number;
    day: string;
  }>(
    url,
    `select max(b.no) as batch, max(d.no)::text as no, (select max(no) from report) as report, (current_date - 3)::text as day from batch b, (select max(no) as no from discrepancy) d`,
  );
  const middle = BigInt(no) / 2n;
  return [
    '/',
    ...['', '?state=discrepant', '?merchant=M3', `?from=${day}`, `?merchant=M3&from=${day}`].map(
      (filter) => `/batches${filter}`,
    ),
    `/batches/${batch}`,
    ...['', '?kind=amount_mismatch', '?kind=net_mismatch', '?merchant=M3', '?batch=B77', `?from=${day}`].map(
      (filter) => `/discrepancies${filter}`,
    ),
    ...['?handling=assigned', '?assigned=ann', '?handling=accepted', `?after=${middle}`].map(
      (filter) => `/discrepancies${filter}`,
    ),
    `/discrepancies/${no}`,
    '/payments?id=p-1&merchant=M0',
    '/payments?id=nobody',
    ...['', '?merchant=M3', '?batch=B77', '?state=refused'].map((filter) => `/reports${filter}`),
    `/reports/${report}`,
    ...['', '?open=yes', `?from=${day}`].map((filter) => `/bank${filter}`),
    ...['', '?who=ann', `?from=${day}`].map((filter) => `/audit${filter}`),
    ...[
      'batches',
      'batches?merchant=M3',
      `batches/${batch}`,
      'discrepancies',
      'reports',
      'bank/entries',
      'open',
      'audit',
    ].map((path) => `/api/v1/${path}`),
  ];
}

async function timePage(base: URL, path: string, headers: Readonly<Record<string, string>>): Promise<Timing> {
  const each: number[] = [];
  let bytes = 0;
  // What takes seconds is known after a few.
  for (let at = 0; at < times && each.reduce((a, b) => a + b, 0) < 20_000; at++) {
    const began = performance.now();
    const { firstMs, size, status } = await new Promise<{ firstMs: number; size: number; status: number }>(
      (resolve, reject) => {
        const sent = request(new URL(path, base), { headers }, (response) => {
          let firstMs = 0;
          let size = 0;
          response.on('data', (piece: Buffer) => {
            firstMs ||= performance.now() - began;
            size += piece.length;
          });
          response.on('end', () => resolve({ firstMs, size, status: response.statusCode! }));
        });
        sent.on('error', reject).end();
      },
    );
    if (status !== 200) tell(`${path}: ${status}`);
    each.push(firstMs);
    bytes = size;
  }
  const sorted = each.toSorted((a, b) => a - b);
  return { path, medianMs: median(each), p99Ms: sorted[Math.ceil(sorted.length * 0.99) - 1]!, bytes };
}

/** The most memory that a process had at once, where the system tells. */
function peakOf(pid: number): number | null {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1_024;
  } catch {
    return null;
  }
}

await inPlace(measure);
