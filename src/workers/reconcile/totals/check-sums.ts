import type { Db } from '../../../adapters/postgres/connection.ts';
import type { Facts } from '../../../domain/report/facts.ts';
import type { ReadLoad } from '../../../store/loads.ts';
import { isMatchable } from '../../../store/stored-row.ts';
import * as query from '../snapshot.sql.ts';

/**
 * The totals that were counted while parsing must be those that the database sums from its rows: two independent counts. So must be
 * how many rows need a record. Returns the sums.
 */
export async function checkSums(
  db: Db,
  loads: readonly ReadLoad[],
  facts: Facts,
  batchNo: number,
): Promise<query.SummedRows[]> {
  const counted = Object.entries(facts.types).map(([type, sums]) => [
    type,
    BigInt(sums.count),
    sums.settlementMinor,
    sums.feeMinor,
  ]);
  const rows = await query.sumsOf(db, loads);
  const summed = typesOf(rows).map((sums) => [sums.type, sums.count, sums.settlementMinor, sums.feeMinor]);
  const show = (rows: unknown[][]) =>
    rows
      .map((row) => row.join(' '))
      .sort()
      .join('\n');
  if (show(counted) !== show(summed)) {
    throw new Error(
      `the rows of batch ${batchNo} do not add up to what was read:\nread:\n${show(counted)}\nstored:\n${show(summed)}`,
    );
  }
  const matchable = rows.reduce((sum, { matchBy, count }) => sum + (isMatchable(matchBy) ? count : 0n), 0n);
  if (matchable !== BigInt(facts.matchableRows))
    throw new Error(
      `batch ${batchNo}: ${facts.matchableRows} rows that need a record were read, and ${matchable} are stored`,
    );
  return rows;
}

/** Rows of one type, however they find their record. */
const typesOf = (rows: readonly query.SummedRows[]) =>
  [...Map.groupBy(rows, ({ type }) => type)].map(([type, ofType]) => ({
    type,
    count: ofType.reduce((sum, { count }) => sum + count, 0n),
    settlementMinor: textSum(ofType.map(({ settlementMinor }) => settlementMinor)),
    feeMinor: textSum(ofType.map(({ feeMinor }) => feeMinor)),
  }));

/** Null where none of them is stated. */
const textSum = (amounts: readonly (string | null)[]): string | null =>
  amounts.reduce(
    (sum, amount) => (sum === null ? amount : amount === null ? sum : `${BigInt(sum) + BigInt(amount)}`),
    null,
  );
