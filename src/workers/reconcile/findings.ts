import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Discrepancy } from '../../domain/discrepancy.ts';
import { clean } from '../../store/stored-row.ts';

/** A discrepancy with its position, before it is published. */
export type Finding = {
  readonly discrepancy: Discrepancy;
  readonly loadNo: number | null;
  readonly ofMatchable: boolean;
  readonly batchNo?: number;
  readonly otherBatchNo?: number;
  /** Request ids of the records that it is about, or that are missing: another run is due when these come or change. At most three. */
  readonly referencedIds?: readonly (string | null)[];
  /** Fingerprint of these records, if it is known already. */
  readonly referencedFingerprint?: bigint | null;
  /** The row that it names, if the run does not read it: `identifyFindings` looks up the others. */
  readonly row?: NamedRow;
};

/** What a finding stores of its row. */
export type NamedRow = {
  readonly type: string;
  readonly needsRecord: boolean;
  readonly settlementMinor: bigint | null;
};

/** Records findings, many in one statement: an array for each column, so that the number of parameters is fixed. */
export async function recordFindings(
  db: Db,
  findings: readonly Finding[],
  table: 'finding' | 'cross_batch_finding' = 'finding',
): Promise<void> {
  if (findings.length === 0) return;
  const texts = (of: (d: Discrepancy) => string | null) =>
    sql`${findings.map((t) => clean(of(t.discrepancy)))}::text[]`;
  const referenced = (at: number) => sql`${findings.map((t) => t.referencedIds?.[at] ?? null)}::text[]`;
  const settled = findings.map((t) => t.row?.settlementMinor?.toString() ?? null);
  await sql`insert into ${sql.ref(table)} (row_type, row_needs_record, row_settlement_minor, referenced_ids, referenced_fingerprint, batch_no, other_batch_no, of_matchable, load_no, line, stake_minor, kind,
      type, request_id, transaction_id, field, reported, recorded, difference, currency, message, stake_currency)
    select row_type, row_needs_record, row_settled, nullif(array_remove(array[first, second, third], null), '{}'), fingerprint, batch_no, other_batch_no, of_matchable, load_no, line,
           stake_minor, kind, type, request_id, transaction_id, field, reported, recorded, difference, currency, message, stake_currency
      from unnest(${findings.map((t) => t.row?.type ?? null)}::text[], ${findings.map((t) => t.row?.needsRecord ?? null)}::boolean[], ${settled}::bigint[],
      ${referenced(0)}, ${referenced(1)}, ${referenced(2)}, ${findings.map((t) => t.referencedFingerprint?.toString() ?? null)}::bigint[],
      ${findings.map((t) => t.batchNo ?? null)}::int[], ${findings.map((t) => t.otherBatchNo ?? null)}::int[],
      ${findings.map((t) => t.ofMatchable)}::boolean[], ${findings.map((t) => t.loadNo)}::int[], ${findings.map((t) => t.discrepancy.line)}::int[],
      ${findings.map((t) => t.discrepancy.stake?.amountMinor.toString() ?? null)}::numeric[], ${texts((d) => d.kind)}, ${texts((d) => d.type)},
      ${texts((d) => d.requestId)}, ${texts((d) => d.transactionId)}, ${texts((d) => d.field)}, ${texts((d) => d.reported)},
      ${texts((d) => d.recorded)}, ${texts((d) => d.difference)}, ${texts((d) => d.currency)}, ${texts((d) => d.message)},
      ${texts((d) => d.stake?.currency ?? null)}) as t(row_type, row_needs_record, row_settled, first, second, third, fingerprint, batch_no, other_batch_no, of_matchable, load_no, line,
        stake_minor, kind, type, request_id, transaction_id, field, reported, recorded, difference, currency, message, stake_currency)`.execute(
    db,
  );
}
