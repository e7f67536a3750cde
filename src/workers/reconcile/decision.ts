import type { Calendar } from '../../domain/calendar/calendar.ts';
import type { RunCoverage } from '../../domain/matching/coverage.ts';
import type { Part } from '../../domain/matching/parts.ts';
import type { RunFacts } from '../../domain/matching/run.ts';
import type { BatchRow } from '../../store/batches.ts';
import type { ReadLoad } from '../../store/loads.ts';
import type { RunDay } from './completeness/settled-not-reported.sql.ts';
import type * as query from './snapshot.sql.ts';

/** What a run says of its batch; what it tells stands in temporary tables. */
export type Decision = {
  readonly batch: BatchRow;
  readonly lastRun: number;
  /** The last drop of rows that it knows of; what goes later is looked for when it is published. */
  readonly lastDropped: bigint;
  readonly calendar: Calendar | null;
  readonly details: readonly ReadLoad[];
  /** Null: nothing of the batch can be read, and nothing ever could. */
  readonly run: {
    readonly facts: RunFacts;
    readonly coverage: RunCoverage;
    readonly digest: string;
    readonly rules: string;
    readonly parts: readonly { loadNo: number; part: number }[];
    readonly settlementDate: string | null;
    /** When it is to be asked for again, though nothing comes: something is waited for until then, or due. */
    readonly againAtMs: number | null;
    /** The days on which its rows were paid, where reports of these are expected. */
    readonly listed: readonly RunDay[];
    readonly acquirer: string | null;
    /** Nothing is left of what the run before had read. */
    readonly isGone: boolean;
  } | null;
};

export type PublishResult = {
  /** What was published, in short; null: nothing was. */
  readonly run: { readonly run: number; readonly rows: number; readonly state: string } | null;
  /** The batches to be asked for again. */
  readonly asked: readonly number[];
  /** It reads other loads than the batch's run before. */
  readonly changed: boolean;
  /** Reports of the batch were read again for it. */
  readonly isReplay: boolean;
};

/** The parts of the details that are read, in order, and their loads. */
export type Details = {
  readonly read: readonly (query.ReportState & Part)[];
  readonly loads: readonly ReadLoad[];
  /** What is said beside a wrong net, by load. */
  readonly besideNet: ReadonlyMap<number, string>;
};
