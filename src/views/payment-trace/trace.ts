import type { Database } from '../../adapters/postgres/connection.ts';
import { streamHeld } from '../../adapters/postgres/cursors.ts';
import { compareText } from '../../domain/discrepancy.ts';
import { UsageError } from '../../domain/errors.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import { MATCH_BY } from '../../domain/report/row.ts';
import { type BatchPayout, payoutsOfLoads } from '../bank/payouts.sql.ts';
import { batchPayoutJson } from '../bank/tables.ts';
import { type DatedDiscrepancy, datedDiscrepancies } from '../batches/batches.sql.ts';
import { datedJson } from '../batches/batches.ts';
import { type Archived, archivedLines } from './archived-lines.ts';
import { matchedBy, type Rule } from './matched-by.ts';
import * as query from './trace.sql.ts';

/** All that is known of a payment. */
export type PaymentTrace = {
  readonly requestId: string;
  readonly merchantId: string;
  readonly records: readonly query.StoryRecord[];
  readonly rows: readonly ToldRow[];
  readonly discrepancies: readonly DatedDiscrepancy[];
  /** Reports that hold more rows of it, which were dropped because they are old. */
  readonly dropped: readonly query.DroppedReport[];
  /** Where the payouts are of the batches that settle it; none where no account is known. */
  readonly payouts: readonly BatchPayout[];
  /** There is more than is shown. */
  readonly isCut: boolean;
};

export type ToldRow = query.StoryRow & Rule & Archived;

/**
 * Finds what belongs to a request id, wherever in its family it stands: records and rows that carry it, that name it as their
 * original or are named by it, and rows that the provider's transaction ids lead to. A transaction id may be asked for instead.
 * `tell` is told of what takes long.
 * @throws UsageError when nothing is known of the id, or several merchants know it.
 */
export async function tracePayment(
  database: Database,
  id: string,
  merchantId: string | undefined,
  tell: (note: string) => void,
): Promise<PaymentTrace> {
  const merchant = await merchantOf(database, id, merchantId);
  const found = await linkedTransactions(database, id, merchant.no, tell);
  const rows = [...found.rows.values()].sort(byPlace);
  const named = { ids: [...found.ids], transactionIds: [...found.transactionIds] };
  const dropped = await query.droppedWith(database.db, merchant.no, named);
  if (found.records.size + rows.length + dropped.length === 0) throw new UsageError(nothingKnown(id));
  const nos = await query.discrepancyNosOf(database.db, merchant.no, {
    ...named,
    places: rows.map(({ loadNo, line }) => ({ loadNo, line })),
  });
  const records = [...found.records.values()].sort(byTime);
  const lines = await archivedLines(rows);
  return {
    requestId: id,
    merchantId: merchant.id,
    records,
    rows: rows.map((row) => ({
      ...row,
      ...matchedBy(row, MATCH_BY[row.flags & 3]!, records, rows),
      ...lines.get(row)!,
    })),
    discrepancies: await discrepanciesNumbered(database, nos),
    dropped,
    payouts: await payoutsOfLoads(
      database.db,
      rows.filter(({ kind, isCounted }) => kind === 'settlementDetails' && isCounted).map(({ loadNo }) => loadNo),
    ),
    isCut: rows.length >= query.MOST || nos.length >= query.MOST,
  };
}

const nothingKnown = (id: string): string =>
  `nothing is known of ${id}: neither a record nor a row of a report has this request id or transaction id. Ids are case-sensitive.`;

async function merchantOf({ db }: Database, id: string, merchantId: string | undefined): Promise<query.StoryMerchant> {
  const knowing = await query.merchantsThatKnow(db, id);
  // An id that nobody carries may still be named by a row.
  const all = knowing.length > 0 ? knowing : await query.allMerchants(db);
  const asked = merchantId === undefined ? all : all.filter((merchant) => merchant.id === merchantId);
  if (asked.length === 1) return asked[0]!;
  if (asked.length === 0) throw new UsageError(nothingKnown(id));
  throw new UsageError(
    `${id} may belong to several merchants (${asked.map((merchant) => merchant.id).join(', ')}): choose one with --merchant.`,
  );
}

type Family = {
  readonly ids: Set<string>;
  readonly transactionIds: Set<string>;
  readonly records: Map<string, query.StoryRecord>;
  readonly rows: Map<string, query.StoryRow>;
};

/** From each id to those that it leads to, until there is nothing new. */
async function linkedTransactions(
  { db }: Database,
  id: string,
  merchantNo: number,
  tell: (note: string) => void,
): Promise<Family> {
  const family: Family = { ids: new Set([id]), transactionIds: new Set(), records: new Map(), rows: new Map() };
  const loads = await query.loadsOf(db, merchantNo);
  // Rows that are looked through are asked for by all ids that are known by then, so that it is mostly done once.
  const looked = { carried: new Set<string>(), named: new Set<string>(), transactions: new Set<string>() };
  const isFull = () => family.rows.size >= query.MOST;
  do {
    for (let ids = news(family.ids, looked.carried); ids.length > 0; ids = news(family.ids, looked.carried)) {
      for (const record of await query.recordsNaming(db, merchantNo, ids)) addRecord(family, record);
      for (const row of await query.rowsWithIds(db, merchantNo, ids)) addRow(family, row);
    }
    // What is asked for may be the provider's id.
    if (family.records.size === 0 && family.rows.size === 0) family.transactionIds.add(id);
    const ids = news(family.ids, looked.named);
    const transactionIds = news(family.transactionIds, looked.transactions);
    if (loads.length === 0 || ids.length + transactionIds.length === 0) break;
    const count = loads.reduce((sum, { rows }) => sum + rows, 0);
    if (count > MANY_ROWS) tell(`searching ${count.toLocaleString('en')} rows for those that only name it`);
    for (const row of await query.rowsLeadingTo(db, loads, { ids, transactionIds })) addRow(family, row);
  } while (!isFull());
  return family;
}

/** Looking through so many takes a second. */
const MANY_ROWS = 5_000_000;

/** Those that were not looked for before; from now on they were. */
function news(all: ReadonlySet<string>, looked: Set<string>): string[] {
  const fresh = [...all].filter((id) => !looked.has(id));
  for (const id of fresh) looked.add(id);
  return fresh;
}

function addRecord({ ids, records }: Family, record: query.StoryRecord): void {
  records.set(`${record.type} ${record.requestId}`, record);
  ids.add(record.requestId);
  if (record.originalRequestId !== null) ids.add(record.originalRequestId);
}

function addRow({ ids, transactionIds, rows }: Family, row: query.StoryRow): void {
  rows.set(`${row.loadNo} ${row.line}`, row);
  for (const id of [row.requestId, row.originalRequestId]) if (id !== null) ids.add(id);
  for (const id of [row.transactionId, row.originalTransactionId]) if (id !== null) transactionIds.add(id);
}

async function discrepanciesNumbered(database: Database, nos: readonly bigint[]): Promise<DatedDiscrepancy[]> {
  if (nos.length === 0) return [];
  const all: DatedDiscrepancy[] = [];
  const statement = datedDiscrepancies({ nos, isClosedToo: true });
  for await (const rows of streamHeld<DatedDiscrepancy>(database, statement)) all.push(...rows);
  return all.sort((a, b) => a.since.getTime() - b.since.getTime());
}

const byTime = (a: query.StoryRecord, b: query.StoryRecord): number =>
  a.occurredAtMicros === b.occurredAtMicros
    ? compareText(a.type, b.type) || compareText(a.requestId, b.requestId)
    : a.occurredAtMicros < b.occurredAtMicros
      ? -1
      : 1;

const dateOf = (row: query.StoryRow): string | null => row.settlementDate ?? row.transactionDate;

const byPlace = (a: query.StoryRow, b: query.StoryRow): number =>
  compareText(dateOf(a), dateOf(b)) ||
  compareText(a.settlementBatchId, b.settlementBatchId) ||
  compareText(a.file, b.file) ||
  a.revision - b.revision ||
  a.loadNo - b.loadNo ||
  a.line - b.line;

const shown = (minor: bigint | null, currency: Currency | null): string | null =>
  minor === null || currency === null ? null : formatAmount(minor, currency);

export const recordJson = (record: query.StoryRecord) => ({
  type: record.type,
  requestId: record.requestId,
  amount: formatAmount(record.amountMinor, record.currency),
  currency: record.currency,
  status: record.status,
  occurredAt: new Date(Number(record.occurredAtMicros / 1_000n)),
  originalRequestId: record.originalRequestId,
  orderId: record.orderId,
  source: record.source,
});

export const storyJson = (story: PaymentTrace) => ({
  requestId: story.requestId,
  merchantId: story.merchantId,
  records: story.records.map(recordJson),
  rows: story.rows.map(rowJson),
  settled: movementsOf(story),
  discrepancies: story.discrepancies.map((row) => datedJson(row, true)),
  dropped: story.dropped,
  isCut: story.isCut,
  ...(story.payouts.length === 0 ? {} : { bank: story.payouts.map(batchPayoutJson) }),
});

/** A row as it is read, and beside it as it stands in the file. */
export const rowJson = (row: ToldRow) => ({
  settlementBatchId: row.settlementBatchId,
  transactionDate: row.transactionDate,
  settlementDate: row.settlementDate,
  acquirer: row.acquirer,
  kind: row.kind,
  file: row.file,
  line: row.line,
  revision: row.revision,
  isCounted: row.isCounted,
  isWorkbook: row.isSheet,
  type: row.type,
  requestId: row.requestId,
  transactionId: row.transactionId,
  originalRequestId: row.originalRequestId,
  originalTransactionId: row.originalTransactionId,
  amount: shown(row.amountMinor, row.currency),
  currency: row.currency,
  settlementAmount: shown(row.settlementMinor, row.batchCurrency),
  feeAmount: shown(row.feeMinor, row.batchCurrency),
  settlementCurrency: row.batchCurrency,
  paidAt: row.paidAt,
  matchedBy: row.matchedBy,
  rule: row.rule,
  text: row.text,
  textError: row.error,
  cells: cellsOf(row),
});

/** What stands in the columns of a row, blank ones left out. */
export const cellsOf = ({ header, cells }: ToldRow): { column: string; text: string }[] =>
  cells.flatMap((text, at) => (text.trim() === '' ? [] : [{ column: header[at]?.trim() ?? '', text: text.trim() }]));

export type Movement = {
  readonly type: string;
  readonly settlementCurrency: Currency;
  readonly count: number;
  readonly settlementAmount: string;
  readonly feeAmount: string;
};

/** What was settled of it, by type and currency: of the rows that count, for what was replaced is not paid. */
export function movementsOf({ rows }: PaymentTrace): Movement[] {
  const settled = rows.filter((row) => row.kind === 'settlementDetails' && row.isCounted);
  const groups = Map.groupBy(settled, (row) => `${row.type} ${row.batchCurrency}`);
  return [...groups.values()].map((rows) => {
    const { type, batchCurrency } = rows[0]!;
    const currency = batchCurrency!;
    const sum = (of: (row: ToldRow) => bigint | null) =>
      formatAmount(
        rows.reduce((sum, row) => sum + (of(row) ?? 0n), 0n),
        currency,
      );
    return {
      type,
      settlementCurrency: currency,
      count: rows.length,
      settlementAmount: sum(({ settlementMinor }) => settlementMinor),
      feeAmount: sum(({ feeMinor }) => feeMinor),
    };
  });
}
