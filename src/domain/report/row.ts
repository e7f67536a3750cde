import type { Currency } from '../money/currency.ts';

/**
 * How a row finds its record.
 * - `own`: by its own request id.
 * - `original`: by the payment it names (reversals, disputes, unknown types that only name an original).
 * - `lost`: it needs a record and names nothing to find it by.
 * - `none`: it needs no record (fees, reserves, corrections).
 */
export type MatchBy = 'own' | 'original' | 'lost' | 'none';

/** In the order of their stored numbers. */
export const MATCH_BY: readonly MatchBy[] = ['none', 'own', 'original', 'lost'];

/** The stored columns of a readable row of a details report: everything that is matched, summed and shown. Blank is null. */
export type Row = {
  readonly line: number;
  readonly type: string;
  readonly matchBy: MatchBy;
  /** False for a transaction that did not happen, which some reports list: it is counted, and nothing is found through it. */
  readonly isDone: boolean;
  readonly requestId: string | null;
  readonly transactionId: string | null;
  readonly originalRequestId: string | null;
  readonly originalTransactionId: string | null;
  /** Transaction amount as printed, with its sign, in the smallest unit of `currency`; of a payout row, the payout. */
  readonly amountMinor: bigint | null;
  readonly currency: Currency | null;
  /** Settlement amount in the smallest unit of the settlement currency; a DEFAULT row's fee if it has nothing else. Null if unsettled or a payout. */
  readonly settlementMinor: bigint | null;
  /** The fee as printed, all of its columns that are in the settlement currency. */
  readonly feeMinor: bigint | null;
  /** When the payment was made, in microseconds since 1970. */
  readonly paidAtMicros: bigint | null;
  /** When the provider settled it, in microseconds since 1970. */
  readonly settledAtMicros: bigint | null;
  /** In how many rows its key settles (`installmentsNum`): 1 if it settles at once. */
  readonly instalments: number;
  readonly customerId: string | null;
  readonly acquirer: string | null;
};
