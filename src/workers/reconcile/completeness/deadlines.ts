import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import {
  type Arrived,
  type Calendar,
  lastDueDay,
  settlementDate,
  waitsUntil,
} from '../../../domain/calendar/calendar.ts';
import type { BatchRow } from '../../../store/batches.ts';
import type { Schedule } from '../../context.ts';

export type Deadlines = {
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
export async function deadlinesOf(db: Db, batch: BatchRow, { calendars, now }: Schedule): Promise<Deadlines> {
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
export function waitUntil(
  { calendar, lastCameAtMs, isTold }: Deadlines,
  { now }: Schedule,
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
           coalesce((select trunc(extract(epoch from max(d.found_at)) * 1000) from delivery d join report r on r.no = d.report_no
                      where r.batch_no = b.no), 0)::float8 as "lastCameAtMs",
           exists (select from discrepancy x where x.batch_no = b.no and x.closed_run is null
                      and x.kind in ('missing_summary', 'missing_details', 'missing_part', 'summary_mismatch')) as "isTold",
           exists (select from checked_day c where c.merchant_no = b.merchant_no and c.duty = 'transactionDetails' and b.day <= c.day) as "isChecked",
           (select min(s.settlement_date)::text from batch s where s.merchant_no = b.merchant_no) as "firstSettlement"
      from batch b where b.no = ${batchNo}`.execute(db);
  return found.rows[0]!;
}
