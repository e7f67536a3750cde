import { basename } from 'node:path';
import { sql } from 'kysely';
import { columns, type RowOf } from '../../adapters/postgres/columns.ts';
import type { Db } from '../../adapters/postgres/connection.ts';
import { mayBeReport } from '../../domain/report/report-name.ts';
import type { ListedFile } from './list-files.ts';
import { layoutOf, type Source } from './source.ts';

const DAY_MS = 86_400_000;

/** A provider disables an account that nobody logs in to for so many days. */
export const UNUSED_DAYS = 90;
/** After so many days it is warned of, and after so many it is a problem. */
export const WARNED_DAYS = 60;
export const PRESSING_DAYS = 85;

/** So long before a file may be deleted it is told that it is not fetched. */
const LATE_MS = 2 * DAY_MS;

/** A report that the provider may soon delete, or has reason to have deleted already, and that is not fetched. */
export type LateFile = {
  readonly file: ListedFile;
  /** From when on it may be gone. */
  readonly goesAtMs: number;
};

/** Of these files of a source, those that are late, the oldest first. A folder of our own deletes nothing. */
export async function lateFiles(
  db: Db,
  source: Source,
  files: readonly ListedFile[],
  nowMs: number,
): Promise<LateFile[]> {
  if ('folder' in source.at) return [];
  const { formats } = layoutOf(source);
  const isReport = ({ path }: ListedFile) => mayBeReport(basename(path), formats);
  const old = files
    .map((file) => ({ file, goesAtMs: Number(file.modifiedAtMicros / 1_000n) + source.keepDays * DAY_MS }))
    .filter(({ file, goesAtMs }) => goesAtMs - nowMs < LATE_MS && isReport(file));
  if (old.length === 0) return [];
  const fetched = await fetchedFiles(
    db,
    source.name,
    old.map(({ file }) => file),
  );
  return old
    .filter(({ file }) => !fetched.has(`${file.sizeBytes} ${file.path}`))
    .sort((a, b) => a.goesAtMs - b.goesAtMs);
}

const FILE = columns('delivery as d', ['path', 'size_bytes']);

/** A report is fetched when its bytes are in the archive, or were looked at and are not wanted. */
async function fetchedFiles(db: Db, source: string, files: readonly ListedFile[]): Promise<ReadonlySet<string>> {
  const found = await sql<RowOf<typeof FILE>>`
    select ${FILE} from delivery d
     where d.source = ${source} and d.path = any(${files.map(({ path }) => path)}::text[])
     group by d.path, d.size_bytes having bool_and(
       d.state not in ('found', 'reading') or exists (select from load l where l.delivery_no = d.no and l.chunks is not null))`.execute(
    db,
  );
  return new Set(found.rows.map(({ path, sizeBytes }) => `${sizeBytes} ${path}`));
}

/** The source's server has let us in. An older time takes no newer one's place. */
export const recordUse = (db: Db, source: string, nowMs: number) =>
  db
    .insertInto('source_use')
    .values({ source, used_at: new Date(nowMs) })
    .onConflict((known) =>
      known.column('source').doUpdateSet({ used_at: sql`greatest(source_use.used_at, excluded.used_at)` }),
    )
    .execute();

/** For how many days nobody was let in there; null where it is not known that anybody ever was. */
export async function unusedDays(db: Db, source: string, nowMs: number): Promise<number | null> {
  // A book of before knows only when something was found.
  const found = await sql<{ at: Date | null }>`
    select coalesce((select used_at from source_use where source = ${source}),
                    (select max(found_at) from delivery where source = ${source} and replay_of is null)) as at`.execute(
    db,
  );
  const { at } = found.rows[0]!;
  return at === null ? null : Math.floor((nowMs - at.getTime()) / DAY_MS);
}
