import type { Db } from '../../adapters/postgres/connection.ts';
import { type LateFile, recordUse, UNUSED_DAYS, unusedDays, WARNED_DAYS } from './expiry.ts';
import type { Source } from './source.ts';

type Log = { warn(fields: object, message: string): void };

const HOUR_MS = 3_600_000;

/** Tells the log what the provider of a source may do soon: delete files, and disable an account that is not used. */
export function warnerOf(source: Source, db: Db, log: Log, now: () => number = Date.now) {
  const isServer = 'sftp' in source.at;
  let recordedAtMs = Number.NEGATIVE_INFINITY;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let told = new Set<string>();
  return {
    /** The server was listed. That it let us in is written down once an hour, and a file is told of once. */
    async listed(late: readonly LateFile[]): Promise<void> {
      if (!isServer) return;
      if (now() - recordedAtMs >= HOUR_MS) {
        await recordUse(db, source.name, now());
        recordedAtMs = now();
      }
      const keyOf = ({ file }: LateFile) => `${file.modifiedAtMicros} ${file.path}`;
      for (const one of late.filter((one) => !told.has(keyOf(one))))
        log.warn(
          { source: source.name, file: one.file.file, goesAt: new Date(one.goesAtMs).toISOString() },
          'this report is not fetched yet, and the provider may soon delete it',
        );
      told = new Set(late.map(keyOf));
    },
    /** Whether or not it could be listed. Once a day it is told that nobody was let in for long. */
    async account(): Promise<void> {
      if (!isServer || now() - lookedAtMs < 24 * HOUR_MS) return;
      const days = await unusedDays(db, source.name, now());
      lookedAtMs = now();
      if (days === null || days < WARNED_DAYS) return;
      log.warn(
        { source: source.name, days, disabledAfterDays: UNUSED_DAYS },
        'no successful login to this server for a long time: the provider disables unused accounts',
      );
    },
  };
}
