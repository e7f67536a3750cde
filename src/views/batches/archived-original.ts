import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';

/** The bytes of a report as they were delivered. */
export type Original = {
  readonly path: string;
  readonly sha256: string;
  /** When the copy was dropped because it is old; null while it is kept. */
  readonly droppedAt: Date | null;
};

/** Returns where the newest content of a report is in the archive; null where it was never read to its end. */
export async function originalOf(db: Db, reportNo: number): Promise<Original | null> {
  const found = await sql<Original>`
    select kept.path, kept.sha256, (select f.dropped_at from dropped f where f.path = kept.path) as "droppedAt"
      from (select coalesce(l.original_path, l.archive_path) as path, l.sha256
              from load l join delivery d on d.no = l.delivery_no
             where l.report_no = ${reportNo} and l.sha256 is not null and d.state not in ('dry', 'over')
             order by l.no desc limit 1) kept`.execute(db);
  return found.rows[0] ?? null;
}

/**
 * Reads an archived copy.
 * @throws Error at its end where it is not what was archived.
 */
export async function* bytesOfOriginal({ path, sha256 }: Original): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const block of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(block);
    yield block;
  }
  if (hash.digest('hex') !== sha256)
    throw new Error(`the archived copy ${path} is not what was archived: restore it from a backup`);
}
