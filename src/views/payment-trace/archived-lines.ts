import { readArchived } from '../../adapters/archive.ts';
import { cellsOf } from '../../adapters/file-formats/csv.ts';
import { decode } from '../../adapters/file-formats/encoding.ts';
import { dayOf } from '../batches/dropped.ts';
import type { StoryRow } from './trace.sql.ts';

/** A row as it stands in the archive. */
export type Archived = {
  /** Its line, without the line end; null where it cannot be read any more. */
  readonly text: string | null;
  readonly cells: readonly string[];
  /** Why it cannot be read. */
  readonly error: string | null;
};

/** The lines of these rows. Each part of a file is read once, and what it says counts only if it is what was archived. */
export async function archivedLines(rows: readonly StoryRow[]): Promise<Map<StoryRow, Archived>> {
  const lines = new Map<StoryRow, Archived>();
  const kept = rows.filter(({ fileDroppedAt }) => fileDroppedAt === null);
  for (const row of rows) if (row.fileDroppedAt !== null) lines.set(row, droppedLine(row.fileDroppedAt));
  for (const ofChunk of Map.groupBy(kept, ({ loadNo, chunkNo }) => `${loadNo} ${chunkNo}`).values()) {
    const found = await linesOfChunk(ofChunk).catch((error: NodeJS.ErrnoException) => whyNot(ofChunk, error));
    for (const [row, line] of found) lines.set(row, line);
  }
  return lines;
}

async function linesOfChunk(rows: readonly StoryRow[]): Promise<(readonly [StoryRow, Archived])[]> {
  const { archivePath, chunkOffset, chunkLength, crc32 } = rows[0]!;
  const cuts = rows.map((row) => ({
    row,
    from: Number(row.offset - chunkOffset),
    bytes: Buffer.alloc(row.lengthBytes),
  }));
  let at = 0;
  for await (const block of readArchived(archivePath, Number(chunkOffset), Number(chunkLength), Number(crc32))) {
    for (const { from, bytes } of cuts) {
      const start = Math.max(from, at);
      const end = Math.min(from + bytes.length, at + block.length);
      if (start < end) block.copy(bytes, start - from, start - at, end - at);
    }
    at += block.length;
  }
  return cuts.map(({ row, bytes }) => {
    const text = decode(bytes, 0, bytes.length, row.encoding);
    return [row, { text, cells: cellsOf(bytes, row.encoding) ?? [], error: null }] as const;
  });
}

const droppedLine = (at: Date): Archived => ({
  text: null,
  cells: [],
  error: `retention dropped its archived copy on ${dayOf(at)}`,
});

const whyNot = (rows: readonly StoryRow[], error: NodeJS.ErrnoException): [StoryRow, Archived][] => {
  const why =
    error.code === 'ENOENT'
      ? `the archived copy ${rows[0]!.archivePath} is missing: run this where the archive is, or restore it from a backup`
      : error.message;
  return rows.map((row) => [row, { text: null, cells: [], error: why }]);
};
