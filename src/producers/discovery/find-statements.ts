import { basename, posix, relative } from 'node:path';
import { lookIntoZip } from '../../adapters/file-formats/packed.ts';
import { NotAZip } from '../../adapters/file-formats/zip.ts';
import { type Database, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import type { SourceLocation } from '../../adapters/source-files/open.ts';
import type { FileState, SourceFiles } from '../../adapters/source-files/source-files.ts';
import { Denied, ReportRefused } from '../../domain/errors.ts';
import { isZipName } from '../../domain/report/report-name.ts';
import { type Enqueue, readStatements } from '../../jobs.ts';
import { unreadFiles } from '../../store/bank/matching.ts';
import { entriesKnown, type ListedStatements, recordFiles } from './find-statements.sql.ts';

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
  const zips = settled.filter(({ path }) => isZipName(path));
  const known = await entriesKnown(database.db, source.name, zips);
  const found: ListedStatements[] = [];
  for (const file of settled)
    found.push(...(isZipName(file.path) ? await filesIn(file, place, known.get(file.path), unseen) : [file]));
  const fileNos = await onOneConnection(database, (db) => inTransaction(db, () => recordFiles(db, source.name, found)));
  const listed = new Set(fileNos);
  for (const unread of await unreadFiles(database.db))
    if (listed.has(unread.fileNo)) await enqueue(readStatements, unread);
  return { fileNos, unseen, growing: files.filter((file) => !settled.includes(file)).map(({ file }) => file) };
}

/**
 * The files in a zip, each to be read by itself. One that was opened before is not opened again. A zip that cannot be opened, or holds nothing, is
 * read as it is: then it is refused, with the reason.
 */
async function filesIn(
  zip: ListedStatements,
  place: SourceFiles,
  known: readonly (string | null)[] | undefined,
  unseen: { file: string; why: string }[],
): Promise<ListedStatements[]> {
  const entryOf = (entry: string | null) => ({
    ...zip,
    entry,
    file: entry === null ? zip.file : `${zip.file}/${entry}`,
  });
  if (known) return known.map(entryOf);
  const { path, sizeBytes } = zip;
  try {
    const { files, unopened } = await lookIntoZip({ sizeBytes, blocks: (from, to) => place.blocks(path, from, to) });
    for (const { name, why } of unopened) unseen.push({ file: `${zip.file}/${name}`, why });
    const shown = files.filter((name) => !/(?:^|\/)(?:\.|__MACOSX\/)/.test(name));
    // What cannot be opened is refused when it is read, so that no later listing forgets it.
    const closed = unopened.map(({ name }) => (files.includes(name) ? `${name} (again)` : name));
    const all = [...new Set([...shown, ...closed])].sort();
    return all.length === 0 ? [zip] : all.map(entryOf);
  } catch (error) {
    // Whatever is wrong with one file keeps no other from being read.
    const isDenied = DENIED.includes((error as NodeJS.ErrnoException).code ?? '');
    if (!(isDenied || error instanceof NotAZip || error instanceof ReportRefused || error instanceof Denied))
      throw error;
    return [zip];
  }
}

const DENIED = ['EACCES', 'EPERM'];

/** All files below the folder, in the order of their paths; hidden ones are none of the bank's. */
async function listStatements({ at, directory }: StatementSource, place: SourceFiles) {
  const root = 'folder' in at ? at.folder : (directory ?? '/');
  const unseen: { file: string; why: string }[] = [];
  const named = 'folder' in at ? await place.stat(root) : null;
  if (named) return { files: [{ path: root, entry: null, file: basename(root), ...stateOf(named) }], unseen };
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
      else files.push({ path, entry: null, file, ...stateOf(entry) });
    }
  }
  return { files: files.sort((a, b) => (a.path < b.path ? -1 : 1)), unseen };
}

const shownAs = (path: string, root: string): string => relative(root, path) || root;
const stateOf = ({ sizeBytes, modifiedAtMicros }: FileState): FileState => ({ sizeBytes, modifiedAtMicros });
