import type { Measured } from '../adapters/metrics/metrics.ts';
import type { Database } from '../adapters/postgres/connection.ts';
import type { Place } from '../adapters/source-files/source-files.ts';
import type { Calendar } from '../domain/calendar/calendar.ts';
import type * as jobs from '../jobs.ts';

/** What a job is about, for the log; what is not known of it is left out. */
export type About = { readonly source?: string; readonly report?: string; readonly batch?: string };

/** `info`: how something ended. `warn`: something that a person may want to look at. */
export type Level = 'info' | 'warn';

/** Something for the log. */
export type Noted = (level: Level, note: string, about: object) => void;

/** When the reports of a source are due, and whose they are. */
export type SourceCalendar = {
  readonly source: string;
  readonly merchantId: string | null;
  readonly calendar: Calendar;
};

export type JobContext = {
  readonly database: Database;
  readonly enqueue: jobs.Enqueue;
  readonly measured: Measured;
  /** Said once, before anything is done. */
  readonly about: (about: About) => void;
  readonly noted: Noted;
  readonly archiveDir: string;
  readonly chunkBytes: number;
  /** Where the files of a source lie. */
  placeOf(source: string): Promise<Place>;
  /** Null in a call that takes what is there for all there is. */
  readonly calendars: readonly SourceCalendar[] | null;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/** What time has to do with a batch: nothing, in a call that takes what is there for all there is. */
export type Standing = Pick<JobContext, 'calendars' | 'now'>;
