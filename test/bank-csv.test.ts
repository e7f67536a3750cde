/** CSV statements by a format of one's own, through the command line: matched like every other. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatAmount } from '../src/domain/money/money.ts';
import type { MadeStatement } from './support/bank-files.ts';
import { ACCOUNTS, type BankMonth, bankMonth, filesOf } from './support/bank-month.ts';
import { inBook, temporaryFolder, writeFiles } from './support/book.ts';
import type { Ended } from './support/settlestream.ts';

const HEADER = 'Konto;Buchung;Valuta;Betrag;Währung;Saldo;Referenz;Text;Name';
const FORMAT = `kind: bankStatement
name: corner-bank
delimiter: ";"
linesAbove: 2
decimal: ","
thousands: "."
dates: dd.MM.yyyy
columns:
  account: Konto
  bookingDate: Buchung
  valueDate: Valuta
  amount: Betrag
  currency: Währung
  balance: Saldo
  references: [Referenz, Text]
  counterpartyName: Name
`;

const german = (day: string): string => day.split('-').reverse().join('.');
function printed(minor: bigint, currency: MadeStatement['currency']): string {
  const [whole = '', ...fraction] = formatAmount(minor, currency).split('.');
  return [whole.replaceAll(/\B(?=(\d{3})+$)/g, '.'), ...fraction].join(',');
}

/** Rows of all statements, and one more on the last day of each account, so that the bank is known up to it. */
function rowsOf(made: readonly MadeStatement[]): string[] {
  const ends = new Map(made.map((statement) => [statement.account, statement]));
  return made.flatMap((statement) => {
    const { account, currency, day, opening, entries } = statement;
    const interest = { minor: 1n, booked: day, value: day, reference: 'INTEREST', text: '', name: 'BANK' };
    let balance = opening;
    return [...entries, ...(ends.get(account) === statement ? [interest] : [])].map((entry) => {
      balance += entry.minor;
      const { minor, booked, value, reference, text, name } = entry;
      return `${account};${german(booked)};${german(value)};${printed(minor, currency)};${currency};${printed(balance, currency)};${reference};"${text}";${name}`;
    });
  });
}

const csvOf = (rows: readonly string[]): string[] => ['Umsätze;"alle', '', HEADER, ...rows];

function written({ reports, records }: BankMonth, bank: Readonly<Record<string, readonly string[] | Buffer>>): string {
  const below = (folder: string, files: Readonly<Record<string, readonly string[] | Buffer>>) =>
    Object.fromEntries(Object.entries(files).map(([name, content]) => [`${folder}/${name}`, content]));
  return writeFiles(temporaryFolder(), {
    ...below('reports', reports),
    ...below('bank', bank),
    'records.csv': records,
    'settings/corner.yaml': [FORMAT],
    'settings/settlestream.yaml': ['bank:', '  payers: ["antom*"]', '  formats: corner.yaml'],
  });
}

const call = (folder: string, more: readonly string[] = []): Promise<Ended> =>
  inBook(
    [
      'reconcile',
      join(folder, 'reports'),
      ...['--ledger', join(folder, 'records.csv'), '--bank', join(folder, 'bank')],
      ...['--config', join(folder, 'settings/settlestream.yaml'), '--json', ...more],
    ],
    2,
  );

/** Of each batch what the month expects, and what is told. */
function said({ json }: Ended) {
  return {
    banks: Object.fromEntries(
      // biome-ignore lint/suspicious/noExplicitAny: looked into by name.
      json.batches.map(({ settlementBatchId, bank }: any) => [
        settlementBatchId,
        {
          state: bank.state,
          arrived: bank.arrived,
          matchedBy: bank.matchedBy,
          // biome-ignore lint/suspicious/noExplicitAny: the same.
          references: bank.entries.map(({ reference }: any) => reference),
        },
      ]),
    ),
    findings: json.discrepancies
      // biome-ignore lint/suspicious/noExplicitAny: the same.
      .map((row: any) => [row.kind, row.settlementBatchId, row.reported, row.recorded].join(' '))
      .sort(),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: the same.
const statesOf = ({ json }: Ended): string[] => json.bankStatements.map(({ state }: any) => state);

const expectedOf = ({ banks, findings }: BankMonth) => ({
  banks: Object.fromEntries(banks),
  findings: findings.map((finding) => finding.join(' ')).sort(),
});

test('each payout of a month has its fate; an export that overlaps with another counts no entry twice', async () => {
  const month = bankMonth(11);
  const rows = rowsOf(month.made);
  const ended = await call(written(month, { 'all.csv': csvOf(rows) }));
  assert.deepEqual(said(ended), expectedOf(month));
  assert.equal(ended.code, 1, ended.stderr);
  assert.ok(ended.json.bankStatements.every(({ balance }: { balance: string }) => balance === 'balanced'));

  // The first ends within the days of the second; exports hold whole days.
  const dayOf = (row: string) => row.split(';')[1]!.split('.').reverse().join('-');
  const folder = written(month, {
    'first.csv': csvOf(rows.filter((row) => dayOf(row) <= '2026-03-20')),
    'second.csv': csvOf(rows.filter((row) => dayOf(row) >= '2026-03-10')),
  });
  const twice = await call(folder);
  assert.deepEqual(said(twice), expectedOf(month));
  assert.deepEqual(new Set(statesOf(twice)), new Set(['closed', 'duplicate']));
});

test('a later file that lacks booked entries of a day is told, until one of them is withdrawn', async () => {
  const month = bankMonth(7, { fates: ['returned'], more: 0, currencies: ['EUR'] });
  const { entries } = month.made.find((statement) => statement.entries.some(({ minor }) => minor < 0n))!;
  const { booked } = entries.find(({ minor }) => minor < 0n)!;
  const rows = rowsOf(month.made).map((row) => row.split(';').toSpliced(5, 1).join(';'));
  const header = HEADER.replace('Saldo;', '');
  const folder = written(month, { '1.csv': ['', '', header, ...rows] });
  writeFiles(folder, { 'settings/corner.yaml': [FORMAT.replace('  balance: Saldo\n', '')] });
  const book = ['--data-dir', join(folder, 'book')];
  assert.deepEqual(said(await call(folder, book)), expectedOf(month));

  // Of that day only the afternoon: without the return, the payout looks as if it had arrived.
  const afternoon = `${ACCOUNTS.EUR};${german(booked)};${german(booked)};0,07;EUR;LATE;;BANK`;
  writeFiles(folder, { 'bank/2.csv': ['', '', header, afternoon] });
  const partial = await call(folder, book);
  const [told, ...others] = partial.json.discrepancies;
  assert.deepEqual([told.kind, told.file, others], ['statement_gap', '1.csv', []]);
  assert.match(told.message, /has a booked entry that the later file 2\.csv lacks/);
  assert.match(rows[told.line - 4]!, /return of/);
  assert.equal(partial.code, 1);
  assert.ok(partial.json.bankStatements.every(({ balance }: { balance: string }) => balance === 'notStated'));

  const config = ['--config', join(folder, 'settings/settlestream.yaml')];
  await inBook(['withdraw', '--statements', '2.csv', '--reason', 'half a day', ...config, ...book], 2);
  writeFiles(folder, { 'bank/2.csv': ['', '', header, ...rows] });
  assert.deepEqual(said(await call(folder, book)), expectedOf(month));
});

test('after a change of the format a replay reads the file anew, from the archive', async () => {
  const month = bankMonth(9, { fates: ['reference', 'short'], more: 0, currencies: ['EUR'] });
  const folder = written(month, { 'all.csv': csvOf(rowsOf(month.made)) });
  const right = FORMAT;
  writeFiles(folder, { 'settings/corner.yaml': [right.replace('Betrag', 'Umsatz')] });
  const book = ['--data-dir', join(folder, 'book')];
  const before = await call(folder, book);
  assert.equal(before.code, 3);
  assert.deepEqual(statesOf(before), ['refused']);

  writeFiles(folder, { 'settings/corner.yaml': [right] });
  const config = ['--config', join(folder, 'settings/settlestream.yaml')];
  const replayed = await inBook(['replay', '--statements', 'all.csv', ...config, ...book, '--json'], 2);
  assert.equal(replayed.code, 0, replayed.stderr);
  assert.deepEqual(new Set(statesOf(replayed)), new Set(['closed']));
  assert.deepEqual(said(await call(folder, book)), expectedOf(month));
});

test('bad files are told: an entry with its line and column, a header with what it lacks', async () => {
  const month = bankMonth(4, { fates: ['reference'], more: 0, currencies: ['JPY'] });
  const row = 'X1;02.03.2026;02.03.2026;12.50;EUR;0,00;R;T;N';
  const folder = written(month, {
    ...filesOf(month.made),
    'entry.csv': csvOf([row]),
    'header.csv': ['', '', HEADER.replace('Betrag', 'Umsatz'), row],
    'lines.csv': [HEADER, row],
    'nothing.csv': csvOf([]),
    'quote.csv': csvOf(['X2;"02.03.2026;1']),
  });
  const ended = await call(folder);
  assert.equal(ended.code, 3);
  const expected = expectedOf(month);
  assert.deepEqual(said(ended).banks, expected.banks);
  const [told] = ended.json.discrepancies.filter(({ file }: { file: string }) => file === 'entry.csv');
  assert.deepEqual([told.kind, told.line], ['statement_unbalanced', 4]);
  assert.match(told.message, /column Betrag, "12\.50": This is not an amount/);
  const errorOf = (name: string): string => {
    const { error } = ended.json.bankStatements.find(
      (statement: { file: string; error: object | null }) => statement.file === name && statement.error !== null,
    );
    return `${error.code} ${error.message}`;
  };
  assert.match(errorOf('header.csv'), /^unknown_format line 3 is not the header of corner-bank: it lacks Betrag/);
  assert.match(errorOf('lines.csv'), /^unknown_format /);
  assert.match(errorOf('nothing.csv'), /^unknown_format there is no statement in it/);
  assert.match(errorOf('quote.csv'), /^bad_quoting /);
});
