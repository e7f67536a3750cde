/** A merchant's mornings: reports and records arrive, time passes, and each morning the book is looked at. The clock is the test's. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Database, openDatabase } from '../../src/adapters/postgres/connection.ts';
import { openSourceFiles } from '../../src/adapters/source-files/open.ts';
import type { Calendar } from '../../src/domain/calendar/calendar.ts';
import type { Retention } from '../../src/domain/calendar/retention.ts';
import type { Enqueue } from '../../src/jobs.ts';
import { findReports } from '../../src/producers/discovery/find-reports.ts';
import { importLedger } from '../../src/producers/records/import-ledger.ts';
import { sweep } from '../../src/producers/recovery/sweep.ts';
import { retain } from '../../src/producers/retention/retain.ts';
import { checkDays } from '../../src/producers/schedule/check-days.ts';
import { batchesOf } from '../../src/views/batches/batches.sql.ts';
import { stateOfBatch } from '../../src/views/batches/batches.ts';
import { runJob } from '../../src/workers/runtime/run-job.ts';
import { query, temporaryFolder, writeFiles } from './book.ts';
import { contextOf, filesAt } from './context.ts';
import { freshDatabase } from './postgres.ts';

export type Mornings = {
  readonly database: Database;
  /** Where the provider puts its files. */
  readonly reports: string;
  readonly archiveDir: string;
  /** Files come below the folder of the provider, or of another source; a text is given as its lines. */
  arrive(files: Readonly<Record<string, readonly string[]>>, from?: string): void;
  /** Records come, or come again with other content; `lines` without the header. */
  record(...lines: string[]): Promise<void>;
  /** Time passes to this moment (ISO 8601), and everything that there is to do is done. */
  at(time: string): Promise<void>;
  /** What is old is dropped, until there is nothing more. */
  retain(retention: Partial<Retention>): Promise<void>;
  /** `batch or day: state` with the kinds that are open, each with what it names. */
  states(): Promise<Record<string, string>>;
  close(): Promise<void>;
};

const RECORD_HEADER = 'requestId,type,amount,currency,status,occurredAt,originalRequestId';

/** `others`: further sources of the same merchant. */
export async function startMornings(
  calendar: Calendar,
  others: Readonly<Record<string, Calendar>> = {},
): Promise<Mornings> {
  const folder = temporaryFolder();
  const database = await openDatabase(await freshDatabase(), 4);
  const archiveDir = join(folder, 'archive');
  mkdirSync(archiveDir);
  const sources = Object.entries({ provider: calendar, ...others }).map(([name, calendar]) => {
    mkdirSync(join(folder, name));
    const { timeZone } = calendar;
    return { ...filesAt(join(folder, name)), name, merchantId: 'M1', timeZone, calendar };
  });
  let nowMs = 0;
  const now = () => nowMs;
  let jobs: { name: string; payload: unknown }[] = [];
  const enqueue: Enqueue = async (job, payload) => void jobs.push({ name: job.name, payload });
  const context = {
    ...contextOf(database, enqueue, archiveDir),
    calendars: sources.map(({ name, merchantId, calendar }) => ({ source: name, merchantId, calendar })),
    now,
  };
  const work = async () => {
    while (jobs.length > 0) {
      const [job, ...rest] = jobs;
      jobs = rest;
      await runJob(context, job!.name, job!.payload);
    }
  };
  return {
    database,
    reports: join(folder, 'provider'),
    archiveDir,
    arrive(files, from = 'provider') {
      for (const [name, lines] of Object.entries(files)) {
        const path = join(folder, from, name);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
      }
    },
    async record(...lines) {
      writeFiles(folder, { 'records.csv': [RECORD_HEADER, ...lines] });
      const { refused } = await importLedger(database, join(folder, 'records.csv'), 'M1', (line, reason) => {
        throw new Error(`line ${line}: ${reason}`);
      });
      if (refused > 0) throw new Error('a record was refused');
    },
    async at(time) {
      nowMs = Date.parse(time);
      for (const source of sources) {
        const place = await openSourceFiles(source.at);
        await findReports({ database, enqueue, now }, source, place, () => true);
      }
      await work();
      await checkDays({ database, now }, sources);
      await sweep({ database, enqueue, now });
      await work();
    },
    async retain(retention) {
      const all = { rowsMonths: null, rawTextMonths: null, archiveMonths: null, ...retention };
      while (await retain({ database, archiveDir, now, log: { info: () => {}, warn: () => {} } }, all));
    },
    async states() {
      const batches = await batchesOf(database.db, {});
      const told = await query<{ no: number; told: string }>(
        database.url,
        `select batch_no as no, string_agg(concat_ws(' ', kind, request_id, recorded), ', ' order by kind collate "C", request_id, recorded) as told
           from discrepancy where closed_run is null group by 1`,
      );
      return Object.fromEntries(
        batches.map((batch) => {
          const open = told.find(({ no }) => no === batch.no)?.told;
          return [batch.batchId ?? batch.day!, open ? `${stateOfBatch(batch)}: ${open}` : stateOfBatch(batch)];
        }),
      );
    },
    close: () => database.close(),
  };
}
