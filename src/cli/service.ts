import type { Command } from 'commander';
import { type Options, readConfig } from '../config/config.ts';
import { addVerb, type Cli, reading, signing, working } from './options.ts';

/** Commands that run until SIGTERM. */
const SERVICES = [
  ['run', 'runs the service: finds reports and reconciles them, until SIGTERM'],
  ['produce', 'finds reports and enqueues jobs, until SIGTERM'],
  ['work', 'does the enqueued jobs, until SIGTERM'],
] as const;

/** What a service is started with. */
export type Service = {
  readonly stop: AbortSignal;
  /** From here on everything that is said is a line of the log. */
  becomeLog(): void;
};

/** Commands that keep the service running. */
export function registerServices(cli: Cli, service: Service): void {
  for (const [name, description] of SERVICES) addService(cli, service, name, description);
  addConsole(cli, service);
  addMigrate(cli);
}

function addService(
  { program, run }: Cli,
  { stop, becomeLog }: Service,
  name: (typeof SERVICES)[number][0],
  description: string,
): void {
  working(reading(addVerb(program, name, description, `${name} --data-dir book`)))
    .option('--folder <dir>', 'folder in which reports arrive (SETTLESTREAM_FOLDER)')
    .option('--poll-seconds <n>', 'seconds between two polls (30)')
    .option('--http-port <n>', 'port of /metrics, /healthz and /readyz; 0 takes any free port (9464)')
    .action((options: Options) =>
      run(async () => {
        const { serve } = await import('../verbs/serve.ts');
        const config = readConfig(options);
        becomeLog();
        return serve(config, name, stop, undefined, options).finally(leaveSoon);
      }),
    );
}

function addConsole({ program, run }: Cli, { stop }: Service): void {
  const command = forPerson(
    addVerb(
      program,
      'console',
      'serves pages for people who look and decide, on this machine, until SIGTERM',
      'console --as ann',
    ),
  )
    .option('--port <n>', 'port of the pages; 0 takes any free port (9465)')
    .action((options: Options) =>
      run(async () =>
        (await import('../verbs/console.ts'))
          .serveConsole(readConfig(withoutMerchant(options)), options, stop)
          .finally(leaveSoon),
      ),
    );
  forPerson(
    addVerb(command, 'link', 'prints a further link for a console that runs', 'console link --as bob --role approver'),
  )
    .option('--port <n>', 'port of the console (9465)')
    .action((_: Options, link: Command) =>
      run(async () => {
        const options: Options = link.optsWithGlobals();
        return (await import('../verbs/console.ts')).printConsoleLink(readConfig(withoutMerchant(options)), options);
      }),
    );
  addToken(command, run);
}

function addToken(command: Command, run: Cli['run']): void {
  const token = addVerb(command, 'token', 'tokens for programs that use the API', 'console token list');
  const withOptions = (verb: Command, act: (options: Options) => Promise<number>) =>
    verb.action((...given: unknown[]) => run(() => act((given.at(-1) as Command).optsWithGlobals())));
  const verbs = () => import('../verbs/console-token.ts');
  withOptions(
    forPerson(
      addVerb(
        token,
        'create',
        'makes a token and prints it, this once',
        'console token create --as ledger-sync --role viewer --merchant M1',
      ),
    ),
    async (options) => (await verbs()).createToken(readConfig(withoutMerchant(options)), options),
  );
  withOptions(
    addVerb(token, 'list', 'lists all tokens, without what makes them work', 'console token list'),
    async (options) => (await verbs()).listTokens(readConfig(withoutMerchant(options)), options),
  );
  signing(addVerb(token, 'revoke', 'revokes a token: it opens nothing any more', 'console token revoke 3'))
    .argument('<no>', 'number of the token, as "list" shows it')
    .action((no: string, _: Options, revoke: Command) =>
      run(async () => {
        const options: Options = { ...revoke.optsWithGlobals(), no };
        return (await verbs()).endToken(readConfig(withoutMerchant(options)), options);
      }),
    );
}

/** Whom a link is for. */
const forPerson = (command: Command): Command =>
  signing(command)
    .option('--role <role>', 'what this person may do: viewer, analyst (handle), approver, engineer (all of them)')
    .option('--merchant <ids>', 'whose rows this person may see, separated by commas (all)');

const withoutMerchant = ({ merchant: _, ...options }: Options): Options => options;

function addMigrate({ program, run }: Cli): void {
  addVerb(program, 'migrate', 'creates or updates the database schema', 'migrate').action((options: Options) =>
    run(async () => (await import('../verbs/migrate.ts')).migrateBook(readConfig(options), Boolean(options['json']))),
  );
}

/** Everything is closed by then; whatever a neighbour that hangs has left behind must not keep the process. */
const leaveSoon = (): void => void setTimeout(() => process.exit(), 2_000).unref();
