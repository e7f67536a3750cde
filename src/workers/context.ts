import type { RecordMetric } from '../adapters/metrics/definitions.ts';
import type { Database } from '../adapters/postgres/connection.ts';
import type { SourceFiles } from '../adapters/source-files/source-files.ts';
import type { Calendar } from '../domain/calendar/calendar.ts';
import type * as jobs from '../jobs.ts';

/** Fields that identify a job in every log line; unknown ones are left out. */
export type LogContext = { readonly source?: string; readonly report?: string; readonly batch?: string };

/** `info`: how something ended. `warn`: something that a person may want to check. */
export type LogLevel = 'info' | 'warn';

/** Writes a line of the log. */
export type LogEvent = (level: LogLevel, note: string, logContext: object) => void;

/** The calendar of a source, and its merchant. */
export type SourceCalendar = {
  readonly source: string;
  readonly merchantId: string | null;
  readonly calendar: Calendar;
};

export type JobContext = {
  readonly database: Database;
  readonly enqueue: jobs.Enqueue;
  readonly recordMetric: RecordMetric;
  /** Called once, before the job starts. */
  readonly logContext: (logContext: LogContext) => void;
  readonly logEvent: LogEvent;
  readonly archiveDir: string;
  readonly chunkBytes: number;
  /** Opens the files of a source. */
  sourceFilesOf(source: string): Promise<SourceFiles>;
  /** Null in a call of `reconcile`, which treats the given files as everything there is. */
  readonly calendars: readonly SourceCalendar[] | null;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/** Calendars and clock; null in a call of `reconcile`, which treats the given files as everything there is. */
export type Schedule = Pick<JobContext, 'calendars' | 'now'>;
