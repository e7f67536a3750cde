import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { type ReadLoad, rowsOf } from '../../../store/loads.ts';
import { IDENTITY } from '../snapshot.sql.ts';
import { FEW_ROWS } from '../work-tables.sql.ts';
import { SETTLING_ORDER } from './cumulative.sql.ts';

/** Keys whose rows stand in this run or stood in the one before, and in another place too: they are decided anew. */
export async function findSettledKeys(
  db: Db,
  batchNo: number,
  loads: readonly ReadLoad[],
  others: readonly ReadLoad[],
): Promise<void> {
  const inOthers =
    others.length === 0 || loads.length === 0
      ? sql``
      : sql`union
      select d.type, d.request_id from ${rowsOf(loads)} d
        join ${rowsOf(others)} x on x.key_hash = d.key_hash and x.request_id = d.request_id and x.type = d.type
       where d.settlement_minor is not null and x.settlement_minor is not null`;
  const added = await sql`insert into settled_key
    select type, request_id, hashtextextended(request_id, 0) from (
      select type, request_id from discrepancy
       where closed_run is null and kind = 'settled_twice' and (batch_no = ${batchNo} or other_batch_no = ${batchNo})
      ${inOthers}) k where not exists (select from settled_key s where s.type = k.type and s.request_id = k.request_id)`.execute(
    db,
  );
  if (Number(added.numAffectedRows) > FEW_ROWS) await sql`analyze settled_key`.execute(db);
}

/**
 * All rows that settle one of these keys at once, in all current runs of the merchant, key by key in the order in which they
 * settle. A duplicate settles nothing, for it is told already.
 */
export const settledRows = (all: readonly ReadLoad[], merchantNo: number) => sql`
  select x.*, (extract(epoch from x.paid_at) * 1000000)::bigint as paid_at_micros, b.no as batch_no, b.batch_id, b.currency as batch_currency,
         coalesce(b.settlement_date::text, '') as settlement_date
    from settled_key k join ${rowsOf(all)} x on x.key_hash = k.key_hash and x.request_id = k.request_id and x.type = k.type
    join run_load rl on rl.load_no = x.load_no join batch b on b.current_run = rl.run_no
   where b.merchant_no = ${merchantNo} and b.batch_id is not null and x.settlement_minor is not null and (x.flags & 4) = 0
     and not exists (select from discrepancy u where u.closed_run is null and u.batch_no = b.no and u.kind = 'duplicate_row'
                        and u.load_no = x.load_no and u.line = x.line)
   order by x.type, x.request_id, ${SETTLING_ORDER}`;

/** Gives what was told by key its identity. A sum of instalments is told beside what may be wrong with such a row alone. */
export const identifyCrossBatchFindings = (db: Db) =>
  sql`update cross_batch_finding t set identity = n.identity, ordinal = n.ordinal
    from (select t.ctid as place, i.identity,
                 row_number() over (partition by t.batch_no, i.identity order by rl.part, t.load_no, t.line) - 1 as ordinal
            from cross_batch_finding t left join load l on l.no = t.load_no
            join batch b on b.no = t.batch_no left join run_load rl on rl.run_no = b.current_run and rl.load_no = t.load_no
            cross join lateral (select concat_ws('|', ${IDENTITY}, case when t.kind = 'amount_mismatch' then 'instalments' end) as identity) i) n
   where t.ctid = n.place`.execute(db);
