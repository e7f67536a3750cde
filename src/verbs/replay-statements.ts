import { type Db, onOneConnection } from '../adapters/postgres/connection.ts';
import { inTransaction } from '../adapters/postgres/transactions.ts';
import type { Config, Options } from '../config/config.ts';
import { UsageError } from '../domain/errors.ts';
import { readStatements } from '../jobs.ts';
import { replayStatements, withdrawStatements } from '../producers/interventions/statements.ts';
import { statementJson, statementsOf } from '../views/bank/statements.ts';
import { writeAll } from '../views/output/output.ts';
import { table } from '../views/output/tables.ts';
import { isReadingStatements } from '../views/progress/bank-progress.sql.ts';
import { calendarsOf, sourcesOfAll } from './replay.ts';
import { actorOf } from './session/actor.ts';
import { type WorkerSession, withWorkers } from './session/with-workers.ts';

/** Reads a file of bank statements again, from the archive, and matches payouts anew. */
export async function replayStatementFile(config: Config, name: string, options: Options): Promise<number> {
  return inSession(config, async ({ book, queue, start, untilDone, matchPayouts }) => {
    const { database } = book;
    const { no, file } = await onOneConnection(database, (db) =>
      inTransaction(db, () => replayStatements(db, name, actorOf(options))),
    );
    await queue.enqueue(readStatements, { fileNo: no, attempt: 0 });
    await start();
    const startedAtMs = Date.now();
    await untilDone(() => isReadingStatements(database.db, [no], startedAtMs), []);
    await matchPayouts();
    process.stderr.write(`settlestream: ${file} was read again\n`);
    return tellStatements(database.db, no, options);
  });
}

/** Takes a file of bank statements out, and matches payouts anew. */
export async function withdrawStatementFile(config: Config, name: string, options: Options): Promise<number> {
  const reason = options['reason']?.trim() ?? '';
  if (reason === '') throw new UsageError('--reason is missing: say why the statements are withdrawn.');
  return inSession(config, async ({ book, start, matchPayouts }) => {
    const { database } = book;
    const { no, file, isNew } = await onOneConnection(database, (db) =>
      inTransaction(db, () => withdrawStatements(db, { name, reason }, actorOf(options))),
    );
    process.stderr.write(`settlestream: ${file} ${isNew ? 'is withdrawn' : 'was withdrawn before: nothing changes'}\n`);
    await start();
    await matchPayouts();
    await tellStatements(database.db, no, options);
    return 0;
  });
}

const inSession = (config: Config, act: (at: WorkerSession) => Promise<number>): Promise<number> =>
  withWorkers(config, sourcesOfAll(config), { mayBeTemporary: false, calendars: calendarsOf(config) }, act);

/** What the file holds now. Returns 3 where some of it cannot be used. */
async function tellStatements(db: Db, fileNo: number, options: Options): Promise<number> {
  const statements = (await statementsOf(db, [fileNo])).map(statementJson);
  const rows = statements.map(({ number, account, state, error }) => [number, account, state, error?.message ?? null]);
  const text = options['json']
    ? JSON.stringify({ bankStatements: statements })
    : table(['statement', 'account', 'state', 'why'], rows);
  await writeAll([`${text}\n`]);
  return statements.some(({ state }) => state === 'refused' || state === 'waiting') ? 3 : 0;
}
