import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Database } from '../src/adapters/postgres/connection.ts';
import { type Config, readConfig } from '../src/config/config.ts';
import { UsageError } from '../src/domain/errors.ts';
import type { Source } from '../src/producers/discovery/source.ts';
import { printJson, printTables, type ReconcileRequest, reconcileSources, type Show } from '../src/verbs/reconcile.ts';
import { filesAt } from '../src/verbs/session/sources.ts';
import { openStorage } from '../src/verbs/session/storage.ts';
import * as query from '../src/views/batches/batches.sql.ts';
import { ACCOUNTS, makeBank, PAYERS, PAYOUT_DAYS, statementsOf } from './bank.ts';
import { plantFaultsAtBank } from './bank-faults.ts';
import { writeStatement } from './bank-files.ts';
import { plantFaults } from './faults.ts';
import { APPROVAL, handleSome } from './handled.ts';
import { freePort, goOn, linksTo } from './keep.ts';
import { type SftpServer, startSftpServer } from './sftp-server.ts';
import { MERCHANT_ID, makeWeek, USERNAME } from './week.ts';
import { SUGGESTED_DIR, tell, whatNext, whileItGoesOn } from './words.ts';
import { type WrittenWeek, writeWeek } from './write.ts';

const WEEK = 'demo-week';
/** What the source of statements is called. */
export const HOUSE_BANK = 'house-bank';
/** The week is made of days that were long ago, or are still to come, when somebody looks at it. */
const LOOKBACK_DAYS = 36_500;

export type DemoRequest = {
  readonly dataDir: string | null;
  readonly json: boolean;
  /** Goes on after the table, with a new batch every so often; null ends with the table. */
  readonly everySeconds: number | null;
};

/**
 * The whole path on made-up input: a provider's SFTP server with a week of reports and known faults, which is reconciled as
 * `reconcile` does and, where it is to go on, watched as `run` does. Without `dataDir` nothing is left behind: book and reports
 * lie in one temporary folder, which goes away with its Postgres however this process ends. Returns the exit code.
 */
export async function demo({ dataDir, json, everySeconds }: DemoRequest): Promise<number> {
  if (json && everySeconds !== null) {
    throw new UsageError('--json prints one document at the end, but --keep has no end: use one of them.');
  }
  if (everySeconds !== null && !(Number.isInteger(everySeconds) && everySeconds > 0)) {
    throw new UsageError('--every takes a whole number of seconds, 1 or more.');
  }
  if (dataDir !== null) await takeFolder(resolve(dataDir));
  // The settings of this machine are for the user's own book: the made-up week must not get into it.
  const { SETTLESTREAM_LOG_LEVEL } = process.env;
  const configOf = (dataDir: string | null) =>
    readConfig(dataDir === null ? {} : { dataDir }, { SETTLESTREAM_LOG_LEVEL }, null);
  const book = await openStorage(configOf(dataDir), { mayBeTemporary: true });
  let server: SftpServer | undefined;
  try {
    const bookDir = dirname(book.archiveDir);
    const config = configOf(bookDir);
    const weekDir = join(bookDir, WEEK);
    const { reportsDir, recordsFile, statementsDir } = await writeMadeUpWeek(weekDir);
    const password = randomBytes(18).toString('base64');
    server = await startSftpServer({ folder: reportsDir, username: USERNAME, password });
    tell(`the provider's SFTP server is at ${server.host}:${server.port}, with the host key ${server.hostKeySha256}`);
    const source = sourceAt(filesAt(config, reportsDir), server, password);
    const bank = { name: HOUSE_BANK, at: { folder: statementsDir }, directory: null, pollSeconds: 1 };
    const request = { ledger: recordsFile, json, statements: [bank] };
    const batchToShow = await reconcile({ ...config, bank: bankSettings }, source, request);
    if (everySeconds !== null) {
      const port = await freePort(config.http.port);
      const kept = { dataDir: dataDir ?? bookDir, isTemporary: dataDir === null };
      const seen = { ...config.console, port: await freePort(config.console.port), isSaid: true };
      const handling = { approval: APPROVAL };
      await handleSome(book.database);
      process.stdout.write(whileItGoesOn(everySeconds, port, kept, await linksTo(book.database, seen.port)));
      const sources = [{ name: HOUSE_BANK, folder: statementsDir, pollSeconds: 1 }];
      const standing = {
        ...config,
        bank: { ...bankSettings, sources },
        http: { ...config.http, port },
        console: seen,
        handling,
      };
      await goOn({ config: standing, source, database: book.database, weekDir }, everySeconds * 1_000);
    } else if (!json) process.stdout.write(whatNext(dataDir, batchToShow));
    return 0;
  } finally {
    await server?.close();
    await book.close();
  }
}

/** What a merchant would write under `bank` in the settings. */
export const bankSettings = {
  accounts: ACCOUNTS.map(({ number, currency }) => ({ account: number, currency, merchantId: [MERCHANT_ID] })),
  payers: Object.values(PAYERS),
  payoutDays: PAYOUT_DAYS,
};

/** Writes the reports, the records and the statements of the week. */
export async function writeMadeUpWeek(weekDir: string): Promise<WrittenWeek & { readonly statementsDir: string }> {
  const startedAt = Date.now();
  tell('writing a week of made-up reports');
  const week = makeWeek();
  plantFaults(week);
  const written = await writeWeek(week, weekDir);
  const bank = makeBank(week);
  plantFaultsAtBank(bank);
  const statementsDir = join(weekDir, 'bank');
  const statements = statementsOf(bank);
  for (const statement of statements) await writeStatement(statement, statementsDir);
  const [rows, records] = [written.rows, week.records.size].map((count) => count.toLocaleString('en'));
  tell(
    `${written.files} reports with ${rows} rows, ${records} records of the merchant and ${statements.length} bank statements, in ${secondsSince(startedAt)} s`,
  );
  return { ...written, statementsDir };
}

/** Reconciles what lies on the server, and returns the batch of which most is told. */
async function reconcile(config: Config, source: Source, request: ReconcileRequest): Promise<string> {
  let batchToShow = '';
  const showAll: Show = async (book, found) => {
    const outcome = await printTables(book, found);
    batchToShow = await mostToldBatch(book.database, found.batchNos);
    return outcome;
  };
  const startedAt = Date.now();
  tell(`fetching and reconciling them as ${USERNAME}`);
  await reconcileSources(config, [source], request, request.json ? printJson : showAll);
  tell(`reconciled in ${secondsSince(startedAt)} s`);
  return batchToShow;
}

/** Made-up records must not get among real ones. */
async function takeFolder(dataDir: string): Promise<void> {
  const week = join(dataDir, WEEK);
  if (existsSync(dataDir) && !existsSync(week) && readdirSync(dataDir).length > 0) {
    throw new UsageError(
      `${dataDir} is not empty and holds no demo: give the demo a folder of its own (--data-dir ${SUGGESTED_DIR}).`,
    );
  }
  await mkdir(week, { recursive: true });
}

/** The reports of a folder, fetched from the server that shows it. */
const sourceAt = (files: Source, { host, port, hostKeySha256 }: SftpServer, password: string): Source => ({
  ...files,
  name: 'demo',
  at: {
    sftp: {
      host,
      fallbackHost: null,
      port,
      username: USERNAME,
      password,
      privateKey: null,
      passphrase: null,
      hostKeySha256: [hostKeySha256],
    },
  },
  merchantId: MERCHANT_ID,
  lookbackDays: LOOKBACK_DAYS,
  pollSeconds: 1,
});

async function mostToldBatch(database: Database, batchNos: readonly number[]): Promise<string> {
  const batches = (await query.batchesOf(database.db, { batchNos })).filter(({ batchId }) => batchId !== null);
  return batches.sort((a, b) => b.open - a.open)[0]!.batchId!;
}

const secondsSince = (startMs: number): string => ((Date.now() - startMs) / 1_000).toFixed(1);
