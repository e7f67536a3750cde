import { sql } from 'kysely';
import { type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { type Calendar, daysFrom, lastDueDay, missingDays } from '../../domain/calendar/calendar.ts';
import { requestRuns } from '../../store/batches.ts';
import { DUTIES, type Duty, firstDay, firstUnchecked, merchantsOf, reportedDays } from '../../store/checked-days.ts';
import { daysWithRecords } from '../../store/ledger/conditions.ts';
import * as query from '../discovery/find-reports.sql.ts';
import type { Source } from '../discovery/source.ts';
import { forgetLateDays, lateDays } from './late-days.sql.ts';

/**
 * Asks once for each day on which something became due: that its report has come, or that what was sold on it is settled. What is
 * found open then is looked after by its discrepancies. Days of which something was recorded only afterwards are looked at once
 * more. Run twice, or twice at once, a day is asked for once.
 */
export async function checkDays(
  { database, now = Date.now }: { database: Database; now?: () => number },
  sources: readonly Source[],
): Promise<void> {
  const late = await lateDays(database.db);
  for (const source of sources) {
    for (const duty of DUTIES) {
      const last = lastDueDay(source.calendar, duty, now());
      if (last === null) continue;
      for (const merchantNo of await merchantsOf(database.db, source)) {
        await onOneConnection(database, (db) =>
          inTransaction(db, () =>
            check(db, { ...source, merchantNo, duty, last, late: late.get(merchantNo) ?? [], nowMs: now() }),
          ),
        );
      }
    }
  }
  await forgetLateDays(database.db, late);
}

type Check = {
  readonly name: string;
  readonly calendar: Calendar;
  readonly merchantNo: number;
  readonly duty: Duty;
  readonly last: string;
  readonly late: readonly string[];
  readonly nowMs: number;
};

async function check(db: Db, of: Check): Promise<void> {
  const { name, merchantNo, duty, last } = of;
  await sql`select pg_advisory_xact_lock(7355614, ${merchantNo})`.execute(db);
  const unchecked = await firstUnchecked(db, name, merchantNo, duty);
  if (unchecked !== null && unchecked > last && of.late.length === 0) return;
  const first = await firstDay(db, merchantNo, duty);
  const from = unchecked ?? first;
  if (first === null || from === null) return;
  const days: string[] = [];
  for (const day of of.late) if (day >= first && day < from) days.push(...(await dueDays(db, of, day, day)));
  if (from <= last) {
    days.push(...(await dueDays(db, of, from, last)));
    await db
      .insertInto('checked_day')
      .values({ source: name, merchant_no: merchantNo, duty, day: last })
      .onConflict((checked) => checked.columns(['source', 'merchant_no', 'duty']).doUpdateSet({ day: last }))
      .execute();
  }
  for (const day of days) {
    const batchNo = await query.batchNamed(db, { merchantNo, batchId: null, currency: null, day });
    await requestRuns(db, [batchNo], 'calendar');
  }
}

/** Days of these of which something is due. */
async function dueDays(
  db: Db,
  { calendar, merchantNo, duty, nowMs }: Check,
  from: string,
  to: string,
): Promise<string[]> {
  const withTransactions = await daysWithRecords(db, merchantNo, daysFrom(from, to), calendar.timeZone);
  if (duty === 'settlement') return [...withTransactions];
  const reported = await reportedDays(db, merchantNo);
  return missingDays(calendar, { from, reported, withTransactions }, nowMs).filter((day) => day <= to);
}
