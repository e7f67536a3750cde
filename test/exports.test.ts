/** What leaves the book as a workbook or as CSV says what the book says: a spreadsheet must not lose a digit, nor take a text for a formula. */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import yauzl from 'yauzl';
import { type Currency, digitsOf, MINOR_DIGITS } from '../src/domain/money/currency.ts';
import { formatAmount, parseAmount } from '../src/domain/money/money.ts';
import type { Cell, Column } from '../src/views/output/columns.ts';
import { workbook } from '../src/views/output/workbook.ts';
import type { Answer } from './support/answer.ts';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { convert } from './support/libreoffice.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const BIN = resolve(import.meta.dirname, '../bin/settlestream.js');
const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const LEDGER_HEADER = 'requestId,type,amount,currency,status,occurredAt,originalRequestId';

const SIDES = ['reported', 'recorded', 'difference'];

/** A spreadsheet has the day of a time. */
const dayOf = (time: unknown): string => String(time).slice(0, 10);

/** What a spreadsheet would like to change. */
const HOSTILE_IDS = ['=1+1', '+49', '-5', '@x', '007', '1234567890123456789', '1e5', '2026-01-04', 'TRUE', '&lt;b>"'];

/** Details of one batch: a payment for each request id, settled without a fee. */
const details = (batch: string, currency: string, payments: readonly (readonly [id: string, amount: string])[]) => [
  HEADER,
  ...payments.map(([id, amount], index) => {
    const quoted = `"${id.replaceAll('"', '""')}"`;
    return `${batch},PAYMENT,9007199254740993${index},${quoted},${amount},${currency},${amount},${currency}`;
  }),
  '<END>',
];
const summary = (batch: string, currency: string, count: number, amount: string) => [
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
  `${batch},TOTAL,${count},${amount},${currency},0,${currency}`,
  '<END>',
];

const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    LEDGER_HEADER,
    'wrong-usd,PAYMENT,25.00,USD,SUCCESS,2026-01-04T10:00:00+08:00,',
    'wrong-jpy,PAYMENT,1500,JPY,SUCCESS,2026-01-03T10:00:00+08:00,',
    'wrong-kwd,PAYMENT,1.230,KWD,SUCCESS,2026-01-03T10:00:00+08:00,',
    'not-told,PAYMENT,40.00,USD,SUCCESS,2026-01-04T23:59:59+08:00,',
    'long,PAYMENT,10000000000000.01,USD,SUCCESS,2026-01-03T10:00:00+08:00,',
  ],
  // A day that lacks the last record.
  'reports/M1/20260104/transactionItems_20260104_000.csv': [
    'transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime',
    'PAYMENT,t-1,wrong-usd,25.00,USD,2026-01-04T10:00:00+08:00',
    '<END>',
  ],
  // Ids that look like something else, amounts with and without decimals, one with more digits than a number holds, and a row
  // that cannot be read. The summary counts otherwise and says another sum.
  'reports/M1/20260105/settlementItems_USD_2026010511021000003_000.csv': details('2026010511021000003', 'USD', [
    ...HOSTILE_IDS.map((id) => [id, '20.00'] as const),
    ['wrong-usd', '20.10'],
    ['long', '10000000000000.02'],
    ['refused', '=cmd'],
  ]),
  'reports/M1/20260105/settlementSummary_USD_2026010511021000003_000.csv': summary(
    '2026010511021000003',
    'USD',
    11,
    '12.00',
  ),
  'reports/M1/20260105/settlementItems_JPY_007_000.csv': details('007', 'JPY', [['wrong-jpy', '1000']]),
  'reports/M1/20260105/settlementSummary_JPY_007_000.csv': summary('007', 'JPY', 1, '1000'),
  'reports/M1/20260105/settlementItems_KWD_008_000.csv': details('008', 'KWD', [['wrong-kwd', '1.234']]),
  'reports/M1/20260105/settlementSummary_KWD_008_000.csv': summary('008', 'KWD', 1, '1.234'),
});

async function newBook(): Promise<string> {
  const url = await freshDatabase();
  const { code, stderr } = await settlestream(
    ['reconcile', join(folder, 'reports'), '--ledger', join(folder, 'records.csv')],
    { cwd: folder, env: { DATABASE_URL: url } },
  );
  assert.equal(code, 1, stderr);
  return url;
}
const book = await newBook();
const looked = await settlestream(['discrepancies', '--json'], { cwd: folder, env: { DATABASE_URL: book } });
const answer = looked.json as Pick<Answer, 'discrepancies'>;

/** To be filled in by whoever handles them. */
const EMPTY_COLUMNS = ['action', 'reason', 'text', 'to', 'until'];

/** A discrepancy of the list as its line in an export: nobody has handled any. */
function lineOf({
  handling,
  ...said
}: Answer['discrepancies'][number] & { handling?: unknown }): Record<string, unknown> {
  assert.equal(handling, null);
  const columns = ['handling', 'assignedTo', ...EMPTY_COLUMNS];
  return { ...said, ...Object.fromEntries(columns.map((name) => [name, null])) };
}

/** Runs the program with its stdout in a file, as `> batches.xlsx` does. */
function exported(url: string, args: readonly string[], name: string, nodeArgs: readonly string[] = []) {
  const path = join(folder, name);
  const file = openSync(path, 'w');
  const ended: SpawnSyncReturns<string> = spawnSync(process.execPath, [...nodeArgs, BIN, ...args], {
    env: { DATABASE_URL: url },
    cwd: folder,
    stdio: ['ignore', file, 'pipe'],
    encoding: 'utf8',
    timeout: 120_000,
  });
  closeSync(file);
  assert.equal(ended.status, 0, ended.stderr);
  return { path, stderr: ended.stderr };
}

/** A cell as LibreOffice understood it: its type, the exact value of a number or day, and the text that it shows. */
type Shown = { readonly type: string; readonly value: string; readonly text: string };
const EMPTY: Shown = { type: '', value: '', text: '' };

/** The first sheet of a file, opened by LibreOffice: its rows below the header, by the names of the columns. */
async function openedInLibreOffice(path: string): Promise<Record<string, Shown>[]> {
  const flat = readFileSync(await convert(path, 'fods', join(folder, 'opened')), 'utf8');
  const rows = [...flat.matchAll(/<table:table-row[ >].*?<\/table:table-row>/gs)].map(([row]) => cellsOf(row));
  const [head = [], ...below] = rows;
  const names = head.map(({ text }) => text).filter((name) => name !== '');
  return below
    .filter((cells) => cells.some(({ type }) => type !== ''))
    .map((cells) => Object.fromEntries(names.map((name, index) => [name, cells[index] ?? EMPTY])));
}

const cellsOf = (row: string): Shown[] =>
  [...row.matchAll(/<table:table-cell([^>]*?)(?:\/>|>(.*?)<\/table:table-cell>)/gs)].flatMap(
    ([, attributes = '', content = '']) => {
      const of = (name: string) => new RegExp(` ${name}="([^"]*)"`).exec(attributes)?.[1] ?? '';
      assert.equal(of('table:formula'), '', 'no cell is a formula');
      const text = [...content.matchAll(/<text:p>(.*?)<\/text:p>/gs)].map(([, line]) => line).join('\n');
      const cell = {
        type: of('office:value-type'),
        value: of('office:value') || of('office:date-value'),
        text: unescaped(text),
      };
      // The rest of the sheet is one cell, repeated thousands of times.
      const times = Number(of('table:number-columns-repeated') || 1);
      return new Array<Shown>(Math.min(times, 100)).fill(cell);
    },
  );

const unescaped = (text: string): string =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&');

/** The files of a zip, by name. */
async function unzipped(bytes: Buffer): Promise<Record<string, string>> {
  const zip = await yauzl.fromBufferPromise(bytes);
  const files: Record<string, string> = {};
  for await (const entry of zip.eachEntry()) {
    files[entry.fileName] = await text(await zip.openReadStreamPromise(entry));
  }
  return files;
}

suite('discrepancies as a workbook', async () => {
  const { path } = exported(book, ['discrepancies', '--format', 'xlsx'], 'discrepancies.xlsx');
  const rows = await openedInLibreOffice(path);
  const of = (requestId: string) => rows.find((row) => row['requestId']?.text === requestId)!;

  test('every cell says what the book says, and is what it says: text, number or day', () => {
    assert.equal(rows.length, answer.discrepancies.length);
    for (const [index, discrepancy] of answer.discrepancies.entries()) {
      const expected = Object.entries(lineOf(discrepancy)).map(([column, said]) => {
        if (said === null) return [column, '', ''];
        // With cents, fourteen digits before the point are too many for a number.
        const isAmount = discrepancy.currency !== null && SIDES.includes(column) && !/\d{14}/.test(String(said));
        const isCount =
          column === 'line' || column === 'no' || (discrepancy.field === 'count' && SIDES.includes(column));
        if (column === 'since') return [column, 'date', dayOf(String(said))];
        const type = column === 'transactionDate' ? 'date' : isAmount || isCount ? 'float' : 'string';
        return [column, type, String(said)];
      });
      const shown = Object.entries(rows[index]!).map(([column, { type, text }]) => [column, type, text]);
      assert.deepEqual(shown, expected);
    }
  });

  test('ids keep their digits, zeros and signs', () => {
    for (const id of HOSTILE_IDS) assert.equal(of(id)?.['requestId']?.type, 'string', id);
    assert.deepEqual(of('=1+1')['transactionId'], { type: 'string', value: '', text: '90071992547409930' });
    assert.deepEqual(of('=1+1')['settlementBatchId'], { type: 'string', value: '', text: '2026010511021000003' });
    assert.deepEqual(of('wrong-jpy')['settlementBatchId'], { type: 'string', value: '', text: '007' });
  });

  test('amounts are numbers that show the digits of their currency', () => {
    const sides = (requestId: string) => SIDES.map((side) => of(requestId)[side]);
    const number = (value: string, text: string): Shown => ({ type: 'float', value, text });
    assert.deepEqual(sides('wrong-usd'), [number('20.1', '20.10'), number('25', '25.00'), number('-4.9', '-4.90')]);
    assert.deepEqual(sides('wrong-jpy'), [number('1000', '1000'), number('1500', '1500'), number('-500', '-500')]);
    assert.deepEqual(sides('wrong-kwd'), [number('1.234', '1.234'), number('1.23', '1.230'), number('0.004', '0.004')]);
  });

  test('an amount with more digits than a number holds is text, to the cent', () => {
    assert.deepEqual(
      SIDES.map((side) => of('long')[side]),
      [
        { type: 'string', value: '', text: '10000000000000.02' },
        { type: 'string', value: '', text: '10000000000000.01' },
        { type: 'float', value: '0.01', text: '0.01' },
      ],
    );
  });

  test('counts are numbers, and what could not be read is text', () => {
    const counts = rows.find(({ field }) => field?.text === 'count')!;
    assert.deepEqual(
      ['reported', 'recorded', 'difference'].map((side) => counts[side]),
      [{ type: 'float', value: '12', text: '12' }, { type: 'float', value: '11', text: '11' }, EMPTY],
    );
    const refused = rows.find(({ kind }) => kind?.text === 'refused_row')!;
    assert.deepEqual(refused['reported'], { type: 'string', value: '', text: '=cmd' });
  });

  test('a day is a date', () => {
    const missing = rows.find(({ kind }) => kind?.text === 'unreported_transaction')!;
    assert.deepEqual(missing['transactionDate'], { type: 'date', value: '2026-01-04', text: '2026-01-04' });
  });

  test('the header stays in sight, is bold and has filters', async () => {
    const files = await unzipped(readFileSync(path));
    const sheet = files['xl/worksheets/sheet1.xml']!;
    assert.match(sheet, /<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"\/>/);
    assert.match(sheet, new RegExp(`<autoFilter ref="A1:X${rows.length + 1}"/>`));
    assert.match(files['xl/styles.xml']!, /<font><b\/>/);
  });
});

suite('batches as a workbook', async () => {
  const { path } = exported(book, ['batches', '--format', 'xlsx'], 'batches.xlsx');
  const rows = await openedInLibreOffice(path);

  test('dates are dates, counts and amounts are numbers, ids are text, and a day of transactions has no amounts', () => {
    const shown = rows.map((row) => Object.values(row).map(({ type, text }) => (type === '' ? '' : `${type} ${text}`)));
    const none = new Array(3).fill('');
    // Since when it is open, and its age, which grows from day to day.
    const aged = rows.map((row) => [`date ${row['since']?.text}`, `float ${row['ageDays']?.text}`, 'float 0', '']);
    for (const row of rows) assert.match(row['since']!.text, /^\d{4}-\d\d-\d\d$/);
    const date = (day: string) => [`date ${day}`, 'string M1'];
    assert.deepEqual(shown, [
      [...date('2026-01-04'), '', '', '', 'string discrepant', 'float 1', 'float 1', ...none, 'float 1', ...aged[0]!],
      [
        ...[...date('2026-01-05'), 'string 007', '', 'string JPY', 'string discrepant', 'float 1', 'float 0'],
        ...['float 1000', 'float 1000', 'float 0', 'float 1', ...aged[1]!],
      ],
      [
        ...[...date('2026-01-05'), 'string 008', '', 'string KWD', 'string discrepant', 'float 1', 'float 0'],
        ...['float 1.234', 'float 1.234', 'float 0.000', 'float 1', ...aged[2]!],
      ],
      [
        ...[...date('2026-01-05'), 'string 2026010511021000003', '', 'string USD', 'string discrepant', 'float 13'],
        ...['float 0', 'string 10000000000220.12', 'float 12.00', 'string 10000000000208.12', 'float 15', ...aged[3]!],
      ],
    ]);
  });

  test('as CSV they have the same columns and say the same', () => {
    const csv = exported(book, ['batches', '--format', 'csv'], 'batches.csv');
    const texts = rows.map((row) => Object.values(row).map(({ text }) => text));
    assert.deepEqual(parse(readFileSync(csv.path)), [Object.keys(rows[0]!), ...texts]);
  });
});

suite('discrepancies as CSV', async () => {
  const { path } = exported(book, ['discrepancies', '--format', 'csv'], 'discrepancies.csv');

  test('it has the columns and values of the book, and what looks like a formula has an apostrophe before it', () => {
    const [head, ...lines] = parse(readFileSync(path)) as string[][];
    assert.deepEqual(head, Object.keys(lineOf(answer.discrepancies[0]!)));
    const safe = (text: string) => (/^[=+@]/.test(text) ? `'${text}` : text);
    assert.deepEqual(
      lines,
      answer.discrepancies.map((discrepancy) =>
        Object.entries(lineOf(discrepancy)).map(([column, said]) =>
          column === 'since' ? dayOf(String(said)) : safe(String(said ?? '')),
        ),
      ),
    );
  });

  test('a spreadsheet that opens it sees no formula, and amounts below zero are numbers', async () => {
    const rows = await openedInLibreOffice(path);
    for (const id of ["'=1+1", "'+49", "'@x"])
      assert.ok(
        rows.some(({ requestId }) => requestId?.type === 'string' && requestId.text === id),
        id,
      );
    const wrong = rows.find(({ requestId }) => requestId?.text === 'wrong-usd')!;
    assert.deepEqual([wrong['difference']?.type, wrong['difference']?.value], ['float', '-4.9']);
  });
});

test('where there is nothing to list, the header stands alone', async () => {
  const none = ['--merchant', 'nobody', '--format'];
  for (const [verb, columns] of [
    ['batches', 16],
    ['discrepancies', 24],
  ] as const) {
    const csv = exported(book, [verb, ...none, 'csv'], 'none.csv');
    const [head, ...lines] = parse(readFileSync(csv.path)) as string[][];
    assert.deepEqual([head?.length, lines], [columns, []]);
    const xlsx = exported(book, [verb, ...none, 'xlsx'], 'none.xlsx');
    const { 'xl/worksheets/sheet1.xml': sheet = '' } = await unzipped(readFileSync(xlsx.path));
    assert.deepEqual(
      [...sheet.matchAll(/<v>(.*?)<\/v>/g)].map(([, name]) => name),
      head,
    );
  }
});

test('a terminal is told to send a workbook to a file', () => {
  // `script` is a terminal for the program that it runs.
  const command = [process.execPath, BIN, 'batches', '--format', 'xlsx'].map((word) => `'${word}'`).join(' ');
  const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stdout, /settlestream batches --format xlsx > batches\.xlsx/);
});

/** A workbook made of these cells, one a row. */
async function columnOf(portions: Iterable<readonly Cell[]>): Promise<Buffer> {
  const column: Column<Cell> = { name: 'shown', width: 10, cell: (cell) => cell };
  return buffer(workbook('cells', [column], portions));
}

test('an amount of any currency is written exactly as it is: as a number of at most 15 digits, else as text', async () => {
  const amounts = fc.sample(
    fc.record({
      currency: fc.constantFrom(...(Object.keys(MINOR_DIGITS) as Currency[])),
      // As many small ones as large ones.
      amountMinor: fc
        .tuple(fc.bigInt(-9_000_000_000_000_000_000n, 9_000_000_000_000_000_000n), fc.integer({ min: 0, max: 18 }))
        .map(([minor, zeros]) => minor / 10n ** BigInt(zeros)),
    }),
    5_000,
  );
  const texts = amounts.map(({ amountMinor, currency }) => formatAmount(amountMinor, currency));
  const files = await unzipped(
    await columnOf([texts.map((amount, index) => ({ amount, currency: amounts[index]!.currency }))]),
  );
  const cells = [...files['xl/worksheets/sheet1.xml']!.matchAll(/<c r="A\d+" s="\d+"( t="str")?><v>([^<]*)/g)].slice(1);
  assert.equal(cells.length, amounts.length);
  for (const [index, [, asText, written = '']] of cells.entries()) {
    const { amountMinor, currency } = amounts[index]!;
    const isLong = (amountMinor < 0n ? -amountMinor : amountMinor) >= 10n ** 15n;
    assert.equal(asText !== undefined, isLong, texts[index]);
    if (isLong) assert.equal(written, texts[index]);
    // No exponent and no rounding: it is read back by the rules for money.
    else assert.equal(parseAmount(written, digitsOf(currency), 'major'), amountMinor, texts[index]);
  }
});

test('a character that a workbook cannot hold takes no other along', async () => {
  const path = join(folder, 'characters.xlsx');
  writeFileSync(path, await columnOf([['a\uffffb', 'a\u0001b', '\tx', '\rx', 'last']]));
  const shown = (await openedInLibreOffice(path)).map((row) => [row['shown']?.type, row['shown']?.text.trim()]);
  assert.deepEqual(
    shown,
    ['a\ufffdb', 'a\ufffdb', 'x', 'x', 'last'].map((text) => ['string', text]),
  );
  const files = await unzipped(await columnOf([['_x0041_', 'a_x_b']]));
  assert.match(files['xl/worksheets/sheet1.xml']!, /<v>_x005F_x0041_<\/v>.*<v>a_x_b<\/v>/);
});

test('what does not fit on one sheet goes on on the next, under a header of its own', async () => {
  const portion = new Array<Cell>(65_536).fill(1);
  const files = await unzipped(await columnOf(new Array(16).fill(portion)));
  const names = [...files['xl/workbook.xml']!.matchAll(/<sheet sheetId="\d" name="([^"]*)"/g)].map(([, name]) => name);
  assert.deepEqual(names, ['cells', 'cells 2']);
  const last = (sheet: string) =>
    /<row r="(\d+)"[^>]*>(?:(?!<row).)*<\/sheetData>/.exec(files[sheet]!.slice(-2_000))?.[1];
  assert.equal(last('xl/worksheets/sheet1.xml'), '1048576');
  assert.equal(last('xl/worksheets/sheet2.xml'), '2');
  assert.match(files['xl/worksheets/sheet2.xml']!, /<row r="1"[^>]*><c [^>]*><v>shown<\/v>/);
});

test('rows are read no faster than bytes are taken', async () => {
  let takenBytes = 0;
  let takenBeforeLastPortion = 0;
  function* portions() {
    for (let portion = 0; portion < 20; portion++) {
      takenBeforeLastPortion = takenBytes;
      // Nothing that could be packed into less.
      yield Array.from({ length: 500 }, () => randomBytes(500).toString('base64'));
    }
  }
  const column: Column<string> = { name: 'shown', width: 10, cell: (cell) => cell };
  for await (const bytes of workbook('cells', [column], portions())) takenBytes += bytes.length;
  assert.ok(takenBeforeLastPortion > takenBytes * 0.8, `${takenBeforeLastPortion} of ${takenBytes} bytes`);
});

test('a hundred thousand discrepancies pass in flat memory', async () => {
  const url = await newBook();
  await query(
    url,
    `insert into discrepancy (batch_no, identity, of_matchable, kind, load_no, line, type, request_id, transaction_id, field, reported,
                              recorded, difference, currency, message, first_seen_at, opened_run, opened_at)
     select batch_no, identity || n, of_matchable, kind, load_no, n, type, request_id || n, transaction_id || n, field, reported,
            recorded, difference, currency, message, first_seen_at, opened_run, opened_at
       from discrepancy, generate_series(1, 100000) n where request_id = 'wrong-usd' and kind = 'amount_mismatch'`,
  );
  const says = "process.on('exit',()=>process.stderr.write('kB '+process.resourceUsage().maxRSS))";
  const { path, stderr } = exported(url, ['discrepancies', '--format', 'xlsx'], 'many.xlsx', [
    '--import',
    `data:text/javascript,${says}`,
  ]);
  const peakMiB = Number(/kB (\d+)/.exec(stderr)?.[1]) / 1024;
  assert.ok(peakMiB < 400, `${peakMiB} MiB`);
  const { 'xl/worksheets/sheet1.xml': sheet } = await unzipped(readFileSync(path));
  assert.equal(sheet!.match(/<row /g)?.length, 1 + answer.discrepancies.length + 100_000);
});
