import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { type Options, readConfig } from './config/config.ts';
import { DEFAULT_FORMAT } from './domain/formats/all.ts';
import { lastWords, takeOverWords } from './verbs/words.ts';

/** What stands beside the program: the demo uses it and is no part of it. */
export type Beside = {
  /** Aborted when a service is told to stop. The program listens from its first moment on. */
  readonly stop: AbortSignal;
  readonly demo: () => Promise<{
    demo(request: { dataDir: string | null; json: boolean; everySeconds: number | null }): Promise<number>;
  }>;
};

/** Verbs that go on until they are told to stop. */
const SERVICES = [
  ['run', 'finds reports and works on them, until SIGTERM'],
  ['produce', 'finds reports and asks for work, until SIGTERM'],
  ['work', 'works on what is asked for, until SIGTERM'],
] as const;

/** The verbs: what is asked for on the command line, and the exit code it ends with. Each verb is loaded when it is used. */
export async function main(argv: readonly string[], beside: Beside): Promise<number> {
  let exitCode = 0;
  const words = takeOverWords();
  const { say } = words;
  // Who reads only the beginning (`| head`) has had enough: nothing is wrong, and nothing more has to be said.
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
      .option('--json', 'one JSON document on stdout, nothing else there')
      .option('--config <file>', 'the file with the settings (settlestream.yaml, if it is there)')
      .option('--data-dir <dir>', 'where the book is kept (SETTLESTREAM_DATA_DIR)')
      .addHelpText('after', `\nExample:\n  $ settlestream ${example}\n`);

  const reading = (command: Command) =>
    command
      .option('--merchant <id>', 'whose reports and records these are, where nothing else says it')
      .option('--format <name>', `the layout of the reports (${DEFAULT_FORMAT})`)
      .option('--amount-unit <unit>', 'how the reports print amounts: major (14.50) or minor (1450)')
      .option('--time-zone <zone>', 'of the provider, for the borders of days (Asia/Shanghai)')
      .option('--tolerance <units>', 'minor units that nets, breakdowns and conversions may be off (2)');
  const working = (command: Command) =>
    command
      .addOption(new Option('--processes <n>', 'parser processes (one per core)'))
      .option('--chunk-bytes <n>', 'bytes a job parses at once');
  const filters = (command: Command) =>
    command
      .option('--merchant <id>', 'only of this merchant')
      .option('--from <date>', 'from this day on, YYYY-MM-DD')
      .option('--to <date>', 'up to this day')
      .option('--kind <kind>', 'only with discrepancies of this kind')
      .option('--state <state>', 'only of batches in this state: reconciled, discrepant, incomplete, waiting')
      .option('--format <format>', 'table, json, csv or xlsx (a workbook, for a file)', 'table');

  working(
    reading(
      verb('reconcile', 'reconciles report files and folders, once', 'reconcile reports/ --ledger records.csv --json'),
    ),
  )
    .argument('<path...>', 'folders with reports, or report files')
    .option('--ledger <file>', "the merchant's records, imported first")
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
        "reads reports again, from the archive, under today's settings and records; tells what changed",
        'replay --batch 2026010112345 --amount-unit minor --dry-run',
      ),
    ),
  )
    .option('--batch <id>', 'the reports of this settlement batch, or of this day')
    .option('--report <id>', 'one report: its file, its name, or 8 digits of its SHA-256; a withdrawn one comes back')
    .option('--from <date>', 'the reports of all batches and days from this day on, YYYY-MM-DD')
    .option('--to <date>', 'up to this day')
    .option('--refused', 'everything that was refused or given up')
    .option('--dry-run', 'only tells what would change')
    .action((options: Given) =>
      run(async () => (await import('./verbs/replay.ts')).replay(readConfig(settings(options)), options))(),
    );
  working(
    verb(
      'withdraw',
      'takes a wrong report out; the content before it counts again, if there is one',
      'withdraw --report settlementItems_USD_2026010112345_000 --reason "sent by mistake"',
    ),
  )
    .addHelpText(
      'after',
      '\nThe same file does not bring it back, however often it is listed. Other bytes under its name do, and "replay --report".\n',
    )
    .option('--report <id>', 'its file, its name, or 8 digits of its SHA-256')
    .option('--reason <text>', 'why: it is shown wherever the report is')
    .option('--merchant <id>', 'of this merchant')
    .action((options: Given) =>
      run(async () => (await import('./verbs/replay.ts')).withdrawReport(readConfig(settings(options)), options))(),
    );
  program
    .command('demo')
    .description('the whole path on a made-up week of reports with known faults')
    .option('--json', 'one JSON document on stdout, nothing else there')
    .option(
      '--data-dir <dir>',
      'keep the reports and the book here, to look into them; without it they are thrown away',
    )
    .option('--keep', 'go on as the standing service, with new reports now and then, until Ctrl-C')
    .option('--every <seconds>', 'with --keep: how often a new batch comes', '20')
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
    .description('loads the records of a CSV file; the same file twice changes nothing')
    .argument('<file>')
    .option('--merchant <id>', 'whose records these are, where the file does not say it')
    .option('--json', 'one JSON document on stdout, nothing else there')
    .option('--config <file>', 'the file with the settings (settlestream.yaml, if it is there)')
    .option('--data-dir <dir>', 'where the book is kept (SETTLESTREAM_DATA_DIR)')
    .addHelpText('after', '\nExample:\n  $ settlestream ledger import records.csv --data-dir book\n')
    .action((file: string, options: Given) =>
      run(async () => {
        const { importRecords } = await import('./verbs/ledger.ts');
        return importRecords(readConfig(settings(options)), file, Boolean(options['json']));
      })(),
    );
  for (const [name, description] of SERVICES) {
    working(reading(verb(name, description, `${name} --data-dir book`)))
      .option('--folder <dir>', 'the folder in which reports arrive (SETTLESTREAM_FOLDER)')
      .option('--poll-seconds <n>', 'how often it is looked at (30)')
      .option('--http-port <n>', 'where metrics and health are told; 0 is any free port (9464)')
      .action((options: Given) =>
        run(async () => {
          const { serve } = await import('./verbs/serve.ts');
          const config = readConfig(settings(options));
          words.becomeLog();
          return serve(config, name, beside.stop).finally(leaveSoon);
        })(),
      );
  }
  verb('migrate', 'brings the database up to date', 'migrate').action((options: Given) =>
    run(async () =>
      (await import('./verbs/migrate.ts')).migrateBook(readConfig(settings(options)), Boolean(options['json'])),
    )(),
  );
  const lookBack = (command: Command) =>
    command.option(
      '--as-of <time>',
      'what was known then: a time with its offset, or a day, which means its end in UTC',
    );
  lookBack(filters(verb('batches', 'lists batches and days', 'batches --from 2026-01-01 --format csv'))).action(
    (options: Given) =>
      run(async () => (await import('./verbs/batches.ts')).listBatches(readConfig(bookOf(options)), options))(),
  );
  filters(
    verb('discrepancies', 'lists what does not add up', 'discrepancies --kind unknown_transaction --limit 100 --json'),
  )
    .option('--batch <id>', 'only of this settlement batch id or transaction date')
    .option('--source <name>', 'only of this source of the settings')
    .option('--closed', 'also those that were closed, with when and why')
    .option('--limit <n>', 'at most so many; the place of the next is told')
    .option('--after <place>', 'go on behind this place')
    .action((options: Given) =>
      run(async () =>
        (await import('./verbs/discrepancies.ts')).listDiscrepancies(readConfig(bookOf(options)), options),
      )(),
    );
  verb(
    'open',
    'lists what is still to come, by age and money: reports, and what is not settled yet',
    'open --merchant 2188120000004188\n  $ settlestream open --format xlsx > open.xlsx',
  )
    .option('--merchant <id>', 'only of this merchant')
    .option('--from <date>', 'of batches and days from this day on, YYYY-MM-DD')
    .option('--to <date>', 'up to this day')
    .option('--records', 'every record that is not settled yet, not only the sums')
    .option('--limit <n>', 'at most so many of these records; the place of the next is told')
    .option('--after <place>', 'go on behind this place')
    .option('--format <format>', 'table, json, csv or xlsx (a workbook, for a file)', 'table')
    .action((options: Given) =>
      run(async () => (await import('./verbs/open.ts')).listOpen(readConfig(bookOf(options)), options))(),
    );
  lookBack(
    verb(
      'show',
      'shows a batch or day: its reports, runs and why they came about, restatements, digest and discrepancies',
      'show 2026010112345 --json\n  $ settlestream show reserves',
    ),
  )
    .argument('<batch>', 'a settlement batch id, or a transaction date; reserves: what acquirers keep back')
    .option('--merchant <id>', 'of this merchant')
    .option('--currency <code>', 'in this settlement currency')
    .option('--rows', 'every row that a restated report added, removed or changed')
    .option('--format <format>', 'table, json, csv or xlsx (a workbook, for a file)', 'table')
    .action((batch: string, options: Given) =>
      run(async () => {
        const config = readConfig(bookOf(options));
        return batch === 'reserves'
          ? (await import('./verbs/reserves.ts')).showReserves(config, options)
          : (await import('./verbs/show.ts')).showBatch(config, batch, options);
      })(),
    );
  verb('explain', "tells a payment's whole story, from records and every row about it", 'explain ORDER-4711 --json')
    .argument('<requestId>', "the merchant's own request id, or a transaction id of the provider's")
    .option('--merchant <id>', 'of this merchant')
    .option('--format <format>', 'table, json, csv or xlsx (its rows)', 'table')
    .action((id: string, options: Given) =>
      run(async () => (await import('./verbs/explain.ts')).explain(readConfig(bookOf(options)), id, options))(),
    );
  verb('doctor', 'checks settings, database, queue, sources and reports, and says what to mend', 'doctor').action(
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
