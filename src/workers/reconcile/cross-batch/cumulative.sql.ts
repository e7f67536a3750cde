import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { DISPUTE_TYPES } from '../../../domain/matching/cumulative.ts';
import { NEWEST, RECORD } from '../../../store/ledger/columns.ts';
import { fingerprintsOf, isRecord } from '../../../store/ledger/conditions.ts';
import { type ReadLoad, rowsOf } from '../../../store/loads.ts';
import { MAY_BE_ORIGINAL } from '../match/originals.sql.ts';
import { FEW_ROWS, fill } from '../work-tables.sql.ts';

const REFUNDS = ['REFUND', 'REFUND_REVERSAL'];
const SHARING = [...REFUNDS, ...DISPUTE_TYPES, 'CAPTURE'];
const IN_INSTALMENTS = sql`(s.flags & 4) <> 0`;

/**
 * The rows of this batch that count towards a sum over several batches, each with the original that it leads to; a reversal that
 * names a refund leads to that refund's payment. `types`: those that stand in the batch.
 */
export async function findAllocations(
  db: Db,
  loads: readonly ReadLoad[],
  others: readonly ReadLoad[],
  {
    merchantNo,
    types,
    isLarge,
    hasReferences,
  }: { merchantNo: number; types: readonly string[]; isLarge: boolean; hasReferences: boolean },
): Promise<void> {
  const sharing = SHARING.filter((type) => types.includes(type));
  // Without references to resolve the temporary table stays out, which one process alone may read.
  const original = hasReferences ? sql`coalesce(s.original_request_id, f.request_id)` : sql`s.original_request_id`;
  const resolved = hasReferences
    ? sql`left join reference f on s.original_request_id is null and f.transaction_id = s.original_transaction_id`
    : sql``;
  const rows = sql`
    select s.load_no, s.line, s.flags, s.type, s.request_id, s.transaction_id, ${original} as original, s.amount_minor, s.currency,
           s.settlement_minor, s.settlement_minor is not null as is_settled, s.settlement_minor = s.fee_minor as is_fee_alone
      from ${rowsOf(loads)} s ${resolved}
     where (${IN_INSTALMENTS} or s.type in (${textsOf(sharing)})) and s.amount_minor is not null
       and not exists (select from duplicate u where u.load_no = s.load_no and u.line = s.line)`;
  await fill(db, 'allocation', rows, isLarge);
  if (!types.includes('REFUND_REVERSAL')) return;
  await sql`update allocation s set original = n.original
      from (select n.id, min(x.original_request_id collate "C") as original
              from (select distinct original as id from allocation where type = 'REFUND_REVERSAL') n
              join ledger() x on x.merchant_no = ${merchantNo} and ${isRecord('x', sql`n.id`)} and x.type = 'REFUND'
             where x.original_request_id is not null group by 1) n
     where s.type = 'REFUND_REVERSAL' and s.original = n.id`.execute(db);
  await followRefunds(db, [...loads, ...others], merchantNo);
}

/** Constants in the text: of the type of the column, and known to whoever plans. */
const textsOf = (texts: readonly string[]): RawBuilder<unknown> =>
  texts.length === 0 ? sql`null` : sql.join(texts.map((text) => sql.lit(text)));

/**
 * Leads reversals that still name a refund, in whichever report it stands, to that refund's payment. What is found or not found
 * there is left in a table, to be asked again when it comes, or says something else.
 */
async function followRefunds(db: Db, all: readonly ReadLoad[], merchantNo: number): Promise<void> {
  const named = await sql<{ id: string }>`
    select distinct s.original as id from allocation s
     where s.type = 'REFUND_REVERSAL' and s.original is not null and not exists (
       select from ledger() x where x.merchant_no = ${merchantNo} and ${isRecord('x', sql`s.original`)}
          and x.type in ('PAYMENT', 'CAPTURE', 'AUTHORIZATION'))`.execute(db);
  if (named.rows.length === 0) return;
  await sql`insert into named_refund (request_id, refund_load, payment, transaction_id)
    select distinct on (s.id) s.id, x.load_no, x.original_request_id, x.original_transaction_id
      from unnest(${named.rows.map(({ id }) => id)}::text[]) s(id)
      left join ${rowsOf(all)} x on x.key_hash = hashtextextended(s.id, 0) and x.request_id = s.id and x.type = 'REFUND'
     order by s.id, x.original_request_id, x.original_transaction_id`.execute(db);
  await sql`update named_refund n set payment = x.request_id, payment_load = x.load_no
    from (select distinct on (d.transaction_id) d.transaction_id, d.request_id, d.load_no from ${rowsOf(all)} d
           where d.transaction_id in (select transaction_id from named_refund where payment is null) and d.request_id is not null
             and ${MAY_BE_ORIGINAL}
           order by d.transaction_id, d.type <> 'PAYMENT', d.type, d.request_id) x
   where n.payment is null and n.transaction_id = x.transaction_id`.execute(db);
  await sql`update allocation s set original = n.payment from named_refund n
     where s.type = 'REFUND_REVERSAL' and n.request_id = s.original and n.payment is not null`.execute(db);
}

/** Takes over the shares of this run, and leaves the keys of theirs and of those of the run before. Returns how many there are. */
export async function replaceAllocations(
  db: Db,
  runNo: number,
  before: number | null,
  merchantNo: number,
): Promise<number> {
  const columns = (total: string, recordType: RawBuilder<unknown>, key: RawBuilder<unknown>) =>
    sql`${runNo}::int, ${merchantNo}::int, ${total}, ${recordType}, ${key}, hashtextextended(${key}, 0), s.load_no, s.line, s.flags, s.type, s.currency, s.is_settled, s.settlement_minor`;
  const payment = sql`s.original`;
  // In the order of their keys, so that the index grows at one end of each page.
  await sql`insert into run_allocation (run_no, merchant_no, total, record_type, request_id, key_hash, load_no, line, flags, type, currency, is_settled, settlement_minor,
                                   own_request_id, transaction_id, amount_minor)
    select ${columns('refunded', sql`null`, payment)}, case when s.type in (${textsOf(REFUNDS)}) then s.request_id end, null,
           case s.type when 'REFUND' then abs(s.amount_minor) when 'REFUND_REVERSAL' then -abs(s.amount_minor) else -s.amount_minor end
      from allocation s
     where s.original is not null
       and (s.type in (${textsOf(REFUNDS)}) or s.type in (${textsOf(DISPUTE_TYPES)}) and s.is_settled and s.is_fee_alone is not true)
    union all
    select ${columns('captured', sql`'AUTHORIZATION'`, payment)}, case when ${IN_INSTALMENTS} then s.request_id end, null, abs(s.amount_minor)
      from allocation s where s.type = 'CAPTURE' and s.original is not null and s.is_settled
    union all
    select ${columns('instalments', sql`s.type`, sql`s.request_id`)}, null, s.transaction_id, abs(s.amount_minor)
      from allocation s where ${IN_INSTALMENTS} and (s.flags & 3) = 1 and s.request_id is not null and s.is_settled
    order by 6`.execute(db);
  const keys = sql`select distinct total, record_type, request_id, key_hash from run_allocation where run_no in (${runNo}, ${before})`;
  const found = await fill(db, 'allocation_key', keys, false);
  await sql`delete from run_allocation where run_no = ${before}`.execute(db);
  if (found > FEW_ROWS) await sql`analyze allocation_key`.execute(db);
  return found;
}

/** Settlement date, batch id, currency, part, line: the order in which rows settle. A batch without a date is before all others. */
export const SETTLING_ORDER = sql`b.settlement_date nulls first, b.batch_id, b.currency, rl.part, x.line`;

/** The same, but by file: names that differ by a provider or method are numbered each by itself, and a sum is told on one row of all. */
const SUMMING_ORDER = sql`b.settlement_date nulls first, b.batch_id, b.currency, y.file, rl.part, x.line`;

/** Leaves the keys whose shares, by their sum alone, may exceed or miss what is recorded. Returns how many there are. */
export const findExceededTotals = (db: Db, merchantNo: number): Promise<number> => {
  const keys = sql`
    select distinct s.total, s.record_type, s.request_id, s.key_hash from (
      select k.total, k.record_type, k.request_id, k.key_hash, x.currency, sum(x.amount_minor) as sum_minor,
             sum(greatest(x.amount_minor, 0)) as added_minor, min(x.amount_minor) as least_minor, max(x.amount_minor) as most_minor,
             count(*) as shares, max(x.flags >> 4) as instalments
        from allocation_key k join run_allocation x on x.merchant_no = ${merchantNo} and x.key_hash = k.key_hash and x.total = k.total
         and x.request_id = k.request_id and x.record_type is not distinct from k.record_type
       group by 1, 2, 3, 4, 5) s
      join ledger() r on r.merchant_no = ${merchantNo} and ${isRecord('r', sql`s.request_id`, sql`s.key_hash`)} and r.currency = s.currency
       and r.type = coalesce(s.record_type, r.type)
     where case s.total when 'instalments'
                then (s.least_minor <> r.amount_minor or s.most_minor <> r.amount_minor)
                     and (s.sum_minor > r.amount_minor or s.shares >= s.instalments and s.sum_minor < r.amount_minor)
                else s.added_minor > r.amount_minor end`;
  return fill(db, 'exceeded_total', keys, false);
};

/**
 * The shares of each of these records, record by record, in the order in which they settle; with the record. A share in another
 * currency is none, and two kinds of rows come again without adding anything: what waited to be settled and is settled by now, and
 * instalments of which each prints the whole.
 */
export const exceededTotals = (merchantNo: number): RawBuilder<unknown> => sql`
  with compared as (
    select distinct on (k.total, k.record_type, k.request_id) k.total, k.record_type as key_type, k.key_hash as key, ${RECORD('x', 'r')}, x.currency,
           x.request_id
      from exceeded_total k join ledger() x on x.merchant_no = ${merchantNo} and ${isRecord('x', sql`k.request_id`, sql`k.key_hash`)}
       and (x.type = k.record_type or k.record_type is null and x.type in ('PAYMENT', 'CAPTURE', 'AUTHORIZATION'))
     order by k.total, k.record_type, k.request_id, array_position(array['PAYMENT', 'CAPTURE', 'AUTHORIZATION'], x.type), ${NEWEST('x')}),
  placed as (
    select c.*, x.load_no, x.line, x.flags, x.type, x.own_request_id, x.transaction_id, x.amount_minor, x.is_settled, x.settlement_minor, b.no as batch_no,
           row_number() over (order by c.total, c.r_type, c.request_id, ${SUMMING_ORDER}) as place,
           row_number() over (partition by c.total, c.r_type, c.request_id, x.type, x.own_request_id order by ${SUMMING_ORDER}) as time
      from compared c
      join run_allocation x on x.merchant_no = ${merchantNo} and x.key_hash = c.key and x.total = c.total and x.request_id = c.request_id
       and x.record_type is not distinct from c.key_type and x.currency = c.currency
      join run_load rl on rl.run_no = x.run_no and rl.load_no = x.load_no
      join batch b on b.current_run = x.run_no
      join load l on l.no = x.load_no
      join delivery y on y.no = l.delivery_no),
  again as materialized (
    select distinct own_request_id, type, abs(amount_minor) as amount_minor from placed
     where time > 1 and (flags & 4) <> 0 and total <> 'instalments' and own_request_id is not null),
  whole as materialized (
    select a.* from again a join ledger() w on w.merchant_no = ${merchantNo} and ${isRecord('w', sql`a.own_request_id`)}
       and w.type = a.type and w.amount_minor = a.amount_minor)
  select p.*, n.fingerprint from placed p
    left join ${fingerprintsOf(sql`select distinct request_id as place, ${merchantNo}::int as merchant_no, array[request_id] as ids, false as has_cancels from exceeded_total`)} n
      on n.place = p.request_id
   where (p.is_settled or not exists (
            select from run_allocation t where t.merchant_no = ${merchantNo} and t.key_hash = p.key and t.total = p.total and t.request_id = p.request_id
               and t.type = p.type and t.own_request_id = p.own_request_id and t.is_settled))
     and (p.time = 1 or (p.flags & 4) = 0 or p.total = 'instalments' or not exists (
            select from whole w where w.own_request_id = p.own_request_id and w.type = p.type and w.amount_minor = abs(p.amount_minor)))
   order by p.place`;
