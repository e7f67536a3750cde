import type { Db } from '../../adapters/postgres/connection.ts';
import { AGES, type Age, ageOf, overdueDays } from '../../domain/calendar/ageing.ts';
import { addDays, type Calendar, daysFrom, dueAt, lastDueDay, settlementDate } from '../../domain/calendar/calendar.ts';
import { dateIn } from '../../domain/calendar/time.ts';
import type { ReportKind } from '../../domain/formats/format.ts';
import type { Awaited } from '../../domain/matching/run.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import { firstDay, firstUnchecked, merchantsOf, reportedDays } from '../../store/checked-days.ts';
import { daysWithRecords } from '../../store/ledger/conditions.ts';
import * as query from './open-items.sql.ts';

/** When the reports of a source are due, and whose they are. */
export type SourceCalendar = {
  readonly name: string;
  readonly merchantId: string | null;
  readonly calendar: Calendar;
};

/** What is looked at, and when. */
export type Asked = {
  readonly filter: query.OpenFilter;
  readonly calendars: readonly SourceCalendar[];
  /** For days of merchants that have no calendar. */
  readonly timeZone: string;
  readonly nowMs: number;
};

/** Without a calendar records of so many days are looked through: it is open for how long they may still be settled. */
const DAYS_WITHOUT_CALENDAR = 30;

type Merchant = {
  readonly no: number;
  readonly id: string;
  /** The first of its sources whose calendar says when reports of days are due. */
  readonly ofDays: SourceCalendar | null;
  /** The calendars that say when what it sells is settled; one without a calendar where there is none. */
  readonly ways: readonly query.SettlementSchedule[];
};

/** Who is asked about, each with what was agreed. */
export async function merchantsAsked(db: Db, { filter, calendars }: Asked): Promise<Merchant[]> {
  const owners = new Map<SourceCalendar, readonly number[]>();
  for (const source of calendars) owners.set(source, await merchantsOf(db, source));
  let ways = 0;
  return (await query.merchantsNamed(db, filter)).map(({ no, id }) => {
    const own = calendars.filter((source) => owners.get(source)!.includes(no));
    const settling: (SourceCalendar | null)[] = own.filter(({ calendar }) => calendar.settlement?.date);
    if (settling.length === 0) settling.push(null);
    const names = settling.map((source) => source?.name ?? null);
    return {
      no,
      id,
      ofDays: own.find(({ calendar }) => calendar.transactionDetails) ?? null,
      ways: settling.map((source) => ({
        no: ways++,
        merchantNo: no,
        merchantId: id,
        source: source?.name ?? null,
        calendar: source?.calendar ?? null,
        others: names.filter((name): name is string => name !== null && name !== source?.name),
      })),
    };
  });
}

/** A batch or day that waits, and what for. */
export type Waiting = query.BatchName & {
  readonly since: Date;
  /** Until then nothing is told to be missing; null where it waits as long as it takes. */
  readonly until: Date | null;
  readonly awaits: readonly Awaited[];
  /** A report that is there, but without its end. */
  readonly file: string | null;
  /** Why that is not read, though it may be whole. Left out where it is not. */
  readonly why?: string;
  /** What its details, or else its summary, settle so far. */
  readonly settlementAmount: string | null;
};

export async function waiting(db: Db, { filter }: Asked): Promise<Waiting[]> {
  const batches = (await query.waitingBatches(db, filter)).map(({ facts, ...batch }) => {
    const minor = (facts.details ?? facts.summary)?.settlementMinor ?? null;
    const { settlementCurrency: currency } = batch;
    const settlementAmount = minor === null || currency === null ? null : formatAmount(BigInt(minor), currency);
    return { ...batch, awaits: facts.awaits ?? [], file: null, settlementAmount };
  });
  const unfinished = (await query.unfinishedReports(db, filter)).map(({ why, ...report }) => ({
    ...report,
    ...(why === null ? {} : { why }),
    until: null,
    awaits: [],
    settlementAmount: null,
  }));
  return [...batches, ...unfinished];
}

/** A report or part that was due and is not there, or is not due yet. */
export type Missing = query.BatchName & {
  readonly report: ReportKind;
  /** '001'; null where all of the report is missing. */
  readonly part: string | null;
  /** Since when it is told; null where it is not due, or nobody has looked since it was. */
  readonly since: Date | null;
  readonly dueAt: Date | null;
  readonly overdueDays: number | null;
};

export async function missing(db: Db, asked: Asked, merchants: readonly Merchant[]): Promise<Missing[]> {
  const { filter, nowMs } = asked;
  const told = (await query.missingReports(db, filter)).map((one): Missing => {
    const merchant = merchants.find(({ no }) => no === one.merchantNo);
    const day = one.transactionDate ?? one.settlementDate;
    const duty = one.transactionDate === null ? 'settlementReports' : 'transactionDetails';
    const calendar = one.transactionDate === null ? merchant?.ways[0]?.calendar : merchant?.ofDays?.calendar;
    return withDue(one, calendar && day !== null ? dueAt(calendar, duty, day) : null, nowMs);
  });
  const expected: Missing[] = [];
  for (const merchant of merchants) expected.push(...(await expectedReports(db, asked, merchant)));
  return [...told, ...expected];
}

const withDue = (one: Omit<Missing, 'dueAt' | 'overdueDays'>, dueAtMs: number | null, nowMs: number): Missing => ({
  ...one,
  dueAt: dueAtMs === null ? null : new Date(dueAtMs),
  overdueDays: overdueDays(dueAtMs, nowMs),
});

/** Reports of days that nobody has looked for yet: of days from the first that ever came to today. */
async function expectedReports(db: Db, { filter, nowMs }: Asked, { no, id, ofDays }: Merchant): Promise<Missing[]> {
  const first =
    ofDays &&
    ((await firstUnchecked(db, ofDays.name, no, 'transactionDetails')) ??
      (await firstDay(db, no, 'transactionDetails')));
  if (!ofDays || first === null) return [];
  const { calendar } = ofDays;
  const { from, to } = within(filter, first, todayIn(calendar.timeZone, nowMs));
  if (from > to) return [];
  const reported = await reportedDays(db, no);
  const withTransactions = await daysWithRecords(db, no, daysFrom(from, to), calendar.timeZone);
  const isExpected = (day: string) =>
    calendar.transactionDetails!.daysWithoutTransactions === 'empty file' || withTransactions.has(day);
  return daysFrom(from, to)
    .filter((day) => isExpected(day) && !reported.has(day))
    .map((day) => {
      const named = {
        merchantNo: no,
        merchantId: id,
        settlementBatchId: null,
        settlementDate: null,
        transactionDate: day,
      };
      const report = { report: 'transactionDetails' as const, part: null, since: null };
      return withDue(
        { ...named, settlementCurrency: null, ...report },
        dueAt(calendar, 'transactionDetails', day),
        nowMs,
      );
    });
}

/** Records that no settlement has: those that are not due yet, and those that were told to be overdue. */
export type Unsettled = {
  readonly records: readonly ReturnType<typeof query.toldRecords>[];
  readonly dues: readonly query.Deadlines[];
  readonly carried: readonly query.Carried[];
};

export async function unsettled(db: Db, asked: Asked, merchants: readonly Merchant[]): Promise<Unsettled> {
  const { filter, nowMs, timeZone } = asked;
  const records: Unsettled['records'][number][] = [];
  for (const { ways } of merchants) {
    records.push(query.toldRecords(ways, filter));
    for (const way of ways) {
      const zone = way.calendar?.timeZone ?? timeZone;
      const days = within(filter, await firstUnsettled(db, way, nowMs, zone), todayIn(zone, nowMs));
      if (days.from <= days.to)
        records.push(await query.uncheckedRecords(db, way, way === ways[0], { ...days, timeZone: zone }));
    }
  }
  const carried = await query.addedUp(db, records);
  const days = new Map(carried.map(({ wayNo, day }) => [`${wayNo} ${day}`, { wayNo, day }]));
  const calendars = new Map(merchants.flatMap(({ ways }) => ways.map(({ no, calendar }) => [no, calendar])));
  const dues = [...days.values()].map(({ wayNo, day }): query.Deadlines => {
    const calendar = calendars.get(wayNo);
    return {
      wayNo,
      day,
      expectedOn: calendar ? settlementDate(calendar, day) : null,
      dueAtMs: calendar ? dueAt(calendar, 'settlement', day) : null,
    };
  });
  return { records, dues, carried };
}

/** The first day of which nobody has yet told what of it no settlement has. */
async function firstUnsettled(
  db: Db,
  { source, calendar, merchantNo }: query.SettlementSchedule,
  nowMs: number,
  timeZone: string,
): Promise<string> {
  if (source === null || calendar === null) return addDays(todayIn(timeZone, nowMs), -DAYS_WITHOUT_CALENDAR);
  const unchecked = await firstUnchecked(db, source, merchantNo, 'settlement');
  const first = unchecked ?? (await firstDay(db, merchantNo, 'settlement'));
  // Nothing was ever settled here: what is due was perhaps settled elsewhere, as long as nothing comes.
  return first ?? addDays(lastDueDay(calendar, 'settlement', nowMs)!, 1);
}

/** Money that is still to come, or to be given back. */
export type OpenSum = {
  readonly merchantId: string;
  readonly currency: Currency;
  readonly count: number;
  /** Payments and captures, less refunds. */
  readonly amount: string;
  readonly refundCount: number;
  readonly refundAmount: string;
};

export type AgedSum = OpenSum & { readonly age: Age };
/** What is not due yet, by the date on which it is to be settled at the latest. */
export type ExpectedSum = OpenSum & { readonly expectedOn: string; readonly dueAt: Date };

export function sumsOf(
  { carried, dues }: Unsettled,
  merchants: readonly Merchant[],
  nowMs: number,
): { readonly byAge: AgedSum[]; readonly toCome: ExpectedSum[] } {
  const deadlinesOf = new Map(dues.map((due) => [`${due.wayNo} ${due.day}`, due]));
  const merchantOf = new Map(merchants.flatMap(({ id, ways }) => ways.map(({ no }) => [no, id])));
  const aged = carried.map((one) => {
    const due = deadlinesOf.get(`${one.wayNo} ${one.day}`)!;
    const merchantId = merchantOf.get(one.wayNo)!;
    return { ...one, merchantId, due, age: ageOf(due.dueAtMs, nowMs) };
  });
  const byAge = Map.groupBy(aged, ({ merchantId, currency, age }) =>
    JSON.stringify([merchantId, currency, AGES.indexOf(age)]),
  );
  const toCome = Map.groupBy(
    aged.filter(({ age }) => age === 'not due'),
    ({ merchantId, currency, due }) => JSON.stringify([due.expectedOn, merchantId, currency]),
  );
  const inOrder = <T>(groups: Map<string, T[]>) =>
    [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
  return {
    byAge: inOrder(byAge).map((group) => ({ ...sumOf(group), age: group[0]!.age })),
    toCome: inOrder(toCome).map((group) => {
      const { expectedOn, dueAtMs } = group.map(({ due }) => due).reduce((a, b) => (a.dueAtMs! >= b.dueAtMs! ? a : b));
      return { ...sumOf(group), expectedOn: expectedOn!, dueAt: new Date(dueAtMs!) };
    }),
  };
}

function sumOf(group: readonly (query.Carried & { readonly merchantId: string })[]): OpenSum {
  const { merchantId, currency } = group[0]!;
  const refunds = group.filter(({ type }) => type === 'REFUND');
  const sum = (of: readonly query.Carried[]) => of.reduce((all, { amountMinor }) => all + BigInt(amountMinor), 0n);
  const count = (of: readonly query.Carried[]) => of.reduce((all, { count }) => all + count, 0);
  return {
    merchantId,
    currency,
    count: count(group),
    amount: formatAmount(sum(group) - 2n * sum(refunds), currency),
    refundCount: count(refunds),
    refundAmount: formatAmount(sum(refunds), currency),
  };
}

/** What nobody can say, because no calendar says it. */
export const notesOf = (merchants: readonly Merchant[]): string[] =>
  merchants.flatMap(({ id, ofDays, ways }) => [
    ...(ofDays ? [] : [`No calendar says when transaction reports of ${id} are due: none is expected.`]),
    ...(ways.some(({ calendar }) => calendar)
      ? []
      : [
          `No calendar says when sales of ${id} are settled: unsettled ones of the last ${DAYS_WITHOUT_CALENDAR} days are listed, without a due time.`,
        ]),
  ]);

const todayIn = (timeZone: string, nowMs: number): string => dateIn(BigInt(nowMs) * 1000n, timeZone);

const within = ({ from, to }: query.OpenFilter, first: string, last: string): { from: string; to: string } => ({
  from: from !== undefined && from > first ? from : first,
  to: to !== undefined && to < last ? to : last,
});
