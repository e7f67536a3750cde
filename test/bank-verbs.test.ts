/** What a person sees of the bank and says of it: the entries, a confirmed match, and where the money is. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { bankMonth, filesOf } from './support/bank-month.ts';
import { inBook, query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const below = <T>(folder: string, files: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));

const month = bankMonth(11, { fates: ['reference', 'missing', 'noise'], more: 0, currencies: ['JPY'] });
const folder = writeFiles(temporaryFolder(), {
  ...below('reports', month.reports),
  ...below('bank', month.statements),
  'records.csv': month.records,
  'config.yaml': ['bank:', '  payers: ["antom*", "nobody"]'],
});
const book = ['--data-dir', join(folder, 'book')];
const reconcile = () =>
  inBook([
    'reconcile',
    join(folder, 'reports'),
    '--ledger',
    join(folder, 'records.csv'),
    '--bank',
    join(folder, 'bank'),
    '--config',
    join(folder, 'config.yaml'),
    '--json',
    ...book,
  ]);
const call = (...args: string[]) => inBook([...args, ...book]);
const missing = [...month.banks].find(([, { state }]) => state === 'overdue')![0];
const arrived = [...month.banks].find(([, { state }]) => state === 'arrived')![0];
const stateOf = async (batch: string) => (await call('show', batch, '--json')).json.bank;

// Made here: it goes away with the file's tests.
const first = await reconcile();

suite('a book with a bank', () => {
  let noise: { id: string; amount: string };

  test('bank lists the entries and what they pay', async () => {
    assert.equal(first.code, 1);
    const { json, code } = await call('bank', '--json');
    assert.equal(code, 0);
    assert.equal(json.entries.length, 5);
    const [paying] = json.entries.filter(({ pays }: { pays: object[] }) => pays.length > 0);
    assert.deepEqual(paying.pays, [
      { merchantId: 'M1', settlementBatchId: arrived, matchedBy: 'reference', role: 'paid' },
    ]);
    assert.equal(json.bankStatements.length, month.made.length);
    const open = (await call('bank', '--open', '--json')).json.entries;
    assert.equal(open.length, 4);
    noise = open[0];
    const of = (option: string, value: string) => call('bank', option, value, '--json');
    assert.equal((await of('--account', 'nothing')).json.entries.length, 0);
    assert.equal((await of('--account', ' 0007654321 ')).json.entries.length, 5);
    assert.equal((await of('--from', '2026-12-01')).json.entries.length, 0);
    const csv = (await call('bank', '--format', 'csv')).stdout.trim().split('\n');
    assert.equal(csv.length, 6);
    assert.match((await call('bank')).stdout, new RegExp(`${arrived} \\(reference\\)`));
  });

  test('show, explain, open and doctor say where the money is', async () => {
    assert.match(
      (await call('show', arrived)).stdout,
      /reported → paid out: \d+ JPY \(due by 2026-\d\d-\d\d\) → at the bank: arrived, matched by reference\n {2}2026-\d\d-\d\d \d+ JPY, statement \d+ \(JPY-.*\), line \d+/,
    );
    assert.match((await call('explain', `r-${arrived}`)).stdout, /at the bank: arrived/);
    assert.equal((await call('explain', `r-${arrived}`, '--json')).json.bank[0].state, 'arrived');
    assert.match((await call('open')).stdout, new RegExp(`${missing}.*overdue`));
    assert.deepEqual(
      (await call('open', '--json')).json.payouts.map(({ settlementBatchId, state }: Record<string, string>) => [
        settlementBatchId,
        state,
      ]),
      [[missing, 'overdue']],
    );
    assert.match(
      (await call('open', '--format', 'csv')).stdout,
      new RegExp(`payout,.*${missing}.*at the bank: overdue`),
    );
    assert.match(
      (await call('doctor', '--config', join(folder, 'config.yaml'))).stdout,
      /no entry has a counterparty like "nobody"/,
    );
    assert.match((await call('batches')).stdout, /overdue, due 2026/);
  });

  test('a confirmed match wins, is kept over replays, and can be taken back', async () => {
    const said = await call('bank', 'match', '--entry', noise.id, '--batch', missing, '--json');
    assert.equal(said.code, 0, said.stderr);
    const [{ bank }] = said.json.batches;
    assert.deepEqual([bank.state, bank.matchedBy, bank.arrived], ['different', 'confirmed', noise.amount]);
    assert.match((await call('bank', 'match', '--entry', noise.id, '--batch', missing)).stderr, /confirmed before/);
    assert.deepEqual((await stateOf(missing)).matchedBy, 'confirmed');

    await call('replay', '--batch', missing);
    assert.deepEqual(await stateOf(missing), bank);
    // The same statements in other files: entries are the same by what they say.
    writeFiles(folder, below('bank/copies', filesOf(month.made)));
    assert.equal((await reconcile()).code, 1);
    const again = await stateOf(missing);
    assert.deepEqual([again.state, again.matchedBy, again.arrived], ['different', 'confirmed', noise.amount]);

    const back = await call('bank', 'unmatch', '--entry', noise.id, '--batch', missing, '--json');
    assert.equal(back.json.batches[0].bank.state, 'overdue');
    const twice = await call('bank', 'unmatch', '--entry', noise.id);
    assert.deepEqual([twice.code, /nobody has confirmed that/.test(twice.stderr)], [2, true]);
  });

  test('mistakes are told', async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['bank', 'match', '--batch', missing], /--entry is missing/],
      [['bank', 'match', '--entry', noise.id], /--batch is missing/],
      [['bank', 'match', '--entry', 'x', '--batch', missing], /there is no entry x/],
      [['bank', 'match', '--entry', noise.id, '--batch', 'x'], /there is no settlement batch x/],
      [['bank', '--from', 'x'], /--from x: not a day/],
    ];
    for (const [args, expected] of cases) {
      const { code, stderr } = await call(...args);
      assert.deepEqual([code, expected.test(stderr)], [2, true], `${args.join(' ')}: ${stderr}`);
    }
    const { code, stderr } = await inBook(['bank']);
    assert.deepEqual([code, /there are no bank statements/.test(stderr)], [2, true]);
  });
});

test('a matching that was given up is never silent, and is tried again when something changes', async () => {
  const url = await freshDatabase();
  const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: temporaryFolder() };
  const run = (...args: string[]) => settlestream(args, { env });
  const paths = [join(folder, 'reports'), '--ledger', join(folder, 'records.csv'), '--bank', join(folder, 'bank')];
  assert.equal((await run('reconcile', ...paths, '--config', join(folder, 'config.yaml'))).code, 1);
  await query(url, `update bank_matching set attempts = 8, parked_reason = 'it does not work'`);
  await query(url, `insert into bank_change (why) values ('run')`);
  assert.equal((await run('reconcile', ...paths)).code, 3, 'what is said of payouts is old');
  const { code, stdout } = await run('doctor');
  assert.deepEqual([code, /matching was given up.*it does not work/.test(stdout)], [3, true], stdout);
  const { entries } = (await run('bank', '--open', '--json')).json;
  const matched = await run('bank', 'match', '--entry', entries[0].id, '--batch', missing, '--json');
  assert.deepEqual([matched.code, matched.json.batches[0].bank.matchedBy], [0, 'confirmed'], matched.stderr);
  assert.equal((await run('reconcile', ...paths)).code, 1);
});
