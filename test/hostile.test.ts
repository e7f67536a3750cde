/** Bad input never hangs, never takes good rows along, and is told by name. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, rmdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { openDatabase } from '../src/adapters/postgres/connection.ts';
import { ingestReport } from '../src/workers/ingest/ingest-report.ts';
import type { ReportAnswer } from './support/answer.ts';
import { temporaryFolder, writeFiles } from './support/book.ts';
import { contextOf, listFolder } from './support/context.ts';
import { freshDatabase } from './support/postgres.ts';
import { type Ended, settlestream } from './support/settlestream.ts';

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const LEDGER_HEADER = 'requestId,type,amount,currency,status,occurredAt';
const row = (batch: string, id: string, amount = '1.00') =>
  `${batch},PAYMENT,t-${id},p-${id},${amount},USD,${amount},USD`;
const record = (id: string) => `p-${id},PAYMENT,1.00,USD,SUCCESS,2026-01-04T10:00:00+08:00`;
const nameOf = (batch: string) => `reports/M1/20260105/settlementItems_USD_${batch}_000.csv`;
const bytes = (...lines: string[]) => Buffer.from(lines.map((line) => `${line}\n`).join(''));

const emptyBook = await freshDatabase();
const book = await freshDatabase();
const inBook = (url = book) => ({
  env: { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: temporaryFolder(), SETTLESTREAM_CHUNK_BYTES: '65536' },
});

suite('files', () => {
  /** What comes of a file: its state and code, or the rows that were read and refused. */
  const FILES: Record<string, [content: Buffer | readonly string[], outcome: string]> = {
    GOOD: [[HEADER, row('GOOD', '1'), '<END>'], 'closed 1 0'],
    ZERO: [Buffer.alloc(0), 'waiting no_end'],
    BOM: [Buffer.from('\ufeff'), 'waiting no_end'],
    ONLYEND: [['<END>'], 'refused no_header'],
    HEADER: [[HEADER], 'waiting no_end'],
    NOROWS: [[HEADER, '<END>'], 'closed 0 0'],
    MIDDLE: [[HEADER, row('MIDDLE', '1'), '<END>', row('MIDDLE', '2')], 'refused rows_after_end'],
    // One line of five million bytes between two good ones.
    LONG: [[HEADER, row('LONG', '1'), 'x'.repeat(5_000_000), row('LONG', '2'), '<END>'], 'closed 3 1'],
    LONGHEADER: [['x'.repeat(5_000_000), '<END>'], 'refused row_too_long'],
    QUOTE: [[HEADER, row('QUOTE', '1'), '"QUOTE,PAYMENT', row('QUOTE', '2'), '<END>'], 'closed 3 1'],
    NUL: [[HEADER, row('NUL', '1'), row('NUL', '2\0'), row('NUL', '3'), '<END>'], 'closed 3 1'],
    ZEROS: [Buffer.alloc(200_000), 'waiting no_end'],
    UTF16: [Buffer.from(`\ufeff${HEADER}\n${row('UTF16', '1')}\n<END>\n`, 'utf16le'), 'refused bad_encoding'],
    // Neither UTF-8 nor GBK: what cannot be read costs its own rows.
    BYTES: [
      Buffer.concat([
        bytes(HEADER, row('BYTES', '1')),
        Buffer.from([0xe4, 0x0a, 0xff, 0xfe, 0x0a]),
        bytes(row('BYTES', '2'), '<END>'),
      ]),
      'closed 4 2',
    ],
    NAMES: [['a,b,c', '1,2,3', '<END>'], 'refused no_header'],
    COLUMNS: [['settlementBatchId,transactionType', 'COLUMNS,PAYMENT', '<END>'], 'refused missing_columns'],
    TWICE: [[`${HEADER},transactionType`, `${row('TWICE', '1')},REFUND`, '<END>'], 'refused duplicate_columns'],
    MANY: [
      [HEADER, row('MANY', '1'), ...Array(100_000).fill('what,is,this'), row('MANY', '2'), '<END>'],
      'closed 100002 100000',
    ],
  };

  test('each is told by name, and the good rows beside it are read', async () => {
    const folder = temporaryFolder();
    for (const [name, [content]] of Object.entries(FILES)) writeFiles(folder, { [nameOf(name)]: content as Buffer });
    writeFiles(folder, { 'records.csv': [LEDGER_HEADER, ...['1', '2', '3'].map(record)] });
    // What is no file is not read, and nobody waits for it; but it is told.
    mkdirSync(join(folder, nameOf('DIRECTORY')));
    execFileSync('mkfifo', [join(folder, nameOf('FIFO'))]);
    symlinkSync('/nowhere', join(folder, nameOf('DANGLING')));
    symlinkSync(join(folder, nameOf('GOOD')), join(folder, nameOf('LINK')));
    const { json, code } = await settlestream(
      ['reconcile', join(folder, 'reports'), '--ledger', join(folder, 'records.csv'), '--json'],
      inBook(),
    );
    const told = Object.fromEntries(
      json.reports.map((report: ReportAnswer) => [
        /USD_(\w+)_000/.exec(report.file)![1],
        report.state === 'closed'
          ? `closed ${report.rows} ${report.refusedRows}`
          : `${report.state} ${report.error!.code}`,
      ]),
    );
    const others = { FIFO: 'skipped unreadable', DANGLING: 'skipped unreadable', LINK: 'skipped unreadable' };
    const ofFiles = Object.fromEntries(Object.entries(FILES).map(([name, [, outcome]]) => [name, outcome]));
    assert.deepEqual(told, { ...ofFiles, ...others });
    assert.equal(code, 3);
    const matched = json.batches.map((batch: { settlementBatchId: string; matchedRows: number }) => [
      batch.settlementBatchId,
      batch.matchedRows,
    ]);
    // The payments p-1 to p-3 come in many batches here: that they are settled twice is for another test.
    assert.ok(matched.length >= 6, JSON.stringify(matched));
    const totals = Object.fromEntries(
      json.batches.map((batch: { settlementBatchId: string; details: { count: number } | null }) => [
        batch.settlementBatchId,
        batch.details?.count,
      ]),
    );
    for (const [name, rows] of Object.entries({ GOOD: 1, LONG: 2, QUOTE: 2, NUL: 2, MANY: 2, NOROWS: 0 }))
      assert.equal(totals[name], rows, `${name}: readable rows`);
  });

  test('a file that goes, or changes, between listing and reading is another delivery', async () => {
    const folder = writeFiles(temporaryFolder(), {
      [nameOf('GONE')]: [HEADER, row('GONE', '1'), '<END>'],
      [nameOf('CHANGED')]: [HEADER, row('CHANGED', '1'), '<END>'],
    });
    const database = await openDatabase(await freshDatabase(), 4);
    try {
      const asked: number[] = [];
      const enqueue = async (_: unknown, payload: unknown) =>
        void asked.push((payload as { deliveryNo?: number }).deliveryNo ?? 0);
      const list = () => listFolder(database, enqueue, folder);
      const context = contextOf(database, enqueue, temporaryFolder());
      const ingest = (deliveryNo: number) => ingestReport(context, { deliveryNo, attempt: 0 });
      const first = await list();
      assert.equal(first.deliveryNos.length, 2);
      rmSync(join(folder, nameOf('GONE')));
      appendFileSync(join(folder, nameOf('CHANGED')), '\n');
      for (const deliveryNo of first.deliveryNos) await ingest(deliveryNo);
      const second = await list();
      assert.equal(second.deliveryNos.length, 1);
      await ingest(second.deliveryNos[0]!);
      const { rows } = await database.pool.query('select state, error_code from delivery order by path desc, no');
      assert.deepEqual(
        rows.map(({ state, error_code }) => [state, error_code]),
        [
          ['refused', 'unreadable'],
          ['refused', 'unreadable'],
          ['closed', null],
        ],
      );
    } finally {
      await database.close();
    }
  });

  test('a file that may not be read', { skip: process.getuid?.() === 0 && 'root may read everything' }, async () => {
    const folder = writeFiles(temporaryFolder(), {
      [nameOf('SECRET')]: [HEADER, row('SECRET', '1'), '<END>'],
      [nameOf('GOOD')]: [HEADER, row('GOOD', '1'), '<END>'],
      'records.csv': [LEDGER_HEADER, record('1')],
    });
    chmodSync(join(folder, nameOf('SECRET')), 0);
    const closed = join(folder, 'reports/M1/20260106');
    mkdirSync(closed, { mode: 0 });
    const { json, code, stderr } = await settlestream(
      ['reconcile', join(folder, 'reports'), '--ledger', join(folder, 'records.csv'), '--json'],
      inBook(await freshDatabase()),
    );
    rmdirSync(closed);
    assert.doesNotMatch(stderr, /tried again|retrying/);
    assert.deepEqual(
      json.reports.map((report: ReportAnswer) => [report.state, report.error?.code]),
      [
        ['closed', undefined],
        ['refused', 'unreadable'],
      ],
    );
    assert.match(
      stderr,
      /^not read: the directory .*20260106 may not be read by this user: change its permissions\.$/m,
    );
    assert.equal(code, 3);
  });
});

suite('records', () => {
  test('each bad line is told with its reason, the others are in the book', async () => {
    const bad: [line: string, why: RegExp][] = [
      [',PAYMENT,1.00,USD,SUCCESS,2026-01-04T10:00:00+08:00', /requestId/],
      ['p-3,SALE,1.00,USD,SUCCESS,2026-01-04T10:00:00+08:00', /type/],
      ['p-4,PAYMENT,1.234,USD,SUCCESS,2026-01-04T10:00:00+08:00', /amount/],
      ['p-5,PAYMENT,one,USD,SUCCESS,2026-01-04T10:00:00+08:00', /amount/],
      ['p-6,PAYMENT,-1.00,USD,SUCCESS,2026-01-04T10:00:00+08:00', /amount/],
      ['p-7,PAYMENT,1.00,XYZ,SUCCESS,2026-01-04T10:00:00+08:00', /currency/],
      ['p-8,PAYMENT,1.00,USD,DONE,2026-01-04T10:00:00+08:00', /status/],
      ['p-9,PAYMENT,1.00,USD,SUCCESS,2026-01-04', /occurredAt/],
      ['p-10,PAYMENT,1.00,USD,SUCCESS,2026-02-30T10:00:00+08:00', /occurredAt/],
      ['p-11,PAYMENT', /ends before this column/],
      ['p-12\0,PAYMENT,1.00,USD,SUCCESS,2026-01-04T10:00:00+08:00', /requestId/],
      ['p-13,PAYMENT,99999999999999999999,USD,SUCCESS,2026-01-04T10:00:00+08:00', /amount/],
    ];
    const lines = bad.flatMap(([line], index) => [record(`good-${index}`), line]);
    const folder = writeFiles(temporaryFolder(), { 'records.csv': [LEDGER_HEADER, ...lines] });
    const importing = ['ledger', 'import', join(folder, 'records.csv'), '--merchant', 'M1', '--json'];
    const { code, json, stderr } = await settlestream(importing, inBook());
    assert.equal(code, 3);
    assert.deepEqual([json.records, json.inserted, json.refused], [24, 12, 12]);
    for (const [index, [line, why]] of bad.entries()) {
      const told = stderr.split('\n').find((text) => text.includes(`line ${index * 2 + 3},`));
      assert.match(told ?? `nothing is told of line ${index * 2 + 3}`, why, line);
    }
  });
});

suite('wrong usage and absent servers', { concurrency: 2 }, () => {
  const folder = writeFiles(temporaryFolder(), {
    [nameOf('GOOD')]: [HEADER, row('GOOD', '1'), '<END>'],
    'records.csv': [LEDGER_HEADER, record('1')],
    'columns.csv': ['requestId,type,amount', 'p-1,PAYMENT,1.00'],
    'empty.csv': [],
    'header.csv': [LEDGER_HEADER],
  });
  const reconcile = (ledger: string, env: Record<string, string> = {}, path = 'reports', ...more: string[]) =>
    settlestream(['reconcile', join(folder, path), '--ledger', join(folder, ledger), ...more], {
      env: { DATABASE_URL: emptyBook, SETTLESTREAM_DATA_DIR: temporaryFolder(), ...env },
    });
  const DEAD = '127.0.0.1:9';
  const CASES: Record<string, [run: () => Promise<Ended>, code: number, says: RegExp[]]> = {
    'records without columns': [
      () => reconcile('columns.csv'),
      2,
      [/columns\.csv, line 1/, /currency/, /status/, /occurredAt/],
    ],
    'an empty file of records': [() => reconcile('empty.csv'), 2, [/empty\.csv is empty/]],
    'a file of no records': [() => reconcile('header.csv'), 2, [/no records/, /ledger import/]],
    'no file of records': [() => reconcile('nowhere.csv'), 2, [/nowhere\.csv/]],
    'no path': [() => reconcile('records.csv', {}, 'nowhere'), 2, [/nowhere does not exist/]],
    'no database': [
      () => reconcile('records.csv', { DATABASE_URL: `postgres://me:secret@${DEAD}/book` }),
      4,
      [/Postgres at 127\.0\.0\.1:9 is unavailable/, /DATABASE_URL/],
    ],
    'no Redis': [() => reconcile('records.csv', { REDIS_URL: `redis://:secret@${DEAD}` }), 4, [/REDIS_URL/]],
    'several bad settings': [
      () =>
        reconcile(
          'records.csv',
          { SETTLESTREAM_PROCESSES: 'many', SETTLESTREAM_TIME_ZONE: 'Mars' },
          'reports',
          '--amount-unit',
          'cents',
        ),
      2,
      [/SETTLESTREAM_PROCESSES=many/, /SETTLESTREAM_TIME_ZONE=Mars/, /--amount-unit=cents/],
    ],
  };
  for (const [name, [run, code, says]] of Object.entries(CASES)) {
    test(`${name}: exit ${code}`, async () => {
      const ended = await run();
      assert.equal(ended.code, code, ended.stderr.slice(0, 1_000));
      assert.equal(ended.stdout, '');
      for (const words of says) assert.match(ended.stderr, words);
      assert.doesNotMatch(ended.stderr, /secret|\n {4}at /, 'neither a password nor a stack');
    });
  }
});

test('four hundred thousand refused rows pass in little memory', async () => {
  const folder = temporaryFolder();
  const many = [HEADER, ...Array(400_000).fill('what,is,this'), '<END>'];
  writeFiles(folder, { [nameOf('MANY')]: many, 'records.csv': [LEDGER_HEADER, record('1')] });
  // The parsers run with a small heap: what kept the refused rows in memory would end them.
  const { code, json } = await settlestream(
    ['reconcile', join(folder, 'reports'), '--ledger', join(folder, 'records.csv'), '--json'],
    { ...inBook(await freshDatabase()), timeoutMs: 900_000 },
  );
  assert.equal(code, 1);
  assert.equal(json.counts.refusedRows, 400_000);
});
