/** The service watches folders of statements: whatever is killed in between, on both queues, each payout is where it has to be. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { bankMonth } from './support/bank-month.ts';
import { temporaryFolder, writeFiles } from './support/book.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { freshDatabase, query } from './support/postgres.ts';
import { startRedis } from './support/redis.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

const below = <T>(folder: string, files: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));

const redis = await startRedis();
const books = {
  postgres: { url: await freshDatabase(), env: {} },
  redis: { url: await freshDatabase(), env: { REDIS_URL: redis.url } },
};

suite('the service with a bank', () => {
  for (const [queue, { url, env: more }] of Object.entries(books)) {
    test(`on ${queue}`, async () => {
      const month = bankMonth(7, {
        fates: ['reference', 'twoInOne', 'returned', 'missing', 'short'],
        more: 0,
        currencies: ['EUR', 'JPY'],
      });
      const folder = writeFiles(temporaryFolder(), {
        'records.csv': month.records,
        'settlestream.yaml': [
          'pollSeconds: 1',
          'processes: 1',
          'sources:',
          '- { name: shop, folder: reports, directories: { transactionDetails: "{merchantId}/{date}", settlementDetails: "{merchantId}/{date}", settlementSummary: "{merchantId}/{date}" }, lookbackDays: 36500 }',
          'bank:',
          '  sources: [ { name: house-bank, folder: statements, pollSeconds: 1 } ]',
          '  accounts:',
          '  - { account: NL91ABNA0417164300, currency: EUR, merchantId: M1 }',
          '  - { account: "0007654321", currency: JPY, merchantId: M1 }',
        ],
      });
      mkdirSync(join(folder, 'statements'));
      mkdirSync(join(folder, 'reports'));
      const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data'), ...more };
      const config = ['--config', join(folder, 'settlestream.yaml')];
      assert.equal((await settlestream(['ledger', 'import', join(folder, 'records.csv')], { env })).code, 0);
      const start = () => startSettlestream(['run', ...config], { env });

      // It is killed while it reads the first statements, and again while it reconciles.
      const names = Object.keys(month.statements);
      const some = (from: number, to?: number) =>
        below('statements', Object.fromEntries(names.slice(from, to).map((name) => [name, month.statements[name]!])));
      writeFiles(folder, some(0, 5));
      const first = start();
      await first.says(/statements read/);
      first.kill('SIGKILL');
      await first.ended;
      writeFiles(folder, below('reports', month.reports));
      const second = start();
      await second.says(/run published/);
      second.kill('SIGKILL');
      await second.ended;
      const third = start();
      const page = /http:\/\/[\d.:]+/.exec(await third.says(/pages:/))![0];
      try {
        writeFiles(folder, some(5));
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
          'missing_statement null',
          'missing_statement null',
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
      const [name] = Object.entries(month.statements).find(([, bytes]) => bytes.includes('<Ntry>'))!;
      const states = async () => await query(url, `select state, count(*)::int from payout group by 1 order by 1`);
      const before = await states();
      const out = await settlestream(
        ['withdraw', '--statements', name, '--reason', 'wrong bank', ...config, '--json'],
        { env },
      );
      assert.deepEqual([out.code, out.json.bankStatements[0].state], [0, 'withdrawn'], out.stderr);
      assert.notDeepEqual(await states(), before);
      const again = await settlestream(['replay', '--statements', name, ...config, '--json'], { env });
      assert.deepEqual([again.code, again.json.bankStatements[0].state], [0, 'closed'], again.stderr);
      assert.deepEqual(await states(), before);
      assert.equal(
        (await settlestream(['withdraw', '--statements', 'none', '--reason', 'x', ...config], { env })).code,
        2,
      );
    });
  }
});

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
    const isTold = /recon_discrepancies_open\{source="house-bank",kind="missing_statement"\} 2\n/.test(text);
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
