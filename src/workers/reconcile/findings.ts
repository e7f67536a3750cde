import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Discrepancy } from '../../domain/discrepancy.ts';
import type { LedgerRecord } from '../../domain/matching/match.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { MATCH_BY, type MatchBy, type Row } from '../../domain/report/row.ts';

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

/** A record that stands beside a row, its columns spelled with a prefix; null where there is none. */
export function recordFrom(stored: Readonly<Record<string, unknown>>, prefix: 'r' | 'o'): LedgerRecord | null {
  if (stored[`${prefix}_type`] === null) return null;
  return {
    type: stored[`${prefix}_type`],
    requestId: stored[`${prefix}_request_id`],
    amountMinor: stored[`${prefix}_amount_minor`],
    currency: stored[`${prefix}_currency`],
    status: stored[`${prefix}_status`],
    originalRequestId: stored[`${prefix}_original_request_id`],
    occurredAtMicros: stored[`${prefix}_occurred_at_micros`],
  } as LedgerRecord;
}

/** A discrepancy with its place, as it is written down. */
export type Told = {
  readonly discrepancy: Discrepancy;
  readonly loadNo: number | null;
  readonly ofMatchable: boolean;
  readonly batchNo?: number;
  readonly otherBatchNo?: number;
  /** Request ids of the records that it is about, or that are missing: another run is due when these come or change. At most three. */
  readonly quotedIds?: readonly (string | null)[];
  /** What those records said, where it is known already. */
  readonly quotedPrint?: bigint | null;
  /** The row that it names, where that is not among those of the run: `identifyTold` looks up the others. */
  readonly row?: NamedRow;
};

/** What is kept of a row beside what is told of it. */
export type NamedRow = {
  readonly type: string;
  readonly needsRecord: boolean;
  readonly settlementMinor: bigint | null;
};

/** Writes down what is told, many in one statement: an array for each column, so that no number of parameters is too large. */
export async function tellAll(db: Db, told: readonly Told[], table: 'told' | 'told_by_key' = 'told'): Promise<void> {
  if (told.length === 0) return;
  const texts = (of: (d: Discrepancy) => string | null) => sql`${told.map((t) => clean(of(t.discrepancy)))}::text[]`;
  const quoted = (at: number) => sql`${told.map((t) => t.quotedIds?.[at] ?? null)}::text[]`;
  const settled = told.map((t) => t.row?.settlementMinor?.toString() ?? null);
  await sql`insert into ${sql.ref(table)} (row_type, row_needs_record, row_settlement_minor, quoted_ids, quoted_print, batch_no, other_batch_no, of_matchable, load_no, line, stake_minor, kind,
      type, request_id, transaction_id, field, reported, recorded, difference, currency, message, stake_currency)
    select row_type, row_needs_record, row_settled, nullif(array_remove(array[first, second, third], null), '{}'), print, batch_no, other_batch_no, of_matchable, load_no, line,
           stake_minor, kind, type, request_id, transaction_id, field, reported, recorded, difference, currency, message, stake_currency
      from unnest(${told.map((t) => t.row?.type ?? null)}::text[], ${told.map((t) => t.row?.needsRecord ?? null)}::boolean[], ${settled}::bigint[],
      ${quoted(0)}, ${quoted(1)}, ${quoted(2)}, ${told.map((t) => t.quotedPrint?.toString() ?? null)}::bigint[],
      ${told.map((t) => t.batchNo ?? null)}::int[], ${told.map((t) => t.otherBatchNo ?? null)}::int[],
      ${told.map((t) => t.ofMatchable)}::boolean[], ${told.map((t) => t.loadNo)}::int[], ${told.map((t) => t.discrepancy.line)}::int[],
      ${told.map((t) => t.discrepancy.stake?.amountMinor.toString() ?? null)}::numeric[], ${texts((d) => d.kind)}, ${texts((d) => d.type)},
      ${texts((d) => d.requestId)}, ${texts((d) => d.transactionId)}, ${texts((d) => d.field)}, ${texts((d) => d.reported)},
      ${texts((d) => d.recorded)}, ${texts((d) => d.difference)}, ${texts((d) => d.currency)}, ${texts((d) => d.message)},
      ${texts((d) => d.stake?.currency ?? null)}) as t(row_type, row_needs_record, row_settled, first, second, third, print, batch_no, other_batch_no, of_matchable, load_no, line,
        stake_minor, kind, type, request_id, transaction_id, field, reported, recorded, difference, currency, message, stake_currency)`.execute(
    db,
  );
}

/** Postgres holds no NUL; a cell that had one is shown with the sign for it. */
export const clean = (text: string | null): string | null => (text === null ? null : text.replaceAll('\0', '\u2400'));
