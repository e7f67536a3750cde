import type { Kind } from '../src/domain/discrepancy.ts';
import { magnitude } from '../src/domain/money/money.ts';
import {
  addOwn,
  type Batch,
  compact,
  compactDayOf,
  type Day,
  follow,
  type MerchantRecord,
  type Movement,
  newBatch,
  newMovement,
  payoutOf,
  ROUTES,
  type Route,
  record,
  type SettledRow,
  settle,
  settledRowOf,
  type Week,
} from './week.ts';

/** Something that is wrong on purpose, why it could happen to any shop, and what has to be told of it. */
export type Planted<In = Week> = {
  readonly why: string;
  readonly tells: Readonly<Partial<Record<Kind, number>>>;
  readonly plant: (where: In) => void;
};

/** A sale stands in its day's report and in a batch, so what is wrong with its record is told in both places. */
export const PLANTED: readonly Planted[] = [
  {
    why: 'The shop was down for two minutes on Wednesday: three customers paid, and no order was written.',
    tells: { unknown_transaction: 6 },
    plant: (week) => loseRecords(week, WEDNESDAY.usd, 3),
  },
  {
    why: 'An order was typed in by hand, with two digits swapped.',
    tells: { amount_mismatch: 2 },
    plant: (week) => swapDigitsOfOne(week, TUESDAY.eur),
  },
  {
    why: 'The basket was in pounds, and the order was stored in euros.',
    tells: { currency_mismatch: 2 },
    plant: (week) => {
      const [row] = alone(week, TUESDAY.eur, 1, ({ movement }) => movement.currency === 'GBP');
      recordOf(week, row!).currency = 'EUR';
    },
  },
  {
    why: 'The payment page timed out: two orders were given up, and the customers were charged.',
    tells: { status_mismatch: 4 },
    plant: (week) => {
      for (const row of alone(week, WEDNESDAY.usd, 2)) recordOf(week, row).status = 'FAILED';
    },
  },
  {
    why: "Customer care booked a refund to the next customer's order.",
    tells: { original_mismatch: 2 },
    plant: (week) => {
      const [refund] = alone(week, TUESDAY.eur, 1, isRefund);
      const [other] = alone(week, TUESDAY.eur, 1);
      recordOf(week, refund!).originalRequestId = other!.movement.requestId;
    },
  },
  {
    why: 'The acquirer lost our payment id on the way into the settlement report.',
    tells: { missing_key: 1 },
    plant: (week) => {
      const [row] = alone(week, WEDNESDAY.usd, 1);
      row!.movement = { ...row!.movement, requestId: '' };
    },
  },
  {
    why: 'A refund is printed with a plus: it was paid out to us instead of taken from us.',
    tells: { sign_mismatch: 1 },
    plant: (week) => {
      const [row] = alone(week, WEDNESDAY.usd, 1, isRefund);
      const turned = settledRowOf({ ...row!.movement, amountMinor: magnitude(row!.movement.amountMinor) });
      Object.assign(row!, turned);
    },
  },
  {
    why: "Wednesday's transaction report has a new column for states, and one sale in it is under review, whatever that means.",
    tells: { unknown_status: 1 },
    plant: (week) => {
      const [row] = alone(week, WEDNESDAY.usd, 1);
      dayOf(week, row!.movement).held = row!.movement;
    },
  },
  {
    why: 'The acquirer pays out a bonus of 50.00 USD, which nobody has heard of and no sale stands behind.',
    tells: { unknown_type: 1 },
    plant: (week) => {
      addOwn(week, batchOf(week, FRIDAY.usd), 'PROMOTION_BONUS', 50_00n);
    },
  },
  {
    why: "The new payout for iDEAL came in cents, as in the acquirer's old layout.",
    tells: { unit_mismatch: 1 },
    plant: (week) => {
      splitOff(week, FRIDAY.eur, 'IDEAL', 60).unit = 'minor';
    },
  },
  {
    why: 'The acquirer paid the same sale twice within one payout.',
    tells: { duplicate_row: 1 },
    plant: (week) => {
      const [row] = alone(week, FRIDAY.usd, 1);
      const { rows } = batchOf(week, FRIDAY.usd);
      rows.splice(rows.indexOf(row!) + 3, 0, row!);
    },
  },
  {
    why: "Two of Tuesday's sales were paid out again with Friday's.",
    tells: { settled_twice: 2 },
    plant: (week) => {
      batchOf(week, FRIDAY.usd).rows.push(...alone(week, TUESDAY.usd, 2));
    },
  },
  {
    why: 'A refund of a sale from October, from before the shop moved: the old orders were never brought over.',
    tells: { orphan_row: 2 },
    plant: (week) => {
      const [like] = alone(week, TUESDAY.eur, 1);
      const october = newMovement(week, { ...like!.movement, orderId: '', atMs: Date.parse('2026-10-19T04:12:33Z') });
      const refund = follow(week, october, 'REFUND', like!.movement.atMs, -october.amountMinor);
      record(week, refund);
      settle(week, refund);
    },
  },
  {
    why: 'Customer care and the shop both refunded the same order in full.',
    tells: { over_refunded: 1 },
    plant: (week) => {
      const { original, atMs, amountMinor } = fullRefund(week, FRIDAY.usd).movement;
      const second = follow(week, original!, 'REFUND', atMs + 20 * 60_000, amountMinor);
      record(week, second);
      settle(week, second);
    },
  },
  {
    why: 'A customer got her money back from customer care, and once more through her bank.',
    tells: { over_refunded: 1 },
    plant: (week) => {
      const { original, atMs, amountMinor } = fullRefund(week, WEDNESDAY.usd).movement;
      settle(
        week,
        newMovement(week, { ...original!, type: 'DISPUTE', original, atMs: atMs + 40 * 60_000, amountMinor }),
      );
    },
  },
  {
    why: 'An order was shipped in two parcels, and with each of them the whole of it was captured.',
    tells: { over_captured: 1 },
    plant: (week) => {
      const [first] = alone(week, FRIDAY.usd, 1, isCapture);
      const { original, atMs, amountMinor } = first!.movement;
      const second = follow(week, original!, 'CAPTURE', atMs + 30 * 60_000, amountMinor);
      record(week, second);
      settle(week, second);
    },
  },
  {
    why: 'A sale was settled in three instalments, and the last of them is 5.00 USD short.',
    tells: { amount_mismatch: 1 },
    plant: (week) => {
      const [row] = alone(week, TUESDAY.usd, 1, isLargePayment);
      const { movement } = row!;
      const each = movement.amountMinor / 3n;
      const parts = [movement.amountMinor - 2n * each, each, each - 5_00n];
      take(batchOf(week, TUESDAY.usd).rows, row!);
      for (const [at, { usd }] of [TUESDAY, WEDNESDAY, FRIDAY].entries()) {
        const part = { ...movement, amountMinor: parts[at]! };
        week.taken.add(part);
        batchOf(week, usd).rows.push({ ...settledRowOf(part), instalments: 3 });
      }
    },
  },
  {
    why: 'The fee of two sales was taken twice.',
    tells: { net_mismatch: 2 },
    plant: (week) => {
      for (const row of alone(week, TUESDAY.eur, 2)) row.settlementMinor -= row.feeMinor!;
    },
  },
  {
    why: 'The fee of two sales is 0.30 USD more than interchange, scheme fee and markup together.',
    tells: { fee_breakdown_mismatch: 2 },
    plant: (week) => {
      for (const row of alone(week, WEDNESDAY.usd, 2, isLargePayment)) {
        const [interchange, scheme, markup] = row.breakdown!;
        row.breakdown = [interchange, scheme, markup + 30n];
      }
    },
  },
  {
    why: 'Two sales in baht were settled in dollars, and the price of the exchange is not said.',
    tells: { conversion_mismatch: 2 },
    plant: (week) => {
      for (const row of alone(week, FRIDAY.usd, 2, ({ movement }) => movement.currency === 'THB')) row.price = '';
    },
  },
  {
    why: "A line of Friday's transaction report breaks off in the middle, and with it a sale of ours is gone.",
    tells: { refused_row: 1, unreported_transaction: 1 },
    plant: (week) => {
      const [row] = alone(week, FRIDAY.jpy, 1);
      dayOf(week, row!.movement).cutOff = row!.movement;
    },
  },
  {
    why: 'Two payments and a refund of Friday are in our records and in no report: ask where they went.',
    tells: { unreported_transaction: 3 },
    plant: (week) => {
      for (const row of [...alone(week, FRIDAY.jpy, 2), ...alone(week, FRIDAY.jpy, 1, isRefund)]) {
        take(dayOf(week, row.movement).movements, row.movement);
        take(batchOf(week, FRIDAY.jpy).rows, row);
      }
    },
  },
  {
    why: 'The summary pays out 250.00 EUR less than the sales it lists.',
    tells: { summary_mismatch: 2 },
    plant: (week) => {
      batchOf(week, SATURDAY.eur).summaryOffMinor = { type: -250_00n, total: -250_00n };
    },
  },
  {
    why: 'That summary calls the column that counts its rows otherwise, so nobody compares the count.',
    tells: { unread_column: 1 },
    plant: (week) => {
      batchOf(week, SATURDAY.eur).countColumn = 'transactionCount';
    },
  },
  {
    why: "The summary's TOTAL is 10,000 JPY less than its own lines.",
    tells: { total_mismatch: 1, summary_mismatch: 1 },
    plant: (week) => {
      batchOf(week, THURSDAY.jpy).summaryOffMinor = { type: 0n, total: -10_000n };
    },
  },
  {
    why: 'The payout for KNET came with its summary only.',
    tells: { missing_details: 1 },
    plant: (week) => {
      splitOff(week, THURSDAY.kwd, 'KNET', 150).lacks = 'details';
    },
  },
  {
    why: 'The payout for GCash came without its summary.',
    tells: { missing_summary: 1 },
    plant: (week) => {
      splitOff(week, MONDAY.usd, 'GCASH', 150).lacks = 'summary';
    },
  },
  {
    why: 'The payout for Bancontact came in three parts, and the middle one is not there.',
    tells: { missing_part: 1 },
    plant: (week) => {
      const batch = splitOff(week, SATURDAY.eur, 'BANCONTACT', 300);
      batch.parts = 3;
      batch.lacks = 'part 001';
    },
  },
];

/** Reports of which no row is used: write.ts makes them. */
export const PLANTED_REPORTS = [
  { why: 'Its upload has not ended when the week is looked at.', state: 'waiting', code: 'no_end' },
  { why: "Another merchant's rows have strayed into it.", state: 'refused', code: 'mixed_merchants' },
] as const;

/** The payout that settles the sales of a day. */
export type Payout = { readonly route: Route; readonly day: number };
const payoutsOf = (day: number) => ({
  usd: { route: ROUTES.usd, day },
  eur: { route: ROUTES.eur, day },
  jpy: { route: ROUTES.jpy, day },
  kwd: { route: ROUTES.kwd, day },
});
const [MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY] = [0, 1, 2, 3, 4, 5].map(payoutsOf) as [
  ReturnType<typeof payoutsOf>,
  ReturnType<typeof payoutsOf>,
  ReturnType<typeof payoutsOf>,
  ReturnType<typeof payoutsOf>,
  ReturnType<typeof payoutsOf>,
  ReturnType<typeof payoutsOf>,
];

export function plantFaults(week: Week): void {
  // Nothing is wrong with these: Saturday is the largest day, and its report comes in parts; one report comes as a sheet; and one
  // was not there on time, so that somebody fetched it from the portal.
  batchOf(week, SATURDAY.usd).parts = 3;
  batchOf(week, WEDNESDAY.usd).form = 'xlsx';
  week.days[WEDNESDAY.usd.day]!.form = 'zip';
  for (const { plant } of PLANTED) plant(week);
}

/** Rows with which nothing else is wrong and to which nothing else refers: a fault on them has one consequence only. */
function alone(
  week: Week,
  payout: Payout,
  count: number,
  fits: (row: SettledRow) => boolean = isPlainPayment,
): SettledRow[] {
  const found: SettledRow[] = [];
  const { rows } = batchOf(week, payout);
  const from = week.random.int(0, Math.floor(rows.length / 2));
  for (const row of [...rows.slice(from), ...rows.slice(0, from)]) {
    if (found.length === count) break;
    if (week.taken.has(row.movement) || !fits(row)) continue;
    week.taken.add(row.movement);
    found.push(row);
  }
  if (found.length < count) throw new Error(`The week has too few such rows for ${count} faults.`);
  return found;
}

const isPlainPayment = ({ movement, pair, instalments }: SettledRow): boolean =>
  movement.type === 'PAYMENT' && pair === '' && instalments === 1;
const isLargePayment = (row: SettledRow): boolean => isPlainPayment(row) && row.settlementMinor > 100_00n;
const isCapture = ({ movement, pair }: SettledRow): boolean => movement.type === 'CAPTURE' && pair === '';
const isRefund = ({ movement, pair }: SettledRow): boolean => movement.type === 'REFUND' && pair === '';

/** The refund of a payment that was paid back as a whole. */
function fullRefund(week: Week, payout: Payout): SettledRow {
  const [refund] = alone(week, payout, 1, ({ movement: { type, original, amountMinor } }) => {
    return type === 'REFUND' && original?.type === 'PAYMENT' && original.amountMinor === -amountMinor;
  });
  return refund!;
}

const batchOf = (week: Week, { route, day }: Payout): Batch => payoutOf(week, route, day)!;

const recordOf = (week: Week, { movement }: SettledRow): MerchantRecord => week.records.get(movement)!;

const dayOf = (week: Week, { atMs }: Movement): Day =>
  week.days.find(({ date }) => compact(date) === compactDayOf(atMs))!;

const take = <T>(list: T[], item: T): unknown => list.splice(list.indexOf(item), 1);

/** Some sales of one payment method, in a payout of their own on the same day. */
function splitOff(week: Week, payout: Payout, method: string, count: number): Batch {
  const from = batchOf(week, payout);
  const rows = from.rows
    .filter(
      (row) => row.movement.method.name === method && row.movement.type === 'PAYMENT' && !week.taken.has(row.movement),
    )
    .slice(0, count);
  const batch = newBatch(week, payout.route, from.date, { method });
  batch.rows = rows;
  const moved = new Set(rows);
  from.rows = from.rows.filter((row) => !moved.has(row));
  week.batches.push(batch);
  return batch;
}

export function loseRecords(week: Week, payout: Payout, count: number): void {
  for (const row of alone(week, payout, count)) week.records.delete(row.movement);
}

/** The record of one sale says 126.00 instead of 162.00. */
export function swapDigitsOfOne(week: Week, payout: Payout): void {
  const isChanged = ({ movement: { amountMinor } }: SettledRow) => swapDigits(amountMinor) !== amountMinor;
  const [row] = alone(week, payout, 1, (row) => isPlainPayment(row) && isChanged(row));
  const record = recordOf(week, row!);
  record.amountMinor = swapDigits(record.amountMinor);
}

function swapDigits(amountMinor: bigint): bigint {
  const [tens, units] = [(amountMinor / 1000n) % 10n, (amountMinor / 100n) % 10n];
  return amountMinor + (units - tens) * 1000n + (tens - units) * 100n;
}
