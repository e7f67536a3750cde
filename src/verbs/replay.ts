import { unlink } from 'node:fs/promises';
import { onOneConnection } from '../adapters/postgres/connection.ts';
import { inTransaction } from '../adapters/postgres/transactions.ts';
import type { Config, Options } from '../config/config.ts';
import { type Actor, PROGRAM } from '../domain/audit.ts';
import { isDay } from '../domain/calendar/time.ts';
import { UsageError } from '../domain/errors.ts';
import { ingestReport, MAX_ATTEMPTS } from '../jobs.ts';
import type { Source } from '../producers/discovery/source.ts';
import { lockDryRun, ownTexts, unlockDryRun } from '../producers/interventions/dry-run.sql.ts';
import { type ReplayRequest, recordReplay, type SourceNamed } from '../producers/interventions/replay.ts';
import { type Withdrawal, type WithdrawRequest, withdraw } from '../producers/interventions/withdraw.ts';
import { merchantsOfBatches } from '../store/batches.ts';
import { writeAll } from '../views/output/output.ts';
import { areDropped, hasFailed, isReadingDry, isReplaying } from '../views/progress/progress.sql.ts';
import { type Change, changesSince, changeTable } from '../views/restatements/changes.ts';
import { tryOut } from '../workers/replay/dry-run.ts';
import { RowsNeeded, requestRows } from '../workers/retention/dropped-rows.ts';
import { actorOf } from './session/actor.ts';
import { FILES, filesAt, sourcesOf } from './session/sources.ts';
import { type Calendars, type WorkerSession, withWorkers } from './session/with-workers.ts';

/** Reads reports again, from the archive and under today's rules, and tells what that changed or, with `--dry-run`, would change. */
export async function replay(config: Config, options: Options): Promise<number> {
  const isDry = Boolean(options['dryRun']);
  const { changes, hasFailed } = await replayNow(config, requestOf(options), { isDry, actor: actorOf(options) });
  await print(changes, options);
  return hasFailed ? 3 : 0;
}

/** Reads reports again in this process, and waits until that is done. */
export async function replayNow(
  config: Config,
  request: ReplayRequest,
  { isDry, actor }: { readonly isDry: boolean; readonly actor: Actor },
): Promise<Outcome> {
  const sources = sourcesOfAll(config);
  const calendars = calendarsOf(config);
  return withWorkers(config, sources, { mayBeTemporary: false, calendars }, async (at) => {
    const named = sourceFinder(sources);
    const outcome = isDry ? await dryRun(at, request, named, calendars) : await inEarnest(at, request, named, actor);
    await at.sweep();
    return outcome;
  });
}

/** Takes a report out, reconciles its batch again and tells what that changed. */
export async function withdrawReport(config: Config, options: Options): Promise<number> {
  const { report, reason, merchant } = options;
  if (report === undefined) throw new UsageError('--report is missing: name the report to withdraw.');
  if (reason === undefined || reason.trim() === '')
    throw new UsageError('--reason is missing: say why the report is withdrawn.');
  const request = { report, merchant, reason: reason.trim() };
  const { changes, hasFailed } = await withdrawNow(config, request, actorOf(options));
  await print(changes, options);
  return hasFailed ? 3 : 0;
}

/** Takes a report out in this process, and waits until its batch is reconciled again. */
export async function withdrawNow(config: Config, request: WithdrawRequest, actor: Actor): Promise<Outcome> {
  const calendars = calendarsOf(config);
  return withWorkers(config, sourcesOfAll(config), { mayBeTemporary: false, calendars }, async (at) => {
    const { database } = at.book;
    const withdrawn: Withdrawal = await onOneConnection(database, (db) =>
      inTransaction(db, () => withdraw(db, request, actor)),
    );
    const { file, revision, isNew } = withdrawn;
    process.stderr.write(
      `settlestream: revision ${revision} of ${file} ${isNew ? 'is withdrawn' : 'was withdrawn before: nothing changes'}\n`,
    );
    await at.start();
    await at.sweep();
    const startedAtMs = Date.now();
    await at.untilDone(() => isReplaying(database.db, withdrawn, startedAtMs), []);
    await at.matchPayouts();
    return { changes: await changesSince(database.db, withdrawn), hasFailed: await hasFailed(database.db, withdrawn) };
  });
}

export type Outcome = { readonly changes: readonly Change[]; readonly hasFailed: boolean };

async function inEarnest(
  { book, queue, start, untilDone, matchPayouts }: WorkerSession,
  request: ReplayRequest,
  named: SourceNamed,
  actor: Actor,
): Promise<Outcome> {
  const { database } = book;
  const recorded = await onOneConnection(database, (db) =>
    inTransaction(db, () => recordReplay(db, request, named, { isDry: false, actor })),
  );
  for (const deliveryNo of recorded.deliveryNos) await queue.enqueue(ingestReport, { deliveryNo, attempt: 0 });
  await start();
  const startedAtMs = Date.now();
  await untilDone(() => isReplaying(database.db, recorded, startedAtMs), recorded.deliveryNos);
  await matchPayouts();
  return { changes: await changesSince(database.db, recorded), hasFailed: await hasFailed(database.db, recorded) };
}

/**
 * Reads everything as a replay would, into loads that count nowhere; then does the rest in one transaction that is rolled back.
 * As long as this connection holds the lock, the loads stay; whatever becomes of it, the sweep removes them.
 */
async function dryRun(
  at: WorkerSession,
  request: ReplayRequest,
  named: SourceNamed,
  calendars: Calendars,
): Promise<Outcome> {
  const { book, queue, start, untilDone } = at;
  const { database } = book;
  return onOneConnection(database, async (db) => {
    const recorded = await inTransaction(db, async () => {
      const made = await recordReplay(db, request, named, { isDry: true, actor: PROGRAM });
      await lockDryRun(db, made.interventionNo);
      return made;
    });
    const { interventionNo, deliveryNos } = recorded;
    try {
      for (const deliveryNo of deliveryNos) await queue.enqueue(ingestReport, { deliveryNo, attempt: 0 });
      await start();
      const startedAtMs = Date.now();
      await untilDone(() => isReadingDry(database.db, deliveryNos, startedAtMs), deliveryNos);
      const merchantNos = await merchantsOfBatches(db, recorded.batchNos);
      for (;;) {
        const tried = await tryOut(
          db,
          { interventionNo, deliveryNos, merchantNos, parkedNos: recorded.parkedNos, calendars, now: Date.now },
          async () => ({
            changes: await changesSince(db, recorded),
            hasFailed: await hasFailed(db, recorded),
          }),
        ).catch((error: unknown) => {
          if (error instanceof RowsNeeded) return error;
          throw error;
        });
        if (!(tried instanceof RowsNeeded)) return tried;
        await readDropped(at, recorded.batchNos[0]!, tried);
      }
    } finally {
      for (const path of await ownTexts(db, deliveryNos)) await unlink(path).catch(() => {});
      await unlockDryRun(db, interventionNo);
    }
  });
}

/**
 * Rows that the batch would need are read again: that changes no result.
 * @throws UsageError where their archived copies were dropped, or are not what they were.
 */
async function readDropped(
  { book, queue, untilDone }: WorkerSession,
  batchNo: number,
  error: RowsNeeded,
): Promise<void> {
  const { database } = book;
  if (error.loads.some(({ fileDroppedAt }) => fileDroppedAt !== null))
    throw new UsageError(`the dry run is not possible: ${error.message}; their archived copies were dropped too.`);
  const nos = error.loads.map(({ loadNo }) => loadNo);
  await onOneConnection(database, (db) => requestRows(db, queue.enqueue, batchNo, error));
  await untilDone(() => areDropped(database.db, nos, MAX_ATTEMPTS), []);
  if (await areDropped(database.db, nos))
    throw new UsageError(`the dry run is not possible: ${error.message}; they cannot be read again.`);
}

async function print(changes: readonly Change[], options: Options): Promise<void> {
  await writeAll([`${options['json'] ? JSON.stringify({ batches: changes }) : changeTable(changes)}\n`]);
}

/** Jobs of every source may come up, and files that were named on the command line lie where they lay. */
export function sourcesOfAll(config: Config): Source[] {
  const sources = sourcesOf(config);
  return sources.some(({ name }) => name === FILES) ? sources : [...sources, filesAt(config, '/')];
}

/** When reports are due, where a service is configured that waits for them. */
export const calendarsOf = (config: Config): Calendars =>
  config.sources.length === 0
    ? null
    : sourcesOf(config).map(({ name, merchantId, calendar }) => ({ source: name, merchantId, calendar }));

/** Finds a source by its name, and says once where there is none. */
function sourceFinder(sources: readonly Source[]): SourceNamed {
  const missed = new Set<string>();
  return (name) => {
    const source = sources.find((source) => source.name === name) ?? null;
    if (!source && !missed.has(name))
      process.stderr.write(
        `settlestream: there is no source ${name} in the configuration: its reports are read again with their previous settings\n`,
      );
    missed.add(name);
    return source;
  };
}

function requestOf({ batch, report, from, to, refused, merchant }: Options): ReplayRequest {
  const ways = [batch, report, from ?? to, refused].filter((way) => way !== undefined);
  if (ways.length !== 1)
    throw new UsageError(
      'choose what to read again with exactly one of: --batch ID, --report ID, --from DATE --to DATE, or --refused.',
    );
  for (const [name, day] of Object.entries({ from, to })) {
    if (day !== undefined && !isDay(day)) throw new UsageError(`--${name} ${day}: not a day. Use YYYY-MM-DD.`);
  }
  return { batch, report, from, to, merchant, isRefused: refused !== undefined };
}
