import type { ReportKind } from '../formats/format.ts';

/** What a run says of its batch beside its discrepancies. Amounts are decimal strings of minor units. */
export type RunFacts = {
  readonly rows: number;
  readonly matchableRows: number;
  readonly wrongUnit: boolean;
  readonly missing: boolean;
  /** Something may still come: what one more part could change is not told yet. Left out where nothing may. */
  readonly waiting?: true;
  /** What that is; left out where nothing may come, and by runs of before. */
  readonly awaits?: readonly Awaited[];
  readonly totals: readonly { type: string; count: number; settlementMinor: string | null; feeMinor: string | null }[];
  readonly details: ShownSums | null;
  readonly summary: ShownSums | null;
  readonly residualMinor: string | null;
  /** No row was compared with a record, though some should be. Left out where one was, or none should be. */
  readonly uncompared?: true;
};
type ShownSums = {
  readonly count: number | null;
  readonly settlementMinor: string | null;
  readonly feeMinor: string | null;
};

/** What may still come for a batch or day. */
export type Awaited = {
  readonly what: 'report' | 'part' | 'rows';
  readonly kind: ReportKind;
  /** '001'; null where it is no part. */
  readonly part: string | null;
  /** How many rows the summary counts that are not there; null where it is not about rows, or no summary says so. */
  readonly rows: number | null;
  /** A report that was found, and why it is not read: it was given up, or waits for what is away. Left out where none was found. */
  readonly file?: string;
  readonly why?: string;
};
