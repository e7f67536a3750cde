import { type Options, readConfig } from '../config/config.ts';
import { addVerb, type Cli, reading, signing, working } from './options.ts';

/** The demo stands beside the program, and is no part of it. */
export type LoadDemo = () => Promise<{
  demo(request: { dataDir: string | null; json: boolean; everySeconds: number | null }): Promise<number>;
}>;

/** Commands that change what the book holds. */
export function registerChanging(cli: Cli, loadDemo: LoadDemo): void {
  addReconcile(cli);
  addReplay(cli);
  addWithdraw(cli);
  addHandle(cli);
  addDemo(cli, loadDemo);
  addLedger(cli);
}

function addReconcile({ program, run }: Cli): void {
  working(
    reading(
      addVerb(
        program,
        'reconcile',
        'reconciles report files and folders once',
        'reconcile reports/ --ledger records.csv --json',
      ),
    ),
  )
    .argument('<path...>', 'folders with reports, or report files')
    .option('--ledger <file>', "file with the merchant's records, imported first")
    .option('--bank <path...>', 'folders with bank statements, or files of them: has the money arrived?')
    .action((paths: string[], { bank, ...options }: Options & { readonly bank?: string[] }) =>
      run(async () => {
        const { reconcilePaths } = await import('../verbs/reconcile.ts');
        const { ledger = null, json } = options;
        return reconcilePaths(readConfig(options), paths, { ledger, json: Boolean(json), bank: bank ?? [] });
      }),
    );
}

function addReplay({ program, run }: Cli): void {
  signing(
    working(
      reading(
        addVerb(
          program,
          'replay',
          "reads reports again from the archive, under today's settings and records; prints what changed",
          'replay --batch 2026010112345 --amount-unit minor --dry-run',
        ),
      ),
    ),
  )
    .option('--batch <id>', 'the reports of this settlement batch, or of this day')
    .option('--report <id>', 'one report: its file, its name, or 8 digits of its SHA-256; a withdrawn one comes back')
    .option('--from <date>', 'the reports of all batches and days from this day on, YYYY-MM-DD')
    .option('--to <date>', 'until this day')
    .option('--refused', 'everything that was refused or parked')
    .option('--statements <file>', 'bank statements: their file, or 8 digits of its SHA-256')
    .option('--dry-run', 'prints what would change, and changes nothing')
    .action((options: Options) =>
      run(async () => {
        const { statements } = options;
        return statements === undefined
          ? (await import('../verbs/replay.ts')).replay(readConfig(options), options)
          : (await import('../verbs/replay-statements.ts')).replayStatementFile(
              readConfig(options),
              statements,
              options,
            );
      }),
    );
}

function addWithdraw({ program, run }: Cli): void {
  signing(
    working(
      addVerb(
        program,
        'withdraw',
        'takes a wrong report out; the revision before it counts again, if there is one',
        'withdraw --report settlementItems_USD_2026010112345_000 --reason "sent by mistake"',
      ),
    ),
  )
    .addHelpText(
      'after',
      '\nThe same file does not bring it back, however often it is listed. Other content under its name does, and so does "replay --report".\n',
    )
    .option('--report <id>', 'file, name, or 8 digits of the SHA-256')
    .option('--statements <file>', 'bank statements: their file, or 8 digits of its SHA-256')
    .option('--reason <text>', 'reason, shown wherever the report is')
    .option('--merchant <id>', 'only this merchant')
    .action((options: Options) =>
      run(async () => {
        const { statements } = options;
        return statements === undefined
          ? (await import('../verbs/replay.ts')).withdrawReport(readConfig(options), options)
          : (await import('../verbs/replay-statements.ts')).withdrawStatementFile(
              readConfig(options),
              statements,
              options,
            );
      }),
    );
}

function addHandle({ program, run }: Cli): void {
  signing(
    addVerb(
      program,
      'handle',
      'comments on discrepancies, assigns, snoozes, accepts, approves, rejects or reopens them',
      'handle accept 17 18 --reason timing --text "settled tomorrow"\n  $ settlestream handle --file filled-in.xlsx',
    ),
  )
    .argument('[action]', 'comment, assign, snooze, accept, approve, reject or reopen')
    .argument('[no...]', 'numbers of discrepancies, as "settlestream discrepancies" shows them')
    .option('--reason <code>', 'of accept: timing, rounding, provider_claim, booked, written_off or other')
    .option('--text <text>', 'what to say about it; needed for comment and accept')
    .option('--to <name>', "of assign: whose it is; without it, nobody's")
    .option('--until <date>', 'of snooze: the day on which it is open again; of assign: by when it is due; YYYY-MM-DD')
    .option('--file <file>', 'CSV or XLSX with columns no, action, reason, text, to, until: all of its lines, or none')
    .addHelpText(
      'after',
      '\nExports of "discrepancies" and "show" have these columns, empty: fill them in, and leave other lines as they are.\n',
    )
    .action((action: string | undefined, nos: string[], options: Options) =>
      run(async () =>
        (await import('../verbs/handle.ts')).handleDiscrepancies(readConfig(options), { action, nos }, options),
      ),
    );
}

function addDemo({ program, run }: Cli, loadDemo: LoadDemo): void {
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
    .action((options: Options) =>
      run(async () => {
        const { demo } = await loadDemo();
        const { dataDir = null, json, keep, every } = options;
        return demo({ dataDir, json: Boolean(json), everySeconds: keep ? Number(every) : null });
      }),
    );
}

function addLedger({ program, run }: Cli): void {
  const ledger = program.command('ledger').description("the merchant's own records");
  signing(ledger.command('import'))
    .description('imports the records of a CSV file; the same file twice changes nothing')
    .argument('<file>')
    .option('--merchant <id>', 'merchant of records that do not name one')
    .option('--json', 'prints one JSON document on stdout and nothing else')
    .option('--config <file>', 'file with the settings (settlestream.yaml, if it exists)')
    .option('--data-dir <dir>', 'folder of the database and the archive (SETTLESTREAM_DATA_DIR)')
    .addHelpText('after', '\nExample:\n  $ settlestream ledger import records.csv --data-dir book\n')
    .action((file: string, options: Options) =>
      run(async () => {
        const { importRecords } = await import('../verbs/ledger.ts');
        return importRecords(readConfig(options), file, options);
      }),
    );
}
