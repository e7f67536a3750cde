/** What a backup brings back: the commands of docs/operating.md, on a Postgres as others host it, and on our own. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, lstatSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { sameAnswer } from '../support/answer.ts';
import { answerOf, checkBook, digestsOf, optionsOf, query, sameDigests, temporaryFolder } from '../support/book.ts';
import { makeFaults } from '../support/faults.ts';
import { startRedis } from '../support/redis.ts';
import { startServerPostgres } from '../support/server-postgres.ts';
import { settlestream, startSettlestream } from '../support/settlestream.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const DAYS = ['20240525', '20240823', '20240824'];
const made = makeFaults(temporaryFolder(), 13, 300);
const [reports = ''] = made.paths;
for (const path of readdirSync(reports, { recursive: true, encoding: 'utf8' })) {
  if (/\/\d{8}$/.test(path) && !DAYS.some((day) => path.endsWith(day)))
    rmSync(join(reports, path), { recursive: true });
}
const options = optionsOf(made);
const RECONCILE = ['reconcile', ...made.paths, '--ledger', made.ledger, ...options, '--json'];
const WORK = { SETTLESTREAM_PROCESSES: '2', SETTLESTREAM_POLL_SECONDS: '1' };

/** What people and scripts see of a book. */
async function looks(env: Readonly<Record<string, string>>): Promise<unknown[]> {
  const seen = [];
  for (const verb of ['discrepancies']) {
    const { code, json, stderr } = await settlestream([verb, '--json'], { env });
    assert.equal(code, 0, stderr);
    seen.push(json);
  }
  return seen;
}

test('pg_dump, the archive, and nothing of the queue: the book is as it was, and goes on where it was', async () => {
  const postgres = await startServerPostgres();
  const redis = await startRedis();
  after(() => Promise.all([postgres.stop(), redis.stop()]));
  await query(postgres.url, `create role settlestream login password 's3cret'`);
  const urlOf = async (name: string) => {
    await query(postgres.url, `create database ${name} owner settlestream`);
    return `postgres://settlestream:s3cret@${postgres.host}:${postgres.port}/${name}`;
  };
  const [dataDir, elsewhere, undisturbedDir] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  const whole = { DATABASE_URL: await urlOf('whole'), SETTLESTREAM_DATA_DIR: undisturbedDir, ...WORK };
  const undisturbed = answerOf(await settlestream(RECONCILE, { env: whole }));

  // Two thirds are reconciled, the rest is found and stands in the queue, which is lost.
  const env = { DATABASE_URL: await urlOf('book'), REDIS_URL: redis.url, SETTLESTREAM_DATA_DIR: dataDir, ...WORK };
  const later = readdirSync(reports, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith(DAYS[2]!));
  const aside = temporaryFolder();
  const move = (from: string, to: string) => {
    for (const path of later) {
      mkdirSync(dirname(join(to, path)), { recursive: true });
      renameSync(join(from, path), join(to, path));
    }
  };
  move(reports, aside);
  await settlestream(RECONCILE, { env });
  move(aside, reports);
  const producer = startSettlestream(['produce', '--folder', reports, ...options], { env });
  const found = `select from delivery where state = 'found'`;
  while ((await query(env.DATABASE_URL, found)).length < 3) await delay(50);
  producer.kill('SIGTERM');
  await producer.ended;
  const before = { looks: await looks(env), digests: await digestsOf(env.DATABASE_URL) };
  assert.ok(Object.keys(before.digests).length >= 3);

  const dump = join(temporaryFolder(), 'book.dump');
  postgres.run('pg_dump', ['--format=custom', '--exclude-schema=bullmq', `--file=${dump}`, 'book']);
  cpSync(join(dataDir, 'archive'), join(elsewhere, 'archive'), { recursive: true });
  await query(postgres.url, 'drop database book with (force)');
  rmSync(join(dataDir, 'archive'), { recursive: true });
  await redis.stop();

  const restored = { DATABASE_URL: await urlOf('restored'), SETTLESTREAM_DATA_DIR: elsewhere, ...WORK };
  const url = restored.DATABASE_URL;
  postgres.run('pg_restore', [
    '--no-owner',
    '--no-privileges',
    '--role=settlestream',
    '--exit-on-error',
    '--dbname=restored',
    dump,
  ]);
  const paths = ['-v', `from=${join(dataDir, 'archive')}`, '-v', `to=${join(elsewhere, 'archive')}`];
  postgres.run('psql', [...paths, '--quiet', '-f', join(ROOT, 'deploy/postgres/move-archive.sql'), url]);
  assert.deepEqual(await looks(restored), before.looks);
  sameDigests(await digestsOf(url), before.digests);

  const [batch] = await query<{ id: string }>(
    url,
    `select batch_id as id from batch where current_run is not null and batch_id is not null order by no limit 1`,
  );
  const replayed = await settlestream(['replay', '--batch', batch!.id, '--json'], { env: restored });
  assert.equal(replayed.code, 0, replayed.stderr);
  for (const { before, after } of replayed.json.batches) assert.deepEqual(after, before);

  const service = startSettlestream(['run', '--folder', reports, ...options], { env: restored });
  const open = `select from delivery where state in ('found', 'reading') union all select from batch where done < wanted`;
  while ((await query(url, open)).length > 0) await delay(100);
  service.kill('SIGTERM');
  assert.equal((await service.ended).code, 0);
  sameAnswer(answerOf(await settlestream(RECONCILE, { env: restored })), undisturbed);
  await checkBook(url);
});

test('a copy of the data folder, made while nothing uses it, is another book with the same answers', async () => {
  const folder = temporaryFolder();
  const [original, copy] = [join(folder, 'book'), join(folder, 'copy')];
  const env = { ...WORK, SETTLESTREAM_DATA_DIR: original };
  assert.equal((await settlestream(RECONCILE, { env })).json.reports.length > 5, true);
  const before = await looks(env);

  execFileSync('cp', ['-a', original, copy]);
  // Root cannot run Postgres: its cluster lies elsewhere, and `postgres` is a link to it.
  const cluster = join(copy, 'postgres');
  const clusters: string[] = [];
  if (lstatSync(cluster).isSymbolicLink()) {
    const [own, other] = [realpathSync(cluster), `${realpathSync(cluster)}-copy`];
    clusters.push(own, other);
    execFileSync('cp', ['-a', own, other]);
    rmSync(cluster);
    symlinkSync(other, cluster);
  }
  after(() => clusters.forEach((path) => void rmSync(path, { recursive: true, force: true })));
  rmSync(join(original, 'archive'), { recursive: true });
  assert.deepEqual(await looks({ ...WORK, SETTLESTREAM_DATA_DIR: copy }), before);
});
