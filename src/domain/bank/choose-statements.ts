/** A statement as it was read, of a file that was not withdrawn. */
export type ReadStatement = {
  readonly fileNo: number;
  readonly ordinal: number;
  readonly line: number;
  readonly file: string;
  readonly isFinal: boolean;
  readonly account: string;
  readonly currency: string;
  readonly number: string | null;
  readonly from: string | null;
  readonly to: string | null;
  readonly openingMinor: bigint | null;
  readonly closingMinor: bigint | null;
  /** Equal where they say the same. */
  readonly digest: string;
};

/** duplicate: another one says the same; replaced: a later one of its number says something else. */
export type StatementState = 'counts' | 'duplicate' | 'replaced';

/** What follows upon something else than it should: `before` is the statement before it. */
export type StatementGap<S> = { readonly statement: S; readonly before: S; readonly by: 'balance' | 'number' };

/**
 * Decides which statements count. What was delivered last is what the bank says; of several that say the same the first one counts. Files are
 * numbered in the order in which they were found, so the order in which they are read does not matter.
 */
export function chooseStatements<S extends ReadStatement>(statements: readonly S[]): Map<S, StatementState> {
  const states = new Map<S, StatementState>();
  for (const same of Map.groupBy(statements, keyOf).values()) {
    const inOrder = [...same].sort((a, b) => a.fileNo - b.fileNo || a.ordinal - b.ordinal);
    const { digest } = inOrder.at(-1)!;
    const first = inOrder.find((statement) => statement.digest === digest);
    for (const statement of inOrder)
      states.set(statement, statement === first ? 'counts' : statement.digest === digest ? 'duplicate' : 'replaced');
  }
  return states;
}

/** What was replaced, and by what that counts. */
export type Replacement<S> = { readonly replaced: S; readonly by: S };

export function replacementsIn<S extends ReadStatement>(
  statements: readonly S[],
  states: ReadonlyMap<S, StatementState>,
): Replacement<S>[] {
  return [...Map.groupBy(statements, keyOf).values()].flatMap((same) => {
    const by = same.find((statement) => states.get(statement) === 'counts')!;
    return same.filter((statement) => states.get(statement) === 'replaced').map((replaced) => ({ replaced, by }));
  });
}

/**
 * What makes it the same statement: its number and last day. Numbers begin anew each year, and some banks give all the same one. Where there is
 * none the opening balance takes its place: two statements of a day that follow each other are two.
 */
function keyOf({ account, currency, isFinal, number, to, openingMinor, digest }: ReadStatement): string {
  const plain = number?.replace(/^0+(?=\d)/, '').replace(/\/0*1?$/, '');
  const own = plain !== undefined ? `number ${plain}` : to !== null ? `opening ${openingMinor}` : digest;
  return `${account} ${currency} ${isFinal} ${to} ${own}`;
}

/** Statements of an account that do not follow each other, of all that count. Only final ones do. */
export function gapsIn<S extends ReadStatement>(statements: readonly S[]): StatementGap<S>[] {
  const finals = statements.filter(({ isFinal, to }) => isFinal && to !== null);
  return [...Map.groupBy(finals, ({ account, currency }) => `${account} ${currency}`).values()].flatMap((ofAccount) => {
    const inOrder = chained([...ofAccount].sort(byDay));
    return inOrder.flatMap((statement, at) => {
      const before = inOrder[at - 1];
      const by = before ? gapBetween(before, statement) : null;
      return by === null ? [] : [{ statement, before: before!, by }];
    });
  });
}

const byDay = (a: ReadStatement, b: ReadStatement): number =>
  (a.to! < b.to! ? -1 : a.to! > b.to! ? 1 : 0) ||
  numberOf(a).page[0]! - numberOf(b).page[0]! ||
  numberOf(a).page[1]! - numberOf(b).page[1]! ||
  a.fileNo - b.fileNo ||
  a.ordinal - b.ordinal;

/** Those of one day whose numbers say no order follow each other by their balances. */
function chained<S extends ReadStatement>(sorted: readonly S[]): S[] {
  const left = [...sorted];
  const chain: S[] = [];
  while (left.length > 0) {
    const closing = chain.at(-1)?.closingMinor;
    const first = left[0]!;
    const isTold = numberOf(first).isKnown;
    const next = isTold
      ? 0
      : left.findIndex(
          (one) => one.to === first.to && closing !== undefined && closing !== null && one.openingMinor === closing,
        );
    chain.push(...left.splice(Math.max(0, next), 1));
  }
  return chain;
}

/** A longer number is made of a date or is an id, and says nothing of the one before. */
const MAX_NUMBER = 99_999;

function numberOf({ number }: ReadStatement): { readonly isKnown: boolean; readonly page: readonly [number, number] } {
  const [, no, page = '1'] = /^(\d{1,18})(?:\/(\d{1,9}))?$/.exec(number ?? '') ?? [];
  return no === undefined || Number(no) > MAX_NUMBER
    ? { isKnown: false, page: [0, 0] }
    : { isKnown: true, page: [Number(no), Number(page)] };
}

function gapBetween(before: ReadStatement, statement: ReadStatement): 'balance' | 'number' | null {
  const [closing, opening] = [before.closingMinor, statement.openingMinor];
  if (closing !== null && opening !== null && closing !== opening) return 'balance';
  const [last, own] = [numberOf(before), numberOf(statement)];
  const isSameYear = before.to!.slice(0, 4) === statement.to!.slice(0, 4);
  if (!last.isKnown || !own.isKnown || !isSameYear) return null;
  const isJump = own.page[0] > last.page[0] + 1 || (own.page[0] === last.page[0] && own.page[1] > last.page[1] + 1);
  return isJump ? 'number' : null;
}

/** Days of which an account's final statements say everything. */
export class CoveredDays {
  readonly #spans = new Map<string, { readonly from: string; readonly to: string }[]>();

  constructor(statements: readonly ReadStatement[]) {
    for (const { account, currency, isFinal, from, to } of statements) {
      if (!isFinal || to === null) continue;
      const key = `${account} ${currency}`;
      const spans = this.#spans.get(key) ?? [];
      spans.push({ from: from ?? to, to });
      this.#spans.set(key, spans);
    }
  }

  has(account: string, currency: string, day: string): boolean {
    return this.#spans.get(`${account} ${currency}`)?.some(({ from, to }) => from <= day && day <= to) ?? false;
  }
}
