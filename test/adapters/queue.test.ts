import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type JobQueue, openQueue } from '../../src/adapters/queue/queue.ts';
import { Unreachable } from '../../src/domain/errors.ts';
import { JOBS } from '../../src/jobs.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { freshDatabase } from '../support/postgres.ts';
import { note } from '../support/queue-worker.ts';
import { startRedis } from '../support/redis.ts';
import { startServerPostgres } from '../support/server-postgres.ts';

type Where = Parameters<typeof openQueue>[0];
const WORKER = resolve(import.meta.dirname, '../support/queue-worker.ts');

/** A queue and what its worker saw. */
function watch(queue: JobQueue) {
  const seen: number[] = [];
  const waitsMs: (number | null)[] = [];
  const errors: string[] = [];
  let stalled = 0;
  let look = () => {};
  return {
    seen,
    waitsMs,
    errors,
    stalled: () => stalled,
    work: (run: (no: number) => Promise<void> | void = () => {}, concurrency = 1) =>
      queue.work(
        note,
        concurrency,
        async ({ no }, waitedMs) => {
          seen.push(no);
          waitsMs.push(waitedMs);
          look();
          await run(no);
        },
        (error) => errors.push(error.message),
        () => stalled++,
      ),
    /** Waits until so many jobs were started. */
    until: (count: number, withinMs = 10_000) =>
      new Promise<void>((resolve, reject) => {
        const late = setTimeout(
          () => reject(new Error(`${seen.length} of ${count} jobs in ${withinMs} ms: ${seen}; ${errors}`)),
          withinMs,
        );
        look = () => {
          if (seen.length < count) return;
          clearTimeout(late);
          resolve();
        };
        look();
      }),
  };
}

const backends: Record<string, () => Promise<Where>> = {
  redis: async () => {
    const redis = await startRedis();
    after(() => redis.stop());
    return { redisUrl: redis.url, databaseUrl: 'postgresql://nobody@127.0.0.1:1/none', bookId: 'b' };
  },
  postgres: async () => ({ databaseUrl: await freshDatabase(), bookId: 'b' }),
};

for (const [backend, make] of Object.entries(backends)) {
  describe(`the queue on ${backend}`, () => {
    /** Each test has a queue of its own; what it left behind is not there for the next. */
    const withQueue = async (use: (queue: JobQueue, where: Where) => Promise<void>) => {
      const where = await make();
      const queue = await openQueue(where);
      let isClosed = false;
      const close = (graceMs?: number) => {
        isClosed = true;
        return queue.close(graceMs);
      };
      try {
        assert.equal(queue.backend, backend);
        await use({ ...queue, close }, where);
      } finally {
        if (!isClosed) await close(1_000);
      }
    };

    test('a job runs', () =>
      withQueue(async (queue) => {
        const watched = watch(queue);
        watched.work();
        await queue.enqueue(note, { no: 1, attempt: 0 });
        await watched.until(1);
        assert.deepEqual(watched.seen, [1]);
      }));

    test('a job that waits is asked for twice and runs once; when it is done it can be asked for again', () =>
      withQueue(async (queue) => {
        const watched = watch(queue);
        for (const no of [1, 1, 2, 1]) await queue.enqueue(note, { no, attempt: 0 });
        watched.work();
        await watched.until(2);
        assert.deepEqual(watched.seen, [1, 2]);
        // Until the worker has said that it is done, the queue still holds the id.
        await askUntilTaken(queue, watched, { no: 1, attempt: 0 }, 3);
        assert.deepEqual(watched.seen, [1, 2, 1]);
      }));

    test('a job that fails leaves nothing behind, and the worker goes on', () =>
      withQueue(async (queue) => {
        const watched = watch(queue);
        watched.work((no) => {
          if (no === 1) throw new Error('this one fails');
        });
        await queue.enqueue(note, { no: 1, attempt: 0 });
        await queue.enqueue(note, { no: 2, attempt: 0 });
        await watched.until(2);
        assert.deepEqual(watched.seen, [1, 2]);
        await askUntilTaken(queue, watched, { no: 1, attempt: 0 }, 3);
        assert.deepEqual(watched.seen, [1, 2, 1]);
      }));

    test('a payload that is none of this kind is refused before it is queued', () =>
      withQueue(async (queue) => {
        await assert.rejects(queue.enqueue(note, { no: 'one', attempt: 0 } as never));
      }));

    test('a delayed job waits its time', () =>
      withQueue(async (queue) => {
        const watched = watch(queue);
        watched.work();
        const asked = performance.now();
        await queue.enqueue(note, { no: 1, attempt: 1 }, { delayMs: 700 });
        await queue.enqueue(note, { no: 2, attempt: 0 });
        await watched.until(2);
        assert.deepEqual(watched.seen, [2, 1]);
        assert.ok(performance.now() - asked >= 690, 'it came too early');
      }));

    test('a delay that is no whole number, or none at all, is taken all the same: no retry is lost', () =>
      withQueue(async (queue) => {
        const watched = watch(queue);
        watched.work();
        const delays = [249.99999999, 0.4, 1 / 3, -7.5, 1e-9, Math.PI];
        for (const [no, delayMs] of delays.entries()) await queue.enqueue(note, { no, attempt: 1 }, { delayMs });
        await watched.until(delays.length);
        assert.deepEqual(watched.seen.toSorted(), [...delays.keys()]);
      }));

    test('it is told how many jobs there are, since when the oldest could have been done, and how long each waited', () =>
      withQueue(async (queue) => {
        const other = { name: 'other' };
        const before = Date.now();
        await queue.enqueue(note, { no: 1, attempt: 0 }, { delayMs: 60_000 });
        await queue.enqueue(note, { no: 2, attempt: 0 });
        const between = Date.now();
        for (let no = 3; no <= 9; no++) await queue.enqueue(note, { no, attempt: 0 });
        const [notes, others] = await queue.state([note, other]);
        assert.deepEqual(notes?.counts, { waiting: 8, active: 0, delayed: 1, failed: 0 });
        const oldest = notes.oldestWaitingAtMs ?? 0;
        assert.ok(before <= oldest && oldest <= between, `${before} ${oldest} ${between}`);
        const counts = { waiting: 0, active: 0, delayed: 0, failed: 0 };
        assert.deepEqual(others, { queue: 'other', counts, oldestWaitingAtMs: null });

        const asked = Date.now();
        await queue.enqueue(note, { no: 10, attempt: 0 }, { delayMs: 500 });
        const watched = watch(queue);
        const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
        watched.work((no) => (no === 10 ? mayEnd : undefined));
        await watched.until(9);
        const [busy] = await queue.state([note]);
        assert.deepEqual(busy, {
          queue: 'note',
          counts: { ...counts, active: 1, delayed: 1 },
          oldestWaitingAtMs: null,
        });
        end();
        const waits = watched.waitsMs.map((ms) => ms ?? -1);
        assert.ok(
          waits.every((ms) => ms >= 0),
          `${waits}`,
        );
        // Its delay is no waiting.
        assert.ok(waits[8]! <= Date.now() - asked - 500, `${waits}`);
      }));

    test('as many jobs run at once as are allowed', () =>
      withQueue(async (queue) => {
        const watched = watch(queue);
        let atOnce = 0;
        let most = 0;
        watched.work(async () => {
          most = Math.max(most, ++atOnce);
          await new Promise((resolve) => setTimeout(resolve, 100));
          atOnce--;
        }, 3);
        for (let no = 1; no <= 9; no++) await queue.enqueue(note, { no, attempt: 0 });
        await watched.until(9);
        assert.equal(most, 3);
      }));

    test('closing waits for the job under way', () =>
      withQueue(async (queue) => {
        const watched = watch(queue);
        let isDone = false;
        watched.work(async () => {
          await new Promise((resolve) => setTimeout(resolve, 500));
          isDone = true;
        });
        await queue.enqueue(note, { no: 1, attempt: 0 });
        await watched.until(1);
        await queue.close(10_000);
        assert.ok(isDone);
      }));

    test('a worker is stopped in the middle of a job that does not end: its process ends all the same', () =>
      withQueue(async (queue, where) => {
        const worker = await workerWith(queue, where, 7);
        worker.kill('SIGTERM');
        await endOf(worker, 8_000);
      }));

    test('a worker is killed in the middle of a job: another takes the job over within seconds', () =>
      withQueue(async (queue, where) => {
        const worker = await workerWith(queue, where, 7);
        worker.kill('SIGKILL');
        await endOf(worker, 10_000);
        const watched = watch(queue);
        watched.work();
        await watched.until(1, 60_000);
        assert.deepEqual(watched.seen, [7]);
        assert.deepEqual(watched.waitsMs, [null], 'the time of the first try is no waiting');
        // Who finds the lost job says so when its question is answered; the job may have been taken up before that.
        for (let tries = 0; tries < 300 && watched.stalled() === 0; tries++) await delay(100);
        assert.equal(watched.stalled(), 1);
      }));
  });
}

/** The queue ignores an id until it has let go of it, which follows the end of the job by a moment. */
async function askUntilTaken(
  queue: JobQueue,
  watched: ReturnType<typeof watch>,
  payload: { no: number; attempt: number },
  count: number,
): Promise<void> {
  for (let tries = 0; tries < 50 && watched.seen.length < count; tries++) {
    await queue.enqueue(note, payload);
    await watched.until(count, 200).catch(() => {});
  }
  await watched.until(count, 1);
}

/** A worker in a process of its own, in the middle of this job. */
async function workerWith(queue: JobQueue, where: Where, no: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [WORKER, JSON.stringify(where)], { stdio: ['ignore', 'pipe', 'inherit'] });
  await queue.enqueue(note, { no, attempt: 0 });
  const [said] = await once(child.stdout, 'data');
  assert.equal(String(said), `took ${no}\n`);
  return child;
}

async function endOf(child: ChildProcess, withinMs: number): Promise<void> {
  const late = setTimeout(() => child.kill('SIGKILL'), withinMs);
  const asked = performance.now();
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  clearTimeout(late);
  assert.ok(performance.now() - asked < withinMs, `the process was still there after ${withinMs} ms`);
}

test('queues and workers of all kinds of jobs share one pool of Postgres, and Node warns of nothing', async () => {
  const warnings: Error[] = [];
  const warned = (warning: Error) => warnings.push(warning);
  process.on('warning', warned);
  const queue = await openQueue({ databaseUrl: await freshDatabase(), bookId: 'b' });
  const kinds = Array.from({ length: JOBS.length }, (_, no) => ({ ...note, name: `note-${no}` }));
  const taken = new Set<string>();
  const allTaken = new Promise<void>((resolve) => {
    for (const kind of kinds)
      queue.work(
        kind,
        1,
        async () => void (taken.add(kind.name).size === kinds.length && resolve()),
        () => {},
      );
  });
  for (const kind of kinds) await queue.enqueue(kind, { no: 1, attempt: 0 });
  await allTaken;
  await queue.close();
  process.off('warning', warned);
  assert.deepEqual(warnings, []);
});

test('Redis goes away: adding and looking fail at once, and a worker can still be stopped', async () => {
  const redis = await startRedis();
  const where = { redisUrl: redis.url, databaseUrl: '', bookId: 'b' };
  const queue = await openQueue(where);
  const worker = await workerWith(queue, where, 1);
  process.kill(redis.pid, 'SIGKILL');
  await redis.stop();
  const asked = performance.now();
  const { host } = new URL(redis.url);
  const isNamed = (error: Error) =>
    error instanceof Unreachable &&
    error.message.startsWith(`Redis at ${host} is unavailable (`) &&
    !error.message.includes('enableOfflineQueue');
  await assert.rejects(queue.enqueue(note, { no: 2, attempt: 0 }), isNamed);
  await assert.rejects(queue.state([note]), isNamed);
  await queue.close(500);
  assert.ok(performance.now() - asked < 15_000, `it took ${performance.now() - asked} ms`);
  worker.kill('SIGTERM');
  await endOf(worker, 8_000);
});

test('Postgres goes away before and while a worker starts: jobs are taken soon after its return, and it can be stopped', async () => {
  const postgres = await startServerPostgres();
  after(() => postgres.stop());
  const queue = await openQueue({ databaseUrl: postgres.url, bookId: 'b' });
  const kinds = ['while', 'before'].map((name) => ({ ...note, name }));
  const taken: string[] = [];
  const errors: string[] = [];
  const work = (kind: (typeof kinds)[number]) =>
    queue.work(
      kind,
      1,
      async () => void taken.push(kind.name),
      (error) => errors.push(error.message),
    );
  work(kinds[0]!);
  await postgres.kill();
  work(kinds[1]!);
  for (const kind of kinds)
    await assert.rejects(queue.enqueue(kind, { no: 1, attempt: 0 }), /^Unreachable: Postgres at /);
  await delay(1_500);
  await postgres.start();
  for (const kind of kinds) await queue.enqueue(kind, { no: 1, attempt: 0 });
  for (const deadline = Date.now() + PATIENCE_MS; taken.length < 2; await delay(50))
    assert.ok(Date.now() < deadline, `taken: ${taken}; ${errors.slice(-5)}`);
  // Right after the last job: its worker cannot write down that it is done.
  await postgres.kill();
  const asked = performance.now();
  await queue.close(20_000);
  assert.ok(performance.now() - asked < 15_000, `it took ${performance.now() - asked} ms`);
  assert.ok(
    errors.every((error) => error.startsWith('Postgres at ')),
    errors.join('\n'),
  );
});

test('nobody answers where the queue should be', async () => {
  await assert.rejects(
    openQueue({ redisUrl: 'redis://:secret@127.0.0.1:1', databaseUrl: '', bookId: 'b' }),
    (error: Error) => {
      assert.ok(error instanceof Unreachable);
      assert.match(error.message, /127\.0\.0\.1:1.*REDIS_URL/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
});
