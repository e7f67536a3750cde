/**
 * How fast a file comes from an SFTP server (OpenSSH's, on this machine), hashed on the way: as settlestream reads it, and as one
 * reads with ssh2 and with ssh2-sftp-client, in turns.
 *
 *     node bench/sftp.ts [--mebibytes 20] [--runs 3] [--json]
 *
 * The others take their time where their socket waits for acknowledgments: 20 MiB may take them a quarter of a minute.
 */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import SftpClient from 'ssh2-sftp-client';
import { openSftp } from '../src/adapters/source-files/sftp.ts';
import { startSshd, type TestSshd } from '../test/support/sshd.ts';
import { readOptions, tell } from './place.ts';

const { mebibytes, runs, json } = readOptions({ mebibytes: 20, runs: 3 });

/** Reads the file into the hash, over a connection that is there already. Returns seconds. */
type Way = (server: TestSshd, path: string, hash: Hash) => Promise<number>;

const settlestream: Way = async ({ port, username, privateKey, hostKeySha256 }, path, hash) => {
  const login = { port, username, password: null, privateKey, passphrase: null, hostKeySha256: [hostKeySha256] };
  const place = openSftp({ host: '127.0.0.1', fallbackHost: null, ...login });
  await place.stat(path);
  const seconds = await timed(async () => {
    for await (const block of place.blocks(path)) hash.update(block);
  });
  await place.close();
  return seconds;
};

const others: Readonly<Record<string, Way>> = {
  'ssh2 createReadStream': (server, path, hash) =>
    withClient(server, {}, (client) => pipeline(client.createReadStream(path), hash)),
  'ssh2 createReadStream on a socket with noDelay': (server, path, hash) =>
    withClient(server, { sock: connect({ host: '127.0.0.1', port: server.port, noDelay: true }) }, (client) =>
      pipeline(client.createReadStream(path), hash),
    ),
  'ssh2-sftp-client get': (server, path, hash) => withClient(server, {}, (client) => client.get(path, hash)),
};

async function withClient(
  { port, username, privateKey }: TestSshd,
  options: SftpClient.ConnectOptions,
  read: (client: SftpClient) => Promise<unknown>,
): Promise<number> {
  const client = new SftpClient();
  await client.connect({ host: '127.0.0.1', port, username, privateKey, ...options });
  const seconds = await timed(() => read(client));
  await client.end();
  return seconds;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}

/** Returns the SHA-256 that every way has to find. */
function makeFile(path: string): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'w');
  for (let no = 0; no < mebibytes; no++) {
    const block = randomBytes(1 << 20);
    hash.update(block);
    writeSync(file, block);
  }
  closeSync(file);
  return hash.digest('hex');
}

async function inTurns(server: TestSshd): Promise<Record<string, number[]>> {
  const sha256 = makeFile(join(server.folder, 'report.csv'));
  const ways = Object.entries({ settlestream, ...others });
  const seconds: Record<string, number[]> = Object.fromEntries(ways.map(([name]) => [name, []]));
  for (let run = 1; run <= runs; run++) {
    tell(`run ${run} of ${runs} …`);
    for (const [name, way] of ways) {
      const hash = createHash('sha256');
      seconds[name]!.push(await way(server, join(server.remoteFolder, 'report.csv'), hash));
      if (hash.digest('hex') !== sha256) throw new Error(`${name} read something else than the file`);
    }
  }
  return seconds;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

const server = await startSshd();
try {
  const seconds = await inTurns(server);
  const results = Object.entries(seconds).map(([name, each]) => ({
    name,
    mebibytesPerSecond: mebibytes / median(each),
    /** Median over the rounds: what else the machine does changes slowly, and meets all of a round. */
    settlestreamIsFasterBy: median(each.map((time, run) => time / seconds['settlestream']![run]!)),
  }));
  const lines = results.map(({ name, mebibytesPerSecond, settlestreamIsFasterBy }) => {
    const ratio = name === 'settlestream' ? '' : `; settlestream is ${settlestreamIsFasterBy.toFixed(1)} times as fast`;
    return `${name}: ${mebibytesPerSecond.toFixed(0)} MiB/s${ratio}`;
  });
  process.stdout.write(json ? `${JSON.stringify({ mebibytes, runs, results })}\n` : `${lines.join('\n')}\n`);
} finally {
  await server.stop();
}
