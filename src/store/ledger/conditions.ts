import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';

// The merchant's records as statements read them: `ledger()` is whatever relation they stand in (migrations/0001_schema.sql).
// Conditions on keys and times go through functions, too, for only these know what the merchant's own indexes hold.

/** Whether the record `record` is the one with this request id. `hash` is the id's, where a column holds it. */
export const isRecord = (
  record: string,
  id: RawBuilder<unknown>,
  hash: RawBuilder<unknown> = sql`hashtextextended(${id}, 0)`,
): RawBuilder<boolean> =>
  sql`is_record(${sql.ref(`${record}.key_hash`)}, ${sql.ref(`${record}.key`)}, ${sql.ref(`${record}.request_id`)}, ${hash}, ${id})`;

/** Whether the record `record` names this request id as its original. */
export const isOfOriginal = (record: string, id: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql`is_of_original(${sql.ref(`${record}.original_key`)}, ${sql.ref(`${record}.original_request_id`)}, ${id})`;

/** Whether the record `record` is of a time from `since` on and before `until`. */
export const occurredBetween = (
  record: string,
  since: RawBuilder<unknown>,
  until: RawBuilder<unknown>,
): RawBuilder<boolean> =>
  sql`occurred_between(${sql.ref(`${record}.raw_occurred_at`)}, ${sql.ref(`${record}.occurred_at`)}, ${since}, ${until})`;

/** Whether the record `record` was changed at that time or later. */
export const updatedSince = (record: string, since: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql`updated_since(${sql.ref(`${record}.raw_updated_at`)}, ${sql.ref(`${record}.updated_at`)}, ${since})`;

/** All of the record `record` that a run looks at, as one number. */
export const fingerprintOf = (record: string): RawBuilder<bigint> => {
  const column = (name: string) => sql.ref(`${record}.${name}`);
  return sql`record_fingerprint(${column('type')}, ${column('request_id')}, ${column('amount_minor')}, ${column('currency')}, ${column('status')},
    ${column('occurred_at')}, ${column('original_request_id')})`;
};

/**
 * What the records that are quoted say now: `place` and `fingerprint`, for each place of which there is any. `quoting` has place,
 * merchant_no, ids (at most three, which the planner has to be told), and whether cancellations of these count (has_cancels). Read by one join, whatever indexes there are.
 */
export const fingerprintsOf = (quoting: RawBuilder<unknown>): RawBuilder<unknown> => sql`
  (with quoted as materialized (
     select q.place, q.merchant_no, q.has_cancels, i.id, hashtextextended(i.id, 0) as id_hash
       from (${quoting}) q cross join lateral (select * from unnest(q.ids) limit 3) i(id))
   select place, hashtextextended(count(*) || ' ' || sum(fingerprint::numeric), 0) as fingerprint
     from (select q.place, ${fingerprintOf('r')} as fingerprint
             from quoted q join ledger() r on r.merchant_no = q.merchant_no and ${isRecord('r', sql`q.id`, sql`q.id_hash`)}
           union all
           select q.place, ${fingerprintOf('r')}
             from quoted q join ledger() r on r.merchant_no = q.merchant_no and ${isOfOriginal('r', sql`q.id`)}
            where q.has_cancels and r.type in ('CANCEL', 'VOID')) found
    group by place)`;

/** What is told because of a record's status, or of its not being settled, is taken back by its cancellation. */
export const hasCancels = (kind: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql`${kind} in ('status_mismatch', 'unsettled_transaction')`;

/** Those of these days, as they begin and end there, on which the merchant has done something that is reported and settled. */
export async function daysWithRecords(
  db: Db,
  merchantNo: number,
  days: readonly string[],
  timeZone: string,
): Promise<Set<string>> {
  const begin = sql`(u.day::timestamp at time zone ${timeZone})`;
  const end = sql`((u.day::timestamp + interval '1 day') at time zone ${timeZone})`;
  const found = await sql<{ day: string }>`
    select u.day::text from unnest(${[...days]}::date[]) as u(day)
     where exists (select from ledger() r where r.merchant_no = ${merchantNo} and r.status = 'SUCCESS'
                      and r.type in ('PAYMENT', 'CAPTURE', 'REFUND') and ${occurredBetween('r', begin, end)})`.execute(
    db,
  );
  return new Set(found.rows.map(({ day }) => day));
}
