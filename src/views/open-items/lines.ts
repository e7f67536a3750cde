import type { Database } from '../../adapters/postgres/connection.ts';
import { streamHeld } from '../../adapters/postgres/cursors.ts';
import { type Age, ageOf, overdueDays } from '../../domain/calendar/ageing.ts';
import { isDay } from '../../domain/calendar/time.ts';
import { UsageError } from '../../domain/errors.ts';
import type { ReportKind } from '../../domain/formats/format.ts';
import { formatAmount } from '../../domain/money/money.ts';
import type { BatchPayout } from '../bank/payouts.sql.ts';
import { batchPayoutJson } from '../bank/tables.ts';
import * as query from './open-items.sql.ts';
import type { Missing, Unsettled, Waiting } from './open-items.ts';

/** A record that no settlement has. */
export type OpenRecord = {
  readonly merchantId: string;
  readonly transactionDate: string;
  readonly type: string;
  readonly requestId: string;
  readonly amount: string;
  readonly currency: query.RecordRow['currency'];
  /** The settlement date, at the latest; null where no calendar says it. */
  readonly expectedOn: string | null;
  readonly dueAt: Date | null;
  readonly age: Age;
  readonly overdueDays: number | null;
  /** Since when it is told to be unsettled; null while it is not. */
  readonly since: Date | null;
};

/** Records up to the limit, the oldest first, and where the rest of them begins: known when all portions were read. */
export function recordPage(
  database: Database,
  { records, dues }: Unsettled,
  { after, limit, nowMs }: { after: query.Place | null; limit: number | null; nowMs: number },
) {
  let next: string | null = null;
  return {
    next: () => next,
    async *portions(): AsyncGenerator<OpenRecord[]> {
      // One more than is shown tells that there is more.
      const statement = query.listedRecords(records, dues, { after, limit: limit === null ? null : limit + 1 });
      let left = limit ?? Number.POSITIVE_INFINITY;
      let last: query.RecordRow | undefined;
      for await (const rows of streamHeld<query.RecordRow>(database, statement)) {
        const shown = rows.slice(0, left);
        last = shown.at(-1) ?? last;
        if (rows.length > left) next = placeText(last!);
        left -= shown.length;
        if (shown.length > 0) yield shown.map((row) => recordOf(row, nowMs));
      }
    },
  };
}

const recordOf = ({ day, amountMinor, dueAtMs, ...row }: query.RecordRow, nowMs: number): OpenRecord => ({
  merchantId: row.merchantId,
  transactionDate: day,
  type: row.type,
  requestId: row.requestId,
  amount: formatAmount(BigInt(amountMinor), row.currency),
  currency: row.currency,
  expectedOn: row.expectedOn,
  dueAt: dueAtMs === null ? null : new Date(dueAtMs),
  age: ageOf(dueAtMs, nowMs),
  overdueDays: overdueDays(dueAtMs, nowMs),
  since: row.since,
});

const placeText = ({ day, merchantId, type, requestId }: query.RecordRow): string =>
  Buffer.from(JSON.stringify([day, merchantId, type, requestId])).toString('base64url');

/** @throws UsageError when it is no place that a call has told. */
export function placeGiven(text: string | undefined): query.Place | null {
  if (text === undefined) return null;
  try {
    const place: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (isPlace(place)) return place;
  } catch {
    // Told below.
  }
  throw new UsageError(`--after ${text}: not a valid cursor. Use the value of "next" from the previous page.`);
}

const isPlace = (value: unknown): value is query.Place =>
  Array.isArray(value) &&
  value.length === 4 &&
  value.every((part) => typeof part === 'string') &&
  isDay(String(value[0]));

/** Anything that is still to come, as one line: the same columns for all of it. */
export type OpenLine = {
  readonly what: 'waiting' | 'missing' | 'expected' | 'record' | 'payout';
  readonly merchantId: string;
  readonly settlementBatchId: string | null;
  readonly date: string | null;
  readonly type: string | null;
  readonly requestId: string | null;
  readonly amount: string | null;
  readonly currency: query.BatchName['settlementCurrency'];
  readonly missing: string | null;
  readonly since: Date | null;
  readonly dueAt: Date | null;
  readonly expectedOn: string | null;
  readonly age: Age | null;
  readonly overdueDays: number | null;
};

export const waitingLine = (one: Waiting): OpenLine => ({
  ...NOTHING,
  what: 'waiting',
  ...placed(one),
  amount: one.settlementAmount,
  missing: awaitedText(one),
  since: one.since,
  dueAt: one.until,
});

export const missingLine = (one: Missing): OpenLine => ({
  ...NOTHING,
  what: isDue(one) ? 'missing' : 'expected',
  ...placed(one),
  missing: missingText(one),
  since: one.since,
  dueAt: one.dueAt,
  overdueDays: one.overdueDays,
});

export const recordLine = ({ transactionDate, ...record }: OpenRecord): OpenLine => ({
  ...NOTHING,
  what: 'record',
  ...record,
  date: transactionDate,
});

export const payoutLine = (one: BatchPayout): OpenLine => {
  const { payout, dueBy, state } = batchPayoutJson(one);
  return {
    ...NOTHING,
    what: 'payout',
    merchantId: one.merchantId,
    settlementBatchId: one.settlementBatchId,
    date: one.settlementDate,
    amount: payout,
    currency: one.currency,
    missing: `at the bank: ${state}`,
    since: null,
    dueAt: null,
    expectedOn: dueBy,
  };
};

/** It was told, or it is past its time. */
export const isDue = ({ since, overdueDays }: Missing): boolean => since !== null || overdueDays !== null;

const NOTHING = {
  settlementBatchId: null,
  type: null,
  requestId: null,
  amount: null,
  currency: null,
  missing: null,
  expectedOn: null,
  age: null,
  overdueDays: null,
};

const placed = ({
  merchantId,
  settlementBatchId,
  settlementDate,
  transactionDate,
  settlementCurrency,
}: query.BatchName) => ({
  merchantId,
  settlementBatchId,
  date: settlementDate ?? transactionDate,
  currency: settlementCurrency,
});

const KIND_WORDS: Readonly<Record<ReportKind, string>> = {
  transactionDetails: 'transaction details',
  settlementDetails: 'settlement details',
  settlementSummary: 'settlement summary',
};

/** What a batch waits for, in words. */
export const awaitedText = ({ awaits, file, why }: Pick<Waiting, 'awaits' | 'file' | 'why'>): string =>
  file !== null
    ? why === undefined
      ? `the rest of ${file}`
      : `${file}: ${why}`
    : awaits
        .map(({ what, kind, part, rows, file, why }) =>
          why !== undefined
            ? `${file}: ${why}`
            : what === 'part'
              ? `part ${part} of the ${KIND_WORDS[kind]}`
              : what === 'rows'
                ? rows === null
                  ? 'rows: the summary does not say how many'
                  : `${rows} rows that the summary counts`
                : `the ${KIND_WORDS[kind]}`,
        )
        .join(', ');

/** What is missing, in words. */
export const missingText = ({ report, part }: Pick<Missing, 'report' | 'part'>): string =>
  `${part === null ? '' : `part ${part} of `}the ${KIND_WORDS[report]}`;
