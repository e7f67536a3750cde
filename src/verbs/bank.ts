import { type Database, onOneConnection } from '../adapters/postgres/connection.ts';
import { streamHeld } from '../adapters/postgres/cursors.ts';
import { inTransaction } from '../adapters/postgres/transactions.ts';
import type { Config, Options } from '../config/config.ts';
import type { Actor } from '../domain/audit.ts';
import { accountNamed } from '../domain/bank/settings.ts';
import { UsageError } from '../domain/errors.ts';
import { confirmEntry, unconfirmEntry } from '../producers/interventions/confirm-entry.ts';
import { useBank } from '../store/bank/settings.ts';
import { type EntryView, entries, entriesNamed } from '../views/bank/entries.sql.ts';
import { ENTRY_COLUMNS, entryJson, entryTable } from '../views/bank/entries.ts';
import { isBankUsed } from '../views/bank/payouts.sql.ts';
import { statementJson, statementsOf } from '../views/bank/statements.ts';
import { type BatchView, batchesOf } from '../views/batches/batches.sql.ts';
import { batchJson, jsonArray } from '../views/batches/batches.ts';
import { csv, writeAll } from '../views/output/output.ts';
import { batchTable } from '../views/output/tables.ts';
import { workbook } from '../views/output/workbook.ts';
import { isBankIncomplete, isMatching } from '../views/progress/bank-progress.sql.ts';
import { matchPayouts } from '../workers/bank/match-payouts.ts';
import { actorOf } from './session/actor.ts';
import { bankSettingsOf } from './session/bank.ts';
import { filterOf, outputOf } from './session/options.ts';
import { withDatabase } from './session/storage.ts';

/** Lists what the bank says: entries of statements, and which batches they pay. Any number of them passes in flat memory. */
export async function listEntries(config: Config, options: Options): Promise<number> {
  const output = outputOf('bank', options);
  const { from, to } = filterOf({ from: options['from'], to: options['to'] });
  const account = options['account'] === undefined ? undefined : accountNamed(options['account']);
  const filter = { account, from, to, isOpen: Boolean(options['open']) };
  return withDatabase(config, async (database) => {
    await requireBank(database);
    const list = streamHeld<EntryView>(database, entries(filter));
    if (output === 'json') {
      await writeAll(['{"entries":']);
      await writeAll(jsonArray(list, entryJson));
      const statements = (await statementsOf(database.db, null)).map(statementJson);
      await writeAll([`,"bankStatements":${JSON.stringify(statements)}}\n`]);
    } else if (output === 'csv') await writeAll(csv(ENTRY_COLUMNS, list));
    else if (output === 'xlsx') await writeAll(workbook('bank', ENTRY_COLUMNS, list));
    else for await (const rows of list) await writeAll([`${entryTable(rows)}\n`]);
  });
}

async function requireBank({ db }: Database): Promise<void> {
  if (!(await isBankUsed(db)))
    throw new UsageError(
      'there are no bank statements in this database: read some with "settlestream reconcile PATH --bank PATH", or name their sources in the settings (bank.sources).',
    );
}

/** Confirms that an entry pays a batch, and shows what that changes. It is kept when reports or statements are read again. */
export async function confirmMatch(config: Config, options: Options): Promise<number> {
  const { entry: id, batch: batchId } = options;
  if (id === undefined) throw new UsageError('--entry is missing: give the id that "settlestream bank" shows.');
  if (batchId === undefined) throw new UsageError('--batch is missing: give the settlement batch id that it pays.');
  return withDatabase(config, async (database) => {
    const { merchant, currency } = options;
    const request = { entry: id, batch: batchId, merchant, currency };
    return showMatched(await confirmNow(config, database, request, actorOf(options)), options);
  });
}

export type MatchRequest = BatchNamed & { readonly entry: string; readonly batch: string };
/** `isMatched` is false where what is shown does not follow from what was confirmed yet: "doctor" says why. */
export type Matched = { readonly batches: readonly BatchView[]; readonly isMatched: boolean };
type BatchNamed = { readonly merchant?: string | undefined; readonly currency?: string | undefined };

/** Confirms that an entry pays a batch, waits until payouts are matched, and returns the batch as it is then. */
export async function confirmNow(
  config: Config,
  database: Database,
  request: MatchRequest,
  actor: Actor,
): Promise<Matched> {
  await requireBank(database);
  const batch = await batchNamed(database, request.batch, request);
  const entry = await entryNamed(database, request.entry, batch);
  const asked = `entry ${request.entry} (${entry.file}, line ${entry.line}) pays batch ${request.batch}`;
  const isNew = await onOneConnection(database, (db) =>
    inTransaction(db, () => confirmEntry(db, entry, { batchNo: batch.no, asked }, actor)),
  );
  process.stderr.write(`settlestream: ${asked}${isNew ? '' : ': this was confirmed before'}\n`);
  return matchedAgain(config, database, batch);
}

/** Takes a confirmation back. */
export async function takeBackMatch(config: Config, options: Options): Promise<number> {
  const { entry: id, batch: batchId } = options;
  if (id === undefined) throw new UsageError('--entry is missing: give the id that "settlestream bank" shows.');
  return withDatabase(config, async (database) => {
    await requireBank(database);
    const batch = batchId === undefined ? null : await batchNamed(database, batchId, options);
    const entry = await entryNamed(database, id, batch);
    const asked = `entry ${id} (${entry.file}, line ${entry.line})${batchId === undefined ? '' : ` and batch ${batchId}`}`;
    await onOneConnection(database, (db) =>
      inTransaction(db, () => unconfirmEntry(db, entry, { batchNo: batch?.no ?? null, asked }, actorOf(options))),
    );
    process.stderr.write(`settlestream: taken back: ${asked}\n`);
    return showMatched(await matchedAgain(config, database, batch), options);
  });
}

async function batchNamed({ db }: Database, id: string, { merchant, currency }: BatchNamed): Promise<BatchView> {
  const found = (await batchesOf(db, { merchant })).filter(
    (batch) => batch.batchId === id && (currency === undefined || batch.currency === currency),
  );
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw new UsageError(`there is no settlement batch ${id}: see "settlestream batches".`);
  throw new UsageError(`${id} names several batches: choose one with --merchant or --currency.`);
}

async function entryNamed({ db }: Database, id: string, batch: BatchView | null) {
  const all = await entriesNamed(db, id);
  const [entry, ...others] = batch === null ? all : all.filter(({ currency }) => currency === batch.currency);
  if (entry === undefined && all.length > 0)
    throw new UsageError(
      `entry ${id} is in ${all[0]!.currency}, and batch ${batch!.batchId} in ${batch!.currency}: they cannot belong together.`,
    );
  if (entry === undefined)
    throw new UsageError(`there is no entry ${id} in a statement that counts: see "settlestream bank".`);
  if (others.length > 0) throw new UsageError(`${id} names entries of several accounts: this cannot be confirmed.`);
  if (entry.status !== 'booked') throw new UsageError(`entry ${id} is not booked yet, so it pays nothing.`);
  return entry;
}

const MATCH_LIMIT_MS = 60_000;
const PAUSE_MS = 50;

/** Matches in this process; beside a service either of them may come first. */
async function matchedAgain(config: Config, database: Database, batch: BatchView | null): Promise<Matched> {
  if (config.bank) await useBank(database, bankSettingsOf(config));
  const until = Date.now() + MATCH_LIMIT_MS;
  while ((await isMatching(database.db)) && Date.now() < until) {
    await matchPayouts({ database, enqueue: async () => {}, calendars: null, logEvent: () => {}, now: Date.now });
    await new Promise((wake) => setTimeout(wake, PAUSE_MS));
  }
  const isMatched = !(await isMatching(database.db)) && !(await isBankIncomplete(database.db, []));
  return { batches: batch === null ? [] : await batchesOf(database.db, { batchNos: [batch.no] }), isMatched };
}

/** Returns 3 where what is shown is not matched yet. */
async function showMatched({ batches, isMatched }: Matched, options: Options): Promise<number> {
  if (options['json']) await writeAll([`${JSON.stringify({ batches: batches.map(batchJson) })}\n`]);
  else if (batches.length > 0) await writeAll([`${batchTable(batches)}\n`]);
  if (isMatched) return 0;
  process.stderr.write(
    'settlestream: it is written down, but payouts are not matched with it yet: "settlestream doctor" says why.\n',
  );
  return 3;
}
