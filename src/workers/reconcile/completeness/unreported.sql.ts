import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { withoutNestedLoops } from '../../../adapters/postgres/transactions.ts';
import { RECORD } from '../../../store/ledger/columns.ts';
import { onDays } from '../../../store/ledger/due-records.ts';
import { type ReadLoad, rowsOf } from '../../../store/loads.ts';
import { fill } from '../work-tables.sql.ts';

/** Puts the records of a day that are done and stand in none of these reports into a table of their own. */
export const findUnreportedRecords = (
  db: Db,
  loads: readonly ReadLoad[],
  {
    merchantNo,
    day,
    timeZone,
    types,
    whose,
    isLarge,
  }: {
    merchantNo: number;
    day: string;
    timeZone: string;
    types: readonly string[];
    whose: RawBuilder<unknown>;
    isLarge: boolean;
  },
): Promise<unknown> => {
  const records = sql`
  select ${RECORD('r')} from ledger() r
   where r.merchant_no = ${merchantNo} and r.status = 'SUCCESS' and r.type = any(${types}::text[]) and ${onDays('r', day, day, timeZone)} ${whose}
     and not exists (select from ${rowsOf(loads)} d where d.key_hash = r.key_hash and d.request_id = r.request_id and d.type = r.type)`;
  return withoutNestedLoops(db, () => fill(db, 'unreported_record', records, isLarge));
};

export const UNREPORTED_RECORDS = sql`select * from unreported_record`;
