import { lstat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { type Db, onOneConnection } from '../adapters/postgres/connection.ts';
import { inTransaction } from '../adapters/postgres/transactions.ts';
import { openSourceFiles } from '../adapters/source-files/open.ts';
import type { Config } from '../config/config.ts';
import { UsageError } from '../domain/errors.ts';
import type { Enqueue } from '../jobs.ts';
import {
  type Found,
  type Looked,
  lookForReports,
  nameMerchantsOf,
  recordReports,
} from '../producers/discovery/find-reports.ts';
import { findStatements, type StatementSource } from '../producers/discovery/find-statements.ts';
import type { NotReport } from '../producers/discovery/name-reports.ts';
import type { Source } from '../producers/discovery/source.ts';
import { checkAllRecords } from '../producers/records/changed-records.ts';
import { hasRecords } from '../producers/records/import-ledger.sql.ts';
import { importLedger } from '../producers/records/import-ledger.ts';
import { useBankAtLeast } from '../store/bank/settings.ts';
import { batchesOfDeliveries } from '../store/batches.ts';
import { type LedgerInUse, merchantsOf } from '../store/ledger/ledger.ts';
import { merchantNamed, nameMerchants } from '../store/merchants.ts';
import { batchesOf } from '../views/batches/batches.sql.ts';
import { answer, stateOfBatch } from '../views/batches/batches.ts';
import { refusedRecords, refusedText } from '../views/ledger/refused-records.ts';
import { writeAll } from '../views/output/output.ts';
import { printSummary } from '../views/output/tables.ts';
import {
  batchesOfStatements,
  comparedWithBank,
  isBankIncomplete,
  isReadingStatements,
} from '../views/progress/bank-progress.sql.ts';
import { isReconciling, outcomeIn } from '../views/progress/progress.sql.ts';
import { refuseImport } from './ledger.ts';
import { actorOf } from './session/actor.ts';
import { bankSettingsOf, statementsAt } from './session/bank.ts';
import { filesAt } from './session/sources.ts';
import type { Storage } from './session/storage.ts';
import { withWorkers } from './session/with-workers.ts';

export type ReconcileRequest = {
  readonly ledger: string | null;
  readonly json: boolean;
  /** Where bank statements lie. */
  readonly statements?: readonly StatementSource[];
};

/** What is told at the end, and to whom; decides the exit code. */
export type Show = (book: Storage, found: FoundReports) => Promise<Outcome>;
type Outcome = {
  readonly discrepancies: number;
  /** Some batch or day is not reconciled, whether anything is told of it or not. */
  readonly isUnreconciled: boolean;
  /** Some report or batch could not be used or reconciled. */
  readonly isIncomplete: boolean;
};

/** One shot over files and folders; `bank`: those with bank statements. Returns the exit code. */
export async function reconcilePaths(
  config: Config,
  paths: readonly string[],
  { bank = [], ...request }: Omit<ReconcileRequest, 'statements'> & { readonly bank?: readonly string[] },
): Promise<number> {
  const found = await Promise.all(paths.map((path) => existing(path, 'reports')));
  const statements = await Promise.all(bank.map((path) => existing(path, 'bank statements')));
  return reconcileSources(
    config,
    found.map((path) => filesAt(config, path)),
    { ...request, statements: statements.map((path) => statementsAt(config, path)) },
  );
}

/**
 * One shot over whatever lies at these sources now: the producer, the queue and the workers of the standing service, until
 * nothing is left to do. Returns the exit code.
 */
export async function reconcileSources(
  config: Config,
  sources: readonly Source[],
  request: ReconcileRequest,
  show: Show = request.json ? printJson : printTables,
): Promise<number> {
  const { statements = [] } = request;
  return withWorkers(
    config,
    [...sources, ...statements],
    { mayBeTemporary: true, calendars: null },
    async ({ book, queue, ledger, start, untilDone, matchPayouts, sweep }) => {
      if (request.ledger !== null) refuseImport(ledger, '--ledger');
      // Whose a record or report is that names nobody, is known when all that name somebody were looked at.
      const looked = await lookAtAll(sources, book);
      const refused = await (ledger.isImported
        ? importRecords(config, book, request.ledger)
        : lookAtRecords(config, book, ledger));
      const recorded = await recordAll(looked, book, queue.enqueue);
      const bank = await recordStatements(config, statements, book, queue.enqueue);
      const found = { ...recorded, bankFileNos: bank.fileNos };
      await sweep();
      await start();
      const startedAtMs = Date.now();
      const { db } = book.database;
      await untilDone(() => isReconciling(db, found.deliveryNos, startedAtMs), found.deliveryNos);
      await untilDone(() => isReadingStatements(db, found.bankFileNos, startedAtMs), []);
      await matchPayouts();

      const shown = await withBatches(book, found);
      const summary = await show(book, shown);
      const isBankMissed = statements.length > 0 && (await tellBankMissed(db, shown));
      const isUnseen =
        found.unseen + bank.unseen > 0 || found.notReports.some((file) => file.isRefused || file.isUnseen);
      const isNothingRead = found.deliveryNos.length === 0;
      if (isNothingRead) tellNothing(sources, found);
      if (isUnseen || isNothingRead || isBankMissed || refused > 0 || summary.isIncomplete) return 3;
      return summary.discrepancies > 0 || summary.isUnreconciled ? 1 : 0;
    },
  );
}

async function existing(path: string, what: 'reports' | 'bank statements'): Promise<string> {
  const give = `give a folder with ${what}, or ${what === 'reports' ? 'report files' : 'files of them'}.`;
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'does not exist' : `cannot be read (${error.message})`;
    throw new UsageError(`${path} ${why}: ${give}`);
  });
  if (!found.isDirectory() && !found.isFile()) {
    const kind = found.isSymbolicLink()
      ? 'is a symbolic link, which is not followed'
      : 'is neither a folder nor a file';
    throw new UsageError(`${path} ${kind}: ${give}`);
  }
  return resolve(path);
}

/** Lists the statements that the call names, and asks for those that are new. */
async function recordStatements(
  config: Config,
  statements: readonly StatementSource[],
  { database }: Storage,
  enqueue: Enqueue,
): Promise<{ readonly fileNos: number[]; readonly unseen: number }> {
  if (statements.length > 0) await useBankAtLeast(database, bankSettingsOf(config));
  const fileNos: number[] = [];
  let unseen = 0;
  for (const source of statements) {
    const place = await openSourceFiles(source.at);
    const found = await findStatements({ database, enqueue }, source, place).finally(() => place.close());
    for (const { file, why } of found.unseen) process.stderr.write(`not read: ${file}: ${why}\n`);
    fileNos.push(...found.fileNos);
    unseen += found.unseen.length;
  }
  return { fileNos: [...new Set(fileNos)], unseen };
}

/** The call asks for the bank, and nothing was compared with it: no statement was read, or none is of an account of these batches. */
async function tellBankMissed(db: Db, { bankFileNos, batchNos }: FoundReports): Promise<boolean> {
  if (bankFileNos.length === 0) {
    process.stderr.write(
      'settlestream: no bank statement was read: there is no file at the paths that --bank names.\n',
    );
    return true;
  }
  const { compared, without } = await comparedWithBank(db, batchNos);
  if (without > 0)
    process.stderr.write(
      `settlestream: ${without} settlement batch${without === 1 ? ' was' : 'es were'} not compared with the bank: no statement is of an account of their merchant and currency. Compare bank.accounts with "settlestream bank".\n`,
    );
  return compared === 0 && without > 0;
}

export type FoundReports = {
  /** The files of bank statements that the call names. */
  readonly bankFileNos: readonly number[];
  readonly deliveryNos: readonly number[];
  readonly batchNos: readonly number[];
  /** Files that are no reports that can be read, and why. */
  readonly notReports: readonly NotReport[];
  /** How much could not be looked at. */
  readonly unseen: number;
};

async function lookAtAll(sources: readonly Source[], { database }: Storage): Promise<Looked[]> {
  const looked: Looked[] = [];
  for (const source of sources) {
    const place = await openSourceFiles(source.at);
    looked.push(await lookForReports({ database }, source, place, () => true).finally(() => place.close()));
  }
  await nameMerchantsOf(database, looked);
  return looked;
}

async function recordAll(looked: readonly Looked[], book: Storage, enqueue: Enqueue): Promise<FoundReports> {
  const { database } = book;
  // Whatever the paths of one call are, they are one listing: their order says nothing of what lies there.
  const listed: Found[] = [];
  for (const one of looked) {
    const before = {
      deliveryNos: listed.flatMap((found) => found.deliveryNos),
      paths: listed.flatMap((found) => found.paths),
    };
    listed.push(await recordReports({ database, enqueue, before }, one));
  }
  const deliveryNos = listed.flatMap((found) => found.deliveryNos);
  const notReports = listed.flatMap((found) => found.notReports);
  const unseen = listed.flatMap((found) => found.unseen);
  for (const { message } of unseen) process.stderr.write(`not read: ${message}\n`);
  tellNotReports(notReports);
  return withBatches(book, { deliveryNos, batchNos: [], notReports, unseen: unseen.length, bankFileNos: [] });
}

/** So many files that are no reports are named on stderr; the answer in JSON names all. */
const TOLD = 50;

/** What may hide a report comes first. */
function tellNotReports(notReports: readonly NotReport[]): void {
  const rank = ({ isRefused, isUnseen }: NotReport) => (isRefused ? 0 : isUnseen ? 1 : 2);
  const told = [...notReports].sort((a, b) => rank(a) - rank(b));
  for (const { file, isRefused, why } of told.slice(0, TOLD))
    process.stderr.write(`${isRefused ? 'refused' : 'skipped'}: ${file}: ${why}\n`);
  if (told.length > TOLD) process.stderr.write(`skipped: ${told.length - TOLD} other files that are no reports\n`);
}

function tellNothing(sources: readonly Source[], { notReports }: FoundReports): void {
  const where = sources.map(({ at }) => ('folder' in at ? at.folder : at.sftp.host)).join(', ');
  const what =
    notReports.length === 0
      ? 'there are no files'
      : `${notReports.length} files are there, and none is a readable report`;
  process.stderr.write(
    `settlestream: nothing was read in ${where}: ${what}. Check the path, the names and --format.\n`,
  );
}

/**
 * With the batches that these files belong to by now, beside those of before: a report whose name does not say what it settles in
 * belongs to another one once it is read, and what it left is part of the answer too.
 */
async function withBatches({ database }: Storage, found: FoundReports): Promise<FoundReports> {
  const batchNos = await batchesOfDeliveries(database.db, found.deliveryNos);
  const ofBank = found.bankFileNos.length === 0 ? [] : await batchesOfStatements(database.db, found.bankFileNos);
  return { ...found, batchNos: [...new Set([...found.batchNos, ...batchNos, ...ofBank])] };
}

/** Returns how many records were refused. Where records changed, all that this call looks at is reconciled anew. */
async function importRecords(config: Config, { database }: Storage, ledger: string | null): Promise<number> {
  let refused = 0;
  if (ledger !== null) {
    const imported = await importLedger(
      database,
      ledger,
      config.merchant ?? null,
      (line, reason) => {
        process.stderr.write(`refused: ${basename(ledger)}, line ${line}, ${reason}\n`);
      },
      (note) => void process.stderr.write(`note: ${basename(ledger)}: ${note}\n`),
      actorOf({}),
    );
    refused = imported.refused;
  }
  if (!(await hasRecords(database.db))) {
    throw new UsageError(
      'there are no records to compare with: give a file of them (--ledger FILE), import one first (settlestream ledger import FILE), or say where they stand (ledger.relation).',
    );
  }
  return refused;
}

const REFUSED_LIMIT_MS = 20_000;

/**
 * The same for records that stand in a relation of the merchant's: says which of them cannot be used, and has looked at again what
 * was told of those that changed.
 */
async function lookAtRecords(config: Config, { database }: Storage, ledger: LedgerInUse): Promise<number> {
  return onOneConnection(database, async (db) => {
    await inTransaction(db, async () => {
      if (config.ledger) await nameMerchants(db, await merchantsOf(db, config.ledger));
      // Where nobody has a name there is one merchant all the same.
      await merchantNamed(db, null);
    });
    if (!(await hasRecords(db)))
      throw new UsageError(
        `there are no records to compare with in ${ledger.described} of a merchant whose reports are here: run "settlestream doctor" to see what it contains.`,
      );
    const refused = await refusedRecords(db, REFUSED_LIMIT_MS);
    for (const records of refused ?? []) process.stderr.write(`refused: ${refusedText(records)}\n`);
    if (refused === null)
      process.stderr.write(
        `settlestream: checking for unusable records takes longer than ${REFUSED_LIMIT_MS / 1_000} s and was skipped: such records count as absent\n`,
      );
    await checkAllRecords({ database });
    return (refused ?? []).reduce((sum, { count }) => sum + count, 0);
  });
}

export const printJson: Show = async ({ database }, found) => {
  await writeAll(answer(database, found));
  return outcomeOf(database.db, found);
};

export const printTables: Show = async ({ database }, found) => {
  await printSummary(database, found, process.stdout);
  return outcomeOf(database.db, found);
};

/** What decides the exit code: it says no more than what is shown. */
async function outcomeOf(db: Db, found: FoundReports): Promise<Outcome> {
  const states = (await batchesOf(db, { batchNos: found.batchNos })).map(stateOfBatch);
  const { discrepancies, isIncomplete: isUnread } = await outcomeIn(db, found);
  const isIncomplete = isUnread || (await isBankIncomplete(db, found.bankFileNos));
  return {
    discrepancies,
    // Whatever is not reconciled is no 0, also where nothing is told of it.
    isUnreconciled: states.some((state) => state !== 'reconciled'),
    isIncomplete: isIncomplete || states.includes('waiting'),
  };
}
