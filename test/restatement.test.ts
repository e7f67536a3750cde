/** A provider sends other bytes under a name that is known, or the wrong ones altogether: what was before is not forgotten. */
import assert from 'node:assert/strict';
import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { checkBook, query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const DAY = 'transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime';
const NAME = 'settlementItems_USD_B1_000';
const FILE = `M1/20260105/${NAME}.csv`;

const FIRST = [
  HEADER,
  'B1,PAYMENT,t-1,p-1,10.00,USD,10.00,USD',
  'B1,PAYMENT,t-2,p-2,20.00,USD,20.00,USD',
  'B1,PAYMENT,t-2,p-2,20.00,USD,20.00,USD',
  '<END>',
];
/** One row less, one other, one new. */
const SECOND = [
  HEADER,
  'B1,PAYMENT,t-3,p-3,30.00,USD,30.00,USD',
  'B1,PAYMENT,t-1,p-1,10.00,USD,9.00,USD',
  'B1,PAYMENT,t-2,p-2,20.00,USD,20.00,USD',
  '<END>',
];

const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt',
    ...[10, 20, 30].map((amount, at) => `p-${at + 1},PAYMENT,${amount}.00,USD,SUCCESS,2026-01-04T09:00:00+08:00`),
  ],
});
const env = {
  DATABASE_URL: await freshDatabase(),
  SETTLESTREAM_DATA_DIR: join(folder, 'book'),
  SETTLESTREAM_PROCESSES: '1',
};
const call = (...args: string[]) => settlestream(args, { env });
const reports = join(folder, 'reports');
const reconcile = () => call('reconcile', reports, '--ledger', join(folder, 'records.csv'), '--json');
const show = async (...more: string[]) => (await call('show', 'B1', '--json', ...more)).json;
const put = (file: string, lines: readonly string[]) => void writeFiles(reports, { [file]: lines });
const deliveries = () => query<{ state: string }>(env.DATABASE_URL, 'select state from delivery order by no');

const times: string[] = [];
const now = async () => {
  const [found] = await query<{ now: string }>(
    env.DATABASE_URL,
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
  );
  times.push(found!.now);
};
let digest: string;

suite('a report that is restated, and withdrawn', () => {
  test('show tells which rows a revision touched and the money that it moved', async () => {
    put(FILE, FIRST);
    await reconcile();
    digest = (await show()).digest;
    await now();
    put(FILE, SECOND);
    await reconcile();
    const shown = await show('--rows');
    assert.deepEqual(shown.revisions, [
      {
        file: FILE,
        from: 1,
        to: 2,
        rowsDroppedAt: null,
        added: 1,
        removed: 1,
        changed: 1,
        settlementAmount: '9.00',
        transactionAmounts: null,
      },
    ]);
    const row = { file: FILE, from: 1, to: 2, type: 'PAYMENT' };
    const side = (line: number, transactionAmount: string, settlementAmount = transactionAmount) => ({
      line,
      transactionAmount,
      transactionCurrency: 'USD',
      settlementAmount,
      feeAmount: null,
    });
    assert.deepEqual(shown.revisedRows, [
      { ...row, transactionId: 't-3', requestId: 'p-3', before: null, after: side(2, '30.00') },
      { ...row, transactionId: 't-1', requestId: 'p-1', before: side(2, '10.00'), after: side(3, '10.00', '9.00') },
      { ...row, transactionId: 't-2', requestId: 'p-2', before: side(4, '20.00'), after: null },
    ]);
  });

  test('of a day it tells the transaction amounts by currency', async () => {
    const day = 'M1/20260104/transactionItems_20260104_000.csv';
    const at = '2026-01-04T09:00:00+08:00';
    put(day, [DAY, `PAYMENT,t-1,p-1,10.00,USD,${at}`, '<END>']);
    await reconcile();
    put(day, [DAY, `PAYMENT,t-1,p-1,12.50,USD,${at}`, `PAYMENT,t-8,p-8,700,JPY,${at}`, '<END>']);
    await reconcile();
    const { json } = await call('show', '2026-01-04', '--json');
    assert.deepEqual(json.revisions, [
      {
        file: day,
        from: 1,
        to: 2,
        rowsDroppedAt: null,
        added: 1,
        removed: 0,
        changed: 1,
        settlementAmount: null,
        transactionAmounts: [
          { currency: 'JPY', amount: '700' },
          { currency: 'USD', amount: '2.50' },
        ],
      },
    ]);
  });

  test('a withdrawn content makes room for the one before it', async () => {
    await now();
    const known = await deliveries();
    const { code, json } = await call('withdraw', '--report', NAME, '--reason', 'sent by mistake', '--json');
    assert.equal(code, 0);
    assert.deepEqual(
      json.batches.map(({ settlementBatchId, before, after }: Record<string, { net: string }>) => [
        settlementBatchId,
        before!.net,
        after!.net,
      ]),
      [['B1', '59.00', '50.00']],
    );
    assert.equal((await show()).digest, digest);
    const again = await call('withdraw', '--report', FILE, '--reason', 'once more', '--json');
    assert.match(again.stderr, /nothing changes/);
    assert.equal(again.json.batches[0].after.net, '50.00');

    // Neither its file nor the same bytes at another time bring it back.
    const listed = await reconcile();
    assert.equal(listed.code, 3);
    const { state, error } = listed.json.reports.find(({ file }: { file: string }) => file === FILE);
    assert.deepEqual([state, error.code], ['refused', 'withdrawn']);
    assert.match(error.message, /^sent by mistake: /);
    assert.equal((await deliveries()).length, known.length);
    utimesSync(join(reports, FILE), 1_700_000_000, 1_700_000_000);
    await reconcile();
    assert.deepEqual((await deliveries()).at(-1), { state: 'withdrawn' });
    assert.equal((await show()).digest, digest);
  });

  test('with nothing left a batch has no result, and what was told of it is closed', async () => {
    const [{ sha256 }] = (await show()).reports;
    await call('withdraw', '--report', sha256.slice(0, 12), '--reason', 'wrong too');
    const { code, stderr } = await call('show', 'B1');
    assert.equal(code, 2);
    assert.match(stderr, /there is no batch or day B1/);
    const { json } = await call('discrepancies', '--json');
    assert.deepEqual(
      json.discrepancies.filter((one: { settlementBatchId: string }) => one.settlementBatchId === 'B1'),
      [],
    );
    await checkBook(env.DATABASE_URL);
  });

  test('a replay of it brings a report back, and the runs tell why each came about', async () => {
    const { code, json } = await call('replay', '--report', `${NAME}.csv`, '--json');
    assert.equal(code, 0);
    assert.deepEqual(json.batches[0].before, { digest: null, net: null });
    assert.equal(json.batches[0].after.net, '59.00');
    const { runs, reports: read } = await show();
    assert.equal(read[0].revision, 2);
    assert.deepEqual(
      runs.map(({ net, causes }: { net: string; causes: { cause: string; asked: string | null }[] }) => [
        net,
        ...causes.map(({ cause, asked }) => [cause, asked].filter(Boolean).join(': ')),
      ]),
      [
        ['50.00', 'report'],
        ['59.00', 'report'],
        ['50.00', `withdrawal: ${FILE}: sent by mistake`],
        ['50.00', 'report'],
        [null, `withdrawal: ${FILE}: wrong too`],
        ['59.00', `replay: report ${NAME}.csv`],
      ],
    );
    await checkBook(env.DATABASE_URL);
  });

  test('what was known at a time stays known', async () => {
    const then = await show('--as-of', times[0]!);
    assert.equal(then.digest, digest);
    assert.deepEqual(then.revisions, []);
    assert.equal(then.runs.length, 1);
    assert.deepEqual(
      then.discrepancies.map(({ kind, line }: { kind: string; line: number }) => [kind, line]),
      [
        ['missing_summary', null],
        ['duplicate_row', 4],
      ],
    );
    assert.equal((await show('--as-of', times[1]!)).details.settlementAmount, '59.00');
    const { json } = await call('batches', '--as-of', times[0]!, '--json');
    assert.deepEqual(
      json.batches.map((batch: { settlementBatchId: string }) => batch.settlementBatchId),
      ['B1'],
    );
    assert.equal((await call('show', 'B1', '--as-of', '2020-01-01')).code, 2);
    const unclear = await call('show', 'B1', '--as-of', '2026-01-05T10:00');
    assert.match(unclear.stderr, /nor a time with an offset/);
  });
});

suite('the same bytes under another name', () => {
  const other = `M1/20260105/settlementItems_VISA_USD_B1_000.csv`;
  const later = `M1/20260105/settlementItems_USD_B1_001.csv`;

  test('are a duplicate where batch and part agree, until the other report says something else', async () => {
    put(other, SECOND);
    const twice = await reconcile();
    const stateOf = (answer: typeof twice, of: string) =>
      answer.json.reports.find(({ file }: { file: string }) => file === of)?.state;
    assert.equal(stateOf(twice, other), 'duplicate');
    assert.equal((await show()).details.settlementAmount, '59.00');
    assert.deepEqual((await show()).reports[0].sameBytesAs, [other]);
    put(FILE, FIRST);
    assert.equal(stateOf(await reconcile(), other), 'closed');
    assert.equal((await show()).details.settlementAmount, '109.00');
  });

  test('are noted and read where they are another part', async () => {
    put(later, FIRST);
    const { stderr } = await reconcile();
    assert.match(stderr, /has the same content as others/);
    const shown = await show();
    assert.equal(shown.details.settlementAmount, '159.00');
    const part = shown.reports.find(({ file }: { file: string }) => file === later);
    assert.deepEqual(part.sameBytesAs, [FILE]);
  });

  test('a name that several reports have is asked back', async () => {
    const [{ sha256 }] = (await show()).reports;
    const { code, stderr } = await call('withdraw', '--report', sha256.slice(0, 8), '--reason', 'which');
    assert.equal(code, 2);
    assert.match(stderr, /names several reports.*\n {2}.*_000\.csv .*\n {2}.*_001\.csv /);
    await checkBook(env.DATABASE_URL);
  });
});
