/** What a run says of its batch beside its discrepancies. Amounts are decimal strings of minor units. */
export type RunFacts = {
  readonly rows: number;
  readonly matchableRows: number;
  readonly wrongUnit: boolean;
  readonly missing: boolean;
  /** Something may still come: what one more part could change is not told yet. Left out where nothing may. */
  readonly waiting?: true;
  readonly totals: readonly { type: string; count: number; settlementMinor: string | null; feeMinor: string | null }[];
  readonly details: ShownSums | null;
  readonly summary: ShownSums | null;
  readonly residualMinor: string | null;
};
type ShownSums = {
  readonly count: number | null;
  readonly settlementMinor: string | null;
  readonly feeMinor: string | null;
};
