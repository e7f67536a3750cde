import { basename, dirname } from 'node:path';
import type { SourceFiles } from '../../adapters/source-files/source-files.ts';
import { ReportRefused, ReportVanished, Unreachable } from '../../domain/errors.ts';
import type * as query from './ingest-report.sql.ts';

/** A file as it was found. */
export type FoundFile = Pick<query.Delivery, 'path' | 'file' | 'sizeBytes' | 'modifiedAtMicros'>;

/**
 * Handles a file that is no longer the one that was found: it is another delivery, which the next poll finds.
 * @throws Unreachable if its source is unavailable, or still lists it.
 */
export async function checkUnchanged(place: SourceFiles, delivery: FoundFile): Promise<void> {
  const now = await place.stat(delivery.path).catch((error: unknown) => {
    throw refusalOf(error, delivery);
  });
  if (!now) throw await whyNotThere(place, delivery);
  if (now.sizeBytes !== Number(delivery.sizeBytes) || now.modifiedAtMicros !== delivery.modifiedAtMicros) {
    throw new ReportVanished('unreadable', `${delivery.path} changed while it was read`);
  }
}

/** A missing folder hides its files, so it says nothing about them. */
async function whyNotThere(place: SourceFiles, { path, file }: FoundFile): Promise<Error> {
  const listed = await place.entries(dirname(path));
  if (listed?.some(({ name, isDirectory }) => !isDirectory && name === basename(path)))
    return new Unreachable(`${path} is listed but cannot be opened: check the server.`);
  const root = path.endsWith(`/${file}`) ? path.slice(0, -file.length - 1) : '/';
  if (listed === null && root !== '' && (await place.entries(root)) === null)
    return new Unreachable(`the folder ${root} does not exist: mount or restore it.`);
  return new ReportVanished('unreadable', `${path} no longer exists`);
}

/** Refuses a file that this user may not read, because a retry cannot help. A silent server or disk says nothing about the file. */
export function refusalOf(error: unknown, { path }: Pick<FoundFile, 'path'>): unknown {
  const { code, path: logContext, message } = error as NodeJS.ErrnoException;
  const isDenied = (code === 'EACCES' || code === 'EPERM') && logContext === path;
  return isDenied ? new ReportRefused('unreadable', `${path} (${message})`) : error;
}
