import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import Excel from 'exceljs';
import Client from 'ssh2-sftp-client';
import { makeBank, statementsOf } from '../demo/bank.ts';
import { PLANTED_AT_BANK, plantFaultsAtBank } from '../demo/bank-faults.ts';
import { writeStatement } from '../demo/bank-files.ts';
import { FIRST_DROP_DAY, makeDropDay } from '../demo/drops.ts';
import { PLANTED, PLANTED_REPORTS, plantFaults } from '../demo/faults.ts';
import { startSftpServer } from '../demo/sftp-server.ts';
import { MERCHANT_ID, makeWeek, type Week } from '../demo/week.ts';
import { writeWeek } from '../demo/write.ts';
import { KINDS_AT_ONCE } from '../src/domain/discrepancy.ts';
import { type Answer, sameAnswer } from './support/answer.ts';
import { type BankTold, expectedAnswer, printAmount, type SettledOf } from './support/oracle.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

const folder = mkdtempSync(join(tmpdir(), 'settlestream-demo-test-'));
after(() => {
  // Where root runs it, the database is elsewhere and only linked.
  const database = join(folder, 'book/postgres');
  if (existsSync(database)) rmSync(realpathSync(database), { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
});

const plantedCounts = (): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { tells } of [...PLANTED, ...PLANTED_AT_BANK])
    for (const [kind, count] of Object.entries(tells)) counts[kind] = (counts[kind] ?? 0) + count;
  return counts;
};
const countsBy = <T>(list: readonly T[], of: (item: T) => string): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(list, of)].map(([key, items]) => [key, items.length]));

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!isTrue()) {
    assert.ok(Date.now() < deadline, `it does not come about: ${isTrue}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

test('the demo plants every kind of discrepancy', () => {
  assert.deepEqual(Object.keys(plantedCounts()).sort(), [...KINDS_AT_ONCE].sort());
});

/** With its files as `of` names them. */
const renamed = (answer: Answer, of: (file: string) => string): Answer => ({
  ...answer,
  reports: answer.reports.map((report) => ({ ...report, file: of(report.file) })),
  discrepancies: answer.discrepancies.map((told) => ({ ...told, file: told.file && of(told.file) })),
});
/** What it would be if all reports had come as CSV. */
const asCsv = (answer: Answer) => renamed(answer, (file) => file.replace(/\.(xlsx|zip)$/, '.csv'));
/** What it would be if the reports had come from a server and not from a folder. */
const fromServer = (answer: Answer) => renamed(answer, (file) => file.replace(/^v1\//, '/v1/'));

/** The answer of the demo is what was planted and nothing else, as the oracle has it. */
async function tellsWhatWasPlanted(answer: Answer): Promise<void> {
  assert.deepEqual(
    countsBy(answer.discrepancies, ({ kind }) => kind),
    plantedCounts(),
  );
  assert.deepEqual(
    answer.reports
      .filter(({ state }) => state !== 'closed')
      .map(({ state, error }) => [state, error?.code])
      .sort(),
    PLANTED_REPORTS.map(({ state, code }) => [state, code]).sort(),
  );
  const states = countsBy([...answer.batches, ...answer.transactionDays], ({ state }) => state);
  assert.deepEqual(states, { reconciled: 18, discrepant: 13, incomplete: 3 });
  assert.ok(answer.counts.rows > 100_000);

  const week = makeWeek();
  plantFaults(week);
  const { reportsDir: forms } = await writeWeek(week, join(folder, 'as it came'));
  await rowsOfSheetAreTold(answer, forms);
  for (const one of [...week.batches, ...week.days]) one.form = 'csv';
  const { reportsDir, recordsFile } = await writeWeek(week, join(folder, 'as csv'));
  const statementsDir = join(folder, 'bank');
  const bank = makeBank(week);
  plantFaultsAtBank(bank);
  for (const statement of statementsOf(bank)) await writeStatement(statement, statementsDir);
  const expected = expectedAnswer([reportsDir], recordsFile, { bank: (of) => toldByBank(of, statementsDir) });
  sameAnswer(asCsv(answer), fromServer(expected));
  atTheBank(answer);
}

/** The batches of which something else than their arrival on the next banking day has to be said. */
const SHORT = '2026110311021000001';
const RETURNED = '2026110311027700008';
const LATE = '2026110411021000016';
const TWICE = '2026110511021000003';
const IN_GAP = '2026110511021000017';
const IN_CENTS = '2026110711027700024';
const SUMMARY_OFF = '2026110811027700013';
const TOGETHER = ['2026110711021000005', '2026110811021000006'];

/** What the statements tell, by what was planted; the amounts are those of the reports. */
function toldByBank(of: SettledOf, statementsDir: string): BankTold[] {
  const entryIn = (file: string, text: string) => {
    const lines = readFileSync(join(statementsDir, file), 'utf8').split('\n');
    return {
      file,
      line:
        lines.lastIndexOf(
          '      <Ntry>',
          lines.findIndex((line) => line.includes(text)),
        ) + 1,
    };
  };
  const told = (kind: string, more: Partial<BankTold['discrepancy']>, stake: BankTold['stake'] = null): BankTold => ({
    discrepancy: { kind, merchantId: MERCHANT_ID, ...more },
    stake,
  });
  const sides = (id: string, arrived: (minor: bigint) => bigint) => {
    const { minor, currency } = of(id);
    const print = (amount: bigint) => printAmount(amount, currency);
    const recorded = arrived(minor);
    const amounts = {
      reported: print(minor),
      recorded: print(recorded),
      difference: print(minor - recorded),
      currency,
    };
    return [
      { settlementBatchId: id, field: 'settlementAmount', ...amounts },
      { minor: minor - recorded, currency },
    ] as const;
  };
  const missing = (id: string) => {
    const { minor, currency } = of(id);
    const reported = printAmount(minor, currency);
    const said = { settlementBatchId: id, field: 'settlementAmount', reported, currency };
    return told('payout_missing', said, { minor, currency });
  };
  const [returned, back] = sides(RETURNED, () => 0n);
  const [twice] = sides(TWICE, (minor) => 2n * minor);
  const balances = { reported: '40000.00', recorded: '40012.50', difference: '-12.50', currency: 'USD' };
  return [
    told('payout_amount_mismatch', ...sides(SHORT, (minor) => minor - 15_00n)),
    told('payout_amount_mismatch', ...sides(IN_CENTS, (minor) => minor / 100n)),
    told('payout_amount_mismatch', ...sides(SUMMARY_OFF, (minor) => minor - 250_00n)),
    missing(LATE),
    missing(IN_GAP),
    told('payout_returned', { ...returned, ...entryIn('camt053_EUR_20261106.xml', 'RETURN OF') }, back),
    told('payout_twice', { ...twice, ...entryIn('camt053_USD_20261109.xml', TWICE) }),
    told(
      'unexplained_credit',
      { ...entryIn('camt053_EUR_20261104.xml', 'ADJUSTMENT'), field: 'amount', recorded: '8120.00', currency: 'EUR' },
      { minor: 8_120_00n, currency: 'EUR' },
    ),
    told('statement_gap', {
      ...{ file: 'mt940_JPY_20261109.sta', line: 1, field: 'number' },
      ...{ reported: '222/1', recorded: '220/1' },
    }),
    told('statement_unbalanced', {
      ...{ file: 'camt053_USD_20261106.xml', line: 5, field: 'closingBalance', ...balances },
    }),
  ];
}

/** Where the money of each batch is. */
function atTheBank({ batches }: Answer): void {
  const banks = new Map(batches.map(({ settlementBatchId, bank }) => [settlementBatchId, bank]));
  const special: Record<string, string> = {
    [SHORT]: 'different',
    [IN_CENTS]: 'different',
    [SUMMARY_OFF]: 'different',
    [RETURNED]: 'returned',
    [LATE]: 'overdue',
    [IN_GAP]: 'overdue',
  };
  for (const { settlementBatchId: id, settlementCurrency, bank } of batches) {
    const expected = settlementCurrency === 'KWD' ? undefined : (special[id] ?? 'arrived');
    assert.equal(bank?.state, expected, id);
    const isByAmount = settlementCurrency === 'JPY';
    if (expected === 'arrived') assert.equal(bank?.matchedBy, isByAmount ? 'amount' : 'reference', id);
  }
  const [one, other] = TOGETHER.map((id) => banks.get(id)!.entries);
  assert.deepEqual(one, other, 'one credit pays both');
  assert.equal(one!.length, 1);
}

/** Whoever opens the sheet finds in that row what is told of it. */
async function rowsOfSheetAreTold({ reports, discrepancies }: Answer, reportsDir: string): Promise<void> {
  const [report, ...others] = reports.filter(({ file }) => file.endsWith('.xlsx'));
  assert.deepEqual(others, []);
  assert.equal(report?.state, 'closed');
  const book = new Excel.Workbook();
  await book.xlsx.readFile(join(reportsDir, report.file));
  const sheet = book.worksheets[0]!;
  const header = sheet.getRow(1).values as string[];
  // What is told of a sum of rows names the payment, and none of its rows' ids.
  const told = discrepancies.filter(
    ({ file, line, transactionId }) => file === report.file && line !== null && transactionId !== null,
  );
  assert.ok(told.length > 5);
  for (const { line, transactionId } of told) {
    assert.equal(sheet.getRow(line!).getCell(header.indexOf('transactionId')).value, transactionId);
  }
  const inZip = discrepancies.filter(({ file }) => file?.endsWith('.zip'));
  assert.ok(inZip.length > 0, 'the rows of a report that came in a zip are told, too');
}

test('the commands that the demo ends with work as they are printed; a second demo changes nothing, and tells what was planted', async () => {
  // A user's own settings must not lead the made-up week into a real book.
  const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', SETTLESTREAM_AMOUNT_UNIT: 'minor' };
  const first = await settlestream(['demo', '--data-dir', 'book'], { cwd: folder, env });
  assert.equal(first.code, 0, first.stderr);
  for (const kind of KINDS_AT_ONCE) assert.ok(first.stdout.includes(`│ ${kind} `), `${kind} is in the tables`);
  const [, picture = ''] = /^```text\n(.*?)^```/ms.exec(
    readFileSync(join(import.meta.dirname, '../README.md'), 'utf8'),
  )!;
  for (const line of picture.trim().split('\n')) assert.ok(first.stdout.includes(line), `the README shows: ${line}`);

  const commands = [...first.stdout.matchAll(/^ {2}DATABASE_URL= npx settlestream (.*)$/gm)].map((found) => found[1]!);
  assert.deepEqual(
    commands.map((command) => command.split(' ')[0]),
    ['batches', 'discrepancies', 'show', 'bank'],
  );
  for (const command of commands) {
    const looked = await settlestream(command.split(' '), { cwd: folder });
    assert.equal(looked.code, 0, looked.stderr);
    assert.match(looked.stdout, /2026110511021000003/);
  }

  const again = await settlestream(['demo', '--data-dir', 'book', '--json'], { cwd: folder });
  assert.equal(again.code, 0);
  await tellsWhatWasPlanted(again.json);
});

test('a demo that is stopped in the middle leaves nothing behind', async () => {
  const temporary = mkdtempSync(join(folder, 'stopped-'));
  const demo = startSettlestream(['demo'], { env: { TMPDIR: temporary } });
  await demo.says(/fetching and reconciling/);
  demo.kill('SIGINT');
  await demo.ended;
  await until(() => readdirSync(temporary).length === 0);
});

test('a demo that is kept reconciles what comes after the week, shows its metrics, and ends clean', async () => {
  const temporary = mkdtempSync(join(folder, 'kept-'));
  // Whether it is ours or somebody else's: the usual port is taken.
  const taken = createServer()
    .on('error', () => {})
    .listen(9464, '127.0.0.1');
  const demo = startSettlestream(['demo', '--keep', '--every', '1'], {
    env: { TMPDIR: temporary },
    timeoutMs: 300_000,
  });
  await demo.says(/is reconciled as planned, \d+ rows/);
  await demo.says(/its details come in two parts/);
  await demo.says(/batch 2026111011027700002 is reconciled as planned, \d+ rows, its payout is at the bank/);
  const pages = JSON.parse(await demo.says(/"pages: /)).url;
  assert.doesNotMatch(pages, /:9464/, 'the usual port is taken');
  const metrics = await (await fetch(`${pages}/metrics`)).text();
  const matched = /^recon_rows_total\{source="demo",kind="settlementDetails",outcome="matched"\} (\d+)/m.exec(metrics);
  assert.ok(Number(matched?.[1]) > 500, metrics);

  const console = JSON.parse(await demo.says(/"console; /)).url;
  assert.equal((await fetch(`${console}/readyz`)).status, 200);

  const dataDir = /Postgres in (\S+)/.exec(await demo.says(/Postgres in/))![1];
  const command = `batches --from 2026-11-10 --data-dir ${dataDir}`;
  const looked = await settlestream(command.split(' '), { env: { TMPDIR: temporary } });
  assert.match(looked.stdout, /2026111011021000001 .* reconciled .* arrived 2026-11-11/, looked.stderr);

  const stoppedAt = Date.now();
  demo.kill('SIGTERM');
  const { code, stdout, stderr } = await demo.ended;
  assert.equal(code, 0, stderr);
  for (const told of [`  npx settlestream ${command}\n`, `  curl -s ${pages}/metrics |`]) {
    assert.ok(stdout.includes(told), `${told} is among the commands`);
  }
  assert.match(stdout, new RegExp(`(  ${console}/login\\?key=[\\w-]{43}\n){2}`));
  assert.ok(Date.now() - stoppedAt < 30_000);
  assert.deepEqual(readdirSync(temporary), []);
  taken.close();
});

test('a demo that goes on prints no document, and takes whole seconds only', async () => {
  const both = await settlestream(['demo', '--keep', '--json']);
  assert.equal(both.code, 2);
  assert.match(both.stderr, /--json prints one document at the end, but --keep has no end/);
  const none = await settlestream(['demo', '--keep', '--every', 'often']);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /--every takes a whole number/);
});

test('the demo stays out of a folder that holds something else', async () => {
  const other = mkdtempSync(join(folder, 'other-'));
  writeFileSync(join(other, 'ours.txt'), '');
  const { code, stderr } = await settlestream(['demo', '--data-dir', other]);
  assert.equal(code, 2);
  assert.match(stderr, /is not empty and holds no demo/);
});

/** It says on stderr what it is not told to ignore. */
const newClient = () => new Client('', { error() {}, end() {}, close() {} });
const user = { username: 'apo-reader', password: 'not a secret' };

test("the made-up provider's server shows its folder, and lets nobody change it or leave it", async () => {
  const shown = mkdtempSync(join(folder, 'shown-'));
  const content = Buffer.alloc(700_000, 'settled,');
  writeFileSync(join(shown, 'large.csv'), content);
  mkdirSync(join(shown, 'many'));
  for (let at = 0; at < 250; at++) writeFileSync(join(shown, 'many', `${at}.csv`), '');
  symlinkSync('/etc', join(shown, 'etc'));
  const server = await startSftpServer({ folder: shown, ...user });
  const client = newClient();
  try {
    await client.connect({ host: server.host, port: server.port, ...user });
    assert.deepEqual(
      (await client.list('/')).map(({ name, type, size }) => [name, type, type === '-' ? size : 0]).sort(),
      [
        ['large.csv', '-', content.length],
        ['many', 'd', 0],
      ],
    );
    assert.equal((await client.list('/many')).length, 250);
    assert.deepEqual(await client.get('/large.csv'), content);

    await assert.rejects(client.get('/etc/passwd'), /No such file/);
    await assert.rejects(client.get('/../../../../etc/passwd'), /No such file/);
    const refused = /Permission denied/i;
    await assert.rejects(client.put(Buffer.from('x'), '/new.csv'), refused);
    await assert.rejects(client.append(Buffer.from('x'), '/large.csv'), refused);
    await assert.rejects(client.delete('/large.csv'), refused);
    await assert.rejects(client.rename('/large.csv', '/other.csv'), refused);
    await assert.rejects(client.mkdir('/folder'), refused);
    await assert.rejects(client.rmdir('/many'), refused);
    await assert.rejects(client.chmod('/large.csv', 0o600), refused);
    assert.deepEqual(readdirSync(shown).sort(), ['etc', 'large.csv', 'many']);
    assert.deepEqual(readFileSync(join(shown, 'large.csv')), content);
  } finally {
    await server.close();
  }
});

test("the made-up provider's server lets nobody in without the password", async () => {
  const server = await startSftpServer({ folder, ...user });
  try {
    for (const wrong of [{ password: 'a secret' }, { username: 'root' }]) {
      const client = newClient();
      await assert.rejects(
        client.connect({ host: server.host, port: server.port, ...user, ...wrong }),
        /authentication/,
      );
    }
  } finally {
    await server.close();
  }
});

test('the batches that come after the week have ids of their own', () => {
  const week = makeWeek();
  plantFaults(week);
  const weeks = [week, ...[0, 1, 2].map((day) => makeDropDay(FIRST_DROP_DAY + day).week)];
  const ids = weeks.flatMap((one) => [...new Set(idsOf(one))]);
  assert.equal(new Set(ids).size, ids.length);
});

const idsOf = ({ batches, records }: Week): string[] =>
  [
    ...batches.map(({ id }) => id),
    ...batches.flatMap(({ rows }) =>
      rows.flatMap(({ movement: { requestId, transactionId } }) => [requestId, transactionId]),
    ),
    ...[...records.values()].map(({ requestId }) => requestId),
  ].filter((id) => id !== '');
