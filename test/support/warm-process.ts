/**
 * Runs calls of the program one after another in one process: each is the same call of `main` that `bin` makes. Loading and compiling the
 * program is most of what a short call costs, and the tests make a thousand; a process that is warm pays it once.
 */
import { pathToFileURL } from 'node:url';

/** What to run, from the process that started this one. `mark` is what both outputs end with. */
export type Call = {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly mark: string;
};

const dist = process.argv[2]!;
const load = (name: string) => import(pathToFileURL(`${dist}/${name}.js`).href);
const { main } = await load('src/cli');
const listened = [process, process.stdout, process.stderr] as const;
const EVENTS = ['error', 'warning', 'uncaughtException', 'exit', 'SIGINT', 'SIGTERM', 'SIGHUP', 'drain'];

process.on('message', async ({ args, env, cwd, mark }: Call) => {
  process.chdir(cwd);
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
  const before = listened.map((one) => EVENTS.map((event) => one.rawListeners(event)));
  const code = await main(args, { demo: () => load('demo/demo'), stop: new AbortController().signal });
  // What the call listened to ended with it, as it does with a process.
  for (const [no, one] of listened.entries())
    for (const [eventNo, event] of EVENTS.entries())
      for (const listener of one.rawListeners(event))
        if (!before[no]![eventNo]!.includes(listener)) one.off(event, listener as () => void);
  await Promise.all(
    [process.stdout, process.stderr].map((out) => new Promise((done) => out.write(mark, () => done(undefined)))),
  );
  process.send!({ code });
});
// Whoever asks is gone.
process.on('disconnect', () => process.exit());
process.send!('ready');
