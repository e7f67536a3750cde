import { type ChildProcess, fork } from 'node:child_process';
import { getCompileCacheDir } from 'node:module';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Measurement, RecordMetric } from '../../adapters/metrics/metrics.ts';
import type { SourceLocation } from '../../adapters/source-files/open.ts';
import type { LogContext, LogEvent, LogLevel, SourceCalendar } from '../context.ts';
import { type Failure, JobFailed } from './failure.ts';

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
export type FromParser =
  | { readonly say: 'alive'; readonly usage: Usage }
  | { readonly say: 'enqueue'; readonly name: string; readonly payload: unknown; readonly delayMs: number }
  | { readonly say: 'measured'; readonly measure: Measurement }
  | { readonly say: 'about'; readonly logContext: LogContext }
  | { readonly say: 'noted'; readonly level: LogLevel; readonly note: string; readonly logContext: object }
  | { readonly say: 'done'; readonly no: number; readonly error: Failure | null };

/** What a parser process used so far, and for how long it answered nobody since it last said so. */
export type Usage = { readonly cpuSeconds: number; readonly residentBytes: number; readonly lagSeconds: number };

/** Processes that parse: one a core, so that the parent has its hands free for locks and signals. */
export type ParserPool = {
  /** Tells the parsers, which were started already, where to work. */
  open(settings: Omit<Extract<ToParser, { say: 'open' }>, 'say'>): void;
  /**
   * Runs a job in the next free parser. Rejects with JobFailed when it fails there, else when its parser dies. What the job turns out to be about is
   * put into `logContext`, which stands in every line of the log that it causes.
   */
  run(name: string, payload: unknown, logContext?: object): Promise<void>;
  close(): void;
};

/** A parser that said nothing for so long does not run any more, even if it exists. */
const SILENCE_MS = 30_000;

type Parser = {
  child: ChildProcess;
  /** Its place, from 1. Who replaces it takes it over. */
  readonly place: number;
  cpuSeconds: number;
  heardAt: number;
  isTaken: boolean;
  job: { no: number; logContext: object; settle(error: Error | null): void } | null;
};

export function startParsers(
  processes: number,
  onEnqueue: (name: string, payload: unknown, delayMs: number, logContext: object) => void,
  recordMetric: RecordMetric = () => {},
  logEvent: LogEvent = () => {},
): ParserPool {
  const path = fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? 'parser-process.ts' : 'parser-process.js', import.meta.url),
  );
  const parsers = new Set<Parser>();
  const waiting: ((parser: Parser) => void)[] = [];
  let settings: ToParser | undefined;
  let jobs = 0;
  let isClosed = false;

  /** Gives a parser to whoever waits longest. */
  const free = (parser: Parser) => {
    const next = waiting.shift();
    parser.job = null;
    parser.isTaken = next !== undefined;
    next?.(parser);
  };

  const recordUsage = (parser: Parser, { cpuSeconds, residentBytes, lagSeconds }: Usage) => {
    const labels = { parser: `${parser.place}` };
    recordMetric({ name: 'recon_parser_cpu_seconds_total', labels, value: cpuSeconds - parser.cpuSeconds });
    recordMetric({ name: 'recon_parser_resident_memory_bytes', labels, value: residentBytes });
    recordMetric({ name: 'recon_parser_event_loop_lag_seconds', labels, value: lagSeconds });
    parser.cpuSeconds = cpuSeconds;
  };

  const start = (place: number) => {
    const child = fork(path, [], {
      // What is compiled is kept for parsers where it is kept for this process.
      env: { ...process.env, NODE_COMPILE_CACHE: getCompileCacheDir() },
      serialization: 'json',
      execArgv: ['--max-old-space-size=256', '--max-semi-space-size=4'],
      // What Node says when it runs out of memory is no line of the log.
      stdio: ['inherit', 'inherit', 'pipe', 'ipc'],
    });
    const parser: Parser = { child, place, cpuSeconds: 0, heardAt: Date.now(), isTaken: false, job: null };
    parsers.add(parser);
    child.on('message', (message: FromParser) => {
      parser.heardAt = Date.now();
      const logContext = parser.job?.logContext ?? {};
      if (message.say === 'enqueue') onEnqueue(message.name, message.payload, message.delayMs, logContext);
      else if (message.say === 'measured') recordMetric(message.measure);
      else if (message.say === 'alive') recordUsage(parser, message.usage);
      else if (message.say === 'about') Object.assign(logContext, message.logContext);
      else if (message.say === 'noted') logEvent(message.level, message.note, { ...logContext, ...message.logContext });
      else if (message.say === 'done' && parser.job?.no === message.no) {
        const { job } = parser;
        free(parser);
        job.settle(message.error === null ? null : new JobFailed(message.error));
      }
    });
    child.on('error', () => {});
    tellPrinted(child.stderr!, (text) => {
      const cause = /FATAL ERROR: [^\d]*/.exec(text)?.[0] ?? text.slice(0, 100).replaceAll(/\d+/g, '…');
      if (!isClosed)
        logEvent('warn', 'output of a parser process', { ...parser.job?.logContext, parser: place, cause, text });
    });
    child.on('exit', (code, signal) => {
      parsers.delete(parser);
      // What was not done by the end of draining is as if killed: there is nobody left to be told of it.
      if (isClosed) return;
      parser.job?.settle(new Error(`the parser process ended (${signal ?? `exit ${code}`}) in the middle of this job`));
      recordMetric({ name: 'recon_parser_restarts_total', labels: {}, value: 1 });
      start(place);
    });
    if (settings) child.send(settings);
    free(parser);
  };
  for (let place = 1; place <= processes; place++) start(place);

  const watch = setInterval(() => {
    for (const parser of parsers) {
      if (parser.job && Date.now() - parser.heardAt > SILENCE_MS) parser.child.kill('SIGKILL');
    }
    const busy = [...parsers].filter(({ job }) => job !== null).length;
    recordMetric({ name: 'recon_parsers', labels: { state: 'busy' }, value: busy });
    recordMetric({ name: 'recon_parsers', labels: { state: 'idle' }, value: parsers.size - busy });
  }, 1_000);
  watch.unref();

  /** Taken at once, so that two jobs that come together do not get the same parser. */
  const take = (): Parser | Promise<Parser> => {
    const idle = [...parsers].find((parser) => !parser.isTaken && parser.child.connected);
    if (!idle) return new Promise((resolve) => waiting.push(resolve));
    idle.isTaken = true;
    return idle;
  };

  return {
    open(given) {
      // Only what opens a place is sent: a source holds what cannot be.
      settings = { say: 'open', ...given, places: given.places.map(({ name, at }) => ({ name, at })) };
      for (const { child } of parsers) child.send(settings);
    },
    async run(name, payload, logContext = {}) {
      const parser = await take();
      const no = ++jobs;
      await new Promise<void>((resolve, reject) => {
        parser.heardAt = Date.now();
        parser.job = { no, logContext, settle: (error) => (error ? reject(error) : resolve()) };
        parser.child.send({ say: 'run', no, name, payload } satisfies ToParser, (error) => {
          if (error) parser.child.kill('SIGKILL');
        });
      });
    },
    close() {
      isClosed = true;
      clearInterval(watch);
      for (const { child } of parsers) child.disconnect();
    },
  };
}

/** So much is told of what a parser prints. */
const MOST_PRINTED = 16_384;
/** What comes in pieces is one thing: it is told when nothing more came for so long. */
const QUIET_MS = 200;

/** Tells what is printed to a stream, not line by line: a dozen of them belong together. */
function tellPrinted(stream: Readable, tell: (text: string) => void): void {
  let printed = '';
  let timer: NodeJS.Timeout | undefined;
  const tellNow = () => {
    clearTimeout(timer);
    const text = printed.trim();
    printed = '';
    if (text !== '') tell(text);
  };
  stream.setEncoding('utf8').on('data', (piece: string) => {
    printed = (printed + piece).slice(0, MOST_PRINTED);
    clearTimeout(timer);
    timer = setTimeout(tellNow, QUIET_MS).unref();
  });
  stream.on('close', tellNow);
}
