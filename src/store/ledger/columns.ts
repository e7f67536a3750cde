import { sql } from 'kysely';
import type { LedgerRecord } from '../../domain/report/record-types.ts';

/** A record that stands beside a row, its columns spelled with a prefix; null where there is none. */
export function recordFrom(stored: Readonly<Record<string, unknown>>, prefix: 'r' | 'o'): LedgerRecord | null {
  if (stored[`${prefix}_type`] === null) return null;
  return {
    type: stored[`${prefix}_type`],
    requestId: stored[`${prefix}_request_id`],
    amountMinor: stored[`${prefix}_amount_minor`],
    currency: stored[`${prefix}_currency`],
    status: stored[`${prefix}_status`],
    originalRequestId: stored[`${prefix}_original_request_id`],
    occurredAtMicros: stored[`${prefix}_occurred_at_micros`],
  } as LedgerRecord;
}

/** Of several records with one key, which no merchant should have, it is always the same one that counts: the newest. */
export const NEWEST = (alias: string) =>
  sql.raw(
    `${alias}.occurred_at desc, ${alias}.amount_minor, ${alias}.currency, ${alias}.status, ${alias}.original_request_id`,
  );

/** A record, spelled with a prefix so that it can stand beside a row. */
export const RECORD = (alias: string, prefix = alias) =>
  sql.raw(`${alias}.type as ${prefix}_type, ${alias}.request_id as ${prefix}_request_id,
  ${alias}.amount_minor as ${prefix}_amount_minor, ${alias}.currency as ${prefix}_currency, ${alias}.status as ${prefix}_status,
  ${alias}.original_request_id as ${prefix}_original_request_id,
  (extract(epoch from ${alias}.occurred_at) * 1000000)::bigint as ${prefix}_occurred_at_micros`);
