import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { debianProgram } from './debian.ts';
import { freePort } from './port.ts';

/** A Redis of this test's own: others can neither fill it nor be hurt when it is killed. */
export type TestRedis = {
  readonly url: string;
  /** Of the server itself, for tests that kill it. */
  readonly pid: number;
  stop(): Promise<void>;
};

const SETTINGS = ['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction', '--bind', '127.0.0.1'];

/**
 * The server lives as long as the standard input of its shell is open, which the kernel closes however this process ends.
 * It is killed rather than asked: there is nothing in it to keep.
 */
const KEEPER = '"$@" & echo "pid $!"; read -r _; kill -9 $! 2>/dev/null; wait';

/** Starts a Redis on a free port of the loopback, with settings over those of a test. */
export async function startRedis(settings: readonly string[] = []): Promise<TestRedis> {
  const { path: program, libraries } = debianProgram('redis-server', 'usr/bin/redis-server');
  // A port that was free a moment ago may be taken by now.
  for (let tries = 1; ; tries++) {
    const port = await freePort();
    const started = await start(program, libraries, port, settings);
    if (typeof started !== 'string') return started;
    if (tries === 5) throw new Error(`${program} did not start on 5 ports, last on ${port}:\n${started}`);
  }
}

/** The server, once it accepts connections; or its last words. */
function start(
  program: string,
  libraries: string,
  port: number,
  settings: readonly string[],
): Promise<TestRedis | string> {
  const folder = mkdtempSync(join(tmpdir(), 'settlestream-redis-'));
  const given = ['--port', `${port}`, '--dir', folder, ...SETTINGS, ...settings];
  const child = spawn('/bin/sh', ['-c', KEEPER, 'redis', program, ...given], {
    env: { ...process.env, LD_LIBRARY_PATH: libraries },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve())).then(() =>
    rmSync(folder, { recursive: true, force: true }),
  );
  const stop = () => {
    child.ref();
    child.stdin.destroy();
    return ended;
  };
  return new Promise((resolve) => {
    let pid = 0;
    const words: string[] = [];
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      words.push(line);
      if (line.startsWith('pid ')) pid = Number(line.slice(4));
      if (line.includes('Ready to accept connections')) {
        lines.close();
        child.stdout.resume();
        // Nothing that is left of the server keeps a test from ending.
        child.unref();
        for (const stream of [child.stdin, child.stdout]) (stream as unknown as { unref(): void }).unref();
        resolve({ url: `redis://127.0.0.1:${port}`, pid, stop });
      }
      if (/Failed listening|Fatal|error while loading/.test(line)) void stop();
    });
    ended.then(() => resolve(words.join('\n')));
  });
}
