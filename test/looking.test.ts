/** Whoever looks into a book finds what is open, since when, and what has become of it; in pages, by source and batch, and without haste. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite, test } from 'node:test';
import { parse } from 'csv-parse/sync';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';
import { rowsOfSheets } from './support/workbook.ts';

const BIN = resolve(import.meta.dirname, '../bin/settlestream.js');
const HEADER =
  'settlementBatchId,acquirer,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const details = (batch: string, acquirer: string, rows: readonly string[]) => [
  HEADER,
  ...rows.map((row) => `${batch},${acquirer},${row}`),
  '<END>',
];
const summary = (batch: string, acquirer: string, count: number, amount: string) => [
  'settlementBatchId,acquirer,summaryType,count,settlementAmountValue,settlementCurrency',
  `${batch},${acquirer},TOTAL,${count},${amount},USD`,
  '<END>',
];

const PAYMENTS = ['p-1', 'p-2', 'p-3', 'p-4', 'p-5'];
const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt',
    ...PAYMENTS.map((id) => `${id},PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00`),
  ],
  // All but the last are off by one.
  'reports/M1/20260105/settlementItems_USD_B1_000.csv': details('B1', 'Acme', [
    ...PAYMENTS.map((id, at) => `PAYMENT,t-${at},${id},${at < 4 ? 11 : 10}.00,USD,${at < 4 ? 11 : 10}.00,USD`),
    'RESERVE,w-1,,,,-5.00,USD',
    'COLLATERAL_WITHHOLDING,w-2,,,,-7.50,USD',
  ]),
  'reports/M1/20260105/settlementSummary_USD_B1_000.csv': summary('B1', 'Acme', 7, '41.50'),
  // Gives back a part of the reserve, and holds none of another acquirer's.
  'reports/M1/20260112/settlementItems_USD_B2_000.csv': details('B2', 'Acme', [
    'RESERVE_WITHHOLDING,w-3,,,,-1.00,USD',
    'RESERVE_RELEASE,w-4,,,,2.00,USD',
    'PAYMENT,t-9,p-9,3.00,USD,3.00,USD',
  ]),
  'reports/M1/20260112/settlementSummary_USD_B2_000.csv': summary('B2', 'Acme', 3, '4.00'),
  'reports/M1/20260113/settlementItems_USD_B3_000.csv': details('B3', 'Other', ['RESERVE_RELEASED,w-5,,,,0.50,USD']),
  'reports/M1/20260113/settlementSummary_USD_B3_000.csv': summary('B3', 'Other', 1, '0.50'),
});
const url = await freshDatabase();
const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data') };
const run = (...args: string[]) => settlestream(args, { cwd: folder, env });
const reconciled = await run('reconcile', 'reports', '--ledger', 'records.csv');
assert.equal(reconciled.code, 1, reconciled.stderr);
// biome-ignore lint/suspicious/noExplicitAny: looked into by name.
type Json = any;
const list = async (...args: string[]): Promise<Json[]> =>
  (await run('discrepancies', '--json', ...args)).json.discrepancies;
const all = await list();

suite('the list of discrepancies', () => {
  test('comes in pages that join without a gap, and says where each goes on', async () => {
    const pages: Json[] = [];
    let next: string | null = null;
    do {
      const { json, stderr } = await run('discrepancies', '--json', '--limit', '2', ...(next ? ['--after', next] : []));
      pages.push(...json.discrepancies);
      next = json.next;
      assert.equal(stderr.includes(`--after ${next}`), next !== null);
    } while (next !== null);
    assert.equal(all.length, 5);
    assert.deepEqual(pages, all);
  });

  test('refuses a place that it never told, and a limit that is none', async () => {
    for (const args of [
      ['--after', '999999'],
      ['--limit', '0'],
      ['--after', 'x'],
    ]) {
      const { code, stderr } = await run('discrepancies', ...args);
      assert.equal(code, 2);
      assert.ok(stderr.includes(args.join(' ')), stderr);
    }
  });

  test('can be asked for one batch, and for one source', async () => {
    assert.deepEqual(
      (await list('--batch', 'B2')).map(({ kind, requestId }) => [kind, requestId]),
      [['unknown_transaction', 'p-9']],
    );
    assert.equal((await list('--source', 'files')).length, 5);
    assert.equal((await list('--source', 'nobody')).length, 0);
  });

  test('says since when each is open', () => {
    for (const { since } of all) assert.ok(Date.now() - Date.parse(since) < 600_000, since);
  });

  test('has no transaction open while its reader takes its time, and ends well when the reader leaves', async () => {
    await query(
      url,
      `insert into discrepancy (batch_no, identity, of_matchable, kind, load_no, line, message, first_seen_at, opened_run, opened_at)
       select batch_no, 'many ' || n, false, kind, load_no, n, repeat('x', 200), first_seen_at, opened_run, opened_at
         from (select * from discrepancy limit 1) d, generate_series(1, 20000) n`,
    );
    const reader = spawn(process.execPath, [BIN, 'discrepancies', '--format', 'csv'], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [first] = await once(reader.stdout.pause(), 'readable');
    assert.equal(first, undefined);
    const state = async () =>
      (
        await query<{ state: string }>(
          url,
          `select state from pg_stat_activity where query like 'fetch % from portion' and datname = current_database()`,
        )
      ).map(({ state }) => state);
    while ((await state()).join() !== 'idle') assert.equal(reader.exitCode, null);
    reader.stdout.destroy();
    const [code] = await once(reader, 'exit');
    assert.equal(code, 0);
    while ((await state()).length > 0);
    await query(url, `delete from discrepancy where identity like 'many %'`);
  });
});

suite('batches', async () => {
  const { json } = await run('batches', '--json');
  const of = (id: string) => json.batches.find((batch: Json) => batch.settlementBatchId === id);

  test('that are not reconciled say since when, and how many days old they are; others do not age', () => {
    const days = Math.round((Date.now() - Date.parse('2026-01-05')) / 86_400_000);
    assert.ok(Math.abs(of('B1').ageDays - days) <= 1, of('B1').ageDays);
    const since = all.filter(({ settlementBatchId }) => settlementBatchId === 'B1').map(({ since }) => since);
    assert.equal(of('B1').since, since.sort()[0]);
    assert.deepEqual([of('B3').state, of('B3').since, of('B3').ageDays], ['reconciled', null, null]);
  });

  test('say so in a table and in exports too', async () => {
    assert.match((await run('batches')).stdout, /since.*days old/);
    const [head, first] = parse((await run('batches', '--format', 'csv')).stdout) as [string[], string[]];
    assert.deepEqual(head.slice(-4, -2), ['since', 'ageDays']);
    assert.deepEqual(first.slice(-4, -2), [of('B1').since.slice(0, 10), String(of('B1').ageDays)]);
  });
});

suite('one batch', () => {
  test('is a CSV of its discrepancies', async () => {
    const [, ...lines] = parse((await run('show', 'B1', '--format', 'csv')).stdout) as string[][];
    assert.deepEqual(
      lines.map((line) => line[7]),
      PAYMENTS.slice(0, 4),
    );
  });

  test('is a workbook with a sheet of its own before that of its discrepancies', async () => {
    const path = join(folder, 'b1.xlsx');
    writeFileSync(path, await bytesOf('show', 'B1', '--format', 'xlsx'));
    const sheets = await rowsOfSheets(path);
    assert.deepEqual(Object.keys(sheets), ['batch', 'discrepancies']);
    assert.equal(sheets['discrepancies']!.length, 5);
    const lines = sheets['batch']!.map((row) => row.map(String).join(' '));
    for (const line of [
      /^batch settlementBatchId B1/,
      /^batch state discrepant/,
      /^report .*settlementItems_USD_B1_000\.csv .*revision 1, SHA-256 [0-9a-f]{64}/,
      /^total PAYMENT\s+5 54 0/,
      /^total residual\s+0/,
    ])
      assert.ok(
        lines.some((text) => line.test(text)),
        `${line} is not in\n${lines.join('\n')}`,
      );
  });
});

suite('reserves', () => {
  test('are what was withheld less what was released, by acquirer and currency', async () => {
    const { json } = await run('show', 'reserves', '--json');
    const common = { merchantId: 'M1', currency: 'USD' };
    assert.deepEqual(json.reserves, [
      {
        ...common,
        acquirer: 'Acme',
        of: 'collateral',
        withheld: '7.50',
        released: '0.00',
        held: '7.50',
        isOverReleased: false,
        firstDate: '2026-01-05',
        lastDate: '2026-01-05',
      },
      {
        ...common,
        acquirer: 'Acme',
        of: 'reserve',
        withheld: '6.00',
        released: '2.00',
        held: '4.00',
        isOverReleased: false,
        firstDate: '2026-01-05',
        lastDate: '2026-01-12',
      },
      {
        ...common,
        acquirer: 'Other',
        of: 'reserve',
        withheld: '0.00',
        released: '0.50',
        held: '-0.50',
        isOverReleased: true,
        firstDate: '2026-01-13',
        lastDate: '2026-01-13',
      },
    ]);
  });

  test('are a table and a CSV too', async () => {
    const { stdout } = await run('show', 'reserves');
    assert.match(stdout, /still held/);
    assert.match(stdout, /│ +-0.50 │ more released than withheld │/);
    assert.equal((parse((await run('show', 'reserves', '--format', 'csv')).stdout) as string[][]).length, 4);
  });
});

test('what is closed is listed with when and why, where it is asked for', async () => {
  writeFiles(folder, {
    'later.csv': [
      'requestId,type,amount,currency,status,occurredAt',
      'p-9,PAYMENT,3.00,USD,SUCCESS,2026-01-11T09:00:00+08:00',
    ],
  });
  await run('reconcile', 'reports', '--ledger', 'later.csv');
  assert.equal((await list()).length, 4);
  const closed = (await list('--closed')).filter(({ until }) => until !== null);
  assert.deepEqual(
    closed.map(({ kind, requestId, closedBecause }) => [
      kind,
      requestId,
      /found late or changed records/.test(closedBecause),
    ]),
    [['unknown_transaction', 'p-9', true]],
  );
  const { stdout } = await run('discrepancies', '--closed', '--format', 'csv');
  assert.match(stdout, /,since,until,closedBecause,no,handling,assignedTo\n/);
});

/** Stdout of the program as it is. */
async function bytesOf(...args: string[]): Promise<Buffer> {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return Buffer.concat(await child.stdout.toArray());
}
