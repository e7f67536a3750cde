import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { MatchedBy } from '../../domain/bank/match-payouts.ts';
import type { PayoutState } from '../../domain/bank/payouts.ts';
import type { Currency } from '../../domain/money/currency.ts';

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

/** A payout with its batch. */
export type BatchPayout = {
  readonly merchantId: string;
  readonly settlementBatchId: string;
  readonly settlementDate: string | null;
  readonly currency: Currency;
  readonly payout: PayoutView;
};

const BATCH = sql`b.no, m.id as "merchantId", b.batch_id as "settlementBatchId", coalesce(b.settlement_date, b.day)::text as "settlementDate", b.currency`;
type BatchName = Omit<BatchPayout, 'payout'> & { readonly no: number };

async function withPayouts(db: Db, batches: readonly BatchName[]): Promise<BatchPayout[]> {
  const payouts = await payoutsOf(
    db,
    batches.map(({ no }) => no),
  );
  const byBatch = new Map(payouts.map((payout) => [payout.batchNo, payout]));
  return batches.flatMap(({ no, ...batch }) => {
    const payout = byBatch.get(no);
    return payout === undefined ? [] : [{ ...batch, payout }];
  });
}

/** The payouts of the batches whose current runs read these loads. */
export async function payoutsOfLoads(db: Db, loadNos: readonly number[]): Promise<BatchPayout[]> {
  const found = await sql<BatchName>`
    select distinct ${BATCH} from run_load rl join batch b on b.current_run = rl.run_no join merchant m on m.no = b.merchant_no
     where rl.load_no = ${anyOf(loadNos)} and b.batch_id is not null order by 4 nulls first, 3`.execute(db);
  return withPayouts(db, found.rows);
}

export type OpenFilter = {
  readonly merchant?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  /** Only these; null or left out: all. */
  readonly merchants?: readonly string[] | null;
};

/** Payouts of which not all, or something else, is at the bank: what is due first comes first. */
export async function openPayouts(
  db: Db,
  { merchant, merchants = null, from, to }: OpenFilter,
): Promise<BatchPayout[]> {
  const found = await sql<BatchName>`
    select ${BATCH} from payout p join batch b on b.no = p.batch_no join merchant m on m.no = b.merchant_no
     where p.state in ('expected', 'overdue', 'different', 'returned')
       and ${merchant === undefined ? sql`true` : sql`m.id = ${merchant}`}
       and ${merchants === null ? sql`true` : sql`m.id = any(${[...merchants]}::text[])`}
       and ${from === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) >= ${from}::date`}
       and ${to === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) <= ${to}::date`}
     order by p.due_by nulls last, b.batch_id, b.no`.execute(db);
  return withPayouts(db, found.rows);
}
