import { fork } from 'node:child_process';
import { getCompileCacheDir } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { RecordMetric } from '../../adapters/metrics/definitions.ts';
import type { LogEvent } from '../context.ts';
import { JobFailed } from './failure.ts';
import type { FromParser, ToParser, Usage } from './messages.ts';
import { tellPrinted } from './printed.ts';

/** A parser that said nothing for so long does not run any more, even if it exists. */
const SILENCE_MS = 30_000;

/** A parser process, and the job that it does. */
export type ParserHandle = {
  /** It can still be told something. */
  isConnected(): boolean;
  isBusy(): boolean;
  tell(message: ToParser): void;
  /** Rejects with JobFailed when the job fails there, else when the parser ends in the middle of it. */
  run(name: string, payload: unknown, logContext: object): Promise<void>;
  /** Ends it where it says nothing in the middle of a job. */
  killSilent(): void;
  /** Lets it end. What it does until then is told to nobody. */
  close(): void;
};

/** What a parser process brings about. */
export type ParserEvents = {
  enqueue(name: string, payload: unknown, delayMs: number, logContext: object): void;
  readonly recordMetric: RecordMetric;
  readonly logEvent: LogEvent;
  /** It has ended its job, well or not, and can have another one. */
  isFree(): void;
  /** It ended by itself: another one has to take its place. */
  hasEnded(): void;
};

type Job = { readonly no: number; readonly logContext: object; settle(error: Error | null): void };

const PATH = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? 'parser-process.ts' : 'parser-process.js', import.meta.url),
);

/** Starts a parser process. Its place counts from 1; who replaces it takes that over. */
export function startParser(place: number, events: ParserEvents): ParserHandle {
  const child = forkParser();
  const recordUsage = usageRecorder(place, events.recordMetric);
  let heardAt = Date.now();
  let job: Job | null = null;
  let jobs = 0;
  let isClosed = false;
  child.on('message', (message: FromParser) => {
    heardAt = Date.now();
    if (message.say === 'alive') recordUsage(message.usage);
    else if (message.say !== 'done') passOn(message, job?.logContext ?? {}, events);
    else if (job?.no === message.no) {
      const { settle } = job;
      job = null;
      events.isFree();
      settle(message.error === null ? null : new JobFailed(message.error));
    }
  });
  child.on('error', () => {});
  tellPrinted(child.stderr!, (text) => {
    const cause = /FATAL ERROR: [^\d]*/.exec(text)?.[0] ?? text.slice(0, 100).replaceAll(/\d+/g, '…');
    if (!isClosed)
      events.logEvent('warn', 'output of a parser process', { ...job?.logContext, parser: place, cause, text });
  });
  child.on('exit', (code, signal) => {
    // What was not done by the end of draining is as if killed: there is nobody left to be told of it.
    if (isClosed) return;
    job?.settle(new Error(`the parser process ended (${signal ?? `exit ${code}`}) in the middle of this job`));
    events.hasEnded();
  });
  return {
    isConnected: () => child.connected,
    isBusy: () => job !== null,
    tell: (message) => void child.send(message),
    run: (name, payload, logContext) =>
      new Promise<void>((resolve, reject) => {
        heardAt = Date.now();
        job = { no: ++jobs, logContext, settle: (error) => (error ? reject(error) : resolve()) };
        child.send({ say: 'run', no: job.no, name, payload } satisfies ToParser, (error) => {
          if (error) child.kill('SIGKILL');
        });
      }),
    killSilent() {
      if (job && Date.now() - heardAt > SILENCE_MS) child.kill('SIGKILL');
    },
    close() {
      isClosed = true;
      child.disconnect();
    },
  };
}

const forkParser = () =>
  fork(PATH, [], {
    // What is compiled is kept for parsers where it is kept for this process.
    env: { ...process.env, NODE_COMPILE_CACHE: getCompileCacheDir() },
    serialization: 'json',
    execArgv: ['--max-old-space-size=256', '--max-semi-space-size=4'],
    // What Node says when it runs out of memory is no line of the log.
    stdio: ['inherit', 'inherit', 'pipe', 'ipc'],
  });

/** What a job brings about while it runs. What it turns out to be about is put into its `logContext`. */
function passOn(
  message: Exclude<FromParser, { say: 'alive' | 'done' }>,
  logContext: object,
  { enqueue, recordMetric, logEvent }: ParserEvents,
): void {
  if (message.say === 'enqueue') enqueue(message.name, message.payload, message.delayMs, logContext);
  else if (message.say === 'measured') recordMetric(message.measure);
  else if (message.say === 'about') Object.assign(logContext, message.logContext);
  else logEvent(message.level, message.note, { ...logContext, ...message.logContext });
}

/** Processor time is counted by its growth. */
function usageRecorder(place: number, recordMetric: RecordMetric) {
  const labels = { parser: `${place}` };
  let counted = 0;
  return ({ cpuSeconds, residentBytes, lagSeconds }: Usage): void => {
    recordMetric({ name: 'recon_parser_cpu_seconds_total', labels, value: cpuSeconds - counted });
    recordMetric({ name: 'recon_parser_resident_memory_bytes', labels, value: residentBytes });
    recordMetric({ name: 'recon_parser_event_loop_lag_seconds', labels, value: lagSeconds });
    counted = cpuSeconds;
  };
}
