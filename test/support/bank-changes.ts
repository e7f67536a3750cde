/**
 * A clean month of a bank, in each format of statements: all payouts arrived, and nothing is told. And every single change of its statements: a
 * cell, a line, an entry, a statement, a file, each with what a reader needs to see it. Which of them change nothing that anybody compares,
 * `bank-neutral.ts` says.
 */
import { formatAmount } from '../../src/domain/money/money.ts';
import { bai2Of, camtOf, closingOf, type MadeEntry, type MadeStatement, mt940Of } from './bank-files.ts';
import { seeded } from './bank-month.ts';

export const BANK_FORMATS = ['camt', 'mt940', 'bai2', 'csv'] as const;
export type BankFormat = (typeof BANK_FORMATS)[number];

export type CleanBank = {
  readonly format: BankFormat;
  readonly currency: MadeStatement['currency'];
  readonly payouts: readonly { readonly batchId: string; readonly day: string; readonly minor: bigint }[];
  readonly made: readonly MadeStatement[];
};

export type BankChange = {
  readonly format: BankFormat;
  readonly kind: string;
  readonly file: string;
  /** From 1; null where it is of a whole entry, statement or file. */
  readonly line: number | null;
  /** Of the cell in its line, from 0. */
  readonly column: number;
  /** The number of the statement that the line belongs to, or the entry. */
  readonly statement: string;
  readonly from: string;
  readonly to: string;
  /** The line as it was, or what the entry or statement is. */
  readonly where: string;
  readonly files: Readonly<Record<string, string>>;
};

/** The account of a delivery takes its place. */
export const ACCOUNT = 'ACCT0000000000';
export const PAYER = 'ANTOM PAY LTD';

export const CSV_HEADER = 'Account;Booked;Value;Amount;Currency;Balance;Reference;Text;Name';
export const CSV_FORMAT = `kind: bankStatement
name: corner-bank
delimiter: ";"
dates: yyyy-MM-dd
columns:
  account: Account
  bookingDate: Booked
  valueDate: Value
  amount: Amount
  currency: Currency
  balance: Balance
  references: [Reference, Text]
  counterpartyName: Name
`;

const CURRENCIES = { camt: 'EUR', mt940: 'JPY', bai2: 'KWD', csv: 'EUR' } as const;

/** By its name in two parts, by its amount, and two of a day by their sum; with entries that pay nothing. */
export function cleanBank(format: BankFormat, seed: number): CleanBank {
  const random = seeded(seed + 500);
  const [parted, amount, one, other] = [11n, 101n, 1_009n, 10_007n].map(
    (factor) => factor * BigInt(20_000 + random(9_000)),
  ) as [bigint, bigint, bigint, bigint];
  const days = ['2026-03-03', '2026-03-10', '2026-03-17', '2026-03-17'];
  const payouts = [parted, amount, one, other].map((minor, at) => ({
    batchId: `${days[at]!.replaceAll('-', '')}21000000${at + 1}7`,
    day: days[at]!,
    minor,
  }));
  const [{ batchId }] = payouts as [CleanBank['payouts'][number]];
  const part = parted / 3n;
  const entry = (day: string, minor: bigint, text: string, name = PAYER): MadeEntry => ({
    ...{ minor, booked: day, value: day, text, name },
    reference:
      `E${day.slice(5).replace('-', '')}${minor % 1_000n < 0n ? 'D' : 'C'}${minor < 0n ? -minor : minor}`.slice(0, 16),
  });
  const byDay: readonly (readonly MadeEntry[])[] = [
    [entry('2026-03-04', part, `PAYOUT ${batchId} 1`), entry('2026-03-04', -52_000n, 'RENT MARCH', 'LANDLORD')],
    [entry('2026-03-05', parted - part, `PAYOUT ${batchId} 2`)],
    [entry('2026-03-11', amount, 'CARD SALES')],
    [entry('2026-03-18', one + other, 'COLLECTIVE'), entry('2026-03-18', 777_003n, 'CASH SALES', 'CORNER SHOP')],
    [entry('2026-03-31', 13n, 'INTEREST', 'BANK')],
  ];
  let opening = 5_000_000n;
  const made = byDay.map((entries, at): MadeStatement => {
    const statement = {
      ...{ account: ACCOUNT, currency: CURRENCIES[format], number: String(11 + at) },
      ...{ day: entries[0]!.booked, opening, entries },
    };
    opening = closingOf(statement);
    return { ...statement, closing: opening };
  });
  return { format, currency: CURRENCIES[format], payouts, made };
}

/** A CSV has no statements, only rows with the balance after each. */
function csvOf(made: readonly MadeStatement[]): string {
  const rows = made.flatMap(({ account, currency, opening, entries, closing }) => {
    let balance = opening;
    return entries.map(({ minor, booked, value, reference, text, name }, at) => {
      balance = at === entries.length - 1 && closing !== undefined ? closing : balance + minor;
      const amounts = [minor, balance].map((of) => formatAmount(of, currency));
      return [account, booked, value, amounts[0], currency, amounts[1], reference, text, name].join(';');
    });
  });
  return [CSV_HEADER, ...rows].map((line) => `${line}\n`).join('');
}

/** An element a line, so that a line is one thing. */
const camtLines = (made: readonly MadeStatement[]): string =>
  camtOf(made, { version: '08' }).replaceAll(/></g, '>\n<').replaceAll(/\n\s*/g, '\n');

const PRINT: Readonly<Record<BankFormat, (made: readonly MadeStatement[]) => string>> = {
  camt: camtLines,
  mt940: (made) => mt940Of(made, { info: 'words' }),
  bai2: bai2Of,
  csv: csvOf,
};

/** In two files, so that one of them may be left out; banks export one CSV. */
export function filesOfBank(
  { format }: Pick<CleanBank, 'format'>,
  made: readonly MadeStatement[],
): Record<string, string> {
  const half = format === 'csv' ? made.length : 2;
  const parts = [made.slice(0, half), made.slice(half)].filter((part) => part.length > 0);
  return Object.fromEntries(parts.map((part, at) => [`${format}-${at + 1}.txt`, PRINT[format](part)]));
}

/** All of them that change a byte. */
export function changesOfBank(bank: CleanBank): BankChange[] {
  const clean = JSON.stringify(filesOfBank(bank, bank.made));
  return [...textChanges(bank), ...modelChanges(bank)].filter(({ files }) => JSON.stringify(files) !== clean);
}

// ------------------------------------------------------------------------------------------------------------ lines and cells

function textChanges(bank: CleanBank): BankChange[] {
  const { format, made } = bank;
  const clean = filesOfBank(bank, made);
  return Object.entries(clean).flatMap(([file, text]) => {
    const newline = text.includes('\r\n') ? '\r\n' : '\n';
    const lines = text.split(newline);
    const numbers = numbersOf(bank, file, lines);
    const change = (
      at: number,
      kind: string,
      from: string,
      to: string,
      changed: readonly string[],
      column = 0,
    ): BankChange => ({
      ...{ format, kind, file, line: at + 1, column, statement: numbers[at]!, from, to, where: lines[at]! },
      files: { ...clean, [file]: changed.join(newline) },
    });
    const whole = ({ files, ...rest }: BankChange): BankChange => ({ ...rest, line: null, where: 'file', files });
    const { [file]: _, ...others } = clean;
    return [
      whole({ ...change(0, 'file left out', file, '', []), files: others }),
      whole({ ...change(0, 'file twice', file, `copy of ${file}`, []), files: { ...clean, [`copy-${file}`]: text } }),
      whole(change(0, 'file cut in the middle', file, '', lines.slice(0, Math.floor(lines.length / 2)))),
      ...lines.flatMap((line, at) =>
        line === ''
          ? []
          : [
              change(at, 'line dropped', line, '', lines.toSpliced(at, 1)),
              change(at, 'line doubled', line, line, lines.toSpliced(at, 0, line)),
              ...cellsOf(format, line).flatMap(([start, cell]) =>
                editsOf(cell).map(([kind, to]) =>
                  change(
                    ...([at, kind, cell, to] as const),
                    lines.with(at, line.slice(0, start) + to + line.slice(start + cell.length)),
                    start,
                  ),
                ),
              ),
            ],
      ),
    ];
  });
}

/** What begins a statement. */
const BEGIN: Readonly<Record<BankFormat, RegExp>> = { camt: /^<Stmt>/, mt940: /^:20:/, bai2: /^02,/, csv: /^\b$/ };

/** Of each line the number of its statement; of lines before the first one none. */
function numbersOf({ format, made }: CleanBank, file: string, lines: readonly string[]): string[] {
  let at = file.endsWith('-1.txt') ? -1 : 1;
  return lines.map((line) => {
    if (BEGIN[format].test(line)) at++;
    return made[at]?.number ?? '';
  });
}

/** Where the cells of a line begin, and what they hold. */
const CELLS: Readonly<Record<BankFormat, RegExp>> = {
  camt: /(?<=>)[^<>]+(?=<)|(?<=")[^"]+(?=")/g,
  mt940: /[A-Za-z]+|\d+(?:,\d*)?/g,
  bai2: /[^,/]+/g,
  csv: /[^;]+/g,
};
const cellsOf = (format: BankFormat, line: string): [number, string][] =>
  [...line.matchAll(CELLS[format])].map((found) => [found.index, found[0]]);

const TURNED: Readonly<Record<string, string>> = { CRDT: 'DBIT', DBIT: 'CRDT', C: 'D', D: 'C', 165: '475', 475: '165' };

function editsOf(cell: string): [kind: string, to: string][] {
  const bumped = (at: number) => cell.slice(0, at) + String((Number(cell[at]) + 1) % 10) + cell.slice(at + 1);
  const digits = [...cell.matchAll(/\d/g)].map(({ index }) => index);
  const turned = TURNED[cell];
  return [
    ...(digits.length > 0 ? ([['last digit', bumped(digits.at(-1)!)]] as [string, string][]) : []),
    ...(digits.length > 1 ? ([['first digit', bumped(digits[0]!)]] as [string, string][]) : []),
    ...(turned === undefined ? [] : ([['other way', turned]] as [string, string][])),
    ...(/^-?[\d.,]+$/.test(cell)
      ? ([['sign', cell.startsWith('-') ? cell.slice(1) : `-${cell}`]] as [string, string][])
      : []),
    ...(digits.length === 0 ? ([['other word', `${cell}Q`]] as [string, string][]) : []),
    ['emptied', ''],
  ];
}

// ------------------------------------------------------------------------------------------------------ entries and statements

type Edited = readonly [kind: string, where: string, made: readonly MadeStatement[]];

/** Changes of which the balances tell nothing, because they move along, or which no single cell makes. */
function modelChanges(bank: CleanBank): BankChange[] {
  const { format, made } = bank;
  const edits = [...entryEdits(made), ...statementEdits(made)];
  // The balances of a CSV are computed row by row: there is no other way than with them.
  const possible = format === 'csv' ? edits.filter(([kind]) => OF_CSV.test(kind)) : edits;
  return possible.map(([kind, where, changed]) => ({
    ...{ format, kind, file: '', line: null, column: 0, statement: /^statement (\d+)/.exec(where)?.[1] ?? '' },
    ...{ from: '', to: '', where },
    files: filesOfBank(bank, changed),
  }));
}

const OF_CSV = /with the balances|^names|^no reference|^another name|left out|^statement twice$|another account/;

/** The statements from one on, with balances that follow. */
function chained(made: readonly MadeStatement[]): MadeStatement[] {
  let { opening } = made[0]!;
  return made.map(({ closing: _, ...statement }) => {
    const next = { ...statement, opening };
    opening = closingOf(next);
    return { ...next, closing: opening };
  });
}

function entryEdits(made: readonly MadeStatement[]): Edited[] {
  return made.flatMap((statement, at) =>
    statement.entries.flatMap((entry, index): Edited[] => {
      const where = `${entry.text} of ${entry.booked}`;
      const put = (...entries: readonly MadeEntry[]) =>
        made.with(at, { ...statement, entries: statement.entries.toSpliced(index, 1, ...entries) });
      const both = (kind: string, ...entries: readonly MadeEntry[]): Edited[] => [
        [kind, where, put(...entries)],
        [`${kind}, with the balances`, where, chained(put(...entries))],
      ];
      const late = { ...entry, booked: '2026-05-29', value: '2026-05-29' };
      return [
        ...both('entry dropped'),
        ...both('entry doubled', entry, entry),
        ...both('amount by one', { ...entry, minor: entry.minor + 1n }),
        ...both('amount ten times', { ...entry, minor: entry.minor * 10n }),
        ...both('the other way', { ...entry, minor: -entry.minor }),
        ['no reference and no text', where, put({ ...entry, reference: 'NONREF', text: 'X' })],
        ['names another batch', where, put({ ...entry, text: 'PAYOUT 202603049999999999' })],
        ['booked much later', where, put(late)],
        ['another name', where, put({ ...entry, name: 'SOMEBODY' })],
      ];
    }),
  );
}

function statementEdits(made: readonly MadeStatement[]): Edited[] {
  return made.flatMap((statement, at): Edited[] => {
    const where = `statement ${statement.number}`;
    const put = (...statements: readonly MadeStatement[]) => made.toSpliced(at, 1, ...statements);
    const closing = closingOf(statement);
    return [
      ['statement left out', where, put()],
      ['statement twice', where, put(statement, statement)],
      ['statement twice, with other numbers', where, put(statement, { ...statement, number: `9${statement.number}` })],
      ['opening balance', where, put({ ...statement, opening: statement.opening + 100n, closing })],
      ['closing balance', where, put({ ...statement, closing: closing + 100n })],
      ['both balances', where, put({ ...statement, opening: statement.opening + 100n, closing: closing + 100n })],
      ['of another account', where, put({ ...statement, account: 'ACCT9999999999' })],
      ['without entries', where, put({ ...statement, entries: [], closing })],
      ['of another day', where, put({ ...statement, day: '2026-02-27' })],
    ];
  });
}

export const describeBankChange = ({ format, kind, file, line, from, to, where }: BankChange): string =>
  line === null
    ? `${format}: ${kind} (${where})`
    : `${format}: ${kind}, ${file}:${line} "${from}" → "${to}" in ${where.slice(0, 90)}`;
