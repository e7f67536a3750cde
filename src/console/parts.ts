import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { Database } from '../adapters/postgres/connection.ts';
import type { Work } from '../api/parts.ts';
import type { ApprovalLimits } from '../domain/handling.ts';
import type { Signed } from './layout.ts';
import type { OidcLogin } from './login/oidc.ts';
import type { ProxyLogin } from './login/proxy.ts';
import type { HealthCheck } from './pages/health.ts';
import type { Site } from './security.ts';

/** How people come in. */
export type Login = { readonly way: 'link' } | OidcLogin | ProxyLogin;

/** What the console shows and does: `reading` is bounded in time and changes nothing. */
export type ConsoleParts = {
  readonly reading: Database;
  readonly writing: Database;
  readonly limits: ApprovalLimits;
  readonly work: Work;
  readonly site: Site;
  readonly login: Login;
  /** What the settings say of it: a session that began under others is none. */
  readonly loginSettings: string;
  readonly health: () => Promise<readonly HealthCheck[]>;
  readonly log: {
    error(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  readonly now: () => number;
};

export type Env = { Bindings: HttpBindings; Variables: { signed: Signed; secret: string } };
export type Ctx = Context<Env>;
