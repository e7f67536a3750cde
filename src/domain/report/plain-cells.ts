import { isCurrency, MINOR_DIGITS } from '../money/currency.ts';
import { MAX_ID_BYTES } from './cells.ts';

/**
 * Reads the commonest spellings of cells straight from their bytes, without making text of them: for the readers that take plain rows and
 * leave every other one to the full reader. NaN, −1 or false says "not plain", never "wrong".
 */

/** What `timeAt` returns where no time stands. */
export const BLANK_TIME = Number.NEGATIVE_INFINITY;

/** A currency as one number, as `codeAt` reads it. */
export const codeOf = (currency: string): number =>
  (currency.charCodeAt(0) << 16) | (currency.charCodeAt(1) << 8) | currency.charCodeAt(2);

/** The minor digits of each currency, by its code. */
export const DIGITS_OF_CODE = new Map(
  Object.entries(MINOR_DIGITS)
    .filter(([code]) => isCurrency(code))
    .map(([code, digits]) => [codeOf(code), digits]),
);

/** Whether the report lacks the column (−1), or nothing stands in the cell. */
export const isBlank = (starts: Int32Array, ends: Int32Array, cell: number): boolean =>
  cell < 0 || starts[cell] === ends[cell];

export function equals(buf: Uint8Array, start: number, end: number, bytes: Uint8Array): boolean {
  if (end - start !== bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) if (buf[start + i] !== bytes[i]) return false;
  return true;
}

/** ASCII without a blank at either end: what needs no decoding and no trimming. */
export function isAsciiText(buf: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (buf[i]! >= 0x80 || buf[i]! === 0) return false;
  return start === end || (buf[start]! > 0x20 && buf[end - 1]! > 0x20);
}

/** An id that stands as it is, or none; `null` and `none`, which mean absent, too long ones and what a spreadsheet wrote are left to a closer look. */
export function isPlainId(buf: Uint8Array, starts: Int32Array, ends: Int32Array, cell: number): boolean {
  if (cell < 0) return true;
  const [start, end] = [starts[cell]!, ends[cell]!];
  if (end - start > MAX_ID_BYTES) return false;
  const first = buf[start]!;
  if (end - start === 4 && (first | 0x20) === 0x6e) return false;
  // `="…"` and `'…`; and a number with an exponent, which has a plus before its last two or three digits.
  if (first === 0x3d || first === 0x27) return false;
  if (end - start >= 5 && (buf[end - 3] === 0x2b || buf[end - 4] === 0x2b)) return false;
  return isAsciiText(buf, start, end);
}

/** Three letters as one number; −1 for anything else. */
export function codeAt(buf: Uint8Array, starts: Int32Array, ends: Int32Array, cell: number): number {
  if (cell < 0) return -1;
  const start = starts[cell]!;
  return ends[cell]! - start === 3 ? (buf[start]! << 16) | (buf[start + 1]! << 8) | buf[start + 2]! : -1;
}

const MAX_DIGITS = 12;

export const MAX_AMOUNT = 10 ** MAX_DIGITS;

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/** An amount in minor units, if it is printed as plainly as can be; else NaN. */
export function amountAt(buf: Uint8Array, start: number, end: number, digits: number, isMinor: boolean): number {
  let i = start;
  const isNegative = buf[i] === 0x2d;
  if (isNegative) i++;
  let value = 0;
  let wholeDigits = 0;
  let decimals = 0;
  for (; i < end && isDigit(buf[i]!); i++, wholeDigits++) value = value * 10 + buf[i]! - 0x30;
  if (i < end && buf[i] === 0x2e && !isMinor) {
    i++;
    for (; i < end && isDigit(buf[i]!); i++, decimals++) value = value * 10 + buf[i]! - 0x30;
    if (decimals === 0) return Number.NaN;
  }
  if (i !== end || wholeDigits === 0 || decimals > digits || wholeDigits + digits > MAX_DIGITS) return Number.NaN;
  if (!isMinor) for (; decimals < digits; decimals++) value *= 10;
  return isNegative && value !== 0 ? -value : value;
}

const DAYS_BEFORE = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

const DAYS_IN = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function twoDigits(buf: Uint8Array, at: number): number {
  const [tens, ones] = [buf[at]! - 0x30, buf[at + 1]! - 0x30];
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

/**
 * Microseconds since 1970 of `YYYY-MM-DDThh:mm:ss` or the same with a blank for the T, with or without a fraction of a second, and with `Z` or
 * `±hh:mm`; BLANK_TIME for no time, NaN for any other spelling.
 */
export function timeAt(buf: Uint8Array, s: number, end: number): number {
  if (s === end) return BLANK_TIME;
  if (end - s < 20 || !isPunctuated(buf, s)) return Number.NaN;
  const year = twoDigits(buf, s) * 100 + twoDigits(buf, s + 2);
  const month = twoDigits(buf, s + 5);
  const day = twoDigits(buf, s + 8);
  const hour = twoDigits(buf, s + 11);
  const minute = twoDigits(buf, s + 14);
  const second = twoDigits(buf, s + 17);
  if (!(year >= 2001 && year <= 2099 && month >= 1 && month <= 12 && hour < 24 && minute < 60 && second < 60))
    return Number.NaN;
  const isLeap = year % 4 === 0;
  if (!(day >= 1 && day <= DAYS_IN[month - 1]! + (isLeap && month === 2 ? 1 : 0))) return Number.NaN;

  let at = s + 19;
  let micros = 0;
  if (buf[at] === 0x2e) {
    let unit = 100_000;
    for (at++; at < end && isDigit(buf[at]!); at++, unit /= 10) if (unit >= 1) micros += (buf[at]! - 0x30) * unit;
    if (unit === 100_000) return Number.NaN;
  }
  const offsetMinutes = offsetAt(buf, at, end);
  if (Number.isNaN(offsetMinutes)) return Number.NaN;
  const years = year - 1970;
  // Between 2001 and 2099 every fourth year is a leap year.
  const days =
    years * 365 + Math.floor((years + 1) / 4) + DAYS_BEFORE[month - 1]! + (isLeap && month > 2 ? 1 : 0) + day - 1;
  return ((days * 24 + hour) * 3600 + (minute - offsetMinutes) * 60 + second) * 1_000_000 + micros;
}

const isPunctuated = (buf: Uint8Array, s: number): boolean =>
  buf[s + 4] === 0x2d &&
  buf[s + 7] === 0x2d &&
  (buf[s + 10] === 0x54 || buf[s + 10] === 0x20) &&
  buf[s + 13] === 0x3a &&
  buf[s + 16] === 0x3a;

/** Minutes east of Greenwich: `Z` or `±hh:mm` up to the end; NaN for any other spelling. */
function offsetAt(buf: Uint8Array, at: number, end: number): number {
  const sign = buf[at];
  if (end - at === 1) return sign === 0x5a ? 0 : Number.NaN;
  if (end - at !== 6 || (sign !== 0x2b && sign !== 0x2d) || buf[at + 3] !== 0x3a) return Number.NaN;
  const [hours, minutes] = [twoDigits(buf, at + 1), twoDigits(buf, at + 4)];
  if (!(hours <= 13 && minutes <= 59)) return hours === 14 && minutes === 0 ? (sign === 0x2d ? -840 : 840) : Number.NaN;
  return sign === 0x2d ? -(hours * 60 + minutes) : hours * 60 + minutes;
}
