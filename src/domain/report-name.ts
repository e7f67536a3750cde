import { type Currency, isCurrency } from './currency.ts';
import { FORMATS } from './formats/all.ts';
import type { Format, ReportKind } from './formats/format.ts';
import { parseCompactDate } from './time.ts';

/** What a report's file name says. The name decides: rows that differ from it are refused. */
export type ReportName = {
  readonly kind: ReportKind;
  /** Without the extension: the report's identity, so that a `.csv` and an `.xlsx` of one name are one report. */
  readonly name: string;
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
export function readReportName(fileName: string, formats: readonly Format[]): ReportName | null {
  const wide: ReportName[] = [];
  for (const format of formats) {
    const name = withoutExtension(fileName, format.extensions);
    if (name === null) continue;
    const patterns = patternsOf(format);
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

function nameOf(name: string, { kind, isPortal }: Pattern, pattern: RegExp): ReportName | null {
  const match = pattern.exec(name);
  if (match === null) return null;
  const said: Readonly<Record<string, string | undefined>> = match.groups ?? {};
  const { batchId = null, currency = null, date: compactDate = null, psp = null, seq } = said;
  const date = compactDate === null ? null : parseCompactDate(compactDate);
  if (compactDate !== null && date === null) return null;
  if (currency !== null && !isCurrency(currency)) return null;
  return { kind, name, batchId, settlementCurrency: currency, date, psp, seq: Number(seq ?? 0), isPortal };
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
  readonly plain: RegExp;
  /** Null where batch ids are plain. */
  readonly wide: RegExp | null;
};

const compiled = new WeakMap<Format, readonly Pattern[]>();

function patternsOf(format: Format): readonly Pattern[] {
  let patterns = compiled.get(format);
  if (patterns === undefined) {
    const kinds = Object.keys(format.names) as ReportKind[];
    const compileAll = (kind: ReportKind, names: readonly string[], isPortal: boolean) =>
      names.map((name) => {
        const isWide = name.includes('{batchId}') && !name.includes('{psp}') && !OF_PROVIDERS.has(name);
        const wide = isWide ? compile(name, { ...PLACEHOLDERS, batchId: WIDE_BATCH_ID }) : null;
        return { kind, isPortal, plain: compile(name, PLACEHOLDERS), wide };
      });
    patterns = kinds.flatMap((kind) => [
      ...compileAll(kind, format.names[kind], false),
      ...compileAll(kind, format.portalNames[kind], true),
    ]);
    compiled.set(format, patterns);
  }
  return patterns;
}

function compile(pattern: string, placeholders: Readonly<Record<string, string>>): RegExp {
  const source = pattern
    .split(/(\{\w+\})/)
    .map((part) => {
      const name = /^\{(\w+)\}$/.exec(part)?.[1];
      const placeholder = name === undefined ? undefined : placeholders[name];
      return placeholder === undefined ? part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&') : `(?<${name}>${placeholder})`;
    })
    .join('');
  return new RegExp(`^${source}$`, 'u');
}
