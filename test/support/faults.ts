/**
 * Made-up deliveries with their ledger: the same seed writes the same bytes. `makeFaults` plants every fault that the
 * contract can tell without a calendar, at random places and in combinations; `cleanWeek` plants none. Nothing here
 * says what the answer is: the oracle reads the files.
 */
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DIGITS, halfEven, type OracleOptions, printAmount } from './oracle.ts';

/** `reconcile` is called with `paths`, `ledger` and `options`; `planted` names the faults, for messages. */
export type Made = { paths: string[]; ledger: string; options: OracleOptions; planted: string[] };

// -------------------------------------------------------------------------------------------------------------- random

/** mulberry32: small, seeded, good enough to scatter faults. */
function makeRandom(seed: number) {
  let state = (seed * 0x9e3779b1) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  const pick = <T>(list: readonly T[]): T => list[int(0, list.length - 1)]!;
  const shuffle = <T>(list: readonly T[]): T[] => {
    const copy = [...list];
    for (let i = copy.length - 1; i > 0; i -= 1) {
      const j = int(0, i);
      [copy[i], copy[j]] = [copy[j]!, copy[i]!];
    }
    return copy;
  };
  return { int, pick, shuffle, chance: (p: number) => next() < p };
}

// --------------------------------------------------------------------------------------------------------------- world

type Cells = { [column: string]: string } & { [column in KnownColumn]?: string };
/** The columns that code here names. */
type KnownColumn =
  | 'amount'
  | 'cardBrand'
  | 'convertedCurrency'
  | 'convertedTransactionAmountValue'
  | 'count'
  | 'currency'
  | 'feeCurrency'
  | 'installmentsNum'
  | 'interchangeFeeCurrency'
  | 'orderDescription'
  | 'originalRequestId'
  | 'originalTransactionRequestId'
  | 'productCode'
  | 'quoteCurrencyPair'
  | 'quotePrice'
  | 'referenceTransactionId'
  | 'requestId'
  | 'settlementAmountValue'
  | 'settlementCurrency'
  | 'status'
  | 'summaryType'
  | 'taxFeeCurrency'
  | 'transactionAmountValue'
  | 'transactionCurrency'
  | 'transactionId'
  | 'transactionRequestId'
  | 'transactionType';
/** One movement of money at the merchant; the amount is signed as the provider prints it. */
type Move = {
  type: string;
  requestId: string;
  transactionId: string;
  amount: bigint;
  currency: string;
  day: number;
  time: number;
  original: Move | null;
};
/** One row of a report. `spoil` turns its cells, already quoted, into the text of a broken line. */
type Line = { cells: Cells; move: Move | null; spoil?: (cells: string[]) => string; spoiled?: boolean };
type Batch = {
  merchant: Merchant;
  id: string;
  currency: string;
  acquirer: string;
  day: number;
  psp: string;
  lines: Line[];
  parts: number;
  summaryEdits: ((lines: Line[]) => void)[];
  summaryColumns: string[];
  uncounted: Set<Line>;
  /** Details and summary may lie in folders of their own, or be left out. */
  without?: 'details' | 'summary';
  skipPart?: number;
};
type Day = { merchant: Merchant; day: number; lines: Line[]; parts: number };
type Merchant = {
  id: string;
  customerId: string;
  currencies: string[];
  moves: Move[];
  refundable: Map<Move, bigint>;
  batches: Batch[];
  days: Day[];
  records: Map<Move, Cells>;
};
/** A file as it will be written; faults of whole files work on these. */
type ReportFile = {
  root: string;
  path: string;
  columns: string[];
  lines: Line[];
  end: string;
  /** A symbolic link to another file, which nobody follows. */
  link?: string;
  style: {
    newline: string;
    bom: boolean;
    blanks: boolean;
    ragged: boolean;
    gbk: boolean;
    utf16: boolean;
    whole?: string;
  };
};
type World = ReturnType<typeof makeWorld>;

const DAYS = 5;
const BASE: Cells = { cardBrand: '', funding: '', issuingCountry: '' };
const DAY_COLUMNS =
  'customerId acquirer acquirerReferenceNo referenceMerchantId referenceStoreId transactionId originalTransactionId transactionRequestId referenceTransactionId orderDescription paymentMethodType pspName transactionType paymentTime productCode transactionAmountValue transactionCurrency originalTransactionRequestId issuingCountry cardBrand funding'.split(
    ' ',
  );
const ITEM_COLUMNS =
  'settlementBatchId customerId acquirer acquirerReferenceNo transactionId originalTransactionId transactionRequestId referenceTransactionId paymentMethodType pspName transactionType paymentTime settlementTime productCode transactionAmountValue transactionCurrency settlementAmountValue settlementCurrency quoteCurrencyPair quotePrice feeAmountValue feeCurrency taxFeeAmountValue taxFeeCurrency processingFeeAmountValue processingFeeCurrency nonGuaranteeCouponValue nonGuaranteeCouponCurrency disputeHandlingFee disputeHandlingFeeCurrency disputeReverseFee disputeReverseFeeCurrency originalTransactionRequestId installmentsNum issuingCountry cardBrand funding interchangeFeeAmountValue interchangeFeeCurrency schemeFeeAmountValue schemeFeeCurrency acquirerMarkupAmountValue acquirerMarkupCurrency'.split(
    ' ',
  );
const SUMMARY_COLUMNS =
  'settlementBatchId customerId acquirer summaryType settlementTime count settlementAmountValue settlementCurrency feeAmountValue feeCurrency processingFeeAmountValue processingFeeCurrency interchangeFeeAmountValue interchangeFeeCurrency schemeFeeAmountValue schemeFeeCurrency acquirerMarkupAmountValue acquirerMarkupCurrency'.split(
    ' ',
  );
/** Rough value of one unit in USD, so that conversions look believable. */
const VALUE: Record<string, number> = {
  USD: 1,
  EUR: 1.08,
  HKD: 0.128,
  SGD: 0.74,
  JPY: 0.0067,
  KRW: 0.00075,
  KWD: 3.25,
  BHD: 2.65,
};
const MONEY_COLUMNS: Record<string, string> = {
  transactionAmountValue: 'transactionCurrency',
  settlementAmountValue: 'settlementCurrency',
  convertedTransactionAmountValue: 'convertedCurrency',
  feeAmountValue: 'feeCurrency',
  taxFeeAmountValue: 'taxFeeCurrency',
  processingFeeAmountValue: 'processingFeeCurrency',
  nonGuaranteeCouponValue: 'nonGuaranteeCouponCurrency',
  disputeHandlingFee: 'disputeHandlingFeeCurrency',
  disputeReverseFee: 'disputeReverseFeeCurrency',
  interchangeFeeAmountValue: 'interchangeFeeCurrency',
  schemeFeeAmountValue: 'schemeFeeCurrency',
  acquirerMarkupAmountValue: 'acquirerMarkupCurrency',
};

function makeWorld(seed: number, size: number, merchantCount: number, options: OracleOptions, days = DAYS) {
  const random = makeRandom(seed);
  const start = Date.UTC(2024, random.int(0, 11), random.int(1, 28)) - 8 * 3_600_000; // midnight in Shanghai
  const exact = options.toleranceMinor === 0;
  const minorUnit = options.amountUnit === 'minor';
  let counter = 0;
  const id = (prefix: string) => {
    counter += 1;
    return `${prefix}${String(counter).padStart(7, '0')}`;
  };
  const print = (minor: bigint, currency: string) => (minorUnit ? String(minor) : printAmount(minor, currency));
  const parse = (text: string, currency: string) => {
    const [whole = '0', decimals = ''] = text.split('.');
    return BigInt(minorUnit ? whole : whole + decimals.padEnd(DIGITS[currency]!, '0'));
  };
  const dayName = (day: number) => new Date(start + day * 86_400_000 + 8 * 3_600_000).toISOString().slice(0, 10);
  const folder = (merchant: Merchant, day: number) =>
    `v1/settlements/${merchant.id}/${dayName(day).replaceAll('-', '')}`;
  /** The instant with some offset, as a report might print it. */
  const stamp = (time: number) => {
    const hours = random.pick([8, 8, 8, 0, -5, 9]);
    const local = new Date(time + hours * 3_600_000).toISOString().slice(0, 19);
    const offset = `${hours < 0 ? '-' : '+'}${String(Math.abs(hours)).padStart(2, '0')}:00`;
    return (random.chance(0.1) ? local.replace('T', ' ') : local) + offset;
  };
  const someAmount = (currency: string) =>
    BigInt(Math.max(1, Math.round((random.int(100, 90_000) / 100 / VALUE[currency]!) * 10 ** DIGITS[currency]!)));

  function move(
    merchant: Merchant,
    type: string,
    day: number,
    amount: bigint,
    currency: string,
    original: Move | null = null,
  ) {
    const time = start + day * 86_400_000 + random.int(0, 86_399) * 1000;
    const made: Move = {
      type,
      requestId: id(`${type[0]}-`),
      transactionId: id('T'),
      amount,
      currency,
      day,
      time,
      original,
    };
    merchant.moves.push(made);
    return made;
  }

  function record(merchant: Merchant, of: Move, status = 'SUCCESS') {
    merchant.records.set(of, {
      requestId: of.requestId,
      type: of.type,
      amount: printAmount(of.amount < 0n ? -of.amount : of.amount, of.currency),
      currency: of.currency,
      status,
      occurredAt: stamp(of.time),
      merchantId: merchant.id,
      orderId: `O-${of.requestId}`,
      originalRequestId: of.original?.requestId ?? '',
    });
  }

  function keys(of: Move): Cells {
    return {
      transactionType: of.type,
      transactionId: of.transactionId,
      transactionRequestId: of.requestId,
      originalTransactionRequestId: of.original?.requestId ?? '',
      originalTransactionId: of.original?.transactionId ?? '',
      referenceTransactionId: `O-${of.requestId}`,
      paymentTime: stamp(of.time),
      transactionAmountValue: print(of.amount, of.currency),
      transactionCurrency: of.currency,
      orderDescription: random.chance(0.15) ? random.pick(FREE_TEXT) : 'a thing',
    };
  }

  function report(day: Day, of: Move): Line {
    const line = {
      cells: { ...BASE, customerId: day.merchant.customerId, acquirer: 'Alipay_SG', ...keys(of) },
      move: of,
    };
    day.lines.push(line);
    return line;
  }

  /** A settlement row that adds up: gross, converted where the currencies differ, plus fees in the acquirer's own signs. */
  function settle(batch: Batch, of: Move): Line {
    const to = batch.currency;
    const cells: Cells = { ...BASE, ...head(batch), ...keys(of), settlementCurrency: to };
    let gross = of.amount;
    if (of.currency !== to) {
      const rate = (VALUE[of.currency]! / VALUE[to]!) * (0.9 + random.int(0, 200) / 1000);
      const direct = random.chance(0.5);
      const price = (direct ? rate : 1 / rate).toFixed(random.int(5, 8));
      const units = BigInt(price.replace('.', ''));
      const scale = 10n ** BigInt(price.split('.')[1]!.length);
      const up = 10n ** BigInt(DIGITS[to]!);
      const down = 10n ** BigInt(DIGITS[of.currency]!);
      gross = direct ? halfEven(gross * units * up, scale * down) : halfEven(gross * scale * up, units * down);
      cells.quoteCurrencyPair = direct ? `${of.currency}/${to}` : `${to}/${of.currency}`;
      cells.quotePrice = price;
    }
    const charged = batch.acquirer === 'Hundsun' ? 1n : -1n; // how a charge on a payment is printed
    const fee = (charged * gross * BigInt(random.int(5, 40))) / 1000n;
    const tax = random.chance(0.3) ? fee / 10n : 0n;
    const processing = random.chance(0.2) ? -BigInt(random.int(1, 30)) : 0n;
    const coupon = random.chance(0.1) ? BigInt(random.int(1, 20)) : 0n;
    const dispute = of.type.startsWith('DISPUTE') ? -BigInt(random.int(1, 500)) : 0n;
    const put = (column: string, minor: bigint) => {
      cells[column] = print(minor, to);
      cells[MONEY_COLUMNS[column]!] = to;
    };
    put('feeAmountValue', fee);
    if (tax) put('taxFeeAmountValue', tax);
    if (processing) put('processingFeeAmountValue', processing);
    if (coupon) put('nonGuaranteeCouponValue', coupon);
    if (dispute) put('disputeHandlingFee', dispute);
    if (random.chance(0.3)) {
      put('interchangeFeeAmountValue', fee / 2n);
      put('schemeFeeAmountValue', fee / 5n);
      put('acquirerMarkupAmountValue', fee - fee / 2n - fee / 5n + (exact ? 0n : BigInt(random.int(-2, 2))));
    }
    const jitter = exact || random.chance(0.8) ? 0n : BigInt(random.int(-2, 2));
    put('settlementAmountValue', gross - charged * (fee + tax) + processing + dispute - coupon + jitter);
    const line = { cells, move: of };
    batch.lines.push(line);
    return line;
  }

  /** One key in several rows, of which each prints its part, or the whole of which it settles a part; not all have to be there yet. */
  function settleInParts(merchant: Merchant, of: Move, which: 'all' | 'some'): void {
    const batches = merchant.batches.filter((batch) => batch.currency === of.currency && !/^0+$/.test(batch.id));
    const count = random.pick([2, 3, 6]);
    const each = of.amount / BigInt(count);
    const printsWhole = batches.length > 0 && random.chance(0.4);
    for (let i = 0; i < (which === 'all' ? count : random.int(1, count - 1)); i += 1) {
      const amount = i ? each : of.amount - each * BigInt(count - 1);
      const batch = random.pick(batches.length && (printsWhole || random.chance(0.8)) ? batches : merchant.batches);
      const line = settle(batch, { ...of, amount, transactionId: i ? id('T') : of.transactionId });
      Object.assign(line, { move: of });
      line.cells.installmentsNum = String(count);
      if (printsWhole) line.cells.transactionAmountValue = print(of.amount, of.currency);
    }
  }

  const head = (batch: Batch): Cells => ({
    settlementBatchId: random.chance(0.05) ? '' : batch.id,
    customerId: batch.merchant.customerId,
    acquirer: batch.acquirer,
    settlementTime: stamp(start + batch.day * 86_400_000 + 7_200_000),
  });

  /** A row that belongs to no payment. */
  function extra(batch: Batch, type: string): Line {
    const cells: Cells = { ...BASE, ...head(batch), transactionType: type, settlementCurrency: batch.currency };
    const amount = print(-BigInt(random.int(1, 5000)), batch.currency);
    if (random.chance(0.5)) cells.transactionId = id('X');
    if (type === 'DEFAULT' && batch.acquirer !== 'Hundsun')
      Object.assign(cells, { feeAmountValue: amount, feeCurrency: batch.currency });
    else cells.settlementAmountValue = amount;
    const line = { cells, move: null };
    batch.lines.push(line);
    return line;
  }

  function newBatch(
    merchant: Merchant,
    day: number,
    currency: string,
    batchId = id(dayName(day).replaceAll('-', '')),
  ): Batch {
    const batch: Batch = {
      merchant,
      id: batchId,
      currency,
      acquirer: random.pick(['Alipay_SG', 'Hundsun', '2C2P_SG']),
      day,
      psp: random.pick(['', '', '', 'KaKaoPay', 'CONNECTWALLET']),
      lines: [],
      parts: random.pick([1, 1, 2, 3]),
      summaryEdits: [],
      summaryColumns: SUMMARY_COLUMNS,
      uncounted: new Set(),
    };
    merchant.batches.push(batch);
    return batch;
  }

  const refund = (merchant: Merchant, of: Move, day: number, amount: bigint) =>
    move(merchant, 'REFUND', day, -amount, of.currency, of);

  /** One merchant's days: payments, captures, refunds, cancels and what follows from them, reported and settled. */
  function newMerchant(index: number, rows: number): Merchant {
    const merchant: Merchant = {
      id: `10221880000000000${index}0`,
      customerId: `10221880000000000${index}0`,
      currencies: random.pick([
        ['USD', 'EUR', 'JPY'],
        ['USD', 'JPY', 'KRW'],
        ['KWD', 'BHD', 'JPY'],
        ['USD', 'HKD', 'KWD', 'JPY'],
        ['SGD', 'KWD'],
      ]),
      moves: [],
      refundable: new Map(),
      batches: [],
      days: [],
      records: new Map(),
    };
    counter = 0; // two merchants use the same request ids: a key is the merchant's own
    for (let day = 0; day < days; day += 1) {
      merchant.days.push({ merchant, day, lines: [], parts: random.pick([1, 1, 1, 2]) });
      const shared = random.chance(0.3) ? id(`S${day}`) : undefined; // one batch id in two currencies is two batches
      for (const currency of random.shuffle(merchant.currencies).slice(0, 2))
        newBatch(merchant, day + 1, currency, shared);
    }
    for (let i = 0; i < rows; i += 1) {
      const day = Math.floor((i * days) / rows);
      const currency = random.pick(merchant.currencies);
      const amount = someAmount(currency);
      const dice = random.int(1, 100);
      let paid: Move;
      if (dice <= 15) {
        const authorized = move(merchant, 'AUTHORIZATION', day, amount, currency);
        record(merchant, authorized);
        paid = move(merchant, 'CAPTURE', day, amount, currency, authorized);
        record(merchant, paid);
      } else {
        paid = move(merchant, 'PAYMENT', day, amount, currency);
        record(merchant, paid, dice <= 20 ? 'CANCELLED' : 'SUCCESS');
        if (dice <= 20) {
          record(merchant, move(merchant, random.pick(['CANCEL', 'VOID']), day, amount, currency, paid));
          continue;
        }
      }
      merchant.refundable.set(paid, amount);
      if (dice > 70) {
        const [of, left] = random.pick([...merchant.refundable.entries()].slice(-20));
        const part = random.chance(0.3) ? left : left / BigInt(random.int(2, 5));
        if (part > 0n) {
          merchant.refundable.set(of, left - part);
          const back = refund(merchant, of, day, part);
          record(merchant, back);
          if (random.chance(0.1)) {
            move(merchant, 'REFUND_REVERSAL', day, part, of.currency, random.chance(0.5) ? back : of);
            merchant.refundable.set(of, left);
          }
        }
      }
      if (dice > 60 && dice <= 66) {
        const type = random.pick([
          'PAYMENT_REVERSAL',
          'DISPUTE',
          'DISPUTE',
          'DISPUTE_REVERSAL',
          'RAPID_DISPUTE_RESOLUTION',
          'CDRN',
          'ARBITRATION',
        ]);
        const part = amount / BigInt(random.int(1, 3));
        move(merchant, type, day, type === 'DISPUTE_REVERSAL' ? part : -part, currency, paid);
        merchant.refundable.delete(paid); // both together would be more than was paid
      }
    }
    for (const of of merchant.moves) {
      const ownId = !/DISPUTE|CDRN|ARBITRATION/.test(of.type);
      if (!ownId) of.requestId = '';
      const reversal = !merchant.records.has(of);
      if (!reversal || random.chance(0.3))
        report(random.chance(0.03) ? neighbour(merchant, of.day) : merchant.days[of.day]!, of);
      if (!['AUTHORIZATION', 'CANCEL', 'VOID'].includes(of.type) && merchant.records.get(of)?.status !== 'CANCELLED') {
        if (of.type === 'PAYMENT' && random.chance(0.03)) {
          settleInParts(merchant, of, random.chance(0.7) ? 'all' : 'some');
          continue;
        }
        const near = merchant.batches.filter((batch) => batch.day === of.day + 1);
        const same = near.filter((batch) => batch.currency === of.currency);
        const line = settle(random.pick(same.length && random.chance(0.8) ? same : near), of);
        if (reversal && of.type === 'DISPUTE' && random.chance(0.5)) line.cells.originalTransactionRequestId = '';
        if (of.type === 'PAYMENT' && random.chance(0.03)) {
          line.cells.installmentsNum = '3';
          const other = random.pick(merchant.batches.filter((batch) => !batch.lines.includes(line)));
          settle(other, of).cells.installmentsNum = '3';
        }
      }
    }
    for (const batch of merchant.batches)
      for (const type of [
        'SETTLEMENT_FEE',
        'RESERVE_WITHHOLDING',
        'RESERVE_RELEASED',
        'COLLATERAL_WITHHOLDING',
        'ADJUSTMENT_FEE',
        'DEFAULT',
      ])
        if (random.chance(0.25)) extra(batch, type);
    newBatch(merchant, 1, merchant.currencies[0]!, '0'.repeat(19)).parts = 1;
    return merchant;
  }

  const neighbour = (merchant: Merchant, day: number) =>
    merchant.days[day + (day === 0 ? 1 : day === days - 1 ? -1 : random.pick([1, -1]))]!;

  const each = Math.ceil(size / merchantCount);
  const merchants = Array.from({ length: merchantCount }, (_, i) => newMerchant(i + 1, each));
  return {
    random,
    merchants,
    options,
    print,
    parse,
    id,
    stamp,
    folder,
    someAmount,
    move,
    refund,
    record,
    report,
    settle,
    settleInParts,
    extra,
    newBatch,
    start,
  };
}

const FREE_TEXT = [
  'one, two',
  'two\nlines',
  'three\r\nlines\n"quoted"',
  'a "quote" inside',
  '\n<END>\nno end at all',
  'half a "',
  '中文',
  ' padded ',
  'null',
];

// --------------------------------------------------------------------------------------------------------------- files

/** The reports of a world as files, still open to faults of whole files. */
function filesOf(world: World, plain: boolean): ReportFile[] {
  const { random } = world;
  const files: ReportFile[] = [];
  const put = (path: string, columns: string[], lines: Line[]) => {
    const converted = lines.some(({ cells }) => cells.convertedTransactionAmountValue);
    const own = [
      ...columns,
      ...(converted ? ['convertedTransactionAmountValue', 'convertedCurrency'] : []),
      ...(lines.some(({ cells }) => cells.status !== undefined) ? ['status'] : []),
      ...(random.chance(0.2) ? ['orderDescription', 'somethingNew'] : []),
    ];
    files.push({
      root: 'reports',
      path,
      columns: random.chance(0.4) ? random.shuffle([...new Set(own)]) : [...new Set(own)],
      lines,
      end: plain || random.chance(0.7) ? '<END>' : `<END>${','.repeat(random.int(1, 30))}`,
      style: {
        newline: random.chance(0.3) ? '\r\n' : '\n',
        bom: random.chance(0.2),
        blanks: random.chance(0.2),
        ragged: random.chance(0.2),
        gbk: false,
        utf16: false,
      },
    });
  };
  for (const merchant of world.merchants) {
    for (const day of merchant.days) {
      const name = world.folder(merchant, day.day);
      const date = name.slice(-8);
      for (const [seq, lines] of split(day.lines, day.parts))
        put(`${name}/transactionItems_${date}_${seq}.csv`, DAY_COLUMNS, lines);
    }
    for (const batch of merchant.batches) {
      const folder = world.folder(merchant, batch.day);
      const name = `${batch.psp ? `${batch.psp}_` : ''}${batch.currency}_${batch.id}`;
      if (batch.without !== 'details')
        for (const [seq, lines] of split(batch.lines, batch.parts))
          if (Number(seq) !== batch.skipPart) put(`${folder}/settlementItems_${name}_${seq}.csv`, ITEM_COLUMNS, lines);
      if (batch.without !== 'summary')
        put(`${folder}/settlementSummary_${name}_000.csv`, batch.summaryColumns, summaryOf(world, batch));
    }
  }
  return files;
}

function split(lines: Line[], parts: number): [string, Line[]][] {
  const each = Math.ceil(lines.length / parts) || 1;
  return Array.from({ length: parts }, (_, i) => [String(i).padStart(3, '0'), lines.slice(i * each, (i + 1) * each)]);
}

function summaryOf(world: World, batch: Batch): Line[] {
  const { currency } = batch;
  const counted = batch.lines.filter((line) => !batch.uncounted.has(line));
  if (counted.length === 0) return [];
  const line = (type: string, lines: Line[]): Line => {
    const minor = (cells: Cells, column: string) => {
      const text = cells[column] ?? '';
      return /^-?\d+(\.\d+)?$/.test(text) ? world.parse(text, currency) : 0n;
    };
    const settled = lines.map(({ cells }) =>
      minor(cells, cells.settlementAmountValue ? 'settlementAmountValue' : 'feeAmountValue'),
    );
    const fees = lines.map(({ cells }) => (cells.feeCurrency === currency ? minor(cells, 'feeAmountValue') : 0n));
    const total = (list: bigint[]) =>
      world.print(
        list.reduce((sum, n) => sum + n, 0n),
        currency,
      );
    const cells = {
      settlementBatchId: batch.id,
      customerId: batch.merchant.customerId,
      acquirer: batch.acquirer,
      summaryType: type,
      settlementTime: world.stamp(world.start + batch.day * 86_400_000),
      count: String(lines.length),
      settlementAmountValue: total(settled),
      settlementCurrency: currency,
      feeAmountValue: total(fees),
      feeCurrency: currency,
    };
    return { cells, move: null };
  };
  const byType = Map.groupBy(counted, ({ cells }) => cells.transactionType ?? '');
  const lines = [...byType].map(([type, of]) => line(type, of));
  lines.splice(world.random.int(0, lines.length), 0, line('TOTAL', counted));
  for (const edit of batch.summaryEdits) edit(lines);
  return lines;
}

const quote = (text: string) =>
  /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;

function textOf(file: ReportFile, random: World['random']): string {
  const { newline, blanks, ragged } = file.style;
  const out = [file.columns.join(',')];
  for (const line of file.lines) {
    const cells = file.columns.map((column) => quote(line.cells[column] ?? ''));
    if (blanks && random.chance(0.1)) out.push('');
    if (line.spoil) out.push(line.spoil(cells));
    else out.push(cells.join(',') + (ragged && random.chance(0.3) ? ','.repeat(random.int(1, 6)) : ''));
  }
  if (file.end) out.push(file.end);
  return out.join(newline) + newline;
}

const CUT = '\ue000'; // becomes the first two bytes of a three-byte character
const GBK: Record<string, number[]> = { 中: [0xd6, 0xd0], 文: [0xce, 0xc4], 支: [0xd6, 0xa7], 付: [0xb8, 0xb6] };

function bytesOf(file: ReportFile, random: World['random']): Buffer {
  const text = file.style.whole ?? textOf(file, random);
  if (file.style.utf16) return Buffer.from(`\ufeff${text}`, 'utf16le');
  if (file.style.gbk) return Buffer.from([...text].flatMap((char) => GBK[char] ?? char.charCodeAt(0)));
  const pieces = text.split(CUT).map((piece) => Buffer.from(piece));
  const cut = Buffer.concat(pieces.flatMap((piece, i) => (i ? [Buffer.from([0xe4, 0xb8]), piece] : [piece])));
  return file.style.bom ? Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), cut]) : cut;
}

function writeWorld(dir: string, world: World, files: ReportFile[], ledgerExtra: Cells[], planted: string[]): Made {
  for (const file of files) {
    const path = join(dir, file.root, file.path);
    mkdirSync(dirname(path), { recursive: true });
    if (file.link) symlinkSync(join(dir, 'reports', file.link), path);
    else writeFileSync(path, bytesOf(file, world.random));
  }
  const { random } = world;
  const columns = 'requestId type amount currency status occurredAt merchantId orderId originalRequestId'.split(' ');
  const minor = random.chance(0.3);
  const blankMerchant = world.merchants.length === 1 && random.chance(0.5);
  const rows = random.shuffle(world.merchants.flatMap((merchant) => [...merchant.records.values()]));
  const text = [...rows, ...ledgerExtra].map((cells) =>
    columns.map((column) => {
      if (column === 'merchantId' && blankMerchant) return '';
      if (column !== 'amount' || !minor) return quote(cells[column] ?? '');
      return (cells.amount ?? '').replace('.', '').replace(/^0+(?=\d)/, '');
    }),
  );
  const header = columns.map((column) => (column === 'amount' && minor ? 'amountMinor' : column));
  const ledger = join(dir, 'ledger.csv');
  writeFileSync(ledger, `${[header, ...text].map((cells) => cells.join(',')).join('\n')}\n`);
  const paths = [...new Set(['reports', ...files.map((file) => file.root)])].map((root) => join(dir, root));
  return { paths, ledger, options: world.options, planted };
}

/** A week of two merchants' reports and records without any fault, of about `rows` settlement and transaction rows. */
export function cleanWeek(dir: string, seed: number, rows: number): Made {
  const world = makeWorld(seed, Math.ceil(rows / 3), 1 + (seed % 2), {}, 7);
  return writeWorld(dir, world, filesOf(world, true), [], []);
}

// -------------------------------------------------------------------------------------------------------------- faults

type Fault = (world: World) => void;

const somewhere = (world: World) => world.random.pick(world.merchants);
const someBatch = (world: World) =>
  world.random.pick(somewhere(world).batches.filter((batch) => batch.lines.length > 3));

/** A settlement or transaction row of one of these types that no broken text has spoiled. */
function someLine(
  world: World,
  types?: string[],
  where: 'batch' | 'day' | 'any' = 'any',
): { line: Line; lines: Line[]; merchant: Merchant; batch?: Batch } {
  for (let tries = 0; tries < 500; tries += 1) {
    const merchant = somewhere(world);
    const inBatch = where === 'batch' || (where === 'any' && world.random.chance(0.6));
    const unit = world.random.pick<Batch | Day>(inBatch ? merchant.batches : merchant.days);
    if (unit.lines.length === 0) continue;
    const line = world.random.pick(unit.lines);
    if (line.spoiled || (types && !(line.move && types.includes(line.move.type)))) continue;
    return { line, lines: unit.lines, merchant, ...('id' in unit ? { batch: unit } : {}) };
  }
  return someLine(world, undefined, where); // no such row in a folder this small: any row will do
}

/** The record of a random row, to be made to disagree. */
function someRecord(
  world: World,
  types = ['PAYMENT', 'CAPTURE', 'REFUND'],
): { record: Cells; merchant: Merchant; move: Move } {
  for (;;) {
    const merchant = somewhere(world);
    const found = [...merchant.records].filter(([move]) => types.includes(move.type));
    if (found.length === 0) return someRecord(world);
    const [move, record] = world.random.pick(found);
    return { record, merchant, move };
  }
}

/** A batch that may settle anything. */
const someSettlement = (world: World, merchant: Merchant): Batch =>
  world.random.pick(merchant.batches.filter((batch) => !/^0+$/.test(batch.id)));

/** Changes one amount cell by some minor units, if another fault has left an amount in it. */
function shift(world: World, cells: Cells, column: string, by: bigint, currency: string) {
  if (!/^(-?\d+(\.\d+)?)?$/.test(cells[column] ?? '')) return;
  cells[column] = world.print(world.parse(cells[column] || '0', currency) + by, currency);
}
const some = (world: World) => BigInt(world.random.int(3, 5000) * world.random.pick([1, -1]));

/** A row that cannot be read: half the time the summary still counts it. */
function spoil(
  name: string,
  change: (line: Line, world: World, currency: string) => void,
  where: 'batch' | 'day' | 'any' = 'any',
): [string, Fault] {
  const fault = (world: World) => {
    const { line, batch } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND'], where);
    line.spoiled = true;
    if (batch && world.random.chance(0.5)) batch.uncounted.add(line);
    change(line, world, line.cells.transactionCurrency!);
  };
  return [`refused: ${name}`, fault];
}
const setCell = (column: string, values: string[]) => (line: Line, world: World) => {
  line.cells[column] = world.random.pick(values);
};
const spoilCell = (column: string, text: string) => (line: Line) => {
  line.cells[column] = '\u0001';
  line.spoil = (cells) => cells.join(',').replace('\u0001', text);
};

const SPOILS: [string, Fault][] = [
  spoil(
    'amount text',
    setCell('transactionAmountValue', [
      '1e3',
      '+5.00',
      '"1,000.00"',
      '1,000.00',
      '١٢',
      '12.',
      '.5',
      '5 USD',
      '--1',
      '0x10',
      '1 000',
    ]),
  ),
  spoil('settlement text', setCell('settlementAmountValue', ['abc', '1e-2', '+1', '1,5']), 'batch'),
  spoil('fee text', setCell('feeAmountValue', ['n/a', '1.2.3', '-']), 'batch'),
  spoil('decimals', (line, world) => {
    line.cells.transactionAmountValue = world.options.amountUnit === 'minor' ? '10.5' : '10.1234';
  }),
  spoil('too large', setCell('transactionAmountValue', ['9000000000000000001', '-99999999999999999999.00'])),
  spoil('currency', setCell('transactionCurrency', ['ZZZ', 'US$', '840'])),
  spoil('no currency', setCell('transactionCurrency', ['', 'null'])),
  spoil('no fee currency', setCell('feeCurrency', ['', 'None']), 'batch'),
  spoil('no amount', setCell('transactionAmountValue', ['', 'null', 'NONE'])),
  spoil('no settlement amount', setCell('settlementAmountValue', ['', 'null']), 'batch'),
  spoil('other batch', setCell('settlementBatchId', ['2099010100000000000']), 'batch'),
  spoil(
    'other currency',
    (line) => {
      line.cells.settlementCurrency = line.cells.settlementCurrency === 'KWD' ? 'BHD' : 'KWD';
    },
    'batch',
  ),
  spoil(
    'time',
    setCell('paymentTime', [
      'yesterday',
      '2024-13-01T00:00:00+08:00',
      '1999-12-31T23:00:00+08:00',
      '2024-02-01T10:00:00',
      '20240201',
    ]),
  ),
  spoil('too short', (line, world) => {
    const less = world.random.int(1, 9);
    line.spoil = (cells) => cells.slice(0, -less).join(',');
  }),
  spoil('surplus cell', (line) => {
    line.spoil = (cells) => [...cells, '', 'surplus'].join(',');
  }),
  spoil('NUL', spoilCell('cardBrand', 'VI\0SA')),
  spoil('NUL in a key', (line) => {
    line.cells.transactionRequestId += '\0';
  }),
  spoil('unclosed quote', spoilCell('cardBrand', '"VISA')),
  spoil('unclosed quote twice', spoilCell('funding', '"CREDIT')),
  spoil('text behind a quote', spoilCell('issuingCountry', '"JP" and more')),
  spoil('unclosed quote after quoted lines', (line) => {
    line.cells.cardBrand = '\u0001';
    line.spoil = (cells) => ['"a\nb"', ...cells.slice(1)].join(',').replace('\u0001', '"open');
  }),
  spoil('row too long', spoilCell('cardBrand', 'x'.repeat(1_100_000))),
];

const ROW_FAULTS: Record<string, Fault> = {
  unknown_transaction: (world) => {
    const { merchant, move } = someRecord(world);
    merchant.records.delete(move);
  },
  'unknown: case': (world) => {
    const { line } = someLine(world, ['PAYMENT', 'REFUND']);
    line.cells.transactionRequestId = line.cells.transactionRequestId!.toLowerCase();
  },
  'unknown: own type': (world) => {
    someLine(world, ['PAYMENT']).line.cells.transactionType = 'TOP_UP';
  },
  'amount_mismatch: record': (world) => {
    const { record, move } = someRecord(world);
    const minor = (move.amount < 0n ? -move.amount : move.amount) + BigInt(world.random.int(1, 999));
    record.amount = printAmount(minor, move.currency);
  },
  'amount_mismatch: row': (world) => {
    const { line } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND']);
    shift(world, line.cells, 'transactionAmountValue', some(world), line.cells.transactionCurrency!);
  },
  'amount: sign alone': (world) => {
    const { line } = someLine(world, ['REFUND']);
    line.cells.transactionAmountValue = line.cells.transactionAmountValue!.replace('-', '');
  },
  'reversal above': (world) => {
    const { line } = someLine(world, ['PAYMENT_REVERSAL', 'REFUND_REVERSAL', 'DISPUTE', 'DISPUTE_REVERSAL', 'CDRN']);
    shift(world, line.cells, 'transactionAmountValue', -10_000_000n, line.cells.transactionCurrency || 'USD');
  },
  currency_mismatch: (world) => {
    const { record, move } = someRecord(world);
    record.currency = Object.keys(DIGITS).find(
      (code) => code !== move.currency && DIGITS[code] === DIGITS[move.currency],
    )!;
  },
  status_mismatch: (world) => {
    someRecord(world).record.status = world.random.pick(['PENDING', 'FAILED', 'CANCELLED']);
  },
  'CANCELLED with a CANCEL': (world) => {
    const { record, merchant, move } = someRecord(world, ['PAYMENT']);
    record.status = 'CANCELLED';
    const cancel = world.move(merchant, 'CANCEL', move.day, move.amount, move.currency, move);
    if (world.random.chance(0.5)) world.record(merchant, cancel);
    else world.report(merchant.days[move.day]!, cancel); // reported only: the cancel itself is then unknown
  },
  'status: a word that nobody lists': (world) => {
    const { line, lines } = someLine(world);
    for (const other of lines) other.cells.status ??= 'SUCCESS';
    line.cells.status = world.random.pick(['PAID', 'done', '', 'null', 'SUCCESSFUL']);
  },
  'status: not done': (world) => {
    const { line, lines } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND']);
    for (const other of lines) other.cells.status ??= world.random.pick(['SUCCESS', 'Success']);
    line.cells.status = world.random.pick(['FAIL', 'Failed', 'PENDING', 'processing', 'CANCELLED']);
    if (world.random.chance(0.2)) lines.push({ cells: { ...line.cells, status: 'SUCCESS' }, move: line.move });
  },
  original_mismatch: (world) => {
    const { record } = someRecord(world, ['REFUND', 'CAPTURE']);
    record.originalRequestId = someRecord(world, ['PAYMENT']).move.requestId;
  },
  'original: the same payment': (world) => {
    const { record, move, merchant } = someRecord(world, ['REFUND']);
    const over = [...merchant.moves].find((other) => other.type === 'CAPTURE' && other.original === move.original);
    record.originalRequestId = over?.requestId ?? move.original?.original?.requestId ?? '';
  },
  'missing_key: own': (world) => {
    someLine(world, ['PAYMENT', 'REFUND', 'CAPTURE', 'PAYMENT_REVERSAL']).line.cells.transactionRequestId =
      world.random.pick(['', 'null', 'None']);
  },
  'missing_key: original': (world) => {
    const { line } = someLine(world, ['DISPUTE', 'DISPUTE_REVERSAL', 'RAPID_DISPUTE_RESOLUTION', 'CDRN']);
    if (!line.cells.transactionRequestId)
      Object.assign(line.cells, { originalTransactionRequestId: '', originalTransactionId: '' });
  },
  'missing_key: original of a reversal': (world) => {
    const { line } = someLine(world, ['PAYMENT_REVERSAL', 'REFUND_REVERSAL']);
    if (line.cells.transactionType?.endsWith('_REVERSAL') && line.cells.transactionRequestId)
      Object.assign(line.cells, { originalTransactionRequestId: '', originalTransactionId: '' });
  },
  sign_mismatch: (world) => {
    const { line } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND'], 'batch');
    const text = line.cells.settlementAmountValue ?? '1';
    line.cells.settlementAmountValue = text.startsWith('-') ? text.slice(1) : /[1-9]/.test(text) ? `-${text}` : text;
  },
  'sign of a day': (world) => {
    const { line } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND'], 'day');
    const text = line.cells.transactionAmountValue ?? '1';
    line.cells.transactionAmountValue = text.startsWith('-') ? text.slice(1) : `-${text}`;
  },
  'all refunds of a day without a minus': (world) => {
    for (const { cells, move } of world.random.pick(somewhere(world).days).lines)
      if (move?.type === 'REFUND') cells.transactionAmountValue = (cells.transactionAmountValue ?? '').replace('-', '');
  },
  unknown_type: (world) => {
    for (let i = world.random.int(1, 3); i > 0; i -= 1) world.extra(someBatch(world), 'LOYALTY_BONUS');
  },
  'unknown_type: a line with the total': (world) => {
    const { lines, line, batch } = someLine(world);
    const amount = world.print(some(world), batch?.currency ?? line.cells.transactionCurrency ?? 'USD');
    const cells: Cells = { transactionType: world.random.pick(['Total', 'Subtotal', 'TOTAL']) };
    if (batch) Object.assign(cells, { settlementAmountValue: amount, settlementCurrency: batch.currency });
    else Object.assign(cells, { transactionAmountValue: amount, transactionCurrency: line.cells.transactionCurrency });
    for (let i = world.random.int(1, 2); i > 0; i -= 1) lines.push({ cells: { ...cells }, move: null });
  },
  net_mismatch: (world) => {
    const { line, batch } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND'], 'batch');
    shift(world, line.cells, 'settlementAmountValue', some(world), batch!.currency);
  },
  'net: tax': (world) => {
    const { line, batch } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND'], 'batch');
    line.cells.taxFeeCurrency = batch!.currency;
    shift(world, line.cells, 'taxFeeAmountValue', some(world), batch!.currency);
  },
  'net: fee in another currency': (world) => {
    const { line, batch } = someLine(world, ['PAYMENT', 'CAPTURE'], 'batch');
    const column = world.random.pick(['feeCurrency', 'taxFeeCurrency']);
    const other = Object.keys(DIGITS).find(
      (code) => code !== batch!.currency && DIGITS[code] === DIGITS[batch!.currency],
    )!;
    line.cells[column] = other;
    line.cells[column.replace('Currency', 'AmountValue')] = world.print(-77n, other);
    for (const part of ['interchangeFee', 'schemeFee', 'acquirerMarkup']) delete line.cells[`${part}AmountValue`];
  },
  fee_breakdown_mismatch: (world) => {
    const { line, batch } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND'], 'batch');
    line.cells.interchangeFeeCurrency = batch!.currency;
    shift(world, line.cells, 'interchangeFeeAmountValue', some(world), batch!.currency);
  },
  conversion_mismatch: (world) => {
    const { merchant, batch } = someLine(world, undefined, 'batch');
    const other = merchant.currencies.find((code) => code !== batch!.currency)!;
    const move = world.move(merchant, 'PAYMENT', 0, world.someAmount(other), other);
    world.record(merchant, move);
    world.report(merchant.days[0]!, move);
    const { cells } = world.settle(batch!, move);
    const fault = world.random.int(1, 5);
    if (fault === 1) cells.quoteCurrencyPair = '';
    if (fault === 2) cells.quotePrice = world.random.pick(['', 'null']);
    if (fault === 3) cells.quoteCurrencyPair = 'CHF/AUD';
    if (fault === 4) cells.quoteCurrencyPair = `${other}/CHF`;
    if (fault === 5) {
      cells.convertedTransactionAmountValue = world.print(
        world.parse(cells.settlementAmountValue!, batch!.currency) + some(world),
        batch!.currency,
      );
      cells.convertedCurrency = batch!.currency;
    }
  },
  duplicate_row: (world) => {
    const { line, lines } = someLine(world);
    const copies = world.random.pick([1, 1, 2]);
    for (let i = 0; i < copies; i += 1)
      lines.splice(world.random.int(0, lines.length), 0, { cells: { ...line.cells }, move: line.move });
  },
  'duplicate_row of a day under another transaction id': (world) => {
    const { line, lines } = someLine(world, undefined, 'day');
    lines.push({ cells: { ...line.cells, transactionId: world.id('T') }, move: line.move });
  },
  'duplicate_row with another amount': (world) => {
    const { line, lines } = someLine(world, ['PAYMENT', 'REFUND', 'CAPTURE']);
    const copy = { cells: { ...line.cells }, move: line.move };
    shift(world, copy.cells, 'transactionAmountValue', some(world), copy.cells.transactionCurrency!);
    lines.push(copy);
  },
  settled_twice: (world) => {
    const { line, merchant } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND'], 'batch');
    if (!line.move) return;
    const again = world.settle(
      world.random.pick(merchant.batches.filter((batch) => !/^0+$/.test(batch.id))),
      line.move,
    );
    if (world.random.chance(0.5)) again.cells.transactionId = world.id('T');
  },
  'settled_twice in a batch': (world) => {
    const { line, batch } = someLine(world, ['PAYMENT', 'CAPTURE'], 'batch');
    if (!line.move) return;
    for (let i = world.random.int(1, 2); i > 0; i -= 1)
      world.settle(batch!, line.move).cells.transactionId = world.id('T');
  },
  'settled long ago': (world) => {
    const { line, merchant, batch } = someLine(world, ['PAYMENT'], 'batch');
    if (!line.move) return;
    const old = world.newBatch(merchant, batch!.day - world.random.pick([90, 119, 122, 200]), batch!.currency);
    world.settle(old, line.move);
  },
  orphan_row: (world) => {
    const { line, merchant } = someLine(world, ['REFUND', 'CAPTURE', 'DISPUTE', 'PAYMENT_REVERSAL', 'REFUND_REVERSAL']);
    if (!line.cells.originalTransactionRequestId) return;
    line.cells.originalTransactionRequestId = world.id('NOBODY-');
    const record = line.move && merchant.records.get(line.move);
    if (record && world.random.chance(0.7)) record.originalRequestId = '';
  },
  over_refunded: (world) => {
    const { merchant, move } = someRecord(world, ['PAYMENT', 'CAPTURE']);
    const amount = move.amount < 2n ? 1n : move.amount / 2n + BigInt(world.random.int(1, 50));
    for (let i = 0; i < 2 + world.random.int(0, 1); i += 1) {
      const back = world.refund(merchant, move, world.random.int(0, DAYS - 1), amount);
      world.record(merchant, back);
      world.report(merchant.days[back.day]!, back);
      world.settle(someSettlement(world, merchant), back);
      if (i === 0 && world.random.chance(0.3)) {
        const reversal = world.move(
          merchant,
          'REFUND_REVERSAL',
          back.day,
          amount,
          move.currency,
          world.random.pick([back, move]),
        );
        world.settle(someSettlement(world, merchant), reversal);
      }
    }
  },
  'refunded and disputed': (world) => {
    const { merchant, move } = someRecord(world, ['PAYMENT', 'CAPTURE']);
    const part = move.amount / 2n + BigInt(world.random.int(0, 50));
    for (const type of world.random.shuffle(
      world.random.pick([
        ['REFUND', 'DISPUTE'],
        ['REFUND', 'RAPID_DISPUTE_RESOLUTION', 'DISPUTE_REVERSAL'],
        ['DISPUTE', 'CDRN'],
        ['REFUND', 'DISPUTE', 'DISPUTE_REVERSAL'],
        ['REFUND', 'REFUND', 'DISPUTE_REVERSAL'],
      ]),
    )) {
      const back = world.move(merchant, type, 0, type === 'DISPUTE_REVERSAL' ? part : -part, move.currency, move);
      if (type === 'REFUND') world.record(merchant, back);
      else back.requestId = '';
      const { cells } = world.settle(someSettlement(world, merchant), back);
      if (world.random.chance(0.3)) cells.originalTransactionRequestId = '';
      if (type !== 'REFUND' && world.random.chance(0.1)) cells.settlementAmountValue = cells['feeAmountValue']!;
    }
  },
  'disputed, the sign turned': (world) => {
    const { line } = someLine(world, ['DISPUTE', 'DISPUTE_REVERSAL'], 'batch');
    const text = line.cells.transactionAmountValue ?? '';
    if (/[1-9]/.test(text)) line.cells.transactionAmountValue = text.startsWith('-') ? text.slice(1) : `-${text}`;
  },
  over_captured: (world) => {
    const merchant = somewhere(world);
    const authorized = merchant.moves.filter((move) => move.type === 'AUTHORIZATION');
    if (authorized.length === 0) return;
    const of = world.random.pick(authorized);
    for (let i = world.random.int(1, 2); i > 0; i -= 1) {
      const more = world.move(
        merchant,
        'CAPTURE',
        of.day,
        1n + of.amount / BigInt(world.random.int(1, 9)),
        of.currency,
        of,
      );
      world.record(merchant, more);
      world.report(merchant.days[of.day]!, more);
      const { cells } = world.settle(someSettlement(world, merchant), more);
      if (world.random.chance(0.3)) cells.originalTransactionRequestId = '';
    }
  },
  'captures of a payment': (world) => {
    const { merchant, move } = someRecord(world, ['PAYMENT']);
    const more = world.move(merchant, 'CAPTURE', move.day, move.amount * 2n, move.currency, move);
    world.record(merchant, more);
    world.report(merchant.days[move.day]!, more);
    world.settle(someSettlement(world, merchant), more);
  },
  'instalments: not the whole': (world) => {
    const merchant = somewhere(world);
    const currency = world.random.pick(merchant.currencies);
    const paid = world.move(merchant, 'PAYMENT', 0, world.someAmount(currency) + 100n, currency);
    world.record(merchant, paid);
    world.report(merchant.days[0]!, paid);
    world.settleInParts(merchant, paid, world.random.pick(['all', 'all', 'some']));
    const record = merchant.records.get(paid)!;
    if (world.random.chance(0.8))
      record.amount = printAmount(paid.amount + BigInt(world.random.int(-90, 90)), currency);
  },
  'instalments: of what is taken back or captured': (world) => {
    const { merchant, move } = someRecord(world, ['PAYMENT', 'AUTHORIZATION']);
    const type = move.type === 'PAYMENT' ? 'REFUND' : 'CAPTURE';
    for (let i = world.random.int(1, 2); i > 0; i -= 1) {
      const amount = 6n + move.amount / BigInt(world.random.int(1, 2));
      const part = world.move(merchant, type, 0, type === 'REFUND' ? -amount : amount, move.currency, move);
      world.record(merchant, part);
      world.report(merchant.days[0]!, part);
      world.settleInParts(merchant, part, 'all');
    }
  },
  'instalments: another number of them': (world) => {
    someLine(world, ['PAYMENT', 'CAPTURE'], 'batch').line.cells.installmentsNum = world.random.pick([
      '2',
      '1',
      '0',
      'six',
      '4.0',
      '100',
      '5000',
    ]);
  },
  unreported_transaction: (world) => {
    const { line, lines } = someLine(world, ['PAYMENT', 'CAPTURE', 'REFUND', 'AUTHORIZATION', 'CANCEL'], 'day');
    lines.splice(lines.indexOf(line), 1);
  },
  'unreported: too far away': (world) => {
    const { line, lines, merchant } = someLine(world, ['PAYMENT'], 'day');
    lines.splice(lines.indexOf(line), 1);
    world.random.pick(merchant.days).lines.push(line);
  },
  'no authorizations in a report': (world) => {
    const day = world.random.pick(somewhere(world).days);
    day.lines = day.lines.filter((line) => line.move?.type !== 'AUTHORIZATION');
  },
  'cut character': (world) => {
    const { line, lines } = someLine(world, ['PAYMENT']);
    line.cells.transactionRequestId += CUT;
    for (const other of lines) other.cells.productCode = '中文';
  },
};

const BATCH_FAULTS: Record<string, Fault> = {
  unit_mismatch: (world) => {
    const merchant = somewhere(world);
    const currency = merchant.currencies.find((code) => DIGITS[code]! > 0)!;
    const batch = world.newBatch(merchant, world.random.int(1, DAYS), currency);
    const factor = 10n ** BigInt(DIGITS[currency]!);
    const paid = Array.from({ length: world.random.int(4, 14) }, () =>
      world.move(
        merchant,
        'PAYMENT',
        world.random.int(0, DAYS - 1),
        BigInt(world.random.int(1, 900)) * factor * factor,
        currency,
      ),
    );
    for (const move of paid) {
      world.record(merchant, move);
      world.report(merchant.days[move.day]!, move);
      world.settle(batch, move);
    }
    const up = world.random.chance(0.5);
    const right = world.random.pick([0, 0, 1, 2]); // so many rows stay right: one in ten still is a wrong unit
    for (const line of batch.lines.slice(right))
      for (const [column, currencyColumn] of Object.entries(MONEY_COLUMNS)) {
        const text = line.cells[column];
        if (!text) continue;
        const code = line.cells[currencyColumn]!;
        const minor = world.parse(text, code);
        line.cells[column] = world.print(up ? minor * factor : minor / factor, code);
      }
    if (world.random.chance(0.5))
      batch.lines.push({ cells: { ...batch.lines[0]!.cells, transactionRequestId: 'NOT-OURS' }, move: null });
  },
  'unit_mismatch of a day': (world) => {
    const merchant = somewhere(world);
    const digits = new Set(merchant.currencies.map((code) => DIGITS[code]).filter(Boolean));
    if (digits.size > 1) return; // "the same 10^digits" is one factor
    for (const line of world.random.pick(merchant.days).lines) {
      const code = line.cells.transactionCurrency!;
      if (line.spoiled || !(code in DIGITS)) continue;
      shift(world, line.cells, 'transactionAmountValue', 0n, code);
      const minor = world.parse(line.cells.transactionAmountValue!, code);
      line.cells.transactionAmountValue = world.print(minor * 10n ** BigInt(DIGITS[code]!), code);
    }
  },
  missing_part: (world) => {
    const batch = someBatch(world);
    batch.parts = 3;
    batch.skipPart = world.random.int(0, 1);
  },
  missing_summary: (world) => {
    someBatch(world).without = 'summary';
  },
  missing_details: (world) => {
    someBatch(world).without = 'details';
  },
  'summary: one row': (world) => {
    const batch = someBatch(world);
    batch.summaryEdits.push((lines) => {
      const line = world.random.pick(lines);
      const column = world.random.pick(['settlementAmountValue', 'feeAmountValue', 'count']);
      if (column === 'count') line.cells.count = String(Number(line.cells.count) + 1);
      else shift(world, line.cells, column, some(world), batch.currency);
    });
  },
  'summary: TOTAL and one type': (world) => {
    const batch = someBatch(world);
    const by = some(world);
    batch.summaryEdits.push((lines) => {
      const other = lines.find((line) => line.cells.summaryType !== 'TOTAL')!;
      for (const line of [other, ...lines.filter((line) => line.cells.summaryType === 'TOTAL')])
        shift(world, line.cells, 'settlementAmountValue', by, batch.currency);
    });
  },
  'summary: a type is left out': (world) => {
    someBatch(world).summaryEdits.push((lines) => {
      const at = lines.findIndex((line) => line.cells.summaryType !== 'TOTAL');
      if (at >= 0) lines.splice(at, 1);
    });
  },
  'summary: a type too many': (world) => {
    someBatch(world).summaryEdits.push((lines) => {
      lines.push({ cells: { ...lines[0]!.cells, summaryType: 'COLLATERAL_RELEASED' }, move: null });
    });
  },
  'summary: a type in two rows': (world) => {
    const batch = someBatch(world);
    batch.summaryEdits.push((lines) => {
      const line = lines.find(({ cells }) => cells.summaryType !== 'TOTAL')!;
      const rest = {
        cells: {
          ...line.cells,
          count: '0',
          settlementAmountValue: world.print(50n, batch.currency),
          feeAmountValue: '0',
        },
        move: null,
      };
      shift(world, line.cells, 'settlementAmountValue', -50n, batch.currency);
      lines.push(rest);
    });
  },
  'summary: no TOTAL': (world) => {
    someBatch(world).summaryEdits.push((lines) => {
      const at = lines.findIndex((line) => line.cells.summaryType === 'TOTAL');
      if (at >= 0) lines.splice(at, 1);
    });
  },
  'summary: no summaryType': (world) => {
    const batch = someBatch(world);
    batch.summaryColumns = SUMMARY_COLUMNS.filter((column) => column !== 'summaryType');
    batch.summaryEdits.push((lines) => {
      const at = lines.findIndex((line) => line.cells.summaryType === 'TOTAL');
      if (at >= 0) lines.splice(at, 1);
    });
  },
  'summary: refused row': (world) => {
    someBatch(world).summaryEdits.push((lines) => {
      world.random.pick(lines).cells.settlementAmountValue = 'much';
    });
  },
  'two psp names': (world) => {
    const batch = someBatch(world);
    const twin = world.newBatch(batch.merchant, batch.day, batch.currency, batch.id);
    twin.psp = batch.psp === 'DANA' ? '' : 'DANA';
    twin.acquirer = batch.acquirer;
    twin.without = 'summary';
    twin.lines = batch.lines.splice(0, 2);
    const uncounted = new Set(batch.uncounted);
    batch.summaryEdits.unshift((lines) => {
      batch.uncounted = uncounted;
      batch.lines.push(...twin.lines);
      lines.splice(0, lines.length, ...summaryOf(world, { ...batch, summaryEdits: [] }));
      batch.lines.splice(-twin.lines.length);
    });
  },
};

type FileFault = (files: ReportFile[], world: World) => void;
const someFile = (files: ReportFile[], world: World, kind = /./) =>
  world.random.pick(files.filter((file) => kind.test(file.path) && file.style.whole === undefined));
const MANY = /settlementItems/;

const FILE_FAULTS: Record<string, FileFault> = {
  'waiting: no END': (files, world) => {
    someFile(files, world).end = '';
  },
  'waiting: empty': (files, world) => {
    someFile(files, world).style.whole = '';
  },
  'refused: no_header': (files, world) => {
    someFile(files, world).style.whole = '<END>\n';
  },
  'refused: missing_columns': (files, world) => {
    const file = someFile(files, world);
    const needed = /transactionItems/.test(file.path)
      ? ['transactionType', 'transactionCurrency', 'paymentTime']
      : ['settlementBatchId', 'settlementCurrency'];
    const gone = world.random.pick(needed);
    file.columns = file.columns.filter((column) => column !== gone);
  },
  'refused: duplicate_columns': (files, world) => {
    const file = someFile(files, world);
    file.columns = [...file.columns, 'customerId'];
  },
  'refused: mixed_merchants': (files) => {
    const file = files.find(
      ({ path, lines }) => MANY.test(path) && lines.length > 2 && lines.every((line) => !line.spoiled),
    );
    if (file)
      file.lines = file.lines.map((line, i) => (i ? line : { ...line, cells: { ...line.cells, customerId: '777' } }));
  },
  'refused: bad_encoding': (files, world) => {
    someFile(files, world).style.utf16 = true;
  },
  'refused: rows_after_end': (files, world) => {
    someFile(files, world).end = '<END>\n\nmore,rows';
  },
  'refused: row_too_long': (files, world) => {
    const file = someFile(files, world);
    file.columns = [...file.columns, 'x'.repeat(1_100_000)];
  },
  'blank lines after END': (files, world) => {
    someFile(files, world).end = '<END>\n\n\n';
  },
  'part waiting': (files) => {
    const file = files.find(({ path }) => /Items_.*_001\.csv$/.test(path));
    if (file) file.end = '';
  },
  'summary part waiting': (files, world) => {
    const file = someFile(files, world, /Summary/);
    files.push({ ...file, path: file.path.replace(/_000\.csv$/, '_001.csv'), end: '', style: { ...file.style } });
  },
  duplicate: (files, world) => {
    const file = someFile(files, world);
    Object.assign(file, { style: { ...file.style, whole: textOf(file, world.random), bom: false } });
    files.push({ ...file, ...again(file, world) });
  },
  revision: (files, world) => {
    const file = someFile(files, world);
    const lines = file.lines.length > 1 ? file.lines.slice(1) : [];
    files.push({ ...file, ...again(file, world), lines, style: { ...file.style } });
  },
  'empty pair on another day': (files) => {
    for (const file of files.filter(({ path }) => /_0{19}_/.test(path)))
      files.push({ ...file, path: later(file.path) });
  },
  'not a report, and a symbolic link': (files, world) => {
    const file = someFile(files, world);
    files.push({ ...file, path: file.path.replace(/[^/]*$/, 'readme.txt') });
    const link = file.path.replace(/[^/]*$/, 'settlementItems_USD_LINKED_000.csv');
    files.push({ ...file, path: link, link: file.path });
  },
  GBK: (files, world) => {
    const file = someFile(files, world, MANY);
    for (const line of file.lines) line.cells.productCode = '中文';
    for (const line of file.lines) if (line.cells.orderDescription) line.cells.orderDescription = '文中';
    const own = file.lines.find((line) => line.move?.type === 'PAYMENT' && !line.spoiled);
    const record = world.merchants.map((merchant) => own && merchant.records.get(own.move!)).find(Boolean);
    if (own && record) own.cells.transactionRequestId = record.requestId = `${record.requestId}-中文`;
    if (!file.lines.some((line) => JSON.stringify(line.cells).match(/[^\p{ASCII}中文]/u))) file.style.gbk = true;
  },
  'GBK that reads as UTF-8': (files, world) => {
    const file = someFile(files, world, MANY);
    for (const line of file.lines) if (/[^\p{ASCII}]/u.test(JSON.stringify(line.cells))) return;
    for (const line of file.lines.slice(0, 1)) line.cells.referenceTransactionId = '支付';
    const own = file.lines.find((line) => line.move?.type === 'PAYMENT' && !line.spoiled);
    if (own) own.cells.transactionRequestId += '支付';
    file.style.gbk = true;
  },
};

/** Where the same name may come again: below a second path, or for settlement details in the folder of a later day. */
function again(file: ReportFile, { random }: World): Pick<ReportFile, 'root' | 'path'> {
  if (!MANY.test(file.path) || random.chance(0.5)) return { root: 'z-again', path: file.path };
  return { root: 'reports', path: later(file.path) };
}

/** All files in one folder that names neither merchant nor day: a name that comes twice goes below the second path. */
function flatten(files: ReportFile[]): ReportFile[] {
  const taken = new Set<string>();
  return files.flatMap((file) => {
    const path = basename(file.path);
    if (file.link || /_0{19}_/.test(path)) return []; // an empty batch is known by its day
    const root = taken.has(path) ? 'z-again' : file.root;
    taken.add(path);
    return [{ ...file, path, root }];
  });
}

/** The same name below a folder forty days later. */
function later(path: string): string {
  return path.replace(/\/(\d{4})(\d\d)(\d\d)\//, (_, year, month, day) => {
    const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day) + 40));
    return `/${date.toISOString().slice(0, 10).replaceAll('-', '')}/`;
  });
}

/**
 * A folder with many faults: about `size` payments and what follows from them (three to four times as many rows). Every
 * seed mixes its own choice, from a few faults to nearly all of them; about half the seeds leave whole files alone, so
 * that all three exit codes are seen.
 */
export function makeFaults(dir: string, seed: number, size = 90): Made {
  const dice = makeRandom(seed + 1_000_003);
  const options: OracleOptions = {
    amountUnit: dice.chance(0.25) ? 'minor' : 'major',
    toleranceMinor: dice.pick([2, 2, 2, 0]),
    timeZone: dice.pick(['Asia/Shanghai', 'Asia/Shanghai', 'Asia/Shanghai', 'America/New_York']),
  };
  const world = makeWorld(seed, size, dice.pick([1, 1, 2]), options);
  const flat = world.merchants.length === 1 && dice.chance(0.3);
  if (flat && dice.chance(0.5)) options.merchant = world.merchants[0]!.id;
  const density = dice.pick([0.15, 0.4, 0.8]);
  const planted: string[] = [];
  const times = Math.max(1, Math.round(size / 300));
  for (const [name, fault] of dice.shuffle(Object.entries({ ...ROW_FAULTS, ...BATCH_FAULTS })))
    for (let i = 0; i < times; i += 1)
      if (dice.chance(density)) {
        fault(world);
        planted.push(name);
      }
  for (const [name, fault] of dice.shuffle(SPOILS)) {
    const dear = name.includes('too long');
    for (let i = 0; i < (dear ? 1 : times); i += 1)
      if (dice.chance(dear ? density / 4 : density / 1.5)) {
        fault(world);
        planted.push(name);
      }
  }
  const files = filesOf(world, false);
  // Every second seed also breaks whole files: two kinds in turn, so that ten seeds have them all, and some by chance.
  const fileFaults = Object.entries(FILE_FAULTS);
  if (seed % 2 === 0)
    for (const [i, [name, fault]] of fileFaults.entries()) {
      const turn = (i - seed) % fileFaults.length;
      const due = turn === 0 || turn === 1 || turn === 1 - fileFaults.length;
      if (!due && (name.includes('too_long') || !dice.chance(density / 3))) continue;
      fault(files, world);
      planted.push(name);
    }
  const ledgerExtra: Cells[] = [];
  const some = someRecord(world).record;
  if (dice.chance(0.3)) ledgerExtra.push({ ...some }); // the same record again changes nothing
  if (dice.chance(0.1)) {
    ledgerExtra.push({ ...some, status: some.status === 'FAILED' ? 'PENDING' : 'FAILED' });
    planted.push('ledger: key again with other content');
  }
  if (!flat) return writeWorld(dir, world, files, ledgerExtra, planted);
  planted.push('one flat folder');
  const made = writeWorld(dir, world, flatten(files), ledgerExtra, planted);
  if (dice.chance(0.7)) return made;
  planted.push('files named one by one, and one that is no report');
  writeFileSync(join(dir, 'notes.csv'), 'no,report\n<END>\n');
  const named = made.paths.flatMap((path) => readdirSync(path).map((name) => join(path, name)));
  return { ...made, paths: [...named.filter((path) => path.endsWith('.csv')), join(dir, 'notes.csv')] };
}
