import { type Currency, isCurrency } from './currency.ts';
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
 */
export function readReportName(fileName: string, formats: readonly Format[]): ReportName | null {
  for (const format of formats) {
    const name = withoutExtension(fileName, format.extensions);
    const read = name === null ? null : readName(name, format);
    if (read !== null) return read;
  }
  return null;
}

function readName(name: string, format: Format): ReportName | null {
  for (const { kind, isPortal, pattern } of patternsOf(format)) {
    const groups = pattern.exec(name)?.groups;
    if (groups === undefined) continue;
    const { batchId = null, currency = null, date: compactDate = null, psp = null, seq } = groups;
    const date = compactDate === null ? null : parseCompactDate(compactDate);
    if (compactDate !== null && date === null) return null;
    if (currency !== null && !isCurrency(currency)) return null;
    return { kind, name, batchId, settlementCurrency: currency, date, psp, seq: Number(seq ?? 0), isPortal };
  }
  return null;
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

// A batch id has no underscore and a psp may have some, so a name is unambiguous read from its end.
const PLACEHOLDERS: Readonly<Record<string, string>> = {
  date: '\\d{8}',
  psp: '[^/\\\\]+',
  currency: '[A-Z]{3}',
  batchId: '[A-Za-z0-9-]+',
  seq: '\\d{3}',
};

type Pattern = { readonly kind: ReportKind; readonly isPortal: boolean; readonly pattern: RegExp };

const compiled = new WeakMap<Format, readonly Pattern[]>();

function patternsOf(format: Format): readonly Pattern[] {
  let patterns = compiled.get(format);
  if (patterns === undefined) {
    const kinds = Object.keys(format.names) as ReportKind[];
    const compileAll = (kind: ReportKind, names: readonly string[], isPortal: boolean) =>
      names.map((name) => ({ kind, isPortal, pattern: compile(name) }));
    patterns = kinds.flatMap((kind) => [
      ...compileAll(kind, format.names[kind], false),
      ...compileAll(kind, format.portalNames[kind], true),
    ]);
    compiled.set(format, patterns);
  }
  return patterns;
}

function compile(pattern: string): RegExp {
  const source = pattern
    .split(/(\{\w+\})/)
    .map((part) => {
      const name = /^\{(\w+)\}$/.exec(part)?.[1];
      const placeholder = name === undefined ? undefined : PLACEHOLDERS[name];
      return placeholder === undefined ? part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&') : `(?<${name}>${placeholder})`;
    })
    .join('');
  return new RegExp(`^${source}$`);
}
