import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { type ReadLoad, rowsOf } from '../../../store/loads.ts';

/** How many rows matched by their own request id can tell the report's unit, and how many are off by it, up or down. */
export async function countUnits(db: Db, loads: readonly ReadLoad[], minorDigits: string) {
  const off = await sql<{ up: bigint; down: bigint; unusable: bigint }>`
    select count(*) filter (where c.currency = c.r_currency and abs(c.amount_minor)::numeric = c.r_amount_minor::numeric * 10 ^ u.digits) as up,
           count(*) filter (where c.currency = c.r_currency and abs(c.amount_minor)::numeric * 10 ^ u.digits = c.r_amount_minor::numeric) as down,
           count(*) filter (where c.r_type is null or c.currency <> c.r_currency) as unusable
      from candidate c join jsonb_to_recordset(${minorDigits}::jsonb) as u(currency text, digits int) on u.currency = c.currency
     where (c.flags & 3) = 1 and c.amount_minor <> 0 and u.digits > 0`.execute(db);
  const { up, down, unusable } = off.rows[0]!;
  if (up < 5n && down < 5n) return { matched: 0, up: 0, down: 0 };
  const usable = await sql<{ count: bigint }>`
    select count(*) as count from ${rowsOf(loads)} d
      join jsonb_to_recordset(${minorDigits}::jsonb) as u(currency text, digits int) on u.currency = d.currency
     where (d.flags & 3) = 1 and d.amount_minor <> 0 and u.digits > 0
       and not exists (select from duplicate x where x.load_no = d.load_no and x.line = d.line)`.execute(db);
  return { matched: Number(usable.rows[0]!.count - unusable), up: Number(up), down: Number(down) };
}

/** Three of the rows that show it: when their records are corrected the report is looked at again. */
export async function someOffByUnit(db: Db): Promise<string[]> {
  const found = await sql<{ requestId: string }>`
    select request_id as "requestId" from candidate c
     where (c.flags & 3) = 1 and c.currency = c.r_currency and abs(c.amount_minor) <> c.r_amount_minor order by load_no, line limit 3`.execute(
    db,
  );
  return found.rows.map(({ requestId }) => requestId);
}
