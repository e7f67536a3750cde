/** What steps of the path need, for tests that call them one by one. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ARCHIVE_MARK } from '../../src/adapters/archive.ts';
import type { Database } from '../../src/adapters/postgres/connection.ts';
import { openSourceFiles } from '../../src/adapters/source-files/open.ts';
import { formatNamed } from '../../src/domain/formats/all.ts';
import type { Enqueue } from '../../src/jobs.ts';
import { findReports } from '../../src/producers/discovery/find-reports.ts';
import type { ListedFile } from '../../src/producers/discovery/list-files.ts';
import type { Source } from '../../src/producers/discovery/source.ts';
import type { JobContext } from '../../src/workers/context.ts';

/** A folder as a source. */
export const filesAt = (folder: string): Source => ({
  name: 'files',
  at: { folder },
  merchantId: null,
  customerIds: null,
  format: formatNamed('apo'),
  amountUnit: 'major',
  toleranceMinor: 2n,
  timeZone: 'Asia/Shanghai',
  directories: {},
  names: {},
  lookbackDays: 120,
  pollSeconds: 30,
  keepDays: 7,
  calendar: { timeZone: 'Asia/Shanghai', weekend: [], holidays: [], quietMinutes: 0 },
});

type Listing = Partial<Source> & { readonly isSettled?: (file: ListedFile) => boolean; readonly now?: () => number };

/** Lists a folder as one call of the program would. */
export async function listFolder(
  database: Database,
  enqueue: Enqueue,
  folder: string,
  { isSettled = () => true, now = Date.now, ...settings }: Listing = {},
) {
  const source = { ...filesAt(folder), ...settings };
  return findReports({ database, enqueue, now }, source, await openSourceFiles(source.at), isSettled);
}

export function contextOf(database: Database, enqueue: Enqueue, archiveDir: string): JobContext {
  // As when the archive is opened.
  writeFileSync(join(archiveDir, ARCHIVE_MARK), '');
  return {
    database,
    enqueue,
    archiveDir,
    chunkBytes: 65_536,
    recordMetric: () => {},
    logContext: () => {},
    logEvent: () => {},
    calendars: null,
    now: Date.now,
    sourceFilesOf: () => openSourceFiles({ folder: '' }),
  };
}
