import { checkKey, checkSettlement } from './check-row.ts';
import type { Discrepancy } from './discrepancy.ts';
import { type RowRefusalCode, RowRefused } from './errors.ts';
import type { TypeRule } from './formats/format.ts';
import { amountsOf, checkAgainstName, settledOf, withRole } from './read-amounts.ts';
import { type CellsContext, checkShape, idOf, refusal, refusedRow, ruleOf, textOf, timeOf } from './read-cells.ts';
import type { MatchBy, Row } from './row.ts';

export type RowContext = CellsContext & {
  readonly kind: 'transactionDetails' | 'settlementDetails';
  /** How far net, breakdown and conversion may be off, in the smallest unit of what is compared. */
  readonly toleranceMinor: bigint;
};

type ReadRow = { readonly row: Row; readonly findings: readonly Discrepancy[] };
type RefusedRow = { readonly refused: Discrepancy };

/** One row of a details report and what is wrong within it, or why it cannot be read. Cells may be untrimmed. */
export function readRow(cells: readonly string[], line: number, ctx: RowContext): ReadRow | RefusedRow {
  try {
    checkShape(cells, ctx.columns);
    const text = (column: string) => textOf(cells, ctx.columns, column);
    const id = (column: string) => idOf(cells, ctx, column);
    return read(cells, line, ctx, text, id);
  } catch (error) {
    if (error instanceof RowRefused) return { refused: refusedRow(line, error) };
    throw error;
  }
}

/** A line that is no row of cells: `text` is how it begins. */
export function refuseLine(line: number, code: RowRefusalCode, text: string): Discrepancy {
  return refusedRow(line, new RowRefused(code, null, text));
}

function read(
  cells: readonly string[],
  line: number,
  ctx: RowContext,
  text: (column: string) => string | null,
  id: (column: string) => string | null,
): ReadRow {
  const acquirer = text('acquirer');
  const amounts = amountsOf(cells, ctx, acquirer);
  checkAgainstName(cells, ctx);

  // Without a type a row belongs to no total, so it is refused rather than kept under no name.
  const type = id('transactionType');
  if (type === null) throw refusal('missing_type', cells, ctx.columns, 'transactionType');
  const rule = ruleOf(ctx.format, type);
  const ids = {
    requestId: id('transactionRequestId'),
    transactionId: id('transactionId'),
    originalRequestId: id('originalTransactionRequestId'),
    originalTransactionId: id('originalTransactionId'),
  };
  const transaction = withRole(amounts, 'transaction')[0]?.printed ?? null;
  const isNamed = ids.requestId !== null || ids.originalRequestId !== null || ids.originalTransactionId !== null;
  if (transaction === null && isNamed) throw refusal('missing_amount', cells, ctx.columns, 'transactionAmountValue');

  const settled = ctx.kind === 'settlementDetails' ? settledOf(cells, ctx, rule, amounts) : null;
  const row: Row = {
    line,
    type,
    matchBy: matchByOf(
      rule,
      ids.requestId !== null,
      ids.originalRequestId !== null || ids.originalTransactionId !== null,
    ),
    ...ids,
    amountMinor: transaction?.amountMinor ?? null,
    currency: transaction?.currency ?? null,
    settlementMinor: settled?.settlementMinor ?? null,
    feeMinor: settled?.feeMinor ?? null,
    paidAtMicros: timeOf(cells, ctx.columns, 'paymentTime'),
    settledAtMicros: timeOf(cells, ctx.columns, 'settlementTime'),
    inInstalments: isAboveOne(text('installmentsNum')),
    customerId: text('customerId'),
    acquirer,
  };
  const price = { pair: text('quoteCurrencyPair'), price: text('quotePrice') };
  const findings = [
    ...checkKey(row, rule, settled?.currency ?? null),
    ...(settled === null ? [] : checkSettlement(row, rule, { amounts, currency: settled.currency, ...price }, ctx)),
  ];
  return { row, findings };
}

function matchByOf(rule: TypeRule | null, hasRequestId: boolean, namesOriginal: boolean): MatchBy {
  if (rule === null) return hasRequestId ? 'own' : namesOriginal ? 'original' : 'none';
  if (rule.matchBy === 'own') return hasRequestId ? 'own' : 'lost';
  if (rule.matchBy === 'original') return namesOriginal ? 'original' : 'lost';
  return 'none';
}

/** It decides no money, so what is no number is no instalment rather than a refusal. */
const isAboveOne = (text: string | null): boolean =>
  text !== null && /^\d{1,9}(?:\.0+)?$/.test(text) && Number(text) > 1;
