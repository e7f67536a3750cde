import { type RawBuilder, sql } from 'kysely';
import { type Db, inPortions } from '../../../adapters/postgres/connection.ts';
import {
  type Arrived,
  type Calendar,
  lastDueDay,
  settlementDate,
  waitsUntil,
} from '../../../domain/calendar/calendar.ts';
import { unsettled } from '../../../domain/matching/match.ts';
import type { JobContext } from '../../runtime/run-job.ts';
import { recordFrom, tellAll } from '../findings.ts';
import * as query from '../snapshot.sql.ts';

/** What time has to do with a batch: nothing, in a call that takes what is there for all there is. */
export type Standing = Pick<JobContext, 'calendars' | 'now'>;

export type Due = {
  readonly calendar: Calendar | null;
  readonly lastCameAtMs: number;
  /** It is told already that something is missing or does not add up. */
  readonly isTold: boolean;
  /** The report of this day should be there by now. */
  readonly isReportDue: boolean;
  /** What was sold on this day should be settled by now: by this date. */
  readonly settledBy: string | null;
  /** Other sources of the merchant: records that name one of them are due in that one's reports, and not in these. */
  readonly others: readonly {
    readonly source: string;
    readonly calendar: Calendar;
    readonly settledBy: string | null;
  }[];
};

/** Reads what is known of the batch and its source's calendar. */
export async function dueOf(db: Db, batch: query.BatchRow, { calendars, now }: Standing): Promise<Due> {
  const nothing = { calendar: null, lastCameAtMs: 0, isTold: false, isReportDue: false, settledBy: null, others: [] };
  if (!calendars) return nothing;
  const arrived = await arrivalOf(db, batch.no);
  // A day that nothing came for has the calendar of whoever should have sent it.
  const found =
    calendars.find(({ source }) => source === arrived.source) ??
    calendars.find(({ merchantId, calendar }) => merchantId === batch.merchantId && calendar.transactionDetails);
  if (!found) return nothing;
  const { calendar } = found;
  const { lastCameAtMs, isTold, isChecked, firstSettlement } = arrived;
  const day = batch.batchId === null ? batch.day : null;
  const isDue = (duty: 'transactionDetails' | 'settlement', by = calendar) =>
    day !== null && day <= (lastDueDay(by, duty, now()) ?? '');
  // What was sold before anything was ever settled here may have been settled elsewhere.
  const settledBy = (by: Calendar) =>
    firstSettlement !== null && day! >= firstSettlement && isDue('settlement', by) ? settlementDate(by, day!) : null;
  return {
    calendar,
    lastCameAtMs,
    isTold,
    isReportDue: isChecked && isDue('transactionDetails'),
    settledBy: settledBy(calendar),
    others: calendars
      .filter(
        ({ source, merchantId }) => source !== found.source && (merchantId ?? batch.merchantId) === batch.merchantId,
      )
      .map(({ source, calendar }) => ({ source, calendar, settledBy: settledBy(calendar) })),
  };
}

/** Until when something may still come for the batch, in milliseconds since 1970; null when nothing is waited for any more. */
export function waitOf(
  { calendar, lastCameAtMs, isTold }: Due,
  { now }: Standing,
  arrived: Pick<Arrived, 'isMissing' | 'hasAllRows'> & { day: string | null; duty: Arrived['duty'] },
): number | null {
  if (!calendar) return null;
  const until = waitsUntil(calendar, { ...arrived, lastCameAtMs, isTold });
  return until !== null && now() < until ? until : null;
}

async function arrivalOf(db: Db, batchNo: number) {
  const found = await sql<{
    source: string | null;
    lastCameAtMs: number;
    isTold: boolean;
    isChecked: boolean;
    firstSettlement: string | null;
  }>`
    select (select d.source from delivery d join report r on r.no = d.report_no where r.batch_no = b.no order by d.no desc limit 1) as source,
           coalesce((select extract(epoch from max(d.found_at)) * 1000 from delivery d join report r on r.no = d.report_no
                      where r.batch_no = b.no), 0)::float8 as "lastCameAtMs",
           exists (select from discrepancy x where x.batch_no = b.no and x.closed_run is null
                      and x.kind in ('missing_summary', 'missing_details', 'missing_part', 'summary_mismatch')) as "isTold",
           exists (select from checked_day c where c.merchant_no = b.merchant_no and c.duty = 'transactionDetails' and b.day <= c.day) as "isChecked",
           (select min(s.settlement_date)::text from batch s where s.merchant_no = b.merchant_no) as "firstSettlement"
      from batch b where b.no = ${batchNo}`.execute(db);
  return found.rows[0]!;
}

/** Tells of records of this day that were due to be settled and are in no settlement. */
export async function tellUnsettled(
  db: Db,
  batch: query.BatchRow,
  { calendar, settledBy, others }: Due,
): Promise<void> {
  const names = others.map(({ source }) => source);
  const ways = [
    { calendar, settledBy, whose: query.notOf(names) },
    ...others.map(({ source, ...way }) => ({ ...way, whose: query.onlyOf(source) })),
  ];
  for (const way of ways) {
    if (way.calendar && way.settledBy !== null)
      await tellUnsettledOf(db, batch, way.calendar, way.settledBy, way.whose);
  }
}

async function tellUnsettledOf(
  db: Db,
  batch: query.BatchRow,
  calendar: Calendar,
  settledBy: string,
  whose: RawBuilder<unknown>,
): Promise<void> {
  const day = batch.day!;
  const settlements = (await query.currentLoadsOf(db, batch.merchantNo, batch.no)).filter(
    (load) => load.isSettlement && (load.settlementDate ?? day) >= day,
  );
  const { merchantNo } = batch;
  const statement = query.unsettledRecords(settlements, {
    merchantNo,
    from: day,
    to: day,
    timeZone: calendar.timeZone,
    whose,
  });
  for await (const rows of inPortions<Record<string, unknown>>(db, statement)) {
    const told = rows.map((row) => unsettled(recordFrom(row, 'r')!, settledBy));
    await tellAll(
      db,
      told.map((discrepancy) => ({
        discrepancy,
        loadNo: null,
        ofMatchable: false,
        quotedIds: [discrepancy.requestId],
      })),
    );
  }
}

const timeIn = (fact: 'paidFrom' | 'paidTo') =>
  sql`(timestamptz 'epoch' + (l.facts->>${sql.lit(fact)})::int8 * interval '1 microsecond')`;

/**
 * The days of which something was told to be unsettled that this settlement has, and for those that it had before:
 * what is there no longer may be unsettled again.
 */
export async function daysSettledBy(
  db: Db,
  merchantNo: number,
  loads: readonly query.ReadLoad[],
  before: readonly query.ReadLoad[] | null,
): Promise<number[]> {
  const found = await sql<{ no: number }>`
    with settled as (
      select distinct x.batch_no as no from discrepancy x join batch b on b.no = x.batch_no
       where x.closed_run is null and x.kind = 'unsettled_transaction' and b.merchant_no = ${merchantNo}
         and exists (select from ${query.rowsOf(loads)} d
                      where d.key_hash = hashtextextended(x.request_id, 0) and d.request_id = x.request_id and d.type = x.type)),
    lost as (
      select b.no from batch b join checked_day c on c.merchant_no = b.merchant_no and c.duty = 'settlement' and b.day <= c.day
       where b.merchant_no = ${merchantNo} and b.batch_id is null and b.current_run is not null
         and exists (select from load l join delivery d on d.no = l.delivery_no
                where l.no = any(${(before ?? []).map(({ loadNo }) => loadNo)}::int[])
                  -- A report without payment times may be about any day of the weeks before it.
                  and b.day between coalesce(${timeIn('paidFrom')}::date - 1, d.directory_date - 60, b.day)
                                and coalesce(${timeIn('paidTo')}::date + 1, d.directory_date, b.day)))
    select no from settled union select no from lost`.execute(db);
  return found.rows.map(({ no }) => no);
}
