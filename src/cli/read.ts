import { type Options, readConfig } from '../config/config.ts';
import { addVerb, type Cli, filters, lookBack, storageOptions } from './options.ts';

/** Commands that show what the book holds, and what the service needs. */
export function registerReading(cli: Cli): void {
  addBatches(cli);
  addDiscrepancies(cli);
  addOpen(cli);
  addShow(cli);
  addExplain(cli);
  addAudit(cli);
  addDoctor(cli);
}

function addBatches({ program, run }: Cli): void {
  lookBack(
    filters(addVerb(program, 'batches', 'lists batches and days', 'batches --from 2026-01-01 --format csv')),
  ).action((options: Options) =>
    run(async () => (await import('../verbs/batches.ts')).listBatches(readConfig(storageOptions(options)), options)),
  );
}

function addDiscrepancies({ program, run }: Cli): void {
  filters(
    addVerb(
      program,
      'discrepancies',
      'lists what does not add up',
      'discrepancies --kind unknown_transaction --limit 100 --json',
    ),
  )
    .option('--batch <id>', 'only this settlement batch id or transaction date')
    .option('--source <name>', 'only this source of the settings')
    .option('--closed', 'also closed and accepted ones, with time and cause')
    .option('--handling <state>', 'only those in this state: open, assigned, snoozed, pendingApproval, accepted')
    .option('--assigned <name>', 'only those that are assigned to this person')
    .option('--limit <n>', 'at most this many; prints the cursor of the next page')
    .option('--after <cursor>', 'continues behind this cursor')
    .action((options: Options) =>
      run(async () =>
        (await import('../verbs/discrepancies.ts')).listDiscrepancies(readConfig(storageOptions(options)), options),
      ),
    );
}

function addOpen({ program, run }: Cli): void {
  addVerb(
    program,
    'open',
    'lists what is still to come, by age and money: reports, and sales that are not settled yet',
    'open --merchant 2188120000004188\n  $ settlestream open --format xlsx > open.xlsx',
  )
    .option('--merchant <id>', 'only this merchant')
    .option('--from <date>', 'of batches and days from this day on, YYYY-MM-DD')
    .option('--to <date>', 'until this day')
    .option('--records', 'lists every record that is not settled yet, not only the sums')
    .option('--limit <n>', 'at most this many of these records; prints the cursor of the next page')
    .option('--after <cursor>', 'continues behind this cursor')
    .option('--format <format>', 'table, json, csv or xlsx (a workbook: redirect it to a file)', 'table')
    .action((options: Options) =>
      run(async () => (await import('../verbs/open.ts')).listOpen(readConfig(storageOptions(options)), options)),
    );
}

function addShow({ program, run }: Cli): void {
  lookBack(
    addVerb(
      program,
      'show',
      'shows a batch or day: reports, runs and their causes, restatements, digest and discrepancies',
      'show 2026010112345 --json\n  $ settlestream show reserves',
    ),
  )
    .argument('<batch>', 'settlement batch id or transaction date; reserves: money that acquirers hold back')
    .option('--merchant <id>', 'only this merchant')
    .option('--currency <code>', 'only this settlement currency')
    .option('--rows', 'lists every row that a restated report added, removed or changed')
    .option('--format <format>', 'table, json, csv or xlsx (a workbook: redirect it to a file)', 'table')
    .action((batch: string, options: Options) =>
      run(async () => {
        const config = readConfig(storageOptions(options));
        return batch === 'reserves'
          ? (await import('../verbs/reserves.ts')).showReserves(config, options)
          : (await import('../verbs/show.ts')).showBatch(config, batch, options);
      }),
    );
}

function addExplain({ program, run }: Cli): void {
  addVerb(
    program,
    'explain',
    'shows everything known about one payment: records, report rows, how each row was matched, discrepancies',
    'explain ORDER-4711 --json',
  )
    .argument('<requestId>', "the merchant's request id, or the provider's transaction id")
    .option('--merchant <id>', 'only this merchant')
    .option('--format <format>', 'table, json, csv or xlsx (its rows)', 'table')
    .action((id: string, options: Options) =>
      run(async () => (await import('../verbs/explain.ts')).explain(readConfig(storageOptions(options)), id, options)),
    );
}

function addAudit({ program, run }: Cli): void {
  addVerb(
    program,
    'audit',
    'lists who did what and when, and checks that the list was not changed',
    'audit --from 2026-01-01 --format csv\n  $ settlestream audit --verify',
  )
    .option('--from <date>', 'from this day on, YYYY-MM-DD, in UTC')
    .option('--to <date>', 'until this day')
    .option('--who <name>', 'only what this person did')
    .option('--what <what>', 'only this: handle, replay, withdraw, import, settings, retention and so on')
    .option('--limit <n>', 'at most this many')
    .option('--after <no>', 'only those behind the event of this number')
    .option('--format <format>', 'table, json, csv or xlsx (a workbook: redirect it to a file)', 'table')
    .option(
      '--verify',
      'makes all hashes anew and names the first event that does not fit; exit code 1 if there is one',
    )
    .option('--pinned <no:hash>', 'with --verify: this event, which --head printed earlier, must be among them')
    .option('--head', 'prints number and hash of the last event: keep them elsewhere')
    .action((options: Options) =>
      run(async () => (await import('../verbs/audit.ts')).audit(readConfig(storageOptions(options)), options)),
    );
}

function addDoctor({ program, run }: Cli): void {
  addVerb(
    program,
    'doctor',
    'checks settings, database, queue, sources and reports, and says what to fix',
    'doctor',
  ).action((options: Options) =>
    run(async () =>
      (await import('../verbs/doctor/doctor.ts')).doctor(storageOptions(options), Boolean(options['json'])),
    ),
  );
}
