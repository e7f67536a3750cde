import type { PayoutState } from '../bank/payouts.ts';
import type { RunFacts } from './run.ts';

/** A step on the way of a batch's money: something that adds or takes off, or what there is by then. */
export type WaterfallStep = {
  readonly name: string;
  readonly rows: number | null;
  readonly minor: bigint;
  /** Where it begins and ends: of a total, at nothing and at its amount. */
  readonly from: bigint;
  readonly to: bigint;
  readonly isTotal: boolean;
};

export type PayoutSums = {
  readonly state: PayoutState;
  readonly amountMinor: bigint | null;
  readonly arrivedMinor: bigint;
};

/**
 * The way from what the rows say before fees, over the fees, to what is settled, what the summary states and what the bank has. `feeSign`
 * is what a printed fee does to the money; null where its columns do different things: then fees are inside the amounts.
 */
export function waterfallOf(
  { totals, details, summary }: Pick<RunFacts, 'totals' | 'details' | 'summary'>,
  feeSign: 1n | -1n | null,
  payout: PayoutSums | null,
): readonly WaterfallStep[] {
  const steps: WaterfallStep[] = [];
  let at = 0n;
  const add = (name: string, minor: bigint, rows: number | null = null) => {
    steps.push({ name, rows, minor, from: at, to: at + minor, isTotal: false });
    at += minor;
  };
  const total = (name: string, minor: bigint, rows: number | null = null) => {
    steps.push({ name, rows, minor, from: 0n, to: minor, isTotal: true });
    at = minor;
  };
  const parts = totals.map(({ type, count, settlementMinor, feeMinor }) => ({
    type,
    count,
    settled: BigInt(settlementMinor ?? '0'),
    fee: feeSign === null ? 0n : feeSign * BigInt(feeMinor ?? '0'),
  }));
  const withFees = parts.filter(({ fee }) => fee !== 0n);
  for (const { type, count, settled, fee } of parts)
    add(fee === 0n ? type : `${type} before fees`, settled - fee, count);
  if (withFees.length > 0) total('before fees', at);
  for (const { type, fee } of withFees) add(`fees of ${type}`, fee);
  if (details !== null) {
    const net = BigInt(details.settlementMinor ?? '0');
    if (net !== at) add('of no type', net - at);
    total('all rows', net, details.count);
  }
  if (summary !== null && summary.settlementMinor !== null) {
    const stated = BigInt(summary.settlementMinor);
    if (steps.length > 0) add('difference to the summary', stated - at);
    total('the summary says', stated, summary.count);
  }
  if (payout !== null && payout.state !== 'nothingDue') addBank(payout, steps.length === 0 ? null : at, add, total);
  return steps;
}

const MISSING: Readonly<Partial<Record<PayoutState, string>>> = {
  expected: 'not arrived yet',
  overdue: 'overdue',
  returned: 'returned',
};

function addBank(
  { state, amountMinor, arrivedMinor }: PayoutSums,
  at: bigint | null,
  add: (name: string, minor: bigint) => void,
  total: (name: string, minor: bigint) => void,
): void {
  const paid = amountMinor ?? at;
  if (paid !== null && paid !== at) {
    if (at !== null) add('difference to the payout', paid - at);
    total('the payout', paid);
  }
  if (paid !== null) add(MISSING[state] ?? 'difference at the bank', arrivedMinor - paid);
  total('arrived at the bank', arrivedMinor);
}
