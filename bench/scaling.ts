/**
 * What more workers bring: one file, read and reconciled by 1, 2 and 4 workers of one parser process each, with the queue on a Redis. Tells
 * the throughput at each step, and how long jobs waited in the queue.
 *
 *     node bench/scaling.ts [--rows 1000000] [--json]
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { openEmbeddedPostgres } from '../src/adapters/postgres/embedded.ts';
import { openQueue } from '../src/adapters/queue/queue.ts';
import { JOBS } from '../src/jobs.ts';
import { startRedis } from '../test/support/redis.ts';
import { type Started, startSettlestream } from '../test/support/settlestream.ts';
import { type MadeBatch, makeBatch } from './make-batch.ts';
import { count, inPlace, readOptions, removeBook, tell, timeSettlestream, type Workspace } from './place.ts';

const given = readOptions({ rows: 1_000_000 });
const STEPS = [1, 2, 4];
const LOOK_MS = 50;

type Step = {
  readonly workers: number;
  /** From when the report was found until its rows were part of the book, and until the batch was reconciled. */
  readonly loadSeconds: number;
  readonly seconds: number;
  /** Of the jobs that load a part of the report. */
  readonly meanWaitSeconds: number;
  /** The longest that the job which is next had waited, at any moment. */
  readonly longestLagSeconds: number;
};

async function measure({ dir, signal }: Workspace): Promise<void> {
  tell(`making ${count(given.rows)} rows …`);
  const batch = await makeBatch(dir, given.rows);
  const serverDir = join(dir, 'server');
  const server = await openEmbeddedPostgres({ dataDir: serverDir });
  const redis = await startRedis();
  const urlOf = (database: string) => server.url.replace(/[^/]*$/, database);
  const steps: Step[] = [];
  try {
    await query(server.url, 'create database bench_template');
    await timeSettlestream(['ledger', 'import', batch.recordsFile], {
      signal,
      env: { DATABASE_URL: urlOf('bench_template') },
    });
    await query(urlOf('bench_template'), 'vacuum (analyze) record');
    for (const workers of STEPS) {
      await query(server.url, 'create database bench template bench_template strategy file_copy');
      await query(server.url, 'checkpoint');
      const env = {
        DATABASE_URL: urlOf('bench'),
        REDIS_URL: redis.url,
        SETTLESTREAM_DATA_DIR: join(dir, `book-${workers}`),
        SETTLESTREAM_FOLDER: batch.reportsDir,
        SETTLESTREAM_PROCESSES: '1',
        SETTLESTREAM_POLL_SECONDS: '1',
      };
      steps.push(await run(batch, workers, env, signal));
      tell(textOf(steps).at(-1)!);
      await query(server.url, 'drop database bench with (force)');
    }
    const result = { cores: availableParallelism(), rows: given.rows, steps };
    process.stdout.write(given.json ? `${JSON.stringify(result)}\n` : `${[...HEAD, ...textOf(steps)].join('\n')}\n`);
  } finally {
    await Promise.all([server.close(), redis.stop()]);
    await removeBook(serverDir);
  }
}

type Env = Readonly<Record<'DATABASE_URL' | 'REDIS_URL', string>>;

async function run(batch: MadeBatch, workers: number, env: Env, signal: AbortSignal): Promise<Step> {
  const start = (verb: string) => startSettlestream([verb], { env, signal, timeoutMs: 3_600_000 });
  const programs = Array.from({ length: workers }, () => start('work'));
  let lag: ReturnType<typeof watchLag> | undefined;
  try {
    // All are there before the report is.
    const pages = await Promise.all(programs.map(async (program) => JSON.parse(await program.says(/"pages: /)).url));
    for (const page of pages) while (!(await isReady(page))) await sleep(LOOK_MS, undefined, { signal });
    lag = watchLag(env, signal);
    programs.push(start('produce'));
    const times = `select extract(epoch from l.closed_at - d.found_at)::float8 as load, extract(epoch from r.published_at - d.found_at)::float8 as all
      from batch b join run r on r.no = b.current_run join report p on p.batch_no = b.no and p.kind = 'settlementDetails'
      join load l on l.no = p.load_no join delivery d on d.no = l.delivery_no
      where b.done = b.wanted and (r.facts->>'rows')::int = ${batch.rows}`;
    for (;;) {
      const [done] = await query<{ load: number; all: number }>(env.DATABASE_URL, times);
      if (done)
        return {
          workers,
          loadSeconds: done.load,
          seconds: done.all,
          meanWaitSeconds: await meanWait(pages),
          longestLagSeconds: lag.longest(),
        };
      await sleep(LOOK_MS * 4, undefined, { signal });
    }
  } finally {
    await lag?.stop();
    for (const { kill } of programs) kill('SIGTERM');
    await Promise.all(programs.map(({ ended }: Started) => ended));
  }
}

/** Looks at the queue now and again. */
function watchLag({ DATABASE_URL, REDIS_URL }: Env, signal: AbortSignal) {
  let longestMs = 0;
  let isStopped = false;
  const watching = (async () => {
    const [book] = await query<{ id: string }>(DATABASE_URL, 'select id from book');
    const queue = await openQueue({ databaseUrl: DATABASE_URL, redisUrl: REDIS_URL, bookId: book!.id });
    while (!isStopped && !signal.aborted) {
      for (const { oldestWaitingAtMs } of await queue.state(JOBS))
        if (oldestWaitingAtMs !== null) longestMs = Math.max(longestMs, Date.now() - oldestWaitingAtMs);
      await sleep(LOOK_MS);
    }
    await queue.close(0);
  })();
  return {
    longest: () => longestMs / 1_000,
    stop() {
      isStopped = true;
      return watching;
    },
  };
}

/** Over all workers. */
async function meanWait(pages: readonly string[]): Promise<number> {
  let [seconds, jobs] = [0, 0];
  for (const page of pages) {
    const text = await (await fetch(`${page}/metrics`)).text();
    const sampleOf = (part: string) =>
      Number(new RegExp(`^recon_job_wait_seconds_${part}\\{job="load-chunk"\\} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
    seconds += sampleOf('sum');
    jobs += sampleOf('count');
  }
  return seconds / Math.max(1, jobs);
}

const isReady = async (page: string): Promise<boolean> => (await fetch(`${page}/readyz`)).ok;

async function query<T>(url: string, text: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client
    .query(text)
    .then(({ rows }) => rows as T[])
    .finally(() => client.end());
}

const HEAD = [
  '| workers of one process | rows a second, loading | rows a second, in all | a job waited, on average | at the longest |',
  '|---:|---:|---:|---:|---:|',
];

const textOf = (steps: readonly Step[]): string[] =>
  steps.map(({ workers, loadSeconds, seconds, meanWaitSeconds, longestLagSeconds }) => {
    const perSecond = (of: number) => count(Math.round(given.rows / of));
    return `| ${workers} | ${perSecond(loadSeconds)} | ${perSecond(seconds)} | ${meanWaitSeconds.toFixed(1)} s | ${longestLagSeconds.toFixed(1)} s |`;
  });

await inPlace(measure);
