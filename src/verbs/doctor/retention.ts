import { sep } from 'node:path';
import type { Db } from '../../adapters/postgres/connection.ts';
import { missingMigrations } from '../../adapters/postgres/migrations.ts';
import type { Config } from '../../config/config.ts';
import { filesElsewhere, oldAndOpen } from '../../producers/retention/retain.sql.ts';
import { type Checked, ok, warning } from './check.ts';

/** How long what is kept, and what is kept longer because something of it is open. */
export async function checkRetention(
  db: Db,
  { rowsMonths, rawTextMonths, archiveMonths }: Config['retention'],
  archiveDir: string,
): Promise<readonly Checked[]> {
  // What is missing is told by itself.
  if ((await missingMigrations(db)).length > 0) return [];
  const nowMs = Date.now();
  const held = rowsMonths === null ? 0 : await oldAndOpen(db, { months: rowsMonths, nowMs });
  const elsewhere =
    archiveMonths === null ? 0 : await filesElsewhere(db, { months: archiveMonths, nowMs }, archiveDir + sep);
  const kept = [
    ['rows', rowsMonths],
    ['texts of refused rows', rawTextMonths],
    ['archived files', archiveMonths],
  ].map(([what, months]) => `${what} ${months === null ? 'forever' : `${months} months`}`);
  const longer = held === 0 ? '' : `; ${held} older batches keep their rows, because something of them is open or new`;
  return [
    ok('retention', `kept are ${kept.join(', ')}${longer}`),
    ...(elsewhere === 0
      ? []
      : [
          warning(
            'retention: archive',
            `${elsewhere} old files of an archive that was elsewhere before are left alone: they are not in ${archiveDir}`,
            'Remove them yourself, or move them and say in archive.folder where they are.',
          ),
        ]),
  ];
}
