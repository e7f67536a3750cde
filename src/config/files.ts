import { readFileSync, statSync } from 'node:fs';
import { UsageError } from '../domain/errors.ts';

/** What settings, keys and passwords need is far below this; a report that was named by mistake is far above. */
const MAX_BYTES = 1 << 20;

const WRONG: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'may not be read by this user',
  EISDIR: 'is a folder, not a file',
};

/**
 * Reads a small file of UTF-8.
 * @throws UsageError that begins with `name`, and never shows what stands in the file.
 */
export function readTextFile(path: string, name: string): string {
  try {
    if (statSync(path).size > MAX_BYTES)
      throw new UsageError(`${name} is larger than 1 MiB: check that it is the right file.`);
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { code = '' } = error as NodeJS.ErrnoException;
    throw new UsageError(
      `${name} ${WRONG[code] ?? (error instanceof TypeError ? 'is not UTF-8 text: save it in this encoding' : `cannot be read (${code})`)}.`,
    );
  }
}
