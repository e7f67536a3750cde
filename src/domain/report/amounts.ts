import { REPORT_REFUSALS, RowRefused } from '../errors.ts';
import type { AmountColumn, AmountRole, Format, TypeRule } from '../formats/format.ts';
import { type Currency, digitsOf, isCurrency } from '../money/currency.ts';
import { isAbsent, isInRange, type Money, parseAmount } from '../money/money.ts';
import { type CellsContext, idTextOf, refusal, textOf } from './cells.ts';
import { printedName } from './header.ts';

/** An amount that stands in the row. `signed` is what it does to the settlement: charges may be printed either way. */
export type Amount = {
  readonly spec: AmountColumn;
  readonly text: string;
  readonly printed: Money;
  readonly signed: bigint;
};

/** Every amount that stands in the row, in the format's order. All are read, also those that nothing is done with. */
export function amountsOf(cells: readonly string[], ctx: CellsContext, acquirer: string | null): Amount[] {
  const deducted = deductedOf(ctx.format, acquirer);
  const amounts: Amount[] = [];
  for (const spec of ctx.format.amounts[ctx.kind]) {
    const credit = textOf(cells, ctx.columns, spec.column);
    const debit = spec.debitColumn === undefined ? null : textOf(cells, ctx.columns, spec.debitColumn);
    // A blank settlement currency is no contradiction: the report's name says it.
    const named = spec.role === 'settlement' ? ctx.settlementCurrency : null;
    const currency = currencyOf(cells, ctx, spec.currencyColumn) ?? named;
    const text = credit ?? debit;
    if (text === null) continue;
    if (currency === null) throw refusal('missing_currency', cells, ctx.columns, spec.currencyColumn);
    const parse = (text: string | null, column: string) =>
      text === null ? 0n : parseAmount(text, digitsOf(currency), ctx.amountUnit, printedName(ctx.columns, column));
    const amountMinor = parse(credit, spec.column) - parse(debit, spec.debitColumn ?? spec.column);
    if (!isInRange(amountMinor)) throw refusal('sum_out_of_range', cells, ctx.columns, spec.column);
    const isTakenOff = (spec.role === 'discount') !== deducted.includes(spec.column);
    amounts.push({ spec, text, printed: { amountMinor, currency }, signed: isTakenOff ? -amountMinor : amountMinor });
  }
  return amounts;
}

/** The columns that this acquirer prints the other way round: charges as positive numbers. */
export function deductedOf({ deducted }: Format, acquirer: string | null): readonly string[] {
  const all = deducted['*'] ?? [];
  return acquirer !== null && Object.hasOwn(deducted, acquirer) ? [...all, ...deducted[acquirer]!] : all;
}

function currencyOf(cells: readonly string[], { columns }: CellsContext, column: string): Currency | null {
  const text = textOf(cells, columns, column);
  if (text !== null && !isCurrency(text)) throw refusal('unknown_currency', cells, columns, column);
  return text;
}

export const withRole = (amounts: readonly Amount[], ...roles: AmountRole[]): Amount[] =>
  amounts.filter((amount) => roles.includes(amount.spec.role));

/** The name decides: throws RowRefused where a row says otherwise. A blank cell says nothing. */
export function checkAgainstName(cells: readonly string[], ctx: CellsContext): void {
  const batchId = idTextOf(cells, ctx.columns, 'settlementBatchId');
  if (ctx.batchId !== null && batchId !== null && batchId !== ctx.batchId) {
    throw refusal('other_batch', cells, ctx.columns, 'settlementBatchId');
  }
  const spec = settlementColumn(ctx);
  if (spec === undefined || ctx.settlementCurrency === null) return;
  const currency = currencyOf(cells, ctx, spec.currencyColumn);
  if (currency !== null && currency !== ctx.settlementCurrency) {
    throw refusal('other_currency', cells, ctx.columns, spec.currencyColumn);
  }
}

type Settled = {
  readonly currency: Currency;
  /** Null only where the fee stands for it and is in another currency. */
  readonly settlementMinor: bigint | null;
  /** The fee as printed; null where none stands in the settlement currency. */
  readonly feeMinor: bigint | null;
};

/** A movement that the format lists before it is settled: nothing stands yet for its settlement amount. */
export const isUnsettled = (ctx: CellsContext, rule: TypeRule | null, amounts: readonly Amount[]): boolean =>
  ctx.format.mayBeUnsettled && withRole(amounts, 'transaction').length > 0 && !settles(rule, amounts);

const settles = (rule: TypeRule | null, amounts: readonly Amount[]): boolean =>
  withRole(amounts, 'settlement').length > 0 || (rule?.feeMaySettle === true && withRole(amounts, 'fee').length > 0);

/** What a settlement row moves. Throws RowRefused without a settlement amount, unless a fee may stand for it. */
export function settledOf(
  cells: readonly string[],
  ctx: CellsContext,
  rule: TypeRule | null,
  amounts: readonly Amount[],
): Settled {
  const settlement = withRole(amounts, 'settlement')[0];
  const fees = withRole(amounts, 'fee');
  const spec = settlementColumn(ctx)!;
  if (!settles(rule, amounts)) throw refusal('missing_amount', cells, ctx.columns, spec.column);
  const currency = currencyOf(cells, ctx, spec.currencyColumn) ?? ctx.settlementCurrency ?? fees[0]!.printed.currency;
  const own = fees.filter((fee) => fee.printed.currency === currency);
  const feeMinor = own.length === 0 ? null : own.reduce((sum, fee) => sum + fee.printed.amountMinor, 0n);
  // What settles is what the fee does to the money: for an acquirer that prints charges as positive numbers, minus it.
  const feeEffect = own.length === 0 ? null : own.reduce((sum, fee) => sum + fee.signed, 0n);
  if (feeMinor !== null && !isInRange(feeMinor)) {
    throw refusal('sum_out_of_range', cells, ctx.columns, own[0]!.spec.column);
  }
  return { currency, settlementMinor: settlement?.printed.amountMinor ?? feeEffect, feeMinor };
}

/**
 * The currency that a settlement report settles in, for one whose name does not carry it: what the first row says that says it.
 * A row that says another is refused by `readRow`, as in any report. Null where no row says it.
 */
export function settlementCurrencyOf(
  rows: Iterable<readonly string[]>,
  ctx: Pick<CellsContext, 'kind' | 'columns' | 'format'>,
): Currency | null {
  const index = ctx.columns.at[settlementColumn(ctx)?.currencyColumn ?? ''];
  if (index === undefined) return null;
  for (const cells of rows) {
    const text = cells[index]?.trim() ?? '';
    if (isCurrency(text)) return text;
  }
  return null;
}

/**
 * Why no row says what a report settles in, for one whose name does not: what is wrong, and what to do.
 * `rows` are the first ones.
 */
export function whyNoCurrency(
  rows: readonly { readonly line: number; readonly cells: readonly string[] }[],
  ctx: Pick<CellsContext, 'kind' | 'columns' | 'format'>,
): [detail: string, advice: string] {
  const column = settlementColumn(ctx)?.currencyColumn ?? '';
  const index = ctx.columns.at[column];
  if (index === undefined)
    return [
      `neither the name nor a column contains the settlement currency (${column})`,
      REPORT_REFUSALS.missing_columns,
    ];
  const printed = `column ${printedName(ctx.columns, column)}`;
  if (rows.length === 0)
    return [`neither the name nor a row contains the settlement currency: there is no row`, SAY_CURRENCY];
  const wrong = rows.find(({ cells }) => !isAbsent(cells[index] ?? ''));
  if (wrong === undefined)
    return [`neither the name nor a row contains the settlement currency: ${printed} is blank`, SAY_CURRENCY];
  const { message } = new RowRefused('unknown_currency', printedName(ctx.columns, column), wrong.cells[index]!.trim());
  const end = message.indexOf(': ');
  return [`line ${wrong.line}, ${message.slice(0, end)}`, message.slice(end + 2)];
}

const SAY_CURRENCY = 'Ask the provider to fill that column, or to put the currency into the name.';

const settlementColumn = (ctx: Pick<CellsContext, 'kind' | 'format'>): AmountColumn | undefined =>
  ctx.format.amounts[ctx.kind].find(({ role }) => role === 'settlement');

/** The column of the amount that has this role; of several, the first. */
export const columnOf = (role: AmountRole, ctx: Pick<CellsContext, 'kind' | 'format'>): string =>
  ctx.format.amounts[ctx.kind].find((amount) => amount.role === role)?.column ?? '';
