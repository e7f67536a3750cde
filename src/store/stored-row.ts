import type { Currency } from '../domain/money/currency.ts';
import { MATCH_BY, type MatchBy, type Row } from '../domain/report/row.ts';

/** A row of the book as the database gives it, with its time in microseconds. */
export type StoredRow = {
  load_no: number;
  line: number;
  flags: number;
  type: string;
  request_id: string | null;
  transaction_id: string | null;
  original_request_id: string | null;
  original_transaction_id: string | null;
  amount_minor: bigint | null;
  currency: Currency | null;
  settlement_minor: bigint | null;
  fee_minor: bigint | null;
  paid_at_micros: bigint | null;
};

const IN_INSTALMENTS = 4;

const NOT_DONE = 8;

const INSTALMENTS_FROM_BIT = 4;

/** More than anybody agrees on, and the most that the flags hold. */
const MOST_INSTALMENTS = 2047;

/** How a row finds its record, whether it happened, and in how many instalments it settles, in one small number. */
export const flagsOf = (row: Pick<Row, 'matchBy' | 'instalments' | 'isDone'>): number =>
  MATCH_BY.indexOf(row.matchBy) |
  (row.instalments > 1 ? IN_INSTALMENTS | (Math.min(row.instalments, MOST_INSTALMENTS) << INSTALMENTS_FROM_BIT) : 0) |
  (row.isDone ? 0 : NOT_DONE);

/** A row of before this number was kept is one of as many as can be: nobody waits for the last of them. */
export const instalmentsOf = (flags: number): number =>
  (flags & IN_INSTALMENTS) === 0 ? 1 : flags >> INSTALMENTS_FROM_BIT || MOST_INSTALMENTS;

export const matchByOf = (flags: number): MatchBy => MATCH_BY[flags & 3]!;

export const isMatchable = (matchBy: MatchBy): boolean => matchBy === 'own' || matchBy === 'original';

export const rowFrom = (stored: StoredRow): Row => ({
  line: stored.line,
  type: stored.type,
  matchBy: matchByOf(stored.flags),
  isDone: (stored.flags & NOT_DONE) === 0,
  requestId: stored.request_id,
  transactionId: stored.transaction_id,
  originalRequestId: stored.original_request_id,
  originalTransactionId: stored.original_transaction_id,
  amountMinor: stored.amount_minor,
  currency: stored.currency,
  settlementMinor: stored.settlement_minor,
  feeMinor: stored.fee_minor,
  paidAtMicros: stored.paid_at_micros,
  settledAtMicros: null,
  instalments: instalmentsOf(stored.flags),
  customerId: null,
  acquirer: null,
});

/** Postgres holds no NUL; a cell that had one is shown with the sign for it. */
export const clean = (text: string | null): string | null => (text === null ? null : text.replaceAll('\0', '\u2400'));
