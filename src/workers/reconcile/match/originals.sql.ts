import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { type ReadLoad, rowsOf } from '../../../store/loads.ts';
import { hasRows, workTables } from '../work-tables.sql.ts';

/** Where a payment and all that is done with it share one transaction id, what is done with it names itself: it is not the payment. */
export const MAY_BE_ORIGINAL = sql`(d.type in ('PAYMENT', 'CAPTURE', 'AUTHORIZATION') or d.original_transaction_id is distinct from d.transaction_id)`;

/**
 * Finds the merchant's own ids where rows name their original by the provider's id only: the request id of the reported row
 * with that transaction id, of this batch or of any other; a payment's before any other. Returns whether there are any such rows.
 */
export async function resolveReferences(
  db: Db,
  loads: readonly ReadLoad[],
  others: readonly ReadLoad[],
): Promise<boolean> {
  await sql`insert into reference
    select distinct original_transaction_id, null, null::int from ${rowsOf(loads)} d
     where original_request_id is null and original_transaction_id is not null`.execute(db);
  const isSome = await hasRows(db, 'reference');
  for (const rows of [loads, others]) {
    const open = workTables(db).selectFrom('reference').select('transaction_id').where('request_id', 'is', null);
    if (rows.length === 0 || !(await open.limit(1).executeTakeFirst())) continue;
    await sql`update reference f set request_id = x.request_id, other_load = case when ${rows === others} then x.load_no end
      from (select distinct on (d.transaction_id) d.transaction_id, d.request_id, d.load_no
              from ${rowsOf(rows)} d join reference o on o.transaction_id = d.transaction_id and o.request_id is null
             where d.request_id is not null and ${MAY_BE_ORIGINAL}
             order by d.transaction_id, d.type <> 'PAYMENT', d.type, d.request_id) x
     where f.request_id is null and f.transaction_id = x.transaction_id`.execute(db);
  }
  return isSome;
}

/** Ranks that say which record of an id is the payment: the payment itself, else its capture, else its authorization. */
export const ORIGINAL_RANK = sql`array_position(array['REFUND', 'PAYMENT', 'CAPTURE', 'AUTHORIZATION'], x.type)`;
