/** The console as somebody meets it who may send anything: requests with exactly these headers, people, and programs. No command for each. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { query } from './postgres.ts';

export type Answer = {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
};

export type Sent = {
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
  readonly body?: string | undefined;
};

export type Who = {
  readonly name: string;
  readonly roles?: readonly string[];
  readonly merchants?: readonly string[] | null;
};

export const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const ROLES = ['viewer', 'analyst', 'approver', 'engineer'];

const newSecret = () => randomBytes(32).toString('base64url');
const hashOf = (secret: string) => createHash('sha256').update(secret).digest('hex');
const listed = (names: readonly string[] | null) =>
  names === null ? 'null' : `array[${names.map((name) => `'${name}'`)}]::text[]`;

/** A request with these headers exactly: `fetch` would not send a Host or Origin of its own choice. */
export function asker(port: string | number, localAddress = '127.0.0.1') {
  const agent = new Agent({ keepAlive: true });
  return (path: string, { method = 'GET', headers = {}, body }: Sent = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      // What is refused before it is read whole ends its connection.
      const kept = body === undefined ? { agent } : { agent: false as const };
      const address = { host: '127.0.0.1', port, path, method, localAddress };
      const sent = request(
        { ...address, headers: headers as Record<string, string | string[]>, ...kept },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (piece) => {
            text += piece;
          });
          response.on('error', reject);
          response.on('end', () => resolve({ status: response.statusCode!, text, headers: response.headers }));
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
}
type Ask = ReturnType<typeof asker>;

/** A link as `console link` prints one. */
export async function linkKey(url: string, { name, roles = ROLES, merchants = null }: Who): Promise<string> {
  const key = newSecret();
  await query(
    url,
    `insert into console_login (hash, name, roles, merchants, expires_at)
     values ('${hashOf(key)}', '${name}', ${listed(roles)}, ${listed(merchants)}, now() + interval '15 minutes')`,
  );
  return key;
}

export const cookieOf = ({ headers }: Answer): string => (headers['set-cookie'] as string[])[0]!.split(';')[0]!;
export const formTokenIn = (text: string): string => /name="token" value="(\w+)"/.exec(text)![1]!;

/** Somebody who has come in by a link. */
export async function signIn(ask: Ask, url: string, who: Who) {
  const key = await linkKey(url, who);
  const signed = await ask('/login', { method: 'POST', headers: FORM, body: `key=${key}` });
  assert.equal(signed.status, 303, signed.text);
  const cookie = cookieOf(signed);
  const get = (path: string, headers: Readonly<Record<string, string>> = {}) =>
    ask(path, { headers: { cookie, ...headers } });
  const token = formTokenIn((await get('/payments')).text);
  const post = (path: string, fields: readonly (readonly [string, string])[], more: Record<string, string> = {}) => {
    const body = new URLSearchParams([['token', token], ...fields.map(([name, value]) => [name, value])] as [
      string,
      string,
    ][]).toString();
    return ask(path, { method: 'POST', headers: { ...FORM, cookie, ...more }, body });
  };
  return { key, cookie, set: (signed.headers['set-cookie'] as string[])[0]!, token, get, post };
}

/** What `console token create` prints. */
export async function tokenOf(url: string, { name, roles = ['viewer'], merchants = null }: Who): Promise<string> {
  const token = newSecret();
  await query(
    url,
    `insert into api_token (hash, name, role, merchants) values ('${hashOf(token)}', '${name}', '${roles[0]}', ${listed(merchants)})`,
  );
  return token;
}
