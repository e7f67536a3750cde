import { sql } from 'kysely';
import { anyOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';

/** What became of a statement, or of a file that holds none that can be used. */
export type StatementView = {
  file: string;
  account: string | null;
  currency: Currency | null;
  number: string | null;
  from: string | null;
  to: string | null;
  openingMinor: bigint | null;
  closingMinor: bigint | null;
  entries: number;
  state: 'closed' | 'refused' | 'duplicate' | 'unbalanced' | 'replaced' | 'withdrawn' | 'waiting';
  errorCode: string | null;
  errorMessage: string | null;
  /** Whether its entries lead from one balance to the other; null where it cannot be used. */
  balance: 'balanced' | 'unbalanced' | 'notStated' | null;
};

/** The statements of these files; null: of all. A file that could not be read stands for what it holds. */
export async function statementsOf(db: Db, fileNos: readonly number[] | null): Promise<StatementView[]> {
  const found = await sql<StatementView>`
    with s as (
      select s.*, case when s.error_code is not null then null
                       when s.refused_count > 0 or s.opening_minor + s.booked_minor <> s.closing_minor then 'unbalanced'
                       when s.opening_minor is null or s.closing_minor is null then 'notStated' else 'balanced' end as balance
        from bank_statement s)
    select f.file, s.account, s.currency, s.number, s.from_day as "from", s.to_day as "to", s.opening_minor as "openingMinor",
           s.closing_minor as "closingMinor", coalesce(s.entry_count, 0) as entries, s.balance,
           case when f.state = 'withdrawn' then 'withdrawn' when f.state = 'found' then 'waiting' when f.state = 'refused' or s.error_code is not null then 'refused'
                when s.state <> 'counts' then s.state when s.balance = 'unbalanced' then 'unbalanced' else 'closed' end as state,
           coalesce(s.error_code, f.error_code, case when f.state = 'found' and f.parked_reason is not null then 'unreadable' end) as "errorCode",
           coalesce(s.error_message, f.error_message, f.parked_reason, f.withdrawn_reason) as "errorMessage"
      from bank_file f left join s on s.file_no = f.no
     where ${fileNos === null ? sql`true` : sql`f.no = ${anyOf(fileNos)}`}
     order by f.file collate "C", s.account collate "C" nulls first, s.from_day nulls first, s.number collate "C" nulls first, f.no, s.ordinal`.execute(
    db,
  );
  return found.rows;
}

export function statementJson(statement: StatementView) {
  const { file, account, currency, number, from, to, entries, state, balance } = statement;
  const amount = (minor: bigint | null) => (minor === null || currency === null ? null : formatAmount(minor, currency));
  return {
    file,
    account,
    currency,
    number,
    from,
    to,
    opening: amount(statement.openingMinor),
    closing: amount(statement.closingMinor),
    entries,
    state,
    error: statement.errorCode === null ? null : { code: statement.errorCode, message: statement.errorMessage },
    balance,
  };
}
