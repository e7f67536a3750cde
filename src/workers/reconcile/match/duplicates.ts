import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { fetchBatches } from '../../../adapters/postgres/cursors.ts';
import { duplicateOf, type Report } from '../../../domain/matching/match.ts';
import { isMatchable, rowFrom, type StoredRow } from '../../../store/stored-row.ts';
import type { Details } from '../decision.ts';
import { type Finding, recordFindings } from '../findings.ts';
import { findRepeatedKeys, repeatedRows } from './duplicates.sql.ts';

/** `isDay`: of the report of a day, which lists what happened, and a key happens once. */
export async function findDuplicates(
  db: Db,
  details: Details,
  report: Report,
  isDay: boolean,
  isLarge: boolean,
): Promise<void> {
  const fileOf = new Map(details.read.map((part) => [part.loadNo, part.file]));
  let findings: Finding[] = [];
  const settledKeys: { type: string; request_id: string }[] = [];
  const flush = async () => {
    await sql`insert into duplicate select * from unnest(${findings.map((t) => t.loadNo)}::int[], ${findings.map((t) => t.discrepancy.line)}::int[])`.execute(
      db,
    );
    await recordFindings(db, findings);
    await sql`insert into settled_key select type, request_id, hashtextextended(request_id, 0)
      from unnest(${settledKeys.map((k) => k.type)}::text[], ${settledKeys.map((k) => k.request_id)}::text[]) as k(type, request_id)`.execute(
      db,
    );
    findings = [];
    settledKeys.length = 0;
  };
  if ((await findRepeatedKeys(db, details.loads, isLarge)) === 0) return;
  // A key may stand in all rows of a report: only the first place of each of its identities is kept.
  let key: bigint | null = null;
  const firsts = new Map<string, { loadNo: number; line: number; transactionId: string | null }>();
  const identities = new Map<string, number>();
  for await (const rows of fetchBatches<RepeatedRow>(db, repeatedRows(details.loads))) {
    for (const stored of rows) {
      if (stored.key_hash !== key) {
        key = stored.key_hash;
        firsts.clear();
        identities.clear();
      }
      const identity = rowIdentity(stored, isDay);
      const first = firsts.get(identity);
      if (first) {
        const row = rowFrom(stored);
        const file = first.loadNo === stored.load_no ? null : (fileOf.get(first.loadNo) ?? null);
        const isOther = first.transactionId !== stored.transaction_id;
        const discrepancy = duplicateOf(row, { line: first.line, file, isOther }, report);
        findings.push({ discrepancy, loadNo: stored.load_no, ofMatchable: isMatchable(row.matchBy) });
        continue;
      }
      firsts.set(identity, { loadNo: stored.load_no, line: stored.line, transactionId: stored.transaction_id });
      if (stored.request_id === null) continue;
      const settled = `${stored.type} ${stored.request_id}`;
      const count = (identities.get(settled) ?? 0) + 1;
      identities.set(settled, count);
      if (count === 2) settledKeys.push({ type: stored.type, request_id: stored.request_id });
    }
    if (findings.length + settledKeys.length > 5_000) await flush();
  }
  await flush();
}

type RepeatedRow = StoredRow & { key_hash: bigint };

/**
 * Batch or day are the same for all rows here. In a day a request id is enough: under another transaction id it is the same movement
 * of the merchant's again, of which there is one record. In a settlement that is told as settled twice, and instalments are none.
 * A row without a request id is the same one only if all that it says agrees.
 */
const rowIdentity = (row: RepeatedRow, isDay: boolean): string =>
  JSON.stringify([
    row.type,
    isDay && row.request_id !== null ? null : row.transaction_id,
    row.request_id,
    ...(row.request_id !== null
      ? []
      : [
          row.original_request_id,
          row.original_transaction_id,
          row.amount_minor,
          row.currency,
          row.settlement_minor,
          row.fee_minor,
          row.paid_at_micros,
        ].map((value) => value?.toString() ?? null)),
  ]);
