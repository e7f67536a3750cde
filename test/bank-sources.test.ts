/** Where statements come from: packed ones are read like others, and a server of a bank is watched like a folder. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type BankMonth, bankMonth } from './support/bank-month.ts';
import { inBook, query, temporaryFolder, writeFiles } from './support/book.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';
import { zipOf } from './support/sheets.ts';
import { startSshd } from './support/sshd.ts';

const below = <T>(folder: string, files: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));

// biome-ignore lint/suspicious/noExplicitAny: looked into by name.
const statesOf = (json: any): Record<string, string> =>
  // biome-ignore lint/suspicious/noExplicitAny: the same.
  Object.fromEntries(json.batches.map(({ settlementBatchId, bank }: any) => [settlementBatchId, bank.state]));
const expectedStates = ({ banks }: BankMonth) =>
  Object.fromEntries([...banks].map(([batch, { state }]) => [batch, state]));

test('statements in zips, in zips within zips and gzipped ones are read, each under its name; what cannot be unpacked is refused', async () => {
  const month = bankMonth(8, { fates: ['reference', 'twoInOne', 'short', 'sumOfDay'], more: 0 });
  const parts = Object.entries(month.statements).map(([name, content]) => ({ name, content }));
  const third = Math.ceil(parts.length / 3);
  const [one, two, three] = [parts.slice(0, third), parts.slice(third, 2 * third), parts.slice(2 * third)];
  const inner = zipOf(two);
  const folder = writeFiles(temporaryFolder(), {
    ...below('reports', month.reports),
    'records.csv': month.records,
    'bank/first.zip': zipOf([
      ...one.map(({ name, content }) => ({ name: `2026/${name}.gz`, content: gzipSync(content) })),
      { name: '__MACOSX/._first', content: 'x' },
      { name: '.DS_Store', content: 'x' },
    ]),
    'bank/second.zip': zipOf([{ name: 'inner.zip', content: inner }]),
    ...below('bank', Object.fromEntries(three.map(({ name, content }) => [`${name}.gz`, gzipSync(content)]))),
  });
  const call = () =>
    inBook([
      ...['reconcile', join(folder, 'reports'), '--ledger', join(folder, 'records.csv')],
      ...['--bank', join(folder, 'bank'), '--data-dir', join(folder, 'book'), '--json'],
    ]);
  const { json, code, stderr } = await call();
  assert.equal(code, 1, stderr);
  assert.deepEqual(statesOf(json), expectedStates(month));
  const files = new Set<string>(json.bankStatements.map(({ file }: { file: string }) => file));
  const expected = [
    ...one.map(({ name }) => `first.zip/2026/${name}.gz`),
    ...two.map(({ name }) => `second.zip/inner.zip/${name}`),
    ...three.map(({ name }) => `${name}.gz`),
  ];
  assert.deepEqual([...files].sort(), expected.sort());

  // What is known is not opened again; of what is new each file that cannot be read is told, in this call and in the next.
  writeFiles(folder, {
    'bank/cut.zip': inner.subarray(0, inner.length - 30),
    'bank/empty.zip': zipOf([]),
    'bank/locked.zip': zipOf([{ name: 'locked.sta', content: parts[0]!.content, says: { flags: 1 } }]),
    'bank/broken.zip': zipOf([{ name: 'inner.zip', content: inner.subarray(0, 100) }]),
    'bank/twice.zip': zipOf([one[0]!, one[0]!]),
    'bank/thrice.zip': zipOf([one[0]!, one[0]!, one[0]!]),
    'bank/notes.zip': zipOf([{ name: 'notes.txt', content: 'call the bank' }]),
  });
  for (const ended of [await call(), await call()]) {
    assert.equal(ended.code, 3);
    assert.deepEqual(statesOf(ended.json), expectedStates(month));
    const refused = ended.json.bankStatements.filter(({ state }: { state: string }) => state === 'refused');
    assert.deepEqual(refused.map(({ file }: { file: string }) => file).sort(), [
      'broken.zip/inner.zip',
      'cut.zip',
      'empty.zip',
      'locked.zip/locked.sta',
      'notes.zip/notes.txt',
      `thrice.zip/${one[0]!.name} (again)`,
      `twice.zip/${one[0]!.name} (again)`,
    ]);
  }
});

test("the service reads a bank's statements from an SFTP server, zips too, and reads them again from the archive", async () => {
  const sshd = await startSshd();
  after(() => sshd.stop());
  const month = bankMonth(9, { fates: ['reference', 'twoInOne', 'returned'], more: 0, currencies: ['EUR', 'JPY'] });
  const names = Object.keys(month.statements);
  const some = (test: (at: number) => boolean) => names.filter((_, at) => test(at));
  const folder = writeFiles(temporaryFolder(), {
    ...below('reports', month.reports),
    'records.csv': month.records,
    key: Buffer.from(sshd.privateKey),
    'settlestream.yaml': [
      JSON.stringify({
        ...{ pollSeconds: 1, processes: 1 },
        sources: [
          {
            ...{ name: 'shop', folder: 'reports', lookbackDays: 36_500 },
            directories: Object.fromEntries(
              ['transactionDetails', 'settlementDetails', 'settlementSummary'].map((kind) => [
                kind,
                '{merchantId}/{date}',
              ]),
            ),
          },
        ],
        bank: {
          sources: [
            {
              ...{ name: 'house-bank', directory: `${sshd.remoteFolder}/out` },
              sftp: {
                ...{ host: '127.0.0.1', port: sshd.port, username: sshd.username, privateKeyFile: 'key' },
                hostKeySha256: sshd.hostKeySha256,
              },
            },
          ],
        },
      }),
    ],
  });
  chmodSync(join(folder, 'key'), 0o600);
  writeFiles(sshd.folder, {
    ...below('out', Object.fromEntries(some((at) => at % 2 === 0).map((name) => [name, month.statements[name]!]))),
    'out/older/odd.zip': zipOf(some((at) => at % 2 === 1).map((name) => ({ name, content: month.statements[name]! }))),
  });
  mkdirSync(join(sshd.folder, 'out/empty'));
  const url = await freshDatabase();
  const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data') };
  const config = ['--config', join(folder, 'settlestream.yaml')];
  assert.equal((await settlestream(['ledger', 'import', join(folder, 'records.csv')], { env })).code, 0);
  const service = startSettlestream(['run', ...config], { env });
  const states = async () =>
    Object.fromEntries(
      (
        await query<{ id: string; state: string }>(
          url,
          'select b.batch_id as id, p.state from payout p join batch b on b.no = p.batch_no',
        )
      ).map(({ id, state }) => [id, state]),
    );
  try {
    const expected = JSON.stringify(Object.entries(expectedStates(month)).sort());
    for (const deadline = Date.now() + PATIENCE_MS; ; ) {
      const found = JSON.stringify(Object.entries(await states()).sort());
      if (found === expected) break;
      assert.ok(Date.now() < deadline, `${found} is not ${expected}`);
      await new Promise((wake) => setTimeout(wake, 200));
    }
  } finally {
    service.kill('SIGTERM');
    await service.ended;
  }
  const [inZip] = await query<{ file: string }>(url, 'select file from bank_file where entry is not null order by no');
  assert.match(inZip!.file, /^older\/odd\.zip\//);
  rmSync(join(sshd.folder, 'out'), { recursive: true });
  const again = await settlestream(['replay', '--statements', inZip!.file, ...config, '--json'], { env });
  assert.deepEqual([again.code, again.json.bankStatements[0].state], [0, 'closed'], again.stderr);
  assert.deepEqual(await states(), expectedStates(month));
});
