import type { Calendar } from '../../domain/calendar/calendar.ts';
import type { RunCoverage } from '../../domain/matching/coverage.ts';
import type { Part } from '../../domain/matching/parts.ts';
import type { RunFacts } from '../../domain/matching/run.ts';
import type { BatchRow } from '../../store/batches.ts';
import type { ReadLoad } from '../../store/loads.ts';
import type { RunDay } from './completeness/settled-not-reported.sql.ts';
import type * as query from './snapshot.sql.ts';

/** The result of a run before it is published; its findings are in temporary tables. */
export type Decision = {
  readonly batch: BatchRow;
  readonly lastRun: number;
  /** The last drop of rows that it has seen; later drops are checked when it is published. */
  readonly lastDropped: bigint;
  readonly calendar: Calendar | null;
  readonly details: readonly ReadLoad[];
  /** Null if nothing of the batch can be read, or ever could. */
  readonly run: DecidedRun | null;
};

export type DecidedRun = {
  readonly facts: RunFacts;
  readonly coverage: RunCoverage;
  readonly digest: string;
  readonly rules: string;
  readonly parts: readonly { loadNo: number; part: number }[];
  readonly settlementDate: string | null;
  /** When the batch must be reconciled again even if nothing arrives: something is waited for until then, or due. */
  readonly againAtMs: number | null;
  /** The days on which its rows were paid, if reports of these days are expected. */
  readonly listed: readonly RunDay[];
  readonly acquirer: string | null;
  /** Nothing is left of the reports that the previous run read. */
  readonly isGone: boolean;
};

export type PublishResult = {
  /** Summary of the published run; null if none was published. */
  readonly run: { readonly run: number; readonly rows: number; readonly state: string } | null;
  /** The batches to enqueue again. */
  readonly asked: readonly number[];
  /** It reads other loads than the previous run of the batch. */
  readonly changed: boolean;
  /** Reports of the batch were read again for it. */
  readonly isReplay: boolean;
};

/** The parts of the details in reading order, and their loads. */
export type Details = {
  readonly read: readonly (query.ReportState & Part)[];
  readonly loads: readonly ReadLoad[];
  /** Text that is added to the message of a wrong net amount, by load. */
  readonly besideNet: ReadonlyMap<number, string>;
};
