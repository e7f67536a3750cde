import { addDays } from '../calendar/calendar.ts';
import { NamedIds } from './named-batches.ts';

/** What the provider says that it pays for a batch. */
export type Payout = {
  readonly batchNo: number;
  readonly batchId: string;
  readonly merchantNo: number;
  readonly currency: string;
  /** Null: its reports do not say it. Then only what names it, or a person, says what pays it. */
  readonly settlementDate: string | null;
  /** Never zero. Below zero the merchant pays. */
  readonly amountMinor: bigint;
  /** The last day on which it may be booked; null without a settlement date. */
  readonly dueBy: string | null;
};
type Dated = Payout & { readonly settlementDate: string };

/** A booked entry of an account. */
export type PayoutEntry = {
  readonly entryNo: number;
  /** Whose money the account holds. */
  readonly merchantNos: readonly number[];
  readonly currency: string;
  readonly bookingDate: string;
  readonly file: string;
  readonly line: number;
  readonly amountMinor: bigint;
  readonly reference: string | null;
  readonly references: readonly string[];
  /** Its counterparty is one that pays out. */
  readonly isFromPayer: boolean;
};

export type MatchedBy = 'confirmed' | 'reference' | 'amount' | 'sum';

/** Payouts and the entries that pay them, compared by their sums. */
export type PayoutMatch = {
  readonly matchedBy: MatchedBy;
  readonly payouts: readonly Payout[];
  readonly entries: readonly PayoutEntry[];
  /** Entries of one payout that each are the whole of it, beyond the first: it was paid twice. */
  readonly surplus: readonly PayoutEntry[];
  /** Entries that took the whole payout back. */
  readonly returns: readonly PayoutEntry[];
  readonly state: 'arrived' | 'different' | 'returned';
};

export type Matching = {
  readonly matches: readonly PayoutMatch[];
  readonly openPayouts: readonly Payout[];
  readonly openEntries: readonly PayoutEntry[];
};

/** A person has said that this entry pays this batch. */
export type Confirmation = { readonly entryNo: number; readonly batchNo: number };

const REFERENCE_DAYS_BEFORE = 10;
const REFERENCE_DAYS_AFTER = 60;
const DAYS_BEFORE = 1;
/** A provider may pay what settled on some days in a row at once. */
const MAX_DAYS_IN_A_ROW = 4;

/**
 * Decides which entries pay which payouts, in four steps of which each takes what the one before left: what a person confirmed, what names the
 * batch, the same amount, the sum of all that settled on a day or on some days in a row. Where two answers are possible there is none. The
 * order in which things are given does not matter.
 */
export function matchPayouts(
  payouts: readonly Payout[],
  entries: readonly PayoutEntry[],
  confirmed: readonly Confirmation[] = [],
): Matching {
  const open = new Open(payouts, entries);
  const named = namedIn(open);
  const matches = [
    ...groupsOf(open, confirmedEdges(open, confirmed), 'confirmed'),
    ...groupsOf(open, referenceEdges(open, named), 'reference'),
    ...byAmount(open),
    ...bySum(open),
  ];
  const openByAmount = Map.groupBy(open.entries, amountOf);
  const settled = matches.map((match) => withReturns(open, named, openByAmount, match));
  return { matches: settled, openPayouts: open.payouts, openEntries: open.entries };
}

/** What no step has taken yet, in the order in which things are taken. */
class Open {
  readonly #payouts: Set<Payout>;
  readonly #entries: Set<PayoutEntry>;

  constructor(payouts: readonly Payout[], entries: readonly PayoutEntry[]) {
    this.#payouts = new Set([...payouts].sort(byDateAndId));
    this.#entries = new Set([...entries].sort(byDateAndLine));
  }

  get payouts(): Payout[] {
    return [...this.#payouts];
  }

  get entries(): PayoutEntry[] {
    return [...this.#entries];
  }

  take(payouts: readonly Payout[], entries: readonly PayoutEntry[]): void {
    for (const payout of payouts) this.#payouts.delete(payout);
    for (const entry of entries) this.#entries.delete(entry);
  }

  has(entry: PayoutEntry): boolean {
    return this.#entries.has(entry);
  }
}

const compare = <T extends string | number>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
const byDateAndId = (a: Payout, b: Payout): number =>
  compare(a.settlementDate ?? '', b.settlementDate ?? '') ||
  compare(a.batchId, b.batchId) ||
  compare(a.batchNo, b.batchNo);
const byDateAndLine = (a: PayoutEntry, b: PayoutEntry): number =>
  compare(a.bookingDate, b.bookingDate) ||
  compare(a.file, b.file) ||
  compare(a.line, b.line) ||
  compare(a.entryNo, b.entryNo);

/** Whether the entry is on an account of the payout's merchant and currency, and moves money the same way. */
const isOnAccount = (payout: Payout, entry: PayoutEntry): boolean =>
  entry.currency === payout.currency && entry.merchantNos.includes(payout.merchantNo);
const isSameWay = (payout: Payout, entry: PayoutEntry): boolean => payout.amountMinor > 0n === entry.amountMinor > 0n;

const isDated = (payout: Payout): payout is Dated => payout.settlementDate !== null;
const isInWindow = ({ settlementDate, dueBy }: Payout, { bookingDate }: PayoutEntry): boolean =>
  settlementDate !== null &&
  dueBy !== null &&
  bookingDate >= addDays(settlementDate, -DAYS_BEFORE) &&
  bookingDate <= dueBy;
const isInLongWindow = ({ settlementDate }: Payout, { bookingDate }: PayoutEntry): boolean =>
  settlementDate === null ||
  (bookingDate >= addDays(settlementDate, -REFERENCE_DAYS_BEFORE) &&
    bookingDate <= addDays(settlementDate, REFERENCE_DAYS_AFTER));

type Edge = readonly [Payout, PayoutEntry];
type Named = ReadonlyMap<PayoutEntry, readonly Payout[]>;

/** The payouts whose batch an entry names, on its account. */
function namedIn(open: Open): Named {
  const ids = new NamedIds<Payout>();
  for (const payout of open.payouts) ids.add(payout.batchId, payout);
  const named = new Map<PayoutEntry, readonly Payout[]>();
  for (const entry of open.entries) {
    const found = new Set(entry.references.flatMap((text) => ids.in(text)));
    const payouts = [...found].filter((payout) => isOnAccount(payout, entry) && isInLongWindow(payout, entry));
    if (payouts.length > 0) named.set(entry, payouts);
  }
  return named;
}

const referenceEdges = (open: Open, named: Named): Edge[] => {
  const payouts = new Set(open.payouts);
  return [...named].flatMap(([entry, found]) =>
    open.has(entry)
      ? found
          .filter((payout) => payouts.has(payout) && isSameWay(payout, entry))
          .map((payout) => [payout, entry] as const)
      : [],
  );
};

function confirmedEdges(open: Open, confirmed: readonly Confirmation[]): Edge[] {
  const payouts = new Map(open.payouts.map((payout) => [payout.batchNo, payout]));
  const entries = new Map(open.entries.map((entry) => [entry.entryNo, entry]));
  return confirmed.flatMap(({ batchNo, entryNo }) => {
    const [payout, entry] = [payouts.get(batchNo), entries.get(entryNo)];
    return payout && entry ? [[payout, entry] as const] : [];
  });
}

/** Everything that hangs together by these edges is one group, which is compared by its sums. */
function groupsOf(open: Open, edges: readonly Edge[], matchedBy: MatchedBy): PayoutMatch[] {
  return componentsOf(edges).map(({ payouts, entries }) => {
    open.take(payouts, entries);
    const [payout] = payouts;
    const isTwice =
      payouts.length === 1 &&
      entries.length > 1 &&
      entries.every(({ amountMinor }) => amountMinor === payout!.amountMinor);
    const counted = isTwice ? entries.slice(0, 1) : entries;
    const state = sumOf(payouts) === sumOf(counted) ? 'arrived' : 'different';
    return { matchedBy, payouts, entries: counted, surplus: isTwice ? entries.slice(1) : [], returns: [], state };
  });
}

const sumOf = (of: readonly { readonly amountMinor: bigint }[]): bigint =>
  of.reduce((sum, { amountMinor }) => sum + amountMinor, 0n);

type Component = { readonly payouts: Payout[]; readonly entries: PayoutEntry[] };

function componentsOf(edges: readonly Edge[]): Component[] {
  const componentOf = new Map<Payout | PayoutEntry, Component>();
  for (const [payout, entry] of edges) {
    const [one, other] = [componentOf.get(payout), componentOf.get(entry)];
    const kept = one ?? other ?? { payouts: [], entries: [] };
    if (one && other && one !== other) {
      for (const member of [...other.payouts, ...other.entries]) componentOf.set(member, one);
      one.payouts.push(...other.payouts);
      one.entries.push(...other.entries);
    }
    if (!one) kept.payouts.push(payout);
    if (!other) kept.entries.push(entry);
    componentOf.set(payout, kept);
    componentOf.set(entry, kept);
  }
  const components = [...new Set(componentOf.values())];
  for (const { payouts, entries } of components) {
    payouts.sort(byDateAndId);
    entries.sort(byDateAndLine);
  }
  return components.sort((a, b) => byDateAndId(a.payouts[0]!, b.payouts[0]!));
}

const amountOf = ({ currency, amountMinor }: { readonly currency: string; readonly amountMinor: bigint }): string =>
  `${currency} ${amountMinor}`;

/** As many entries as payouts of one amount whose windows meet: matched in order. Else only where those of payers are as many. */
function byAmount(open: Open): PayoutMatch[] {
  const entriesOf = Map.groupBy(open.entries, amountOf);
  const edges = open.payouts.flatMap((payout) =>
    (entriesOf.get(amountOf(payout)) ?? [])
      .filter((entry) => isOnAccount(payout, entry) && isInWindow(payout, entry))
      .map((entry) => [payout, entry] as const),
  );
  return componentsOf(edges).flatMap(({ payouts, entries }) => {
    const chosen = entries.length === payouts.length ? entries : entries.filter(({ isFromPayer }) => isFromPayer);
    const fits = (payout: Payout, entry: PayoutEntry) => isOnAccount(payout, entry) && isInWindow(payout, entry);
    if (chosen.length !== payouts.length || !payouts.every((payout, at) => fits(payout, chosen[at]!))) return [];
    open.take(payouts, chosen);
    return payouts.map((payout, at) => arrived('amount', [payout], chosen[at]!));
  });
}

const arrived = (matchedBy: MatchedBy, payouts: readonly Payout[], entry: PayoutEntry): PayoutMatch => ({
  matchedBy,
  payouts,
  entries: [entry],
  surplus: [],
  returns: [],
  state: 'arrived',
});

/** One entry that is the sum of all open payouts of a merchant and currency which settled on one day; then on up to four days in a row. */
function bySum(open: Open): PayoutMatch[] {
  const matches: PayoutMatch[] = [];
  for (const daysInARow of [[1], range(2, MAX_DAYS_IN_A_ROW)]) {
    let sets = setsBySum(open.payouts, daysInARow);
    for (const entry of open.entries) {
      const found = (sets.get(amountOf(entry)) ?? []).filter((payouts) =>
        payouts.every((payout) => isOnAccount(payout, entry) && isInWindow(payout, entry)),
      );
      if (found.length !== 1) continue;
      const [payouts] = found;
      open.take(payouts!, [entry]);
      matches.push(arrived('sum', payouts!, entry));
      // What was taken is in no set any more, and the days that it stood in have other sums.
      sets = setsBySum(open.payouts, daysInARow);
    }
  }
  return matches;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);

const datedByOwner = (payouts: readonly Payout[]): Iterable<Dated[]> =>
  Map.groupBy(payouts.filter(isDated), ({ merchantNo, currency }) => `${merchantNo} ${currency}`).values();

/** Every sum that the last step could look for of these payouts, by currency: of all that settled on some of up to four days in a row. */
export function possibleSums(payouts: readonly Payout[]): Set<string> {
  const sums = new Set<string>();
  for (const ofOwner of datedByOwner(payouts)) {
    const { currency } = ofOwner[0]!;
    const byDay = new Map(
      [...Map.groupBy(ofOwner, ({ settlementDate }) => settlementDate)].map(([day, of]) => [day, sumOf(of)]),
    );
    for (const [first, sum] of byDay) {
      let some = [sum];
      // What is taken meanwhile leaves some of the days.
      for (const after of range(1, MAX_DAYS_IN_A_ROW - 1)) {
        const next = byDay.get(addDays(first, after));
        if (next !== undefined) some = [...some, ...some.map((one) => one + next)];
      }
      for (const one of some) sums.add(amountOf({ currency, amountMinor: one }));
    }
  }
  return sums;
}

/** All payouts of a merchant and currency that settled on so many days in a row, by currency and sum. One alone is no set. */
function setsBySum(payouts: readonly Payout[], daysInARow: readonly number[]): Map<string, Payout[][]> {
  const sets = new Map<string, Payout[][]>();
  for (const ofOwner of datedByOwner(payouts)) {
    const byDay = Map.groupBy(ofOwner, ({ settlementDate }) => settlementDate);
    for (const last of byDay.keys()) {
      for (const days of daysInARow) {
        const first = addDays(last, 1 - days);
        // A longer row that begins with a day without payouts is the same set as a shorter one.
        if (!byDay.has(first)) continue;
        const set = range(0, days - 1).flatMap((day) => byDay.get(addDays(first, day)) ?? []);
        if (set.length < 2) continue;
        const key = amountOf({ currency: set[0]!.currency, amountMinor: sumOf(set) });
        sets.set(key, [...(sets.get(key) ?? []), set]);
      }
    }
  }
  return sets;
}

/**
 * Entries the other way round, of the whole payout, that name the batch or what was matched, and come after it. Each takes back the earliest
 * that was not taken back: what is paid, returned and paid again has arrived.
 */
function withReturns(
  open: Open,
  named: Named,
  openByAmount: ReadonlyMap<string, readonly PayoutEntry[]>,
  match: PayoutMatch,
): PayoutMatch {
  const [payout] = match.payouts;
  const isOne = match.payouts.length === 1 && match.state === 'arrived';
  if (!isOne || match.entries.length !== 1) return match;
  const paid = [...match.entries, ...match.surplus];
  const names = new NamedIds<true>();
  for (const { reference } of paid) if (reference !== null) names.add(reference, true);
  const isReturn = (entry: PayoutEntry) =>
    open.has(entry) &&
    isOnAccount(payout!, entry) &&
    byDateAndLine(entry, paid[0]!) > 0 &&
    isInLongWindow(payout!, entry) &&
    ((named.get(entry)?.includes(payout!) ?? false) || entry.references.some((text) => names.in(text).length > 0));
  const other = openByAmount.get(amountOf({ ...payout!, amountMinor: -payout!.amountMinor })) ?? [];
  const returns = other.filter(isReturn).slice(0, paid.length);
  if (returns.length === 0) return match;
  open.take([], returns);
  const left = paid.slice(returns.length);
  if (left.length === 0) return { ...match, entries: paid, surplus: [], returns, state: 'returned' };
  return { ...match, entries: left.slice(0, 1), surplus: left.slice(1), returns };
}
