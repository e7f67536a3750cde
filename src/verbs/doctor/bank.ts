import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Config } from '../../config/config.ts';
import { payerTest } from '../../domain/bank/settings.ts';
import { bankSettings } from '../../store/bank/settings.ts';
import { bankSettingsOf } from '../session/bank.ts';
import { type Checked, ok, problem, warning } from './check.ts';

type Account = { account: string; currency: string };

/** Accounts without statements, statements of accounts that nobody owns, payers that never paid, and files that cannot be read. */
export async function checkBank(db: Db, config: Config): Promise<readonly Checked[]> {
  const isMade = await sql<{ isMade: boolean }>`select to_regclass('bank_setting') is not null as "isMade"`.execute(db);
  if (!isMade.rows[0]!.isMade) return [];
  const settings = config.bank ? bankSettingsOf(config) : await bankSettings(db);
  if (settings === null) return [];
  const { accounts, payers } = settings;
  const read = await sql<Account>`
    select distinct s.account, s.currency from bank_statement s join bank_file f on f.no = s.file_no
     where f.state = 'read' and s.error_code is null order by 1, 2`.execute(db);
  const keyOf = ({ account, currency }: Account) => `${account} ${currency}`;
  const known = new Set(read.rows.map(keyOf));
  const owned = new Set(accounts?.map(keyOf));
  const without = accounts?.filter((account) => !known.has(keyOf(account))) ?? [];
  const nobodys = accounts === null ? [] : read.rows.filter((account) => !owned.has(keyOf(account)));
  const unread = warning(
    'bank',
    'no statement was read: payouts are compared with nothing',
    'Check bank.sources, or name statements with "settlestream reconcile PATH --bank PATH".',
  );
  const found = [
    ...(known.size === 0 ? [unread] : []),
    ...without.map((account) =>
      warning(
        'bank accounts',
        `there is no statement of ${keyOf(account)}`,
        'Check bank.accounts: the account must be written as in its statements. Check the delivery of statements.',
      ),
    ),
    ...nobodys.map((account) =>
      warning(
        'bank accounts',
        `statements of ${keyOf(account)} are read, but bank.accounts does not name it, so its entries pay nothing`,
        'Add it to bank.accounts, or do not deliver its statements.',
      ),
    ),
    ...(await silentPayers(db, payers)),
    ...(await unreadFiles(db)),
    ...(await givenUp(db)),
  ];
  return found.length > 0 ? found : [ok('bank', `${known.size} accounts with statements`)];
}

async function silentPayers(db: Db, payers: readonly string[]): Promise<Checked[]> {
  if (payers.length === 0) return [];
  const names = await sql<{ name: string }>`
    select distinct counterparty_name as name from bank_entry where counterparty_name is not null limit 100000`.execute(
    db,
  );
  return payers
    .filter((payer) => !names.rows.some(({ name }) => payerTest([payer])(name)))
    .map((payer) =>
      warning(
        'payers',
        `no entry has a counterparty like "${payer}"`,
        'Compare it with the names that "settlestream bank" shows, and correct bank.payers.',
      ),
    );
}

async function unreadFiles(db: Db): Promise<Checked[]> {
  const files = await sql<{ file: string; reason: string; count: number }>`
    select file, coalesce(error_message, parked_reason, '') as reason, count(*) over ()::int as count
      from bank_file where state = 'refused' or parked_reason is not null order by no limit 1`.execute(db);
  return files.rows.map(({ file, reason, count }) =>
    problem(
      'bank statements',
      `${count} files cannot be used, the first is ${file}: ${reason}`,
      'Fetch them again from the bank; other content under the same name is read automatically.',
    ),
  );
}

async function givenUp(db: Db): Promise<Checked[]> {
  const matching = db
    .selectFrom('bank_matching')
    .select('parked_reason as reason')
    .where('parked_reason', 'is not', null);
  return (await matching.execute()).map(({ reason }) =>
    problem(
      'payouts',
      `matching was given up, so what is said of payouts is old: ${reason}`,
      'Mend the cause. It is tried again when a batch or a statement changes, and each day.',
    ),
  );
}
