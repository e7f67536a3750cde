/**
 * One settlement batch of any size, without a fault, and the records that it matches.
 *
 *     node bench/make-batch.ts <folder> [--rows 1000000]
 */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { formatAmount } from '../src/domain/money/money.ts';

export const SETTLED_COLUMNS =
  'settlementBatchId customerId acquirer acquirerReferenceNo referenceMerchantId referenceStoreId transactionId originalTransactionId transactionRequestId referenceTransactionId paymentMethodType pspName transactionType paymentTime settlementTime productCode transactionAmountValue transactionCurrency settlementAmountValue settlementCurrency quoteCurrencyPair quotePrice feeAmountValue feeCurrency taxFeeAmountValue taxFeeCurrency processingFeeAmountValue processingFeeCurrency nonGuaranteeCouponValue nonGuaranteeCouponCurrency disputeHandlingFee disputeHandlingFeeCurrency disputeReverseFee disputeReverseFeeCurrency originalTransactionRequestId installmentsNum issuingCountry cardBrand funding interchangeFeeAmountValue interchangeFeeCurrency schemeFeeAmountValue schemeFeeCurrency acquirerMarkupAmountValue acquirerMarkupCurrency'.split(
    ' ',
  );
export const SUMMARY_COLUMNS =
  'settlementBatchId customerId acquirer summaryType settlementTime count settlementAmountValue settlementCurrency feeAmountValue feeCurrency'.split(
    ' ',
  );
export const RECORD_COLUMNS = 'requestId type amount currency status occurredAt merchantId originalRequestId'.split(
  ' ',
);

export type MadeBatch = {
  /** What `reconcile` is given. */
  readonly reportsDir: string;
  /** Where the two reports lie. */
  readonly batchDir: string;
  readonly details: string;
  readonly summary: string;
  readonly recordsFile: string;
  readonly rows: number;
};

const BATCH = '202601050000001';
const CUSTOMER = '1022188000000000001';
const SETTLED_AT = '2026-01-05T02:00:00+00:00';
const DAY_START_MS = Date.UTC(2026, 0, 4);
const DAY_SECONDS = 86_400;
/** Every twentieth row is a refund of the payment before it. */
const REFUND_EVERY = 20;
const PIECE = 1 << 18;

type Row = {
  readonly no: number;
  readonly type: 'PAYMENT' | 'REFUND';
  readonly paidAt: string;
  readonly amountMinor: number;
  readonly feeMinor: number;
};

/** Writes the batch below `dir`. About 280 bytes a row, and 80 for its record. */
export async function makeBatch(dir: string, rows: number): Promise<MadeBatch> {
  const reportsDir = join(dir, 'reports');
  const batchDir = join(reportsDir, 'v1/settlements/M1/20260105');
  const details = `settlementItems_USD_${BATCH}_000.csv`;
  const summary = `settlementSummary_USD_${BATCH}_000.csv`;
  const recordsFile = join(dir, 'records.csv');
  await mkdir(batchDir, { recursive: true });
  await Promise.all([
    write(join(batchDir, details), detailsLines(rows)),
    write(join(batchDir, summary), summaryLines(rows)),
    write(recordsFile, recordLines(rows)),
  ]);
  return { reportsDir, batchDir, details, summary, recordsFile, rows };
}

const write = (path: string, lines: Iterable<string>) =>
  pipeline(Readable.from(pieces(lines), { highWaterMark: 2 }), createWriteStream(path));

/** A stream turn for every line would cost more than the line. */
function* pieces(lines: Iterable<string>): Generator<string> {
  let piece = '';
  for (const line of lines) {
    piece += `${line}\n`;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}

function rowOf(no: number, rows: number): Row {
  const isRefund = no % REFUND_EVERY === REFUND_EVERY - 1;
  // Amounts that differ from row to row, the same in every run.
  const amountMinor = isRefund ? -(100 + ((no * 7919) % 500)) : 1_000 + ((no * 7919) % 90_000);
  const paidAt = new Date(DAY_START_MS + Math.floor((no / rows) * DAY_SECONDS) * 1_000).toISOString();
  return {
    no,
    type: isRefund ? 'REFUND' : 'PAYMENT',
    paidAt: `${paidAt.slice(0, 19)}+00:00`,
    amountMinor,
    feeMinor: isRefund ? 0 : -Math.round(amountMinor * 0.025),
  };
}

const requestId = (no: number) => `req-20260104-${String(no).padStart(10, '0')}`;
const transactionId = (no: number) => `20260104190741010000000${String(no).padStart(8, '0')}`;
const usd = (minor: number) => formatAmount(BigInt(minor), 'USD');

function* detailsLines(rows: number): Generator<string> {
  yield SETTLED_COLUMNS.join(',');
  for (let no = 0; no < rows; no++) yield detailsLine(rowOf(no, rows));
  yield '<END>';
}

function detailsLine({ no, type, paidAt, amountMinor, feeMinor }: Row): string {
  const isRefund = type === 'REFUND';
  const fee = feeMinor === 0 ? ',' : `${usd(feeMinor)},USD`;
  return (
    `${BATCH},${CUSTOMER},Alipay_SG,ARN${no},,,${transactionId(no)},${isRefund ? transactionId(no - 1) : ''},` +
    `${requestId(no)},order-${no},VISA,Alipay,${type},${paidAt},${SETTLED_AT},CASHIER_PAYMENT,` +
    `${usd(amountMinor)},USD,${usd(amountMinor + feeMinor)},USD,,,${fee},,,,,,,,,,,` +
    `${isRefund ? requestId(no - 1) : ''},,US,VISA,CREDIT,,,,,,`
  );
}

function* recordLines(rows: number): Generator<string> {
  yield RECORD_COLUMNS.join(',');
  for (let no = 0; no < rows; no++) {
    const { type, paidAt, amountMinor } = rowOf(no, rows);
    const original = type === 'REFUND' ? requestId(no - 1) : '';
    yield `${requestId(no)},${type},${usd(Math.abs(amountMinor))},USD,SUCCESS,${paidAt},M1,${original}`;
  }
}

function* summaryLines(rows: number): Generator<string> {
  const sums = new Map(['PAYMENT', 'REFUND', 'TOTAL'].map((type) => [type, { count: 0, settlement: 0, fee: 0 }]));
  for (let no = 0; no < rows; no++) {
    const { type, amountMinor, feeMinor } = rowOf(no, rows);
    for (const sum of [sums.get(type)!, sums.get('TOTAL')!]) {
      sum.count += 1;
      sum.settlement += amountMinor + feeMinor;
      sum.fee += feeMinor;
    }
  }
  yield SUMMARY_COLUMNS.join(',');
  for (const [type, { count, settlement, fee }] of sums) {
    if (count > 0)
      yield `${BATCH},${CUSTOMER},Alipay_SG,${type},${SETTLED_AT},${count},${usd(settlement)},USD,${usd(fee)},USD`;
  }
  yield '<END>';
}

if (import.meta.main) {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { rows: { type: 'string' } } });
  const [dir] = positionals;
  if (dir === undefined) throw new Error('which folder? node bench/make-batch.ts <folder> [--rows 1000000]');
  console.log(await makeBatch(dir, Number(values.rows ?? 1_000_000)));
}
