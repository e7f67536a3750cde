import { type NotNull, type RawBuilder, sql } from 'kysely';
import { anyOf, columns, type RowOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { HandlingState } from '../../domain/handling.ts';
import type { NamedRows } from '../../domain/matching/coverage.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { stateOn } from '../../store/handling.ts';
import { type PayoutView, payoutsOf } from '../bank/payouts.sql.ts';
import { handlingAt, handlingObject, isAcceptedAt } from './handling.sql.ts';

/** What a call of `reconcile` was about. */
export type Asked = {
  /** Files of bank statements. */
  readonly bankFileNos?: readonly number[];
  readonly deliveryNos: readonly number[];
  readonly batchNos: readonly number[];
  readonly notReports: readonly NotReport[];
};

/** A file that is no report that can be read. */
export type NotReport = {
  readonly file: string;
  /** Shown as refused, not as skipped. */
  readonly isRefused: boolean;
  readonly code: string;
  readonly why: string;
  /** The kind of report that its name speaks of. */
  readonly kind: string | null;
  /** A report may lie there that nobody has seen. */
  readonly isUnseen: boolean;
};

export type ReportView = {
  file: string;
  /** Null for a file whose name speaks of no report. */
  kind: string | null;
  state: 'closed' | 'waiting' | 'refused' | 'duplicate' | 'skipped';
  revision: number;
  rows: number;
  refusedRows: number;
  /** No newer content of the report has taken its place. */
  isNewest: boolean;
  errorCode: string | null;
  errorMessage: string | null;
  /** Its header, and that of the source's report of its kind before, where both were read. */
  header: string[] | null;
  headerOf: string | null;
  headerBefore: string[] | null;
};

/** What became of these deliveries. One that was given up, or that needs what is away, waits: no row of it is used. */
export async function reportsOf(db: Db, deliveryNos: readonly number[]): Promise<ReportView[]> {
  const found = await sql<ReportView>`
    select ${REPORT} ${FROM_REPORTS}
     where d.no = any(${[...deliveryNos]}::int[])
     order by d.file collate "C", d.no`.execute(db);
  return found.rows;
}

const STATE = sql`case when d.state in ('closed', 'waiting', 'duplicate') then d.state
                when d.state in ('found', 'reading') then 'waiting' else 'refused' end`;
const REPORT = sql`d.file, r.kind, ${STATE} as state,
           coalesce(d.revision, 1 + (select coalesce(max(e.revision), 0) from delivery e where e.report_no = r.no)) as revision,
           case when d.state = 'closed' then coalesce((l.facts->>'rows')::int, 0) else 0 end as rows,
           case when d.state = 'closed' then coalesce((l.facts->>'refusedRows')::int, 0) else 0 end as "refusedRows",
           l.no is not distinct from r.load_no as "isNewest",
           coalesce(d.error_code, case when coalesce(d.parked_reason, away_reason(d)) is not null then 'unreadable' end) as "errorCode",
           coalesce(d.error_message, d.parked_reason, away_reason(d)) as "errorMessage",
           l.header, h.file as "headerOf", h.header as "headerBefore"`;
/** As header_before(l.no), from the delivery that is at hand: so it is looked for behind it, and not from the newest one on. */
const FROM_REPORTS = sql`
      from delivery d join report r on r.no = d.report_no
      left join load l on l.delivery_no = d.no and l.state = 'closed'
      left join lateral (
        select y.file, o.header from load o join delivery y on y.no = o.delivery_no and y.state = 'closed' and y.replay_of is null
         where o.series = l.series and o.delivery_no < coalesce(d.replay_of, d.no)
         order by o.delivery_no desc, o.no desc limit 1) h on true`;

export type ReportFilter = {
  readonly merchant?: string | undefined;
  readonly merchants?: readonly string[] | null;
  /** A settlement batch id, or a transaction date. */
  readonly batch?: string | undefined;
  readonly state?: string | undefined;
  readonly nos?: readonly number[];
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
};

/** A report as its newest delivery is. */
export type ListedReport = ReportView & {
  no: number;
  merchantId: string;
  settlementBatchId: string | null;
  transactionDate: string | null;
  foundAt: Date;
  /** What was withdrawn of it counts no more. */
  isWithdrawn: boolean;
};

/** Reports by their number, each as its newest delivery is. What is listed is chosen first: only of that headers are looked up. */
export async function listedReports(db: Db, filter: ReportFilter): Promise<ListedReport[]> {
  const { merchant, merchants = null, batch, state, nos, after, limit } = filter;
  const found = await sql<ListedReport>`
    with listed as materialized (
      select d.no from delivery d join report r on r.no = d.report_no join batch b on b.no = r.batch_no join merchant m on m.no = b.merchant_no
       where d.state not in ('dry', 'over', 'duplicate')
         and not exists (select from delivery e where e.report_no = d.report_no and e.no > d.no and e.state not in ('dry', 'over', 'duplicate'))
         and ${merchant === undefined ? sql`true` : sql`m.id = ${merchant}`}
         and ${merchants === null ? sql`true` : sql`m.id = any(${[...merchants]}::text[])`}
         and ${batch === undefined ? sql`true` : sql`coalesce(b.batch_id, b.day::text) = ${batch}`}
         and ${nos === undefined ? sql`true` : sql`r.no = any(${[...nos]}::int[])`}
         and ${after === undefined ? sql`true` : sql`r.no > ${after}`}
         and ${state === undefined ? sql`true` : sql`${STATE} = ${state}`}
       order by r.no limit ${limit ?? null}::bigint)
    select r.no, m.id as "merchantId", b.batch_id as "settlementBatchId", case when b.batch_id is null then b.day::text end as "transactionDate",
           d.found_at as "foundAt", d.state = 'withdrawn' as "isWithdrawn", ${REPORT} ${FROM_REPORTS}
      join batch b on b.no = r.batch_no join merchant m on m.no = b.merchant_no
     where d.no = any(array(select no from listed)) order by r.no`.execute(db);
  return found.rows;
}

const MERCHANT = columns('merchant as m', ['id as merchantId']);
const BATCH = columns('batch as b', ['no', 'batch_id', 'currency', 'day', 'settlement_date', 'acquirer']);
const RUN = columns('run as r', ['facts', 'coverage', 'no as run', 'rules', 'digest', 'published_at']);

export type BatchView = RowOf<typeof MERCHANT> &
  RowOf<typeof BATCH> &
  RowOf<typeof RUN> & {
    /** Without what was accepted. */
    open: number;
    /** How many were accepted, and how much money they are about. */
    accepted: number;
    acceptedMoney: { currency: Currency; minor: string }[];
    /** Since when it is not reconciled: when the oldest of what is open was first seen. Null where nothing is open. */
    since: Date | null;
    /** Days from its date to now; null where it has no date. */
    ageDays: number | null;
    /** Rows that need a record and have something told of them. */
    toldRows: number;
    /** Rows that have something told of them, by type. */
    named: NamedRows[];
    /** What became of its payout; null where no account is known for it, and for what was known at an earlier time. */
    payout: PayoutView | null;
  };

/** Batches and days whose reconciliation failed too often, and why. */
export async function failedBatchesOf(
  db: Db,
  batchNos: readonly number[],
): Promise<{ name: string; reason: string }[]> {
  return db
    .selectFrom('batch')
    .select([sql<string>`coalesce(batch_id, day::text, '')`.as('name'), 'parked_reason as reason'])
    .where('no', '=', anyOf(batchNos))
    .where('parked_reason', 'is not', null)
    .$narrowType<{ reason: NotNull }>()
    .orderBy('name')
    .execute();
}

export type BatchFilter = {
  readonly batchNos?: readonly number[];
  readonly merchant?: string | undefined;
  /** Only these; null or left out: all. */
  readonly merchants?: readonly string[] | null;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly kind?: string | undefined;
  /** What was known at that time, an ISO time with its offset; without it what is known now. */
  readonly asOf?: string | undefined;
};

/** Which discrepancies are asked for. Open ones, unless it says otherwise. */
export type DiscrepancyFilter = BatchFilter & {
  /** Beside those of the batches, those of bank statements that belong to no batch. */
  readonly isOfBankToo?: boolean;
  readonly nos?: readonly bigint[];
  /** A settlement batch id, or a transaction date. */
  readonly batch?: string | undefined;
  /** Where its file came from; where it is about no file, where one of its batch came from. */
  readonly source?: string | undefined;
  readonly isClosedToo?: boolean;
  /** Only those that are handled so. Without it what was accepted is left out, as it is no longer open. */
  readonly handling?: HandlingState | undefined;
  readonly isAcceptedToo?: boolean;
  readonly assignedTo?: string | undefined;
  /** Those that follow this one in the promised order. */
  readonly after?: bigint | undefined;
  readonly limit?: number | undefined;
};

/** Whether a merchant `m` is one of those that may be seen. */
const isOfMerchants = ({ merchants = null }: BatchFilter) =>
  merchants === null ? sql`true` : sql`m.id = any(${[...merchants]}::text[])`;

/** The run that readers saw at that time, of a batch `b`. One that says that nothing was left of it is none. */
const runAt = ({ asOf }: BatchFilter) =>
  asOf === undefined
    ? sql`select * from run where no = b.current_run`
    : sql`select * from (select * from run where batch_no = b.no and published_at <= ${asOf}::timestamptz order by no desc limit 1) last
           where not is_gone`;

/** Whether a discrepancy `d` was open at that time. */
export const isOpen = ({ asOf }: BatchFilter) =>
  asOf === undefined
    ? sql`d.closed_run is null`
    : sql`d.opened_at <= ${asOf}::timestamptz and (d.closed_at is null or d.closed_at > ${asOf}::timestamptz)`;

/** The rows of a batch `b` that were named by something open at that time; each row once. */
const namedRows = (filter: BatchFilter) => sql`
  select coalesce(sum(rows) filter (where of_matchable), 0)::int as "toldRows",
         coalesce(jsonb_agg(jsonb_build_object('type', row_type, 'needsRecord', row_needs_record, 'rows', rows, 'settlementMinor', settlement_minor::text))
                    filter (where row_type is not null), '[]') as named
    from (select of_matchable, row_type, row_needs_record, count(*) as rows, coalesce(sum(row_settlement_minor), 0) as settlement_minor
            from (select distinct d.load_no, d.line, d.of_matchable, d.row_type, d.row_needs_record, d.row_settlement_minor from discrepancy d
                   where d.batch_no = b.no and ${isOpen(filter)} and (d.of_matchable or d.row_type is not null)) each_once
           group by 1, 2, 3) by_type`;

/** What was accepted of a batch `b`. It is looked up by what was accepted, which is little beside what is open. */
const acceptedOf = (filter: BatchFilter) => sql`
  select coalesce(sum(c.count), 0)::int as accepted,
         coalesce(jsonb_agg(jsonb_build_object('currency', c.currency, 'minor', c.minor::text) order by c.currency) filter (where c.minor is not null), '[]') as "acceptedMoney"
    from (select d.stake_currency as currency, count(*) as count, sum(d.stake_minor) as minor
            from handling h join discrepancy d on d.no = h.discrepancy_no
           where h.batch_no = b.no and h.state = 'accepted' and ${handlingAt(filter)} and ${isOpen(filter)} group by 1) c`;

/** Batches and days that have a result, by date and id. */
export async function batchesOf(db: Db, filter: BatchFilter): Promise<BatchView[]> {
  const found = await sql<Omit<BatchView, 'payout'>>`
    select ${MERCHANT}, ${BATCH}, ${RUN}, o.open, o.since, a.accepted, a."acceptedMoney", t.named, t."toldRows",
           (now() at time zone coalesce(z.time_zone, 'UTC'))::date - coalesce(b.settlement_date, b.day) as "ageDays"
      from batch b join merchant m on m.no = b.merchant_no cross join lateral (${runAt(filter)}) r
     cross join lateral (${acceptedOf(filter)}) a
     cross join lateral (
       select count(*)::int as open, min(d.first_seen_at) as since from discrepancy d
        where d.batch_no = b.no and ${isOpen(filter)} and (a.accepted = 0 or not ${isAcceptedAt(filter)})) o
     cross join lateral (${namedRows(filter)}) t
     left join lateral (
       select l.rules->>'timeZone' as time_zone from run_load rl join load l on l.no = rl.load_no where rl.run_no = r.no limit 1) z on true
     where ${filter.batchNos ? sql`b.no = any(${[...filter.batchNos]}::int[])` : sql`true`}
       and ${filter.merchant === undefined ? sql`true` : sql`m.id = ${filter.merchant}`}
       and ${isOfMerchants(filter)}
       and ${filter.from === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) >= ${filter.from}::date`}
       and ${filter.to === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) <= ${filter.to}::date`}
       and ${filter.kind === undefined ? sql`true` : sql`exists (select from discrepancy d where d.batch_no = b.no and ${isOpen(filter)} and d.kind = ${filter.kind} and not ${isAcceptedAt(filter)})`}
     order by coalesce(b.settlement_date, b.day) nulls first, b.batch_id nulls first, m.id, b.currency`.execute(db);
  const payouts = await payoutsOf(db, filter.asOf === undefined ? found.rows.map(({ no }) => no) : []);
  const byBatch = new Map(payouts.map((payout) => [payout.batchNo, payout]));
  return found.rows.map((row) => ({ ...row, payout: byBatch.get(row.no) ?? null }));
}

const KIND = columns('discrepancy as d', ['kind']);
const ITS_BATCH = columns('batch as b', ['batch_id as settlementBatchId']);
const FOUND = columns('discrepancy as d', [
  'line',
  'type',
  'request_id',
  'transaction_id',
  'field',
  'reported',
  'recorded',
  'difference',
  'currency',
  'message',
]);

export type DiscrepancyView = RowOf<typeof KIND> &
  RowOf<typeof ITS_BATCH> &
  RowOf<typeof FOUND> & {
    /** Null: of a bank account of several merchants. */
    merchantId: string | null;
    transactionDate: string | null;
    file: string | null;
  };

/** How a discrepancy is handled; null where nothing was done, or where it is closed. */
export type HandlingView = {
  readonly state: HandlingState;
  readonly assignedTo: string | null;
  readonly due: string | null;
  readonly until: string | null;
  readonly reason: string | null;
  readonly text: string | null;
  readonly by: string;
  readonly at: string;
  readonly comments: readonly { readonly text: string; readonly by: string; readonly at: string }[];
};

/** A discrepancy with its number, and how it is handled. */
export type HandledDiscrepancy = DiscrepancyView & { no: bigint; handling: HandlingView | null };

/** A discrepancy with from when to when it was open. */
export type DatedDiscrepancy = HandledDiscrepancy & {
  since: Date;
  /** Null while it is open, as is `closedBecause`. */
  until: Date | null;
  closedBecause: string | null;
};

const wanted = (filter: DiscrepancyFilter) => sql`
  ${filter.isClosedToo ? sql`true` : isOpen(filter)}
  and ${isHandledAs(filter)}
  and ${filter.assignedTo === undefined ? sql`true` : sql`h.assigned_to = ${filter.assignedTo}`}
  and ${filter.batchNos ? sql`(d.batch_no = any(${[...filter.batchNos]}::int[]) or d.batch_no is null and ${filter.isOfBankToo ?? false})` : sql`true`}
  and ${filter.nos ? sql`d.no = any(${[...filter.nos]}::bigint[])` : sql`true`}
  and ${filter.merchant === undefined ? sql`true` : sql`m.id = ${filter.merchant}`}
  and ${isOfMerchants(filter)}
  and ${filter.kind === undefined ? sql`true` : sql`d.kind = ${filter.kind}`}
  and ${filter.batch === undefined ? sql`true` : sql`coalesce(b.batch_id, b.day::text) = ${filter.batch}`}
  and ${filter.source === undefined ? sql`true` : isFrom(filter.source)}
  and ${filter.from === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) >= ${filter.from}::date`}
  and ${filter.to === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) <= ${filter.to}::date`}`;

const isHandledAs = ({ handling, isClosedToo, isAcceptedToo }: DiscrepancyFilter) => {
  if (handling === undefined)
    return isClosedToo || isAcceptedToo ? sql`true` : sql`h.state is distinct from 'accepted'`;
  // What is closed is not handled any more.
  return handling === 'open'
    ? sql`d.closed_run is null and coalesce(${stateOn()}, 'open') = 'open'`
    : sql`${stateOn()} = ${handling}`;
};

const isFrom = (source: string) => sql`
  case when d.bank_file_no is not null then f.source = ${source}
       when d.load_no is not null then y.source = ${source}
       else exists (select from delivery e join report s on s.no = e.report_no where s.batch_no = d.batch_no and e.source = ${source}) end`;

/** A discrepancy with its batch, merchant and file, and how it is handled. */
const placed = (filter: BatchFilter) => sql`
  discrepancy d left join batch b on b.no = d.batch_no left join merchant m on m.no = coalesce(b.merchant_no, d.merchant_no)
  ${ITS_FILES} ${handledNow(filter)}`;
const ITS_FILES = sql`
  left join load l on l.no = d.load_no left join delivery y on y.no = l.delivery_no left join bank_file f on f.no = d.bank_file_no`;
const handledNow = (filter: BatchFilter) => sql`
  left join handling h on h.discrepancy_no = d.no and ${handlingAt(filter)}`;

/** The promised order, by code point and nulls first; the number makes it one without ties. */
const BATCH_KEY = sql`coalesce(b.batch_id, b.day::text, '') collate "C"`;
const ORDER_IN_BATCH = sql`
  coalesce(y.file, f.file, ''), coalesce(d.line, 0), d.kind, coalesce(d.field, ''),
  coalesce(d.type, ''), coalesce(d.request_id, ''), coalesce(d.transaction_id, ''), coalesce(m.id, ''), coalesce(d.currency, ''),
  coalesce(d.reported, ''), coalesce(d.recorded, ''), d.no`;
const ORDER = sql`${BATCH_KEY}, ${ORDER_IN_BATCH}`;

const SHOWN = sql`
  ${KIND}, ${MERCHANT}, ${ITS_BATCH}, case when b.batch_id is null then b.day::text end as "transactionDate",
  coalesce(y.file, f.file) as file, ${FOUND}`;

/** Open discrepancies in the promised order. */
export const openDiscrepancies = (filter: DiscrepancyFilter) => sql`
  select ${SHOWN} from ${placed(filter)} where ${wanted(filter)} order by ${ORDER}`;

/** The same with how they are handled. */
export const handledDiscrepancies = (filter: DiscrepancyFilter) => sql`
  select ${SHOWN}, d.no, ${handlingObject(filter)} as handling from ${placed(filter)} where ${wanted(filter)} order by ${ORDER}`;

/** Why a discrepancy is closed: by what the run that no longer found it differs from the one before. */
const CLOSED_BECAUSE = sql`
  case when d.closed_run = 0 and d.is_superseded then 'superseded: the bank was found with other amounts'
       when d.closed_run = 0 then 'payouts were matched anew: statements, reports or settings of the bank have changed'
       when closing.no is null then null
       when d.is_superseded then 'superseded: run ' || closing.no || ' found it with other amounts, or in another place'
       when closing.batch_no <> d.batch_no then 'another batch was reconciled (run ' || closing.no || '), which resolved it'
       when closing.changed then 'run ' || closing.no || ' read other reports, or other revisions of them'
       when closing.rules <> (select before.rules from run before where before.batch_no = closing.batch_no and before.no < closing.no
                               order by before.no desc limit 1) then 'run ' || closing.no || ' used other rules'
       when exists (select from run_cause c where c.batch_no = closing.batch_no and c.cause = 'records' and c.wanted <= closing.answers
                       and c.wanted > coalesce((select max(before.answers) from run before where before.batch_no = closing.batch_no and before.no < closing.no), 0))
         then 'run ' || closing.no || ' found late or changed records'
       else 'run ' || closing.no || ' found other records, or other reports in other batches' end`;

/** Discrepancies in the promised order, each with since when and until when it was open. */
export const datedDiscrepancies = (filter: DiscrepancyFilter) => sql`
  select ${SHOWN}, d.no, ${handlingObject(filter)} as handling, d.first_seen_at as since, d.closed_at as until, ${CLOSED_BECAUSE} as "closedBecause"
    from ${placed(filter)} left join run closing on closing.no = d.closed_run
   where ${isPaged(filter) ? sql`d.no = any(array(${pageOf(filter)}))` : sql`${isFew(filter)} and ${wanted(filter)} and ${follows(filter)}`}
   order by ${ORDER} limit ${filter.limit ?? null}::bigint`;

const follows = (filter: DiscrepancyFilter) =>
  filter.after === undefined
    ? sql`true`
    : sql`(${ORDER}) > (select ${ORDER} from ${placed(filter)} where d.no = ${filter.after})`;

/** Of what was done something about there is little: it is found by that. */
const isFew = ({ handling = 'open', assignedTo, isClosedToo = false, asOf }: DiscrepancyFilter) =>
  (handling === 'open' && assignedTo === undefined) || isClosedToo || asOf !== undefined
    ? sql`true`
    : sql`d.no = any(array(select discrepancy_no from handling where ended_at is null))`;

/** What is named by number or handling is few: it is found by that, and sorted. */
const isPaged = ({ limit, nos, batchNos, handling, assignedTo }: DiscrepancyFilter): boolean =>
  limit !== undefined &&
  nos === undefined &&
  batchNos === undefined &&
  assignedTo === undefined &&
  (handling ?? 'open') === 'open';

/**
 * The numbers of a page. Batches come in their order, and each brings its own: so only as many are looked at as are shown, where sorting
 * a million took 5 seconds. What belongs to no batch is little, and is sorted with them.
 */
function pageOf(filter: DiscrepancyFilter) {
  const { merchant, batch, from, to, after, limit } = filter;
  const batches = sql`
    (select b.*, ${BATCH_KEY} as key from batch b join merchant m on m.no = b.merchant_no
      where ${merchant === undefined ? sql`true` : sql`m.id = ${merchant}`} and ${isOfMerchants(filter)}
        and ${batch === undefined ? sql`true` : sql`coalesce(b.batch_id, b.day::text) = ${batch}`}
        and ${from === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) >= ${from}::date`}
        and ${to === undefined ? sql`true` : sql`coalesce(b.settlement_date, b.day) <= ${to}::date`}
        and ${after === undefined ? sql`true` : sql`${BATCH_KEY} >= (select ${BATCH_KEY} from discrepancy d left join batch b on b.no = d.batch_no where d.no = ${after})`}
      order by ${BATCH_KEY} offset 0)`;
  const numbers = (from: RawBuilder<unknown>, condition: RawBuilder<unknown>, key: RawBuilder<unknown>) => sql`
    (select d.no from ${from} left join merchant m on m.no = coalesce(b.merchant_no, d.merchant_no) ${ITS_FILES} ${handledNow(filter)}
      where ${condition} and ${wanted(filter)} and ${follows(filter)} order by ${key}, ${ORDER_IN_BATCH} limit ${limit}::bigint)`;
  return sql`
    ${numbers(sql`${batches} b join discrepancy d on d.batch_no = b.no`, sql`true`, sql`b.key`)}
    union all
    ${numbers(sql`discrepancy d left join batch b on b.no = d.batch_no`, sql`d.batch_no is null`, BATCH_KEY)}`;
}

/** Whether there ever was a discrepancy of this number. */
export async function isDiscrepancy(db: Db, no: bigint): Promise<boolean> {
  return (await db.selectFrom('discrepancy').select('no').where('no', '=', no).executeTakeFirst()) !== undefined;
}

export type KindTotal = {
  kind: string;
  currency: string | null;
  count: number /** Null where nothing of it is at stake. */;
  stakeMinor: string | null;
};

/** How many of each kind and currency, and how much money they are about. */
export async function totalsOf(db: Db, filter: DiscrepancyFilter): Promise<KindTotal[]> {
  const found = await sql<KindTotal>`
    select d.kind, coalesce(d.stake_currency, d.currency) as currency, count(*)::int as count,
           sum(d.stake_minor)::text as "stakeMinor"
      from ${placed(filter)}
     where ${wanted(filter)}
     group by 1, 2 order by 1, 2 nulls first`.execute(db);
  return found.rows;
}
