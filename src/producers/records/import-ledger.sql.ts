import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { keepLateDays } from '../schedule/late-days.sql.ts';

/** One import at a time: which of two files is the later one must be clear. */
export const lockLedger = (db: Db) => sql`select pg_advisory_xact_lock(7355612)`.execute(db);

export async function makeStagingTable(db: Db): Promise<void> {
  await sql`drop table if exists pg_temp.staged`.execute(db);
  await sql`create temp table staged (line int, merchant_id text collate "C", type text collate "C", request_id text collate "C",
    amount_minor bigint, currency text collate "C", status text collate "C", occurred_at timestamptz,
    original_request_id text collate "C", order_id text, source text, key_hash bigint, merchant_no int)`.execute(db);
}

export const COPY_STAGED = `copy staged (line, merchant_id, type, request_id, amount_minor, currency, status, occurred_at, original_request_id,
  order_id, source, key_hash) from stdin (format binary)`;

/** The merchants that the file names; null where it names none. */
export async function stagedMerchants(db: Db): Promise<(string | null)[]> {
  await sql`analyze staged`.execute(db);
  const found = await sql<{ id: string | null }>`
    select merchant_id as id from staged group by 1 order by 1 nulls last`.execute(db);
  return found.rows.map((row) => row.id);
}

export const assignMerchant = (db: Db, id: string | null, merchantNo: number) =>
  sql`update staged set merchant_no = ${merchantNo} where merchant_id is not distinct from ${id}`.execute(db);

/** Takes out what belongs to no merchant. Returns the lines. */
export async function dropUnassigned(db: Db): Promise<number[]> {
  const dropped = await sql<{ line: number }>`delete from staged where merchant_no is null returning line`.execute(db);
  return dropped.rows.map((row) => row.line).sort((a, b) => a - b);
}

const KEY = sql`merchant_no, type, request_id`;

/** Of a key that stands in the file several times the first counts. Returns the later lines that say something else. */
export async function dropContradictions(db: Db): Promise<number[]> {
  const dropped = await sql<{ line: number; differs: boolean }>`
    with twice as (
      select ctid as place, line,
             row(amount_minor, currency, status, occurred_at, original_request_id, order_id, source) as content,
             first_value(row(amount_minor, currency, status, occurred_at, original_request_id, order_id, source))
               over (partition by ${KEY} order by line) as first_content,
             row_number() over (partition by ${KEY} order by line) as nth
        from staged where key_hash in (select key_hash from staged group by key_hash having count(*) > 1))
    delete from staged s using twice t where s.ctid = t.place and t.nth > 1
    returning t.line, t.content is distinct from t.first_content as differs`.execute(db);
  return dropped.rows
    .filter((row) => row.differs)
    .map((row) => row.line)
    .sort((a, b) => a - b);
}

/** Brings the book up to date with what is staged. In key order, so that the index grows at one end of each page. */
export async function mergeStaged(db: Db): Promise<{ inserted: number; changed: number }> {
  const content = sql.raw('amount_minor, currency, status, occurred_at, original_request_id, order_id, source');
  await sql`drop table if exists pg_temp.changed_record`.execute(db);
  await sql`create temp table changed_record (merchant_no int, request_id text collate "C", original_request_id text collate "C",
    key_hash bigint, occurred_at timestamptz, is_new boolean)`.execute(db);
  await sql`
    with merged as (
      insert into record as r (${KEY}, ${content}, key_hash)
      select ${KEY}, ${content}, key_hash from staged order by key_hash
      on conflict (key_hash, merchant_no, type, request_id) do update
        set (${content}) = row(excluded.amount_minor, excluded.currency, excluded.status, excluded.occurred_at, excluded.original_request_id,
                               excluded.order_id, excluded.source)
      where (r.amount_minor, r.currency, r.status, r.occurred_at, r.original_request_id, r.order_id, r.source)
            is distinct from (excluded.amount_minor, excluded.currency, excluded.status, excluded.occurred_at, excluded.original_request_id,
                              excluded.order_id, excluded.source)
      returning r.merchant_no, r.request_id, r.original_request_id, r.key_hash, r.occurred_at, r.xmax = 0 as is_new)
    insert into changed_record select * from merged`.execute(db);
  await sql`drop table staged`.execute(db);
  const counted = await sql<{ inserted: number; changed: number }>`
    select count(*) filter (where is_new)::int as inserted, count(*) filter (where not is_new)::int as changed from changed_record`.execute(
    db,
  );
  return counted.rows[0]!;
}

/** Wants a new run of every batch and day whose answer the changed records can change. The sweep asks for them. */
export async function wantRunsOfChanged(db: Db): Promise<void> {
  await sql`analyze changed_record`.execute(db);
  await keepLateDays(db, 'changed_record');
  await sql`
    select want_runs(array(select no from batch where (current_run is not null or batch_id is null) and no in (
       -- What is told of such a record, or of its absence.
       select d.batch_no from discrepancy d join batch b on b.no = d.batch_no
         join changed_record c on c.merchant_no = b.merchant_no and c.request_id = d.request_id where d.closed_run is null
       union
       select d.batch_no from discrepancy d join batch b on b.no = d.batch_no
         join changed_record c on c.merchant_no = b.merchant_no and c.request_id = d.reported
        where d.closed_run is null and d.kind in ('orphan_row', 'original_mismatch')
       union
       select d.batch_no from discrepancy d join batch b on b.no = d.batch_no
         join changed_record c on c.merchant_no = b.merchant_no and c.original_request_id = d.request_id where d.closed_run is null
       union
       -- The days on which such a record may fall, whatever the time zone.
       select b.no from batch b
         join (select distinct merchant_no, occurred_at::date as day from changed_record) c
           on c.merchant_no = b.merchant_no and b.day between c.day - 1 and c.day + 1
        where b.batch_id is null
       union
       -- Rows that were compared with what it said before, and those that count towards a sum which is compared with it.
       select b.no from changed_record c join report_row d on d.key_hash = c.key_hash
         join run_load l on l.load_no = d.load_no join batch b on b.current_run = l.run_no and b.merchant_no = c.merchant_no
        where not c.is_new
       union
       select b.no from changed_record c
         join run_share f on f.key_hash = hashtextextended(c.request_id, 0) and f.merchant_no = c.merchant_no and f.request_id = c.request_id
         join batch b on b.current_run = f.run_no)), 'records')`.execute(db);
}

/** Whether there is any record at all to compare with. */
export async function hasRecords(db: Db): Promise<boolean> {
  const found = await sql`select from ledger() limit 1`.execute(db);
  return found.rows.length > 0;
}
