import type { PayoutState } from '../../domain/bank/payouts.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import type { PayoutView } from './payouts.sql.ts';

/** Where the money of a batch is, as JSON shows it. */
export function bankJson(payout: PayoutView | null, currency: Currency) {
  if (payout === null) return null;
  const { state, amountMinor, arrivedMinor, dueBy, matchedBy, entries } = payout;
  return {
    state,
    payout: amountMinor === null ? null : formatAmount(amountMinor, currency),
    arrived: formatAmount(arrivedMinor, currency),
    dueBy,
    matchedBy,
    entries: entries.map((entry) => ({
      file: entry.file,
      line: entry.line,
      account: entry.account,
      bookingDate: entry.bookingDate,
      valueDate: entry.valueDate,
      amount: formatAmount(entry.amountMinor, currency),
      reference: entry.reference,
    })),
  };
}

/** What people call a state. */
export const bankWord = (state: PayoutState): string => (state === 'nothingDue' ? 'nothing due' : state);

/** In a cell: arrived, or what arrived where that is something else, or until when it is due. */
export function bankText({ state, arrived, dueBy, entries }: NonNullable<ReturnType<typeof bankJson>>): string {
  if (state === 'different') return `${arrived} arrived`;
  if (state === 'expected' || state === 'overdue') return dueBy === null ? state : `${state}, due ${dueBy}`;
  const last = entries.at(-1)?.bookingDate;
  return last === undefined ? bankWord(state) : `${bankWord(state)} ${last}`;
}
