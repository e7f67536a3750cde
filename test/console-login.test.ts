/** The ways into the console beside links: a real identity provider on this machine, and a proxy that says who comes. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import Provider from 'oidc-provider';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { type Answer, asker, FORM, formTokenIn, tokenOf } from './support/console.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

const ORIGIN = 'https://recon.example.com';
const HOST = { host: 'recon.example.com' };
const SECRET = 'a-secret-of-the-client-that-is-long-enough';
const ACCOUNTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  ann: { email: 'ann@example.com', email_verified: true, groups: ['finance', 'others'], merchants: ['M1', 'M2'] },
  bob: { email: 'bob@example.com', groups: ['heads'], merchants: '*' },
  guest: { email: 'guest@example.com', groups: ['others'], merchants: ['M1'] },
  nobodys: { email: 'nobodys@example.com', groups: ['finance'] },
  unconfirmed: { email: 'ann@example.com', email_verified: false, groups: ['finance'], merchants: '*' },
  unconfirmedInWords: { email: 'ann@example.com', email_verified: 'false', groups: ['finance'], merchants: '*' },
  nameless: { groups: ['finance'], merchants: '*' },
  program: { email: 'system', groups: ['finance'], merchants: '*' },
  roles: { email: 'roles@example.com', groups: ['approver', 'engineer'], merchants: '*' },
};

const identities = createServer();
await new Promise<void>((resolve) => identities.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${(identities.address() as AddressInfo).port}`;
/** Who sits at the browser. */
let who = 'ann';
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'settlestream',
      client_secret: SECRET,
      redirect_uris: [`${ORIGIN}/login/callback`],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  // A client that sends no PKCE is refused.
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['groups', 'merchants'] },
  cookies: { keys: ['of the test'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id, ...ACCOUNTS[id] }) }),
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: 'settlestream', accountId: oidc.session!.accountId! });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
});
const answer = provider.callback();
identities.on('request', (request, response) =>
  request.url!.startsWith('/interaction/')
    ? void provider.interactionFinished(request, response, { login: { accountId: who, remember: false } })
    : void answer(request, response),
);
after(() => {
  identities.close();
  identities.closeAllConnections();
});

const login = (...lines: string[]) => ['console:', '  port: 0', `  origin: ${ORIGIN}`, '  login:', ...lines];
const folder = writeFiles(temporaryFolder(), {
  'oidc.yaml': login(
    '    oidc:',
    `      issuer: ${issuer}`,
    '      clientId: settlestream',
    '      clientSecretEnv: OIDC_SECRET',
    '      rolesClaim: groups',
    '      merchantsClaim: merchants',
    '    roles:',
    '      analyst: [finance, heads]',
    '      approver: heads',
  ),
  'proxy.yaml': login(
    '    proxy:',
    '      from: [127.0.0.2, 127.0.3.0/24]',
    '      nameHeader: X-Forwarded-User',
    '      rolesHeader: X-Forwarded-Groups',
    '      merchantsHeader: X-Merchants',
  ),
});
const url = await freshDatabase();
const env = {
  DATABASE_URL: url,
  SETTLESTREAM_DATA_DIR: join(folder, 'data'),
  OIDC_SECRET: SECRET,
  SETTLESTREAM_PROCESSES: '1',
};
async function served(config: string) {
  const running = startSettlestream(['console', '--config', join(folder, config)], { cwd: folder, env });
  after(() => running.kill('SIGKILL'));
  const said = await running.says(/console at/);
  return { running, port: /listening on \S+:(\d+)/.exec(said)![1]! };
}
const [byOidc, byProxy] = await Promise.all([served('oidc.yaml'), served('proxy.yaml')]);
const sessions = () =>
  query<{ name: string; roles: string[]; merchants: string[] | null }>(
    url,
    'select name, roles, merchants from console_session order by started_at',
  );
const setCookies = ({ headers }: Answer) => (headers['set-cookie'] as string[] | undefined) ?? [];
const cookieIn = (answer: Answer, name: string) =>
  setCookies(answer)
    .map((set) => set.split(';')[0]!)
    .find((set) => set.startsWith(`${name}=`));

suite('an identity provider', () => {
  const ask = asker(byOidc.port);
  const get = (path: string, cookie = '') => ask(path, { headers: { ...HOST, ...(cookie === '' ? {} : { cookie }) } });

  /** Goes to the provider and as far as it goes there. */
  async function toProvider(name: string) {
    who = name;
    const begun = await get('/login/start');
    assert.equal(begun.status, 303, begun.text);
    const cookie = cookieIn(begun, '__Host-settlestream-login')!;
    const sent = new URL(begun.headers['location'] as string);
    const jar = new Map<string, string>();
    let at = sent;
    while (at.origin === issuer) {
      const response = await fetch(at, {
        redirect: 'manual',
        headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
      });
      for (const set of response.headers.getSetCookie()) {
        const [, key, value] = /^([^=]+)=([^;]*)/.exec(set)!;
        jar.set(key!, value!);
      }
      const to = response.headers.get('location');
      assert.ok(to, `${response.status} ${await response.text()}`);
      at = new URL(to, at);
    }
    return { begun, sent, cookie, back: at };
  }
  const comeBack = ({ back, cookie }: { back: URL; cookie: string }) => get(back.pathname + back.search, cookie);

  test('lets in whom it names, with the roles and merchants of their claims', async () => {
    assert.match((await get('/')).text, /<a href="\/login\/start">Sign in<\/a>/);
    const ann = await toProvider('ann');
    const { searchParams } = ann.sent;
    assert.equal(searchParams.get('redirect_uri'), `${ORIGIN}/login/callback`);
    assert.equal(searchParams.get('code_challenge_method'), 'S256');
    for (const name of ['state', 'nonce', 'code_challenge']) assert.match(searchParams.get(name)!, /^[\w-]{43}$/, name);
    assert.match(String(setCookies(ann.begun)), /HttpOnly.*Secure.*SameSite=Lax/);
    const came = await comeBack(ann);
    assert.equal(came.status, 200, came.text);
    assert.match(came.text, /<meta http-equiv="refresh" content="0; url=\/">/);
    const set = setCookies(came).find((one) => one.startsWith('__Host-settlestream='))!;
    for (const said of [/HttpOnly/, /; Secure/, /SameSite=Strict/, /Path=\/;|Path=\/$/]) assert.match(set, said);
    assert.doesNotMatch(set, /Domain/);
    const cookie = cookieIn(came, '__Host-settlestream')!;
    assert.match((await get('/', cookie)).text, /ann@example\.com/);
    assert.equal((await get('/audit', cookie)).status, 404, 'only some merchants');
    const bob = await comeBack(await toProvider('bob'));
    assert.equal((await get('/audit', cookieIn(bob, '__Host-settlestream')!)).status, 200);
    assert.deepEqual(await sessions(), [
      { name: 'ann@example.com', roles: ['analyst'], merchants: ['M1', 'M2'] },
      { name: 'bob@example.com', roles: ['analyst', 'approver'], merchants: null },
    ]);
    const { events } = (await settlestream(['audit', '--json', '--what', 'login'], { cwd: folder, env })).json;
    assert.deepEqual(
      events.map(({ who, via }: { who: string; via: string }) => `${who} ${via}`),
      ['ann@example.com console (oidc)', 'bob@example.com console (oidc)'],
    );
  });

  test('a cookie without the prefix is none, and no other name is served', async () => {
    const cookie = cookieIn(await comeBack(await toProvider('bob')), '__Host-settlestream')!;
    assert.equal((await get('/', cookie.replace('__Host-', ''))).status, 401);
    for (const host of ['127.0.0.1', `127.0.0.1:${byOidc.port}`, 'evil.example', 'recon.example.com:9465'])
      assert.equal((await ask('/', { headers: { host, cookie } })).status, 421, host);
    const token = formTokenIn((await get('/', cookie)).text);
    const post = (origin: string) =>
      ask('/logout', { method: 'POST', headers: { ...HOST, ...FORM, cookie, origin }, body: `token=${token}` });
    for (const origin of ['http://recon.example.com', 'https://evil.example', `http://127.0.0.1:${byOidc.port}`])
      assert.equal((await post(origin)).status, 403, origin);
    assert.match(String((await get('/', cookie)).headers['strict-transport-security']), /max-age/);
    assert.equal((await post(ORIGIN)).status, 303);
    assert.equal((await get('/', cookie)).status, 401);
  });

  test('nobody comes in whom it does not fully name', async () => {
    const before = await sessions();
    const refusedOnes = [
      ['guest', 'the login gives no role'],
      ['roles', 'the login gives no role'],
      ['nobodys', 'the login names no merchant'],
      ['unconfirmed', 'the login does not say the name'],
      ['unconfirmedInWords', 'the login does not say the name'],
      ['nameless', 'the login does not say the name'],
      ['program', 'the name system is the program itself'],
    ] as const;
    const back = [];
    for (const [name] of refusedOnes) back.push(await toProvider(name));
    const answers = await Promise.all(back.map(comeBack));
    for (const [at, [name, why]] of refusedOnes.entries()) {
      assert.equal(answers[at]!.status, 403, name);
      assert.ok(answers[at]!.text.includes(why), `${name}: ${answers[at]!.text}`);
      assert.equal(cookieIn(answers[at]!, '__Host-settlestream'), undefined);
    }
    assert.deepEqual(await sessions(), before);
  });

  test('a session ends where the settings of the login are others', async () => {
    const session = cookieIn(await comeBack(await toProvider('ann')), '__Host-settlestream')!;
    assert.equal((await get('/', session)).status, 200);
    const narrower = readFileSync(join(folder, 'oidc.yaml'), 'utf8').replace(
      'analyst: [finance, heads]',
      'viewer: [finance]',
    );
    writeFileSync(join(folder, 'narrower.yaml'), narrower);
    const { port, running } = await served('narrower.yaml');
    assert.equal((await asker(port)('/', { headers: { ...HOST, cookie: session } })).status, 401);
    running.kill('SIGTERM');
    await running.ended;
  });

  test('nor who brings what was not begun here, in this browser, and now', async () => {
    const before = await sessions();
    const own = await toProvider('ann');
    const other = await toProvider('bob');
    const with_ = (back: URL, changes: Readonly<Record<string, string>>) => {
      const changed = new URL(back);
      for (const [name, value] of Object.entries(changes)) changed.searchParams.set(name, value);
      return changed;
    };
    const state = own.back.searchParams.get('state')!;
    const tries: readonly (readonly [string, URL, string, number])[] = [
      ['without the cookie', own.back, '', 400],
      ['with a cookie that is none', own.back, '__Host-settlestream-login=e30', 400],
      ['with the cookie of another', own.back, other.cookie, 403],
      ['with another state', with_(own.back, { state: 'x' }), own.cookie, 403],
      ['with a code that was guessed', with_(own.back, { code: 'x' }), own.cookie, 403],
      ['with the code of another', with_(other.back, { state }), own.cookie, 403],
      ['from another issuer', with_(own.back, { iss: 'https://evil.example' }), own.cookie, 403],
      [
        'with an error',
        new URL(`${ORIGIN}/login/callback?error=access_denied&state=${state}&iss=${issuer}`),
        own.cookie,
        403,
      ],
      ['with nothing', new URL(`${ORIGIN}/login/callback`), own.cookie, 403],
    ];
    const answers = await Promise.all(tries.map(([, back, cookie]) => comeBack({ back, cookie })));
    for (const [at, [what, , , status]] of tries.entries()) {
      assert.equal(answers[at]!.status, status, what);
      assert.equal(cookieIn(answers[at]!, '__Host-settlestream'), undefined, what);
    }
    assert.deepEqual(await sessions(), before);
    const again = await toProvider('ann');
    assert.equal((await comeBack(again)).status, 200);
    assert.equal((await comeBack(again)).status, 403, 'the same once more');
  });

  test('is looked at by the doctor, and a login is refused while it is away', async () => {
    const { stdout, json } = await settlestream(['doctor', '--json', '--config', join(folder, 'oidc.yaml')], {
      cwd: folder,
      env,
    });
    assert.doesNotMatch(stdout, new RegExp(SECRET));
    const of = (checks: readonly { name: string; state: string; message: string }[]) =>
      checks.filter(({ name }) => name === 'console').map(({ state, message }) => `${state} ${message}`);
    assert.deepEqual(of(json.checks), [`ok ${ORIGIN}: signed in at ${issuer}`]);
    const away = join(folder, 'away.yaml');
    writeFiles(folder, {
      'away.yaml': login(
        '    oidc: { issuer: "http://127.0.0.1:1", clientId: x, clientSecretEnv: OIDC_SECRET, rolesClaim: roles }',
      ),
    });
    const told = await settlestream(['doctor', '--json', '--config', away], { cwd: folder, env });
    assert.match(
      of(told.json.checks).join(),
      /problem http:\/\/127\.0\.0\.1:1 does not answer as an identity provider/,
    );
    const { port } = await served('away.yaml');
    const { status, text } = await asker(port)('/login/start', { headers: HOST });
    assert.equal(status, 503);
    assert.match(text, /does not answer as it should/);
  });
});

suite('a proxy', () => {
  const [ask, direct] = [asker(byProxy.port, '127.0.0.2'), asker(byProxy.port, '127.0.0.1')];
  const ANN = { ...HOST, 'x-forwarded-user': 'ann', 'x-forwarded-groups': 'analyst,approver', 'x-merchants': '*' };

  test('is believed, and nobody else', async () => {
    for (const path of ['/', '/login', '/style.css', '/api/v1/batches', '/health']) {
      const { status, text } = await direct(path, { headers: { ...ANN, 'x-forwarded-for': '127.0.0.2' } });
      assert.deepEqual([path, status, text], [path, 403, text]);
      assert.match(text, /Only the proxy/);
    }
    const token = await tokenOf(url, { name: 'p' });
    const bearer = { headers: { ...HOST, authorization: `Bearer ${token}` } };
    assert.equal((await direct('/api/v1/batches', bearer)).status, 403);
    assert.equal((await ask('/api/v1/batches', bearer)).status, 200);
    assert.equal((await asker(byProxy.port, '127.0.3.77')('/', { headers: ANN })).status, 200, 'of the network');
    assert.equal((await direct('/healthz', { headers: { host: '10.0.0.1' } })).status, 200);
  });

  test('says who comes; who is not fully named does not come in', async () => {
    const before = await sessions();
    const { 'x-forwarded-user': _, ...nobody } = ANN;
    const { 'x-forwarded-groups': __, ...noRole } = ANN;
    const { 'x-merchants': ___, ...noMerchant } = ANN;
    const refusedOnes: readonly Readonly<Record<string, string | readonly string[]>>[] = [
      ...[HOST, nobody, noRole, noMerchant],
      { ...ANN, 'x-forwarded-user': '' },
      { ...ANN, 'x-forwarded-user': 'system' },
      { ...ANN, 'x-forwarded-user': 'x'.repeat(300) },
      { ...ANN, 'x-forwarded-groups': 'Analyst, admin' },
      { ...ANN, 'x-forwarded-user': ['mallory', 'ann'] },
      { ...ANN, 'x-forwarded-groups': ['viewer', 'engineer'] },
    ];
    for (const headers of refusedOnes) {
      const answer = await ask('/', { headers });
      assert.equal(answer.status, 403, JSON.stringify(headers));
      assert.deepEqual(setCookies(answer), []);
    }
    assert.equal((await ask('/', { headers: { ...ANN, host: '127.0.0.1' } })).status, 421);
    assert.deepEqual(await sessions(), before);
  });

  test('a session is that of the person whom it names now', async () => {
    const first = await ask('/', { headers: ANN });
    assert.equal(first.status, 200);
    assert.match(first.text, /<span>ann<\/span>/);
    const cookie = cookieIn(first, '__Host-settlestream')!;
    assert.deepEqual(setCookies(await ask('/', { headers: { ...ANN, cookie } })), [], 'it is kept');
    const token = formTokenIn(first.text);
    const post = (headers: Readonly<Record<string, string>>) =>
      ask('/bank/match', { method: 'POST', headers: { ...FORM, ...headers }, body: `token=${token}&entry=&batch=` });
    assert.equal((await post({ ...ANN, cookie })).status, 400, 'an empty form');
    assert.equal((await post(ANN)).status, 401, 'without the session');
    assert.equal((await post({ ...ANN, 'x-forwarded-user': 'bob', cookie })).status, 401, 'another person');
    assert.equal((await post({ ...ANN, 'x-forwarded-groups': 'viewer', cookie })).status, 401, 'with other rights');
    const bob = await ask('/', { headers: { ...ANN, 'x-forwarded-user': 'bj\u00c3\u00b6rn', cookie } });
    assert.match(bob.text, /<span>björn<\/span>/, 'UTF-8, as proxies send it');
    assert.notEqual(cookieIn(bob, '__Host-settlestream'), cookie);
    const one = await ask('/audit', { headers: { ...ANN, 'x-merchants': 'M1' } });
    assert.equal(one.status, 404);
    assert.match((await ask('/', { headers: { ...ANN, cookie } })).text, /<span>ann<\/span>/);
  });
});

test('where people sign in elsewhere no link is printed', async () => {
  for (const { running } of [byOidc, byProxy]) {
    running.kill('SIGTERM');
    const { code, stdout } = await running.ended;
    assert.deepEqual([code, stdout], [0, '']);
  }
  const link = await settlestream(['console', 'link', '--config', join(folder, 'oidc.yaml')], { cwd: folder, env });
  assert.equal(link.code, 2);
  assert.match(link.stderr, /no link does/);
});
