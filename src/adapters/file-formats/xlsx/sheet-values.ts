/** What the cells of a sheet say, as text: numbers, times, and the escapes of the format. */

const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;
/** As many as a sheet shows; what floating point adds behind them (0.30000000000000004) nobody has entered. */
const DIGITS = 15;

/**
 * A number in plain digits, at 15 significant ones: no exponent, no trailing zeros, no `-0`. From 1e15 on it is written
 * with an exponent (`2.01812261102104E+18`): digits are lost, and whoever needs an id or an amount must see that.
 * What is no number stays as it is.
 */
export function numberText(text: string): string {
  const number = NUMBER.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(number)) return text;
  if (number === 0) return '0';
  const [mantissa = '', power = ''] = Math.abs(number)
    .toExponential(DIGITS - 1)
    .split('e');
  const digits = mantissa.replace('.', '').replace(/0+$/, '');
  return (number < 0 ? '-' : '') + withPoint(digits, Number(power));
}

/** The digits of a number whose first one stands for 10 to the power. */
function withPoint(digits: string, power: number): string {
  if (power >= DIGITS) return `${joined(digits.slice(0, 1), digits.slice(1))}E+${power}`;
  if (power < 0) return `0.${'0'.repeat(-power - 1)}${digits}`;
  return joined(digits.slice(0, power + 1).padEnd(power + 1, '0'), digits.slice(power + 1));
}

const joined = (whole: string, fraction: string) => (fraction === '' ? whole : `${whole}.${fraction}`);

/** Whether a number stands there just as `numberText` would write it. That of nearly all does, and need not become a string. */
export function isWritten(bytes: Buffer, length: number): boolean {
  const first = bytes[0] === MINUS ? 1 : 0;
  if (first === length || length > DIGITS) return false;
  if (bytes[first] === ZERO && bytes[first + 1] !== POINT) return length === 1;
  let point = 0;
  for (let at = first; at < length; at++) {
    const byte = bytes[at]!;
    if (byte === POINT && point === 0 && at > first) point = at;
    else if (byte < ZERO || byte > NINE) return false;
  }
  return point === 0 || (bytes[length - 1] !== ZERO && point < length - 1);
}

const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

const ESCAPE = /_x([0-9A-Fa-f]{4})_/g;

/** The characters that XML cannot hold are written `_x000D_`, and so is an underscore that would begin such an escape. */
export const unescaped = (text: string) =>
  text.replaceAll(ESCAPE, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));

/** Ids of formats that are not written out in the file: dates and times in all languages. */
const isBuiltInTime = (id: number) =>
  (id >= 14 && id <= 22) || (id >= 27 && id <= 36) || (id >= 45 && id <= 47) || (id >= 50 && id <= 58);

/** Whether numbers of this format are shown as dates or times. `code` is how the file writes the format, if it does. */
export function isTimeFormat(id: number, code: string | undefined): boolean {
  if (code === undefined) return isBuiltInTime(id);
  // Text in quotes, colours and conditions in brackets, and a character behind \, _ or * say nothing of the value.
  return /[ymdhs]/i.test(code.replaceAll(/"[^"]*"?|\[[^\]]*\]?|[\\_*]./gsu, ''));
}

const DAY_MS = 86_400_000;
const AFTER_THE_LAST_DAY = Date.UTC(10_000, 0, 1);
const ISO = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?$/;

/** Writes times of a sheet, which name no zone, as ISO 8601 with the offset that holds at that time in the zone. */
export class SheetTimes {
  readonly #formatter: Intl.DateTimeFormat;
  readonly #is1904: boolean;
  /** By quarter of an hour: no clock is put forward or back within one. */
  readonly #offsets = new Map<number, string>();

  constructor(timeZone: string, is1904: boolean) {
    this.#formatter = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', { timeZone, timeZoneName: 'longOffset' });
    this.#is1904 = is1904;
  }

  /** Of a number of days. Null where it is no day: a time without one, or a number beyond the calendar. */
  ofDays(text: string): string | null {
    const days = NUMBER.test(text) ? Number(text) : Number.NaN;
    const wallMs = Math.round(days * DAY_MS) + this.#epochMs(days);
    if (!(days >= 1 && wallMs < AFTER_THE_LAST_DAY)) return null;
    const wall = new Date(wallMs)
      .toISOString()
      .slice(0, -1)
      .replace(/\.000$/, '');
    return wall + this.#offsetAt(wallMs);
  }

  /** Of a cell that holds a time in ISO 8601. Null where it has an offset of its own, or is no time. */
  ofIso(text: string): string | null {
    const [, day, time = '00:00:00'] = ISO.exec(text) ?? [];
    const wallMs = Date.parse(`${day}T${time}Z`);
    return Number.isNaN(wallMs) ? null : `${day}T${time}${this.#offsetAt(wallMs)}`;
  }

  #epochMs(days: number): number {
    if (this.#is1904) return Date.UTC(1904, 0, 1);
    // Day 60 is 29 February 1900, which never was.
    return Date.UTC(1899, 11, days < 60 ? 31 : 30);
  }

  /** Of a clock that is put back the earlier of the two, of one that is put forward the one before. */
  #offsetAt(wallMs: number): string {
    const quarter = Math.floor(wallMs / 900_000);
    let offset = this.#offsets.get(quarter);
    if (offset !== undefined) return offset;
    const [before, after] = [this.#offsetOf(wallMs - DAY_MS), this.#offsetOf(wallMs + DAY_MS)];
    const isBefore = this.#offsetOf(wallMs - minutesOf(before) * 60_000) === before;
    const isAfter = this.#offsetOf(wallMs - minutesOf(after) * 60_000) === after;
    offset = isAfter && !isBefore ? after : before;
    if (this.#offsets.size > 100_000) this.#offsets.clear();
    this.#offsets.set(quarter, offset);
    return offset;
  }

  /** `+08:00`, of a moment. */
  #offsetOf(ms: number): string {
    const parts = this.#formatter.formatToParts(ms);
    const name = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
    return /[+-]\d\d:\d\d/.exec(name)?.[0] ?? '+00:00';
  }
}

function minutesOf(offset: string): number {
  const minutes = Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4));
  return offset.startsWith('-') ? -minutes : minutes;
}
