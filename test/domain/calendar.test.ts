import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Arrived,
  addDays,
  type Calendar,
  type DayCount,
  type DueTime,
  type Duty,
  dueAt,
  isBusinessDay,
  lastDueDay,
  listedFrom,
  missingDays,
  nextDueAt,
  settlementDate,
  WEEKDAYS,
  waitsUntil,
} from '../../src/domain/calendar/calendar.ts';
import { dateIn } from '../../src/domain/calendar/time.ts';

/** 'T+2 business' */
const count = (text: string): DayCount => ({
  days: Number(/\d+/.exec(text)?.[0]),
  isBusiness: text.includes('business'),
});

/** 'T+2 business 12:00' */
const due = (text: string): DueTime => ({ ...count(text), at: text.slice(-5) });

const SHANGHAI: Calendar = {
  timeZone: 'Asia/Shanghai',
  weekend: ['saturday', 'sunday'],
  holidays: ['2026-01-01', '2026-12-25'],
  quietMinutes: 30,
  transactionDetails: { due: due('T+1 10:00'), daysWithoutTransactions: 'no file' },
  settlement: { date: count('T+2 business'), reportsDue: due('T+1 business 12:00') },
};

const at = (text: string): number => Date.parse(text);
const shown = (instantMs: number | null): string => new Date(instantMs ?? Number.NaN).toISOString().slice(0, 16);

/** What is due at this time of clocks there on the day after. */
const onTheNextDay = (timeZone: string, time: string): Calendar => ({
  ...SHANGHAI,
  timeZone,
  transactionDetails: { due: due(`T+1 ${time}`), daysWithoutTransactions: 'no file' },
});

test('what was paid on a day is listed by now when its report and those next to it are there, and due', () => {
  const whole = (days: string) => new Set(days.split(' ').map((day) => `2026-03-${day}`));
  const listed = (reported: string, withTransactions = '03 04 05', calendar = SHANGHAI) => {
    const days = { reported: whole(reported), withTransactions: whole(withTransactions) };
    return shown(listedFrom(calendar, '2026-03-04', days) ?? 0).replace('1970-01-01T00:00', 'never');
  };
  const dueOfTheLast = '2026-03-06T02:00';
  const { transactionDetails: _, ...expectsNone } = SHANGHAI;
  const table: [what: string, found: string, expected: string][] = [
    ['all three', listed('03 04 05'), dueOfTheLast],
    ['not its own', listed('03 05'), 'never'],
    ['not the one before', listed('04 05'), 'never'],
    ['not the one after', listed('03 04'), 'never'],
    ['nothing happened on the day after', listed('03 04', '03 04'), dueOfTheLast],
    ['nothing happened on either', listed('04', '04'), dueOfTheLast],
    ['nothing happened on the day itself', listed('03 05', '03 05'), 'never'],
    ['an empty file is expected', listed('03 04', '03 04', onAnyDay), 'never'],
    ['no report is expected at all', listed('03 04 05', '03 04 05', expectsNone), 'never'],
  ];
  for (const [what, found, expected] of table) assert.equal(found, expected, what);
});

const onAnyDay: Calendar = {
  ...SHANGHAI,
  transactionDetails: { due: due('T+1 10:00'), daysWithoutTransactions: 'empty file' },
};

test('days follow each other over leap days and ends of years', () => {
  const table: [string, number, string][] = [
    ['2026-12-31', 1, '2027-01-01'],
    ['2027-01-01', -1, '2026-12-31'],
    ['2028-02-28', 1, '2028-02-29'],
    ['2027-02-28', 1, '2027-03-01'],
    ['2026-03-28', 2, '2026-03-30'],
  ];
  for (const [day, days, expected] of table) assert.equal(addDays(day, days), expected, day);
});

test('weekends and holidays are no business days, and which days are a weekend depends on where', () => {
  const businessDays = (calendar: Calendar, days: string[]) => days.filter((day) => isBusinessDay(calendar, day));
  const christmas = ['2026-12-24', '2026-12-25', '2026-12-26', '2026-12-27', '2026-12-28'];
  assert.deepEqual(businessDays(SHANGHAI, christmas), ['2026-12-24', '2026-12-28']);
  const dubai: Calendar = { ...SHANGHAI, weekend: ['friday', 'saturday'], holidays: [] };
  assert.deepEqual(businessDays(dubai, christmas), ['2026-12-24', '2026-12-27', '2026-12-28']);
  assert.deepEqual(businessDays({ ...dubai, weekend: [] }, christmas), christmas);
});

test('a report is due so many days or business days after its day, by the clocks of its source', () => {
  const table: [rule: string, day: string, expected: string][] = [
    ['T+1 10:00', '2026-01-05', '2026-01-06T02:00'],
    ['T+1 00:00', '2026-01-05', '2026-01-05T16:00'],
    ['T+1 23:59', '2026-12-31', '2027-01-01T15:59'],
    ['T+1 10:00', '2028-02-28', '2028-02-29T02:00'],
    ['T+1 10:00', '2026-12-24', '2026-12-25T02:00'],
    ['T+1 business 10:00', '2026-12-24', '2026-12-28T02:00'],
    ['T+1 business 10:00', '2026-12-25', '2026-12-28T02:00'],
    ['T+1 business 10:00', '2026-12-26', '2026-12-28T02:00'],
    ['T+1 business 10:00', '2026-12-27', '2026-12-28T02:00'],
    ['T+3 business 10:00', '2025-12-30', '2026-01-05T02:00'],
  ];
  for (const [rule, day, expected] of table) {
    const calendar: Calendar = { ...SHANGHAI, settlement: { reportsDue: due(rule) } };
    assert.equal(shown(dueAt(calendar, 'settlementReports', day)), expected, `${rule} after ${day}`);
  }
});

test('where clocks change, a skipped time is as long after the change, and of a doubled one the second counts', () => {
  const table: [timeZone: string, time: string, day: string, expected: string, why: string][] = [
    ['Europe/Berlin', '10:00', '2026-03-28', '2026-03-29T08:00', 'changed already'],
    ['Europe/Berlin', '01:59', '2026-03-28', '2026-03-29T00:59', 'the last minute before'],
    ['Europe/Berlin', '02:30', '2026-03-28', '2026-03-29T01:30', 'skipped'],
    ['Europe/Berlin', '02:30', '2026-10-24', '2026-10-25T01:30', 'doubled'],
    ['America/New_York', '02:30', '2026-03-07', '2026-03-08T07:30', 'skipped'],
    ['America/New_York', '01:30', '2026-10-31', '2026-11-01T06:30', 'doubled'],
    ['Australia/Lord_Howe', '02:15', '2026-10-03', '2026-10-03T15:45', 'skipped, by half an hour'],
    ['Australia/Lord_Howe', '01:45', '2026-04-04', '2026-04-04T15:15', 'doubled, by half an hour'],
    ['America/Santiago', '00:00', '2026-09-05', '2026-09-06T04:00', 'a midnight that is skipped'],
    ['America/Havana', '00:00', '2026-10-31', '2026-11-01T05:00', 'a midnight that is doubled'],
    ['Pacific/Apia', '10:00', '2011-12-29', '2011-12-30T20:00', 'a day that is skipped'],
    ['Pacific/Kiritimati', '10:00', '2026-01-01', '2026-01-01T20:00', 'the first of all'],
    ['Pacific/Pago_Pago', '10:00', '2026-01-01', '2026-01-02T21:00', 'the last of all'],
    ['Asia/Kathmandu', '10:00', '2026-01-01', '2026-01-02T04:15', 'no whole hour'],
  ];
  for (const [timeZone, time, day, expected, why] of table) {
    const said = dueAt(onTheNextDay(timeZone, time), 'transactionDetails', day);
    assert.equal(shown(said), expected, `${timeZone} ${time}: ${why}`);
  }
  assert.throws(() => dueAt(onTheNextDay('Mars/Olympus', '10:00'), 'transactionDetails', '2026-01-01'), RangeError);
});

test('what is sold on a day is settled some days later, on a day on which settlements are made', () => {
  const weekly = (text: string): Calendar => ({
    ...SHANGHAI,
    settlement: { date: count(text), on: ['friday'], reportsDue: due('T+1 business 12:00') },
  });
  const table: [calendar: Calendar, day: string, settled: string, reports: string][] = [
    [SHANGHAI, '2026-01-05', '2026-01-07', '2026-01-08T04:00'],
    [SHANGHAI, '2026-01-09', '2026-01-13', '2026-01-14T04:00'],
    [weekly('T+2'), '2026-01-07', '2026-01-09', '2026-01-12T04:00'],
    [weekly('T+2'), '2026-01-08', '2026-01-16', '2026-01-19T04:00'],
    // Christmas is a Friday: what would be settled on it is settled on Monday.
    [weekly('T+2 business'), '2026-12-18', '2026-12-28', '2026-12-29T04:00'],
  ];
  for (const [calendar, day, settled, reports] of table) {
    assert.equal(settlementDate(calendar, day), settled, day);
    assert.equal(shown(dueAt(calendar, 'settlement', day)), reports, day);
  }
});

test('what the calendar does not say is never due', () => {
  const { transactionDetails: _, settlement: __, ...silent } = SHANGHAI;
  const now = at('2026-01-31T00:00Z');
  for (const duty of ['transactionDetails', 'settlementReports', 'settlement'] as const) {
    const said = [dueAt(silent, duty, '2026-01-05'), lastDueDay(silent, duty, now), nextDueAt(silent, duty, now)];
    assert.deepEqual(said, [null, null, null]);
  }
  const unsettled: Calendar = { ...silent, settlement: { reportsDue: due('T+1 12:00') } };
  assert.equal(dueAt(unsettled, 'settlement', '2026-01-05'), null);
  assert.equal(shown(dueAt(unsettled, 'settlementReports', '2026-01-05')), '2026-01-06T04:00');
});

test('a day is due from its due time on, and its next change is known before', () => {
  const [before, then] = [at('2026-01-06T01:59:59.999Z'), at('2026-01-06T02:00Z')];
  assert.equal(lastDueDay(SHANGHAI, 'transactionDetails', before), '2026-01-04');
  assert.equal(nextDueAt(SHANGHAI, 'transactionDetails', before), then);
  assert.equal(lastDueDay(SHANGHAI, 'transactionDetails', then), '2026-01-05');
  assert.equal(shown(nextDueAt(SHANGHAI, 'transactionDetails', then)), '2026-01-07T02:00');
});

test('days that are due together become due together', () => {
  // On Monday noon, the reports of Friday, Saturday and Sunday.
  const then = at('2026-01-12T04:00Z');
  assert.equal(lastDueDay(SHANGHAI, 'settlementReports', then - 1), '2026-01-08');
  assert.equal(lastDueDay(SHANGHAI, 'settlementReports', then), '2026-01-11');
});

test('a day without transactions has no report to miss, unless an empty file was agreed', () => {
  const now = at('2026-01-09T02:00Z');
  const days = {
    from: '2026-01-04',
    reported: new Set(['2026-01-05']),
    withTransactions: new Set(['2026-01-02', '2026-01-05', '2026-01-07', '2026-01-08', '2026-01-09']),
  };
  assert.deepEqual(missingDays(SHANGHAI, days, now), ['2026-01-07', '2026-01-08']);
  assert.deepEqual(missingDays(SHANGHAI, days, now - 1), ['2026-01-07']);
  const { due } = SHANGHAI.transactionDetails!;
  const empty: Calendar = { ...SHANGHAI, transactionDetails: { due, daysWithoutTransactions: 'empty file' } };
  assert.deepEqual(missingDays(empty, days, now), ['2026-01-04', '2026-01-06', '2026-01-07', '2026-01-08']);
  assert.deepEqual(missingDays({ ...SHANGHAI, transactionDetails: undefined }, days, now), []);
});

/** A batch that was settled on a Friday; its reports are due on Monday noon, 04:00 UTC. The last of them came at 09:00 UTC of the Friday. */
const CAME: Arrived = {
  duty: 'settlementReports',
  day: '2026-01-09',
  isMissing: false,
  hasAllRows: true,
  lastCameAtMs: at('2026-01-09T09:00Z'),
  isTold: false,
};

test('a batch waits for nothing once everything is in', () => {
  assert.equal(waitsUntil(SHANGHAI, CAME), null);
});

test('a batch waits for a report or part until it is due', () => {
  assert.equal(shown(waitsUntil(SHANGHAI, { ...CAME, isMissing: true })), '2026-01-12T04:00');
  assert.equal(shown(waitsUntil(SHANGHAI, { ...CAME, isMissing: true, hasAllRows: false })), '2026-01-12T04:00');
});

test('a delivery that comes late is waited for while it comes', () => {
  const late = { ...CAME, isMissing: true, lastCameAtMs: at('2026-01-12T03:50Z') };
  assert.equal(shown(waitsUntil(SHANGHAI, late)), '2026-01-12T04:20');
  assert.equal(
    shown(waitsUntil(SHANGHAI, { ...late, lastCameAtMs: at('2026-02-02T10:00Z') })),
    '2026-02-02T10:30',
    'a batch of which nothing came in time',
  );
});

test('a batch waits for rows that the summary counts, but not until anything is due', () => {
  assert.equal(shown(waitsUntil(SHANGHAI, { ...CAME, hasAllRows: false })), '2026-01-09T09:30');
});

test('without a due time, or without a day that it could be counted from, the quiet time decides', () => {
  const missing = { ...CAME, isMissing: true };
  assert.equal(shown(waitsUntil({ ...SHANGHAI, settlement: undefined }, missing)), '2026-01-09T09:30');
  assert.equal(shown(waitsUntil(SHANGHAI, { ...missing, day: null })), '2026-01-09T09:30');
  const impatient: Calendar = { ...SHANGHAI, settlement: undefined, quietMinutes: 0 };
  assert.equal(waitsUntil(impatient, missing), CAME.lastCameAtMs);
});

test('a day waits for a part of its report until that is due', () => {
  const day: Arrived = { ...CAME, duty: 'transactionDetails', day: '2026-01-08', isMissing: true };
  assert.equal(shown(waitsUntil(SHANGHAI, { ...day, lastCameAtMs: at('2026-01-08T20:00Z') })), '2026-01-09T02:00');
});

test('what was told is not taken back because one more part has come', () => {
  assert.equal(waitsUntil(SHANGHAI, { ...CAME, isMissing: true, isTold: true }), null);
});

const ZONES = [
  'UTC',
  'America/New_York',
  'America/Santiago',
  'America/St_Johns',
  'Europe/Berlin',
  'Africa/Casablanca',
  'Asia/Shanghai',
  'Australia/Lord_Howe',
  'Pacific/Chatham',
  'Pacific/Kiritimati',
  'Pacific/Pago_Pago',
];
const DUTIES: readonly Duty[] = ['transactionDetails', 'settlementReports', 'settlement'];

const anyDay = fc.integer({ min: 0, max: 365 * 30 }).map((days) => addDays('2010-01-01', days));
const anyCount = fc.record({ days: fc.integer({ min: 1, max: 9 }), isBusiness: fc.boolean() });
const anyDue = fc
  .tuple(anyCount, fc.integer({ min: 0, max: 1_439 }))
  .map(([count, minute]) => ({ ...count, at: new Date(minute * 60_000).toISOString().slice(11, 16) }));

/** Around a day: a weekend, days on which settlements are made, and holidays so near that they matter. */
const anyCalendar = (day: string): fc.Arbitrary<Calendar> =>
  fc
    .record({
      timeZone: fc.constantFrom(...ZONES),
      weekend: fc.subarray([...WEEKDAYS], { maxLength: 3 }),
      holidays: fc.array(
        fc.integer({ min: -20, max: 20 }).map((days) => addDays(day, days)),
        { maxLength: 10 },
      ),
      quietMinutes: fc.integer({ min: 0, max: 1_440 }),
      due: anyDue,
      daysWithoutTransactions: fc.constantFrom('empty file' as const, 'no file' as const),
      reportsDue: anyDue,
      date: anyCount,
      on: fc.subarray([...WEEKDAYS], { minLength: 1 }),
    })
    .map(({ due, daysWithoutTransactions, reportsDue, date, on, ...calendar }) => ({
      ...calendar,
      transactionDetails: { due, daysWithoutTransactions },
      settlement: { reportsDue, date, on },
    }));

const anyCase = anyDay.chain((day) =>
  fc.record({ day: fc.constant(day), calendar: anyCalendar(day), duty: fc.constantFrom(...DUTIES) }),
);

const dayAt = (instantMs: number, { timeZone }: Calendar): string => dateIn(BigInt(instantMs) * 1000n, timeZone);

test('nothing is due before its day is over, nor earlier than what belongs to the day before', () =>
  fc.assert(
    fc.property(anyCase, ({ day, calendar, duty }) => {
      const due = dueAt(calendar, duty, day)!;
      assert.ok(dayAt(due, calendar) > day);
      assert.ok(dueAt(calendar, duty, addDays(day, -1))! <= due);
    }),
    { numRuns: 1_000 },
  ));

test('clocks there show the time that was agreed, or a later one where they skip it', () =>
  fc.assert(
    fc.property(anyCase, ({ day, calendar }) => {
      const { due } = calendar.transactionDetails!;
      const clock = new Intl.DateTimeFormat('en-GB', { timeZone: calendar.timeZone, timeStyle: 'short' });
      const instant = dueAt(calendar, 'transactionDetails', day)!;
      const shown = clock.format(instant);
      if (shown === due.at) return;
      assert.ok(shown > due.at);
      // None of the minutes around shows it.
      for (let minute = -180; minute <= 180; minute++) {
        assert.notEqual(clock.format(instant + minute * 60_000), due.at);
      }
    }),
    { numRuns: 1_000 },
  ));

test('what is counted in business days falls on one, with as many of them between', () =>
  fc.assert(
    fc.property(anyCase, ({ day, calendar }) => {
      const date = { days: calendar.settlement!.date!.days, isBusiness: true };
      const settled = settlementDate({ ...calendar, settlement: { reportsDue: due('T+1 10:00'), date } }, day)!;
      assert.ok(isBusinessDay(calendar, settled));
      let businessDays = 0;
      for (let after = addDays(day, 1); after <= settled; after = addDays(after, 1)) {
        if (isBusinessDay(calendar, after)) businessDays++;
      }
      assert.equal(businessDays, date.days);
    }),
  ));

test('the last due day and the next due time are where what is due ends', () =>
  fc.assert(
    fc.property(anyCase, fc.integer({ min: 0, max: 86_400_000 }), ({ day, calendar, duty }, ms) => {
      const now = Date.parse(day) + ms;
      const last = lastDueDay(calendar, duty, now)!;
      assert.ok(dueAt(calendar, duty, last)! <= now);
      const next = nextDueAt(calendar, duty, now)!;
      assert.ok(next > now);
      assert.equal(lastDueDay(calendar, duty, next - 1), last);
      assert.ok(lastDueDay(calendar, duty, next)! > last);
    }),
  ));

test('a day is missing from its due time until its report comes, and never before', () =>
  fc.assert(
    fc.property(anyCase, ({ day, calendar }) => {
      const days = { from: day, reported: new Set<string>(), withTransactions: new Set([day]) };
      const due = dueAt(calendar, 'transactionDetails', day)!;
      assert.ok(!missingDays(calendar, days, due - 1).includes(day));
      assert.ok(missingDays(calendar, days, due).includes(day));
      assert.ok(!missingDays(calendar, { ...days, reported: new Set([day]) }, due).includes(day));
    }),
  ));

test('nothing is told to be missing before it is due, and all of it a quiet time after', () =>
  fc.assert(
    fc.property(
      anyCase,
      fc.record({ isMissing: fc.boolean(), hasAllRows: fc.boolean(), hour: fc.integer({ min: -200, max: 200 }) }),
      ({ day, calendar }, { hour, ...came }) => {
        const duty = 'settlementReports';
        const due = dueAt(calendar, duty, day)!;
        const lastCameAtMs = due + hour * 3_600_000;
        const until = waitsUntil(calendar, { duty, day, ...came, lastCameAtMs, isTold: false });
        assert.equal(until === null, !came.isMissing && came.hasAllRows);
        if (until === null) return;
        assert.ok(until >= lastCameAtMs + calendar.quietMinutes * 60_000);
        assert.ok(!came.isMissing || until >= due);
        assert.ok(until <= Math.max(due, lastCameAtMs) + calendar.quietMinutes * 60_000);
      },
    ),
  ));
