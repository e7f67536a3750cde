import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import type { Actor } from '../domain/audit.ts';
import type { Kind } from '../domain/discrepancy.ts';
import type { AcceptReason, Handling, HandlingState } from '../domain/handling.ts';
import type { Currency } from '../domain/money/currency.ts';
import type { Money } from '../domain/money/money.ts';
import { stateOn } from '../store/handling.ts';

const numbers = (nos: readonly bigint[]) => sql`${nos.map(String)}::bigint[]`;

/** The numbers of their handling, of those that were handled. */
export async function versionsOf(db: Db, nos: readonly bigint[]): Promise<Map<bigint, bigint>> {
  const found = await sql<{ discrepancyNo: bigint; no: bigint }>`
    select discrepancy_no as "discrepancyNo", no from handling where discrepancy_no = any(${numbers(nos)}) and ended_at is null`.execute(
    db,
  );
  return new Map(found.rows.map(({ discrepancyNo, no }) => [discrepancyNo, no]));
}

/** Until the transaction ends nobody else handles them, and no run closes them. All lock in one order. */
export const lockDiscrepancies = (db: Db, nos: readonly bigint[]) =>
  sql`select from discrepancy where no = any(${numbers(nos)}) order by no for no key update`.execute(db);

export type FoundDiscrepancy = {
  readonly no: bigint;
  readonly kind: Kind;
  readonly batch: string;
  /** Null: of a bank statement that belongs to no batch. */
  readonly batchNo: number | null;
  readonly closedAt: Date | null;
  /** The discrepancy that took its place. */
  readonly reopenedAs: bigint | null;
  readonly stake: Money | null;
  /** The number of its handling, and how it stands; null where nothing was done. */
  readonly version: bigint | null;
  readonly current: Handling | null;
  readonly thread: bigint | null;
};

type Row = Omit<FoundDiscrepancy, 'stake' | 'current'> & {
  readonly stakeMinor: string | null;
  readonly stakeCurrency: Currency | null;
  readonly state: HandlingState | null;
  readonly assignedTo: string | null;
  readonly due: string | null;
  readonly until: string | null;
  readonly reason: AcceptReason | null;
  readonly text: string | null;
  readonly by: string | null;
};

/** Returns these discrepancies, of the merchants that are named. */
export async function discrepanciesOf(
  db: Db,
  nos: readonly bigint[],
  merchants: readonly string[] | null,
): Promise<Map<bigint, FoundDiscrepancy>> {
  const found = await sql<Row>`
    select d.no, d.kind, coalesce(b.batch_id, b.day::text, '') as batch, d.batch_no as "batchNo", d.closed_at as "closedAt",
           case when d.is_superseded then (select n.no from discrepancy n where n.batch_no is not distinct from d.batch_no and n.identity = d.identity
                                              and n.ordinal = d.ordinal and n.closed_run is null) end as "reopenedAs",
           d.stake_minor::text as "stakeMinor", d.stake_currency as "stakeCurrency", h.no as version, h.thread, ${stateOn()} as state,
           h.assigned_to as "assignedTo", h.due, case when h.until > (now() at time zone 'UTC')::date then h.until end as until, h.reason, h.text, h.decided_by as by
      from discrepancy d left join batch b on b.no = d.batch_no left join merchant m on m.no = coalesce(b.merchant_no, d.merchant_no)
      left join handling h on h.discrepancy_no = d.no and h.ended_at is null
     where d.no = any(${numbers(nos)}) and ${merchants === null ? sql`true` : sql`m.id = any(${[...merchants]}::text[])`}`.execute(
    db,
  );
  return new Map(found.rows.map((row) => [row.no, discrepancyOf(row)]));
}

function discrepancyOf({
  stakeMinor,
  stakeCurrency,
  state,
  assignedTo,
  due,
  until,
  reason,
  text,
  by,
  ...row
}: Row): FoundDiscrepancy {
  return {
    ...row,
    stake:
      stakeMinor === null || stakeCurrency === null
        ? null
        : { amountMinor: BigInt(stakeMinor), currency: stakeCurrency },
    current: row.version === null ? null : { state: state!, assignedTo, due, until, reason, text, by: by! },
  };
}

/** How a discrepancy stands after an action. */
export type HandlingChange = {
  readonly found: FoundDiscrepancy;
  readonly handling: Handling;
  readonly action: string;
  readonly said: string | null;
};

/** Writes what was decided, in place of what held before. */
export async function writeHandling(db: Db, { name, via }: Actor, changes: readonly HandlingChange[]): Promise<void> {
  const ended = changes.flatMap(({ found }) => found.version ?? []);
  await sql`update handling set ended_at = now() where no = any(${numbers(ended)})`.execute(db);
  const texts = (of: (change: HandlingChange) => string | null) => sql`${changes.map(of)}::text[]`;
  // Who comments, or assigns what waits, has decided nothing of its state.
  await sql`
    insert into handling (discrepancy_no, batch_no, thread, action, state, assigned_to, due, until, reason, text, decided_by, decided_at, said, by, via, at)
    select a.no, a.batch_no, coalesce(a.thread, a.no), a.action, a.state, a.assigned_to, a.due::date, a.until::date, a.reason, a.text, a.decided_by,
           case when a.is_decision then now() else b.decided_at end, a.said, ${name}, ${via}, now()
      from unnest(${numbers(changes.map(({ found }) => found.no))}, ${changes.map(({ found }) => found.batchNo)}::int[],
             ${changes.map(({ found }) => found.thread?.toString() ?? null)}::bigint[], ${texts(({ action }) => action)},
             ${texts(({ handling }) => handling.state)}, ${texts(({ handling }) => handling.assignedTo)}, ${texts(({ handling }) => handling.due)},
             ${texts(({ handling }) => handling.until)}, ${texts(({ handling }) => handling.reason)}, ${texts(({ handling }) => handling.text)},
             ${texts(({ handling }) => handling.by)}, ${texts(({ said }) => said)}, ${changes.map(isDecision)}::boolean[],
             ${changes.map(({ found }) => found.version?.toString() ?? null)}::bigint[])
           with ordinality as a(no, batch_no, thread, action, state, assigned_to, due, until, reason, text, decided_by, said, is_decision, version, place)
      left join handling b on b.no = a.version
     order by place`.execute(db);
}

const isDecision = ({ found: { current }, handling, action }: HandlingChange): boolean =>
  current === null ||
  action === 'approve' ||
  current.state !== handling.state ||
  current.text !== handling.text ||
  current.by !== handling.by;
