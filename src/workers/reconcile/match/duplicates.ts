import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { fetchBatches } from '../../../adapters/postgres/cursors.ts';
import { duplicateOf, type Report } from '../../../domain/matching/match.ts';
import { isMatchable, rowFrom, type StoredRow } from '../../../store/stored-row.ts';
import type { Details } from '../decision.ts';
import { type Finding, recordFindings } from '../findings.ts';
import { findRepeatedKeys, repeatedRows } from './duplicates.sql.ts';

export async function findDuplicates(db: Db, details: Details, report: Report): Promise<void> {
  const fileOf = new Map(details.read.map((part) => [part.loadNo, part.file]));
  let findings: Finding[] = [];
  const settledKeys: { type: string; request_id: string }[] = [];
  const flush = async () => {
    await sql`insert into duplicate select * from unnest(${findings.map((t) => t.loadNo)}::int[], ${findings.map((t) => t.discrepancy.line)}::int[])`.execute(
      db,
    );
    await recordFindings(db, findings);
    await sql`insert into settled_key select * from unnest(${settledKeys.map((k) => k.type)}::text[], ${settledKeys.map((k) => k.request_id)}::text[])`.execute(
      db,
    );
    findings = [];
    settledKeys.length = 0;
  };
  if ((await findRepeatedKeys(db, details.loads)) === 0) return;
  // A key may stand in all rows of a report: only the first place of each of its identities is kept.
  let key: bigint | null = null;
  const firsts = new Map<string, { loadNo: number; line: number }>();
  const identities = new Map<string, number>();
  for await (const rows of fetchBatches<RepeatedRow>(db, repeatedRows(details.loads))) {
    for (const stored of rows) {
      if (stored.key_hash !== key) {
        key = stored.key_hash;
        firsts.clear();
        identities.clear();
      }
      const identity = rowIdentity(stored);
      const first = firsts.get(identity);
      if (first) {
        const row = rowFrom(stored);
        const file = first.loadNo === stored.load_no ? null : (fileOf.get(first.loadNo) ?? null);
        const discrepancy = duplicateOf(row, { line: first.line, file }, report);
        findings.push({ discrepancy, loadNo: stored.load_no, ofMatchable: isMatchable(row.matchBy) });
        continue;
      }
      firsts.set(identity, { loadNo: stored.load_no, line: stored.line });
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

/** Batch or day are the same for all rows here. A row without a request id is the same one only if all that it says agrees. */
const rowIdentity = (row: RepeatedRow): string =>
  JSON.stringify([
    row.type,
    row.transaction_id,
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
