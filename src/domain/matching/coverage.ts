import { compareText } from '../discrepancy.ts';
import type { Check } from './checks.ts';

/** A number of rows and their settlement amount, in the smallest unit of the settlement currency. */
export type Rows = { readonly rows: number; readonly settlementMinor: string };
export type RowsOfType = Rows & { readonly type: string };

/** The rows of a batch or day by how they find their record, before discrepancies. */
export type Split = {
  /** They need a record, and name one. */
  readonly matchable: Rows;
  /** They need none, or name none. */
  readonly others: readonly RowsOfType[];
  readonly notDone: Rows;
  /** They cannot be read, and so settle nothing. */
  readonly refused: number;
};

/** What a run stores about its rows and checks. */
export type RunCoverage = Split & { readonly checks: readonly Check[] };

/** The rows of a type that open discrepancies name; each row once. */
export type NamedRows = RowsOfType & { readonly needsRecord: boolean };

/** The coverage of a result: each row of a batch or day belongs to one part. */
export type Coverage = {
  /** Their record was found, and no discrepancy names them. */
  readonly matched: Rows;
  readonly noRecordNeeded: readonly RowsOfType[];
  readonly notDone: Rows;
  /** A discrepancy names them; in a report of the wrong unit, all rows that need a record. */
  readonly discrepant: Rows;
  readonly refused: number;
};

/** The rows of one type as the database counts them: how they find their record, and whether they happened. */
export type CountedRows = RowsOfType & { readonly needsRecord: boolean; readonly isDone: boolean };

export function splitOf(counted: readonly CountedRows[], refused: number): Split {
  const done = counted.filter(({ isDone }) => isDone);
  const others = Map.groupBy(
    done.filter(({ needsRecord }) => !needsRecord),
    ({ type }) => type,
  );
  return {
    matchable: sumOf(done.filter(({ needsRecord }) => needsRecord)),
    others: [...others].map(([type, rows]) => ({ type, ...sumOf(rows) })).sort((a, b) => compareText(a.type, b.type)),
    notDone: sumOf(counted.filter(({ isDone }) => !isDone)),
    refused,
  };
}

export function coverageOf(split: Split, named: readonly NamedRows[], wrongUnit: boolean): Coverage {
  const toldOthers = named.filter(({ needsRecord }) => !needsRecord);
  const toldByType = Map.groupBy(toldOthers, ({ type }) => type);
  const told = wrongUnit ? split.matchable : sumOf(named.filter(({ needsRecord }) => needsRecord));
  return {
    matched: less(split.matchable, told),
    noRecordNeeded: split.others
      .map(({ type, ...rows }) => ({ type, ...less(rows, sumOf(toldByType.get(type) ?? [])) }))
      .filter(({ rows }) => rows !== 0),
    notDone: split.notDone,
    discrepant: sumOf([told, ...toldOthers]),
    refused: split.refused,
  };
}

/**
 * Returns why a coverage is wrong; null if it adds up. `counted`: counted while the rows were read.
 */
export function wrongIn(
  { matched, noRecordNeeded, notDone, discrepant, refused }: Coverage,
  counted: { readonly rows: number; readonly settlementMinor: bigint },
): string | null {
  const parts = [matched, ...noRecordNeeded, notDone, discrepant];
  const sum = sumOf(parts);
  if (parts.some(({ rows }) => rows < 0)) return 'more rows are named than there are';
  if (sum.rows + refused !== counted.rows) return `${sum.rows + refused} rows of ${counted.rows}`;
  if (BigInt(sum.settlementMinor) !== counted.settlementMinor)
    return `${sum.settlementMinor} settled of ${counted.settlementMinor}`;
  return null;
}

const sumOf = (all: readonly Rows[]): Rows => ({
  rows: all.reduce((sum, { rows }) => sum + rows, 0),
  settlementMinor: all.reduce((sum, { settlementMinor }) => sum + BigInt(settlementMinor), 0n).toString(),
});

const less = (rows: Rows, part: Rows): Rows => ({
  rows: rows.rows - part.rows,
  settlementMinor: (BigInt(rows.settlementMinor) - BigInt(part.settlementMinor)).toString(),
});
