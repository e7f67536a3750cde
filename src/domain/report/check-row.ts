import { type Discrepancy, sayAmounts, tell } from '../discrepancy.ts';
import { RowRefused } from '../errors.ts';
import type { TypeRule } from '../formats/format.ts';
import type { Currency } from '../money/currency.ts';
import { formatAmount, isInRange, type Money, magnitude } from '../money/money.ts';
import { type Amount, withRole } from './amounts.ts';
import { directionOf } from './cells.ts';
import { type CheckContext, grossOf, namesOf, type Settlement } from './gross.ts';
import { printedName } from './header.ts';
import type { Row } from './row.ts';

/** What is found by its own id needs one, whatever else is said of its type. */
export const needsOwnId = ({ ownId, matchBy }: TypeRule): boolean => ownId || matchBy === 'own';

/** `missing_key`: the row should name itself or its original, and does not. */
export function checkKey(row: Row, rule: TypeRule | null, settlementCurrency: Currency | null): Discrepancy[] {
  if (rule === null) return [];
  const lacksOwn = needsOwnId(rule) && row.requestId === null;
  // An id of its own finds no record of such a type: it is its original that is looked for.
  const lacksOriginal = rule.matchBy === 'original' && row.matchBy === 'lost';
  if (!lacksOwn && !lacksOriginal) return [];
  const field = lacksOwn ? 'transactionRequestId' : 'originalTransactionRequestId';
  const message = lacksOwn
    ? `A ${row.type} needs the merchant's request id, and this row has none.`
    : `A ${row.type} needs the id of the payment that it belongs to, and this row has none.`;
  return [tell('missing_key', message, { ...namesOf(row), field, stake: stakeOf(row, settlementCurrency) })];
}

/** What does not add up within one settlement row. Throws RowRefused when a sum is beyond what an amount may be. */
export function checkSettlement(
  row: Row,
  rule: TypeRule | null,
  settlement: Settlement,
  ctx: CheckContext,
): Discrepancy[] {
  const gross = grossOf(row, settlement, ctx);
  return [
    checkSign(row, rule, settlement, ctx),
    gross.isKnown ? checkNet(row, gross.minor, settlement, ctx) : null,
    checkBreakdown(row, settlement, ctx),
    gross.finding,
  ].filter((finding) => finding !== null);
}

function checkSign(row: Row, rule: TypeRule | null, settlement: Settlement, ctx: CheckContext): Discrepancy | null {
  const direction = directionOf(rule, row.type);
  if (direction === 0 || row.settlementMinor === null) return null;
  const { currency } = settlement;
  // A fee in another currency cannot have been taken from this amount.
  const fees = sumOf(netParts(settlement).filter((part) => part.printed.currency === currency));
  const withoutFees = inRange(row.settlementMinor - fees, settling(settlement), ctx);
  if (withoutFees * BigInt(direction) >= 0n) return null;
  const message = `Without fees the settlement amount is ${formatAmount(withoutFees, currency)} ${currency}, which is the wrong sign for a ${row.type}.`;
  const said = { field: 'settlementAmount', reported: formatAmount(row.settlementMinor, currency), currency };
  return tell('sign_mismatch', message, { ...namesOf(row), ...said, stake: stakeOf(row, currency) });
}

function checkNet(row: Row, gross: bigint | null, settlement: Settlement, ctx: CheckContext): Discrepancy | null {
  const { currency } = settlement;
  const settled = row.settlementMinor;
  // A zero adds nothing in any currency, so it neither asks for a check nor spoils one.
  const parts = netParts(settlement).filter((part) => part.signed !== 0n);
  if (row.matchBy === 'none' && (gross ?? 0n) === 0n && parts.length === 0) return null;
  const where = { ...namesOf(row), field: 'settlementAmount' };
  const foreign = parts.find((part) => part.printed.currency !== currency);
  if (foreign !== undefined) {
    const column = printedName(ctx.columns, foreign.spec.column);
    const message = `${column} is in ${foreign.printed.currency} and the row settles in ${currency}, so the net amount cannot be computed.`;
    return tell('net_mismatch', message, { ...where, ...sayReported(settled, currency) });
  }
  const fees = sumOf(parts);
  const net = inRange((gross ?? 0n) + fees, settling(settlement), ctx);
  // Nothing stands for the settlement amount only where a fee is foreign, which has been told by now.
  if (settled === null || magnitude(settled - net) <= ctx.toleranceMinor) return null;
  if (isPartOf(gross ?? 0n, settled - fees, row.instalments, ctx.toleranceMinor)) return null;
  const message = `Gross ${formatAmount(gross ?? 0n, currency)} and fees ${formatAmount(fees, currency)} make ${formatAmount(net, currency)} ${currency}, not the settled amount.`;
  return tell('net_mismatch', message, { ...where, ...sayAmounts(settled, net, currency) });
}

/**
 * Whether this is what one instalment settles of the whole that it prints: as much as each of the others, or what is left over
 * where the whole cannot be divided.
 */
function isPartOf(gross: bigint, part: bigint, instalments: number, toleranceMinor: bigint): boolean {
  if (instalments === 1 || instalments > MOST_PARTS) return false;
  const count = BigInt(instalments);
  return magnitude(part * count - gross) <= (toleranceMinor + count - 1n) * count;
}

/** More parts than anybody is offered; with so many, what is left over could be nearly anything. */
const MOST_PARTS = 99;

function checkBreakdown(row: Row, { amounts }: Settlement, ctx: CheckContext): Discrepancy | null {
  const parts = withRole(amounts, 'breakdown');
  const fees = withRole(amounts, 'fee');
  if (parts.length === 0) return null;
  const counting = [...fees, ...parts].filter((part) => part.printed.amountMinor !== 0n);
  const { currency } = (counting[0] ?? parts[0]!).printed;
  const fee = fees.length === 0 ? null : printedSum(fees);
  const where = { ...namesOf(row), field: 'feeAmount' };
  const foreign = counting.find((part) => part.printed.currency !== currency);
  if (foreign !== undefined) {
    const message = `${printedName(ctx.columns, foreign.spec.column)} is in ${foreign.printed.currency} and not in ${currency}, so the components of the fee cannot be added.`;
    return tell('fee_breakdown_mismatch', message, { ...where, ...sayReported(fee, currency) });
  }
  const sum = inRange(printedSum(parts), fees[0] ?? parts[0]!, ctx);
  if (magnitude((fee ?? 0n) - sum) <= ctx.toleranceMinor) return null;
  const message = `Interchange, scheme fee and markup make ${formatAmount(sum, currency)} ${currency}, not the fee.`;
  // A fee that is not printed is shown as absent: zero is what nobody has said.
  const sides = fee === null ? { recorded: formatAmount(sum, currency), currency } : sayAmounts(fee, sum, currency);
  return tell('fee_breakdown_mismatch', message, { ...where, ...sides });
}

/** The amount that settles: a DEFAULT row's fee where that is all it has. */
const settling = ({ amounts }: Settlement): Amount =>
  (withRole(amounts, 'settlement')[0] ?? withRole(amounts, 'fee')[0])!;
/** What is added to gross, or taken off it. */
const netParts = ({ amounts }: Settlement): Amount[] => withRole(amounts, 'fee', 'charge', 'discount');
const sumOf = (parts: readonly Amount[]): bigint => parts.reduce((sum, part) => sum + part.signed, 0n);
const printedSum = (parts: readonly Amount[]): bigint =>
  parts.reduce((sum, part) => sum + part.printed.amountMinor, 0n);

const sayReported = (reported: bigint | null, currency: Currency) =>
  reported === null ? {} : { reported: formatAmount(reported, currency), currency };

function inRange(sum: bigint, blamed: Amount, { columns }: CheckContext): bigint {
  if (isInRange(sum)) return sum;
  throw new RowRefused('sum_out_of_range', printedName(columns, blamed.spec.column), blamed.text);
}

/** What the row is about: its settlement amount, else its transaction amount. */
function stakeOf(row: Row, settlementCurrency: Currency | null): Money | null {
  if (row.settlementMinor !== null && settlementCurrency !== null) {
    return { amountMinor: magnitude(row.settlementMinor), currency: settlementCurrency };
  }
  if (row.amountMinor === null || row.currency === null) return null;
  return { amountMinor: magnitude(row.amountMinor), currency: row.currency };
}
