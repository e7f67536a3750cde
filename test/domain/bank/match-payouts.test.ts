import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchPayouts, type Payout, type PayoutEntry } from '../../../src/domain/bank/match-payouts.ts';
import { NamedIds } from '../../../src/domain/bank/named-batches.ts';
import { addDays } from '../../../src/domain/calendar/calendar.ts';

const DAY = '2026-01-05';
let no = 0;

const payout = (batchId: string, major: number, more: Partial<Payout> = {}): Payout => {
  const settlementDate = more.settlementDate ?? DAY;
  return {
    batchNo: ++no,
    batchId,
    merchantNo: 1,
    currency: 'EUR',
    settlementDate,
    amountMinor: BigInt(major * 100),
    dueBy: addDays(settlementDate, 7),
    ...more,
  };
};

const entry = (major: number, text = '', more: Partial<PayoutEntry> = {}): PayoutEntry => ({
  entryNo: ++no,
  merchantNos: [1],
  currency: 'EUR',
  bookingDate: addDays(DAY, 1),
  file: 'a.sta',
  line: no,
  amountMinor: BigInt(major * 100),
  reference: null,
  references: text === '' ? [] : [text],
  isFromPayer: false,
  ...more,
});

/** What became of it, short: how, which batches, which amounts, twice, returned, state. */
const summed = (
  payouts: readonly Payout[],
  entries: readonly PayoutEntry[],
  confirmed: [PayoutEntry, Payout][] = [],
) => {
  const links = confirmed.map(([{ entryNo }, { batchNo }]) => ({ entryNo, batchNo }));
  const { matches, openPayouts, openEntries } = matchPayouts(payouts, entries, links);
  const majors = (list: readonly { amountMinor: bigint }[]) => list.map(({ amountMinor }) => Number(amountMinor) / 100);
  return {
    matches: matches.map((match) =>
      [
        match.matchedBy,
        match.payouts.map(({ batchId }) => batchId).join('+'),
        majors(match.entries).join('+'),
        match.surplus.length > 0 ? `twice ${majors(match.surplus)}` : '',
        match.returns.length > 0 ? `returned ${majors(match.returns)}` : '',
        match.state,
      ]
        .filter((part) => part !== '')
        .join(' '),
    ),
    open: openPayouts.map(({ batchId }) => batchId),
    rest: majors(openEntries),
  };
};

test('each step, and what it leaves', () => {
  const [a, b, c] = [payout('A1', 10), payout('B1', 20), payout('C1', 30)];
  const undated = payout('D1', 40, { settlementDate: null, dueBy: null });
  const table: [string, Payout[], PayoutEntry[], ReturnType<typeof summed>][] = [
    ['by reference', [a], [entry(10, 'batch A1.')], { matches: ['reference A1 10 arrived'], open: [], rest: [] }],
    [
      'without a settlement date, by its name alone, whenever it is booked',
      [undated],
      [entry(40, 'D1', { bookingDate: '2029-01-01' })],
      { matches: ['reference D1 40 arrived'], open: [], rest: [] },
    ],
    ['without a settlement date, not by its amount', [undated], [entry(40)], { matches: [], open: ['D1'], rest: [40] }],
    ['nor by a sum', [undated, a], [entry(50)], { matches: [], open: ['D1', 'A1'], rest: [50] }],
    ['not inside a word', [a], [entry(9, 'xA1'), entry(8, 'A12')], { matches: [], open: ['A1'], rest: [9, 8] }],
    ['a sum that differs', [a], [entry(9, 'A1')], { matches: ['reference A1 9 different'], open: [], rest: [] }],
    [
      'several batches in one',
      [a, b],
      [entry(30, 'A1 B1')],
      { matches: ['reference A1+B1 30 arrived'], open: [], rest: [] },
    ],
    [
      'several entries of one',
      [b],
      [entry(15, 'B1'), entry(5, 'B1')],
      { matches: ['reference B1 15+5 arrived'], open: [], rest: [] },
    ],
    [
      'all that hangs together',
      [a, b, c],
      [entry(10, 'A1'), entry(20, 'A1 B1'), entry(30, 'B1 C1')],
      { matches: ['reference A1+B1+C1 10+20+30 arrived'], open: [], rest: [] },
    ],
    [
      'paid twice',
      [a],
      [entry(10, 'A1'), entry(10, 'A1')],
      { matches: ['reference A1 10 twice 10 arrived'], open: [], rest: [] },
    ],
    [
      'returned',
      [a],
      [entry(10, 'A1'), entry(-10, 'R A1')],
      { matches: ['reference A1 10 returned -10 returned'], open: [], rest: [] },
    ],
    [
      'returned and paid again',
      [a],
      [entry(10, 'A1'), entry(-10, 'A1'), entry(10, 'A1')],
      { matches: ['reference A1 10 returned -10 arrived'], open: [], rest: [] },
    ],
    [
      'returned by the reference of the entry',
      [a],
      [entry(10, '', { reference: 'E-77' }), entry(-10, 'RETURN E-77')],
      { matches: ['amount A1 10 returned -10 returned'], open: [], rest: [] },
    ],
    [
      'the other way before is no return',
      [a],
      [entry(-10, 'A1'), entry(10, 'A1')],
      { matches: ['reference A1 10 arrived'], open: [], rest: [-10] },
    ],
    [
      'by amount',
      [a, b],
      [entry(20), entry(10)],
      { matches: ['amount A1 10 arrived', 'amount B1 20 arrived'], open: [], rest: [] },
    ],
    [
      'of one amount, as many',
      [a, payout('A2', 10)],
      [entry(10), entry(10)],
      { matches: ['amount A1 10 arrived', 'amount A2 10 arrived'], open: [], rest: [] },
    ],
    ['of one amount, fewer', [a, payout('A2', 10)], [entry(10)], { matches: [], open: ['A1', 'A2'], rest: [10] }],
    [
      'of one amount, more, and a payer decides',
      [a],
      [entry(10), entry(10, '', { isFromPayer: true })],
      { matches: ['amount A1 10 arrived'], open: [], rest: [10] },
    ],
    ['by sum', [a, b, c], [entry(60)], { matches: ['sum A1+B1+C1 60 arrived'], open: [], rest: [] }],
    [
      'no other subset',
      [a, b, c],
      [entry(30, 'x'), entry(50)],
      { matches: ['amount C1 30 arrived'], open: ['A1', 'B1'], rest: [50] },
    ],
    [
      'a sum of what is left',
      [a, b, c],
      [entry(10, 'A1'), entry(50)],
      { matches: ['reference A1 10 arrived', 'sum B1+C1 50 arrived'], open: [], rest: [] },
    ],
    [
      'days in a row',
      [a, payout('B2', 20, { settlementDate: addDays(DAY, 1) }), payout('C2', 30, { settlementDate: addDays(DAY, 3) })],
      [entry(60, '', { bookingDate: addDays(DAY, 4) })],
      { matches: ['sum A1+B2+C2 60 arrived'], open: [], rest: [] },
    ],
    [
      'five days are too many',
      [a, payout('B2', 20, { settlementDate: addDays(DAY, 4) })],
      [entry(30, '', { bookingDate: addDays(DAY, 5) })],
      { matches: [], open: ['A1', 'B2'], rest: [30] },
    ],
    ['another currency', [a], [entry(10, 'A1', { currency: 'USD' })], { matches: [], open: ['A1'], rest: [10] }],
    ["another's account", [a], [entry(10, 'A1', { merchantNos: [2] })], { matches: [], open: ['A1'], rest: [10] }],
    ['the other way', [a], [entry(-10, 'A1')], { matches: [], open: ['A1'], rest: [-10] }],
    [
      'too early, too late',
      [a],
      [entry(10, '', { bookingDate: addDays(DAY, -2) }), entry(10, '', { bookingDate: addDays(DAY, 8) })],
      { matches: [], open: ['A1'], rest: [10, 10] },
    ],
    [
      'late by reference',
      [a],
      [entry(10, 'A1', { bookingDate: addDays(DAY, 60) })],
      { matches: ['reference A1 10 arrived'], open: [], rest: [] },
    ],
    [
      'later than that',
      [a],
      [entry(10, 'A1', { bookingDate: addDays(DAY, 61) })],
      { matches: [], open: ['A1'], rest: [10] },
    ],
    [
      'what the merchant pays',
      [payout('N1', -10)],
      [entry(-10)],
      { matches: ['amount N1 -10 arrived'], open: [], rest: [] },
    ],
  ];
  for (const [what, payouts, entries, expected] of table) assert.deepEqual(summed(payouts, entries), expected, what);
});

test('what a person says wins over all, and is compared like the rest', () => {
  const [a, b] = [payout('A1', 10), payout('B1', 20)];
  const [one, other] = [entry(20, 'B1'), entry(10)];
  assert.deepEqual(summed([a, b], [one, other], [[one, a]]), {
    matches: ['confirmed A1 20 different'],
    open: ['B1'],
    rest: [10],
  });
});

const world = fc
  .tuple(
    fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 2 })), {
      maxLength: 8,
    }),
    fc.array(
      fc.tuple(
        fc.integer({ min: -4, max: 12 }),
        fc.integer({ min: 0, max: 9 }),
        fc.integer({ min: 0, max: 9 }),
        fc.boolean(),
      ),
      { maxLength: 8 },
    ),
  )
  .map(([payouts, entries]) => ({
    payouts: payouts.map(([major, days, merchantNo], at) =>
      payout(`B${at}`, major, { settlementDate: addDays(DAY, days), merchantNo, batchNo: at }),
    ),
    entries: entries
      .filter(([major]) => major !== 0)
      .map(([major, days, names, isFromPayer], at) =>
        entry(major, names < 4 ? `B${names}` : '', {
          bookingDate: addDays(DAY, days),
          isFromPayer,
          entryNo: at,
          line: at,
          merchantNos: [1, 2],
        }),
      ),
  }));

test('nothing is taken twice or lost, sums are as the state says, and the order in which things are given does not matter', () => {
  fc.assert(
    fc.property(world, fc.infiniteStream(fc.nat()), ({ payouts, entries }, random) => {
      const result = matchPayouts(payouts, entries);
      const { matches, openPayouts, openEntries } = result;
      const taken = matches.flatMap((match) => [...match.entries, ...match.surplus, ...match.returns]);
      const all = [...taken, ...openEntries].map(({ entryNo }) => entryNo).sort();
      assert.deepEqual(
        [...new Set(all)],
        all.filter((entryNo, at) => all.indexOf(entryNo) === at),
      );
      assert.deepEqual(new Set(all), new Set(entries.map(({ entryNo }) => entryNo)));
      const paid = [...matches.flatMap((match) => match.payouts), ...openPayouts].map(({ batchNo }) => batchNo);
      assert.deepEqual(paid.sort(), payouts.map(({ batchNo }) => batchNo).sort());
      for (const match of matches) {
        const sum = (list: readonly { amountMinor: bigint }[]) =>
          list.reduce((total, { amountMinor }) => total + amountMinor, 0n);
        if (match.state === 'arrived') assert.equal(sum(match.payouts), sum(match.entries));
        if (match.state === 'different') assert.notEqual(sum(match.payouts), sum(match.entries));
        if (match.state === 'returned') assert.equal(sum(match.entries), -sum(match.returns));
      }
      const shuffled = <T>(list: readonly T[]): T[] =>
        list
          .map((value) => ({ value, key: random.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ value }) => value);
      assert.deepEqual(matchPayouts(shuffled(payouts), shuffled(entries)), result);
    }),
    { numRuns: 1_000 },
  );
});

test('ids in texts, as whole words, with the blanks that a bank puts into long ones', () => {
  const ids = ['202601050000001', '202601050000002', 'po_1AbC', 'B-7', 'AB', 'AB'];
  const named = new NamedIds<number>();
  ids.forEach((id, at) => {
    named.add(id, at);
  });
  const table: [string, number[]][] = [
    ['202601050000001', [0]],
    ['x 202601050000001, 202601050000002/y', [0, 1]],
    ['2026 0105 0000 001', [0]],
    ['EREF+202601050000001SVWZ', []],
    ['EREF+202601050000001 SVWZ', [0]],
    ['1202601050000001 2026010500000011', []],
    ['po_1AbC', [2]],
    ['po_1 AbC', []],
    ['po_1abc po_1AbCd', []],
    ['(B-7)', [3]],
    ['B-77 B - 7', []],
    ['AB AB', [4, 5]],
    ['ABBA äAB', []],
    ['', []],
  ];
  for (const [text, expected] of table) assert.deepEqual(named.in(text), expected, text);
});

test('ten thousand payouts are found among a hundred thousand entries in time that grows with the entries', () => {
  const payouts = Array.from({ length: 10_000 }, (_, at) => payout(`2026010500${String(at).padStart(6, '0')}`, at + 1));
  const entries = Array.from({ length: 100_000 }, (_, at) =>
    entry(
      at < 5_000 ? at + 1 : 1_000_000 + at,
      at < 5_000 ? `PAYOUT 2026010500${String(at).padStart(6, '0')} THANK YOU` : 'RENT 2026 01 FOR SOMETHING ELSE',
    ),
  );
  const { matches, openPayouts } = matchPayouts(payouts, entries);
  assert.equal(matches.length, 5_000);
  assert.equal(openPayouts.length, 5_000);
});
