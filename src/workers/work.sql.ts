import { sql } from 'kysely';
import type { Db } from '../adapters/postgres.ts';

export type AnyPayload = { deliveryNo?: number; loadNo?: number; chunk?: number; batchNo?: number };

export type Failure = { attempts: number; isParked: boolean; delayMs: number; batchNo: number | null };

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
  const counted =
    job === 'reconcile'
      ? sql`update batch set attempts = attempts + 1 where no = ${payload.batchNo} returning attempts, no as "batchNo"`
      : job === 'load-chunk'
        ? sql`update chunk set attempts = attempts + 1 where load_no = ${payload.loadNo} and no = ${payload.chunk}
              returning attempts, null::int as "batchNo"`
        : sql`update delivery d set attempts = attempts + 1 from report r
               where r.no = d.report_no and d.no = coalesce(${payload.deliveryNo ?? null}::int, (select delivery_no from load where no = ${payload.loadNo ?? null}::int))
              returning d.attempts, r.batch_no as "batchNo"`;
  const found = await sql<{ attempts: number; batchNo: number | null }>`${counted}`.execute(db);
  const attempts = found.rows[0]?.attempts ?? maxAttempts;
  const isParked = attempts >= maxAttempts;
  const delayMs = delayMsOf(attempts);
  const due = sql`next_attempt_at = now() + ${delayMs} * interval '1 millisecond', parked_reason = ${isParked ? text : null}`;
  if (job === 'reconcile') {
    await sql`update batch set ${due} where no = ${payload.batchNo}`.execute(db);
    return { attempts, isParked, delayMs, batchNo: null };
  }
  const parked = await sql<{ batchNo: number }>`
    update delivery d set ${due} from report r
     where r.no = d.report_no and d.no = coalesce(${payload.deliveryNo ?? null}::int, (select delivery_no from load where no = ${payload.loadNo ?? null}::int))
    returning r.batch_no as "batchNo"`.execute(db);
  return { attempts, isParked, delayMs, batchNo: parked.rows[0]?.batchNo ?? null };
}
