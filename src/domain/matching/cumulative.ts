import type { Discrepancy } from '../discrepancy.ts';
import { magnitude } from '../money/money.ts';
import type { LedgerRecord } from '../report/record-types.ts';
import { overCaptured, overRefunded, wrongInstalments } from './match.ts';

/**
 * What is summed over all batches of a merchant and compared with one record.
 * - `refunded`: what was given back of a payment, by refunds and disputes.
 * - `captured`: what was captured of an authorization.
 * - `instalments`: what a key settles in several rows.
 */
export type CumulativeTotal = 'refunded' | 'captured' | 'instalments';

/** Rows of these types are about a dispute. Which way their money goes is said by the sign of their amount, not by their type. */
export const DISPUTE_TYPES: readonly string[] = ['DISPUTE', 'DISPUTE_REVERSAL', 'RAPID_DISPUTE_RESOLUTION', 'CDRN'];

/** A row that counts towards a sum. */
export type Allocation = {
  readonly line: number;
  readonly type: string;
  readonly requestId: string | null;
  readonly transactionId: string | null;
  /** What it adds, in the currency of the record; below zero what it takes back. */
  readonly amountMinor: bigint;
  /** In how many rows its key settles. */
  readonly instalments: number;
};

/** What has to be known of the shares of a record when all have passed, however many they are. */
export type Summed<S extends Allocation> = {
  readonly sumMinor: bigint;
  /** What disputes took, beside the sum of all others. */
  readonly disputedMinor: bigint;
  readonly shares: number;
  /** How many of them add something. */
  readonly adding: number;
  readonly instalments: number;
  /** Each of them says the whole amount of the record. */
  readonly isWhole: boolean;
  readonly firstAbove: S | null;
  readonly last: S | null;
};

export const NOTHING_SUMMED: Summed<never> = {
  sumMinor: 0n,
  disputedMinor: 0n,
  shares: 0,
  adding: 0,
  instalments: 1,
  isWhole: true,
  firstAbove: null,
  last: null,
};

/** Adds a share. They come in the order in which they settle, so that the first with which the sum is above the record can be named. */
export function addShare<S extends Allocation>(summed: Summed<S>, share: S, record: LedgerRecord): Summed<S> {
  const isDispute = DISPUTE_TYPES.includes(share.type);
  const sums = {
    sumMinor: summed.sumMinor + (isDispute ? 0n : share.amountMinor),
    disputedMinor: summed.disputedMinor + (isDispute ? share.amountMinor : 0n),
  };
  const isAbove = totalOf(sums) > magnitude(record.amountMinor);
  return {
    ...sums,
    shares: summed.shares + 1,
    adding: summed.adding + (share.amountMinor > 0n ? 1 : 0),
    instalments: Math.max(summed.instalments, share.instalments),
    isWhole: summed.isWhole && magnitude(share.amountMinor) === magnitude(record.amountMinor),
    firstAbove: summed.firstAbove ?? (isAbove ? share : null),
    last: share,
  };
}

/** What is wrong with a sum, and the share on which it stands. A sum that later shares bring back is not told. */
export function tellSum<S extends Allocation>(
  sum: CumulativeTotal,
  record: LedgerRecord,
  summed: Summed<S>,
): { share: S; discrepancy: Discrepancy } | null {
  const { firstAbove, last } = summed;
  const recorded = magnitude(record.amountMinor);
  const total = totalOf(summed);
  const isAbove = firstAbove !== null && total > recorded;
  if (sum === 'instalments') {
    const share = isAbove ? firstAbove : summed.shares >= summed.instalments && total < recorded ? last : null;
    if (share === null || summed.isWhole) return null;
    return { share, discrepancy: wrongInstalments(share, record, total, isAbove ? null : summed.shares) };
  }
  if (!isAbove) return null;
  if (sum === 'captured') return { share: firstAbove, discrepancy: overCaptured(record, total, firstAbove.line) };
  // A single dispute of more than its payment is told by its own row.
  if (summed.sumMinor <= recorded && summed.adding < 2) return null;
  return { share: firstAbove, discrepancy: overRefunded(record, summed, firstAbove.line) };
}

/** What disputes gave back beyond what they took makes no room for refunds. */
const totalOf = ({ sumMinor, disputedMinor }: Pick<Summed<Allocation>, 'sumMinor' | 'disputedMinor'>): bigint =>
  sumMinor + (disputedMinor > 0n ? disputedMinor : 0n);
