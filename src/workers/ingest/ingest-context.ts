import type { RecordMetric } from '../../adapters/metrics/definitions.ts';
import type { Database } from '../../adapters/postgres/connection.ts';
import type { SourceFiles } from '../../adapters/source-files/source-files.ts';
import type { Enqueue } from '../../jobs.ts';
import type { LogEvent } from '../context.ts';

export type IngestContext = {
  readonly database: Database;
  readonly enqueue: Enqueue;
  readonly recordMetric: RecordMetric;
  readonly logEvent: LogEvent;
  readonly archiveDir: string;
  readonly chunkBytes: number;
  /** Opens the files of a source. */
  sourceFilesOf(source: string): Promise<SourceFiles>;
};
