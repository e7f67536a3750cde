/** The audit trail: everything a person does is in it, nobody changes it, and who does all the same is found out. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import pg from 'pg';
import { query, temporaryFolder, writeFiles } from './support/book.ts';
import { copyOf, freshDatabase } from './support/postgres.ts';
import { settlestream, startSettlestream } from './support/settlestream.ts';

// biome-ignore lint/suspicious/noExplicitAny: looked into by name.
type Json = any;
const folder = writeFiles(temporaryFolder(), {
  'records.csv': [
    'requestId,type,amount,currency,status,occurredAt',
    'p-1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00',
  ],
  'reports/M1/20260105/settlementItems_USD_B1_000.csv': [
    'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
    'B1,PAYMENT,t-1,p-1,11.00,USD,11.00,USD',
    '<END>',
  ],
});
const url = await freshDatabase();
const at = (database: string) => ({
  DATABASE_URL: database,
  SETTLESTREAM_DATA_DIR: join(folder, 'data'),
  SETTLESTREAM_PROCESSES: '1',
});
const run = (...args: string[]) => settlestream(args, { cwd: folder, env: at(url) });
const events = async (...args: string[]): Promise<Json[]> => (await run('audit', '--json', ...args)).json.events;

suite('what is written down', () => {
  test('an import, a replay, a withdrawal and what was handled, each with who and how', async () => {
    await run('ledger', 'import', 'records.csv', '--as', 'cron');
    await run('ledger', 'import', 'records.csv', '--as', 'cron');
    await run('reconcile', 'reports');
    const { discrepancies } = (await run('discrepancies', '--json')).json;
    const no = discrepancies.find(({ kind }: Json) => kind === 'amount_mismatch').no;
    await run('handle', 'accept', String(no), '--reason', 'timing', '--text', 'tomorrow', '--as', 'ann');
    await run('handle', 'accept', String(no), '--reason', 'timing', '--text', 'again', '--as', 'ann');
    await run('replay', '--batch', 'B1', '--dry-run', '--as', 'eve');
    await run('replay', '--batch', 'B1', '--as', 'eve');
    await run('withdraw', '--report', 'settlementItems_USD_B1_000', '--reason', 'wrong file', '--as', 'eve');
    await run('withdraw', '--report', 'settlementItems_USD_B1_000', '--reason', 'again', '--as', 'eve');
    const all = await events();
    assert.deepEqual(
      all.map(({ no, who, what, on, reason }) => [no, who, what, on, reason]),
      [
        [1, 'cron', 'import', 'records of records.csv', null],
        [2, 'ann', 'handle', `discrepancy ${no} (amount_mismatch, B1)`, 'tomorrow'],
        [3, 'eve', 'replay', 'batch B1', null],
        [4, 'eve', 'withdraw', 'revision 1 of M1/20260105/settlementItems_USD_B1_000.csv', 'wrong file'],
      ],
    );
    for (const { via } of all) assert.match(via, /^command line \(.+\)$/);
    const [, handled] = all;
    assert.equal(handled.before, null);
    assert.deepEqual(
      [handled.after.action, handled.after.state, handled.after.reason],
      ['accept', 'accepted', 'timing'],
    );
  });

  test('the settings of each start, as a hash that changes with them', async () => {
    const start = async (...args: string[]) => {
      const service = startSettlestream(['produce', '--data-dir', join(folder, 'data'), ...args], {
        cwd: folder,
        env: at(url),
      });
      await service.says(/records: /);
      service.kill('SIGTERM');
      assert.equal((await service.ended).code, 0);
    };
    await start();
    await start();
    await start('--poll-seconds', '7');
    const [first, second, third] = await events('--what', 'settings');
    assert.match(first.after.sha256, /^[0-9a-f]{64}$/);
    assert.deepEqual([second.after, second.before], [first.after, first.after]);
    assert.notEqual(third.after.sha256, first.after.sha256);
    assert.deepEqual([third.via, third.on], ['produce', 'settings of produce']);
  });

  test('is listed by day, person and kind, in pages and for spreadsheets', async () => {
    const today = new Date().toISOString().slice(0, 10);
    const all = await events();
    assert.deepEqual(
      (await events('--who', 'eve')).map(({ what }) => what),
      ['replay', 'withdraw'],
    );
    assert.equal((await events('--what', 'import')).length, 1);
    assert.equal((await events('--from', today)).length, all.length);
    assert.equal((await events('--to', '2026-01-01')).length, 0);
    assert.deepEqual(await events('--after', '2', '--limit', '2'), all.slice(2, 4));
    assert.equal((await run('audit', '--what', 'nothing')).code, 2);
    assert.equal((await run('audit', '--from', 'monday')).code, 2);
    assert.match((await run('audit', '--format', 'csv')).stdout, /^no,at,who,via,what,on,before,after,reason,hash\n1,/);
    assert.match((await run('audit')).stdout, /│ handle +│/);
  });
});

/** What must not be possible, as the owner of the tables. */
test('the database refuses to change, remove or empty it, and to move its head', async () => {
  const refused = [
    `update audit_event set who = 'bob' where no = 1`,
    'update audit_event set no = no',
    'delete from audit_event where no = 1',
    'delete from audit_event where no = 999',
    'truncate audit_event',
    'delete from audit_head',
    'truncate audit_head',
    `update audit_head set no = 1`,
    `insert into audit_event select * from audit_event on conflict (no) do update set who = 'bob'`,
    `set session_replication_role = replica; update audit_event set who = 'bob'`,
    `set session_replication_role = replica; update audit_head set no = 0`,
  ];
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (const statement of refused)
    await assert.rejects(client.query(statement), /audit trail is never changed/, statement);
  await client.end();
  assert.equal((await run('audit', '--verify')).code, 0);
});

test('the numbers and hashes of events are those of the database, whatever is inserted', async () => {
  const copy = await copyOf(url);
  await query(
    copy,
    `insert into audit_event (no, at, who, via, what, subject, previous_hash, hash) values
       (7000, '2020-01-01', 'bob', 'x', 'handle', 'y', 'a', 'b'), (7001, '2020-01-01', 'bob', 'x', 'handle', 'y', 'a', 'b')`,
  );
  const { code, json } = await settlestream(['audit', '--verify', '--json'], { env: at(copy) });
  assert.equal(code, 0);
  assert.equal(json.events, (await events()).length + 2);
});

/** Changes of one who switches the triggers off, and what is said of them. */
const TAMPERED: readonly (readonly [what: string, statement: string, said: RegExp])[] = [
  ['who did it', `update audit_event set who = 'bob' where no = 2`, /event 2 was changed/],
  ['when', `update audit_event set at = at + interval '1 microsecond' where no = 3`, /event 3 was changed/],
  ['what was before', `update audit_event set before = '{}' where no = 2`, /event 2 was changed/],
  [
    'how it is written',
    `update audit_event set after = (after::text || ' ')::json where no = 2`,
    /event 2 was changed/,
  ],
  ['the reason, as none', `update audit_event set reason = null where no = 2`, /event 2 was changed/],
  [
    'a text moved from one part to the next',
    `update audit_event set who = 'an', via = 'n' || via where no = 2`,
    /event 2 was changed/,
  ],
  [
    'one in the middle is missing',
    'delete from audit_event where no = 3',
    /event 3 is missing: event 4 follows event 2/,
  ],
  ['the first is missing', 'delete from audit_event where no = 1', /event 1 is missing: event 2 follows event 0/],
  [
    'the last is missing',
    'delete from audit_event where no = (select max(no) from audit_event)',
    /event \d+ is missing: the trail ends with/,
  ],
  ['all are missing', 'delete from audit_event', /event 1 is missing/],
  [
    'two are swapped',
    'update audit_event set no = -no where no in (2, 3); update audit_event set no = case no when -2 then 3 else 2 end where no < 0',
    /event 2 does not continue event 1/,
  ],
  [
    'two are swapped with their hashes before',
    `update audit_event a set who = b.who, via = b.via, what = b.what, subject = b.subject, before = b.before, after = b.after, reason = b.reason, at = b.at
       from audit_event b where (a.no, b.no) in ((2, 3), (3, 2))`,
    /event 2 was changed/,
  ],
  [
    'the last was changed with its hash',
    `update audit_event set who = 'bob' where no = (select max(no) from audit_event);
     update audit_event e set hash = encode(sha256(convert_to(previous_hash || ',' || audit_content(e), 'UTF8')), 'hex') where no = (select max(no) from audit_event)`,
    /was replaced/,
  ],
];

suite('who changes it all the same is found out', () => {
  for (const [what, statement, said] of TAMPERED)
    test(what, async () => {
      const copy = await copyOf(url);
      await query(
        copy,
        `alter table audit_event disable trigger all; ${statement}; alter table audit_event enable trigger all`,
      );
      const { code, stdout } = await settlestream(['audit', '--verify'], { env: at(copy) });
      assert.equal(code, 1, stdout);
      assert.match(stdout, said);
      const { code: sick, stdout: checked } = await settlestream(['doctor'], { env: at(copy) });
      assert.equal(sick, 3);
      assert.match(checked, /problem +audit: the audit trail was changed/);
      // What is written later does not heal it.
      await query(copy, `insert into audit_event (who, via, what, subject) values ('ann', 'x', 'handle', 'later')`);
      assert.equal((await settlestream(['audit', '--verify'], { env: at(copy) })).code, 1);
    });

  test('a trail that was written anew as a whole is found by a hash that was kept elsewhere', async () => {
    const { stdout } = await run('audit', '--head');
    const pinned = stdout.trim();
    assert.match(pinned, /^\d+:[0-9a-f]{64}$/);
    assert.equal((await run('audit', '--verify', '--pinned', pinned)).code, 0);
    const copy = await copyOf(url);
    await query(
      copy,
      `alter table audit_event disable trigger all; alter table audit_head disable trigger all;
       create temp table kept as select * from audit_event order by no; delete from audit_event; update audit_head set no = 0, hash = repeat('0', 64);
       alter table audit_event enable trigger all; alter table audit_head enable trigger all;
       insert into audit_event (who, via, what, subject, before, after, reason) select 'bob', via, what, subject, before, after, reason from kept order by no`,
    );
    const verify = (...args: string[]) => settlestream(['audit', '--verify', ...args], { env: at(copy) });
    assert.equal((await verify()).code, 0, 'by itself it fits');
    const found = await verify('--pinned', pinned);
    assert.equal(found.code, 1);
    assert.match(found.stdout, /was replaced/);
    assert.equal((await verify('--pinned', 'x')).code, 2);
  });
});

test('the hash can be made without the program: of the hash before, and each part with its length', async () => {
  const [event] = await query<Json>(
    url,
    `select *, (extract(epoch from at) * 1000000)::bigint::text as micros, after::text as after_text from audit_event where no = 2`,
  );
  const part = (text: string | null) => (text === null ? '-' : `${Buffer.byteLength(text)}:${text}`);
  const parts = [
    String(event.no),
    event.micros,
    event.who,
    event.via,
    event.what,
    event.subject,
    null,
    event.after_text,
    event.reason,
  ];
  const text = `${event.previous_hash},${parts.map(part).join(',')}`;
  assert.equal(createHash('sha256').update(text).digest('hex'), event.hash);
});

test('many at once write one chain', async () => {
  const copy = await copyOf(url);
  const clients = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const client = new pg.Client({ connectionString: copy });
      await client.connect();
      return client;
    }),
  );
  await Promise.all(
    clients.map(async (client, who) => {
      for (let at = 0; at < 25; at++) {
        await client.query('begin');
        await client.query(
          `insert into audit_event (who, via, what, subject, reason) values ($1, 'x', 'handle', 'ü', 'ß'), ($1, 'x', 'handle', 'b', null)`,
          [`w${who}`],
        );
        await client.query(at % 5 === 0 ? 'rollback' : 'commit');
      }
      await client.end();
    }),
  );
  const { code, json } = await settlestream(['audit', '--verify', '--json'], { env: at(copy) });
  assert.equal(code, 0);
  assert.equal(json.events, (await events()).length + 8 * 20 * 2);
});
