import { setTimeout as sleep } from 'node:timers/promises';
import type { Hono } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { html } from 'hono/html';
import type { Person } from '../../domain/roles.ts';
import { recordAudit } from '../../store/audit.ts';
import * as sessions from '../../store/sessions.ts';
import { type Html, page } from '../layout.ts';
import type { ConsoleParts, Ctx, Env } from '../parts.ts';
import { formTokenOf, hashOf, newSecret, originOf, type Site } from '../security.ts';
import type { Begun, OidcLogin } from './oidc.ts';
import type { ProxyLogin } from './proxy.ts';

const SESSION_SECONDS = 12 * 3_600;
const LOGIN_SECONDS = 600;
const WRONG_LOGIN_MS = 1_000;
const MOST_WRONG_AT_ONCE = 20;

const isSecure = ({ origin }: Site): boolean => origin?.startsWith('https:') ?? false;
/** With the prefix a browser takes it from no other name and no insecure page. */
const cookieNamed = (site: Site, name: string): string => (isSecure(site) ? `__Host-${name}` : name);
const sessionCookie = (site: Site): string => cookieNamed(site, 'settlestream');
const loginCookie = (site: Site): string => cookieNamed(site, 'settlestream-login');

const told = (context: Ctx, status: 200 | 400 | 401 | 403 | 429 | 503, body: Html, head: Html | '' = '') =>
  context.html(page('Sign in', '', null, body, head), status);
const refused = (reason: string): Html =>
  html`<p class="wrong" role="alert">Nobody comes in with this login: ${reason}. Ask whoever gives roles in settlestream.</p>`;

/** The pages by which people come in, as the settings say. */
export function addLogin(app: Hono<Env>, parts: ConsoleParts): void {
  const { login } = parts;
  if (login.way === 'link') addLink(app, parts);
  else if (login.way === 'oidc') addOidc(app, parts, login);
  else
    app.get('/login', (context) => told(context, 200, html`<p>You are signed out. <a href="/">Sign in again</a></p>`));
}

/** Makes who guesses wait, and listens to only so many of them at once. Nobody who has a right login waits. */
function slowed() {
  let waiting = 0;
  return async (context: Ctx, act: () => Promise<Response | null>, wrong: () => Response | Promise<Response>) => {
    if (waiting >= MOST_WRONG_AT_ONCE) {
      context.header('Retry-After', '1');
      return told(context, 429, html`<p class="wrong" role="alert">Too many wrong logins. Wait a moment.</p>`);
    }
    const answer = await act();
    if (answer !== null) return answer;
    waiting++;
    await sleep(WRONG_LOGIN_MS);
    waiting--;
    return wrong();
  };
}

function addLink(app: Hono<Env>, parts: ConsoleParts): void {
  const attempt = slowed();
  app.get('/login', (context) => {
    const key = context.req.query('key') ?? '';
    return told(
      context,
      200,
      key === ''
        ? html`<p>You are signed out. Open a link that the console printed: "settlestream console link" prints a new one.</p>`
        : html`<p>This link works once.</p><form method="post" action="/login"><input type="hidden" name="key" value="${key}"><button>Sign in</button></form>`,
    );
  });
  app.post('/login', (context) =>
    attempt(
      context,
      async () => {
        const { key } = await context.req.parseBody();
        const person =
          typeof key !== 'string' || key === '' ? null : await sessions.takeLogin(parts.writing.db, hashOf(key));
        if (person === null) return null;
        await admit(context, parts, person);
        return context.redirect('/', 303);
      },
      () =>
        told(
          context,
          403,
          html`<p class="wrong" role="alert">This link is not valid, or was used before. Use a new one: the console prints it when it starts.</p>`,
        ),
    ),
  );
}

function addOidc(app: Hono<Env>, parts: ConsoleParts, login: OidcLogin): void {
  const { site, log } = parts;
  const attempt = slowed();
  const redirectUri = (context: Ctx) => `${originOf(site, context)}/login/callback`;
  app.get('/login', (context) => told(context, 200, html`<p><a href="/login/start">Sign in</a></p>`));
  app.get('/login/start', async (context) => {
    try {
      const { to, begun } = await login.begin(redirectUri(context));
      const value = Buffer.from(JSON.stringify(begun)).toString('base64url');
      // Lax: it has to come along when the provider sends the browser back.
      const cookie = { httpOnly: true, sameSite: 'Lax', path: '/', secure: isSecure(site) } as const;
      setCookie(context, loginCookie(site), value, { ...cookie, maxAge: LOGIN_SECONDS });
      return context.redirect(to, 303);
    } catch (error) {
      log.error({ error: (error as Error).message }, 'the identity provider cannot be asked');
      const said = html`<p class="wrong" role="alert">The identity provider does not answer as it should. The log says why. <a href="/login/start">Try again</a></p>`;
      return told(context, 503, said);
    }
  });
  app.get('/login/callback', (context) => {
    const begun = begunIn(getCookie(context, loginCookie(site)));
    deleteCookie(context, loginCookie(site), { path: '/', secure: isSecure(site) });
    if (begun === null)
      return told(
        context,
        400,
        html`<p class="wrong" role="alert">This login did not begin here, or took too long. <a href="/login/start">Sign in again</a></p>`,
      );
    let reason = 'it was not finished';
    return attempt(
      context,
      async () => {
        try {
          const cameBack = new URL(`${redirectUri(context)}${new URL(context.req.url).search}`);
          const person = await login.finish(cameBack, begun);
          if (typeof person !== 'string') {
            await admit(context, parts, person);
            return cameIn(context);
          }
          reason = person;
        } catch (error) {
          const { message, cause } = error as Error;
          log.warn({ error: message, cause: cause instanceof Error ? cause.message : undefined }, 'a login failed');
        }
        return null;
      },
      () => told(context, 403, html`${refused(reason)}<p><a href="/login/start">Sign in again</a></p>`),
    );
  });
}

/** A page, for a browser that was sent from another site would not send the new cookie along with a redirect. */
const cameIn = (context: Ctx) =>
  told(
    context,
    200,
    html`<p><a href="/">Go on to the first page</a></p>`,
    html`<meta http-equiv="refresh" content="0; url=/">`,
  );

function begunIn(cookie: string | undefined): Begun | null {
  try {
    const { state, nonce, verifier } = JSON.parse(Buffer.from(cookie ?? '', 'base64url').toString());
    return [state, nonce, verifier].every((part) => typeof part === 'string' && part !== '')
      ? { state, nonce, verifier }
      : null;
  } catch {
    return null;
  }
}

const hashOfSession = (secret: string, loginSettings: string): string => hashOf(`${loginSettings} ${secret}`);

/** Begins a session: always a new one, so that nobody can give a person a session that is known elsewhere. */
async function admit(
  context: Ctx,
  { writing, site, login, loginSettings }: ConsoleParts,
  person: Person,
): Promise<string> {
  const secret = newSecret();
  await sessions.insertSession(writing.db, hashOfSession(secret, loginSettings), person);
  const { name, roles, merchants } = person;
  await recordAudit(writing.db, { name, via: `console (${login.way})` }, [
    { what: 'login', subject: 'console', after: { roles, merchants } },
  ]);
  setCookie(context, sessionCookie(site), secret, {
    httpOnly: true,
    sameSite: 'Strict',
    path: '/',
    secure: isSecure(site),
    maxAge: SESSION_SECONDS,
  });
  return secret;
}

/** Lets through who has a session. Behind a proxy it is that of whom the proxy names, now. */
export async function signedIn(context: Ctx, parts: ConsoleParts, next: () => Promise<void>) {
  const { reading, login, loginSettings, site } = parts;
  const secret = getCookie(context, sessionCookie(site));
  const session =
    secret === undefined ? null : await sessions.sessionOf(reading.db, hashOfSession(secret, loginSettings));
  const begun =
    login.way === 'proxy'
      ? await namedByProxy(context, parts, login, secret === undefined || session === null ? null : { secret, session })
      : secret === undefined || session === null
        ? null
        : { secret, person: session };
  if (begun === null) return told(context, 401, HOW_TO[login.way]);
  if (begun instanceof Response) return begun;
  context.set('secret', begun.secret);
  context.set('signed', { ...begun.person, formToken: formTokenOf(begun.secret) });
  await next();
  return undefined;
}

const HOW_TO = {
  link: html`<p>Open the link that the console printed when it started.</p>`,
  oidc: html`<p><a href="/login/start">Sign in</a></p>`,
  proxy: html`<p>Load the page again, and repeat it: your session has ended.</p>`,
};

/** A session holds only while the proxy names the same person with the same rights. */
async function namedByProxy(
  context: Ctx,
  parts: ConsoleParts,
  login: ProxyLogin,
  had: { readonly secret: string; readonly session: Person } | null,
): Promise<{ readonly secret: string; readonly person: Person } | Response | null> {
  const person = login.personOf(context.env.incoming.rawHeaders);
  if (typeof person === 'string') return told(context, 403, refused(person));
  if (had !== null && isSame(had.session, person)) return { secret: had.secret, person };
  if (context.req.method !== 'GET') return null;
  return { secret: await admit(context, parts, person), person };
}

const isSame = (a: Person, b: Person): boolean =>
  a.name === b.name &&
  String([...a.roles].sort()) === String([...b.roles].sort()) &&
  JSON.stringify(a.merchants && [...a.merchants].sort()) === JSON.stringify(b.merchants && [...b.merchants].sort());

export async function signOut(context: Ctx, { writing, site, loginSettings }: ConsoleParts): Promise<Response> {
  await sessions.revokeSession(writing.db, hashOfSession(context.get('secret'), loginSettings));
  deleteCookie(context, sessionCookie(site), { path: '/', secure: isSecure(site) });
  return context.redirect('/login', 303);
}
