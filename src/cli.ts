import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { type Options, readConfig } from './config/config.ts';
import { DEFAULT_FORMAT } from './domain/formats/all.ts';
import { lastWords, takeOverWords } from './verbs/words.ts';

/** What `bin` passes in: the demo uses the program and is no part of it. */
export type Beside = {
  /** Aborted by SIGTERM. The program listens from its first moment on. */
  readonly stop: AbortSignal;
  readonly demo: () => Promise<{
    demo(request: { dataDir: string | null; json: boolean; everySeconds: number | null }): Promise<number>;
  }>;
};

/** Commands that run until SIGTERM. */
const SERVICES = [
  ['run', 'runs the service: finds reports and reconciles them, until SIGTERM'],
  ['produce', 'finds reports and enqueues jobs, until SIGTERM'],
  ['work', 'does the enqueued jobs, until SIGTERM'],
] as const;

/** Runs the command of the command line and returns its exit code. The module of a command is loaded when it is used. */
export async function main(argv: readonly string[], beside: Beside): Promise<number> {
  let exitCode = 0;
  const words = takeOverWords();
  const { say } = words;
  // A reader that reads only the beginning (`| head`) closes the pipe: this is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? 0 : lastWords(error, say)),
  );
  const run = (verb: () => Promise<number>) => async () => {
    exitCode = await verb();
  };
  const program = new Command('settlestream')
    .description(
      'Says whether every cent of every settlement has arrived, and if not, which one is missing, why, and since when.',
    )
    .version(version())
    .exitOverride()
    .configureHelp({ sortSubcommands: false })
    .showHelpAfterError('(see --help)')
    .addHelpText(
      'after',
      '\nExamples:\n  $ settlestream demo\n  $ settlestream reconcile reports/ --ledger records.csv\n',
    );

  const verb = (name: string, description: string, example: string) =>
    program
      .command(name)
      .description(description)
      .option('--json', 'prints one JSON document on stdout and nothing else')
      .option('--config <file>', 'file with the settings (settlestream.yaml, if it exists)')
      .option('--data-dir <dir>', 'folder of the database and the archive (SETTLESTREAM_DATA_DIR)')
      .addHelpText('after', `\nExample:\n  $ settlestream ${example}\n`);

  const reading = (command: Command) =>
    command
      .option('--merchant <id>', 'merchant of reports and records that do not name one')
      .option('--format <name>', `format of the reports (${DEFAULT_FORMAT})`)
      .option('--amount-unit <unit>', 'how reports print amounts: major (14.50) or minor (1450)')
      .option('--time-zone <zone>', 'time zone of the provider; decides where a day begins (Asia/Shanghai)')
      .option(
        '--tolerance <units>',
        'allowed difference of net amounts, fee breakdowns and conversions, in minor units (2)',
      );
  const working = (command: Command) =>
    command
      .addOption(new Option('--processes <n>', 'number of parser processes (one per core)'))
      .option('--chunk-bytes <n>', 'bytes that one job parses (8388608)');
  const filters = (command: Command) =>
    command
      .option('--merchant <id>', 'only this merchant')
      .option('--from <date>', 'from this day on, YYYY-MM-DD')
      .option('--to <date>', 'until this day')
      .option('--kind <kind>', 'only discrepancies of this kind')
      .option('--state <state>', 'only batches in this state: reconciled, discrepant, incomplete, waiting')
      .option('--format <format>', 'table, json, csv or xlsx (a workbook: redirect it to a file)', 'table');

  working(
    reading(
      verb('reconcile', 'reconciles report files and folders once', 'reconcile reports/ --ledger records.csv --json'),
    ),
  )
    .argument('<path...>', 'folders with reports, or report files')
    .option('--ledger <file>', "file with the merchant's records, imported first")
    .action((paths: string[], options: Given) =>
      run(async () => {
        const { reconcilePaths } = await import('./verbs/reconcile.ts');
        const { ledger = null, json } = options;
        return reconcilePaths(readConfig(settings(options)), paths, { ledger, json: Boolean(json) });
      })(),
    );
  working(
    reading(
      verb(
        'replay',
        "reads reports again from the archive, under today's settings and records; prints what changed",
        'replay --batch 2026010112345 --amount-unit minor --dry-run',
      ),
    ),
  )
    .option('--batch <id>', 'the reports of this settlement batch, or of this day')
    .option('--report <id>', 'one report: its file, its name, or 8 digits of its SHA-256; a withdrawn one comes back')
    .option('--from <date>', 'the reports of all batches and days from this day on, YYYY-MM-DD')
    .option('--to <date>', 'until this day')
    .option('--refused', 'everything that was refused or parked')
    .option('--dry-run', 'prints what would change, and changes nothing')
    .action((options: Given) =>
      run(async () => (await import('./verbs/replay.ts')).replay(readConfig(settings(options)), options))(),
    );
  working(
    verb(
      'withdraw',
      'takes a wrong report out; the revision before it counts again, if there is one',
      'withdraw --report settlementItems_USD_2026010112345_000 --reason "sent by mistake"',
    ),
  )
    .addHelpText(
      'after',
      '\nThe same file does not bring it back, however often it is listed. Other content under its name does, and so does "replay --report".\n',
    )
    .option('--report <id>', 'file, name, or 8 digits of the SHA-256')
    .option('--reason <text>', 'reason, shown wherever the report is')
    .option('--merchant <id>', 'only this merchant')
    .action((options: Given) =>
      run(async () => (await import('./verbs/replay.ts')).withdrawReport(readConfig(settings(options)), options))(),
    );
  program
    .command('demo')
    .description('shows the whole path with a week of made-up reports and known faults')
    .option('--json', 'prints one JSON document on stdout and nothing else')
    .option(
      '--data-dir <dir>',
      'keeps reports and database here, so that they can be queried; by default they are removed',
    )
    .option('--keep', 'continues as a service with new reports, until Ctrl-C')
    .option('--every <seconds>', 'with --keep: seconds between two new batches', '20')
    .addHelpText('after', '\nExample:\n  $ settlestream demo --data-dir demo-book\n')
    .action((options: Given) =>
      run(async () => {
        const { demo } = await beside.demo();
        const { dataDir = null, json, keep, every } = options;
        return demo({ dataDir, json: Boolean(json), everySeconds: keep ? Number(every) : null });
      })(),
    );
  const ledger = program.command('ledger').description("the merchant's own records");
  ledger
    .command('import')
    .description('imports the records of a CSV file; the same file twice changes nothing')
    .argument('<file>')
    .option('--merchant <id>', 'merchant of records that do not name one')
    .option('--json', 'prints one JSON document on stdout and nothing else')
    .option('--config <file>', 'file with the settings (settlestream.yaml, if it exists)')
    .option('--data-dir <dir>', 'folder of the database and the archive (SETTLESTREAM_DATA_DIR)')
    .addHelpText('after', '\nExample:\n  $ settlestream ledger import records.csv --data-dir book\n')
    .action((file: string, options: Given) =>
      run(async () => {
        const { importRecords } = await import('./verbs/ledger.ts');
        return importRecords(readConfig(settings(options)), file, Boolean(options['json']));
      })(),
    );
  for (const [name, description] of SERVICES) {
    working(reading(verb(name, description, `${name} --data-dir book`)))
      .option('--folder <dir>', 'folder in which reports arrive (SETTLESTREAM_FOLDER)')
      .option('--poll-seconds <n>', 'seconds between two polls (30)')
      .option('--http-port <n>', 'port of /metrics, /healthz and /readyz; 0 takes any free port (9464)')
      .action((options: Given) =>
        run(async () => {
          const { serve } = await import('./verbs/serve.ts');
          const config = readConfig(settings(options));
          words.becomeLog();
          return serve(config, name, beside.stop).finally(leaveSoon);
        })(),
      );
  }
  verb('migrate', 'creates or updates the database schema', 'migrate').action((options: Given) =>
    run(async () =>
      (await import('./verbs/migrate.ts')).migrateBook(readConfig(settings(options)), Boolean(options['json'])),
    )(),
  );
  const lookBack = (command: Command) =>
    command.option(
      '--as-of <time>',
      'shows what was known then: a time with offset, or a day, which means its end in UTC',
    );
  lookBack(filters(verb('batches', 'lists batches and days', 'batches --from 2026-01-01 --format csv'))).action(
    (options: Given) =>
      run(async () => (await import('./verbs/batches.ts')).listBatches(readConfig(bookOf(options)), options))(),
  );
  filters(
    verb('discrepancies', 'lists what does not add up', 'discrepancies --kind unknown_transaction --limit 100 --json'),
  )
    .option('--batch <id>', 'only this settlement batch id or transaction date')
    .option('--source <name>', 'only this source of the settings')
    .option('--closed', 'also closed ones, with time and cause')
    .option('--limit <n>', 'at most this many; prints the cursor of the next page')
    .option('--after <cursor>', 'continues behind this cursor')
    .action((options: Given) =>
      run(async () =>
        (await import('./verbs/discrepancies.ts')).listDiscrepancies(readConfig(bookOf(options)), options),
      )(),
    );
  verb(
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
    .action((options: Given) =>
      run(async () => (await import('./verbs/open.ts')).listOpen(readConfig(bookOf(options)), options))(),
    );
  lookBack(
    verb(
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
    .action((batch: string, options: Given) =>
      run(async () => {
        const config = readConfig(bookOf(options));
        return batch === 'reserves'
          ? (await import('./verbs/reserves.ts')).showReserves(config, options)
          : (await import('./verbs/show.ts')).showBatch(config, batch, options);
      })(),
    );
  verb(
    'explain',
    'shows everything known about one payment: records, report rows, how each row was matched, discrepancies',
    'explain ORDER-4711 --json',
  )
    .argument('<requestId>', "the merchant's request id, or the provider's transaction id")
    .option('--merchant <id>', 'only this merchant')
    .option('--format <format>', 'table, json, csv or xlsx (its rows)', 'table')
    .action((id: string, options: Given) =>
      run(async () => (await import('./verbs/explain.ts')).explain(readConfig(bookOf(options)), id, options))(),
    );
  verb('doctor', 'checks settings, database, queue, sources and reports, and says what to fix', 'doctor').action(
    (options: Given) =>
      run(async () => (await import('./verbs/doctor/doctor.ts')).doctor(bookOf(options), Boolean(options['json'])))(),
  );

  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return lastWords(error, say);
  }
}

/** Everything is closed by then; whatever a neighbour that hangs has left behind must not keep the process. */
const leaveSoon = (): void => void setTimeout(() => process.exit(), 2_000).unref();

type Given = Readonly<Record<string, string | undefined>>;

const settings = (options: Given): Options => options;

/** Looking needs only to know where the book is: --merchant and the like are filters there. */
const bookOf = ({ config, dataDir }: Given): Options => ({ config, dataDir });

function version(): string {
  const file = new URL(
    import.meta.url.includes('/dist/src/') ? '../../package.json' : '../package.json',
    import.meta.url,
  );
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
