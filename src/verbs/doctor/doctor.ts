import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { onOneConnection, openReadOnlyPool, withoutPassword } from '../../adapters/postgres/connection.ts';
import { type EmbeddedPostgres, openEmbeddedPostgres } from '../../adapters/postgres/embedded.ts';
import { reasonOf, within } from '../../adapters/timeout.ts';
import { type Config, type Options, originsOf, readConfig } from '../../config/config.ts';
import { UsageError } from '../../domain/errors.ts';
import { DEFAULT_DATA_DIR } from '../session/storage.ts';
import { checkAudit } from './audit.ts';
import { checkBank } from './bank.ts';
import { type Ask, away, type Checked, check, exitCodeOf, ok, problem } from './check.ts';
import { checkConsole } from './console.ts';
import { checkMigrations, checkServer } from './database.ts';
import { checkLedger } from './ledger.ts';
import { checkFolders, checkNode } from './machine.ts';
import { checkQueue } from './queue.ts';
import { checkReports } from './reports.ts';
import { checkRetention } from './retention.ts';
import { checkSource, sourcesToCheck } from './sources.ts';

const LIMIT_MS = 5_000;
const SFTP_LIMIT_MS = 20_000;
/** A server of our own may have to be started first. */
const START_LIMIT_MS = 60_000;
const GOODBYE_MS = 1_000;

/** Looks at everything that has to be right, changes nothing, and says what to mend. */
export async function doctor(options: Options, json: boolean): Promise<number> {
  const checked = await examine(options);
  const shown = checked.map(({ name, state, message, mend }) => ({ name, state, message, mend }));
  process.stdout.write(json ? `${JSON.stringify({ checks: shown })}\n` : shown.map(lineOf).join(''));
  return exitCodeOf(checked);
}

function lineOf({ state, name, message, mend }: Omit<Checked, 'isUsage' | 'isAway'>): string {
  return `${state.padEnd(8)} ${name}: ${message}\n${mend === null ? '' : `${' '.repeat(9)}${mend}\n`}`;
}

export async function examine(options: Options): Promise<Checked[]> {
  try {
    return [...checkNode(), ...(await examineWith(readConfig(options), originsOf(options)))];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const mistakes = error.message.split('\n');
    return [
      ...checkNode(),
      ...mistakes.map((line) => ({
        ...problem('configuration', line, 'Correct it and run this again.'),
        isUsage: true,
      })),
    ];
  }
}

async function examineWith(config: Config, origins: readonly string[]): Promise<Checked[]> {
  const dataDir = resolve(config.dataDir ?? DEFAULT_DATA_DIR);
  const archiveDir = config.archive.folder ?? join(dataDir, 'archive');
  const { sources, mistakes } = sourcesToCheck(config);
  const from = origins.length > 0 ? origins.join(', ') : 'no file and no variable: all defaults';
  const begin = [
    ok('configuration', `${from}; ${sources.length + mistakes.length} sources`),
    ...mistakes,
    ...(await check('folders', LIMIT_MS, () => checkFolders(dataDir, archiveDir))),
  ];
  const found = await onBook(config, dataDir, async (book, ask) => {
    const checks = [
      ask ? check('database', 2 * LIMIT_MS, () => ask((db) => checkServer(db, config))) : [],
      ask ? check('migrations', 2 * LIMIT_MS, () => ask(checkMigrations)) : [],
      check('queue', 2 * LIMIT_MS, () => checkQueue(config.redisUrl, LIMIT_MS)),
      ...sources.map((source) =>
        check(`source ${source.name}`, SFTP_LIMIT_MS + 2 * LIMIT_MS, () => checkSource(source, ask, SFTP_LIMIT_MS)),
      ),
      check('console', 3 * LIMIT_MS, () => checkConsole(config.console)),
      ask ? check('reports', 2 * LIMIT_MS, () => ask(checkReports)) : [],
      ask ? check('bank', 2 * LIMIT_MS, () => ask((db) => checkBank(db, config))) : [],
      ask ? check('retention', 2 * LIMIT_MS, () => ask((db) => checkRetention(db, config.retention, archiveDir))) : [],
      ask ? check('audit', 2 * LIMIT_MS, () => ask(checkAudit)) : [],
      ask ? check('records', 6 * LIMIT_MS, () => ask((db) => checkLedger(db, config))) : [],
    ];
    return [book, ...(await Promise.all(checks)).flat()];
  });
  return [...begin, ...found];
}

/** Does the work with a way to ask the database; null where there is none to ask, which the first finding tells. */
async function onBook(
  config: Config,
  dataDir: string,
  work: (book: Checked, ask: Ask | null) => Promise<Checked[]>,
): Promise<Checked[]> {
  if (config.databaseUrl) return onServer(config.databaseUrl, withoutPassword(config.databaseUrl), work);
  // Opening a book that is not there would make one.
  if (!existsSync(join(dataDir, 'postgres')))
    return work(
      ok('database', `there is no database in ${dataDir} yet; the first command that writes creates it`),
      null,
    );
  let own: EmbeddedPostgres;
  try {
    own = await within(START_LIMIT_MS, openEmbeddedPostgres({ dataDir }));
  } catch (error) {
    return work(away('database', reasonOf(error), 'Check the log that it names.'), null);
  }
  return onServer(own.url, `its own Postgres in ${dataDir}`, work).finally(() => own.close());
}

async function onServer(
  url: string,
  where: string,
  work: (book: Checked, ask: Ask | null) => Promise<Checked[]>,
): Promise<Checked[]> {
  const pool = openReadOnlyPool(url, LIMIT_MS);
  const ask: Ask = (question) => onOneConnection({ pool }, question);
  try {
    const failure = await within(
      2 * LIMIT_MS,
      ask((db) => sql`select 1`.execute(db)),
    ).then(() => null, reasonOf);
    if (failure === null) return await work(ok('database', `${where} answers`), ask);
    const mend = 'Check DATABASE_URL and that the server is up. Without it migrations and reports are not checked.';
    return await work(away('database', `cannot reach the database at ${where}: ${failure}`, mend), null);
  } finally {
    // One that hangs cannot be waited for.
    await Promise.race([pool.end(), delay(GOODBYE_MS, undefined, { ref: false })]);
  }
}
