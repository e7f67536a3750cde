import type { HttpBindings } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { z } from 'zod';
import { hashOf, onlyFrom, sameOrigin, secureHeaders } from '../console/security.ts';
import { Unreachable, UsageError } from '../domain/errors.ts';
import { bearerOf } from '../store/tokens.ts';
import { begun, bytesOf } from '../views/output/streamed.ts';
import { once } from './once.ts';
import { openApi } from './openapi.ts';
import type { Answer, ApiParts, Call } from './parts.ts';
import { notThere, Problem, type ProblemStatus, problemAnswer } from './problem.ts';
import { ROUTES, type Route } from './routes.ts';

type Bearer = NonNullable<Awaited<ReturnType<typeof bearerOf>>>;
export type Env = { Bindings: HttpBindings; Variables: { bearer: Bearer } };
type Ctx = Context<Env>;

const BASE = '/api/v1';
const MOST_BODY_BYTES = 1 << 20;
/** A statement took too long, or waited too long for somebody else. */
const TOO_LONG = ['57014', '55P03'];

/** The API as an application: without a token nothing is there. */
export function apiApp(parts: ApiParts): Hono<Env> {
  const app = new Hono<Env>().basePath(BASE);
  app.use(secureHeaders(parts.site));
  app.use(toldAsProblems);
  app.use(onlyFrom(parts.login));
  app.use(sameOrigin(parts.site));
  app.use(
    bodyLimit({ maxSize: MOST_BODY_BYTES, onError: (context) => context.text('This is too much at once.', 413) }),
  );
  app.onError((error, context) => problemAnswer(context, problemOf(error, context, parts)));
  app.notFound((context) => problemAnswer(context, notThere('address')));
  app.use('*', async (context, next) => {
    const [, secret] = /^Bearer ([\w-]{20,100})$/.exec(context.req.header('authorization') ?? '') ?? [];
    const bearer = secret === undefined ? null : await bearerOf(parts.reading.db, hashOf(secret));
    if (bearer === null)
      throw new Problem(
        401,
        'Send a valid token: Authorization: Bearer TOKEN. "settlestream console token create" makes one.',
      );
    context.set('bearer', bearer);
    await next();
  });
  app.get('/openapi.json', (context) => context.json(openApi()));
  for (const route of ROUTES) app.on(route.method, patternOf(route), (context) => answered(context, route, parts));
  return app;
}

const patternOf = ({ path }: Route): string =>
  path
    .replace('{no}', path.startsWith('/disc') ? ':no{[1-9][0-9]{0,17}}' : ':no{[1-9][0-9]{0,8}}')
    .replace('{id}', ':id');

/** What is refused on the way is told in the same form as all else. */
async function toldAsProblems(context: Ctx, next: () => Promise<void>): Promise<void> {
  await next();
  const { res } = context;
  if (res.status < 400 || !res.headers.get('content-type')?.startsWith('text/plain')) return;
  context.res = problemAnswer(context, new Problem(res.status as ProblemStatus, (await res.text()).trim()));
}

function problemOf(error: Error, context: Context, { log }: ApiParts): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof UsageError) return new Problem(400, error.message);
  if (TOO_LONG.includes((error as { code?: string }).code ?? ''))
    return new Problem(
      503,
      'The database did not answer within 5 seconds. Narrow the filter: one merchant, or a few days.',
    );
  if (error instanceof Unreachable) return new Problem(503, 'The database does not answer: try again in a moment.');
  log.error({ path: new URL(context.req.url).pathname, error: error.stack }, 'a request failed');
  return new Problem(500, 'This failed: the log says why.');
}

async function answered(context: Ctx, route: Route, parts: ApiParts): Promise<Response> {
  const { tokenNo, ...person } = context.get('bearer');
  if (route.roles !== null && !route.roles.some((role) => person.roles.includes(role)))
    throw new Problem(403, `This needs the role ${route.roles.join(' or ')}.`);
  // What belongs to no merchant is not there for who may see only some.
  if (route.isOfAll && person.merchants !== null) throw notThere('address');
  const { no, id } = context.req.param() as { no?: string; id?: string };
  const named = (no ?? id ?? '').replaceAll('\0', '\uFFFD');
  const query = checked(route.query, queryOf(context), 'the query');
  if (route.body === null)
    return sent(context, await route.answer({ parts, person, named, query, body: null } as never));
  const text = await context.req.text();
  const body = checked(route.body, jsonIn(text), 'the body');
  const call = { parts, person, named, query, body } as Call<never, never>;
  const request = `${route.method} ${context.req.path}\n${text}`;
  return once(context, parts.writing.db, { tokenNo, hash: hashOf(request) }, async () => {
    try {
      return Response.json(await route.answer(call));
    } catch (error) {
      return problemAnswer(context, problemOf(error as Error, context, parts));
    }
  });
}

/** Each name once: of two values nobody knows which one is meant. */
function queryOf(context: Ctx): Record<string, string> {
  const all = Object.entries(context.req.queries());
  const twice = all.find(([, values]) => values.length > 1);
  if (twice) throw new Problem(400, `${twice[0]} is given twice: give it once.`);
  return Object.fromEntries(all.map(([name, [value]]) => [name, value!]));
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(400, 'The body is no JSON.');
  }
}

function checked(schema: z.ZodType, value: unknown, where: string): unknown {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const mistakes = error.issues.map(({ path, message }) => ({ part: path.join('.') || null, message }));
  const told = mistakes.map(({ part, message }) => (part === null ? message : `${part}: ${message}`));
  throw new Problem(400, `In ${where}: ${told.join('; ')}.`, { mistakes });
}

async function sent(context: Ctx, answer: Answer): Promise<Response> {
  if (!(Symbol.asyncIterator in answer)) return context.json(answer);
  const { outgoing } = context.env;
  const pieces = bytesOf(await begun(answer as AsyncGenerator<string>), () => outgoing.destroy());
  context.header('Content-Type', 'application/json');
  return context.body(ReadableStream.from(pieces) as ReadableStream);
}
