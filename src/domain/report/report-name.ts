import { parseCompactDate } from '../calendar/time.ts';
import { FORMATS } from '../formats/all.ts';
import type { Format, ReportKind } from '../formats/format.ts';
import { type Currency, isCurrency } from '../money/currency.ts';

/** What a report's file name says. The name decides: rows that differ from it are refused. */
export type ReportName = {
  readonly kind: ReportKind;
  /**
   * Without the extension, and as its pattern writes it: the report's identity, so that a `.csv` and an `.xlsx` of one name are one
   * report, and so are two names that differ in upper and lower case alone.
   */
  readonly name: string;
  /** A pattern fits only where upper and lower case are one: what is taken from the name may be written otherwise elsewhere. */
  readonly isOtherCase: boolean;
  readonly batchId: string | null;
  /** Null in a settlement report whose name carries none: then its rows say it (`settlementCurrencyOf`). */
  readonly settlementCurrency: Currency | null;
  /** 'YYYY-MM-DD'. */
  readonly date: string | null;
  readonly psp: string | null;
  readonly seq: number;
  /** It comes from the provider's portal, so that it holds the whole. */
  readonly isPortal: boolean;
};

/**
 * Null when the name is no report of these formats: no pattern fits, or there is no such day or currency. Which format the
 * report is in, its header says: a name that is a report in several is the same report in all of them.
 *
 * A name that fits with a plain batch id has no other meaning. Only what fits none so is read with ids of any characters, and of
 * several patterns the one counts that leaves the least to the id: it says the most of the name.
 */
export const readReportName = (fileName: string, formats: readonly Format[]): ReportName | null =>
  readInCase(fileName, formats, 'exact') ?? readInCase(fileName, formats, 'any');

/** Whether a file may be a report: by its name, or because what it packs has names of its own. */
export const mayBeReport = (fileName: string, formats: readonly Format[]): boolean =>
  isZipName(fileName) || readReportName(fileName, formats) !== null;

export const isZipName = (fileName: string): boolean => /\.zip$/i.test(fileName);
export const isGzipName = (fileName: string): boolean => /\.gz$/i.test(fileName);

/** What makes a name one of a copy, or of something that is not read. */
const ENDING = /(\.[^.]*|~| ?\(\d+\)| - [^-]*)$/;

/**
 * The kind of report that a name speaks of though no report is read from it: under an ending that is not read (`.pgp`, `.txt`,
 * `.csv.part`), as a copy (`name (1).csv`), or of no such day or currency. Null where it speaks of none.
 */
export function kindInName(fileName: string, formats: readonly Format[]): ReportKind | null {
  const patterns = formats.flatMap((format) => patternsOf(format, 'any'));
  for (let name = fileName.replace(/^(copy of |\.)/i, ''); name !== ''; name = name.replace(ENDING, '')) {
    const fitting = patterns.find(({ plain, wide }) => plain.test(name) || wide?.test(name));
    if (fitting) return fitting.kind;
    if (!ENDING.test(name)) return null;
  }
  return null;
}

/** Upper and lower case as the pattern has it, or any. */
type Case = 'exact' | 'any';

function readInCase(fileName: string, formats: readonly Format[], inCase: Case): ReportName | null {
  const unpacked = isGzipName(fileName) ? fileName.slice(0, -'.gz'.length) : fileName;
  const wide: ReportName[] = [];
  for (const format of formats) {
    const name = withoutExtension(unpacked, format.extensions);
    if (name === null) continue;
    const patterns = patternsOf(format, inCase);
    const fitting = patterns.find(({ plain }) => plain.test(name));
    // The first that fits decides: a day or a currency that there is not makes it no report.
    const read = fitting
      ? [nameOf(name, fitting, fitting.plain)]
      : patterns.map((p) => p.wide && nameOf(name, p, p.wide));
    const found = read.filter((report) => report !== null);
    if (fitting && found[0]) return found[0];
    wide.push(...found);
  }
  const shortest = Math.min(...wide.map(({ batchId }) => batchId!.length));
  return wide.find(({ batchId }) => batchId!.length === shortest) ?? null;
}

function nameOf(fileName: string, { kind, isPortal, text, inCase }: Pattern, pattern: RegExp): ReportName | null {
  const match = pattern.exec(fileName);
  if (match === null) return null;
  const said: Readonly<Record<string, string | undefined>> = match.groups ?? {};
  const { batchId = null, date: compactDate = null, psp = null, seq } = said;
  const currency = said['currency']?.toUpperCase() ?? null;
  const date = compactDate === null ? null : parseCompactDate(compactDate);
  if (compactDate !== null && date === null) return null;
  if (currency !== null && !isCurrency(currency)) return null;
  const parts: Readonly<Record<string, string | null | undefined>> = { ...said, currency };
  const name = text.replaceAll(/\{(\w+)\}/g, (braces, part: string) => parts[part] ?? braces);
  const isOtherCase = inCase === 'any';
  return { kind, name, isOtherCase, batchId, settlementCurrency: currency, date, psp, seq: Number(seq ?? 0), isPortal };
}

/** What the two folders above a file say, by `…/<merchantId>/<yyyyMMdd>/file`. Without a date folder it says nothing. */
export function readDirectory(path: string): { merchantId: string | null; date: string | null } {
  const [merchantId = '', dateFolder = ''] = ['', ...path.split(/[/\\]/)].slice(-3, -1);
  const date = parseCompactDate(dateFolder);
  const isNamed = date !== null && !['', '.', '..'].includes(merchantId);
  return { merchantId: isNamed ? merchantId : null, date };
}

function withoutExtension(fileName: string, extensions: readonly string[]): string | null {
  const point = fileName.lastIndexOf('.');
  return extensions.includes(fileName.slice(point + 1).toLowerCase()) ? fileName.slice(0, Math.max(point, 0)) : null;
}

/** A plain batch id has no underscore and a psp may have some, so a name with both is unambiguous read from its end. */
const PLACEHOLDERS: Readonly<Record<string, string>> = {
  date: '\\d{8}',
  psp: '[^/\\\\]+',
  currency: '[A-Z]{3}',
  batchId: '[A-Za-z0-9-]+',
  seq: '\\d{3}',
};

/**
 * Beside placeholders of a fixed length a batch id may be anything that begins with a letter or a digit, but for what programs put into the
 * names of copies: ` (1)`, ` - Copy`. A copy would be another batch.
 */
const WIDE_BATCH_ID = '[\\p{L}\\p{N}][^\\s\\p{C}/\\\\()]*';

/** What providers call their reports means what it always meant: a batch id of theirs is plain. */
const OF_PROVIDERS: ReadonlySet<string> = new Set(
  Object.values(FORMATS).flatMap(({ names, portalNames }) =>
    [names, portalNames].flatMap((of) => Object.values(of).flat()),
  ),
);

/** Whether nothing tells where the one ends and the other begins: a psp may hold all that a plain batch id is made of. */
export const isAmbiguous = (pattern: string): boolean => {
  const between = /\{psp\}(.*)\{batchId\}|\{batchId\}(.*)\{psp\}/.exec(pattern);
  if (between === null) return false;
  return /^[A-Za-z0-9-]*$/.test(between[1] ?? between[2] ?? '');
};

type Pattern = {
  readonly kind: ReportKind;
  readonly isPortal: boolean;
  readonly text: string;
  readonly inCase: Case;
  readonly plain: RegExp;
  /** Null where batch ids are plain. */
  readonly wide: RegExp | null;
};

const compiled = { exact: new WeakMap<Format, readonly Pattern[]>(), any: new WeakMap<Format, readonly Pattern[]>() };

function patternsOf(format: Format, inCase: Case): readonly Pattern[] {
  let patterns = compiled[inCase].get(format);
  if (patterns === undefined) {
    const kinds = Object.keys(format.names) as ReportKind[];
    const compileAll = (kind: ReportKind, names: readonly string[], isPortal: boolean) =>
      names.map((text): Pattern => {
        const isWide = text.includes('{batchId}') && !text.includes('{psp}') && !OF_PROVIDERS.has(text);
        const wide = isWide ? compile(text, { ...PLACEHOLDERS, batchId: WIDE_BATCH_ID }, inCase) : null;
        return { kind, isPortal, text, inCase, plain: compile(text, PLACEHOLDERS, inCase), wide };
      });
    patterns = kinds.flatMap((kind) => [
      ...compileAll(kind, format.names[kind], false),
      ...compileAll(kind, format.portalNames[kind], true),
    ]);
    compiled[inCase].set(format, patterns);
  }
  return patterns;
}

function compile(pattern: string, placeholders: Readonly<Record<string, string>>, inCase: Case): RegExp {
  const source = pattern
    .split(/(\{\w+\})/)
    .map((part) => {
      const name = /^\{(\w+)\}$/.exec(part)?.[1];
      const placeholder = name === undefined ? undefined : placeholders[name];
      return placeholder === undefined ? part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&') : `(?<${name}>${placeholder})`;
    })
    .join('');
  return new RegExp(`^${source}$`, inCase === 'any' ? 'iu' : 'u');
}
