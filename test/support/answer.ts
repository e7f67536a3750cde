/** The JSON of `reconcile --json` as CONTRACT.md words it, and a comparison of two such answers that a person can read. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';

export type ReportKind = 'transactionDetails' | 'settlementDetails' | 'settlementSummary';

export type ReportAnswer = {
  file: string;
  kind: ReportKind | null;
  state: 'closed' | 'waiting' | 'refused' | 'duplicate' | 'skipped';
  revision: number;
  rows: number;
  refusedRows: number;
  error: null | { code: string; message: string };
};

export type Sums = { count: number; settlementAmount: string; feeAmount: string };

export type Part = { rows: number; settlementAmount: string | null };
/** What an answer is made of: each row stands in one part. */
export type Coverage = {
  matched: Part;
  noRecordNeeded: (Part & { type: string })[];
  notDone: Part;
  discrepant: Part;
  refused: { rows: number };
  checks: { name: string; state: 'done' | 'notPossible'; why?: string | null }[];
};

/** What a person accepted of a batch or day. */
export type Accepted = { count: number; amounts: { currency: string; amount: string }[] };

export type BatchAnswer = {
  merchantId: string;
  settlementBatchId: string;
  acquirer: string | null;
  settlementCurrency: string;
  settlementDate: string | null;
  state: 'reconciled' | 'discrepant' | 'incomplete' | 'waiting';
  rows: number;
  matchedRows: number;
  totals: (Sums & { type: string })[];
  details: Sums | null;
  summary: (Omit<Sums, 'count'> & { count: number | null }) | null;
  residual: string | null;
  coverage: Coverage | null;
  accepted: Accepted;
  /** Where the money is; left out where nobody asked for the bank. */
  bank?: BankAnswer | null;
};

export type BankAnswer = {
  state: string;
  matchedBy: string | null;
  entries: { file: string; line: number; amount: string }[];
};

export type DayAnswer = {
  merchantId: string;
  transactionDate: string;
  state: 'reconciled' | 'discrepant' | 'incomplete';
  rows: number;
  matchedRows: number;
  coverage: Coverage | null;
  accepted: Accepted;
};

export type DiscrepancyAnswer = {
  kind: string;
  merchantId: string;
  settlementBatchId: string | null;
  transactionDate: string | null;
  file: string | null;
  line: number | null;
  type: string | null;
  requestId: string | null;
  transactionId: string | null;
  field: string | null;
  reported: string | null;
  recorded: string | null;
  difference: string | null;
  currency: string | null;
  message: string;
};

export type DiscrepancyTotal = { kind: string; currency: string | null; count: number; amountAtStake: string | null };

export type Answer = {
  reports: ReportAnswer[];
  batches: BatchAnswer[];
  transactionDays: DayAnswer[];
  discrepancies: DiscrepancyAnswer[];
  discrepancyTotals: DiscrepancyTotal[];
  counts: { reports: number; rows: number; matchedRows: number; refusedRows: number; discrepancies: number };
  exitCode?: number;
};

type Item = Record<string, unknown>;
type List = 'reports' | 'batches' | 'transactionDays' | 'discrepancies' | 'discrepancyTotals';

/** Not a key of its own: a discrepancy's batch, or its day where it has none. */
export const BATCH_OR_DAY = 'batch or day';

/** The promised order of each array; whatever agrees in all of these may stand in any order. */
const ORDER: Record<List, string[]> = {
  reports: ['file'],
  batches: ['settlementDate', 'settlementBatchId'],
  transactionDays: ['transactionDate'],
  discrepancies: [BATCH_OR_DAY, 'file', 'line', 'kind', 'field', 'type', 'requestId', 'transactionId'],
  discrepancyTotals: ['kind', 'currency'],
};

/** What makes two items the same thing, so that a diff can say "this one differs" and not only "this one is missing". */
const IDENTITY: Record<List, string[]> = {
  reports: ['file', 'revision', 'state'],
  batches: ['merchantId', 'settlementBatchId', 'settlementCurrency', 'settlementDate'],
  transactionDays: ['merchantId', 'transactionDate'],
  discrepancies: ['merchantId', ...ORDER.discrepancies],
  discrepancyTotals: ['kind', 'currency'],
};

/** By code point (UTF-8 bytes sort so, UTF-16 units do not), numbers by size, nulls first. */
export function compareValues(a: unknown, b: unknown): number {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}

const cellOf = (item: Item, key: string): unknown =>
  key === BATCH_OR_DAY ? (item['settlementBatchId'] ?? item['transactionDate']) : item[key];

export function compareBy<T extends object>(keys: readonly string[]): (a: T, b: T) => number {
  return (a, b) => {
    for (const key of keys) {
      const order = compareValues(cellOf(a as Item, key), cellOf(b as Item, key));
      if (order !== 0) return order;
    }
    return 0;
  };
}

/** Fails with the first differences, readable; messages are free text and are not compared, nor are keys we do not know. */
export function sameAnswer(actual: Answer, expected: Answer, title = ''): void {
  const found = differences(actual, expected);
  const more = found.length > 12 ? [`… and ${found.length - 12} more`] : [];
  const text = [title, ...found.slice(0, 12), ...more].filter(Boolean).join('\n');
  assert.ok(found.length === 0, `the answers differ (- expected, + actual)\n${text}`);
}

/** One readable text per difference; empty when the answers are the same. */
export function differences(actual: Answer, expected: Answer): string[] {
  const found: string[] = [];
  for (const part of Object.keys(ORDER) as List[])
    found.push(...arrayDifferences(part, actual[part] ?? [], expected[part]));
  const counts = changed(actual.counts ?? {}, expected.counts);
  if (counts) found.push(`counts: ${counts}`);
  if (actual.exitCode !== undefined && expected.exitCode !== undefined && actual.exitCode !== expected.exitCode) {
    found.push(`exit code: - ${expected.exitCode} + ${actual.exitCode}`);
  }
  return found;
}

function arrayDifferences(part: List, actual: object[], expected: object[]): string[] {
  const found: string[] = [];
  const byOrder = compareBy<object>(ORDER[part]);
  const wrong = actual.findIndex((item, i) => i > 0 && byOrder(actual[i - 1] as object, item) > 0);
  if (wrong > 0)
    found.push(
      `${part}: not sorted at [${wrong}]: ${short(actual[wrong - 1]!)} stands before ${short(actual[wrong]!)}`,
    );

  const waiting = new Map<string, object[]>();
  for (const item of canonical(actual)) {
    const key = identity(part, item);
    waiting.set(key, [...(waiting.get(key) ?? []), item]);
  }
  for (const item of canonical(expected)) {
    const others = waiting.get(identity(part, item)) ?? [];
    const same = others.findIndex((other) => changed(other, item) === '');
    const other = others.splice(Math.max(same, 0), 1)[0];
    if (!other) found.push(`${part}: - ${short(item)}`);
    else if (same < 0) found.push(`${part} ${label(part, item)}: ${changed(other, item)}`);
  }
  for (const others of waiting.values()) for (const item of others) found.push(`${part}: + ${short(item)}`);
  return found;
}

/** Sorted by content, so that ties pair up the same way on both sides. */
function canonical(items: object[]): object[] {
  return items.toSorted((a, b) => compareValues(JSON.stringify(clean(a)), JSON.stringify(clean(b))));
}

function identity(part: List, item: object): string {
  return JSON.stringify(IDENTITY[part].map((key) => (clean(item) as Item)[key] ?? null));
}

function label(part: List, item: object): string {
  return IDENTITY[part]
    .map((key) => (item as Item)[key])
    .filter((value) => value !== null && value !== undefined)
    .join(' ');
}

/** The keys of `expected` that `actual` has otherwise, as text. */
function changed(actual: object, expected: object): string {
  const a = clean(actual) as Item;
  const e = clean(expected) as Item;
  return Object.keys(e)
    .filter((key) => JSON.stringify(a[key]) !== JSON.stringify(e[key]))
    .map((key) => `${key} - ${JSON.stringify(e[key])} + ${JSON.stringify(a[key])}`)
    .join('; ');
}

/** Without messages, why a check was not possible, and without the kind of a file that has none; a NUL, which Postgres cannot hold as text, as U+FFFD. */
function clean(item: object): unknown {
  const noKind = (item as Partial<ReportAnswer>).error?.code === 'unknown_format';
  return JSON.parse(JSON.stringify(item), (key, value) => {
    if (key === 'message' || key === 'why' || (key === 'kind' && noKind)) return undefined;
    return typeof value === 'string' ? value.replaceAll('\0', '\ufffd') : value;
  });
}

function short(item: object): string {
  const kept = Object.entries(clean(item) as Item).filter(([, value]) => value !== null);
  return inspect(Object.fromEntries(kept), { breakLength: Number.POSITIVE_INFINITY, depth: 4 });
}
