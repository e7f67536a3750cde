/**
 * One merchant's day without any fault, in several formats: what was sold and settled, what the provider's files say of it, and the
 * merchant's records. The same seed gives the same amounts. `changes.ts` spoils it, one thing at a time.
 */
import { halfEven, printAmount } from './oracle.ts';

export type SheetKind = 'transactionDetails' | 'settlementDetails' | 'settlementSummary' | 'records';

/** What a column is for, as whoever reads the report sees it. A column that is not named is free text. */
export type Role =
  | { readonly is: 'amount'; readonly currencyColumn: string }
  | { readonly is: 'currency' | 'id' | 'type' | 'status' | 'price' | 'pair' | 'count' | 'time' | 'zone' | 'text' };

/** A file, or the records: cells by row, as strings. */
export type Sheet = {
  readonly kind: SheetKind;
  /** Below the merchant's folder. */
  readonly file: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** The first cell of the line that closes it. */
  readonly end: string | null;
};

export type CleanDay = {
  readonly format: string;
  /** Of `reconcile`. */
  readonly options: readonly string[];
  /** A file that `--format` names, where the format is none that comes with the program. */
  readonly formatFile: string | null;
  readonly sheets: readonly Sheet[];
  readonly roles: Readonly<Record<string, Role>>;
  readonly currency: string;
  /** Other words for types, statuses and currencies that the format knows. */
  readonly words: { readonly types: readonly string[]; readonly done: string; readonly notDone: string };
  /** What has to be reconciled. */
  readonly batches: readonly string[];
  readonly days: readonly string[];
};

const FIRST_DAY = '2026-03-02';
const SETTLED = '20260303';
const noon = (minute: number, day = FIRST_DAY) => `${day}T12:${String(minute).padStart(2, '0')}:00+08:00`;

/** A movement of the merchant's: what it records, and what the provider reports. */
type Move = {
  readonly type: string;
  readonly id: string;
  readonly minor: bigint;
  readonly currency: string;
  readonly of?: Move;
  readonly status?: string;
  readonly at: string;
};

function moneyOf(seed: number) {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  /** Between the two, in minor units. */
  return (low: number, high: number): bigint => {
    state = (Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x6d2b79f5) >>> 0;
    return BigInt(low + (state % (high - low)));
  };
}

/** What happened, for every format: three payments (one in another currency), two captured authorizations, two cancelled ones, two refunds. */
function happened(seed: number, currency = 'USD', foreign = 'EUR') {
  const money = moneyOf(seed);
  const move = (type: string, id: string, minor: bigint, other: Partial<Move> = {}): Move => ({
    type,
    id,
    minor,
    currency,
    at: noon(Number(id.replace(/\D/g, ''))),
    ...other,
  });
  const p1 = move('PAYMENT', 'p-1', money(8_000, 30_000));
  const p2 = move('PAYMENT', 'p-2', money(4_000, 9_000));
  const p3 = move('PAYMENT', 'p-3', money(2_000, 7_000), { currency: foreign });
  const a4 = move('AUTHORIZATION', 'a-4', money(6_000, 9_000));
  const a5 = move('AUTHORIZATION', 'a-5', money(3_000, 5_000));
  const a6 = move('AUTHORIZATION', 'a-6', money(1_000, 5_000), { status: 'CANCELLED' });
  const a7 = move('AUTHORIZATION', 'a-7', money(1_000, 5_000), { status: 'CANCELLED' });
  const c8 = move('CAPTURE', 'c-8', a4.minor, { of: a4 });
  const c9 = move('CAPTURE', 'c-9', a5.minor - money(200, 900), { of: a5 });
  const r10 = move('REFUND', 'r-10', -money(1_000, 4_000), { of: p1 });
  const r11 = move('REFUND', 'r-11', -money(300, 2_000), { of: p2 });
  const x12 = move('CANCEL', 'x-12', a6.minor, { of: a6 });
  const x13 = move('CANCEL', 'x-13', a7.minor, { of: a7 });
  // Of the month before.
  const p20 = move('PAYMENT', 'p-20', money(9_000, 20_000), { at: noon(20, '2026-02-10') });
  const r21 = move('REFUND', 'r-21', -money(1_000, 3_000), { of: p20, at: noon(21, '2026-02-12') });
  const p22 = move('PAYMENT', 'p-22', money(9_000, 20_000), { at: noon(22, '2026-02-11') });
  return {
    money,
    day: [p1, p2, p3, a4, a5, a6, a7, c8, c9, r10, r11, x12, x13],
    before: [p20, r21, p22],
    settled: [p1, p2, p3, c8, c9, r10, r11],
    p1,
    p2,
    p3,
    r10,
    r11,
    p20,
    r21,
    p22,
  };
}

const RECORD_COLUMNS = 'requestId type amount currency status occurredAt orderId originalRequestId'.split(' ');

function recordsOf(moves: readonly Move[]): Sheet {
  const magnitude = (minor: bigint) => (minor < 0n ? -minor : minor);
  return {
    kind: 'records',
    file: 'records.csv',
    header: RECORD_COLUMNS,
    rows: moves.map(({ type, id, minor, currency, of, status = 'SUCCESS', at }) => [
      id,
      type,
      printAmount(magnitude(minor), currency),
      currency,
      status,
      at,
      `order-${id}`,
      of?.id ?? '',
    ]),
    end: null,
  };
}

type Cells = Readonly<Record<string, string>>;

const sheetOf = (kind: SheetKind, file: string, columns: string, rows: readonly Cells[], end: string | null): Sheet => {
  const header = columns.split(',');
  return { kind, file, header, rows: rows.map((cells) => header.map((column) => cells[column] ?? '')), end };
};

const amounts = (pairs: Readonly<Record<string, string>>): Record<string, Role> =>
  Object.fromEntries(
    Object.entries(pairs).map(([column, currencyColumn]): [string, Role] => [column, { is: 'amount', currencyColumn }]),
  );
const all = (is: Exclude<Role['is'], 'amount'>, columns: string): Record<string, Role> =>
  Object.fromEntries(columns.split(',').map((column): [string, Role] => [column, { is }]));

const RECORD_ROLES: Record<string, Role> = {
  ...all('id', 'requestId,originalRequestId'),
  ...amounts({ amount: 'currency' }),
  ...all('currency', 'currency'),
  ...all('type', 'type'),
  ...all('status', 'status'),
  ...all('time', 'occurredAt'),
};

// ----------------------------------------------------------------------------------------------- the provider's two layouts

/** A row of a settlement as it adds up: gross and what is taken off, by column. */
type Settled = {
  readonly type: string;
  readonly move?: Move;
  readonly about?: Move;
  readonly gross: bigint | null;
  readonly takes: Readonly<Record<string, bigint>>;
  readonly other?: Cells;
};

const PRICE = '1.08235';
/** In the currency of the settlement, rounded half to even. */
const converted = (foreign: bigint) => halfEven(foreign * BigInt(PRICE.replace('.', '')), 100_000n);

const usd = (minor: bigint) => printAmount(minor, 'USD');
const sum = (list: readonly bigint[]) => list.reduce((a, b) => a + b, 0n);

type Layout = {
  readonly name: 'apo' | 'antom';
  /** By what the row's fees are called: its column and the column's currency. */
  readonly fees: Readonly<Record<string, readonly [column: string, currencyColumn: string, partOfNet: 1n | -1n | 0n]>>;
  readonly day: string;
  readonly items: string;
  readonly summary: string;
};

const APO: Layout = {
  name: 'apo',
  fees: {
    fee: ['feeAmountValue', 'feeCurrency', 1n],
    tax: ['taxFeeAmountValue', 'taxFeeCurrency', 1n],
    processing: ['processingFeeAmountValue', 'processingFeeCurrency', 1n],
    coupon: ['nonGuaranteeCouponValue', 'nonGuaranteeCouponCurrency', -1n],
    dispute: ['disputeHandlingFee', 'disputeHandlingFeeCurrency', 1n],
    undispute: ['disputeReverseFee', 'disputeReverseFeeCurrency', 1n],
    interchange: ['interchangeFeeAmountValue', 'interchangeFeeCurrency', 0n],
    scheme: ['schemeFeeAmountValue', 'schemeFeeCurrency', 0n],
    markup: ['acquirerMarkupAmountValue', 'acquirerMarkupCurrency', 0n],
  },
  day: 'customerId,acquirer,acquirerReferenceNo,referenceMerchantId,referenceStoreId,transactionId,originalTransactionId,transactionRequestId,referenceTransactionId,orderDescription,paymentMethodType,pspName,transactionType,paymentTime,productCode,transactionAmountValue,transactionCurrency,originalTransactionRequestId,issuingCountry,cardBrand,funding',
  items:
    'settlementBatchId,customerId,acquirer,acquirerReferenceNo,transactionId,originalTransactionId,transactionRequestId,referenceTransactionId,paymentMethodType,pspName,transactionType,paymentTime,settlementTime,productCode,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,quoteCurrencyPair,quotePrice,feeAmountValue,feeCurrency,taxFeeAmountValue,taxFeeCurrency,processingFeeAmountValue,processingFeeCurrency,nonGuaranteeCouponValue,nonGuaranteeCouponCurrency,disputeHandlingFee,disputeHandlingFeeCurrency,disputeReverseFee,disputeReverseFeeCurrency,originalTransactionRequestId,issuingCountry,cardBrand,funding,interchangeFeeAmountValue,interchangeFeeCurrency,schemeFeeAmountValue,schemeFeeCurrency,acquirerMarkupAmountValue,acquirerMarkupCurrency',
  summary:
    'settlementBatchId,customerId,acquirer,summaryType,settlementTime,count,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
};

const ANTOM: Layout = {
  name: 'antom',
  fees: {
    fee: ['paymentMethodFeeAmountValue', 'paymentMethodFeeCurrency', 1n],
    tax: ['taxFeeAmountValue', 'taxFeeCurrency', 1n],
    processing: ['processingFeeAmountValue', 'processingFeeCurrency', 1n],
    coupon: ['refundFeeAmountValue', 'refundFeeCurrency', 1n],
    dispute: ['disputeHandlingFee', 'disputeHandlingFeeCurrency', 1n],
    undispute: ['cdrnFeeAmountValue', 'cdrnFeeCurrency', 1n],
    interchange: ['interchangeFeeAmountValue', 'interchangeFeeCurrency', 1n],
    scheme: ['withholdingTaxAmountValue', 'withholdingTaxFeeCurrency', 1n],
    markup: ['fxFeeAmountValue', 'fxFeeAmountCurrency', 1n],
  },
  day: 'customerId,PSP,ARN,transactionId,transactionRequestId,referenceTransactionId,originalTransactionRequestId,wallet,transactionType,transactionCreationTime,transactionCompletionTime,transactionAmountValue,transactionCurrency,status,cardBrand',
  items:
    'settlementBatchId,customerId,PSP,ARN,transactionId,transactionRequestId,referenceTransactionId,originalTransactionRequestId,wallet,transactionType,transactionCompletionTime,settlementInitiatedDate,transactionAmountValue,transactionCurrency,convertedTransactionAmountValue,convertedCurrency,settlementAmountValue,settlementCurrency,quoteCurrencyPair,quotePrice,paymentMethodFeeAmountValue,paymentMethodFeeCurrency,taxFeeAmountValue,taxFeeCurrency,processingFeeAmountValue,processingFeeCurrency,refundFeeAmountValue,refundFeeCurrency,disputeHandlingFee,disputeHandlingFeeCurrency,cdrnFeeAmountValue,cdrnFeeCurrency,interchangeFeeAmountValue,interchangeFeeCurrency,withholdingTaxAmountValue,withholdingTaxFeeCurrency,fxFeeAmountValue,fxFeeAmountCurrency,cardBrand',
  summary:
    'settlementBatchId,customerId,PSP,summaryType,settlementInitiatedDate,count,settlementAmountValue,settlementCurrency,paymentMethodFeeAmountValue,paymentMethodFeeCurrency,taxFeeAmountValue,taxFeeCurrency,processingFeeAmountValue,processingFeeCurrency,refundFeeAmountValue,refundFeeCurrency,disputeHandlingFee,disputeHandlingFeeCurrency,cdrnFeeAmountValue,cdrnFeeCurrency,interchangeFeeAmountValue,interchangeFeeCurrency,withholdingTaxAmountValue,withholdingTaxFeeCurrency,fxFeeAmountValue,fxFeeAmountCurrency',
};

const LAYOUT_ROLES: Record<string, Role> = {
  ...RECORD_ROLES,
  ...amounts({
    transactionAmountValue: 'transactionCurrency',
    convertedTransactionAmountValue: 'convertedCurrency',
    settlementAmountValue: 'settlementCurrency',
    ...Object.fromEntries(
      [APO, ANTOM].flatMap(({ fees }) => Object.values(fees).map(([column, currency]) => [column, currency])),
    ),
  }),
  ...all('currency', 'transactionCurrency,convertedCurrency,settlementCurrency'),
  ...all('currency', [APO, ANTOM].flatMap(({ fees }) => Object.values(fees).map(([, currency]) => currency)).join(',')),
  ...all(
    'id',
    'transactionId,originalTransactionId,transactionRequestId,originalTransactionRequestId,settlementBatchId,customerId',
  ),
  ...all('type', 'transactionType,summaryType'),
  ...all('status', 'status'),
  ...all('price', 'quotePrice'),
  ...all('pair', 'quoteCurrencyPair'),
  ...all('count', 'count'),
  ...all(
    'time',
    'paymentTime,settlementTime,transactionCreationTime,transactionCompletionTime,settlementInitiatedDate',
  ),
};

/** What both layouts settle; `part` makes a fee of the right sign. */
function settledOf(seed: number): { moves: ReturnType<typeof happened>; rows: Settled[] } {
  const moves = happened(seed);
  const { money, p1, p2, p3, p20, r21, p22 } = moves;
  const fees = { interchange: -money(60, 100), scheme: -money(60, 100), markup: -money(60, 100) };
  const rows: Settled[] = moves.settled.map((move) => {
    const gross = move === p3 ? converted(move.minor) : move.minor;
    const takes: Record<string, bigint> =
      move === p1
        ? { ...fees, fee: sum(Object.values(fees)), tax: -money(30, 90) }
        : move === p2
          ? { fee: -money(50, 150), processing: -money(20, 90), coupon: money(30, 90) }
          : { fee: (move.minor < 0n ? 1n : -1n) * money(40, 150) };
    return { type: move.type, move, gross, takes };
  });
  const about = (type: string, of: Move, gross: bigint, takes: Record<string, bigint>, id = ''): Settled => ({
    type,
    about: of,
    gross,
    takes,
    other: { transactionRequestId: id },
  });
  rows.push(
    about('DISPUTE', p20, -p20.minor, { dispute: -money(900, 1_500) }),
    about('DISPUTE_REVERSAL', p22, p22.minor, { undispute: money(500, 900) }),
    about('REFUND_REVERSAL', r21, -r21.minor, {}, 'v-30'),
    { type: 'SETTLEMENT_FEE', gross: null, takes: {}, other: { settlementAmountValue: usd(-money(300, 900)) } },
    { type: 'RESERVE_WITHHOLDING', gross: null, takes: {}, other: { settlementAmountValue: usd(-money(900, 3_000)) } },
  );
  return { moves, rows };
}

function layoutDay({ name, fees, day, items, summary }: Layout, seed: number): CleanDay {
  const { moves, rows: settled } = settledOf(seed);
  const isNew = name === 'antom';
  const transactionIdOf = (move: Move): string => (isNew && move.of ? transactionIdOf(move.of) : `t-${move.id}`);
  const head: Cells = {
    customerId: 'C-77',
    acquirer: 'Alipay_SG',
    PSP: 'Alipay_SG',
    pspName: 'KaKaoPay',
    wallet: 'KaKaoPay',
    cardBrand: 'VISA',
    productCode: 'PC-1',
    orderDescription: 'a thing',
  };
  const ids = (move: Move): Cells => ({
    transactionId: transactionIdOf(move),
    transactionRequestId: move.id,
    referenceTransactionId: `order-${move.id}`,
    originalTransactionId: move.of ? transactionIdOf(move.of) : '',
    originalTransactionRequestId: move.of?.id ?? '',
    acquirerReferenceNo: `ref-${move.id}`,
    ARN: `ref-${move.id}`,
    paymentTime: move.at,
    transactionCreationTime: move.at,
    transactionCompletionTime: move.at,
    transactionAmountValue: printAmount(move.minor, move.currency),
    transactionCurrency: move.currency,
  });
  const cells = (row: Settled): Cells => {
    const net = sum(Object.entries(row.takes).map(([fee, minor]) => fees[fee]![2] * minor));
    const own = row.move ?? row.about;
    return {
      ...head,
      settlementBatchId: 'B1',
      settlementTime: `${FIRST_DAY}T20:00:00+08:00`,
      settlementInitiatedDate: '2026-03-03',
      ...(own && ids(own)),
      // A dispute names what it is about, and has no id of the merchant's.
      ...(row.about && {
        transactionId: isNew ? transactionIdOf(row.about) : `t-${row.type}-${row.about.id}`,
        originalTransactionRequestId: row.about.id,
        originalTransactionId: transactionIdOf(row.about),
        transactionAmountValue: usd(row.gross!),
      }),
      transactionType: row.type,
      ...(row.gross !== null && { settlementAmountValue: usd(row.gross + net) }),
      settlementCurrency: 'USD',
      ...(row.move?.currency === 'EUR' && {
        quoteCurrencyPair: 'EUR/USD',
        quotePrice: PRICE,
        convertedTransactionAmountValue: usd(row.gross!),
        convertedCurrency: 'USD',
      }),
      ...Object.fromEntries(
        Object.entries(row.takes).flatMap(([fee, minor]) => [
          [fees[fee]![0], usd(minor)],
          [fees[fee]![1], 'USD'],
        ]),
      ),
      ...row.other,
    };
  };
  const printed = settled.map((row) => ({ row, cells: cells(row) }));
  const minorOf = (text: string | undefined) => (text ? BigInt(text.replace('.', '')) : 0n);
  const summed = (of: typeof printed): Cells => ({
    count: String(of.length),
    settlementAmountValue: usd(sum(of.map(({ cells }) => minorOf(cells['settlementAmountValue'])))),
    settlementCurrency: 'USD',
    ...Object.fromEntries(
      Object.entries(fees)
        .filter(([, [column]]) => summary.includes(column))
        .flatMap(([fee, [column, currency]]) => [
          [column, usd(sum(of.map(({ row }) => row.takes[fee] ?? 0n)))],
          [currency, 'USD'],
        ]),
    ),
  });
  const types = [...new Set(settled.map(({ type }) => type))];
  const summaryRows = [...types, 'TOTAL'].map(
    (type): Cells => ({
      ...head,
      settlementBatchId: 'B1',
      settlementTime: `${FIRST_DAY}T20:00:00+08:00`,
      settlementInitiatedDate: '2026-03-03',
      summaryType: type,
      ...summed(printed.filter(({ row }) => type === 'TOTAL' || row.type === type)),
    }),
  );
  const dayRows = moves.day.map(
    (move): Cells => ({ ...head, ...ids(move), transactionType: move.type, status: 'SUCCESS' }),
  );
  const compact = FIRST_DAY.replaceAll('-', '');
  return {
    format: name,
    formatFile: null,
    options: ['--format', name, '--time-zone', 'Asia/Shanghai'],
    sheets: [
      sheetOf('transactionDetails', `${compact}/transactionItems_${compact}_000.csv`, day, dayRows, '<END>'),
      sheetOf(
        'settlementDetails',
        `${SETTLED}/settlementItems_USD_B1_000.csv`,
        items,
        printed.map(({ cells }) => cells),
        '<END>',
      ),
      sheetOf('settlementSummary', `${SETTLED}/settlementSummary_USD_B1_000.csv`, summary, summaryRows, '<END>'),
      recordsOf([...moves.day, ...moves.before]),
    ],
    roles: LAYOUT_ROLES,
    currency: 'USD',
    words: {
      types: ['PAYMENT', 'CAPTURE', 'REFUND', 'AUTHORIZATION', 'DISPUTE', 'SETTLEMENT_FEE', 'CANCEL'],
      done: 'SUCCESS',
      notDone: 'FAIL',
    },
    batches: ['B1'],
    days: [FIRST_DAY],
  };
}

export const apoDay = (seed: number) => layoutDay(APO, seed);
export const antomDay = (seed: number) => layoutDay(ANTOM, seed);

// ------------------------------------------------------------------------------------------------ one with a row of the payout

const ADYEN_COLUMNS =
  'Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Payment Method Variant,Modification Merchant Reference,Batch Number';

/** What goes out stands in a column of its own. */
const sided = (minor: bigint, debit: string, credit: string): Cells =>
  minor < 0n ? { [debit]: usd(-minor) } : { [credit]: usd(minor) };

export function adyenDay(seed: number): CleanDay {
  const { money, p1, p2, p3, r10, r11, p20, p22, r21 } = happened(seed, 'EUR', 'USD');
  const head: Cells = {
    'Company Account': 'CornerCo',
    'Merchant Account': 'CornerShop',
    'Payment Method': 'visa',
    TimeZone: 'CET',
    'Payment Method Variant': 'visacredit',
    'Net Currency': 'EUR',
    'Batch Number': '7',
  };
  const clock = (move: Move) => move.at.slice(0, 19).replace('T', ' ');
  let net = 0n;
  const booked = (minor: bigint): Cells => {
    net += minor;
    return sided(minor, 'Net Debit (NC)', 'Net Credit (NC)');
  };
  const paid = (move: Move, costs: Readonly<Record<string, bigint>>): Cells => {
    const gross = move === p3 ? converted(move.minor) : move.minor;
    return {
      ...head,
      'Psp Reference': `psp-${move.id}`,
      'Merchant Reference': move.id,
      'Creation Date': clock(move),
      Type: 'Settled',
      'Modification Reference': `mod-${move.id}`,
      'Gross Currency': move.currency,
      ...sided(move.minor, 'Gross Debit (GC)', 'Gross Credit (GC)'),
      'Exchange Rate': move === p3 ? PRICE : '1',
      ...booked(gross - sum(Object.values(costs))),
      ...Object.fromEntries(Object.entries(costs).map(([column, minor]) => [column, usd(minor)])),
    };
  };
  const about = (
    of: Move,
    type: string,
    minor: bigint,
    id: string,
    reference: string,
    costs: Readonly<Record<string, bigint>> = {},
  ): Cells => ({
    ...head,
    'Psp Reference': `psp-${of.id}`,
    'Merchant Reference': of.id,
    'Creation Date': '2026-03-02 15:00:00',
    Type: type,
    'Modification Reference': `mod-${reference}`,
    'Modification Merchant Reference': id,
    'Gross Currency': 'EUR',
    ...sided(minor, 'Gross Debit (GC)', 'Gross Credit (GC)'),
    'Exchange Rate': '1',
    ...booked(minor - sum(Object.values(costs))),
    ...Object.fromEntries(Object.entries(costs).map(([column, cost]) => [column, usd(cost)])),
  });
  const other = (type: string, reference: string, moves: Cells): Cells => ({
    ...head,
    'Creation Date': '2026-03-03 00:10:00',
    Type: type,
    'Modification Reference': reference,
    ...moves,
  });
  const rows: Cells[] = [
    paid(p1, { 'Markup (NC)': money(30, 80), 'Scheme Fees (NC)': money(20, 60), 'Interchange (NC)': money(20, 60) }),
    paid(p2, { 'Commission (NC)': money(50, 150) }),
    paid(p3, { 'Commission (NC)': money(50, 150) }),
    about(p1, 'Refunded', r10.minor, r10.id, r10.id),
    about(p2, 'Refunded', r11.minor, r11.id, r11.id, { 'Commission (NC)': money(20, 60) }),
    about(p20, 'Chargeback', -p20.minor, '', 'chargeback'),
    about(p22, 'ChargebackReversed', p22.minor, '', 'won'),
    about(r21, 'RefundedReversed', -r21.minor, '', 'taken-back'),
    other('Fee', 'Transaction fees March 2026', booked(-money(300, 900))),
    other('Balancetransfer', 'from batch 6', booked(money(300, 900))),
    other('MerchantPayout', 'TX77 batch 7, CornerShop', {}),
  ];
  rows[rows.length - 1] = { ...rows.at(-1), ...sided(-net, 'Net Debit (NC)', 'Net Credit (NC)') };
  return {
    format: 'adyen-settlement-details',
    formatFile: null,
    options: ['--format', 'adyen-settlement-details', '--time-zone', 'Europe/Amsterdam'],
    sheets: [
      sheetOf('settlementDetails', `${SETTLED}/settlement_detail_report_batch_7.csv`, ADYEN_COLUMNS, rows, null),
      recordsOf([p1, p2, p3, r10, r11, p20, p22, r21]),
    ],
    roles: {
      ...RECORD_ROLES,
      ...amounts({
        'Gross Debit (GC)': 'Gross Currency',
        'Gross Credit (GC)': 'Gross Currency',
        ...Object.fromEntries(
          [
            'Net Debit (NC)',
            'Net Credit (NC)',
            'Commission (NC)',
            'Markup (NC)',
            'Scheme Fees (NC)',
            'Interchange (NC)',
          ].map((column) => [column, 'Net Currency']),
        ),
      }),
      ...all('currency', 'Gross Currency,Net Currency'),
      ...all(
        'id',
        'Merchant Account,Psp Reference,Merchant Reference,Modification Reference,Modification Merchant Reference,Batch Number',
      ),
      ...all('type', 'Type'),
      ...all('price', 'Exchange Rate'),
      ...all('time', 'Creation Date'),
      ...all('zone', 'TimeZone'),
    },
    currency: 'EUR',
    words: {
      types: ['Settled', 'Refunded', 'Chargeback', 'Fee', 'MerchantPayout', 'Balancetransfer'],
      done: 'SUCCESS',
      notDone: 'FAIL',
    },
    batches: ['7'],
    days: [],
  };
}

// ------------------------------------------------------------------------------------------------------------- one of one's own

const OWN = `name: corner
directory: /{merchantId}/{date}
names:
  transactionDetails: sales_{date}
  settlementDetails: payout_{batchId}_{currency}
  settlementSummary: total_{batchId}_{currency}
aliases:
  transactionType: Kind
  transactionRequestId: Your Reference
  transactionId: Our Reference
  originalTransactionRequestId: Refers To
  paymentTime: Booked
  settlementBatchId: Payout
  customerId: Shop
  status: State
  quotePrice: Rate
  count: Lines
required:
  transactionDetails: [transactionType, transactionRequestId, Amount, Currency, status]
  settlementDetails: [transactionType, transactionRequestId, Amount In, Amount Out, Currency, Net, Net Currency]
  settlementSummary: [settlementBatchId, Net, Net Currency]
columns:
  transactionDetails: [Zone, Note]
  settlementDetails: [Zone, Note]
amounts:
  transactionDetails:
    - { column: Amount, currencyColumn: Currency, role: transaction }
  settlementDetails:
    - { column: Amount In, debitColumn: Amount Out, currencyColumn: Currency, role: transaction }
    - { column: Net, currencyColumn: Net Currency, role: settlement }
    - { column: Cost, currencyColumn: Net Currency, role: fee }
    - { column: Tax, currencyColumn: Net Currency, role: charge }
  settlementSummary:
    - { column: Net, currencyColumn: Net Currency, role: settlement }
    - { column: Cost, currencyColumn: Net Currency, role: fee }
deducted: { "*": [Cost, Tax] }
priceNeedsNoPair: true
doneStatuses: [DONE]
notDoneStatuses: [OPEN]
times:
  paymentTime: { zoneColumn: Zone }
zones: { CST: "+08:00" }
typeNames: { Sale: PAYMENT, Return: REFUND, Chargeback: DISPUTE }
types:
  PAYMENT: { matchBy: own, grossSign: 1 }
  REFUND: { matchBy: own, grossSign: -1 }
  DISPUTE: { matchBy: original, ownId: false }
  Monthly Fee: { matchBy: none, noGross: true, ids: { transactionRequestId: none } }
`;

export function ownDay(seed: number): CleanDay {
  const { money, p1, p2, p3, r10, r11, p20 } = happened(seed, 'EUR', 'USD');
  const p14: Move = { ...p1, id: 'p-14', minor: money(1_000, 3_000), status: 'PENDING', at: noon(14) };
  const moves = [p1, p2, p3, r10, r11];
  const kindOf = ({ type }: Move) => (type === 'PAYMENT' ? 'Sale' : 'Return');
  const ids = (move: Move): Cells => ({
    Shop: 'Corner',
    Kind: kindOf(move),
    'Our Reference': `our-${move.id}`,
    'Your Reference': move.id,
    'Refers To': move.of?.id ?? '',
    Booked: move.at.slice(0, 19).replace('T', ' '),
    Zone: 'CST',
    Currency: move.currency,
    Note: 'thanks',
  });
  const sales = [...moves, p14].map(
    (move): Cells => ({ ...ids(move), Amount: usd(move.minor), State: move === p14 ? 'OPEN' : 'DONE' }),
  );
  let net = 0n;
  let cost = 0n;
  const settled = (row: Cells, gross: bigint, takes: Readonly<Record<string, bigint>>): Cells => {
    const minor = gross - sum(Object.values(takes));
    net += minor;
    cost += takes['Cost'] ?? 0n;
    return {
      Payout: '7',
      ...row,
      ...Object.fromEntries(Object.entries(takes).map(([column, take]) => [column, usd(take)])),
      Net: usd(minor),
      'Net Currency': 'EUR',
    };
  };
  const rows = [
    ...moves.map((move) =>
      settled(
        { ...ids(move), ...sided(move.minor, 'Amount Out', 'Amount In'), ...(move === p3 && { Rate: PRICE }) },
        move === p3 ? converted(move.minor) : move.minor,
        { Cost: (move.minor < 0n ? -1n : 1n) * money(30, 150), ...(move === p1 && { Tax: money(20, 60) }) },
      ),
    ),
    settled(
      {
        ...ids(p20),
        Kind: 'Chargeback',
        'Our Reference': 'our-chargeback',
        'Your Reference': '',
        'Refers To': p20.id,
        ...sided(-p20.minor, 'Amount Out', 'Amount In'),
      },
      -p20.minor,
      { Tax: money(900, 1_500) },
    ),
    settled(
      { ...ids(p1), Kind: 'Monthly Fee', 'Our Reference': 'our-fee', 'Your Reference': '', Currency: '' },
      -money(300, 900),
      {},
    ),
  ];
  const columns = 'Payout,Shop,Kind,Our Reference,Your Reference,Refers To,Booked,Zone';
  return {
    format: 'corner',
    formatFile: OWN,
    options: ['--time-zone', 'Asia/Shanghai'],
    sheets: [
      sheetOf(
        'transactionDetails',
        '20260302/sales_20260302.csv',
        'Shop,Kind,Our Reference,Your Reference,Refers To,Booked,Zone,Amount,Currency,State,Note',
        sales,
        null,
      ),
      sheetOf(
        'settlementDetails',
        `${SETTLED}/payout_7_EUR.csv`,
        `${columns},Amount In,Amount Out,Currency,Rate,Cost,Tax,Net,Net Currency,Note`,
        rows,
        null,
      ),
      sheetOf(
        'settlementSummary',
        `${SETTLED}/total_7_EUR.csv`,
        'Payout,Shop,Lines,Net,Net Currency,Cost',
        [
          {
            Payout: '7',
            Shop: 'Corner',
            Lines: String(rows.length),
            Net: usd(net),
            'Net Currency': 'EUR',
            Cost: usd(cost),
          },
        ],
        null,
      ),
      recordsOf([...moves, p14, p20]),
    ],
    roles: {
      ...RECORD_ROLES,
      ...amounts({
        Amount: 'Currency',
        'Amount In': 'Currency',
        'Amount Out': 'Currency',
        Cost: 'Net Currency',
        Tax: 'Net Currency',
        Net: 'Net Currency',
      }),
      ...all('currency', 'Currency,Net Currency'),
      ...all('id', 'Payout,Shop,Our Reference,Your Reference,Refers To'),
      ...all('type', 'Kind'),
      ...all('status', 'State'),
      ...all('price', 'Rate'),
      ...all('count', 'Lines'),
      ...all('time', 'Booked'),
      ...all('zone', 'Zone'),
    },
    currency: 'EUR',
    words: { types: ['Sale', 'Return', 'Chargeback', 'Monthly Fee'], done: 'DONE', notDone: 'OPEN' },
    batches: ['7'],
    days: [FIRST_DAY],
  };
}
