import type { Discrepancy } from '../discrepancy.ts';
import { magnitude } from '../money/money.ts';
import type { LedgerRecord } from '../report/record-types.ts';
import { overCaptured, overRefunded, wrongInstalments } from './match.ts';

/**
 * A total over all batches of a merchant that is compared with one record.
 * - `refunded`: what was given back of a payment, by refunds and disputes.
 * - `captured`: what was captured of an authorization.
 * - `instalments`: what a key settles in several rows.
 */
export type CumulativeTotal = 'refunded' | 'captured' | 'instalments';

/** Types of dispute rows. The sign of the amount gives the direction of the money, not the type. */
export const DISPUTE_TYPES: readonly string[] = ['DISPUTE', 'DISPUTE_REVERSAL', 'RAPID_DISPUTE_RESOLUTION', 'CDRN'];

/** A row that counts towards a total. */
export type Allocation = {
  readonly line: number;
  readonly type: string;
  readonly requestId: string | null;
  readonly transactionId: string | null;
  /** The amount that it adds, in the currency of the record; below zero if it subtracts. */
  readonly amountMinor: bigint;
  /** In how many rows its key settles. */
  readonly instalments: number;
};

/** What is remembered of all allocations of a record, however many they are. */
export type Summed<S extends Allocation> = {
  readonly sumMinor: bigint;
  /** Total of disputes, beside that of all other rows. */
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

/** Returns what is wrong with a total, and the allocation that it is reported on. A total that later allocations correct is not reported. */
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
  // A single dispute that exceeds its payment is reported on its own row.
  if (summed.sumMinor <= recorded && summed.adding < 2) return null;
  return { share: firstAbove, discrepancy: overRefunded(record, summed, firstAbove.line) };
}

/** Disputes that returned more than they took do not allow further refunds. */
const totalOf = ({ sumMinor, disputedMinor }: Pick<Summed<Allocation>, 'sumMinor' | 'disputedMinor'>): bigint =>
  sumMinor + (disputedMinor > 0n ? disputedMinor : 0n);
