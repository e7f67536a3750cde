import { ReportRefused, RowRefused } from '../errors.ts';
import type { Currency } from '../money/currency.ts';
import {
  type CsvStatementFormat,
  columnsOf,
  dateExpression,
  dayIn,
  signedAmount,
  unsignedAmount,
} from './csv-format.ts';
import { accountNamed } from './settings.ts';
import { type BankEntry, type BankEvent, checkedSum, currencyIn, StatementCollector } from './statement.ts';

/** Rows of one file, all of which are kept until it ends: those of a day need not stand together. */
const MAX_ROWS = 200_000;

/** What the rows of an account and a day say: a statement. */
type Day = {
  readonly line: number;
  readonly account: string;
  readonly currency: Currency;
  readonly day: string;
  readonly entries: BankEntry[];
  readonly refused: { readonly line: number; readonly refused: RowRefused }[];
  /** After the first and the last booked entry, in the order of the file; the amount of the first. */
  readonly balances: { readonly afterMinor: bigint; readonly amountMinor: bigint }[];
  openingMinor: bigint | null;
  closingMinor: bigint | null;
  trouble: RowRefused | null;
};

/**
 * Reads the rows of a CSV of entries. The entries of an account and a day are one statement: so an export that overlaps with the one before
 * says the same of its days, or replaces them, and no entry counts twice.
 */
export class CsvStatementReader {
  readonly #format: CsvStatementFormat;
  readonly #date: RegExp;
  readonly #columns: ReadonlyMap<string, number>;
  readonly #width: number;
  readonly #days = new Map<string, Day>();
  /** Rows that are refused before it is known of which day they are. */
  readonly #around: { readonly line: number; readonly refused: RowRefused }[] = [];
  #current: Day | null = null;
  #rows = 0;

  /** @throws ReportRefused where a column is missing, or there twice. */
  constructor(format: CsvStatementFormat, header: readonly string[]) {
    this.#format = format;
    this.#date = dateExpression(format.datePattern)!;
    const names = columnsOf(format);
    const missing = names.filter((name) => !header.includes(name));
    if (missing.length > 0) throw new ReportRefused('missing_columns', missing.join(', '), ASK_FOR_COLUMNS);
    const twice = names.filter((name) => header.indexOf(name) !== header.lastIndexOf(name));
    if (twice.length > 0) throw new ReportRefused('duplicate_columns', twice.join(', '));
    this.#columns = new Map(names.map((name) => [name, header.indexOf(name)]));
    this.#width = header.length;
  }

  /** @throws ReportRefused where there are more rows than can be kept. */
  push(line: number, cells: readonly string[]): void {
    if (cells.every((cell) => cell.trim() === '')) return;
    if (++this.#rows > MAX_ROWS) throw new ReportRefused('too_large', `line ${line}`, SPLIT);
    try {
      this.#read(line, cells);
    } catch (error) {
      if (!(error instanceof RowRefused)) throw error;
      this.refuse(line, error);
    }
  }

  /** A row that cannot be read belongs to the day of the one before it, unless it says its own. */
  refuse(line: number, refused: RowRefused): void {
    (this.#current?.refused ?? this.#around).push({ line, refused });
  }

  end(): BankEvent[] {
    const statement = new StatementCollector();
    for (const { line, refused } of this.#around) statement.refuseAround(line, refused);
    for (const day of this.#days.values()) emit(day, statement, this.#format.isNewestFirst);
    this.#days.clear();
    return statement.take();
  }

  #read(line: number, cells: readonly string[]): void {
    const { columns } = this.#format;
    const cell = (name: string | undefined) =>
      name === undefined ? '' : (cells[this.#columns.get(name)!]?.trim() ?? '');
    if (cells.slice(this.#width).some((text) => text.trim() !== ''))
      throw new RowRefused('surplus_cell', null, cells[this.#width]!);
    const day = this.#dayOf(line, cell);
    this.#current = day;
    const short = [...this.#columns].find(([, at]) => at >= cells.length);
    if (short) throw new RowRefused('too_few_cells', short[0], null);
    const amountMinor = this.#amount(cell, day.currency);
    const isPending = this.#format.pendingStatuses.includes(cell(columns.status));
    const balances = isPending ? null : this.#balances(cell, day.currency);
    const references = (columns.references ?? []).map(cell).filter((text) => text !== '');
    day.entries.push({
      line,
      bookingDate: day.day,
      valueDate: cell(columns.valueDate) === '' ? null : dayIn(cell(columns.valueDate), this.#date, columns.valueDate!),
      amountMinor,
      currency: day.currency,
      status: isPending ? 'pending' : 'booked',
      isReversal: false,
      reference: references[0] ?? null,
      references,
      counterpartyName: cell(columns.counterpartyName) || null,
      counterpartyAccount: cell(columns.counterpartyAccount) || null,
      chargesMinor: this.#charges(cell, day.currency),
    });
    if (balances) addBalances(day, amountMinor, balances);
  }

  #dayOf(line: number, cell: (name: string | undefined) => string): Day {
    const { account: fixed, currency: known, columns } = this.#format;
    const account = accountNamed(fixed ?? cell(columns.account));
    if (account === '') throw new RowRefused('missing_value', columns.account ?? 'account', '');
    const currency = known ?? currencyIn(cell(columns.currency), columns.currency!);
    const day = dayIn(cell(columns.bookingDate), this.#date, columns.bookingDate);
    const key = `${account} ${currency} ${day}`;
    const found = this.#days.get(key);
    if (found) return found;
    const fresh: Day = {
      ...{ line, account, currency, day, entries: [], refused: [], balances: [] },
      ...{ openingMinor: null, closingMinor: null, trouble: null },
    };
    this.#days.set(key, fresh);
    return fresh;
  }

  #amount(cell: (name: string | undefined) => string, currency: Currency): bigint {
    const { columns, creditMarks, debitMarks } = this.#format;
    if (columns.amount === undefined) return this.#creditOrDebit(cell, currency);
    const text = cell(columns.amount);
    if (text === '') throw new RowRefused('missing_amount', columns.amount, '');
    if (columns.sign === undefined) return signedAmount(text, currency, this.#format, columns.amount);
    const mark = cell(columns.sign);
    const isCredit = creditMarks.includes(mark);
    if (!isCredit && !debitMarks.includes(mark)) throw new RowRefused('bad_mark', columns.sign, mark);
    const amount = unsignedAmount(text, currency, this.#format, columns.amount);
    return isCredit ? amount : -amount;
  }

  /** One of the two is blank, or zero. */
  #creditOrDebit(cell: (name: string | undefined) => string, currency: Currency): bigint {
    const { credit, debit } = this.#format.columns;
    const read = (column: string) =>
      cell(column) === '' ? null : unsignedAmount(cell(column), currency, this.#format, column);
    const [comes, goes] = [read(credit!), read(debit!)];
    if (comes === null && goes === null) throw new RowRefused('missing_amount', credit!, '');
    if (comes !== null && comes !== 0n && goes !== null && goes !== 0n)
      throw new RowRefused('bad_mark', debit!, cell(debit!));
    return (comes ?? 0n) - (goes ?? 0n);
  }

  #charges(cell: (name: string | undefined) => string, currency: Currency): bigint | null {
    const { charges } = this.#format.columns;
    if (charges === undefined || cell(charges) === '') return null;
    const amount = signedAmount(cell(charges), currency, this.#format, charges);
    return amount < 0n ? -amount : amount;
  }

  /** A booked row says every balance that the format names. */
  #balances(cell: (name: string | undefined) => string, currency: Currency): Balances {
    const { balance, openingBalance, closingBalance } = this.#format.columns;
    const read = (column: string | undefined) => {
      if (column === undefined) return null;
      if (cell(column) === '') throw new RowRefused('missing_value', column, '');
      return { column, text: cell(column), minor: signedAmount(cell(column), currency, this.#format, column) };
    };
    return { after: read(balance), opening: read(openingBalance), closing: read(closingBalance) };
  }
}

type Balance = { readonly column: string; readonly text: string; readonly minor: bigint } | null;
type Balances = { readonly after: Balance; readonly opening: Balance; readonly closing: Balance };

function addBalances(day: Day, amountMinor: bigint, { after, opening, closing }: Balances): void {
  if (after) day.balances.push({ afterMinor: after.minor, amountMinor });
  const other = (known: bigint | null, said: Balance) => said !== null && known !== null && known !== said.minor;
  const wrong = other(day.openingMinor, opening) ? opening : other(day.closingMinor, closing) ? closing : null;
  if (wrong) day.trouble ??= new RowRefused('other_balance', wrong.column, wrong.text);
  if (opening) day.openingMinor = opening.minor;
  if (closing) day.closingMinor = closing.minor;
}

function emit(day: Day, statement: StatementCollector, isNewestFirst: boolean): void {
  statement.begin(day.line);
  statement.account = day.account;
  statement.currency = day.currency;
  statement.from = statement.to = day.day;
  for (const entry of day.entries) statement.add(entry);
  for (const { line, refused } of day.refused) statement.refuse(line, refused);
  const { balances } = day;
  const [oldest, newest] = isNewestFirst ? [balances.at(-1), balances[0]] : [balances[0], balances.at(-1)];
  try {
    statement.openingMinor = oldest ? checkedSum(oldest.afterMinor - oldest.amountMinor, 'balance') : day.openingMinor;
    statement.closingMinor = newest?.afterMinor ?? day.closingMinor;
  } catch (error) {
    if (!(error instanceof RowRefused)) throw error;
    statement.spoil(error);
  }
  if (day.trouble) statement.spoil(day.trouble);
  statement.end();
}

const ASK_FOR_COLUMNS = 'Compare the header with columns of the format file.';
const SPLIT = `A CSV of statements may have ${MAX_ROWS} rows: export fewer days at a time.`;
