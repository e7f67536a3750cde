/** The standing service against a provider's real SFTP server: reports arrive, grow, are exchanged, and it follows. */
import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { after, test } from 'node:test';
import { writeSheet } from '../demo/sheet.ts';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';
import { makeKey, startSshd } from './support/sshd.ts';

const HEADER =
  'settlementBatchId,customerId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const detailsOf = (batch: string, amount = '10.00', customer = 'C1') => [
  HEADER,
  `${batch},${customer},PAYMENT,t-${batch},p-${batch},${amount},USD,${amount},USD`,
  '<END>',
];
const summaryOf = (batch: string) => [
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
  `${batch},TOTAL,1,10.00,USD`,
  '<END>',
];
const BATCHES = ['A1', 'A2', 'A3', 'A4', 'A5', 'A6', 'X1'];
const RECORDS = [
  'merchantId,requestId,type,amount,currency,status,occurredAt',
  ...BATCHES.map((batch) => `M1,p-${batch},PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00`),
  'M2,p-B1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00',
];

const lines = (of: readonly string[]) => of.map((line) => `${line}\n`).join('');

const folder = temporaryFolder();
const url = await freshDatabase();
const sshd = await startSshd();
after(() => sshd.stop());

let toldOfSkipped = '';
const written = new Set<string>();
const put = (path: string, content: string | Buffer) => {
  mkdirSync(dirname(join(sshd.folder, path)), { recursive: true });
  chmodSync(sshd.folder, 0o755);
  writeFileSync(join(sshd.folder, path), content);
  written.add(path);
};
/** Waits until the book says so. */
const until = async (what: string, statement: string, expected: unknown) => {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await query(url, statement);
    if (JSON.stringify(found) === JSON.stringify(expected)) return;
    if (Date.now() > deadline) assert.deepEqual(found, expected, what);
    await new Promise((wake) => setTimeout(wake, 100));
  }
};
const stateOf = (name: string) =>
  `select d.state, d.revision from delivery d join report r on r.no = d.report_no where r.name = '${name}' order by d.no`;
const runOf = (batch: string) =>
  `select b.done = b.wanted as done, (r.facts->>'rows')::int as rows,
          (select count(*)::int from discrepancy x where x.batch_no = b.no and x.closed_run is null) as open
     from batch b join run r on r.no = b.current_run where b.batch_id = '${batch}'`;
const metric = async (name: string, labels: string) => {
  const text = await (await fetch(`${page}/metrics`)).text();
  const line = text.split('\n').find((line) => line.startsWith(`${name}{`) && line.includes(labels));
  return line === undefined ? null : Number(line.slice(line.lastIndexOf(' ')));
};

writeFiles(folder, { 'records.csv': RECORDS });
writeFileSync(join(folder, 'key'), sshd.privateKey, { mode: 0o600 });
writeFileSync(join(folder, 'other'), makeKey(folder, 'other').privateKey, { mode: 0o600 });
const server = `{ host: 127.0.0.1, port: ${sshd.port}, username: ${sshd.username}, privateKeyFile: key, hostKeySha256: "${sshd.hostKeySha256}" }`;
const directories = (root: string) =>
  ['transactionDetails', 'settlementDetails', 'settlementSummary']
    .map((kind) => `${kind}: "${sshd.remoteFolder}/${root}"`)
    .join(', ');
const settings = `
http: { port: 0 }
pollSeconds: 1
processes: 2
sources:
- { name: first, merchantId: M1, customerIds: [C1], lookbackDays: 36500, sftp: ${server}, directories: { ${directories('out/{merchantId}/{date}')} } }
- { name: second, merchantId: M2, sftp: ${server}, directories: { ${directories('flat')} } }
- { name: locked, merchantId: M4, sftp: { host: 127.0.0.1, port: ${sshd.port}, username: ${sshd.username}, privateKeyFile: other, hostKeySha256: "${sshd.hostKeySha256}" } }
- { name: away, merchantId: M3, sftp: { host: 127.0.0.1, port: 1, username: nobody, privateKeyFile: key, hostKeySha256: "${sshd.hostKeySha256}" } }
`;
writeFileSync(join(folder, 'settlestream.yaml'), settings);
const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data') };
const imported = await settlestream(['ledger', 'import', join(folder, 'records.csv')], { env });
assert.equal(imported.code, 0, imported.stderr);
put('out/M1/20260105/settlementItems_USD_A1_000.csv', lines(detailsOf('A1')));
put('out/M1/20260105/settlementSummary_USD_A1_000.csv', lines(summaryOf('A1')));
put('flat/settlementItems_USD_B1_000.csv', lines(detailsOf('B1')));
put('flat/settlementSummary_USD_B1_000.csv', lines(summaryOf('B1')));
const service = startSettlestream(['run', '--config', join(folder, 'settlestream.yaml')], { env });
after(() => service.kill('SIGKILL'));
const page = /http:\/\/[\d.:]+/.exec(await service.says(/pages:/))![0];

test('what lies on its servers is reconciled, by source and merchant', async () => {
  await until('first', runOf('A1'), [{ done: true, rows: 1, open: 0 }]);
  await until('second', runOf('B1'), [{ done: true, rows: 1, open: 0 }]);
  const merchants = await query(
    url,
    `select m.id, b.batch_id from batch b join merchant m on m.no = b.merchant_no order by 2`,
  );
  assert.deepEqual(merchants, [
    { id: 'M1', batch_id: 'A1' },
    { id: 'M2', batch_id: 'B1' },
  ]);
});

test('a server that is away keeps only its own reports waiting, and is told', async () => {
  await service.says(/"source":"away".*poll failed/);
  assert.equal(await metric('recon_last_poll_success_timestamp_seconds', 'source="away"'), null);
  const polled = await metric('recon_last_poll_success_timestamp_seconds', 'source="first"');
  assert.ok(polled! > Date.now() / 1_000 - 30, `${polled}`);
});

test('a file that grows is read when its end is there, and never before', async () => {
  const [header, row] = detailsOf('A2');
  put('out/M1/20260105/settlementItems_USD_A2_000.csv', `${header}\n`);
  put('out/M1/20260105/settlementSummary_USD_A2_000.csv', lines(summaryOf('A2')));
  await until('the summary alone', stateOf('settlementSummary_USD_A2_000'), [{ state: 'closed', revision: 1 }]);
  appendFileSync(join(sshd.folder, 'out/M1/20260105/settlementItems_USD_A2_000.csv'), `${row}\n<END>\n`);
  await until('the whole', runOf('A2'), [{ done: true, rows: 1, open: 0 }]);
});

test('a workbook is read when two listings show it the same', async () => {
  const local = join(folder, 'x1.xlsx');
  await writeSheet(
    local,
    detailsOf('X1').map((line) => line.split(',')),
    new Date(),
  );
  put('out/M1/20260105/settlementSummary_USD_X1_000.csv', lines(summaryOf('X1')));
  put('out/M1/20260105/settlementItems_USD_X1_000.xlsx', readFileSync(local));
  await until('the workbook', runOf('X1'), [{ done: true, rows: 1, open: 0 }]);
});

test('other bytes under the same name are a new revision, and what they mend is closed', async () => {
  const name = 'settlementItems_USD_A3_000';
  put('out/M1/20260106/settlementSummary_USD_A3_000.csv', lines(summaryOf('A3')));
  put(`out/M1/20260106/${name}.csv`, lines(detailsOf('A3', '9.00')));
  await until('the wrong amount, in details and totals', runOf('A3'), [{ done: true, rows: 1, open: 2 }]);
  put(`out/M1/20260106/${name}.csv`, lines(detailsOf('A3', '10.00')));
  await until('both contents', stateOf(name), [
    { state: 'closed', revision: 1 },
    { state: 'closed', revision: 2 },
  ]);
  await until('the mended batch', runOf('A3'), [{ done: true, rows: 1, open: 0 }]);
});

test('what is no report is told once, and a directory that is closed every round; both hide nothing else', async () => {
  const closed = join(sshd.folder, 'out/M1/20260107');
  mkdirSync(closed, { mode: 0 });
  put('out/M1/20260108/settlement_items.csv', lines(detailsOf('A5')));
  put('out/M1/20260108/settlementSummary_USD_A5_000.csv', lines(summaryOf('A5')));
  await until('the file beside', stateOf('settlementSummary_USD_A5_000'), [{ state: 'closed', revision: 1 }]);
  const skipped = await service.says(/skipped files that are no reports/);
  const { source, count, files } = JSON.parse(skipped);
  assert.deepEqual([source, count], ['first', 1]);
  assert.match(
    files.join(),
    /\/20260108\/settlement_items\.csv: The name matches no report of this format: check the name/,
  );
  const unseen = JSON.parse(await service.says(/poll incomplete/));
  assert.match(unseen.error, /20260107 may not be read by this user: ask the provider to allow it\.$/);
  // What could not be looked at may hide a report: meanwhile that round was no success.
  const before = await metric('recon_last_poll_success_timestamp_seconds', 'source="first"');
  put('out/M1/20260108/settlementItems_USD_A5_000.csv', lines(detailsOf('A5')));
  await until('what came after', runOf('A5'), [{ done: true, rows: 1, open: 0 }]);
  assert.equal(await metric('recon_last_poll_success_timestamp_seconds', 'source="first"'), before);
  rmdirSync(closed);
  for (let tries = 0; ; tries++) {
    if ((await metric('recon_last_poll_success_timestamp_seconds', 'source="first"'))! > before!) break;
    assert.ok(tries < 300, 'a round that sees everything is a success again');
    await new Promise((wake) => setTimeout(wake, 100));
  }
  toldOfSkipped = skipped;
});

test("another customer's rows refuse a report whole", async () => {
  put('out/M1/20260106/settlementItems_USD_A4_000.csv', lines(detailsOf('A4', '10.00', 'C2')));
  await until('the refusal', `select state, error_code from delivery where file like '%_A4_000.csv'`, [
    { state: 'refused', error_code: 'mixed_merchants' },
  ]);
});

test('metrics say what was done', async () => {
  const refused = await query(url, `select file, error_code, error_message from delivery where state = 'refused'`);
  assert.equal(
    await metric('recon_reports_total', 'source="first",kind="settlementDetails",outcome="refused"'),
    1,
    JSON.stringify(refused),
  );
  assert.equal(await metric('recon_rows_total', 'source="second",kind="settlementDetails",outcome="matched"'), 1);
  assert.ok((await metric('recon_bytes_total', 'source="first"'))! > 500);
  assert.ok((await metric('recon_report_lag_seconds_count', 'source="first",kind="settlementDetails"'))! >= 4);
  assert.equal((await fetch(`${page}/readyz`)).status, 200);
});

test('a server that goes away and comes back is gone on with, by itself', async () => {
  await sshd.kill();
  put('out/M1/20260109/settlementItems_USD_A6_000.csv', lines(detailsOf('A6')));
  put('out/M1/20260109/settlementSummary_USD_A6_000.csv', lines(summaryOf('A6')));
  await until(
    'that it is away, for each source that it has',
    `select what from away where reason like '%:${sshd.port} (connect ECONNREFUSED%' and what in ('source first', 'source second') order by 1`,
    [{ what: 'source first' }, { what: 'source second' }],
  );
  // One line tells of the server: which of its sources that names is chance.
  const told = JSON.parse(await service.says(new RegExp(`"error":"[^"]*:${sshd.port} .*ECONNREFUSED`)));
  assert.match(told.error, /^cannot reach sftp:.*Check host and port/);
  await sshd.start();
  await until('what came meanwhile', runOf('A6'), [{ done: true, rows: 1, open: 0 }]);
});

test('a server that lets nobody in is asked less and less often', async () => {
  const deadline = Date.now() + PATIENCE_MS;
  while (sshd.said().split('Failed publickey').length <= 3) {
    assert.ok(Date.now() < deadline, sshd.said());
    await new Promise((wake) => setTimeout(wake, 50));
  }
});

test('SIGTERM ends it in seconds, and nothing was written to the server', async () => {
  const startedAt = Date.now();
  service.kill('SIGTERM');
  const { code, stderr } = await service.ended;
  assert.equal(code, 0, stderr.slice(-1_000));
  assert.ok(Date.now() - startedAt < 15_000, `${Date.now() - startedAt} ms`);
  assert.deepEqual(
    stderr.split('\n').filter((line) => line.includes('skipped files that are no reports')),
    [toldOfSkipped],
    'what was skipped was told once',
  );
  const refusals = stderr.split('\n').filter((line) => /"source":"locked".*refuses the login/.test(line));
  const times = refusals.map((line) => Date.parse(JSON.parse(line).time));
  const pauses = times.slice(1).map((at, no) => at - times[no]!);
  assert.ok(pauses.length >= 2);
  for (const [no, pause] of pauses.entries()) assert.ok(pause >= 2 ** (no + 1) * 1_000 - 50, `${pauses} ms`);
  const left = readdirSync(sshd.folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.deepEqual(
    left.map((entry) => relative(sshd.folder, join(entry.parentPath, entry.name))).sort(),
    [...written].sort(),
  );
});
