import type { ReportKind } from '../formats/format.ts';

/** The facts of a run beside its discrepancies. Amounts are decimal strings of minor units. */
export type RunFacts = {
  readonly rows: number;
  readonly matchableRows: number;
  readonly wrongUnit: boolean;
  readonly missing: boolean;
  /** Something may still arrive: nothing that it could change is reported yet. Left out otherwise. */
  readonly waiting?: true;
  /** What may arrive; left out if nothing may, and by older runs. */
  readonly awaits?: readonly Awaited[];
  readonly totals: readonly { type: string; count: number; settlementMinor: string | null; feeMinor: string | null }[];
  readonly details: ShownSums | null;
  readonly summary: ShownSums | null;
  readonly residualMinor: string | null;
  /** No row was compared with a record although some should be. Left out otherwise. */
  readonly uncompared?: true;
};
type ShownSums = {
  readonly count: number | null;
  readonly settlementMinor: string | null;
  readonly feeMinor: string | null;
};

/** What may still arrive for a batch or day. */
export type Awaited = {
  readonly what: 'report' | 'part' | 'rows';
  readonly kind: ReportKind;
  /** '001'; null if it is no part. */
  readonly part: string | null;
  /** How many rows of the summary's count are missing; null if it is not about rows, or no summary counts them. */
  readonly rows: number | null;
  /** A report that was found, and why it is not read: it was parked, or its source or the archive is unavailable. Left out if none was found. */
  readonly file?: string;
  readonly why?: string;
};
