/**
 * A worker is told to end in the middle of its work: it says so before it does so, ends what it is at or leaves it to others, and the book
 * comes to what it comes to when nothing happens.
 */
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Answer, sameAnswer } from './support/answer.ts';
import { answerOf, checkBook, digestsOf, optionsOf, query, sameDigests, temporaryFolder } from './support/book.ts';
import { makeFaults } from './support/faults.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { startPostgres, templateCopy } from './support/postgres.ts';
import { startRedis } from './support/redis.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

const made = makeFaults(temporaryFolder(), 13, 300);
for (const path of readdirSync(made.paths[0]!, { recursive: true, encoding: 'utf8' })) {
  if (/\/\d{8}$/.test(path) && !/(20240525|20240823|20240824)$/.test(path))
    rmSync(join(made.paths[0]!, path), { recursive: true });
}
const RECONCILE = ['reconcile', ...made.paths, '--ledger', made.ledger, ...optionsOf(made), '--json'];
const SERVING = ['--folder', made.paths[0]!, ...optionsOf(made)];
const WORK = { SETTLESTREAM_CHUNK_BYTES: '65536', SETTLESTREAM_PROCESSES: '2', SETTLESTREAM_POLL_SECONDS: '1' };

/** So many tests run side by side, each with a server of its own: three programs take most of its connections. */
const LANES = 2;
const servers = await Promise.all(Array.from({ length: LANES }, () => startPostgres()));
const redis = await startRedis();
after(() => Promise.all([redis.stop(), ...servers.map((server) => server.close())]));
const free = [...servers];
let undisturbed: { answer: Answer; digests: Record<string, string> };

before(async () => {
  const env = { DATABASE_URL: await templateCopy(servers[0]!.url), SETTLESTREAM_DATA_DIR: temporaryFolder(), ...WORK };
  const answer = answerOf(await settlestream(RECONCILE, { env }));
  undisturbed = { answer, digests: await digestsOf(env.DATABASE_URL) };
});

async function until(url: string, statement: string): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; (await query(url, statement)).length === 0; await delay(100))
    assert.ok(Date.now() < deadline, `it does not come about: ${statement}`);
}

const DONE = `select where exists (select from batch) and not exists (select from delivery where state in ('found', 'reading')) and not exists (select from batch where done < wanted)`;
/** A job that wants to publish its run, and has to wait for us. */
const HELD = `select from pg_stat_activity where datname = current_database() and application_name like 'settlestream reconcile%' and wait_event_type = 'Lock'`;

type Pages = { readonly ready: number; readonly reasons: string; readonly healthy: number };

/** What the pages say, both at the same moment; null once nobody answers any more. */
async function pagesOf(url: string): Promise<Pages | null> {
  try {
    const [ready, healthy] = await Promise.all([fetch(`${url}/readyz`), fetch(`${url}/healthz`)]);
    return { ready: ready.status, reasons: (await ready.text()).trim(), healthy: healthy.status };
  } catch {
    return null;
  }
}

suite('SIGTERM in the middle of the work', { concurrency: LANES }, () => {
  for (const [number, queue] of (['postgres', 'redis'] as const).entries()) {
    for (const ends of ['may end', 'does not end'] as const) {
      test(`the job under way ${ends} in time, queue on ${queue}`, async (t) => {
        const server = free.pop()!;
        t.after(() => free.push(server));
        const env = {
          DATABASE_URL: await templateCopy(server.url),
          SETTLESTREAM_DATA_DIR: temporaryFolder(),
          ...WORK,
          ...(queue === 'redis' ? { REDIS_URL: `${redis.url}/${number}` } : {}),
        };
        const url = env.DATABASE_URL;
        await settlestream(['ledger', 'import', made.ledger], { env });
        const drain = { SETTLESTREAM_DRAIN_SECONDS: ends === 'may end' ? '60' : '1' };
        const first = startSettlestream(['work', ...SERVING], { env: { ...env, ...drain } });
        const page = JSON.parse(await first.says(/"pages: /)).url;
        const producer = startSettlestream(['produce', ...SERVING], { env });
        const holder = new pg.Client({ connectionString: url });
        holder.on('error', () => {});
        await holder.connect();
        t.after(async () => {
          await holder.end();
          for (const { kill } of [first, producer]) kill('SIGKILL');
        });
        await holder.query('begin; lock table run in share mode');
        await until(url, HELD);
        assert.deepEqual(await pagesOf(page), { ready: 200, reasons: 'ready', healthy: 200 });

        first.kill('SIGTERM');
        const startedAt = Date.now();
        const told: Pages[] = [];
        const watching = (async () => {
          for (let said = await pagesOf(page); said; said = await pagesOf(page)) {
            told.push(said);
            await delay(50);
          }
        })();
        await first.says(/"draining"/);
        const published = 'select no from run';
        if (ends === 'may end') {
          while (told.filter(({ ready }) => ready === 503).length < 3) await delay(10);
          assert.deepEqual(await query(url, published), [], 'it waits for the job, and the job for us');
          await holder.query('commit');
        }
        const { code, stderr } = await first.ended;
        const seconds = (Date.now() - startedAt) / 1_000;
        assert.equal(code, 0, stderr.slice(-2_000));
        if (ends === 'may end') assert.ok((await query(url, published)).length > 0, 'what was under way is published');
        else {
          assert.ok(seconds < 10, `${seconds} s`);
          await holder.query('commit');
        }
        await watching;
        assert.ok(told.length > 0);
        for (const pages of told.slice(1)) assert.deepEqual(pages, { ready: 503, reasons: 'draining', healthy: 200 });

        const second = startSettlestream(['work', ...SERVING], { env });
        await until(url, DONE);
        for (const service of [second, producer]) {
          service.kill('SIGTERM');
          assert.equal((await service.ended).code, 0);
        }
        if (ends === 'does not end') sameAnswer(answerOf(await settlestream(RECONCILE, { env })), undisturbed.answer);
        sameDigests(await digestsOf(url), undisturbed.digests);
        await checkBook(url);
      });
    }
  }
});

test('a worker that is told to end while it starts ends, and has done nothing', async () => {
  const env = { DATABASE_URL: await templateCopy(servers[0]!.url), SETTLESTREAM_DATA_DIR: temporaryFolder(), ...WORK };
  const worker = startSettlestream(['work', ...SERVING], { env });
  await worker.says(/"pages: /);
  worker.kill('SIGTERM');
  assert.equal((await worker.ended).code, 0);
});
