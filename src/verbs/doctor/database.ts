import { sql } from 'kysely';
import type { Db } from '../../adapters/postgres/connection.ts';
import { missingMigrations } from '../../adapters/postgres/migrations.ts';
import type { Config } from '../../config/config.ts';
import { type Checked, ok, problem, warning } from './check.ts';

const OLDEST = 130_000;
/** A process has so many connections, each parser so many more; the queue in Postgres takes some for itself. */
const OF_PROCESS = 11;
const OF_PARSER = 3;
const OF_QUEUE = 10 + 4;
/** Smaller is a setting of long ago, and every row is read from disk again and again. */
const SMALL_BUFFERS_BYTES = 32 << 20;
const MOST_SECONDS_OFF = 60;

type Settings = {
  version: string;
  versionNum: number;
  encoding: string;
  fsync: string;
  synchronousCommit: string;
  fullPageWrites: string;
  maxConnections: number;
  usedConnections: number;
  sharedBuffersBytes: bigint;
  nowMs: number;
};

/** The server: its version, its clock, and those of its settings that can lose the book or keep workers waiting. */
export async function checkServer(db: Db, config: Config): Promise<readonly Checked[]> {
  const askedAtMs = Date.now();
  const settings = await settingsOf(db);
  const hereMs = (askedAtMs + Date.now()) / 2;
  return [
    settings.versionNum < OLDEST
      ? problem('database version', `Postgres ${settings.version}`, 'Use Postgres 13 or newer.')
      : ok('database version', `Postgres ${settings.version}`),
    ...checkSettings(settings, config),
    checkClock('database clock', settings.nowMs - hereMs),
  ];
}

async function settingsOf(db: Db): Promise<Settings> {
  const found = await sql<Settings>`
    select current_setting('server_version') as version, current_setting('server_version_num')::int as "versionNum",
           pg_encoding_to_char(encoding) as encoding, current_setting('fsync') as fsync,
           current_setting('synchronous_commit') as "synchronousCommit", current_setting('full_page_writes') as "fullPageWrites",
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as "maxConnections",
           (select count(*)::int from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()) as "usedConnections",
           pg_size_bytes(current_setting('shared_buffers')) as "sharedBuffersBytes",
           (extract(epoch from clock_timestamp()) * 1000)::float8 as "nowMs"
      from pg_database where datname = current_database()`.execute(db);
  return found.rows[0]!;
}

function checkSettings(settings: Settings, config: Config): readonly Checked[] {
  const name = 'database settings';
  const needed = OF_PROCESS + OF_PARSER * config.processes + (config.redisUrl ? 0 : OF_QUEUE);
  const wrong: Checked[] = [];
  if (settings.encoding !== 'UTF8')
    wrong.push(problem(name, `its encoding is ${settings.encoding}`, "Create the database with encoding 'UTF8'."));
  for (const [setting, value] of [
    ['fsync', settings.fsync],
    ['full_page_writes', settings.fullPageWrites],
  ] as const) {
    if (value === 'off')
      wrong.push(
        problem(name, `${setting} is off: a crash of its machine can destroy the database`, `Set ${setting} to on.`),
      );
  }
  if (settings.synchronousCommit === 'off')
    wrong.push(warning(name, 'synchronous_commit is off: a crash can lose committed work', 'Set it to on.'));
  if (settings.maxConnections - settings.usedConnections < needed)
    wrong.push(
      warning(
        name,
        `${settings.usedConnections} of ${settings.maxConnections} connections are in use, and one "run" of ${config.processes} processes may need ${needed}`,
        'Raise max_connections, or use fewer processes.',
      ),
    );
  if (Number(settings.sharedBuffersBytes) < SMALL_BUFFERS_BYTES)
    wrong.push(
      warning(name, `shared_buffers are ${Number(settings.sharedBuffersBytes) >> 20} MiB`, 'Set 128MB or more.'),
    );
  return wrong.length > 0 ? wrong : [ok(name, `${settings.maxConnections} connections, one "run" may need ${needed}`)];
}

/** `offMs` above zero: the other clock is ahead of ours. */
export function checkClock(name: string, offMs: number): Checked {
  const seconds = Math.round(Math.abs(offMs) / 1_000);
  if (seconds <= MOST_SECONDS_OFF) return ok(name, `agrees with this machine's to ${seconds} s`);
  return warning(
    name,
    `is ${seconds} s ${offMs > 0 ? 'ahead of' : 'behind'} this machine's`,
    'Use the same time servers on both machines: until then ages and due times are wrong.',
  );
}

export async function checkMigrations(db: Db): Promise<readonly Checked[]> {
  const missing = await missingMigrations(db).catch((error: { code?: string }) => {
    if (error.code === '42P01') return ['all of them'];
    throw error;
  });
  return missing.length === 0
    ? [ok('migrations', 'the database is up to date')]
    : [problem('migrations', `not applied: ${missing.join(', ')}`, 'Run: settlestream migrate')];
}
