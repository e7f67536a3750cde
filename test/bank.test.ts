/** Has the money arrived? Statements of a bank beside the reports: formats, matching, and what is told. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { mt940Of } from './support/bank-files.ts';
import { type BankMonth, bankMonth, filesOf, seeded } from './support/bank-month.ts';
import { inBook, temporaryFolder, writeFiles } from './support/book.ts';
import type { Ended } from './support/settlestream.ts';
import { seeds } from './support/size.ts';

const CONFIG = ['bank:', '  payers: ["antom*"]'];

const below = <T>(folder: string, files: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));

function written({ reports, records }: BankMonth, statements: Readonly<Record<string, Buffer>>): string {
  return writeFiles(temporaryFolder(), {
    ...below('reports', reports),
    ...below('bank', statements),
    'records.csv': records,
    'none/.keep': [],
    'config.yaml': CONFIG,
  });
}

const call = (folder: string, { reports = 'reports', bank = ['bank'], more = [] as string[] } = {}): Promise<Ended> =>
  inBook(
    [
      'reconcile',
      join(folder, reports),
      '--ledger',
      join(folder, 'records.csv'),
      ...(bank.length === 0 ? [] : ['--bank', ...bank.map((name) => join(folder, name))]),
      '--config',
      join(folder, 'config.yaml'),
      '--json',
      ...more,
    ],
    2,
  );

/** The answer as the fates say it. */
function said({ json }: Ended) {
  const banks = new Map(
    // biome-ignore lint/suspicious/noExplicitAny: looked into by name.
    json.batches.map(({ settlementBatchId, bank }: any) => [
      settlementBatchId,
      bank && {
        state: bank.state,
        arrived: bank.arrived,
        matchedBy: bank.matchedBy,
        // biome-ignore lint/suspicious/noExplicitAny: the same.
        references: bank.entries.map(({ reference }: any) => reference),
      },
    ]),
  );
  return { banks, findings: findingsIn(json) };
}

// biome-ignore lint/suspicious/noExplicitAny: the same.
const findingsIn = (json: any): string[] =>
  json.discrepancies
    // biome-ignore lint/suspicious/noExplicitAny: the same.
    .map((row: any) => [row.kind, row.settlementBatchId, row.reported, row.recorded].join(' '))
    .sort();

function same(month: BankMonth, ended: Ended): void {
  const { banks, findings } = said(ended);
  assert.deepEqual(Object.fromEntries(banks), Object.fromEntries(month.banks));
  assert.deepEqual(findings, month.findings.map((finding) => finding.join(' ')).sort());
  assert.equal(ended.code, month.findings.length > 0 ? 1 : 0, ended.stderr);
}

suite('a month at the bank, made up from a seed', () => {
  const [from, to] = seeds(2, 20);
  for (let seed = from; seed <= to; seed++) {
    test(`seed ${seed}: each payout has the fate that it was given, in whatever order statements and reports come`, async () => {
      const month = bankMonth(seed);
      const folder = written(month, month.statements);
      same(month, await call(folder));

      // The statements come first, in two halves and the later one first; then the reports.
      const random = seeded(seed + 77);
      const names = Object.keys(month.statements);
      const late = new Set(names.filter(() => random(2) === 0));
      writeFiles(folder, {
        ...below(
          'early',
          Object.fromEntries(names.filter((name) => !late.has(name)).map((name) => [name, month.statements[name]!])),
        ),
        ...below('late', Object.fromEntries([...late].map((name) => [name, month.statements[name]!]))),
      });
      const more = ['--data-dir', join(folder, 'book')];
      await call(folder, { reports: 'none', bank: ['late'], more });
      await call(folder, { reports: 'reports', bank: [], more });
      const last = await call(folder, { reports: 'reports', bank: ['early', 'late'], more });
      same(month, last);
      // Once more, nothing changes: all files are known.
      same(month, await call(folder, { bank: ['early', 'late'], more }));
    });
  }
});

const OF = { account: 'NL91ABNA0417164300', currency: 'EUR', number: '7', day: '2026-03-06', opening: 0n } as const;
const right = { ...OF, entries: [] };

test('a payout is what whole details add up to, else what a whole summary says, else nobody knows it', async () => {
  const cases: readonly (readonly [
    what: string,
    lacks: (files: BatchFiles) => Record<string, string[]>,
    isKnown: boolean,
  ])[] = [
    ['a part of the details is missing', ({ part, half, summary }) => ({ ...part('001', half), ...summary }), true],
    ['a row cannot be read', ({ part, half, broken, summary }) => ({ ...part('000', half, broken), ...summary }), true],
    ['a part is missing, and the summary', ({ part, half }) => part('001', half), false],
    ['the summary is missing', ({ part, row }) => part('000', row), true],
    ['the details are missing', ({ summary }) => summary, true],
  ];
  const month = bankMonth(6, { fates: cases.map(() => 'reference'), more: 0, currencies: ['JPY'] });
  const batches = [...month.banks.keys()];
  const reports = cases.map(([, lacks], at) => lacks(filesOfBatch(month, batches[at]!)));
  const { json } = await call(written({ ...month, reports: Object.assign({}, ...reports) }, month.statements));
  assert.doesNotMatch(findingsIn(json).join('\n'), /payout_/);
  for (const [at, [what, , isKnown]] of cases.entries()) {
    const { bank } = json.batches.find(
      ({ settlementBatchId }: { settlementBatchId: string }) => settlementBatchId === batches[at],
    );
    const expected = isKnown ? [month.banks.get(batches[at]!)!.arrived, 'arrived'] : [null, 'expected'];
    assert.deepEqual([bank.payout, bank.state], expected, what);
  }
});

test('without a settlement date a payout is paid by what names it, and never overdue; up to when the bank is known is said', async () => {
  const month = bankMonth(12, { fates: ['reference', 'missing'], more: 0, currencies: ['JPY'] });
  const flat = Object.fromEntries(
    Object.entries(month.reports).map(([name, lines]) => [name.split('/').at(-1)!, lines]),
  );
  const folder = written({ ...month, reports: flat }, month.statements);
  const more = ['--merchant', 'M1', '--data-dir', join(folder, 'book')];
  const ended = await call(folder, { more });
  assert.deepEqual(
    ended.json.batches.map(({ settlementDate, bank }: Record<string, Record<string, string> | null>) => [
      settlementDate,
      bank?.['state'],
      bank?.['dueBy'],
      bank?.['matchedBy'],
    ]),
    [
      [null, 'arrived', null, 'reference'],
      [null, 'expected', null, null],
    ],
  );
  assert.deepEqual([ended.code, findingsIn(ended.json)], [0, []]);
  const { json } = await inBook(['open', '--json', '--data-dir', join(folder, 'book')]);
  assert.match(
    json.notes.join('\n'),
    /The bank is known up to 2026-04-10 in JPY of M1: .*\n1 payout has no settlement date/,
  );
});

type BatchFiles = ReturnType<typeof filesOfBatch>;

/** The reports of a batch in pieces, to put together with one of them left out. */
function filesOfBatch({ reports, banks }: BankMonth, batchId: string) {
  const [[path, [header, row]], summary] = Object.entries(reports).filter(([name]) => name.includes(batchId)) as [
    [string, string[]],
    [string, string[]],
  ];
  const { arrived } = banks.get(batchId)!;
  const half = row!.replaceAll(`,${arrived},`, `,${BigInt(arrived) / 2n},`);
  return {
    part: (seq: string, ...rows: string[]) => ({ [path.replace('_000', `_${seq}`)]: [header!, ...rows, '<END>'] }),
    summary: Object.fromEntries([summary]),
    row: row!,
    half,
    broken: half.replaceAll(/,[tr]-\d+(?=,)/g, '$&-2').replace(/,\d+,JPY$/, ',x,JPY'),
  };
}

test('the same statement again is a duplicate; its number with other entries takes its place', async () => {
  const month = bankMonth(3, { fates: ['short'], more: 0, currencies: ['JPY'] });
  const folder = written(month, month.statements);
  const more = ['--data-dir', join(folder, 'book')];
  const before = await call(folder, { more });
  assert.deepEqual(
    findingsIn(before.json).map((text) => text.split(' ')[0]),
    ['payout_amount_mismatch'],
  );
  const at = month.made.findIndex(({ entries }) => entries.length > 0);
  const { entries } = month.made[at]!;
  writeFiles(folder, { 'again/copy.txt': Object.values(month.statements)[at]! });
  const again = await call(folder, { bank: ['again'], more });
  assert.deepEqual(
    again.json.bankStatements.map(({ state }: { state: string }) => state),
    ['duplicate'],
  );
  assert.deepEqual(said(again), said(before));

  // The bank corrects the statement, and all that follow it.
  const corrected = month.made.slice(at).map((statement, after) => ({
    ...statement,
    opening: statement.opening + (after === 0 ? 0n : 3n),
    entries: after === 0 ? [{ ...entries[0]!, minor: entries[0]!.minor + 3n }, ...entries.slice(1)] : statement.entries,
  }));
  writeFiles(folder, below('corrected', filesOf(corrected)));
  const after = await call(folder, { bank: ['corrected', 'bank'], more });
  assert.deepEqual(findingsIn(after.json), []);
  assert.equal(after.code, 0, after.stderr);
  assert.deepEqual(
    new Set(after.json.bankStatements.map(({ state }: { state: string }) => state)),
    new Set(['closed', 'replaced']),
  );
});

suite('bad files are told with their line, and the good statements count', () => {
  const good = mt940Of([right]);
  const camt = Object.values(filesOf([right]))[0]!.toString();
  const table: readonly (readonly [string, string | Buffer, RegExp])[] = [
    ['truncated.xml', camt.slice(0, camt.length - 60), /unreadable line \d+, its XML ends too early/],
    ['dtd.xml', `<!DOCTYPE x [<!ENTITY a "b">]>${camt}`, /unreadable line 1, it has a document type declaration/],
    ['entity.xml', camt.replace('S-7', '&a;'), /unreadable line \d+, &a; stands for nothing/],
    ['deep.xml', `${camt.split('<GrpHdr>')[0]}${'<a>'.repeat(200)}`, /more than 64 deep/],
    ['namespace.xml', camt.replace('camt.053.001.08', 'pain.001.001.03'), /namespace/],
    ['html.xml', '<html><body>Log in</body></html>', /namespace|HTML/],
    ['currency.sta', good.replaceAll('EUR', 'XXX'), /unknown_currency/],
    ['account.sta', good.replace(/:25:.*\r\n/, ''), /missing_value/],
    ['empty.txt', '', /unknown_format the file is empty/],
    ['notes.txt', 'call the bank', /unknown_format/],
    ['archive.zip', 'PK\x03\x04xx', /unreadable the zip (is damaged|cannot be opened)/],
    ['line.sta', `${good}${'x'.repeat(3 << 20)}`, /row_too_long line \d+/],
  ];

  test('each of them, beside one that is right', async () => {
    const month = bankMonth(4, { fates: ['reference'], more: 0, currencies: ['JPY'] });
    const files = Object.fromEntries(table.map(([name, content]) => [name, Buffer.from(content)]));
    const packed = { 'JPY.sta.gz': gzipSync(Buffer.concat(Object.values(month.statements))) };
    const ended = await call(written(month, { ...files, ...packed }));
    assert.equal(ended.code, 3);
    assert.deepEqual(Object.fromEntries(said(ended).banks), Object.fromEntries(month.banks));
    for (const [name, , expected] of table) {
      const told: { state: string; error: { code: string; message: string } }[] = ended.json.bankStatements.filter(
        (statement: { file: string; error: object | null }) => statement.file === name && statement.error !== null,
      );
      const words = told.map(({ state, error }) => `${state} ${error.code} ${error.message}`).join('\n');
      assert.match(words, /^refused/, name);
      assert.match(words, expected, name);
    }
  });

  test('an entry that cannot be read leaves its statement unbalanced, on its line', async () => {
    const month = bankMonth(4, { fates: ['reference', 'amount'], more: 0, currencies: ['JPY'] });
    const name = Object.keys(month.statements).find((file) => month.statements[file]!.includes(':61:'))!;
    const text = month.statements[name]!.toString().replace(/:61:\d{6}/, ':61:26AA01');
    const { json, code } = await call(written(month, { ...month.statements, [name]: Buffer.from(text) }));
    const [row] = json.discrepancies.filter(({ kind }: { kind: string }) => kind === 'statement_unbalanced');
    const line = text.split('\n').findIndex((of) => of.startsWith(':61:26AA01')) + 1;
    assert.deepEqual([row.file, row.line, row.settlementBatchId], [name, line, null]);
    assert.match(row.message, /entry cannot be read/);
    assert.equal(code, 1);
  });
});

test('without statements nothing is said of the bank', async () => {
  const month = bankMonth(4, { fates: ['reference'], more: 0, currencies: ['JPY'] });
  const folder = written(month, {});
  rmSync(join(folder, 'config.yaml'));
  writeFiles(folder, { 'config.yaml': ['tolerance: 2'] });
  const { json, code } = await call(folder, { bank: [] });
  assert.deepEqual([code, json.batches[0].bank, 'bankStatements' in json], [0, null, false]);
});

test('a bank that was asked for and compared with nothing is no 0, and is told', async () => {
  const month = bankMonth(4, { fates: ['reference'], more: 0, currencies: ['JPY'] });
  const others = bankMonth(4, { fates: ['reference'], more: 0, currencies: ['EUR'] });
  const elsewhere = ['bank:', '  accounts:', '  - { account: XX00, currency: JPY, merchantId: M9 }'];
  const table: readonly [what: string, bank: string, statements: BankMonth['statements'], config: string[], RegExp][] =
    [
      ['an empty folder', 'none', month.statements, CONFIG, /no bank statement was read: there is no file/],
      ['statements in another currency', 'bank', others.statements, CONFIG, /1 settlement batch was not compared/],
      ['accounts of somebody else', 'bank', month.statements, elsewhere, /1 settlement batch was not compared/],
    ];
  for (const [what, bank, statements, config, told] of table) {
    const folder = written(month, statements);
    writeFiles(folder, { 'config.yaml': config });
    const { json, code, stderr } = await call(folder, { bank: [bank] });
    assert.deepEqual([code, json.batches[0].state, json.batches[0].bank], [3, 'reconciled', null], what);
    assert.match(stderr, told, what);
  }
});
