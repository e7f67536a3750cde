/** Checks of all rows of a report together, over all of its parts. */

import { type Discrepancy, tell } from '../discrepancy.ts';
import type { Currency } from '../money/currency.ts';
import { formatAmount, magnitude } from '../money/money.ts';
import { namesOf } from '../report/gross.ts';
import type { Row } from '../report/row.ts';

/** Rows of a type that the format does not list, which move money and name no transaction to compare them with. */
export type Unlisted = {
  readonly type: string;
  readonly rows: number;
  /** What they settle; null in the report of a day. */
  readonly settlementMinor: bigint | null;
  /** Position of the first of them. */
  readonly line: number;
};

/** `unknown_type`, reported once for all of its rows. */
export function unknownType({ type, rows, settlementMinor, line }: Unlisted, currency: Currency | null): Discrepancy {
  const isOne = rows === 1;
  const what = `${rows} ${isOne ? 'row' : 'rows'} of the type ${type}, which the format does not list, ${isOne ? 'moves' : 'move'} money and ${isOne ? 'names' : 'name'} no transaction`;
  const sum =
    settlementMinor === null || currency === null ? '' : `: ${formatAmount(settlementMinor, currency)} ${currency}`;
  const message = `${what}${sum}. It is compared with nothing. Define the type under types in a format of your own.`;
  const said =
    settlementMinor === null || currency === null
      ? {}
      : {
          reported: formatAmount(settlementMinor, currency),
          currency,
          stake: { amountMinor: magnitude(settlementMinor), currency },
        };
  return tell('unknown_type', message, { line, type, field: 'type', ...said });
}

/** A payment of a day whose amount goes out. */
export function checkDirection(row: Row, direction: 1 | -1 | 0): Discrepancy[] {
  if (direction !== 1 || row.amountMinor === null || row.amountMinor >= 0n) return [];
  return [wrongWay(row, `A ${row.type} is expected above zero, and this one is below zero.`)];
}

/** Some providers print outgoing money with a minus, some without: a row is wrong only in comparison with all others. */
export const isReturnAbove = (row: Pick<Row, 'amountMinor' | 'isDone'>, direction: 1 | -1 | 0): boolean =>
  direction === -1 && row.isDone && row.amountMinor !== null && row.amountMinor > 0n;

/**
 * Returns which signs are wrong among rows that return money: a sign that most others of the report do not have; for a single row, above
 * zero. If both signs are equally frequent, most others of each row have the other sign, and all are reported: one half must be wrong.
 */
export function wrongSigns({ above, below }: { readonly above: number; readonly below: number }) {
  return {
    isAboveWrong: above > 0 && (below >= above || above + below === 1),
    isBelowWrong: below > 0 && above >= below,
  };
}

export const returnsTheWrongWay = (row: Row, isAlone: boolean): Discrepancy =>
  wrongWay(
    row,
    isAlone
      ? `A ${row.type} is expected below zero, and this one, the only one of its report, is above zero.`
      : `This ${row.type} is ${row.amountMinor! > 0n ? 'above' : 'below'} zero, unlike most others of its report.`,
  );

function wrongWay(row: Row, message: string): Discrepancy {
  const amountMinor = row.amountMinor!;
  const currency = row.currency!;
  const said = { field: 'transactionAmount', reported: formatAmount(amountMinor, currency), currency };
  const stake = { amountMinor: magnitude(amountMinor), currency };
  return tell('sign_mismatch', message, { ...namesOf(row), ...said, stake });
}
