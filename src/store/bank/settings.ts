import { sql } from 'kysely';
import { type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import type { Schema } from '../../adapters/postgres/schema.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import type { BankSettings } from '../../domain/bank/settings.ts';

/** The settings of the bank as the book knows them; null: nobody has asked for the bank. */
export async function bankSettings(db: Db): Promise<BankSettings | null> {
  const found = await db
    .selectFrom('bank_setting')
    .select(['accounts', 'payers', 'payout_days as payoutDays', 'calendars', 'formats'])
    .executeTakeFirst();
  return found ?? null;
}

/** Writes the settings down. Where they are others than before, payouts are matched anew. */
export const useBank = (database: Database, settings: BankSettings): Promise<void> =>
  onOneConnection(database, (db) =>
    inTransaction(db, async () => {
      const { accounts, payers, payoutDays, calendars, formats } = settings;
      const written = await sql`
        insert into bank_setting as s (accounts, payers, payout_days, calendars, formats)
        values (${accounts === null ? null : JSON.stringify(accounts)}::jsonb, ${[...payers]}::text[], ${payoutDays}, ${JSON.stringify(calendars)}::jsonb,
                ${JSON.stringify(formats)}::jsonb)
        on conflict (is_only) do update set accounts = excluded.accounts, payers = excluded.payers, payout_days = excluded.payout_days,
               calendars = excluded.calendars, formats = excluded.formats
         where (s.accounts, s.payers, s.payout_days, s.calendars, s.formats)
               is distinct from (excluded.accounts, excluded.payers, excluded.payout_days, excluded.calendars, excluded.formats)`.execute(
        db,
      );
      if (written.numAffectedRows === 1n) await noteBankChange(db, 'setting');
    }),
  );

/** Notes that payouts have to be matched anew, in a book that is asked for the bank. What was given up is tried again: it has other data. */
export const noteBankChange = (db: Db, why: Schema['bank_change']['why']) =>
  sql`with again as (update bank_matching set attempts = 0, next_attempt_at = null, parked_reason = null where parked_reason is not null)
      insert into bank_change (why) select ${why} where exists (select from bank_setting)`.execute(db);

/** Asks a book for the bank that was not asked before; one that has settings keeps them. */
export async function useBankAtLeast(database: Database, settings: BankSettings): Promise<void> {
  if ((await bankSettings(database.db)) === null) await useBank(database, settings);
}

/** A day is over, so that a payout may be overdue: once a day payouts are matched by time alone. */
export const noteNewDay = (db: Db) =>
  sql`with fresh as (
        update bank_matching set matched_day = (now() at time zone 'UTC')::date, attempts = 0, next_attempt_at = null, parked_reason = null
         where matched_day is distinct from (now() at time zone 'UTC')::date and exists (select from bank_setting) returning is_only)
      insert into bank_change (why) select 'time' from fresh`.execute(db);
