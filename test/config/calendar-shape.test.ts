import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calendarShape } from '../../src/config/calendar-shape.ts';
import { linesOf } from '../../src/config/errors.ts';
import type { Given } from '../../src/config/raw.ts';
import { readYaml } from '../../src/config/yaml.ts';
import type { Calendar } from '../../src/domain/calendar/calendar.ts';

const read = (yaml: string) => calendarShape().safeParse(readYaml(yaml, 'calendar.yaml', '/').given);

/** The lines that tell the mistakes of a calendar. */
function mistakesIn(yaml: string): string[] {
  const result = read(yaml);
  if (result.success) return [];
  const layer = readYaml(yaml, 'calendar.yaml', '/');
  return linesOf(result.error.issues, layer);
}

test('a calendar reads as it was agreed', () => {
  const { data } = read(`
    weekend: [friday, saturday]
    holidays:
      - 2026-12-25 Christmas Day
      - 2027-01-01
    quietMinutes: 10
    transactionDetails:
      due: T+1 10:00
      daysWithoutTransactions: empty file
    settlement:
      date: T+2 business
      on: thursday
      reportsDue: T+1 business 12:00
  `);
  const { quietMinutes = 30, ...rest } = data!;
  const calendar: Calendar = { ...rest, quietMinutes, timeZone: 'Asia/Dubai' };
  assert.deepEqual(calendar, {
    timeZone: 'Asia/Dubai',
    weekend: ['friday', 'saturday'],
    holidays: ['2026-12-25', '2027-01-01'],
    quietMinutes: 10,
    transactionDetails: {
      due: { days: 1, isBusiness: false, at: '10:00' },
      daysWithoutTransactions: 'empty file',
    },
    settlement: {
      date: { days: 2, isBusiness: true },
      on: ['thursday'],
      reportsDue: { days: 1, isBusiness: true, at: '12:00' },
    },
  });
});

test('without a calendar nothing is expected', () => {
  const nothing = { weekend: ['saturday', 'sunday'], holidays: [] };
  for (const given of [undefined, {}] satisfies Given[]) assert.deepEqual(calendarShape().parse(given), nothing);
  assert.deepEqual(read('weekend:\nholidays:').data, nothing);
});

test('every day of the week may be a business day, but not none', () => {
  assert.deepEqual(read('weekend: []').data?.weekend, []);
  assert.deepEqual(mistakesIn('weekend: [monday, tuesday, wednesday, thursday, friday, saturday, sunday]'), [
    'calendar.yaml:1:1: weekend: leaves no business day in a week',
  ]);
});

test('an empty file on days without transactions has to be told', () => {
  const { data } = read('transactionDetails: { due: T+1 10:00 }');
  assert.equal(data?.transactionDetails?.daysWithoutTransactions, 'no file');
});

test('what is no time, day or weekday is refused with one that is', () => {
  const table: [yaml: string, mistake: string][] = [
    ['holidays: [2026-02-29]', 'holidays[0]: "2026-02-29" is not a day from 2000 to 2100'],
    ['holidays: 25.12.2026', 'holidays: "25.12.2026" is not a day from 2000 to 2100'],
    ['weekend: [sonntag]', 'weekend[0]: "sonntag" is none of sunday, monday'],
    ['quietMinutes: soon', 'quietMinutes: "soon" is not a whole number from 0 to 1440'],
    ['transactionDetails: { due: T+1 }', 'transactionDetails.due: "T+1" is not a time 1 to 99 days later'],
    ['transactionDetails: { due: T+0 10:00 }', 'transactionDetails.due: "T+0 10:00" is not a time'],
    ['transactionDetails: { due: T+1 24:00 }', 'transactionDetails.due: "T+1 24:00" is not a time'],
    ['transactionDetails: { due: T+1 9:00 }', 'transactionDetails.due: "T+1 9:00" is not a time'],
    ['transactionDetails: {}', 'transactionDetails.due: is missing'],
    ['transactionDetails: { due: T+1 10:00, daysWithoutTransactions: none }', 'is neither empty file nor no file'],
    ['settlement: { date: T+2 }', 'settlement.reportsDue: is missing'],
    ['settlement: { reportsDue: T+1 10:00, date: 2 }', 'settlement.date: "2" is not a number of days from 1 to 99'],
    ['settlement: { reportsDue: T+1 10:00, on: friday }', 'settlement.on: "friday" needs a date beside it'],
    ['settlement: { reportsDue: T+1 10:00, date: T+1, on: [] }', 'settlement.on: is empty'],
    [
      'settlement: { reportsDue: T+1 10:00, date: T+1, on: [friday, sunday] }',
      'settlement.on[1]: "sunday" is a day of the weekend',
    ],
    ['holiday: 2026-12-25', 'holiday: is unknown; allowed: weekend, holidays'],
  ];
  for (const [yaml, mistake] of table) {
    const lines = mistakesIn(yaml);
    assert.equal(lines.length, 1, `${yaml}: ${lines.join('\n')}`);
    assert.ok(lines[0]?.includes(mistake), `${yaml}: ${lines[0]}`);
  }
});
