/**
 * What docker-compose.yml runs beside the program, so that it shows something at once: `prepare` makes secrets and settings, and
 * `provide` is the made-up provider and the made-up bank, each with its SFTP server, and the merchant, whose records come into the book.
 *
 *     node stack.js prepare FOLDER
 *     node stack.js provide --secrets FOLDER --folder FOLDER [--host 0.0.0.0] [--port 2222] [--bank-port 2223] [--every 30]
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openDatabase } from '../src/adapters/postgres/connection.ts';
import { readConfig } from '../src/config/config.ts';
import { importLedger } from '../src/producers/records/import-ledger.ts';
import { bankSettings, HOUSE_BANK, writeMadeUpWeek } from './demo.ts';
import { dropBatches } from './keep.ts';
import { fingerprintOf, makeHostKey, startSftpServer } from './sftp-server.ts';
import { MERCHANT_ID, USERNAME } from './week.ts';
import { tell } from './words.ts';

/** By their names in the network of docker-compose.yml. */
const SERVERS = { postgres: 'postgres:5432', sftp: { host: 'sftp', port: 2222 }, bank: { host: 'sftp', port: 2223 } };

/** Secrets of this stack alone, made once and then kept: the database remembers its passwords, and clients the key of the server. */
function prepare(folder: string): void {
  const keep = (name: string, make: () => string): string => {
    const path = join(folder, name);
    if (!existsSync(path)) {
      // Whoever reads them does so as another user; outside of the containers nobody reaches the folder.
      writeFileSync(`${path}.new`, make(), { mode: 0o644 });
      renameSync(`${path}.new`, path);
    }
    return readFileSync(path, 'utf8');
  };
  const password = () => randomBytes(18).toString('base64url');
  for (const name of [
    'postgres-password',
    'book-reader-password',
    'grafana-admin-password',
    'sftp-password',
    'bank-password',
  ])
    keep(name, password);
  const own = keep('database-password', password);
  keep('database-url', () => `postgres://settlestream:${own}@${SERVERS.postgres}/settlestream`);
  const hostKeySha256 = fingerprintOf(keep('sftp-host-key', makeHostKey));
  const login = (name: string) => ({ username: USERNAME, passwordFile: join(folder, name), hostKeySha256 });
  const sftp = { ...SERVERS.sftp, ...login('sftp-password') };
  const statements = { name: HOUSE_BANK, directory: '/', sftp: { ...SERVERS.bank, ...login('bank-password') } };
  // The week is made of days that were long ago, or are still to come. JSON is YAML.
  const source = { name: 'demo', merchantId: MERCHANT_ID, lookbackDays: 36_500, sftp };
  keep(
    'settlestream.yaml',
    () =>
      `${JSON.stringify({ pollSeconds: 5, quietMinutes: 1, sources: [source], bank: { ...bankSettings, sources: [statements] } }, null, 2)}\n`,
  );
  tell(`secrets and settings are in ${folder}`);
}

type Provided = {
  readonly secrets: string;
  readonly folder: string;
  readonly host: string;
  readonly port: number;
  readonly bankPort: number;
  readonly everyMs: number;
};

async function provide(options: Provided) {
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
  const { secrets, folder: weekDir, host, port, bankPort, everyMs } = options;
  const secret = (name: string) => readFileSync(join(secrets, name), 'utf8');
  const database = await openDatabase(readConfig({}).databaseUrl!);
  try {
    const { reportsDir, recordsFile, statementsDir } = await writeMadeUpWeek(weekDir);
    await importLedger(database, recordsFile, null, (line, reason) => tell(`line ${line} of the records: ${reason}`));
    const open = (folder: string, port: number, password: string) =>
      startSftpServer({ folder, username: USERNAME, password, host, port, hostKey: secret('sftp-host-key') });
    const bank = await open(statementsDir, bankPort, secret('bank-password'));
    const server = await open(reportsDir, port, secret('sftp-password'));
    tell(`the provider's SFTP server is at ${server.host}:${server.port}, with the host key ${server.hostKeySha256}`);
    await dropBatches({ database, weekDir }, everyMs, stopping.signal);
    await server.close();
    await bank.close();
  } finally {
    await database.close();
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    secrets: { type: 'string', default: '/secrets' },
    folder: { type: 'string', default: '/provider' },
    host: { type: 'string', default: '0.0.0.0' },
    port: { type: 'string', default: String(SERVERS.sftp.port) },
    'bank-port': { type: 'string', default: String(SERVERS.bank.port) },
    every: { type: 'string', default: '30' },
  },
});
const [what, folder] = positionals;
if (what === 'prepare' && folder !== undefined) prepare(folder);
else if (what === 'provide') {
  const { port, 'bank-port': bankPort, every } = values;
  await provide({ ...values, port: Number(port), bankPort: Number(bankPort), everyMs: Number(every) * 1_000 });
} else throw new Error('say prepare FOLDER, or provide');
