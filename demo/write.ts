import { createWriteStream } from 'node:fs';
import { mkdir, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Currency } from '../src/domain/currency.ts';
import { formatAmount } from '../src/domain/money.ts';
import { type Batch, type Day, MERCHANT_ID, type Movement, type SettledRow, stampOf, type Week } from './week.ts';

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
  let files = 0;
  let rows = 0;
  const write = async (report: Report) => {
    const folder = join(reportsDir, 'v1/settlements', week.merchantId, report.date.replaceAll('-', ''));
    await writeLines(join(folder, report.name), report.lines, report.newline, cameAt(report.date));
    files += 1;
    rows += report.rows;
  };
  for (const day of week.days) await write(dayReport(day));
  for (const batch of week.batches) for (const report of batchReports(batch)) await write(report);
  for (const report of brokenReports(week)) await write(report);
  await writeLines(recordsFile, recordLines(week), '\n', null);
  return { reportsDir, recordsFile, files, rows };
}

type Report = {
  readonly date: string;
  readonly name: string;
  readonly rows: number;
  readonly lines: Iterable<string>;
  readonly newline: string;
};

/** Reports are there in the morning after. With the same time the same file is nothing new to a book that knows it. */
const cameAt = (date: string): Date => new Date(`${date}T06:30:00+08:00`);

function dayReport({ date, movements, cutOff }: Day): Report {
  const lines = withEnds(
    MOVEMENT_COLUMNS,
    movements.map((movement) => {
      const line = movementLine(movement);
      return movement === cutOff ? line.split(',').slice(0, 8).join(',') : line;
    }),
  );
  return { date, name: `transactionItems_${compact(date)}_000.csv`, rows: movements.length, lines, newline: '\n' };
}

function batchReports(batch: Batch): Report[] {
  const { id, route, date, rows, method, parts, lacks } = batch;
  const name = `${method && `${method}_`}${route.currency}_${id}`;
  const newline = NEWLINES[route.acquirer];
  const each = Math.ceil(rows.length / parts);
  const reports: Report[] = [];
  for (let part = 0; part < parts && lacks !== 'details'; part++) {
    if (lacks === 'part 001' && part === 1) continue;
    const own = rows.slice(part * each, (part + 1) * each);
    const lines = withEnds(
      SETTLED_COLUMNS,
      own.map((row) => settledLine(batch, row, MERCHANT_ID)),
    );
    reports.push({ date, name: `settlementItems_${name}_${seqOf(part)}.csv`, rows: own.length, lines, newline });
  }
  if (lacks !== 'summary') {
    const lines = withEnds(SUMMARY_COLUMNS, summaryLines(batch));
    reports.push({ date, name: `settlementSummary_${name}_000.csv`, rows: 0, lines, newline });
  }
  return reports;
}

/** A report that is still being uploaded, and one into which another merchant's rows have strayed. */
function brokenReports({ days, batches }: Week): Report[] {
  const some = days.at(-1)!.movements.slice(-40);
  const uploading = [MOVEMENT_COLUMNS.replaceAll(' ', ','), ...some.map(movementLine)];
  const strayed = batches[8]!;
  const id = `${strayed.id.slice(0, -3)}999`;
  const rows = strayed.rows.slice(0, 30);
  const mixed = rows.map((row, at) =>
    settledLine({ ...strayed, id }, row, at < 20 ? MERCHANT_ID : '218812000000777777'),
  );
  const last = batches
    .map(({ date }) => date)
    .sort()
    .at(-1)!;
  return [
    {
      date: last,
      name: `transactionItems_${compact(last)}_000.csv`,
      rows: some.length,
      lines: uploading,
      newline: '\n',
    },
    {
      date: strayed.date,
      name: `settlementItems_${strayed.route.currency}_${id}_000.csv`,
      rows: rows.length,
      lines: withEnds(SETTLED_COLUMNS, mixed),
      newline: NEWLINES[strayed.route.acquirer],
    },
  ];
}

const compact = (date: string): string => date.replaceAll('-', '');
const seqOf = (part: number): string => String(part).padStart(3, '0');

function* withEnds(columns: string, lines: Iterable<string>): Iterable<string> {
  yield columns.replaceAll(' ', ',');
  yield* lines;
  yield '<END>';
}

function movementLine(movement: Movement): string {
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
    quoted(movement.goods),
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
  ].join(',');
}

function settledLine({ id, route, date, unit }: Batch, row: SettledRow, customerId: string): string {
  const { type, requestId, transactionId, orderId, amountMinor, currency, atMs, original, method } = row.movement;
  const own = route.currency;
  const print = (minor: bigint, of: Currency) => (unit === 'minor' ? String(minor) : formatAmount(minor, of));
  /** Two cells: an amount and its currency, or nothing in both. */
  const money = (minor: bigint | null | undefined) => (minor == null ? ',' : `${print(minor, own)},${own}`);
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
    isSale ? `${print(amountMinor, currency)},${currency}` : ',',
    money(row.settlementMinor),
    row.pair,
    row.price,
    money(row.feeMinor),
    money(row.taxMinor),
    ',',
    ',',
    money(row.disputeFeeMinor),
    ',',
    original?.requestId ?? '',
    row.instalments > 1 ? row.instalments : '',
    isSale ? route.country : '',
    method.brand,
    method.funding,
    money(row.breakdown?.[0]),
    money(row.breakdown?.[1]),
    money(row.breakdown?.[2]),
  ].join(',');
}

/** One line a type, and TOTAL, which is what the acquirer pays out. */
function summaryLines({ id, route, date, rows, summaryOffMinor, unit }: Batch): string[] {
  const own = route.currency;
  const print = (minor: bigint) => `${unit === 'minor' ? minor : formatAmount(minor, own)},${own}`;
  const line = (type: string, of: readonly SettledRow[], offMinor: bigint) => {
    const sum = (what: (row: SettledRow) => bigint | null) => of.reduce((total, row) => total + (what(row) ?? 0n), 0n);
    return [
      id,
      MERCHANT_ID,
      route.acquirer,
      type,
      `${date}T03:00:00+08:00`,
      of.length,
      print(sum((row) => row.settlementMinor) + offMinor),
      print(sum((row) => row.feeMinor)),
      print(sum((row) => row.taxMinor)),
      ',',
    ].join(',');
  };
  const byType = Map.groupBy(rows, ({ movement }) => movement.type);
  return [
    ...[...byType].map(([type, of]) => line(type, of, type === 'PAYMENT' ? summaryOffMinor.type : 0n)),
    line('TOTAL', rows, summaryOffMinor.total),
  ];
}

function* recordLines({ records }: Week): Iterable<string> {
  yield RECORD_COLUMNS;
  for (const { requestId, type, amountMinor, currency, status, atMs, orderId, originalRequestId } of records.values()) {
    const occurredAt = `${new Date(atMs).toISOString().slice(0, 19)}Z`;
    const amount = formatAmount(amountMinor, currency);
    yield [requestId, type, amount, currency, status, occurredAt, orderId, originalRequestId].join(',');
  }
}

const referenceOf = (transactionId: string): string => `74${transactionId.slice(-12)}`;

const quoted = (text: string): string => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

async function writeLines(path: string, lines: Iterable<string>, newline: string, at: Date | null): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await pipeline(Readable.from(pieces(lines, newline)), createWriteStream(path));
  if (at) await utimes(path, at, at);
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
