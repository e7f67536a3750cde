import { sql } from 'kysely';
import type { Db } from '../../../adapters/postgres/connection.ts';
import { inPortions } from '../../../adapters/postgres/cursors.ts';
import { duplicateOf, type Report } from '../../../domain/matching/match.ts';
import { isMatchable, rowFrom, type StoredRow } from '../../../store/stored-row.ts';
import type { Details } from '../decision.ts';
import { type Told, tellAll } from '../findings.ts';
import { findTwinKeys, twinRows } from './duplicates.sql.ts';

export async function tellDuplicates(db: Db, details: Details, report: Report): Promise<void> {
  const fileOf = new Map(details.read.map((part) => [part.loadNo, part.file]));
  let told: Told[] = [];
  const settledKeys: { type: string; request_id: string }[] = [];
  const flush = async () => {
    await sql`insert into duplicate select * from unnest(${told.map((t) => t.loadNo)}::int[], ${told.map((t) => t.discrepancy.line)}::int[])`.execute(
      db,
    );
    await tellAll(db, told);
    await sql`insert into settled_key select * from unnest(${settledKeys.map((k) => k.type)}::text[], ${settledKeys.map((k) => k.request_id)}::text[])`.execute(
      db,
    );
    told = [];
    settledKeys.length = 0;
  };
  if ((await findTwinKeys(db, details.loads)) === 0) return;
  // A key may stand in all rows of a report: only the first place of each of its identities is kept.
  let key: bigint | null = null;
  const firsts = new Map<string, { loadNo: number; line: number }>();
  const identities = new Map<string, number>();
  for await (const rows of inPortions<TwinRow>(db, twinRows(details.loads))) {
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
        told.push({ discrepancy, loadNo: stored.load_no, ofMatchable: isMatchable(row.matchBy) });
        continue;
      }
      firsts.set(identity, { loadNo: stored.load_no, line: stored.line });
      if (stored.request_id === null) continue;
      const settled = `${stored.type} ${stored.request_id}`;
      const count = (identities.get(settled) ?? 0) + 1;
      identities.set(settled, count);
      if (count === 2) settledKeys.push({ type: stored.type, request_id: stored.request_id });
    }
    if (told.length + settledKeys.length > 5_000) await flush();
  }
  await flush();
}

type TwinRow = StoredRow & { key_hash: bigint };

/** Batch or day are the same for all rows here. A row without a request id is the same one only if all that it says agrees. */
const rowIdentity = (row: TwinRow): string =>
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
