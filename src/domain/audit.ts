/** Who does something, and how they came in: from the command line, the console or the API. */
export type Actor = { readonly name: string; readonly via: string };

/** What the program does by itself. Nobody else may be called so. */
export const SYSTEM = 'system';

/** The program itself, where nobody has asked for it. */
export const PROGRAM: Actor = { name: SYSTEM, via: 'program' };

/** What is written down of a person's actions. */
export const AUDITED = [
  'handle',
  'replay',
  'withdraw',
  'import',
  'bank.match',
  'settings',
  'retention',
  'login',
  'token',
] as const;
export type Audited = (typeof AUDITED)[number];

/** An event as it is stored. Its time is in microseconds since 1970; `before` and `after` are JSON as it was written. */
export type AuditEvent = {
  readonly no: bigint;
  readonly atMicros: bigint;
  readonly who: string;
  readonly via: string;
  readonly what: string;
  readonly subject: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly reason: string | null;
  readonly previousHash: string;
  readonly hash: string;
};

/** An event that is the last one so far, or `START`. */
export type ChainLink = Pick<AuditEvent, 'no' | 'hash'>;

export const START: ChainLink = { no: 0n, hash: '0'.repeat(64) };

/** Returns what the hash of an event is made of: the hash before, and each part with its length in bytes (`audit_content` in the migrations). */
export function hashedText(event: AuditEvent): string {
  const { no, atMicros, who, via, what, subject, before, after, reason } = event;
  const parts = [String(no), String(atMicros), who, via, what, subject, before, after, reason];
  const content = parts.map((part) => (part === null ? '-' : `${new TextEncoder().encode(part).length}:${part}`));
  return `${event.previousHash},${content.join(',')}`;
}

/** Returns why an event does not fit behind the one before it; null if it does. `hash` is made anew from its text. */
export function breakOf(last: ChainLink, event: AuditEvent, hash: string): string | null {
  if (event.no !== last.no + 1n)
    return event.no > last.no + 1n
      ? `event ${last.no + 1n} is missing: event ${event.no} follows event ${last.no}`
      : `event ${event.no} stands behind event ${last.no}`;
  if (event.previousHash !== last.hash)
    return `event ${event.no} does not continue event ${last.no}: one of them was changed, or put in the place of another`;
  return event.hash === hash ? null : `event ${event.no} was changed: its hash is not that of its content`;
}
