/** The API: what each address answers, that it says what the commands say, and that no token gets across. All that was tried: console-access.test.ts. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

const batch = (merchant: string, id: string, ids: readonly string[]) => ({
  [`reports/${merchant}/20260105/settlementItems_USD_${id}_000.csv`]: [
    'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
    ...ids.map((one, at) => `${id},PAYMENT,t-${merchant}-${at},${one},11.00,USD,11.00,USD`),
    '<END>',
  ],
  [`reports/${merchant}/20260105/settlementSummary_USD_${id}_000.csv`]: [
    'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
    `${id},TOTAL,${ids.length},${(11 * ids.length).toFixed(2)},USD`,
    '<END>',
  ],
});
const record = (merchant: string, id: string) =>
  `${id},PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,${merchant}`;
const MINE = ['p-1', 'p-2', 'p-3', 'p-4', 'p-5'];
const camt = (reference: string, amount: string) =>
  `<Ntry><NtryRef>${reference}</NtryRef><Amt Ccy="USD">${amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-01-06</Dt></BookgDt><ValDt><Dt>2026-01-06</Dt></ValDt><NtryDtls><TxDtls><RmtInf><Ustrd>${reference}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`;
const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt,merchantId',
    ...MINE.map((id) => record('M1', id)),
    record('M2', 'other-1'),
  ],
  'bank/january.xml': [
    '<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><GrpHdr><MsgId>1</MsgId><CreDtTm>2026-01-07T00:00:00</CreDtTm></GrpHdr><Stmt><Id>1</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>2026-01-07T00:00:00</CreDtTm><FrToDt><FrDtTm>2026-01-06T00:00:00</FrDtTm><ToDtTm>2026-01-06T23:59:59</ToDtTm></FrToDt><Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>USD</Ccy></Acct>',
    '<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">0.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-01-06</Dt></Dt></Bal><Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="USD">72.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-01-06</Dt></Dt></Bal>',
    camt('transfer', '55.00'),
    camt('unknown', '17.00'),
    '</Stmt></BkToCstmrStmt></Document>',
  ],
  'settlestream.yaml': ['handling:', '  approval:', '    USD: 0.50', 'console:', '  port: 0'],
  ...batch('M1', 'B1', MINE),
  ...batch('M2', 'OTHERS', ['other-1']),
});
const url = await freshDatabase();
const env = { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data'), SETTLESTREAM_PROCESSES: '1' };
const run = (...args: string[]) => settlestream(args, { cwd: folder, env });
const reconciled = await run('reconcile', 'reports', '--ledger', 'records.csv', '--bank', 'bank', '--json');
assert.equal(reconciled.code, 1, reconciled.stderr);

const served = startSettlestream(['console', '--as', 'ann'], { cwd: folder, env });
after(() => served.kill('SIGKILL'));
const port = new URL(/http:\/\/127\.0\.0\.1:\d+/.exec(await served.says(/console at/))![0]).port;

type Sent = { readonly method?: string; readonly headers?: Record<string, string>; readonly body?: unknown };
type Got = {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, unknown>>;
  // biome-ignore lint/suspicious/noExplicitAny: what is answered is looked at, not used
  readonly json: any;
};

/** A request with these headers exactly. */
function ask(path: string, { method = 'GET', headers = {}, body }: Sent = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const address = { host: '127.0.0.1', port, path: `/api/v1${path}`, method };
    const sent = request({ ...address, headers: { connection: 'close', ...headers } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => {
        const isJson = /json/.test(String(response.headers['content-type'])) && text !== '';
        resolve({
          status: response.statusCode!,
          text,
          headers: response.headers,
          json: isJson ? JSON.parse(text) : null,
        });
      });
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
  });
}

/** Somebody with a token. */
async function holder(role: string, ...more: string[]) {
  const { stdout, stderr, code } = await run('console', 'token', 'create', '--role', role, '--json', ...more);
  assert.equal(code, 0, stderr);
  const { token, no } = JSON.parse(stdout);
  const headers = { authorization: `Bearer ${token}` };
  const get = (path: string) => ask(path, { headers });
  const post = (path: string, body: unknown, key?: string) =>
    ask(path, {
      method: 'POST',
      body,
      headers: { ...headers, ...(key === undefined ? {} : { 'idempotency-key': key }) },
    });
  return { token: token as string, no: no as number, get, post };
}
const viewer = await holder('viewer', '--as', 'reader');
const analyst = await holder('analyst', '--as', 'ana');
const approver = await holder('approver', '--as', 'bob');
const engineer = await holder('engineer', '--as', 'eve');
const ofM2 = {
  viewer: await holder('viewer', '--as', 'v2', '--merchant', 'M2'),
  analyst: await holder('analyst', '--as', 'a2', '--merchant', 'M2'),
  approver: await holder('approver', '--as', 'b2', '--merchant', 'M2'),
  engineer: await holder('engineer', '--as', 'e2', '--merchant', 'M2'),
};
const mine = (await viewer.get('/batches?merchant=M1')).json.batches[0];
const [first, second, third] = (await viewer.get('/discrepancies?merchant=M1')).json.discrepancies;
const report = (await viewer.get('/reports?merchant=M1')).json.reports.find((one: { kind: string }) =>
  /Summary/.test(one.kind),
);
const entry = (await viewer.get('/bank/entries?open=true')).json.entries[0];

/** An address of merchant M1, with what is sent to it. */
const TRIED: Readonly<Record<string, { readonly path: string; readonly body?: object }>> = {
  'GET /openapi.json': { path: '/openapi.json' },
  'GET /batches': { path: '/batches' },
  'GET /batches/{no}': { path: `/batches/${mine.no}` },
  'GET /discrepancies': { path: '/discrepancies' },
  'GET /payments/{id}': { path: '/payments/p-1' },
  'GET /reports': { path: '/reports' },
  'GET /bank/entries': { path: '/bank/entries' },
  'GET /open': { path: '/open?records=true' },
  'GET /audit': { path: '/audit' },
  'POST /discrepancies/{no}/handling': {
    path: `/discrepancies/${first.no}/handling`,
    body: { action: 'comment', text: 'seen' },
  },
  'POST /replays': { path: '/replays', body: { batch: 'B1', dryRun: true } },
  'POST /reports/{no}/withdraw': {
    path: `/reports/${report.no}/withdraw`,
    body: { reason: ' ' },
  },
  'POST /bank/matches': {
    path: '/bank/matches',
    body: { entry: '0000000000000000', batch: 'B1' },
  },
};
const made = (route: string, who: Awaited<ReturnType<typeof holder>>) => {
  const { path, body } = TRIED[route]!;
  return body === undefined ? who.get(path) : who.post(path, body);
};

suite('nobody gets in or across', () => {
  test('who handles cannot approve', async () => {
    for (const action of ['approve', 'reject'])
      assert.equal((await analyst.post(`/discrepancies/${first.no}/handling`, { action })).status, 403);
  });

  test('a token of another merchant finds nothing of this one', async () => {
    const before = await query(url, 'select count(*)::int as n from audit_event');
    for (const route of Object.keys(TRIED))
      for (const [role, who] of Object.entries(ofM2)) {
        const { status, text } = await made(route, who);
        if (route !== 'GET /openapi.json') assert.doesNotMatch(text, /"M1"|"B1"|p-\d"|_B1_/, `${route} as ${role}`);
        const isNamed = /\{no\}|\{id\}|audit|POST/.test(route);
        if (isNamed) assert.ok([400, 403, 404].includes(status), `${route} as ${role}: ${status}`);
        else assert.equal(status, 200, `${route} as ${role}`);
      }
    for (const path of [
      '/batches?merchant=M1',
      '/discrepancies?batch=B1',
      '/reports?batch=B1',
      '/reports?merchant=M1',
      '/open?merchant=M1',
    ])
      assert.doesNotMatch((await ofM2.viewer.get(path)).text, /"M1"|"B1"|_B1_/, path);
    // As if both had delivered the same bytes: only who sees both is told.
    const own = (await viewer.get('/batches?merchant=M2')).json.batches[0];
    const kept = await query<{ no: number; sha256: string }>(url, 'select no, sha256 from load');
    await query(url, `update load set sha256 = repeat('a', 64)`);
    assert.match((await viewer.get(`/batches/${own.no}`)).text, /_B1_/);
    assert.doesNotMatch((await ofM2.viewer.get(`/batches/${own.no}`)).text, /_B1_/);
    for (const { no, sha256 } of kept) await query(url, `update load set sha256 = '${sha256}' where no = ${no}`);
    assert.equal((await ofM2.viewer.get('/payments/p-1?merchant=M1')).status, 404);
    assert.match(
      (await ofM2.engineer.post('/replays', { batch: 'B1', merchant: 'M1', dryRun: true })).text,
      /nothing to replay/,
    );
    assert.equal((await ofM2.viewer.get('/batches')).json.batches.length, 1);
    assert.deepEqual(await query(url, 'select count(*)::int as n from audit_event'), before);
  });

  test('a revoked token opens nothing, and none is stored', async () => {
    const gone = await holder('viewer', '--as', 'gone');
    assert.equal((await gone.get('/batches')).status, 200);
    assert.equal((await run('console', 'token', 'revoke', String(gone.no))).code, 0);
    assert.equal((await gone.get('/batches')).status, 401);
    assert.equal((await run('console', 'token', 'revoke', String(gone.no))).code, 2);
    const stored = await query<{ text: string }>(url, 'select t::text as text from api_token t');
    assert.ok(stored.every(({ text }) => !text.includes(viewer.token)));
    const listed = await run('console', 'token', 'list', '--json');
    assert.equal(listed.json.tokens.at(-1).name, 'gone');
    assert.doesNotMatch(listed.stdout, new RegExp(viewer.token));
    const { events } = (await run('audit', '--json', '--what', 'token')).json;
    assert.equal(events.at(-1).on, `token ${gone.no} revoked`);
    assert.equal((await run('console', 'token', 'create')).code, 2);
    assert.equal((await run('console', 'token', 'create', '--role', 'boss')).code, 2);
  });

  test('what is strange is refused, and harms nothing', async () => {
    for (const path of [
      '/batches?merhcant=M1',
      '/batches?state=fine',
      '/batches?from=yesterday',
      '/batches?after=999999',
      '/batches?limit=0',
      '/batches?limit=5000',
      '/batches?merchant=M1&merchant=M2',
      '/discrepancies?after=999999999999',
      '/discrepancies?merchant=%00',
      '/discrepancies?kind=x',
      '/bank/entries?after=1',
      '/open?after=x',
      '/audit?what=x',
    ]) {
      const { status, json } = await viewer.get(path);
      assert.equal(status, 400, path);
      assert.equal(json.status, 400);
    }
    for (const path of [
      '/batches/0',
      '/batches/99999999999',
      '/batches/999999999',
      '/payments/nobody?merchant=M1',
      '/nothing',
      '/../x',
      `/payments/${encodeURIComponent("' or 1=1 --")}?merchant=M1`,
    ])
      assert.equal((await viewer.get(path)).status, 404, path);
    assert.equal((await viewer.get(`/batches?merchant=${'x'.repeat(5_000)}`)).status, 414);
    assert.equal(
      (await ask('/batches', { headers: { host: 'evil.example', authorization: `Bearer ${viewer.token}` } })).status,
      421,
    );
    const path = `/discrepancies/${first.no}/handling`;
    for (const body of [
      '',
      '{',
      '[]',
      '{"action":"comment"}',
      '{"action":"dance"}',
      '{"action":"comment","text":"a","more":1}',
      '{"action":"comment","text":"\\u0000"}',
    ])
      assert.equal((await analyst.post(path, body)).status, 400, body);
    assert.equal((await analyst.post(path, { action: 'comment', text: 'x'.repeat(1_100_000) })).status, 413);
    assert.equal(
      (await analyst.post('/discrepancies/999999999/handling', { action: 'comment', text: 'x' })).status,
      404,
    );
    for (const body of [{}, { batch: 'B1', refused: true }, { batch: 'B1', report: 'x' }])
      assert.equal((await engineer.post('/replays', body)).status, 400);
  });
});

suite('it says what the commands say', () => {
  test('batches, discrepancies, payments, open, entries, audit', async () => {
    const without = (rows: readonly { readonly no?: number }[]) => rows.map(({ no: _, ...row }) => row);
    const { batches } = (await run('batches', '--json')).json;
    assert.deepEqual(without((await viewer.get('/batches')).json.batches), batches);
    assert.deepEqual((await viewer.get(`/batches/${mine.no}`)).json, (await run('show', 'B1', '--json')).json);
    assert.deepEqual((await viewer.get('/discrepancies')).json, (await run('discrepancies', '--json')).json);
    assert.deepEqual((await viewer.get('/payments/p-1')).json, (await run('explain', 'p-1', '--json')).json);
    assert.deepEqual(Object.keys((await viewer.get('/open')).json), Object.keys((await run('open', '--json')).json));
    assert.deepEqual((await viewer.get('/bank/entries')).json.entries, (await run('bank', '--json')).json.entries);
    assert.deepEqual((await viewer.get('/audit')).json.events, (await run('audit', '--json')).json.events);
    const { reports } = (await viewer.get('/reports')).json;
    const told = reports.map(({ file, kind, state, revision, rows, refusedRows, error }: Record<string, unknown>) => ({
      file,
      kind,
      state,
      revision,
      rows,
      refusedRows,
      error,
    }));
    const byFile = (a: { file: string }, b: { file: string }) => (a.file < b.file ? -1 : 1);
    assert.deepEqual(told.sort(byFile), reconciled.json.reports.sort(byFile));
    assert.equal(reports.length, 4);
  });

  test('pages go on where the one before ended', async () => {
    for (const [path, key] of [
      ['/batches', 'batches'],
      ['/discrepancies', 'discrepancies'],
      ['/reports', 'reports'],
      ['/bank/entries', 'entries'],
      ['/audit', 'events'],
    ] as const) {
      const all = (await viewer.get(path)).json;
      assert.equal(all.next, null);
      const paged = [];
      for (let next: string | null = ''; next !== null; ) {
        const page: Got = await viewer.get(`${path}?limit=1${next === '' ? '' : `&after=${next}`}`);
        assert.equal(page.status, 200, page.text);
        paged.push(...page.json[key]);
        next = page.json.next;
      }
      assert.deepEqual(paged, all[key], path);
    }
  });

  test('its description has all routes, with the schemas that check them', async () => {
    const { json } = await viewer.get('/openapi.json');
    assert.equal(json.openapi, '3.1.0');
    const told = Object.entries(json.paths as Record<string, object>).flatMap(([path, verbs]) =>
      Object.keys(verbs).map((verb) => `${verb.toUpperCase()} ${path}`),
    );
    assert.deepEqual(
      told.sort(),
      Object.keys(TRIED)
        .filter((route) => !route.endsWith('openapi.json'))
        .sort(),
    );
    const { schema } = json.paths['/discrepancies/{no}/handling'].post.requestBody.content['application/json'];
    assert.deepEqual(schema.required, ['action']);
    assert.ok(schema.properties.reason);
    const names = json.paths['/batches'].get.parameters.map(({ name }: { name: string }) => name);
    assert.deepEqual(names, ['merchant', 'from', 'to', 'state', 'after', 'limit']);
  });
});

suite('what it does', () => {
  test('a discrepancy is accepted, and another person approves it', async () => {
    const path = `/discrepancies/${second.no}/handling`;
    const accepted = await analyst.post(path, { action: 'accept', reason: 'provider_claim', text: 'claim 4711' });
    assert.equal(accepted.json?.handling?.state, 'pendingApproval', accepted.text);
    const { status, json } = await approver.post(path, { action: 'approve' });
    assert.deepEqual([status, json.no, json.handling.state], [200, second.no, 'accepted']);
    const events = (await viewer.get('/audit?who=bob&what=handle')).json.events;
    assert.equal(events.at(-1).via, 'api');
    const refused = await analyst.post(path, { action: 'snooze' });
    assert.equal(refused.json.mistakes[0].part, 'until');
  });

  test('a request that is sent again is done once', async () => {
    const path = `/discrepancies/${third.no}/handling`;
    const comment = { action: 'comment', text: 'once' };
    const both = await Promise.all([1, 2].map(() => analyst.post(path, comment, 'key-1')));
    assert.ok(
      both.every(({ status }) => status === 200 || status === 409),
      JSON.stringify(both),
    );
    const again = await analyst.post(path, comment, 'key-1');
    assert.deepEqual([again.status, again.headers['idempotency-replayed']], [200, 'true']);
    assert.equal((await query(url, `select from handling where said = 'once'`)).length, 1);
    assert.equal((await analyst.post(path, { ...comment, text: 'other' }, 'key-1')).status, 422);
    assert.equal((await approver.post(path, comment, 'key-1')).status, 200, 'the key of another token is another key');
    assert.equal((await query(url, `select from handling where said = 'once'`)).length, 2);
    assert.equal((await analyst.post(path, { action: 'comment' }, 'key-2')).status, 400);
    assert.equal(
      (await analyst.post(path, { action: 'comment', text: 'mended' }, 'key-2')).status,
      200,
      'what was refused did nothing',
    );
    assert.equal((await analyst.post(path, comment, 'x'.repeat(201))).status, 400);
  });

  test('a dry run changes nothing, a replay is done, a report is withdrawn', async () => {
    const now = async () => (await viewer.get(`/batches/${mine.no}`)).json;
    const before = await now();
    const dry = await engineer.post('/replays', { batch: 'B1', dryRun: true });
    assert.equal(dry.json?.batches?.[0]?.settlementBatchId, 'B1', dry.text);
    assert.deepEqual((await now()).runs, before.runs);
    const done = await engineer.post('/replays', { batch: 'B1' }, 'replay-1');
    assert.deepEqual(
      [done.status, done.json.isIncomplete, done.json.batches[0].kept],
      [200, false, MINE.length],
      done.text,
    );
    const runs = (await now()).runs.length;
    assert.ok(runs > before.runs.length);
    assert.deepEqual((await engineer.post('/replays', { batch: 'B1' }, 'replay-1')).json, done.json);
    assert.equal((await now()).runs.length, runs, 'sent again it is not done again');

    const withdrawn = await engineer.post(`/reports/${report.no}/withdraw`, { reason: 'sent by mistake' });
    assert.equal(withdrawn.json?.batches?.[0]?.settlementBatchId, 'B1', withdrawn.text);
    const [listed] = (await viewer.get('/reports?batch=B1')).json.reports.filter(
      ({ no }: { no: number }) => no === report.no,
    );
    assert.equal(listed.isWithdrawn, true);
    const said = (await viewer.get('/audit?who=eve')).json.events.map(({ what }: { what: string }) => what);
    assert.deepEqual(said, ['replay', 'withdraw']);
  });

  test('a bank match is confirmed on the page of the bank, and taken back', async () => {
    const { stdout } = await run('console', 'link', '--port', port, '--as', 'ann');
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const key = new URL(stdout.trim()).searchParams.get('key');
    const base = `http://127.0.0.1:${port}`;
    const signed = await fetch(`${base}/login`, {
      method: 'POST',
      headers: form,
      body: `key=${key}`,
      redirect: 'manual',
    });
    const cookie = signed.headers.get('set-cookie')!.split(';')[0]!;
    const page = await (await fetch(`${base}/bank`, { headers: { cookie } })).text();
    assert.match(page, new RegExp(`type="radio" name="entry" value="${entry.id}"`));
    assert.match(page, /unexplained<\/td>/);
    const token = /name="token" value="(\w+)"/.exec(page)![1]!;
    const body = new URLSearchParams({ token, entry: entry.id, batch: 'OTHERS' });
    const sent = await fetch(`${base}/bank/match`, {
      method: 'POST',
      headers: { ...form, cookie },
      body,
      redirect: 'manual',
    });
    assert.equal(sent.status, 303);
    assert.match(await (await fetch(`${base}/bank`, { headers: { cookie } })).text(), /OTHERS \(confirmed\)/);
    assert.equal((await run('bank', 'unmatch', '--entry', entry.id)).code, 0);
  });

  test('a bank match is confirmed', async () => {
    const { status, json, text } = await analyst.post('/bank/matches', { entry: entry.id, batch: 'OTHERS' });
    assert.equal(status, 200, text);
    assert.equal(json.batches[0].settlementBatchId, 'OTHERS');
    const [paid] = (await viewer.get('/bank/entries')).json.entries.filter(({ id }: { id: string }) => id === entry.id);
    assert.equal(paid.pays[0].settlementBatchId, 'OTHERS');
    assert.equal((await ofM2.viewer.get('/bank/entries')).json.entries.length, 1);
    assert.equal((await run('audit', '--verify')).code, 0);
  });
});

test('it ends when it is told to', async () => {
  served.kill('SIGTERM');
  assert.equal((await served.ended).code, 0);
});
