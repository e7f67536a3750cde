import { type Command, Option } from 'commander';
import type { Options } from '../config/config.ts';
import { DEFAULT_FORMAT } from '../domain/formats/all.ts';

/** What a command registers itself with. */
export type Cli = {
  readonly program: Command;
  /** Runs a verb; its exit code is that of the program. */
  run(verb: () => Promise<number>): Promise<void>;
};

/** A verb with what all of them have. */
export const addVerb = (program: Command, name: string, description: string, example: string): Command =>
  program
    .command(name)
    .description(description)
    .option('--json', 'prints one JSON document on stdout and nothing else')
    .option('--config <file>', 'file with the settings (settlestream.yaml, if it exists)')
    .option('--data-dir <dir>', 'folder of the database and the archive (SETTLESTREAM_DATA_DIR)')
    .addHelpText('after', `\nExample:\n  $ settlestream ${example}\n`);

/** How reports are read. */
export const reading = (command: Command) =>
  command
    .option('--merchant <id>', 'merchant of reports and records that do not name one')
    .option('--format <name>', `format of the reports (${DEFAULT_FORMAT})`)
    .option('--amount-unit <unit>', 'how reports print amounts: major (14.50) or minor (1450)')
    .option('--time-zone <zone>', 'time zone of the provider; decides where a day begins (Asia/Shanghai)')
    .option(
      '--tolerance <units>',
      'allowed difference of net amounts, fee breakdowns and conversions, in minor units (2)',
    );

/** How much is done at once. */
export const working = (command: Command) =>
  command
    .addOption(new Option('--processes <n>', 'number of parser processes (one per core)'))
    .option('--chunk-bytes <n>', 'bytes that one job parses (8388608)');

/** Which batches and days are listed. */
export const filters = (command: Command) =>
  command
    .option('--merchant <id>', 'only this merchant')
    .option('--from <date>', 'from this day on, YYYY-MM-DD')
    .option('--to <date>', 'until this day')
    .option('--kind <kind>', 'only discrepancies of this kind')
    .option('--state <state>', 'only batches in this state: reconciled, discrepant, incomplete, waiting')
    .option('--format <format>', 'table, json, csv or xlsx (a workbook: redirect it to a file)', 'table');

/** What was known at an earlier time. */
export const lookBack = (command: Command) =>
  command.option(
    '--as-of <time>',
    'shows what was known then: a time with offset, or a day, which means its end in UTC',
  );

/** Who does it, for the audit trail. */
export const signing = (command: Command) =>
  command.option('--as <name>', 'who does it, for the history and the audit trail (the user of this machine)');

/** Reading needs only to know where the book is: --merchant and the like are filters there. */
export const storageOptions = ({ config, dataDir }: Options): Options => ({ config, dataDir });
