import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import { requestRuns } from '../../store/batches.ts';

export type AnyPayload = {
  deliveryNo?: number;
  loadNo?: number;
  chunk?: number;
  batchNo?: number;
  fileNo?: number;
  change?: number;
};

export type Failure = {
  readonly attempts: number;
  /** Nothing is left of what the job was about, or its file is still being read: another attempt replaces it, or comes then. */
  readonly isGone: boolean;
  readonly isParked: boolean;
  readonly delayMs: number;
  readonly batchNo: number | null;
};

/** Counts a failed try of whatever the job was about, says when it is due again, and parks it after too many. */
export async function recordFailure(
  db: Db,
  job: string,
  payload: AnyPayload,
  reason: string,
  maxAttempts: number,
  delayMsOf: (attempts: number) => number,
): Promise<Failure> {
  const text = `${job}: ${reason}`.slice(0, 2_000);
  if (job === 'restore-rows') return recordFailedRestore(db, payload.loadNo!, text, maxAttempts, delayMsOf);
  if (job === 'read-statements' || job === 'match-payouts')
    return recordFailedBank(db, payload.fileNo ?? null, text, maxAttempts, delayMsOf);
  const counted =
    job === 'reconcile'
      ? sql`update batch set attempts = attempts + 1 where no = ${payload.batchNo} returning attempts, no as "batchNo"`
      : job === 'load-chunk'
        ? sql`update chunk c set attempts = attempts + 1 from load l
               where l.no = c.load_no and l.state = 'reading' and l.chunks is not null and c.load_no = ${payload.loadNo} and c.no = ${payload.chunk}
              returning c.attempts, null::int as "batchNo"`
        : sql`update delivery d set attempts = attempts + 1 from report r
               where r.no = d.report_no and d.no = coalesce(${payload.deliveryNo ?? null}::int, (select delivery_no from load where no = ${payload.loadNo ?? null}::int))
              returning d.attempts, r.batch_no as "batchNo"`;
  const found = await sql<{ attempts: number; batchNo: number | null }>`${counted}`.execute(db);
  const attempts = found.rows[0]?.attempts;
  if (attempts === undefined) return { attempts: 0, isGone: true, isParked: false, delayMs: 0, batchNo: null };
  const isParked = attempts >= maxAttempts;
  const delayMs = delayMsOf(attempts);
  const due = sql`next_attempt_at = now() + ${delayMs} * interval '1 millisecond', parked_reason = coalesce(${isParked ? text : null}, parked_reason)`;
  if (job === 'reconcile') {
    await sql`update batch set ${due} where no = ${payload.batchNo}`.execute(db);
    return { attempts, isGone: false, isParked, delayMs, batchNo: null };
  }
  const failed = await sql<{ batchNo: number | null }>`
    update delivery d set ${due} from report r
     where r.no = d.report_no and d.no = coalesce(${payload.deliveryNo ?? null}::int, (select delivery_no from load where no = ${payload.loadNo ?? null}::int))
    returning case when d.state <> 'dry' then r.batch_no end as "batchNo"`.execute(db);
  const batchNo = failed.rows[0]?.batchNo ?? null;
  // A report that cannot be used counts as not there, which is news for its batch.
  if (isParked && batchNo !== null) await requestRuns(db, [batchNo], 'report');
  return { attempts, isGone: false, isParked, delayMs, batchNo };
}

/** The batches that wait for the rows are parked: nobody else needs them. */
async function recordFailedRestore(
  db: Db,
  loadNo: number,
  reason: string,
  maxAttempts: number,
  delayMsOf: (attempts: number) => number,
): Promise<Failure> {
  const counted = await sql<{ attempts: number; batchNo: number }>`
    update wanted_rows set attempts = (select max(attempts) + 1 from wanted_rows where load_no = ${loadNo})
     where load_no = ${loadNo} returning attempts, batch_no as "batchNo"`.execute(db);
  const attempts = counted.rows[0]?.attempts;
  if (attempts === undefined) return { attempts: 0, isGone: true, isParked: false, delayMs: 0, batchNo: null };
  const isParked = attempts >= maxAttempts;
  if (isParked) {
    await db
      .updateTable('batch')
      .set({ parked_reason: reason })
      .where('no', '=', anyOf(counted.rows.map(({ batchNo }) => batchNo)))
      .whereRef('done', '<', 'wanted')
      .execute();
  }
  return { attempts, isGone: false, isParked, delayMs: delayMsOf(attempts), batchNo: null };
}

/** A file of statements, or the matching of payouts where there is none. */
async function recordFailedBank(
  db: Db,
  fileNo: number | null,
  reason: string,
  maxAttempts: number,
  delayMsOf: (attempts: number) => number,
): Promise<Failure> {
  const which = fileNo === null ? sql`bank_matching` : sql`bank_file`;
  const where = fileNo === null ? sql`true` : sql`no = ${fileNo} and state = 'found'`;
  const counted = await sql<{ attempts: number }>`
    update ${which} set attempts = attempts + 1 where ${where} returning attempts`.execute(db);
  const attempts = counted.rows[0]?.attempts;
  if (attempts === undefined) return { attempts: 0, isGone: true, isParked: false, delayMs: 0, batchNo: null };
  const isParked = attempts >= maxAttempts;
  const delayMs = delayMsOf(attempts);
  await sql`update ${which} set next_attempt_at = now() + ${delayMs} * interval '1 millisecond',
      parked_reason = coalesce(${isParked ? reason : null}, parked_reason) where ${where}`.execute(db);
  return { attempts, isGone: false, isParked, delayMs, batchNo: null };
}
