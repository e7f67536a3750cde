import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { HttpBindings } from '@hono/node-server';
import type { Context, MiddlewareHandler } from 'hono';
import type { ProxyLogin } from './login/proxy.ts';

/** Nothing but our own style sheet and forms: no code in pages, no frames around them, nothing from elsewhere. */
const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  // Not no-referrer: browsers would send forms with the origin null.
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Cache-Control': 'no-store',
};

/** Where the console is reached. */
export type Site = {
  /** The address that people use; null: on this machine alone, under a loopback name. */
  readonly origin: string | null;
};

export const secureHeaders = ({ origin }: Site): MiddlewareHandler => {
  const headers = {
    ...HEADERS,
    ...(origin?.startsWith('https:') ? { 'Strict-Transport-Security': 'max-age=31536000' } : {}),
  };
  return async (context, next) => {
    await next();
    for (const [name, value] of Object.entries(headers)) context.res.headers.set(name, value);
  };
};

const MOST_QUERY_CHARACTERS = 4_096;
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/;

const isServed = ({ origin }: Site, host: string): boolean =>
  origin === null ? LOOPBACK.test(host) : host.toLowerCase() === new URL(origin).host;

/** The address by which somebody has come. */
export const originOf = ({ origin }: Site, context: Context): string =>
  origin ?? `http://${context.req.header('host')}`;

/** Refuses what a page of another site can send: under a name that only points here, or from an address that is not ours. */
export const sameOrigin =
  (site: Site): MiddlewareHandler =>
  async (context, next) => {
    if (!isServed(site, context.req.header('host') ?? ''))
      return context.text('This address is not served here: use the one that was printed.\n', 421);
    if (new URL(context.req.url).search.length > MOST_QUERY_CHARACTERS)
      return context.text('The address is too long.\n', 414);
    if (context.req.method !== 'GET' && context.req.method !== 'HEAD') {
      const origin = context.req.header('origin');
      const from = context.req.header('sec-fetch-site');
      const isOurs =
        (origin === undefined || origin === originOf(site, context)) && (from === undefined || from === 'same-origin');
      if (!isOurs) return context.text('Another site sent this request: it is refused.\n', 403);
    }
    return next();
  };

/** Where a proxy signs people in: nobody else is listened to. */
export const onlyFrom =
  (login: { readonly way: string } | ProxyLogin): MiddlewareHandler<{ Bindings: HttpBindings }> =>
  async (context, next) =>
    !('isFrom' in login) || login.isFrom(context.env.incoming.socket.remoteAddress)
      ? next()
      : context.text('Only the proxy that signs people in may ask here.\n', 403);

/** A secret that nobody guesses. */
export const newSecret = (): string => randomBytes(32).toString('base64url');

/** What is stored of a secret. */
export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** What a form of a session carries, so that no other page can send it. */
export const formTokenOf = (secret: string): string => hashOf(`form ${secret}`);

export function isSameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(hashOf(a)), Buffer.from(hashOf(b))];
  return timingSafeEqual(left, right);
}
