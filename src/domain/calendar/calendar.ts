import { dateIn } from './time.ts';

export const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** How long after a day T: T+2, or T+2 business. One day at least, for nothing is due before T is over. */
export type DayCount = { readonly days: number; readonly isBusiness: boolean };

/** The same with a local time, 'HH:MM'. */
export type DueTime = DayCount & { readonly at: string };

/**
 * What was agreed with the provider about when things come. Days are 'YYYY-MM-DD' and times are local to `timeZone`. Plain
 * data, so that it can be kept beside what was decided by it.
 */
export type Calendar = {
  readonly timeZone: string;
  /** Six days at most: a week has a business day. */
  readonly weekend: readonly Weekday[];
  readonly holidays: readonly string[];
  /** When nothing new has come for so long, nothing more is taken to be on its way. */
  readonly quietMinutes: number;
  /** Without it no report of a day is expected. */
  readonly transactionDetails?: TransactionReports | undefined;
  /** Without it no settlement is expected. */
  readonly settlement?: Settlements | undefined;
};

type TransactionReports = {
  /** T is the day of the transactions. */
  readonly due: DueTime;
  readonly daysWithoutTransactions: 'empty file' | 'no file';
};

type Settlements = {
  /** When details and summary are due; T is their settlement date. */
  readonly reportsDue: DueTime;
  /** The settlement date, at the latest, of what was sold on day T. Without it nothing is told to be unsettled. */
  readonly date?: DayCount | undefined;
  /** Settlements are made on these days only: the date moves on to the next of them, and from a holiday to the next business day. */
  readonly on?: readonly Weekday[] | undefined;
};

/** What is due: the report of a day, both reports of a settlement date, or that what was sold on a day stands in such reports. */
export type Duty = 'transactionDetails' | 'settlementReports' | 'settlement';

/**
 * When it is due for this day, in milliseconds since 1970; null where the calendar does not say. It is never before the day is
 * over, and never earlier than for a day before.
 */
export function dueAt(calendar: Calendar, duty: Duty, day: string): number | null {
  const { transactionDetails, settlement, timeZone } = calendar;
  if (duty === 'settlement') {
    const date = settlementDate(calendar, day);
    return date === null ? null : dueAt(calendar, 'settlementReports', date);
  }
  const due = duty === 'transactionDetails' ? transactionDetails?.due : settlement?.reportsDue;
  return due ? instantOf(dayAfter(calendar, day, due), due.at, timeZone) : null;
}

/** The settlement date, at the latest, of what was sold on this day; null where the calendar does not say. */
export function settlementDate(calendar: Calendar, day: string): string | null {
  const { date, on } = calendar.settlement ?? {};
  if (!date) return null;
  let settled = dayAfter(calendar, day, date);
  if (!on) return settled;
  while (!on.includes(weekdayOf(settled))) settled = addDays(settled, 1);
  while (!isBusinessDay(calendar, settled)) settled = addDays(settled, 1);
  return settled;
}

/** The last day for which it is due by now: it is so for every day before, and for none after. Null where the calendar does not say. */
export function lastDueDay(calendar: Calendar, duty: Duty, nowMs: number): string | null {
  let day = dateIn(BigInt(nowMs) * 1000n, calendar.timeZone);
  for (;;) {
    const due = dueAt(calendar, duty, day);
    if (due === null) return null;
    if (due <= nowMs) return day;
    day = addDays(day, -1);
  }
}

/** When it is next due for some day: until then `lastDueDay` says the same as now. Null where the calendar does not say. */
export function nextDueAt(calendar: Calendar, duty: Duty, nowMs: number): number | null {
  const last = lastDueDay(calendar, duty, nowMs);
  return last === null ? null : dueAt(calendar, duty, addDays(last, 1));
}

/** Days of transactions, and what is known of them. */
export type Days = {
  /** Nothing is expected for days before. */
  readonly from: string;
  readonly reported: ReadonlySet<string>;
  /** Those on which the merchant has records that such a report would carry. */
  readonly withTransactions: ReadonlySet<string>;
};

/** The days whose report is due and not there. */
export function missingDays(calendar: Calendar, { from, reported, withTransactions }: Days, nowMs: number): string[] {
  const last = lastDueDay(calendar, 'transactionDetails', nowMs);
  if (last === null) return [];
  const isExpected = (day: string) =>
    calendar.transactionDetails?.daysWithoutTransactions === 'empty file' || withTransactions.has(day);
  const missing: string[] = [];
  for (let day = from; day <= last; day = addDays(day, 1)) {
    if (isExpected(day) && !reported.has(day)) missing.push(day);
  }
  return missing;
}

/** What is known of the reports of some days. */
export type DaysAround = {
  /** The whole report of the day is there. */
  readonly reported: ReadonlySet<string>;
  /** Days on which the merchant has records that such a report would carry. */
  readonly withTransactions: ReadonlySet<string>;
};

/**
 * From when on everything that was paid on this day has to stand in a report that is there: its own, or that of a day next to it,
 * for two clocks need not agree on midnight. In milliseconds since 1970; null where one of these is not there and may have it.
 */
export function listedFrom(calendar: Calendar, day: string, { reported, withTransactions }: DaysAround): number | null {
  const { transactionDetails } = calendar;
  if (!transactionDetails || !reported.has(day)) return null;
  const needsNone = (other: string) =>
    transactionDetails.daysWithoutTransactions === 'no file' && !withTransactions.has(other);
  const next = addDays(day, 1);
  const isWhole = [addDays(day, -1), next].every((other) => reported.has(other) || needsNone(other));
  return isWhole ? dueAt(calendar, 'transactionDetails', next) : null;
}

/** What has come for a batch or day of which some report is there. */
export type Arrived = {
  readonly duty: 'transactionDetails' | 'settlementReports';
  /** The day, or the settlement date; null where nothing says it. */
  readonly day: string | null;
  /** A part, or the other one of details and summary, is not there. */
  readonly isMissing: boolean;
  /**
   * The details have as many rows, refused ones included, as the summary states. A summary without a count cannot say so; a
   * day has no summary, so that there is nothing to wait for.
   */
  readonly hasAllRows: boolean;
  /** When the last report or part came, in whatever state. */
  readonly lastCameAtMs: number;
  /** It is already told that something is missing or does not add up. One more part is no reason to take that back. */
  readonly isTold: boolean;
};

/**
 * Until when what is not there may still come, in milliseconds since 1970; null where there is nothing to wait for. Until then
 * the batch or day is waiting, and nothing is told that one more part could change.
 *
 * What is missing is missing when its time is past and nothing has come for the quiet time: a delivery that begins late would
 * otherwise be told to be incomplete as soon as its first file is read. Rows that the summary counts and no part has are only
 * waited for quietly, because there may be no such part.
 */
export function waitsUntil(calendar: Calendar, arrived: Arrived): number | null {
  const { duty, day, isMissing, hasAllRows, lastCameAtMs, isTold } = arrived;
  if (isTold || (!isMissing && hasAllRows)) return null;
  const quietAt = lastCameAtMs + calendar.quietMinutes * 60_000;
  const due = isMissing && day !== null ? dueAt(calendar, duty, day) : null;
  return Math.max(quietAt, due ?? quietAt);
}

export const isBusinessDay = ({ weekend, holidays }: Calendar, day: string): boolean =>
  !weekend.includes(weekdayOf(day)) && !holidays.includes(day);

/** Days are counted as in UTC, where each has 24 hours. */
export const addDays = (day: string, days: number): string =>
  new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);

/** All days from this one to that one, both included; none where that one is earlier. */
export function daysFrom(first: string, last: string): string[] {
  const days: string[] = [];
  for (let day = first; day <= last; day = addDays(day, 1)) days.push(day);
  return days;
}

const DAY_MS = 86_400_000;

const weekdayOf = (day: string): Weekday => WEEKDAYS[new Date(day).getUTCDay()]!;

/** The first business day after a Friday, a Saturday and a Sunday is the same Monday. */
function dayAfter(calendar: Calendar, day: string, { days, isBusiness }: DayCount): string {
  if (!isBusiness) return addDays(day, days);
  let after = day;
  for (let counted = 0; counted < days; ) {
    after = addDays(after, 1);
    if (isBusinessDay(calendar, after)) counted++;
  }
  return after;
}

/**
 * When clocks there show this time. Of a time that they show twice the second is meant, and one that they skip is as long after
 * the change as it would have been: what is due is never told too early.
 */
function instantOf(day: string, time: string, timeZone: string): number {
  const shown = Date.parse(`${day}T${time}Z`);
  // No clock is a day off, so these are what it is ahead of UTC before and after any change that could matter.
  const instants = [-DAY_MS, DAY_MS].map((nearby) => shown - aheadOfUtc(shown + nearby, timeZone));
  const right = instants.filter((instant) => instant + aheadOfUtc(instant, timeZone) === shown);
  return Math.max(...(right.length > 0 ? right : instants));
}

/** Building one is far dearer than using it. */
const clocks = new Map<string, Intl.DateTimeFormat>();

/** How far clocks there are ahead of UTC at this moment, in milliseconds. Throws RangeError for an unknown time zone. */
function aheadOfUtc(instantMs: number, timeZone: string): number {
  let clock = clocks.get(timeZone);
  if (clock === undefined) {
    clock = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    clocks.set(timeZone, clock);
  }
  const parts = clock.formatToParts(instantMs);
  const of = (type: string) => Number(parts.find((part) => part.type === type)?.value);
  const shown = Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'));
  return shown - instantMs;
}
