/** Records that come late or change: what was told because of them is taken back by itself, once, whichever ledger they stand in. */
import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { Calendar } from '../src/domain/calendar/calendar.ts';
import { checkAllRecords, checkRecords } from '../src/producers/records/changed-records.ts';
import { useLedger } from '../src/store/ledger/ledger.ts';
import { query } from './support/book.ts';
import { type Mornings, startMornings } from './support/morning.ts';
import { PATIENCE_MS } from './support/patience.ts';

const CALENDAR: Calendar = {
  timeZone: 'Asia/Shanghai',
  weekend: [],
  holidays: [],
  quietMinutes: 0,
  settlement: {
    date: { days: 2, isBusiness: false },
    reportsDue: { days: 1, isBusiness: false, at: '12:00' },
  },
};
const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const row = (batch: string, type: string, id: string, amount: string, original = '') =>
  `${batch},${type},t-${id},${id},${original},${amount},USD,${amount},USD`;
const DAY =
  'transactionType,transactionId,transactionRequestId,originalTransactionRequestId,transactionAmountValue,transactionCurrency,paymentTime';

type Given = { amount?: string; status?: string; type?: string; original?: string; at?: string };

type Put = (id: string, record: Given) => Promise<unknown>;

/** Records that are written where they stand, and nobody is told of it. */
const LEDGERS: Readonly<Record<string, (mornings: Mornings) => Promise<Put>>> = {
  'the imported records': async ({ database: { url } }) => {
    await query(url, `insert into merchant (id) values ('M1')`);
    return (
      id,
      { amount = '10.00', status = 'SUCCESS', type = 'PAYMENT', original, at = '2026-03-02T12:00:00+08:00' },
    ) =>
      query(
        url,
        `insert into record select 1, '${type}', '${id}', ${amount} * 100, 'USD', '${status}', '${at}', ${original ? `'${original}'` : 'null'}, null, null,
                                   hashtextextended('${id}', 0)
         on conflict (key_hash, merchant_no, type, request_id) do update
            set amount_minor = excluded.amount_minor, status = excluded.status, occurred_at = excluded.occurred_at`,
      );
  },
  'a table of the merchant': (mornings) => openShop(mornings),
};

async function openShop({ database }: Mornings, columns: object = {}): Promise<Put> {
  await query(
    database.url,
    `create schema shop;
     create table shop.payments (ref text, kind text, amount numeric, currency text, state text, paid_at timestamptz, parent text,
                                 changed_at timestamptz default now(), primary key (kind, ref));
     create index on shop.payments (ref)`,
  );
  await useLedger(database, {
    relation: { schema: 'shop', name: 'payments' },
    columns: {
      requestId: 'ref',
      type: 'kind',
      status: 'state',
      occurredAt: 'paid_at',
      originalRequestId: 'parent',
      ...columns,
    },
    merchant: 'M1',
    begin: () => '',
  });
  return putInto(database.url);
}

const putInto =
  (url: string): Put =>
  (id, { amount = '10.00', status = 'SUCCESS', type = 'PAYMENT', original, at = '2026-03-02T12:00:00+08:00' }) =>
    query(
      url,
      `insert into shop.payments values ('${id}', '${type}', ${amount}, 'USD', '${status}', '${at}', ${original ? `'${original}'` : 'null'})
       on conflict (kind, ref) do update set amount = excluded.amount, state = excluded.state, paid_at = excluded.paid_at, changed_at = now()`,
    );

/** A clock of its own for each merchant. */
function clockOf(mornings: Mornings) {
  const clock = {
    nowMs: Date.parse('2026-03-06T00:00:00Z'),
    now: () => clock.nowMs,
    until(time: string) {
      clock.nowMs = Date.parse(time);
      return mornings.at(time);
    },
    /** A minute later. */
    later: () => clock.until(new Date(clock.nowMs + 60_000).toISOString()),
  };
  return clock;
}
type Clock = ReturnType<typeof clockOf>;

const runsOf = async ({ database }: Mornings) =>
  query(
    database.url,
    'select count(*)::int as runs, sum(wanted)::int as wanted from batch b join run r on r.batch_no = b.no',
  );

/** Nothing is asked for by looking again. */
async function isQuiet(mornings: Mornings, { later, now }: Clock): Promise<void> {
  const runs = await runsOf(mornings);
  await later();
  await checkAllRecords({ database: mornings.database, pageRows: 2, now });
  assert.deepEqual(await runsOf(mornings), runs);
}

for (const [name, open] of Object.entries(LEDGERS)) {
  const mornings = await startMornings(CALENDAR);
  after(() => mornings.close());
  const put = await open(mornings);
  const clock = clockOf(mornings);
  const { later, until, now } = clock;
  const states = () => mornings.states();
  const told = (kind: string) =>
    query<{ first: string; closed: boolean; recorded: string | null }>(
      mornings.database.url,
      `select first_seen_at::text as first, closed_run is not null as closed, recorded from discrepancy where kind = '${kind}' order by no`,
    );

  suite(name, () => {
    test('a batch shows what is missing, pending, wrong and orphaned', async () => {
      await put('p-1', { status: 'PENDING' });
      await put('p-3', { amount: '11.00' });
      await put('r-4', { amount: '1.00', type: 'REFUND' });
      await put('r-5', { amount: '3.00', type: 'REFUND', original: 'p-5' });
      await put('p-5', { amount: '2.00' });
      await put('p-9', { status: 'PENDING' });
      mornings.arrive({
        'M1/20260305/settlementItems_USD_B1_000.csv': [
          HEADER,
          row('B1', 'PAYMENT', 'p-1', '10.00'),
          row('B1', 'PAYMENT', 'p-2', '10.00'),
          row('B1', 'PAYMENT', 'p-3', '10.00'),
          row('B1', 'REFUND', 'r-4', '-1.00', 'p-4'),
          row('B1', 'REFUND', 'r-5', '-3.00', 'p-5'),
          row('B1', 'PAYMENT', 'p-9', '10.00'),
          '<END>',
        ],
        'M1/20260305/settlementSummary_USD_B1_000.csv': [
          'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
          'B1,TOTAL,6,36.00,USD',
          '<END>',
        ],
      });
      await later();
      assert.equal(
        (await states())['B1'],
        'discrepant: amount_mismatch p-3 11.00, orphan_row r-4, over_refunded p-5 2.00, ' +
          'status_mismatch p-1 PENDING, status_mismatch p-9 PENDING, unknown_transaction p-2',
      );
      await isQuiet(mornings, clock);
    });

    test('what a record takes back is closed by the next sweep, with when and why', async () => {
      await put('p-1', {});
      await put('p-2', {});
      await put('p-3', { amount: '10.00' });
      await put('p-4', {});
      await put('p-5', { amount: '3.00' });
      await later();
      assert.equal((await states())['B1'], 'discrepant: status_mismatch p-9 PENDING');
      const causes = await query(
        mornings.database.url,
        `select cause from run_cause c join run r on r.batch_no = c.batch_no and r.answers = c.wanted order by r.no desc limit 1`,
      );
      assert.deepEqual(causes, [{ cause: 'records' }]);
      await isQuiet(mornings, clock);
    });

    test('one that changes and stays wrong is the same discrepancy, since the same time, and is asked for once', async () => {
      const [, before] = await told('status_mismatch');
      await put('p-9', { status: 'FAILED' });
      await later();
      assert.equal((await states())['B1'], 'discrepant: status_mismatch p-9 FAILED');
      assert.deepEqual(
        (await told('status_mismatch')).filter(({ closed }) => !closed),
        [{ first: before!.first, closed: false, recorded: 'FAILED' }],
      );
      await isQuiet(mornings, clock);
    });

    test('a cancelled payment is right as soon as its cancellation is recorded', async () => {
      await put('p-9', { status: 'CANCELLED' });
      await later();
      assert.match((await states())['B1']!, /status_mismatch p-9 CANCELLED/);
      await put('x-9', { type: 'CANCEL', original: 'p-9' });
      await later();
      assert.equal((await states())['B1'], 'reconciled');
      await isQuiet(mornings, clock);
    });

    test('what is recorded of a day and not reported or settled goes when the record does', async () => {
      const at = '2026-03-05T12:00:00+08:00';
      await put('d-1', { at });
      await put('d-2', { at });
      await put('d-3', { at });
      mornings.arrive({
        'M1/20260305/transactionItems_20260305_000.csv': [DAY, `PAYMENT,t-d-1,d-1,,10.00,USD,${at}`, '<END>'],
      });
      await later();
      const day = async () => (await states())['2026-03-05'];
      assert.equal(await day(), 'discrepant: unreported_transaction d-2 10.00, unreported_transaction d-3 10.00');
      await put('d-2', { at, status: 'FAILED' });
      await put('d-3', { at, amount: '9.00' });
      await later();
      assert.equal(await day(), 'discrepant: unreported_transaction d-3 9.00');
      await isQuiet(mornings, clock);
      await until('2026-03-08T12:00:00+08:00');
      assert.equal(
        await day(),
        'discrepant: unreported_transaction d-3 9.00, unsettled_transaction d-1 10.00, unsettled_transaction d-3 9.00',
      );
      await put('x-1', { type: 'VOID', original: 'd-1', at });
      await put('d-3', { at: '2026-03-09T12:00:00+08:00', amount: '9.00' });
      await later();
      assert.equal(await day(), 'reconciled');
    });

    test('two that look at once ask once', async () => {
      mornings.arrive({
        'M1/20260306/settlementItems_USD_B2_000.csv': [HEADER, row('B2', 'PAYMENT', 'q-1', '10.00'), '<END>'],
      });
      await later();
      assert.match((await states())['B2']!, /unknown_transaction q-1/);
      await put('q-1', {});
      const { database } = mornings;
      clock.nowMs += 60_000;
      await Promise.all([
        checkRecords({ database, now }),
        checkRecords({ database, now }),
        checkAllRecords({ database, now }),
      ]);
      assert.deepEqual(await query(database.url, `select wanted - done as open from batch where batch_id = 'B2'`), [
        { open: 1 },
      ]);
      await later();
      assert.doesNotMatch((await states())['B2']!, /unknown_transaction/);
    });
  });
}

suite('a record that changes after its row matched', async () => {
  const [watched, unwatched] = await Promise.all([startMornings(CALENDAR), startMornings(CALENDAR)]);
  after(() => Promise.all([watched.close(), unwatched.close()]));
  const at = '2026-03-05T12:00:00+08:00';
  const reports = {
    'M1/20260305/settlementItems_USD_B1_000.csv': [
      HEADER,
      row('B1', 'PAYMENT', 'p-1', '10.00'),
      row('B1', 'PAYMENT', 'p-2', '10.00'),
      row('B1', 'REFUND', 'r-2', '-10.00', 'p-2'),
      '<END>',
    ],
    'M1/20260305/settlementSummary_USD_B1_000.csv': [
      'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
      'B1,TOTAL,3,10.00,USD',
      '<END>',
    ],
    'M1/20260305/transactionItems_20260305_000.csv': [DAY, `PAYMENT,t-1,p-1,,10.00,USD,${at}`, '<END>'],
  };
  const begin = async (mornings: Mornings, put: Put) => {
    await put('p-1', { at });
    await put('p-2', {});
    await put('r-2', { type: 'REFUND', original: 'p-2' });
    mornings.arrive(reports);
    const clock = clockOf(mornings);
    await clock.later();
    assert.deepEqual(await mornings.states(), { '2026-03-05': 'reconciled', B1: 'reconciled' });
    return clock;
  };

  test('is seen where records say when they changed: rows, days and refunds', async () => {
    const put = await openShop(watched, { updatedAt: 'changed_at' });
    const clock = await begin(watched, put);
    await isQuiet(watched, clock);
    await put('p-1', { at, status: 'FAILED' });
    await put('p-2', { amount: '8.00' });
    await put('d-1', { at });
    await clock.later();
    assert.deepEqual(await watched.states(), {
      '2026-03-05': 'discrepant: status_mismatch p-1 FAILED, unreported_transaction d-1 10.00',
      B1: 'discrepant: amount_mismatch p-2 8.00, over_refunded p-2 8.00, status_mismatch p-1 FAILED',
    });
    await isQuiet(watched, clock);
    await put('p-1', { at });
    await put('p-2', {});
    await put('d-1', { at, status: 'FAILED' });
    await clock.later();
    assert.deepEqual(await watched.states(), { '2026-03-05': 'reconciled', B1: 'reconciled' });
    await isQuiet(watched, clock);
  });

  test('also where it is committed minutes after the time that it bears, page by page', async () => {
    const clock = clockOf(watched);
    await query(
      watched.database.url,
      `update shop.payments set state = 'FAILED', changed_at = now() - interval '10 minutes' where ref = 'p-1'`,
    );
    await checkAllRecords({ database: watched.database, pageRows: 1, now: clock.now });
    clock.nowMs = Date.parse('2026-03-07T00:00:00Z');
    await clock.later();
    assert.equal((await watched.states())['B1'], 'discrepant: status_mismatch p-1 FAILED');
    const seen = await query(watched.database.url, 'select count(*)::int as seen from seen_change');
    assert.ok((seen[0] as { seen: number }).seen > 0);
    await isQuiet(watched, clock);
  });

  test('is not, where they do not, until its batch is reconciled for another reason', async () => {
    const put = await openShop(unwatched);
    const clock = await begin(unwatched, put);
    await put('p-1', { at, status: 'FAILED' });
    await clock.later();
    assert.equal((await unwatched.states())['B1'], 'reconciled');
    await query(unwatched.database.url, `select want_runs(array(select no from batch), 'replay')`);
    await clock.later();
    assert.equal((await unwatched.states())['B1'], 'discrepant: status_mismatch p-1 FAILED');
    await isQuiet(unwatched, clock);
  });
});

test('a look that takes long is left when the service has to end', async () => {
  const mornings = await startMornings(CALENDAR);
  after(() => mornings.close());
  const { database } = mornings;
  const put = await openShop(mornings);
  await put('p', {});
  await query(
    database.url,
    `alter table shop.payments rename to all_payments;
     create view shop.payments as select * from shop.all_payments where pg_sleep(600) is not null;
     insert into merchant (id) values ('M1'); insert into batch (merchant_no, batch_id) values (1, 'B');
     insert into discrepancy (batch_no, identity, kind, of_matchable, message, first_seen_at, opened_run, opened_at, referenced_ids)
     values (1, 'i', 'unknown_transaction', true, '', now(), 1, now(), '{p}')`,
  );
  const stopping = new AbortController();
  const checking = checkRecords({ database, stop: stopping.signal });
  const isLooking = `select count(*)::int as count from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()`;
  const deadline = Date.now() + PATIENCE_MS;
  while ((await query<{ count: number }>(database.url, isLooking))[0]!.count === 0) assert.ok(Date.now() < deadline);
  stopping.abort();
  await assert.rejects(checking, /canceling statement due to user request/);
});
