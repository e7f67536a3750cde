import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { LogContext } from '../context.ts';
import type { AnyPayload } from './failures.sql.ts';

/** Beside what a job is about: whether its bytes are in the archive, and whether anything is away at all. */
export type Beside = { readonly isArchived: boolean; readonly isAnythingAway: boolean };

/** What a job is about, in the words that people use of it. A batch or day counts for the source of its newest file. */
export async function logContextOf(
  db: Db,
  { deliveryNo, loadNo, batchNo, fileNo, change }: AnyPayload,
): Promise<{ readonly logContext: LogContext; readonly beside: Beside }> {
  if (fileNo !== undefined) return ofStatements(db, fileNo);
  if (change !== undefined) return { logContext: {}, beside: { isArchived: false, isAnythingAway: false } };
  const named = sql`coalesce(b.batch_id, b.day::text) as batch`;
  const found =
    batchNo !== undefined
      ? await sql<LogContext & Beside>`
          select false as "isArchived", false as "isAnythingAway", (select d.source from report r join delivery d on d.report_no = r.no where r.batch_no = b.no order by d.no desc limit 1) as source,
                 ${named} from batch b where b.no = ${batchNo}`.execute(db)
      : await sql<LogContext & Beside>`
          select d.archived is not null as "isArchived", exists (select from away) as "isAnythingAway", d.source, r.name as report, ${named}
            from delivery d join report r on r.no = d.report_no join batch b on b.no = r.batch_no
           where d.no = coalesce(${deliveryNo ?? null}::int, (select delivery_no from load where no = ${loadNo ?? null}::int))`.execute(
          db,
        );
  const { isArchived = false, isAnythingAway = false, ...logContext } = found.rows[0] ?? {};
  return { logContext, beside: { isArchived, isAnythingAway } };
}

async function ofStatements(db: Db, fileNo: number) {
  const found = await sql<{ source: string; report: string } & Beside>`
    select source, file as report, archived is not null as "isArchived", exists (select from away) as "isAnythingAway"
      from bank_file where no = ${fileNo}`.execute(db);
  const { isArchived = false, isAnythingAway = false, ...logContext } = found.rows[0] ?? {};
  return { logContext, beside: { isArchived, isAnythingAway } };
}
