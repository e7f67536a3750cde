import { createHash } from 'node:crypto';
import type { Db } from '../../adapters/postgres/connection.ts';
import { type AuditEvent, breakOf, type ChainLink, hashedText, START } from '../../domain/audit.ts';
import type { Column } from '../output/columns.ts';
import { minuteOf, table, wrap } from '../output/tables.ts';
import { type AuditView, auditHead, lastBefore, storedEvents } from './audit.sql.ts';

/** What came of checking the trail: how many events fit, and where the first one does not. */
export type Verified = { readonly events: number; readonly head: ChainLink; readonly broken: string | null };

type Verify = {
  /** Only what happened from then on. */
  readonly since?: Date;
  /** An event that somebody has written down elsewhere. */
  readonly pinned?: ChainLink | undefined;
};

/** Makes the hash of every event anew, from its content and the hash before, and finds the first one that does not fit. */
export async function verifyAudit(db: Db, { since, pinned }: Verify = {}): Promise<Verified> {
  // Read first: what is written while this goes on comes behind it.
  const head = await auditHead(db);
  const known = pinned === undefined ? [head] : [head, pinned];
  let last = since === undefined ? START : await lastBefore(db, since);
  let events = 0;
  for await (const portion of storedEvents(db, last.no)) {
    for (const event of portion) {
      const broken = breakOf(last, event, hashOf(event)) ?? strangerOf(event, known);
      if (broken !== null) return { events, head, broken };
      last = event;
      events += 1;
    }
  }
  const missing = known.find(({ no }) => no > last.no);
  return {
    events,
    head,
    broken: missing
      ? `event ${last.no + 1n} is missing: the trail ends with event ${last.no}, and event ${missing.no} was there`
      : null,
  };
}

const hashOf = (event: AuditEvent): string => createHash('sha256').update(hashedText(event)).digest('hex');

/** The chain fits, but it is not the one that was written. */
const strangerOf = (event: AuditEvent, known: readonly ChainLink[]): string | null =>
  known.some(({ no, hash }) => no === event.no && hash !== event.hash)
    ? `event ${event.no} was replaced, with all before or behind it: its hash was another one`
    : null;

export const auditJson = ({ no, at, who, via, what, on, before, after, reason, hash }: AuditView) => ({
  no: Number(no),
  at,
  who,
  via,
  what,
  on,
  before,
  after,
  reason,
  hash,
});

const textOf = (json: unknown): string | null => (json === null ? null : JSON.stringify(json));

export const AUDIT_COLUMNS: readonly Column<AuditView>[] = [
  { name: 'no', width: 10, cell: (event) => Number(event.no) },
  { name: 'at', width: 26, cell: (event) => event.at.toISOString() },
  { name: 'who', width: 20, cell: (event) => event.who },
  { name: 'via', width: 24, cell: (event) => event.via },
  { name: 'what', width: 12, cell: (event) => event.what },
  { name: 'on', width: 44, cell: (event) => event.on },
  { name: 'before', width: 40, cell: (event) => textOf(event.before) },
  { name: 'after', width: 40, cell: (event) => textOf(event.after) },
  { name: 'reason', width: 40, cell: (event) => event.reason },
  { name: 'hash', width: 66, cell: (event) => event.hash },
];

export const auditTable = (events: readonly AuditView[]): string =>
  table(
    ['no', 'at', 'who', 'via', 'what', 'on', 'reason'],
    events.map(({ no, at, who, via, what, on, reason }) => [
      Number(no),
      minuteOf(at),
      who,
      via,
      what,
      wrap(on, 60),
      wrap(reason ?? '', 50),
    ]),
    [0],
  );
