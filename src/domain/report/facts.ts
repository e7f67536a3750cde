import type { Row } from './row.ts';
import { addLooks, type Looks, type UnreadCells } from './unread.ts';

/**
 * What the rows of a chunk add up to, counted while they are parsed, and of a load when its chunks are added up.
 * Kept as JSON: amounts are decimal strings of minor units, times are microseconds since 1970.
 */
export type Facts = {
  /** Data rows read, refused ones included. */
  readonly rows: number;
  readonly refusedRows: number;
  /** Rows that need a record and name one, by their own request id or by an original. */
  readonly matchableRows: number;
  readonly types: Readonly<Record<string, TypeFacts>>;
  /** What columns look like that nothing reads, where a column of a check is lacking. */
  readonly unread?: Looks;
  /** The same in rows alone whose net is wrong. Both are left out where there is nothing to say, and belong to one header. */
  readonly unreadBesideNet?: Looks;
  /** Order-free sum of the rows' 64-bit hashes, modulo 2^64. */
  readonly rowHash: string;
  /** At most two: more than one refuses the report anyway. */
  readonly customerIds: readonly string[];
  /** Of the first row that names one. */
  readonly acquirer: string | null;
  readonly settledFrom: string | null;
  readonly paidFrom: string | null;
  readonly paidTo: string | null;
  /** Left out where no id stands in what spreadsheets put around them. */
  readonly hasWrappedIds?: true;
  /** In the report of a day: rows that give money back and are printed above zero. Left out where there is none. */
  readonly returnsAbove?: number;
};

/** Null: no row of the type states it. */
export type TypeFacts = {
  readonly count: number;
  readonly settlementMinor: string | null;
  readonly feeMinor: string | null;
};

/** Adds rows up as they are read. */
export class FactsCounter {
  rows = 0;
  refusedRows = 0;
  matchableRows = 0;
  /** Order-free sum of row hashes, in two halves so that no bigint is made per row. */
  hashHigh = 0;
  hashLow = 0;
  readonly types = new Map<string, { count: number; settlementMinor: bigint | null; feeMinor: bigint | null }>();
  readonly customerIds = new Set<string>();
  acquirer: string | null = null;
  settledFrom: bigint | null = null;
  paidFrom: bigint | null = null;
  paidTo: bigint | null = null;
  hasWrappedIds = false;
  /** Null where no check lacks its column. */
  unread: UnreadCells | null = null;
  unreadBesideNet: UnreadCells | null = null;
  returnsAbove = 0;

  addRow(
    row: Pick<
      Row,
      | 'type'
      | 'matchBy'
      | 'settlementMinor'
      | 'feeMinor'
      | 'customerId'
      | 'acquirer'
      | 'paidAtMicros'
      | 'settledAtMicros'
    >,
  ) {
    this.rows += 1;
    if (row.matchBy === 'own' || row.matchBy === 'original') this.matchableRows += 1;
    this.addType(row.type, { count: 1, settlementMinor: row.settlementMinor, feeMinor: row.feeMinor });
    if (row.customerId !== null && this.customerIds.size < 2) this.customerIds.add(row.customerId);
    this.acquirer ??= row.acquirer;
    this.settledFrom = earlier(this.settledFrom, row.settledAtMicros);
    this.paidFrom = earlier(this.paidFrom, row.paidAtMicros);
    if (row.paidAtMicros !== null && (this.paidTo === null || row.paidAtMicros > this.paidTo))
      this.paidTo = row.paidAtMicros;
  }

  /** Adds sums of several rows of a type. */
  addType(name: string, sums: { count: number; settlementMinor: bigint | null; feeMinor: bigint | null }) {
    const type = this.types.get(name) ?? { count: 0, settlementMinor: null, feeMinor: null };
    this.types.set(name, type);
    type.count += sums.count;
    type.settlementMinor = plus(type.settlementMinor, sums.settlementMinor);
    type.feeMinor = plus(type.feeMinor, sums.feeMinor);
  }

  /** Widens the times by those of several rows, in microseconds; infinite where they say none. */
  addTimes(settledFrom: number, paidFrom: number, paidTo: number) {
    if (Number.isFinite(settledFrom)) this.settledFrom = earlier(this.settledFrom, BigInt(settledFrom));
    if (!Number.isFinite(paidFrom)) return;
    this.paidFrom = earlier(this.paidFrom, BigInt(paidFrom));
    if (this.paidTo === null || BigInt(paidTo) > this.paidTo) this.paidTo = BigInt(paidTo);
  }

  /** Adds a row's hash, given as two unsigned halves. */
  addHash(high: number, low: number) {
    const sum = this.hashLow + low;
    this.hashLow = sum >>> 0;
    this.hashHigh = (this.hashHigh + high + (sum > 0xffffffff ? 1 : 0)) >>> 0;
  }

  addRefused() {
    this.rows += 1;
    this.refusedRows += 1;
  }

  toFacts(): Facts {
    const types = [...this.types].map(([type, sums]) => [
      type,
      { count: sums.count, settlementMinor: text(sums.settlementMinor), feeMinor: text(sums.feeMinor) },
    ]);
    return {
      rows: this.rows,
      refusedRows: this.refusedRows,
      matchableRows: this.matchableRows,
      types: Object.fromEntries(types),
      rowHash: text((BigInt(this.hashHigh) << 32n) | BigInt(this.hashLow))!,
      customerIds: [...this.customerIds],
      acquirer: this.acquirer,
      settledFrom: text(this.settledFrom),
      paidFrom: text(this.paidFrom),
      paidTo: text(this.paidTo),
      ...(this.hasWrappedIds ? { hasWrappedIds: true } : {}),
      ...looksIn(this.unread?.toLooks(), this.unreadBesideNet?.toLooks()),
      ...(this.returnsAbove > 0 ? { returnsAbove: this.returnsAbove } : {}),
    };
  }
}

const looksIn = (unread: Looks | undefined, unreadBesideNet: Looks | undefined) => ({
  ...(unread && { unread }),
  ...(unreadBesideNet && { unreadBesideNet }),
});

/** The facts of several chunks, or of several loads, in the order of their rows. */
export function addFacts(all: readonly Facts[]): Facts {
  const types = new Map<string, TypeFacts>();
  for (const [type, sums] of all.flatMap((facts) => Object.entries(facts.types))) {
    const known = types.get(type) ?? { count: 0, settlementMinor: null, feeMinor: null };
    types.set(type, {
      count: known.count + sums.count,
      settlementMinor: text(plus(whole(known.settlementMinor), whole(sums.settlementMinor))),
      feeMinor: text(plus(whole(known.feeMinor), whole(sums.feeMinor))),
    });
  }
  const sum = (field: 'rows' | 'refusedRows' | 'matchableRows') =>
    all.reduce((total, facts) => total + facts[field], 0);
  const returnsAbove = all.reduce((total, facts) => total + (facts.returnsAbove ?? 0), 0);
  const times = (field: 'settledFrom' | 'paidFrom' | 'paidTo') =>
    all
      .map((facts) => whole(facts[field]))
      .filter((time) => time !== null)
      .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return {
    rows: sum('rows'),
    refusedRows: sum('refusedRows'),
    matchableRows: sum('matchableRows'),
    types: Object.fromEntries(types),
    rowHash: BigInt.asUintN(
      64,
      all.reduce((total, facts) => total + BigInt(facts.rowHash), 0n),
    ).toString(),
    customerIds: [...new Set(all.flatMap((facts) => facts.customerIds))].sort().slice(0, 2),
    acquirer: all.find((facts) => facts.acquirer !== null)?.acquirer ?? null,
    settledFrom: text(times('settledFrom')[0] ?? null),
    paidFrom: text(times('paidFrom')[0] ?? null),
    paidTo: text(times('paidTo').at(-1) ?? null),
    ...(all.some(({ hasWrappedIds }) => hasWrappedIds) ? { hasWrappedIds: true } : {}),
    ...looksIn(addLooks(all.map(({ unread }) => unread)), addLooks(all.map((facts) => facts.unreadBesideNet))),
    ...(returnsAbove > 0 ? { returnsAbove } : {}),
  };
}

const plus = (a: bigint | null, b: bigint | null): bigint | null => (a === null ? b : b === null ? a : a + b);
const earlier = (a: bigint | null, b: bigint | null): bigint | null => (a === null || (b !== null && b < a) ? b : a);
const text = (value: bigint | null): string | null => (value === null ? null : value.toString());
const whole = (value: string | null): bigint | null => (value === null ? null : BigInt(value));
