import { RowRefused } from '../errors.ts';
import type { Currency } from '../money/currency.ts';
import {
  type BankEntry,
  type BankEvent,
  bankAmountMinor,
  checkedSum,
  currencyIn,
  type EntryStatus,
  StatementCollector,
  shortDay,
} from './statement.ts';

/** Continuation lines of one record that are kept. */
const MAX_CONTINUATIONS = 200;

/** What the balances of an account are called. */
const OPENING_LEDGER = '010';
const CLOSING_LEDGER = '015';

/** A record, its continuations in it, cut at its commas. `text` is what a 16 says at its end, commas and slashes included. */
type Record = { readonly line: number; readonly code: string; body: string; continuations: number };

/**
 * Reads BAI2 line by line: a file holds groups (02) of accounts (03), each with its transactions (16) and continuations (88). Amounts are
 * whole numbers of the currency's smallest unit. Each account of a group is a statement, of the group's as-of date.
 */
export class Bai2Reader {
  readonly #statement = new StatementCollector();
  #line = 0;
  #record: Record | null = null;
  #groupCurrency = 'USD';
  #groupDay: string | null = null;
  #isFinal = true;
  #trouble: RowRefused | null = null;
  /** What trailers are compared with: of the account, the group and the file at hand; null where none is open. */
  #account: Counted | null = null;
  #group: Counted | null = null;
  #file: Counted | null = null;

  push(text: string): BankEvent[] {
    this.#line++;
    const line = text.trimEnd();
    if (line === '') return [];
    const code = line.slice(0, 2);
    if (code === '88' && this.#record) {
      this.#countRecord();
      if (this.#record.continuations++ < MAX_CONTINUATIONS) this.#continue(this.#record, line.slice(3));
      return [];
    }
    this.#endRecord();
    if (code === '02' || code === '03') this.#endAccount();
    if (code === '01') this.#file = newCount();
    else if (code === '02') this.#group = newCount();
    else if (code === '03') this.#account = newCount();
    this.#countRecord();
    this.#record = { line: this.#line, code, body: line.slice(3), continuations: 0 };
    return this.#statement.take();
  }

  end(): BankEvent[] {
    this.#endRecord();
    this.#endAccount();
    if (this.#group) this.#statement.refuseAround(this.#line, new RowRefused('no_trailer', '98', ''));
    if (this.#file) this.#statement.refuseAround(this.#line, new RowRefused('no_trailer', '99', ''));
    return this.#statement.take();
  }

  #countRecord(): void {
    for (const part of [this.#account, this.#group, this.#file]) if (part) part.records++;
  }

  /** An account without its trailer is not whole. */
  #endAccount(): void {
    if (this.#account && this.#statement.isOpen) this.#statement.spoil(new RowRefused('no_trailer', '49', ''));
    this.#account = null;
    this.#statement.end();
  }

  /** A record that goes on ends with a slash or in the middle of its text. */
  #continue(record: Record, more: string): void {
    const { body } = record;
    record.body =
      record.code === '16' && !body.endsWith('/') ? `${body} ${more}` : `${body.replace(/\/$/, '')},${more}`;
  }

  #endRecord(): void {
    const record = this.#record;
    this.#record = null;
    if (record === null) return;
    const statement = this.#statement;
    try {
      this.#read(record);
    } catch (error) {
      if (!(error instanceof RowRefused)) throw error;
      if (record.code === '16' && statement.isOpen) statement.refuse(record.line, error);
      else if (statement.isOpen) statement.spoil(error);
      else this.#trouble ??= error;
    }
  }

  #read(record: Record): void {
    switch (record.code) {
      case '02':
        this.#beginGroup(record.body.replace(/\/\s*$/, '').split(','));
        return;
      case '03':
        this.#beginAccount(record);
        return;
      case '16':
        if (!this.#statement.isOpen) return;
        if (this.#account) this.#account.total += printedAmount(record.body.split(',')[1] ?? '');
        this.#statement.add(this.#entry(record));
        return;
      case '49':
        this.#readTrailer(record, this.#account, (refused) => this.#statement.spoil(refused));
        if (this.#group && this.#account) count(this.#group, this.#account);
        this.#account = null;
        this.#statement.end();
        return;
      case '98':
        this.#endAccount();
        this.#readTrailer(record, this.#group, (refused) => this.#statement.refuseAround(record.line, refused));
        if (this.#file && this.#group) count(this.#file, this.#group);
        this.#group = null;
        return;
      case '99':
        this.#endAccount();
        this.#readTrailer(record, this.#file, (refused) => this.#statement.refuseAround(record.line, refused));
        this.#group = this.#file = null;
    }
  }

  /** Total, then of groups and files the count of what they hold, then that of records. What it leaves out is not compared. */
  #readTrailer({ code, body }: Record, counted: Counted | null, refuse: (refused: RowRefused) => void): void {
    if (counted === null) return;
    const fields = body.replace(/\/\s*$/, '').split(',');
    const [total = '', ...counts] = fields.map((field) => field.trim());
    const [parts = '', records = ''] = code === '49' ? ['', counts[0]] : counts;
    const compare = (printed: string, found: bigint) => {
      if (printed !== '' && (!/^[+-]?\d{1,30}$/.test(printed) || BigInt(printed.replace('+', '')) !== found))
        refuse(new RowRefused('bad_control_total', code, `${printed} (found ${found})`));
    };
    compare(total, counted.total);
    if (code !== '49') compare(parts, BigInt(counted.parts));
    compare(records, BigInt(counted.records));
  }

  #beginGroup([, , status = '', day = '', , currency = '', modifier = '']: readonly string[]): void {
    this.#statement.end();
    this.#trouble = null;
    this.#groupCurrency = currency.trim() || 'USD';
    // 3 and 4 are of the day that is not over; status 2 is deleted, 3 a correction, 4 a test.
    this.#isFinal = !/^[34]$/.test(modifier.trim());
    this.#groupDay = null;
    if (/^[24]$/.test(status.trim())) this.#trouble = new RowRefused('not_allowed', '02 status', status);
    this.#groupDay = shortDay(day.trim(), '02');
  }

  #beginAccount({ line, body }: Record): void {
    const statement = this.#statement;
    statement.begin(line);
    statement.isFinal = this.#isFinal;
    statement.from = statement.to = this.#groupDay;
    if (this.#trouble) statement.spoil(this.#trouble);
    const [account = '', currency = '', ...rest] = body.replace(/\/\s*$/, '').split(',');
    statement.account = account.trim() || null;
    statement.currency = currencyIn(currency.trim() || this.#groupCurrency, '03');
    for (let at = 0; at + 1 < rest.length; ) {
      const [type = '', amount = '', , funds = ''] = rest.slice(at);
      if (this.#account) this.#account.total += printedAmount(amount);
      if (type.trim() === OPENING_LEDGER) statement.openingMinor = balanceOf(amount, statement.currency);
      if (type.trim() === CLOSING_LEDGER) statement.closingMinor = balanceOf(amount, statement.currency);
      at += 4 + fundsFields(funds, rest, at + 4);
    }
  }

  #entry({ line, body }: Record): BankEntry {
    const currency = this.#statement.currency;
    if (currency === null) throw new RowRefused('missing_currency', '03', '');
    const parts = body.split(',');
    const [type = '', printed = '', funds = ''] = parts.map((part) => part.trim().replace(/\/$/, ''));
    const isCredit = /^[1-3]\d\d$/.test(type);
    if (!isCredit && !/^[4-6]\d\d$/.test(type) && type !== '890') throw new RowRefused('bad_mark', '16', type);
    const amount = printed === '' && type === '890' ? 0n : bankAmountMinor(printed, currency, '16');
    const at = 3 + fundsFields(funds, parts, 3);
    const [bank = '', owner = ''] = parts.slice(at, at + 2).map((part) => part.trim().replace(/\/$/, ''));
    const text = parts
      .slice(at + 2)
      .join(',')
      .trim()
      .replace(/\/$/, '');
    return {
      line,
      bookingDate: this.#groupDay,
      valueDate: valueDateOf(funds, parts) ?? this.#groupDay,
      amountMinor: isCredit ? amount : -amount,
      currency,
      status: (type === '890' ? 'information' : 'booked') satisfies EntryStatus,
      isReversal: false,
      reference: owner || bank || null,
      references: [owner, bank, text, text.replaceAll(' ', '')].filter((part) => part !== ''),
      counterpartyName:
        /(?:ORIG CO NAME|ORIGINATOR|ORIG)[:=] ?([^:=]*?)(?: {2,}| (?:ORIG ID|CO ENTRY|DESC)|$)/.exec(text)?.[1] || null,
      counterpartyAccount: null,
      chargesMinor: null,
    };
  }
}

/** What a trailer states of the records before it. */
type Counted = { total: bigint; parts: number; records: number };
const newCount = (): Counted => ({ total: 0n, parts: 0, records: 0 });

function count(whole: Counted, { total }: Counted): void {
  whole.total += total;
  whole.parts++;
}

/** For a control total, which adds up whatever is printed; what is no amount is refused elsewhere. */
const printedAmount = (text: string): bigint =>
  /^[+-]?\d{1,30}$/.test(text.trim()) ? BigInt(text.trim().replace('+', '')) : 0n;

/** A balance has a sign of its own. */
function balanceOf(text: string, currency: Currency): bigint | null {
  const printed = text.trim();
  if (printed === '') return null;
  const amount = bankAmountMinor(printed.replace(/^[+-]/, ''), currency, '03');
  return checkedSum(printed.startsWith('-') ? -amount : amount, '03');
}

/** How many fields the availability takes that a funds type announces: S three, V two, D a count and two for each of it. */
function fundsFields(funds: string, parts: readonly string[], at: number): number {
  switch (funds.trim()) {
    case 'S':
      return 3;
    case 'V':
      return 2;
    case 'D': {
      const count = Number(parts[at]?.trim());
      return Number.isInteger(count) && count >= 0 && count < 100 ? 1 + 2 * count : 1;
    }
    default:
      return 0;
  }
}

function valueDateOf(funds: string, parts: readonly string[]): string | null {
  return funds === 'V' && /^\d{6}$/.test(parts[3]?.trim() ?? '') ? shortDay(parts[3]!.trim(), '16') : null;
}
