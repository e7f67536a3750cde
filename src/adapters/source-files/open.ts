import { openFolders } from './local-folder.ts';
import type { SftpSettings } from './sftp.ts';
import type { SourceFiles } from './source-files.ts';

/** What a place is reached by. */
export type SourceLocation = { readonly folder: string } | { readonly sftp: SftpSettings };

/** Opens a place. Nothing is asked of it before it is used. */
export async function openSourceFiles(at: SourceLocation): Promise<SourceFiles> {
  if ('folder' in at) return openFolders();
  // Only who reads from a server pays for loading its client.
  const { openSftp } = await import('./sftp.ts');
  return openSftp(at.sftp);
}
