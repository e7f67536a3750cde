import type { Currency } from '../money/currency.ts';

/** One of the merchant's own records: what it believes has happened. Its key is merchant, type and request id. */
export type LedgerRecord = {
  readonly type: LedgerType;
  readonly requestId: string;
  /** In the smallest unit of `currency`. A magnitude: the type says which way the money moves. */
  readonly amountMinor: bigint;
  readonly currency: Currency;
  readonly status: LedgerStatus;
  readonly originalRequestId: string | null;
  readonly occurredAtMicros: bigint;
};

export type LedgerType = 'PAYMENT' | 'AUTHORIZATION' | 'CAPTURE' | 'REFUND' | 'CANCEL' | 'VOID';

export type LedgerStatus = 'SUCCESS' | 'PENDING' | 'FAILED' | 'CANCELLED';
