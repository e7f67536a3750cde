import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { IS_READ } from '../../store/bank/files.ts';
import { bankSettings } from '../../store/bank/settings.ts';
import type { BatchPayout } from './payouts.sql.ts';

/** Up to which day the bank is known where payouts have not arrived, and payouts that are never due. */
export async function bankNotes(db: Db, payouts: readonly BatchPayout[]): Promise<string[]> {
  const notThere = payouts.filter(({ payout: { state } }) => state === 'expected' || state === 'overdue');
  if (notThere.length === 0) return [];
  const accounts = await lastDays(db);
  const owners = (await bankSettings(db))?.accounts ?? null;
  const owns = (merchantId: string, { account, currency }: LastDay) =>
    owners === null ||
    owners.some(
      (owner) =>
        owner.account === account &&
        owner.currency === currency &&
        (owner.merchantIds === null || owner.merchantIds.includes(merchantId)),
    );
  const horizons = [...Map.groupBy(notThere, ({ merchantId, currency }) => `${currency} of ${merchantId}`)].map(
    ([whose, [first]]) => {
      const { merchantId, currency } = first!;
      const days = accounts
        .filter((account) => account.currency === currency && owns(merchantId, account))
        .map(({ last }) => last)
        .sort();
      const unread = (owners ?? []).filter(
        (owner) =>
          owner.currency === currency &&
          (owner.merchantIds === null || owner.merchantIds.includes(merchantId)) &&
          !accounts.some((account) => account.account === owner.account && account.currency === currency),
      );
      if (unread.length > 0 && days.length > 0)
        return `No statement of ${unread.map(({ account }) => account).join(' and ')} was read: what arrived there in ${whose} is not known.`;
      return days.length === 0
        ? `No statement of an account in ${whose} was read: nothing is known of its payouts.`
        : `The bank is known up to ${days[0]} in ${whose}: what was booked later is not known yet.`;
    },
  );
  const undated = notThere.filter(({ settlementDate }) => settlementDate === null).length;
  const without = `${undated} payout${undated === 1 ? ' has' : 's have'} no settlement date: an entry pays such a payout only if it names the batch, and it is never overdue.`;
  return [...horizons.sort(), ...(undated === 0 ? [] : [without])];
}

type LastDay = { readonly account: string; readonly currency: string; readonly last: string };

async function lastDays(db: Db): Promise<LastDay[]> {
  const found = await sql<LastDay>`
    select s.account, s.currency, max(s.to_day)::text as last from bank_statement s join bank_file f on f.no = s.file_no
     where ${IS_READ} and s.state = 'counts' and s.is_final and s.to_day is not null group by 1, 2`.execute(db);
  return found.rows;
}
