import { spawn } from 'node:child_process';
import { program } from './program.ts';

const BIN = await program();

export type Ended = {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What stands on stdout, which must be one JSON document. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it by name, and a wrong name fails them.
  readonly json: any;
};

export type Started = {
  readonly pid: number;
  /** Waits until a line of stderr matches. Rejects when the program ends before. */
  says(pattern: RegExp): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
};

type Options = {
  /** Settings, over an environment that holds none. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Ends the program with SIGTERM. */
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
};

/** Runs the program to its end, as a user would, in a process of its own. */
export const settlestream = (args: readonly string[], options: Options = {}): Promise<Ended> =>
  startSettlestream(args, options).ended;

/** Starts the program: for those verbs that go on until they are told to stop. */
export function startSettlestream(args: readonly string[], options: Options = {}): Started {
  const child = spawn(process.execPath, [BIN, ...args], {
    // Several services may run at once, beside whatever else has the usual port; and nobody waits for what does not come.
    env: {
      ...withoutSettings(process.env),
      SETTLESTREAM_HTTP_PORT: '0',
      SETTLESTREAM_QUIET_MINUTES: '0',
      ...options.env,
    },
    cwd: options.cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? 300_000,
    killSignal: 'SIGKILL',
  });
  const stop = () => child.kill('SIGTERM');
  options.signal?.addEventListener('abort', stop, { once: true });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      options.signal?.removeEventListener('abort', stop);
      resolve({
        code,
        stdout,
        stderr,
        get json() {
          try {
            return JSON.parse(stdout);
          } catch {
            throw new Error(
              `exit ${code}, and no JSON on stdout:\n${stdout.slice(0, 2_000)}\nstderr:\n${stderr.slice(-2_000)}`,
            );
          }
        },
      });
    });
  });
  return {
    pid: child.pid!,
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const line = stderr.split('\n').find((line) => pattern.test(line));
          if (line === undefined) return;
          child.stderr.off('data', look);
          resolve(line);
        };
        child.stderr.on('data', look);
        look();
        ended.then(() => reject(new Error(`it ended without saying ${pattern}:\n${stderr.slice(-2_000)}`)), reject);
      }),
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

/** What the developer has set for their own book must not decide a test. */
const withoutSettings = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) =>
        !/^(DATABASE_URL|REDIS_URL|SETTLESTREAM_.*|PG[A-Z]+|NODE_OPTIONS|NODE_TEST_CONTEXT|NODE_COMPILE_CACHE)$/.test(
          name,
        ),
    ),
  );
