import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import type { FileState } from '../../adapters/source-files/source-files.ts';

/** A file that may hold statements: what it holds decides its content. */
export type ListedStatements = FileState & { readonly path: string; readonly file: string };

/** Records files of statements, each once, in the order of the list. Returns their numbers, known ones included. */
export async function recordFiles(db: Db, source: string, files: readonly ListedStatements[]): Promise<number[]> {
  const listed = sql`unnest(${files.map(({ path }) => path)}::text[], ${files.map(({ file }) => file)}::text[],
    ${files.map(({ sizeBytes }) => sizeBytes)}::bigint[], ${files.map(({ modifiedAtMicros }) => modifiedAtMicros)}::bigint[])
    with ordinality as l(path, file, size_bytes, modified_at_micros, place)`;
  // A file is shown by its path below the folder that was given last.
  const recorded = await sql<{ no: number }>`
    insert into bank_file as f (source, path, file, size_bytes, modified_at)
    select ${source}, path, file, size_bytes, timestamptz 'epoch' + modified_at_micros * interval '1 microsecond' from ${listed} order by place
    on conflict (source, path, size_bytes, modified_at) do update set file = excluded.file
    returning f.no`.execute(db);
  return recorded.rows.map(({ no }) => no);
}
