/** The console: what each page shows and does. Without JavaScript, for there is none. Who gets in: console-access.test.ts. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { parse } from 'csv-parse/sync';
import pg from 'pg';
import { healthPage } from '../src/console/pages/health.ts';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { asker, signIn } from './support/console.ts';
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
  ids.map(
    (id) =>
      `"${id.replaceAll('"', '""')}",PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00,${merchant},order-${merchant}`,
  );
const MINE = ['p-1', 'p-2', 'p-3', 'p-4', 'p-5', 'p-6', ...HOSTILE];
const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt,merchantId,orderId',
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

const ask = asker(port);
const signed = (name: string, ...roles: readonly string[]) =>
  signIn(ask, url, { name, ...(roles.length > 0 ? { roles } : {}) });
const ann = await signed('ann');
const numbersIn = (text: string) => [...text.matchAll(/name="no" value="(\d+)"/g)].map(([, no]) => no!);
const seenIn = (text: string) =>
  [...text.matchAll(/name="(seen-\d+)" value="(\d*)"/g)].map(([, name, value]) => [name!, value!] as const);

suite('an engineer at work', () => {
  test('a report is downloaded as it came, replayed after a dry run, and withdrawn', async () => {
    const eve = await signed('eve', 'engineer');
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

    const ana = await signed('ana', 'analyst');
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
      /No account is known for its payout/,
      /<svg viewBox="0 0 1000 20"/,
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
    const order = (await ann.get('/payments?id=order-M1')).text;
    assert.match(order, /href="\/payments\?id=p-1&amp;merchant=M1">p-1</);
    const mia = await signIn(ask, url, { name: 'mia', merchants: ['M2'] });
    assert.match((await mia.get('/payments?id=order-M1')).text, /nothing is known of order-M1/);
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

  test('all of a page are ticked by a link', async () => {
    const [all, none] = await Promise.all(
      ['&ticked=all', ''].map((more) => ann.get(`/discrepancies?merchant=M1${more}`)),
    );
    assert.equal(all!.text.match(/ checked>/g)?.length, MINE.length);
    assert.match(all!.text, /Tick none/);
    assert.equal(none!.text.match(/ checked>/g), null);
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

    const bob = await signed('bob', 'approver');
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
