import { sql } from 'kysely';
import type { Database, Db } from '../../adapters/postgres/connection.ts';
import { streamHeld } from '../../adapters/postgres/cursors.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';

/** A run of a batch, and why it came about. */
export type RunView = {
  readonly run: number;
  readonly publishedAt: Date;
  /** Null where nothing of the batch was left. */
  readonly digest: string | null;
  readonly net: string | null;
  readonly causes: readonly Cause[];
};

export type Cause = {
  /** A report was read or could not be read; a replay; a withdrawal; the records changed; another batch was published; time went by. */
  readonly cause: 'report' | 'replay' | 'withdrawal' | 'records' | 'batch' | 'calendar';
  /** The other batch or day. */
  readonly by: string | null;
  /** What a person asked for. */
  readonly asked: string | null;
};

/** The runs of a batch or day up to a time, the newest last. */
export async function runsOf(db: Db, batchNo: number, asOf: string | undefined): Promise<RunView[]> {
  const found = await sql<Omit<RunView, 'net'> & { netMinor: string | null; currency: Currency | null }>`
    select r.no as run, r.published_at as "publishedAt", case when not r.is_gone then r.digest end as digest,
           r.facts->'details'->>'settlementMinor' as "netMinor", r.currency,
           coalesce((select jsonb_agg(distinct jsonb_build_object('cause', c.cause, 'by', coalesce(o.batch_id, o.day::text),
                                                                  'asked', case when c.cause <> 'batch' then i.asked end))
                       from run_cause c left join batch o on o.no = c.by_batch_no left join intervention i on i.no = c.intervention_no
                      where c.batch_no = r.batch_no and c.wanted > r.answered_before and c.wanted <= r.answers), '[]') as causes
      from (select r.*, b.currency, coalesce(lag(r.answers) over (order by r.no), 0) as answered_before
              from run r join batch b on b.no = r.batch_no where r.batch_no = ${batchNo}) r
     where ${asOf === undefined ? sql`true` : sql`r.published_at <= ${asOf}::timestamptz`}
     order by r.no`.execute(db);
  return found.rows.map(({ netMinor, currency, ...run }) => ({
    ...run,
    net: netMinor === null ? null : formatAmount(BigInt(netMinor), currency!),
  }));
}

export const causeText = ({ cause, by, asked }: Cause): string =>
  cause === 'report' ? 'new report' : cause === 'batch' ? `batch ${by}` : [cause, asked].filter(Boolean).join(': ');

/** Two contents of a report, one after the other, each with the load that holds its rows. */
export type Revision = {
  readonly file: string;
  readonly kind: string;
  readonly from: number;
  readonly to: number;
  readonly before: Load;
  readonly after: Load;
};

type Load = {
  readonly loadNo: number;
  readonly slot: number;
  /** When its rows were dropped because they are old; null while they are kept. */
  readonly rowsDroppedAt: string | null;
};

/** Where reports of a batch came with other bytes: each step from one content that was read to the next. */
export async function revisionsOf(db: Db, batchNo: number, asOf: string | undefined): Promise<Revision[]> {
  const known = asOf === undefined ? sql`true` : sql`c.first_closed_at <= ${asOf}::timestamptz`;
  const found = await sql<Revision>`
    with content as (
      select distinct on (r.no, d.revision) r.no, r.kind, d.revision, d.file, 
             jsonb_build_object('loadNo', l.no, 'slot', l.slot, 'rowsDroppedAt', l.rows_dropped_at) as load,
             min(l.closed_at) over (partition by r.no, d.revision) as first_closed_at
        from report r join delivery d on d.report_no = r.no join load l on l.delivery_no = d.no and l.closed_at is not null
       where r.batch_no = ${batchNo} order by r.no, d.revision, l.state = 'closed' desc, l.no desc)
    select file, kind, before_revision as "from", revision as "to", before_load as before, load as after
      from (select c.*, lag(load) over (partition by no order by revision) as before_load,
                   lag(revision) over (partition by no order by revision) as before_revision from content c where ${known}) c
     where before_load is not null order by file collate "C", revision`.execute(db);
  return found.rows;
}

export type RevisionView = {
  readonly file: string;
  readonly from: number;
  readonly to: number;
  /** When the rows of one of the two were dropped because they are old: then nobody can say what follows. Null while they are kept. */
  readonly rowsDroppedAt: Date | null;
  readonly added: number | null;
  readonly removed: number | null;
  readonly changed: number | null;
  /** By how much the settlement total moved; null for a report of transactions, which settles nothing. */
  readonly settlementAmount: string | null;
  /** By how much the transaction amounts moved, by currency; null for what settles. */
  readonly transactionAmounts: readonly { currency: string; amount: string }[] | null;
};

/** How many rows a revision brought, took away and changed, and the money that this moved. */
export async function revisionView(db: Db, revision: Revision, currency: string | null): Promise<RevisionView> {
  const { file, from, to } = revision;
  const rowsDroppedAt = droppedAt(revision);
  if (rowsDroppedAt !== null) return { file, from, to, rowsDroppedAt, ...NOTHING_KNOWN };
  const isDay = revision.kind === 'transactionDetails';
  const moved = sql`select jsonb_agg(jsonb_build_object('currency', currency, 'minor', minor::text) order by currency)
    from (select currency, sum(minor) as minor from (
            select before_currency as currency, -before_amount::numeric as minor from joined
            union all select after_currency, after_amount from joined) m
           where currency is not null group by 1 having sum(minor) <> 0) s`;
  const sumOf = (side: 'before' | 'after') => {
    const amount = sql.ref(`${side}_settlement`);
    // Of a summary its TOTAL counts, where it has one.
    return revision.kind === 'settlementSummary'
      ? sql`coalesce(sum(${amount}) filter (where type = 'TOTAL'), sum(${amount}), 0)`
      : sql`coalesce(sum(${amount}), 0)`;
  };
  const found = await sql<{
    added: number;
    removed: number;
    changed: number;
    settlementMinor: string;
    byCurrency: { currency: Currency; minor: string }[] | null;
  }>`
    with joined as (${joinedRows(revision)})
    select count(*) filter (where before_line is null)::int as added, count(*) filter (where after_line is null)::int as removed,
           count(*) filter (where is_changed)::int as changed, (${sumOf('after')} - ${sumOf('before')})::text as "settlementMinor",
           ${isDay ? sql`(${moved})` : sql`null::jsonb`} as "byCurrency"
      from joined`.execute(db);
  const { settlementMinor, byCurrency, ...counts } = found.rows[0]!;
  return {
    file,
    from,
    to,
    rowsDroppedAt,
    ...counts,
    settlementAmount: isDay ? null : formatAmount(BigInt(settlementMinor), currency as Currency),
    transactionAmounts: isDay
      ? (byCurrency ?? []).map((one) => ({
          currency: one.currency,
          amount: formatAmount(BigInt(one.minor), one.currency),
        }))
      : null,
  };
}

const NOTHING_KNOWN = { added: null, removed: null, changed: null, settlementAmount: null, transactionAmounts: null };

function droppedAt({ before, after }: Revision): Date | null {
  const at = before.rowsDroppedAt ?? after.rowsDroppedAt;
  return at === null ? null : new Date(at);
}

/** A row that a revision added, removed or changed. */
export type RevisedRow = {
  readonly file: string;
  readonly from: number;
  readonly to: number;
  readonly type: string | null;
  readonly transactionId: string | null;
  readonly requestId: string | null;
  readonly before: RowSide | null;
  readonly after: RowSide | null;
};

type RowSide = {
  readonly line: number;
  readonly transactionAmount: string | null;
  readonly transactionCurrency: string | null;
  readonly settlementAmount: string | null;
  readonly feeAmount: string | null;
};

type JoinedRow = Readonly<Record<string, unknown>> & {
  type: string | null;
  transaction_id: string | null;
  request_id: string | null;
};

/** The rows that a revision touches, by line, a few thousand at a time. */
export async function* revisedRows(
  database: Database,
  revision: Revision,
  currency: string | null,
): AsyncGenerator<RevisedRow[]> {
  if (droppedAt(revision) !== null) return;
  const { file, from, to } = revision;
  const statement = sql`select * from (${joinedRows(revision)}) j where before_line is null or after_line is null or is_changed
    order by coalesce(after_line, before_line), before_line nulls first`;
  const amount = (minor: unknown, of: unknown) =>
    minor === null || of === null ? null : formatAmount(minor as bigint, of as Currency);
  const side = (row: JoinedRow, name: 'before' | 'after'): RowSide | null =>
    row[`${name}_line`] === null
      ? null
      : {
          line: row[`${name}_line`] as number,
          transactionAmount: amount(row[`${name}_amount`], row[`${name}_currency`]),
          transactionCurrency: row[`${name}_currency`] as string | null,
          settlementAmount: amount(row[`${name}_settlement`], currency),
          feeAmount: amount(row[`${name}_fee`], currency),
        };
  for await (const rows of streamHeld<JoinedRow>(database, statement)) {
    yield rows.map((row) => ({
      file,
      from,
      to,
      type: row.type,
      transactionId: row.transaction_id,
      requestId: row.request_id,
      before: side(row, 'before'),
      after: side(row, 'after'),
    }));
  }
}

/**
 * The rows of two loads side by side. Rows are told apart by type and ids, and those that share them by their order. What is
 * compared is what the book keeps of a row, not its place.
 */
const joinedRows = ({ kind, before, after }: Revision) => sql`
  select coalesce(a.type, b.type) as type, coalesce(a.transaction_id, b.transaction_id) as transaction_id,
         coalesce(a.request_id, b.request_id) as request_id, b.line as before_line, a.line as after_line,
         b.amount_minor as before_amount, a.amount_minor as after_amount, b.currency as before_currency, a.currency as after_currency,
         b.settlement_minor as before_settlement, a.settlement_minor as after_settlement, b.fee_minor as before_fee, a.fee_minor as after_fee,
         a.line is not null and b.line is not null and a.content is distinct from b.content as is_changed
    from (${numberedRows(kind, before)}) b
    full join (${numberedRows(kind, after)}) a
      on coalesce(a.type, '') = coalesce(b.type, '') and coalesce(a.transaction_id, '') = coalesce(b.transaction_id, '')
     and coalesce(a.request_id, '') = coalesce(b.request_id, '') and a.nth = b.nth`;

const numberedRows = (kind: string, { loadNo, slot }: Load) =>
  kind === 'settlementSummary'
    ? sql`select type, null::text as transaction_id, null::text as request_id, row_number() over (partition by type order by line) as nth, line,
                 null::bigint as amount_minor, null::text as currency, settlement_minor, fee_minor,
                 row(row_count, settlement_minor, fee_minor) as content
            from summary_row where load_no = ${loadNo}`
    : sql`select type, transaction_id, request_id, row_number() over (partition by type, transaction_id, request_id order by line) as nth, line,
                 amount_minor, currency, settlement_minor, fee_minor,
                 row(flags, original_request_id, original_transaction_id, amount_minor, currency, settlement_minor, fee_minor, paid_at) as content
            from report_row where slot = ${sql.raw(String(slot))} and load_no = ${sql.raw(String(loadNo))}`;
