import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import { table } from '../output/tables.ts';
import type { BatchPayout, PayoutEntryView, PayoutView } from './payouts.sql.ts';
import { bankJson, bankWord } from './payouts.ts';

/** The way of the money in a line: reported → paid out → at the bank, and where that stands. Empty where no account is known. */
export function wayOfMoney(payout: PayoutView | null, currency: Currency): string {
  if (payout === null) return '';
  const { state, amountMinor, arrivedMinor, dueBy, matchedBy, entries } = payout;
  const amount = (minor: bigint) => `${formatAmount(minor, currency)} ${currency}`;
  const due = dueBy === null ? '' : ` (due by ${dueBy})`;
  const paid = amountMinor === null ? 'not reported in full yet' : `reported → paid out: ${amount(amountMinor)}${due}`;
  const by = matchedBy === null ? '' : `, matched by ${matchedBy}`;
  const arrived = state === 'different' ? ` ${amount(arrivedMinor)} instead` : '';
  return `${[`${paid} → at the bank: ${bankWord(state)}${arrived}${by}`, ...entries.map((entry) => `  ${entryText(entry, currency)}`)].join('\n')}\n`;
}

function entryText(entry: PayoutEntryView, currency: Currency): string {
  const { amountMinor, bookingDate, statement, file, line, reference, role } = entry;
  const where = statement === null ? `${file}, line ${line}` : `statement ${statement} (${file}), line ${line}`;
  const what = { paid: '', surplus: ', paid once more', returned: ', taken back' }[role];
  return `${bookingDate} ${formatAmount(amountMinor, currency)} ${currency}${what}, ${where}${reference === null ? '' : `, reference ${reference}`}`;
}

/** A payout with its batch, for lists. */
export const batchPayoutJson = ({ merchantId, settlementBatchId, settlementDate, currency, payout }: BatchPayout) => ({
  merchantId,
  settlementBatchId,
  settlementCurrency: currency,
  settlementDate,
  ...bankJson(payout, currency)!,
});

export const openPayoutTable = (payouts: readonly BatchPayout[]): string =>
  table(
    ['payout of', 'batch', 'payout', 'arrived', 'currency', 'due by', 'at the bank'],
    payouts
      .map(batchPayoutJson)
      .map((row) => [
        row.settlementDate,
        row.settlementBatchId,
        row.payout,
        row.arrived,
        row.settlementCurrency,
        row.dueBy,
        bankWord(row.state),
      ]),
    [2, 3],
  );
