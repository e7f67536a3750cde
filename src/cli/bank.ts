import { type Options, readConfig } from '../config/config.ts';
import { addVerb, type Cli, signing, storageOptions } from './options.ts';

/** What the bank says, and what a person says of it. */
export function registerBank({ program, run }: Cli): void {
  const bank = addVerb(
    program,
    'bank',
    'lists entries of bank statements and the batches that they pay',
    'bank --open --from 2026-01-01',
  )
    .option('--open', 'only booked entries that pay nothing')
    .option('--account <account>', 'only this account, as it stands in statements')
    .option('--from <date>', 'booked from this day on, YYYY-MM-DD')
    .option('--to <date>', 'until this day')
    .option('--format <format>', 'table, json, csv or xlsx (a workbook: redirect it to a file)', 'table')
    .action((options: Options) =>
      run(async () => (await import('../verbs/bank.ts')).listEntries(readConfig(storageOptions(options)), options)),
    );
  signing(
    addVerb(
      bank,
      'match',
      'confirms that an entry pays a batch',
      'bank match --entry 5f0c1d2e3a4b5c6d --batch 2026010112345',
    ),
  )
    .option('--entry <id>', 'entry, by the id that "bank" shows')
    .option('--batch <id>', 'settlement batch id')
    .option('--merchant <id>', 'only batches of this merchant')
    .option('--currency <code>', 'only batches in this currency')
    .action((_: Options, command: { optsWithGlobals(): Options }) =>
      run(async () => {
        const options = command.optsWithGlobals();
        return (await import('../verbs/bank.ts')).confirmMatch(readConfig(storageOptions(options)), options);
      }),
    );
  signing(addVerb(bank, 'unmatch', 'takes a confirmation back', 'bank unmatch --entry 5f0c1d2e3a4b5c6d'))
    .option('--entry <id>', 'entry, by the id that "bank" shows')
    .option('--batch <id>', 'only of this settlement batch')
    .option('--merchant <id>', 'only batches of this merchant')
    .option('--currency <code>', 'only batches in this currency')
    .action((_: Options, command: { optsWithGlobals(): Options }) =>
      run(async () => {
        const options = command.optsWithGlobals();
        return (await import('../verbs/bank.ts')).takeBackMatch(readConfig(storageOptions(options)), options);
      }),
    );
}
