import type { Measurement } from '../../adapters/metrics/definitions.ts';
import type { SourceLocation } from '../../adapters/source-files/open.ts';
import type { LogContext, LogLevel, SourceCalendar } from '../context.ts';
import type { Failure } from './failure.ts';

/** What the parent tells a parser process. */
export type ToParser =
  | {
      readonly say: 'open';
      readonly databaseUrl: string;
      readonly archiveDir: string;
      readonly chunkBytes: number;
      /** Where the files of each source lie, with what opens it. */
      readonly places: readonly { readonly name: string; readonly at: SourceLocation }[];
      /** When reports are due; null in a call that takes what is there for all there is. */
      readonly calendars: readonly SourceCalendar[] | null;
    }
  | { readonly say: 'run'; readonly no: number; readonly name: string; readonly payload: unknown };

/** What a parser process tells its parent. */
export type FromParser =
  | { readonly say: 'alive'; readonly usage: Usage }
  | { readonly say: 'enqueue'; readonly name: string; readonly payload: unknown; readonly delayMs: number }
  | { readonly say: 'measured'; readonly measure: Measurement }
  | { readonly say: 'about'; readonly logContext: LogContext }
  | { readonly say: 'noted'; readonly level: LogLevel; readonly note: string; readonly logContext: object }
  | { readonly say: 'done'; readonly no: number; readonly error: Failure | null };

/** What a parser process used so far, and for how long it answered nobody since it last said so. */
export type Usage = { readonly cpuSeconds: number; readonly residentBytes: number; readonly lagSeconds: number };
