import { type Discrepancy, sayAmounts, tell } from '../discrepancy.ts';
import { type Currency, isCurrency } from '../money/currency.ts';
import { formatAmount, magnitude } from '../money/money.ts';
import type { Matching, Payout, PayoutEntry, PayoutMatch } from './match-payouts.ts';

export const PAYOUT_STATES = ['arrived', 'expected', 'overdue', 'different', 'returned', 'nothingDue'] as const;
export type PayoutState = (typeof PAYOUT_STATES)[number];

/** A batch, and what its reports say that it pays out. */
export type PayoutBatch = Omit<Payout, 'amountMinor'> & {
  readonly currency: Currency;
  /** Null: neither its details nor its summary is whole. */
  readonly amountMinor: bigint | null;
  /** The day that the bank is known up to; null where nothing is known of its accounts. */
  readonly knownUntil: string | null;
};

/** What is decided of a payout. */
export type DecidedPayout = {
  readonly batchNo: number;
  readonly state: PayoutState;
  readonly amountMinor: bigint | null;
  readonly arrivedMinor: bigint;
  readonly dueBy: string | null;
  readonly match: PayoutMatch | null;
};

/** Something that does not add up, and where it stands: in a batch, in an entry or a statement, or in both. */
export type BankFinding = {
  readonly discrepancy: Discrepancy;
  readonly batchNo: number | null;
  readonly fileNo: number | null;
  readonly merchantNo: number | null;
  /** What makes it the same one when it is found again, beside its kind and batch. */
  readonly key: string;
};

/** An entry with its place in the book. */
export type BookedEntry = PayoutEntry & {
  readonly fileNo: number;
  readonly ordinal: number;
  readonly account: string;
  /** Equal for an entry that says the same in another file. */
  readonly id: string;
  readonly chargesMinor: bigint | null;
  readonly counterpartyName: string | null;
};

/** The payouts that entries are looked for. */
export const payoutsOf = (batches: readonly PayoutBatch[]): Payout[] =>
  batches.flatMap(({ amountMinor, ...batch }) =>
    amountMinor === null || amountMinor === 0n ? [] : [{ ...batch, amountMinor }],
  );

/** What became of each payout. Of one without a settlement date nobody knows when it is due: it is expected until something pays it. */
export function decidePayouts(batches: readonly PayoutBatch[], { matches }: Matching): DecidedPayout[] {
  const matchOf = new Map(matches.flatMap((match) => match.payouts.map(({ batchNo }) => [batchNo, match] as const)));
  return batches.map(({ batchNo, amountMinor, dueBy, knownUntil }) => {
    const decided = { batchNo, amountMinor, dueBy };
    if (amountMinor === 0n) return { ...decided, state: 'nothingDue', arrivedMinor: 0n, match: null };
    const match = matchOf.get(batchNo) ?? null;
    if (match === null || amountMinor === null) {
      const isOverdue = amountMinor !== null && dueBy !== null && knownUntil !== null && knownUntil > dueBy;
      return { ...decided, state: isOverdue ? 'overdue' : 'expected', arrivedMinor: 0n, match: null };
    }
    const { state } = match;
    const arrivedMinor = state === 'arrived' ? amountMinor : state === 'returned' ? 0n : sumOf(match.entries);
    return { ...decided, state, arrivedMinor, match };
  });
}

const sumOf = (of: readonly { readonly amountMinor: bigint }[]): bigint =>
  of.reduce((sum, { amountMinor }) => sum + amountMinor, 0n);

/** What does not add up of payouts: one that is missing, another amount, one that came twice or went back. */
export function payoutFindings(
  batches: readonly PayoutBatch[],
  decided: readonly DecidedPayout[],
  { matches }: Matching,
): BankFinding[] {
  const batchOf = new Map(batches.map((batch) => [batch.batchNo, batch]));
  const missing = decided
    .filter(({ state }) => state === 'overdue')
    .map(({ batchNo }) => payoutMissing(batchOf.get(batchNo)!));
  return [...missing, ...matches.flatMap((match) => findingsOf(match, batchOf.get(match.payouts[0]!.batchNo)!))];
}

function payoutMissing({ batchNo, batchId, amountMinor, currency, dueBy, knownUntil }: PayoutBatch): BankFinding {
  const payout = formatAmount(amountMinor!, currency);
  const message = `The payout of ${payout} ${currency} for batch ${batchId} was due by ${dueBy}, and no bank entry up to ${knownUntil} pays it: ask the provider for the date and reference of the transfer.`;
  const stake = { amountMinor: magnitude(amountMinor!), currency };
  const said = { field: FIELD, reported: payout, currency, stake };
  return ofBatch(batchNo, tell('payout_missing', message, said));
}

const FIELD = 'settlementAmount';

const ofBatch = (batchNo: number, discrepancy: Discrepancy): BankFinding => ({
  discrepancy,
  batchNo,
  fileNo: null,
  merchantNo: null,
  key: '',
});

const ofEntry = (batchNo: number | null, entry: PayoutEntry, discrepancy: Discrepancy): BankFinding => {
  const { fileNo, id } = entry as BookedEntry;
  const merchantNo = batchNo === null && entry.merchantNos.length === 1 ? entry.merchantNos[0]! : null;
  return { discrepancy: { ...discrepancy, line: entry.line }, batchNo, fileNo, merchantNo, key: id };
};

function findingsOf(match: PayoutMatch, batch: PayoutBatch): BankFinding[] {
  const { currency, batchNo } = batch;
  const [payout, paid] = [sumOf(match.payouts), sumOf([...match.entries, ...match.surplus])];
  const of = (entry: PayoutEntry) => `${entry.file}, line ${entry.line}`;
  const different = match.state === 'different' ? [ofBatch(batchNo, amountMismatch(match, batch))] : [];
  const surplus = match.surplus.map((entry) => {
    const { reported, recorded, difference } = sayAmounts(payout, paid, currency);
    const message = `The whole payout of ${reported} ${currency} for batch ${batch.batchId} arrived more than once: the entry at ${of(entry)} pays it again. Ask the provider whether it will be taken back.`;
    const said = { field: FIELD, reported, recorded, difference, currency };
    return ofEntry(batchNo, entry, tell('payout_twice', message, said));
  });
  const returns = match.returns.map((entry) => {
    const amounts = sayAmounts(payout, paid + sumOf(match.returns), currency);
    const message = `The entry at ${of(entry)} takes the payout of ${amounts.reported} ${currency} for batch ${batch.batchId} back: ask the bank and the provider why, and when it is paid again.`;
    return ofEntry(batchNo, entry, tell('payout_returned', message, { field: FIELD, ...amounts }));
  });
  return [...different, ...surplus, ...(match.state === 'returned' ? returns : [])];
}

function amountMismatch(match: PayoutMatch, { currency, batchId }: PayoutBatch): Discrepancy {
  const amounts = sayAmounts(sumOf(match.payouts), sumOf(match.entries), currency);
  const charges = match.entries.reduce((sum, entry) => sum + ((entry as BookedEntry).chargesMinor ?? 0n), 0n);
  const others = match.payouts.length - 1;
  const what = `batch ${batchId}${others === 0 ? '' : ` and ${others} other${others === 1 ? '' : 's'}`}`;
  const why = charges === 0n ? '' : ` The bank kept charges of ${formatAmount(charges, currency)} ${currency}.`;
  const message = `The reports pay out ${amounts.reported} ${currency} for ${what}, and ${amounts.recorded} ${currency} arrived at the bank.${why} Ask the provider for the remittance advice of the transfer.`;
  return tell('payout_amount_mismatch', message, { field: FIELD, ...amounts });
}

/** `unexplained_credit`: entries of payers that pay no payout that is known, and for which reports had time to come. */
export function unexplainedCredits(
  { openEntries }: Matching,
  lateFrom: (entry: PayoutEntry) => boolean,
): BankFinding[] {
  return openEntries
    .filter((entry) => entry.isFromPayer && entry.amountMinor > 0n && isCurrency(entry.currency) && lateFrom(entry))
    .map((entry) => {
      const currency = entry.currency as Currency;
      const recorded = formatAmount(entry.amountMinor, currency);
      const name = (entry as BookedEntry).counterpartyName;
      const message = `${name === null ? 'A payer' : `"${name}"`} paid ${recorded} ${currency} on ${entry.bookingDate} (${entry.file}, line ${entry.line}), and no batch explains it: ask the provider for the settlement report, or confirm what it pays with "settlestream bank match".`;
      const stake = { amountMinor: entry.amountMinor, currency };
      return ofEntry(null, entry, tell('unexplained_credit', message, { field: 'amount', recorded, currency, stake }));
    });
}
