import {
  type BackendFactory,
  type Job,
  type PgPool,
  PostgresConnection,
  PostgresQueueBackend,
  Queue,
  runMigrations,
  Worker,
  withBackend,
} from 'bullmq';
import { Redis } from 'ioredis';
import { Unreachable } from '../../domain/errors.ts';
import type { Enqueue, JobKind } from '../../jobs.ts';
import { awayText, isLostConnection } from '../away.ts';
import { openPool, postgresAt, postgresNamer } from '../postgres/connection.ts';
import { reasonOf } from '../timeout.ts';

/** The queue: BullMQ on Redis where one is given, else on its Postgres backend. It may forget; the book does not. */
export type JobQueue = {
  readonly backend: 'redis' | 'postgres';
  /** Which server it is, as it can be shown. */
  readonly server: string;
  readonly enqueue: Enqueue;
  /**
   * Takes jobs of a kind, `concurrency` at a time, until `close`. `onStalled` is told of each job that was found without its
   * worker, and that is taken again.
   */
  work<P>(
    job: JobKind<P>,
    concurrency: number,
    run: (payload: P, waitedMs: number | null) => Promise<unknown>,
    onError: OnError,
    onStalled?: () => void,
  ): void;
  /** How many jobs of this kind wait or are under way. */
  held(job: { readonly name: string }): Promise<number>;
  /** How many jobs of these kinds there are, and which waits longest. Where the server hangs, so does this. */
  state(jobs: readonly { readonly name: string }[]): Promise<QueueState[]>;
  /** The Redis that holds the jobs; null where Postgres does. Where the server hangs, so does this. */
  redis(): Promise<RedisFacts | null>;
  /** Stops taking jobs, waits for those under way at most so long, then lets go of the connections. */
  close(graceMs?: number): Promise<void>;
};

type OnError = (error: Error) => void;

export type QueueState = {
  readonly queue: string;
  readonly counts: Readonly<Record<(typeof STATES)[number], number>>;
  /** Since when the job that is next could have been done. */
  readonly oldestWaitingAtMs: number | null;
};

const STATES = ['waiting', 'active', 'delayed', 'failed'] as const;

/**
 * Locks are short because their holder does no other work: a killed one is replaced within seconds.
 * A job that stalls twice fails for good by default; whether a job is tried again is the book's to decide.
 * A server that is away is asked again each second: work goes on soon after its return, and nobody waits longer for the end.
 */
const WORKER_OPTIONS = {
  lockDuration: 10_000,
  stalledInterval: 5_000,
  maxStalledCount: 1_000,
  drainDelay: 5,
  runRetryDelay: 1_000,
};
/** A finished job leaves no trace, so that its id can be asked for again. */
const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true };

/**
 * Opens the queue.
 * @throws Unreachable when Redis does not answer.
 */
export async function openQueue(where: { redisUrl?: string; databaseUrl: string; bookId: string }): Promise<JobQueue> {
  const backend = where.redisUrl
    ? await redisBackend(where.redisUrl, where.bookId)
    : await postgresBackend(where.databaseUrl);
  const queues = new Map<string, Queue>();
  const workers: Worker[] = [];
  let underWay = 0;
  let closing: Promise<void> | undefined;

  const queueOf = (name: string) => {
    let queue = queues.get(name);
    if (!queue) {
      queue = backend.makeQueue(name);
      queue.on('error', () => {});
      queues.set(name, queue);
    }
    return queue;
  };

  const asked = <T>(answer: Promise<T>): Promise<T> =>
    answer.catch((error: Error) => {
      throw backend.named(error);
    });

  return {
    backend: where.redisUrl ? 'redis' : 'postgres',
    server: backend.server,
    async enqueue(job, payload, options) {
      const id = job.idOf(job.payload.parse(payload));
      const added = queueOf(job.name).add(job.name, payload, {
        ...JOB_OPTIONS,
        jobId: id,
        delay: wholeMs(options?.delayMs),
      });
      await asked(added);
    },
    work(job, concurrency, run, onError, onStalled = () => {}) {
      const runTaken = async (taken: Job) => {
        underWay += 1;
        try {
          return await run(job.payload.parse(taken.data), waitedMs(taken));
        } finally {
          underWay -= 1;
        }
      };
      const worker = backend.makeWorker(job.name, runTaken, concurrency);
      worker.on('stalled', onStalled);
      // A connection that breaks while it is being closed is no news.
      worker.on('error', (error) => closing || onError(backend.named(error)));
      workers.push(worker);
    },
    async held(job) {
      const { waiting = 0, active = 0 } = await asked(queueOf(job.name).getJobCounts('waiting', 'active'));
      return waiting + active;
    },
    state: (jobs) => asked(Promise.all(jobs.map((job) => stateOf(backend, queueOf(job.name))))),
    redis: () => asked(backend.redis()),
    close(graceMs = 30_000) {
      closing ??= closeAll(backend, { workers, queues, isIdle: () => underWay === 0 }, graceMs);
      return closing;
    },
  };
}

/** Leaves jobs that are under way so much time, and closes everything. */
async function closeAll(
  backend: Backend,
  open: { readonly workers: readonly Worker[]; readonly queues: ReadonlyMap<string, Queue>; isIdle(): boolean },
  graceMs: number,
): Promise<void> {
  const { workers, queues, isIdle } = open;
  // Pausing waits for the jobs under way. Closing at once would wait for them for ever, and a second close for the first.
  const drained = Promise.all(workers.map((worker) => worker.pause()));
  // Where the server is away a worker waits for it even with nothing to do. What was done last had time to be written down.
  const isEnded = new AbortController();
  const idle = async () => {
    for (let quietMs = 0; quietMs < IDLE_MS && !isEnded.signal.aborted; quietMs = isIdle() ? quietMs + 100 : 0)
      await delay(100);
  };
  await Promise.race([drained.catch(() => {}), idle(), delay(graceMs)]);
  isEnded.abort();
  // Where Redis is away closing hangs: at the deadline what is left is left to the next worker.
  const closed = [
    ...workers.map((worker) => worker.close(true)),
    ...[...queues.values()].map((queue) => queue.close()),
  ];
  await Promise.race([Promise.allSettled(closed), delay(2_000)]);
  await Promise.race([backend.end(), delay(1_000)]);
}

/** Writing down that a job is done takes milliseconds where the server answers. */
const IDLE_MS = 2_000;

/** Postgres takes whole numbers only, and a retry that it refused would be lost until the next sweep. */
const wholeMs = (ms = 0): number => Math.max(0, Math.round(ms));

const dueAtMs = (job: Job): number => job.timestamp + (job.opts.delay ?? 0);

/** From when it could have been done until it was first taken. Null when it is taken again: it did not wait all that time. */
const waitedMs = (job: Job): number | null =>
  job.attemptsStarted === 1 ? Math.max(0, job.processedOn! - dueAtMs(job)) : null;

async function stateOf(backend: Backend, queue: Queue): Promise<QueueState> {
  const counts = (await queue.getJobCounts(...STATES)) as QueueState['counts'];
  const [oldest] = counts.waiting === 0 ? [] : await backend.nextWaiting(queue, counts.waiting);
  return { queue: queue.name, counts, oldestWaitingAtMs: oldest ? dueAtMs(oldest) : null };
}

type Backend = {
  readonly server: string;
  /** An error that names the server, where it is away. */
  named(error: Error): Error;
  makeQueue(name: string): Queue;
  makeWorker(name: string, run: (job: Job) => Promise<unknown>, concurrency: number): Worker;
  /** Of so many that wait the one that is next, first. */
  nextWaiting(queue: Queue, waiting: number): Promise<Job[]>;
  redis(): Promise<RedisFacts | null>;
  end(): Promise<void>;
};

async function redisBackend(url: string, bookId: string): Promise<Backend> {
  // Adding must fail at once where Redis is away: the book has the job, and the sweep asks again.
  const client = new Redis(url, {
    maxRetriesPerRequest: null,
    enableOfflineQueue: false,
    lazyConnect: true,
    commandTimeout: ANSWER_MS,
  });
  const server = redisAt(client);
  const named = serverNamer(client, server);
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    const { message } = named(error as Error);
    throw new QueueAway(`cannot reach the queue: ${message}. ${mendFor(message)}`, { cause: error });
  }
  // Books may share a Redis and must not take each other's jobs. The braces keep a book's keys together in a cluster.
  const prefix = `{recon-${bookId}}`;
  // Workers wait for Redis to come back; they block, so each makes a connection of its own from this one.
  const patient = client.duplicate({ enableOfflineQueue: true, lazyConnect: false, commandTimeout: undefined });
  patient.on('error', () => {});
  return {
    server,
    named,
    makeQueue: (name) => new Queue(name, { connection: client, prefix, skipWaitingForReady: true }),
    makeWorker: (name, run, concurrency) =>
      new Worker(name, run, { connection: patient, prefix, concurrency, ...WORKER_OPTIONS }),
    nextWaiting: (queue) => queue.getWaiting(0, 0),
    redis: () => factsOf(client),
    end: async () => {
      client.disconnect();
      patient.disconnect();
    },
  };
}

/** So long is waited for an answer to what takes milliseconds. Workers wait as long as it takes. */
const ANSWER_MS = 10_000;

/** Which server it is, as it can be shown. */
function redisAt({ options: { host, port, path } }: Redis): string {
  return `Redis at ${path ?? `${host?.includes(':') ? `[${host}]` : host}:${port}`}`;
}

/** Redis cannot be reached. Where Postgres holds the queue it is DatabaseAway. */
export class QueueAway extends Unreachable {}

/** What a client says of a server that is away, and what that means. */
const AWAY_WORDS: readonly (readonly [RegExp, string])[] = [
  [/^(Stream isn't writeable|Connection is closed|Connection is ended)/, 'the connection is lost'],
  [/^Command timed out/, `no answer in ${ANSWER_MS / 1_000} s`],
  [/^(LOADING|MASTERDOWN|CLUSTERDOWN)/, 'it is not ready'],
];
const NO_LOGIN = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR Client sent AUTH)/;
const NO_ROOM = /^(OOM|MISCONF|READONLY|ERR max number of clients)/;

/** Names the server in errors that say that it is away. Why it is the client tells beside what it answers, and once. */
function serverNamer(client: Redis, server: string): (error: Error) => Error {
  let lost: Error | undefined;
  client.on('error', (error) => {
    lost = error;
  });
  client.on('ready', () => {
    lost = undefined;
  });
  return (error) => {
    if (error instanceof Unreachable) return error;
    const meaning = AWAY_WORDS.find(([words]) => words.test(error.message))?.[1];
    const reason = meaning === undefined ? reasonOf(error) : lost ? reasonOf(lost) : meaning;
    const does = NO_LOGIN.test(reason)
      ? 'refuses the login'
      : NO_ROOM.test(reason)
        ? 'accepts no writes'
        : 'is unavailable';
    const isAway = meaning !== undefined || does !== 'is unavailable' || isLostConnection(error);
    return isAway ? new QueueAway(awayText(server, reason, does), { cause: error }) : error;
  };
}

const mendFor = (message: string): string =>
  message.includes('refuses the login')
    ? 'Check the user and the password in REDIS_URL.'
    : 'Check REDIS_URL and that the server is up.';

/**
 * Always ready, because its tables were brought up to date before. The library looks at them once for each queue and worker; where
 * Postgres goes away meanwhile it keeps that error for ever, and a worker asks for it again without a pause, so that nothing else runs.
 */
class ReadyConnection extends PostgresConnection {
  override async waitUntilReady(): Promise<void> {}
}

const onReadyConnection: BackendFactory = (name, options, { withBlockingConnection } = {}) => {
  const connection = new ReadyConnection(options.connection as unknown as PgPool);
  return new PostgresQueueBackend(connection, name, options as never, true, withBlockingConnection ? name : undefined);
};

async function postgresBackend(url: string): Promise<Backend> {
  const { Queue: PgQueue, Worker: PgWorker } = withBackend(onReadyConnection);
  // One pool for all queues: each worker listens on a connection of its own, and takes and finishes jobs on the others.
  // A process that is stopped in the middle of a statement must not hold the others' jobs.
  const options = '-c search_path=bullmq -c idle_in_transaction_session_timeout=15s';
  const own = openPool({ connectionString: url, max: 10, options });
  // The same class, under a narrower name.
  const pool = own as unknown as PgPool;
  const client = await own.connect();
  try {
    await runMigrations(client, 'bullmq');
  } finally {
    client.release();
  }
  // Each queue and each worker listens on the pool for as long as it lives; so many are no leak.
  const shared = () => {
    own.setMaxListeners(own.getMaxListeners() + 1);
    return pool;
  };
  return {
    server: postgresAt(url),
    named: postgresNamer(url),
    makeQueue: (name) => new PgQueue(name, { connection: shared() }) as unknown as Queue,
    makeWorker: (name, run, concurrency) =>
      new PgWorker(name, run, { connection: shared(), concurrency, ...WORKER_OPTIONS }) as unknown as Worker,
    // This backend counts positions from the newest. Some may be taken between counting and looking, so more than one is asked for.
    nextWaiting: (queue, waiting) => queue.getWaiting(Math.max(0, waiting - 5), waiting - 1),
    redis: async () => null,
    end: () => own.end(),
  };
}

/** What decides whether a Redis keeps jobs until they are done. */
export type RedisFacts = {
  readonly version: string;
  readonly evictionPolicy: string;
  /** 0: as much as the machine has. */
  readonly maxMemoryBytes: number;
  readonly usedMemoryBytes: number;
  /** It writes to disk; null where it does not say whether it makes snapshots. */
  readonly isPersistent: boolean | null;
};

/** Asks a Redis about itself, with what every service that hosts one allows. */
export async function redisFacts(url: string, limitMs: number): Promise<RedisFacts> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: limitMs,
    commandTimeout: limitMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let lost: Error | undefined;
  client.on('error', (error) => {
    lost ??= error;
  });
  try {
    await client.connect();
    return await factsOf(client);
  } catch (error) {
    throw lost ?? error;
  } finally {
    client.disconnect();
  }
}

async function factsOf(client: Redis): Promise<RedisFacts> {
  const info = await client.info();
  const said = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  // Hosted ones do not tell their settings.
  const snapshots = await client.config('GET', 'save').then(
    (found) => (found as string[])[1] !== '',
    () => null,
  );
  return {
    version: said('redis_version'),
    evictionPolicy: said('maxmemory_policy'),
    maxMemoryBytes: Number(said('maxmemory')),
    usedMemoryBytes: Number(said('used_memory')),
    isPersistent: said('aof_enabled') === '1' ? true : snapshots,
  };
}

const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref());
