import type { Discrepancy } from '../discrepancy.ts';
import { type RowRefusalCode, RowRefused } from '../errors.ts';
import type { IdColumn, TypeRule } from '../formats/format.ts';
import { checkDirection } from '../matching/whole-report.ts';
import type { Currency } from '../money/currency.ts';
import type { Money } from '../money/money.ts';
import { amountsOf, checkAgainstName, columnOf, isUnsettled, settledOf, withRole } from './amounts.ts';
import {
  type CellsContext,
  checkShape,
  directionOf,
  idOf,
  idTextOf,
  refusal,
  refusedRow,
  ruleOf,
  textOf,
  timeOf,
  typeNameOf,
} from './cells.ts';
import { checkKey, checkSettlement } from './check-row.ts';
import type { MatchBy, Row } from './row.ts';
import { checkNotDone, checkStatus, statusOf } from './status.ts';

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
    return read(cells, line, ctx);
  } catch (error) {
    if (error instanceof RowRefused) return { refused: refusedRow(line, error) };
    throw error;
  }
}

/** A line that is no row of cells: `text` is how it begins. */
export function refuseLine(line: number, code: RowRefusalCode, text: string): Discrepancy {
  return refusedRow(line, new RowRefused(code, null, text));
}

function read(cells: readonly string[], line: number, ctx: RowContext): ReadRow {
  const text = (column: string) => textOf(cells, ctx.columns, column);
  const acquirer = text('acquirer');
  const amounts = amountsOf(cells, ctx, acquirer);
  checkAgainstName(cells, ctx);

  // Without a type a row belongs to no total, so it is refused rather than kept under no name.
  const printedType = idOf(cells, ctx, 'transactionType');
  if (printedType === null) throw refusal('missing_type', cells, ctx.columns, 'transactionType');
  const type = typeNameOf(ctx.format, printedType);
  const transaction = withRole(amounts, 'transaction')[0]?.printed ?? null;
  const rule = ruleOfRow(cells, ctx, type, transaction);
  const ids = idsOf(cells, ctx, rule);
  const status = statusOf(cells, ctx);
  const { isDone } = status;
  const namesOriginal = ids.originalRequestId !== null || ids.originalTransactionId !== null;
  if (transaction === null && isDone && (ids.requestId !== null || namesOriginal)) {
    throw refusal('missing_amount', cells, ctx.columns, columnOf('transaction', ctx));
  }

  const isSettlement = ctx.kind === 'settlementDetails' && isDone && !isUnsettled(ctx, rule, amounts);
  const settled = isSettlement ? settledOf(cells, ctx, rule, amounts) : null;
  const row: Row = {
    line,
    type,
    matchBy: matchByOf(rule, ids.requestId !== null, namesOriginal),
    isDone,
    ...ids,
    amountMinor: transaction?.amountMinor ?? null,
    currency: transaction?.currency ?? null,
    settlementMinor: settled?.settlementMinor ?? null,
    feeMinor: settled?.feeMinor ?? null,
    paidAtMicros: timeOf(cells, ctx, 'paymentTime'),
    settledAtMicros: timeOf(cells, ctx, 'settlementTime'),
    instalments: instalmentsOf(text('installmentsNum')),
    customerId: idTextOf(cells, ctx.columns, 'customerId'),
    acquirer,
  };
  if (!isDone) return { row: { ...row, ...NOT_DONE }, findings: checkNotDone(row, status, amounts) };
  const unknown = checkStatus(row, status);
  if (rule?.isPayout && ctx.kind === 'settlementDetails')
    return { row: payoutOf(row, settled?.currency ?? null, rule), findings: unknown };
  const pair = text('quoteCurrencyPair') ?? impliedPair(ctx, transaction, settled);
  const price = { pair, price: text('quotePrice') };
  const findings = [
    ...unknown,
    ...checkKey(row, rule, settled?.currency ?? null),
    ...(ctx.kind === 'transactionDetails' ? checkDirection(row, directionOf(rule, type)) : []),
    ...(settled === null ? [] : checkSettlement(row, rule, { amounts, currency: settled.currency, ...price }, ctx)),
  ];
  return { row, findings };
}

const NAMING = ['transactionRequestId', 'originalTransactionRequestId'] as const;

/** What is expected of the row: nothing, where it moves a transaction that a row of its type cannot be about. */
function ruleOfRow(cells: readonly string[], ctx: RowContext, type: string, gross: Money | null): TypeRule | null {
  const rule = ruleOf(ctx.format, type);
  if (!rule?.noGross || gross === null || gross.amountMinor === 0n) return rule;
  const isNamed = NAMING.some((column) => idOf(cells, ctx, column) !== null);
  return isNamed ? null : rule;
}

/** What did not happen keeps its own id, so that it can be shown, and no other: nothing is found through it. */
const NOT_DONE = {
  matchBy: 'none',
  transactionId: null,
  originalRequestId: null,
  originalTransactionId: null,
  instalments: 1,
} as const;

/** A payout moves what the other rows add up to, so it is no part of their sum. */
const payoutOf = (row: Row, currency: Currency | null, { grossSign }: TypeRule): Row => ({
  ...row,
  amountMinor: row.settlementMinor === null || grossSign === 1 ? row.settlementMinor : -row.settlementMinor,
  currency,
  settlementMinor: null,
  feeMinor: null,
});

function idsOf(cells: readonly string[], ctx: RowContext, rule: TypeRule | null) {
  const id = (name: IdColumn) => {
    const column = rule?.ids?.[name];
    return column === null ? null : idOf(cells, ctx, column ?? name);
  };
  return {
    requestId: id('transactionRequestId'),
    transactionId: id('transactionId'),
    originalRequestId: id('originalTransactionRequestId'),
    originalTransactionId: id('originalTransactionId'),
  };
}

function impliedPair({ format }: RowContext, transaction: Money | null, settled: { currency: Currency } | null) {
  return format.priceNeedsNoPair && transaction && settled ? `${transaction.currency}/${settled.currency}` : null;
}

function matchByOf(rule: TypeRule | null, hasRequestId: boolean, namesOriginal: boolean): MatchBy {
  if (rule === null) return hasRequestId ? 'own' : namesOriginal ? 'original' : 'none';
  if (rule.matchBy === 'own') return hasRequestId ? 'own' : 'lost';
  if (rule.matchBy === 'original') return namesOriginal ? 'original' : 'lost';
  return 'none';
}

/** What is no number says nothing of instalments; it is no amount, so it refuses no row. */
const instalmentsOf = (text: string | null): number =>
  text !== null && /^\d{1,9}(?:\.0+)?$/.test(text) ? Math.max(1, Number(text)) : 1;
