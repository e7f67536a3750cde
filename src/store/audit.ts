import { sql } from 'kysely';
import type { Db } from '../adapters/postgres/connection.ts';
import type { Actor, Audited } from '../domain/audit.ts';

/** Something that somebody has done, in the transaction that does it. */
export type AuditEntry = {
  readonly what: Audited;
  /** On what it was done, in words. */
  readonly subject: string;
  readonly before?: object | null;
  readonly after?: object | null;
  readonly reason?: string | null;
};

/**
 * Writes to the audit trail what the transaction does. The events get their numbers and hashes from the database, and until the transaction
 * ends nobody else can write any: so this is its last statement.
 */
export async function recordAudit(db: Db, { name, via }: Actor, entries: readonly AuditEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const json = (of: (entry: AuditEntry) => object | null | undefined) =>
    sql`${entries.map((entry) => jsonText(of(entry)))}::text[]`;
  await sql`insert into audit_event (who, via, what, subject, before, after, reason)
    select ${name}, ${via}, what, subject, before::json, after::json, reason
      from unnest(${entries.map(({ what }) => what)}::text[], ${entries.map(({ subject }) => subject)}::text[], ${json(({ before }) => before)},
                  ${json(({ after }) => after)}, ${entries.map(({ reason = null }) => reason)}::text[])
           with ordinality as e(what, subject, before, after, reason, place)
     order by place`.execute(db);
}

const jsonText = (value: object | null | undefined): string | null => (value == null ? null : JSON.stringify(value));

/** What the last such event says of the settings; null where there was none. */
export async function lastSettings(db: Db, subject: string): Promise<object | null> {
  const found = await sql<{ after: object }>`
    select after from audit_event where what = 'settings' and subject = ${subject} order by no desc limit 1`.execute(
    db,
  );
  return found.rows[0]?.after ?? null;
}
