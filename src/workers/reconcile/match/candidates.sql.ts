import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { withoutNestedLoops } from '../../../adapters/postgres/transactions.ts';
import { NEWEST, RECORD } from '../../../store/ledger/columns.ts';
import { isOfOriginal, isRecord, occurredBetween } from '../../../store/ledger/conditions.ts';
import { LARGE_ROWS, type ReadLoad, rowsOf } from '../../../store/loads.ts';
import { FEW_ROWS, fill } from '../work-tables.sql.ts';
import { ORIGINAL_RANK } from './originals.sql.ts';

const RECORD_COLUMNS = 'type request_id amount_minor currency status original_request_id occurred_at_micros'.split(' ');

/**
 * Whether a row plainly says what its record says. Of an instalment in a settlement it is the sum that is compared, so any part will
 * do here; one of a fiftieth or less could be in the wrong unit, and is looked at by itself.
 */
const agrees = (isSettlement: boolean, record: 'r.' | 'd.r_' = 'r.') => {
  const of = (column: string) => sql.raw(record + column);
  const part = sql`(d.flags & 4) <> 0 and abs(d.amount_minor) between ${of('amount_minor')} / 50 + 1 and ${of('amount_minor')}`;
  return sql`(${of('amount_minor')} = abs(d.amount_minor) or ${isSettlement ? part : sql`false`}) and ${of('currency')} = d.currency
    and ${of('status')} = 'SUCCESS'`;
};

/**
 * All rows which are not plainly right, with what the domain needs to judge them. The merchant's records of the batch's own
 * days are joined as a whole; what is not found among them is looked up one by one, where there is an index to do it by.
 */
export async function findCandidates(
  db: Db,
  loads: readonly ReadLoad[],
  {
    merchantNo,
    paidFrom,
    paidTo,
    isLarge,
    hasReferences,
    isSettlement,
  }: {
    merchantNo: number;
    paidFrom: string | null;
    paidTo: string | null;
    isLarge: boolean;
    hasReferences: boolean;
    isSettlement: boolean;
  },
): Promise<void> {
  const isRight = agrees(isSettlement);
  const near =
    paidFrom === null
      ? sql``
      : sql`and ${occurredBetween(
          'r',
          sql`to_timestamp(${paidFrom}::numeric / 1000000) - interval '2 days'`,
          sql`to_timestamp(${paidTo}::numeric / 1000000) + interval '2 days'`,
        )}`;
  // Only what is compared passes through the join, so that it stays in memory: nearly all rows end here.
  const unmatched = sql`
    select d.load_no, d.line from ${rowsOf(loads)} d
      left join ledger() r on r.merchant_no = ${sql.raw(String(merchantNo))} and ${isRecord('r', sql`d.request_id`, sql`d.key_hash`)}
                          and r.type = d.type ${near}
     where (d.flags & 3) = 1 and d.original_request_id is null and d.original_transaction_id is null
       and not coalesce(${isRight}, false)`;
  const findUnmatched = () => fill(db, 'unmatched_row', unmatched, isLarge);
  // A fresh table has no statistics, and looking up a million records one by one takes five times as long as one hash join.
  const found = await (isLarge ? withoutNestedLoops(db, findUnmatched) : findUnmatched());
  if (found > 0) await makeCandidates(db, loads, merchantNo, found > LARGE_ROWS);
  await addRowsWithOriginal(db, loads, { merchantNo, hasReferences, isSettlement, isLarge });
  await sql`delete from candidate c using duplicate u where u.load_no = c.load_no and u.line = c.line`.execute(db);
}

/** Unmatched rows with their records, however old these are; what is right then is no candidate. */
async function makeCandidates(db: Db, loads: readonly ReadLoad[], merchantNo: number, isLarge: boolean): Promise<void> {
  const text = sql`null::text collate "C"`;
  const none = (
    alias: string,
  ) => sql`${text} as ${sql.ref(`${alias}_type`)}, ${text} as ${sql.ref(`${alias}_request_id`)},
    null::bigint as ${sql.ref(`${alias}_amount_minor`)}, ${text} as ${sql.ref(`${alias}_currency`)}, ${text} as ${sql.ref(`${alias}_status`)},
    ${text} as ${sql.ref(`${alias}_original_request_id`)}, null::bigint as ${sql.ref(`${alias}_occurred_at_micros`)}`;
  const rows = sql`
    select d.*, ${text} as original, ${none('r')}, ${none('o')}, ${text} as reported_root, ${text} as recorded_root
      from ${rowsOf(loads)} d where (d.load_no, d.line) in (select load_no, line from unmatched_row)`;
  const found = await fill(db, 'candidate', rows, isLarge);
  if (found > FEW_ROWS) await sql`analyze candidate`.execute(db);
  await sql`update candidate c set (${sql.raw(RECORD_COLUMNS.map((name) => `r_${name}`).join(', '))}) =
        row(${sql.raw(RECORD_COLUMNS.map((name) => `x.r_${name}`).join(', '))})
    from (select distinct on (d.ctid) d.ctid as place, ${RECORD('r')}
            from candidate d join ledger() r on r.merchant_no = ${merchantNo} and ${isRecord('r', sql`d.request_id`, sql`d.key_hash`)}
                                            and r.type = d.type
           order by d.ctid, coalesce(r.amount_minor = abs(d.amount_minor) and r.currency = d.currency and r.status = 'SUCCESS', false) desc,
                    ${NEWEST('r')}) x
   where c.ctid = x.place`.execute(db);
  await sql`delete from candidate where r_type is not null and r_amount_minor = abs(amount_minor) and r_currency = currency
      and r_status = 'SUCCESS'`.execute(db);
}

/**
 * Candidates among the rows that name an original, each with the record of this. The records that they need are gathered first,
 * by one join: one by one they would each cost a look through all records where the merchant's relation has no index.
 */
async function addRowsWithOriginal(
  db: Db,
  loads: readonly ReadLoad[],
  {
    merchantNo,
    hasReferences,
    isSettlement,
    isLarge,
  }: { merchantNo: number; hasReferences: boolean; isSettlement: boolean; isLarge: boolean },
): Promise<void> {
  // Without references to resolve the temporary table stays out, which one process alone may read.
  const original = hasReferences ? sql`coalesce(d.original_request_id, f.request_id)` : sql`d.original_request_id`;
  const resolved = hasReferences
    ? sql`left join reference f on d.original_request_id is null and f.transaction_id = d.original_transaction_id`
    : sql``;
  const rows = sql`
    select d.*, ${original} as original, ${RECORD('r')}
      from ${rowsOf(loads)} d
      ${resolved}
      left join ledger() r on (d.flags & 3) = 1 and r.merchant_no = ${merchantNo}
                          and ${isRecord('r', sql`d.request_id`, sql`d.key_hash`)} and r.type = d.type
     where (d.flags & 3) in (1, 2) and (d.original_request_id is not null or d.original_transaction_id is not null)`;
  const found = await fill(db, 'row_with_original', rows, isLarge);
  if (found === 0) return;
  await sql`insert into original_id
    select id, is_refund_too, hashtextextended(id, 0) as id_hash
      from (select original as id, type = 'REFUND_REVERSAL' as is_refund_too from row_with_original
            union select r_original_request_id, false from row_with_original) n where id is not null`.execute(db);
  if (found > FEW_ROWS) await sql`analyze original_id`.execute(db);
  await sql`insert into original_record
    select distinct on (n.id, n.is_refund_too) n.id, n.is_refund_too, x.type, x.request_id, x.amount_minor, x.currency, x.status,
           x.original_request_id, x.occurred_at
      from original_id n join ledger() x on x.merchant_no = ${merchantNo} and ${isRecord('x', sql`n.id`, sql`n.id_hash`)}
                                  and (x.type in ('PAYMENT', 'CAPTURE', 'AUTHORIZATION') or (n.is_refund_too and x.type = 'REFUND'))
     order by n.id, n.is_refund_too, ${ORIGINAL_RANK}, ${NEWEST('x')}`.execute(db);
  if (found > FEW_ROWS) await sql`analyze original_record`.execute(db);
  const isRight = sql`case when (d.flags & 3) = 1
      then ${agrees(isSettlement, 'd.r_')} and o.type is not null
           and (d.r_original_request_id is null or d.r_original_request_id = d.original)
      else o.currency = d.currency and abs(d.amount_minor) <= o.amount_minor end`;
  const originals = sql`left join original_record o on o.id = d.original and o.is_refund_too = (d.type = 'REFUND_REVERSAL')`;
  await sql`insert into candidate
    with wrong as (
      select d.load_no, d.line from row_with_original d ${originals} group by 1, 2 having not bool_or(coalesce(${isRight}, false)))
    select distinct on (d.load_no, d.line) d.*, ${RECORD('o')}, case when o.type = 'CAPTURE' then o.original_request_id end,
           case when x.type = 'CAPTURE' then x.original_request_id end
      from wrong w join row_with_original d on d.load_no = w.load_no and d.line = w.line
      ${originals}
      left join original_record x on x.id = d.r_original_request_id and not x.is_refund_too
     order by d.load_no, d.line, d.r_occurred_at_micros desc, d.r_amount_minor, d.r_currency, d.r_status, d.r_original_request_id`.execute(
    db,
  );
}

/** How many candidates miss a record that is there, but cannot be used. */
export async function countRefused(db: Db): Promise<number> {
  const some = await sql`select from candidate where r_type is null and o_type is null limit 1`.execute(db);
  if (some.rows.length === 0) return 0;
  const found = await sql<{ count: number }>`
    select count(*)::int as count from candidate c join ledger_refused() x on ${isRecord('x', sql`coalesce(c.request_id, c.original)`)}
     where c.r_type is null and c.o_type is null`.execute(db);
  return found.rows[0]!.count;
}

/** Which of the cancelled records have a CANCEL or VOID, recorded or reported. Leaves them in a table of their own, with where they were found. */
export async function findCancelled(
  db: Db,
  loads: readonly ReadLoad[],
  others: readonly ReadLoad[],
  merchantNo: number,
): Promise<void> {
  const some = await sql`select from candidate where r_status = 'CANCELLED' limit 1`.execute(db);
  if (some.rows.length === 0) return;
  await sql`insert into cancelled
    select c.request_id, null::int as other_load from candidate c
     where c.r_status = 'CANCELLED' and exists (
       select from ledger() x where x.merchant_no = ${merchantNo} and ${isOfOriginal('x', sql`c.request_id`)}
          and x.type in ('CANCEL', 'VOID') and x.status <> 'FAILED')`.execute(db);
  for (const rows of [loads, others]) {
    const found = sql`c.request_id, case when ${rows === others} then x.load_no end`;
    // No index leads to the original that a row names.
    await withoutNestedLoops(db, () =>
      sql`insert into cancelled
      select ${found} from candidate c join ${rowsOf(rows)} x on x.original_request_id = c.request_id
       where c.r_status = 'CANCELLED' and x.type in ('CANCEL', 'VOID')
      union
      select ${found} from candidate c join ${rowsOf(rows)} x on x.original_transaction_id = c.transaction_id
       where c.r_status = 'CANCELLED' and x.type in ('CANCEL', 'VOID') and x.original_request_id is null`.execute(db),
    );
  }
}

/** Candidates in the order of their parts, each with whether it was cancelled. */
export const CANDIDATES = sql`
  select c.*, (extract(epoch from c.paid_at) * 1000000)::bigint as paid_at_micros,
         exists (select from cancelled x where x.request_id = c.request_id) as cancelled
    from candidate c`;

/**
 * What the rows showed by themselves, but for duplicates and, where the unit is wrong, what follows from it. `besideNet`: what is to
 * be said with each wrong net of a load.
 */
export async function copyRowFindings(
  db: Db,
  loads: readonly ReadLoad[],
  wrongUnit: boolean,
  besideNet: ReadonlyMap<number, string> = new Map(),
): Promise<void> {
  const left = wrongUnit ? sql`and f.kind not in ('amount_mismatch', 'net_mismatch', 'conversion_mismatch')` : sql``;
  await sql`insert into finding (of_matchable, kind, load_no, line, type, request_id, transaction_id, field, reported, recorded, difference,
                              currency, message, stake_minor, stake_currency)
    select of_matchable, kind, load_no, line, type, request_id, transaction_id, field, reported, recorded, difference,
           currency, message || coalesce(case when kind = 'net_mismatch' then b.said end, ''), stake_minor, stake_currency
      from row_finding f
      left join unnest(${[...besideNet.keys()]}::int[], ${[...besideNet.values()]}::text[]) b(of_load, said) on b.of_load = f.load_no
     where load_no = any(${loads.map((load) => load.loadNo)}::int[]) and f.kind <> 'status_mismatch' ${left}
       and not exists (select from duplicate u where u.load_no = f.load_no and u.line = f.line)`.execute(db);
}

/**
 * Rows that are not done, as their status says, and settle all the same: those whose record is done, and which no other row of the
 * batch settles. The parser has left what is to be told of each.
 */
export async function tellNotDone(db: Db, loads: readonly ReadLoad[], merchantNo: number): Promise<void> {
  const found = sql`row_finding f where load_no = any(${loads.map((load) => load.loadNo)}::int[]) and f.kind = 'status_mismatch'`;
  const some = await sql`select from ${found} limit 1`.execute(db);
  if (some.rows.length === 0) return;
  const key = sql`hashtextextended(f.request_id, 0)`;
  await sql`insert into finding (of_matchable, kind, load_no, line, type, request_id, transaction_id, field, reported, recorded, message,
                               referenced_ids)
    select of_matchable, kind, load_no, line, type, request_id, transaction_id, field, reported, recorded, message, array[request_id]
      from ${found}
       and exists (select from ledger() r where r.merchant_no = ${merchantNo} and ${isRecord('r', sql`f.request_id`, key)}
                      and r.type = f.type and r.status = 'SUCCESS')
       and not exists (select from ${rowsOf(loads)} d where d.key_hash = ${key} and d.request_id = f.request_id and d.type = f.type)`.execute(
    db,
  );
}
