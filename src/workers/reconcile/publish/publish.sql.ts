import { type RawBuilder, sql } from 'kysely';
import { anyOf } from '../../../adapters/postgres/columns.ts';
import type { Db } from '../../../adapters/postgres/connection.ts';
import type { NamedRows, RunCoverage, Split } from '../../../domain/matching/coverage.ts';
import type { RunFacts } from '../../../domain/matching/run.ts';
import type { BatchRow } from '../../../store/batches.ts';
import type { ReadLoad } from '../../../store/loads.ts';
import { identifyCrossBatchFindings } from '../cross-batch/settled-twice.sql.ts';
import { FEW_ROWS } from '../work-tables.sql.ts';

/** Locks the batch for this run. Returns false if another worker claimed it, or a later run is published already. */
export async function lockBatch(db: Db, batchNo: number, epoch: number, answers: number): Promise<boolean> {
  const mine = await db
    .selectFrom('batch')
    .select('no')
    .where('no', '=', batchNo)
    .where('epoch', '=', epoch)
    .where('done', '<', answers)
    .forUpdate()
    .executeTakeFirst();
  return mine !== undefined;
}

export async function insertRun(
  db: Db,
  run: {
    batchNo: number;
    answers: number;
    rules: string;
    facts: RunFacts;
    digest: string;
    changed: boolean;
    isGone: boolean;
    coverage: RunCoverage;
  },
  parts: readonly { loadNo: number; part: number }[],
): Promise<number> {
  const { batchNo, isGone, ...rest } = run;
  const { no: runNo } = await db
    .insertInto('run')
    .values({ batch_no: batchNo, is_gone: isGone, ...rest })
    .returning('no')
    .executeTakeFirstOrThrow();
  await sql`insert into run_load (run_no, load_no, part)
    select ${runNo}, load_no, part from unnest(${parts.map((p) => p.loadNo)}::int[], ${parts.map((p) => p.part)}::int[]) as u(load_no, part)`.execute(
    db,
  );
  return runNo;
}

/** Makes the run the current one, which readers see; null if the batch has no content any more. */
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

/** Returns the interventions that this run answers, and whether its batch was replayed. */
export async function causesOf(db: Db, batchNo: number, answers: number) {
  const found = await sql<{ interventions: number[]; isReplay: boolean }>`
    select coalesce(array_agg(distinct c.intervention_no) filter (where c.intervention_no is not null), '{}') as interventions,
           coalesce(bool_or(c.cause = 'replay'), false) as "isReplay"
      from batch b join run_cause c on c.batch_no = b.no and c.wanted > b.done and c.wanted <= ${answers} where b.no = ${batchNo}`.execute(
    db,
  );
  return found.rows[0]!;
}

/** Requests runs of other batches because of this one, for the same interventions. */
export const requestRunsBecauseOf = (
  db: Db,
  batchNo: number,
  interventions: readonly number[],
  asked: readonly number[],
): Promise<unknown> =>
  sql`select want_runs(${[...asked]}::int[], 'batch', ${batchNo}::int, ${[...interventions]}::int[])`.execute(db);

/** Counts of a batch's current run, and the rows that its open discrepancies name. */
export type ToldOf = {
  batchNo: number;
  facts: RunFacts;
  coverage: Split;
  named: NamedRows[];
  /** Named rows that need a record, counted from the discrepancies. */
  toldRows: number;
  /** Without what was accepted. */
  open: number;
};

/** Returns these of this batch, and of others in which this run opened or closed cross-batch discrepancies. */
export async function toldOf(db: Db, batchNo: number, runNo: number): Promise<ToldOf[]> {
  const found = await sql<ToldOf>`
    select b.no as "batchNo", r.facts, r.coverage, t.open, t.rows as "toldRows",
           coalesce((select jsonb_agg(jsonb_build_object('type', n.row_type, 'needsRecord', n.row_needs_record, 'rows', n.rows,
                                                         'settlementMinor', n.settlement_minor::text))
                       from named_row n where n.batch_no = b.no), '[]') as named
      from batch b join run r on r.no = b.current_run
     cross join lateral (
       select (count(*) - (select count(*) from handling h where h.batch_no = b.no and h.state = 'accepted' and h.ended_at is null))::int as open,
              count(distinct (d.load_no, d.line)) filter (where d.of_matchable)::int as rows
         from discrepancy d where d.batch_no = b.no and d.closed_run is null) t
     where r.coverage is not null and (b.no = ${batchNo} or b.no in (select batch_no from touched_batch)
             or b.no in (select batch_no from discrepancy where closed_run = ${runNo} and is_cross_batch))`.execute(db);
  return found.rows;
}

/** Answers the request without a run, because nothing of the batch can be read. */
export const answerWithoutRun = (db: Db, batchNo: number, answers: number) =>
  sql`update batch set done = ${answers}, attempts = 0, next_attempt_at = null where no = ${batchNo} and done < ${answers}`.execute(
    db,
  );

const IS_ITS = sql`t.batch_no = x.batch_no and t.identity = x.identity and t.ordinal = x.ordinal`;

/**
 * True if the new finding equals the stored discrepancy `x`. A changed discrepancy is closed and reopened, not updated, so that
 * `--as-of` still shows what was known at that time. The message only puts the other columns into words: it is not compared, and
 * `keepAndOpen` updates it in place, so that a release with better sentences closes nothing.
 */
const isSame = (table: 'finding' | 'cross_batch_finding') => sql`${IS_ITS}
  and (t.reported, t.recorded, t.difference, t.currency, t.stake_minor, t.stake_currency, t.other_batch_no,
       t.line, t.transaction_id, t.of_matchable)
      is not distinct from (x.reported, x.recorded, x.difference, x.currency, x.stake_minor, x.stake_currency, x.other_batch_no,
       x.line, x.transaction_id, x.of_matchable)
  and (x.row_type is null or t.row_settlement_minor is not distinct from x.row_settlement_minor)
  -- The same bytes, read again, are the same place.
  and (t.load_no is not distinct from x.load_no or (x.load_no, t.load_no) in (
        select o.no, n.no from load n join load o on o.sha256 = n.sha256 and o.report_no = n.report_no
         where n.no in (select load_no from ${sql.ref(table)})))`;
const NAMES =
  'batch_no identity ordinal of_matchable kind load_no line type request_id transaction_id field reported recorded difference currency message stake_minor stake_currency other_batch_no is_cross_batch referenced_ids referenced_fingerprint row_type row_needs_record row_settlement_minor'.split(
    ' ',
  );
const COLUMNS = sql.raw(NAMES.join(', '));
const COLUMNS_OF_T = sql.raw(NAMES.map((name) => `t.${name}`).join(', '));

/** Closes discrepancies of the batch that the run no longer finds, keeps the others, opens new ones. */
export async function publishFindings(db: Db, batchNo: number, runNo: number): Promise<void> {
  const found = await sql<{ count: bigint }>`select count(*) as count from finding`.execute(db);
  if (found.rows[0]!.count > FEW_ROWS) await sql`analyze finding`.execute(db);
  await close(db, 'finding', runNo, sql`x.batch_no = ${batchNo} and not x.is_cross_batch`);
  await keepAndOpen(db, 'finding', runNo);
}

/** Discrepancies whose cumulative total was computed again by this run. */
const SUMMED = sql`exists (select from allocation_key k where k.request_id = x.request_id and coalesce(k.record_type, x.type) = x.type
  and x.kind = case k.total when 'refunded' then 'over_refunded' when 'captured' then 'over_captured' else 'amount_mismatch' end)`;

export const publishTotals = (db: Db, runNo: number) => publishCrossBatchFindings(db, SUMMED, runNo);

export const publishSettledTwice = (db: Db, runNo: number) =>
  publishCrossBatchFindings(
    db,
    sql`x.kind = 'settled_twice' and exists (select from settled_key k where k.request_id = x.request_id and k.type = x.type)`,
    runNo,
  );

/** Publishes cross-batch findings: `decided` selects the discrepancies that were decided again, in all batches of the merchant. */
async function publishCrossBatchFindings(db: Db, decided: RawBuilder<unknown>, runNo: number): Promise<void> {
  await identifyCrossBatchFindings(db);
  const ofMerchant = sql`x.batch_no in (select b.no from batch b join batch mine on mine.merchant_no = b.merchant_no
    where mine.no = (select batch_no from run where no = ${runNo}))`;
  await close(db, 'cross_batch_finding', runNo, sql`x.is_cross_batch and ${decided} and ${ofMerchant}`);
  await keepAndOpen(db, 'cross_batch_finding', runNo);
  const touched = await sql`insert into touched_batch select distinct batch_no from cross_batch_finding`.execute(db);
  if (touched.numAffectedRows !== 0n) await sql`truncate cross_batch_finding`.execute(db);
}

/** Closes the open discrepancies of `mine` without an equal finding. */
const close = (db: Db, table: 'finding' | 'cross_batch_finding', runNo: number, mine: RawBuilder<unknown>) =>
  sql`update discrepancy x set closed_run = ${runNo}, closed_at = now(), is_superseded = exists (select from ${sql.ref(table)} t where ${IS_ITS})
    where x.closed_run is null and ${mine} and not exists (select from ${sql.ref(table)} t where ${isSame(table)})`.execute(
    db,
  );

async function keepAndOpen(db: Db, table: 'finding' | 'cross_batch_finding', runNo: number): Promise<void> {
  await sql`update discrepancy x set load_no = t.load_no, message = t.message, referenced_ids = t.referenced_ids, referenced_fingerprint = t.referenced_fingerprint,
      row_type = t.row_type, row_needs_record = t.row_needs_record, row_settlement_minor = t.row_settlement_minor
    from ${sql.ref(table)} t
   where x.closed_run is null and ${IS_ITS}
     and (x.load_no, x.message, x.referenced_ids, x.referenced_fingerprint, x.row_type, x.row_needs_record, x.row_settlement_minor)
         is distinct from (t.load_no, t.message, t.referenced_ids, t.referenced_fingerprint, t.row_type, t.row_needs_record, t.row_settlement_minor)`.execute(
    db,
  );
  // A changed discrepancy, which this run has just closed, keeps its first-seen time when it is reopened.
  await sql`insert into discrepancy (${COLUMNS}, first_seen_at, opened_run, opened_at)
    select ${COLUMNS_OF_T}, coalesce(o.first_seen_at, now()), ${runNo}::int, now()
      from ${sql.ref(table)} t
      left join (select batch_no, identity, ordinal, min(first_seen_at) as first_seen_at from discrepancy
                  where closed_run = ${runNo} group by 1, 2, 3) o
        on o.batch_no = t.batch_no and o.identity = t.identity and o.ordinal = t.ordinal
     where not exists (select from discrepancy x where x.closed_run is null and x.batch_no = t.batch_no and x.identity = t.identity
                          and x.ordinal = t.ordinal)`.execute(db);
}

export async function wantedOf(db: Db, batchNos: readonly number[]) {
  return db
    .selectFrom('batch')
    .select(['no as batchNo', 'wanted', 'attempts as attempt'])
    .where('no', '=', anyOf(batchNos))
    .whereRef('done', '<', 'wanted')
    .execute();
}

/** What the batch's run before has read; null where there is none. */
export async function loadsBefore(db: Db, batch: BatchRow): Promise<ReadLoad[] | null> {
  if (batch.currentRun === null) return null;
  const found = await sql<ReadLoad>`
    select l.no as "loadNo", l.slot from run_load rl join load l on l.no = rl.load_no
     where rl.run_no = ${batch.currentRun} order by rl.part`.execute(db);
  return found.rows;
}
