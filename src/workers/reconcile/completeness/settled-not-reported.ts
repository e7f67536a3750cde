import type { Db } from '../../../adapters/postgres/connection.ts';
import { fetchBatches } from '../../../adapters/postgres/cursors.ts';
import { addDays, type Calendar, listedFrom } from '../../../domain/calendar/calendar.ts';
import { notReported } from '../../../domain/matching/match.ts';
import type { BatchRow } from '../../../store/batches.ts';
import { daysWithRecords } from '../../../store/ledger/conditions.ts';
import type { ReadLoad } from '../../../store/loads.ts';
import { isMatchable, rowFrom, type StoredRow } from '../../../store/stored-row.ts';
import type { Schedule } from '../../context.ts';
import { recordFindings } from '../findings.ts';
import type { Deadlines } from './deadlines.ts';
import * as query from './settled-not-reported.sql.ts';

/** What a run has looked for in the reports of which days. */
export type CheckedDays = {
  readonly days: readonly query.RunDay[];
  /** When it has to look again, though nothing comes; null where it need not. */
  readonly againAtMs: number | null;
};

const NOTHING_LISTED: CheckedDays = { days: [], againAtMs: null };

/**
 * Tells of rows of a settlement that no transaction report lists, for days whose reports are due and there: those of the day on which
 * they were paid, and of the days next to it. Nothing where no such reports are expected.
 */
export async function findSettledNotReported(
  db: Db,
  batch: BatchRow,
  loads: readonly ReadLoad[],
  { calendar }: Deadlines,
  { now }: Schedule,
): Promise<CheckedDays> {
  if (!calendar?.transactionDetails || batch.batchId === null || loads.length === 0) return NOTHING_LISTED;
  const { timeZone } = calendar;
  const paid = await query.paidDays(db, loads, timeZone);
  const around = await reportsAround(
    db,
    batch.merchantNo,
    calendar,
    paid.map(({ day }) => day),
  );
  const isListed = (day: string) => (around.listedFromMs(day) ?? Number.POSITIVE_INFINITY) <= now();
  const checked = paid.filter(({ day }) => isListed(day));
  if (checked.length > 0) {
    await query.findNotReported(db, loads, checked, around.loadsOf, timeZone);
    const report = { settlementCurrency: batch.currency, wrongUnit: false };
    for await (const rows of fetchBatches<StoredRow & { day: string }>(db, query.notReportedRows(loads))) {
      const findings = rows.map((stored) => {
        const row = rowFrom(stored);
        const discrepancy = notReported(row, stored.day, report);
        return { discrepancy, loadNo: stored.load_no, ofMatchable: isMatchable(row.matchBy) };
      });
      await recordFindings(db, findings);
    }
  }
  const later = paid.flatMap(({ day }) => around.listedFromMs(day) ?? []).filter((atMs) => atMs > now());
  return {
    days: paid.map(({ day }) => ({ day, isChecked: isListed(day) })),
    againAtMs: later.length > 0 ? Math.min(...later) : null,
  };
}

/** The reports that are there of these days and those next to them. */
async function reportsAround(db: Db, merchantNo: number, calendar: Calendar, days: readonly string[]) {
  const near = [...new Set(days.flatMap(threeDays))];
  const loads = await query.wholeReports(db, merchantNo, near);
  const byDay = Map.groupBy(loads, ({ day }) => day);
  const absent = near.filter((day) => !byDay.has(day));
  const withTransactions = await daysWithRecords(db, merchantNo, absent, calendar.timeZone);
  const known = { reported: new Set(byDay.keys()), withTransactions };
  return {
    listedFromMs: (day: string) => listedFrom(calendar, day, known),
    loadsOf: (day: string) => threeDays(day).flatMap((near) => byDay.get(near) ?? []),
  };
}

const threeDays = (day: string): string[] => [addDays(day, -1), day, addDays(day, 1)];

/**
 * The settlements whose answer a day's report changes: those that looked for their rows in it, and those that can look now. Those
 * that can look as soon as the report is due are asked for then.
 */
export async function settlementsListedBy(
  db: Db,
  merchantNo: number,
  day: string,
  calendar: Calendar | null,
  { now }: Schedule,
): Promise<number[]> {
  const settlements = await query.settlementsOfDay(db, merchantNo, day);
  if (settlements.length === 0) return [];
  const around = calendar && (await reportsAround(db, merchantNo, calendar, threeDays(day)));
  const asked = new Set<number>();
  for (const settlement of settlements) {
    const atMs = settlement.isChecked ? 0 : (around?.listedFromMs(settlement.day) ?? null);
    if (atMs === null) continue;
    if (atMs <= now()) asked.add(settlement.batchNo);
    else await query.askAt(db, settlement.batchNo, atMs);
  }
  return [...asked];
}
