import { resolve } from 'node:path';
import { z } from 'zod';
import type { CsvStatementFormat } from '../domain/bank/csv-format.ts';
import { accountNamed } from '../domain/bank/settings.ts';
import { UsageError } from '../domain/errors.ts';
import { isCurrency } from '../domain/money/currency.ts';
import { loadStatementFormat } from './statement-format.ts';
import { type Check, group, listOf, text, wholeNumber } from './values.ts';

/** Where statements of the bank come from, whose the accounts are, and when a payout must have arrived. `source`: of one that is listed. */
export function bankShape<Source extends z.ZodType>(source: Source, folder: string) {
  return group(
    {
      sources: source.array().optional(),
      /** Without them an account of a statement belongs to every merchant. */
      accounts: group({
        account: text.transform(accountNamed),
        currency: text.refine(isCurrency, 'is not an ISO 4217 currency, as in EUR'),
        /** Without one the account belongs to every merchant. */
        merchantId: listOf(text)
          .refine((ids) => ids.length > 0, 'is empty: leave it out, or name the merchants')
          .optional(),
      })
        .array()
        .min(1, 'is empty: leave it out, or name the accounts')
        .optional(),
      /** Names of counterparties that pay out, with `*` for any text. */
      payers: listOf(text).optional(),
      payoutDays: wholeNumber(0, 60).optional(),
      /** Files that describe CSV statements. */
      formats: listOf(text.transform((name, context) => formatAt(name, folder, context))).optional(),
    },
    checkAccounts,
  );
}

function formatAt(name: string, folder: string, context: z.RefinementCtx): CsvStatementFormat {
  try {
    return loadStatementFormat(resolve(folder, name), name);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const message = `is not a valid format of statements: ${error.message.replaceAll('\n', '; ')}`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  }
}

const checkAccounts: Check = ({ accounts }, refuse) => {
  if (!Array.isArray(accounts)) return;
  const keys = accounts.map((one: { account?: unknown; currency?: unknown } | null) =>
    typeof one?.account === 'string' ? `${accountNamed(one.account)} ${String(one.currency)}` : null,
  );
  keys.forEach((key, at) => {
    if (key !== null && keys.indexOf(key) < at)
      refuse(
        ['accounts', at, 'account'],
        'is named twice with this currency: write one entry, with all of its merchants',
      );
  });
};
