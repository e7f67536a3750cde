/**
 * What `reconcile --json` must answer, worked out a second time from CONTRACT.md alone: everything in memory, one plain
 * pass per rule, nothing shared with src. Slow on purpose where slow is easier to believe. CSV and the format `apo` only.
 */
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import {
  type Answer,
  BATCH_OR_DAY,
  type BatchAnswer,
  type Coverage,
  compareBy,
  compareValues,
  type DayAnswer,
  type DiscrepancyAnswer,
  type DiscrepancyTotal,
  type ReportAnswer,
  type ReportKind,
  type Sums,
} from './answer.ts';

export type OracleOptions = {
  merchant?: string | undefined;
  amountUnit?: 'major' | 'minor' | undefined;
  timeZone?: string | undefined;
  toleranceMinor?: number | undefined;
  lookbackDays?: number | undefined;
  /** What the bank's statements tell beside the reports, by what the rows of a batch settle. */
  bank?: ((settled: SettledOf) => readonly BankTold[]) | undefined;
};
export type SettledOf = (batchId: string) => { readonly minor: bigint; readonly currency: string };

export type BankTold = {
  /** What is left out is null. */
  readonly discrepancy: Partial<DiscrepancyAnswer> & Pick<DiscrepancyAnswer, 'kind' | 'merchantId'>;
  readonly stake: Stake;
};

/** Digits after the point, for the currencies our tests use. Anything else is "not ISO 4217" here. */
export const DIGITS: Record<string, number> = {
  AUD: 2,
  BHD: 3,
  BRL: 2,
  CAD: 2,
  CHF: 2,
  CLP: 0,
  CNY: 2,
  EUR: 2,
  GBP: 2,
  HKD: 2,
  HUF: 2,
  IDR: 2,
  IQD: 3,
  JOD: 3,
  JPY: 0,
  KRW: 0,
  KWD: 3,
  MYR: 2,
  OMR: 3,
  PHP: 2,
  SGD: 2,
  THB: 2,
  USD: 2,
  VND: 0,
};

const LARGEST_MINOR = 9n * 10n ** 18n;
const LONGEST_ROW = 1 << 20;

// ---------------------------------------------------------------------------------------------------------------- text

/**
 * UTF-8 where the whole file is that, or its mark says so, or more of its characters of three bytes and more are than are broken; else
 * GB18030 where the whole file is that, else UTF-8 with holes; null for UTF-16.
 */
/** Nobody has said anything yet of what is read for the first time. */
const NOTHING_ACCEPTED = { count: 0, amounts: [] };

export function decode(bytes: Uint8Array): string | null {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) return null;
  const isMarked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const utf8 = new TextDecoder('utf-8').decode(bytes); // takes the byte order mark away
  const printed = Buffer.from(bytes).toString('latin1').split('\xef\xbf\xbd').length - 1;
  const broken = utf8.split('\ufffd').length - 1 - printed;
  if (isMarked || broken === 0) return utf8;
  const wide = [...utf8].filter((character) => character !== '\ufffd' && character >= '\u0800').length + printed;
  if (wide > broken) return utf8;
  try {
    return new TextDecoder('gb18030', { fatal: true }).decode(bytes);
  } catch {
    return utf8;
  }
}

/** `cells` is null for bad quoting and for a row that is too long; `raw` is the row's text without its line end. */
type CsvRecord = { line: number; raw: string; cells: string[] | null };

/** The contract's own quote rules: a quote counts at the start of a cell only; a bad one costs its row and no other. */
export function* csvRecords(text: string): Generator<CsvRecord> {
  let at = 0;
  let line = 1;
  while (at < text.length) {
    const start = at;
    let cells: string[] | null = [];
    for (;;) {
      const quoted = text[at] === '"';
      const end = quoted ? closingQuote(text, at, start) : endOf(/[,\r\n]/g, text, at);
      if (end < 0) {
        at = endOf(/[\r\n]/g, text, at);
        cells = null;
        break;
      }
      cells.push(quoted ? text.slice(at + 1, end).replaceAll('""', '"') : text.slice(at, end));
      at = quoted ? end + 1 : end;
      if (text[at] !== ',') break;
      at += 1;
    }
    const raw = text.slice(start, at);
    const firstLine = line;
    line += raw.match(/\r\n|\r|\n/g)?.length ?? 0;
    line += 1;
    at += text.startsWith('\r\n', at) ? 2 : 1;
    if (raw.trim() === '') continue;
    yield { line: firstLine, raw, cells: tooLong(raw) ? null : cells };
  }
}

function endOf(stop: RegExp, text: string, from: number): number {
  stop.lastIndex = from;
  return stop.exec(text)?.index ?? text.length;
}

/** Where the quote that opens at `open` closes, or -1: never, not within 1 MiB of its row, or with more text behind it. */
function closingQuote(text: string, open: number, rowStart: number): number {
  for (let at = text.indexOf('"', open + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    if (text[at + 1] === '"') at += 1;
    else {
      const next = text[at + 1];
      const closes = next === undefined || next === ',' || next === '\r' || next === '\n';
      return closes && !tooLong(text.slice(rowStart, at)) ? at : -1;
    }
  }
  return -1;
}

const tooLong = (raw: string) => raw.length * 3 > LONGEST_ROW && Buffer.byteLength(raw) > LONGEST_ROW;

/** A trimmed cell; blank, `null` and `none` are absent. */
function present(cell: string | undefined): string | null {
  const text = cell?.trim() ?? '';
  return text === '' || /^(null|none)$/i.test(text) ? null : text;
}

/** Raw text of a refused cell. An empty one is null, and a NUL is shown as U+FFFD. */
const shown = (cell: string | undefined) => cell?.trim().replaceAll('\0', '\ufffd') ?? null;

// --------------------------------------------------------------------------------------------------------------- money

/** The amount in minor units, or null where the text is no amount of this currency. */
export function parseAmount(text: string, currency: string, unit: 'major' | 'minor'): bigint | null {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) return null;
  const digits = unit === 'minor' ? 0 : DIGITS[currency]!;
  const decimals = (match[3] ?? '').replace(/0+$/, '');
  if (decimals.length > digits) return null;
  const magnitude = BigInt(match[2]! + decimals.padEnd(digits, '0'));
  if (magnitude > LARGEST_MINOR) return null;
  return match[1] ? -magnitude : magnitude;
}

export function printAmount(minor: bigint, currency: string): string {
  const digits = DIGITS[currency]!;
  const text = abs(minor)
    .toString()
    .padStart(digits + 1, '0');
  const whole = text.slice(0, text.length - digits);
  return (minor < 0n ? '-' : '') + whole + (digits ? `.${text.slice(text.length - digits)}` : '');
}

const abs = (n: bigint) => (n < 0n ? -n : n);
const sum = (numbers: Iterable<bigint | null>) => [...numbers].reduce<bigint>((total, n) => total + (n ?? 0n), 0n);

/** A fraction to the nearest whole number, halves to the even one. */
export function halfEven(numerator: bigint, denominator: bigint): bigint {
  const negative = numerator < 0n !== denominator < 0n;
  const n = abs(numerator);
  const d = abs(denominator);
  let whole = n / d;
  const twice = (n % d) * 2n;
  if (twice > d || (twice === d && whole % 2n === 1n)) whole += 1n;
  return negative ? -whole : whole;
}

/** Amount × price for a pair `L/R` with the transaction in L, ÷ with it in R; null where pair and price do not fit. */
function convert(row: Row): bigint | null {
  const { amount, currency, settlementCurrency: to } = row;
  if (amount === null || currency === null || to === null) return null;
  if (currency === to) return amount;
  const price = /^(\d+)(?:\.(\d+))?$/.exec(row.quotePrice ?? '');
  if (!price) return null;
  const priceUnits = BigInt(price[1]! + (price[2] ?? ''));
  if (priceUnits === 0n) return null;
  const scale = 10n ** BigInt((price[2] ?? '').length);
  const up = 10n ** BigInt(DIGITS[to]!);
  const down = 10n ** BigInt(DIGITS[currency]!);
  if (row.quotePair === `${currency}/${to}`) return halfEven(amount * priceUnits * up, scale * down);
  if (row.quotePair === `${to}/${currency}`) return halfEven(amount * scale * up, priceUnits * down);
  return null;
}

// ---------------------------------------------------------------------------------------------------------------- time

/** The instant in milliseconds, or null: ISO 8601 with an offset, from 2000 to 2100. */
function parseTime(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/.test(text)) return null;
  const year = Number(text.slice(0, 4));
  const time = Date.parse(text.replace(' ', 'T'));
  const lastDay = new Date(Date.UTC(year, Number(text.slice(5, 7)), 0)).getUTCDate();
  if (Number.isNaN(time) || Number(text.slice(8, 10)) > lastDay || year < 2000 || year > 2100) return null;
  return time;
}

/** Making one takes longer than what it is made for. */
const clocks = new Map<string, Intl.DateTimeFormat>();

function dayOf(time: number, timeZone: string): string {
  let clock = clocks.get(timeZone);
  if (!clock) {
    clock = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
    clocks.set(timeZone, clock);
  }
  return clock.format(time);
}

const daysBetween = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 86_400_000;
const nextDay = (day: string, days: number) => new Date(Date.parse(day) + days * 86_400_000).toISOString().slice(0, 10);

// ------------------------------------------------------------------------------------------------------------- reports

const SETTLEMENT_FEES = {
  taxFeeAmountValue: 'taxFeeCurrency',
  processingFeeAmountValue: 'processingFeeCurrency',
  nonGuaranteeCouponValue: 'nonGuaranteeCouponCurrency',
  disputeHandlingFee: 'disputeHandlingFeeCurrency',
  disputeReverseFee: 'disputeReverseFeeCurrency',
};
const BREAKDOWN = {
  interchangeFeeAmountValue: 'interchangeFeeCurrency',
  schemeFeeAmountValue: 'schemeFeeCurrency',
  acquirerMarkupAmountValue: 'acquirerMarkupCurrency',
};
/** Each amount column with its currency column. */
const AMOUNTS: Record<ReportKind, Record<string, string>> = {
  transactionDetails: { transactionAmountValue: 'transactionCurrency' },
  settlementDetails: {
    transactionAmountValue: 'transactionCurrency',
    settlementAmountValue: 'settlementCurrency',
    convertedTransactionAmountValue: 'convertedCurrency',
    feeAmountValue: 'feeCurrency',
    ...SETTLEMENT_FEES,
    ...BREAKDOWN,
  },
  settlementSummary: {
    settlementAmountValue: 'settlementCurrency',
    feeAmountValue: 'feeCurrency',
    ...SETTLEMENT_FEES,
    ...BREAKDOWN,
  },
};
const CURRENCY_COLUMNS = Object.fromEntries(
  Object.entries(AMOUNTS).map(([kind, columns]) => [kind, new Set(Object.values(columns))]),
);
const NEEDED: Record<ReportKind, string[]> = {
  transactionDetails: [
    'transactionType',
    'transactionRequestId',
    'transactionAmountValue',
    'transactionCurrency',
    'paymentTime',
  ],
  settlementDetails: [
    'settlementBatchId',
    'transactionType',
    'transactionId',
    'transactionRequestId',
    'transactionAmountValue',
    'transactionCurrency',
    'settlementAmountValue',
    'settlementCurrency',
  ],
  settlementSummary: ['settlementBatchId', 'settlementAmountValue', 'settlementCurrency'],
};

type Name = { kind: ReportKind; psp: string; currency: string | null; batchId: string | null; seq: string };

function readName(name: string): Name | null {
  const day = /^transactionItems_(\d{8})_(\d{3})\.csv$/.exec(name);
  if (day) return { kind: 'transactionDetails', psp: '', currency: null, batchId: null, seq: day[2]! };
  const batch = /^settlement(Items|Summary)_(?:(.+)_)?([A-Z]{3})_([^_]+)_(\d{3})\.csv$/.exec(name);
  if (!batch) return null;
  const kind = batch[1] === 'Items' ? 'settlementDetails' : 'settlementSummary';
  return { kind, psp: batch[2] ?? '', currency: batch[3]!, batchId: batch[4]!, seq: batch[5]! };
}

/** One reported row that could be read. `told` once any discrepancy names its file and line. */
type Row = {
  file: string;
  line: number;
  type: string;
  transactionId: string | null;
  requestId: string | null;
  originalTransactionId: string | null;
  originalRequestId: string | null;
  amount: bigint | null;
  currency: string | null;
  settlementAmount: bigint | null;
  settlementCurrency: string | null;
  /** Whether `settlementAmount` was printed, or stands for the fee of a DEFAULT row. */
  settled: boolean;
  converted: bigint | null;
  quotePair: string | null;
  quotePrice: string | null;
  feeAmount: bigint | null;
  /** What is added to the gross, signed so that adding is right. */
  fees: { minor: bigint; currency: string }[];
  breakdown: bigint | null;
  count: bigint;
  countPrinted: boolean;
  acquirer: string | null;
  customerId: string | null;
  paymentTime: number | null;
  settlementTime: number | null;
  installments: number;
  duplicate: boolean;
  told: boolean;
  /** A word of `status` that stands in neither list; blank where nothing stands. */
  strangeStatus: string | null;
  /** Set where it is not done: the word, and the ids it has, under which nothing may be found. */
  notDone: { word: string; requestId: string | null; transactionId: string | null; settles: boolean } | null;
};

const NOT_DONE = ['FAIL', 'FAILED', 'PROCESSING', 'PENDING', 'CANCELLED', 'CANCELED'];

type RefusedRow = { line: number; field: string | null; reported: string | null };

/** One file. Its `rows` and `refused` are empty unless it is closed. */
type Report = {
  file: string;
  path: string;
  name: Name | null;
  merchantId: string;
  date: string | null;
  bytes: Buffer;
  state: ReportAnswer['state'];
  error: string | null;
  revision: number;
  rows: Row[];
  refused: RefusedRow[];
  columns: string[];
  /** A column that a check lacks, and the first one that could be it. */
  unread: { lacks: string; unread: string } | null;
};

type Reading = Pick<Report, 'state' | 'error' | 'rows' | 'refused' | 'columns' | 'unread'>;

/** Every column that FORMATS.md lists for the older layout, and what else a report of it may print. */
const KNOWN =
  'customerId acquirer PSP acquirerReferenceNo ARN referenceMerchantId referenceStoreId transactionId originalTransactionId transactionRequestId referenceTransactionId orderDescription paymentMethodType pspName wallet transactionType paymentTime productCode transactionAmountValue transactionCurrency originalTransactionRequestId issuingCountry cardBrand funding settlementBatchId settlementTime settlementAmountValue settlementCurrency quoteCurrencyPair quotePrice feeAmountValue feeCurrency taxFeeAmountValue taxFeeCurrency processingFeeAmountValue processingFeeCurrency nonGuaranteeCouponValue nonGuaranteeCouponCurrency disputeHandlingFee disputeHandlingFeeCurrency disputeReverseFee disputeReverseFeeCurrency installmentsNum interchangeFeeAmountValue interchangeFeeCurrency schemeFeeAmountValue schemeFeeCurrency acquirerMarkupAmountValue acquirerMarkupCurrency summaryType count convertedTransactionAmountValue convertedCurrency status'.split(
    ' ',
  );

/** The names here speak for themselves: what is a number throughout, and not zero throughout, may be what is lacking. */
function unreadIn(kind: ReportKind, columns: string[], data: CsvRecord[], refused: RefusedRow[]): Report['unread'] {
  const rows = data.filter(({ line }) => !refused.some((row) => row.line === line));
  const holds = (column: string, number: RegExp) => {
    const cells = rows.map(({ cells }) => present(cells![columns.indexOf(column)])).filter((cell) => cell !== null);
    const plain = cells.map((cell) => (/^-?\d{1,3}(,\d{3})+(\.\d+)?$/.test(cell) ? cell.replaceAll(',', '') : cell));
    return plain.every((cell) => number.test(cell)) && plain.some((cell) => Number(cell) !== 0);
  };
  const others = columns.filter((column) => column !== '' && !KNOWN.includes(column));
  const none = (...names: string[]) => !names.some((name) => columns.includes(name));
  const parts = ['interchangeFee', 'schemeFee', 'acquirerMarkup'];
  const part = none(...parts.map((name) => `${name}AmountValue`)) && parts.find((name) => !none(`${name}Currency`));
  const converted = 'convertedTransactionAmountValue';
  const lacking = {
    settlementSummary: ['count', 'feeAmountValue'].filter((name) => none(name)),
    settlementDetails: [
      ...['feeAmountValue'].filter((name) => none(name)),
      // These need not be there; with their currency alone they are missed.
      ...(part ? [`${part}AmountValue`] : []),
      ...(none(converted) && !none('convertedCurrency') ? [converted] : []),
    ],
    transactionDetails: [],
  };
  for (const lacks of lacking[kind]) {
    const unread = others.find((column) => holds(column, lacks === 'count' ? /^\d+$/ : /^-?\d+(\.\d+)?$/));
    if (unread !== undefined) return { lacks, unread };
  }
  return null;
}

const notRead = (error: string, state: 'refused' | 'waiting' = 'refused'): Reading => ({
  state,
  error,
  rows: [],
  refused: [],
  columns: [],
  unread: null,
});

function readReport({ name, bytes, file }: Report, unit: 'major' | 'minor'): Reading {
  if (!name) return notRead('unknown_format');
  const text = decode(bytes);
  if (text === null) return notRead('bad_encoding');
  const records = [...csvRecords(text)];
  const end = records.findIndex(
    ({ cells }) => cells?.[0]?.trim() === '<END>' && cells.slice(1).every((c) => !c.trim()),
  );
  if (end < 0) return notRead('no_end', 'waiting');
  const [header, ...data] = records.slice(0, end);
  if (!header) return notRead('no_header');
  if (header.cells === null) return notRead(tooLong(header.raw) ? 'row_too_long' : 'no_header');
  const columns = header.cells.map((cell) => cell.trim());
  const named = columns.filter(Boolean);
  if (new Set(named).size < named.length) return notRead('duplicate_columns');
  if (NEEDED[name.kind].some((column) => !columns.includes(column))) return notRead('missing_columns');
  if (end < records.length - 1) return notRead('rows_after_end');

  const rows: Row[] = [];
  const refused: RefusedRow[] = [];
  for (const record of data) {
    const result = readRow(file, name, columns, record, unit);
    if ('refused' in result) refused.push({ line: record.line, ...result.refused });
    else rows.push(result.row);
  }
  if (new Set(rows.map((row) => row.customerId).filter(Boolean)).size > 1) return notRead('mixed_merchants');
  const unread = unreadIn(name.kind, columns, data, refused);
  return { state: 'closed', error: null, rows, refused, columns, unread };
}

function readRow(
  file: string,
  name: Name,
  columns: string[],
  { line, raw, cells }: CsvRecord,
  unit: 'major' | 'minor',
): { row: Row } | { refused: Omit<RefusedRow, 'line'> } {
  const no = (field: string | null, reported: string | null) => ({ refused: { field, reported } });
  if (!cells || cells.slice(columns.length).some((cell) => cell.trim()))
    return no(null, shown([...raw].slice(0, 200).join('')));
  if (cells.length < columns.length) return no(columns[cells.length]!, null);
  const nul = cells.findIndex((cell) => cell.includes('\0'));
  if (nul >= 0) return no(columns[nul]!, shown(cells[nul]));

  const { kind, currency: nameCurrency, batchId } = name;
  const raws = new Map(columns.map((column, i) => [column, cells[i]!]));
  const cell = (column: string) => present(raws.get(column));
  const bad = (column: string) => no(column, shown(raws.get(column)));
  const summary = kind === 'settlementSummary';
  const type = cell(summary ? 'summaryType' : 'transactionType');
  const amounts = AMOUNTS[kind];
  const minor = new Map<string, bigint>();
  const currencyOf = (column: string) => {
    const printed = cell(amounts[column]!);
    return amounts[column] === 'settlementCurrency' ? (printed ?? nameCurrency) : printed;
  };

  for (const column of columns) {
    const value = cell(column);
    if (column === 'settlementBatchId' && value !== null && value !== batchId) return bad(column);
    if (column === 'settlementCurrency' && value !== null && value !== nameCurrency) return bad(column);
    if (CURRENCY_COLUMNS[kind]!.has(column) && value !== null && !(value in DIGITS)) return bad(column);
    if ((column === 'paymentTime' || column === 'settlementTime') && value !== null && parseTime(value) === null)
      return bad(column);
    if (column === 'transactionType' && value === null && !summary) return bad(column);
    if (summary && column === 'count' && value !== null && !/^\d+$/.test(value)) return bad(column);
    if (!(column in amounts) || value === null) continue;
    const currency = currencyOf(column);
    if (currency === null || !(currency in DIGITS)) return bad(amounts[column]!);
    const amount = parseAmount(value, currency, unit);
    if (amount === null) return bad(column);
    minor.set(column, amount);
  }

  const requestId = cell('transactionRequestId');
  const originalTransactionId = cell('originalTransactionId');
  const originalRequestId = cell('originalTransactionRequestId');
  const feeAmount = minor.get('feeAmountValue') ?? null;
  const printed = minor.get('settlementAmountValue') ?? null;
  const printedStatus = summary ? undefined : raws.get('status')?.trim();
  const status = printedStatus === undefined ? 'SUCCESS' : (cell('status') ?? '').toUpperCase();
  const done = !NOT_DONE.includes(status);
  if (
    !summary &&
    done &&
    (requestId ?? originalTransactionId ?? originalRequestId) &&
    !minor.has('transactionAmountValue')
  )
    return bad('transactionAmountValue');
  if (kind !== 'transactionDetails' && done && printed === null && !(type === 'DEFAULT' && feeAmount !== null))
    return bad('settlementAmountValue');

  const acquirer = cell('acquirer');
  const charges = (column: string) =>
    acquirer === 'Hundsun' && (column === 'feeAmountValue' || column === 'taxFeeAmountValue');
  const fees = ['feeAmountValue', ...Object.keys(SETTLEMENT_FEES)].flatMap((column) => {
    const value = minor.get(column);
    if (value === undefined) return [];
    const deducted = charges(column) || column === 'nonGuaranteeCouponValue';
    return [{ minor: deducted ? -value : value, currency: currencyOf(column)! }];
  });
  const parts = Object.keys(BREAKDOWN).filter((column) => minor.has(column));
  const time = (column: string) => (cell(column) === null ? null : parseTime(cell(column)!));
  const row: Row = {
    file,
    line,
    type: type ?? '',
    transactionId: cell('transactionId'),
    requestId,
    originalTransactionId,
    originalRequestId,
    amount: minor.get('transactionAmountValue') ?? null,
    currency: cell('transactionCurrency'),
    settlementAmount: printed ?? (type === 'DEFAULT' ? feeAmount : null),
    settlementCurrency: kind === 'transactionDetails' ? null : nameCurrency,
    settled: printed !== null,
    converted: minor.get('convertedTransactionAmountValue') ?? null,
    quotePair: cell('quoteCurrencyPair'),
    quotePrice: cell('quotePrice'),
    feeAmount: feeAmount !== null && currencyOf('feeAmountValue') === nameCurrency ? feeAmount : null,
    fees,
    breakdown: parts.length ? sum(parts.map((column) => minor.get(column)!)) : null,
    count: BigInt(summary ? (cell('count') ?? '0') : '1'),
    countPrinted: cell('count') !== null,
    acquirer,
    customerId: cell('customerId'),
    paymentTime: time('paymentTime'),
    settlementTime: time('settlementTime'),
    installments: Number(cell('installmentsNum') ?? '0'),
    duplicate: false,
    told: false,
    strangeStatus: done && status !== 'SUCCESS' ? printedStatus! : null,
    notDone: null,
  };
  if (done) return { row };
  const nobody = { transactionId: null, requestId: null, originalTransactionId: null, originalRequestId: null };
  const nothing = { settlementAmount: null, feeAmount: null, fees: [], breakdown: null, settled: false };
  const notDone = { word: printedStatus!, requestId, transactionId: row.transactionId, settles: !!printed };
  return { row: { ...row, ...nobody, ...nothing, notDone } };
}

// -------------------------------------------------------------------------------------------------------------- ledger

type LedgerRecord = {
  merchantId: string;
  type: string;
  requestId: string;
  amount: bigint;
  currency: string;
  status: string;
  time: number;
  originalRequestId: string | null;
};
type Ledger = { records: Map<string, LedgerRecord>; bad: number; merchants: Set<string> };

const RECORD_TYPES = ['PAYMENT', 'AUTHORIZATION', 'CAPTURE', 'REFUND', 'CANCEL', 'VOID'];
const STATUSES = ['SUCCESS', 'PENDING', 'FAILED', 'CANCELLED'];
const keyOf = (...parts: (string | null)[]) => JSON.stringify(parts);

/** Records whose merchant is blank keep '' until the only merchant is known. */
function readLedger(path: string): Ledger {
  const [header, ...data] = [...csvRecords(decode(readFileSync(path)) ?? '')];
  const columns = header?.cells?.map((cell) => cell.trim()) ?? [];
  const ledger: Ledger = { records: new Map(), bad: 0, merchants: new Set() };
  for (const { cells } of data) {
    const cell = (column: string) => present(cells?.[columns.indexOf(column)]);
    const currency = cell('currency') ?? '';
    const text = cell('amount') ?? cell('amountMinor') ?? '';
    const amount = currency in DIGITS ? parseAmount(text, currency, cell('amount') ? 'major' : 'minor') : null;
    const time = parseTime(cell('occurredAt') ?? '');
    const record = {
      merchantId: cell('merchantId') ?? '',
      type: cell('type') ?? '',
      requestId: cell('requestId') ?? '',
      amount: amount ?? -1n,
      currency,
      status: cell('status') ?? '',
      time: time ?? 0,
      originalRequestId: cell('originalRequestId'),
    };
    const known = RECORD_TYPES.includes(record.type) && STATUSES.includes(record.status) && record.requestId;
    const key = keyOf(record.merchantId, record.type, record.requestId);
    const older = ledger.records.get(key);
    const same = !older || Object.entries(record).every(([name, value]) => older[name as keyof LedgerRecord] === value);
    if (!known || amount === null || amount < 0n || time === null || !same) ledger.bad += 1;
    else ledger.records.set(key, record);
    if (record.merchantId) ledger.merchants.add(record.merchantId);
  }
  return ledger;
}

// -------------------------------------------------------------------------------------------------------------- answer

/** A settlement batch or a transaction day. `details` and `summary` are the closed parts in order. */
type Unit = {
  merchantId: string;
  batchId: string | null;
  currency: string | null;
  date: string | null;
  details: Report[];
  summary: Report[];
  missing: { kind: ReportKind; seq: string }[];
  unitWrong: boolean;
  open: boolean;
};

type Stake = { minor: bigint; currency: string } | null;
/** Of a discrepancy beside its kind and merchant. */
const NOTHING_SAID = {
  settlementBatchId: null,
  transactionDate: null,
  file: null,
  line: null,
  type: null,
  requestId: null,
  transactionId: null,
  field: null,
  reported: null,
  recorded: null,
  difference: null,
  currency: null,
  message: '',
};
type Finding = { unit: Unit | null; discrepancy: DiscrepancyAnswer; stake: Stake };

const NO_RECORD =
  /^(SETTLEMENT_FEE|ADJUSTMENT_FEE|COLLATERAL_(WITHHOLDING|WITHHELD|RELEASE|RELEASED)|RESERVE(_WITHHOLDING|_RELEASE|_RELEASED)?|DEFAULT)$/;
const OWN_KEY = ['PAYMENT', 'AUTHORIZATION', 'REFUND', 'CANCEL', 'VOID', 'CAPTURE'];
const REVERSALS = ['PAYMENT_REVERSAL', 'REFUND_REVERSAL'];
const DISPUTES = ['DISPUTE', 'DISPUTE_REVERSAL', 'RAPID_DISPUTE_RESOLUTION', 'CDRN'];
const PAYMENTS = ['PAYMENT', 'CAPTURE', 'AUTHORIZATION'];

/** How a row finds its record: by its own key, by its original's, or not at all. */
function matching(row: Row): 'own' | 'original' | 'none' {
  if (NO_RECORD.test(row.type)) return 'none';
  if (OWN_KEY.includes(row.type)) return 'own';
  if (REVERSALS.includes(row.type) || DISPUTES.includes(row.type)) return 'original';
  if (row.requestId) return 'own';
  return row.originalRequestId || row.originalTransactionId ? 'original' : 'none';
}

export function expectedAnswer(paths: string[], ledgerFile: string, options: OracleOptions = {}): Answer {
  const { amountUnit = 'major', timeZone = 'Asia/Shanghai', toleranceMinor = 2, lookbackDays = 120 } = options;
  const tolerance = BigInt(toleranceMinor);
  const ledger = readLedger(ledgerFile);
  const { reports, skipped } = findReports(paths);
  const records = nameMerchants(reports, ledger, options.merchant);
  const isSomebodys = ({ merchantId, name }: Report) => merchantId !== '' || !name;
  for (const report of reports)
    Object.assign(report, isSomebodys(report) ? readReport(report, amountUnit) : notRead('unclear_merchant'));
  const current = setRevisions(reports.filter(isSomebodys));
  const units = gather(current, timeZone);
  const batches = units.filter((unit) => unit.batchId !== null);
  const days = units.filter((unit) => unit.batchId === null);
  const told: Finding[] = [];

  const rowsOf = (unit: Unit) => unit.details.flatMap((report) => report.rows);
  const record = (unit: Unit, types: string[], id: string | null) =>
    types.map((type) => records.get(keyOf(unit.merchantId, type, id))).find((found) => found !== undefined);

  // What the merchant's reports say elsewhere: who has a transactionId, and which payments were cancelled.
  const requestIdOf = new Map<string, string>();
  for (const unit of units)
    for (const row of rowsOf(unit)) {
      const key = keyOf(unit.merchantId, row.transactionId);
      if (row.transactionId && row.requestId && !requestIdOf.has(key)) requestIdOf.set(key, row.requestId);
    }
  const originalOf = (unit: Unit, row: Row) =>
    row.originalRequestId ?? requestIdOf.get(keyOf(unit.merchantId, row.originalTransactionId)) ?? null;
  const cancelled = new Set<string>();
  for (const { type, merchantId, originalRequestId } of records.values())
    if (type === 'CANCEL' || type === 'VOID') cancelled.add(keyOf(merchantId, originalRequestId));
  for (const unit of units)
    for (const row of rowsOf(unit))
      if (row.type === 'CANCEL' || row.type === 'VOID') cancelled.add(keyOf(unit.merchantId, originalOf(unit, row)));

  function tell(kind: string, unit: Unit, more: Partial<DiscrepancyAnswer>, stake: Stake = null): void {
    unit.open = true;
    const discrepancy: DiscrepancyAnswer = {
      ...NOTHING_SAID,
      kind,
      merchantId: unit.merchantId,
      settlementBatchId: unit.batchId,
      transactionDate: unit.batchId === null ? unit.date : null,
      ...more,
    };
    told.push({ unit, discrepancy, stake });
  }
  function tellRow(kind: string, unit: Unit, row: Row, more: Partial<DiscrepancyAnswer>, stake: Stake = null): void {
    row.told = true;
    const { file, line, type, requestId, transactionId } = row;
    tell(kind, unit, { file, line, type, requestId, transactionId, ...more }, stake);
  }
  /** Both sides as amounts of one currency, their difference, and that difference at stake. */
  function sides(
    reported: bigint | null,
    recorded: bigint | null,
    currency: string,
  ): [Partial<DiscrepancyAnswer>, Stake] {
    const difference = reported === null || recorded === null ? null : reported - recorded;
    const print = (minor: bigint | null) => (minor === null ? null : printAmount(minor, currency));
    const texts = { reported: print(reported), recorded: print(recorded), difference: print(difference), currency };
    return [texts, difference === null ? null : { minor: abs(difference), currency }];
  }
  function stakeOf(row: Row): Stake {
    if (row.settlementAmount !== null) return { minor: abs(row.settlementAmount), currency: row.settlementCurrency! };
    return row.amount === null ? null : { minor: abs(row.amount), currency: row.currency! };
  }

  // Row by row.
  const found = new Map<Row, LedgerRecord>();
  for (const unit of units) {
    const rows = rowsOf(unit);
    for (const { file, unread } of [...unit.details, ...unit.summary])
      if (unread) tell('unread_column', unit, { file, line: 1, field: unread.lacks, reported: unread.unread });
    for (const report of [...unit.details, ...unit.summary])
      for (const { line, field, reported } of report.refused)
        tell('refused_row', unit, { file: report.file, line, field, reported });

    const seen = new Set<string>();
    for (const row of rows) {
      if (!row.requestId && !row.transactionId) continue;
      const { type, transactionId, requestId } = row;
      const { originalRequestId, originalTransactionId, amount, currency, settlementAmount, feeAmount } = row;
      const amounts = [amount, settlementAmount, feeAmount].map((minor) => minor?.toString() ?? null);
      const others = [originalRequestId, originalTransactionId, ...amounts, currency, `${row.paymentTime}`];
      // In a day one key is one movement, whatever the provider calls it.
      const isOneOfDay = unit.batchId === null && requestId;
      const key = isOneOfDay
        ? keyOf('of the day', type, requestId)
        : keyOf(type, transactionId, requestId, ...(requestId ? [] : others));
      row.duplicate = seen.has(key);
      seen.add(key);
      if (row.duplicate) tellRow('duplicate_row', unit, row, {}, stakeOf(row));
    }

    const compared = rows.filter((row) => !row.duplicate && !row.notDone);
    for (const row of compared)
      if (row.strangeStatus !== null)
        tellRow('unknown_status', unit, row, { field: 'status', reported: row.strangeStatus });
    for (const row of rows) {
      if (!row.notDone?.settles || !OWN_KEY.includes(row.type)) continue;
      const { word, requestId, transactionId } = row.notDone;
      const settledAllTheSame = compared.some((other) => other.type === row.type && other.requestId === requestId);
      if (record(unit, [row.type], requestId)?.status !== 'SUCCESS' || settledAllTheSame) continue;
      const where = { file: row.file, line: row.line, type: row.type, requestId, transactionId };
      tell('status_mismatch', unit, { ...where, field: 'status', reported: word, recorded: 'SUCCESS' });
    }
    for (const row of compared) {
      const how = matching(row);
      const refundFirst = row.type === 'REFUND_REVERSAL' ? ['REFUND'] : [];
      const match =
        how === 'own' && row.requestId
          ? record(unit, [row.type], row.requestId)
          : how === 'original'
            ? record(unit, [...refundFirst, ...PAYMENTS], originalOf(unit, row))
            : undefined;
      if (match) found.set(row, match);
    }

    let up = 0;
    let down = 0;
    let comparable = 0;
    for (const row of compared) {
      const match = found.get(row);
      if (!match || matching(row) !== 'own' || match.currency !== row.currency || !row.amount) continue;
      const factor = 10n ** BigInt(DIGITS[match.currency]!);
      if (factor === 1n) continue;
      comparable += 1;
      if (abs(row.amount) === match.amount * factor) up += 1;
      if (abs(row.amount) * factor === match.amount) down += 1;
    }
    unit.unitWrong = comparable >= 5 && Math.max(up, down) * 10 >= comparable * 9;
    if (unit.unitWrong) tell('unit_mismatch', unit, { file: unit.details[0]!.file });

    const refunds = rows.filter(({ type, notDone, amount }) => type === 'REFUND' && !notDone && amount);
    for (const row of compared) {
      checkMatch(unit, row);
      if (unit.batchId !== null) checkRow(unit, row);
      else checkDirection(unit, row, refunds);
    }
    tellUnlisted(unit, rows);
  }

  function checkMatch(unit: Unit, row: Row): void {
    const how = matching(row);
    const match = found.get(row);
    const original = originalOf(unit, row);
    const namesOriginal = row.originalRequestId ?? row.originalTransactionId;
    const amount = row.amount === null ? null : abs(row.amount);
    const ownIdMissing = (OWN_KEY.includes(row.type) || REVERSALS.includes(row.type)) && !row.requestId;
    const unknown = how === 'own' && !ownIdMissing && !match;

    if (ownIdMissing) tellRow('missing_key', unit, row, { field: 'transactionRequestId' }, stakeOf(row));
    const isFoundByOriginal = DISPUTES.includes(row.type) || REVERSALS.includes(row.type);
    if (isFoundByOriginal && !ownIdMissing && !namesOriginal)
      tellRow('missing_key', unit, row, { field: 'originalTransactionRequestId' }, stakeOf(row));
    if (unknown) tellRow('unknown_transaction', unit, row, sides(amount, null, row.currency!)[0], stakeOf(row));
    if (match) {
      const above = how === 'own' ? amount !== match.amount : amount! > match.amount;
      if (row.currency !== match.currency)
        tellRow('currency_mismatch', unit, row, {
          field: 'transactionCurrency',
          reported: row.currency,
          recorded: match.currency,
        });
      else if (above && !unit.unitWrong && !(how === 'own' && isInstalment(unit, row))) {
        const [texts, stake] = sides(amount, match.amount, match.currency);
        tellRow('amount_mismatch', unit, row, { field: 'transactionAmount', ...texts }, stake);
      }
      const passes = match.status === 'CANCELLED' && cancelled.has(keyOf(unit.merchantId, match.requestId));
      if (how === 'own' && match.status !== 'SUCCESS' && !passes)
        tellRow('status_mismatch', unit, row, { field: 'status', reported: 'SUCCESS', recorded: match.status });
      const ours = match.originalRequestId;
      if (how === 'own' && original && ours && paymentOf(unit, original) !== paymentOf(unit, ours))
        tellRow('original_mismatch', unit, row, {
          field: 'originalTransactionRequestId',
          reported: original,
          recorded: ours,
        });
    }
    const orphan =
      how === 'original' ? namesOriginal && !match : how === 'own' && original && !record(unit, PAYMENTS, original);
    if (orphan && !unknown)
      tellRow(
        'orphan_row',
        unit,
        row,
        { field: 'originalTransactionRequestId', reported: original ?? row.originalTransactionId },
        stakeOf(row),
      );
  }

  /** Follows the records from a capture or authorization to the payment they belong to. */
  function paymentOf(unit: Unit, id: string): string {
    const seen = new Set([id]);
    for (;;) {
      const next = record(unit, PAYMENTS, id)?.originalRequestId;
      if (!next || seen.has(next)) return id;
      seen.add(next);
      id = next;
    }
  }

  /** In the report of a day: payments come in; of refunds the sign of most others is right, of a lonely one the minus. */
  function checkDirection(unit: Unit, row: Row, refunds: Row[]): void {
    if (!row.amount) return;
    const above = row.amount > 0n;
    const others = row.type === 'REFUND' ? refunds.filter((other) => other !== row) : [];
    const opposite = others.filter((other) => other.amount! > 0n !== above).length;
    const isWrong =
      row.type === 'REFUND'
        ? others.length === 0
          ? above
          : opposite * 2 > others.length
        : (row.type === 'PAYMENT' || row.type === 'CAPTURE') && !above;
    if (!isWrong) return;
    const [texts] = sides(row.amount, null, row.currency!);
    tellRow('sign_mismatch', unit, row, { field: 'transactionAmount', ...texts }, stakeOf(row));
  }

  /** Money of a type that no table lists, in rows that name nothing: once for each type. */
  function tellUnlisted(unit: Unit, rows: Row[]): void {
    const unlisted = rows.filter(
      (row) =>
        matching(row) === 'none' &&
        !NO_RECORD.test(row.type) &&
        !row.notDone &&
        (row.settlementAmount || row.feeAmount || row.amount),
    );
    for (const [type, of] of Map.groupBy(unlisted, (row) => row.type)) {
      const { file, line } = of[0]!;
      of[0]!.told = true;
      const where = { file, line, type, field: 'type' };
      if (unit.batchId === null) {
        tell('unknown_type', unit, where);
        continue;
      }
      const settled = sum(of.map((row) => row.settlementAmount));
      const [texts] = sides(settled, null, unit.currency!);
      tell('unknown_type', unit, { ...where, ...texts }, { minor: abs(settled), currency: unit.currency! });
    }
  }

  function checkRow(unit: Unit, row: Row): void {
    const currency = unit.currency!;
    const settlement = row.settlementAmount!;
    const fees = sum(row.fees.map((fee) => fee.minor));
    const foreignFee = row.fees.some((fee) => fee.currency !== currency);
    const net = { field: 'settlementAmount' };

    const wrongSign =
      row.type === 'REFUND'
        ? settlement - fees > 0n
        : (row.type === 'PAYMENT' || row.type === 'CAPTURE') && settlement - fees < 0n;
    if (wrongSign && !foreignFee)
      tellRow('sign_mismatch', unit, row, { ...net, ...sides(settlement, null, currency)[0] }, stakeOf(row));

    const feeElsewhere = row.feeAmount === null && row.fees.some(({ currency: other }) => other !== currency);
    if (row.breakdown !== null && !feeElsewhere && abs((row.feeAmount ?? 0n) - row.breakdown) > tolerance) {
      const [texts, stake] = sides(row.feeAmount ?? 0n, row.breakdown, currency);
      tellRow('fee_breakdown_mismatch', unit, row, { field: 'feeAmount', ...texts }, stake);
    }
    if (unit.unitWrong) return;

    const computed = convert(row);
    const unconvertible = row.amount !== null && computed === null;
    if (unconvertible || (computed !== null && row.converted !== null && abs(row.converted - computed) > tolerance)) {
      const [texts] = sides(row.converted, computed, currency);
      const field = 'convertedTransactionAmount';
      // Without a printed amount there is none on either side, so no currency of one.
      tellRow('conversion_mismatch', unit, row, {
        field,
        ...texts,
        currency: row.converted === null ? null : currency,
      });
      if (unconvertible) return;
    }

    const gross = row.converted ?? computed ?? 0n;
    if (matching(row) === 'none' && gross === 0n && row.fees.every((fee) => fee.minor === 0n)) return;
    // An instalment may print the whole and settle its share of it: an n-th, and what a division by n leaves over.
    const n = BigInt(row.installments > 1 && row.installments <= 99 ? row.installments : 0);
    if (foreignFee) tellRow('net_mismatch', unit, row, { ...net, ...sides(settlement, null, currency)[0] });
    else if (n > 0n && abs((settlement - fees) * n - gross) <= n * (tolerance + n - 1n)) return;
    else if (abs(settlement - gross - fees) > tolerance) {
      const [texts, stake] = sides(settlement, gross + fees, currency);
      tellRow('net_mismatch', unit, row, { ...net, ...texts }, stake);
    }
  }

  // Over all batches of a merchant, in settlement order.
  const inOrder = batches.toSorted(compareBy(['date', 'batchId', 'currency']));
  const earlier = new Map<string, { unit: Unit; transactionIds: Set<string | null> }>();
  for (const unit of inOrder)
    for (const row of rowsOf(unit)) {
      if (!row.requestId || row.duplicate || !row.settled || row.installments > 1) continue;
      const key = keyOf(unit.merchantId, row.type, row.requestId);
      const other = earlier.get(key);
      const near = other && (!other.unit.date || !unit.date || daysBetween(other.unit.date, unit.date) <= lookbackDays);
      if (other && near && (other.unit !== unit || !other.transactionIds.has(row.transactionId)))
        tellRow(
          'settled_twice',
          unit,
          row,
          { field: 'settlementBatchId', reported: unit.batchId, recorded: other.unit.batchId },
          stakeOf(row),
        );
      const transactionIds = other?.unit === unit ? other.transactionIds : new Set<string | null>();
      earlier.set(key, { unit, transactionIds: transactionIds.add(row.transactionId) });
    }

  /** One key, many settlements: its own amount says nothing, that of all its rows does. */
  function isInstalment(unit: Unit, row: Row): boolean {
    return unit.batchId !== null && row.installments > 1;
  }

  type Counted = { unit: Unit; row: Row; minor: bigint };
  /** Rows of all batches that count towards a sum, by the record which that is compared with, in the order of settlement. */
  function gatherBy(recordOf: (unit: Unit, row: Row) => [LedgerRecord | undefined, bigint] | null) {
    const gathered = new Map<LedgerRecord, Counted[]>();
    for (const unit of inOrder) {
      if (unit.unitWrong) continue;
      for (const row of rowsOf(unit).toSorted(compareBy(['file', 'line']))) {
        if (row.duplicate || row.amount === null) continue;
        const [of, minor] = recordOf(unit, row) ?? [];
        if (of && of.currency === row.currency)
          gathered.set(of, [...(gathered.get(of) ?? []), { unit, row, minor: minor! }]);
      }
    }
    return gathered;
  }
  /** Instalments that each print the whole of their own record are that whole once. */
  function onlyOnce(rows: Counted[]): Counted[] {
    const seen = new Set<string>();
    return rows.filter(({ unit, row }) => {
      const key = keyOf(row.type, row.requestId);
      const again = seen.has(key);
      seen.add(key);
      const own = record(unit, [row.type], row.requestId);
      return !(again && row.installments > 1 && own?.amount === abs(row.amount!));
    });
  }

  const instalments = gatherBy((unit, row) =>
    row.installments > 1 && matching(row) === 'own' && row.requestId
      ? [record(unit, [row.type], row.requestId), abs(row.amount!)]
      : null,
  );
  for (const [of, rows] of instalments) {
    if (rows.every(({ minor }) => minor === of.amount)) continue;
    const total = sum(rows.map(({ minor }) => minor));
    const all = Math.max(...rows.map(({ row }) => row.installments));
    let running = 0n;
    const above = rows.find(({ minor }) => {
      running += minor;
      return running > of.amount;
    });
    const at = total > of.amount ? above! : total < of.amount && rows.length >= all ? rows.at(-1)! : null;
    if (at === null) continue;
    const [texts, stake] = sides(total, of.amount, of.currency);
    tellRow('amount_mismatch', at.unit, at.row, { field: 'transactionAmount', ...texts }, stake);
  }

  const captures = gatherBy((unit, row) =>
    row.type === 'CAPTURE' ? [record(unit, ['AUTHORIZATION'], originalOf(unit, row)), abs(row.amount!)] : null,
  );
  for (const [authorization, all] of captures) {
    const rows = onlyOnce(all);
    const total = sum(rows.map(({ minor }) => minor));
    if (total <= authorization.amount) continue;
    let running = 0n;
    const first = rows.find(({ minor }) => {
      running += minor;
      return running > authorization.amount;
    })!;
    const [texts, stake] = sides(total, authorization.amount, authorization.currency);
    const key = { type: 'AUTHORIZATION', requestId: authorization.requestId, transactionId: null };
    tellRow('over_captured', first.unit, first.row, { ...key, ...texts }, stake);
  }

  const reportedRefunds = new Map<string, { unit: Unit; row: Row }>();
  for (const unit of batches)
    for (const row of rowsOf(unit))
      if (row.type === 'REFUND' && row.requestId)
        reportedRefunds.set(keyOf(unit.merchantId, row.requestId), { unit, row });
  const returned = gatherBy((unit, row) => {
    const paidBy = (original: string | null) => (original === null ? undefined : record(unit, PAYMENTS, original));
    const original = originalOf(unit, row);
    if (row.type === 'REFUND') return [paidBy(original), abs(row.amount!)];
    // A dispute takes what its own row takes. What is no more than its fee takes nothing of the payment.
    if (DISPUTES.includes(row.type)) {
      const isFee = row.settlementAmount === null || row.settlementAmount === row.feeAmount;
      return isFee ? null : [paidBy(original), -row.amount!];
    }
    if (row.type !== 'REFUND_REVERSAL') return null;
    const recorded = record(unit, ['REFUND'], original)?.originalRequestId;
    const reported = reportedRefunds.get(keyOf(unit.merchantId, original));
    return [paidBy(recorded ?? (reported ? originalOf(reported.unit, reported.row) : original)), -abs(row.amount!)];
  });
  for (const [payment, all] of returned) {
    const rows = onlyOnce(all);
    let refunded = 0n;
    let disputed = 0n;
    const back = () => refunded + (disputed > 0n ? disputed : 0n);
    let first: Counted | undefined;
    for (const counted of rows) {
      if (DISPUTES.includes(counted.row.type)) disputed += counted.minor;
      else refunded += counted.minor;
      if (back() > payment.amount) first ??= counted;
    }
    // One dispute alone above its payment is an amount_mismatch and nothing else.
    const several = rows.filter(({ minor }) => minor > 0n).length > 1;
    if (!first || back() <= payment.amount || (refunded <= payment.amount && !several)) continue;
    const [texts, stake] = sides(back(), payment.amount, payment.currency);
    const key = { type: payment.type, requestId: payment.requestId, transactionId: null };
    tellRow('over_refunded', first.unit, first.row, { ...key, ...texts }, stake);
  }

  // What is recorded and was not reported.
  const typeOn = new Set(days.flatMap((day) => rowsOf(day).map((row) => keyOf(day.merchantId, day.date, row.type))));
  const reportedOn = new Set(
    days.flatMap((day) => rowsOf(day).map((row) => keyOf(day.merchantId, day.date, row.type, row.requestId))),
  );
  for (const { merchantId, type, requestId, status, time, amount, currency } of records.values()) {
    const date = dayOf(time, timeZone);
    const day = days.find((unit) => unit.merchantId === merchantId && unit.date === date);
    if (!day || status !== 'SUCCESS') continue;
    if (['AUTHORIZATION', 'CANCEL', 'VOID'].includes(type) && !typeOn.has(keyOf(merchantId, date, type))) continue;
    if ([-1, 0, 1].some((by) => reportedOn.has(keyOf(merchantId, nextDay(date, by), type, requestId)))) continue;
    const [texts] = sides(null, amount, currency);
    tell('unreported_transaction', day, { type, requestId, ...texts }, { minor: amount, currency });
  }

  // Sums.
  const batchAnswers: BatchAnswer[] = [];
  for (const unit of batches) batchAnswers.push(batchAnswer(unit));
  for (const unit of days) tellMissing(unit);

  function tellMissing(unit: Unit): void {
    for (const { kind, seq } of unit.missing) tell('missing_part', unit, { field: kind, recorded: seq });
  }

  function batchAnswer(unit: Unit): BatchAnswer {
    const currency = unit.currency!;
    const rows = rowsOf(unit);
    const summaryRows = unit.summary.flatMap((report) => report.rows);
    const totalRows = summaryRows.filter((row) => row.type === 'TOTAL');
    const others = summaryRows.filter((row) => row.type !== 'TOTAL');
    const typed = others.some((row) => row.type !== '');
    const stated = totalRows.length ? totalRows : others;
    tellMissing(unit);
    if (!unit.details.length) tell('missing_details', unit, {});
    if (!unit.summary.length) tell('missing_summary', unit, {});

    const place = { file: unit.summary[0]?.file ?? null };
    /** A summary in which no row says a count says nothing of it, and no rows at all say zero. */
    const statesCount = (of: Row[]) => of.length === 0 || of.some((row) => row.countPrinted);
    function compare(kind: string, type: string, left: Row[], right: Row[], named: Row | undefined): void {
      const where = { ...place, type, ...(named ? { file: named.file, line: named.line } : {}) };
      const [a, b] = [add(left), add(right)];
      const counted = [...(kind === 'total_mismatch' ? [left] : []), type === 'TOTAL' ? right : others].every(
        statesCount,
      );
      if (counted && a.count !== b.count)
        tell(kind, unit, { ...where, field: 'count', reported: `${a.count}`, recorded: `${b.count}` });
      for (const field of ['settlementAmount', 'feeAmount'] as const) {
        if (a[field] === b[field]) continue;
        const [texts, stake] = sides(a[field], b[field], currency);
        const counts = type === 'TOTAL' && field === 'settlementAmount';
        tell(kind, unit, { ...where, field, ...texts }, counts ? stake : null);
      }
    }
    const whole = unit.details.length > 0 && unit.summary.length > 0 && unit.missing.length === 0;
    if (totalRows.length && others.length) compare('total_mismatch', 'TOTAL', totalRows, others, totalRows[0]);
    if (whole) {
      const types = typed ? new Set([...rows, ...others].map((row) => row.type)) : [];
      for (const type of types) {
        const ofType = others.filter((row) => row.type === type);
        const left = rows.filter((row) => row.type === type);
        compare('summary_mismatch', type, left, ofType, ofType[0]);
      }
      compare('summary_mismatch', 'TOTAL', rows, stated, totalRows[0]);
    }

    const print = (sums: ReturnType<typeof add>): Sums => ({
      count: Number(sums.count),
      settlementAmount: printAmount(sums.settlementAmount, currency),
      feeAmount: printAmount(sums.feeAmount, currency),
    });
    const types = [...new Set(rows.map((row) => row.type))].toSorted(compareValues);
    return {
      merchantId: unit.merchantId,
      settlementBatchId: unit.batchId!,
      acquirer: [...rows, ...summaryRows].find((row) => row.acquirer)?.acquirer ?? null,
      settlementCurrency: currency,
      settlementDate: unit.date,
      state: 'reconciled',
      rows: rows.length + unit.details.flatMap((report) => report.refused).length,
      matchedRows: 0,
      totals: types.map((type) => ({ type, ...print(add(rows.filter((row) => row.type === type))) })),
      details: unit.details.length ? print(add(rows)) : null,
      summary: unit.summary.length ? { ...print(add(stated)), ...(statesCount(stated) ? {} : { count: null }) } : null,
      residual: whole ? printAmount(add(rows).settlementAmount - add(stated).settlementAmount, currency) : null,
      coverage: null,
      accepted: NOTHING_ACCEPTED,
    };
  }

  const settledOf: SettledOf = (batchId) => {
    const unit = batches.find((one) => one.batchId === batchId)!;
    return { minor: add(rowsOf(unit)).settlementAmount, currency: unit.currency! };
  };
  for (const { discrepancy, stake } of options.bank?.(settledOf) ?? []) {
    const unit = batches.find(({ batchId }) => batchId === discrepancy.settlementBatchId);
    if (unit) tell(discrepancy.kind, unit, discrepancy, stake);
    else told.push({ unit: null, discrepancy: { ...NOTHING_SAID, ...discrepancy }, stake });
  }

  // The last word: states and matched rows, once every discrepancy is told.
  const stateOf = (unit: Unit) =>
    unit.missing.length || (unit.batchId !== null && (!unit.details.length || !unit.summary.length))
      ? ('incomplete' as const)
      : unit.open
        ? ('discrepant' as const)
        : ('reconciled' as const);
  const matchedOf = (unit: Unit) =>
    unit.unitWrong ? 0 : rowsOf(unit).filter((row) => found.has(row) && !row.told).length;
  /** Each row by the first that is true of it: it cannot be read, is not done, is told of, was found, needs no record. */
  function coverageOf(unit: Unit): Coverage {
    const parts = Map.groupBy(rowsOf(unit), (row) => {
      if (row.notDone) return 'not done';
      const names = matching(row) === 'own' ? row.requestId : (row.originalRequestId ?? row.originalTransactionId);
      const isToCompare = matching(row) !== 'none' && names !== null;
      if (row.told || (unit.unitWrong && isToCompare)) return 'discrepant';
      return found.has(row) ? 'matched' : `needs none: ${row.type}`;
    });
    const part = (rows: Row[] = []) => ({
      rows: rows.length,
      settlementAmount: unit.currency === null ? null : printAmount(add(rows).settlementAmount, unit.currency),
    });
    const types = [...new Set(rowsOf(unit).map((row) => row.type))].toSorted(compareValues);
    return {
      matched: part(parts.get('matched')),
      noRecordNeeded: types.flatMap((type) => {
        const rows = parts.get(`needs none: ${type}`);
        return rows ? [{ type, ...part(rows) }] : [];
      }),
      notDone: part(parts.get('not done')),
      discrepant: part(parts.get('discrepant')),
      refused: { rows: unit.details.flatMap((report) => report.refused).length },
      checks: checksOf(unit),
    };
  }

  /** What could be checked of a batch or day, by what is there of it and by its headers. */
  function checksOf(unit: Unit): Coverage['checks'] {
    const rows = rowsOf(unit);
    const all = rows.length + unit.details.flatMap((report) => report.refused).length;
    const isThere = unit.details.length > 0 && all > 0;
    const comparable = rows.some((row) =>
      matching(row) === 'own'
        ? row.requestId
        : matching(row) !== 'none' && (row.originalRequestId ?? row.originalTransactionId),
    );
    const records = isThere && comparable && !unit.unitWrong;
    const check = (name: string, isDone: boolean) => ({
      name,
      state: isDone ? ('done' as const) : ('notPossible' as const),
    });
    if (unit.batchId === null) return [check('records', records), check('unreported', unit.details.length > 0)];

    const have = (reports: Report[], columns: string[]) =>
      reports.every((report) => columns.some((column) => report.columns.includes(column)));
    const breakdown = ['interchangeFeeAmountValue', 'schemeFeeAmountValue', 'acquirerMarkupAmountValue'];
    const summaryRows = unit.summary.flatMap((report) => report.rows);
    const totals = summaryRows.filter(({ type }) => type === 'TOTAL');
    const stated = totals.length ? totals : summaryRows;
    const states = (field: 'settlementAmount' | 'feeAmount') =>
      stated.length === 0 || stated.some((row) => row[field] !== null);
    const pair = unit.details.length > 0 && unit.summary.length > 0 && unit.missing.length === 0;
    const hasFees =
      rows.length === 0 ||
      rows.some((row) => row.feeAmount !== null) ||
      unit.details.some(({ columns }) => columns.includes('feeAmountValue'));
    return [
      check('records', records),
      check('net', isThere && !unit.unitWrong),
      check('fees', isThere && have(unit.details, ['feeAmountValue'])),
      check('feeBreakdown', isThere && have(unit.details, breakdown)),
      check('conversion', isThere && !unit.unitWrong && have(unit.details, ['convertedTransactionAmountValue'])),
      check(
        'summaryCount',
        pair && have(unit.summary, ['count']) && (stated.length === 0 || stated.some((row) => row.countPrinted)),
      ),
      check('summarySettlementAmount', pair && states('settlementAmount')),
      check('summaryFeeAmount', pair && have(unit.summary, ['feeAmountValue']) && states('feeAmount') && hasFees),
      check('total', totals.length > 0 && totals.length < summaryRows.length),
    ];
  }
  for (const [i, unit] of batches.entries())
    Object.assign(batchAnswers[i]!, {
      state: stateOf(unit),
      matchedRows: matchedOf(unit),
      coverage: coverageOf(unit),
    });
  const dayAnswers = days.map(
    (unit): DayAnswer => ({
      merchantId: unit.merchantId,
      transactionDate: unit.date!,
      state: stateOf(unit),
      rows: unit.details.flatMap((report) => [...report.rows, ...report.refused]).length,
      matchedRows: matchedOf(unit),
      coverage: coverageOf(unit),
      accepted: NOTHING_ACCEPTED,
    }),
  );

  const reportAnswers = reports.map(
    (report): ReportAnswer => ({
      file: report.file,
      kind: report.name?.kind ?? null,
      state: report.state,
      revision: report.revision,
      rows: report.state === 'closed' ? report.rows.length + report.refused.length : 0,
      refusedRows: report.state === 'closed' ? report.refused.length : 0,
      error: report.error === null ? null : { code: report.error, message: '' },
    }),
  );
  const counted = [...batchAnswers, ...dayAnswers];
  const discrepancies = told.map((item) => item.discrepancy);
  const unread = reports.length === 0 || skipped.some(({ kind }) => kind !== null);
  const stuck = unread || reports.some(({ state }) => state === 'waiting' || state === 'refused') || ledger.bad > 0;
  return {
    reports: [...reportAnswers, ...skipped].toSorted(compareBy(['file', 'revision'])),
    batches: batchAnswers.toSorted(
      compareBy(['settlementDate', 'settlementBatchId', 'merchantId', 'settlementCurrency']),
    ),
    transactionDays: dayAnswers.toSorted(compareBy(['transactionDate', 'merchantId'])),
    discrepancies: discrepancies.toSorted(
      compareBy([BATCH_OR_DAY, 'file', 'line', 'kind', 'field', 'type', 'requestId', 'transactionId', 'merchantId']),
    ),
    discrepancyTotals: discrepancyTotals(told),
    counts: {
      reports: reports.length,
      rows: counted.reduce((total, { rows }) => total + rows, 0),
      matchedRows: counted.reduce((total, { matchedRows }) => total + matchedRows, 0),
      refusedRows: current.reduce((total, { refused }) => total + refused.length, 0),
      discrepancies: discrepancies.length,
    },
    exitCode: ledger.records.size === 0 ? 2 : stuck ? 3 : discrepancies.length ? 1 : 0,
  };
}

function add(rows: Row[]): { count: bigint; settlementAmount: bigint; feeAmount: bigint } {
  return {
    count: sum(rows.map((row) => row.count)),
    settlementAmount: sum(rows.map((row) => row.settlementAmount)),
    feeAmount: sum(rows.map((row) => row.feeAmount)),
  };
}

function discrepancyTotals(told: Finding[]): DiscrepancyTotal[] {
  const groups = Map.groupBy(told, ({ discrepancy, stake }) =>
    keyOf(discrepancy.kind, stake?.currency ?? discrepancy.currency),
  );
  return [...groups]
    .map(([key, items]) => {
      const [kind, currency] = JSON.parse(key) as [string, string | null];
      const stakes = items.flatMap(({ stake }) => (stake ? [stake.minor] : []));
      const amountAtStake = stakes.length ? printAmount(sum(stakes), currency!) : null;
      return { kind, currency, count: items.length, amountAtStake };
    })
    .toSorted(compareBy(['kind', 'currency']));
}

// ------------------------------------------------------------------------------------------------ which file is which

/**
 * Every report under the paths, by path, and what is skipped; a file that fits no pattern is refused where it was named itself.
 * Links and special files are never read.
 */
function findReports(paths: string[]): { reports: Report[]; skipped: ReportAnswer[] } {
  const reports: Report[] = [];
  const skipped: ReportAnswer[] = [];
  const skip = (file: string, kind: ReportKind | null, code: string) =>
    skipped.push({ file, kind, state: 'skipped', revision: 1, rows: 0, refusedRows: 0, error: { code, message: '' } });
  const visit = (path: string, file: string, itself: boolean) => {
    const stat = lstatSync(path);
    if (stat.isDirectory())
      for (const entry of readdirSync(path).toSorted(compareValues))
        visit(join(path, entry), file ? `${file}/${entry}` : entry, false);
    const name = readName(basename(path));
    if (stat.isDirectory()) return;
    if (!stat.isFile()) return void skip(file, name?.kind ?? null, 'unreadable');
    if (!name && !itself) return void skip(file, null, 'unknown_format');
    const directory = dirname(resolve(path)).split('/');
    const date = /^(\d{4})(\d\d)(\d\d)$/.exec(directory.at(-1)!);
    reports.push({
      file: file || basename(path),
      path,
      name,
      merchantId: date ? directory.at(-2)! : '',
      date: date ? date.slice(1).join('-') : null,
      bytes: readFileSync(path),
      state: 'refused',
      error: null,
      revision: 1,
      rows: [],
      refused: [],
      columns: [],
      unread: null,
    });
  };
  for (const path of paths) visit(path, '', true);
  return { reports: reports.toSorted(compareBy(['file'])), skipped };
}

/** Gives every report its merchant, none where its path names none of several, and returns the records by (merchant, type, request id). */
function nameMerchants(reports: Report[], ledger: Ledger, merchant: string | undefined): Map<string, LedgerRecord> {
  for (const report of reports) report.merchantId ||= merchant ?? '';
  const known = new Set([...reports.map((report) => report.merchantId), ...ledger.merchants].filter(Boolean));
  const only = merchant ?? (known.size === 1 ? [...known][0]! : 'default');
  if (known.size < 2) for (const report of reports) report.merchantId ||= only;
  const records = new Map<string, LedgerRecord>();
  for (const record of ledger.records.values()) {
    record.merchantId ||= only;
    records.set(keyOf(record.merchantId, record.type, record.requestId), record);
  }
  return records;
}

/**
 * Marks duplicates, numbers revisions by day and path, and returns for each name the file that is read (or the last that is not).
 * Different contents of which none lies in the folder of a later day than all others are a conflict, and none is read.
 */
function setRevisions(reports: Report[]): Report[] {
  const named = reports.filter((report) => report.name);
  const groups = Map.groupBy(named, ({ merchantId, name, date, path }) =>
    keyOf(merchantId, name!.kind, basename(path, '.csv'), isEmptyId(name!.batchId) ? date : null),
  );
  return [...groups.values()].map((unsorted) => {
    const group = unsorted.toSorted((a, b) => compareValues(a.date, b.date));
    let revision = 0;
    let newest: Report | undefined;
    const read = group.filter(({ state }) => state === 'closed');
    for (const report of group) {
      if (newest?.bytes.equals(report.bytes)) {
        Object.assign(report, { state: 'duplicate', error: null, rows: [], refused: [] });
      } else {
        revision += 1;
        newest = report;
      }
      report.revision = revision;
    }
    if (isConflict(read))
      for (const report of read)
        Object.assign(report, { state: 'refused', error: 'conflicting_files', rows: [], refused: [] });
    return group.findLast(({ state }) => state === 'closed') ?? newest!;
  });
}

function isConflict(read: Report[]): boolean {
  const days = new Map<string, string | null>();
  for (const { bytes, date } of read) {
    const content = bytes.toString('base64');
    days.set(content, days.has(content) && days.get(content)! > date! ? days.get(content)! : date);
  }
  if (days.size < 2) return false;
  const last = [...days.values()].toSorted(compareValues).at(-1);
  return [...days.values()].includes(null) || [...days.values()].filter((day) => day === last).length > 1;
}

const isEmptyId = (batchId: string | null) => batchId !== null && /^0+$/.test(batchId);

/** The batches and days of these reports, each with its parts in order and the gaps between them. */
function gather(current: Report[], timeZone: string): Unit[] {
  const groups = Map.groupBy(current, (report) => {
    const { batchId, currency } = report.name!;
    if (batchId === null) return keyOf(report.merchantId, 'day', dayOfReport(report));
    return keyOf(report.merchantId, batchId, currency, isEmptyId(batchId) ? report.date : null);
  });
  return [...groups.values()]
    .filter((group) => group.some(({ state }) => state === 'closed'))
    .map((group) => {
      const { merchantId, name } = group[0]!;
      const parts = group.toSorted(
        (a, b) => compareValues(a.name!.psp, b.name!.psp) || compareValues(a.name!.seq, b.name!.seq),
      );
      const closed = parts.filter(({ state }) => state === 'closed');
      const summary = closed.filter((part) => part.name!.kind === 'settlementSummary');
      const details = closed.filter((part) => part.name!.kind !== 'settlementSummary');
      const directory = [...details, ...summary].find(({ date }) => date)?.date ?? null;
      const date =
        name!.batchId === null ? dayOfReport(group[0]!) : (directory ?? earliest(details, summary, timeZone));
      const missing = [...gaps(parts, 'settlementSummary', summary), ...gaps(parts, null, details)];
      const { batchId, currency } = name!;
      return {
        merchantId,
        batchId,
        currency,
        date,
        details,
        summary,
        missing,
        unitWrong: false,
        open: false,
      };
    });
}

const dayOfReport = (report: Report) =>
  report.date ?? basename(report.path).replace(/^transactionItems_(\d{4})(\d\d)(\d\d)_.*$/, '$1-$2-$3');

/** The day of the earliest settlementTime, of the details before the summary's; else of the earliest paymentTime. */
function earliest(details: Report[], summary: Report[], timeZone: string): string | null {
  const times = (reports: Report[], column: 'settlementTime' | 'paymentTime') =>
    reports.flatMap(({ rows }) => rows.map((row) => row[column])).filter((time) => time !== null);
  const known = [
    times(details, 'settlementTime'),
    times(summary, 'settlementTime'),
    times(details, 'paymentTime'),
  ].find((list) => list.length > 0);
  return known ? dayOf(Math.min(...known), timeZone) : null;
}

/** Every number from 000 to the highest seen that has no closed part, for each psp in a name; none where no part is there. */
function gaps(parts: Report[], kind: ReportKind | null, closed: Report[]): Unit['missing'] {
  if (!closed.length) return [];
  const ofKind = parts.filter(({ name }) => (name!.kind === 'settlementSummary') === (kind === 'settlementSummary'));
  return [...Map.groupBy(ofKind, ({ name }) => name!.psp)].flatMap(([psp, ofPsp]) => {
    const highest = Math.max(...ofPsp.map(({ name }) => Number(name!.seq)));
    return Array.from({ length: highest + 1 }, (_, i) => String(i).padStart(3, '0'))
      .filter((seq) => !closed.some(({ name }) => name!.psp === psp && name!.seq === seq))
      .map((seq) => ({ kind: ofKind[0]!.name!.kind, seq }));
  });
}
