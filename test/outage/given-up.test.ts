/** What was given up is told as that: its batch or day waits, and one command takes all of it up again. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { query, temporaryFolder, writeFiles } from '../support/book.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { freshDatabase } from '../support/postgres.ts';
import { settlestream, startSettlestream } from '../support/settlestream.ts';

const ROW = 'transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency';
const FILES = {
  summary: {
    'M1/20260105/settlementSummary_USD_A1_000.csv': [
      'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
      'A1,TOTAL,1,10.00,USD',
      '<END>',
    ],
  },
  details: {
    'M1/20260105/settlementItems_USD_A1_000.csv': [
      `settlementBatchId,${ROW},settlementAmountValue,settlementCurrency`,
      'A1,PAYMENT,t-1,p-1,10.00,USD,10.00,USD',
      '<END>',
    ],
  },
  day: {
    'M1/20260104/transactionItems_20260104_000.csv': [
      `${ROW},paymentTime`,
      'PAYMENT,t-1,p-1,10.00,USD,2026-01-04T09:00:00+08:00',
      '<END>',
    ],
  },
};
const WHY = 'load-chunk: it was too much for us';

const folder = temporaryFolder();
const reports = join(folder, 'reports');
mkdirSync(reports);
const url = await freshDatabase();
const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data') };
writeFiles(folder, {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt',
    'p-1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00',
  ],
});
const reconcile = () => settlestream(['reconcile', reports, '--json'], { env });
const statesOf = (json: { batches: { state: string }[]; transactionDays: { state: string }[] }) =>
  [...json.batches, ...json.transactionDays].map(({ state }) => state);

test('a report that was given up is waited for, with the reason', async () => {
  writeFiles(reports, FILES.summary);
  const first = await settlestream(['reconcile', reports, '--ledger', join(folder, 'records.csv'), '--json'], { env });
  assert.deepEqual(statesOf(first.json), ['incomplete'], first.stderr);
  // Found, and given up before it could be read.
  writeFiles(reports, { ...FILES.details, ...FILES.day });
  const producer = startSettlestream(['produce', '--folder', reports], {
    env: { ...env, SETTLESTREAM_POLL_SECONDS: '1' },
  });
  const found = `select no from delivery where state = 'found'`;
  for (const deadline = Date.now() + PATIENCE_MS; (await query(url, found)).length < 2; await delay(50))
    assert.ok(Date.now() < deadline);
  producer.kill('SIGTERM');
  await producer.ended;
  await query(url, `update delivery set attempts = 8, parked_reason = '${WHY}' where state = 'found'`);
  await query(url, `select want_runs(array(select no from batch), 'report')`);

  const { json, code, stderr } = await reconcile();
  assert.equal(code, 3, stderr);
  assert.deepEqual(statesOf(json), ['waiting', 'waiting']);
  assert.deepEqual(json.discrepancies, []);
  assert.deepEqual(
    json.reports.map(({ state, error }: { state: string; error: unknown }) => ({ state, error })),
    [
      { state: 'waiting', error: { code: 'unreadable', message: WHY } },
      { state: 'waiting', error: { code: 'unreadable', message: WHY } },
      { state: 'closed', error: null },
    ],
  );
  const open = await settlestream(['open', '--json'], { env });
  assert.deepEqual(
    open.json.waiting.map(({ awaits }: { awaits: { kind: string; why: string }[] }) =>
      awaits.map(({ kind, why }) => [kind, why]),
    ),
    [[['transactionDetails', WHY]], [['settlementDetails', WHY]]],
  );
  assert.match((await settlestream(['open'], { env })).stdout, /settlementItems_USD_A1_000\.csv/);
});

test('it is taken up again with all others', async () => {
  const dry = await settlestream(['replay', '--refused', '--dry-run', '--json'], { env });
  assert.equal(dry.code, 0, dry.stderr);
  const replayed = await settlestream(['replay', '--refused', '--json'], { env });
  assert.equal(replayed.code, 0, replayed.stderr);
  const { json, code } = await reconcile();
  assert.deepEqual([code, statesOf(json)], [0, ['reconciled', 'reconciled']]);
});

test('so are batches and days that were given up though all their reports were read', async () => {
  await query(url, `update batch set wanted = wanted + 1, attempts = 8, parked_reason = 'reconcile: it was too much'`);
  assert.equal((await reconcile()).code, 3);
  const dry = await settlestream(['replay', '--refused', '--dry-run', '--json'], { env });
  assert.equal(dry.code, 0, dry.stderr);
  const replayed = await settlestream(['replay', '--refused', '--json'], { env });
  assert.equal(replayed.code, 0, replayed.stderr);
  assert.deepEqual(
    await query(url, 'select from batch where parked_reason is not null or done < wanted or attempts > 0'),
    [],
  );
  const { json, code } = await reconcile();
  assert.deepEqual([code, statesOf(json)], [0, ['reconciled', 'reconciled']]);
  const nothing = await settlestream(['replay', '--refused'], { env });
  assert.equal(nothing.code, 2);
});
