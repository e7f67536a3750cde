import { existsSync } from 'node:fs';
import { open, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Checked, ok, problem, warning } from './check.ts';

const GIB = 1 << 30;
/** A batch of a million rows takes about half of it, with its archive. */
const LITTLE_BYTES = GIB;
const SCARCE_BYTES = 5 * GIB;

export function checkNode(): readonly Checked[] {
  return [ok('node', `Node ${process.versions.node} (${process.execPath})`)];
}

/** Free space, and whether reports can be archived there. A folder that is not there yet is made by whoever needs it first. */
export async function checkFolders(dataDir: string, archiveDir: string): Promise<readonly Checked[]> {
  return [
    spaceOf('data folder', dataDir, await freeBytes(dataDir)),
    await checkWritable(archiveDir),
    ...(archiveDir.startsWith(dataDir) ? [] : [spaceOf('archive disk', archiveDir, await freeBytes(archiveDir))]),
  ];
}

function spaceOf(name: string, folder: string, free: number): Checked {
  const message = `${folder}: ${(free / GIB).toFixed(1)} GiB free`;
  const mend = 'Free some space: every report is archived here, and kept.';
  if (free < LITTLE_BYTES) return problem(name, message, mend);
  return free < SCARCE_BYTES ? warning(name, message, mend) : ok(name, message);
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(existing(folder));
  return bavail * bsize;
}

/** The folder itself, or the nearest one above it that is there. */
const existing = (folder: string): string => (existsSync(folder) ? folder : existing(dirname(folder)));

async function checkWritable(archiveDir: string): Promise<Checked> {
  const probe = join(existing(archiveDir), `.settlestream-doctor-${process.pid}`);
  try {
    const file = await open(probe, 'wx');
    await file.write('x').finally(() => file.close());
    await unlink(probe);
    return ok('archive', `${archiveDir} can be written`);
  } catch (error) {
    const why = (error as Error).message;
    return problem(
      'archive',
      `${archiveDir} cannot be written (${why})`,
      'Allow this user to write there, or set archive.folder.',
    );
  }
}
