import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import { table } from '../output/tables.ts';

/** What is looked at: an intervention, the batches it names, and the last run of each merchant before it. */
export type Since = {
  readonly interventionNo: number;
  readonly batchNos: readonly number[];
  readonly lastRuns: readonly { readonly merchantNo: number; readonly runNo: number }[];
};

/** A batch or day as it was before an intervention and as it is now. Discrepancies are told apart by their identity. */
export type Change = {
  readonly merchantId: string;
  readonly settlementBatchId: string | null;
  readonly settlementCurrency: string | null;
  readonly transactionDate: string | null;
  readonly before: Said;
  readonly after: Said;
  readonly opened: number;
  readonly closed: number;
  readonly kept: number;
};

/** Null where there is no result; `net` is the settlement total of the details, null where there are none. */
type Said = { readonly digest: string | null; readonly net: string | null };

type ChangeRow = {
  merchantId: string;
  settlementBatchId: string | null;
  settlementCurrency: Currency | null;
  transactionDate: string | null;
  isNamed: boolean;
  digestBefore: string | null;
  netBefore: string | null;
  digestAfter: string | null;
  netAfter: string | null;
  opened: number;
  closed: number;
  kept: number;
};

/**
 * What an intervention changed: the batches that it names, and those that changed with them, by date and id. A discrepancy
 * that goes on with other amounts is kept.
 */
export async function changesSince(db: Db, { interventionNo, batchNos, lastRuns }: Since): Promise<Change[]> {
  const net = (run: string) => sql`${sql.ref(run)}.facts->'details'->>'settlementMinor'`;
  const found = await sql<ChangeRow>`
    with last_run as materialized (
      select * from unnest(${lastRuns.map((run) => run.merchantNo)}::int[], ${lastRuns.map((run) => run.runNo)}::int[]) as l(merchant_no, run_no)),
    named as materialized (
      select unnest(${[...batchNos]}::int[]) as no union select batch_no from run_cause where intervention_no = ${interventionNo}),
    new_run as materialized (
      select r.no from run r join batch b on b.no = r.batch_no join last_run l on l.merchant_no = b.merchant_no and r.no > l.run_no
       where r.batch_no in (select no from named)),
    touched as materialized (
      select no from named
      union select batch_no from discrepancy where closed_run in (select no from new_run)
      union select batch_no from discrepancy where closed_run is null and is_cross_batch and opened_run in (select no from new_run)),
    told as (
      select x.batch_no, bool_or(x.opened_run <= l.run_no) as was, bool_or(x.closed_run is null) as is_now
        from discrepancy x join batch b on b.no = x.batch_no join last_run l on l.merchant_no = b.merchant_no
       where x.batch_no in (select no from touched) and (x.closed_run is null or x.closed_run > l.run_no)
       group by x.batch_no, x.identity, x.ordinal),
    counted as (
      select batch_no, count(*) filter (where is_now and not was)::int as opened, count(*) filter (where was and not is_now)::int as closed,
             count(*) filter (where was and is_now)::int as kept from told group by 1)
    select m.id as "merchantId", b.batch_id as "settlementBatchId", b.currency as "settlementCurrency",
           case when b.batch_id is null then b.day::text end as "transactionDate", b.no = any(${[...batchNos]}::int[]) as "isNamed",
           was.digest as "digestBefore", ${net('was')} as "netBefore", now.digest as "digestAfter", ${net('now')} as "netAfter",
           coalesce(c.opened, 0) as opened, coalesce(c.closed, 0) as closed, coalesce(c.kept, 0) as kept
      from touched t join batch b on b.no = t.no join merchant m on m.no = b.merchant_no join last_run l on l.merchant_no = m.no
      left join lateral (select * from run r where r.batch_no = b.no and r.no <= l.run_no order by r.no desc limit 1) last on true
      left join run was on was.no = last.no and not was.is_gone
      left join run now on now.no = b.current_run
      left join counted c on c.batch_no = b.no
     order by coalesce(b.settlement_date, b.day) nulls first, b.batch_id nulls first, m.id, b.currency`.execute(db);
  const isTold = (row: ChangeRow) => row.isNamed || row.opened + row.closed > 0 || row.digestBefore !== row.digestAfter;
  return found.rows.filter(isTold).map(changeOf);
}

function changeOf({ digestBefore, netBefore, digestAfter, netAfter, isNamed, ...row }: ChangeRow): Change {
  const said = (digest: string | null, netMinor: string | null): Said => ({
    digest,
    net: netMinor === null ? null : formatAmount(BigInt(netMinor), row.settlementCurrency!),
  });
  const { opened, closed, kept, ...named } = row;
  return { ...named, before: said(digestBefore, netBefore), after: said(digestAfter, netAfter), opened, closed, kept };
}

/** One line a batch: what was settled before and is now, and what became of its discrepancies. */
export const changeTable = (changes: readonly Change[]): string =>
  table(
    ['batch or day', 'currency', 'settled before', 'after', 'result', 'opened', 'closed', 'kept'],
    changes.map((change) => [
      change.settlementBatchId ?? change.transactionDate,
      change.settlementCurrency,
      change.before.net,
      change.after.net,
      resultOf(change),
      change.opened,
      change.closed,
      change.kept,
    ]),
    [2, 3, 5, 6, 7],
  );

function resultOf({ before, after, opened, closed }: Change): string {
  if (before.digest === after.digest) return opened + closed === 0 ? 'the same' : 'changed';
  if (before.digest === null) return 'new';
  return after.digest === null ? 'gone' : 'changed';
}
