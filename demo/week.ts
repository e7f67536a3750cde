import type { Currency } from '../src/domain/money/currency.ts';
import { digitsOf } from '../src/domain/money/currency.ts';
import { convert, parseDecimal } from '../src/domain/money/money.ts';
import { makeRandom, type Random } from './random.ts';

/**
 * A made-up week of a shop that sells to the world: what it sold and recorded, and what its provider reports and settles.
 * Nothing is wrong here yet: faults.ts plants what is. Whatever `npm run demo` shows comes out of this file and that one.
 */
export type Week = {
  readonly merchantId: string;
  /** Counted from the first day of all. */
  readonly firstDay: number;
  readonly days: readonly Day[];
  readonly batches: Batch[];
  /** The merchant's own records, by the movement they are about; null for what the merchant alone knows of. */
  readonly records: Map<Movement, MerchantRecord>;
  readonly random: Random;
  /** Movements that something else names as its original, and those that already carry a fault: left alone by faults. */
  readonly taken: Set<Movement>;
  readonly ids: { last: number };
};

/** What the transaction report of one day lists. */
export type Day = {
  readonly date: string;
  readonly movements: Movement[];
  cutOff: Movement | null;
  /** One whose state its provider calls by a word that it never used before; null: the report has no column for states. */
  held: Movement | null;
  /** How its report came: as the file itself, or as the portal gives it out. */
  form: 'csv' | 'zip';
};

/** One movement of money, as the provider reports it. The amount is signed as it is printed. */
export type Movement = {
  readonly type: string;
  readonly requestId: string;
  readonly transactionId: string;
  readonly orderId: string;
  readonly amountMinor: bigint;
  readonly currency: Currency;
  readonly atMs: number;
  readonly original: Movement | null;
  readonly route: Route;
  readonly method: Method;
  readonly goods: string;
};

/** A movement inside a settlement batch. Null where the report leaves the cell blank. */
export type SettledRow = {
  movement: Movement;
  settlementMinor: bigint;
  feeMinor: bigint | null;
  taxMinor: bigint | null;
  disputeFeeMinor: bigint | null;
  /** Interchange, scheme fee, the acquirer's markup: they make up the fee. */
  breakdown: readonly [bigint, bigint, bigint] | null;
  pair: string;
  price: string;
  instalments: number;
};

export type Batch = {
  readonly id: string;
  readonly route: Route;
  /** The days whose sales it settles, counted from the first day of all. */
  readonly days: readonly number[];
  /** The date of settlement, `YYYY-MM-DD`. */
  readonly date: string;
  rows: SettledRow[];
  /** The payment method in the names of its files, where it has a payout of its own. */
  readonly method: string;
  parts: number;
  /** How its details came. */
  form: 'csv' | 'xlsx';
  /** What the summary calls the column that counts rows. */
  countColumn: string;
  /** What the acquirer states beyond what the rows add up to. */
  summaryOffMinor: { type: bigint; total: bigint };
  unit: 'major' | 'minor';
  lacks: 'details' | 'summary' | 'part 001' | null;
};

export type MerchantRecord = {
  readonly requestId: string;
  readonly type: string;
  amountMinor: bigint;
  currency: Currency;
  status: 'SUCCESS' | 'PENDING' | 'FAILED' | 'CANCELLED';
  readonly atMs: number;
  readonly orderId: string;
  originalRequestId: string;
};

type Method = { readonly name: string; readonly psp: string; readonly brand: string; readonly funding: string };

/** An acquirer and a currency it pays out in: what is sold in other currencies is converted on the way. */
export type Route = {
  readonly acquirer: 'Alipay_SG' | 'Hundsun';
  readonly currency: Currency;
  /** Of all that is sold. */
  readonly share: number;
  readonly country: string;
  readonly methods: readonly Method[];
  /** Pair and price: `THB` stands to the right, so an amount in it is divided by the price. */
  readonly foreign: readonly { readonly currency: Currency; readonly pair: string; readonly price: number }[];
  /** In millionths of the amount. */
  readonly feeMillionths: number;
  readonly hasBreakdown: boolean;
  readonly taxPercent: number;
  /** Days of the week (0 is the first) whose payments are settled together, the day after the last of them. */
  readonly payouts: readonly (readonly number[])[];
};

export const MERCHANT_ID = '218812000000418827';
/** Who reads the provider's server. */
export const USERNAME = 'apo-reader';
const FIRST_DAY = '2026-11-02';
const DAYS = 7;
const MOVEMENTS_A_DAY = [6_400, 6_100, 6_300, 6_700, 7_900, 9_600, 8_300];
const DAY_MS = 86_400_000;
/** The provider's day is Shanghai's. */
const OFFSET_MS = 8 * 3_600_000;

const card = (brand: string, funding = 'CREDIT'): Method => ({ name: 'CARD', psp: 'CARD', brand, funding });
const wallet = (name: string): Method => ({ name, psp: name, brand: '', funding: '' });
const EVERY_DAY = Array.from({ length: DAYS }, (_, day) => [day]);

export const ROUTES = {
  usd: {
    acquirer: 'Alipay_SG',
    currency: 'USD',
    share: 0.42,
    country: 'US',
    methods: [card('VISA'), card('MASTERCARD'), card('VISA', 'DEBIT'), card('AMEX'), wallet('GCASH')],
    foreign: [
      { currency: 'GBP', pair: 'GBP/USD', price: 1.2718 },
      { currency: 'SGD', pair: 'SGD/USD', price: 0.7402 },
      { currency: 'THB', pair: 'USD/THB', price: 34.108 },
    ],
    feeMillionths: 17_500,
    hasBreakdown: true,
    taxPercent: 0,
    payouts: EVERY_DAY,
  },
  eur: {
    acquirer: 'Hundsun',
    currency: 'EUR',
    share: 0.33,
    country: 'DE',
    methods: [card('VISA'), card('MASTERCARD', 'DEBIT'), wallet('BANCONTACT'), wallet('IDEAL')],
    foreign: [
      { currency: 'GBP', pair: 'GBP/EUR', price: 1.1764 },
      { currency: 'CHF', pair: 'EUR/CHF', price: 0.9341 },
    ],
    feeMillionths: 14_000,
    hasBreakdown: false,
    taxPercent: 19,
    payouts: EVERY_DAY,
  },
  jpy: {
    acquirer: 'Alipay_SG',
    currency: 'JPY',
    share: 0.19,
    country: 'JP',
    methods: [card('JCB'), card('VISA'), wallet('PAYPAY'), wallet('KONBINI')],
    foreign: [{ currency: 'KRW', pair: 'JPY/KRW', price: 9.0312 }],
    feeMillionths: 32_400,
    hasBreakdown: false,
    taxPercent: 0,
    payouts: EVERY_DAY,
  },
  kwd: {
    acquirer: 'Alipay_SG',
    currency: 'KWD',
    share: 0.06,
    country: 'KW',
    methods: [wallet('KNET'), card('VISA')],
    foreign: [{ currency: 'BHD', pair: 'BHD/KWD', price: 0.813654 }],
    feeMillionths: 21_000,
    hasBreakdown: false,
    taxPercent: 0,
    payouts: [
      [0, 1, 2],
      [3, 4, 5, 6],
    ],
  },
} as const satisfies Record<string, Route>;

/** What one thing costs on average, in major units. */
const USUAL_PRICE: Partial<Record<Currency, number>> = {
  USD: 64,
  EUR: 58,
  GBP: 49,
  SGD: 86,
  THB: 2150,
  CHF: 62,
  JPY: 9200,
  KRW: 82000,
  KWD: 19.5,
  BHD: 23,
};

const GOODS = [
  'Guided walk, old town',
  'Room "Seaview", 2 nights',
  'Airport transfer',
  'Rail pass, 7 days',
  'Museum ticket',
  '東京 → 京都, のぞみ',
  'Café "Zur Brücke": voucher',
  'Ferry, car + 4',
];

export const isoDay = (day: number): string =>
  new Date(Date.parse(FIRST_DAY) + day * DAY_MS).toISOString().slice(0, 10);

/** So many ids a day are set aside for the days that `makeWeek` is given, so that those of two calls never meet. */
const IDS_A_DAY = 10_000;

/** What the days of the week hold before anything is wrong with them; or other days, counted from the first one of all. */
export function makeWeek(firstDay = 0, movementsADay: readonly number[] = MOVEMENTS_A_DAY): Week {
  const random = makeRandom(20261102 + firstDay);
  const days = movementsADay.map(
    (_, day): Day => ({ date: isoDay(firstDay + day), movements: [], cutOff: null, held: null, form: 'csv' }),
  );
  const week: Week = {
    merchantId: MERCHANT_ID,
    firstDay,
    days,
    batches: [],
    records: new Map(),
    random,
    taken: new Set(),
    ids: { last: firstDay * IDS_A_DAY },
  };
  for (const route of Object.values(ROUTES) as Route[]) {
    for (const payout of route.payouts) {
      const days = payout.filter((day) => day < movementsADay.length).map((day) => firstDay + day);
      if (days.length > 0) week.batches.push(newBatch(week, route, isoDay(days.at(-1)! + 1), { days }));
    }
  }
  const refundable: Movement[] = [];
  for (const [day, count] of movementsADay.entries()) {
    const times = Array.from({ length: count }, () => timeOfDay(random, firstDay + day)).sort((a, b) => a - b);
    for (const atMs of times) addSomething(week, atMs, refundable);
  }
  for (const batch of week.batches) addAcquirersOwn(week, batch);
  return week;
}

/** Mostly payments; the rest is what becomes of earlier ones. */
function addSomething(week: Week, atMs: number, refundable: Movement[]): void {
  const { random } = week;
  const dice = random.next();
  if (dice < 0.05 && refundable.length > 500) {
    // Sold a while ago, so that refunds often land in another batch than their payment.
    const [payment] = refundable.splice(random.int(0, refundable.length - 100), 1);
    const share = random.chance(0.6) ? 100n : BigInt(random.int(2, 9) * 10);
    const refund = follow(week, payment!, 'REFUND', atMs, -((payment!.amountMinor * share) / 100n));
    record(week, refund);
    settle(week, refund);
    // A refund that the customer's bank sends back.
    if (random.chance(0.004)) {
      settle(week, follow(week, refund, 'REFUND_REVERSAL', atMs + 40 * 60_000, -refund.amountMinor));
    }
    return;
  }
  const sale = newSale(week, atMs);
  if (dice < 0.09) {
    const authorization = newMovement(week, { ...sale, type: 'AUTHORIZATION' });
    const capture = newMovement(week, {
      ...sale,
      type: 'CAPTURE',
      original: authorization,
      orderId: authorization.orderId,
    });
    // The provider reports what moves money; what it only promised is in the merchant's records alone.
    record(week, authorization);
    week.taken.add(authorization);
    reportAndRecord(week, capture);
    settle(week, capture);
    refundable.push(capture);
    return;
  }
  const payment = newMovement(week, sale);
  if (dice < 0.105) {
    // Declined or given up: nothing moved, so no report has it.
    record(week, payment).status = random.chance(0.8) ? 'FAILED' : 'PENDING';
    return;
  }
  reportAndRecord(week, payment);
  if (dice < 0.108) {
    const cancel = follow(week, payment, 'CANCEL', atMs + 5 * 60_000, payment.amountMinor);
    record(week, cancel);
    week.records.get(payment)!.status = 'CANCELLED';
    return;
  }
  const row = settle(week, payment)!;
  if (payment.method.name === 'CARD' && random.chance(0.02)) row.instalments = random.pick([3, 6, 12]);
  const isDisputed = dice > 0.1085 && dice < 0.1088;
  // Some payments never get a refund, so that faults find payments that stand alone; a disputed one is paid back by the dispute.
  if (dice < 0.9 && !isDisputed) refundable.push(payment);
  if (dice > 0.9998) settle(week, follow(week, payment, 'PAYMENT_REVERSAL', atMs + 90 * 60_000, -payment.amountMinor));
  if (isDisputed) {
    const dispute = newMovement(week, {
      ...payment,
      type: 'DISPUTE',
      atMs: atMs + DAY_MS,
      original: payment,
      amountMinor: -payment.amountMinor,
    });
    week.taken.add(payment);
    // A disputed sale is settled, and the day's report, which lists sales and refunds, says nothing of it.
    settle(week, dispute);
    if (random.chance(0.4)) {
      settle(week, {
        ...newMovement(week, { ...dispute, type: 'DISPUTE_REVERSAL', atMs: dispute.atMs + DAY_MS }),
        amountMinor: payment.amountMinor,
      });
    }
  }
}

function newSale(week: Week, atMs: number) {
  const { random } = week;
  const route = routeOf(random);
  const foreign = random.chance(0.14) ? random.pick(route.foreign) : null;
  const currency = foreign?.currency ?? route.currency;
  return {
    type: 'PAYMENT',
    amountMinor: priceIn(random, currency),
    currency,
    atMs,
    original: null,
    route,
    method: random.pick(route.methods),
    goods: random.pick(GOODS),
    orderId: '',
  };
}

function routeOf(random: Random): Route {
  let left = random.next();
  for (const route of Object.values(ROUTES)) {
    left -= route.share;
    if (left < 0) return route;
  }
  return ROUTES.usd;
}

/** Prices end in .00, .50, .90 or .99, as prices do. */
function priceIn(random: Random, currency: Currency): bigint {
  const digits = digitsOf(currency);
  const major = Math.max(2, Math.round(USUAL_PRICE[currency]! * random.spread()));
  if (digits === 0) return BigInt(major < 1000 ? major : Math.round(major / 10) * 10);
  return BigInt(major * 10 ** digits) - BigInt(random.pick([0, 1, 10, 50, 0]) * 10 ** (digits - 2));
}

/** Few sales at night, most in the afternoon and evening; the report of a day begins at midnight in Shanghai. */
function timeOfDay(random: Random, day: number): number {
  const hour = 24 * (0.35 * random.next() + 0.65 * Math.sqrt(random.next()));
  return Date.parse(FIRST_DAY) - OFFSET_MS + day * DAY_MS + Math.floor(hour * 3_600) * 1_000;
}

const WORDS: Record<string, string> = {
  PAYMENT: 'pay',
  AUTHORIZATION: 'auth',
  CAPTURE: 'cap',
  REFUND: 'ref',
  CANCEL: 'can',
  PAYMENT_REVERSAL: 'prv',
  REFUND_REVERSAL: 'rrv',
};

/** A movement with ids of its own; disputes and the acquirer's own entries have no request id. */
export function newMovement(week: Week, made: Omit<Movement, 'requestId' | 'transactionId'>): Movement {
  week.ids.last += 1;
  const number = week.ids.last;
  const date = compactDayOf(made.atMs);
  const word = WORDS[made.type];
  return {
    ...made,
    requestId: word === undefined ? '' : `${word}-${date}-${String(number).padStart(6, '0')}`,
    transactionId: `${date}19401089${String(number * 7919 + 10_000_000).padStart(10, '0')}`,
    orderId: made.orderId || (word === undefined ? '' : `ORD-${String(400_000 + number)}`),
  };
}

/** What becomes of an earlier movement, listed on its own day's report. */
export function follow(week: Week, original: Movement, type: string, atMs: number, amountMinor: bigint): Movement {
  const movement = newMovement(week, { ...original, type, atMs, amountMinor, original });
  week.taken.add(original);
  report(week, movement);
  return movement;
}

export function record(week: Week, movement: Movement): MerchantRecord {
  const { requestId, type, amountMinor, currency, atMs, orderId, original } = movement;
  const made: MerchantRecord = {
    requestId,
    type,
    amountMinor: amountMinor < 0n ? -amountMinor : amountMinor,
    currency,
    status: 'SUCCESS',
    // The shop writes its record when the customer is back, a moment later or earlier than the provider's clock says.
    atMs: atMs + week.random.int(-2_000, 4_000),
    orderId,
    originalRequestId: original?.requestId ?? '',
  };
  week.records.set(movement, made);
  return made;
}

function report(week: Week, movement: Movement): void {
  week.days[dayIndexOf(movement.atMs) - week.firstDay]?.movements.push(movement);
}

function reportAndRecord(week: Week, movement: Movement): void {
  report(week, movement);
  record(week, movement);
}

export const dayIndexOf = (atMs: number): number => Math.floor((atMs + OFFSET_MS - Date.parse(FIRST_DAY)) / DAY_MS);

export const compactDayOf = (atMs: number): string => compact(new Date(atMs + OFFSET_MS).toISOString().slice(0, 10));

/** A date as the provider writes it into names. */
export const compact = (date: string): string => date.replaceAll('-', '');

/** `2026-11-02T09:30:00+08:00` */
export const stampOf = (atMs: number): string => `${new Date(atMs + OFFSET_MS).toISOString().slice(0, 19)}+08:00`;

/** The batch that settles what this route sells on a day. */
export const payoutOf = (week: Week, route: Route, day: number): Batch | undefined =>
  week.batches.find((batch) => batch.route === route && batch.days.includes(day));

/** The row of a movement in the next batch of its route; none for what happens after the week. */
export function settle(week: Week, movement: Movement): SettledRow | null {
  const batch = payoutOf(week, movement.route, dayIndexOf(movement.atMs));
  if (batch === undefined) return null;
  const row = settledRowOf(movement);
  batch.rows.push(row);
  return row;
}

/** What a movement comes to once it is converted and its fees are taken. */
export function settledRowOf(movement: Movement): SettledRow {
  const { route, type } = movement;
  const { pair, price, minor: gross } = converted(movement);
  const isRefund = type === 'REFUND';
  const takesFee = isRefund || type === 'PAYMENT' || type === 'CAPTURE';
  // Half of the fee comes back with a refund.
  const rate = BigInt(isRefund ? route.feeMillionths / 2 : route.feeMillionths);
  const breakdown = takesFee && route.hasBreakdown ? breakdownOf(gross, rate) : null;
  const fee = breakdown ? breakdown.reduce((sum, part) => sum + part, 0n) : (-gross * rate) / 1_000_000n;
  const tax = (fee * BigInt(route.taxPercent)) / 100n;
  const disputeFee = type === 'DISPUTE' ? -15n * 10n ** BigInt(digitsOf(route.currency)) : null;
  // Hundsun prints what it takes without a minus; what is settled is the same.
  const printed = (minor: bigint) => (route.acquirer === 'Hundsun' ? -minor : minor);
  return {
    movement,
    settlementMinor: gross + (takesFee ? fee + tax : 0n) + (disputeFee ?? 0n),
    feeMinor: takesFee ? printed(fee) : null,
    taxMinor: takesFee && route.taxPercent > 0 ? printed(tax) : null,
    disputeFeeMinor: disputeFee,
    breakdown,
    pair,
    price,
    instalments: 1,
  };
}

const breakdownOf = (gross: bigint, rate: bigint) =>
  [
    (-gross * rate * 65n) / 100_000_000n,
    (-gross * rate * 10n) / 100_000_000n,
    (-gross * rate * 25n) / 100_000_000n,
  ] as const;

/** Prices move a little from day to day. A refund is converted at the price of its payment. */
function converted({ route, currency, amountMinor, atMs, original }: Movement) {
  const foreign = route.foreign.find((quote) => quote.currency === currency);
  if (foreign === undefined) return { pair: '', price: '', minor: amountMinor };
  const day = dayIndexOf(original?.atMs ?? atMs);
  const price = (foreign.price * (1 + (((day * 5) % 7) - 3) / 2_000)).toFixed(6);
  const operation = foreign.pair.startsWith(currency) ? 'multiply' : 'divide';
  const { amountMinor: minor } = convert({ amountMinor, currency }, route.currency, parseDecimal(price)!, operation);
  return { pair: foreign.pair, price, minor };
}

/** With `days`, it settles what is sold on them; with `method`, some sales that get a payout of their own. */
export function newBatch(
  week: Week,
  route: Route,
  date: string,
  { days = [], method = '' }: { days?: readonly number[]; method?: string },
): Batch {
  return {
    id: `${compact(date)}1102${route.acquirer === 'Hundsun' ? '77' : '10'}${String(week.batches.length + 1).padStart(5, '0')}`,
    route,
    days,
    date,
    rows: [],
    method,
    parts: 1,
    form: 'csv',
    countColumn: 'count',
    summaryOffMinor: { type: 0n, total: 0n },
    unit: 'major',
    lacks: null,
  };
}

/** Entries that no sale stands behind: reserves held back and given back, a fee for the payout, a rounding correction. */
function addAcquirersOwn(week: Week, batch: Batch): void {
  const { route, date } = batch;
  const add = (type: string, settlementMinor: bigint) => addOwn(week, batch, type, settlementMinor);
  const unit = 10n ** BigInt(digitsOf(route.currency));
  if (route.acquirer === 'Hundsun') {
    add('DEFAULT', BigInt(week.random.int(-9, 9)));
    return;
  }
  add('SETTLEMENT_FEE', route.currency === 'JPY' ? -150n : -unit);
  if (route.currency !== 'USD') return;
  const isLast = date === isoDay(DAYS);
  const reserve = 400n * unit;
  add(isLast ? 'RESERVE_RELEASED' : 'RESERVE_WITHHOLDING', isLast ? 6n * reserve : -reserve);
}

export function addOwn(week: Week, { route, date, rows }: Batch, type: string, settlementMinor: bigint): void {
  const movement = newMovement(week, {
    type,
    amountMinor: 0n,
    currency: route.currency,
    atMs: Date.parse(date) - OFFSET_MS + 3 * 3_600_000,
    original: null,
    route,
    method: { name: '', psp: '', brand: '', funding: '' },
    goods: '',
    orderId: '',
  });
  const nothing = { feeMinor: null, taxMinor: null, disputeFeeMinor: null, breakdown: null };
  rows.push({ movement, settlementMinor, ...nothing, pair: '', price: '', instalments: 1 });
}
