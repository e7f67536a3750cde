import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

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

/** Starts a Redis on a free port of the loopback. */
export async function startRedis(): Promise<TestRedis> {
  const { program, libraries } = redisServer();
  // A port that was free a moment ago may be taken by now.
  for (let tries = 1; ; tries++) {
    const port = await freePort();
    const started = await start(program, libraries, port);
    if (typeof started !== 'string') return started;
    if (tries === 5) throw new Error(`${program} did not start on 5 ports, last on ${port}:\n${started}`);
  }
}

/** The server, once it accepts connections; or its last words. */
function start(program: string, libraries: string, port: number): Promise<TestRedis | string> {
  const folder = mkdtempSync(join(tmpdir(), 'settlestream-redis-'));
  const child = spawn('/bin/sh', ['-c', KEEPER, 'redis', program, '--port', `${port}`, '--dir', folder, ...SETTINGS], {
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

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The one that is installed, else Debian's, unpacked into a cache folder: no root needed, and nothing of the system changes. */
function redisServer(): { program: string; libraries: string } {
  const { PATH = '', LD_LIBRARY_PATH = '' } = process.env;
  const installed = PATH.split(delimiter).map((folder) => join(folder, 'redis-server'));
  const program = installed.find((path) => existsSync(path));
  if (program) return { program, libraries: LD_LIBRARY_PATH };
  const folder = fetched();
  const libraries = readdirSync(join(folder, 'usr/lib')).map((name) => join(folder, 'usr/lib', name));
  return {
    program: join(folder, 'usr/bin/redis-server'),
    libraries: [...libraries, join(folder, 'lib')].join(delimiter),
  };
}

function fetched(): string {
  const system = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'linux';
  const cache = cacheFolder();
  const folder = join(cache, `${system}-${process.arch}`);
  if (existsSync(folder)) return folder;
  const fresh = mkdtempSync(join(cache, 'new-'));
  try {
    fetchInto(fresh);
    // Several may do this at once: whoever renames first has made it.
    renameSync(join(fresh, 'root'), folder);
  } catch (error) {
    if (!existsSync(folder)) {
      const { stderr = '', message } = error as Error & { stderr?: string };
      throw new Error(
        `There is no redis-server here, and Debian's could not be fetched: ${stderr || message}\nInstall one: apt-get install redis-server`,
      );
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** Asks apt for the server and for those of its libraries that are not installed, with lists and a cache of our own. */
function fetchInto(fresh: string): void {
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'pipe', encoding: 'utf8' });
  const own = {
    'Dir::State': join(fresh, 'state'),
    'Dir::State::status': '/var/lib/dpkg/status',
    'Dir::Cache': join(fresh, 'cache'),
    // Nothing is installed, so there is nothing to lock, and no other user has to read what is downloaded.
    'Debug::NoLocking': '1',
    'APT::Sandbox::User': '',
  };
  const settings = Object.entries(own).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  mkdirSync(join(fresh, 'state/lists/partial'), { recursive: true });
  mkdirSync(join(fresh, 'cache/archives/partial'), { recursive: true });
  run('apt-get', '-qq', ...settings, 'update');
  run('apt-get', '-qq', '-y', ...settings, '--no-install-recommends', '--download-only', 'install', 'redis-server');
  const packages = readdirSync(join(fresh, 'cache/archives')).filter((name) => name.endsWith('.deb'));
  for (const name of packages) run('dpkg', '-x', join(fresh, 'cache/archives', name), join(fresh, 'root'));
}

/** In the checkout, where it goes away with it; else with the user's other caches. */
function cacheFolder(): string {
  for (const parent of [resolve(import.meta.dirname, '../../.cache'), join(homedir(), '.cache/settlestream')]) {
    try {
      mkdirSync(join(parent, 'redis'), { recursive: true });
      rmSync(mkdtempSync(join(parent, 'redis/new-')), { recursive: true });
      return join(parent, 'redis');
    } catch {}
  }
  return mkdtempSync(join(tmpdir(), 'settlestream-redis-cache-'));
}
