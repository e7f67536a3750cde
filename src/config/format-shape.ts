import { z } from 'zod';
import { FORMATS } from '../domain/formats/all.ts';
import { AMOUNT_ROLES, ID_COLUMNS } from '../domain/formats/format.ts';
import { encoding } from './values.ts';

const text = z.string().regex(/^\P{Cc}+$/u, 'is empty, or contains a line end or another control character');
const texts = z.preprocess((given) => (typeof given === 'string' ? [given] : given), z.array(text).min(1, 'is empty'));
const yesOrNo = z
  .enum(['true', 'false'], { error: 'is neither true nor false' })
  .transform((text) => text === 'true')
  .optional();
/** `none`, where something may be said not to be there. */
const textOrNone = text.transform((text) => (text === 'none' ? null : text));
const oneOf = <const T extends string>(allowed: readonly T[]) =>
  z.enum(allowed, { error: `is none of ${allowed.join(', ')}` });

/** Keys that are known, and the list of them where another comes. */
const group = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? Object.keys(shape).join(', ') : undefined),
  });
/** Keys of the user's own. */
const table = <Value extends z.ZodType>(value: Value) => z.object({}).catchall(value).optional();
const byKind = <Value extends z.ZodType>(value: Value) =>
  group({
    transactionDetails: value.optional(),
    settlementDetails: value.optional(),
    settlementSummary: value.optional(),
  }).optional();

function checked(mistakeIn: (text: string) => string | null) {
  return text.superRefine((text, context) => {
    const message = mistakeIn(text);
    if (message !== null) context.addIssue({ code: 'custom', message });
  });
}

const PLACEHOLDERS = ['{date}', '{psp}', '{currency}', '{batchId}', '{seq}'];

/** The end of a sentence that begins with a name in which nothing tells where the psp ends. */
export const AMBIGUOUS_NAME =
  'leaves open where {psp} ends and {batchId} begins: put a character between them that no batch id has, like _';

const reportName = checked((pattern) => {
  const fixed = PLACEHOLDERS.reduce((rest, placeholder) => rest.replace(placeholder, ''), pattern);
  if (/[{}]/.test(fixed)) return `may contain ${PLACEHOLDERS.join(' ')}, each once, and no other braces`;
  return /[/\\]/.test(fixed) ? 'is a path: write only the name here, and the directory under directory' : null;
}).transform((pattern) => pattern.replace(/\.(csv|xlsx|zip)$/i, ''));
const reportNames = z.preprocess(
  (given) => (typeof given === 'string' ? [given] : given),
  z.array(reportName).min(1, 'is empty'),
);

const directory = checked((pattern) => {
  if (/[{}]/.test(pattern.replaceAll(/\{(merchantId|date)\}/g, '')))
    return 'may contain {merchantId} and {date}, and no other braces';
  return pattern.split('/').includes('..') ? 'must not contain ..' : null;
});

const amount = group({
  column: text,
  debitColumn: text.optional(),
  currencyColumn: text,
  role: oneOf(AMOUNT_ROLES),
});

const rule = group({
  ownId: yesOrNo,
  matchBy: oneOf(['own', 'original', 'none']),
  grossSign: z
    .enum(['1', '-1'], { error: 'is neither 1 (its gross comes in) nor -1 (it goes out)' })
    .transform((sign) => (sign === '1' ? 1 : -1))
    .optional(),
  feeMaySettle: yesOrNo,
  noGross: yesOrNo,
  isPayout: yesOrNo,
  isCarryOver: yesOrNo,
  holding: group({ of: oneOf(['reserve', 'collateral']), step: oneOf(['withheld', 'released']) }).optional(),
  ids: group(Object.fromEntries(ID_COLUMNS.map((id) => [id, textOrNone.optional()]))).optional(),
});

/** A format as it is written; the meaning of its parts stands beside the type `Format`. Messages are the ends of sentences. */
export const formatShape = group({
  name: text
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is not a valid name: use lower case letters, digits and -')
    .refine(
      (name) => !Object.hasOwn(FORMATS, name),
      'is the name of a format that comes with the program: use another name, and extend that one',
    ),
  extends: oneOf(Object.keys(FORMATS)).optional(),
  extensions: z.array(oneOf(['csv', 'xlsx', 'zip'])).optional(),
  encoding: encoding.optional(),
  directory: directory.optional(),
  names: byKind(reportNames),
  portalNames: byKind(reportNames),
  endMarker: textOrNone.optional(),
  columns: byKind(texts),
  required: byKind(texts),
  aliases: table(texts),
  amounts: byKind(z.array(amount)),
  deducted: table(texts),
  priceNeedsNoPair: yesOrNo,
  mayBeUnsettled: yesOrNo,
  doneStatuses: texts.optional(),
  notDoneStatuses: texts.optional(),
  times: group({
    paymentTime: group({ zoneColumn: text.optional(), mayBeDate: yesOrNo }).optional(),
    settlementTime: group({ zoneColumn: text.optional(), mayBeDate: yesOrNo }).optional(),
  }).optional(),
  zones: table(text.regex(/^[+-](0\d|1[0-4]):[0-5]\d$/, 'is not an offset like +01:00 or -08:00')),
  typeNames: table(text),
  types: table(rule),
});

/** A format as it was written, each part of it that is right. */
export type GivenFormat = Partial<z.output<typeof formatShape>>;
