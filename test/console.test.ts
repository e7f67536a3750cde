/** The console: what each page shows, and that nobody gets in, across, or does what they may not. Without JavaScript, for there is none. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { parse } from 'csv-parse/sync';
import pg from 'pg';
import { consoleApp } from '../src/console/app.ts';
import { healthPage } from '../src/console/pages/health.ts';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const HOSTILE = ['<script>alert(1)</script>', '"onmouseover="x', "=cmd|'x'!A1", '../../etc/passwd'];
const batch = (merchant: string, id: string, ids: readonly string[]) => ({
  [`reports/${merchant}/20260105/settlementItems_USD_${id}_000.csv`]: [
    HEADER,
    ...ids.map(
      (request, at) => `${id},PAYMENT,t-${merchant}-${at},"${request.replaceAll('"', '""')}",11.00,USD,11.00,USD`,
    ),
    '<END>',
  ],
  [`reports/${merchant}/20260105/settlementSummary_USD_${id}_000.csv`]: [
    'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
    `${id},TOTAL,${ids.length},${(11 * ids.length).toFixed(2)},USD`,
    '<END>',
  ],
});
const records = (merchant: string, ids: readonly string[]) =>
  ids.map((id) => `"${id.replaceAll('"', '""')}",PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,${merchant}`);
const MINE = ['p-1', 'p-2', 'p-3', 'p-4', 'p-5', 'p-6', ...HOSTILE];
const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt,merchantId',
    ...records('M1', MINE),
    ...records('M2', ['other-1']),
  ],
  'settlestream.yaml': ['handling:', '  approval:', '    USD: 0.50', 'console:', '  port: 0'],
  ...batch('M1', 'B1', MINE),
  ...batch('M2', 'OTHERS', ['other-1']),
});
const url = await freshDatabase();
const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data'), SETTLESTREAM_PROCESSES: '1' };
const run = (...args: string[]) => settlestream(args, { cwd: folder, env });
const reconciled = await run('reconcile', 'reports', '--ledger', 'records.csv');
assert.equal(reconciled.code, 1, reconciled.stderr);

const served = startSettlestream(['console', '--as', 'ann'], { cwd: folder, env });
after(() => served.kill('SIGKILL'));
const base = /http:\/\/127\.0\.0\.1:\d+/.exec(await served.says(/console at/))![0];
const port = new URL(base).port;

type Answer = {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
};

/** A request with these headers exactly: `fetch` would not send a Host or Origin of its own choice. */
function ask(
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, body } = options;
    const sent = request(
      { host: '127.0.0.1', port, path, method, headers: { connection: 'close', ...headers } },
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
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** Somebody who has come in by a link. */
async function signIn(...args: string[]) {
  const { stdout, stderr, code } = await run('console', 'link', '--port', port, ...args);
  assert.equal(code, 0, stderr);
  const key = new URL(stdout.trim()).searchParams.get('key')!;
  const { status, headers } = await ask('/login', { method: 'POST', headers: FORM, body: `key=${key}` });
  assert.equal(status, 303);
  const [set] = headers['set-cookie'] as string[];
  const cookie = set!.split(';')[0]!;
  const get = (path: string) => ask(path, { headers: { cookie } });
  const tokenIn = (text: string) => /name="token" value="(\w+)"/.exec(text)![1]!;
  const post = async (
    path: string,
    fields: readonly (readonly [string, string])[],
    more: Record<string, string> = {},
  ) => {
    const token = tokenIn((await get('/')).text);
    const body = new URLSearchParams([['token', token], ...fields.map(([name, value]) => [name, value])] as [
      string,
      string,
    ][]).toString();
    return ask(path, { method: 'POST', headers: { ...FORM, cookie, ...more }, body });
  };
  return { key, cookie, set: set!, get, post };
}
const ann = await signIn('--as', 'ann');
const numbersIn = (text: string) => [...text.matchAll(/name="no" value="(\d+)"/g)].map(([, no]) => no!);
const seenIn = (text: string) =>
  [...text.matchAll(/name="(seen-\d+)" value="(\d*)"/g)].map(([, name, value]) => [name!, value!] as const);

/** Every route of the console but these two, which everybody may see. */
const PUBLIC = ['GET /style.css', 'GET /login', 'POST /login'];
const ROUTES = [
  'GET /',
  'GET /batches',
  'GET /batches/:no{[1-9][0-9]{0,8}}',
  'GET /discrepancies',
  'GET /discrepancies/:no{[1-9][0-9]{0,17}}',
  'GET /payments',
  'GET /reports',
  'GET /reports/:no{[1-9][0-9]{0,8}}',
  'GET /reports/:no{[1-9][0-9]{0,8}}/original',
  'GET /bank',
  'GET /audit',
  'GET /health',
  'POST /logout',
  'POST /discrepancies/handle',
  'POST /reports/:no{[1-9][0-9]{0,8}}/replay',
  'POST /reports/:no{[1-9][0-9]{0,8}}/withdraw',
  'POST /bank/match',
];
const addressOf = (route: string) => route.split(' ')[1]!.replace(/:no\{\S*\}/, '1');

suite('nobody gets in', () => {
  test('these are all routes', () => {
    const app = consoleApp({} as Parameters<typeof consoleApp>[0]);
    const known = app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path}`);
    assert.deepEqual([...new Set(known)].sort(), [...PUBLIC, ...ROUTES].sort());
  });

  test('without a session no route says anything, and nothing is done', async () => {
    for (const route of ROUTES) {
      const [method] = route.split(' ');
      for (const cookie of [
        '',
        'settlestream=',
        'settlestream=guess',
        `settlestream=${'a'.repeat(43)}`,
        'settlestream=%00',
      ]) {
        const { status, text } = await ask(addressOf(route), {
          method: method!,
          headers: { ...FORM, cookie },
          ...(method === 'POST' ? { body: 'no=1&action=comment&text=x' } : {}),
        });
        assert.equal(status, 401, `${route} with ${cookie}`);
        assert.doesNotMatch(text, /M1|B1|p-1/);
      }
    }
  });

  test('a link works once, and another one does not work at all', async () => {
    const login = (body: string) => ask('/login', { method: 'POST', headers: FORM, body });
    assert.equal((await login(`key=${ann.key}`)).status, 403);
    for (const body of ['', 'key=', 'key=guess', 'key=a&key=b', `key=${encodeURIComponent("' or 1=1 --")}`])
      assert.equal((await login(body)).status, 403, body);
    const { stdout } = await run('console', 'link', '--port', port);
    const key = new URL(stdout.trim()).searchParams.get('key')!;
    await query(url, `update console_login set expires_at = now() - interval '1 second' where used_at is null`);
    assert.equal((await login(`key=${key}`)).status, 403, 'it is too old');
    const { text } = await ask(`/login?key=${encodeURIComponent('"><script>')}`);
    assert.doesNotMatch(text, /<script>/);
  });

  test('two who use one link at once: one comes in', async () => {
    const { stdout } = await run('console', 'link', '--port', port);
    const key = new URL(stdout.trim()).searchParams.get('key')!;
    const both = await Promise.all(
      [1, 2].map(() => ask('/login', { method: 'POST', headers: FORM, body: `key=${key}` })),
    );
    assert.deepEqual(both.map(({ status }) => status).sort(), [303, 403]);
  });

  test('the cookie is for this site and no script, new at each login, and not what is stored', async () => {
    assert.match(ann.set, /HttpOnly/);
    assert.match(ann.set, /SameSite=Strict/);
    assert.match(ann.set, /Max-Age=43200/);
    const secret = ann.cookie.split('=')[1]!;
    const stored = await query<{ text: string }>(
      url,
      'select s::text as text from console_session s union all select l::text from console_login l',
    );
    for (const { text } of stored) assert.ok(!text.includes(secret) && !text.includes(ann.key));
    const given = await ask('/login', {
      method: 'POST',
      headers: { ...FORM, cookie: 'settlestream=mine' },
      body: `key=${new URL((await run('console', 'link', '--port', port)).stdout.trim()).searchParams.get('key')}`,
    });
    assert.doesNotMatch(String(given.headers['set-cookie']), /settlestream=mine/);
  });

  test('a session ends with its time, when it is revoked, and when somebody signs out', async () => {
    const bob = await signIn('--as', 'bob');
    assert.equal((await bob.get('/')).status, 200);
    assert.equal((await bob.post('/logout', [])).status, 303);
    assert.equal((await bob.get('/')).status, 401);
    const old = await signIn('--as', 'old');
    await query(url, `update console_session set expires_at = now() where name = 'old'`);
    assert.equal((await old.get('/')).status, 401);
  });

  test('what another site sends is refused', async () => {
    const attempts: readonly Record<string, string>[] = [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: `https://127.0.0.1:${port}` },
      { origin: 'http://127.0.0.1:1' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ];
    const fields = [
      ['no', '1'],
      ['action', 'comment'],
      ['text', 'forged'],
    ] as const;
    for (const headers of attempts)
      assert.equal((await ann.post('/discrepancies/handle', fields, headers)).status, 403, JSON.stringify(headers));
    for (const body of [
      'no=1&action=comment&text=forged',
      'token=&no=1&action=comment&text=forged',
      `token=${'0'.repeat(64)}&no=1&action=comment&text=forged`,
    ])
      assert.equal(
        (await ask('/discrepancies/handle', { method: 'POST', headers: { ...FORM, cookie: ann.cookie }, body })).status,
        400,
      );
    for (const host of ['evil.example', 'evil.example:9465', '127.0.0.1.evil.example', 'localhost.', '10.0.0.1'])
      assert.equal((await ask('/', { headers: { host, cookie: ann.cookie } })).status, 421, host);
    assert.equal((await query(url, `select from handling where said = 'forged'`)).length, 0);
  });

  test('the token of one session is none of another', async () => {
    const bob = await signIn('--as', 'bob');
    const token = /name="token" value="(\w+)"/.exec((await bob.get('/')).text)![1]!;
    const body = `token=${token}&no=1&action=comment&text=forged`;
    assert.equal(
      (await ask('/discrepancies/handle', { method: 'POST', headers: { ...FORM, cookie: ann.cookie }, body })).status,
      400,
    );
  });

  test('large and strange requests are refused, and harm nothing', async () => {
    assert.equal(
      (await ask(`/discrepancies?kind=${'x'.repeat(5_000)}`, { headers: { cookie: ann.cookie } })).status,
      414,
    );
    assert.equal(
      (
        await ask('/discrepancies/handle', {
          method: 'POST',
          headers: { ...FORM, cookie: ann.cookie },
          body: `text=${'x'.repeat(1_100_000)}`,
        })
      ).status,
      413,
    );
    for (const path of [
      '/batches/0',
      '/batches/99999999999',
      '/batches/1;drop',
      '/discrepancies/-1',
      '/discrepancies/999999999999999999',
      '/../etc/passwd',
      '/discrepancies/..%2f..%2f',
      '/nothing',
      '/LOGIN',
    ])
      assert.equal((await ann.get(path)).status, 404, path);
    const strange = [
      "?merchant=' or 1=1 --",
      '?kind=%00',
      '?merchant=%00',
      '?batch=%00',
      '?assigned=%00',
      '?from=yesterday&to=2026-02-30',
      '?after=x',
      '?after=999999',
      '?handling=all',
      '?batch=%ff',
    ];
    for (const path of strange)
      assert.equal((await ann.get(`/discrepancies${path.replaceAll(' ', '%20')}`)).status, 200, path);
    for (const path of [
      '/batches?merchant=%00',
      '/batches?from=x&state=y',
      '/audit?who=%00&after=-1',
      '/reports?batch=%00&state=x&after=999999999999',
      '/bank?account=%00&after=1&from=x',
      '/bank?after=999999999.1',
      '/payments?id=%00',
      `/payments?id=${encodeURIComponent("' or 1=1 --")}`,
    ])
      assert.equal((await ann.get(path)).status, 200, path);
    for (const method of ['PUT', 'DELETE', 'PATCH', 'TRACE'])
      assert.ok(
        [400, 403, 404, 405].includes((await ask('/', { method, headers: { cookie: ann.cookie } })).status),
        method,
      );
  });
});

test('every answer forbids code, frames and guessing, also where it refuses', async () => {
  for (const path of ['/', '/style.css', '/login', '/nothing', '/discrepancies?format=csv']) {
    const { headers } = await ann.get(path);
    assert.match(
      String(headers['content-security-policy']),
      /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/,
      path,
    );
    assert.doesNotMatch(String(headers['content-security-policy']), /unsafe|script-src/);
    assert.deepEqual(
      [
        headers['x-content-type-options'],
        headers['x-frame-options'],
        headers['referrer-policy'],
        headers['cache-control'],
      ],
      ['nosniff', 'DENY', 'same-origin', 'no-store'],
      path,
    );
  }
  assert.match(String((await ask('/')).headers['content-security-policy']), /default-src 'none'/);
});

suite('roles and merchants', () => {
  test('another merchant is not there, whatever the address', async () => {
    const mine = await signIn('--as', 'mia', '--merchant', 'M1');
    const others = await query<{ no: string; batch: number }>(
      url,
      `select d.no::text, d.batch_no as batch from discrepancy d where d.request_id = 'other-1'`,
    );
    const { no, batch } = others[0]!;
    const reportNos = await query<{ no: number }>(url, `select no from report where batch_no = ${batch}`);
    for (const { no: reportNo } of reportNos) {
      assert.equal((await mine.get(`/reports/${reportNo}`)).status, 404);
      assert.equal((await mine.get(`/reports/${reportNo}/original`)).status, 404);
      for (const way of ['replay', 'withdraw'])
        assert.equal((await mine.post(`/reports/${reportNo}/${way}`, [['reason', 'across']])).status, 404);
    }
    assert.equal(
      (
        await mine.post('/bank/match', [
          ['entry', 'x'],
          ['batch', 'OTHERS'],
        ])
      ).status,
      403,
    );
    const pages = [
      '/',
      '/batches',
      '/batches?merchant=M2',
      `/batches/${batch}`,
      '/batches?format=csv',
      '/discrepancies',
      '/discrepancies?merchant=M2',
      '/discrepancies?batch=OTHERS',
    ];
    const more = [
      '/discrepancies?format=csv&merchant=M2',
      `/discrepancies/${no}`,
      '/payments?id=other-1',
      '/payments?id=other-1&merchant=M2',
      '/payments?id=t-M2-0',
      '/reports',
      '/reports?merchant=M2',
      '/reports?batch=OTHERS',
      '/bank',
      '/audit',
      '/health',
      `/discrepancies?after=${no}`,
    ];
    for (const path of [...pages, ...more]) {
      const { text } = await mine.get(path);
      assert.doesNotMatch(text.replaceAll(/(value|href)="[^"]*"/g, ''), /OTHERS|other-1<|>M2</, path);
      assert.ok(!/settlementItems_USD_OTHERS/.test(text), path);
    }
    const { status, text } = await mine.post('/discrepancies/handle', [
      ['no', no],
      ['action', 'comment'],
      ['text', 'across'],
    ]);
    assert.equal(status, 400);
    assert.match(text, /does not exist/);
    assert.equal((await query(url, `select from handling where said = 'across'`)).length, 0);
  });

  test('who may only look can do nothing, and who handles cannot approve', async () => {
    const [no] = numbersIn((await ann.get('/discrepancies')).text);
    for (const [role, action, status] of [
      ['viewer', 'comment', 403],
      ['viewer', 'approve', 403],
      ['engineer', 'comment', 403],
      ['analyst', 'approve', 403],
      ['analyst', 'reject', 403],
    ] as const) {
      const person = await signIn('--as', role, '--role', role);
      const answer = await person.post('/discrepancies/handle', [
        ['no', no!],
        ['action', action],
        ['text', 'not mine'],
      ]);
      assert.equal(answer.status, status, `${role} ${action}`);
      if (role === 'viewer') assert.doesNotMatch((await person.get('/discrepancies')).text, /What to do/);
    }
    assert.equal((await query(url, `select from handling where said = 'not mine'`)).length, 0);
    assert.equal((await run('console', 'link', '--role', 'boss')).code, 2);
    assert.equal((await run('console', 'link', '--as', 'system')).code, 2);
  });
});

suite('an engineer at work', () => {
  test('a report is downloaded as it came, replayed after a dry run, and withdrawn', async () => {
    const eve = await signIn('--as', 'eve', '--role', 'engineer');
    const list = (await eve.get('/reports?merchant=M2')).text;
    const nos = [...list.matchAll(/href="\/reports\/(\d+)"/g)].map(([, no]) => no!);
    assert.equal(nos.length, 2);
    const pages = await Promise.all(nos.map((no) => eve.get(`/reports/${no}`)));
    const no = nos[pages.findIndex(({ text }) => text.includes('settlementItems'))]!;
    const original = await eve.get(`/reports/${no}/original`);
    assert.match(String(original.headers['content-disposition']), /"settlementItems_USD_OTHERS_000\.csv"/);
    assert.match(original.text, /^settlementBatchId,.*\nOTHERS,PAYMENT,t-M2-0,"other-1"/);

    const runs = async () => (await query(url, 'select from run')).length;
    const before = await runs();
    const dry = await eve.post(`/reports/${no}/replay`, []);
    assert.equal(dry.status, 200, dry.text);
    assert.match(dry.text, /What would change.*Nothing was changed yet/s);
    assert.equal(await runs(), before);
    const done = await eve.post(`/reports/${no}/replay`, [['confirmed', 'yes']]);
    assert.match(done.text, /What changed/);
    assert.ok((await runs()) > before);

    const ana = await signIn('--as', 'ana', '--role', 'analyst');
    for (const way of ['replay', 'withdraw'])
      assert.equal((await ana.post(`/reports/${no}/${way}`, [['reason', 'no']])).status, 403);
    assert.doesNotMatch((await ana.get(`/reports/${no}`)).text, /Withdraw/);
    assert.equal((await eve.post(`/reports/${no}/withdraw`, [['reason', ' ']])).status, 400);
    const withdrawn = await eve.post(`/reports/${no}/withdraw`, [['reason', 'sent by mistake']]);
    assert.equal(withdrawn.status, 200, withdrawn.text);
    assert.match((await eve.get(`/reports/${no}`)).text, /withdrawn/);
    // It comes back, so that what follows finds it.
    assert.equal((await eve.post(`/reports/${no}/replay`, [['confirmed', 'yes']])).status, 200);
    assert.doesNotMatch((await eve.get(`/reports/${no}`)).text, /> withdrawn</);
    const { events } = (await run('audit', '--json', '--who', 'eve')).json;
    assert.deepEqual(
      events.map(({ what }: { what: string }) => what),
      ['login', 'replay', 'withdraw', 'replay'],
    );
  });

  test('without statements the bank page says what is missing, and a match is refused', async () => {
    assert.match((await ann.get('/bank')).text, /There is none that this filter names/);
    const fields = [
      ['entry', '0000000000000000'],
      ['batch', 'B1'],
    ] as const;
    const refused = await ann.post('/bank/match', fields);
    assert.equal(refused.status, 400);
    assert.match(refused.text, /no bank statements/);
    assert.equal((await ann.post('/bank/match', [['batch', 'B1']])).status, 400);
  });
});

suite('a finance person at work', () => {
  test('the first page says what is open, and leads to it', async () => {
    const { text } = await ann.get('/');
    assert.match(text, /<h1>Today<\/h1>/);
    assert.match(text, new RegExp(`<a href="/discrepancies">${MINE.length + 1}</a> open`));
    assert.match(text, /amount_mismatch<\/a><\/td><td class="number">11<\/td><td class="number">11\.00<\/td>/);
  });

  test('what was not read is said before what is open', async () => {
    const { text: before } = await ann.get('/');
    assert.doesNotMatch(before, /role="alert"/);
    for (const [change, back, said] of [
      [
        `insert into away (what, reason, next_try_at) values ('source s', 'it is away', now())`,
        `delete from away`,
        /1 source cannot be reached/,
      ],
      [
        `update delivery set state = 'refused' where no = (select max(no) from delivery)`,
        `update delivery set state = 'closed' where state = 'refused'`,
        /1 report is not read/,
      ],
      [
        `update batch set parked_reason = 'x' where no = (select max(no) from batch)`,
        `update batch set parked_reason = null`,
        /1 batch or day was given up/,
      ],
    ] as const) {
      await query(url, change);
      const { text } = await ann.get('/');
      await query(url, back);
      assert.match(text, said);
    }
  });

  test('a batch shows its way from the rows to the payout, and what was checked', async () => {
    const [, no] = /href="\/batches\/(\d+)">B1</.exec((await ann.get('/batches')).text)!;
    const { text } = await ann.get(`/batches/${no}`);
    for (const said of [
      /<h1>Batch B1<\/h1>/,
      /the summary says/,
      /110\.00/,
      /with a discrepancy/,
      /settlementItems_USD_B1_000\.csv/,
      /≠/,
    ])
      assert.match(text, said);
  });

  test('a payment is found by any id, and what is hostile in it is only text', async () => {
    assert.match((await ann.get('/payments?id=p-1')).text, /settlementItems_USD_B1_000\.csv/);
    assert.match((await ann.get('/payments?id=t-M1-0&merchant=M1')).text, /p-1/);
    assert.match((await ann.get('/payments?id=nobody&merchant=M1')).text, /nothing is known of nobody/);
    for (const id of HOSTILE) {
      const pages = await Promise.all(
        ['/discrepancies', `/payments?merchant=M1&id=${encodeURIComponent(id)}`].map((path) => ann.get(path)),
      );
      for (const { text, status } of pages) {
        assert.equal(status, 200);
        assert.doesNotMatch(text, /<script|"onmouseover/);
      }
    }
  });

  test('exports have the rows and columns of the commands', async () => {
    const { text, headers } = await ann.get('/discrepancies?format=csv&merchant=M1');
    assert.match(String(headers['content-disposition']), /attachment; filename="discrepancies\.csv"/);
    assert.equal(text, (await run('discrepancies', '--format', 'csv', '--merchant', 'M1')).stdout);
    assert.equal((parse(text) as string[][]).length, 1 + MINE.length);
    assert.ok(text.includes(`'=cmd`));
    const workbook = await ann.get('/batches?format=xlsx');
    assert.ok(workbook.text.startsWith('PK'));
  });

  test('what takes too long is told, and is no empty list', async () => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`set lock_timeout = '5s'; begin; lock table handling in access exclusive mode`);
    for (const path of [
      '/discrepancies',
      '/discrepancies?format=csv',
      '/discrepancies?format=xlsx',
      '/batches?format=csv',
    ]) {
      const { status, text, headers } = await ann.get(path);
      assert.equal(status, 503, path);
      assert.match(text, /This takes too long/);
      assert.equal(headers['content-disposition'], undefined);
    }
    await client.query('rollback');
    await client.end();
  });

  test('an export that breaks off is seen to break off', async () => {
    const copied = `insert into discrepancy (batch_no, identity, of_matchable, kind, load_no, line, message, first_seen_at, opened_run, opened_at)
       select batch_no, 'many ' || n, false, kind, load_no, n, repeat('x', 900), first_seen_at, opened_run, opened_at
         from (select * from discrepancy where request_id = 'p-1') d, generate_series(1, 30000) n`;
    await query(url, copied);
    const broken = new Promise<string>((resolve) => {
      const sent = request(
        { host: '127.0.0.1', port, path: '/discrepancies?format=csv', headers: { cookie: ann.cookie } },
        (response) => {
          response.once('data', async () => {
            response.pause();
            const ended = `select pg_terminate_backend(pid) from pg_stat_activity where query like 'fetch % from portion' and datname = current_database()`;
            for (let tries = 0; tries < 250 && (await query(url, ended)).length === 0; tries++)
              await new Promise((wake) => setTimeout(wake, 20));
            response.resume();
          });
          response.on('aborted', () => resolve('aborted'));
          response.on('error', () => resolve('aborted'));
          response.on('end', () => resolve('whole'));
        },
      );
      sent.on('error', () => resolve('aborted'));
      sent.end();
    });
    assert.equal(await broken, 'aborted');
    await query(url, `delete from discrepancy where identity like 'many %'`);
    assert.equal((await ann.get('/discrepancies?format=csv')).status, 200, 'the next one is whole');
  });

  test('several are handled at once, another person approves, and the batch says what was accepted', async () => {
    const { text } = await ann.get('/discrepancies?merchant=M1');
    const nos = numbersIn(text);
    const accepted = await ann.post('/discrepancies/handle', [
      ...nos.map((no) => ['no', no] as const),
      ...seenIn(text),
      ['back', '?merchant=M1'],
      ['action', 'accept'],
      ['reason', 'provider_claim'],
      ['text', 'claim 4711'],
    ]);
    assert.deepEqual([accepted.status, accepted.headers['location']], [303, '/discrepancies?merchant=M1']);
    assert.match((await ann.get('/discrepancies?merchant=M1&handling=pendingApproval')).text, /pendingApproval/);
    const own = await ann.post('/discrepancies/handle', [
      ['no', nos[0]!],
      [`seen-${nos[0]}`, seenIn((await ann.get(`/discrepancies/${nos[0]}`)).text)[0]![1]],
      ['action', 'approve'],
    ]);
    assert.equal(own.status, 400);
    assert.match(own.text, /another person must approve it/);

    const bob = await signIn('--as', 'bob', '--role', 'approver');
    const list = (await bob.get('/discrepancies?merchant=M1&handling=pendingApproval')).text;
    const approved = await bob.post('/discrepancies/handle', [
      ...nos.map((no) => ['no', no] as const),
      ...seenIn(list),
      ['action', 'approve'],
    ]);
    assert.equal(approved.status, 303, approved.text);
    const batches = (await ann.get('/batches?merchant=M1')).text;
    assert.match(batches, /reconciled/);
    assert.match(batches, /10, 10\.00 USD/);
    const history = (await ann.get(`/discrepancies/${nos[0]}`)).text;
    for (const said of [/accept: provider_claim/, /claim 4711/, /bob \(console\)/]) assert.match(history, said);
    const { events } = (await run('audit', '--json', '--what', 'handle')).json;
    assert.equal(events.length, 2 * nos.length);
    assert.match((await ann.get('/audit?who=bob')).text, /discrepancy \d+ \(amount_mismatch, B1\)/);
    assert.equal((await run('audit', '--verify')).code, 0);
  });

  test('who decides on what somebody else has changed is told', async () => {
    const [other] = (await run('discrepancies', '--json', '--merchant', 'M2')).json.discrepancies;
    const no = String(other.no);
    const seen = seenIn((await ann.get(`/discrepancies/${no}`)).text);
    await run('handle', 'assign', no, '--to', 'bob', '--as', 'bob');
    const late = await ann.post('/discrepancies/handle', [
      ['no', no],
      ...seen,
      ['back', `/${no}`],
      ['action', 'assign'],
      ['to', 'ann'],
    ]);
    assert.equal(late.status, 409);
    assert.match(late.text, /changed in the meantime: it is assigned by bob/);
    assert.match(late.text, new RegExp(`href="/discrepancies/${no}"`));
    for (const back of ['//evil.example', 'https://evil.example', '/../x', '?x=1\r\nSet-Cookie: a=b', 'x']) {
      const now = seenIn((await ann.get(`/discrepancies/${no}`)).text);
      const { headers } = await ann.post('/discrepancies/handle', [
        ['no', no],
        ...now,
        ['back', back],
        ['action', 'comment'],
        ['text', 'seen'],
      ]);
      assert.equal(headers['location'], '/discrepancies', back);
    }
  });

  test('the health page says what the doctor says', async () => {
    assert.match((await ann.get('/health')).text, /database version/);
    assert.match(
      String(healthPage([])[0]),
      /<p>Nothing was checked\.<\/p>/,
      'where nothing was checked nothing is well',
    );
  });
});

test('it ends when it is told to', async () => {
  served.kill('SIGTERM');
  const { code, stdout } = await served.ended;
  assert.equal(code, 0);
  assert.match(stdout, /^http:\/\/127\.0\.0\.1:\d+\/login\?key=[\w-]{43}\n$/);
});
