import type { ReadStatement } from '../../domain/bank/choose-statements.ts';
import type { PayoutBatch } from '../../domain/bank/payouts.ts';
import { type BankSettings, businessDaysAfter, daysOf } from '../../domain/bank/settings.ts';
import type { BatchRow } from './match-payouts.sql.ts';

type Account = Pick<ReadStatement, 'account' | 'currency'>;

/** Whose the accounts are, and up to which day the bank is known. */
export type Accounts = {
  merchantsOf(account: Account): readonly number[];
  /** The only merchant that it belongs to; null where there are several, or none. */
  onlyMerchant(account: Account): number | null;
  /** Some account of this merchant and currency is known. */
  isKnown(merchantNo: number, currency: string): boolean;
  /** The last day that is known of an entry's account, or of any account of a merchant and currency. */
  knownUntil(of: { readonly account: string; readonly currency: string }): string | null;
  knownUntilOf(merchantNo: number, currency: string): string | null;
};

/**
 * `today`: the day by the clock; null in a call, which knows the bank up to the last day of its last statement.
 */
export function accountsOf(
  { accounts: owners }: BankSettings,
  statements: readonly ReadStatement[],
  batches: readonly Pick<BatchRow, 'merchantNo' | 'merchantId'>[],
  today: string | null = null,
): Accounts {
  const merchants = new Map(batches.map(({ merchantId, merchantNo }) => [merchantId, merchantNo]));
  const all = [...new Set(merchants.values())].sort((a, b) => a - b);
  const ownersOf = new Map(owners?.map((owner) => [keyOf(owner), owner.merchantIds]));
  const merchantsOf = (account: Account): readonly number[] => {
    const ids = owners === null ? null : ownersOf.get(keyOf(account));
    return ids === undefined ? [] : ids === null ? all : ids.flatMap((id) => merchants.get(id) ?? []);
  };
  const until = new Map<string, string>();
  for (const { isFinal, to, ...account } of statements) {
    const key = keyOf(account);
    if (isFinal && to !== null && to > (until.get(key) ?? '')) until.set(key, to);
  }
  const known = new Map<string, Account>(
    [...(owners ?? []), ...statements].map((account) => [keyOf(account), account]),
  );
  const untilOfMerchant = new Map<string, string | null>();
  for (const [key, account] of known) {
    for (const merchantNo of merchantsOf(account)) {
      const of = `${merchantNo} ${account.currency}`;
      const [last, own] = [untilOfMerchant.get(of) ?? null, today ?? until.get(key) ?? null];
      untilOfMerchant.set(of, last !== null && (own === null || last > own) ? last : own);
    }
  }
  return {
    merchantsOf,
    onlyMerchant: (account) => {
      const [first = null, ...others] = merchantsOf(account);
      return others.length === 0 ? first : null;
    },
    isKnown: (merchantNo, currency) => untilOfMerchant.has(`${merchantNo} ${currency}`),
    knownUntil: (account) => today ?? until.get(keyOf(account)) ?? null,
    knownUntilOf: (merchantNo, currency) => untilOfMerchant.get(`${merchantNo} ${currency}`) ?? null,
  };
}

const keyOf = ({ account, currency }: Account): string => `${account} ${currency}`;

/** The batches of which some account is known, with what they pay out and when that is due. */
export const batchesWith = (
  rows: readonly BatchRow[],
  { payoutDays, calendars }: BankSettings,
  accounts: Accounts,
): PayoutBatch[] =>
  rows
    .filter(({ merchantNo, currency }) => accounts.isKnown(merchantNo, currency))
    .map(({ batchNo, batchId, merchantNo, currency, settlementDate, source, ...said }) => ({
      batchNo,
      batchId,
      merchantNo,
      currency,
      settlementDate,
      amountMinor: netOf(said),
      dueBy: settlementDate === null ? null : businessDaysAfter(settlementDate, payoutDays, daysOf(calendars, source)),
      knownUntil: accounts.knownUntilOf(merchantNo, currency),
    }));

/** Of its whole details, else of its summary. */
function netOf({
  hasDetails,
  detailsMinor,
  summaryMinor,
}: Pick<BatchRow, 'hasDetails' | 'detailsMinor' | 'summaryMinor'>) {
  if (hasDetails) return BigInt(detailsMinor ?? 0);
  return summaryMinor === null ? null : BigInt(summaryMinor);
}
