import type { Db } from '../../adapters/postgres/connection.ts';
import { type Part, type Reading, readParts } from '../../domain/matching/parts.ts';
import type { Awaited } from '../../domain/matching/run.ts';
import { addFacts, type Facts } from '../../domain/report/facts.ts';
import { type BatchRow, batchOf } from '../../store/batches.ts';
import type { ReadLoad } from '../../store/loads.ts';
import type { Schedule } from '../context.ts';
import { lastDropped } from '../retention/dropped-rows.sql.ts';
import { type Deadlines, deadlinesOf } from './completeness/deadlines.ts';
import { heldOf } from './completeness/held.ts';
import * as query from './snapshot.sql.ts';

/** What a reconciliation begins with: the batch, its reports as they are now, and what is due of it. */
export type Inputs = {
  readonly batch: BatchRow;
  /** It is a day of transactions; else a settlement batch. */
  readonly isDay: boolean;
  readonly lastRun: number;
  readonly lastDropped: bigint;
  readonly due: Deadlines;
  readonly details: ReadReports;
  readonly summary: ReadReports;
  /** Counts and sums of the details, as they were taken while their rows were read. */
  readonly facts: Facts;
  /** Reports that were found and cannot be read for now. */
  readonly held: readonly Awaited[];
  readonly isNothingRead: boolean;
  /** A batch exists once a report of it was read; a day by the name of its report, even if that is held. */
  readonly isHeldDay: boolean;
  /** Nothing is read, held or due. */
  readonly isEmpty: boolean;
};

export type ReadPart = query.ReportState & Part;

/** The reports of one kind: those that are read, in order, and their loads. */
export type ReadReports = {
  readonly reading: Reading<ReadPart>;
  readonly read: readonly ReadPart[];
  readonly loads: readonly ReadLoad[];
};

export async function readInputs(db: Db, batchNo: number, schedule: Schedule): Promise<Inputs> {
  const batch = await batchOf(db, batchNo);
  const isDay = batch.batchId === null;
  const reports = await query.reportsOf(db, batchNo);
  const details = readKind(reports, isDay ? 'transactionDetails' : 'settlementDetails');
  const summary = readKind(reports, 'settlementSummary');
  const due = await deadlinesOf(db, batch, schedule);
  const held = heldOf(reports, (kind) => (kind === 'settlementSummary' ? summary : details).reading);
  const isNothingRead = details.read.length + summary.read.length === 0;
  const isUnsettledDue = [due, ...due.others].some(({ settledBy }) => settledBy !== null);
  const isHeldDay = isDay && held.length > 0;
  return {
    batch,
    isDay,
    lastRun: await query.lastRunOf(db, batch.merchantNo),
    lastDropped: await lastDropped(db, batch.merchantNo),
    due,
    details,
    summary,
    facts: addFacts(details.read.map((part) => part.facts!)),
    held,
    isNothingRead,
    isHeldDay,
    isEmpty: isNothingRead && !due.isReportDue && !isUnsettledDue && !isHeldDay,
  };
}

function readKind(reports: readonly query.ReportState[], kind: query.ReportState['kind']): ReadReports {
  const reading = readParts<ReadPart>(reports.filter((report) => report.kind === kind));
  return {
    reading,
    read: reading.read,
    loads: reading.read.map((part) => ({ loadNo: part.loadNo!, slot: part.slot! })),
  };
}

/** The details, then the summary: this is the order of the parts of a run. */
export const allRead = ({ details, summary }: Inputs): readonly ReadPart[] => [...details.read, ...summary.read];
