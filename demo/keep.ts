import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Database, Db } from '../src/adapters/postgres/connection.ts';
import type { Config } from '../src/config/config.ts';
import { ROLES } from '../src/domain/roles.ts';
import type { Source } from '../src/producers/discovery/source.ts';
import { importLedger } from '../src/producers/records/import-ledger.ts';
import { linkFor } from '../src/verbs/console.ts';
import { serve } from '../src/verbs/serve.ts';
import * as query from '../src/views/batches/batches.sql.ts';
import { stateOfBatch } from '../src/views/batches/batches.ts';
import { type Drop, FIRST_DROP_DAY, makeDropDay, putReport, putStatement, reportsOf } from './drops.ts';
import { compact, isoDay } from './week.ts';
import { tell } from './words.ts';
import { folderOf, writeRecords } from './write.ts';

/** What goes on after the table: the service's settings and source, the book, and the folder of the made-up provider. */
export type Schedule = {
  readonly config: Config;
  readonly source: Source;
  readonly database: Database;
  readonly weekDir: string;
};

/** Between details and their summary: providers do not write them at once. */
const SUMMARY_AFTER_MS = 2_000;
const LOOK_MS = 200;
/** A batch that has no result by then is told of as missing. */
const PATIENCE_MS = 60_000;

/** The standing service, to which a new batch comes every so often, until SIGINT or SIGTERM. */
export async function goOn(standing: Schedule, everyMs: number): Promise<void> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  const serving = serve(standing.config, 'run', stopping.signal, [standing.source]).finally(stop);
  const dropping = dropBatches(standing, everyMs, stopping.signal).catch((error: Error) =>
    tell(`no more batches come: ${error.message}`),
  );
  await Promise.all([serving, dropping]);
}

/** Brings a new batch to the provider's server every so often, with the records of its day, and tells what became of it. */
export async function dropBatches(
  { database, weekDir }: Pick<Schedule, 'database' | 'weekDir'>,
  everyMs: number,
  stop: AbortSignal,
): Promise<void> {
  for (let day = nextDropDay(weekDir); !stop.aborted; day++) {
    const { week, drops } = makeDropDay(day);
    const recordsFile = join(weekDir, `records-${compact(isoDay(day))}.csv`);
    await writeRecords(week, recordsFile);
    await importLedger(database, recordsFile, null, (line, reason) => tell(`line ${line} of the records: ${reason}`));
    for (const drop of drops) {
      if (stop.aborted) return;
      const next = pause(everyMs, stop);
      await put(drop, weekDir, stop);
      await tellOutcome(database.db, drop, stop);
      await next;
    }
  }
}

/** A book that is kept may have seen such days before. */
function nextDropDay(weekDir: string): number {
  let day = FIRST_DROP_DAY;
  while (existsSync(join(weekDir, 'reports', folderOf({ date: isoDay(day + 1) })))) day++;
  return day;
}

/** Whoever is stopped in the middle still puts the rest, so that the next time finds whole batches only. */
async function put(drop: Drop, weekDir: string, stop: AbortSignal): Promise<void> {
  const { batch, why, statement } = drop;
  const reports = reportsOf(drop);
  const files = reports.map(({ name, form }) => `${name}.${form}`).join(', ');
  tell(`batch ${batch.id} comes to the server, ${why}: ${files}`);
  for (const report of reports) {
    if (report === reports.at(-1)) await pause(SUMMARY_AFTER_MS, stop);
    await putReport(report, weekDir);
  }
  if (statement !== null) tell(`the bank sends a statement: ${await putStatement(statement, weekDir)}`);
}

async function tellOutcome(db: Db, drop: Drop, stop: AbortSignal): Promise<void> {
  const putAt = Date.now();
  const result = await resultOf(db, drop, stop);
  if (result === null) {
    if (!stop.aborted) tell(`batch ${drop.batch.id} has no result after ${PATIENCE_MS / 1_000} s`);
    return;
  }
  const { batch, told, atBank } = result;
  const isPlanned = isDeepStrictEqual(told, drop.tells);
  const what = Object.entries(told)
    .map(([kind, count]) => `${count} ${kind}`)
    .join(', ');
  tell(
    `batch ${drop.batch.id} is ${stateOfBatch(batch)}${what && ` (${what})`} ${isPlanned ? 'as planned' : 'against the plan'}, ` +
      `${batch.facts.rows} rows${atBank}, ${((Date.now() - putAt) / 1_000).toFixed(1)} s after its last file came`,
  );
}

type Result = {
  readonly batch: query.BatchView;
  readonly told: Readonly<Record<string, number>>;
  readonly atBank: string;
};

/** What the book says of a batch once all of it is there; null where it does not come to that in time. */
async function resultOf(db: Db, { batch: { id, date }, statement }: Drop, stop: AbortSignal): Promise<Result | null> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!stop.aborted && Date.now() < deadline) {
    const batch = (await query.batchesOf(db, { from: date, to: date })).find(({ batchId }) => batchId === id);
    const isAtBank = statement === null || batch?.payout?.state === 'arrived';
    if (batch && isAtBank && ['reconciled', 'discrepant'].includes(stateOfBatch(batch))) {
      const told: Record<string, number> = {};
      for (const { kind, count } of await query.totalsOf(db, { batchNos: [batch.no] }))
        told[kind] = (told[kind] ?? 0) + count;
      // These days may be long past: then a payout is overdue until the statement of its day comes.
      if (statement === null) delete told['payout_missing'];
      return { batch, told, atBank: statement === null ? '' : ', its payout is at the bank' };
    }
    await pause(LOOK_MS, stop);
  }
  return null;
}

/** Links that sign in once: for whoever looks, and for a second person, who may approve what the first one accepts. */
export const linksTo = async (database: Database, port: number): Promise<readonly string[]> => {
  const people = ['you', 'bob'].map((name) => ({ name, roles: ROLES, merchants: null }));
  return Promise.all(people.map((person) => linkFor(database, `http://127.0.0.1:${port}`, person)));
};

/** The port that is wanted or, where another program has it, any other. */
export async function freePort(wanted: number): Promise<number> {
  return (await tryPort(wanted)) ?? (await tryPort(0))!;
}

function tryPort(port: number): Promise<number | null> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Ends early when it is told to stop. */
const pause = (ms: number, stop: AbortSignal): Promise<void> => sleep(ms, undefined, { signal: stop }).catch(() => {});
