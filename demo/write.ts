import { createWriteStream } from 'node:fs';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Currency } from '../src/domain/money/currency.ts';
import { formatAmount } from '../src/domain/money/money.ts';
import { writeSheet } from './sheet.ts';
import {
  type Batch,
  compact,
  type Day,
  MERCHANT_ID,
  type Movement,
  type SettledRow,
  stampOf,
  type Week,
} from './week.ts';
import { zipOf } from './zip.ts';

const MOVEMENT_COLUMNS =
  'customerId acquirer acquirerReferenceNo referenceMerchantId referenceStoreId transactionId originalTransactionId transactionRequestId referenceTransactionId orderDescription paymentMethodType pspName transactionType paymentTime productCode transactionAmountValue transactionCurrency originalTransactionRequestId issuingCountry cardBrand funding';
const SETTLED_COLUMNS =
  'settlementBatchId customerId acquirer acquirerReferenceNo referenceMerchantId referenceStoreId transactionId originalTransactionId transactionRequestId referenceTransactionId paymentMethodType pspName transactionType paymentTime settlementTime productCode transactionAmountValue transactionCurrency settlementAmountValue settlementCurrency quoteCurrencyPair quotePrice feeAmountValue feeCurrency taxFeeAmountValue taxFeeCurrency processingFeeAmountValue processingFeeCurrency nonGuaranteeCouponValue nonGuaranteeCouponCurrency disputeHandlingFee disputeHandlingFeeCurrency disputeReverseFee disputeReverseFeeCurrency originalTransactionRequestId installmentsNum issuingCountry cardBrand funding interchangeFeeAmountValue interchangeFeeCurrency schemeFeeAmountValue schemeFeeCurrency acquirerMarkupAmountValue acquirerMarkupCurrency';
const SUMMARY_COLUMNS =
  'settlementBatchId customerId acquirer summaryType settlementTime count settlementAmountValue settlementCurrency feeAmountValue feeCurrency taxFeeAmountValue taxFeeCurrency processingFeeAmountValue processingFeeCurrency';
const RECORD_COLUMNS = 'requestId,type,amount,currency,status,occurredAt,orderId,originalRequestId';

const STORE = '2018000000417';
/** Some acquirers write on Windows. */
const NEWLINES = { Alipay_SG: '\n', Hundsun: '\r\n' } as const;
const END = '<END>';
const PIECE = 65_536;

export type WrittenWeek = {
  readonly reportsDir: string;
  readonly recordsFile: string;
  readonly files: number;
  readonly rows: number;
};

/** Writes the reports of the week as they lie on the provider's server, and the merchant's records beside them. */
export async function writeWeek(week: Week, dir: string): Promise<WrittenWeek> {
  const reportsDir = join(dir, 'reports');
  const recordsFile = join(dir, 'records.csv');
  const reports = [...week.days.map(dayReport), ...week.batches.flatMap(batchReports), ...brokenReports(week)];
  for (const report of reports) await writeReport(report, join(reportsDir, folderOf(report)), cameAt(report.date));
  await writeRecords(week, recordsFile);
  return { reportsDir, recordsFile, files: reports.length, rows: sum(reports.map(({ rows }) => rows.length)) };
}

/** Where the provider puts a report, below the root of its server. */
export const folderOf = ({ date }: { readonly date: string }): string =>
  `v1/settlements/${MERCHANT_ID}/${compact(date)}`;

/** One file of the provider's. */
export type Report = {
  readonly date: string;
  /** Without its extension. */
  readonly name: string;
  readonly form: 'csv' | 'xlsx' | 'zip';
  readonly columns: readonly string[];
  readonly rows: readonly Cells[];
  readonly isWhole: boolean;
  readonly newline: string;
};

type Cells = readonly string[];

/** Reports are there in the morning after. With the same time the same file is nothing new to a book that knows it. */
const cameAt = (date: string): Date => new Date(`${date}T06:30:00+08:00`);

function dayReport({ date, movements, cutOff, held, form }: Day): Report {
  const rows = movements.map((movement) => {
    const cells = movementCells(movement);
    if (held !== null) return [...cells, movement === held ? 'UNDER_REVIEW' : 'SUCCESS'];
    return movement === cutOff ? cells.slice(0, 8) : cells;
  });
  const report = { ...transactions(date, rows), form };
  return held === null ? report : { ...report, columns: [...report.columns, 'status'] };
}

const transactions = (date: string, rows: readonly Cells[]): Report => ({
  date,
  name: `transactionItems_${compact(date)}_000`,
  form: 'csv',
  columns: MOVEMENT_COLUMNS.split(' '),
  rows,
  isWhole: true,
  newline: '\n',
});

/** The details of a batch, part by part, and its summary last. */
export function batchReports(batch: Batch): Report[] {
  const { id, route, date, rows, method, parts, lacks, form } = batch;
  const name = `${method && `${method}_`}${route.currency}_${id}`;
  const common = { date, isWhole: true, newline: NEWLINES[route.acquirer] };
  const each = Math.ceil(rows.length / parts);
  const reports: Report[] = [];
  for (let part = 0; part < parts && lacks !== 'details'; part++) {
    if (lacks === 'part 001' && part === 1) continue;
    reports.push({
      ...common,
      name: `settlementItems_${name}_${seqOf(part)}`,
      form,
      columns: SETTLED_COLUMNS.split(' '),
      rows: rows.slice(part * each, (part + 1) * each).map((row) => settledCells(batch, row, MERCHANT_ID)),
    });
  }
  if (lacks === 'summary') return reports;
  return [
    ...reports,
    {
      ...common,
      name: `settlementSummary_${name}_000`,
      form: 'csv',
      columns: SUMMARY_COLUMNS.split(' ').map((column) => (column === 'count' ? batch.countColumn : column)),
      rows: summaryRows(batch),
    },
  ];
}

/** A report that is still being uploaded, and one into which another merchant's rows have strayed. */
function brokenReports({ days, batches }: Week): Report[] {
  const last = batches
    .map(({ date }) => date)
    .sort()
    .at(-1)!;
  const uploading = days.at(-1)!.movements.slice(-40).map(movementCells);
  const strayed = batches[8]!;
  const mixed = { ...strayed, id: `${strayed.id.slice(0, -3)}999`, rows: strayed.rows.slice(0, 30) };
  const [report] = batchReports(mixed);
  const rows = mixed.rows.map((row, at) => settledCells(mixed, row, at < 20 ? MERCHANT_ID : '218812000000777777'));
  return [
    { ...transactions(last, uploading), isWhole: false },
    { ...report!, rows },
  ];
}

const seqOf = (part: number): string => String(part).padStart(3, '0');

function movementCells(movement: Movement): Cells {
  const { type, requestId, transactionId, orderId, amountMinor, currency, atMs, original, route, method } = movement;
  return [
    MERCHANT_ID,
    route.acquirer,
    referenceOf(transactionId),
    STORE,
    `${STORE}01`,
    transactionId,
    original?.transactionId ?? '',
    requestId,
    orderId,
    movement.goods,
    method.name,
    method.psp,
    type,
    stampOf(atMs),
    'CASHIER_PAYMENT',
    formatAmount(amountMinor, currency),
    currency,
    original?.requestId ?? '',
    route.country,
    method.brand,
    method.funding,
  ];
}

function settledCells({ id, route, date, unit }: Batch, row: SettledRow, customerId: string): Cells {
  const { type, requestId, transactionId, orderId, amountMinor, currency, atMs, original, method } = row.movement;
  const own = route.currency;
  const print = (minor: bigint, of: Currency) => (unit === 'minor' ? String(minor) : formatAmount(minor, of));
  const nothing = ['', ''];
  /** An amount and its currency, or nothing in both. */
  const money = (minor: bigint | null | undefined) => (minor == null ? nothing : [print(minor, own), own]);
  const isSale = method.name !== '';
  return [
    id,
    customerId,
    route.acquirer,
    referenceOf(transactionId),
    STORE,
    `${STORE}01`,
    transactionId,
    original?.transactionId ?? '',
    requestId,
    orderId,
    method.name,
    method.psp,
    type,
    stampOf(atMs),
    `${date}T03:00:00+08:00`,
    isSale ? 'CASHIER_PAYMENT' : '',
    ...(isSale ? [print(amountMinor, currency), currency] : nothing),
    ...money(row.settlementMinor),
    row.pair,
    row.price,
    ...money(row.feeMinor),
    ...money(row.taxMinor),
    ...nothing,
    ...nothing,
    ...money(row.disputeFeeMinor),
    ...nothing,
    original?.requestId ?? '',
    row.instalments > 1 ? String(row.instalments) : '',
    isSale ? route.country : '',
    method.brand,
    method.funding,
    ...money(row.breakdown?.[0]),
    ...money(row.breakdown?.[1]),
    ...money(row.breakdown?.[2]),
  ];
}

/** One row a type, and TOTAL, which is what the acquirer pays out. */
function summaryRows({ id, route, date, rows, summaryOffMinor, unit }: Batch): Cells[] {
  const own = route.currency;
  const money = (minor: bigint) => [unit === 'minor' ? String(minor) : formatAmount(minor, own), own];
  const summed = (type: string, of: readonly SettledRow[], offMinor: bigint) => {
    const sum = (what: (row: SettledRow) => bigint | null) => of.reduce((total, row) => total + (what(row) ?? 0n), 0n);
    return [
      id,
      MERCHANT_ID,
      route.acquirer,
      type,
      `${date}T03:00:00+08:00`,
      String(of.length),
      ...money(sum((row) => row.settlementMinor) + offMinor),
      ...money(sum((row) => row.feeMinor)),
      ...money(sum((row) => row.taxMinor)),
      '',
      '',
    ];
  };
  const byType = Map.groupBy(rows, ({ movement }) => movement.type);
  return [
    ...[...byType].map(([type, of]) => summed(type, of, type === 'PAYMENT' ? summaryOffMinor.type : 0n)),
    summed('TOTAL', rows, summaryOffMinor.total),
  ];
}

/** Writes the merchant's records of the week. */
export const writeRecords = (week: Week, path: string): Promise<void> => writeLines(path, recordLines(week), '\n');

function* recordLines({ records }: Week): Iterable<string> {
  yield RECORD_COLUMNS;
  for (const { requestId, type, amountMinor, currency, status, atMs, orderId, originalRequestId } of records.values()) {
    const occurredAt = `${new Date(atMs).toISOString().slice(0, 19)}Z`;
    const amount = formatAmount(amountMinor, currency);
    yield [requestId, type, amount, currency, status, occurredAt, orderId, originalRequestId].join(',');
  }
}

/** Writes one report into a folder, in its form, as of the given time. */
export async function writeReport(report: Report, folder: string, at: Date): Promise<string> {
  const { name, form, columns, rows, newline } = report;
  const path = join(folder, `${name}.${form}`);
  await mkdir(folder, { recursive: true });
  if (form === 'xlsx') await writeSheet(path, [columns, ...rows, [END]], at);
  else if (form === 'zip') {
    const text = [...linesOf(report)].map((line) => line + newline).join('');
    await writeFile(path, zipOf(`${name}.csv`, Buffer.from(text), at));
  } else await writeLines(path, linesOf(report), newline);
  await utimes(path, at, at);
  return path;
}

function* linesOf({ columns, rows, isWhole }: Report): Iterable<string> {
  for (const cells of [columns, ...rows]) yield cells.map(quoted).join(',');
  if (isWhole) yield END;
}

const referenceOf = (transactionId: string): string => `74${transactionId.slice(-12)}`;

const quoted = (text: string): string => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

async function writeLines(path: string, lines: Iterable<string>, newline: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await pipeline(Readable.from(pieces(lines, newline)), createWriteStream(path));
}

function* pieces(lines: Iterable<string>, newline: string): Iterable<string> {
  let piece = '';
  for (const line of lines) {
    piece += line + newline;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}
