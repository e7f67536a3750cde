import { basename } from 'node:path';
import { lookIntoZip, type ZipContents } from '../../adapters/file-formats/packed.ts';
import type { SourceFiles } from '../../adapters/source-files/source-files.ts';
import { Denied, REPORT_REFUSALS, type ReportRefusalCode, Unreachable } from '../../domain/errors.ts';
import type { Format, ReportKind } from '../../domain/formats/format.ts';
import { isZipName, kindInName, type ReportName, readReportName } from '../../domain/report/report-name.ts';
import type { ListedFile, Other } from './list-files.ts';

/** A report that a file is, or that lies in it. */
export type Named = ReportName & {
  /** Inside a zip: the file that is the report, by its path in there. */
  readonly entry: string | null;
  /** As it is shown: the file, and where a zip holds several reports, which of them. */
  readonly shown: string;
};

/** What lies there and is no report that can be read. */
export type NotReport = {
  /** As it is shown: the file, or the file in its zip. */
  readonly file: string;
  /** Shown as refused, not as skipped: it was named itself, or is a report of which one thing is not known. */
  readonly isRefused: boolean;
  readonly code: ReportRefusalCode;
  /** Also says what to do. */
  readonly why: string;
  /** The report that its name speaks of all the same; null: none. */
  readonly kind: ReportKind | null;
  /** A report may lie there that nobody has seen. */
  readonly isUnseen: boolean;
};

type InFile = { readonly reports: readonly Named[]; readonly notReports: readonly NotReport[] };

/**
 * The reports in a file, by names: the file itself, or those that a zip holds. A zip that cannot be opened keeps its own name, and
 * its ingest says what is wrong.
 * @throws Unreachable when the server does not tell what is in it: that says nothing of the zip.
 */
export async function namedIn(place: SourceFiles, file: ListedFile, formats: readonly Format[]): Promise<InFile> {
  const outer = readReportName(basename(file.path), formats);
  if (isZipName(file.path)) return inZip(place, file, formats, outer);
  if (outer === null) return { reports: [], notReports: [byName(file, file.file, formats)] };
  return ofItsKind(file, [{ ...outer, entry: null, shown: file.file }], []);
}

async function inZip(
  place: SourceFiles,
  file: ListedFile,
  formats: readonly Format[],
  outer: ReportName | null,
): Promise<InFile> {
  const { path, sizeBytes } = file;
  let contents: ZipContents;
  try {
    contents = await lookIntoZip({ sizeBytes, blocks: (from, to) => place.blocks(path, from, to) });
  } catch (error) {
    if (isAway(error)) throw error;
    if (outer) return ofItsKind(file, [{ ...outer, entry: null, shown: file.file }], []);
    const why = `The zip cannot be opened (${(error as Error).message}), so its content is unknown: fetch it again.`;
    // Nobody knows what is in it.
    return {
      reports: [],
      notReports: [{ ...byName(file, file.file, formats), code: 'unreadable', why, isUnseen: true }],
    };
  }
  const named = contents.files.flatMap((entry) => {
    const name = readReportName(basename(entry), formats);
    return name ? [{ ...name, entry }] : [];
  });
  const reports = named.map((name) => ({
    ...name,
    shown: named.length > 1 ? `${file.file}/${name.entry}` : file.file,
  }));
  const notReports = [
    ...contents.unopened.map(({ name, why }) => unopened(file, name, why, formats)),
    // Of the rest, what speaks of a report: notes that lie beside reports are nobody's business.
    ...contents.files
      .filter((entry) => !named.some((report) => report.entry === entry))
      .map((entry) => byName(file, `${file.file}/${entry}`, formats))
      .filter(({ isUnseen }) => isUnseen),
  ];
  if (reports.length + notReports.length === 0)
    notReports.push({ ...byName(file, file.file, formats), why: NONE_IN_ZIP });
  return ofItsKind(file, reports, notReports);
}

const NONE_IN_ZIP = 'No file in the zip is named like a report: check the names, and the name patterns of the source.';

function unopened(file: ListedFile, name: string, why: string, formats: readonly Format[]): NotReport {
  const said = `This cannot be read (${why}): unpack it, and provide the files themselves.`;
  return { ...byName(file, `${file.file}/${name}`, formats), code: 'unreadable', why: said, isUnseen: true };
}

const OTHER_KIND =
  'The name is that of another kind of report than the directory is for: check directories and names of the source.';

/** Reports of a kind that their directory is not for are none. */
function ofItsKind(file: ListedFile, reports: readonly Named[], notReports: readonly NotReport[]): InFile {
  const isWanted = ({ kind }: Named) => file.kinds?.includes(kind) ?? true;
  const others = reports
    .filter((report) => !isWanted(report))
    .map(({ shown, kind }): NotReport => {
      return { file: shown, isRefused: file.isNamed, code: 'unknown_format', why: OTHER_KIND, kind, isUnseen: true };
    });
  return { reports: reports.filter(isWanted), notReports: [...notReports, ...others] };
}

const READ = '.csv, .xlsx, .zip and .gz are';
const WHY_ENDINGS: readonly (readonly [RegExp, string])[] = [
  [/\.(pgp|gpg|asc|age|enc|p7m)$/i, 'it is encrypted: decrypt it first'],
  [/\.(7z|rar|tar|tgz|tar\.gz|bz2|xz|zst|z)$/i, `its archive format is not supported (${READ}): unpack it`],
  [
    /\.(part|filepart|tmp|temp|crdownload|download|partial)$/i,
    'its upload is incomplete: wait for the rest, or fetch it again',
  ],
  [
    /^copy of |(\.(bak|old|orig|copy)|~| ?\(\d+\)\.\w+| - [^-]*)$/i,
    'it looks like a copy: give it the name of the report, or remove it',
  ],
  [
    /^\./,
    'its name begins with a dot, like hidden files and unfinished uploads: give it the name of the report, or remove it',
  ],
];

/** No report by its name, though it may speak of one. */
function byName({ isNamed }: ListedFile, file: string, formats: readonly Format[]): NotReport {
  const name = basename(file);
  const kind = kindInName(name, formats);
  const how =
    WHY_ENDINGS.find(([ending]) => ending.test(name))?.[1] ?? `check its extension (${READ} supported) and its parts`;
  const why =
    kind === null
      ? REPORT_REFUSALS.unknown_format
      : `The name is that of a report, but the file cannot be read: ${how}.`;
  return { file, isRefused: isNamed, code: 'unknown_format', why, kind, isUnseen: kind !== null };
}

/** Neither a file nor a folder. */
export function notLookedInto({ path, file, what }: Other, formats: readonly Format[]): NotReport {
  const kind = readReportName(basename(path), formats)?.kind ?? kindInName(basename(path), formats);
  const why =
    what === 'special'
      ? 'This is neither a file nor a folder: provide the file itself.'
      : `This is a symbolic link, which is not followed: provide the ${what === 'link' ? 'file' : 'folder'} itself.`;
  return {
    file,
    isRefused: false,
    code: 'unreadable',
    why,
    kind,
    isUnseen: kind !== null || what === 'linkToDirectory',
  };
}

/** A report, and nobody knows whose. */
export function ofNobody({ shown, kind }: Named, merchants: string): NotReport {
  const why = `The report belongs to one of these merchants (${merchants}): ${REPORT_REFUSALS.unclear_merchant}`;
  return { file: shown, isRefused: true, code: 'unclear_merchant', why, kind, isUnseen: true };
}

/** A server that does not answer says nothing of a file. */
export const isAway = (error: unknown): boolean => error instanceof Unreachable && !(error instanceof Denied);
