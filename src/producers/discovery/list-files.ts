import { basename, posix, relative } from 'node:path';
import type { Entry, FileState, SourceFiles } from '../../adapters/source-files/source-files.ts';
import { parseCompactDate } from '../../domain/calendar/time.ts';
import { Denied } from '../../domain/errors.ts';
import type { ReportKind } from '../../domain/formats/format.ts';
import { readDirectory } from '../../domain/report/report-name.ts';
import { layoutOf, type Source } from './source.ts';

/** A file as a listing of its source shows it. */
export type ListedFile = FileState & {
  readonly path: string;
  /** As it is shown: below the folder that was given, or the name of the file that was; on a server its path. */
  readonly file: string;
  /** It was named itself, not found below a folder. */
  readonly isNamed: boolean;
  /** What its directory says. */
  readonly merchantId: string | null;
  readonly date: string | null;
  /** The kinds of report that its directory may hold; null: any. */
  readonly kinds: readonly ReportKind[] | null;
};

export type Listing = {
  readonly files: readonly ListedFile[];
  /** Links and special files where reports are looked for: they are not looked into. */
  readonly others: readonly Other[];
  /** Why a directory could not be listed, each once: one that is closed must not hide the reports in the others. */
  readonly notListed: readonly Denied[];
};

/** Something that is neither a file nor a directory. */
export type Other = Pick<ListedFile, 'path' | 'file'> & { readonly what: NonNullable<Entry['other']> };

/**
 * All files of a source, in the order of their paths; each directory is listed once. On a server, and where the source says
 * where its reports lie, only those directories are looked into, and of days only those that it looks back on.
 * @throws Unreachable when the place cannot be reached.
 */
export async function listFiles(source: Source, place: SourceFiles, today: string): Promise<Listing> {
  const { directories } = layoutOf(source);
  const notListed: Denied[] = [];
  const others: Other[] = [];
  const root = 'folder' in source.at ? source.at.folder : '/';
  const list: List = async (directory, isNeeded) => {
    const entries = await entriesOf(place, directory, isNeeded).catch((error: unknown) => {
      if (!(error instanceof Denied)) throw error;
      notListed.push(error);
      return [];
    });
    for (const { name, other } of entries) {
      const path = posix.join(directory, name);
      if (other !== undefined) others.push({ path, file: shownAs(path, root), what: other });
    }
    return entries.filter(({ other }) => other === undefined);
  };
  const files =
    directories === null
      ? await belowFolder(root, place, list)
      : await inDirectories(source, listedOnce(list), directories, today);
  const byPath = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1);
  return { files: files.sort(byPath), others: others.sort(byPath), notListed };
}

/** Below the folder that was given; on a server its whole path. */
const shownAs = (path: string, root: string): string => (root === '/' ? path : relative(root, path));

type List = (directory: string, isNeeded: boolean) => Promise<Entry[]>;

/** Patterns may share parents: what was listed once in this round is not listed again. */
function listedOnce(list: List): List {
  const known = new Map<string, Promise<Entry[]>>();
  return (directory, isNeeded) => {
    const entries = known.get(directory) ?? list(directory, isNeeded);
    known.set(directory, entries);
    return entries;
  };
}

async function belowFolder(root: string, place: SourceFiles, list: List): Promise<ListedFile[]> {
  const named = await place.stat(root);
  const listed = (path: string, file: string, state: FileState, isNamed: boolean): ListedFile => ({
    path,
    file,
    isNamed,
    ...sizeAndTime(state),
    ...readDirectory(path),
    kinds: null,
  });
  if (named) return [listed(root, basename(root), named, true)];
  const files: ListedFile[] = [];
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await list(folder, folder === root)) {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory) folders.push(path);
      else files.push(listed(path, shownAs(path, root), entry, false));
    }
  }
  return files;
}

async function inDirectories(
  source: Source,
  list: List,
  directories: ReadonlyMap<string, readonly ReportKind[]>,
  today: string,
): Promise<ListedFile[]> {
  const files: ListedFile[] = [];
  const root = 'folder' in source.at ? source.at.folder : '/';
  for (const [pattern, kinds] of directories) {
    for (const directory of await matching(pattern, root, source, today, list)) {
      for (const entry of await list(directory.path, !directory.isFound)) {
        if (entry.isDirectory) continue;
        const path = posix.join(directory.path, entry.name);
        const { merchantId, date } = directory;
        files.push({ path, file: shownAs(path, root), isNamed: false, ...sizeAndTime(entry), merchantId, date, kinds });
      }
    }
  }
  return files;
}

type Directory = {
  readonly path: string;
  readonly merchantId: string | null;
  readonly date: string | null;
  /** A listing showed it, so that it may be gone by now. */
  readonly isFound: boolean;
};

/** The directories that a pattern of `{merchantId}` and `{date}` means now. */
async function matching(
  pattern: string,
  root: string,
  source: Source,
  today: string,
  list: List,
): Promise<Directory[]> {
  const { merchantId } = source;
  let found: Directory[] = [{ path: root, merchantId, date: null, isFound: false }];
  for (const segment of pattern.split('/').filter((segment) => segment !== '')) {
    const named = merchantId === null ? segment : segment.replaceAll('{merchantId}', merchantId);
    if (!named.includes('{')) {
      found = found.map((at) => ({ ...at, path: posix.join(at.path, named) }));
      continue;
    }
    const isWanted = segmentPattern(named);
    const next: Directory[] = [];
    for (const at of found) {
      for (const entry of await list(at.path, !at.isFound)) {
        const groups = entry.isDirectory ? isWanted.exec(entry.name)?.groups : undefined;
        if (!groups) continue;
        const date = groups['date'] === undefined ? at.date : parseCompactDate(groups['date']);
        if (groups['date'] !== undefined && !isInReach(date, today, source.lookbackDays)) continue;
        next.push({
          path: posix.join(at.path, entry.name),
          merchantId: groups['merchantId'] ?? at.merchantId,
          date,
          isFound: true,
        });
      }
    }
    found = next;
  }
  return found;
}

const segmentPattern = (segment: string): RegExp =>
  new RegExp(
    `^${segment
      .split(/(\{(?:merchantId|date)\})/)
      .map((part) =>
        part === '{date}'
          ? '(?<date>\\d{8})'
          : part === '{merchantId}'
            ? '(?<merchantId>[^/]+)'
            : part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'),
      )
      .join('')}$`,
  );

/** Days to come are in reach too: the provider's day may be ahead of ours. */
const isInReach = (date: string | null, today: string, lookbackDays: number): boolean =>
  date !== null && Date.parse(date) >= Date.parse(today) - lookbackDays * 86_400_000;

async function entriesOf(place: SourceFiles, directory: string, isNeeded: boolean): Promise<Entry[]> {
  const entries = await place.entries(directory);
  if (entries !== null) return entries;
  if (!isNeeded) return [];
  throw new Denied(
    `the directory ${directory} does not exist: check merchantId and directories of the source, or wait for the first delivery`,
  );
}

const sizeAndTime = ({ sizeBytes, modifiedAtMicros }: FileState): FileState => ({ sizeBytes, modifiedAtMicros });
