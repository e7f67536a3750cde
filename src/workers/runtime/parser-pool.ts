import type { RecordMetric } from '../../adapters/metrics/definitions.ts';
import type { LogEvent } from '../context.ts';
import type { ToParser } from './messages.ts';
import { type ParserEvents, type ParserHandle, startParser } from './parser-handle.ts';

/** Processes that parse: one a core, so that the parent has its hands free for locks and signals. */
export type ParserPool = {
  /** Tells the parsers, which were started already, where to work. */
  open(settings: Omit<Extract<ToParser, { say: 'open' }>, 'say'>): void;
  /**
   * Runs a job in the next free parser. Rejects with JobFailed when it fails there, else when its parser dies. What the job turns out to be about is
   * put into `logContext`, which stands in every line of the log that it causes.
   */
  run(name: string, payload: unknown, logContext?: object): Promise<void>;
  /** Starts those that are not there yet, so that there are this many. */
  growTo(processes: number): void;
  close(): void;
};

export function startParsers(
  processes: number,
  enqueue: ParserEvents['enqueue'],
  recordMetric: RecordMetric = () => {},
  logEvent: LogEvent = () => {},
): ParserPool {
  const parsers = new Set<ParserHandle>();
  const taken = new Set<ParserHandle>();
  const waiting: ((parser: ParserHandle) => void)[] = [];
  let settings: ToParser | undefined;

  /** Gives a parser to whoever waits longest. */
  const free = (parser: ParserHandle) => {
    const next = waiting.shift();
    if (next) taken.add(parser);
    else taken.delete(parser);
    next?.(parser);
  };

  /** Taken at once, so that two jobs that come together do not get the same parser. */
  const take = (): ParserHandle | Promise<ParserHandle> => {
    const idle = [...parsers].find((parser) => !taken.has(parser) && parser.isConnected());
    if (!idle) return new Promise((resolve) => waiting.push(resolve));
    taken.add(idle);
    return idle;
  };

  const start = (place: number) => {
    const hasEnded = () => {
      parsers.delete(parser);
      taken.delete(parser);
      recordMetric({ name: 'recon_parser_restarts_total', labels: {}, value: 1 });
      start(place);
    };
    const parser = startParser(place, { enqueue, recordMetric, logEvent, isFree: () => free(parser), hasEnded });
    parsers.add(parser);
    if (settings) parser.tell(settings);
    free(parser);
  };
  let places = 0;
  const growTo = (count: number) => {
    while (places < count) start(++places);
  };
  growTo(processes);
  const watchdog = startWatchdog(parsers, recordMetric);

  return {
    open(given) {
      // Only what opens a place is sent: a source holds what cannot be.
      settings = { say: 'open', ...given, places: given.places.map(({ name, at }) => ({ name, at })) };
      for (const parser of parsers) parser.tell(settings);
    },
    run: async (name, payload, logContext = {}) => (await take()).run(name, payload, logContext),
    growTo,
    close() {
      clearInterval(watchdog);
      for (const parser of parsers) parser.close();
    },
  };
}

/** Ends parsers that hang, and tells how many are at work. */
function startWatchdog(parsers: ReadonlySet<ParserHandle>, recordMetric: RecordMetric): NodeJS.Timeout {
  const watch = () => {
    for (const parser of parsers) parser.killSilent();
    const busy = [...parsers].filter((parser) => parser.isBusy()).length;
    recordMetric({ name: 'recon_parsers', labels: { state: 'busy' }, value: busy });
    recordMetric({ name: 'recon_parsers', labels: { state: 'idle' }, value: parsers.size - busy });
  };
  return setInterval(watch, 1_000).unref();
}
