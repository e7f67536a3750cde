/** Servers, folders and disks go away under the work: what needs them waits, nothing is given up, and all goes on by itself. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { checkBook, query, temporaryFolder, writeFiles } from '../support/book.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { freshDatabase } from '../support/postgres.ts';
import { settlestream, startSettlestream } from '../support/settlestream.ts';
import { startSshd } from '../support/sshd.ts';

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const detailsOf = (batch: string, rows = 1) => [
  HEADER,
  ...Array.from({ length: rows }, (_, no) => `${batch},PAYMENT,t-${batch}-${no},p-${batch}-${no},10.00,USD,10.00,USD`),
  '<END>',
];
const fileOf = (batch: string) => `M1/20260105/settlementItems_USD_${batch}_000.csv`;
const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');

const folder = temporaryFolder();
const reports = join(folder, 'reports');
const archive = mkdtempSync(join(tmpdir(), 'settlestream-archive-'));
mkdirSync(reports);
const isRoot = process.getuid?.() === 0;
if (isRoot) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', archive]);
after(() => {
  if (isRoot) execFileSync('umount', ['--lazy', archive]);
  rmSync(archive, { recursive: true, force: true });
});
const url = await freshDatabase();
const sshd = await startSshd();
after(() => sshd.stop());
writeFileSync(join(folder, 'key'), sshd.privateKey, { mode: 0o600 });
const directories = ['transactionDetails', 'settlementDetails', 'settlementSummary']
  .map((kind) => `${kind}: "${sshd.remoteFolder}"`)
  .join(', ');
writeFileSync(
  join(folder, 'settlestream.yaml'),
  `
http: { port: 0 }
pollSeconds: 1
processes: 2
archive: { folder: ${archive} }
sources:
- { name: server, merchantId: M1, sftp: { host: 127.0.0.1, port: ${sshd.port}, username: ${sshd.username}, privateKeyFile: key, hostKeySha256: "${sshd.hostKeySha256}" }, directories: { ${directories} } }
- { name: folder, folder: ${reports} }
`,
);
writeFiles(folder, {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt',
    'x,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00Z',
  ],
});
const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data'), SETTLESTREAM_CHUNK_BYTES: '65536' };
assert.equal((await settlestream(['ledger', 'import', join(folder, 'records.csv')], { env })).code, 0);
const start = (role: 'produce' | 'work') => {
  const started = startSettlestream([role, '--config', join(folder, 'settlestream.yaml')], { env, timeoutMs: 300_000 });
  after(() => started.kill('SIGKILL'));
  return started;
};

async function until(what: string, statement: string, expected: unknown): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ; await delay(50)) {
    const found = await query(url, statement);
    if (JSON.stringify(found) === JSON.stringify(expected)) return;
    if (Date.now() > deadline) assert.deepEqual(found, expected, what);
  }
}
const statesOf = (batches: readonly string[]) =>
  `select b.batch_id as batch, d.state, d.attempts, d.parked_reason is not null as parked
     from delivery d join report r on r.no = d.report_no join batch b on b.no = r.batch_no
    where r.kind = 'settlementDetails' and b.batch_id in (${batches.map((batch) => `'${batch}'`).join()}) order by 1, d.no`;
const all = (batches: readonly string[], state: string) =>
  batches.map((batch) => ({ batch, state, attempts: 0, parked: false }));
const AWAY = `select what from away order by 1`;

const producer = start('produce');

test('a server and a folder that are away while their files are to be read: these wait, and are read when they are back', async () => {
  const batches = ['F1', 'F2', 'S1'];
  // Of one batch something is known before.
  writeFiles(reports, {
    'M1/20260105/settlementSummary_USD_S1_000.csv': [
      'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
      'S1,TOTAL,1,10.00,USD',
      '<END>',
    ],
  });
  const before = start('work');
  await before.says(/"batch":"S1".*"run published"/);
  before.kill('SIGTERM');
  await before.ended;
  writeFileSync(join(sshd.folder, 'settlementItems_USD_S1_000.csv'), text(detailsOf('S1')));
  writeFiles(reports, { [fileOf('F1')]: detailsOf('F1'), [fileOf('F2')]: detailsOf('F2') });
  await until('they are found', statesOf(batches), all(batches, 'found'));
  await sshd.kill();
  renameSync(reports, `${reports}-away`);
  const worker = start('work');
  await until('both are known to be away', AWAY, [{ what: 'source folder' }, { what: 'source server' }]);
  const waiting = await query<{ attempts: number; parked: boolean }>(url, statesOf(batches));
  assert.ok(waiting.every(({ attempts, parked }) => attempts === 0 && !parked));
  await worker.says(/"batch":"S1".*"state":"waiting".*"run published"/);
  const { json } = await settlestream(['open', '--json'], { env });
  const of = (batch: string) =>
    json.waiting.find(({ settlementBatchId }: { settlementBatchId: string }) => settlementBatchId === batch);
  assert.match(of('S1').awaits[0].why, /^cannot reach sftp:/);
  assert.match(of('F1').why, /^the (folder|directory) .* does not exist/);
  await sshd.start();
  renameSync(`${reports}-away`, reports);
  await until('they are read', statesOf(batches), all(batches, 'closed'));
  await until('nothing is away', AWAY, []);
  worker.kill('SIGTERM');
  await worker.ended;
});

test('a file that is gone is told, and read when its source shows it again as it was', async () => {
  writeFiles(reports, { [fileOf('V1')]: detailsOf('V1') });
  const path = join(reports, fileOf('V1'));
  await until('it is found', statesOf(['V1']), all(['V1'], 'found'));
  renameSync(path, join(folder, 'elsewhere'));
  const worker = start('work');
  const told = JSON.parse(await worker.says(/"report":"settlementItems_USD_V1_000".*"msg":"report refused"/));
  assert.equal(told.level, 40);
  assert.match(told.why, /no longer exists/);
  await until('it is refused', statesOf(['V1']), all(['V1'], 'refused'));
  renameSync(join(folder, 'elsewhere'), path);
  await until('it is read', statesOf(['V1']), all(['V1'], 'closed'));
  worker.kill('SIGTERM');
  await worker.ended;
});

test('a full disk of the archive: it is said once, and the work goes on when there is room', {
  skip: !isRoot && 'only root mounts a small disk',
}, async () => {
  const worker = start('work');
  await worker.says(/"pages: /);
  const filler = join(archive, 'filler');
  writeFileSync(filler, Buffer.alloc(800 * 1024));
  // Some parts of each fit, and their jobs are asked for before it shows that the rest does not.
  writeFiles(reports, { [fileOf('U1')]: detailsOf('U1', 5_000), [fileOf('U2')]: detailsOf('U2', 5_000) });
  await until('it is known to be full', AWAY, [{ what: 'archive' }]);
  const [{ reason }] = (await query<{ reason: string }>(url, 'select reason from away')) as [{ reason: string }];
  assert.match(reason, /ENOSPC.*free space/);
  await worker.says(/"what":"archive"/);
  rmSync(filler);
  await until('they are read', statesOf(['U1', 'U2']), all(['U1', 'U2'], 'closed'));
  await until('they are reconciled', 'select count(*)::int as open from batch where done < wanted', [{ open: 0 }]);
  await until('nothing is away', AWAY, []);
  worker.kill('SIGTERM');
  const { stderr } = await worker.ended;
  assert.equal(stderr.match(/"what":"archive","error"/g)?.length, 1, stderr);
  assert.doesNotMatch(stderr, /ENOENT/);
  await checkBook(url);
  producer.kill('SIGTERM');
  assert.equal((await producer.ended).code, 0);
});
