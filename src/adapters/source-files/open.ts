import { openFolders } from './local-folder.ts';
import type { SftpSettings } from './sftp.ts';
import type { Place } from './source-files.ts';

/** What a place is reached by. */
export type At = { readonly folder: string } | { readonly sftp: SftpSettings };

/** Opens a place. Nothing is asked of it before it is used. */
export async function openPlace(at: At): Promise<Place> {
  if ('folder' in at) return openFolders();
  // Only who reads from a server pays for loading its client.
  const { openSftp } = await import('./sftp.ts');
  return openSftp(at.sftp);
}
