/** The merchant's records where they stand already: a table or view of its own, of any shape, read and never written. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { sql } from 'kysely';
import { onOneConnection, openDatabase } from '../src/adapters/postgres/connection.ts';
import { migrate } from '../src/adapters/postgres/migrations.ts';
import { readConfig } from '../src/config/config.ts';
import { UsageError } from '../src/domain/errors.ts';
import { sweep } from '../src/producers/recovery/sweep.ts';
import { isRecord } from '../src/store/ledger/conditions.ts';
import { ledgerOf, useLedger } from '../src/store/ledger/ledger.ts';
import type { LedgerSettings } from '../src/store/ledger/relation.ts';
import { checkLedger } from '../src/verbs/doctor/ledger.ts';
import { refusedRecords, refusedText } from '../src/views/ledger/refused-records.ts';
import { optionsOf, query, temporaryFolder, writeFiles } from './support/book.ts';
import { makeFaults } from './support/faults.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

/** Two merchants, most faults of rows, and no fault of whole files. */
const SEED = 44;

const folder = temporaryFolder();
let files = 0;
/** Settings in a file, as options of the program. */
const withSettings = (text: string): string[] => {
  const file = join(folder, `settings-${files++}.yaml`);
  writeFileSync(file, text);
  return ['--config', file];
};
const call = (url: string, ...args: string[]) =>
  settlestream(args, {
    env: { DATABASE_URL: url, SETTLESTREAM_DATA_DIR: join(folder, 'data'), SETTLESTREAM_PROCESSES: '1' },
  });

/** A database for tests that ask it directly. */
const url = await freshDatabase();
const database = await openDatabase(url, 2);
after(() => database.close());
const run = (text: string) => query(url, text);
await run(`insert into merchant (id) values ('M1')`);

const settings = (relation: string, more: Partial<LedgerSettings> = {}): LedgerSettings => ({
  relation: { schema: 'shop', name: relation },
  columns: {},
  merchant: undefined,
  begin: (path) => `${path.join('.')}: `,
  ...more,
});
const records = async (columns = 'request_id, amount_minor') =>
  (await run(`select ${columns} from ledger() order by request_id collate "C"`)).map((row) =>
    Object.values(row as object).join(' '),
  );
const use = (relation: string, more: Partial<LedgerSettings> = {}) => useLedger(database, settings(relation, more));
const refused = async () =>
  (await onOneConnection(database, (db) => refusedRecords(db, 10_000)))!
    .map(({ field, code, count, example }) => `${example[0]}: ${field} ${code} ${count} ${example[1]}`)
    .sort();
/** The mistakes in settings, a line each. */
const mistakes = async (relation: string, more: Partial<LedgerSettings> = {}) => {
  const error = await onOneConnection(database, (db) => ledgerOf(db, settings(relation, more))).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof UsageError, String(error));
  return error.message.split('\n');
};
await run('create schema shop');

suite('the answer is the same as with the same records imported', { concurrency: 2 }, async () => {
  /** Tables of a shop that hold what was imported, and more that is none of this provider's business. */
  const SHAPES: Record<string, { make: string; settings: string }> = {
    'a table with names, types and columns of its own': {
      make: `create type shop.state as enum ('SUCCESS', 'PENDING', 'FAILED', 'CANCELLED');
        create table shop.payments as
          select row_number() over () as id, r.merchant_id as shop_id, r.type::varchar(20) as kind, r.request_id::varchar as "Payment Ref", r.amount_minor as cents,
                 r.currency::char(3) as cur, r.status::shop.state as state, r.occurred_at at time zone 'UTC' as paid_at, r.original_request_id::text as parent,
                 'x' as provider
            from shop.imported r order by random();
        insert into shop.payments select id, shop_id, kind, "Payment Ref", cents + 1, cur, 'FAILED', paid_at, parent, 'y' from shop.payments;
        create index on shop.payments ("Payment Ref"); create index on shop.payments (paid_at);`,
      settings: `ledger:
  relation: shop.payments
  columns: { requestId: Payment Ref, type: kind, amountMinor: cents, currency: cur, status: state, occurredAt: paid_at, merchantId: shop_id, originalRequestId: parent }
  timeZone: UTC
  where: |
    provider = 'x' -- the others go through somebody else`,
    },
    'a view, with amounts in major units and no index': {
      make: `create view shop.payments as
          select merchant_id as "merchantId", type, request_id as "requestId", currency, status, occurred_at as "occurredAt", original_request_id as "originalRequestId",
                 amount_minor::numeric / case when currency in ('JPY', 'KRW', 'VND', 'CLP', 'ISK', 'XOF', 'XAF', 'PYG', 'UGX', 'RWF') then 1
                                              when currency in ('KWD', 'BHD', 'JOD', 'OMR', 'TND', 'IQD', 'LYD') then 1000 else 100 end as amount
            from shop.imported;`,
      settings: 'ledger: { relation: shop.payments }',
    },
  };
  const made = makeFaults(temporaryFolder(), SEED, 40);
  const args = ['reconcile', ...made.paths, ...optionsOf(made), '--json'];
  const imported = await freshDatabase();
  const expected = await call(imported, ...args, '--ledger', made.ledger);
  const rows = await query(
    imported,
    'select r.*, m.id as merchant_id from record r join merchant m on m.no = r.merchant_no',
  );
  for (const [name, { make, settings }] of Object.entries(SHAPES)) {
    const book = await freshDatabase();
    test(name, async () => {
      await query(
        book,
        `create schema shop;
         create table shop.imported as select * from jsonb_to_recordset('${JSON.stringify(rows).replaceAll("'", "''")}') as r(merchant_id text, type text,
           request_id text, amount_minor bigint, currency text, status text, occurred_at timestamptz, original_request_id text);
         ${make}`,
      );
      const read = await call(book, ...args, ...withSettings(settings));
      assert.match(read.stderr, /records: shop\.payments/);
      assert.deepEqual(read.json, expected.json, read.stderr);
      assert.equal(read.code, expected.code);
    });
  }
});

suite('a relation', () => {
  test('has its columns by their names, or by those that the settings give', async () => {
    await run(`create table shop.plain (request_id text, type text, amount numeric, currency text, status text, occurred_at timestamptz);
               insert into shop.plain values ('a', 'PAYMENT', 12.5, 'USD', 'SUCCESS', '2026-01-04Z')`);
    assert.deepEqual(await use('plain'), { described: 'shop.plain', isImported: false });
    assert.deepEqual(await records('request_id, amount_minor, merchant_no, type, original_request_id is null'), [
      'a 1250 1 PAYMENT true',
    ]);
    await run(
      `alter table shop.plain rename request_id to ref; alter table shop.plain add order_no int default 7, add source text default 'q'`,
    );
    await use('plain', { columns: { requestId: 'ref', orderId: 'order_no', source: 'none' } });
    assert.deepEqual(await records('request_id, order_id, source is null'), ['a 7 true']);
  });

  test('is used at the next start as it is then, and may be changed meanwhile as if there were no book', async () => {
    await run(`alter table shop.plain alter ref type varchar(40), alter amount type numeric(20, 4)`);
    assert.deepEqual(await records(), ['a 1250']);
    const settings = { columns: { requestId: 'ref' } };
    await use('plain', settings);
    const since = 'select since from ledger_setting';
    const [before] = await run(since);
    await use('plain', settings);
    assert.deepEqual(await run(since), [before]);
    await run('drop table shop.plain');
    await run(`insert into batch (merchant_no, batch_id, currency, wanted) values (1, 'B', 'USD', 1);
               insert into discrepancy (batch_no, identity, kind, of_matchable, message, first_seen_at, opened_run, opened_at, referenced_ids)
               values (1, 'i', 'unknown_transaction', true, '', now(), 1, now(), '{p}')`);
    assert.match((await mistakes('plain'))[0]!, /^relation: is not a table or view of this database/);
    await assert.rejects(
      useLedger(database, undefined),
      /cannot be read from shop\.plain.*relation "shop\.plain" does not exist/,
    );
    const asked: string[] = [];
    await assert.rejects(sweep({ database, enqueue: async ({ name }) => void asked.push(name) }), /shop\.plain/);
    assert.deepEqual(asked, ['reconcile']);
  });

  test('may hold any amount that is whole in its currency, and none is rounded', async () => {
    await run(`create table shop.amounts (request_id text, type text default 'PAYMENT', amount numeric, currency text, status text default 'SUCCESS', occurred_at timestamptz default '2026-01-04Z');
      insert into shop.amounts (request_id, amount, currency) values
        ('1', 12.34, 'USD'), ('2', 12.3400, 'USD'), ('3', 500, 'JPY'), ('4', 500.00, 'JPY'), ('5', 1.234, 'KWD'), ('6', 0, 'EUR'), ('7', 90000000000000000, 'USD'), ('8', 1.2345, 'UYW'),
        ('b1', 12.345, 'USD'), ('b2', 0.5, 'JPY'), ('b3', 1.2345, 'KWD'), ('b4', 90000000000000000.01, 'USD'), ('b5', -1, 'USD'), ('b6', 'NaN', 'USD'), ('b7', null, 'USD'), ('b8', 'Infinity', 'USD')`);
    await use('amounts');
    assert.deepEqual(await records('request_id, amount_minor'), [
      '1 1234',
      '2 1234',
      '3 500',
      '4 500',
      '5 1234',
      '6 0',
      '7 9000000000000000000',
      '8 12345',
    ]);
    assert.deepEqual(
      await refused(),
      [
        'b1: amount too_many_decimals 3 12.345',
        'b4: amount out_of_range 2 90000000000000000.01',
        'b5: amount negative_amount 1 -1',
        'b6: amount bad_amount 1 NaN',
        'b7: amount missing_value 1 ',
      ].map((line) => line.replace(/ $/, ' null')),
    );
    await run(
      `create view shop.minor as select request_id, type, amount as cents, currency, status, occurred_at from shop.amounts where request_id in ('1', '3', '7')`,
    );
    await use('minor', { columns: { amountMinor: 'cents' } });
    assert.deepEqual(await records(), ['3 500', '7 90000000000000000']);
    assert.deepEqual(await refused(), ['1: amountMinor too_many_decimals 1 12.34']);
  });

  test('tells what of it cannot be used by column and reason, and the rest is used', async () => {
    await run(`create table shop.bad (request_id text, type text, amount_minor bigint, currency text, status text, occurred_at timestamptz, original_request_id text);
      insert into shop.bad values
        ('good', 'PAYMENT', 1, 'USD', 'SUCCESS', '2026-01-04Z', ''), (null, 'PAYMENT', 1, 'USD', 'SUCCESS', '2026-01-04Z', null), (' ', 'PAYMENT', 1, 'USD', 'SUCCESS', '2026-01-04Z', null),
        ('type', 'PAYOUT', 1, 'USD', 'SUCCESS', '2026-01-04Z', null), ('case', 'payment', 1, 'USD', 'SUCCESS', '2026-01-04Z', null), ('currency', 'PAYMENT', 1, 'XXX', 'SUCCESS', '2026-01-04Z', null),
        ('status', 'PAYMENT', 1, 'USD', 'DONE', '2026-01-04Z', null), ('time', 'PAYMENT', 1, 'USD', 'SUCCESS', '1970-01-01Z', null), ('never', 'PAYMENT', 1, 'USD', 'SUCCESS', 'infinity', null),
        ('none', 'PAYMENT', 1, 'USD', 'SUCCESS', null, null), (repeat('l', 1001), 'PAYMENT', 1, 'USD', 'SUCCESS', '2026-01-04Z', null)`);
    await use('bad');
    assert.deepEqual(await records(), ['good 1']);
    assert.deepEqual(
      await refused(),
      [
        ' : requestId missing_value 2  ',
        'case: type not_allowed 2 payment',
        'currency: currency unknown_currency 1 XXX',
        'never: occurredAt bad_time 2 infinity',
        'none: occurredAt missing_value 1 null',
        'status: status not_allowed 1 DONE',
        `${'l'.repeat(1001)}: requestId id_too_long 1 ${'l'.repeat(1001)}`,
      ].sort(),
    );
    assert.equal(
      refusedText({ field: 'currency', code: 'unknown_currency', count: 2, example: ['p', 'XXX'] }),
      '2 records, one of them p: column currency, "XXX": This is not an ISO 4217 currency with a minor unit: use three upper case letters, as in EUR. If the code is valid, ask for it to be added.',
    );
  });

  test("says whose its records are, or they are the only merchant's; with several, nothing is guessed", async () => {
    await run(`create table shop.whose (request_id text, type text default 'PAYMENT', amount_minor int default 1, currency text default 'USD', status text default 'SUCCESS', occurred_at timestamptz default '2026-01-04Z', merchant_id text);
      insert into shop.whose (request_id, merchant_id) values ('a', 'M1'), ('b', null), ('c', ' '), ('d', 'M2')`);
    await use('whose');
    assert.deepEqual(await records('request_id, merchant_no'), ['a 1', 'b 1', 'c 1']);
    await run(`insert into merchant (id) values ('M2')`);
    assert.deepEqual(await records('request_id, merchant_no'), ['a 1', 'd 2']);
    assert.deepEqual(await refused(), ['b: merchantId unclear_merchant 2 null']);
    await use('whose', { merchant: 'M2' });
    assert.deepEqual(await records('request_id, merchant_no'), ['a 1', 'b 2', 'c 2', 'd 2']);
    await use('whose', { columns: { merchantId: 'none' }, merchant: 'M1' });
    assert.deepEqual(await records('request_id, merchant_no'), ['a 1', 'b 1', 'c 1', 'd 1']);
    await run(`delete from merchant where id = 'M2'`);
  });

  test('is looked up by its own index, whatever type its key has', async () => {
    const id = '11111111-2222-3333-4444-555555555555';
    const TYPES: Record<string, [value: string, found: string, not: string[]]> = {
      text: [`'k-1'`, 'k-1', ['K-1', 'k-2']],
      'text collate "POSIX"': [`'k-1'`, 'k-1', ['k-2']],
      'varchar(30)': [`'k-1'`, 'k-1', ['k-1 ']],
      'char(9)': [`'k-1'`, 'k-1', ['k-1 ', 'k-2']],
      int: ['42', '42', ['042', '42.0', '4_2', '', '99999999999999999999', '+42']],
      bigint: ['9223372036854775807', '9223372036854775807', ['9223372036854775808', 'x']],
      'numeric(30, 1)': ['42.0', '42.0', ['42', '42.00', '1e3']],
      uuid: [`'${id}'`, id, [id.replace('1', '9'), `{${id}}`, '1']],
    };
    for (const [at, [type, [value, found, not]]] of Object.entries(TYPES).entries()) {
      const name = `keyed_${at}`;
      await run(`create table shop.${name} (request_id ${type}, type text default 'PAYMENT', amount_minor int default 1, currency text default 'USD', status text default 'SUCCESS', occurred_at timestamptz default '2026-01-04Z');
        insert into shop.${name} values (${value}); create index ${name}_index on shop.${name} (request_id)`);
      await use(name);
      await onOneConnection(database, async (db) => {
        const hits = await sql<{ id: string }>`
          select i.id from unnest(${[found, ...not]}::text[]) i(id) join ledger() r on r.merchant_no = 1 and ${isRecord('r', sql`i.id`)}`.execute(
          db,
        );
        assert.deepEqual(hits.rows, [{ id: found }], type);
        for (const way of ['seqscan', 'hashjoin', 'mergejoin']) await sql.raw(`set enable_${way} = off`).execute(db);
        const plan = await sql`
          explain select from unnest(${[found, ...not]}::text[]) i(id) join ledger() r on r.merchant_no = 1 and ${isRecord('r', sql`i.id`)}`.execute(
          db,
        );
        assert.match(JSON.stringify(plan.rows), new RegExp(`Scan using ${name}_index`), type);
      }).finally(() => run('discard plans'));
    }
  });

  test('that holds a key twice leads to the same answer every time', async () => {
    const book = await freshDatabase();
    await query(
      book,
      `create schema shop; create table shop.twins (request_id text, type text, amount_minor int, currency text, status text, occurred_at timestamptz, original_request_id text);
      insert into shop.twins select 'p-' || i, 'PAYMENT', 1000 + n, 'USD', 'SUCCESS', timestamptz '2026-01-04Z' + n * interval '1 hour', null from generate_series(1, 3) i, generate_series(0, 2) n where i < 3 or n > 0;
      insert into shop.twins select 'r-1', 'REFUND', 100 + n, 'USD', 'SUCCESS', timestamptz '2026-01-04Z' + n * interval '1 hour', 'p-1' from generate_series(0, 1) n`,
    );
    const header =
      'settlementBatchId,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
    const reports = writeFiles(temporaryFolder(), {
      'M1/20260105/settlementItems_USD_B1_000.csv': [
        header,
        ...[1, 2, 3].map((i) => `B1,PAYMENT,t-${i},p-${i},,10.00,USD,10.00,USD`),
        'B1,REFUND,t-9,r-1,p-1,-1.00,USD,-1.00,USD',
        '<END>',
      ],
    });
    const { json } = await call(
      book,
      'reconcile',
      reports,
      '--json',
      ...withSettings('ledger: { relation: shop.twins }'),
    );
    // The one that agrees counts, else the newest.
    assert.deepEqual(
      json.discrepancies.map((d: { kind: string; requestId: string; recorded: string }) => [
        d.kind,
        d.requestId,
        d.recorded,
      ]),
      [
        ['missing_summary', null, null],
        ['amount_mismatch', 'p-3', '10.02'],
      ],
    );
    const { json: checked } = await call(book, 'doctor', '--json', ...withSettings('ledger: { relation: shop.twins }'));
    const keys = checked.checks.find(({ name }: { name: string }) => name === 'records: keys');
    assert.match(keys.message, /^4 keys have several records, one of them is PAYMENT p-1/);
  });
});

suite('settings', () => {
  test('that are wrong are told all at once, each with its place and what is allowed', async () => {
    await run(
      `create table shop.wrong (id bigint, payment_ref text, cents double precision, cur text, created timestamp, state text, type text, parent json)`,
    );
    const config = withSettings(`merchant: M1
ledger:
  relation: shop.wrong
  columns:
    requestId: payment_reff
    amountMinor: cents
    currency: cur
    occurredAt: created
    originalRequestId: parent
  where: provder = 'x'
`);
    const { code, stderr } = await call(url, 'migrate', ...config);
    assert.equal(code, 2);
    const lines = stderr
      .replaceAll(`${config[1]!}:`, '')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.replace('settlestream: --config= ', ''));
    assert.deepEqual(
      lines.map((line) => line.replace(/^.*?(\d+:\d+: )/, '$1')),
      [
        '5:5: ledger.columns.requestId: "payment_reff" is not a column of it; columns: id, payment_ref, cents, cur, created, state, type, parent',
        '6:5: ledger.columns.amountMinor: "cents" is double precision, and must be numeric or an integer: other types may round cents or mean something else; make a view that casts it',
        '8:5: ledger.columns.occurredAt: "created" is timestamp without time zone, which has no time zone: set ledger.timeZone, such as UTC',
        '9:5: ledger.columns.originalRequestId: "parent" is json, and must be a text, a number or a uuid',
        '3:3: ledger.relation: "shop.wrong" has no column called status: name it under ledger.columns',
        `10:3: ledger.where: "provder = 'x'" the database says: column "provder" does not exist`,
      ],
    );
  });

  test('of a condition are one boolean expression, and no way to more', async () => {
    await run(
      `create table shop.narrowed (request_id text, type text, amount_minor int, currency text, status text, occurred_at timestamptz, provider text, "q""uote" text)`,
    );
    const wrong = async (where: string) => (await mistakes('narrowed', { where })).join();
    assert.match(await wrong('provider'), /^where: the database says: .*must be type boolean/);
    for (const where of [
      'true); drop table shop.narrowed; --',
      'true) union select (true',
      'true), (true',
      'true) limit 1; select (1',
      'count(*) > 1',
      '(true',
      `provider = 'x`,
      'provider = $1',
      'true /*',
    ])
      assert.match(await wrong(where), /^where: the database says: /, where);
    assert.deepEqual(await run('select from shop.narrowed'), []);
    for (const where of [
      `provider in ('x', 'y')`,
      `provider = 'it''s' or provider like '%\\_x%'`,
      `exists (select from merchant m where m.id = provider)`,
      `narrowed.provider = 'x' -- ours`,
    ])
      assert.equal((await use('narrowed', { where })).described, `shop.narrowed where ${where}`);
    assert.match((await mistakes('narrowed" where true; --'))[0]!, /is not a table or view/);
    assert.match(
      (await mistakes('narrowed', { columns: { orderId: 'q"; drop table shop.narrowed' } }))[0]!,
      /is not a column of it/,
    );
    await use('narrowed', { columns: { orderId: 'q"uote' } });
    assert.deepEqual(await records(), []);
  });

  test('narrow the imported records, too', async () => {
    await run(
      `insert into record select 1, 'PAYMENT', 'p-' || i, 100, 'USD', 'SUCCESS', '2026-01-04Z', null, null, case i when 1 then 'x' else 'y' end, hashtextextended('p-' || i, 0) from generate_series(1, 2) i`,
    );
    assert.deepEqual(await useLedger(database, settings('', { relation: null, where: `source = 'x'` })), {
      described: `the imported records where source = 'x'`,
      isImported: true,
    });
    assert.deepEqual(await records(), ['p-1 100']);
    const wrong = await onOneConnection(database, (db) =>
      ledgerOf(db, settings('', { relation: undefined, where: 'nothing = 1' })),
    ).catch((error: Error) => error.message);
    assert.match(String(wrong), /^where: the database says: column "nothing" does not exist/);
  });

  test('that say nothing leave the book as it is; imported ones come back, as they were made first', async () => {
    const functions = `select string_agg(pg_get_functiondef(oid), '' order by proname) as text from pg_proc
      where proname in ('ledger', 'ledger_refused', 'is_record', 'is_of_original', 'occurred_between', 'updated_since')`;
    const first = await query<{ text: string }>(await freshDatabase(), functions);
    await use('narrowed');
    assert.deepEqual(await useLedger(database, undefined), { described: 'shop.narrowed', isImported: false });
    assert.deepEqual(await useLedger(database, settings('', { relation: null })), {
      described: 'the imported records',
      isImported: true,
    });
    assert.deepEqual(await records(), ['p-1 100', 'p-2 100']);
    const squeezed = (rows: readonly { text: string }[]) => rows[0]!.text.replaceAll(/\s+/g, ' ');
    assert.equal(squeezed(await query(url, functions)), squeezed(first));
  });
});

suite('a book that reads a relation', async () => {
  const book = await freshDatabase();
  const config = withSettings('ledger: { relation: shop.payments }');
  const reports = writeFiles(temporaryFolder(), {
    'M1/20260105/settlementItems_USD_B1_000.csv': [
      'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
      'B1,PAYMENT,t-1,p-1,10.00,USD,10.00,USD',
      'B1,PAYMENT,t-2,p-2,10.00,USD,10.00,USD',
      '<END>',
    ],
    'M1/20260105/settlementSummary_USD_B1_000.csv': [
      'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
      'B1,TOTAL,2,20.00,USD',
      '<END>',
    ],
  });
  await query(
    book,
    `create schema shop; create table shop.payments (request_id text primary key, type text, amount numeric, currency text, status text, occurred_at timestamptz)`,
  );

  test('needs records there', async () => {
    const { code, stderr } = await call(book, 'reconcile', reports, ...config);
    assert.equal(code, 2);
    assert.match(stderr, /there are no records to compare with in shop\.payments/);
  });

  test('says which of them cannot be used, counts them as not there, and ends with 3', async () => {
    await query(
      book,
      `insert into shop.payments values ('p-1', 'PAYMENT', 10, 'USD', 'PENDING', '2026-01-04Z'), ('p-2', 'PAYMENT', 10.001, 'USD', 'SUCCESS', '2026-01-04Z')`,
    );
    const { code, stderr, json } = await call(book, 'reconcile', reports, '--json', ...config);
    assert.equal(code, 3);
    assert.match(stderr, /refused: 1 record, of p-2: column amount, "10\.001": The amount has more decimals/);
    assert.match(stderr, /rows whose records cannot be used/);
    assert.deepEqual(
      json.discrepancies.map(({ kind, requestId }: { kind: string; requestId: string }) => `${kind} ${requestId}`),
      ['status_mismatch p-1', 'unknown_transaction p-2'],
    );
  });

  test('takes no file of records', async () => {
    const file = join(
      writeFiles(temporaryFolder(), { 'records.csv': ['requestId,type,amount,currency,status,occurredAt'] }),
      'records.csv',
    );
    for (const args of [
      ['ledger', 'import', file],
      ['reconcile', reports, '--ledger', file],
    ]) {
      const { code, stderr } = await call(book, ...args);
      assert.equal(code, 2);
      assert.match(stderr, /this database reads the merchant's records from shop\.payments/);
    }
  });

  test('looks again at what was told of a record that changed, and the relation is told without its settings', async () => {
    await query(book, `update shop.payments set status = 'SUCCESS', amount = 10`);
    const { code, stderr, json } = await call(book, 'reconcile', reports, '--json');
    assert.equal(code, 0, stderr);
    assert.deepEqual(json.discrepancies, []);
    const explained = await call(book, 'explain', 'p-2', '--json');
    assert.deepEqual(
      explained.json.records.map(({ requestId, amount }: { requestId: string; amount: string }) => [requestId, amount]),
      [['p-2', '10.00']],
    );
    const { json: closed } = await call(book, 'discrepancies', '--closed', '--json');
    assert.match(closed.discrepancies[0].closedBecause, /found late or changed records/);
  });

  test('is examined by the doctor: columns, indexes, plans, what cannot be used', async () => {
    const examine = async (settings: readonly string[] = config) => {
      const found = await onOneConnection(asked, (db) =>
        checkLedger(db, readConfig({ config: settings[1] }, {}, null)),
      );
      return { checks: found, said: found.map(({ state, name, message }) => `${state} ${name}: ${message}`) };
    };
    const asked = await openDatabase(book, 1);
    after(() => asked.close());
    const { json } = await call(book, 'doctor', '--json', ...config);
    assert.ok(
      json.checks.some(
        ({ name, state }: { name: string; state: string }) => name === 'records: found by key' && state === 'ok',
      ),
    );
    const { said } = await examine();
    assert.match(said[0]!, /^ok records: shop\.payments: 2, the newest of 2026-01-04 00:00/);
    assert.deepEqual(said.slice(1), [
      'ok records: found by key: by payments_pkey',
      'ok records: found by time: payments is scanned as a whole, and is small',
    ]);
    await query(
      book,
      `insert into shop.payments select 'x-' || i, 'PAYMENT', 1, 'USD', case i when 1 then 'DONE' else 'FAILED' end, '2026-01-05Z' from generate_series(1, 20000) i;
       analyze shop.payments`,
    );
    const large = await examine();
    assert.match(
      large.said[2]!,
      /^warning records: found by time: no index is used: payments with about 20002 rows is scanned as a whole/,
    );
    assert.equal(
      large.checks[2]!.mend,
      'create index concurrently on shop.payments (occurred_at); or on the table below, where that is a view.',
    );
    assert.match(large.said[3]!, /^problem records: refused: 1 record, of x-1: column status, "DONE"/);
    await query(book, 'create index payments_time on shop.payments (occurred_at)');
    assert.equal((await examine()).said[2], 'ok records: found by time: by payments_time');
    const wrong = await examine(withSettings('ledger: { relation: shop.payments, columns: { requestId: nothing } }'));
    assert.equal(wrong.checks[0]!.isUsage, true);
    assert.match(wrong.said[0]!, /ledger\.columns\.requestId: "nothing" is not a column of it/);
    const silent = await examine([]);
    assert.match(silent.said[0]!, /^ok records: shop\.payments: 20001/);
  });
});

test('a role that may only read the relation is enough', async () => {
  const name = `reader_${process.pid}`;
  await run(`create role ${name} login password 'p'`);
  await run(`create database ${name}_book owner ${name}`);
  const server = new URL(url);
  const asOwner = url.replace(/[^/]+$/, `${name}_book`);
  after(async () => run(`drop database ${name}_book with (force)`).then(() => run(`drop role ${name}`)));
  await query(
    asOwner,
    `create schema shop; create table shop.payments (request_id text, type text, amount numeric, currency text, status text, occurred_at timestamptz, secret text);
     insert into shop.payments values ('p', 'PAYMENT', 1, 'USD', 'SUCCESS', '2026-01-04Z', 's');
     grant usage on schema shop to ${name}; grant select (request_id, type, amount, currency, status) on shop.payments to ${name}`,
  );
  const asReader = await openDatabase(asOwner.replace(`${server.username}:${server.password}@`, `${name}:p@`), 1);
  try {
    await migrate(asReader);
    await assert.rejects(
      useLedger(asReader, settings('payments')),
      /column occurred_at may not be read by this user: grant select on it/,
    );
    await query(asOwner, `grant select (occurred_at) on shop.payments to ${name}`);
    await useLedger(asReader, settings('payments'));
    assert.equal((await sql`select from ledger_refused()`.execute(asReader.db)).rows.length, 0);
    await sql`insert into merchant (id) values ('M')`.execute(asReader.db);
    assert.equal((await sql`select from ledger()`.execute(asReader.db)).rows.length, 1);
  } finally {
    await asReader.close();
  }
});
