import { lstat, open, readdir } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';

/** A file as a listing shows it. */
export type ListedFile = {
  readonly path: string;
  /** As it is shown: below the folder that was given, or the name of the file that was. */
  readonly file: string;
  readonly sizeBytes: number;
  /** In microseconds since 1970. */
  readonly modifiedAtMicros: bigint;
  /** It was named itself, not found below a folder. */
  readonly isNamed: boolean;
};

/** All files below a folder, or the one file that was named, in the order of their paths. Symbolic links are not followed. */
export async function listFiles(root: string): Promise<ListedFile[]> {
  const stat = await lstat(root, { bigint: true });
  if (!stat.isDirectory()) return stat.isFile() ? [listed(root, basename(root), stat, true)] : [];
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files: ListedFile[] = [];
  for (const path of paths.sort()) {
    // A file can go between the listing and the look at it: it is then not there.
    const found = await lstat(path, { bigint: true }).catch(() => null);
    if (found?.isFile()) files.push(listed(path, relative(root, path), found, false));
  }
  return files;
}

const listed = (path: string, file: string, stat: { size: bigint; mtimeNs: bigint }, isNamed: boolean): ListedFile => ({
  path,
  file,
  sizeBytes: Number(stat.size),
  modifiedAtMicros: stat.mtimeNs / 1000n,
  isNamed,
});

/** What a report that is still uploaded does not have at its end. */
const TAIL_BYTES = 65_536;

/** Whether the last bytes of a file hold this text: a file without it is not complete, or does not end where it should. */
export async function tailHolds(path: string, sizeBytes: number, text: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const length = Math.min(TAIL_BYTES, sizeBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, sizeBytes - length);
    return buffer.subarray(0, bytesRead).includes(text);
  } finally {
    await file.close();
  }
}
