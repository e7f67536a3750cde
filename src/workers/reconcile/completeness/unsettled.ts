import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { fetchBatches } from '../../../adapters/postgres/cursors.ts';
import type { Calendar } from '../../../domain/calendar/calendar.ts';
import { unsettled } from '../../../domain/matching/match.ts';
import type { BatchRow } from '../../../store/batches.ts';
import { recordFrom } from '../../../store/ledger/columns.ts';
import { notOf, onlyOf, unsettledRecords } from '../../../store/ledger/due-records.ts';
import { currentLoadsOf, type ReadLoad, rowsOf } from '../../../store/loads.ts';
import { recordFindings } from '../findings.ts';
import type { Deadlines } from './deadlines.ts';

/** Tells of records of this day that were due to be settled and are in no settlement. */
export async function findUnsettled(
  db: Db,
  batch: BatchRow,
  { calendar, settledBy, others }: Deadlines,
): Promise<void> {
  const names = others.map(({ source }) => source);
  const ways = [
    { calendar, settledBy, whose: notOf(names) },
    ...others.map(({ source, ...way }) => ({ ...way, whose: onlyOf(source) })),
  ];
  for (const way of ways) {
    if (way.calendar && way.settledBy !== null)
      await findUnsettledOf(db, batch, way.calendar, way.settledBy, way.whose);
  }
}

async function findUnsettledOf(
  db: Db,
  batch: BatchRow,
  calendar: Calendar,
  settledBy: string,
  whose: RawBuilder<unknown>,
): Promise<void> {
  const day = batch.day!;
  const settlements = (await currentLoadsOf(db, batch.merchantNo, batch.no)).filter(
    (load) => load.isSettlement && (load.settlementDate ?? day) >= day,
  );
  const { merchantNo } = batch;
  const statement = unsettledRecords(settlements, {
    merchantNo,
    from: day,
    to: day,
    timeZone: calendar.timeZone,
    whose,
  });
  for await (const rows of fetchBatches<Record<string, unknown>>(db, statement)) {
    const findings = rows.map((row) => unsettled(recordFrom(row, 'r')!, settledBy));
    await recordFindings(
      db,
      findings.map((discrepancy) => ({
        discrepancy,
        loadNo: null,
        ofMatchable: false,
        referencedIds: [discrepancy.requestId],
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
  loads: readonly ReadLoad[],
  before: readonly ReadLoad[] | null,
): Promise<number[]> {
  const found = await sql<{ no: number }>`
    with settled as (
      select distinct x.batch_no as no from discrepancy x join batch b on b.no = x.batch_no
       where x.closed_run is null and x.kind = 'unsettled_transaction' and b.merchant_no = ${merchantNo}
         and exists (select from ${rowsOf(loads)} d
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
