import { addDays, type Calendar, isBusinessDay } from '../calendar/calendar.ts';
import type { CsvStatementFormat } from './csv-format.ts';

/** Whose the money of an account is. */
export type AccountOwner = {
  /** As `accountNamed` has it. */
  readonly account: string;
  readonly currency: string;
  /** Null: every merchant. */
  readonly merchantIds: readonly string[] | null;
};

/** Which days count, by the name of a source; under an empty name those of every other source. */
export type BankCalendars = Readonly<Record<string, BankDays>>;
export type BankDays = Pick<Calendar, 'weekend' | 'holidays'>;

export type BankSettings = {
  /** Null: an account of a statement belongs to every merchant. */
  readonly accounts: readonly AccountOwner[] | null;
  /** Names of counterparties that pay out; `*` stands for any text. */
  readonly payers: readonly string[];
  readonly payoutDays: number;
  readonly calendars: BankCalendars;
  /** Formats of CSV statements of one's own. */
  readonly formats: readonly CsvStatementFormat[];
};

export const DEFAULT_PAYOUT_DAYS = 5;

/** One account however it is printed: `nl91 abna 0417 1643 00` is `NL91ABNA0417164300`. */
export const accountNamed = (text: string): string => text.replaceAll(/\s/g, '').toUpperCase();

/** Whether a counterparty is one that pays out. */
export function payerTest(payers: readonly string[]): (name: string | null) => boolean {
  const patterns = payers.map(
    (payer) => new RegExp(`^${payer.replace(/[\\^$.+?()[\]{}|]/g, '\\$&').replaceAll(/\*+/g, '.*')}$`, 'is'),
  );
  return (name) => name !== null && patterns.some((pattern) => pattern.test(name.trim()));
}

/** Days of a source of which nothing is said: banks book nothing on Saturdays and Sundays. */
const USUAL_DAYS: BankDays = { weekend: ['saturday', 'sunday'], holidays: [] };

export const daysOf = (calendars: BankCalendars, source: string | null): BankDays =>
  calendars[source ?? ''] ?? calendars[''] ?? USUAL_DAYS;

/** So many business days after a day. */
export function businessDaysAfter(day: string, count: number, days: BankDays): string {
  const calendar = { ...days, timeZone: 'UTC', quietMinutes: 0 };
  let after = day;
  for (let counted = 0; counted < count; ) {
    after = addDays(after, 1);
    if (isBusinessDay(calendar, after)) counted++;
  }
  return after;
}
