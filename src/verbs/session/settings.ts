import { createHash } from 'node:crypto';
import { type Db, withoutPassword } from '../../adapters/postgres/connection.ts';
import type { Config } from '../../config/config.ts';
import { lastSettings, recordAudit } from '../../store/audit.ts';
import { actorOf } from './actor.ts';

/** Writes to the audit trail with which settings a service starts: a hash of them, without secrets. */
export async function recordSettings(db: Db, config: Config, role: string): Promise<void> {
  const subject = `settings of ${role}`;
  const before = await lastSettings(db, subject);
  const { name } = actorOf({});
  await recordAudit(db, { name, via: role }, [
    { what: 'settings', subject, before, after: { sha256: hashOfSettings(config) } },
  ]);
}

/** Settings name where secrets are, and hold none; but addresses of servers do. */
function hashOfSettings({ databaseUrl, redisUrl, ...settings }: Config): string {
  const shown = {
    ...settings,
    databaseUrl: databaseUrl === undefined ? null : withoutPassword(databaseUrl),
    redisUrl: redisUrl === undefined ? null : withoutPassword(redisUrl),
  };
  return createHash('sha256').update(JSON.stringify(shown, sorted)).digest('hex');
}

/** In one order, whatever the order in which they were written. */
function sorted(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
