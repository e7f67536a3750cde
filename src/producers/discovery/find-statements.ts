import { basename, posix, relative } from 'node:path';
import { type Database, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import type { SourceLocation } from '../../adapters/source-files/open.ts';
import type { FileState, SourceFiles } from '../../adapters/source-files/source-files.ts';
import { Denied } from '../../domain/errors.ts';
import { type Enqueue, readStatements } from '../../jobs.ts';
import { unreadFiles } from '../../store/bank/matching.ts';
import { type ListedStatements, recordFiles } from './find-statements.sql.ts';

/** Where statements come from. */
export type StatementSource = {
  /** Of the configuration; `files` is what the command line names. */
  readonly name: string;
  readonly at: SourceLocation;
  /** Of a server: the directory that is listed. */
  readonly directory: string | null;
  readonly pollSeconds: number;
};

export type FoundStatements = {
  readonly fileNos: readonly number[];
  /** What was not looked into, and why. */
  readonly unseen: readonly { readonly file: string; readonly why: string }[];
  /** Files that are not settled yet. */
  readonly growing: readonly string[];
};

/** Lists a source of statements, records what is new, and asks for it to be read. Run twice, a file is recorded once. */
export async function findStatements(
  { database, enqueue }: { readonly database: Database; readonly enqueue: Enqueue },
  source: StatementSource,
  place: SourceFiles,
  isSettled: (file: ListedStatements) => boolean = () => true,
): Promise<FoundStatements> {
  const { files, unseen } = await listStatements(source, place);
  const settled = files.filter(isSettled);
  const fileNos = await onOneConnection(database, (db) =>
    inTransaction(db, () => recordFiles(db, source.name, settled)),
  );
  const known = new Set(fileNos);
  for (const unread of await unreadFiles(database.db))
    if (known.has(unread.fileNo)) await enqueue(readStatements, unread);
  return { fileNos, unseen, growing: files.filter((file) => !settled.includes(file)).map(({ file }) => file) };
}

/** All files below the folder, in the order of their paths; hidden ones are none of the bank's. */
async function listStatements({ at, directory }: StatementSource, place: SourceFiles) {
  const root = 'folder' in at ? at.folder : (directory ?? '/');
  const unseen: { file: string; why: string }[] = [];
  const named = 'folder' in at ? await place.stat(root) : null;
  if (named) return { files: [{ path: root, file: basename(root), ...stateOf(named) }], unseen };
  const files: ListedStatements[] = [];
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await place.entries(folder).catch((error: unknown) => {
      if (!(error instanceof Denied)) throw error;
      unseen.push({ file: shownAs(folder!, root), why: error.message });
      return [];
    });
    if (entries === null) throw new Denied(`the directory ${folder} does not exist: check the path of the statements`);
    for (const entry of entries) {
      const path = posix.join(folder, entry.name);
      const file = shownAs(path, root);
      if (entry.name.startsWith('.')) continue;
      if (entry.other !== undefined)
        unseen.push({ file, why: 'This is a link or a special file, which is not followed: provide the file itself.' });
      else if (entry.isDirectory) folders.push(path);
      else files.push({ path, file, ...stateOf(entry) });
    }
  }
  return { files: files.sort((a, b) => (a.path < b.path ? -1 : 1)), unseen };
}

const shownAs = (path: string, root: string): string => relative(root, path) || root;
const stateOf = ({ sizeBytes, modifiedAtMicros }: FileState): FileState => ({ sizeBytes, modifiedAtMicros });
