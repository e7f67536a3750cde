import { createHash, timingSafeEqual } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, realpath } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join, posix, resolve } from 'node:path';
import ssh2, { type AuthContext, type Connection, type SFTPWrapper } from 'ssh2';

const { Server, utils } = ssh2;
const { STATUS_CODE, OPEN_MODE } = utils.sftp;

/** An SFTP server on this machine, which stands for the provider's: it shows a folder, and nothing in it can be changed. */
export type SftpServer = {
  readonly host: string;
  readonly port: number;
  /** As OpenSSH prints it. */
  readonly hostKeySha256: string;
  close(): Promise<void>;
};

const LOOPBACK = '127.0.0.1';
/** A large directory is told in several answers, as real servers do. */
const NAMES_AN_ANSWER = 100;
const MOST_BYTES_AN_ANSWER = 261_120;

/** Without an address on the loopback alone, on any free port; without a host key with one that is made anew with every start. */
export async function startSftpServer(options: {
  folder: string;
  username: string;
  password: string;
  host?: string;
  port?: number;
  hostKey?: string;
}): Promise<SftpServer> {
  const { host = LOOPBACK, port = 0, hostKey = makeHostKey() } = options;
  const root = await realpath(options.folder);
  // ssh2's clients ask an OpenSSH for large blocks and any other server for small ones.
  const ssh = new Server({ hostKeys: [hostKey], ident: 'OpenSSH_9.9 demo' }, (connection) => {
    welcome(connection, options, root);
  });
  const sockets = new Set<Socket>();
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    ssh.injectSocket(socket);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(port, host, resolve);
  });
  return {
    host,
    port: (listener.address() as AddressInfo).port,
    hostKeySha256: fingerprintOf(hostKey),
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** A private key, as text. Three in a thousand of those that ssh2 makes it cannot read itself. */
export function makeHostKey(): string {
  for (;;) {
    const { private: key } = utils.generateKeyPairSync('ed25519');
    if (!(utils.parseKey(key) instanceof Error)) return key;
  }
}

/** What a client pins of the server that has this private key. */
export function fingerprintOf(hostKey: string): string {
  const key = utils.parseKey(hostKey);
  if (key instanceof Error) throw key;
  const digest = createHash('sha256').update(key.getPublicSSH()).digest('base64');
  return `SHA256:${digest.replace(/=+$/, '')}`;
}

function welcome(connection: Connection, user: { username: string; password: string }, root: string): void {
  // A client that goes away in the middle is none of the demo's business.
  connection.on('error', () => {});
  connection.on('authentication', (login: AuthContext) => {
    const isUser =
      login.method === 'password' && isSame(login.username, user.username) && isSame(login.password, user.password);
    if (isUser) login.accept();
    else login.reject(['password']);
  });
  connection.on('ready', () => {
    connection.on('session', (accept) => accept().on('sftp', (accept) => serveFolder(accept(), root)));
  });
}

/** Takes the same time wherever the two differ. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

type OpenDirectory = { readonly path: string; readonly names: string[] };

function serveFolder(sftp: SFTPWrapper, root: string): void {
  const opened = new Opened();
  /** Runs one request; what it throws becomes its answer, so that every request has one. */
  const answer = (request: number, step: () => Promise<void>) =>
    void step().catch((error: NodeJS.ErrnoException) => sftp.status(request, statusOf(error)));
  const attributes = (request: number, path: string) =>
    answer(request, async () => sftp.attrs(request, attributesOf(await lstat(await pathBelow(root, path)))));

  sftp.on('REALPATH', (request, path) => {
    const filename = cleaned(path);
    sftp.name(request, [{ filename, longname: filename, attrs: attributesOf(null) }]);
  });
  sftp.on('STAT', attributes);
  sftp.on('LSTAT', attributes);
  sftp.on('FSTAT', (request, handle) =>
    answer(request, async () => sftp.attrs(request, attributesOf(await opened.file(handle).stat()))),
  );
  sftp.on('OPENDIR', (request, path) =>
    answer(request, async () => {
      const directory = await pathBelow(root, path);
      sftp.handle(request, opened.add({ path: directory, names: await readdir(directory) }));
    }),
  );
  sftp.on('READDIR', (request, handle) =>
    answer(request, async () => {
      const { path, names } = opened.directory(handle);
      if (names.length === 0) return sftp.status(request, STATUS_CODE.EOF);
      sftp.name(request, await entriesOf(path, names.splice(0, NAMES_AN_ANSWER)));
    }),
  );
  sftp.on('OPEN', (request, path, flags) =>
    answer(request, async () => {
      if (flags !== OPEN_MODE.READ) return sftp.status(request, STATUS_CODE.PERMISSION_DENIED);
      const file = await open(await pathBelow(root, path), constants.O_RDONLY | constants.O_NOFOLLOW);
      sftp.handle(request, opened.add(file));
    }),
  );
  sftp.on('READ', (request, handle, offset, length) =>
    answer(request, async () => {
      const block = Buffer.allocUnsafe(Math.min(length, MOST_BYTES_AN_ANSWER));
      const { bytesRead, buffer } = await opened.file(handle).read(block, 0, block.length, offset);
      if (bytesRead === 0) sftp.status(request, STATUS_CODE.EOF);
      else sftp.data(request, buffer.subarray(0, bytesRead));
    }),
  );
  sftp.on('CLOSE', (request, handle) =>
    answer(request, async () => {
      await opened.close(handle);
      sftp.status(request, STATUS_CODE.OK);
    }),
  );
  for (const change of ['WRITE', 'SETSTAT', 'FSETSTAT', 'REMOVE', 'RMDIR', 'MKDIR', 'RENAME', 'SYMLINK', 'EXTENDED']) {
    sftp.on(change, (request: number) => sftp.status(request, STATUS_CODE.PERMISSION_DENIED));
  }
  sftp.on('error', () => {});
  sftp.once('close', () => void opened.closeAll());
}

/** The files and directories that a client has open, by the handles that it was given for them. */
class Opened {
  readonly #all = new Map<number, FileHandle | OpenDirectory>();
  #last = 0;

  add(item: FileHandle | OpenDirectory): Buffer {
    this.#last += 1;
    this.#all.set(this.#last, item);
    const handle = Buffer.alloc(4);
    handle.writeUInt32BE(this.#last);
    return handle;
  }

  file(handle: Buffer): FileHandle {
    const item = this.#item(handle);
    if ('names' in item) throw new Error('a directory, not a file');
    return item;
  }

  directory(handle: Buffer): OpenDirectory {
    const item = this.#item(handle);
    if (!('names' in item)) throw new Error('a file, not a directory');
    return item;
  }

  async close(handle: Buffer): Promise<void> {
    const item = this.#item(handle);
    this.#all.delete(handle.readUInt32BE());
    if (!('names' in item)) await item.close();
  }

  async closeAll(): Promise<void> {
    for (const item of this.#all.values()) if (!('names' in item)) await item.close().catch(() => {});
    this.#all.clear();
  }

  #item(handle: Buffer): FileHandle | OpenDirectory {
    const item = handle.length === 4 ? this.#all.get(handle.readUInt32BE()) : undefined;
    if (item === undefined) throw new Error('no such handle');
    return item;
  }
}

/** A client's path, which always begins at the root: `..` ends there. */
const cleaned = (path: string): string => posix.join('/', path).replace(/(?<=.)\/$/, '');

/** The same path on this machine. What lies behind a symbolic link is as if it were not there. */
async function pathBelow(root: string, path: string): Promise<string> {
  const wanted = resolve(root, `.${cleaned(path)}`);
  if ((await realpath(wanted)) !== wanted) throw Object.assign(new Error('a link'), { code: 'ENOENT' });
  return wanted;
}

async function entriesOf(directory: string, names: readonly string[]) {
  const entries = [];
  for (const filename of names) {
    // One can go between the listing and the look at it.
    const stat = await lstat(join(directory, filename)).catch(() => null);
    if (stat?.isFile() || stat?.isDirectory()) {
      entries.push({ filename, longname: longNameOf(filename, stat), attrs: attributesOf(stat) });
    }
  }
  return entries;
}

/** The line that `ls -l` prints, for clients that show it as it is. */
const longNameOf = (name: string, stat: Stats): string =>
  `${stat.isDirectory() ? 'drwxr-xr-x' : '-rw-r--r--'} 1 apo apo ${String(stat.size).padStart(12)} ${stat.mtime.toUTCString().slice(5, 22)} ${name}`;

const attributesOf = (stat: Stats | null) => ({
  mode: stat?.mode ?? 0,
  uid: 0,
  gid: 0,
  size: stat?.size ?? 0,
  atime: Math.floor((stat?.atimeMs ?? 0) / 1_000),
  mtime: Math.floor((stat?.mtimeMs ?? 0) / 1_000),
});

function statusOf(error: NodeJS.ErrnoException): number {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return STATUS_CODE.NO_SUCH_FILE;
  return error.code === 'EACCES' || error.code === 'EPERM' ? STATUS_CODE.PERMISSION_DENIED : STATUS_CODE.FAILURE;
}
