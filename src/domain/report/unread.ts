import { type Discrepancy, tell } from '../discrepancy.ts';
import type { AmountRole, Format, ReportKind } from '../formats/format.ts';
import { isAbsent } from '../money/money.ts';
import { type Columns, positionsUnread } from './header.ts';

/** What the cells of a column look like that nothing reads. Blank ones say nothing. */
export type CellsLook = {
  readonly isAmounts: boolean;
  readonly isCounts: boolean;
  readonly isDates: boolean;
  readonly hasNonZero: boolean;
};

/** By the position of the column, from 0; one whose cells are all blank has none. Kept as JSON. */
export type Looks = Readonly<Record<string, CellsLook>>;

/**
 * No amount in any unit has more digits; an id may. Money has no leading zeros, as ids and codes have. Here it may be printed in groups of
 * three digits, which no column that is read may.
 */
const AMOUNT =
  /^-?(?:(?:0|[1-9]\d{0,11}|[1-9]\d{0,2}(?:,\d{3}){1,3})(?:\.\d{1,8})?|[1-9]\d{0,2}(?:\.\d{3}){1,3},\d{1,8})$/;
const COUNT = /^(?:0|[1-9]\d{0,8}|[1-9]\d{0,2}(?:,\d{3}){1,2})$/;
const DATE = /^20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$/;
const ZERO = /^-?0(?:\.0+)?$/;

/** Learns what the cells of unread columns look like, row by row. What one of them is not, its column is not. */
export class UnreadCells {
  #open: readonly number[];
  readonly #looks = new Map<number, CellsLook>();

  constructor(columns: Columns) {
    this.#open = positionsUnread(columns);
  }

  see(cellAt: (position: number) => string | undefined): void {
    for (const position of this.#open) {
      const text = cellAt(position)?.trim() ?? '';
      if (isAbsent(text)) continue;
      const look = lookOf(text);
      const known = this.#looks.get(position);
      const both = known === undefined ? look : withOther(known, look);
      this.#looks.set(position, both);
      if (!both.isAmounts) this.#open = this.#open.filter((other) => other !== position);
    }
  }

  toLooks(): Looks | undefined {
    return this.#looks.size === 0 ? undefined : Object.fromEntries(this.#looks);
  }
}

const lookOf = (text: string): CellsLook => ({
  isAmounts: AMOUNT.test(text),
  isCounts: COUNT.test(text),
  isDates: DATE.test(text),
  hasNonZero: !ZERO.test(text),
});

const withOther = (a: CellsLook, b: CellsLook): CellsLook => ({
  isAmounts: a.isAmounts && b.isAmounts,
  isCounts: a.isCounts && b.isCounts,
  isDates: a.isDates && b.isDates,
  hasNonZero: a.hasNonZero || b.hasNonZero,
});

/** The looks of several chunks of one report. */
export function addLooks(all: readonly (Looks | undefined)[]): Looks | undefined {
  const sum = new Map<string, CellsLook>();
  for (const [position, look] of all.flatMap((looks) => Object.entries(looks ?? {}))) {
    const known = sum.get(position);
    sum.set(position, known === undefined ? look : withOther(known, look));
  }
  return sum.size === 0 ? undefined : Object.fromEntries([...sum].sort(([a], [b]) => Number(a) - Number(b)));
}

/** A column that a check needs and a report does not have, by the format's own name, and what it would hold. */
export type Lack = { readonly column: string; readonly of: 'count' | 'fees' | 'breakdown' | 'converted' };

/**
 * What the checks of a report lack: the count and the fees of a summary, the fees of details. A format with several columns of fees
 * prints those that there are, so it lacks them only where it prints none. What a fee is made of and what an amount was converted to
 * need not be printed: they are lacking where their currency is, and they are not.
 */
export function lacksOf({ at }: Columns, kind: ReportKind, format: Format): Lack[] {
  if (kind === 'transactionDetails') return [];
  const isThere = (column: string | undefined) => column !== undefined && at[column] !== undefined;
  const lacksCount = kind === 'settlementSummary' && format.columns[kind].includes('count') && !isThere('count');
  const lacksAll = (of: Exclude<Lack['of'], 'count'>, role: AmountRole): Lack[] => {
    const wanted = format.amounts[kind].filter((amount) => amount.role === role);
    const isPrinted = wanted.some(({ column, debitColumn }) => isThere(column) || isThere(debitColumn));
    const lacking = of === 'fees' ? wanted[0] : wanted.find(({ currencyColumn }) => isThere(currencyColumn));
    return isPrinted || lacking === undefined ? [] : [{ column: lacking.column, of }];
  };
  return [
    ...(lacksCount ? [{ column: 'count', of: 'count' as const }] : []),
    ...lacksAll('fees', 'fee'),
    ...(kind === 'settlementDetails'
      ? [...lacksAll('breakdown', 'breakdown'), ...lacksAll('converted', 'converted')]
      : []),
  ];
}

/** A lack, and the unread column that may be what is lacking. */
export type Instead = Lack & { readonly unread: string };

/** For each lack the unread column that looks most like it: by its name as well, else the first by its cells alone. */
export function insteadOf(lacks: readonly Lack[], columns: Columns, looks: Looks = {}): Instead[] {
  const taken = new Set<number>();
  return lacks.flatMap((lack) => {
    const like = Object.entries(looks)
      .map(([position, look]) => ({
        position: Number(position),
        look,
        words: wordsOf(nameAt(columns, Number(position))),
      }))
      .filter(({ position, look, words }) => !taken.has(position) && isLike(lack, look, words))
      .sort((a, b) => a.position - b.position);
    const named = like.find(({ words }) => some(lack.of === 'count' ? COUNTING : MONEY, words)) ?? like[0];
    if (named === undefined) return [];
    taken.add(named.position);
    return [{ ...lack, unread: nameAt(columns, named.position) }];
  });
}

const isLike = (lack: Lack, look: CellsLook, words: readonly string[]): boolean => {
  if (!look.hasNonZero || !look.isAmounts || look.isDates) return false;
  if (lack.of === 'count' && look.isCounts && isNumberOfRows(words)) return true;
  if (isOther(words)) return false;
  const [money, counting] = [some(MONEY, words), some(COUNTING, words)];
  return lack.of === 'count' ? look.isCounts && (counting || !money) : money || !counting;
};

/** `unread_column`, once for a report. Null where it lacks nothing, or nothing unread can be that. */
export function unreadColumn(insteads: readonly Instead[]): Discrepancy | null {
  const [first] = insteads;
  if (first === undefined) return null;
  const pairs = insteads.map(
    ({ column, unread }) => `no column ${column}; the unread column ${unread} may be the renamed one`,
  );
  const message = `The report has ${pairs.join('. It has ')}. It is not compared until an alias of the format names it.`;
  return tell('unread_column', message, { line: 1, field: first.column, reported: first.unread });
}

/**
 * The unread columns that look like money: by their cells in rows whose net is wrong, or by their names where these cells do not say
 * otherwise.
 */
export function moneyUnread(columns: Columns, looks: Looks = {}): string[] {
  return positionsUnread(columns).flatMap((position) => {
    const name = nameAt(columns, position);
    const words = wordsOf(name);
    const look = looks[position];
    if (isOther(words) || look?.isDates || look?.isAmounts === false) return [];
    const isMoney = some(MONEY, words) || (look?.hasNonZero === true && !some(COUNTING, words));
    return isMoney ? [name] : [];
  });
}

/** As the header prints it; a column without a name is called by its place. */
const nameAt = ({ names }: Columns, position: number): string => names[position] || `column ${position + 1}`;

const wordsOf = (name: string): string[] =>
  name
    .replaceAll(/(\p{Ll}|\d)(\p{Lu})/gu, '$1 $2')
    .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');

const some = (of: ReadonlySet<string>, words: readonly string[]): boolean => words.some((word) => of.has(word));
const set = (words: string): ReadonlySet<string> => new Set(words.split(' '));

const MONEY = set(
  'amount amounts fee fees charge charges cost costs tax taxes vat gst discount discounts commission commissions markup interchange surcharge rebate tip levy duty deduction withholding net gross value total sum price money',
);
const COUNTING = set('count counts quantity qty rows transactions items');
/** What is a number, and neither money nor a count, whatever stands beside it. */
const NEVER = set('rate rates ratio percent percentage currency code date time timestamp zone');
/** What is rather the number of a thing, unless the name speaks of money or of a count. */
const NUMBERS_OF = set(
  'id ids ref reference bin mcc phone mobile tel zip postal iban bic account merchant store shop terminal customer card pan contract invoice order year month day version seq sequence serial digits installments instalments',
);

/** How many rows there are, as a summary may call it: `totalNum`, `transactionNumber`, `txn no`. No single row stands there that could have a number. */
const isNumberOfRows = (words: readonly string[]): boolean =>
  some(NUMBER, words.slice(-1)) && words.slice(0, -1).every((word) => ROWS.has(word));
const NUMBER = set('no nr num nums number numbers total sum');
const ROWS = set(
  'total sum count transaction transactions trade trades txn txns record records item items row rows line lines entry entries of',
);

function isOther(words: readonly string[]): boolean {
  if (some(NEVER, words)) return true;
  if (some(MONEY, words) || some(COUNTING, words)) return ['id', 'no', 'nr', 'number'].includes(words.at(-1) ?? '');
  return some(NUMBERS_OF, words) || (words.length > 1 && ['no', 'nr', 'number'].includes(words.at(-1)!));
}
