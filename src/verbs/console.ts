import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { openLog } from '../adapters/log.ts';
import { type Database, openReadOnly } from '../adapters/postgres/connection.ts';
import { apiApp } from '../api/app.ts';
import type { ApiParts } from '../api/parts.ts';
import type { Config, Options } from '../config/config.ts';
import { consoleApp } from '../console/app.ts';
import { hashOf, newSecret } from '../console/security.ts';
import { UsageError } from '../domain/errors.ts';
import { nameMistake } from '../domain/handling.ts';
import { insertLogin, type Person, ROLES, type Role } from '../store/sessions.ts';
import { confirmNow } from './bank.ts';
import { examine } from './doctor/doctor.ts';
import { replayNow, withdrawNow } from './replay.ts';
import { actorOf } from './session/actor.ts';
import { withDatabase } from './session/storage.ts';

const CONNECT_MS = 5_000;

/** Serves the console on this machine until it is told to stop. Prints a link that signs in once. */
export async function serveConsole(config: Config, options: Options, stop: AbortSignal): Promise<number> {
  const person = personOf(options);
  return withDatabase(config, async (writing) => {
    const reading = openReadOnly(writing.url, CONNECT_MS);
    const health = seldom(() => examine({ config: options['config'], dataDir: options['dataDir'] }));
    const parts = { reading, writing, limits: config.handling.approval, log: openLog(config.logLevel), now: Date.now };
    const settings = apiSettings(config, writing);
    const pages = consoleApp({ ...parts, health, work: settings.work });
    const api = apiApp({ ...parts, ...settings });
    const server = createAdaptorServer({
      fetch: (request, env) => (new URL(request.url).pathname.startsWith('/api/') ? api : pages).fetch(request, env),
      serverOptions: { headersTimeout: 5_000, requestTimeout: 10_000 },
    });
    try {
      const port = await listening(server, config.console.port);
      process.stderr.write(`settlestream: console at http://127.0.0.1:${port}/\n`);
      process.stdout.write(`${await linkFor(writing, port, person)}\n`);
      await aborted(stop);
    } finally {
      server.close();
      if ('closeAllConnections' in server) server.closeAllConnections();
      await reading.close();
    }
  });
}

/** What the API needs of the settings, and how it does what takes workers. */
const apiSettings = (config: Config, database: Database): Pick<ApiParts, 'calendars' | 'timeZone' | 'work'> => ({
  calendars: config.sources.map(({ name, merchantId = null, calendar }) => ({ name, merchantId, calendar })),
  timeZone: config.timeZone,
  work: {
    replay: (asked, how) => replayNow(config, asked, how),
    withdraw: (asked, actor) => withdrawNow(config, asked, actor),
    confirm: (asked, actor) => confirmNow(config, database, asked, actor),
  },
});

const HEALTH_MS = 60_000;

/** Looks once a minute at most, whoever asks: it logs in to servers, which lock accounts that do so too often. */
function seldom<T>(look: () => Promise<T>): () => Promise<T> {
  let last: { readonly atMs: number; readonly result: Promise<T> } | null = null;
  return () => {
    if (last === null || Date.now() - last.atMs > HEALTH_MS) last = { atMs: Date.now(), result: look() };
    return last.result;
  };
}

/** Prints a further link for a console that runs: for another person, or with other rights. */
export async function printConsoleLink(config: Config, options: Options): Promise<number> {
  const person = personOf(options);
  return withDatabase(config, async (database) => {
    process.stdout.write(`${await linkFor(database, config.console.port, person)}\n`);
  });
}

async function linkFor({ db }: Database, port: number, person: Person): Promise<string> {
  const key = newSecret();
  await insertLogin(db, hashOf(key), person);
  return `http://127.0.0.1:${port}/login?key=${key}`;
}

/** Whom a link or token is for, and what they may do. */
export function personOf(options: Options): Person {
  const { name } = actorOf(options);
  const mistake = nameMistake(name);
  if (mistake !== null) throw new UsageError(`--as ${mistake}.`);
  const { role, merchant } = options;
  const roles: readonly Role[] = role === undefined ? ROLES : [roleNamed(role)];
  return { name, roles, merchants: merchant === undefined ? null : merchant.split(',') };
}

function roleNamed(role: string): Role {
  const named = ROLES.find((one) => one === role);
  if (named === undefined) throw new UsageError(`--role ${role}: unknown; allowed: ${ROLES.join(', ')}.`);
  return named;
}

type Server = ReturnType<typeof createAdaptorServer>;

/** On this machine only: whoever comes in by a link must be on it. */
function listening(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new UsageError(`port ${port} is in use: choose another one with --port, or end what uses it.`)
          : error,
      ),
    );
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
