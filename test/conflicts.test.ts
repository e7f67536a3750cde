/** Several files that lie there together are one report: which of them is right nobody guesses. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { writeSheet } from '../demo/sheet.ts';
import type { Answer } from './support/answer.ts';
import { answerOf, inBook, query, temporaryFolder, writeFiles } from './support/book.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { freshDatabase } from './support/postgres.ts';
import { startRedis } from './support/redis.ts';
import { type Started, startSettlestream } from './support/settlestream.ts';
import { zipOf } from './support/sheets.ts';

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,customerId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const details = (amount: string, { customer = 'C1', batch = 'B1' } = {}) =>
  `${HEADER}\n${batch},PAYMENT,t-${batch},p-${batch},${customer},${amount},USD,${amount},USD\n<END>\n`;
const summary = (amount: string) =>
  `settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency\nB1,TOTAL,1,${amount},USD\n<END>\n`;
const day = (amount: string) =>
  `transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime\nPAYMENT,t-1,p-B1,${amount},USD,2026-03-02T10:15:00+08:00\n<END>\n`;
const ADYEN =
  'Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Payment Method Variant,Modification Merchant Reference,Batch Number';
const adyen = (account: string, currency: string) =>
  `${ADYEN}\nCorner,${account},P1,p-B1,visa,2026-03-02 10:15:00,CET,Settled,MP1,${currency},,10.00,1,${currency},,10.00,,,,,,,7\nCorner,${account},,,,2026-03-03 00:10:00,CET,MerchantPayout,TX1,,,,,${currency},10.00,,,,,,,,7\n`;
const ITEMS = 'settlementItems_USD_B1_000';
const SUMMARY = 'settlementSummary_USD_B1_000.csv';
const AT = 'M1/20260303';

type Files = Readonly<Record<string, string | Buffer>>;
const zip = (files: Files) => zipOf(Object.entries(files).map(([name, content]) => ({ name, content })));

let touched = 1_700_000_000;
/** Each content with a time of its own, as files have that are written one after the other. */
function put(folder: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    touched += 1;
    utimesSync(path, touched, touched);
  }
}

function folderOf(files: Files): string {
  const currencies = ['USD', 'EUR', 'GBP'];
  const folder = writeFiles(temporaryFolder(), {
    'records.csv': [
      'requestId,type,amount,currency,status,occurredAt',
      'p-B1,PAYMENT,10.00,USD,SUCCESS,2026-03-02T10:15:00+08:00',
    ],
    ...Object.fromEntries(
      currencies.map((currency) => [
        `${currency}.csv`,
        [
          'requestId,type,amount,currency,status,occurredAt',
          `p-B1,PAYMENT,10.00,${currency},SUCCESS,2026-03-02T10:15:00+08:00`,
        ],
      ]),
    ),
  });
  put(folder, files);
  return folder;
}

const reconcile = async (folder: string, ...more: string[]): Promise<Answer> =>
  answerOf(
    await inBook(
      [
        'reconcile',
        join(folder, 'in'),
        ...(more.includes('--ledger') ? [] : ['--ledger', join(folder, 'records.csv')]),
        '--json',
        ...more,
      ],
      2,
    ),
  );

const states = ({ reports }: Answer) =>
  Object.fromEntries(reports.map(({ file, state, error }) => [file, error ? error.code : state]));
const batches = (answer: Answer) =>
  [...answer.batches, ...answer.transactionDays].map(({ state, rows, matchedRows }) => [state, rows, matchedRows]);
const RIGHT = [['reconciled', 1, 1]];

/** What is told of a conflict: each file, with all of them in its reason, and no row of them. */
function isConflict(answer: Answer, files: readonly string[]): void {
  for (const file of files) {
    const report = answer.reports.find((report) => report.file === file);
    assert.deepEqual([report?.state, report?.error?.code, report?.rows], ['refused', 'conflicting_files', 0], file);
    for (const other of files) assert.ok(report!.error!.message.includes(other), report!.error!.message);
  }
  assert.equal(answer.exitCode, 3);
  assert.ok(!batches(answer).some(([state]) => state === 'reconciled'), JSON.stringify(batches(answer)));
}

suite('files of one listing for one report', () => {
  const csv = `${AT}/${ITEMS}.csv`;
  const conflicts: Record<string, { files: Files; more?: string[] }> = {
    'a backup beside today': { files: { [csv]: details('10.00'), [`backup/${csv}`]: details('9.00') } },
    'two shops of one merchant': {
      files: {
        'shopA/transactionItems_20260302_000.csv': day('10.00'),
        'shopB/transactionItems_20260302_000.csv': day('9.00'),
      },
    },
    'a zip with other content than the CSV': {
      files: { [csv]: details('10.00'), [`${AT}/old.zip`]: zip({ [`${ITEMS}.csv`]: details('9.00') }) },
    },
    'a name in another case': {
      files: { [csv]: details('10.00'), [`${AT}/SETTLEMENTITEMS_usd_b1_000.CSV`]: details('9.00') },
    },
    'two workbooks': { files: {} },
    'three, of which two are the same': {
      files: { [csv]: details('10.00'), [`a/${csv}`]: details('9.00'), [`b/${csv}`]: details('10.00') },
    },
    'one below a day and one below none': {
      files: { [`${ITEMS}.csv`]: details('10.00'), [csv]: details('9.00') },
      more: ['--merchant', 'M1'],
    },
  };
  for (const [which, { files, more = [] }] of Object.entries(conflicts))
    test(`that differ are a conflict: ${which}`, async () => {
      const folder = folderOf(Object.fromEntries(Object.entries(files).map(([name, text]) => [`in/${name}`, text])));
      const names = Object.keys(files);
      if (which === 'two workbooks')
        for (const [name, amount] of [
          [`${AT}/${ITEMS}.xlsx`, '10.00'],
          [`a/${AT}/${ITEMS}.xlsx`, '9.00'],
        ] as const) {
          mkdirSync(dirname(join(folder, 'in', name)), { recursive: true });
          const rows = details(amount).trim().split('\n');
          await writeSheet(
            join(folder, 'in', name),
            rows.map((row) => row.split(',')),
            new Date('2026-03-03T00:00:00Z'),
          );
          names.push(name);
        }
      put(folder, which.includes('shops') ? {} : { [`in/${AT}/${SUMMARY}`]: summary('10.00') });
      isConflict(await reconcile(folder, '--merchant', 'M1', ...more), names);
    });

  test('that differ are one, too, where a call names both folders, and where one zip holds both', async () => {
    const folder = folderOf({
      [`in/${csv}`]: details('10.00'),
      [`other/${csv}`]: details('9.00'),
      [`in/${AT}/two.zip`]: zip({ 'a/settlementItems_USD_B2_000.csv': 'x\n<END>\n' }),
    });
    const both = await reconcile(folder, join(folder, 'other'));
    const told = both.reports.filter(({ error }) => error?.code === 'conflicting_files');
    assert.equal(told.length, 2);
    // They are shown alike, so they are told by their whole paths.
    for (const { error } of told)
      for (const at of ['in', 'other']) assert.ok(error!.message.includes(join(folder, at, csv)), error!.message);
    const inside = folderOf({
      [`in/${AT}/two.zip`]: zip({ [`a/${ITEMS}.csv`]: details('10.00'), [`b/${ITEMS}.csv`]: details('9.00') }),
    });
    isConflict(await reconcile(inside), [`${AT}/two.zip/a/${ITEMS}.csv`, `${AT}/two.zip/b/${ITEMS}.csv`]);
  });

  test('are looked at once each, however many a call names one by one', async () => {
    const notes = Array.from({ length: 40 }, (_, at) => `other/notes-${at}.csv`);
    const folder = folderOf({ [`in/${csv}`]: details('10.00'), [`in/${AT}/${SUMMARY}`]: summary('10.00') });
    put(folder, Object.fromEntries(notes.map((name) => [name, 'no,report\n'])));
    const answer = await reconcile(folder, ...notes.map((name) => join(folder, name)));
    assert.deepEqual(batches(answer), RIGHT);
    assert.equal(answer.exitCode, 3);
  });

  test('with the same bytes are a duplicate, however they are wrapped', async () => {
    const folder = folderOf({
      [`in/${csv}`]: details('10.00'),
      [`in/backup/${csv}`]: details('10.00'),
      [`in/${AT}/z.zip`]: zip({ [`${ITEMS}.csv`]: details('10.00') }),
      [`in/${AT}/${SUMMARY}`]: summary('10.00'),
    });
    const answer = await reconcile(folder);
    assert.deepEqual(states(answer), {
      [csv]: 'closed',
      [`backup/${csv}`]: 'duplicate',
      [`${AT}/z.zip`]: 'duplicate',
      [`${AT}/${SUMMARY}`]: 'closed',
    });
    assert.deepEqual([batches(answer), answer.exitCode], [RIGHT, 0]);
  });

  test('in folders of several days are revisions: the latest day counts, wherever it lies and whenever it came', async () => {
    const later = `a/M1/20260304/${ITEMS}.csv`;
    const folder = folderOf({
      [`in/${later}`]: details('10.00'),
      [`in/z/${csv}`]: details('9.00'),
      [`in/${AT}/${SUMMARY}`]: summary('10.00'),
    });
    const answer = await reconcile(folder);
    assert.deepEqual([batches(answer), answer.exitCode], [RIGHT, 0]);
    assert.deepEqual(
      answer.reports.filter(({ kind }) => kind === 'settlementDetails').map(({ file, revision }) => [file, revision]),
      [
        [later, 2],
        [`z/${csv}`, 1],
      ],
    );
    // The older one comes last.
    const dataDir = temporaryFolder();
    rmSync(join(folder, 'in/z'), { recursive: true });
    assert.deepEqual(batches(await reconcile(folder, '--data-dir', dataDir)), RIGHT);
    put(folder, { [`in/z/${csv}`]: details('9.00') });
    const then = await reconcile(folder, '--data-dir', dataDir);
    assert.deepEqual([batches(then), then.exitCode], [RIGHT, 0]);
  });

  test('of two accounts in two currencies: each counts in its own batch once the other is gone', async () => {
    const name = 'settlement_detail_report_batch_7.csv';
    const files = { [`in/NL/${name}`]: adyen('NL', 'EUR'), [`in/UK/${name}`]: adyen('UK', 'GBP') };
    const folder = folderOf(files);
    const dataDir = temporaryFolder();
    const ask = (currency: string) =>
      reconcile(
        folder,
        ...['--merchant', 'M1', '--format', 'adyen-settlement-details', '--time-zone', 'Europe/Amsterdam'],
        ...['--data-dir', dataDir, '--ledger', join(folder, `${currency}.csv`)],
      );
    isConflict(await ask('EUR'), [`NL/${name}`, `UK/${name}`]);
    for (const [gone, left, currency] of [
      ['UK', 'NL', 'EUR'],
      ['NL', 'UK', 'GBP'],
    ] as const) {
      rmSync(join(folder, 'in', gone), { recursive: true, force: true });
      if (left === 'UK') put(folder, { [`in/UK/${name}`]: adyen('UK', 'GBP') });
      const answer = await ask(currency);
      if (left === 'UK') {
        // Over time, the other account's content is another merchant's.
        assert.equal(states(answer)[`UK/${name}`], 'mixed_merchants');
        const at = ['--data-dir', dataDir, '--json'];
        const withdrawn = await inBook(['withdraw', '--report', `NL/${name}`, '--reason', 'not ours', ...at]);
        assert.equal(withdrawn.code, 0, withdrawn.stderr);
        const read = ['--format', 'adyen-settlement-details', '--time-zone', 'Europe/Amsterdam'];
        const replayed = await inBook(['replay', '--report', `UK/${name}`, ...at, ...read]);
        assert.equal(replayed.code, 0, replayed.stderr);
      }
      const told = left === 'UK' ? await ask(currency) : answer;
      assert.deepEqual(
        told.batches.map(({ settlementCurrency, rows }) => [settlementCurrency, rows]),
        [[currency, 2]],
      );
    }
  });
});

suite('a conflict heals', () => {
  const csv = `${AT}/${ITEMS}.csv`;
  const other = `old/${csv}`;
  const conflicting = async () => {
    const folder = folderOf({ [`in/${csv}`]: details('10.00'), [`in/${AT}/${SUMMARY}`]: summary('10.00') });
    const dataDir = temporaryFolder();
    const ask = () => reconcile(folder, '--data-dir', dataDir);
    const before = await ask();
    assert.deepEqual(batches(before), RIGHT);
    put(folder, { [`in/${other}`]: details('9.00') });
    isConflict(await ask(), [csv, other]);
    isConflict(await ask(), [csv, other]);
    return { folder, dataDir, ask, before };
  };

  test('when the wrong file is gone, or is the same as the other', async () => {
    const { folder, ask, before } = await conflicting();
    rmSync(join(folder, 'in/old'), { recursive: true });
    const after = await ask();
    assert.deepEqual([after.batches, after.exitCode], [before.batches, 0]);
    put(folder, { [`in/${other}`]: details('8.00') });
    isConflict(await ask(), [csv, other]);
    put(folder, { [`in/${csv}`]: details('8.00') });
    const third = await ask();
    assert.deepEqual(
      third.discrepancies.map(({ kind, reported }) => [kind, reported]),
      [
        ['amount_mismatch', '8.00'],
        ['summary_mismatch', '8.00'],
      ],
    );
  });

  test('when the wrong one is withdrawn, by its file; also after a replay of both', async () => {
    const { dataDir, ask, before } = await conflicting();
    const at = ['--data-dir', dataDir, '--json'];
    const replayed = await inBook(['replay', '--refused', ...at]);
    assert.equal(replayed.code, 3, replayed.stderr);
    isConflict(await ask(), [csv, other]);
    const unclear = await inBook(['withdraw', '--report', ITEMS, '--reason', 'old', ...at]);
    assert.match(unclear.stderr, /several files with different contents[\s\S]*old\/M1/);
    const withdrawn = await inBook(['withdraw', '--report', other, '--reason', 'old', ...at]);
    assert.equal(withdrawn.code, 0, withdrawn.stderr);
    const after = await ask();
    assert.deepEqual(after.batches, before.batches);
    assert.deepEqual([states(after)[csv], states(after)[other]], ['closed', 'withdrawn']);
  });

  test('over time another content of one path is a revision, as ever; of another customer it is refused', async () => {
    const { folder, ask } = await conflicting();
    rmSync(join(folder, 'in/old'), { recursive: true });
    put(folder, { [`in/${csv}`]: details('11.00') });
    assert.deepEqual(states(await ask())[csv], 'closed');
    put(folder, { [`in/${csv}`]: details('10.00', { customer: 'C2' }) });
    const answer = await ask();
    assert.deepEqual([states(answer)[csv], answer.exitCode], ['mixed_merchants', 3]);
    assert.equal(answer.batches[0]!.details!.settlementAmount, '11.00', 'the content before it counts on');
  });
});

const redis = await startRedis();
after(() => redis.stop());

for (const queue of ['postgres', 'redis'] as const)
  test(`a service that is killed again and again takes neither of two, whatever the order (${queue})`, async () => {
    const folder = temporaryFolder();
    const names = Array.from({ length: 12 }, (_, at) => `settlementItems_USD_K${at}_000.csv`);
    for (const [at, name] of names.entries()) put(folder, { [`${AT}/${name}`]: details('10.00', { batch: `K${at}` }) });
    const url = await freshDatabase();
    const env = {
      DATABASE_URL: url,
      ...(queue === 'redis' ? { REDIS_URL: redis.url } : {}),
      SETTLESTREAM_FOLDER: folder,
      SETTLESTREAM_POLL_SECONDS: '1',
      SETTLESTREAM_PROCESSES: '2',
      SETTLESTREAM_DATA_DIR: temporaryFolder(),
    };
    const counts = async () =>
      (
        await query<{ loads: number; conflicts: number; counting: number }>(
          url,
          `select (select count(*)::int from load) as loads,
                  (select count(*)::int from delivery where state = 'refused' and error_code = 'conflicting_files') as conflicts,
                  (select count(*)::int from report where load_no is not null) as counting`,
        ).catch(() => [])
      )[0] ?? { loads: 0, conflicts: 0, counting: 0 };
    const until = async (isTrue: (now: Awaited<ReturnType<typeof counts>>) => boolean, service?: Started) => {
      for (const deadline = Date.now() + PATIENCE_MS; !isTrue(await counts()); await delay(10))
        assert.ok(Date.now() < deadline, `${JSON.stringify(await counts())} ${service?.pid}`);
    };
    // Half of them come first, and count; then the others, while it is killed.
    let service = startSettlestream(['run'], { env });
    await until(({ counting }) => counting === 12);
    for (const [at, name] of names.entries())
      put(folder, { [`old/${AT}/${name}`]: details('9.00', { batch: `K${at}` }) });
    for (const loads of [14, 17, 20]) {
      await until((now) => now.loads >= loads || now.conflicts >= 20);
      service.kill('SIGKILL');
      await service.ended;
      service = startSettlestream(['run'], { env });
    }
    await until(({ conflicts, counting }) => conflicts === 24 && counting === 0, service);
    // What is right is left: each counts again.
    rmSync(join(folder, 'old'), { recursive: true });
    assert.ok(statSync(join(folder, AT)).isDirectory());
    await until(({ conflicts, counting }) => conflicts === 0 && counting === 12, service);
    service.kill('SIGTERM');
    await service.ended;
    const wrong = await query(
      url,
      `select from report_row x join report r on r.load_no = x.load_no where x.settlement_minor <> 1000`,
    );
    assert.deepEqual(wrong, []);
  });
