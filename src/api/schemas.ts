import { z } from 'zod';
import { AUDITED } from '../domain/audit.ts';
import { KINDS } from '../domain/discrepancy.ts';
import { ACTIONS, REASONS, STATES } from '../domain/handling.ts';

/** The database holds no NUL, and nobody means other control characters. */
const PRINTABLE = /^[\P{Cc}\n\r\t]*$/u;
const text = (most = 200) => z.string().min(1).max(most).regex(PRINTABLE);
const day = z.iso.date();
const number = z.string().regex(/^[1-9]\d{0,17}$/);
const limit = z
  .string()
  .regex(/^([1-9]\d{0,2}|1000)$/)
  .default('100')
  .describe('At most so many, up to 1000');
const after = number.optional().describe('The value of "next" of the page before');
const ofMerchant = { merchant: text().optional() };
const ofDays = { from: day.optional(), to: day.optional() };
const flag = z.enum(['true', 'false']).optional();

/** What is not known is refused: a filter that is misspelt must not answer with everything. */
const query = z.strictObject;

export const none = query({});
export const batches = query({
  ...ofMerchant,
  ...ofDays,
  state: z.enum(['waiting', 'incomplete', 'discrepant', 'reconciled']).optional(),
  after,
  limit,
});
export const batch = query({ rows: flag.describe('Lists every row that a restated report changed') });
export const discrepancies = query({
  ...ofMerchant,
  ...ofDays,
  kind: z.enum(KINDS).optional(),
  batch: text().optional(),
  handling: z.enum(STATES).optional(),
  assigned: text().optional(),
  closed: flag.describe('Also those that the data no longer shows'),
  after,
  limit,
});
export const payment = query(ofMerchant);
export const reports = query({
  ...ofMerchant,
  batch: text().optional(),
  state: z.enum(['closed', 'waiting', 'refused']).optional(),
  after,
  limit,
});
export const entries = query({
  account: text().optional(),
  ...ofDays,
  open: flag.describe('Only booked entries that pay nothing'),
  after: z
    .string()
    .regex(/^[1-9]\d{0,8}\.\d{1,9}$/)
    .optional()
    .describe('The value of "next" of the page before'),
  limit,
});
export const open = query({
  ...ofMerchant,
  ...ofDays,
  records: flag.describe('Lists the records one by one'),
  after: text().optional(),
  limit,
});
export const audit = query({
  ...ofDays,
  who: text().optional(),
  what: z.enum(AUDITED).optional(),
  after,
  limit,
});

const words = z.string().max(2_000).regex(PRINTABLE).nullable().optional();
export const handling = z.strictObject({
  action: z.enum(ACTIONS),
  reason: z.enum(REASONS).nullable().optional(),
  text: words,
  to: words,
  until: day.nullable().optional(),
});
export const replay = z.strictObject({
  batch: text().optional(),
  report: text(1_000).optional(),
  from: day.optional(),
  to: day.optional(),
  refused: z.literal(true).optional(),
  merchant: text().optional(),
  dryRun: z.boolean().default(false),
});
export const withdrawal = z.strictObject({ reason: text(2_000) });
export const match = z.strictObject({
  entry: text(),
  batch: text(),
  merchant: text().optional(),
  currency: text(3).optional(),
});

export type Asked<Schema extends z.ZodType> = z.output<Schema>;
