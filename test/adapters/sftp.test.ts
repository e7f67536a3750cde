import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import ssh2, { type FileEntry } from 'ssh2';
import { HostKeyRefused, type Limits, openSftp, type SftpSettings } from '../../src/adapters/source-files/sftp.ts';
import type { SourceFiles } from '../../src/adapters/source-files/source-files.ts';
import { Denied, LoginRefused, Unreachable, UsageError } from '../../src/domain/errors.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { makeKey, startSshd, type TestSshd } from '../support/sshd.ts';

const isRoot = process.getuid?.() === 0;
/** Times of a test: what takes half a minute in real life takes a fraction of a second. */
const QUICK: Partial<Limits> = { stallMs: 400, pauseMs: 20, connectMs: 5_000 };

let server: TestSshd;
before(async () => {
  server = await startSshd();
});
after(() => server.stop());

const places: SourceFiles[] = [];
const otherServers: ssh2.Server[] = [];
afterEach(async () => {
  await Promise.all(places.splice(0).map((place) => place.close()));
  for (const other of otherServers.splice(0)) other.close();
});

/** Logs in with the key, which works with root and without. */
const settingsOf = ({ port, username, privateKey, hostKeySha256 }: TestSshd): SftpSettings => ({
  host: '127.0.0.1',
  fallbackHost: null,
  port,
  username,
  password: null,
  privateKey,
  passphrase: null,
  hostKeySha256: [hostKeySha256],
});

function open(settings: Partial<SftpSettings> = {}, timing: Partial<Limits> = {}): SourceFiles {
  const place = openSftp({ ...settingsOf(server), ...settings }, { ...QUICK, ...timing });
  places.push(place);
  return place;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** All that comes, copied, for a block may be used again. `onBlock` is told how many bytes have come. */
async function readAll(blocks: AsyncIterable<Buffer>, onBlock: (bytes: number) => unknown = () => {}): Promise<Buffer> {
  const copies: Buffer[] = [];
  let bytes = 0;
  for await (const block of blocks) {
    copies.push(Buffer.from(block));
    bytes += block.length;
    await onBlock(bytes);
  }
  return Buffer.concat(copies);
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 500, `not within five seconds: ${isTrue}`);
    await delay(10);
  }
}

let files = 0;
/** A file on the server. */
function put(content: Buffer | string, name = `file ${files++}.csv`) {
  const local = join(server.folder, name);
  writeFileSync(local, content);
  return { local, path: join(server.remoteFolder, name) };
}

/** The line between: it can be cut, and it can stop to carry. */
async function startProxy() {
  const sockets = new Set<Socket>();
  const proxy = {
    port: 0,
    connections: 0,
    open: () => sockets.size,
    /** Bytes that the server sent. */
    carried: 0,
    /** The line is cut when so many bytes were carried. */
    cutAt: Number.POSITIVE_INFINITY,
    /** Then it carries nothing more, and stays. */
    stallAt: Number.POSITIVE_INFINITY,
    isStalledFor: 'this connection' as 'this connection' | 'all',
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: () => {
      proxy.cut();
      listener.close();
    },
  };
  // Half open, so that a dead line does not even say goodbye.
  const listener = createServer({ allowHalfOpen: true }, (client) => {
    proxy.connections++;
    let isStalled = proxy.isStalledFor === 'all' && proxy.carried >= proxy.stallAt;
    const upstream = connect(server.port, '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        if (!isStalled) other.destroy();
      });
    }
    client.on('data', (data) => upstream.write(data));
    client.on('end', () => isStalled || upstream.end());
    upstream.on('data', (data) => {
      if (isStalled) return;
      proxy.carried += data.length;
      if (proxy.carried >= proxy.cutAt) {
        proxy.cutAt = Number.POSITIVE_INFINITY;
        client.destroy();
      } else if (proxy.carried >= proxy.stallAt) {
        isStalled = true;
        if (proxy.isStalledFor === 'this connection') proxy.stallAt = Number.POSITIVE_INFINITY;
      } else client.write(data);
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  proxy.port = (listener.address() as AddressInfo).port;
  return proxy;
}

type Proxy = Awaited<ReturnType<typeof startProxy>>;

/** A place behind a line that can be hurt. */
async function withProxy(run: (proxy: Proxy, place: SourceFiles) => Promise<void>, timing: Partial<Limits> = {}) {
  const proxy = await startProxy();
  const place = open({ port: proxy.port }, timing);
  try {
    await run(proxy, place);
    await place.close();
  } finally {
    proxy.close();
  }
}

/** What a server tells of a file in a listing; it may leave out any of it. */
type ListedFile = { readonly filename: string; readonly longname: string; readonly attrs: object };
const listed = (filename: string, attrs: object): ListedFile => ({ filename, longname: '', attrs });
const WHOLE = { mode: 0o100644, size: 7, mtime: 1_700_000_000, atime: 0 };

/** Another server than OpenSSH's, with one file: for passwords without root, and for answers that OpenSSH does not give. */
async function startOtherServer(
  content: Buffer,
  {
    password = 'right',
    answerBytes = 32_000,
    isHung = false,
    stats = {} as object,
    listings = function* (): Generator<ListedFile[]> {},
  } = {},
) {
  const { STATUS_CODE } = ssh2.utils.sftp;
  const { privateKey: hostKey, sha256 } = makeKey(join(server.folder, '..'), 'other host');
  const attrs = { mode: 0o100644, uid: 0, gid: 0, size: content.length, atime: 1_700_000_000, mtime: 1_700_000_000 };
  let reads = 0;
  let openFiles = 0;
  const other = new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
    client.on('error', () => {});
    client.on('authentication', (login) => {
      if (login.method === 'password' && login.password === password) login.accept();
      else login.reject(['password']);
    });
    client.on('session', (accept) =>
      accept().on('sftp', (accept) => {
        const sftp = accept();
        sftp.on('OPEN', (id) => {
          openFiles++;
          sftp.handle(id, Buffer.from('h'));
        });
        sftp.on('CLOSE', (id) => {
          openFiles--;
          sftp.status(id, STATUS_CODE.OK);
        });
        const told = Object.hasOwn(stats, 'mode') ? stats : { ...attrs, ...stats };
        sftp.on('FSTAT', (id) => sftp.attrs(id, told as typeof attrs));
        sftp.on('LSTAT', (id) => sftp.attrs(id, told as typeof attrs));
        let listing = listings();
        sftp.on('OPENDIR', (id) => {
          openFiles++;
          listing = listings();
          sftp.handle(id, Buffer.from('d'));
        });
        sftp.on('READDIR', (id) => {
          const { value, done } = listing.next();
          if (done) sftp.status(id, STATUS_CODE.EOF);
          else sftp.name(id, value as FileEntry[]);
        });
        sftp.on('READ', (id, _handle, offset, length) => {
          reads++;
          if (isHung) return;
          const bytes = content.subarray(offset, offset + Math.min(length, answerBytes));
          if (bytes.length === 0) sftp.status(id, STATUS_CODE.EOF);
          else sftp.data(id, bytes);
        });
      }),
    );
  });
  otherServers.push(other);
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const settings: Partial<SftpSettings> = {
    port: (other.address() as AddressInfo).port,
    username: 'merchant',
    privateKey: null,
    password,
    hostKeySha256: [sha256],
  };
  return { settings, reads: () => reads, openFiles: () => openFiles };
}

describe('who is let in', () => {
  test('the key opens the door', async () => {
    const { path } = put('abc');
    assert.deepEqual(await open().read(path, 0, 10), Buffer.from('abc'));
  });

  test('a key that is locked is opened with its passphrase, and without it said so', async () => {
    const { privateKey, publicKey } = makeKey(join(server.folder, '..'), 'locked', 'right');
    appendFileSync(join(server.folder, '../authorized_keys'), publicKey);
    assert.ok(await open({ privateKey, passphrase: 'right' }).entries(server.remoteFolder));
    for (const passphrase of ['wrong', null]) {
      await assert.rejects(open({ privateKey, passphrase }).entries(server.remoteFolder), (error: Error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, /^sftp:\/\/.*Check the private key and its passphrase\.$/);
        assert.doesNotMatch(error.message, /wrong|BEGIN/);
        return true;
      });
    }
  });

  // Only root may look into the system's passwords, so that without root OpenSSH can check none.
  const kind = isRoot ? 'OpenSSH' : "ssh2's server, for OpenSSH checks no passwords without root";
  test(`the right password opens the door, a wrong one does not and is told (${kind})`, async () => {
    const other = isRoot ? null : await startOtherServer(Buffer.from('abc'));
    const known: Partial<SftpSettings> = other?.settings ?? { privateKey: null, password: server.password };
    const { path } = put('abc');
    assert.equal((await open(known).stat(path))?.sizeBytes, 3);
    const before = server.said().length;
    await assert.rejects(open({ ...known, password: 'not the secret' }).stat(path), (error: Error) => {
      assert.ok(error instanceof LoginRefused && error instanceof Unreachable);
      const username = known.username ?? server.username;
      const port = known.port ?? server.port;
      assert.equal(
        error.message,
        `sftp://${username}@127.0.0.1:${port} refuses the login (tried: the password). Check with the provider the user and its login method, and that this machine's address is allowed.`,
      );
      return true;
    });
    if (isRoot) {
      await until(() => server.said().slice(before).includes('Disconnected from authenticating user'));
      assert.equal(server.said().slice(before).split('Failed password').length - 1, 1, 'it was tried once');
    }
  });

  test('a key that is not known to the server is refused', async () => {
    const { privateKey } = makeKey(join(server.folder, '..'), 'unknown');
    await assert.rejects(open({ privateKey, password: 'secret' }).stat('/a'), (error: Error) => {
      assert.ok(error instanceof LoginRefused);
      assert.match(error.message, /tried: the private key, the password/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  });
});

describe('whose door it is', () => {
  const refuses = async (hostKeySha256: string[], why: RegExp, connections: number) => {
    const other = await startSshd();
    const place = open({ ...settingsOf(other), fallbackHost: '127.0.0.1', hostKeySha256 });
    await assert.rejects(place.entries('/'), (error: Error) => {
      assert.ok(error instanceof HostKeyRefused && error instanceof Unreachable);
      assert.ok(error.message.includes(`the ssh-ed25519 key ${other.hostKeySha256}`), error.message);
      assert.match(error.message, why);
      assert.match(error.message, /Ask the provider .*set hostKeySha256/);
      return true;
    });
    await until(() => other.said().includes('Disconnected from'));
    await other.stop();
    assert.equal(other.said().split('Connection from').length - 1, connections, 'it is not tried again');
    assert.doesNotMatch(
      other.said(),
      new RegExp(`authenticating|Accepted|Failed|${other.username}`),
      'nothing was sent',
    );
  };

  test('a server with another key is told nothing, and its fingerprint is told to us', () =>
    refuses(
      [`SHA256:${Buffer.alloc(32).toString('base64')}`, 'no fingerprint', ''],
      /, which is not in hostKeySha256\. Nothing was sent/,
      // The second asks whether it has a key of another kind.
      2,
    ));

  test('where no key is known, no server is trusted', () => refuses([], /, and hostKeySha256 is not set\./, 1));

  test('a server with several keys is known by any of them, and all are told where none is known', async () => {
    const several = await startSshd({ hostKeys: ['rsa', 'ed25519', 'ecdsa'] });
    const settings = { ...settingsOf(several), fallbackHost: null };
    for (const known of several.hostKeysSha256) {
      assert.ok(await open({ ...settings, hostKeySha256: [known] }).entries(several.remoteFolder), known);
    }
    // What it says of those sessions may come after they were opened.
    for (
      const deadline = Date.now() + PATIENCE_MS;
      several.said().split('Starting session').length <= 3;
      await delay(20)
    )
      assert.ok(Date.now() < deadline, several.said());
    const before = several.said().length;
    await assert.rejects(open({ ...settings, hostKeySha256: ['other'] }).entries('/'), (error: Error) => {
      assert.ok(error instanceof HostKeyRefused);
      const [rsa, ed25519, ecdsa] = several.hostKeysSha256;
      assert.equal(
        error.message.replace(/^.*? shows/, 'shows'),
        `shows the keys ssh-ed25519 ${ed25519} and ecdsa-sha2-nistp256 ${ecdsa} and ssh-rsa ${rsa}, none of which is in hostKeySha256. ` +
          'Nothing was sent to it. Ask the provider whether one of these keys is its own; if one is, set hostKeySha256 to it.',
      );
      return true;
    });
    await several.stop();
    // The sessions before may still end.
    const earlier = new Set(
      several
        .said()
        .slice(0, before)
        .match(/(?<=from \S+ port )\d+/g),
    );
    const said = several
      .said()
      .slice(before)
      .split('\n')
      .filter((line) => !earlier.has(/ port (\d+)/.exec(line)?.[1] ?? ''))
      .join('\n');
    assert.match(said, /Connection from/);
    assert.doesNotMatch(said, new RegExp(`authenticating|Accepted|Failed|${several.username}`), 'nothing was sent');
  });

  test('a fingerprint may be written as OpenSSH does, with padding, without prefix, or in hex; and be one of several', async () => {
    const base64 = server.hostKeySha256.slice('SHA256:'.length);
    const hex = Buffer.from(base64, 'base64').toString('hex');
    for (const pin of [`${server.hostKeySha256}=`, base64, hex, hex.toUpperCase()]) {
      assert.ok(await open({ hostKeySha256: ['SHA256:other', pin] }).entries(server.remoteFolder));
    }
  });
});

describe('where the door is', () => {
  test('where the host is not reached, its fallback is', async () => {
    assert.ok(await open({ host: '127.0.0.2', fallbackHost: '127.0.0.1' }).entries(server.remoteFolder));
  });

  test('where neither is reached, both are told', async () => {
    const { port, username } = server;
    await assert.rejects(open({ host: '127.0.0.2', fallbackHost: '127.0.0.3' }).entries('/'), {
      name: 'Unreachable',
      message: `cannot reach sftp://${username}@127.0.0.2:${port} (connect ECONNREFUSED 127.0.0.2:${port}), nor sftp://${username}@127.0.0.3:${port} (connect ECONNREFUSED 127.0.0.3:${port}). Check host and port, and that the provider allows this machine's address.`,
    });
  });

  test('a server that never says anything is given up in time', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    await assert.rejects(open({ port }, { connectMs: 200 }).entries('/'), /no login within 0\.2 s/);
    silent.close();
  });

  test('what is no SSH server, and hangs up, is told', async () => {
    const web = createServer((socket) => socket.end('HTTP/1.0 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    await assert.rejects(open({ port: (web.address() as AddressInfo).port }).entries('/'), {
      name: 'Unreachable',
      message: /^cannot reach sftp:.*\(.+\)/,
    });
    web.close();
  });

  if (isRoot)
    test('a server that shows one folder only is read like any other', async () => {
      const chrooted = await startSshd({ chroot: true });
      mkdirSync(join(chrooted.folder, 'download'));
      writeFileSync(join(chrooted.folder, 'download/a.csv'), 'abc');
      const place = open(settingsOf(chrooted));
      assert.deepEqual(await place.read('/download/a.csv', 1, 5), Buffer.from('bc'));
      assert.deepEqual(
        (await place.entries('/'))?.map(({ name }) => name),
        ['download'],
      );
      assert.equal(await place.entries(chrooted.folder), null);
      await place.close();
      await chrooted.stop();
    });
});

describe('what is there', () => {
  test('a listing shows files and directories with size and time, whatever their names; links and whatever else there is are told apart', async () => {
    const folder = join(server.folder, 'listed');
    mkdirSync(join(folder, 'sub'), { recursive: true });
    const names = ['a b.csv', 'it\'s "so".csv', '结算 明细.csv', 'é😀.csv', 'line\nbreak', '-rf', '*?[x]', '~'];
    for (const name of names) writeFileSync(join(folder, name), name);
    for (const name of [...names, 'sub']) utimesSync(join(folder, name), 1_700_000_000, 1_700_000_001);
    symlinkSync('a b.csv', join(folder, 'link'));
    symlinkSync('sub', join(folder, 'link to sub'));
    symlinkSync('nowhere', join(folder, 'broken link'));
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const place = open();
    const entries = (await place.entries(join(server.remoteFolder, 'listed')))!;
    const modifiedAtMicros = 1_700_000_001_000_000n;
    assert.deepEqual(
      entries.filter(({ isDirectory, other }) => !isDirectory && !other).sort((a, b) => (a.name < b.name ? -1 : 1)),
      names.sort().map((name) => ({ name, isDirectory: false, sizeBytes: Buffer.byteLength(name), modifiedAtMicros })),
    );
    assert.deepEqual(
      entries.filter(({ isDirectory }) => isDirectory).map(({ name }) => name),
      ['sub'],
    );
    assert.deepEqual(Object.fromEntries(entries.flatMap(({ name, other }) => (other ? [[name, other]] : []))), {
      link: 'link',
      'link to sub': 'link',
      'broken link': 'link',
      pipe: 'special',
    });
    for (const name of names) {
      const path = join(server.remoteFolder, 'listed', name);
      assert.deepEqual(await place.stat(path), { sizeBytes: Buffer.byteLength(name), modifiedAtMicros });
      assert.equal((await readAll(place.blocks(path))).toString(), name);
    }
    for (const name of ['link', 'link to sub', 'broken link', 'pipe', 'sub', 'missing'])
      assert.equal(await place.stat(join(server.remoteFolder, 'listed', name)), null, name);
  });

  test('what is not there is null where it is looked for, and an error where it is read', async () => {
    const place = open();
    const { path } = put('abc');
    assert.equal(await place.entries('/no/such'), null);
    assert.equal(await place.entries(path), null, 'a file is no directory');
    assert.equal(await place.stat('/no/such'), null);
    const missing = { name: 'Unreachable', message: /^sftp:.*there is no \/no\/such: check its name/ };
    await assert.rejects(place.read('/no/such', 0, 1), missing);
    await assert.rejects(readAll(place.blocks('/no/such')), missing);
  });

  test('what may not be read is told, with what to do', async () => {
    const { local, path } = put('abc');
    chmodSync(local, 0);
    const closed = join(server.folder, 'closed');
    mkdirSync(closed, { mode: 0 });
    const place = open();
    const refused = { name: 'Unreachable', message: /may not be read by this user: ask the provider to allow it\.$/ };
    await assert.rejects(place.read(path, 0, 1), refused);
    await assert.rejects(readAll(place.blocks(path)), refused);
    await assert.rejects(place.entries(join(server.remoteFolder, 'closed')), refused);
    assert.equal((await place.stat(path))?.sizeBytes, 3, 'it is there all the same');
    rmdirSync(closed);
  });

  test('what a listing leaves out is asked for; what nobody tells is an error that says so', async () => {
    const listings = function* () {
      yield [listed('whole', WHOLE), listed('no mode', { size: 1, mtime: 1, atime: 1 }), listed('nothing', {})];
      yield [listed('no time', { mode: 0o100644, size: 1 }), listed('folder', { ...WHOLE, mode: 0o040755 })];
    };
    const other = await startOtherServer(Buffer.alloc(9), { listings });
    const shown = (await open(other.settings).entries('/'))!.map(({ name, isDirectory, sizeBytes, modifiedAtMicros }) =>
      [name, isDirectory, sizeBytes, modifiedAtMicros / 1_000_000n].join(' '),
    );
    assert.deepEqual(shown, [
      'whole false 7 1700000000',
      ...['no mode', 'nothing', 'no time'].map((name) => `${name} false 9 1700000000`),
      'folder true 7 1700000000',
    ]);
    assert.equal(other.openFiles(), 0);
    for (const [stats, what] of [
      [{ mode: undefined }, 'whether it is a file'],
      [{ mode: 0o100644 }, 'its size and time'],
    ] as const) {
      const dumb = await startOtherServer(Buffer.alloc(9), { listings, stats });
      const place = open(dumb.settings);
      const told = {
        name: 'Unreachable',
        message: new RegExp(`the server does not say ${what} of /.*, .*ask the provider`),
      };
      await assert.rejects(place.entries('/'), told);
      await assert.rejects(place.stat('/a'), told);
      assert.equal(dumb.openFiles(), 0);
    }
    const timeless = await startOtherServer(Buffer.alloc(9), { stats: { mode: 0o100644, size: 9 } });
    await assert.rejects(open(timeless.settings).read('/a', 0, 9), /does not say its size and time/);
    assert.equal(timeless.openFiles(), 0);
  });

  test('names that lead elsewhere, or that no text can hold, are left out', async () => {
    const names = ['.', '..', '', '../up', '/etc/passwd', 'a\0b', 'good', 'x'.repeat(10_000)];
    const listings = function* () {
      yield names.map((name) => listed(name, WHOLE));
    };
    const other = await startOtherServer(Buffer.alloc(0), { listings });
    const entries = await open(other.settings).entries('/');
    assert.deepEqual(
      entries?.map(({ name }) => name),
      names.slice(-2),
    );
  });

  test('a listing without an end is given up', async () => {
    for (const some of [[listed('again', WHOLE)], []]) {
      const listings = function* () {
        for (;;) yield some;
      };
      const other = await startOtherServer(Buffer.alloc(0), { listings });
      await assert.rejects(open(other.settings, { maxEntries: 12 }).entries('/out'), (error: Error) => {
        assert.ok(error instanceof Denied);
        assert.match(error.message, /\/out has more than 12 files: ask the provider for directories of days\.$/);
        return true;
      });
      assert.equal(other.openFiles(), 0);
    }
  });

  test('two thousand files are one listing', async () => {
    mkdirSync(join(server.folder, 'many'));
    for (let no = 0; no < 2_000; no++) writeFileSync(join(server.folder, 'many', `report ${no}.csv`), '');
    await withProxy(async (proxy, place) => {
      await place.stat('/');
      const [before, startedAt] = [proxy.carried, performance.now()];
      assert.equal((await place.entries(join(server.remoteFolder, 'many')))?.length, 2_000);
      assert.ok(performance.now() - startedAt < 10_000);
      assert.ok(proxy.carried - before < 2_000 * 250, 'and each name is sent once');
      assert.equal(proxy.connections, 1);
    });
    rmSync(join(server.folder, 'many'), { recursive: true });
  });
});

describe('a file', () => {
  const content = randomBytes(12_000_000);

  test('is read as a whole, from somewhere, and up to somewhere', async () => {
    const { path } = put(content);
    const place = open();
    assert.equal(sha256(await readAll(place.blocks(path))), sha256(content));
    assert.deepEqual(await readAll(place.blocks(path, 261_119, 1_000_001)), content.subarray(261_119, 1_000_001));
    assert.deepEqual(await readAll(place.blocks(path, 11_999_999)), content.subarray(11_999_999));
    assert.deepEqual(await readAll(place.blocks(path, 5, 20_000_000)), content.subarray(5));
    for (const [from, to] of [
      [7, 7],
      [12_000_000, undefined],
      [13_000_000, 14_000_000],
    ] as const)
      assert.equal((await readAll(place.blocks(path, from, to))).length, 0);
    assert.deepEqual(await place.read(path, 600_000, 700_000), content.subarray(600_000, 1_300_000));
    assert.deepEqual(await place.read(path, 11_999_990, 100), content.subarray(11_999_990));
    assert.equal((await place.read(path, 12_000_000, 10)).length, 0);
    assert.deepEqual(await readAll(place.blocks(put('').path)), Buffer.alloc(0));
  });

  test('that grows is read as large as it was when it was opened, and listed as large as it is', async () => {
    const { local, path } = put(content);
    const place = open();
    const read = await readAll(place.blocks(path), () => appendFileSync(local, 'more'));
    assert.equal(sha256(read), sha256(content));
    const { size } = lstatSync(local);
    assert.ok(size > content.length);
    assert.equal((await place.stat(path))?.sizeBytes, size);
  });

  test('that shrinks while it is read is told', async () => {
    const { local, path } = put(content);
    const read = readAll(open().blocks(path), (bytes) => bytes < 300_000 && writeFileSync(local, 'short'));
    await assert.rejects(read, { name: 'Unreachable', message: /became shorter while it was read/ });
  });

  for (const percent of [50, 99])
    test(`comes whole when the connection breaks at ${percent} %`, async () => {
      const { path } = put(content);
      await withProxy(async (proxy, place) => {
        proxy.cutAt = (content.length * percent) / 100;
        assert.equal(sha256(await readAll(place.blocks(path))), sha256(content));
        assert.equal(proxy.connections, 2);
        assert.ok(proxy.carried < content.length * 1.4, 'it is gone on with, not begun again');
      });
    });

  test('comes whole over a line that breaks more often than is tried in a row, for each time it comes further', async () => {
    const { path } = put(content);
    await withProxy(
      async (proxy, place) => {
        proxy.cutAt = 1_000_000;
        const read = await readAll(place.blocks(path), () => {
          if (proxy.cutAt === Number.POSITIVE_INFINITY) proxy.cutAt = proxy.carried + 1_000_000;
        });
        assert.equal(sha256(read), sha256(content));
        assert.ok(proxy.connections > 4, `${proxy.connections} connections`);
      },
      { retries: 2 },
    );
  });

  test('is given up with an error when the connection breaks again and again before anything comes', async () => {
    const { path } = put(content);
    await withProxy(
      async (proxy, place) => {
        const read = readAll(place.blocks(path), () => {
          proxy.close();
        });
        await assert.rejects(read, { name: 'Unreachable', message: /^cannot reach sftp:.*ECONNREFUSED/ });
      },
      { retries: 3 },
    );
  });

  test('comes whole when the line stands still in the middle', async () => {
    const { path } = put(content);
    await withProxy(async (proxy, place) => {
      proxy.stallAt = content.length / 2;
      assert.equal(sha256(await readAll(place.blocks(path))), sha256(content));
      assert.equal(proxy.connections, 2);
    });
  });

  test('is given up in time when the server stays silent', async () => {
    const { path } = put(content);
    await withProxy(
      async (proxy, place) => {
        proxy.stallAt = content.length / 2;
        proxy.isStalledFor = 'all';
        const startedAt = performance.now();
        await assert.rejects(readAll(place.blocks(path)), { name: 'Unreachable', message: /no login within 0\.3 s/ });
        assert.ok(performance.now() - startedAt < 15_000);
        assert.equal(proxy.connections, 4, 'one and three more');
      },
      { retries: 3, connectMs: 300 },
    );
  });

  test('waits for a reader who is slow, however long, and no more than sixteen blocks come ahead', async () => {
    const { path } = put(content);
    await withProxy(async (proxy, place) => {
      const blocks = place.blocks(path);
      await blocks.next();
      // The server answers in order: what was asked before this has come, and stalls would have been noticed.
      await until(() => proxy.carried > 15 * 261_120);
      await delay(600);
      await place.stat(path);
      assert.ok(proxy.carried < 17 * 261_120, `${proxy.carried} bytes`);
      assert.equal(proxy.connections, 1);
      await blocks.return(undefined);
    });
  });

  test('comes whole when the server is killed and started again', async () => {
    const { path } = put(content);
    let started = Promise.resolve();
    const read = await readAll(open().blocks(path), async (bytes) => {
      if (bytes > 261_120) return;
      await server.kill();
      started = server.start();
    });
    await started;
    assert.equal(sha256(read), sha256(content));
  });

  test('that is another one after the break is not gone on with', async () => {
    for (const change of [
      (local: string) => utimesSync(local, 1, 1),
      (local: string) => appendFileSync(local, 'x'),
      (local: string) => renameSync(put('other').local, local),
    ]) {
      const { local, path } = put(content);
      await withProxy(async (proxy, place) => {
        const read = readAll(place.blocks(path), (bytes) => {
          if (bytes > 261_120) return;
          change(local);
          proxy.cut();
        });
        await assert.rejects(read, {
          name: 'Unreachable',
          message:
            /was replaced while it was read \(12000000 bytes before, \d+ now\): read it again from the beginning/,
        });
      });
    }
  });

  test('that is gone after the break is told', async () => {
    const { local, path } = put(content);
    await withProxy(async (proxy, place) => {
      const read = readAll(place.blocks(path), () => {
        renameSync(local, `${local}.gone`);
        proxy.cut();
      });
      await assert.rejects(read, /there is no .*check its name, and whether the provider has removed it/);
    });
  });

  test('is closed when it is read, when its reader has seen enough, and when something goes wrong', async () => {
    const other = await startOtherServer(content);
    const place = open(other.settings);
    await place.read('/a', 0, 10);
    await readAll(place.blocks('/a', 0, 500_000));
    assert.equal(other.openFiles(), 0);
    for await (const block of place.blocks('/a')) {
      assert.equal(block.length, 261_120);
      assert.equal(other.openFiles(), 1);
      break;
    }
    assert.equal(other.openFiles(), 0);
    const fails = () => {
      throw new Error('enough');
    };
    await assert.rejects(readAll(place.blocks('/a'), fails), /^Error: enough$/);
    assert.equal(other.openFiles(), 0);
  });

  test('comes whole from a server that answers less than it is asked for, and is asked for less then', async () => {
    const short = await startOtherServer(content.subarray(0, 3_000_000), { answerBytes: 20_000 });
    const place = open(short.settings);
    assert.equal(sha256(await readAll(place.blocks('/a'))), sha256(content.subarray(0, 3_000_000)));
    assert.ok(short.reads() < 200, `${short.reads()} reads`);
    assert.deepEqual(await place.read('/a', 10, 100_000), content.subarray(10, 100_010));
  });
});

describe('the connection', () => {
  test('is made when it is needed, and shared by all who ask at once', async () => {
    const files = ['a', 'b', 'c'].map((name) => put(name.repeat(1_000_000)));
    await withProxy(async (proxy, place) => {
      assert.equal(proxy.connections, 0);
      await Promise.all([
        ...files.map(async ({ path, local }) =>
          assert.deepEqual(await readAll(place.blocks(path)), readFileSync(local)),
        ),
        ...files.map(async ({ path }) => assert.equal((await place.read(path, 0, 10)).length, 10)),
        ...files.map(async ({ path }) => assert.ok(await place.stat(path))),
        place.entries(server.remoteFolder),
      ]);
      assert.equal(proxy.connections, 1);
    });
  });

  test('is made anew, once, when it breaks while something is asked', async () => {
    const { path } = put('abc');
    await withProxy(async (proxy, place) => {
      for (const ask of [
        async () => assert.ok((await place.entries(server.remoteFolder))!.length > 0),
        async () => assert.equal((await place.stat(path))?.sizeBytes, 3),
        async () => assert.equal((await place.read(path, 0, 3)).toString(), 'abc'),
      ]) {
        await ask();
        const before = proxy.connections;
        // The answer does not arrive, but the cut does.
        proxy.cutAt = proxy.carried + 1;
        await ask();
        assert.equal(proxy.connections, before + 1);
      }
    });
  });

  test('is made anew when the line stands still while something is asked, and given up when it does so again', async () => {
    await withProxy(
      async (proxy, place) => {
        await place.stat('/');
        proxy.stallAt = proxy.carried + 1;
        assert.ok(await place.entries(server.remoteFolder));
        assert.equal(proxy.connections, 2);
        proxy.stallAt = proxy.carried + 1;
        proxy.isStalledFor = 'all';
        await assert.rejects(place.entries(server.remoteFolder), { name: 'Unreachable', message: /no login within/ });
      },
      { connectMs: 500 },
    );
  });

  test('is made anew when not even a sign of life is answered', async () => {
    await withProxy(
      async (proxy, place) => {
        await place.stat('/');
        proxy.stallAt = proxy.carried + 1;
        assert.ok(await place.entries(server.remoteFolder));
        assert.equal(proxy.connections, 2);
      },
      { keepaliveMs: 50, stallMs: 60_000 },
    );
  });

  test('is given up when the server gives signs of life and no answers', async () => {
    const hung = await startOtherServer(Buffer.from('abc'), { isHung: true });
    const place = open(hung.settings, { keepaliveMs: 100 });
    await assert.rejects(place.read('/a', 0, 3), { name: 'Unreachable', message: /no data for 0\.4 s/ });
    assert.equal(hung.reads(), 2);
  });

  test('is ended when nobody has needed it for a while, and made again when somebody does', async () => {
    await withProxy(
      async (proxy, place) => {
        await place.stat('/');
        await until(() => proxy.open() === 0);
        await place.stat('/');
        assert.equal(proxy.connections, 2);
      },
      { idleMs: 50 },
    );
  });

  test('is not idle while a file is read, however slowly', async () => {
    const { path } = put(randomBytes(600_000));
    await withProxy(
      async (proxy, place) => {
        for await (const _ of place.blocks(path)) await delay(100);
        assert.equal(proxy.connections, 1);
      },
      { idleMs: 20 },
    );
  });

  test('is closed within little more than two seconds when the other side is dead, and what waits is told', async () => {
    await withProxy(
      async (proxy, place) => {
        await place.stat('/');
        const { carried } = proxy;
        proxy.stallAt = carried;
        const waiting = assert.rejects(place.stat('/'), /after it was closed/);
        await until(() => proxy.carried > carried);
        const startedAt = performance.now();
        await place.close();
        assert.ok(performance.now() - startedAt < 10_000);
        await waiting;
        await assert.rejects(place.entries('/'), /after it was closed/);
        await place.close();
      },
      { stallMs: 60_000 },
    );
  });

  test('is closed at once while it is still being made, or never was', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const place = open({ port: (silent.address() as AddressInfo).port });
    const waiting = assert.rejects(place.stat('/'), Unreachable);
    const startedAt = performance.now();
    await place.close();
    await waiting;
    await open().close();
    assert.ok(performance.now() - startedAt < 5_000);
    silent.close();
  });
});

describe('nothing is changed on the server', () => {
  const SOURCE = ['sftp.ts', 'sftp-connection.ts']
    .map((name) => readFileSync(resolve(import.meta.dirname, '../../src/adapters/source-files', name), 'utf8'))
    .join('\n');

  test('whatever is asked, by a user who could change everything', async () => {
    const folder = join(server.folder, 'tree');
    mkdirSync(join(folder, 'sub'), { recursive: true });
    writeFileSync(join(folder, 'a.csv'), 'abc');
    writeFileSync(join(folder, 'sub/b.csv'), randomBytes(1_000_000));
    symlinkSync('a.csv', join(folder, 'link'));
    if (isRoot) execFileSync('chown', ['-hR', server.username, folder]);
    const tree = () =>
      readdirSync(server.folder, { recursive: true, encoding: 'utf8' })
        .sort()
        .map((name) => {
          const { mode, uid, gid, size, mtimeNs, ctimeNs, ino } = lstatSync(join(server.folder, name), {
            bigint: true,
          });
          return { name, mode, uid, gid, size, mtimeNs, ctimeNs, ino };
        });
    const before = tree();
    await withProxy(async (proxy, place) => {
      const remote = join(server.remoteFolder, 'tree');
      for (const name of ['', 'a.csv', 'sub', 'sub/b.csv', 'link', 'missing']) {
        await place.entries(join(remote, name));
        await place.stat(join(remote, name));
        await place.read(join(remote, name), 0, 10).catch(() => {});
      }
      await readAll(place.blocks(join(remote, 'sub/b.csv')), (bytes) => bytes < 300_000 && proxy.cut());
      await readAll(place.blocks(join(remote, 'missing'))).catch(() => {});
    });
    assert.deepEqual(tree(), before);
  });

  test('for the source names no method that could', () => {
    const named = new Set([...SOURCE.matchAll(/\b(?:sftp|client)\.(\w+)/g)].map(([, method]) => method));
    const reading = ['close', 'connect', 'end', 'fstat', 'lstat', 'on', 'open', 'opendir', 'read', 'readdir'];
    assert.deepEqual([...named].sort(), reading);
    assert.deepEqual(
      [...SOURCE.matchAll(/\bsftp\.open\((.*?), done\)/g)].map(([, given]) => given),
      ["path, 'r'"],
    );
  });
});
