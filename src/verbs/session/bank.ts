import type { Config } from '../../config/config.ts';
import { type BankSettings, DEFAULT_PAYOUT_DAYS } from '../../domain/bank/settings.ts';
import type { StatementSource } from '../../producers/discovery/find-statements.ts';
import { FILES, serverOf } from './sources.ts';

/** The settings of the bank, with what nobody said filled in. */
export function bankSettingsOf({ bank, sources }: Config): BankSettings {
  const { accounts, payers = [], formats = [], payoutDays = DEFAULT_PAYOUT_DAYS } = bank ?? {};
  return {
    accounts:
      accounts?.map(({ account, currency, merchantId }) => ({ account, currency, merchantIds: merchantId ?? null })) ??
      null,
    payers,
    formats,
    payoutDays,
    calendars: Object.fromEntries(
      sources.map(({ name, calendar: { weekend, holidays } }) => [name, { weekend, holidays }]),
    ),
  };
}

/** Statements that the command line names. */
export const statementsAt = (config: Config, folder: string): StatementSource => ({
  name: FILES,
  at: { folder },
  directory: null,
  pollSeconds: config.pollSeconds,
});

/** All sources of statements that are configured. */
export const statementSourcesOf = (config: Config, environment: NodeJS.ProcessEnv = process.env): StatementSource[] =>
  (config.bank?.sources ?? []).map(({ name, folder, sftp, directory, pollSeconds }) => ({
    name,
    at: sftp ? { sftp: serverOf(sftp, environment) } : { folder: folder! },
    directory: directory ?? null,
    pollSeconds: pollSeconds ?? config.pollSeconds,
  }));
