import type { SourceLocation } from '../../adapters/source-files/open.ts';
import type { Calendar } from '../../domain/calendar/calendar.ts';
import { candidateFormats } from '../../domain/formats/all.ts';
import type { Encoding, Format, ReportKind } from '../../domain/formats/format.ts';

/** Where reports come from, and how they are read. */
export type Source = {
  /** Of the configuration; `files` is what the command line names. */
  readonly name: string;
  /** A folder, a file that was named itself, or a server. */
  readonly at: SourceLocation;
  /** For files whose directory names none. */
  readonly merchantId: string | null;
  /** Whose rows may stand in its reports; null: one customer's, whoever that is. */
  readonly customerIds: readonly string[] | null;
  /** What its reports are read as, where their header says nothing else. */
  readonly format: Format;
  readonly amountUnit: 'major' | 'minor';
  readonly toleranceMinor: bigint;
  readonly timeZone: string;
  /** How the text of its reports is read; undefined where its format or their bytes tell it. */
  readonly encoding?: Encoding | undefined;
  /** Where a kind's reports lie and what they are called, where that is not the format's way. */
  readonly directories: { readonly [K in ReportKind]?: string | undefined };
  readonly names: { readonly [K in ReportKind]?: readonly string[] | undefined };
  /** Directories of days further back are not looked into. */
  readonly lookbackDays: number;
  readonly pollSeconds: number;
  /** A server's file may be deleted so many days after it was written. */
  readonly keepDays: number;
  /** When its reports are due, in the standing service. */
  readonly calendar: Calendar;
};

export type Layout = {
  /** What its reports may be, its own format first; with its own names in all of them. */
  readonly formats: readonly Format[];
  /** Null: the whole folder is searched, and each file's own directories say whose it is. */
  readonly directories: ReadonlyMap<string, readonly ReportKind[]> | null;
};

const layouts = new WeakMap<Source, Layout>();

/** How a source lays its reports out. The same value each time, for what is compiled from it is kept. */
export function layoutOf(source: Source): Layout {
  let layout = layouts.get(source);
  if (!layout) {
    layout = {
      formats: candidateFormats(source.format).map((format) => ({ ...format, names: namesOf(source, format) })),
      directories: directoriesOf(source, source.format),
    };
    layouts.set(source, layout);
  }
  return layout;
}

const kindsOf = (format: Format) => Object.keys(format.names) as ReportKind[];

const namesOf = (source: Source, format: Format) =>
  Object.fromEntries(
    kindsOf(format).map((kind) => [kind, source.names[kind] ?? format.names[kind]]),
  ) as Format['names'];

function directoriesOf(source: Source, format: Format): ReadonlyMap<string, readonly ReportKind[]> | null {
  if ('folder' in source.at && Object.keys(source.directories).length === 0) return null;
  return Map.groupBy(kindsOf(format), (kind) => source.directories[kind] ?? format.directory);
}
