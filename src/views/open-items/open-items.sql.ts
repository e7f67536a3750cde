import { type RawBuilder, sql } from 'kysely';
import { columns, type RowOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Calendar } from '../../domain/calendar/calendar.ts';
import type { ReportKind } from '../../domain/formats/format.ts';
import type { RunFacts } from '../../domain/matching/run.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { isRecord } from '../../store/ledger/conditions.ts';
import { notOf, onlyOf, unsettledRecords } from '../../store/ledger/due-records.ts';
import { currentLoadsOf } from '../../store/loads.ts';

/** Days are those of the batch, or on which something was sold. */
export type OpenFilter = {
  readonly merchant: string | undefined;
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** Only these; null or left out: all. */
  readonly merchants?: readonly string[] | null;
};

export async function merchantsNamed(
  db: Db,
  { merchant, merchants = null }: OpenFilter,
): Promise<{ no: number; id: string }[]> {
  return db
    .selectFrom('merchant')
    .select(['no', 'id'])
    .$if(merchant !== undefined, (all) => all.where('id', '=', merchant!))
    .$if(merchants !== null, (all) => all.where('id', 'in', merchants!))
    .orderBy('id')
    .execute();
}

const isIn = ({ merchant, merchants = null, from, to }: OpenFilter, day: RawBuilder<unknown>) => sql`
  ${merchant === undefined ? sql`true` : sql`m.id = ${merchant}`}
  and ${merchants === null ? sql`true` : sql`m.id = any(${[...merchants]}::text[])`}
  and ${from === undefined ? sql`true` : sql`${day} >= ${from}::date`} and ${to === undefined ? sql`true` : sql`${day} <= ${to}::date`}`;

const MERCHANT = columns('merchant as m', ['no as merchantNo', 'id as merchantId']);
const BATCH = columns('batch as b', ['batch_id as settlementBatchId', 'settlement_date']);
const CURRENCY = columns('batch as b', ['currency as settlementCurrency']);

export type BatchName = RowOf<typeof MERCHANT> &
  RowOf<typeof BATCH> &
  RowOf<typeof CURRENCY> & { readonly transactionDate: string | null };

const NAMED = sql`${MERCHANT}, ${BATCH}, case when b.batch_id is null then b.day::text end as "transactionDate", ${CURRENCY}`;

/** Batches and days of which something may still come. */
export async function waitingBatches(db: Db, filter: OpenFilter) {
  const found = await sql<BatchName & { facts: RunFacts; since: Date; until: Date | null }>`
    select ${NAMED}, n.facts, b.waiting_until as until,
           (select min(d.found_at) from report r join delivery d on d.report_no = r.no where r.batch_no = b.no) as since
      from batch b join merchant m on m.no = b.merchant_no join run n on n.no = b.current_run
     where n.facts ? 'waiting' and ${isIn(filter, sql`coalesce(b.settlement_date, b.day)`)}
     order by coalesce(b.settlement_date, b.day), b.batch_id collate "C", m.id`.execute(db);
  return found.rows;
}

/**
 * Reports whose upload is not complete: they have no end yet. And reports that were given up, or that wait for what is away, where no
 * result of their batch says so.
 */
export async function unfinishedReports(db: Db, filter: OpenFilter) {
  const found = await sql<BatchName & { file: string; since: Date; why: string | null }>`
    select ${NAMED}, d.file, d.found_at as since, d.held as why
      from report r join batch b on b.no = r.batch_no join merchant m on m.no = b.merchant_no
      join lateral (
        select d.*, coalesce(d.parked_reason, away_reason(d)) as held from delivery d
         where d.report_no = r.no and d.state not in ('dry', 'over') order by d.no desc limit 1) d on true
     where r.load_no is null
       and (d.state = 'waiting' or d.state in ('found', 'reading') and d.held is not null and not exists (
              select from run n where n.no = b.current_run and n.facts ? 'waiting'))
       and ${isIn(filter, sql`coalesce(b.settlement_date, b.day, d.directory_date)`)}
     order by coalesce(b.settlement_date, b.day), d.file collate "C"`.execute(db);
  return found.rows;
}

/** What was told to be missing. */
export async function missingReports(db: Db, filter: OpenFilter) {
  const found = await sql<BatchName & { report: ReportKind; part: string | null; since: Date }>`
    select ${NAMED}, case x.kind when 'missing_report' then 'transactionDetails' when 'missing_details' then 'settlementDetails'
                                 when 'missing_summary' then 'settlementSummary' else x.field end as report,
           case x.kind when 'missing_part' then x.recorded end as part, x.first_seen_at as since
      from discrepancy x join batch b on b.no = x.batch_no join merchant m on m.no = b.merchant_no
     where x.closed_run is null and x.kind in ('missing_report', 'missing_summary', 'missing_details', 'missing_part')
       and ${isIn(filter, sql`coalesce(b.settlement_date, b.day)`)}
     order by coalesce(b.settlement_date, b.day), b.batch_id collate "C", m.id, x.kind, x.recorded`.execute(db);
  return found.rows;
}

/**
 * One of the calendars of a merchant, or that it has none. Where there are several, records name the source that settles them; those
 * that name none of the others' are the first one's.
 */
export type SettlementSchedule = {
  readonly no: number;
  readonly merchantNo: number;
  readonly merchantId: string;
  readonly source: string | null;
  readonly calendar: Calendar | null;
  /** The other ways of the merchant. */
  readonly others: readonly string[];
};

/** Records that no settlement has, of one day, currency and type. */
export type Carried = {
  readonly wayNo: number;
  readonly day: string;
  readonly currency: Currency;
  readonly type: string;
  readonly count: number;
  readonly amountMinor: string;
};

/** Days whose records are looked through, for nobody has yet told which of them no settlement has. */
export type Unchecked = { readonly from: string; readonly to: string; readonly timeZone: string };

const whose = ({ source, others }: SettlementSchedule, isFirst: boolean) =>
  isFirst || source === null ? notOf(others) : onlyOf(source);

/** Those records, a row each; what is told already is not among them. */
export async function uncheckedRecords(
  db: Db,
  way: SettlementSchedule,
  isFirst: boolean,
  { from, to, timeZone }: Unchecked,
): Promise<RawBuilder<unknown>> {
  const { no, merchantNo, merchantId } = way;
  const loads = (await currentLoadsOf(db, merchantNo, 0)).filter(
    (load) => load.isSettlement && (load.settlementDate ?? from) >= from,
  );
  return sql`
    select ${no}::int as way_no, ${merchantId}::text collate "C" as merchant_id,
           ((timestamptz 'epoch' + u.r_occurred_at_micros * interval '1 microsecond') at time zone ${timeZone})::date as day,
           u.r_type collate "C" as type, u.r_request_id collate "C" as request_id, u.r_currency as currency,
           u.r_amount_minor::numeric as amount_minor, null::timestamptz as since
      from (${unsettledRecords(loads, { merchantNo, from, to, timeZone, whose: whose(way, isFirst) })}) u
     where not exists (select from discrepancy x join batch b on b.no = x.batch_no
                        where x.closed_run is null and x.kind = 'unsettled_transaction' and b.merchant_no = ${merchantNo}
                          and x.request_id = u.r_request_id and x.type = u.r_type)`;
}

/** Those of a merchant that were told to be overdue. Which way each is, is looked up where there are several. */
export function toldRecords(ways: readonly SettlementSchedule[], { from, to }: OpenFilter): RawBuilder<unknown> {
  const [first, ...others] = ways;
  const { no, merchantNo, merchantId } = first!;
  const wayNo =
    others.length === 0
      ? sql`${no}::int`
      : sql`coalesce((select w.no from ledger() r join unnest(${others.map(({ source }) => source)}::text[], ${others.map((way) => way.no)}::int[])
                               as w(source, no) on w.source = r.source
                      where r.merchant_no = ${merchantNo} and ${isRecord('r', sql`x.request_id`)} and r.type = x.type limit 1), ${no}::int)`;
  return sql`
    select ${wayNo} as way_no, ${merchantId}::text collate "C" as merchant_id, b.day, x.type, x.request_id, x.stake_currency as currency,
           x.stake_minor as amount_minor, x.first_seen_at as since
      from discrepancy x join batch b on b.no = x.batch_no
     where x.closed_run is null and x.kind = 'unsettled_transaction' and b.merchant_no = ${merchantNo}
       and ${from === undefined ? sql`true` : sql`b.day >= ${from}::date`} and ${to === undefined ? sql`true` : sql`b.day <= ${to}::date`}`;
}

const allOf = (records: readonly RawBuilder<unknown>[]): RawBuilder<unknown> =>
  records.length === 0
    ? sql`(select null::int as way_no, null::text as merchant_id, null::date as day, null::text as type, null::text as request_id,
                  null::text as currency, null::numeric as amount_minor, null::timestamptz as since where false)`
    : sql`(${sql.join(records, sql` union all `)})`;

/** All of these records, added up by day, currency and type. */
export async function addedUp(db: Db, records: readonly RawBuilder<unknown>[]): Promise<Carried[]> {
  const found = await sql<Carried>`
    select way_no as "wayNo", day::text, currency, type, count(*)::int as count, sum(amount_minor)::text as "amountMinor"
      from ${allOf(records)} u group by 1, 2, 3, 4 order by 2, 1, 3, 4`.execute(db);
  return found.rows;
}

export type Deadlines = {
  readonly wayNo: number;
  readonly day: string;
  readonly expectedOn: string | null;
  readonly dueAtMs: number | null;
};

/** The place of a record in the list: its day, merchant, type and request id. */
export type Place = readonly [day: string, merchantId: string, type: string, requestId: string];

export type RecordRow = {
  readonly merchantId: string;
  readonly day: string;
  readonly type: string;
  readonly requestId: string;
  readonly currency: Currency;
  readonly amountMinor: string;
  readonly since: Date | null;
  readonly expectedOn: string | null;
  readonly dueAtMs: number | null;
};

/** These records, the oldest first; behind a place, up to so many. */
export const listedRecords = (
  records: readonly RawBuilder<unknown>[],
  dues: readonly Deadlines[],
  { after, limit }: { readonly after: Place | null; readonly limit: number | null },
): RawBuilder<unknown> => sql`
  select u.merchant_id as "merchantId", u.day::text, u.type, u.request_id as "requestId", u.currency, u.amount_minor::text as "amountMinor",
         u.since, d.expected_on as "expectedOn", d.due_at_ms as "dueAtMs"
    from ${allOf(records)} u
    left join unnest(${dues.map((due) => due.wayNo)}::int[], ${dues.map((due) => due.day)}::date[],
                     ${dues.map((due) => due.expectedOn)}::text[], ${dues.map((due) => due.dueAtMs)}::float8[])
           as d(way_no, day, expected_on, due_at_ms) on d.way_no = u.way_no and d.day = u.day
   where ${after === null ? sql`true` : sql`(u.day, u.merchant_id, u.type, u.request_id) > (${after[0]}::date, ${after[1]}, ${after[2]}, ${after[3]})`}
   order by u.day, u.merchant_id, u.type, u.request_id limit ${limit}::bigint`;
