import { type Discrepancy, sayAmounts, tell } from '../discrepancy.ts';
import { RowRefused } from '../errors.ts';
import type { Currency } from '../money/currency.ts';
import { convert, formatAmount, isInRange, type Money, magnitude, parseDecimal } from '../money/money.ts';
import { type Amount, withRole } from './amounts.ts';
import { type Columns, printedName } from './header.ts';
import type { Row } from './row.ts';

/** What the checks within a settlement row need beyond the row itself. */
export type Settlement = {
  readonly amounts: readonly Amount[];
  readonly currency: Currency;
  readonly pair: string | null;
  readonly price: string | null;
};
export type CheckContext = { readonly columns: Columns; readonly toleranceMinor: bigint };

type Gross = {
  /** Null where no gross stands in the row, which counts as zero. */
  readonly minor: bigint | null;
  /** False where it cannot be told, so that net cannot be either. */
  readonly isKnown: boolean;
  /** A `conversion_mismatch`, which has no money at stake. */
  readonly finding: Discrepancy | null;
};

/** The row's amount in the settlement currency: as printed where it is, else as the price makes it. */
export function grossOf(row: Row, settlement: Settlement, { columns, toleranceMinor }: CheckContext): Gross {
  const { amounts, currency } = settlement;
  const converted = withRole(amounts, 'converted')[0]?.printed ?? null;
  const transaction = withRole(amounts, 'transaction')[0]?.printed ?? null;
  if (converted !== null && converted.currency !== currency) {
    const why = `The amount was converted to ${converted.currency}, but the row settles in ${currency}.`;
    return unknownGross(row, converted, why);
  }
  if (transaction === null) return knownGross(converted?.amountMinor ?? null);

  const computed = convertedBy(transaction, settlement);
  if (computed === null) {
    const pair = settlement.pair?.slice(0, 40) ?? '(none)';
    const price = settlement.price?.slice(0, 40) ?? '(none)';
    const why = `${transaction.currency} cannot be converted to ${currency} by pair ${pair} and price ${price}.`;
    return unknownGross(row, converted, why);
  }
  if (!isInRange(computed.amountMinor)) {
    throw new RowRefused('sum_out_of_range', printedName(columns, 'quotePrice'), settlement.price);
  }
  if (converted === null) return knownGross(computed.amountMinor);
  if (magnitude(converted.amountMinor - computed.amountMinor) <= toleranceMinor) {
    return knownGross(converted.amountMinor);
  }
  const message = `The converted amount in ${currency} is not the transaction amount times or divided by the price.`;
  const sides = sayAmounts(converted.amountMinor, computed.amountMinor, currency);
  return { ...knownGross(converted.amountMinor), finding: mismatch(row, message, { ...sides, stake: null }) };
}

/** Null when pair or price is missing or does not fit. A pair L/R is the price of one L in R. */
function convertedBy(transaction: Money, { currency, pair, price }: Settlement): Money | null {
  if (transaction.currency === currency) return transaction;
  const decimal = price === null ? null : parseDecimal(price);
  if (decimal === null || decimal.digits <= 0n) return null;
  if (pair === `${transaction.currency}/${currency}`) return convert(transaction, currency, decimal, 'multiply');
  if (pair === `${currency}/${transaction.currency}`) return convert(transaction, currency, decimal, 'divide');
  return null;
}

const knownGross = (minor: bigint | null): Gross => ({ minor, isKnown: true, finding: null });

function unknownGross(row: Row, converted: Money | null, why: string): Gross {
  const { amountMinor, currency } = converted ?? {};
  const said = amountMinor === undefined ? {} : { reported: formatAmount(amountMinor, currency!), currency: currency! };
  return { minor: null, isKnown: false, finding: mismatch(row, `${why} The net amount is not checked.`, said) };
}

const mismatch = (row: Row, message: string, said: Partial<Discrepancy>): Discrepancy =>
  tell('conversion_mismatch', message, { ...namesOf(row), field: 'convertedTransactionAmount', ...said });

/** How a discrepancy names the row that it stands on. */
export const namesOf = ({ line, type, requestId, transactionId }: Row) => ({ line, type, requestId, transactionId });
