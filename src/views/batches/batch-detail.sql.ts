import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { type BatchFilter, isOpen } from './batches.sql.ts';

type RunReport = {
  file: string;
  kind: string;
  sha256: string;
  revision: number;
  rows: number;
  rowsDroppedAt: Date | null;
  fileDroppedAt: Date | null;
  /** Reports of other names with the same bytes. */
  sameBytesAs: string[];
  header: string[];
  /** The source's report of its kind before, and its header; null where there was none. */
  since: string | null;
  before: string[];
};

/** The reports that a run has read. Files of other merchants than these are not named beside them. */
export async function reportsOfRun(
  db: Db,
  run: number,
  merchants: BatchFilter['merchants'] = null,
): Promise<RunReport[]> {
  const found = await sql<RunReport>`
    select l.header, h.file as since, h.header as before, d.file, r.kind, l.sha256, d.revision, (l.facts->>'rows')::int as rows, l.rows_dropped_at as "rowsDroppedAt",
           (select f.dropped_at from dropped f where f.path = coalesce(l.original_path, l.archive_path)) as "fileDroppedAt",
           -- Reports without rows all look the same.
           array(select distinct y.file from load o join delivery y on y.no = o.delivery_no or y.duplicate_of = o.no
                  where o.sha256 = l.sha256 and (l.facts->>'rows')::int > 0 and y.report_no <> r.no and y.state in ('closed', 'duplicate')
                    and ${isReportOf(merchants, sql`y.report_no`)}
                  order by 1) as "sameBytesAs"
      from run_load rl join load l on l.no = rl.load_no join delivery d on d.no = l.delivery_no join report r on r.no = l.report_no
      left join lateral header_before(l.no) h on true
     where rl.run_no = ${run} order by d.file collate "C"`.execute(db);
  return found.rows;
}

const isReportOf = (merchants: readonly string[] | null, reportNo: RawBuilder<unknown>) =>
  merchants === null
    ? sql`true`
    : sql`exists (select from report v join batch u on u.no = v.batch_no join merchant t on t.no = u.merchant_no
                   where v.no = ${reportNo} and t.id = any(${[...merchants]}::text[]))`;

/** What belongs to keys rather than to the batch, a text each, without files and lines. */
export async function crossFindingsOf(db: Db, batchNo: number, filter: BatchFilter): Promise<string[]> {
  const finding = sql`concat_ws('|', kind, type, request_id, coalesce(transaction_id, '~'), coalesce(reported, '~'), coalesce(recorded, '~'), currency)`;
  const found = await sql<{ finding: string }>`
    select ${finding} as finding
      from discrepancy d where batch_no = ${batchNo} and ${isOpen(filter)} and is_cross_batch
     order by ${finding} collate "C"`.execute(db);
  return found.rows.map(({ finding }) => finding);
}
