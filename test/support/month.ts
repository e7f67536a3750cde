/**
 * March 2026 of one merchant, as it came: morning by morning what its records said and what its provider sent. Ids tell the day:
 * p12a was sold on the 12th, S16 is settled on the 16th. Weekends and Tuesday the 10th are no business days.
 */
import type { Calendar } from '../../src/domain/calendar/calendar.ts';

export const CALENDAR: Calendar = {
  timeZone: 'Asia/Shanghai',
  weekend: ['saturday', 'sunday'],
  holidays: ['2026-03-10'],
  quietMinutes: 30,
  transactionDetails: { due: { days: 1, isBusiness: false, at: '09:00' }, daysWithoutTransactions: 'no file' },
  settlement: { date: { days: 2, isBusiness: true }, reportsDue: { days: 1, isBusiness: true, at: '09:00' } },
};

/** A row of a settlement; `of` is the payment or refund that it is about, `fee` and `handling` as printed. */
type Line = {
  readonly type: string;
  readonly id: string;
  readonly of?: string;
  readonly amount: number | null;
  readonly fee?: number;
  readonly handling?: number;
  readonly settled?: number;
};

/** Morning by morning: `records` come or change first, then files are there, by name below the provider's folder. */
export type Morning = {
  readonly day: string;
  readonly records?: readonly string[];
  readonly files?: Readonly<Record<string, readonly string[]>>;
  /** A workbook from the provider's portal, as its cells. */
  readonly workbooks?: Readonly<Record<string, readonly (readonly string[])[]>>;
};

const noon = (id: string) => `2026-${id.startsWith('f') ? '02' : '03'}-${id.slice(1, 3)}T12:00:00+08:00`;
const money = (amount: number) => amount.toFixed(2);

const recorded = (id: string, status = 'SUCCESS', amount = 100) =>
  `${id},PAYMENT,${money(amount)},USD,${status},${noon(id)},`;
const recordedRefund = (id: string, of: string, amount: number) =>
  `${id},REFUND,${money(amount)},USD,SUCCESS,${noon(id)},${of}`;

const sale = (id: string, other: Partial<Line> = {}): Line => ({ type: 'PAYMENT', id, amount: 100, fee: -2, ...other });
const refund = (id: string, of: string, amount: number): Line => ({ type: 'REFUND', id, of, amount: -amount });
const takenBack = (id: string, of: string, amount: number): Line => ({ type: 'REFUND_REVERSAL', id, of, amount });
const chargeback = (of: string, handling?: number): Line => ({
  type: 'DISPUTE',
  id: '',
  of,
  amount: -100,
  ...(handling && { handling }),
});
const wonBack = (of: string): Line => ({ type: 'DISPUTE_REVERSAL', id: '', of, amount: 100 });

const settledOf = ({ amount, fee = 0, handling = 0, settled = (amount ?? 0) + fee + handling }: Line) => settled;
const hasTime = ({ type }: Line) => type === 'PAYMENT' || type === 'REFUND';

const directory = (batch: string) => `M1/2026${batch.startsWith('F') ? '02' : '03'}${batch.slice(1)}`;
const ITEMS =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,paymentTime,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency,disputeHandlingFee,disputeHandlingFeeCurrency';
const both = (amount: number | null | undefined) => (amount == null ? ',' : `${money(amount)},USD`);
const itemsOf = (batch: string, lines: readonly Line[]) => [
  ITEMS,
  ...lines.map((line) =>
    [
      batch,
      line.type,
      `t-${line.id || `${line.type}-${line.of ?? batch}`}`,
      line.id,
      line.of ?? '',
      hasTime(line) ? noon(line.id) : '',
      both(line.amount),
      both(settledOf(line)),
      both(line.fee),
      both(line.handling),
    ].join(','),
  ),
  '<END>',
];

const items = (batch: string, lines: readonly Line[], part = '000') => ({
  [`${directory(batch)}/settlementItems_USD_${batch}_${part}.csv`]: itemsOf(batch, lines),
});
/** The provider's sums, of all lines of the batch. */
const summary = (batch: string, lines: readonly Line[]) => ({
  [`${directory(batch)}/settlementSummary_USD_${batch}_000.csv`]: [
    'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency,feeAmountValue,feeCurrency',
    `${batch},TOTAL,${lines.length},${both(sum(lines.map(settledOf)))},${both(sum(lines.map(({ fee = 0 }) => fee)))}`,
    '<END>',
  ],
});
const sum = (amounts: readonly number[]) => amounts.reduce((a, b) => a + b, 0);
const settlement = (batch: string, ...lines: Line[]) => ({ ...items(batch, lines), ...summary(batch, lines) });

/** The transaction report of a day. */
const listed = (day: string, lines: readonly Line[], part = '000') => ({
  [`M1/202603${day}/transactionItems_202603${day}_${part}.csv`]: [
    'transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,paymentTime',
    ...lines.map(({ type, id, of = '', amount }) => [type, `t-${id}`, id, of, both(amount), noon(id)].join(',')),
    '<END>',
  ],
});
const sold = (day: string, ...ids: string[]) =>
  listed(
    day,
    ids.map((id) => sale(id)),
  );

/** A portal's workbook is in the newer layout: the payment's id is everybody's, and fees have names of their own. */
const portalOf = (batch: string, lines: readonly Line[]) => ({
  [`${directory(batch)}/SETTLEMENT_DETAIL_${batch}_202603${batch.slice(1)}.xlsx`]: [
    'settlementBatchId,PSP,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionCompletionTime,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,paymentMethodFeeAmountValue,paymentMethodFeeCurrency',
    ...lines.map((line) =>
      [
        batch,
        'Acquirer_SG',
        line.type,
        `t-${line.of ?? line.id}`,
        line.id,
        line.of ?? '',
        hasTime(line) ? noon(line.id) : '',
        both(line.amount),
        both(settledOf(line)),
        both(line.fee),
      ].join(','),
    ),
    '<END>',
  ].map((text) => text.split(',')),
});

const S09 = [sale('p05a'), sale('p05b'), sale('p05c')] as const;
const S13 = [sale('p11a'), sale('p11b'), refund('r11', 'p02a', 40)];
const S16 = [sale('p12a'), sale('p12b'), refund('r12', 'p03a', 60)];
const S18 = [sale('p16a'), refund('r16', 'p03a', 60), chargeback('p02b', -15), sale('p11b')];
const S19 = [sale('p17a'), chargeback('p02a'), sale('p17b'), sale('p17c')] as const;
const S20 = [sale('p18a'), sale('p18b')] as const;
const S23 = [sale('p19a')];
const DAY_13 = [sale('p13a'), refund('r13', 'p03a', 50)];

export const MARCH: readonly Morning[] = [
  {
    day: '02',
    // All that the merchant has, but for what it learns later: p03c is not paid yet, and of p04b it does not know.
    records: [
      ...[
        'f25a',
        'p02a',
        'p02b',
        'p03a',
        'p03b',
        'p04a',
        'p05a',
        'p05b',
        'p05c',
        'p06a',
        'p06b',
        'p07a',
        'p09a',
        'p10a',
      ],
      ...['p11a', 'p11b', 'p12a', 'p12b', 'p13a', 'p16a', 'p17a', 'p17b', 'p17c', 'p18a', 'p18b', 'p19a', 'p19b'],
      ...['p23a', 'p23b', 'p24a'],
    ]
      .map((id) => recorded(id))
      .concat(
        recorded('p03c', 'PENDING'),
        recordedRefund('r11', 'p02a', 40),
        recordedRefund('r12', 'p03a', 60),
        recordedRefund('r13', 'p03a', 50),
        recordedRefund('r16', 'p03a', 60),
      ),
    files: settlement('F27', sale('f25a')),
  },
  { day: '03', files: sold('02', 'p02a', 'p02b') },
  // The details of S04 are early. Their summary is due on Thursday.
  { day: '04', files: { ...sold('03', 'p03a', 'p03b', 'p03c'), ...items('S04', [sale('p02a'), sale('p02b')]) } },
  { day: '05', files: { ...sold('04', 'p04a', 'p04b'), ...summary('S04', [sale('p02a'), sale('p02b')]) } },
  {
    // The report of the 5th is late. What was pending is paid, and what was not known is recorded.
    day: '06',
    records: [recorded('p03c'), recorded('p04b')],
    files: settlement('S05', sale('p03a'), sale('p03b'), sale('p03c')),
  },
  // A Saturday. The summary of S06 does not come: due on Monday.
  { day: '07', files: { ...sold('06', 'p06a', 'p06b'), ...items('S06', [sale('p04a'), sale('p04b')]) } },
  { day: '08', files: { ...sold('07', 'p07a'), ...sold('05', 'p05a', 'p05b', 'p05c') } },
  // Nothing was sold on Sunday, and no report of it is expected.
  { day: '09' },
  {
    // The holiday. The middle part of S09 does not come: due on Wednesday.
    day: '10',
    files: {
      ...sold('09', 'p09a'),
      ...items('S09', [S09[0]], '000'),
      ...items('S09', [S09[2]], '002'),
      ...summary('S09', S09),
    },
  },
  { day: '11', files: sold('10', 'p10a') },
  {
    // What S06 and S09 lack is here. S11 should be, too: what was sold from the 6th to the 8th.
    day: '12',
    files: {
      ...listed('11', S13),
      ...summary('S06', [sale('p04a'), sale('p04b')]),
      ...items('S09', [S09[1]], '001'),
    },
  },
  {
    // S12 settles what belongs to S11.
    day: '13',
    files: { ...listed('12', S16), ...settlement('S12', sale('p09a'), sale('p10a'), sale('p06a')) },
  },
  { day: '14', files: { ...listed('13', DAY_13), ...settlement('S13', ...S13) } },
  // The same file again.
  { day: '15', files: items('S13', S13) },
  // S11 comes after later ones, and settles p06a, too.
  { day: '16', files: settlement('S11', sale('p06a'), sale('p06b'), sale('p07a')) },
  {
    // Two rows of S16 are wrong: an amount, and a settlement that is not amount and fee.
    day: '17',
    files: {
      ...listed('16', [sale('p16a'), refund('r16', 'p03a', 60)]),
      ...items('S16', [sale('p12a', { amount: 90 }), sale('p12b', { settled: 97 }), S16[2]!]),
      ...summary('S16', S16),
    },
  },
  // S17 should be here. A part of the report of the 17th is not.
  { day: '18', files: { ...listed('17', [sale('p17a')], '000'), ...listed('17', [sale('p17c')], '002') } },
  {
    // S16 is restated. S18: a second refund of p03a is too much with that of S16, p11b was settled in S13, and p02b is charged back.
    day: '19',
    files: {
      ...sold('18', 'p18a', 'p18b'),
      ...listed('17', [sale('p17b')], '001'),
      ...items('S16', S16),
      ...settlement('S18', ...S18),
    },
  },
  {
    // S19 lacks a part. The portal has all of it, but with another fee for p17c. A chargeback of p02a, of which 40 was refunded.
    // S18 comes again under another name. The merchant changes its record of p11a.
    day: '20',
    records: [recorded('p11a', 'SUCCESS', 100.5)],
    files: {
      ...sold('19', 'p19a', 'p19b'),
      ...items('S19', [S19[0], S19[1]], '000'),
      ...items('S19', [S19[3]], '002'),
      ...summary('S19', S19),
      'M1/20260318/settlementItems_CARD_USD_S18_000.csv': itemsOf('S18', S18),
    },
    workbooks: portalOf('S19', [S19[0], S19[1], S19[2], sale('p17c', { fee: -3 })]),
  },
  {
    // The parts of S19 are whole. The last part of S20 does not come; only the summary knows of it.
    day: '21',
    files: { ...items('S19', [S19[2]], '001'), ...items('S20', [S20[0]], '000'), ...summary('S20', S20) },
  },
  // A record that should have been made six days ago.
  { day: '22', records: [recorded('p16x')] },
  {
    // S17 comes after S18. With its refund of p03a more than was paid is given back already here, and it settles p11b before S18.
    day: '23',
    files: { ...settlement('S17', ...DAY_13, sale('p11b')), ...items('S20', [S20[1]], '001') },
  },
  {
    // The report of the 23rd lacks p23b. The upload of a summary has stopped. The record of p11a was right before.
    day: '24',
    records: [recorded('p11a')],
    files: {
      ...sold('23', 'p23a'),
      ...items('S23', S23),
      ...Object.fromEntries(Object.entries(summary('S23', S23)).map(([name, lines]) => [name, lines.slice(0, -1)])),
    },
  },
  {
    // S24 gives back what was charged back of p02a, for a fee.
    day: '25',
    files: {
      ...sold('24', 'p24a'),
      ...summary('S23', S23),
      ...settlement('S24', wonBack('p02a'), { type: 'SETTLEMENT_FEE', id: '', amount: null, settled: -5 }),
    },
  },
  // S25 takes back one of the refunds of p03a, which is not enough, and gives back what was charged back of p02b.
  { day: '26', files: settlement('S25', sale('p23a'), sale('p23b'), takenBack('v25', 'r13', 50), wonBack('p02b')) },
  // What was recorded so late had failed.
  { day: '27', records: [recorded('p16x', 'FAILED')], files: settlement('S26', sale('p24a')) },
  // The report of the 23rd comes again, with p23b.
  { day: '28', files: sold('23', 'p23a', 'p23b') },
  { day: '29' },
  { day: '30' },
];
