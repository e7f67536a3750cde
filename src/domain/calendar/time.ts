import { RowRefused } from '../errors.ts';

const TIME =
  /^(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)[T ](?<hour>\d\d):(?<minute>\d\d)(?::(?<second>\d\d)(?:[.,](?<fraction>\d+))?)?(?:Z|(?<sign>[+-])(?<offsetHour>\d\d)(?::?(?<offsetMinute>\d\d))?)$/;
const FIRST_YEAR = 2000;
const LAST_YEAR = 2100;

/**
 * Trimmed text as microseconds since 1970. Digits below a microsecond are cut.
 * A time without an offset is refused: it would be an hour of someone's guess. Throws RowRefused, naming `column`.
 */
export function parseTime(text: string, column: string | null = null): bigint {
  const groups = TIME.exec(text)?.groups;
  if (groups === undefined) throw new RowRefused('bad_time', column, text);
  const { sign, fraction = '' } = groups;
  const number = (part: string) => Number(groups[part] ?? 0);
  const [year, month, day] = [number('year'), number('month'), number('day')];
  const [hour, minute, second] = [number('hour'), number('minute'), number('second')];
  const [offsetHour, offsetMinute] = [number('offsetHour'), number('offsetMinute')];
  const isTime = isDate(year, month, day) && hour < 24 && minute < 60 && second < 60;
  if (!isTime || offsetHour > 23 || offsetMinute > 59) throw new RowRefused('bad_time', column, text);
  const offsetMs = (sign === '-' ? -1 : 1) * (offsetHour * 60 + offsetMinute) * 60_000;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second) - offsetMs;
  return BigInt(ms) * 1000n + BigInt(fraction.slice(0, 6).padEnd(6, '0'));
}

/** `yyyyMMdd` as 'YYYY-MM-DD'; null when there is no such day. */
export function parseCompactDate(text: string): string | null {
  const parts = /^(\d{4})(\d{2})(\d{2})$/.exec(text);
  if (parts === null) return null;
  const [, year = '', month = '', day = ''] = parts;
  return isDate(Number(year), Number(month), Number(day)) ? `${year}-${month}-${day}` : null;
}

/** Building one is far dearer than using it, and there is one a source. */
const formatters = new Map<string, Intl.DateTimeFormat>();

/** The calendar day on which it happened there, 'YYYY-MM-DD'. Throws RangeError for an unknown time zone. */
export function dateIn(micros: bigint, timeZone: string): string {
  let formatter = formatters.get(timeZone);
  if (formatter === undefined) {
    // Locale, calendar and digits are all told, so that no machine's own settings show through.
    formatter = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
    });
    formatters.set(timeZone, formatter);
  }
  const parts = formatter.formatToParts(Number(micros / 1000n));
  const of = (type: string) => parts.find((part) => part.type === type)?.value ?? '';
  return `${of('year')}-${of('month')}-${of('day')}`;
}

function isDate(year: number, month: number, day: number): boolean {
  if (year < FIRST_YEAR || year > LAST_YEAR) return false;
  // Date.UTC rolls 30 February over into March, which shows as another month or day.
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

/** Whether this is a day of the calendar, as `YYYY-MM-DD`. */
export const isDay = (text: string): boolean =>
  /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text)) && new Date(text).toISOString().startsWith(text);
