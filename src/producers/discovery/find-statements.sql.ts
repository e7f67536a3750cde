import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { FileState } from '../../adapters/source-files/source-files.ts';

/** A file that may hold statements: what it holds decides its content. */
export type ListedStatements = FileState & {
  readonly path: string;
  /** The file in it, where it is a zip; null: it is read as it is. */
  readonly entry: string | null;
  readonly file: string;
};

/** What was found in these zips when they were opened; a zip that nobody has opened is left out. */
export async function entriesKnown(
  db: Db,
  source: string,
  zips: readonly ListedStatements[],
): Promise<Map<string, (string | null)[]>> {
  const found = await sql<{ path: string; entry: string | null }>`
    select f.path, f.entry from ${listedAs(zips)} join bank_file f on f.source = ${source} and f.path = l.path
       and f.size_bytes = l.size_bytes and f.modified_at = l.modified_at order by f.no`.execute(db);
  const known = new Map<string, (string | null)[]>();
  for (const { path, entry } of found.rows) known.set(path, [...(known.get(path) ?? []), entry]);
  return known;
}

const listedAs = (files: readonly ListedStatements[]) => sql`(
    select path, entry, file, size_bytes, timestamptz 'epoch' + modified_at_micros * interval '1 microsecond' as modified_at, place
      from unnest(${files.map(({ path }) => path)}::text[], ${files.map(({ entry }) => entry)}::text[], ${files.map(({ file }) => file)}::text[],
             ${files.map(({ sizeBytes }) => sizeBytes)}::bigint[], ${files.map(({ modifiedAtMicros }) => modifiedAtMicros)}::bigint[])
           with ordinality as u(path, entry, file, size_bytes, modified_at_micros, place)) l`;

/**
 * Records files of statements, each once, in the order of the list. Returns their numbers, known ones included. What is known is not
 * written again: each poll lists all of it.
 */
export async function recordFiles(db: Db, source: string, files: readonly ListedStatements[]): Promise<number[]> {
  // One listing at a time, so that no number is used up for a file that somebody else records.
  await sql`select pg_advisory_xact_lock(7355615, hashtext(${source}))`.execute(db);
  const listed = listedAs(files);
  const isIt = sql`f.source = ${source} and f.path = l.path and f.entry is not distinct from l.entry and f.size_bytes = l.size_bytes and f.modified_at = l.modified_at`;
  // A file is shown by its path below the folder that was given last.
  await sql`update bank_file f set file = l.file from ${listed} where ${isIt} and f.file <> l.file`.execute(db);
  await sql`insert into bank_file (source, path, entry, file, size_bytes, modified_at)
    select ${source}, l.path, l.entry, l.file, l.size_bytes, l.modified_at from ${listed} where not exists (select from bank_file f where ${isIt})
     order by l.place`.execute(db);
  const found = await sql<{
    no: number;
  }>`select f.no from ${listed} join bank_file f on ${isIt} order by l.place`.execute(db);
  return found.rows.map(({ no }) => no);
}
