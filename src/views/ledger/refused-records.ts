import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { type RowRefusalCode, RowRefused } from '../../domain/errors.ts';

/** Records of the merchant's relation that cannot be used for one reason. They count as not there. */
export type RefusedRecords = {
  readonly field: string;
  readonly code: RowRefusalCode;
  readonly count: number;
  /** One of them: its request id, and what its column says. */
  readonly example: readonly [requestId: string | null, value: string | null];
};

/**
 * All records that cannot be used, by reason. Imported ones can: the import refuses the others. Looks through the whole relation.
 * Null: that took longer than `limitMs`. `db` is one connection, outside of a transaction.
 */
export async function refusedRecords(
  db: Db,
  limitMs: number,
  from: RawBuilder<unknown> = sql`ledger_refused()`,
): Promise<readonly RefusedRecords[] | null> {
  try {
    return await inTransaction(db, async () => {
      await sql`set local statement_timeout = ${sql.lit(limitMs)}`.execute(db);
      const found = await sql<RefusedRecords>`
        select field, code, count(*)::int as count, min(array[request_id, value]) as example
          from ${from} group by field, code order by count desc, field, code`.execute(db);
      return found.rows;
    });
  } catch (error) {
    if ((error as { code?: string }).code === '57014') return null;
    throw error;
  }
}

/** `3 records, one of them p-7: column currency, "EURO": This is no ISO 4217 currency …` */
export function refusedText({ field, code, count, example: [requestId, value] }: RefusedRecords): string {
  const which = requestId === null ? '' : `, ${count === 1 ? 'of' : 'one of them'} ${requestId}`;
  return `${count} ${count === 1 ? 'record' : 'records'}${which}: ${new RowRefused(code, field, value).message}`;
}
