import { RowRefused } from '../errors.ts';
import type { Currency } from '../money/currency.ts';
import { bankAmount, type CsvFormatId, dayOf } from './statement.ts';

/** What is read of a row. A batch may be named in any of `references`. */
export type StatementColumns = {
  readonly account?: string | undefined;
  readonly currency?: string | undefined;
  readonly bookingDate: string;
  readonly valueDate?: string | undefined;
  /** With a sign, or without one beside `sign`. */
  readonly amount?: string | undefined;
  readonly sign?: string | undefined;
  /** Instead of `amount`: two columns without signs. */
  readonly credit?: string | undefined;
  readonly debit?: string | undefined;
  readonly charges?: string | undefined;
  readonly status?: string | undefined;
  readonly references?: readonly string[] | undefined;
  readonly counterpartyName?: string | undefined;
  readonly counterpartyAccount?: string | undefined;
  /** Of the account after the entry. */
  readonly balance?: string | undefined;
  /** Of the day, the same on each of its rows. */
  readonly openingBalance?: string | undefined;
  readonly closingBalance?: string | undefined;
};

/** How a bank writes statements as CSV. */
export type CsvStatementFormat = {
  readonly name: string;
  readonly id: CsvFormatId;
  readonly delimiter: ',' | ';' | '\t' | '|';
  /** Null: each cell is UTF-8, else Windows-1252. */
  readonly encoding: 'utf8' | 'gb18030' | 'windows-1252' | null;
  /** Physical lines above the header. */
  readonly linesAbove: number;
  readonly decimalSign: '.' | ',';
  /** Null: amounts are not grouped. */
  readonly thousandsSign: string | null;
  readonly datePattern: string;
  /** The account and currency of each row, where no column says it. */
  readonly account: string | null;
  readonly currency: Currency | null;
  readonly isNewestFirst: boolean;
  readonly creditMarks: readonly string[];
  readonly debitMarks: readonly string[];
  /** Values of `status` of an entry that is not booked. */
  readonly pendingStatuses: readonly string[];
  readonly columns: StatementColumns;
};

/** All columns that a header must have. */
export const columnsOf = ({ columns }: Pick<CsvStatementFormat, 'columns'>): string[] => [
  ...new Set(Object.values(columns).flatMap((names) => names ?? [])),
];

/**
 * An amount as the format prints it, with an optional sign in front.
 * @throws RowRefused unless it is exactly one: a thousands sign must be said, and stand between groups of three digits.
 */
export function signedAmount(text: string, currency: Currency, format: CsvStatementFormat, column: string): bigint {
  const sign = /^[+-]/.exec(text)?.[0] ?? '';
  try {
    const amount = unsignedAmount(text.slice(sign.length), currency, format, column);
    return sign === '-' ? -amount : amount;
  } catch (error) {
    // It is told as it was printed.
    throw error instanceof RowRefused ? new RowRefused(error.code, column, text) : error;
  }
}

/** The same without a sign. @throws RowRefused */
export function unsignedAmount(
  text: string,
  currency: Currency,
  { decimalSign, thousandsSign }: CsvStatementFormat,
  column: string,
): bigint {
  return bankAmount(
    thousandsSign === null ? text : ungrouped(text, decimalSign, thousandsSign),
    currency,
    decimalSign,
    column,
  );
}

/** Banks group by a narrow or a fixed blank as well as by a plain one. */
const BLANKS = /[\u00a0\u202f]/g;

/** Without the signs between groups, where each group has three digits; else as it was, which is no amount. */
function ungrouped(text: string, decimalSign: string, thousandsSign: string): string {
  const plain = thousandsSign === ' ' ? text.replaceAll(BLANKS, ' ') : text;
  const [whole = '', ...rest] = plain.split(decimalSign);
  const groups = whole.split(thousandsSign);
  const isGrouped = groups.every((group, at) => (at === 0 ? /^\d{1,3}$/ : /^\d{3}$/).test(group));
  return isGrouped ? [groups.join(''), ...rest].join(decimalSign) : text;
}

const TOKENS: Readonly<Record<string, string>> = {
  yyyy: String.raw`(?<year>\d{4})`,
  yy: String.raw`(?<shortYear>\d{2})`,
  MM: String.raw`(?<month>\d{2})`,
  M: String.raw`(?<month>\d{1,2})`,
  dd: String.raw`(?<day>\d{2})`,
  d: String.raw`(?<day>\d{1,2})`,
  HH: String.raw`\d{2}`,
  mm: String.raw`\d{2}`,
  ss: String.raw`\d{2}`,
};

/** The pattern of a date as an expression with groups; null: it does not say year, month and day, each once. */
export function dateExpression(pattern: string): RegExp | null {
  const parts = pattern.match(/yyyy|yy|MM|M|dd|d|HH|mm|ss|[^A-Za-z]|T/g) ?? [];
  const count = (...names: string[]) => parts.filter((part) => names.includes(part)).length;
  const isWhole = parts.join('') === pattern && count('yyyy', 'yy') === 1 && count('MM', 'M') === 1;
  if (!isWhole || count('dd', 'd') !== 1) return null;
  return new RegExp(`^${parts.map((part) => TOKENS[part] ?? part.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&')).join('')}$`);
}

/** The day that a text says as `YYYY-MM-DD`; two digits of a year are of 1990 to 2089. @throws RowRefused */
export function dayIn(text: string, expression: RegExp, column: string): string {
  const parts = expression.exec(text)?.groups;
  if (parts === undefined) throw new RowRefused('bad_day', column, text);
  const short = Number(parts['shortYear']);
  const year = parts['year'] === undefined ? (short >= 90 ? 1900 : 2000) + short : Number(parts['year']);
  return dayOf(year, Number(parts['month']), Number(parts['day']), column, text);
}
