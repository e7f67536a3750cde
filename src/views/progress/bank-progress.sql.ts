import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import { PATIENCE_MS } from '../../store/away.sql.ts';

/** How many of these settlement batches were compared with the bank, and of how many no account is known. */
export async function comparedWithBank(db: Db, batchNos: readonly number[]) {
  const found = await sql<{ compared: number; without: number }>`
    select count(p.batch_no)::int as compared, (count(*) - count(p.batch_no))::int as without
      from batch b left join payout p on p.batch_no = b.no
     where b.no = ${anyOf(batchNos)} and b.batch_id is not null and b.current_run is not null`.execute(db);
  return found.rows[0]!;
}

/** Some of these files of statements is not at its end. */
export async function isReadingStatements(db: Db, fileNos: readonly number[], startedAtMs: number): Promise<boolean> {
  const isPatient = Date.now() - startedAtMs < PATIENCE_MS;
  const busy = await sql`
    select from bank_file f where f.no = ${anyOf(fileNos)} and f.state = 'found' and f.parked_reason is null
       and (${isPatient} or not exists (select from away a where a.what in ('archive', 'source ' || f.source))) limit 1`.execute(
    db,
  );
  return busy.rows.length > 0;
}

/** Payouts are not matched with all that is known, and can be. */
export async function isMatching(db: Db): Promise<boolean> {
  const busy = await sql`
    select from bank_change where exists (select from bank_matching where parked_reason is null) limit 1`.execute(db);
  return busy.rows.length > 0;
}

/** Whether some of these files, or the matching, could not be done. */
export async function isBankIncomplete(db: Db, fileNos: readonly number[]): Promise<boolean> {
  const found = await sql`
    select from bank_file where no = ${anyOf(fileNos)} and state not in ('read', 'withdrawn')
    union all
    select from bank_statement s where s.file_no = ${anyOf(fileNos)} and s.error_code is not null
    union all
    select from bank_matching where parked_reason is not null and exists (select from bank_change)
    limit 1`.execute(db);
  return found.rows.length > 0;
}

/** Batches whose payout these files have to do with, or of which something of the bank is open. */
export async function batchesOfStatements(db: Db, fileNos: readonly number[]): Promise<number[]> {
  const found = await sql<{ no: number }>`
    select distinct batch_no as no from payout_entry where file_no = ${anyOf(fileNos)}
    union
    select d.batch_no from discrepancy d join batch b on b.no = d.batch_no and b.current_run is not null
     where d.closed_run is null and d.kind in ('payout_missing', 'payout_amount_mismatch', 'payout_twice', 'payout_returned')`.execute(
    db,
  );
  return found.rows.map(({ no }) => no);
}
