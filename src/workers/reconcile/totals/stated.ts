import type { Db } from '../../../adapters/postgres/connection.ts';
import type { Format } from '../../../domain/formats/format.ts';
import { type PayoutPlace, type PayoutRows, statedPayout } from '../../../domain/matching/payout.ts';
import { type SummaryRow, type Sums, summaryTotals } from '../../../domain/matching/totals.ts';
import { formatsOf } from '../../../store/formats.ts';
import type { Inputs } from '../inputs.ts';
import * as query from '../snapshot.sql.ts';
import { payoutRowsOf } from './payout.sql.ts';
import { headersOf, type PartHeader } from './unread-columns.ts';

/** What the reports of a batch say of themselves: their columns, their formats, and what their rows should add up to. */
export type Stated = {
  readonly detailsHeaders: readonly PartHeader[];
  readonly summaryHeaders: readonly PartHeader[];
  /** Of the details, by their ids. */
  readonly formats: ReadonlyMap<string, Format>;
  /** Reports of these formats come with summaries. Some providers send no totals: their batches are complete without a summary. */
  readonly hasSummaries: boolean;
  readonly summaryRows: readonly (SummaryRow & { readonly loadNo: number })[];
  /** Rows that say what is paid out; null for a day, and for formats that have none. */
  readonly payout: PayoutRows<PayoutPlace> | null;
  /** What those rows state, where the format has no summaries. */
  readonly paid: Sums | null;
  /** What the rows of the batch should add up to: by its summary, else by what is paid out. Null where neither says it. */
  readonly sums: Sums | null;
};

export async function readStated(db: Db, { isDay, details, summary }: Inputs): Promise<Stated> {
  const formats = await formatsOf(db, details.read);
  const hasSummaries = mayHaveSummaries([...formats.values()]);
  const payout = isDay ? null : await payoutRowsOf(db, details, formats);
  const paid = hasSummaries || payout === null ? null : statedPayout(payout);
  const summaryRows = (await query.summaryRowsOf(db, summary.loads)).map((row) => ({
    ...row,
    count: row.count === null ? null : Number(row.count),
    settlementMinor: row.settlementMinor === null ? null : BigInt(row.settlementMinor),
    feeMinor: row.feeMinor === null ? null : BigInt(row.feeMinor),
  }));
  return {
    detailsHeaders: await headersOf(db, details.read),
    summaryHeaders: await headersOf(db, summary.read),
    formats,
    hasSummaries,
    summaryRows,
    payout,
    paid,
    sums: summary.read.length > 0 ? summaryTotals(summaryRows) : paid,
  };
}

const mayHaveSummaries = (formats: readonly Format[]): boolean =>
  formats.length === 0 || formats.some(({ names }) => names.settlementSummary.length > 0);
