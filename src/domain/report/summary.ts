import type { Discrepancy } from '../discrepancy.ts';
import { RowRefused } from '../errors.ts';
import { parseCount } from '../money/money.ts';
import { amountsOf, checkAgainstName, settledOf, withRole } from './amounts.ts';
import {
  type CellsContext,
  checkShape,
  idOf,
  idTextOf,
  refusedRow,
  ruleOf,
  textOf,
  timeOf,
  typeNameOf,
} from './cells.ts';
import { printedName } from './header.ts';

type SummaryContext = CellsContext & { readonly kind: 'settlementSummary' };

/** One row of a settlement summary. A `TOTAL` row may stand anywhere, and is never added to the others. */
export type ReadSummaryRow = {
  readonly line: number;
  /** Null where the summary has no types: the row then is a part of the total. */
  readonly type: string | null;
  readonly countRows: bigint | null;
  /** A DEFAULT row's fee where that is all it has. */
  readonly settlementMinor: bigint | null;
  /** The fee as printed in the settlement currency: nothing where all that is printed is in another; null where none is. */
  readonly feeMinor: bigint | null;
  readonly settledAtMicros: bigint | null;
  readonly customerId: string | null;
  readonly acquirer: string | null;
};

/** One row, or why it cannot be read. Cells may be untrimmed. */
export function readSummaryRow(
  cells: readonly string[],
  line: number,
  ctx: SummaryContext,
): { readonly row: ReadSummaryRow } | { readonly refused: Discrepancy } {
  try {
    checkShape(cells, ctx.columns);
    const type = typeNameOf(ctx.format, idOf(cells, ctx, 'summaryType'));
    const acquirer = textOf(cells, ctx.columns, 'acquirer');
    const amounts = amountsOf(cells, ctx, acquirer);
    checkAgainstName(cells, ctx);
    const { settlementMinor, feeMinor } = settledOf(
      cells,
      ctx,
      type === null ? null : ruleOf(ctx.format, type),
      amounts,
    );
    const count = textOf(cells, ctx.columns, 'count');
    const hasFees = withRole(amounts, 'fee').length > 0;
    const row = {
      line,
      type,
      countRows: count === null ? null : parseCount(count, printedName(ctx.columns, 'count')),
      settlementMinor,
      // A fee in another currency states a fee: were it left out, the fees of the details would be compared with nothing.
      feeMinor: feeMinor ?? (hasFees ? 0n : null),
      settledAtMicros: timeOf(cells, ctx, 'settlementTime'),
      customerId: idTextOf(cells, ctx.columns, 'customerId'),
      acquirer,
    };
    return { row };
  } catch (error) {
    if (error instanceof RowRefused) return { refused: refusedRow(line, error) };
    throw error;
  }
}
