import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

/** A program of Debian's that a test talks to. */
export type Program = {
  readonly path: string;
  /** Where it stands below: '' when it is installed, else the folder that its packages were unpacked into. */
  readonly root: string;
  /** For its environment: where its libraries are. */
  readonly libraries: string;
};

/**
 * The program that is installed, else Debian's, unpacked into a cache folder: no root needed, and nothing of the system changes.
 * `path` is where the package puts it, for example `usr/sbin/sshd`.
 */
export function debianProgram(packageName: string, path: string): Program {
  const { PATH = '', LD_LIBRARY_PATH = '' } = process.env;
  const name = path.slice(path.lastIndexOf('/') + 1);
  const installed = [...PATH.split(delimiter), '/usr/sbin', '/usr/bin'].map((folder) => join(folder, name));
  const program = installed.find((path) => existsSync(path));
  if (program) return { path: program, root: '', libraries: LD_LIBRARY_PATH };
  const root = unpacked(packageName);
  return { path: join(root, path), root, libraries: [...librariesIn(root), LD_LIBRARY_PATH].join(delimiter) };
}

const librariesIn = (root: string): string[] =>
  ['lib', 'usr/lib'].flatMap((folder) => {
    const path = join(root, folder);
    if (!existsSync(path)) return [];
    const triplets = readdirSync(path).filter((name) => name.endsWith('-linux-gnu'));
    return [path, ...triplets.map((name) => join(path, name))];
  });

function unpacked(packageName: string): string {
  const system = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'linux';
  const cache = cacheFolder();
  const folder = join(cache, `${packageName}-${system}-${process.arch}`);
  if (existsSync(folder)) return folder;
  const fresh = mkdtempSync(join(cache, 'new-'));
  try {
    unpackInto(fresh, packageName);
    // Several may do this at once: whoever renames first has made it.
    renameSync(join(fresh, 'root'), folder);
  } catch (error) {
    if (!existsSync(folder)) {
      const { stderr = '', message } = error as Error & { stderr?: string };
      throw new Error(
        `Debian's ${packageName} is not installed, and could not be fetched: ${stderr || message}\nInstall it: apt-get install ${packageName}`,
      );
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** Asks apt for the package and for those that it needs and that are not installed, with lists and a cache of our own. */
function unpackInto(fresh: string, packageName: string): void {
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { stdio: 'pipe', encoding: 'utf8', maxBuffer: 1 << 26 });
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
  run('apt-get', '-qq', '-y', ...settings, '--no-install-recommends', '--download-only', 'install', packageName);
  const packages = readdirSync(join(fresh, 'cache/archives')).filter((name) => name.endsWith('.deb'));
  for (const name of packages) run('dpkg', '-x', join(fresh, 'cache/archives', name), join(fresh, 'root'));
}

/** In the checkout, where it goes away with it; else with the user's other caches. */
function cacheFolder(): string {
  for (const parent of [resolve(import.meta.dirname, '../../.cache'), join(homedir(), '.cache/settlestream')]) {
    try {
      mkdirSync(join(parent, 'debian'), { recursive: true });
      rmSync(mkdtempSync(join(parent, 'debian/new-')), { recursive: true });
      return join(parent, 'debian');
    } catch {}
  }
  return mkdtempSync(join(tmpdir(), 'settlestream-debian-'));
}
