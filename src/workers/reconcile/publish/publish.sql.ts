import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import type { ReportKind } from '../../../domain/formats/format.ts';
import type { NamedRows, Split } from '../../../domain/matching/coverage.ts';
import type { RunFacts } from '../../../domain/matching/run.ts';
import { SETTLING_ORDER } from '../cross-batch/cumulative.sql.ts';
import { IDENTITY, type ReadLoad, rowsOf } from '../snapshot.sql.ts';

/** Locks the batch for this run. False: another worker took over, or a later run is published already. */
export async function lockBatch(db: Db, batchNo: number, epoch: number, answers: number): Promise<boolean> {
  const mine = await sql`
    select from batch where no = ${batchNo} and epoch = ${epoch} and done < ${answers} for update`.execute(db);
  return mine.rows.length === 1;
}

export async function insertRun(
  db: Db,
  run: {
    batchNo: number;
    answers: number;
    rules: string;
    facts: unknown;
    digest: string;
    changed: boolean;
    isGone: boolean;
    coverage: unknown;
  },
  parts: readonly { loadNo: number; part: number }[],
): Promise<number> {
  const inserted = await sql<{ no: number }>`
    insert into run (batch_no, answers, rules, facts, digest, changed, is_gone, coverage)
    values (${run.batchNo}, ${run.answers}, ${run.rules}, ${JSON.stringify(run.facts)}::jsonb, ${run.digest}, ${run.changed}, ${run.isGone},
            ${JSON.stringify(run.coverage)}::jsonb) returning no`.execute(db);
  const runNo = inserted.rows[0]!.no;
  await sql`insert into run_load (run_no, load_no, part)
    select ${runNo}, load_no, part from unnest(${parts.map((p) => p.loadNo)}::int[], ${parts.map((p) => p.part)}::int[]) as u(load_no, part)`.execute(
    db,
  );
  return runNo;
}

/** Makes the run the one that readers see; null: there is nothing left for them to see. */
export const switchTo = (
  db: Db,
  batchNo: number,
  runNo: number | null,
  run: { answers: number; settlementDate: string | null; acquirer: string | null; againAtMs: number | null },
) =>
  sql`update batch set current_run = ${runNo}, done = ${run.answers}, attempts = 0, next_attempt_at = null,
         settlement_date = ${runNo === null ? sql`settlement_date` : run.settlementDate}, acquirer = ${run.acquirer},
         waiting_until = timestamptz 'epoch' + ${run.againAtMs}::int8 * interval '1 millisecond' where no = ${batchNo}`.execute(
    db,
  );

/** The interventions that this run answers, and whether its batch was read again. */
export async function causesOf(db: Db, batchNo: number, answers: number) {
  const found = await sql<{ interventions: number[]; isReplay: boolean }>`
    select coalesce(array_agg(distinct c.intervention_no) filter (where c.intervention_no is not null), '{}') as interventions,
           coalesce(bool_or(c.cause = 'replay'), false) as "isReplay"
      from batch b join run_cause c on c.batch_no = b.no and c.wanted > b.done and c.wanted <= ${answers} where b.no = ${batchNo}`.execute(
    db,
  );
  return found.rows[0]!;
}

/** Asks other batches for a run because of this one, and for the same interventions. */
export const askBecauseOf = (
  db: Db,
  batchNo: number,
  interventions: readonly number[],
  asked: readonly number[],
): Promise<unknown> =>
  sql`select want_runs(${[...asked]}::int[], 'batch', ${batchNo}::int, ${[...interventions]}::int[])`.execute(db);

/** What a batch's current run says of its rows, and which of them are named by what is open now. */
export type ToldOf = {
  batchNo: number;
  facts: RunFacts;
  coverage: Split;
  named: NamedRows[];
  /** Rows that need a record and are named, as those who told of them have said. */
  toldRows: number;
  open: number;
};

/** Of this batch, and of others in which this run has told or taken back what belongs to keys. */
export async function toldOf(db: Db, batchNo: number, runNo: number): Promise<ToldOf[]> {
  const found = await sql<ToldOf>`
    select b.no as "batchNo", r.facts, r.coverage, t.open, t.rows as "toldRows",
           coalesce((select jsonb_agg(jsonb_build_object('type', n.row_type, 'needsRecord', n.row_needs_record, 'rows', n.rows,
                                                         'settlementMinor', n.settlement_minor::text))
                       from named_row n where n.batch_no = b.no), '[]') as named
      from batch b join run r on r.no = b.current_run
     cross join lateral (
       select count(*)::int as open, count(distinct (d.load_no, d.line)) filter (where d.of_matchable)::int as rows
         from discrepancy d where d.batch_no = b.no and d.closed_run is null) t
     where r.coverage is not null and (b.no = ${batchNo} or b.no in (select batch_no from touched_batch)
             or b.no in (select batch_no from discrepancy where closed_run = ${runNo} and is_by_key))`.execute(db);
  return found.rows;
}

/** Nothing of the batch can be read: the request is answered, and no run comes of it. */
export const answerWithoutRun = (db: Db, batchNo: number, answers: number) =>
  sql`update batch set done = ${answers}, attempts = 0, next_attempt_at = null where no = ${batchNo} and done < ${answers}`.execute(
    db,
  );

const IS_ITS = sql`t.batch_no = x.batch_no and t.identity = x.identity and t.ordinal = x.ordinal`;

/** A discrepancy `x` is told just as it is. What was known at a time must stay known, so one that moves or changes is written anew. */
const isSame = (table: 'told' | 'told_by_key') => sql`${IS_ITS}
  and (t.reported, t.recorded, t.difference, t.currency, t.message, t.stake_minor, t.stake_currency, t.other_batch_no,
       t.line, t.transaction_id, t.of_matchable)
      is not distinct from (x.reported, x.recorded, x.difference, x.currency, x.message, x.stake_minor, x.stake_currency, x.other_batch_no,
       x.line, x.transaction_id, x.of_matchable)
  and (x.row_type is null or t.row_settlement_minor is not distinct from x.row_settlement_minor)
  -- The same bytes, read again, are the same place.
  and (t.load_no is not distinct from x.load_no or (x.load_no, t.load_no) in (
        select o.no, n.no from load n join load o on o.sha256 = n.sha256 and o.report_no = n.report_no
         where n.no in (select load_no from ${sql.ref(table)})))`;
const NAMES =
  'batch_no identity ordinal of_matchable kind load_no line type request_id transaction_id field reported recorded difference currency message stake_minor stake_currency other_batch_no is_by_key quoted_ids quoted_print row_type row_needs_record row_settlement_minor'.split(
    ' ',
  );
const COLUMNS = sql.raw(NAMES.join(', '));
const COLUMNS_OF_T = sql.raw(NAMES.map((name) => `t.${name}`).join(', '));

/** Closes what the run no longer tells of its batch, keeps what it still tells, opens what is new. */
export async function publishTold(db: Db, batchNo: number, runNo: number): Promise<void> {
  await sql`analyze told`.execute(db);
  await close(db, 'told', runNo, sql`x.batch_no = ${batchNo} and not x.is_by_key`);
  await keepAndOpen(db, 'told', runNo);
}

/** Whose discrepancies were decided anew by a sum of each kind. */
const SUMMED = sql`exists (select from share_key k where k.request_id = x.request_id and coalesce(k.record_type, x.type) = x.type
  and x.kind = case k.sum when 'returned' then 'over_refunded' when 'captured' then 'over_captured' else 'amount_mismatch' end)`;

export const publishSums = (db: Db, runNo: number) => publishToldByKey(db, SUMMED, runNo);

export const publishSettledTwice = (db: Db, runNo: number) =>
  publishToldByKey(
    db,
    sql`x.kind = 'settled_twice' and exists (select from settled_key k where k.request_id = x.request_id and k.type = x.type)`,
    runNo,
  );

/** The same for what belongs to keys: `decided` says whose discrepancies were decided anew, in whatever batch they stand. */
async function publishToldByKey(db: Db, decided: RawBuilder<unknown>, runNo: number): Promise<void> {
  await identifyToldByKey(db);
  const ofMerchant = sql`x.batch_no in (select b.no from batch b join batch mine on mine.merchant_no = b.merchant_no
    where mine.no = (select batch_no from run where no = ${runNo}))`;
  await close(db, 'told_by_key', runNo, sql`x.is_by_key and ${decided} and ${ofMerchant}`);
  await keepAndOpen(db, 'told_by_key', runNo);
  await sql`insert into touched_batch select distinct batch_no from told_by_key`.execute(db);
  await sql`truncate told_by_key`.execute(db);
}

/** Closes those of `mine` that are open and not told as they are. */
const close = (db: Db, table: 'told' | 'told_by_key', runNo: number, mine: RawBuilder<unknown>) =>
  sql`update discrepancy x set closed_run = ${runNo}, closed_at = now(), goes_on = exists (select from ${sql.ref(table)} t where ${IS_ITS})
    where x.closed_run is null and ${mine} and not exists (select from ${sql.ref(table)} t where ${isSame(table)})`.execute(
    db,
  );

async function keepAndOpen(db: Db, table: 'told' | 'told_by_key', runNo: number): Promise<void> {
  await sql`update discrepancy x set load_no = t.load_no, quoted_ids = t.quoted_ids, quoted_print = t.quoted_print,
      row_type = t.row_type, row_needs_record = t.row_needs_record, row_settlement_minor = t.row_settlement_minor
    from ${sql.ref(table)} t
   where x.closed_run is null and ${IS_ITS}
     and (x.load_no, x.quoted_ids, x.quoted_print, x.row_type, x.row_needs_record, x.row_settlement_minor)
         is distinct from (t.load_no, t.quoted_ids, t.quoted_print, t.row_type, t.row_needs_record, t.row_settlement_minor)`.execute(
    db,
  );
  // What this very run closed, because it changed, is the same discrepancy still: it keeps its first-seen time.
  await sql`insert into discrepancy (${COLUMNS}, first_seen_at, opened_run, opened_at)
    select ${COLUMNS_OF_T}, coalesce(o.first_seen_at, now()), ${runNo}::int, now()
      from ${sql.ref(table)} t
      left join (select batch_no, identity, ordinal, min(first_seen_at) as first_seen_at from discrepancy
                  where closed_run = ${runNo} group by 1, 2, 3) o
        on o.batch_no = t.batch_no and o.identity = t.identity and o.ordinal = t.ordinal
     where not exists (select from discrepancy x where x.closed_run is null and x.batch_no = t.batch_no and x.identity = t.identity
                          and x.ordinal = t.ordinal)`.execute(db);
}

/** Keys whose rows stand in this run or stood in the one before, and in another place too: they are decided anew. */
export async function findSettledKeys(
  db: Db,
  batchNo: number,
  loads: readonly ReadLoad[],
  others: readonly ReadLoad[],
): Promise<void> {
  await sql`insert into settled_key select type, request_id from discrepancy
    where closed_run is null and kind = 'settled_twice' and (batch_no = ${batchNo} or other_batch_no = ${batchNo})`.execute(
    db,
  );
  if (others.length > 0 && loads.length > 0) {
    await sql`insert into settled_key
      select distinct d.type, d.request_id from ${rowsOf(loads)} d
        join ${rowsOf(others)} x on x.key_hash = d.key_hash and x.request_id = d.request_id and x.type = d.type
       where d.settlement_minor is not null and x.settlement_minor is not null`.execute(db);
  }
  await sql`create temp table settled_key_once as select distinct type, request_id, hashtextextended(request_id, 0) as key_hash from settled_key`.execute(
    db,
  );
  await sql`drop table settled_key`.execute(db);
  await sql`alter table settled_key_once rename to settled_key`.execute(db);
  await sql`analyze settled_key`.execute(db);
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
const identifyToldByKey = (db: Db) =>
  sql`update told_by_key t set identity = n.identity, ordinal = n.ordinal
    from (select t.ctid as place, i.identity,
                 row_number() over (partition by t.batch_no, i.identity order by rl.part, t.load_no, t.line) - 1 as ordinal
            from told_by_key t left join load l on l.no = t.load_no
            join batch b on b.no = t.batch_no left join run_load rl on rl.run_no = b.current_run and rl.load_no = t.load_no
            cross join lateral (select concat_ws('|', ${IDENTITY}, case when t.kind = 'amount_mismatch' then 'instalments' end) as identity) i) n
   where t.ctid = n.place`.execute(db);

/**
 * Keeps what the run looked for and did not find, in place of what the run before looked for; and what it found in another batch
 * (an original, a cancellation, a refund), for a revision of that one may no longer say it. Returns how many were not found, or
 * were found where nobody reads any more.
 */
export async function replaceOpenReferences(
  db: Db,
  runNo: number,
  before: number | null,
  { merchantNo, loads, others }: { merchantNo: number; loads: readonly ReadLoad[]; others: readonly ReadLoad[] },
): Promise<number> {
  const [ownNos, otherNos] = [loads, others].map((some) => some.map((load) => load.loadNo));
  await sql`delete from run_open_reference where run_no = ${before}`.execute(db);
  const inserted = await sql`insert into run_open_reference (run_no, merchant_no, request_id, transaction_id)
    select ${runNo}::int, ${merchantNo}::int, null, transaction_id from reference where request_id is null
    union all
    select ${runNo}::int, ${merchantNo}::int, c.request_id, c.transaction_id from candidate c
     where c.r_status = 'CANCELLED' and not exists (select from cancelled x where x.request_id = c.request_id)
    union all
    select ${runNo}::int, ${merchantNo}::int, case when n.transaction_id is null then n.request_id end, n.transaction_id
      from named_refund n where n.payment is null`.execute(db);
  await sql`drop table if exists pg_temp.found_elsewhere`.execute(db);
  // What a batch has found in its own loads, or in a record, no other report can take back.
  await sql`create temp table found_elsewhere as
    select null::text collate "C" as request_id, transaction_id, other_load from reference where other_load is not null
    union all
    select c.request_id, c.transaction_id, x.other_load from candidate c join cancelled x on x.request_id = c.request_id
     where c.r_status = 'CANCELLED' and not exists (select from cancelled y where y.request_id = c.request_id and y.other_load is null)
    union all
    select request_id, null, refund_load from named_refund where refund_load <> all(${ownNos}::int[])
    union all
    select null, transaction_id, payment_load from named_refund where payment_load <> all(${ownNos}::int[])`.execute(
    db,
  );
  const found = await sql`insert into run_open_reference (run_no, merchant_no, request_id, transaction_id)
    select distinct ${runNo}::int, ${merchantNo}::int, request_id, transaction_id from found_elsewhere`.execute(db);
  if ((found.numAffectedRows ?? 0n) === 0n) return Number(inserted.numAffectedRows ?? 0n);
  const gone = await sql`select from found_elsewhere where other_load <> all(${otherNos}::int[]) limit 1`.execute(db);
  return Number(inserted.numAffectedRows ?? 0n) + gone.rows.length;
}

/** The batches that looked for rows which stand in these loads, old or new. */
export async function withOpenReferences(
  db: Db,
  loads: readonly ReadLoad[],
  { merchantNo, batchNo }: { merchantNo: number; batchNo: number },
): Promise<number[]> {
  if (loads.length === 0) return [];
  const open = await sql`select from run_open_reference o join batch b on b.current_run = o.run_no
    where o.merchant_no = ${merchantNo} and b.no <> ${batchNo} limit 1`.execute(db);
  if (open.rows.length === 0) return [];
  const found = await sql<{ no: number }>`
      select b.no from run_open_reference o join batch b on b.current_run = o.run_no and b.no <> ${batchNo}
        join ${rowsOf(loads)} d on d.transaction_id = o.transaction_id and d.request_id is not null
       where o.merchant_no = ${merchantNo} and o.request_id is null
      union
      select b.no from run_open_reference o join batch b on b.current_run = o.run_no and b.no <> ${batchNo}
        join ${rowsOf(loads)} d on d.original_request_id = o.request_id
       where o.merchant_no = ${merchantNo} and o.request_id is not null and d.type in ('CANCEL', 'VOID')
      union
      select b.no from run_open_reference o join batch b on b.current_run = o.run_no and b.no <> ${batchNo}
        join ${rowsOf(loads)} d on d.original_request_id is null and d.original_transaction_id = o.transaction_id
       where o.merchant_no = ${merchantNo} and o.request_id is not null and d.type in ('CANCEL', 'VOID')
      union
      select b.no from run_open_reference o join batch b on b.current_run = o.run_no and b.no <> ${batchNo}
        join ${rowsOf(loads)} d on d.request_id = o.request_id and d.type = 'REFUND'
       where o.merchant_no = ${merchantNo} and o.transaction_id is null`.execute(db);
  return found.rows.map((row) => row.no);
}

/**
 * The neighbouring days whose answer this day's report can change: those that miss records which may stand in it, and, where it
 * replaced an older report, all.
 */
export async function neighboursOf(
  db: Db,
  { merchantNo, day, replaced }: { merchantNo: number; day: string; replaced: boolean },
): Promise<number[]> {
  const found = await sql<{ no: number }>`
    select b.no from batch b
     where b.merchant_no = ${merchantNo} and b.batch_id is null and b.day in (${day}::date - 1, ${day}::date + 1)
       and b.current_run is not null
       and (${replaced} or exists (select from discrepancy x where x.batch_no = b.no and x.closed_run is null and x.kind = 'unreported_transaction'))`.execute(
    db,
  );
  return found.rows.map((row) => row.no);
}

/** Runs of the merchant's other batches that were published after this one looked, and read what nobody had read before. */
export async function publishedSince(db: Db, merchantNo: number, batchNo: number, lastRun: number) {
  const found = await sql<{ batchNo: number; day: string | null; isSettlement: boolean }>`
    select b.no as "batchNo", b.day::text, b.batch_id is not null as "isSettlement" from run r join batch b on b.no = r.batch_no
     where r.no > ${lastRun} and r.changed and b.merchant_no = ${merchantNo} and b.no <> ${batchNo}`.execute(db);
  return found.rows;
}

export async function wantedOf(db: Db, batchNos: readonly number[]) {
  const found = await sql<{ batchNo: number; wanted: number; attempt: number }>`
    select no as "batchNo", wanted, attempts as attempt from batch where no = any(${[...batchNos]}::int[]) and done < wanted`.execute(
    db,
  );
  return found.rows;
}

/** The rows of a batch's current run by what became of them. In a report of the wrong unit none is matched. */
export async function rowOutcomes(db: Db, batchNo: number) {
  const found = await sql<{
    source: string;
    kind: ReportKind;
    matched: bigint;
    discrepant: bigint;
    refused: bigint;
    unmatchable: bigint;
  }>`
    select source, kind, sum(matchable - told)::int8 as matched, sum(told)::int8 as discrepant, sum(refused)::int8 as refused,
           sum(rows - refused - matchable)::int8 as unmatchable
      from (
        select y.source, r.kind, (l.facts->>'rows')::int8 as rows, (l.facts->>'refusedRows')::int8 as refused,
               (l.facts->>'matchableRows')::int8 as matchable,
               case when (n.facts->>'wrongUnit')::boolean then (l.facts->>'matchableRows')::int8 else t.told end as told
          from batch b join run n on n.no = b.current_run join run_load rl on rl.run_no = n.no
          join load l on l.no = rl.load_no join delivery y on y.no = l.delivery_no join report r on r.no = l.report_no
          left join (select load_no, count(distinct line) as told from discrepancy
                      where batch_no = ${batchNo} and closed_run is null and of_matchable group by 1) t0 on t0.load_no = l.no
          cross join lateral (select coalesce(t0.told, 0) as told) t
         where b.no = ${batchNo}) counted
     group by 1, 2`.execute(db);
  return found.rows;
}

/**
 * Settlement amounts of the rows of a batch's current run, as magnitudes in the smallest unit, by what became of the row. A million
 * rows take 0.25 s.
 */
export async function amountOutcomes(db: Db, batchNo: number, loads: readonly ReadLoad[]) {
  const found = await sql<{ source: string; outcome: 'matched' | 'discrepant' | 'unmatchable'; amountMinor: string }>`
    select y.source, s.outcome, sum(s.amount)::text as "amountMinor"
      from (select d.load_no, sum(abs(d.settlement_minor)) as amount,
                   case when (d.flags & 3) not in (1, 2) then 'unmatchable' when t.line is null and not n.wrong_unit then 'matched' else 'discrepant' end as outcome
              from ${rowsOf(loads)} d
             cross join (select coalesce((r.facts->>'wrongUnit')::boolean, false) as wrong_unit
                           from batch b join run r on r.no = b.current_run where b.no = ${batchNo}) n
              left join (select distinct load_no, line from discrepancy
                          where batch_no = ${batchNo} and closed_run is null and of_matchable) t on t.load_no = d.load_no and t.line = d.line
             where d.settlement_minor <> 0 group by 1, 3) s
      join load l on l.no = s.load_no join delivery y on y.no = l.delivery_no
     group by 1, 2`.execute(db);
  return found.rows;
}
