import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { Currency } from '../../domain/money/currency.ts';

/** A record of an order. */
export type OrderRecord = {
  readonly merchantId: string;
  readonly requestId: string;
  readonly type: string;
  readonly amountMinor: bigint;
  readonly currency: Currency;
  readonly status: string;
  readonly occurredAt: Date;
};

const MOST = 100;

/** Your records of an order, the first ones first. No index leads from an order: all records are looked through. */
export async function recordsOfOrder(
  db: Db,
  { order, merchant, merchants }: { order: string; merchant?: string | undefined; merchants: readonly string[] | null },
): Promise<readonly OrderRecord[]> {
  const found = await sql<OrderRecord>`
    select m.id as "merchantId", r.request_id as "requestId", r.type, r.amount_minor as "amountMinor", r.currency, r.status, r.occurred_at as "occurredAt"
      from ledger() r join merchant m on m.no = r.merchant_no
     where r.order_id = ${order} and ${merchant === undefined ? sql`true` : sql`m.id = ${merchant}`}
       and ${merchants === null ? sql`true` : sql`m.id = any(${[...merchants]}::text[])`}
     order by r.occurred_at, r.request_id, r.type limit ${MOST}`.execute(db);
  return found.rows;
}
