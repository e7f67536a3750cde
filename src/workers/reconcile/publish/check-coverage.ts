import type { Db } from '../../../adapters/postgres/connection.ts';
import { coverageOf, wrongIn } from '../../../domain/matching/coverage.ts';
import { toldOf } from './publish.sql.ts';

/**
 * Throws unless the coverage adds up to what was counted while rows were read: of this batch, and of others in which this run opened or
 * closed discrepancies. Returns the number of open discrepancies of this batch.
 */
export async function checkCoverage(db: Db, batchNo: number, runNo: number): Promise<number> {
  let open = 0;
  for (const findings of await toldOf(db, batchNo, runNo)) {
    if (findings.batchNo === batchNo) open = findings.open;
    const { facts, coverage: split, named, toldRows } = findings;
    const settlementMinor = BigInt(facts.details?.settlementMinor ?? 0);
    const coverage = coverageOf(split, named, facts.wrongUnit);
    const matched = facts.wrongUnit ? 0 : facts.matchableRows - toldRows;
    const wrong =
      coverage.matched.rows === matched
        ? wrongIn(coverage, { rows: facts.rows, settlementMinor })
        : `${coverage.matched.rows} matched rows of ${matched}`;
    if (wrong !== null)
      throw new Error(
        `the coverage of batch ${findings.batchNo} does not add up: ${wrong}: ${JSON.stringify(coverage)}`,
      );
  }
  return open;
}
