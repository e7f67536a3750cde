import { RowRefused } from '../errors.ts';
import { type Currency, digitsOf } from './currency.ts';

/** An exact amount in the smallest unit of its currency: 12.34 USD is 1234n, 500 JPY is 500n, 1.234 KWD is 1234n. */
export type Money = { readonly amountMinor: bigint; readonly currency: Currency };

/** Whether a source prints 14.50 USD as `14.50` (major) or as `1450` (minor). */
export type AmountUnit = 'major' | 'minor';

/** An exact decimal that is no money, such as a price: digits ÷ 10^scale. */
type Decimal = { readonly digits: bigint; readonly scale: number };

/** Amounts stay within ±9·10^18, so that each fits 64 bits wherever it is kept. */
export const MAX_MINOR = 9_000_000_000_000_000_000n;
const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/;
/** No price needs more; a longer one only costs time. */
const MAX_PRICE_LENGTH = 64;

/** Providers write nothing in three ways. It means absent, never zero. */
export function isAbsent(cell: string): boolean {
  const text = cell.trim();
  return text === '' || (text.length === 4 && /^(?:null|none)$/i.test(text));
}

/**
 * Trimmed text as an exact amount in the smallest unit; `digits` is what the currency has after the point.
 * Refuses rather than rounds: throws RowRefused, naming `column` where it is given.
 */
export function parseAmount(text: string, digits: number, unit: AmountUnit, column: string | null = null): bigint {
  const parts = DECIMAL.exec(text);
  if (parts === null) throw new RowRefused('bad_amount', column, text);
  const [, minus = '', whole = '', fraction = ''] = parts;
  const kept = unit === 'major' ? digits : 0;
  if (/[1-9]/.test(fraction.slice(kept))) throw new RowRefused('too_many_decimals', column, text);
  const significant = (whole + fraction.slice(0, kept).padEnd(kept, '0')).replace(/^0+/, '');
  // The length comes first: a megabyte of digits would take seconds to become a bigint.
  const amount = significant.length > 19 ? MAX_MINOR + 1n : BigInt(significant);
  if (!isInRange(amount)) throw new RowRefused('out_of_range', column, text);
  return minus === '' ? amount : -amount;
}

/** Trimmed text as a count: at most 15 digits, which a number holds exactly, and nothing else. Throws RowRefused, naming `column`. */
export function parseCount(text: string, column: string | null): bigint {
  if (!/^\d{1,15}$/.test(text)) throw new RowRefused('bad_count', column, text);
  return BigInt(text);
}

/** Major units with exactly the currency's digits: -5n USD is `-0.05`, 5n JPY is `5`. */
export function formatAmount(amountMinor: bigint, currency: Currency): string {
  const digits = digitsOf(currency);
  const text = magnitude(amountMinor)
    .toString()
    .padStart(digits + 1, '0');
  const point = text.length - digits;
  const unsigned = digits === 0 ? text : `${text.slice(0, point)}.${text.slice(point)}`;
  return amountMinor < 0n ? `-${unsigned}` : unsigned;
}

export const magnitude = (amountMinor: bigint): bigint => (amountMinor < 0n ? -amountMinor : amountMinor);

export const isInRange = (amountMinor: bigint): boolean => magnitude(amountMinor) <= MAX_MINOR;

/** The same grammar as an amount, with any number of decimals; null when the text is no decimal. */
export function parseDecimal(text: string): Decimal | null {
  if (text.length > MAX_PRICE_LENGTH) return null;
  const parts = DECIMAL.exec(text);
  if (parts === null) return null;
  const [, minus = '', whole = '', fraction = ''] = parts;
  return { digits: BigInt(minus + whole + fraction), scale: fraction.length };
}

/** The price relates major units. Rounded once, half to even, at the digits of `to`. A price of zero cannot divide. */
export function convert(amount: Money, to: Currency, price: Decimal, operation: 'multiply' | 'divide'): Money {
  const unit = 10n ** BigInt(price.scale);
  const [factor, divisor] = operation === 'multiply' ? [price.digits, unit] : [unit, price.digits];
  const numerator = amount.amountMinor * factor * 10n ** BigInt(digitsOf(to));
  const denominator = divisor * 10n ** BigInt(digitsOf(amount.currency));
  return { amountMinor: divideHalfEven(numerator, denominator), currency: to };
}

function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twiceRest = 2n * magnitude(numerator % denominator);
  const half = magnitude(denominator);
  if (twiceRest < half || (twiceRest === half && quotient % 2n === 0n)) return quotient;
  return numerator < 0n === denominator < 0n ? quotient + 1n : quotient - 1n;
}
