import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { type CsvStatementFormat, dateExpression } from '../domain/bank/csv-format.ts';
import { accountNamed } from '../domain/bank/settings.ts';
import { UsageError } from '../domain/errors.ts';
import { isCurrency } from '../domain/money/currency.ts';
import { linesOf } from './errors.ts';
import { readTextFile } from './files.ts';
import { isGroup, withoutBlanks } from './raw.ts';
import { type Check, encoding, group, listOf, text, wholeNumber } from './values.ts';
import { readYaml } from './yaml.ts';

/**
 * Reads a file that describes CSV statements of a bank.
 * @throws UsageError with a line for every mistake: where it was made, what is wrong and what is allowed.
 */
export function loadStatementFormat(path: string, name = path): CsvStatementFormat {
  const layer = readYaml(readTextFile(path, name), name, dirname(resolve(path)));
  const read = shape.safeParse(layer.given ?? {});
  const isUnreadable = layer.given === undefined && layer.mistakes.length > 0;
  const lines = read.success || isUnreadable ? [] : linesOf(read.error.issues, layer);
  const mistakes = [...layer.mistakes, ...lines];
  if (mistakes.length > 0) throw new UsageError(mistakes.join('\n'));
  const { kind: _, ...format } = withoutBlanks(read.data!);
  const hash = createHash('sha256').update(JSON.stringify(format)).digest('hex');
  return { ...format, id: `${format.name}@${hash.slice(0, 12)}` };
}

const DELIMITERS = { ',': ',', ';': ';', '|': '|', tab: '\t' } as const;
const THOUSANDS = { '.': '.', ',': ',', "'": "'", space: ' ' } as const;

const keyOf = <const T extends Readonly<Record<string, string>>>(allowed: T) =>
  z
    .enum(Object.keys(allowed) as [keyof T & string], { error: `is none of ${Object.keys(allowed).join('  ')}` })
    .transform((key) => allowed[key]! as T[keyof T]);

/** At least one. */
const texts = listOf(text).refine((items) => items.length > 0, 'is empty');

const columns = group({
  account: text.optional(),
  currency: text.optional(),
  bookingDate: text,
  valueDate: text.optional(),
  amount: text.optional(),
  sign: text.optional(),
  credit: text.optional(),
  debit: text.optional(),
  charges: text.optional(),
  status: text.optional(),
  references: texts.optional(),
  counterpartyName: text.optional(),
  counterpartyAccount: text.optional(),
  balance: text.optional(),
  openingBalance: text.optional(),
  closingBalance: text.optional(),
});

/** What belongs together, or must not stand beside each other. */
const checkTogether: Check = (given, refuse) => {
  const named = given['columns'];
  if (!isGroup(named)) return;
  const has = (column: string) => named[column] !== undefined;
  for (const key of ['account', 'currency']) {
    if (!isSaid(given[key]) && !has(key)) refuse([key], `is missing: write it here, or its column as columns.${key}`);
    if (isSaid(given[key]) && has(key)) refuse([key], `stands beside columns.${key}: keep the one that is right`);
  }
  const isSplit = has('credit') || has('debit');
  if (has('amount') === isSplit || (isSplit && !(has('credit') && has('debit'))))
    refuse(['columns'], 'needs either amount, or credit and debit');
  if (has('sign') && !has('amount')) refuse(['columns', 'sign'], 'needs amount beside it');
  const needs = (key: string, column: string) => {
    const isListed = Array.isArray(given[key]) && given[key].length > 0;
    if (isListed !== has(column))
      refuse([key], isListed ? `needs columns.${column}` : `is missing: list the values of columns.${column}`);
  };
  needs('creditMarks', 'sign');
  needs('debitMarks', 'sign');
  needs('pendingStatuses', 'status');
  if (has('openingBalance') !== has('closingBalance'))
    refuse(['columns'], 'needs openingBalance and closingBalance, or neither');
  if (has('balance') && has('openingBalance'))
    refuse(['columns', 'balance'], 'stands beside openingBalance: keep the one that is right');
  if (isSaid(given['thousands']) && given['thousands'] === given['decimal'])
    refuse(['thousands'], 'is also the decimal sign');
  if (given['encoding'] === 'gb18030' && given['delimiter'] === '|')
    refuse(['delimiter'], 'is a part of other characters in gb18030: ask the bank for another one');
};

const isSaid = (value: unknown): boolean => value !== undefined && value !== null;

const shape = group(
  {
    kind: z.literal('bankStatement', { error: 'is not bankStatement, so this file describes no bank statements' }),
    name: text.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'is not a valid name: use lower case letters, digits and -'),
    delimiter: keyOf(DELIMITERS).prefault(','),
    encoding: encoding.nullable().prefault(null),
    linesAbove: wholeNumber(0, 200).prefault('0'),
    decimal: z.enum(['.', ','], { error: 'is neither . nor ,' }).prefault('.'),
    thousands: keyOf(THOUSANDS).nullable().prefault(null),
    dates: text.refine(
      (pattern) => dateExpression(pattern) !== null,
      'is not a pattern of yyyy or yy, MM or M, dd or d, each once, like dd.MM.yyyy',
    ),
    account: text.transform(accountNamed).nullable().prefault(null),
    currency: text.refine(isCurrency, 'is not an ISO 4217 currency, as in EUR').nullable().prefault(null),
    order: z
      .enum(['oldestFirst', 'newestFirst'], { error: 'is neither oldestFirst nor newestFirst' })
      .prefault('oldestFirst'),
    creditMarks: listOf(text).prefault([]),
    debitMarks: listOf(text).prefault([]),
    pendingStatuses: listOf(text).prefault([]),
    columns,
  },
  checkTogether,
).transform(({ decimal, thousands, dates, order, ...said }) => ({
  ...said,
  decimalSign: decimal,
  thousandsSign: thousands,
  datePattern: dates,
  isNewestFirst: order === 'newestFirst',
}));
