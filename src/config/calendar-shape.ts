import { z } from 'zod';
import { type DayCount, WEEKDAYS } from '../domain/calendar/calendar.ts';
import { parseCompactDate } from '../domain/calendar/time.ts';
import { type Check, group, listOf, wholeNumber } from './values.ts';

/** A calendar as it is written; the time zone is that of its source. Blank, it expects nothing. Meanings stand in domain/calendar.ts. */
export function calendarShape() {
  return group(
    {
      weekend: listOf(weekday)
        .refine((days) => new Set(days).size < WEEKDAYS.length, 'leaves no business day in a week')
        .prefault(['saturday', 'sunday']),
      holidays: listOf(holiday).prefault([]),
      quietMinutes: quietMinutes.optional(),
      transactionDetails: group({
        due: dueTime,
        daysWithoutTransactions: z
          .enum(['empty file', 'no file'], { error: 'is neither empty file nor no file' })
          .prefault('no file'),
      }).optional(),
      settlement: group(
        { reportsDue: dueTime, date: dayCount.optional(), on: listOf(weekday).optional() },
        checkSettlement,
      ).optional(),
    },
    checkSettlementDays,
  ).prefault({});
}

/** So long is waited after the last part of a batch for another. */
export const quietMinutes = wholeNumber(0, 1_440);

const weekday = z.enum(WEEKDAYS, { error: `is none of ${WEEKDAYS.join(', ')}` });

/** Its name, after the date, is for who reads the file. */
const holiday = z.string().transform((text, context) => {
  const [, date = ''] = /^(\d{4}-\d{2}-\d{2})( .*)?$/.exec(text) ?? [];
  if (parseCompactDate(date.replaceAll('-', '')) !== null) return date;
  return refuse(context, 'is not a day from 2000 to 2100: write 2026-12-25, or 2026-12-25 Christmas Day');
});

const dayCount = z.string().transform((text, context) => {
  const count = countIn(text);
  if (count !== null) return count;
  return refuse(context, 'is not a number of days from 1 to 99: write T+2, or T+2 business');
});

const dueTime = z.string().transform((text, context) => {
  const [, days = '', at = ''] = /^(.*) ((?:[01]\d|2[0-3]):[0-5]\d)$/.exec(text) ?? [];
  const count = countIn(days);
  if (count !== null) return { ...count, at };
  return refuse(context, 'is not a time 1 to 99 days later: write T+1 10:00, or T+2 business 12:00');
});

function countIn(text: string): DayCount | null {
  const [, days, business] = /^T\+([1-9]\d?)( business)?$/.exec(text) ?? [];
  return days === undefined ? null : { days: Number(days), isBusiness: business !== undefined };
}

function refuse(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

const checkSettlement: Check = ({ date, on }, refuse) => {
  if (on !== undefined && date === undefined) refuse(['on'], 'needs a date beside it');
  if (Array.isArray(on) && on.length === 0) refuse(['on'], 'is empty: leave it out, or name the days');
};

const checkSettlementDays: Check = ({ weekend, settlement }, refuse) => {
  const { on } = (settlement ?? {}) as { on?: unknown };
  if (!Array.isArray(on) || !Array.isArray(weekend)) return;
  on.forEach((day, at) => {
    if (weekend.includes(day))
      refuse(['settlement', 'on', at], 'is a day of the weekend: remove it from one of the two');
  });
};
