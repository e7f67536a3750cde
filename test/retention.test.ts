/**
 * What is old is dropped in the background, and nobody misses it: a merchant's book that drops what it may says after every event
 * just what a book says that keeps everything.
 */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { ARCHIVE_MARK } from '../src/adapters/archive.ts';
import { type Database, onOneConnection, openDatabase } from '../src/adapters/postgres/connection.ts';
import { lockMerchant } from '../src/adapters/postgres/locks.ts';
import { inTransaction } from '../src/adapters/postgres/transactions.ts';
import { PROGRAM } from '../src/domain/audit.ts';
import type { Calendar } from '../src/domain/calendar/calendar.ts';
import type { Retention } from '../src/domain/calendar/retention.ts';
import { MAX_ATTEMPTS } from '../src/jobs.ts';
import { recordReplay } from '../src/producers/interventions/replay.ts';
import { withdraw } from '../src/producers/interventions/withdraw.ts';
import { deleteRows, keepIds, loadsWithRows, markRowsDropped } from '../src/producers/retention/retain.sql.ts';
import { retain } from '../src/producers/retention/retain.ts';
import { recordFailure } from '../src/workers/runtime/failures.sql.ts';
import { checkBook, digestsOf, query, sameDigests, temporaryFolder } from './support/book.ts';
import { startMornings } from './support/morning.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { copyOf } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const CALENDAR: Calendar = {
  timeZone: 'Asia/Shanghai',
  weekend: [],
  holidays: [],
  quietMinutes: 30,
  transactionDetails: { due: { days: 1, isBusiness: false, at: '10:00' }, daysWithoutTransactions: 'no file' },
  settlement: { date: { days: 2, isBusiness: false }, reportsDue: { days: 1, isBusiness: false, at: '12:00' } },
};

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,originalTransactionId,originalTransactionRequestId,paymentTime';
type Row = {
  type?: string;
  id: string;
  amount?: string;
  original?: string;
  originalId?: string;
  paidAt?: string;
};
const line = (batch: string, row: Row) => {
  const { type = 'PAYMENT', id, amount = '10.00', original = '', originalId = '', paidAt = '' } = row;
  const own = /DISPUTE/.test(type) ? '' : id;
  return `${batch},${type},t-${id},${own},${amount},USD,${amount},USD,${originalId},${original},${paidAt}`;
};
const details = (batch: string, ...rows: Row[]) => [HEADER, ...rows.map((row) => line(batch, row)), '<END>'];
const summary = (batch: string, count: number, amount: string) => [
  'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
  `${batch},TOTAL,${count},${amount},USD`,
  '<END>',
];
/** Both halves of a settlement. */
const settlement = (date: string, batch: string, ...rows: Row[]) => {
  const cents = rows.reduce((sum, { amount = '10.00' }) => sum + Math.round(Number(amount) * 100), 0);
  return {
    [items(date, batch)]: details(batch, ...rows),
    [`M1/${date}/settlementSummary_USD_${batch}_000.csv`]: summary(batch, rows.length, (cents / 100).toFixed(2)),
  };
};
const items = (date: string, batch: string, part = '000') => `M1/${date}/settlementItems_USD_${batch}_${part}.csv`;
const dayFile = (date: string) => `M1/${date}/transactionItems_${date}_000.csv`;
const day = (date: string, ...rows: Row[]) => [
  'transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,paymentTime,originalTransactionRequestId',
  ...rows.map(
    ({ type = 'PAYMENT', id, amount = '10.00', original = '' }) =>
      `${type},t-${id},${id},${amount},USD,${date}T12:00:00+08:00,${original}`,
  ),
  '<END>',
];
const record = (
  id: string,
  date: string,
  { type = 'PAYMENT', amount = '10.00', status = 'SUCCESS', original = '' } = {},
) => `${id},${type},${amount},USD,${status},${date}T12:00:00+08:00,${original}`;

/** A book that drops what is older than a year, and one that keeps everything. */
const [dropping, keeping, small, gone] = await Promise.all([
  startMornings(CALENDAR),
  startMornings(CALENDAR),
  startMornings(CALENDAR),
  startMornings(CALENDAR),
]);
after(() => Promise.all([dropping.close(), keeping.close(), gone.close()]));
const { url } = dropping.database;
type Storage = typeof dropping;
const both = (act: (book: Storage) => Promise<void> | void) => Promise.all([act(dropping), act(keeping)]);
const arrive = (files: Parameters<Storage['arrive']>[0]) => both((book) => book.arrive(files));
const records = (...lines: string[]) => both((book) => book.record(...lines));

const countOf = async (from: string) =>
  (await query<{ n: number }>(url, `select count(*)::int as n from ${from}`))[0]!.n;
const rowsOf = (batch: string) =>
  countOf(`report_row d join load l on l.no = d.load_no join report r on r.no = l.report_no join batch b on b.no = r.batch_no
           where coalesce(b.batch_id, b.day::text) = '${batch}'`);

const numberOf = async (batch: string) =>
  (await query<{ no: number }>(url, `select no from batch where batch_id = '${batch}'`))[0]!.no;

async function until(from: string) {
  for (const deadline = Date.now() + PATIENCE_MS; (await countOf(from)) === 0; await delay(10)) {
    if (Date.now() > deadline) assert.fail(`this did not come about: ${from}`);
  }
}

/** Some days later: everything that came is worked on, and both books say the same. */
let nowMs = 0;
async function later(days = 1) {
  nowMs += days * 86_400_000;
  await both((book) => book.at(new Date(nowMs).toISOString()));
  const states = await dropping.states();
  assert.deepEqual(states, await keeping.states());
  sameDigests(await digestsOf(url), await digestsOf(keeping.database.url));
  assert.equal(await countOf('batch where parked_reason is not null or done < wanted'), 0);
  return states;
}
/** What is older than a year goes; what was read again lately goes too, for a month has passed. */
async function drop() {
  const states = await later(40);
  await dropping.retain({ rowsMonths: 12 });
  return states;
}

/** More than 64 KiB of rows are a table of their own. */
const MANY = Array.from({ length: 90 }, (_, at) => ({
  id: `many-${String(at).padStart(400, '0')}`,
  paidAt: '2026-03-02T12:00:00+08:00',
}));

suite('rows that were dropped are not missed', () => {
  test('they go, but for what is open; totals, runs and discrepancies stay', async () => {
    nowMs = Date.parse('2026-03-01T04:00:00Z');
    await records(
      ...['a', 'b', 'c', 'd', 'n'].map((id) => record(id, '2026-03-02')),
      ...MANY.map(({ id }) => record(id, '2026-03-02')),
      record('e', '2026-03-03', { status: 'CANCELLED' }),
      record('x-e', '2026-03-03', { type: 'CANCEL' }),
      record('o', '2026-02-27'),
      record('r', '2026-03-03', { type: 'REFUND', amount: '6.00', original: 'a' }),
    );
    await arrive({
      [dayFile('20260302')]: day('2026-03-02', ...[...['a', 'b', 'c', 'd'].map((id) => ({ id })), ...MANY]),
      // By its clock n is of the next day.
      [dayFile('20260303')]: day(
        '2026-03-03',
        { id: 'r', type: 'REFUND', amount: '-6.00', original: 'a' },
        { id: 'x-e', type: 'CANCEL', original: 'e' },
        { id: 'n' },
      ),
      ...settlement('20260301', 'B0', { id: 'o' }),
      ...settlement('20260304', 'B1', { id: 'a' }, { id: 'b' }),
      ...settlement('20260304', 'MANY', ...MANY),
      ...settlement(
        '20260305',
        'B2',
        { id: 'c' },
        { id: 'd' },
        { id: 'n' },
        { id: 'r', type: 'REFUND', amount: '-6.00', original: 'a' },
      ),
      ...settlement('20260306', 'OPEN', { id: 'unknown' }),
    });
    await later(9);
    // The books were written today; two years later everything is old.
    nowMs = Date.parse('2028-03-01T04:00:00Z');
    const states = await drop();
    assert.deepEqual(await dropping.states(), states);
    assert.equal(states['B1'], 'reconciled');
    assert.match(states['OPEN']!, /^discrepant: unknown_transaction/);
    for (const batch of ['B1', 'B2', 'MANY', '2026-03-02', '2026-03-03']) assert.equal(await rowsOf(batch), 0, batch);
    assert.equal(await rowsOf('OPEN'), 1);
    assert.equal(await countOf(`pg_class where relname ~ '^report_row_[0-9]+$'`), 0, 'tables of their own are gone');
    await checkBook(url);
  });

  test('a key that was settled in them is known to be settled twice', async () => {
    await arrive(settlement('20260502', 'TWICE', { id: 'a' }, { id: 'c' }));
    const states = await later();
    assert.equal(states['TWICE'], 'discrepant: settled_twice a B1, settled_twice c B2');
    assert.deepEqual(
      [await rowsOf('B1'), await rowsOf('B2'), await rowsOf('MANY')],
      [2, 4, 0],
      'only these are read again',
    );
    // As long as that is open, what it names stays.
    await drop();
    assert.deepEqual([await rowsOf('B1'), await rowsOf('B2')], [2, 4]);
  });

  test('further away than that is looked back, nobody needs them; but the day that lists it', async () => {
    await arrive(settlement('20260901', 'LATER', MANY[0]!));
    assert.equal((await later())['LATER'], 'reconciled');
    assert.deepEqual([await rowsOf('MANY'), await rowsOf('2026-03-02')], [0, 94]);
  });

  test('an original and a cancellation that stand in them are found', async () => {
    await drop();
    await arrive(
      settlement(
        '20271201',
        'REFERS',
        { id: 'dispute', type: 'DISPUTE', amount: '-10.00', originalId: `t-${MANY[7]!.id}` },
        { id: 'nobody', type: 'DISPUTE', amount: '-10.00', originalId: 't-nobody' },
        { id: 'e' },
      ),
    );
    assert.equal((await later())['REFERS'], 'discrepant: orphan_row');
    // The day has it, too.
    assert.deepEqual([await rowsOf('MANY'), await rowsOf('2026-03-02')], [90, 94]);
    await checkBook(url);
    await drop();
    assert.equal(await rowsOf('MANY'), 0, 'they go again after a month');
  });

  test('refunds of what was paid in them add up', async () => {
    await records(record('r2', '2027-12-01', { type: 'REFUND', amount: '5.00', original: 'a' }));
    await arrive(settlement('20271202', 'MORE', { id: 'r2', type: 'REFUND', amount: '-5.00', original: 'a' }));
    assert.match((await later())['MORE']!, /over_refunded a 10.00/);
  });

  test('a report that is restated is compared with what it said, and a withdrawn one makes room for it', async () => {
    await drop();
    assert.deepEqual([await rowsOf('2026-03-02'), await rowsOf('2026-03-03')], [0, 0]);
    const report = dayFile('20260302');
    await arrive({ [report]: day('2026-03-02', ...['a', 'c', 'd'].map((id) => ({ id })), ...MANY) });
    assert.equal((await later())['2026-03-02'], 'discrepant: unreported_transaction b 10.00');
    assert.equal(await rowsOf('2026-03-02'), 94 + 93, 'both contents are there');
    const reason = 'sent by mistake';
    await both((book) =>
      onOneConnection(book.database, (db) =>
        inTransaction(db, async () => void (await withdraw(db, { report, merchant: undefined, reason }, PROGRAM))),
      ),
    );
    assert.equal((await later())['2026-03-02'], 'reconciled');
    await checkBook(url);
  });

  test('a record that changes is compared with its rows again', async () => {
    await drop();
    assert.equal(await rowsOf('MANY'), 0);
    const { id } = MANY[3]!;
    await records(record(id, '2026-03-02', { amount: '12.00' }));
    assert.equal((await later())['MANY'], `discrepant: amount_mismatch ${id} 12.00`);
    await records(record(id, '2026-03-02'));
    assert.equal((await later())['MANY'], 'reconciled');
  });

  test('a record that comes late is looked for in them, and none of the others is missed', async () => {
    await drop();
    await records(record('z', '2026-03-02'));
    assert.equal(
      (await later())['2026-03-02'],
      'discrepant: unreported_transaction z 10.00, unsettled_transaction z 10.00',
    );
  });

  test('those that go while a batch is reconciled are not missed either', async () => {
    await drop();
    await arrive(settlement('20270102', 'FIRST', { id: 'o' }));
    await later();
    nowMs += 400 * 86_400_000;
    await arrive(settlement('20270202', 'SECOND', { id: 'o' }));
    await onOneConnection(dropping.database, (db) =>
      inTransaction(db, async () => {
        // Whoever publishes waits behind this, and has looked at the rows by then.
        await lockMerchant(db, 1);
        const reconciled = later();
        await until(
          `pg_stat_activity where wait_event = 'advisory' and application_name like 'settlestream reconcile%'`,
        );
        const old = { months: 12, nowMs };
        const loads = await loadsWithRows(db, [await numberOf('FIRST')]);
        await keepIds(db, loads[0]!.slot, [loads[0]!.no]);
        await markRowsDropped(db, [await numberOf('FIRST')], old);
        await deleteRows(db, `report_row_m${-loads[0]!.slot}`, { from: 0, to: 1_000 }, [loads[0]!.no]);
        return { reconciled };
      }),
    ).then(({ reconciled }) => reconciled);
    assert.equal((await dropping.states())['SECOND'], 'discrepant: settled_twice o FIRST');
  });

  test('a part that comes late joins them', async () => {
    await drop();
    assert.deepEqual([await rowsOf('MANY'), await rowsOf('2026-03-03')], [0, 0]);
    await arrive({ [items('20260304', 'MANY', '001')]: details('MANY', { id: 'a' }) });
    await later();
    assert.match((await later())['MANY']!, /^discrepant: settled_twice a B1, summary_mismatch/);
  });
});

/** A small book of which everything is old: a load with a table of its own, others in that of a month, and a row that was refused once. */
async function makeOld(book: Storage) {
  await book.record(
    record('p', '2026-03-02'),
    record('q', '2026-03-02'),
    ...MANY.map(({ id }) => record(id, '2026-03-02')),
  );
  const files = {
    ...settlement('20260304', 'B1', { id: 'p' }, { id: 'q' }),
    ...settlement('20260304', 'MANY', ...MANY),
  };
  book.arrive({ ...files, [items('20260304', 'B1')]: details('B1', { id: 'p' }, { id: 'q', amount: 'ten' }) });
  await book.at('2026-03-06T04:00:00Z');
  book.arrive(files);
  await book.at('2026-03-07T04:00:00Z');
  assert.deepEqual(await book.states(), { B1: 'reconciled', MANY: 'reconciled' });
  await book.at('2028-03-07T04:00:00Z');
  await book.close();
}

const ALL: Retention = { rowsMonths: 12, rawTextMonths: 12, archiveMonths: 24 };
/** Copies of reports, beside which the archive holds its mark. */
const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && entry.name !== ARCHIVE_MARK,
  ).length;

suite('dropping', async () => {
  const { database, archiveDir } = small;
  await makeOld(small);
  const copies = `${archiveDir}-copy`;
  cpSync(archiveDir, copies, { recursive: true });
  const said: string[] = [];
  const log = {
    info: (_: object, text: string) => void said.push(text),
    warn: (_: object, text: string) => void said.push(text),
  };
  const context = (of: Database) => ({ database: of, archiveDir, log, now: () => Date.parse('2028-03-07T04:00:00Z') });
  /** A copy of the book, with all its files, while `work` lasts. */
  const onCopy = async (work: (database: Database) => Promise<void>) => {
    cpSync(copies, archiveDir, { recursive: true });
    const copy = await openDatabase(await copyOf(database.url), 4);
    try {
      await work(copy);
    } finally {
      await copy.close();
    }
  };
  const droppedIn = async (of: Database) => ({
    dropped: await query(
      of.url,
      `select what, count(*)::int as things, sum(row_count)::int as rows, bool_and(gone_at is not null) as "areGone" from dropped group by 1 order by 1`,
    ),
    rows: (await query<{ n: number }>(of.url, 'select count(*)::int as n from report_row'))[0]!.n,
    tables: await query(of.url, `select relname from pg_class where relname ~ '^report_row_' and relkind = 'r'`),
    ids: await query(of.url, 'select load_no, count(*)::int as n from dropped_ids, unnest(ids) group by 1 order by 1'),
    texts: await query(of.url, `select reported, message from discrepancy where kind = 'refused_row'`),
    totals: await digestsOf(of.url),
    files: filesIn(archiveDir),
  });
  type State = Awaited<ReturnType<typeof droppedIn>>;
  let expected: State;

  test('leaves nothing of rows, texts and files, says so, and keeps all else', async () => {
    await onCopy(async (copy) => {
      const before = await droppedIn(copy);
      while (await retain(context(copy), ALL));
      expected = await droppedIn(copy);
      assert.deepEqual(expected.dropped, [
        { what: 'file', things: 5, rows: null, areGone: true },
        { what: 'rows', things: 3, rows: 94, areGone: true },
        { what: 'text', things: 1, rows: 1, areGone: true },
      ]);
      assert.deepEqual([expected.rows, expected.tables, expected.files], [0, [], 0]);
      assert.deepEqual(expected.totals, before.totals);
      const [text] = expected.texts as { reported: string | null; message: string }[];
      assert.equal(text!.reported, null);
      assert.match(text!.message, /^column transactionAmountValue, \(dropped\): This is not an amount/);
      await checkBook(copy.url);
    });
    assert.equal(said.length, 3);
  });

  test('ends the same wherever it was killed', async () => {
    for (let queries = 1, isDone = false; !isDone; queries += 7) {
      await onCopy(async (copy) => {
        const dying = await openDatabase(copy.url, 4);
        const killed = killAfter(dying, queries);
        await retain(context(dying), ALL).catch(() => {});
        isDone = !killed();
        await dying.close();
        while (await retain(context(copy), ALL));
        assert.deepEqual(await droppedIn(copy), expected, `killed at statement ${queries}`);
      });
    }
  });

  test('twice at once does no harm', async () => {
    await onCopy(async (copy) => {
      const once = async () => {
        while (await retain(context(copy), ALL));
      };
      await Promise.all([once(), once(), once()]);
      await once();
      assert.deepEqual(await droppedIn(copy), expected);
    });
  });

  test('removes no file outside of the archive, whatever the book and links say', async () => {
    await onCopy(async (copy) => {
      const elsewhere = temporaryFolder();
      writeFileSync(join(elsewhere, 'mine.csv'), '');
      writeFileSync(join(elsewhere, 'other.csv'), '');
      symlinkSync(elsewhere, join(archiveDir, 'link'));
      const [first, second] = await query<{ no: number }>(copy.url, 'select no from load order by no');
      await query(copy.url, `update load set archive_path = '${elsewhere}/mine.csv' where no = ${first!.no}`);
      await query(copy.url, `update load set archive_path = '${archiveDir}/link/other.csv' where no = ${second!.no}`);
      said.length = 0;
      while (await retain(context(copy), ALL));
      assert.deepEqual(readdirSync(elsewhere), ['mine.csv', 'other.csv']);
      assert.equal(said.filter((text) => /outside of the archive folder/.test(text)).length, 1);
      unlinkSync(join(archiveDir, 'link'));
    });
  });
});

suite('where the archived copies are gone too', async () => {
  const book = gone;
  const ask = (text: string) => query<{ batch: string; reason: string; n: number }>(book.database.url, text);
  const parked = () =>
    ask(
      `select coalesce(batch_id, day::text) as batch, parked_reason as reason from batch where parked_reason is not null order by 1`,
    );
  const call = (...args: string[]) =>
    settlestream(args, {
      env: {
        DATABASE_URL: book.database.url,
        SETTLESTREAM_ARCHIVE_FOLDER: book.archiveDir,
        SETTLESTREAM_DATA_DIR: temporaryFolder(),
        SETTLESTREAM_PROCESSES: '1',
      },
    });
  const b1 = { [items('20260304', 'B1')]: details('B1', { id: 'p' }, { id: 'q' }) };
  await book.record(record('p', '2026-03-02'), record('q', '2026-03-02'));
  book.arrive(settlement('20260304', 'B1', { id: 'p' }, { id: 'q' }));
  await book.at('2026-03-07T04:00:00Z');
  await book.at('2028-03-07T04:00:00Z');

  test('show and explain say that rows were dropped, and replay reads them again', async () => {
    await book.retain({ rowsMonths: 12 });
    const shown = await call('show', 'B1');
    assert.match(shown.stdout, /^Retention dropped rows on 2028-03-07; totals and discrepancies are kept\.$/m);
    const told = await call('explain', 'p', '--json');
    assert.deepEqual(told.json.rows, []);
    assert.deepEqual(told.json.dropped, [
      {
        settlementBatchId: 'B1',
        transactionDate: null,
        file: items('20260304', 'B1'),
        revision: 1,
        rowsDroppedAt: '2028-03-07T04:00:00.000Z',
        fileDroppedAt: null,
      },
    ]);
    const [dry, replayed] = [
      await call('replay', '--batch', 'B1', '--dry-run', '--json'),
      await call('replay', '--batch', 'B1', '--json'),
    ];
    assert.deepEqual(dry.json, replayed.json);
    assert.equal(replayed.json.batches[0].before.digest, replayed.json.batches[0].after.digest);
    assert.equal((await ask('select count(*)::int as n from report_row'))[0]!.n, 2);
  });

  test('a copy that cannot be read is tried for a while, and then the batch is given up until somebody mends it', async () => {
    await book.retain({ rowsMonths: 12 });
    const [load] = await query<{ no: number; path: string }>(
      book.database.url,
      `select l.no, l.archive_path as path from load l join report r on r.load_no = l.no where r.kind = 'settlementDetails'`,
    );
    const { no: loadNo, path } = load!;
    renameSync(path, `${path}.away`);
    await ask(`select want_runs(array(select no from batch), 'records')`);
    await assert.rejects(book.at('2028-03-07T05:00:00Z'), /ENOENT/);
    const fail = () =>
      recordFailure(book.database.db, 'restore-rows', { loadNo }, 'no such file', MAX_ATTEMPTS, () => 0);
    for (let tries = 1; tries < MAX_ATTEMPTS; tries++) assert.equal((await fail()).isParked, false);
    assert.equal((await fail()).isParked, true);
    assert.match((await parked())[0]!.reason, /^restore-rows: no such file$/);
    await book.at('2028-03-07T06:00:00Z');
    assert.equal((await parked()).length, 1, 'it is not tried any more');
    assert.deepEqual(await book.states(), { B1: 'reconciled' });

    renameSync(`${path}.away`, path);
    await ask(`select want_runs(array(select no from batch), 'records')`);
    await book.at('2028-03-07T07:00:00Z');
    assert.deepEqual(await parked(), []);
    assert.equal((await ask('select count(*)::int as n from report_row'))[0]!.n, 2);
    await book.at('2028-05-07T04:00:00Z');
  });

  test('show and explain say so, and a replay ends with 2', async () => {
    await book.retain({ rowsMonths: 12, archiveMonths: 12 });
    assert.equal((await ask('select count(*)::int as n from report_row'))[0]!.n, 0);
    const shown = await call('show', 'B1');
    assert.match(
      shown.stdout,
      /^Retention dropped archived copies of its reports on 2028-05-07: they cannot be replayed/m,
    );
    assert.match(
      (await call('explain', 'p')).stdout,
      /settlementItems_USD_B1_000\.csv.*B1.*2028-05-07.*dropped on 2028-05-07/,
    );
    const { code, stderr } = await call('replay', '--batch', 'B1');
    assert.equal(code, 2);
    const said =
      /dropped.*totals and discrepancies are kept:\n.*settlementItems_USD_B1_000\.csv of B1, dropped on 2028-05-07/;
    assert.match(stderr, said);
    for (const isDry of [true, false]) {
      const recorded = onOneConnection(book.database, (db) =>
        inTransaction(db, () =>
          recordReplay(db, { from: '2026-01-01', isRefused: false }, () => null, { isDry, actor: PROGRAM }),
        ),
      );
      await assert.rejects(recorded, said);
    }
  });

  test('what would need them is given up and says why, and its last result stays', async () => {
    book.arrive({
      [items('20260304', 'B1', '001')]: details('B1', { id: 'q' }),
      ...settlement('20260502', 'TWICE', { id: 'p' }),
    });
    await book.at('2028-05-08T04:00:00Z');
    assert.deepEqual(
      (await parked()).map(({ batch }) => batch),
      ['B1', 'TWICE'],
    );
    for (const { reason } of await parked())
      assert.match(
        reason,
        /retention dropped rows that are needed, and their archived copies: .*settlementItems_USD_B1_000\.csv of B1 \(on 2028-05-07\)/,
      );
    assert.deepEqual(await book.states(), { B1: 'reconciled' });
  });

  test('a file that is delivered once more sets all of it going again', async () => {
    book.arrive(b1);
    await book.at('2028-05-09T04:00:00Z');
    await book.at('2028-05-09T05:00:00Z');
    assert.deepEqual(await parked(), []);
    assert.equal((await book.states())['TWICE'], 'discrepant: settled_twice p B1');
    assert.match((await book.states())['B1']!, /duplicate_row q/);
    await checkBook(book.database.url);
  });
});

/** The connection is lost at a statement, and every one after it. Returns whether it came to that. */
function killAfter({ pool }: Database, queries: number): () => boolean {
  let count = 0;
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  const watched = new WeakSet<pg.PoolClient>();
  pool.connect = (async () => {
    const client = await connect();
    if (watched.has(client)) return client;
    watched.add(client);
    const ask = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      count += 1;
      if (count >= queries) (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
      return ask(...args);
    }) as typeof client.query;
    return client;
  }) as typeof pool.connect;
  return () => count >= queries;
}
