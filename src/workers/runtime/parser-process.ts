/**
 * A parser process: does the work of jobs, one at a time, for the parent that holds their locks in the queue. It speaks to the
 * database by itself and to the queue through its parent.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openDatabase } from '../../adapters/postgres/connection.ts';
import { openSourceFiles } from '../../adapters/source-files/open.ts';
import type { SourceFiles } from '../../adapters/source-files/source-files.ts';
import { JOBS } from '../../jobs.ts';
import type { JobContext } from '../context.ts';
import { failureOf } from './failure.ts';
import type { FromParser, ToParser, Usage } from './messages.ts';
import { runJob } from './run-job.ts';

/** What the parent does not hear any more, because it has ended or let go of this process, is no news. */
const send = (message: FromParser) => process.send?.(message, undefined, undefined, () => {});
type OpenSettings = Extract<ToParser, { say: 'open' }>;

let settings: OpenSettings | undefined;
let context: Promise<JobContext> | undefined;

/** Opened for the first job that finds the database there, and kept for all others. */
function contextNow(): Promise<JobContext> {
  const opening = context ?? open(settings!);
  context = opening;
  // What failed once must not fail for ever.
  opening.catch(() => {
    if (context === opening) context = undefined;
  });
  return opening;
}

async function open(settings: OpenSettings): Promise<JobContext> {
  // As long as a lock of the queue: all publishers of a merchant wait for one that is stopped in the middle.
  const database = await openDatabase(settings.databaseUrl, 3, '10s');
  return {
    database,
    archiveDir: settings.archiveDir,
    chunkBytes: settings.chunkBytes,
    sourceFilesOf: placesOf(settings.places),
    calendars: settings.calendars,
    now: Date.now,
    recordMetric: (measure) => void send({ say: 'measured', measure }),
    logContext: (logContext) => void send({ say: 'about', logContext }),
    logEvent: (level, note, logContext) => void send({ say: 'noted', level, note, logContext }),
    enqueue: async (job, payload, options) => {
      send({ say: 'enqueue', name: job.name, payload, delayMs: options?.delayMs ?? 0 });
    },
  };
}

/** Each place is opened when it is first needed, and is one for all jobs. */
function placesOf(named: OpenSettings['places']): (source: string) => Promise<SourceFiles> {
  const places = new Map<string, Promise<SourceFiles>>();
  const openNamed = (source: string): Promise<SourceFiles> => {
    const place = named.find(({ name }) => name === source);
    if (place) return openSourceFiles(place.at);
    throw new Error(
      `the configuration of this worker has no source ${source}: start it with a configuration that names it`,
    );
  };
  return (source) => {
    const place = places.get(source) ?? openNamed(source);
    places.set(source, place);
    return place;
  };
}

/** The loop is looked at so often; a look that comes later says how long the loop was busy. */
const LOOP_MS = 20;
const loop = monitorEventLoopDelay({ resolution: LOOP_MS });
loop.enable();

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  const lagSeconds = Math.max(0, loop.max / 1e9 - LOOP_MS / 1_000);
  loop.reset();
  return { cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss(), lagSeconds };
}

process.on('message', async (message: ToParser) => {
  if (message.say === 'open') {
    settings = message;
    // While nothing is asked for yet.
    contextNow();
    return;
  }
  try {
    await runJob(await contextNow(), message.name, message.payload);
    send({ say: 'done', no: message.no, error: null });
  } catch (error) {
    send({ say: 'done', no: message.no, error: failureOf(error) });
  }
});

// All that is said is said by the parent, in its log.
process.removeAllListeners('warning');
process.on('warning', ({ name, message }) =>
  send({
    say: 'noted',
    level: 'warn',
    note: 'warning of Node in a parser process',
    logContext: { warning: name, error: message },
  }),
);
// A parent that was killed leaves no orphan: what this process has open is rolled back.
process.on('disconnect', () => process.exit(0));
// Ctrl-C and SIGTERM reach the whole group; the parent lets jobs under way end first.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// A parser that says nothing for long is stopped or stuck, and its parent replaces it.
setInterval(() => send({ say: 'alive', usage: usage() }), 1_000).unref();

// Named here so that every job is known to exist where it is run.
JOBS.forEach(({ name }) => {
  if (!name) throw new Error('a job has no name');
});
