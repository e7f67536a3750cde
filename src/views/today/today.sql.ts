import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { PayoutState } from '../../domain/bank/payouts.ts';
import type { BatchState } from '../../domain/discrepancy.ts';
import type { Currency } from '../../domain/money/currency.ts';

/** Whose rows may be seen; null: those of all merchants. */
type Merchants = readonly string[] | null;

const isOf = (merchants: Merchants): RawBuilder<unknown> =>
  merchants === null ? sql`true` : sql`m.id = any(${[...merchants]}::text[])`;

/** How the batches and days of a merchant stand on a date. */
export type DayState = {
  readonly merchantId: string;
  readonly date: string;
  readonly state: BatchState;
  readonly count: number;
};

/** By merchant, date and state, for so many days back. */
export async function statesByDay(db: Db, days: number, merchants: Merchants): Promise<readonly DayState[]> {
  const found = await sql<DayState>`
    select m.id as "merchantId", coalesce(b.settlement_date, b.day)::text as date, s.state, count(*)::int as count
      from batch b join merchant m on m.no = b.merchant_no join batch_state s on s.batch_no = b.no
     where coalesce(b.settlement_date, b.day) > (now() at time zone 'UTC')::date - ${days}::int and ${isOf(merchants)}
     group by 1, 2, 3 order by 1, 2, 3`.execute(db);
  return found.rows;
}

/** What is open of a kind and currency. */
export type OpenSum = {
  readonly kind: string;
  readonly currency: Currency | null;
  readonly count: number;
  readonly stakeMinor: string | null;
  readonly oldest: Date;
};

export async function openSums(db: Db, merchants: Merchants): Promise<readonly OpenSum[]> {
  const found = await sql<OpenSum>`
    select d.kind, d.stake_currency as currency, count(*)::int as count, sum(d.stake_minor)::text as "stakeMinor", min(d.first_seen_at) as oldest
      from discrepancy d left join batch b on b.no = d.batch_no left join merchant m on m.no = coalesce(b.merchant_no, d.merchant_no)
     where d.closed_run is null and ${isOf(merchants)}
       and not exists (select from handling h where h.discrepancy_no = d.no and h.ended_at is null and h.state = 'accepted')
     group by 1, 2 order by 2 nulls last, sum(d.stake_minor) desc nulls last, 1`.execute(db);
  return found.rows;
}

/** Payouts of a state and currency. */
export type PayoutSum = {
  readonly state: PayoutState;
  readonly currency: Currency;
  readonly count: number;
  /** Of those whose amount is known. */
  readonly minor: string | null;
  readonly earliestDue: string | null;
};

/** What has arrived of so many days, and whatever has not, however old. */
export async function payoutSums(db: Db, days: number, merchants: Merchants): Promise<readonly PayoutSum[]> {
  const found = await sql<PayoutSum>`
    select p.state, b.currency, count(*)::int as count, sum(p.amount_minor)::text as minor, min(p.due_by)::text as "earliestDue"
      from payout p join batch b on b.no = p.batch_no join merchant m on m.no = b.merchant_no
     where (p.state not in ('arrived', 'nothingDue') or p.state = 'arrived' and coalesce(b.settlement_date, b.day) > (now() at time zone 'UTC')::date - ${days}::int)
       and ${isOf(merchants)}
     group by 1, 2 order by array_position(array['overdue', 'different', 'returned', 'expected', 'arrived'], p.state::text), 2`.execute(
    db,
  );
  return found.rows;
}

/** What cannot be spoken of, because it was not read or not reconciled. */
export type Unknown = {
  /** Reports whose newest content is refused, incomplete or was given up. */
  readonly reports: number;
  /** Batches and days that were given up. */
  readonly batches: number;
  /** Sources, and the archive, that cannot be reached. */
  readonly away: number;
};

export async function unknownOf(db: Db, merchants: Merchants): Promise<Unknown> {
  const found = await sql<Unknown>`
    select (select count(*)::int from (select distinct on (d.report_no) d.report_no, d.state, d.parked_reason from delivery d
                                        where d.state not in ('dry', 'over') order by d.report_no, d.no desc) d
              join report r on r.no = d.report_no join batch b on b.no = r.batch_no join merchant m on m.no = b.merchant_no
             where (d.state in ('refused', 'waiting') or d.parked_reason is not null and d.state in ('found', 'reading')) and ${isOf(merchants)}) as reports,
           (select count(*)::int from batch b join merchant m on m.no = b.merchant_no where b.parked_reason is not null and ${isOf(merchants)}) as batches,
           (select count(*)::int from away) as away`.execute(db);
  return found.rows[0]!;
}

export type Since = {
  readonly opened: number;
  readonly closed: number;
  readonly handled: number;
  readonly pending: number;
  readonly accepted: number;
};

/** What changed within a day, and what waits for a second person. */
export async function changedSinceYesterday(db: Db, merchants: Merchants): Promise<Since> {
  // What a bank statement says alone belongs to no batch.
  const placed = sql`left join batch b on b.no = d.batch_no left join merchant m on m.no = coalesce(b.merchant_no, d.merchant_no)`;
  const told = (condition: RawBuilder<unknown>) =>
    sql`(select count(*)::int from discrepancy d ${placed} where ${condition} and ${isOf(merchants)})`;
  const handled = (condition: RawBuilder<unknown>) =>
    sql`(select count(*)::int from handling h join discrepancy d on d.no = h.discrepancy_no ${placed} where ${condition} and ${isOf(merchants)})`;
  const found = await sql<Since>`
    select ${told(sql`d.opened_at > now() - interval '1 day' and d.closed_run is null`)} as opened,
           ${told(sql`d.closed_at > now() - interval '1 day' and not d.is_superseded`)} as closed,
           ${handled(sql`h.at > now() - interval '1 day' and h.by <> 'system'`)} as handled,
           ${handled(sql`h.ended_at is null and h.state = 'pendingApproval'`)} as pending,
           ${handled(sql`h.ended_at is null and h.state = 'accepted'`)} as accepted`.execute(db);
  return found.rows[0]!;
}
