/**
 * Processes die, stop and come back, and the queue loses everything, at any moment: the book comes to the same result as
 * without it, and no row stands in it twice.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { openEmbeddedPostgres } from '../src/adapters/postgres/embedded.ts';
import { type Answer, sameAnswer } from './support/answer.ts';
import { answerOf, checkBook, digestsOf, optionsOf, query, sameDigests, temporaryFolder } from './support/book.ts';
import { makeFaults } from './support/faults.ts';
import { startPostgres, templateCopy } from './support/postgres.ts';
import { startRedis } from './support/redis.ts';
import { type Started, settlestream, startSettlestream } from './support/settlestream.ts';
import { sized } from './support/size.ts';

/** Moments of death, over both queues; SETTLESTREAM_TEST_KILLS=200 looks closer. */
const KILLS = Number(process.env['SETTLESTREAM_TEST_KILLS'] ?? sized(6, 60));
/** A killed parent's jobs are free only after ten seconds: most of the time is waiting, and tests wait side by side. */
const LANES = 6;
const SERVERS = 3;

const made = makeFaults(temporaryFolder(), 13, 1_200);
// Three of its days are enough: some twenty files, among them several of two chunks.
for (const path of readdirSync(made.paths[0]!, { recursive: true, encoding: 'utf8' })) {
  if (/\/\d{8}$/.test(path) && !/(20240525|20240823|20240824)$/.test(path)) {
    rmSync(join(made.paths[0]!, path), { recursive: true });
  }
}
const RECONCILE = ['reconcile', ...made.paths, '--ledger', made.ledger, ...optionsOf(made), '--json'];
const WORK = { SETTLESTREAM_CHUNK_BYTES: '65536', SETTLESTREAM_PROCESSES: '2', SETTLESTREAM_POLL_SECONDS: '1' };

type Env = Readonly<Record<string, string>>;
type Queue = 'postgres' | 'redis';

let undisturbed: { answer: Answer; digests: Record<string, string>; steps: number };
const servers = await Promise.all(Array.from({ length: SERVERS }, () => startPostgres()));
const redis = await startRedis();
after(() => Promise.all([redis.stop(), ...servers.map((server) => server.close())]));

let books = 0;
/** A book of its own, in a database and, where it is asked for, a Redis database that nobody else uses. */
async function newBook(queue: Queue): Promise<Env & { DATABASE_URL: string }> {
  const no = books++;
  const book = {
    DATABASE_URL: await templateCopy(servers[no % SERVERS]!.url),
    SETTLESTREAM_DATA_DIR: temporaryFolder(),
    ...WORK,
  };
  if (queue === 'postgres') return book;
  // Each Redis has sixteen databases, and the books that are in use at a time are fewer.
  const url = `${redis.url}/${no % 16}`;
  await onRedis(url, (client) => client.flushdb());
  return { ...book, REDIS_URL: url };
}

async function onRedis(url: string, act: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(url);
  await act(client);
  client.disconnect();
}

const STEPS = `select (select count(*)::int from delivery where state not in ('found', 'reading')) + (select count(*)::int from batch where done > 0) as steps`;

/** Waits until something is so in the book, looking often; false where the program ended before. */
async function until(
  url: string,
  statement: string,
  isTrue: (row: never) => boolean,
  program?: Started,
): Promise<boolean> {
  let hasEnded = false;
  program?.ended.then(() => {
    hasEnded = true;
  });
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    for (const deadline = Date.now() + 300_000; Date.now() < deadline && !hasEnded; await delay(5)) {
      const { rows } = await client.query(statement);
      if (rows.length > 0 && isTrue(rows[0] as never)) return true;
    }
    assert.ok(hasEnded, `this did not come about within five minutes: ${statement}`);
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

const untilSteps = (url: string, steps: number, program?: Started) =>
  until(url, STEPS, (row: { steps: number }) => row.steps >= steps, program);

const IS_DONE = `select not exists (select from delivery where state in ('found', 'reading')) and not exists (select from batch where done < wanted)
  and exists (select from batch) as done`;
const untilDone = (url: string) => until(url, IS_DONE, (row: { done: boolean }) => row.done);

/** The parser processes of a program; none where it has just begun, or has ended. */
const parsersOf = ({ pid }: Started): number[] =>
  (spawnSync('ps', ['-o', 'pid=,args=', '--ppid', String(pid)], { encoding: 'utf8' }).stdout ?? '')
    .split('\n')
    .filter((line) => line.includes('parser-process.'))
    .map((line) => Number.parseInt(line, 10));

const kill = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
};

/** The answer, the digests and the rows are those of a run in which nothing happened. */
async function checkAgainstUndisturbed(env: Env & { DATABASE_URL: string }, answer?: Answer): Promise<void> {
  const found = answer ?? answerOf(await settlestream(RECONCILE, { env }));
  sameAnswer(found, undisturbed.answer);
  sameDigests(await digestsOf(env.DATABASE_URL), undisturbed.digests);
  await checkBook(env.DATABASE_URL);
}

before(async () => {
  const env = await newBook('postgres');
  const answer = answerOf(await settlestream(RECONCILE, { env }));
  const [{ steps }] = (await query<{ steps: number }>(env.DATABASE_URL, STEPS)) as [{ steps: number }];
  undisturbed = { answer, digests: await digestsOf(env.DATABASE_URL), steps };
  assert.ok(steps > 20, `there is much to do: ${steps} steps`);
});

suite('death and loss', { concurrency: LANES }, () => {
  for (let no = 0; no < KILLS; no++) {
    const queue: Queue = no % 2 === 0 ? 'postgres' : 'redis';
    const whom = no % 5 < 3 ? 'the parent' : 'a parser';
    const moment = KILLS === 1 ? 0 : no / (KILLS - 1);
    test(`kill -9 of ${whom} after ${Math.round(moment * 100)} %, on ${queue}`, async () => {
      const env = await newBook(queue);
      const program = startSettlestream(RECONCILE, { env });
      await untilSteps(env.DATABASE_URL, moment * undisturbed.steps * 0.95, program);
      // Within a step too, and, for the first, within the start.
      await delay(no === 0 ? 400 : (no * 7) % 23);
      const parsers = parsersOf(program);
      kill(whom === 'the parent' ? program.pid : (parsers[no % parsers.length] ?? program.pid), 'SIGKILL');
      const ended = await program.ended;
      await checkAgainstUndisturbed(env, ended.code === null ? undefined : answerOf(ended));
    });
  }

  for (const queue of ['postgres', 'redis'] as const) {
    test(`the queue on ${queue} loses everything`, async () => {
      const env = await newBook(queue);
      const program = startSettlestream(RECONCILE, { env });
      for (const moment of [0.2, 0.6]) {
        await untilSteps(env.DATABASE_URL, moment * undisturbed.steps, program);
        if (env['REDIS_URL']) await onRedis(env['REDIS_URL'], (client) => client.flushdb());
        else await emptyPostgresQueue(env.DATABASE_URL);
      }
      await checkAgainstUndisturbed(env, answerOf(await program.ended));
    });

    test(`a worker on ${queue} stops for longer than its locks last, another takes over, the first wakes up`, async () => {
      const env = await newBook(queue);
      await settlestream(['ledger', 'import', made.ledger], { env });
      const serving = ['--folder', made.paths[0]!, ...optionsOf(made)];
      const first = startSettlestream(['work', ...serving], { env });
      const producer = startSettlestream(['produce', ...serving], { env });
      const all = [first, producer];
      try {
        await untilSteps(env.DATABASE_URL, 0.3 * undisturbed.steps);
        const inTheMiddle = `select from pg_stat_activity where datname = current_database() and application_name ~ '^settlestream (load-chunk|reconcile)' and xact_start is not null`;
        await until(env.DATABASE_URL, inTheMiddle, () => true);
        const stopped = [first.pid, ...parsersOf(first)];
        for (const pid of stopped) kill(pid, 'SIGSTOP');
        const second = startSettlestream(['work', ...serving], { env });
        all.push(second);
        await untilDone(env.DATABASE_URL);
        for (const pid of stopped) kill(pid, 'SIGCONT');
        // The first goes on where it was, and finds that it is too late.
        await delay(2_000);
        await untilDone(env.DATABASE_URL);
      } finally {
        for (const { pid } of all) kill(pid, 'SIGCONT');
        for (const { kill } of all) kill('SIGTERM');
        for (const { ended } of all) assert.equal((await ended).code, 0);
      }
      sameDigests(await digestsOf(env.DATABASE_URL), undisturbed.digests);
      await checkBook(env.DATABASE_URL);
    });
  }

  for (const moment of [0.1, 0.5, 0.9]) {
    test(`kill -9 of the parent after ${moment * 100} %, its own Postgres and all`, async () => {
      const dataDir = temporaryFolder();
      const env = { SETTLESTREAM_DATA_DIR: dataDir, ...WORK };
      const program = startSettlestream(RECONCILE, { env });
      await program.says(/database:/);
      const server = await openEmbeddedPostgres({ dataDir });
      await until(
        server.url,
        `select to_regclass('run_open_reference') is not null as made`,
        (row: { made: boolean }) => row.made,
      );
      await untilSteps(server.url, moment * undisturbed.steps, program);
      kill(program.pid, 'SIGKILL');
      await server.close();
      const ended = await program.ended;
      const answer = answerOf(ended.stdout === '' ? await settlestream(RECONCILE, { env }) : ended);
      sameAnswer(answer, undisturbed.answer);
      const again = await openEmbeddedPostgres({ dataDir });
      try {
        sameDigests(await digestsOf(again.url), undisturbed.digests);
        await checkBook(again.url);
      } finally {
        await again.close();
      }
    });
  }
});

/** What losing the queue is like where it lives beside the book: its tables are as new. */
async function emptyPostgresQueue(url: string): Promise<void> {
  const tables = await query<{ name: string }>(
    url,
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'bullmq' and tablename !~ 'migration'`,
  );
  assert.ok(tables.length > 0);
  // A worker asks several of these tables in one statement, in an order of its own: whoever is told of a deadlock asks again.
  for (let done = false; !done; ) {
    done = await query(url, `truncate ${tables.map(({ name }) => name).join(', ')}`).then(
      () => true,
      (error: { code?: string }) => {
        if (error.code !== '40P01') throw error;
        return false;
      },
    );
  }
}
