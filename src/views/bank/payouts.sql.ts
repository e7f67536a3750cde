import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { MatchedBy } from '../../domain/bank/match-payouts.ts';
import type { PayoutState } from '../../domain/bank/payouts.ts';

export type PayoutEntryView = {
  file: string;
  line: number;
  account: string;
  /** The number of its statement, as printed. */
  statement: string | null;
  bookingDate: string;
  valueDate: string | null;
  amountMinor: bigint;
  reference: string | null;
  role: 'paid' | 'surplus' | 'returned';
};

/** What became of the payout of a batch. */
export type PayoutView = {
  batchNo: number;
  state: PayoutState;
  amountMinor: bigint | null;
  arrivedMinor: bigint;
  dueBy: string | null;
  matchedBy: MatchedBy | null;
  entries: PayoutEntryView[];
};

/** The payouts of these batches, of which some account is known. */
export async function payoutsOf(db: Db, batchNos: readonly number[]): Promise<PayoutView[]> {
  const payouts = await sql<Omit<PayoutView, 'entries'>>`
    select batch_no as "batchNo", state, amount_minor as "amountMinor", arrived_minor as "arrivedMinor", due_by as "dueBy",
           matched_by as "matchedBy"
      from payout where batch_no = ${anyOf(batchNos)}`.execute(db);
  if (payouts.rows.length === 0) return [];
  const entries = await sql<PayoutEntryView & { batchNo: number }>`
    select p.batch_no as "batchNo", f.file, e.line, s.account, s.number as statement, coalesce(e.booking_date, s.to_day) as "bookingDate",
           e.value_date as "valueDate", e.amount_minor as "amountMinor", e.reference, p.role
      from payout_entry p join bank_entry e on e.file_no = p.file_no and e.ordinal = p.ordinal
      join bank_statement s on s.file_no = e.file_no and s.ordinal = e.statement join bank_file f on f.no = e.file_no
     where p.batch_no = ${anyOf(batchNos)}
     order by 6, f.file, e.line, e.ordinal`.execute(db);
  const byBatch = Map.groupBy(entries.rows, ({ batchNo }) => batchNo);
  return payouts.rows.map((payout) => ({ ...payout, entries: byBatch.get(payout.batchNo) ?? [] }));
}

/** Whether the book is asked for the bank at all. */
export async function isBankUsed(db: Db): Promise<boolean> {
  return (await db.selectFrom('bank_setting').select('is_only').executeTakeFirst()) !== undefined;
}
