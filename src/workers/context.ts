import type { RecordMetric } from '../adapters/metrics/metrics.ts';
import type { Database } from '../adapters/postgres/connection.ts';
import type { SourceFiles } from '../adapters/source-files/source-files.ts';
import type { Calendar } from '../domain/calendar/calendar.ts';
import type * as jobs from '../jobs.ts';

/** What a job is about, for the log; what is not known of it is left out. */
export type LogContext = { readonly source?: string; readonly report?: string; readonly batch?: string };

/** `info`: how something ended. `warn`: something that a person may want to look at. */
export type LogLevel = 'info' | 'warn';

/** Something for the log. */
export type LogEvent = (level: LogLevel, note: string, logContext: object) => void;

/** When the reports of a source are due, and whose they are. */
export type SourceCalendar = {
  readonly source: string;
  readonly merchantId: string | null;
  readonly calendar: Calendar;
};

export type JobContext = {
  readonly database: Database;
  readonly enqueue: jobs.Enqueue;
  readonly recordMetric: RecordMetric;
  /** Said once, before anything is done. */
  readonly logContext: (logContext: LogContext) => void;
  readonly logEvent: LogEvent;
  readonly archiveDir: string;
  readonly chunkBytes: number;
  /** Where the files of a source lie. */
  sourceFilesOf(source: string): Promise<SourceFiles>;
  /** Null in a call that takes what is there for all there is. */
  readonly calendars: readonly SourceCalendar[] | null;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/** What time has to do with a batch: nothing, in a call that takes what is there for all there is. */
export type Schedule = Pick<JobContext, 'calendars' | 'now'>;
