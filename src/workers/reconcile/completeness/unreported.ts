import type { Db } from '../../../adapters/postgres/connection.ts';
import { fetchBatches } from '../../../adapters/postgres/cursors.ts';
import { addDays } from '../../../domain/calendar/calendar.ts';
import { unreported } from '../../../domain/matching/match.ts';
import type { Facts } from '../../../domain/report/facts.ts';
import type { BatchRow } from '../../../store/batches.ts';
import { recordFrom } from '../../../store/ledger/columns.ts';
import { notOf } from '../../../store/ledger/due-records.ts';
import { currentLoadsOf, LARGE_ROWS } from '../../../store/loads.ts';
import type { Details } from '../decision.ts';
import { recordFindings } from '../findings.ts';
import type { Deadlines } from './deadlines.ts';
import { findUnreportedRecords, UNREPORTED_RECORDS } from './unreported.sql.ts';

/** Tells of records of this day that are in no report. */
export async function findUnreported(
  db: Db,
  batch: BatchRow,
  details: Omit<Details, 'besideNet'>,
  facts: Facts,
  due: Deadlines,
): Promise<void> {
  const day = batch.day!;
  const neighbours = [addDays(day, -1), addDays(day, 1)];
  const others = (await currentLoadsOf(db, batch.merchantNo, batch.no)).filter(
    (load) => !load.isSettlement && neighbours.includes(load.day ?? ''),
  );
  const missing = neighbours.filter((neighbour) => !others.some((load) => load.day === neighbour));
  const types = [
    'PAYMENT',
    'CAPTURE',
    'REFUND',
    ...['AUTHORIZATION', 'CANCEL', 'VOID'].filter((type) => type in facts.types),
  ];
  const timeZone = details.read[0]!.rules!.timeZone;
  // Reports of the day may come from several sources; what is due in one whose report is not there yet is not missed.
  const elsewhere = due.others
    .map(({ source }) => source)
    .filter((name) => !details.read.some(({ source }) => source === name));
  await findUnreportedRecords(db, [...details.loads, ...others], {
    merchantNo: batch.merchantNo,
    day,
    timeZone,
    types,
    whose: notOf(elsewhere),
    isLarge: facts.rows > LARGE_ROWS,
  });
  for await (const rows of fetchBatches<Record<string, unknown>>(db, UNREPORTED_RECORDS)) {
    await recordFindings(
      db,
      rows.map((row) => {
        const record = recordFrom(row, 'r')!;
        const discrepancy = unreported(record, missing);
        return { discrepancy, loadNo: null, ofMatchable: false, referencedIds: [record.requestId] };
      }),
    );
  }
}
