import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { compareText } from '../../domain/discrepancy.ts';
import { FORMATS } from '../../domain/formats/all.ts';
import type { TypeRule } from '../../domain/formats/format.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import type { BatchView } from '../batches/batches.sql.ts';
import { amountCell, type Column, dayCell } from '../output/columns.ts';
import { table } from '../output/tables.ts';

/** What an acquirer keeps back as a safeguard. Amounts are decimals in major units, seen from the acquirer: what it took is above zero. */
export type Holding = {
  readonly merchantId: string;
  readonly acquirer: string | null;
  readonly currency: Currency;
  readonly of: 'reserve' | 'collateral';
  readonly withheld: string;
  readonly released: string;
  /** Withheld and not released yet. */
  readonly held: string;
  /** More came back than was ever withheld here: it was withheld before this book begins, or somewhere else. */
  readonly isOverReleased: boolean;
  readonly firstDate: string | null;
  readonly lastDate: string | null;
};

type Step = {
  readonly batch: BatchView;
  readonly of: Holding['of'];
  readonly step: 'withheld' | 'released';
  readonly settlementMinor: bigint;
};

type Types = Readonly<Record<string, TypeRule>>;

/** What the types of one's own formats mean in the runs that read them, by run. */
export async function ownTypesOf(db: Db, batches: readonly BatchView[]): Promise<ReadonlyMap<number, Types>> {
  const found = await sql<{ run: number; types: Types }>`
    select distinct rl.run_no as run, f.format->'types' as types
      from run_load rl join load l on l.no = rl.load_no join format f on f.id = l.format
     where rl.run_no = any(${batches.map(({ run }) => run)}::int[])`.execute(db);
  return new Map(found.rows.map(({ run, types }) => [run, types]));
}

/** What the current runs of these batches keep back and give back, by merchant, acquirer, currency and kind. */
export function holdingsOf(batches: readonly BatchView[], ownTypes: ReadonlyMap<number, Types>): Holding[] {
  const steps = batches.flatMap((batch) =>
    batch.facts.totals.flatMap(({ type, settlementMinor }): Step[] => {
      const holding = holdingIn(ownTypes.get(batch.run), type) ?? holdingOf(type);
      return holding ? [{ batch, ...holding, settlementMinor: BigInt(settlementMinor ?? '0') }] : [];
    }),
  );
  const groups = Map.groupBy(steps, ({ batch, of }) =>
    JSON.stringify([batch.merchantId, batch.acquirer, batch.currency, of]),
  );
  return [...groups.values()]
    .map(sumUp)
    .sort(
      (a, b) =>
        compareText(a.merchantId, b.merchantId) ||
        compareText(a.acquirer, b.acquirer) ||
        compareText(a.currency, b.currency) ||
        compareText(a.of, b.of),
    );
}

const holdingOf = (type: string) => Object.values(FORMATS).flatMap(({ types }) => holdingIn(types, type) ?? [])[0];
const holdingIn = (types: Types | undefined, type: string) =>
  types && Object.hasOwn(types, type) ? types[type]!.holding : undefined;

function sumUp(steps: readonly Step[]): Holding {
  const { batch, of } = steps[0]!;
  const currency = batch.currency as Currency;
  const sum = (step: Step['step']) =>
    steps.reduce((sum, one) => (one.step === step ? sum + one.settlementMinor : sum), 0n);
  // What is withheld is taken from a payout: the report prints it below zero.
  const withheld = -sum('withheld');
  const released = sum('released');
  const dates = steps.flatMap(({ batch }) => batch.settlementDate ?? []).sort();
  return {
    merchantId: batch.merchantId,
    acquirer: batch.acquirer,
    currency,
    of,
    withheld: formatAmount(withheld, currency),
    released: formatAmount(released, currency),
    held: formatAmount(withheld - released, currency),
    isOverReleased: released > withheld,
    firstDate: dates[0] ?? null,
    lastDate: dates.at(-1) ?? null,
  };
}

export const RESERVE_COLUMNS: readonly Column<Holding>[] = [
  { name: 'merchantId', width: 20, cell: (row) => row.merchantId },
  { name: 'acquirer', width: 14, cell: (row) => row.acquirer },
  { name: 'currency', width: 10, cell: (row) => row.currency },
  { name: 'of', width: 12, cell: (row) => row.of },
  { name: 'withheld', width: 18, cell: (row) => amountCell(row.withheld, row.currency) },
  { name: 'released', width: 18, cell: (row) => amountCell(row.released, row.currency) },
  { name: 'held', width: 18, cell: (row) => amountCell(row.held, row.currency) },
  { name: 'isOverReleased', width: 14, cell: (row) => String(row.isOverReleased) },
  { name: 'firstDate', width: 11, cell: (row) => dayCell(row.firstDate) },
  { name: 'lastDate', width: 11, cell: (row) => dayCell(row.lastDate) },
];

export const reservesTable = (holdings: readonly Holding[]): string =>
  table(
    ['merchant', 'acquirer', 'currency', 'kept back as', 'withheld', 'released', 'still held', '', 'first', 'last'],
    holdings.map((row) => [
      row.merchantId,
      row.acquirer,
      row.currency,
      row.of,
      row.withheld,
      row.released,
      row.held,
      row.isOverReleased ? 'more released than withheld' : null,
      row.firstDate,
      row.lastDate,
    ]),
    [4, 5, 6],
  );
