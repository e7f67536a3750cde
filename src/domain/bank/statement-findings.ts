import { sayAmounts, tell } from '../discrepancy.ts';
import type { Currency } from '../money/currency.ts';
import type { ReadStatement, Replacement, StatementGap } from './choose-statements.ts';
import type { BankFinding } from './payouts.ts';
import type { StatementFormat } from './statement.ts';

/** A statement that counts, with what its entries add up to. */
export type CountedStatement = ReadStatement & {
  readonly currency: Currency;
  readonly format: StatementFormat;
  readonly bookedMinor: bigint;
  readonly refused: number;
  /** Of the first entry that was refused. */
  readonly refusedLine: number | null;
  readonly refusedWhy: string | null;
  /** Whose account it is, where that is one merchant's. */
  readonly merchantNo: number | null;
};

/** Formats whose final statements always state both balances. Of the others nothing can be told where they state none. */
const STATES_BALANCES: readonly StatementFormat[] = ['camt', 'mt940'];

/** `statement_unbalanced`: entries that cannot be read, or do not lead from the opening to the closing balance. */
export function unbalanced(statement: CountedStatement): BankFinding[] {
  const { openingMinor, closingMinor, bookedMinor, currency, refused, isFinal, format } = statement;
  const name = nameOf(statement);
  if (refused > 0) {
    const others = refused === 1 ? '' : ` (and ${refused - 1} more)`;
    const message = `${name}: an entry cannot be read: ${statement.refusedWhy}${others}`;
    return [found('statement_unbalanced', statement, message, { line: statement.refusedLine, field: 'entries' })];
  }
  if (openingMinor === null || closingMinor === null) {
    if (!isFinal || !STATES_BALANCES.includes(format)) return [];
    const field = openingMinor === null ? 'openingBalance' : 'closingBalance';
    const which = openingMinor === null ? 'opening' : 'closing';
    const message = `${name} states no ${which} balance, so nothing shows that its entries are complete: ask the bank for the whole statement.`;
    return [found('statement_unbalanced', statement, message, { field })];
  }
  if (openingMinor + bookedMinor === closingMinor) return [];
  const { stake: _, ...amounts } = sayAmounts(closingMinor, openingMinor + bookedMinor, currency);
  const message = `${name} closes with ${amounts.reported} ${currency}, but its opening balance and entries add up to ${amounts.recorded} ${currency}: ask the bank for the whole statement.`;
  return [found('statement_unbalanced', statement, message, { field: 'closingBalance', ...amounts })];
}

/** `statement_gap`: a statement that does not follow the one before it. */
export function gapFinding({ statement, before, by }: StatementGap<CountedStatement>): BankFinding {
  const name = nameOf(statement);
  if (by === 'number') {
    const message = `${name} follows number ${before.number} (${before.file}): the statements between them are missing. Fetch them from the bank.`;
    return found('statement_gap', statement, message, {
      field: 'number',
      reported: statement.number,
      recorded: before.number,
    });
  }
  const { stake: _, ...amounts } = sayAmounts(statement.openingMinor!, before.closingMinor!, statement.currency);
  const message = `${name} opens with ${amounts.reported} ${statement.currency}, but the statement before it (${before.file}) closes with ${amounts.recorded} ${statement.currency}: a statement between them is missing. Fetch it from the bank.`;
  return found('statement_gap', statement, message, { field: 'openingBalance', ...amounts });
}

/**
 * Of a CSV nothing says which time it is of. Where a later one lacks booked entries of a day it may be of a part of the day, and what it replaces
 * would be lost in silence.
 */
export const mayLackEntries = ({ replaced }: Replacement<{ readonly format: StatementFormat }>): boolean =>
  replaced.format.includes('@');

/** `statement_gap`: booked entries of a day that a later file lacks. `line`: of the first of them. */
export function lostEntries(
  { replaced, by }: Replacement<CountedStatement>,
  { line, count }: { readonly line: number; readonly count: number },
): BankFinding {
  const lacks = count === 1 ? 'a booked entry' : `${count} booked entries`;
  const message = `${nameOf(replaced)} has ${lacks} that the later file ${by.file} lacks, which counts for this day: export whole days, or withdraw the file that is wrong.`;
  const finding = found('statement_gap', replaced, message, { line, field: 'entries' });
  return { ...finding, key: `${finding.key}|lost|${replaced.digest}` };
}

const nameOf = ({ account, number, to }: ReadStatement): string =>
  `Statement ${number ?? ''}${number === null ? '' : ' '}of ${account}${to === null ? '' : ` to ${to}`}`;

function found(
  kind: 'statement_gap' | 'statement_unbalanced',
  statement: CountedStatement,
  message: string,
  said: Parameters<typeof tell>[2],
): BankFinding {
  const { account, currency, number, to, fileNo, line, merchantNo } = statement;
  return {
    discrepancy: tell(kind, message, { line, ...said }),
    batchNo: null,
    fileNo,
    merchantNo,
    key: [account, currency, number ?? '', to ?? '', number === null ? String(statement.openingMinor) : ''].join('|'),
  };
}
