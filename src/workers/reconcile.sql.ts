import { type RawBuilder, sql } from 'kysely';
import { hasCancels, isOfOriginal, isRecord, occurredBetween, printsOf } from '../adapters/ledger.ts';
import type { Db } from '../adapters/postgres.ts';
import type { Currency } from '../domain/currency.ts';
import type { Facts } from '../domain/facts.ts';

/** A load that a run reads, in the order of its parts. */
export type ReadLoad = { readonly loadNo: number; readonly slot: number };

/** Rows of these loads. Numbers stand in the text, so that Postgres leaves out all other partitions when it plans. */
export const rowsOf = (loads: readonly ReadLoad[]): RawBuilder<unknown> =>
  loads.length === 0
    ? sql`(select * from report_row where false)`
    : sql`(select * from report_row where slot in (${sql.raw([...new Set(loads.map((load) => load.slot))].join(', '))})
        and load_no in (${sql.raw(loads.map((load) => load.loadNo).join(', '))}))`;

/** The place of a load among the parts of its batch. */
const partOf = (loads: readonly ReadLoad[], column: string): RawBuilder<number> =>
  sql`array_position(array[${sql.raw(loads.map((load) => load.loadNo).join(', ') || '0')}]::int[], ${sql.ref(column)})`;

/** Temporary tables of one reconciliation; the connection may have served another one before. */
export async function makeWorkTables(db: Db): Promise<void> {
  // For each of several processes: enough for a million rows, and what is more goes to disk rather than into memory.
  await sql`set work_mem = '16MB'`.execute(db);
  for (const table of [
    'candidate',
    'twin_key',
    'suspect',
    'related',
    'named',
    'original_record',
    'reference',
    'cancelled',
    'duplicate',
    'told',
    'told_by_key',
    'share',
    'named_refund',
    'settled_key',
  ]) {
    await sql`drop table if exists pg_temp.${sql.ref(table)}`.execute(db);
  }
  await sql`create temp table duplicate (load_no int, line int, primary key (load_no, line))`.execute(db);
  await sql`create temp table reference (transaction_id text collate "C", request_id text collate "C", other_load int)`.execute(
    db,
  );
  await sql`create temp table named_refund (request_id text collate "C", payment text collate "C", transaction_id text collate "C",
    refund_load int, payment_load int)`.execute(db);
  await sql`create temp table settled_key (type text collate "C", request_id text collate "C")`.execute(db);
  await sql`create temp table told (
    batch_no int, identity text collate "C", ordinal int, of_matchable boolean, kind text collate "C", load_no int, line int,
    type text collate "C", request_id text collate "C", transaction_id text collate "C", field text collate "C",
    reported text, recorded text, difference text, currency text, message text, stake_minor numeric, stake_currency text,
    other_batch_no int, is_by_key boolean not null default false, quoted_ids text[] collate "C", quoted_print bigint)`.execute(
    db,
  );
  await sql`create temp table told_by_key (like told)`.execute(db);
  await sql`alter table told_by_key alter is_by_key set default true`.execute(db);
}

export type BatchRow = {
  no: number;
  merchantNo: number;
  merchantId: string;
  batchId: string | null;
  currency: Currency | null;
  day: string | null;
  wanted: number;
  done: number;
  currentRun: number | null;
};

/** Takes a batch: whoever holds an older epoch can no longer publish. Null: nothing is wanted of it. */
export async function takeBatch(db: Db, batchNo: number): Promise<{ epoch: number } | null> {
  const taken = await sql<{ epoch: number }>`
    update batch set epoch = epoch + 1 where no = ${batchNo} and done < wanted and parked_reason is null
    returning epoch`.execute(db);
  return taken.rows[0] ?? null;
}

export async function batchOf(db: Db, batchNo: number): Promise<BatchRow> {
  const found = await sql<BatchRow>`
    select b.no, b.merchant_no as "merchantNo", m.id as "merchantId", b.batch_id as "batchId", b.currency, b.day::text,
           b.wanted, b.done, b.current_run as "currentRun"
      from batch b join merchant m on m.no = b.merchant_no where b.no = ${batchNo}`.execute(db);
  return found.rows[0]!;
}

export type ReportState = {
  kind: 'transactionDetails' | 'settlementDetails' | 'settlementSummary';
  name: string;
  psp: string | null;
  seq: number;
  isPortal: boolean;
  /** The id of what its newest content is read as. */
  format: string | null;
  state: 'closed' | 'waiting' | 'refused' | 'duplicate' | 'withdrawn';
  loadNo: number | null;
  slot: number | null;
  facts: Facts | null;
  rules: { tolerance: string; timeZone: string } | null;
  file: string;
  source: string;
  day: string | null;
};

/** The reports of a batch: its newest content where one was read to the end, else the state of what came last. */
export async function reportsOf(db: Db, batchNo: number): Promise<ReportState[]> {
  const found = await sql<ReportState>`
    select r.kind, r.name, r.psp, r.seq, r.is_portal as "isPortal", l.format, r.load_no as "loadNo", l.slot, l.facts, l.rules, d.file, d.source, d.day::text,
           case when r.load_no is not null then 'closed' when d.state in ('found', 'reading') and d.parked_reason is null then 'waiting'
                when d.state in ('waiting', 'duplicate', 'withdrawn') then d.state else 'refused' end as state
      from report r
      left join load l on l.no = r.load_no
      join lateral (
        select file, source, state, parked_reason, directory_date as day from delivery
         where report_no = r.no and (l.delivery_no is null or no = l.delivery_no) and state not in ('dry', 'over')
         order by no desc limit 1) d on true
     where r.batch_no = ${batchNo}
     order by r.kind, coalesce(r.psp, ''), r.seq, r.name`.execute(db);
  return found.rows;
}

/** Whether a run has read any report. */
export async function hasReports(db: Db, runNo: number | null): Promise<boolean> {
  const found = await sql`select from run_load where run_no = ${runNo} limit 1`.execute(db);
  return found.rows.length > 0;
}

/** Totals once more, summed by the database from the rows that it holds. */
export async function sumsOf(db: Db, loads: readonly ReadLoad[]) {
  const found = await sql<{ type: string; count: bigint; settlementMinor: string | null; feeMinor: string | null }>`
    select type, count(*) as count, sum(settlement_minor)::text as "settlementMinor", sum(fee_minor)::text as "feeMinor"
      from ${rowsOf(loads)} d group by type`.execute(db);
  return found.rows;
}

export async function summaryRowsOf(db: Db, loads: readonly ReadLoad[]) {
  // Rows of one type are added and the first is named: grouping here bounds what a strange file can bring.
  const found = await sql<{
    type: string | null;
    count: string | null;
    settlementMinor: string | null;
    feeMinor: string | null;
    place: number[];
  }>`
    select type, sum(row_count)::text as count, sum(settlement_minor)::text as "settlementMinor", sum(fee_minor)::text as "feeMinor",
           min(array[${partOf(loads, 'load_no')}, load_no, line]) as place
      from summary_row where load_no = any(${loads.map((load) => load.loadNo)}::int[])
     group by type order by place`.execute(db);
  return found.rows.map(({ place, ...row }) => ({ ...row, loadNo: place[1]!, line: place[2]! }));
}

/** Leaves the keys that stand in several rows of the batch in a table of their own. Returns how many there are. */
export async function findTwinKeys(db: Db, loads: readonly ReadLoad[]): Promise<number> {
  // Sorting whole numbers takes half the time of hashing them.
  await sql`set local enable_hashagg = off`.execute(db);
  await sql`create temp table twin_key as
    select key_hash from ${rowsOf(loads)} d where key_hash is not null group by key_hash having count(*) > 1`.execute(
    db,
  );
  await sql`set local enable_hashagg = on`.execute(db);
  const found = await sql<{ count: number }>`select count(*)::int as count from twin_key`.execute(db);
  return found.rows[0]!.count;
}

/** Rows of those keys, key by key, each key's in the order of the parts. */
export const twinRows = (loads: readonly ReadLoad[]): RawBuilder<unknown> => sql`
  select d.*, (extract(epoch from d.paid_at) * 1000000)::bigint as paid_at_micros
    from ${rowsOf(loads)} d where d.key_hash in (select key_hash from twin_key)
   order by d.key_hash, ${partOf(loads, 'd.load_no')}, d.line`;

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
  const some = await sql`select from reference limit 1`.execute(db);
  for (const rows of [loads, others]) {
    const open = await sql`select from reference where request_id is null limit 1`.execute(db);
    if (open.rows.length === 0 || rows.length === 0) continue;
    await sql`update reference f set request_id = x.request_id, other_load = case when ${rows === others} then x.load_no end
      from (select distinct on (d.transaction_id) d.transaction_id, d.request_id, d.load_no
              from ${rowsOf(rows)} d join reference o on o.transaction_id = d.transaction_id and o.request_id is null
             where d.request_id is not null and ${MAY_BE_ORIGINAL}
             order by d.transaction_id, d.type <> 'PAYMENT', d.type, d.request_id) x
     where f.request_id is null and f.transaction_id = x.transaction_id`.execute(db);
  }
  return some.rows.length > 0;
}

/** Ranks that say which record of an id is the payment: the payment itself, else its capture, else its authorization. */
const ORIGINAL_RANK = sql`array_position(array['REFUND', 'PAYMENT', 'CAPTURE', 'AUTHORIZATION'], x.type)`;

/** Of several records with one key, which no merchant should have, it is always the same one that counts: the newest. */
export const NEWEST = (alias: string) =>
  sql.raw(
    `${alias}.occurred_at desc, ${alias}.amount_minor, ${alias}.currency, ${alias}.status, ${alias}.original_request_id`,
  );

const RECORD_COLUMNS = 'type request_id amount_minor currency status original_request_id occurred_at_micros'.split(' ');

/** A record, spelled with a prefix so that it can stand beside a row. */
export const RECORD = (alias: string, prefix = alias) =>
  sql.raw(`${alias}.type as ${prefix}_type, ${alias}.request_id as ${prefix}_request_id,
  ${alias}.amount_minor as ${prefix}_amount_minor, ${alias}.currency as ${prefix}_currency, ${alias}.status as ${prefix}_status,
  ${alias}.original_request_id as ${prefix}_original_request_id,
  (extract(epoch from ${alias}.occurred_at) * 1000000)::bigint as ${prefix}_occurred_at_micros`);

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

/** From so many rows on the merchant's records are read as a whole rather than one by one. */
export const LARGE_ROWS = 20_000;

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
    matchableRows,
    hasReferences,
    isSettlement,
  }: {
    merchantNo: number;
    paidFrom: string | null;
    paidTo: string | null;
    matchableRows: number;
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
  // A fresh table has no statistics, and looking up a million records one by one takes five times as long as one hash join.
  const isLarge = matchableRows > LARGE_ROWS;
  if (isLarge) await sql`set local enable_nestloop = off`.execute(db);
  // Only what is compared passes through the join, so that it stays in memory: nearly all rows end here.
  await sql`create temp table suspect as
    select d.load_no, d.line from ${rowsOf(loads)} d
      left join ledger() r on r.merchant_no = ${sql.raw(String(merchantNo))} and ${isRecord('r', sql`d.request_id`, sql`d.key_hash`)}
                          and r.type = d.type ${near}
     where (d.flags & 3) = 1 and d.original_request_id is null and d.original_transaction_id is null
       and not coalesce(${isRight}, false)`.execute(db);
  if (isLarge) await sql`set local enable_nestloop = on`.execute(db);
  await makeCandidates(db, loads, merchantNo);
  await addRelated(db, loads, { merchantNo, hasReferences, isSettlement });
  await sql`delete from candidate c using duplicate u where u.load_no = c.load_no and u.line = c.line`.execute(db);
}

/** Suspects with their records, however old these are; what is right then is no candidate. */
async function makeCandidates(db: Db, loads: readonly ReadLoad[], merchantNo: number): Promise<void> {
  const none = (alias: string) =>
    sql.raw(`null::text as ${alias}_type, null::text as ${alias}_request_id, null::bigint as ${alias}_amount_minor, null::text as ${alias}_currency,
      null::text as ${alias}_status, null::text as ${alias}_original_request_id, null::bigint as ${alias}_occurred_at_micros`);
  const some = await sql`select from suspect limit 1`.execute(db);
  await sql`create temp table candidate as
    select d.*, null::text collate "C" as original, ${none('r')}, ${none('o')}, null::text as reported_root, null::text as recorded_root
      from ${some.rows.length > 0 ? rowsOf(loads) : rowsOf([])} d where (d.load_no, d.line) in (select load_no, line from suspect)`.execute(
    db,
  );
  if (some.rows.length === 0) return;
  await sql`analyze candidate`.execute(db);
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
async function addRelated(
  db: Db,
  loads: readonly ReadLoad[],
  { merchantNo, hasReferences, isSettlement }: { merchantNo: number; hasReferences: boolean; isSettlement: boolean },
): Promise<void> {
  // A table made by a query is filled by all cores, one that is added to is not.
  // Without references to resolve the temporary table stays out, which one process alone may read.
  const original = hasReferences ? sql`coalesce(d.original_request_id, f.request_id)` : sql`d.original_request_id`;
  const resolved = hasReferences
    ? sql`left join reference f on d.original_request_id is null and f.transaction_id = d.original_transaction_id`
    : sql``;
  await sql`create temp table related as
    select d.*, ${original} as original, ${RECORD('r')}
      from ${rowsOf(loads)} d
      ${resolved}
      left join ledger() r on (d.flags & 3) = 1 and r.merchant_no = ${merchantNo}
                          and ${isRecord('r', sql`d.request_id`, sql`d.key_hash`)} and r.type = d.type
     where (d.flags & 3) in (1, 2) and (d.original_request_id is not null or d.original_transaction_id is not null)`.execute(
    db,
  );
  const some = await sql`select from related limit 1`.execute(db);
  if (some.rows.length === 0) return;
  await sql`create temp table named as
    select id, is_refund_too, hashtextextended(id, 0) as id_hash
      from (select original as id, type = 'REFUND_REVERSAL' as is_refund_too from related
            union select r_original_request_id, false from related) n where id is not null`.execute(db);
  await sql`analyze named`.execute(db);
  await sql`create temp table original_record as
    select distinct on (n.id, n.is_refund_too) n.id, n.is_refund_too, x.type, x.request_id, x.amount_minor, x.currency, x.status,
           x.original_request_id, x.occurred_at
      from named n join ledger() x on x.merchant_no = ${merchantNo} and ${isRecord('x', sql`n.id`, sql`n.id_hash`)}
                                  and (x.type in ('PAYMENT', 'CAPTURE', 'AUTHORIZATION') or (n.is_refund_too and x.type = 'REFUND'))
     order by n.id, n.is_refund_too, ${ORIGINAL_RANK}, ${NEWEST('x')}`.execute(db);
  await sql`analyze original_record`.execute(db);
  const isRight = sql`case when (d.flags & 3) = 1
      then ${agrees(isSettlement, 'd.r_')} and o.type is not null
           and (d.r_original_request_id is null or d.r_original_request_id = d.original)
      else o.currency = d.currency and abs(d.amount_minor) <= o.amount_minor end`;
  const originals = sql`left join original_record o on o.id = d.original and o.is_refund_too = (d.type = 'REFUND_REVERSAL')`;
  await sql`insert into candidate
    with wrong as (
      select d.load_no, d.line from related d ${originals} group by 1, 2 having not bool_or(coalesce(${isRight}, false)))
    select distinct on (d.load_no, d.line) d.*, ${RECORD('o')}, case when o.type = 'CAPTURE' then o.original_request_id end,
           case when x.type = 'CAPTURE' then x.original_request_id end
      from wrong w join related d on d.load_no = w.load_no and d.line = w.line
      ${originals}
      left join original_record x on x.id = d.r_original_request_id and not x.is_refund_too
     order by d.load_no, d.line, d.r_occurred_at_micros desc, d.r_amount_minor, d.r_currency, d.r_status, d.r_original_request_id`.execute(
    db,
  );
}

/** How many candidates miss a record that is there, but cannot be used. */
export async function countRefused(db: Db): Promise<number> {
  const made = await sql<{ isMade: boolean }>`select to_regclass('pg_temp.candidate') is not null as "isMade"`.execute(
    db,
  );
  if (!made.rows[0]!.isMade) return 0;
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
  await sql`create temp table cancelled as
    select c.request_id, null::int as other_load from candidate c
     where c.r_status = 'CANCELLED' and exists (
       select from ledger() x where x.merchant_no = ${merchantNo} and ${isOfOriginal('x', sql`c.request_id`)}
          and x.type in ('CANCEL', 'VOID') and x.status <> 'FAILED')`.execute(db);
  const some = await sql`select from candidate where r_status = 'CANCELLED' limit 1`.execute(db);
  if (some.rows.length === 0) return;
  for (const rows of [loads, others]) {
    const found = sql`c.request_id, case when ${rows === others} then x.load_no end`;
    await sql`insert into cancelled
      select ${found} from candidate c join ${rowsOf(rows)} x on x.original_request_id = c.request_id
       where c.r_status = 'CANCELLED' and x.type in ('CANCEL', 'VOID')
      union
      select ${found} from candidate c join ${rowsOf(rows)} x on x.original_transaction_id = c.transaction_id
       where c.r_status = 'CANCELLED' and x.type in ('CANCEL', 'VOID') and x.original_request_id is null`.execute(db);
  }
}

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

/** Candidates in the order of their parts, each with whether it was cancelled. */
export const CANDIDATES = sql`
  select c.*, (extract(epoch from c.paid_at) * 1000000)::bigint as paid_at_micros,
         exists (select from cancelled x where x.request_id = c.request_id) as cancelled
    from candidate c`;

/** What the rows showed by themselves, but for duplicates and, where the unit is wrong, what follows from it. */
export async function tellFindings(db: Db, loads: readonly ReadLoad[], wrongUnit: boolean): Promise<void> {
  const left = wrongUnit ? sql`and f.kind not in ('amount_mismatch', 'net_mismatch', 'conversion_mismatch')` : sql``;
  await sql`insert into told (of_matchable, kind, load_no, line, type, request_id, transaction_id, field, reported, recorded, difference,
                              currency, message, stake_minor, stake_currency)
    select of_matchable, kind, load_no, line, type, request_id, transaction_id, field, reported, recorded, difference,
           currency, message, stake_minor, stake_currency
      from row_finding f where load_no = any(${loads.map((load) => load.loadNo)}::int[]) ${left}
       and not exists (select from duplicate u where u.load_no = f.load_no and u.line = f.line)`.execute(db);
}

const onDays = (record: string, from: string, to: string, timeZone: string) =>
  occurredBetween(
    record,
    sql`(${from}::date::timestamp at time zone ${timeZone})`,
    sql`((${to}::date + 1)::timestamp at time zone ${timeZone})`,
  );

/** A record that names no source, or none that is configured, may be due in any. */
export const notOf = (sources: readonly string[]): RawBuilder<unknown> =>
  sources.length === 0 ? sql`` : sql`and (r.source is null or r.source <> all(${[...sources]}::text[]))`;

export const onlyOf = (source: string): RawBuilder<unknown> => sql`and r.source = ${source}`;

/** Records of a day that are done and stand in none of these reports. */
export const unreportedRecords = (
  loads: readonly ReadLoad[],
  {
    merchantNo,
    day,
    timeZone,
    types,
    whose,
  }: { merchantNo: number; day: string; timeZone: string; types: readonly string[]; whose: RawBuilder<unknown> },
): RawBuilder<unknown> => sql`
  select ${RECORD('r')} from ledger() r
   where r.merchant_no = ${merchantNo} and r.status = 'SUCCESS' and r.type = any(${types}::text[]) and ${onDays('r', day, day, timeZone)} ${whose}
     and not exists (select from ${rowsOf(loads)} d where d.key_hash = r.key_hash and d.request_id = r.request_id and d.type = r.type)`;

export async function hasTold(db: Db): Promise<boolean> {
  const found = await sql`select from told limit 1`.execute(db);
  return found.rows.length > 0;
}

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

/** What is read of other batches of the merchant right now. Rows that were dropped are not there: `dropped.ts` says whether they are needed. */
export async function currentLoadsOf(
  db: Db,
  merchantNo: number,
  exceptBatchNo: number,
): Promise<
  (ReadLoad & { batchNo: number; day: string | null; isSettlement: boolean; settlementDate: string | null })[]
> {
  const found = await sql<
    ReadLoad & { batchNo: number; day: string | null; isSettlement: boolean; settlementDate: string | null }
  >`
    select l.no as "loadNo", l.slot, b.no as "batchNo", b.day::text, b.batch_id is not null as "isSettlement",
           b.settlement_date::text as "settlementDate"
      from batch b join run_load rl on rl.run_no = b.current_run join load l on l.no = rl.load_no join report r on r.no = l.report_no
     where b.merchant_no = ${merchantNo} and b.no <> ${exceptBatchNo} and r.kind <> 'settlementSummary' and l.rows_dropped_at is null`.execute(
    db,
  );
  return found.rows;
}

/** Of this merchant alone: its runs are numbered in the order of their commits, those of several merchants are not. */
export async function lastRunOf(db: Db, merchantNo: number): Promise<number> {
  const found = await sql<{ no: number | null }>`
    select max(r.no) as no from run r join batch b on b.no = r.batch_no where b.merchant_no = ${merchantNo}`.execute(
    db,
  );
  return found.rows[0]!.no ?? 0;
}

/** Gives each told discrepancy its identity, and numbers those that share one. */
export async function identifyTold(db: Db, loads: readonly ReadLoad[], batchNo: number): Promise<void> {
  await sql`update told t set batch_no = ${batchNo}, identity = n.identity, ordinal = n.ordinal
    from (select t.ctid as place, i.identity,
                 row_number() over (partition by i.identity order by ${partOf(loads, 't.load_no')}, t.load_no, t.line, t.recorded, t.reported) - 1 as ordinal
            from told t left join load l on l.no = t.load_no
            cross join lateral (select ${IDENTITY} as identity) i) n
   where t.ctid = n.place`.execute(db);
}

/** Leaves beside what is told what the records said that it quotes, as they stand in this snapshot. */
export async function printQuoted(db: Db, merchantNo: number): Promise<void> {
  const some = await sql`select from told where quoted_ids is not null limit 1`.execute(db);
  if (some.rows.length === 0) return;
  await sql`update told t set quoted_print = p.print
    from ${printsOf(sql`select ctid as place, ${merchantNo}::int as merchant_no, quoted_ids as ids, ${hasCancels(sql`kind`)} as has_cancels
                          from told where quoted_ids is not null`)} p
   where t.ctid = p.place`.execute(db);
}

/** Kind, type, request or transaction id and field; the report and line where there is no id. */
export const IDENTITY = sql`concat_ws('|', t.kind, t.type, coalesce('r ' || t.request_id, 't ' || t.transaction_id,
  'f ' || l.report_no || ':' || t.line), t.field, case when t.kind = 'missing_part' then t.recorded end)`;

/** An order-free sum over what is told: 128 bits, without files and lines. */
export async function digestOfTold(db: Db): Promise<string> {
  const text = sql`concat_ws('|', kind, coalesce(type, '~'), coalesce(request_id, '~'), coalesce(transaction_id, '~'), coalesce(field, '~'),
    coalesce(reported, '~'), coalesce(recorded, '~'), coalesce(currency, '~'), stake_minor, stake_currency)`;
  const found = await sql<{ sum: string }>`
    select count(*) || ' ' || coalesce(sum(hashtextextended(${text}, 0)::numeric), 0) || ' ' ||
           coalesce(sum(hashtextextended(${text}, 7)::numeric), 0) as sum
      from told`.execute(db);
  return found.rows[0]!.sum;
}
