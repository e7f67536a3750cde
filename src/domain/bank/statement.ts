import { RowRefused } from '../errors.ts';
import { type Currency, digitsOf, isCurrency } from '../money/currency.ts';
import { isInRange, parseAmount } from '../money/money.ts';

/** How a statement says that an entry counts: booked, not yet booked, or printed for information only. */
export type EntryStatus = 'booked' | 'pending' | 'information';

/** What a file of statements is written in; of CSV the id of the format. */
export type StatementFormat = 'camt' | 'mt940' | 'bai2' | CsvFormatId;
/** Its name, and a hash of all that it says. */
export type CsvFormatId = `${string}@${string}`;

/** One entry of a bank statement, whatever the format of its file. */
export type BankEntry = {
  /** The physical line of the file on which it begins, from 1. */
  readonly line: number;
  /** Days as printed, `YYYY-MM-DD`; null where the statement says none. */
  readonly bookingDate: string | null;
  readonly valueDate: string | null;
  /** Credit above zero. */
  readonly amountMinor: bigint;
  readonly currency: Currency;
  readonly status: EntryStatus;
  /** It takes back an entry of before. Its sign says the way of the money all the same. */
  readonly isReversal: boolean;
  /** The one reference that people would name it by; null where it has none. */
  readonly reference: string | null;
  /** Every text in which a batch may be named: references, remittance, additional information. */
  readonly references: readonly string[];
  readonly counterpartyName: string | null;
  readonly counterpartyAccount: string | null;
  /** What the bank kept of it, as far as the entry says so. */
  readonly chargesMinor: bigint | null;
};

/** A statement of one account, as it is known when all of it was read. */
export type BankStatement = {
  readonly line: number;
  /** Of a camt.052 or camt.054, or of a day that is not over, entries count only until a statement has them. */
  readonly isFinal: boolean;
  readonly account: string;
  readonly currency: Currency;
  /** As printed, such as 114 or 114/2; null where it has none. */
  readonly number: string | null;
  readonly from: string | null;
  readonly to: string | null;
  readonly openingMinor: bigint | null;
  readonly closingMinor: bigint | null;
  readonly entries: number;
  /** Booked entries that were read, added up. */
  readonly bookedMinor: bigint;
  readonly refused: number;
  /** The statement adds up only where a mark of reversal turns the sign that the entry prints: so it does, of each of its reversals. */
  readonly turnsReversals: boolean;
};

/** What a reader of statements comes upon, in the order of the file. An entry belongs to the next statement that ends. */
export type BankEvent =
  | { readonly type: 'entry'; readonly entry: BankEntry }
  | { readonly type: 'refusedEntry'; readonly line: number; readonly refused: RowRefused }
  | { readonly type: 'statement'; readonly statement: BankStatement }
  | { readonly type: 'refusedStatement'; readonly line: number; readonly refused: RowRefused };

/** What the entries lack to lead from the opening to the closing balance; null where one of these is not stated. */
export function imbalanceOf({ openingMinor, closingMinor, bookedMinor }: BankStatement): bigint | null {
  return openingMinor === null || closingMinor === null ? null : closingMinor - openingMinor - bookedMinor;
}

/**
 * Whether a statement adds up: each entry was read, and they lead from the opening to the closing balance. Where one of these is not stated
 * nothing was compared, and it says so.
 */
export function balanceOf(statement: BankStatement): 'balanced' | 'unbalanced' | 'notStated' {
  const imbalance = imbalanceOf(statement);
  if (statement.refused > 0 || (imbalance !== null && imbalance !== 0n)) return 'unbalanced';
  return imbalance === null ? 'notStated' : 'balanced';
}

/** Most elements and lines are the end of nothing. Nobody adds to it. */
const NONE: BankEvent[] = [];

/** Gathers what a reader finds of the statement at hand. */
export class StatementCollector {
  account: string | null = null;
  currency: Currency | null = null;
  number: string | null = null;
  from: string | null = null;
  to: string | null = null;
  openingMinor: bigint | null = null;
  closingMinor: bigint | null = null;
  isFinal = true;
  /** Banks differ in whether the mark of an entry or its reversal mark says the way of the money: the balances tell. */
  mayTurnReversals = false;
  readonly #events: BankEvent[] = [];
  #line = 0;
  #entries = 0;
  #refused = 0;
  #bookedMinor = 0n;
  /** Of these, those with a mark of reversal. */
  #reversedMinor = 0n;
  #trouble: RowRefused | null = null;
  isOpen = false;

  begin(line: number): void {
    this.account = this.currency = this.number = this.from = this.to = this.openingMinor = this.closingMinor = null;
    this.isFinal = true;
    this.#line = line;
    this.#entries = this.#refused = 0;
    this.#bookedMinor = this.#reversedMinor = 0n;
    this.#trouble = null;
    this.isOpen = true;
  }

  add(entry: BankEntry): void {
    this.#entries++;
    if (entry.status === 'booked') {
      this.#bookedMinor += entry.amountMinor;
      if (entry.isReversal) this.#reversedMinor += entry.amountMinor;
    }
    this.#events.push({ type: 'entry', entry });
  }

  /** An entry that cannot be read: the others are, and the statement does not add up. */
  refuse(line: number, refused: RowRefused): void {
    this.#refused++;
    this.#events.push({ type: 'refusedEntry', line, refused });
  }

  /** Something of the statement itself cannot be read, so none of it counts. The first such thing is told. */
  spoil(refused: RowRefused): void {
    this.#trouble ??= refused;
  }

  /** Something of the file around its statements is wrong: they count, and it is told. */
  refuseAround(line: number, refused: RowRefused): void {
    this.#events.push({ type: 'refusedStatement', line, refused });
  }

  end(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const line = this.#line;
    const refused = this.#trouble ?? this.#lack();
    if (refused !== null) {
      this.#events.push({ type: 'refusedStatement', line, refused });
      return;
    }
    const turned = this.#bookedMinor - 2n * this.#reversedMinor;
    const turnsReversals = this.mayTurnReversals && this.#reversedMinor !== 0n && this.#leadsTo(turned);
    this.#events.push({
      type: 'statement',
      statement: {
        line,
        isFinal: this.isFinal,
        account: this.account!,
        currency: this.currency!,
        number: this.number,
        from: this.from,
        to: this.to,
        openingMinor: this.openingMinor,
        closingMinor: this.closingMinor,
        entries: this.#entries,
        bookedMinor: turnsReversals ? turned : this.#bookedMinor,
        refused: this.#refused,
        turnsReversals,
      },
    });
  }

  take(): BankEvent[] {
    return this.#events.length === 0 ? NONE : this.#events.splice(0);
  }

  #leadsTo(bookedMinor: bigint): boolean {
    const { openingMinor, closingMinor } = this;
    return openingMinor !== null && closingMinor !== null && openingMinor + bookedMinor === closingMinor;
  }

  #lack(): RowRefused | null {
    if (this.account === null) return new RowRefused('missing_value', 'account', '');
    return this.currency === null ? new RowRefused('missing_currency', 'currency', '') : null;
  }
}

/** @throws RowRefused unless it is a currency that is known. */
export function currencyIn(text: string, field: string): Currency {
  if (text === '') throw new RowRefused('missing_currency', field, '');
  if (!isCurrency(text)) throw new RowRefused('unknown_currency', field, text);
  return text;
}

/**
 * An unsigned amount as banks print it, with the decimal sign of the format: `1234,5` and `1234,` with a comma.
 * @throws RowRefused with the field and the text.
 */
export function bankAmount(text: string, currency: Currency, decimalSign: '.' | ',', field: string): bigint {
  const isPlain = decimalSign === ',' ? /^\d+(?:,\d*)?$/.test(text) : /^\d+(?:\.\d*)?$/.test(text);
  if (!isPlain) throw new RowRefused('bad_amount', field, text);
  return parseAmount(text.replace(decimalSign, '.').replace(/\.$/, ''), digitsOf(currency), 'major', field);
}

/** An unsigned whole number of the currency's smallest unit. @throws RowRefused */
export function bankAmountMinor(text: string, currency: Currency, field: string): bigint {
  if (!/^\d+$/.test(text)) throw new RowRefused('bad_amount', field, text);
  return parseAmount(text, digitsOf(currency), 'minor', field);
}

/** @throws RowRefused when what is added up leaves the range of amounts. */
export function checkedSum(amountMinor: bigint, field: string): bigint {
  if (!isInRange(amountMinor)) throw new RowRefused('sum_out_of_range', field, amountMinor.toString());
  return amountMinor;
}

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** A day of the calendar as `YYYY-MM-DD`. @throws RowRefused when there is none. */
export function dayOf(year: number, month: number, day: number, field: string, text: string): string {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const last = month === 2 && isLeap ? 29 : (DAYS[month - 1] ?? 0);
  if (!(year >= 1990 && year <= 2100 && day >= 1 && day <= last)) throw new RowRefused('bad_day', field, text);
  return `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
}

/** `YYMMDD`, of 1990 to 2089. @throws RowRefused */
export function shortDay(text: string, field: string): string {
  const parts = /^(\d\d)(\d\d)(\d\d)$/.exec(text);
  if (parts === null) throw new RowRefused('bad_day', field, text);
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  return dayOf(year >= 90 ? 1900 + year : 2000 + year, month, day, field, text);
}

/** `MMDD` in the year that brings it nearest to another day: a booking of December in a statement of January is of the year before. */
export function dayNear(text: string, near: string, field: string): string {
  const parts = /^(\d\d)(\d\d)$/.exec(text);
  if (parts === null) throw new RowRefused('bad_day', field, text);
  const year = Number(near.slice(0, 4));
  const days = [year - 1, year, year + 1].flatMap((y) => {
    try {
      return [dayOf(y, Number(parts[1]), Number(parts[2]), field, text)];
    } catch {
      return []; // 29 February of another year.
    }
  });
  const distance = (day: string) => Math.abs(Date.parse(day) - Date.parse(near));
  const [best] = days.sort((a, b) => distance(a) - distance(b));
  if (best === undefined) throw new RowRefused('bad_day', field, text);
  return best;
}
