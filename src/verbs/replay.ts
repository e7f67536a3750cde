import { unlink } from 'node:fs/promises';
import { sql } from 'kysely';
import { type Db, onOneConnection } from '../adapters/postgres/connection.ts';
import { inTransaction } from '../adapters/postgres/transactions.ts';
import type { Config, Options } from '../config/config.ts';
import { isDay } from '../domain/calendar/time.ts';
import { UsageError } from '../domain/errors.ts';
import { ingestReport, MAX_ATTEMPTS } from '../jobs.ts';
import type { Source } from '../producers/discovery/source.ts';
import {
  type Recorded,
  type ReplayRequest,
  recordReplay,
  type SourceNamed,
} from '../producers/interventions/replay.ts';
import { type Withdrawal, withdraw } from '../producers/interventions/withdraw.ts';
import { DRY_RUN_LOCK } from '../producers/recovery/sweep.ts';
import { isLeft } from '../store/away.sql.ts';
import { writeAll } from '../views/output/output.ts';
import { type Change, changesSince, changeTable } from '../views/restatements/changes.ts';
import { tryOut } from '../workers/replay/dry-run.ts';
import { RowsNeeded, requestRows } from '../workers/retention/dropped-rows.ts';
import { FILES, filesAt, sourcesOf } from './session/sources.ts';
import { type Calendars, type WorkerSession, withWorkers } from './session/with-workers.ts';

/** Reads reports again, from the archive and under today's rules, and tells what that changed or, with `--dry-run`, would change. */
export async function replay(config: Config, options: Options): Promise<number> {
  const request = requestOf(options);
  const sources = sourcesOfAll(config);
  const calendars = calendarsOf(config);
  return withWorkers(config, sources, { mayBeTemporary: false, calendars }, async (at) => {
    const named = sourceFinder(sources);
    const { changes, hasFailed } = options['dryRun']
      ? await dryRun(at, request, named, calendars)
      : await inEarnest(at, request, named);
    await print(changes, options);
    await at.sweep();
    return hasFailed ? 3 : 0;
  });
}

/** Takes a report out, reconciles its batch again and tells what that changed. */
export async function withdrawReport(config: Config, options: Options): Promise<number> {
  const { report, reason, merchant } = options;
  if (report === undefined) throw new UsageError('--report is missing: name the report to withdraw.');
  if (reason === undefined || reason.trim() === '')
    throw new UsageError('--reason is missing: say why the report is withdrawn.');
  const calendars = calendarsOf(config);
  return withWorkers(config, sourcesOfAll(config), { mayBeTemporary: false, calendars }, async (at) => {
    const { database } = at.book;
    const withdrawn: Withdrawal = await onOneConnection(database, (db) =>
      inTransaction(db, () => withdraw(db, { report, merchant, reason: reason.trim() })),
    );
    const { file, revision, isNew } = withdrawn;
    process.stderr.write(
      `settlestream: revision ${revision} of ${file} ${isNew ? 'is withdrawn' : 'was withdrawn before: nothing changes'}\n`,
    );
    at.start();
    await at.sweep();
    const startedAtMs = Date.now();
    await at.untilDone(() => isBusy(database.db, withdrawn, startedAtMs), []);
    await print(await changesSince(database.db, withdrawn), options);
    return (await hasFailed(database.db, withdrawn)) ? 3 : 0;
  });
}

type Outcome = { readonly changes: readonly Change[]; readonly hasFailed: boolean };

async function inEarnest(
  { book, queue, start, untilDone }: WorkerSession,
  request: ReplayRequest,
  named: SourceNamed,
): Promise<Outcome> {
  const { database } = book;
  const recorded = await onOneConnection(database, (db) =>
    inTransaction(db, () => recordReplay(db, request, named, false)),
  );
  for (const deliveryNo of recorded.deliveryNos) await queue.enqueue(ingestReport, { deliveryNo, attempt: 0 });
  start();
  const startedAtMs = Date.now();
  await untilDone(() => isBusy(database.db, recorded, startedAtMs), recorded.deliveryNos);
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
      const made = await recordReplay(db, request, named, true);
      await sql`select pg_advisory_lock(${DRY_RUN_LOCK}, ${made.interventionNo})`.execute(db);
      return made;
    });
    const { interventionNo, deliveryNos } = recorded;
    try {
      for (const deliveryNo of deliveryNos) await queue.enqueue(ingestReport, { deliveryNo, attempt: 0 });
      start();
      const startedAtMs = Date.now();
      await untilDone(() => isReading(database.db, deliveryNos, startedAtMs), deliveryNos);
      const merchantNos = await merchantsOf(db, recorded.batchNos);
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
      await removeOwnTexts(db, deliveryNos);
      await sql`select pg_advisory_unlock(${DRY_RUN_LOCK}, ${interventionNo})`.execute(db);
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

/** Rows of these loads are not there yet, after less than so many tries. */
async function areDropped(db: Db, loadNos: readonly number[], tries: number | null = null): Promise<boolean> {
  const found = await sql`
    select from load l where no = any(${[...loadNos]}::int[]) and rows_dropped_at is not null
       and (${tries}::int is null or exists (select from wanted_rows w where w.load_no = l.no and w.attempts < ${tries}::int)) limit 1`.execute(
    db,
  );
  return found.rows.length > 0;
}

/** Some delivery of this call is not at its end, or some batch that it set going has no run yet. */
async function isBusy(
  db: Db,
  { interventionNo, deliveryNos, batchNos }: Recorded,
  startedAtMs: number,
): Promise<boolean> {
  const busy = await sql`
    select from delivery d where no = any(${[...deliveryNos]}::int[]) and state in ('found', 'reading') and parked_reason is null
       and not ${isLeft(startedAtMs)}
    union all
    select from run_cause c join batch b on b.no = c.batch_no
     where c.intervention_no = ${interventionNo} and b.done < c.wanted and b.parked_reason is null
    union all
    select from batch where no = any(${[...batchNos]}::int[]) and done < wanted and parked_reason is null
    limit 1`.execute(db);
  return busy.rows.length > 0;
}

/** A dry delivery has its rows or its reason, or was given up. */
async function isReading(db: Db, deliveryNos: readonly number[], startedAtMs: number): Promise<boolean> {
  const busy = await sql`
    select from delivery d where no = any(${[...deliveryNos]}::int[]) and error_code is null and parked_reason is null
       and not ${isLeft(startedAtMs)} and not exists (select from load l where l.delivery_no = d.no and l.state = 'loaded') limit 1`.execute(
    db,
  );
  return busy.rows.length > 0;
}

async function hasFailed(db: Db, { interventionNo, deliveryNos }: Recorded): Promise<boolean> {
  const failed = await sql`
    select from delivery where no = any(${[...deliveryNos]}::int[]) and state not in ('closed', 'duplicate')
    union all
    select from run_cause c join batch b on b.no = c.batch_no where c.intervention_no = ${interventionNo} and b.parked_reason is not null
    limit 1`.execute(db);
  return failed.rows.length > 0;
}

async function merchantsOf(db: Db, batchNos: readonly number[]): Promise<number[]> {
  const found = await sql<{ no: number }>`
    select distinct merchant_no as no from batch where no = any(${[...batchNos]}::int[])`.execute(db);
  return found.rows.map(({ no }) => no);
}

/** What a dry run wrote into the archive: texts of workbooks, and copies of what was not there. Nobody else points at them. */
async function removeOwnTexts(db: Db, deliveryNos: readonly number[]): Promise<void> {
  const found = await sql<{ path: string }>`
    select p.path from load l join delivery d on d.no = l.delivery_no cross join lateral (values (l.archive_path), (l.original_path)) p(path)
     where d.no = any(${[...deliveryNos]}::int[]) and p.path is not null and p.path is distinct from d.archived`.execute(
    db,
  );
  for (const { path } of found.rows) await unlink(path).catch(() => {});
}

async function print(changes: readonly Change[], options: Options): Promise<void> {
  await writeAll([`${options['json'] ? JSON.stringify({ batches: changes }) : changeTable(changes)}\n`]);
}

/** Jobs of every source may come up, and files that were named on the command line lie where they lay. */
function sourcesOfAll(config: Config): Source[] {
  const sources = sourcesOf(config);
  return sources.some(({ name }) => name === FILES) ? sources : [...sources, filesAt(config, '/')];
}

/** When reports are due, where a service is configured that waits for them. */
const calendarsOf = (config: Config): Calendars =>
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
