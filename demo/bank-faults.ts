import { ACCOUNTS, type Bank, type BankEntry, keyOf } from './bank.ts';
import type { Planted } from './faults.ts';
import { isoDay, payoutOf, ROUTES, type Route } from './week.ts';

/** What goes wrong on the way to the bank. */
export const PLANTED_AT_BANK: readonly Planted<Bank>[] = [
  {
    why: 'The bank kept 15.00 USD of a payout as charges.',
    tells: { payout_amount_mismatch: 1 },
    plant: (bank) => {
      const payment = paymentOf(bank, ROUTES.usd, MONDAY);
      payment.chargesMinor = 15_00n;
      payment.minor -= payment.chargesMinor;
    },
  },
  {
    why: "Tuesday's yen were not paid out.",
    tells: { payout_missing: 1 },
    plant: (bank) => {
      drop(bank, paymentOf(bank, ROUTES.jpy, TUESDAY));
    },
  },
  {
    why: "A statement of the account in yen never came, and Wednesday's payout stands in it.",
    tells: { statement_gap: 1, payout_missing: 1 },
    plant: ({ notDelivered, ...bank }) => {
      const { account, day } = paymentOf(bank, ROUTES.jpy, WEDNESDAY);
      notDelivered.add(keyOf(account, day));
    },
  },
  {
    why: "Monday's euros went back: the name of the account was written wrongly.",
    tells: { payout_returned: 1 },
    plant: (bank) => {
      const payment = paymentOf(bank, ROUTES.eur, MONDAY);
      const text = `RETURN OF ${payment.text}: NAME OF ACCOUNT DIFFERS`;
      bank.entries.push({ ...payment, day: isoDay(4), minor: -payment.minor, reference: 'RET0000001', text });
    },
  },
  {
    why: "Wednesday's dollars were paid twice.",
    tells: { payout_twice: 1 },
    plant: (bank) => {
      const payment = paymentOf(bank, ROUTES.usd, WEDNESDAY);
      bank.entries.push({ ...payment, day: isoDay(7), reference: `${payment.reference}B` });
    },
  },
  {
    why: 'An acquirer paid 8,120.00 EUR that no report explains.',
    tells: { unexplained_credit: 1 },
    plant: (bank) => {
      const { account, name } = paymentOf(bank, ROUTES.eur, TUESDAY);
      const text = 'ADJUSTMENT OCTOBER';
      bank.entries.push({
        account,
        day: isoDay(2),
        minor: 8_120_00n,
        reference: 'ADJ1026',
        text,
        name,
        chargesMinor: 0n,
      });
    },
  },
  {
    why: "The bank's export of Friday lost an entry: its fee of 12.50 USD.",
    tells: { statement_unbalanced: 1 },
    plant: (bank) => {
      const account = ACCOUNTS.find(({ currency }) => currency === 'USD')!;
      const fee = {
        account,
        day: isoDay(4),
        minor: -12_50n,
        reference: 'FEE',
        text: 'ACCOUNT FEE',
        name: 'CORNER BANK',
      };
      const entry = { ...fee, chargesMinor: 0n };
      bank.entries.push(entry);
      bank.lost.add(entry);
    },
  },
  {
    why: "What the summary of Saturday's euros lacks did not arrive either: 250.00 EUR.",
    tells: { payout_amount_mismatch: 1 },
    plant: (bank) => {
      paymentOf(bank, ROUTES.eur, SATURDAY).minor -= 250_00n;
    },
  },
  {
    why: 'The payout for iDEAL arrived as it was meant: its report, in cents, says a hundred times as much.',
    tells: { payout_amount_mismatch: 1 },
    plant: () => {},
  },
];

const [MONDAY, TUESDAY, WEDNESDAY, FRIDAY, SATURDAY] = [0, 1, 2, 4, 5] as const;

export function plantFaultsAtBank(bank: Bank): void {
  // Nothing is wrong with these: two payouts in one credit that names both.
  const [one, other] = [paymentOf(bank, ROUTES.usd, FRIDAY), paymentOf(bank, ROUTES.usd, SATURDAY)];
  one.minor += other.minor;
  one.text = `${one.text} AND ${other.text}`;
  drop(bank, other);
  for (const { plant } of PLANTED_AT_BANK) plant(bank);
}

/** The entry that pays what a route sells on a day. */
const paymentOf = ({ week, paid }: Pick<Bank, 'week' | 'paid'>, route: Route, day: number): BankEntry =>
  paid.get(payoutOf(week, route, day)!)!;

const drop = ({ entries }: Bank, entry: BankEntry): unknown => entries.splice(entries.indexOf(entry), 1);
