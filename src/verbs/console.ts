import { type AddressInfo, isIP } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { openLog } from '../adapters/log.ts';
import { type Database, openReadOnly } from '../adapters/postgres/connection.ts';
import { apiApp } from '../api/app.ts';
import type { ApiParts } from '../api/parts.ts';
import type { Config, Options } from '../config/config.ts';
import { consoleApp } from '../console/app.ts';
import { oidcLogin } from '../console/login/oidc.ts';
import { proxyLogin } from '../console/login/proxy.ts';
import type { Login } from '../console/parts.ts';
import { hashOf, newSecret } from '../console/security.ts';
import { UsageError } from '../domain/errors.ts';
import { nameMistake } from '../domain/handling.ts';
import { type Person, ROLES, type Role } from '../domain/roles.ts';
import { insertLogin } from '../store/sessions.ts';
import { confirmNow } from './bank.ts';
import { examine } from './doctor/doctor.ts';
import { replayNow, withdrawNow } from './replay.ts';
import { actorOf } from './session/actor.ts';
import { oidcSettings } from './session/console.ts';
import { withDatabase } from './session/storage.ts';

const CONNECT_MS = 5_000;

/** Serves the console until it is told to stop. Where links sign in it prints one, which works once. */
export async function serveConsole(config: Config, options: Options, stop: AbortSignal): Promise<number> {
  const person = personOf(options);
  return withDatabase(config, async (writing) => {
    const served = await openConsole(config, writing, options);
    try {
      process.stderr.write(`settlestream: console at ${served.url}/, listening on ${served.listensOn}\n`);
      if (config.console.login === null) process.stdout.write(`${await linkFor(writing, served.url, person)}\n`);
      await aborted(stop);
    } finally {
      await served.close();
    }
  });
}

export type ServedConsole = {
  /** Where people reach it. */
  readonly url: string;
  readonly listensOn: string;
  close(): Promise<void>;
};

/** Opens pages and API over a database, with connections of their own to read. */
export async function openConsole(config: Config, writing: Database, options: Options): Promise<ServedConsole> {
  const { host, port, origin } = config.console;
  const log = openLog(config.logLevel);
  const reading = openReadOnly(writing.url, CONNECT_MS);
  const health = seldom(() => examine({ config: options['config'], dataDir: options['dataDir'] }));
  const login = loginOf(config.console);
  const parts = { reading, writing, limits: config.handling.approval, log, now: Date.now, login };
  const settings = { ...apiSettings(config, writing), site: { origin: origin ?? null } };
  const loginSettings = JSON.stringify([config.console.login, origin ?? null]);
  const pages = consoleApp({ ...parts, ...settings, loginSettings, health });
  const api = apiApp({ ...parts, ...settings });
  const server = createAdaptorServer({
    fetch: (request, env) => (new URL(request.url).pathname.startsWith('/api/') ? api : pages).fetch(request, env),
    serverOptions: { headersTimeout: 5_000, requestTimeout: 10_000 },
  });
  const close = async () => {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
    await reading.close();
  };
  try {
    const taken = await listening(server, host, port);
    const listensOn = `${isIP(host) === 6 ? `[${host}]` : host}:${taken}`;
    return { url: origin ?? `http://${listensOn}`, listensOn, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** How people come in, as the settings say. */
function loginOf({ login }: Config['console']): Login {
  if (login === null) return { way: 'link' };
  const { oidc, proxy, roles = null } = login;
  if (oidc !== undefined)
    return oidcLogin(oidcSettings(oidc), { roles, isByMerchant: oidc.merchantsClaim !== undefined });
  const { from, nameHeader, rolesHeader, merchantsHeader = null } = proxy!;
  return proxyLogin(
    { from, nameHeader, rolesHeader, merchantsHeader },
    { roles, isByMerchant: merchantsHeader !== null },
  );
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
  if (config.console.login !== null)
    throw new UsageError('console.login says how people sign in: no link does. Remove it, or sign in that way.');
  return withDatabase(config, async (database) => {
    const { origin, port } = config.console;
    process.stdout.write(`${await linkFor(database, origin ?? `http://127.0.0.1:${port}`, person)}\n`);
  });
}

/** A link that signs in once, at a console that people reach at this address. */
export async function linkFor({ db }: Database, url: string, person: Person): Promise<string> {
  const key = newSecret();
  await insertLogin(db, hashOf(key), person);
  return `${url}/login?key=${key}`;
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

function listening(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new UsageError(`port ${port} is in use: choose another one with --port, or end what uses it.`)
          : error.code === 'EADDRNOTAVAIL'
            ? new UsageError(`console.host ${host} is no address of this machine: choose one that is, or 0.0.0.0.`)
            : error,
      ),
    );
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
