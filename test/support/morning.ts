/** A merchant's mornings: reports and records arrive, time passes, and each morning the book is looked at. The clock is the test's. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openPlace } from '../../src/adapters/place.ts';
import { type Database, openDatabase } from '../../src/adapters/postgres.ts';
import type { Calendar } from '../../src/domain/calendar.ts';
import type { Enqueue } from '../../src/jobs.ts';
import { checkDays } from '../../src/producers/check-days.ts';
import { findReports } from '../../src/producers/find-reports.ts';
import { importLedger } from '../../src/producers/import-ledger.ts';
import { sweep } from '../../src/producers/sweep.ts';
import { batchesOf } from '../../src/views/answer.sql.ts';
import { stateOfBatch } from '../../src/views/answer.ts';
import { runJob } from '../../src/workers/run-job.ts';
import { query, temporaryFolder, writeFiles } from './book.ts';
import { contextOf, filesAt } from './context.ts';
import { freshDatabase } from './postgres.ts';

export type Mornings = {
  readonly database: Database;
  /** Where the provider puts its files. */
  readonly reports: string;
  /** Files come below the folder of the provider; a text is given as its lines. */
  arrive(files: Readonly<Record<string, readonly string[]>>): void;
  /** Records come, or come again with other content; `lines` without the header. */
  record(...lines: string[]): Promise<void>;
  /** Time passes to this moment (ISO 8601), and everything that there is to do is done. */
  at(time: string): Promise<void>;
  /** `batch or day: state` with the kinds that are open, each with what it names. */
  states(): Promise<Record<string, string>>;
  close(): Promise<void>;
};

const RECORD_HEADER = 'requestId,type,amount,currency,status,occurredAt,originalRequestId';

export async function startMornings(calendar: Calendar): Promise<Mornings> {
  const folder = temporaryFolder();
  const reports = join(folder, 'reports');
  mkdirSync(reports);
  const database = await openDatabase(await freshDatabase(), 4);
  const source = { ...filesAt(reports), name: 'provider', merchantId: 'M1', timeZone: calendar.timeZone, calendar };
  let nowMs = 0;
  const now = () => nowMs;
  let jobs: { name: string; payload: unknown }[] = [];
  const enqueue: Enqueue = async (job, payload) => void jobs.push({ name: job.name, payload });
  const context = {
    ...contextOf(database, enqueue, join(folder, 'archive')),
    calendars: [{ source: source.name, merchantId: source.merchantId, calendar }],
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
    reports,
    arrive(files) {
      for (const [name, lines] of Object.entries(files)) {
        const path = join(reports, name);
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
      const place = await openPlace(source.at);
      await findReports({ database, enqueue, now }, source, place, () => true);
      await work();
      await checkDays({ database, now }, [source]);
      await sweep({ database, enqueue, now });
      await work();
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
