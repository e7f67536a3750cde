import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { type AuditEvent, type ChainLink, START } from '../../domain/audit.ts';

/** Which events are asked for; days are in UTC. */
export type AuditFilter = {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly who?: string | undefined;
  readonly what?: string | undefined;
  /** Those behind the event of this number. */
  readonly after?: bigint | undefined;
  readonly limit?: number | undefined;
};

/** An event as it is shown. */
export type AuditView = {
  no: bigint;
  at: Date;
  who: string;
  via: string;
  what: string;
  on: string;
  before: unknown;
  after: unknown;
  reason: string | null;
  hash: string;
};

/** Events in the order in which they happened. */
export const auditEvents = ({ from, to, who, what, after, limit }: AuditFilter) => sql`
  select no, at, who, via, what, subject as "on", before, after, reason, hash from audit_event
   where ${from === undefined ? sql`true` : sql`at >= ${from}::date::timestamp at time zone 'UTC'`}
     and ${to === undefined ? sql`true` : sql`at < (${to}::date + 1)::timestamp at time zone 'UTC'`}
     and ${who === undefined ? sql`true` : sql`who = ${who}`} and ${what === undefined ? sql`true` : sql`what = ${what}`}
     and ${after === undefined ? sql`true` : sql`no > ${after.toString()}::bigint`}
   order by no limit ${limit ?? null}::bigint`;

/** The last event, as the database has written it down beside the trail. */
export async function auditHead(db: Db): Promise<ChainLink> {
  const found = await sql<ChainLink>`select no, hash from audit_head`.execute(db);
  return found.rows[0] ?? START;
}

/** The last event before a time; START where there is none. */
export async function lastBefore(db: Db, since: Date): Promise<ChainLink> {
  const found =
    await sql<ChainLink>`select no, hash from audit_event where at < ${since} order by no desc limit 1`.execute(db);
  return found.rows[0] ?? START;
}

const PORTION = 2_000;

/** The events behind one, some at a time, exactly as they are stored. */
export async function* storedEvents(db: Db, behind: bigint): AsyncGenerator<readonly AuditEvent[]> {
  for (let last = behind; ; ) {
    const { rows } = await sql<AuditEvent>`
      select no, (extract(epoch from at) * 1000000)::bigint as "atMicros", who, via, what, subject, before::text as before, after::text as after, reason,
             previous_hash as "previousHash", hash
        from audit_event where no > ${last.toString()}::bigint order by no limit ${PORTION}`.execute(db);
    if (rows.length > 0) yield rows;
    if (rows.length < PORTION) return;
    last = rows.at(-1)!.no;
  }
}
