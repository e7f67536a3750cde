/**
 * The service watches folders of statements: whatever is killed in between, on both queues, each payout is where it has to be.
 * `npm run check:nightly` does so with all fates of 20 months; here it is a few of one.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { ACCOUNTS, bankMonth, FATE_NAMES, seeded } from './support/bank-month.ts';
import { temporaryFolder, writeFiles } from './support/book.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { freshDatabase, query } from './support/postgres.ts';
import { startRedis } from './support/redis.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';
import { seeds, sized } from './support/size.ts';

const below = <T>(folder: string, files: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));

const redis = await startRedis();
const QUEUES = { postgres: {}, redis: { REDIS_URL: redis.url } };
const [from, to] = seeds(1, 20);
const FATES = sized(['reference', 'twoInOne', 'returned', 'missing', 'short'], FATE_NAMES);
const CURRENCIES = sized(['EUR', 'JPY'] as const, ['EUR', 'JPY', 'KWD'] as const);

/** A book for each month and queue, made before anything runs. */
const books = new Map<string, string>();
for (let seed = from; seed <= to; seed++)
  for (const queue of Object.keys(QUEUES)) books.set(`${queue} ${seed}`, await freshDatabase());

for (let seed = from; seed <= to; seed++)
  suite(`the service with a bank, in a month of seed ${seed}`, () => {
    for (const [queue, more] of Object.entries(QUEUES)) test(`on ${queue}`, () => serveMonth(seed, queue, more));
  });

async function serveMonth(seed: number, queue: string, more: Readonly<Record<string, string>>): Promise<void> {
  const url = books.get(`${queue} ${seed}`)!;
  const month = bankMonth(seed + 6, { fates: FATES, more: sized(0, 6), currencies: CURRENCIES });
  const accounts = CURRENCIES.map((currency) => ({ account: ACCOUNTS[currency], currency, merchantId: 'M1' }));
  const bank = {
    sources: [{ name: 'house-bank', folder: 'statements', pollSeconds: 1 }],
    ...{ accounts, payers: ['antom*'] },
  };
  const folder = writeFiles(temporaryFolder(), {
    'records.csv': month.records,
    'settlestream.yaml': [
      'pollSeconds: 1',
      'processes: 1',
      'sources:',
      '- { name: shop, folder: reports, directories: { transactionDetails: "{merchantId}/{date}", settlementDetails: "{merchantId}/{date}", settlementSummary: "{merchantId}/{date}" }, lookbackDays: 36500 }',
      `bank: ${JSON.stringify(bank)}`,
    ],
  });
  mkdirSync(join(folder, 'statements'));
  mkdirSync(join(folder, 'reports'));
  const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data'), ...more };
  const config = ['--config', join(folder, 'settlestream.yaml')];
  assert.equal((await settlestream(['ledger', 'import', join(folder, 'records.csv')], { env })).code, 0);
  const start = () => startSettlestream(['run', ...config], { env });

  // It is killed while it reads the first of what comes, and again while it works on the second.
  const names = Object.keys(month.statements);
  const some = (first: number, end?: number) =>
    below('statements', Object.fromEntries(names.slice(first, end).map((name) => [name, month.statements[name]!])));
  const random = seeded(seed);
  const early = sized(5, 1 + random(names.length - 1));
  const stages: (readonly [Readonly<Record<string, readonly string[] | Buffer>>, RegExp])[] = [
    [some(0, early), /statements read/],
    [below('reports', month.reports), /run published/],
  ];
  for (const [files, said] of sized(0, random(2)) === 0 ? stages : stages.reverse()) {
    writeFiles(folder, files);
    const killed = start();
    await killed.says(said);
    killed.kill('SIGKILL');
    await killed.ended;
  }
  const third = start();
  const page = /http:\/\/[\d.:]+/.exec(await third.says(/pages:/))![0];
  try {
    writeFiles(folder, some(early));
    await until(url, names.length, month.banks.size);
    const shown = await settlestream(['batches', '--json', ...config], { env });
    // biome-ignore lint/suspicious/noExplicitAny: looked into by name.
    const banks = shown.json.batches.map(({ settlementBatchId, bank }: any) => [
      settlementBatchId,
      {
        state: bank.state,
        arrived: bank.arrived,
        matchedBy: bank.matchedBy,
        references: bank.entries.map(({ reference }: { reference: string }) => reference),
      },
    ]);
    assert.deepEqual(Object.fromEntries(banks), Object.fromEntries(month.banks));
    const { json } = await settlestream(['discrepancies', '--json', ...config], { env });
    const told = json.discrepancies.map(
      ({ kind, settlementBatchId }: Record<string, string | null>) => `${kind} ${settlementBatchId}`,
    );
    // By the clock months have passed since the last statements.
    const expected = [
      ...month.findings.map(([kind, batch]) => `${kind} ${batch}`),
      ...CURRENCIES.map(() => 'missing_statement null'),
    ];
    assert.deepEqual(told.sort(), expected.sort());
    await untilMetrics(page, month.banks);
    // Listing what is known uses up no numbers.
    const [{ last }] = (await query(url, 'select max(no)::int as last from bank_file')) as [{ last: number }];
    assert.equal(last, names.length);
  } finally {
    third.kill('SIGTERM');
    await third.ended;
  }

  // A file that is taken out takes its entries with it, and brings them back.
  const paid = [...month.banks.values()].find(
    ({ state, references }) => state === 'arrived' && references.length === 1,
  )!.references[0]!;
  const [name] = Object.entries(month.statements).find(([, bytes]) => bytes.includes(paid))!;
  const states = async () => await query(url, `select state, count(*)::int from payout group by 1 order by 1`);
  const before = await states();
  const out = await settlestream(['withdraw', '--statements', name, '--reason', 'wrong bank', ...config, '--json'], {
    env,
  });
  assert.deepEqual([out.code, out.json.bankStatements[0].state], [0, 'withdrawn'], out.stderr);
  assert.notDeepEqual(await states(), before);
  const again = await settlestream(['replay', '--statements', name, ...config, '--json'], { env });
  assert.deepEqual([again.code, again.json.bankStatements[0].state], [0, 'closed'], again.stderr);
  assert.deepEqual(await states(), before);
  assert.equal((await settlestream(['withdraw', '--statements', 'none', '--reason', 'x', ...config], { env })).code, 2);
}

/** The metrics say how many payouts are where. */
async function untilMetrics(page: string, banks: ReadonlyMap<string, { readonly state: string }>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  const states = [...banks.values()].map(({ state }) => state);
  for (;;) {
    const text = await (await fetch(`${page}/metrics`)).text();
    const isSaid = ['arrived', 'overdue', 'different', 'returned'].every((state) =>
      text.includes(`recon_payouts{state="${state}"} ${states.filter((one) => one === state).length}\n`),
    );
    const others = [
      'recon_payout_amount_open{',
      'recon_oldest_expected_payout_timestamp_seconds ',
      'recon_bank_statement_lag_seconds ',
    ];
    const isTold =
      /recon_discrepancies_open\{source="house-bank",kind="missing_statement"\} (\d+)\n/.exec(text)?.[1] ===
      `${CURRENCIES.length}`;
    if (isSaid && isTold && others.every((name) => text.includes(`\n${name}`))) return;
    assert.ok(
      Date.now() < deadline,
      text
        .split('\n')
        .filter((line) => /payout|statement/.test(line))
        .join('\n'),
    );
    await new Promise((wake) => setTimeout(wake, 500));
  }
}

/** All files are read, all batches have a payout, and nothing is left to match. */
async function until(url: string, files: number, payouts: number): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  const statement = `select (select count(*)::int from bank_file where state = 'read') as files, (select count(*)::int from payout) as payouts,
    (select count(*)::int from bank_change) as changes, (select count(*)::int from batch where done < wanted) as batches`;
  for (;;) {
    const [found] = await query(url, statement);
    const expected = { files, payouts, changes: 0, batches: 0 };
    if (JSON.stringify(found) === JSON.stringify(expected)) return;
    if (Date.now() > deadline) assert.deepEqual(found, expected);
    await new Promise((wake) => setTimeout(wake, 200));
  }
}
