import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { registerBank } from './cli/bank.ts';
import { type LoadDemo, registerChanging } from './cli/change.ts';
import { registerReading } from './cli/read.ts';
import { registerServices } from './cli/service.ts';
import { lastWords, takeOverWords } from './verbs/words.ts';

/** What `bin` passes in: the demo uses the program and is no part of it. */
export type Beside = {
  /** Aborted by SIGTERM. The program listens from its first moment on. */
  readonly stop: AbortSignal;
  readonly demo: LoadDemo;
};

/** Runs the command of the command line and returns its exit code. The module of a command is loaded when it is used. */
export async function main(argv: readonly string[], beside: Beside): Promise<number> {
  let exitCode = 0;
  const words = takeOverWords();
  const { say } = words;
  // A reader that reads only the beginning (`| head`) closes the pipe: this is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? 0 : lastWords(error, say)),
  );
  const run = async (verb: () => Promise<number>) => {
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

  registerChanging({ program, run }, beside.demo);
  registerServices({ program, run }, { stop: beside.stop, becomeLog: words.becomeLog });
  registerReading({ program, run });
  registerBank({ program, run });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return lastWords(error, say);
  }
}

function version(): string {
  const file = new URL(
    import.meta.url.includes('/dist/src/') ? '../../package.json' : '../package.json',
    import.meta.url,
  );
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
