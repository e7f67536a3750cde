import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { debianProgram } from './debian.ts';
import { freePort } from './port.ts';

/** An OpenSSH server of this test's own, for SFTP only. */
export type TestSshd = {
  readonly port: number;
  /** Of the listening server; each connection has processes of its own below it. */
  readonly pid: number;
  /** As ssh-keygen prints it; of the first, where it has several. */
  readonly hostKeySha256: string;
  readonly hostKeysSha256: readonly string[];
  /** The files on this machine, and what a client calls the same folder. */
  readonly folder: string;
  readonly remoteFolder: string;
  readonly username: string;
  /** Null without root: nobody else can look into the system's passwords. */
  readonly password: string | null;
  /** As text. */
  readonly privateKey: string;
  /** What the server said so far, for tests that look at what it was asked. */
  said(): string;
  /** Kills the server with all its connections. */
  kill(): Promise<void>;
  /** Starts it again, where it was. */
  start(): Promise<void>;
  stop(): Promise<void>;
};

const isRoot = process.getuid?.() === 0;

/**
 * The server lives as long as the standard input of its shell is open, which the kernel closes however this process ends.
 * As root there are users besides: one of this server's own to log in as, and the one that every server of root needs, which
 * all share. Whoever ends last removes that one, if it was not there before: a shared lock counts them.
 */
const KEEPER = `
below() { for child in $(cat /proc/$1/task/$1/children); do below $child; done; echo $1; }
start() { "$SSHD" -D -e -f "$FOLDER/sshd_config" 9>&- & sshd=$!; echo "pid $sshd"; }
end() { kill -9 $(below $sshd); wait $sshd; }
add() { getent passwd "$1" >/dev/null || useradd --system --no-create-home --shell /bin/false --home-dir "$2" "$1"; }
if [ "$LOGIN" ]; then
  mkdir -p /run/sshd
  exec 9>/run/sshd/settlestream.lock && flock -s 9
  getent passwd sshd >/dev/null || touch /run/sshd/settlestream.user
  until add sshd /run/sshd; do sleep 0.1; done
  until add "$LOGIN" "$FOLDER/files"; do sleep 0.1; done
  until echo "$LOGIN:$PASSWORD" | chpasswd -c SHA512; do sleep 0.1; done
fi 2>/dev/null
start
while read -r word; do
  if [ "$word" = start ]; then start; else end 2>/dev/null; echo killed; fi
done
end 2>/dev/null
if [ "$LOGIN" ]; then
  userdel -f "$LOGIN"
  if flock -n -x 9 && [ -e /run/sshd/settlestream.user ]; then userdel -f sshd; rm -f /run/sshd/settlestream.user; fi
fi 2>/dev/null
rm -rf "$FOLDER"
`;

/**
 * Starts sshd on a free port of the loopback. As root, a user of its own logs in with password or key; without root, whoever
 * runs the test, with a key. A chroot is for root only.
 */
export async function startSshd({
  chroot = false,
  hostKeys = ['ed25519'] as readonly KeyType[],
} = {}): Promise<TestSshd> {
  const folder = mkdtempSync(join(isRoot ? '/var/lib' : tmpdir(), 'settlestream-sshd-'));
  // Others than its owner have to come through to the files, and what is above a chroot may be written by root only.
  chmodSync(folder, 0o755);
  const files = join(folder, 'files');
  mkdirSync(files);
  const keys = hostKeys.map((type) => makeKey(folder, 'host', '', type));
  const userKey = makeKey(folder, 'user');
  writeFileSync(join(folder, 'authorized_keys'), userKey.publicKey);
  const username = isRoot ? `settle-${process.pid}-${folder.slice(-6).toLowerCase()}` : userInfo().username;
  const password = isRoot ? `pass ${folder.slice(-6)}` : null;
  const { path: program, root, libraries } = debianProgram('openssh-server', 'usr/sbin/sshd');
  const port = await freePort();
  const settings = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    ...keys.map(({ path }) => `HostKey ${path}`),
    `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'UseDNS no',
    'KbdInteractiveAuthentication no',
    'MaxStartups 100',
    'LogLevel VERBOSE',
    'Subsystem sftp internal-sftp',
    'ForceCommand internal-sftp',
    ...helpersOf(root),
    ...(chroot ? [`ChrootDirectory ${files}`] : []),
  ];
  writeFileSync(join(folder, 'sshd_config'), `${settings.join('\n')}\n`);

  const keeper = spawn('/bin/sh', ['-c', KEEPER], {
    env: {
      PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
      LD_LIBRARY_PATH: libraries,
      SSHD: program,
      FOLDER: folder,
      LOGIN: isRoot ? username : '',
      PASSWORD: password ?? '',
    },
    stdio: ['pipe', 'pipe', 'pipe'],
    // What ends the test's process group must not end this, for there is something to put away.
    detached: true,
  });
  const ended = once(keeper, 'close').then(() => {});
  let said = '';
  let pid = 0;
  let look = () => {};
  const hear = (line: string) => {
    said += `${line}\n`;
    if (line.startsWith('pid ')) pid = Number(line.slice(4));
    look();
  };
  for (const stream of [keeper.stdout, keeper.stderr]) createInterface({ input: stream }).on('line', hear);
  /** Waits until the server has said so, so many times in all. */
  const until = (words: string, times: number) =>
    new Promise<void>((resolve, reject) => {
      look = () => said.split(words).length > times && resolve();
      look();
      ended.then(() => reject(new Error(`sshd ended:\n${said}`)));
    });
  let starts = 1;
  let kills = 0;
  await until('Server listening on', starts);
  return {
    port,
    get pid() {
      return pid;
    },
    hostKeySha256: keys[0]!.sha256,
    hostKeysSha256: keys.map(({ sha256 }) => sha256),
    folder: files,
    remoteFolder: chroot ? '/' : files,
    username,
    password,
    privateKey: userKey.privateKey,
    said: () => said,
    async kill() {
      keeper.stdin.write('kill\n');
      await until('killed', ++kills);
    },
    async start() {
      keeper.stdin.write('start\n');
      await until('Server listening on', ++starts);
    },
    stop() {
      keeper.stdin.end();
      return ended;
    },
  };
}

export type KeyType = 'ed25519' | 'ecdsa' | 'rsa';

/** A key made by OpenSSH; of those that ssh2 makes, three in a thousand cannot be read. */
export function makeKey(folder: string, name: string, passphrase = '', type: KeyType = 'ed25519') {
  const path = join(mkdtempSync(join(folder, 'key-')), name);
  const { path: program, libraries } = debianProgram('openssh-client', 'usr/bin/ssh-keygen');
  const run = (...args: string[]) =>
    execFileSync(program, args, { encoding: 'utf8', env: { ...process.env, LD_LIBRARY_PATH: libraries } });
  run('-q', '-t', type, '-N', passphrase, '-C', name, '-f', path);
  return {
    path,
    privateKey: readFileSync(path, 'utf8'),
    publicKey: readFileSync(`${path}.pub`, 'utf8'),
    sha256: run('-l', '-f', path).split(' ')[1]!,
  };
}

/** From version 9.8 on the server has helpers, which it looks for where they are installed. */
const helpersOf = (root: string): string[] =>
  Object.entries({ SshdSessionPath: 'sshd-session', SshdAuthPath: 'sshd-auth' })
    .map(([setting, name]) => [setting, join(root, 'usr/lib/openssh', name)] as const)
    .filter(([, path]) => root !== '' && existsSync(path))
    .map(([setting, path]) => `${setting} ${path}`);
