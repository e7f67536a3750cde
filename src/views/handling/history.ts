import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';

/** One thing that was done about a discrepancy, by a person or a run. */
export type HandlingEvent = {
  readonly no: bigint;
  readonly at: Date;
  readonly by: string;
  readonly via: string;
  readonly action: string;
  readonly state: string;
  readonly assignedTo: string | null;
  readonly due: string | null;
  readonly until: string | null;
  readonly reason: string | null;
  readonly said: string | null;
};

/** All that was done about a discrepancy, under whatever number it was then. */
export async function handlingHistory(db: Db, discrepancyNo: bigint): Promise<readonly HandlingEvent[]> {
  const found = await sql<HandlingEvent>`
    select h.no, h.at, h.by, h.via, h.action, h.state, h.assigned_to as "assignedTo", h.due, h.until, h.reason, h.said
      from handling h where h.thread in (select thread from handling where discrepancy_no = ${discrepancyNo.toString()}::bigint)
     order by h.no limit 1000`.execute(db);
  return found.rows;
}

/** The number of the current handling, of those that were handled: whoever acts says what they have seen. */
export async function latestOf(db: Db, discrepancyNos: readonly bigint[]): Promise<ReadonlyMap<bigint, bigint>> {
  const found = await sql<{ discrepancyNo: bigint; no: bigint }>`
    select discrepancy_no as "discrepancyNo", no from handling
     where discrepancy_no = any(${discrepancyNos.map(String)}::bigint[]) and ended_at is null`.execute(db);
  return new Map(found.rows.map(({ discrepancyNo, no }) => [discrepancyNo, no]));
}
