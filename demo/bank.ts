import { businessDaysAfter, daysOf } from '../src/domain/bank/settings.ts';
import type { Currency } from '../src/domain/money/currency.ts';
import { type Batch, compact, isoDay, type Route, type Week } from './week.ts';

/**
 * The made-up bank of the shop, and what it books: each payout on the next banking day. In the evening all that came goes to an account at
 * another bank, so that each day begins and ends with the same balance.
 */
export type Bank = {
  readonly week: Week;
  readonly entries: BankEntry[];
  /** The entry that pays a batch. */
  readonly paid: ReadonlyMap<Batch, BankEntry>;
  /** Booked, and not in the statement of its day. */
  readonly lost: Set<BankEntry>;
  /** Statements that never came, by account and day. */
  readonly notDelivered: Set<string>;
};

export type BankEntry = {
  readonly account: Account;
  readonly day: string;
  minor: bigint;
  readonly reference: string;
  text: string;
  readonly name: string;
  /** What the bank kept. */
  chargesMinor: bigint;
};

export type Account = {
  readonly number: string;
  readonly currency: Currency;
  readonly format: 'camt' | 'mt940';
  readonly openingMinor: bigint;
  /** Whether the payer names the batch. */
  readonly isNamed: boolean;
};

/** What the bank sends of an account in the evening of a day. */
export type Statement = {
  readonly account: Account;
  readonly day: string;
  readonly number: number;
  readonly entries: readonly BankEntry[];
};

/** There is none for dinars: nothing says whether those arrive. */
export const ACCOUNTS: readonly Account[] = [
  { number: 'XB47CORN0000418827', currency: 'EUR', format: 'camt', openingMinor: 25_000_00n, isNamed: true },
  { number: 'XB20CORN0000418840', currency: 'USD', format: 'camt', openingMinor: 40_000_00n, isNamed: true },
  { number: '7001418392', currency: 'JPY', format: 'mt940', openingMinor: 3_000_000n, isNamed: false },
];
export const PAYERS: Readonly<Record<Route['acquirer'], string>> = {
  Alipay_SG: 'NORTHLIGHT PAYOUTS',
  Hundsun: 'MERIDIAN PAYOUTS',
};
const OWN_NAME = 'THE SHOP';
/** Banking days after which a payout is due. */
export const PAYOUT_DAYS = 2;

/** Saturdays and Sundays are no banking days. */
const BANKING_DAYS = daysOf({}, null);
const nextBankingDay = (day: string): string => businessDaysAfter(day, 1, BANKING_DAYS);

/** The day on which the payout of a batch is booked. */
export const bookedOn = ({ date }: Pick<Batch, 'date'>): string => nextBankingDay(date);

export const accountOf = ({ route }: Pick<Batch, 'route'>): Account | undefined =>
  ACCOUNTS.find(({ currency }) => currency === route.currency);

/** What the bank books of these batches before anything is wrong. */
export function makeBank(week: Week): Bank {
  const paid = new Map(week.batches.flatMap((batch) => paymentsOf(batch).map((entry) => [batch, entry] as const)));
  return { week, entries: [...paid.values()], paid, lost: new Set(), notDelivered: new Set() };
}

/** The provider pays what it settled, whatever its reports say. */
export function paymentsOf(batch: Batch): BankEntry[] {
  const account = accountOf(batch);
  if (account === undefined) return [];
  const { id, route, rows } = batch;
  return [
    {
      account,
      day: bookedOn(batch),
      minor: rows.reduce((sum, { settlementMinor }) => sum + settlementMinor, 0n),
      reference: `TRF${id.slice(-11)}`,
      text: account.isNamed ? `PAYOUT ${id}` : 'SETTLEMENT OF CARD SALES',
      name: PAYERS[route.acquirer],
      chargesMinor: 0n,
    },
  ];
}

/** The last banking day on which something of the week is booked. */
const lastDayOf = ({ batches }: Week): string => batches.map(bookedOn).sort().at(-1)!;

/** The statements of the week that came, day by day. */
export function statementsOf(bank: Bank): Statement[] {
  const last = lastDayOf(bank.week);
  const statements: Statement[] = [];
  for (let day = isoDay(1); day <= last; day = nextBankingDay(day))
    for (const account of ACCOUNTS)
      if (!bank.notDelivered.has(keyOf(account, day))) statements.push(statementOf(bank, account, day));
  return statements;
}

export const keyOf = ({ currency }: Pick<Account, 'currency'>, day: string): string => `${currency} ${day}`;

export function statementOf(
  { entries, lost }: Pick<Bank, 'entries' | 'lost'>,
  account: Account,
  day: string,
): Statement {
  const booked = entries.filter((entry) => entry.account === account && entry.day === day);
  const minor = -booked.reduce((sum, entry) => sum + entry.minor, 0n);
  const rest = { account, day, minor, reference: `SWEEP${compact(day)}`, chargesMinor: 0n };
  const sweep = { ...rest, text: 'TO YOUR ACCOUNT AT ANOTHER BANK', name: OWN_NAME };
  const all = minor === 0n ? booked : [...booked, sweep];
  return { account, day, number: numberOf(day), entries: all.filter((entry) => !lost.has(entry)) };
}

/** Statements are numbered from the first of the year. */
function numberOf(day: string): number {
  let number = 1;
  for (let at = nextBankingDay(`${day.slice(0, 4)}-01-01`); at < day; at = nextBankingDay(at)) number++;
  return number;
}
