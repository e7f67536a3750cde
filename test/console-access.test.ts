/** A table of every page and every address of the API, and of what was tried on each: nobody gets in, or across, or does what they may not. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { parse } from 'csv-parse/sync';
import exceljs from 'exceljs';
import { apiApp } from '../src/api/app.ts';
import { consoleApp } from '../src/console/app.ts';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { type Answer, asker, cookieOf, FORM, linkKey, type Sent, signIn, tokenOf } from './support/console.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '"onmouseover="x',
  "o'x--",
  "=cmd|'x'!A1",
  '@SUM(1)',
  '+1-1',
  '-2+3',
  '../../etc/passwd',
];
const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
const xml = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const batch = (merchant: string, id: string, ids: readonly string[]) => ({
  [`reports/${merchant}/20260105/settlementItems_USD_${id}_000.csv`]: [
    'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
    ...ids.map((one, at) => `${id},PAYMENT,t-${merchant}-${at},${quoted(one)},11.00,USD,11.00,USD`),
    '<END>',
  ],
  [`reports/${merchant}/20260105/settlementSummary_USD_${id}_000.csv`]: [
    'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
    `${id},TOTAL,${ids.length},${(11 * ids.length).toFixed(2)},USD`,
    '<END>',
  ],
});
const records = (merchant: string, ids: readonly string[]) =>
  ids.map((id) => `${quoted(id)},PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,${merchant},${quoted(id)}`);
const entry = (reference: string) =>
  `<Ntry><NtryRef>${xml(reference)}</NtryRef><Amt Ccy="USD">17.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-01-06</Dt></BookgDt><ValDt><Dt>2026-01-06</Dt></ValDt><NtryDtls><TxDtls><RltdPties><Dbtr><Nm>${xml(reference)}</Nm></Dbtr></RltdPties><RmtInf><Ustrd>${xml(reference)}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`;
const balance = (code: string, amount: string) =>
  `<Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp><Amt Ccy="USD">${amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-01-06</Dt></Dt></Bal>`;
const MINE = ['p-1', 'p-2', ...HOSTILE];
const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt,merchantId,orderId',
    ...records('M1', MINE),
    ...records('M2', ['other-1']),
  ],
  'bank/january.xml': [
    '<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><GrpHdr><MsgId>1</MsgId><CreDtTm>2026-01-07T00:00:00</CreDtTm></GrpHdr><Stmt><Id>1</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>2026-01-07T00:00:00</CreDtTm><FrToDt><FrDtTm>2026-01-06T00:00:00</FrDtTm><ToDtTm>2026-01-06T23:59:59</ToDtTm></FrToDt><Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>USD</Ccy></Acct>',
    balance('OPBD', '0.00'),
    balance('CLBD', (17 * HOSTILE.length).toFixed(2)),
    ...HOSTILE.map(entry),
    '</Stmt></BkToCstmrStmt></Document>',
  ],
  'settlestream.yaml': ['console:', '  port: 0'],
  ...batch('M1', 'B1', MINE),
  ...batch('M2', 'OTHERS', ['other-1']),
});
const url = await freshDatabase();
const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data'), SETTLESTREAM_PROCESSES: '1' };
const run = (...args: string[]) => settlestream(args, { cwd: folder, env });
const reconciled = await run('reconcile', 'reports', '--ledger', 'records.csv', '--bank', 'bank');
assert.equal(reconciled.code, 1, reconciled.stderr);
const served = startSettlestream(['console', '--as', 'ann'], { cwd: folder, env });
after(() => served.kill('SIGKILL'));
const port = new URL(/http:\/\/127\.0\.0\.1:\d+/.exec(await served.says(/console at/))![0]).port;
const ask = asker(port);

const one = async <T>(text: string): Promise<T> => (await query<T>(url, text))[0]!;
const of = async (merchantBatch: string) => ({
  ...(await one<{ batch: number }>(`select no as batch from batch where batch_id = '${merchantBatch}'`)),
  ...(await one<{ no: string }>(
    `select d.no::text from discrepancy d join batch b on b.no = d.batch_no where b.batch_id = '${merchantBatch}' order by d.no limit 1`,
  )),
  ...(await one<{ report: number }>(
    `select r.no as report from report r join batch b on b.no = r.batch_no where b.batch_id = '${merchantBatch}' order by r.no limit 1`,
  )),
});
const [mine, others] = [await of('B1'), await of('OTHERS')];

type Role = 'viewer' | 'analyst' | 'approver' | 'engineer';
const ROLES: readonly Role[] = ['viewer', 'analyst', 'approver', 'engineer'];

/** One address of merchant M1: who may use it, and what is sent to it. */
type Tried = {
  readonly path: string;
  /** Everybody, if nothing else is said. */
  readonly roles?: readonly Role[];
  /** Not there for who may see only some merchants. */
  readonly isOfAll?: boolean;
  /** What a form or program sends; what a person who may do it is answered. */
  readonly sends?: Readonly<Record<string, unknown>>;
  readonly done?: readonly number[];
};
const HANDLES: readonly Role[] = ['analyst', 'approver'];

const PAGES: Readonly<Record<string, Tried>> = {
  'GET /': { path: '/' },
  'GET /batches': { path: '/batches' },
  'GET /batches/{no}': { path: `/batches/${mine.batch}` },
  'GET /discrepancies': { path: '/discrepancies' },
  'GET /discrepancies/{no}': { path: `/discrepancies/${mine.no}` },
  'GET /payments': { path: '/payments?id=p-1' },
  'GET /reports': { path: '/reports' },
  'GET /reports/{no}': { path: `/reports/${mine.report}` },
  'GET /reports/{no}/original': { path: `/reports/${mine.report}/original` },
  'GET /bank': { path: '/bank' },
  'GET /audit': { path: '/audit', isOfAll: true },
  'GET /health': { path: '/health', isOfAll: true },
  'POST /discrepancies/handle': {
    path: '/discrepancies/handle',
    roles: HANDLES,
    sends: { no: mine.no, action: 'comment', text: 'tried' },
    done: [303],
  },
  'POST /reports/{no}/replay': { path: `/reports/${mine.report}/replay`, roles: ['engineer'], sends: {}, done: [200] },
  'POST /reports/{no}/withdraw': {
    path: `/reports/${mine.report}/withdraw`,
    roles: ['engineer'],
    sends: { reason: ' ' },
    done: [400],
  },
  'POST /bank/match': {
    path: '/bank/match',
    roles: HANDLES,
    isOfAll: true,
    sends: { entry: '0000000000000000', batch: 'B1' },
    done: [400],
  },
  'POST /logout': { path: '/logout', sends: {}, done: [303] },
};
const API: Readonly<Record<string, Tried>> = {
  'GET /openapi.json': { path: '/openapi.json' },
  'GET /batches': { path: '/batches' },
  'GET /batches/{no}': { path: `/batches/${mine.batch}` },
  'GET /discrepancies': { path: '/discrepancies' },
  'GET /payments/{id}': { path: '/payments/p-1' },
  'GET /reports': { path: '/reports' },
  'GET /bank/entries': { path: '/bank/entries' },
  'GET /open': { path: '/open?records=true' },
  'GET /audit': { path: '/audit', isOfAll: true },
  'POST /discrepancies/{no}/handling': {
    path: `/discrepancies/${mine.no}/handling`,
    roles: HANDLES,
    sends: { action: 'comment', text: 'tried' },
    done: [200],
  },
  'POST /replays': { path: '/replays', roles: ['engineer'], sends: { batch: 'B1', dryRun: true }, done: [200] },
  'POST /reports/{no}/withdraw': {
    path: `/reports/${mine.report}/withdraw`,
    roles: ['engineer'],
    sends: { reason: ' ' },
    done: [400],
  },
  'POST /bank/matches': {
    path: '/bank/matches',
    roles: HANDLES,
    isOfAll: true,
    sends: { entry: '0000000000000000', batch: 'B1' },
    done: [400],
  },
};
/** Everybody may ask for these. The probes say nothing of what is in the console. */
const EVERYBODYS = ['GET /style.css', 'GET /healthz', 'GET /readyz'];
/** And for these, by which people come in. */
const PUBLIC = {
  link: ['GET /login', 'POST /login'],
  oidc: ['GET /login', 'GET /login/start', 'GET /login/callback'],
  proxy: ['GET /login'],
};

const methodOf = (route: string) => route.split(' ')[0]!;
const formOf = (fields: Readonly<Record<string, unknown>>, token?: string) =>
  new URLSearchParams({
    ...(token === undefined ? {} : { token }),
    ...(fields as Record<string, string>),
  }).toString();
/** What is sent to an address, before anybody says who they are. */
const bare = (route: string, { sends }: Tried, isApi: boolean): Sent => ({
  method: methodOf(route),
  ...(sends === undefined ? {} : { body: isApi ? JSON.stringify(sends) : formOf(sends), headers: isApi ? {} : FORM }),
});
const withHeaders = ({ headers, ...sent }: Sent, more: Readonly<Record<string, string>>): Sent => ({
  ...sent,
  headers: { ...headers, ...more },
});
/** Every address once: of pages, and of the API. */
const everyRoute = [
  ...Object.entries(PAGES).map(([route, tried]) => ({ route, tried, path: tried.path, isApi: false })),
  ...Object.entries(API).map(([route, tried]) => ({ route, tried, path: `/api/v1${tried.path}`, isApi: true })),
];

/** What the form of a discrepancy has seen of it. */
const seen = async (no = mine.no) => {
  const { last } = await one<{ last: string | null }>(
    `select max(no)::text as last from handling where discrepancy_no = ${no}`,
  );
  return [`seen-${no}`, last ?? ''] as const;
};

/** What only merchant M1 has. */
const OF_M1 = /\bM1\b|\bB1\b|_B1_|\bp-[12]\b/;
const changes = () => query(url, `select (select count(*) from audit_event where what <> 'login')::int as n`);
/** Does the work, after which nothing was changed. */
async function withoutEffect(work: () => Promise<void>): Promise<void> {
  const before = await changes();
  await work();
  assert.deepEqual(await changes(), before, 'something was done');
}

const person = (name: string, roles: readonly Role[] = ROLES, merchants: readonly string[] | null = null) =>
  signIn(ask, url, { name, roles, merchants });
const ann = await person('ann');
const program = async (role: Role, merchants: readonly string[] | null = null) => ({
  authorization: `Bearer ${await tokenOf(url, { name: `program-${role}`, roles: [role], merchants })}`,
});

suite('the table', () => {
  test('has every route of the console and of the API', () => {
    const routesOf = (app: { readonly routes: readonly { readonly method: string; readonly path: string }[] }) => [
      ...new Set(
        app.routes
          .filter(({ method }) => method !== 'ALL')
          .map(
            ({ method, path }) => `${method} ${path.replace('/api/v1', '').replace(/:(no|id)(\{.*?\}\})?/g, '{$1}')}`,
          ),
      ),
    ];
    for (const [way, entrances] of Object.entries(PUBLIC)) {
      const parts = { site: { origin: null }, login: { way } } as Parameters<typeof consoleApp>[0];
      assert.deepEqual(routesOf(consoleApp(parts)).sort(), [...EVERYBODYS, ...entrances, ...Object.keys(PAGES)].sort());
    }
    const addresses = routesOf(
      apiApp({ site: { origin: null }, login: { way: 'link' } } as Parameters<typeof apiApp>[0]),
    );
    assert.deepEqual(addresses.sort(), Object.keys(API).sort());
  });
});

suite('nobody gets in', () => {
  const secret = ann.cookie.split('=')[1]!;
  const strangers: readonly Readonly<Record<string, string>>[] = [
    {},
    { cookie: '' },
    { cookie: 'settlestream=' },
    { cookie: 'settlestream=guess' },
    { cookie: `settlestream=${'a'.repeat(43)}` },
    { cookie: 'settlestream=%00' },
    { cookie: `Settlestream=${secret}` },
    { cookie: `settlestream=${secret}x` },
    { authorization: '' },
    { authorization: 'Bearer ' },
    { authorization: `Bearer ${'a'.repeat(43)}` },
    { authorization: `Bearer ${secret}` },
    { authorization: `Basic ${Buffer.from('ann:ann').toString('base64')}` },
  ];
  const forged: Readonly<Record<string, string>> = {
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    'x-real-ip': '127.0.0.1',
    forwarded: 'for=127.0.0.1;host=evil.example;proto=https',
    'x-forwarded-user': 'ann',
    'x-remote-user': 'ann',
    'remote-user': 'ann',
    'x-auth-request-email': 'ann@example.com',
    'x-original-url': '/style.css',
    'x-rewrite-url': '/style.css',
    'x-http-method-override': 'GET',
  };

  test('without a session or a token no address says or does anything', () =>
    withoutEffect(async () => {
      for (const { route, tried, path, isApi } of everyRoute)
        for (const headers of [...strangers, forged]) {
          const { status, text, headers: got } = await ask(path, withHeaders(bare(route, tried, isApi), headers));
          assert.equal(status, 401, `${route} with ${JSON.stringify(headers)}`);
          assert.doesNotMatch(text, OF_M1, route);
          assert.equal(got['set-cookie'], undefined, route);
        }
      assert.equal((await ask('/api/v1/nothing')).status, 401, 'nor which addresses there are');
      assert.equal((await ask('/nothing')).status, 401);
    }));

  test('a session is no token, and a token is no session', async () => {
    const { authorization } = await program('engineer');
    const token = authorization.split(' ')[1]!;
    for (const { route, tried, path, isApi } of everyRoute) {
      const headers = isApi
        ? { cookie: ann.cookie, authorization: `Bearer ${secret}` }
        : { cookie: `settlestream=${token}`, authorization };
      assert.equal((await ask(path, withHeaders(bare(route, tried, isApi), headers))).status, 401, route);
    }
  });

  test('no header of a proxy changes an answer, and no other name is served', async () => {
    for (const { route, tried, path, isApi } of everyRoute) {
      const login = isApi ? await program('viewer') : { cookie: ann.cookie };
      for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', 'localhost.', '10.0.0.1'])
        assert.equal(
          (await ask(path, withHeaders(bare(route, tried, isApi), { ...login, host }))).status,
          421,
          `${route} as ${host}`,
        );
      if (methodOf(route) === 'POST') continue;
      const plain = await ask(path, { headers: login });
      const { status, text, headers } = await ask(path, { headers: { ...login, ...forged } });
      assert.equal(status, plain.status, route);
      assert.equal(text, plain.text, route);
      assert.doesNotMatch(JSON.stringify(headers), /evil/, route);
    }
  });

  test('a request line that names another host, or none, opens nothing', async () => {
    const raw = (text: string) =>
      new Promise<string>((resolve) => {
        let got = '';
        const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
        socket.setEncoding('utf8').on('data', (piece) => {
          got += piece;
        });
        socket.on('close', () => resolve(got)).on('error', () => resolve(got));
      });
    const close = `Cookie: ${ann.cookie}\r\nConnection: close\r\n\r\n`;
    for (const head of [
      `GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n`,
      'GET / HTTP/1.0\r\n',
      'GET / HTTP/1.1\r\n',
      'GET / HTTP/1.1\r\nHost:\r\n',
      `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nHost: evil.example\r\n`,
      `GET / HTTP/1.1\r\nHost: evil.example@127.0.0.1:${port}\r\n`,
      `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}/\r\n`,
    ])
      assert.match(await raw(head + close), /^HTTP\/1\.1 4\d\d /, head);
    for (const path of ['//evil.example/', '/\\evil.example', '/%2f/evil.example', '/..//evil.example', '*'])
      assert.match(
        await raw(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${close}`),
        /^HTTP\/1\.1 4\d\d /,
        path,
      );
  });

  test('a link works once and not for long, and who guesses is told nothing and made to wait', async () => {
    const login = (body: string, headers: Readonly<Record<string, string>> = {}) =>
      ask('/login', { method: 'POST', headers: { ...FORM, ...headers }, body });
    const { stdout } = await run('console', 'link', '--port', port, '--as', 'bob');
    const key = new URL(stdout.trim()).searchParams.get('key')!;
    const both = await Promise.all([1, 2].map(() => login(`key=${key}`)));
    assert.deepEqual(both.map(({ status }) => status).sort(), [303, 403], 'of two at once one comes in');
    const old = await linkKey(url, { name: 'old' });
    await query(url, `update console_login set expires_at = now() where name = 'old'`);
    const began = performance.now();
    const guesses = [ann.key, old, '', 'guess', 'a&key=b', "' or 1=1 --", '\0'].map((text) => `key=${text}`);
    const answers = await Promise.all([...guesses, ''].map((body) => login(body)));
    assert.ok(answers.every(({ status, headers }) => status === 403 && headers['set-cookie'] === undefined));
    assert.ok(performance.now() - began > 900);
    for (const headers of [{ origin: 'http://evil.example' }, { 'sec-fetch-site': 'cross-site' }])
      assert.equal((await login(`key=${await linkKey(url, { name: 'x' })}`, headers)).status, 403, 'as another site');
    assert.doesNotMatch((await ask(`/login?key=${encodeURIComponent('"><script>')}`)).text, /<script>/);
    assert.equal((await run('console', 'link', '--role', 'boss')).code, 2);
  });

  test('a session is always a new one, of this site alone, and ends', async () => {
    for (const said of [/HttpOnly/, /SameSite=Strict/, /Max-Age=43200/, /Path=\//]) assert.match(ann.set, said);
    const key = await linkKey(url, { name: 'fixed' });
    const signed = await ask('/login', {
      method: 'POST',
      headers: { ...FORM, cookie: `settlestream=mine; ${ann.cookie}` },
      body: `key=${key}&settlestream=mine&session=mine`,
    });
    const got = cookieOf(signed);
    assert.ok(got !== 'settlestream=mine' && got !== ann.cookie);
    assert.equal((await ask('/', { headers: { cookie: 'settlestream=mine' } })).status, 401);
    const stored = await query<{ text: string }>(
      url,
      'select s::text as text from console_session s union all select l::text from console_login l union all select t::text from api_token t',
    );
    for (const { text } of stored) assert.ok(!text.includes(secret) && !text.includes(ann.key));
    const gone = await person('gone');
    assert.equal((await gone.post('/logout', [])).status, 303);
    assert.equal((await gone.get('/')).status, 401, 'signed out');
    const old = await person('late');
    await query(url, `update console_session set expires_at = now() where name = 'late'`);
    assert.equal((await old.get('/')).status, 401, 'too old');
    const revoked = await person('revoked');
    await query(url, `update console_session set revoked_at = now() where name = 'revoked'`);
    assert.equal((await revoked.get('/')).status, 401, 'revoked');
  });

  test('nobody is sent to another site', async () => {
    for (const to of ['//evil.example', 'https://evil.example', '/\\evil.example', 'javascript:alert(1)']) {
      const encoded = encodeURIComponent(to);
      const names = ['back', 'next', 'return', 'returnTo', 'redirect', 'redirect_uri', 'url', 'continue'];
      const more = names.map((name) => `${name}=${encoded}`).join('&');
      const login = await ask(`/login?${more}`, {
        method: 'POST',
        headers: FORM,
        body: `key=${await linkKey(url, { name: 'sent' })}&${more}`,
      });
      assert.deepEqual([login.status, login.headers['location']], [303, '/'], to);
      const leaving = await signIn(ask, url, { name: 'leaving' });
      const { headers } = await leaving.post(`/logout?${more}`, [['back', to]]);
      assert.equal(headers['location'], '/login', to);
      const commented = await ann.post(`/discrepancies/handle?${more}`, [
        ['no', mine.no],
        await seen(),
        ['back', to],
        ['action', 'comment'],
        ['text', 'seen'],
      ]);
      assert.deepEqual([commented.status, commented.headers['location']], [303, '/discrepancies'], to);
      assert.doesNotMatch((await ann.get(`/discrepancies?${more}`)).text, /href="(https?:)?\/\/|javascript:/);
    }
  });
});

suite('what another site sends is refused', () => {
  const origins: readonly Readonly<Record<string, string>>[] = [
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: `https://127.0.0.1:${port}` },
    { origin: 'http://127.0.0.1:1' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
  ];
  const posts = everyRoute.filter(({ route }) => methodOf(route) === 'POST');

  test('by its origin, also with a session, a token and the right form', () =>
    withoutEffect(async () => {
      const engineer = await program('engineer');
      for (const { route, tried, path, isApi } of posts)
        for (const headers of origins) {
          const sent = isApi
            ? withHeaders(bare(route, tried, true), { ...engineer, ...headers })
            : withHeaders(bare(route, { ...tried, sends: { ...tried.sends, token: ann.token } }, false), {
                cookie: ann.cookie,
                ...headers,
              });
          assert.equal((await ask(path, sent)).status, 403, `${route} with ${JSON.stringify(headers)}`);
        }
    }));

  test('by its form, which lacks the token of the session', () =>
    withoutEffect(async () => {
      const bob = await person('bob');
      for (const { route, tried, path, isApi } of posts) {
        if (isApi) continue;
        const { body = '' } = bare(route, tried, false);
        const cookie = { cookie: ann.cookie };
        for (const [headers, sent, at] of [
          [FORM, body, path],
          [FORM, `token=&${body}`, path],
          [FORM, `token=${'0'.repeat(64)}&${body}`, path],
          [FORM, `token=${bob.token}&${body}`, path],
          [FORM, body, `${path}?token=${ann.token}`],
          [{ 'content-type': 'text/plain' }, `token=${ann.token}&${body}`, path],
          [{ 'content-type': 'application/json' }, JSON.stringify({ token: ann.token, ...tried.sends }), path],
        ] as const)
          assert.equal(
            (await ask(at, { method: 'POST', headers: { ...headers, ...cookie }, body: sent })).status,
            400,
            `${route}: ${sent}`,
          );
      }
    }));

  test('and no other method reaches what a method may do', () =>
    withoutEffect(async () => {
      for (const { route, tried, path, isApi } of everyRoute) {
        const login = isApi ? await program('engineer') : { cookie: ann.cookie };
        for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']) {
          const { status } = await ask(path, withHeaders({ ...bare(route, tried, isApi), method }, login));
          assert.ok([400, 403, 404, 405].includes(status), `${method} instead of ${route}: ${status}`);
        }
        if (methodOf(route) === 'POST')
          assert.equal((await ask(path, { headers: login })).status, 404, `GET instead of ${route}`);
        else {
          const head = await ask(path, { method: 'HEAD', headers: login });
          assert.deepEqual([head.status, head.text], [200, ''], `HEAD instead of ${route}`);
        }
      }
    }));
});

suite('nobody gets across', () => {
  const isAllowed = ({ roles }: Tried, role: Role) => roles === undefined || roles.includes(role);

  test('each role may do what it may, and no more', async () => {
    for (const role of ROLES) {
      const token = await program(role);
      for (const { route, tried, path, isApi } of everyRoute) {
        const somebody = await person(role, [role]);
        const [name, value] = await seen();
        const sends = isApi ? tried.sends : { ...tried.sends, token: somebody.token, [name]: value };
        const sent = bare(route, tried.sends === undefined ? tried : { ...tried, sends: sends! }, isApi);
        const { status, text } = await ask(path, withHeaders(sent, isApi ? token : { cookie: somebody.cookie }));
        const wanted = isAllowed(tried, role) ? (tried.done ?? [200]) : [403];
        assert.ok(wanted.includes(status), `${route} as ${role}: ${status} ${text}`);
      }
      const somebody = await person(role, [role]);
      for (const action of ['approve', 'reject']) {
        if (role === 'approver') continue;
        const fields = [
          ['no', mine.no],
          ['action', action],
        ] as const;
        assert.equal((await somebody.post('/discrepancies/handle', fields)).status, 403, `${action} as ${role}`);
        const body = JSON.stringify({ action });
        const path = `/api/v1/discrepancies/${mine.no}/handling`;
        assert.equal((await ask(path, { method: 'POST', headers: token, body })).status, 403, `${action} as ${role}`);
      }
      const pages = await Promise.all(
        [`/discrepancies/${mine.no}`, `/reports/${mine.report}`, '/bank'].map((path) => somebody.get(path)),
      );
      const offered = pages.map(({ text }) => /<button>(Do it|Withdraw|Confirm)/.test(text) || /What to do/.test(text));
      const handles = HANDLES.includes(role);
      assert.deepEqual(offered, [handles, role === 'engineer', handles], `what is offered to ${role}`);
    }
  });

  test('of another merchant nothing is there, whatever the address', () =>
    withoutEffect(async () => {
      const mia = await person('mia', ROLES, ['M2']);
      for (const { route, tried, path, isApi } of everyRoute) {
        if (path === '/logout') continue;
        const wanted = tried.isOfAll ? [404, 403] : /\{(no|id)\}/.test(route) ? [404] : [200, 400];
        for (const role of tried.roles ?? ROLES) {
          const sends = isApi ? tried.sends : { ...tried.sends, token: mia.token };
          const sent = bare(route, tried.sends === undefined ? tried : { ...tried, sends: sends! }, isApi);
          const login = isApi ? await program(role, ['M2']) : { cookie: mia.cookie };
          const { status, text } = await ask(path, withHeaders(sent, login));
          assert.ok(wanted.includes(status), `${route} as ${role}: ${status} ${text}`);
          if (!route.endsWith('openapi.json')) assert.doesNotMatch(said(text), ROWS_OF_M1, route);
          if (!isApi) break;
        }
      }
      const token = await program('viewer', ['M2']);
      for (const path of ['/batches', '/discrepancies', '/reports', '/bank', '/payments', '/'])
        for (const filter of [
          ...['merchant=M1', 'batch=B1', 'id=p-1', 'id=p-1&merchant=M1', 'id=t-M1-0', 'merchant=M2,M1'],
          ...[
            'merchant=%25',
            'state=discrepant',
            `after=${others.no}`,
            `after=${mine.no}`,
            'handling=open',
            'account=DE',
          ],
          ...['format=csv', 'format=csv&merchant=M1', 'format=xlsx&merchant=M1'],
        ]) {
          const { text } = await mia.get(`${path}?${filter}`);
          assert.doesNotMatch(said(text), ROWS_OF_M1, `${path}?${filter}`);
          const told = await ask(`/api/v1${path === '/bank' ? '/bank/entries' : path}?${filter}`, { headers: token });
          assert.doesNotMatch(said(told.text), ROWS_OF_M1, `${path}?${filter}`);
        }
      const { text } = await mia.get('/batches');
      assert.match(text, /OTHERS/, 'their own is there');
    }));
});
const ROWS_OF_M1 = /_B1_|t-M1-|"M1"|>M1<|>B1<|"B1"|>p-[12]<|"p-[12]"/;
/** What was asked for is repeated: in a form, an address and a message. */
const said = (text: string) => text.replaceAll(/(value|href)="[^"]*"|role="alert">[^<]*<|"detail":"[^"]*"/g, '');

suite('what is hostile is only text', () => {
  /** Elements and attributes that came from data: all else of a page is inert. */
  const aliveIn = (text: string): string[] =>
    [...text.matchAll(/<[^<>]*>/g)]
      .map(([tag]) => tag)
      .filter(
        (tag) =>
          /^<\/?(script|img|iframe|object|embed|base)/i.test(tag) ||
          /(href|action)="(?![/?#])/i.test(tag) ||
          /\son\w+\s*=|'/.test(tag.replaceAll(/"[^"]*"/g, '""')),
      );
  const texts = [
    ...HOSTILE,
    'javascript:alert(1)',
    '%',
    '_',
    '\\',
    '\u202egnp.exe',
    '\ud800',
    'a\r\nSet-Cookie: a=b',
    '{{7*7}}',
  ];

  test('in rows, records, statements, names and comments, on every page and in every answer', async () => {
    const mallory = await person('<script>alert(1)</script>'.replaceAll("'", ''));
    for (const text of HOSTILE) {
      const done = await mallory.post('/discrepancies/handle', [
        ['no', mine.no],
        await seen(),
        ['action', 'comment'],
        ['text', text],
      ]);
      assert.equal(done.status, 303, done.text);
    }
    const pages = everyRoute.filter(
      ({ route, isApi }) => methodOf(route) === 'GET' && !isApi && !route.endsWith('original'),
    );
    for (const { path } of pages) {
      const { text, status } = await mallory.get(path);
      assert.equal(status, 200, path);
      assert.deepEqual(aliveIn(text), [], path);
    }
    assert.match((await mallory.get('/bank')).text, /&lt;script&gt;/);
    for (const id of HOSTILE) {
      const { text } = await ann.get(`/payments?merchant=M1&id=${encodeURIComponent(id)}`);
      assert.match(text, /settlementItems_USD_B1_000\.csv/, id);
      assert.deepEqual(aliveIn(text), [], id);
    }
    const original = await ann.get(`/reports/${mine.report}/original`);
    assert.match(String(original.headers['content-disposition']), /^attachment; filename="[\w.-]+"$/);
    assert.equal(original.headers['content-type'], 'application/octet-stream');
  });

  test('no cell of a table to download begins a formula', async () => {
    const lists = ['/discrepancies', '/batches', '/reports', '/bank', '/audit'];
    for (const path of lists.map((list) => `${list}?format=csv`)) {
      const { text } = await ann.get(path);
      const cells = (parse(text, { bom: true }) as string[][]).flat();
      assert.ok(cells.length > 20, path);
      for (const cell of cells) assert.ok(!/^[=+@\t\r-]/.test(cell) || /^-?[\d.]+$/.test(cell), `${path}: ${cell}`);
    }
    for (const path of lists.map((list) => `${list}?format=xlsx`)) {
      const bytes = await new Promise<Buffer>((resolve, reject) => {
        const sent = request({ host: '127.0.0.1', port, path, headers: { cookie: ann.cookie } }, async (response) =>
          resolve(Buffer.concat(await response.toArray())),
        );
        sent.on('error', reject).end();
      });
      const book = new exceljs.Workbook();
      await book.xlsx.load(bytes as never);
      book.eachSheet((sheet) =>
        sheet.eachRow((row) =>
          row.eachCell((cell) => assert.equal(cell.formula, undefined, `${path} ${cell.address}`)),
        ),
      );
    }
  });

  test('in every filter of every list', async () => {
    const token = await program('viewer');
    const filters = ['merchant', 'from', 'to', 'state', 'kind', 'batch', 'handling', 'assigned', 'after', 'format'];
    for (const path of ['/batches', '/discrepancies', '/reports', '/bank', '/audit', '/payments', '/health', '/login'])
      for (const text of texts) {
        const names = [
          ...filters,
          'account',
          'open',
          'who',
          'what',
          'id',
          'limit',
          'records',
          'rows',
          'assigned[]',
          '__proto__',
        ];
        const all = new URLSearchParams(names.map((name) => [name, text] as [string, string])).toString();
        const got = await ann.get(`${path}?${all}`);
        assert.equal(got.status, 200, `${path}?${all}`);
        assert.deepEqual(aliveIn(got.text), [], `${path}?${all}`);
        assert.equal(got.headers['set-cookie'], undefined);
        const { status } = await ask(`/api/v1${path}?${all}`, { headers: token });
        assert.ok([400, 404].includes(status), `/api/v1${path}?${all}: ${status}`);
      }
  });

  test('in every id', async () => {
    const token = await program('engineer');
    const ids = [
      ...texts,
      '0',
      '-1',
      '1.5',
      '1e3',
      '0x1',
      ' 1',
      '1 ',
      '01',
      '99999999999999999999',
      '1;drop',
      '１',
      '..',
      '.',
    ];
    for (const id of [
      ...ids.map((text) => encodeURIComponent(text.toWellFormed())),
      '%ff',
      '%00',
      '..%2f..%2fetc%2fpasswd',
      '%2e%2e%2f1',
    ]) {
      for (const path of ['/batches/#', '/discrepancies/#', '/reports/#', '/reports/#/original']) {
        const got = await ann.get(path.replace('#', id));
        // An address that goes up is another address.
        assert.ok(got.status === 404 || /^\.{1,2}$/.test(decoded(id)), `${path} with ${id}: ${got.status}`);
        assert.deepEqual(aliveIn(got.text), []);
      }
      for (const way of ['replay', 'withdraw'])
        assert.equal((await ann.post(`/reports/${id}/${way}`, [['reason', 'x']])).status, 404, `${way} ${id}`);
      for (const path of ['/batches/#', '/discrepancies/#/handling', '/reports/#/withdraw']) {
        const isPost = path !== '/batches/#';
        const sent = { headers: token, ...(isPost ? { method: 'POST', body: '{"reason":"x"}' } : {}) };
        const { status } = await ask(`/api/v1${path.replace('#', id)}`, sent);
        assert.ok([403, 404].includes(status) || /^\.{1,2}$/.test(decoded(id)), `${path} with ${id}: ${status}`);
      }
      const { status } = await ask(`/api/v1/payments/${id}?merchant=M1`, { headers: token });
      assert.ok([200, 404].includes(status), `payment ${id}: ${status}`);
    }
  });
});
const decoded = (id: string): string => {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
};

suite('what is huge is refused', () => {
  test('in the address and in the body, also where nobody says how much comes', () =>
    withoutEffect(async () => {
      const engineer = await program('engineer');
      for (const { route, tried, path, isApi } of everyRoute) {
        const login: Readonly<Record<string, string>> = isApi ? engineer : { cookie: ann.cookie };
        const far = `${path}${path.includes('?') ? '&' : '?'}x=${'x'.repeat(5_000)}`;
        assert.equal((await ask(far, withHeaders(bare(route, tried, isApi), login))).status, 414, route);
        if (methodOf(route) !== 'POST') continue;
        const body = isApi ? `{"text":"${'x'.repeat(1_100_000)}"}` : `text=${'x'.repeat(1_100_000)}`;
        for (const how of [{}, { 'transfer-encoding': 'chunked' }]) {
          const { status } = await ask(path, { method: 'POST', headers: { ...FORM, ...login, ...how }, body });
          assert.equal(status, 413, `${route} ${JSON.stringify(how)}`);
        }
      }
      assert.equal((await ask('/', { headers: { cookie: ann.cookie, more: 'x'.repeat(20_000) } })).status, 431);
      const deep = `{"action":${'['.repeat(400_000)}`;
      const path = `/api/v1/discrepancies/${mine.no}/handling`;
      for (const body of [deep, `${deep.slice(0, 200_000)}${']'.repeat(199_990)}}`])
        assert.equal((await ask(path, { method: 'POST', headers: await program('analyst'), body })).status, 400);
    }));

  test('and so is a form of many thousand fields', () =>
    withoutEffect(async () => {
      for (const [fields, wanted] of [
        ['no=1&'.repeat(150_000), 413],
        [`no=${mine.no}&`.repeat(20_000), 400],
      ] as const) {
        const body = `${fields}action=comment&text=x&token=${ann.token}`;
        const sent = { method: 'POST', headers: { ...FORM, cookie: ann.cookie }, body };
        assert.equal((await ask('/discrepancies/handle', sent)).status, wanted);
      }
    }));
});

test('the probes answer by any name, and say nothing of what is in it', async () => {
  for (const path of ['/healthz', '/readyz'])
    for (const host of ['10.1.2.3:9465', `127.0.0.1:${port}`]) {
      const { status, text, headers } = await ask(path, { headers: { host } });
      assert.deepEqual([status, text], [200, path === '/healthz' ? 'ok\n' : 'ready\n']);
      assert.match(String(headers['content-security-policy']), /default-src 'none'/);
    }
});

test('every answer forbids code, frames and guessing, also where it refuses', async () => {
  const answers: Answer[] = await Promise.all([
    ...['/', '/style.css', '/login', '/nothing', '/discrepancies?format=csv', '/batches/0'].map((path) =>
      ann.get(path),
    ),
    ...['/', '/nothing', '/api/v1/batches', '/api/v1/nothing'].map((path) => ask(path)),
    ask('/', { headers: { host: 'evil.example' } }),
    ask('/api/v1/batches', { headers: { host: 'evil.example' } }),
    ask(`/?x=${'x'.repeat(5_000)}`),
    ask('/login', { method: 'POST', headers: { ...FORM, origin: 'http://evil.example' }, body: '' }),
  ]);
  for (const { headers, status } of answers) {
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/, String(status));
    assert.doesNotMatch(policy, /unsafe|script-src/);
    const others = ['x-content-type-options', 'x-frame-options', 'referrer-policy', 'cache-control'];
    assert.deepEqual(
      others.map((name) => headers[name]),
      ['nosniff', 'DENY', 'same-origin', 'no-store'],
    );
    assert.equal(headers['access-control-allow-origin'], undefined);
    assert.equal(headers['server'] ?? headers['x-powered-by'], undefined);
  }
});

test('it goes on after all of this, without a line of a bug in its log, and ends when it is told to', async () => {
  assert.equal((await ann.get('/')).status, 200);
  served.kill('SIGTERM');
  const { code, stdout, stderr } = await served.ended;
  assert.equal(code, 0);
  assert.doesNotMatch(stdout + stderr, /failed/);
});
