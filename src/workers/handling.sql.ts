import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import { SYSTEM } from '../domain/audit.ts';

/** The program itself, as it stands in the history of a discrepancy. */
const by = (runNo: number) => sql`${SYSTEM}, ${runNo === MATCHING ? 'match-payouts' : `run ${runNo}`}`;

/** What stands for a run where payouts are matched with the bank. */
const MATCHING = 0;

const AMOUNTS = (of: string) =>
  sql.raw(
    ['reported', 'recorded', 'difference', 'currency', 'stake_minor', 'stake_currency']
      .map((column) => `${of}.${column}`)
      .join(', '),
  );

/** What is decided of amounts holds for no others. */
const LAPSES = sql`h.state in ('accepted', 'pendingApproval', 'snoozed')`;

/**
 * Carries on what people decided about the discrepancies that this run closed, in any batch: it ends with the discrepancy. Where the run found
 * it again in another place it goes on, and where it found it with other amounts it goes on as open. What comes back after it was closed is
 * open, and its history goes on.
 */
export async function carryHandling(db: Db, batchNo: number, runNo: number): Promise<void> {
  // In most books nobody has decided anything, and planning the two takes longer than many a run.
  if (!(await isAnythingHandled(db))) return;
  await goOn(db, runNo);
  await comeBack(db, runNo, sql`(e.batch_no = ${batchNo} or e.batch_no in (select batch_no from touched_batch))`);
}

/** The same for what was closed and opened when payouts were matched. */
export async function carryHandlingOfBank(db: Db): Promise<void> {
  await goOn(db, MATCHING);
  await comeBack(db, MATCHING, sql`n.opened_at = now()`);
}

async function isAnythingHandled(db: Db): Promise<boolean> {
  const found = await sql`select from handling limit 1`.execute(db);
  return found.rows.length > 0;
}

const goOn = (db: Db, runNo: number) =>
  sql`
  with before as (
    update handling h set ended_at = now() from discrepancy o
     where o.closed_run = ${runNo} and h.discrepancy_no = o.no and h.ended_at is null returning h.*)
  insert into handling (discrepancy_no, batch_no, thread, action, state, assigned_to, due, until, reason, text, decided_by, decided_at, said, by, via, at, ended_at)
  select coalesce(n.no, o.no), o.batch_no, h.thread, s.step, case when s.step = 'kept' then h.state when h.assigned_to is null or s.step = 'ended' then 'open' else 'assigned' end,
         case when s.step <> 'ended' then h.assigned_to end, case when s.step <> 'ended' then h.due end, case when s.step = 'kept' then h.until end,
         case when s.step = 'kept' then h.reason end, case when s.step = 'kept' then h.text end,
         case when s.step = 'kept' then h.decided_by else ${SYSTEM} end, case when s.step = 'kept' then h.decided_at else now() end,
         case s.step when 'lapsed' then 'its amounts changed: it was ' || h.state when 'ended' then 'the data no longer shows it: it was ' || h.state end,
         ${by(runNo)}, now(), case when s.step = 'ended' then now() end
    from before h join discrepancy o on o.no = h.discrepancy_no
    left join discrepancy n on n.batch_no is not distinct from o.batch_no and n.identity = o.identity and n.ordinal = o.ordinal and n.closed_run is null and n.opened_run = ${runNo}
   cross join lateral (
     select case when n.no is null then 'ended'
                 when (${AMOUNTS('n')}) is not distinct from (${AMOUNTS('o')}) or not (${LAPSES}) then 'kept'
                 else 'lapsed' end as step) s`.execute(db);

/** Of the batch, and of those in which this run opened cross-batch discrepancies. */
const comeBack = (db: Db, runNo: number, which: RawBuilder<unknown>) =>
  sql`
  insert into handling (discrepancy_no, batch_no, thread, action, state, decided_by, decided_at, said, by, via, at)
  select distinct on (n.no) n.no, n.batch_no, e.thread, 'returned', 'open', ${SYSTEM}, now(), 'it came back: what was decided before no longer holds',
         ${by(runNo)}, now()
    from handling e join discrepancy o on o.no = e.discrepancy_no
    join discrepancy n on n.batch_no is not distinct from o.batch_no and n.identity = o.identity and n.ordinal = o.ordinal and n.closed_run is null and n.opened_run = ${runNo}
   where e.action = 'ended' and ${which}
     and not exists (select from handling h where h.discrepancy_no = n.no)
   order by n.no, e.no desc`.execute(db);
