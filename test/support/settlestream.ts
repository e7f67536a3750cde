import { type ChildProcess, fork, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { program } from './program.ts';
import { sized } from './size.ts';
import type { Call } from './warm-process.ts';

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

/**
 * Runs the program to its end, as a user would: in a process of its own, or in one that ran it before
 * (`warm-process.ts`; at night each call has its own).
 */
export const settlestream = (args: readonly string[], options: Options = {}): Promise<Ended> =>
  isForWarm(args, options) ? runWarm(args, options) : startSettlestream(args, options).ended;

const SERVICES = ['run', 'produce', 'work', 'console', 'demo'];
/** What starts its own Postgres lets it go when its process ends, and what is told to stop is told by a signal. */
const isForWarm = ([verb = '']: readonly string[], { env, signal, timeoutMs }: Options): boolean =>
  sized(true, false) &&
  env?.['DATABASE_URL'] !== undefined &&
  signal === undefined &&
  timeoutMs === undefined &&
  !SERVICES.includes(verb);

const LIMIT_MS = 300_000;

type Warm = { readonly child: ChildProcess; stdout: string; stderr: string };
const idle: Warm[] = [];

async function runWarm(args: readonly string[], { env, cwd }: Options): Promise<Ended> {
  const warm = idle.pop() ?? (await startWarm());
  const { child } = warm;
  hold(child, true);
  warm.stdout = warm.stderr = '';
  const mark = `\0${randomUUID()}\n`;
  const call: Call = { args, env: environmentOf(env), cwd: cwd ?? process.cwd(), mark };
  child.send(call);
  const code = await new Promise<number | null>((resolve) => {
    let code: number | null | undefined;
    const look = () => {
      if (code !== undefined && warm.stdout.endsWith(mark) && warm.stderr.endsWith(mark)) settle(code);
    };
    const told = (message: { code: number }) => {
      ({ code } = message);
      look();
    };
    // As long as a process of its own has.
    const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    const settle = (code: number | null) => {
      clearTimeout(limit);
      child.off('message', told).off('close', settle);
      child.stdout!.off('data', look);
      child.stderr!.off('data', look);
      resolve(code);
    };
    child.on('message', told).on('close', settle);
    child.stdout!.on('data', look);
    child.stderr!.on('data', look);
  });
  const outputs = [warm.stdout, warm.stderr].map((text) => (text.endsWith(mark) ? text.slice(0, -mark.length) : text));
  if (child.exitCode === null && child.signalCode === null) {
    hold(child, false);
    idle.push(warm);
  }
  return endedWith(code, outputs[0]!, outputs[1]!);
}

async function startWarm(): Promise<Warm> {
  const child = fork(resolve(import.meta.dirname, 'warm-process.ts'), [resolve(BIN, '../../dist')], {
    env: environmentOf({}),
    execArgv: [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const warm: Warm = { child, stdout: '', stderr: '' };
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    warm.stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    warm.stderr += text;
  });
  await once(child, 'message');
  // One that ends between two calls had something left of the last: whoever comes next is told.
  child.once('exit', (code, signal) => {
    if (!idle.includes(warm)) return;
    throw new Error(`a call left something behind that ended its process (${code ?? signal}):\n${warm.stderr}`);
  });
  return warm;
}

/** One that is idle does not keep its test file alive. */
function hold(child: ChildProcess, isHeld: boolean): void {
  for (const part of [child, child.channel, child.stdout, child.stderr] as { ref(): void; unref(): void }[])
    if (isHeld) part.ref();
    else part.unref();
}

/** Starts the program: for those verbs that go on until they are told to stop. */
export function startSettlestream(args: readonly string[], options: Options = {}): Started {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: environmentOf(options.env),
    cwd: options.cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs ?? LIMIT_MS,
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
      resolve(endedWith(code, stdout, stderr));
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

const endedWith = (code: number | null, stdout: string, stderr: string): Ended => ({
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

/** Several services may run at once, beside whatever else has the usual port; and nobody waits for what does not come. */
const environmentOf = (env: Options['env']): NodeJS.ProcessEnv => ({
  ...withoutSettings(process.env),
  SETTLESTREAM_HTTP_PORT: '0',
  SETTLESTREAM_QUIET_MINUTES: '0',
  ...env,
});

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
