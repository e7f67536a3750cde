import { sql } from 'kysely';
import type { GaugeValues } from '../../adapters/metrics/definitions.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import { PAYOUT_STATES } from '../../domain/bank/payouts.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import { IS_READ } from '../../store/bank/files.ts';
import { isBankUsed } from '../bank/payouts.sql.ts';

/** Where payouts are, how much is still to come, since when, and how old the bank's last word is. Nothing in a book without a bank. */
export async function gaugesOfBank(db: Db): Promise<GaugeValues> {
  const none = {
    recon_payouts: [],
    recon_payout_amount_open: [],
    recon_oldest_expected_payout_timestamp_seconds: [],
    recon_bank_statement_lag_seconds: [],
  };
  if (!(await isBankUsed(db))) return none;
  const states = await sql<{ state: string; count: number }>`
    select state, count(*)::int as count from payout group by 1`.execute(db);
  const open = await sql<{ currency: Currency; minor: string }>`
    select b.currency, sum(abs(coalesce(p.amount_minor, 0) - p.arrived_minor))::text as minor
      from payout p join batch b on b.no = p.batch_no
     where p.state in ('expected', 'overdue', 'different', 'returned') group by 1 order by 1`.execute(db);
  const oldest = await sql<{ at: number | null }>`
    select extract(epoch from min(coalesce(b.settlement_date, b.day))::timestamp at time zone 'UTC')::float8 as at
      from payout p join batch b on b.no = p.batch_no where p.state in ('expected', 'overdue')`.execute(db);
  // Of the account that has been silent for longest, from the end of the last day that it knows.
  const lag = await sql<{ seconds: number | null }>`
    select max(extract(epoch from now() - (last + 1)::timestamp at time zone 'UTC'))::float8 as seconds
      from (select max(s.to_day) as last from bank_statement s join bank_file f on f.no = s.file_no
             where ${IS_READ} and s.state = 'counts' and s.is_final group by s.account, s.currency) accounts`.execute(
    db,
  );
  const { at } = oldest.rows[0]!;
  const { seconds } = lag.rows[0]!;
  return {
    recon_payouts: PAYOUT_STATES.map((state) => ({
      labels: { state },
      value: states.rows.find((row) => row.state === state)?.count ?? 0,
    })),
    recon_payout_amount_open: open.rows.map(({ currency, minor }) => ({
      labels: { currency },
      value: Number(formatAmount(BigInt(minor), currency)),
    })),
    recon_oldest_expected_payout_timestamp_seconds: at === null ? [] : [{ labels: {}, value: at }],
    recon_bank_statement_lag_seconds: seconds === null ? [] : [{ labels: {}, value: Math.max(0, seconds) }],
  };
}
