import { sql } from 'kysely';
import { columns, type RowOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import { lockMerchant } from '../../adapters/postgres/locks.ts';
import type { StatementState } from '../../domain/bank/choose-statements.ts';
import type { PayoutState } from '../../domain/bank/payouts.ts';
import type { StatementFormat } from '../../domain/bank/statement.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { IS_READ } from '../../store/bank/files.ts';

/** The last change that this snapshot shows; null: payouts are matched with all that is known. */
export async function lastChange(db: Db): Promise<bigint | null> {
  const found = await sql<{ no: bigint | null }>`select max(no) as no from bank_change`.execute(db);
  return found.rows[0]!.no;
}

export const TASK = 'match-payouts';

/** Another connection is matching, and is alive: what is stopped in the middle does nothing for long. */
export async function isBeingMatched(db: Db): Promise<boolean> {
  const found = await sql`
    select from pg_stat_activity where application_name = ${`settlestream ${TASK}`} and pid <> pg_backend_pid() and datname = current_database()
       and (state = 'active' or state like 'idle in transaction%' and state_change > now() - interval '30 seconds') limit 1`.execute(
    db,
  );
  return found.rows.length > 0;
}

/** A service works on this book, so that the clock says what is overdue; else the last statement does. */
export async function isByClock(db: Db): Promise<boolean> {
  const found = await db.selectFrom('bank_matching').select('matched_day').executeTakeFirst();
  return found?.matched_day != null;
}

const BATCH = columns('batch as b', ['no as batchNo', 'batch_id', 'merchant_no']);
const ITS_MERCHANT = columns('merchant as m', ['id as merchantId']);

export type BatchRow = RowOf<typeof BATCH> &
  RowOf<typeof ITS_MERCHANT> & {
    batchId: string;
    currency: Currency;
    settlementDate: string | null;
    /** What its run says of its details and of its summary, where these are whole. */
    hasDetails: boolean;
    detailsMinor: string | null;
    summaryMinor: string | null;
    /** Of its newest file. */
    source: string | null;
  };

/** All settlement batches that have a result. */
export async function batches(db: Db): Promise<BatchRow[]> {
  const found = await sql<BatchRow>`
    select ${BATCH}, ${ITS_MERCHANT}, b.currency, coalesce(b.settlement_date, b.day)::text as "settlementDate",
           jsonb_typeof(r.facts->'details') = 'object' and not lacks.details as "hasDetails", r.facts->'details'->>'settlementMinor' as "detailsMinor",
           case when not lacks.summary then r.facts->'summary'->>'settlementMinor' end as "summaryMinor",
           (select d.source from report p join delivery d on d.report_no = p.no where p.batch_no = b.no and d.state <> 'dry'
             order by d.no desc limit 1) as source
      from batch b join run r on r.no = b.current_run join merchant m on m.no = b.merchant_no
     cross join lateral (
       select coalesce(bool_or(kind = 'settlementDetails'), false) as details, coalesce(bool_or(kind = 'settlementSummary'), false) as summary
         from (select a->>'kind' as kind from jsonb_array_elements(r.facts->'awaits') a
               union all
               select coalesce(p.kind, d.field) from discrepancy d left join load l on l.no = d.load_no left join report p on p.no = l.report_no
                where d.batch_no = b.no and d.closed_run is null and d.kind in ('missing_part', 'refused_row')) k) lacks
     where b.batch_id is not null and b.currency is not null order by b.no`.execute(db);
  return found.rows;
}

const STATEMENT = columns('bank_statement as s', [
  'file_no',
  'ordinal',
  'line',
  'is_final',
  'number',
  'from_day as from',
  'to_day as to',
  'opening_minor',
  'closing_minor',
  'refused_count as refused',
  'refused_line',
  'refused_why',
]);

export type StatementRow = RowOf<typeof STATEMENT> & {
  account: string;
  currency: Currency;
  digest: string;
  file: string;
  format: StatementFormat;
  bookedMinor: string;
  state: StatementState;
};

/** Statements that can be used, of files that were not withdrawn. */
export async function statements(db: Db): Promise<StatementRow[]> {
  const found = await sql<StatementRow>`
    select ${STATEMENT}, s.account, s.currency, s.digest, f.file, f.format, s.booked_minor::text as "bookedMinor", s.state
      from bank_statement s join bank_file f on f.no = s.file_no
     where ${IS_READ} and s.error_code is null order by s.file_no, s.ordinal`.execute(db);
  return found.rows;
}

type Place = { readonly fileNo: number; readonly ordinal: number };

/** Of each pair of statements the booked entries that only the first has: how many, and the line of the first of them. */
export async function entriesLost(
  db: Db,
  pairs: readonly { readonly replaced: Place; readonly by: Place }[],
): Promise<{ readonly at: number; readonly line: number; readonly count: number }[]> {
  if (pairs.length === 0) return [];
  const of = (side: 'replaced' | 'by') => sql`
    select p.at, e.entry_key, min(e.line) as line, count(*)::int as entries
      from unnest(${pairs.map((pair) => pair[side].fileNo)}::int[], ${pairs.map((pair) => pair[side].ordinal)}::int[]) with ordinality as p(file_no, statement, at)
      join bank_entry e on e.file_no = p.file_no and e.statement = p.statement where e.status = 'booked' group by p.at, e.entry_key`;
  const found = await sql<{ at: number; line: number; count: number }>`
    select b.at::int - 1 as at, min(b.line) as line, sum(b.entries - coalesce(a.entries, 0))::int as count
      from (${of('replaced')}) b left join (${of('by')}) a on a.at = b.at and a.entry_key = b.entry_key
     where b.entries > coalesce(a.entries, 0) group by b.at order by b.at`.execute(db);
  return found.rows;
}

/** Booked entries of these statements: what decides whether they are looked at further. Streamed, for there may be millions. */
export const entryHeads = (finals: boolean, amounts: readonly bigint[] | null) => sql`
  select e.file_no as "fileNo", e.ordinal, e.statement, e.amount_minor as "amountMinor", e.entry_key as "entryKey",
         e.booking_date as "bookingDate", e.reference, e.texts, e.counterparty_name as name
    from bank_entry e join bank_statement s on s.file_no = e.file_no and s.ordinal = e.statement
    join bank_file f on f.no = e.file_no
   where e.status = 'booked' and ${IS_READ} and s.is_final = ${finals}
     ${amounts === null ? sql`` : sql`and e.amount_minor = any(${[...amounts]}::int8[])`}
   order by e.file_no, e.ordinal`;

export type EntryHead = {
  fileNo: number;
  ordinal: number;
  statement: number;
  amountMinor: bigint;
  entryKey: bigint;
  bookingDate: string | null;
  reference: string | null;
  texts: string;
  name: string | null;
};

/** Lines and charges of these entries. */
export async function entryDetails(db: Db, places: readonly { readonly fileNo: number; readonly ordinal: number }[]) {
  const found = await sql<{ fileNo: number; ordinal: number; line: number; chargesMinor: bigint | null }>`
    select e.file_no as "fileNo", e.ordinal, e.line, e.charges_minor as "chargesMinor"
      from unnest(${places.map(({ fileNo }) => fileNo)}::int[], ${places.map(({ ordinal }) => ordinal)}::int[]) as p(file_no, ordinal)
      join bank_entry e on e.file_no = p.file_no and e.ordinal = p.ordinal`.execute(db);
  return found.rows;
}

export type ConfirmationRow = { batchNo: number; account: string; entryKey: bigint; ordinal: number };

/** What persons have confirmed and not taken back. */
export async function confirmations(db: Db): Promise<ConfirmationRow[]> {
  return db
    .selectFrom('bank_confirmation')
    .select(['batch_no as batchNo', 'account', 'entry_key as entryKey', 'ordinal'])
    .where('ended_by', 'is', null)
    .execute();
}

/** Nobody publishes for these merchants until this transaction ends. In order, so that two who lock several never wait for each other. */
export async function lockMerchants(db: Db, merchantNos: readonly number[]): Promise<void> {
  for (const merchantNo of [...new Set(merchantNos)].sort((a, b) => a - b)) await lockMerchant(db, merchantNo);
}

export async function writeStates(
  db: Db,
  states: readonly { readonly fileNo: number; readonly ordinal: number; readonly state: StatementState }[],
): Promise<void> {
  if (states.length === 0) return;
  await sql`update bank_statement s set state = c.state
    from jsonb_to_recordset(${JSON.stringify(states)}::jsonb) as c("fileNo" integer, ordinal integer, state text)
   where s.file_no = c."fileNo" and s.ordinal = c.ordinal and s.state <> c.state`.execute(db);
}

export type PayoutRow = {
  readonly batchNo: number;
  readonly state: PayoutState;
  readonly amountMinor: string | null;
  readonly arrivedMinor: string;
  readonly dueBy: string | null;
  readonly matchedBy: string | null;
};
export type PayoutEntryRow = {
  readonly batchNo: number;
  readonly fileNo: number;
  readonly ordinal: number;
  readonly role: 'paid' | 'surplus' | 'returned';
};

/** Makes these the payouts that are known; rows that stay the same are not written again. */
export async function writePayouts(
  db: Db,
  payouts: readonly PayoutRow[],
  entries: readonly PayoutEntryRow[],
): Promise<void> {
  const decided = sql`jsonb_to_recordset(${JSON.stringify(payouts)}::jsonb)
    as p("batchNo" integer, state text, "amountMinor" bigint, "arrivedMinor" bigint, "dueBy" date, "matchedBy" text)`;
  await sql`delete from payout where batch_no not in (select "batchNo" from ${decided})`.execute(db);
  await sql`insert into payout as o (batch_no, state, amount_minor, arrived_minor, due_by, matched_by)
    select "batchNo", state, "amountMinor", "arrivedMinor", "dueBy", "matchedBy" from ${decided}
    on conflict (batch_no) do update set state = excluded.state, amount_minor = excluded.amount_minor, arrived_minor = excluded.arrived_minor,
           due_by = excluded.due_by, matched_by = excluded.matched_by
     where (o.state, o.amount_minor, o.arrived_minor, o.due_by, o.matched_by)
           is distinct from (excluded.state, excluded.amount_minor, excluded.arrived_minor, excluded.due_by, excluded.matched_by)`.execute(
    db,
  );
  const paid = sql`jsonb_to_recordset(${JSON.stringify(entries)}::jsonb)
    as p("batchNo" integer, "fileNo" integer, ordinal integer, role text)`;
  await sql`delete from payout_entry where (batch_no, file_no, ordinal) not in (select "batchNo", "fileNo", ordinal from ${paid})`.execute(
    db,
  );
  await sql`insert into payout_entry as o (batch_no, file_no, ordinal, role)
    select "batchNo", "fileNo", ordinal, role from ${paid}
    on conflict (batch_no, file_no, ordinal) do update set role = excluded.role where o.role <> excluded.role`.execute(
    db,
  );
}

/** A finding as it is stored. */
export type FindingRow = {
  readonly batch_no: number | null;
  readonly identity: string;
  readonly kind: string;
  readonly bank_file_no: number | null;
  readonly merchant_no: number | null;
  readonly line: number | null;
  readonly field: string | null;
  readonly reported: string | null;
  readonly recorded: string | null;
  readonly difference: string | null;
  readonly currency: string | null;
  readonly message: string;
  readonly stake_minor: string | null;
  readonly stake_currency: string | null;
};

const FINDING = sql`(batch_no integer, identity text, kind text, bank_file_no integer, merchant_no integer, line integer, field text,
  reported text, recorded text, difference text, currency text, message text, stake_minor numeric, stake_currency text)`;
const NAMES = sql.raw(
  'batch_no, identity, kind, bank_file_no, merchant_no, line, field, reported, recorded, difference, currency, message, stake_minor, stake_currency',
);
const SAYS = (table: string) =>
  sql.raw(
    [
      'kind',
      'bank_file_no',
      'line',
      'field',
      'reported',
      'recorded',
      'difference',
      'currency',
      'stake_minor',
      'stake_currency',
    ]
      .map((name) => `${table}.${name}`)
      .join(', '),
  );

/**
 * Closes the discrepancies of the bank that are found no longer, keeps the others, and opens new ones. One that says something else now is
 * closed and opened anew, and stays the age that it was.
 */
export async function publishFindings(db: Db, findings: readonly FindingRow[]): Promise<void> {
  const found = sql`jsonb_to_recordset(${JSON.stringify(findings)}::jsonb) as t${FINDING}`;
  // Its batch is part of an identity here, so that it can be joined by that alone.
  const isIts = sql`t.identity = x.identity`;
  const isOpen = sql`x.closed_run is null and x.opened_run = 0`;
  await sql`update discrepancy x set closed_run = 0, closed_at = now(), is_superseded = exists (select from ${found} where ${isIts})
    where ${isOpen} and not exists (
      select from ${found} where ${isIts} and (${SAYS('t')}) is not distinct from (${SAYS('x')}))`.execute(db);
  await sql`update discrepancy x set message = t.message from ${found}
     where ${isOpen} and ${isIts} and x.message <> t.message`.execute(db);
  await sql`
    with before as materialized (
      select identity, min(first_seen_at) as first_seen_at from discrepancy
       where closed_run = 0 and closed_at = now() and is_superseded group by identity)
    insert into discrepancy (${NAMES}, is_cross_batch, of_matchable, first_seen_at, opened_run, opened_at)
    select t.*, true, false, coalesce(o.first_seen_at, now()), 0, now()
      from ${found} left join before o on o.identity = t.identity
     where not exists (select from discrepancy x where ${isOpen} and ${isIts})`.execute(db);
}

/** What was seen is matched. */
export async function forgetChanges(db: Db, upTo: bigint): Promise<void> {
  await sql`delete from bank_change where no <= ${upTo}`.execute(db);
  await sql`update bank_matching set attempts = 0, next_attempt_at = null, parked_reason = null where attempts > 0`.execute(
    db,
  );
}
