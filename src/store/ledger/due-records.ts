import { type RawBuilder, sql } from 'kysely';
import { type ReadLoad, rowsOf } from '../loads.ts';
import { RECORD } from './columns.ts';
import { isOfOriginal, occurredBetween } from './conditions.ts';

export const onDays = (record: string, from: string, to: string, timeZone: string) =>
  occurredBetween(
    record,
    sql`(${from}::date::timestamp at time zone ${timeZone})`,
    sql`((${to}::date + 1)::timestamp at time zone ${timeZone})`,
  );

/** A record that names no source, or none that is configured, may be due in any. */
export const notOf = (sources: readonly string[]): RawBuilder<unknown> =>
  sources.length === 0 ? sql`` : sql`and (r.source is null or r.source <> all(${[...sources]}::text[]))`;

export const onlyOf = (source: string): RawBuilder<unknown> => sql`and r.source = ${source}`;

/** Records of these days that should be settled, and that no settlement has and no cancellation takes back. */
export const unsettledRecords = (
  loads: readonly ReadLoad[],
  {
    merchantNo,
    from,
    to,
    timeZone,
    whose,
  }: { merchantNo: number; from: string; to: string; timeZone: string; whose: RawBuilder<unknown> },
): RawBuilder<unknown> => sql`
  select ${RECORD('r')} from ledger() r
   where r.merchant_no = ${merchantNo} and r.status = 'SUCCESS' and r.type in ('PAYMENT', 'CAPTURE', 'REFUND') and ${onDays('r', from, to, timeZone)} ${whose}
     and not exists (select from ${rowsOf(loads)} d where d.key_hash = r.key_hash and d.request_id = r.request_id and d.type = r.type
                        and d.settlement_minor is not null)
     and not exists (select from ledger() c where c.merchant_no = ${merchantNo} and c.type in ('CANCEL', 'VOID') and c.status = 'SUCCESS'
                        and ${isOfOriginal('c', sql`r.request_id`)})`;
