import { sql } from 'kysely';
import type { Db } from '../adapters/postgres.ts';
import type { RunFacts } from '../domain/run.ts';

/** What a call of `reconcile` was about. */
export type Asked = {
  readonly deliveryNos: readonly number[];
  readonly batchNos: readonly number[];
  /** Files that were named themselves and are no reports. */
  readonly notReports: readonly string[];
};

export type ReportView = {
  file: string;
  /** Null for a file that was named and is no report. */
  kind: string | null;
  state: 'closed' | 'waiting' | 'refused' | 'duplicate';
  revision: number;
  rows: number;
  refusedRows: number;
  errorCode: string | null;
  errorMessage: string | null;
};

/** What became of these deliveries. One that was given up counts as refused: no row of it is used. */
export async function reportsOf(db: Db, deliveryNos: readonly number[]): Promise<ReportView[]> {
  const found = await sql<ReportView>`
    select d.file, r.kind,
           case when d.state in ('closed', 'waiting', 'duplicate') then d.state else 'refused' end as state,
           coalesce(d.revision, 1 + (select coalesce(max(e.revision), 0) from delivery e where e.report_no = r.no)) as revision,
           case when d.state = 'closed' then coalesce((l.facts->>'rows')::int, 0) else 0 end as rows,
           case when d.state = 'closed' then coalesce((l.facts->>'refusedRows')::int, 0) else 0 end as "refusedRows",
           coalesce(d.error_code, case when d.parked_reason is not null then 'unreadable' end) as "errorCode",
           coalesce(d.error_message, d.parked_reason) as "errorMessage"
      from delivery d join report r on r.no = d.report_no
      left join load l on l.delivery_no = d.no and l.state = 'closed'
     where d.no = any(${[...deliveryNos]}::int[])
     order by d.file collate "C", d.no`.execute(db);
  return found.rows;
}

export type BatchView = {
  no: number;
  merchantId: string;
  batchId: string | null;
  currency: string | null;
  day: string | null;
  settlementDate: string | null;
  acquirer: string | null;
  facts: RunFacts;
  run: number;
  rules: string;
  digest: string;
  open: number;
  /** Rows that need a record and have something told of them. */
  toldRows: number;
  publishedAt: Date;
};

/** Batches and days whose reconciliation failed too often, and why. */
export async function failedBatchesOf(
  db: Db,
  batchNos: readonly number[],
): Promise<{ name: string; reason: string }[]> {
  const found = await sql<{ name: string; reason: string }>`
    select coalesce(batch_id, day::text, '') as name, parked_reason as reason from batch
     where no = any(${[...batchNos]}::int[]) and parked_reason is not null order by 1`.execute(db);
  return found.rows;
}

export type BatchFilter = {
  readonly batchNos?: readonly number[];
  readonly merchant?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly kind?: string | undefined;
  /** What was known at that time, an ISO time with its offset; without it what is known now. */
  readonly asOf?: string | undefined;
};

/** The run that readers saw at that time, of a batch `b`. One without reports says that nothing was left of it. */
const runAt = ({ asOf }: BatchFilter) =>
  asOf === undefined
    ? sql`select * from run where no = b.current_run`
    : sql`select * from (select * from run where batch_no = b.no and published_at <= ${asOf}::timestamptz order by no desc limit 1) last
           where exists (select from run_load where run_no = last.no)`;

/** Whether a discrepancy `d` was open at that time. */
export const isOpen = ({ asOf }: BatchFilter) =>
  asOf === undefined
    ? sql`d.closed_run is null`
    : sql`d.opened_at <= ${asOf}::timestamptz and (d.closed_at is null or d.closed_at > ${asOf}::timestamptz)`;

/** Batches and days that have a result, by date and id. */
export async function batchesOf(db: Db, filter: BatchFilter): Promise<BatchView[]> {
  const found = await sql<BatchView>`
    select b.no, m.id as "merchantId", b.batch_id as "batchId", b.currency, b.day::text, b.settlement_date::text as "settlementDate",
           b.acquirer, r.facts, r.no as run, r.rules, r.digest, r.published_at as "publishedAt",
           (select count(*)::int from discrepancy d where d.batch_no = b.no and ${isOpen(filter)}) as open,
           (select count(*)::int from (select distinct d.load_no, d.line from discrepancy d
              where d.batch_no = b.no and ${isOpen(filter)} and d.of_matchable) t) as "toldRows"
      from batch b join merchant m on m.no = b.merchant_no cross join lateral (${runAt(filter)}) r
     where ${filter.batchNos ? sql`b.no = any(${[...filter.batchNos]}::int[])` : sql`true`}
       and ${filter.merchant === undefined ? sql`true` : sql`m.id = ${filter.merchant}`}
       and ${filter.from === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) >= ${filter.from}::date`}
       and ${filter.to === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) <= ${filter.to}::date`}
       and ${filter.kind === undefined ? sql`true` : sql`exists (select from discrepancy d where d.batch_no = b.no and ${isOpen(filter)} and d.kind = ${filter.kind})`}
     order by coalesce(b.settlement_date, b.day) nulls first, b.batch_id nulls first, m.id, b.currency`.execute(db);
  return found.rows;
}

export type DiscrepancyView = {
  kind: string;
  merchantId: string;
  settlementBatchId: string | null;
  transactionDate: string | null;
  file: string | null;
  line: number | null;
  type: string | null;
  requestId: string | null;
  transactionId: string | null;
  field: string | null;
  reported: string | null;
  recorded: string | null;
  difference: string | null;
  currency: string | null;
  message: string;
};

const whereOpen = (filter: BatchFilter) => sql`
  ${isOpen(filter)}
  and ${filter.batchNos ? sql`d.batch_no = any(${[...filter.batchNos]}::int[])` : sql`true`}
  and ${filter.merchant === undefined ? sql`true` : sql`m.id = ${filter.merchant}`}
  and ${filter.kind === undefined ? sql`true` : sql`d.kind = ${filter.kind}`}
  and ${filter.from === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) >= ${filter.from}::date`}
  and ${filter.to === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) <= ${filter.to}::date`}`;

/** Open discrepancies in the promised order: by code point, nulls first. */
export const openDiscrepancies = (filter: BatchFilter) => sql`
  select d.kind, m.id as "merchantId", b.batch_id as "settlementBatchId", case when b.batch_id is null then b.day::text end as "transactionDate",
         y.file, d.line, d.type, d.request_id as "requestId", d.transaction_id as "transactionId", d.field, d.reported, d.recorded,
         d.difference, d.currency, d.message
    from discrepancy d join batch b on b.no = d.batch_no join merchant m on m.no = b.merchant_no
    left join load l on l.no = d.load_no left join delivery y on y.no = l.delivery_no
   where ${whereOpen(filter)}
   order by coalesce(b.batch_id, b.day::text) collate "C" nulls first, y.file nulls first, d.line nulls first, d.kind, d.field nulls first,
            d.type nulls first, d.request_id nulls first, d.transaction_id nulls first, m.id, d.currency nulls first,
            d.reported nulls first, d.recorded nulls first`;

export type KindTotal = {
  kind: string;
  currency: string | null;
  count: number /** Null where nothing of it is at stake. */;
  stakeMinor: string | null;
};

/** How many of each kind and currency, and how much money they are about. */
export async function totalsOf(db: Db, filter: BatchFilter): Promise<KindTotal[]> {
  const found = await sql<KindTotal>`
    select d.kind, coalesce(d.stake_currency, d.currency) as currency, count(*)::int as count,
           sum(d.stake_minor)::text as "stakeMinor"
      from discrepancy d join batch b on b.no = d.batch_no join merchant m on m.no = b.merchant_no
     where ${whereOpen(filter)}
     group by 1, 2 order by 1, 2 nulls first`.execute(db);
  return found.rows;
}
