/** Reports are read again, from the archive and under today's settings: as often as one likes, by several at once, or only to see what would change. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { writeSheet } from '../demo/sheet.ts';
import { zipOf } from '../demo/zip.ts';
import { onOneConnection, openDatabase } from '../src/adapters/postgres/connection.ts';
import { inTransaction } from '../src/adapters/postgres/transactions.ts';
import { PROGRAM } from '../src/domain/audit.ts';
import { type Enqueue, ingestReport } from '../src/jobs.ts';
import { recordReplay } from '../src/producers/interventions/replay.ts';
import type { JobContext } from '../src/workers/context.ts';
import { runJob } from '../src/workers/runtime/run-job.ts';
import { checkBook, digestsOf, optionsOf, query, sameDigests, temporaryFolder, writeFiles } from './support/book.ts';
import { contextOf } from './support/context.ts';
import { makeFaults } from './support/faults.ts';
import { PATIENCE_MS } from './support/patience.ts';
import { freshDatabase } from './support/postgres.ts';
import { startRedis } from './support/redis.ts';
import { type Started, settlestream, startSettlestream } from './support/settlestream.ts';

const made = makeFaults(temporaryFolder(), 13, 1_200);
// Three of its days are enough, among them files of several chunks.
for (const path of readdirSync(made.paths[0]!, { recursive: true, encoding: 'utf8' })) {
  if (/\/\d{8}$/.test(path) && !/(20240525|20240823|20240824)$/.test(path))
    rmSync(join(made.paths[0]!, path), { recursive: true });
}
const RECONCILE = ['reconcile', ...made.paths, '--ledger', made.ledger, ...optionsOf(made), '--json'];
const EVERYTHING = ['replay', '--from', '2000-01-01', '--to', '2100-01-01', '--json'];
const OTHER_RULES = [...optionsOf(made), '--tolerance', '900000'];

type Env = Readonly<Record<string, string>> & { readonly DATABASE_URL: string };
const newBook = async (more: Readonly<Record<string, string>> = {}): Promise<Env> => ({
  DATABASE_URL: await freshDatabase(),
  SETTLESTREAM_DATA_DIR: temporaryFolder(),
  SETTLESTREAM_CHUNK_BYTES: '65536',
  SETTLESTREAM_PROCESSES: '2',
  ...more,
});

/** Waits until the book says so. */
async function until(url: string, statement: string, isTrue: (count: number) => boolean): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await delay(10)) {
    const [found] = await query<{ count: number }>(url, `select count(*)::int as count from ${statement}`);
    if (isTrue(found!.count)) return;
  }
  assert.fail(`this did not come about: ${statement}`);
}

const countOf = async (url: string, statement: string): Promise<number> =>
  (await query<{ count: number }>(url, `select count(*)::int as count from ${statement}`))[0]!.count;

/** The parser processes of a program. */
const parsersOf = ({ pid }: Started): number[] =>
  spawnSync('ps', ['-o', 'pid=,args=', '--ppid', String(pid)], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line.includes('parser-process.'))
    .map((line) => Number.parseInt(line, 10));

const redis = await startRedis();
after(() => redis.stop());
const book = await newBook();
const first = await settlestream(RECONCILE, { env: book });
assert.ok(first.json.batches.length > 0, first.stderr);
const digests = await digestsOf(book.DATABASE_URL);

suite('read again', () => {
  test('under the same rules everything comes to the same, and what was replaced is cleared away', async () => {
    const loads = await countOf(book.DATABASE_URL, `load where state = 'closed'`);
    const copies = readdirSync(book['SETTLESTREAM_DATA_DIR']!, { recursive: true }).length;
    const { code, json, stderr } = await settlestream([...EVERYTHING, ...optionsOf(made)], { env: book });
    // What could not be read cannot be read again either.
    const refused = await countOf(book.DATABASE_URL, `delivery where state = 'refused'`);
    assert.equal(code, refused > 0 ? 3 : 0, stderr);
    assert.equal(json.batches.length, Object.keys(digests).length);
    for (const { before, after, opened, closed } of json.batches) {
      assert.deepEqual(after, before);
      assert.deepEqual([opened, closed], [0, 0]);
    }
    sameDigests(await digestsOf(book.DATABASE_URL), digests);
    await checkBook(book.DATABASE_URL);
    assert.equal(await countOf(book.DATABASE_URL, `load where state = 'closed'`), loads);
    assert.equal(await countOf(book.DATABASE_URL, `load where state = 'abandoned'`), 0);
    assert.equal(readdirSync(book['SETTLESTREAM_DATA_DIR']!, { recursive: true }).length, copies, 'nothing is copied');
    assert.equal(
      await countOf(book.DATABASE_URL, 'report r join delivery d on d.report_no = r.no where d.revision > 1'),
      0,
    );
  });

  test('a discrepancy whose sentence alone is another stays open, keeps its times, and gets the new sentence', async () => {
    const { DATABASE_URL: url } = book;
    const open = () =>
      query<{ message: string; kind: string; isByKey: boolean }>(
        url,
        `select no, kind, is_cross_batch as "isByKey", message, first_seen_at, opened_run, opened_at, referenced_ids, referenced_fingerprint
           from discrepancy where closed_run is null order by no`,
      );
    const total = await countOf(url, 'discrepancy');
    const before = await open();
    await query(
      url,
      `update discrepancy set message = 'what a version before said of ' || kind where closed_run is null`,
    );
    const { json } = await settlestream([...EVERYTHING, ...optionsOf(made)], { env: book });
    for (const { before, after, opened, closed } of json.batches) {
      assert.deepEqual([after, opened, closed], [before, 0, 0]);
    }
    assert.deepEqual(await open(), before);
    assert.equal(await countOf(url, 'discrepancy'), total, 'none was closed and opened anew');
    sameDigests(await digestsOf(url), digests);
    const [kinds, byKey] = [new Set(before.map(({ kind }) => kind)), before.filter(({ isByKey }) => isByKey)];
    assert.ok(kinds.size > 10 && byKey.length > 0, `of many kinds, and of those over several batches: ${[...kinds]}`);
  });

  test('a dry run tells what other rules would change, changes nothing, and the replay then does just that', async () => {
    const rows = `(select no from run union all select no from delivery union all select no from load where state <> 'deleted') all_of`;
    const counted = await countOf(book.DATABASE_URL, rows);
    const dry = await settlestream([...EVERYTHING, ...OTHER_RULES, '--dry-run'], { env: book });
    const changed = dry.json.batches.filter((batch: { closed: number }) => batch.closed > 0);
    assert.ok(changed.length > 0, 'a wide tolerance closes something');
    sameDigests(await digestsOf(book.DATABASE_URL), digests);
    await checkBook(book.DATABASE_URL);
    assert.equal(await countOf(book.DATABASE_URL, rows), counted, 'nothing is left of it');

    const replayed = await settlestream([...EVERYTHING, ...OTHER_RULES], { env: book });
    assert.deepEqual(replayed.json, dry.json);
    assert.equal(replayed.code, dry.code);
    await checkBook(book.DATABASE_URL);
    const back = await settlestream([...EVERYTHING, ...optionsOf(made)], { env: book });
    const swapped = replayed.json.batches.map(
      ({ before, after, opened, closed, ...same }: Record<string, unknown>) => ({
        ...same,
        before: after,
        after: before,
        opened: closed,
        closed: opened,
      }),
    );
    assert.deepEqual(back.json.batches, swapped);
    sameDigests(await digestsOf(book.DATABASE_URL), digests);
  });

  test('a dry run that is killed leaves nothing', async () => {
    const dry = startSettlestream([...EVERYTHING, ...OTHER_RULES, '--dry-run'], { env: book });
    await until(
      book.DATABASE_URL,
      `load l join delivery d on d.no = l.delivery_no where d.state = 'dry'`,
      (count) => count > 0,
    );
    dry.kill('SIGKILL');
    await dry.ended;
    sameDigests(await digestsOf(book.DATABASE_URL), digests);
    // Whatever sweeps next removes it.
    await settlestream(['replay', '--batch', first.json.batches[0].settlementBatchId, ...optionsOf(made)], {
      env: book,
    });
    assert.equal(await countOf(book.DATABASE_URL, `delivery where state in ('dry', 'over')`), 0);
    sameDigests(await digestsOf(book.DATABASE_URL), digests);
    await checkBook(book.DATABASE_URL);
  });

  for (const queue of ['postgres', 'redis'] as const) {
    test(`twice at once, during the first run, with a parser killed in the middle, on ${queue}`, async () => {
      const env = await newBook(queue === 'redis' ? { REDIS_URL: redis.url } : {});
      const reading = startSettlestream(RECONCILE, { env });
      await until(env.DATABASE_URL, `delivery where state = 'closed'`, (count) => count > 2);
      const replays = [0, 1].map(() => startSettlestream([...EVERYTHING, ...optionsOf(made)], { env }));
      await until(
        env.DATABASE_URL,
        'load l join delivery d on d.no = l.delivery_no where d.replay_of is not null',
        (count) => count > 1,
      );
      const [parser] = parsersOf(replays[1]!);
      if (parser !== undefined) process.kill(parser, 'SIGKILL');
      for (const { ended } of [reading, ...replays]) {
        const { code, stderr } = await ended;
        assert.ok(code !== null && code !== 2 && code !== 4, stderr);
      }
      sameDigests(await digestsOf(env.DATABASE_URL), digests);
      await checkBook(env.DATABASE_URL);
    });
  }

  test('each batch that is read again counts once in the metrics, and nothing is read from its source', async () => {
    const database = await openDatabase(book.DATABASE_URL, 4);
    try {
      const jobs: { name: string; payload: unknown }[] = [];
      const enqueue: Enqueue = async ({ name }, payload) => void jobs.push({ name, payload });
      const recordMetric: string[] = [];
      const context: JobContext = {
        ...contextOf(database, enqueue, temporaryFolder()),
        recordMetric: ({ name }) => void recordMetric.push(name),
        sourceFilesOf: () => assert.fail('the source is not needed'),
      };
      const batch = first.json.batches.find(({ details }: { details: unknown }) => details).settlementBatchId;
      const recorded = await onOneConnection(database, (db) =>
        inTransaction(db, () =>
          recordReplay(db, { batch, isRefused: false }, () => null, { isDry: false, actor: PROGRAM }),
        ),
      );
      assert.ok(recorded.deliveryNos.length > 0);
      for (const deliveryNo of recorded.deliveryNos) await enqueue(ingestReport, { deliveryNo, attempt: 0 });
      for (let job = jobs.shift(); job; job = jobs.shift()) await runJob(context, job.name, job.payload);
      assert.equal(recordMetric.filter((name) => name === 'recon_replays_total').length, recorded.batchNos.length);
      assert.ok(!recordMetric.includes('recon_bytes_total'));
      assert.ok(!recordMetric.includes('recon_report_lag_seconds'));
    } finally {
      await database.close();
    }
    sameDigests(await digestsOf(book.DATABASE_URL), digests);
    await checkBook(book.DATABASE_URL);
  });

  test('what names nothing, or not clearly, is said', async () => {
    for (const [args, said] of [
      [['--batch', 'nowhere'], /nothing to replay/],
      [['--report', 'nowhere'], /there is no report nowhere/],
      [[], /exactly one of/],
      [['--batch', 'x', '--refused'], /exactly one of/],
      [['--from', '2026-02-30'], /not a day/],
    ] as const) {
      const { code, stderr } = await settlestream(['replay', ...args], { env: book });
      assert.equal(code, 2);
      assert.match(stderr, said);
    }
  });
});

const HEADER =
  'settlementBatchId,customerId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
const details = (batch: string, customer: string) => [
  HEADER,
  `${batch},${customer},PAYMENT,t-${batch},p-${batch},10.00,USD,10.00,USD`,
  '<END>',
];

const AT = new Date('2026-01-05T00:00:00Z');

test('a workbook and what was in a zip are read from the archive, when the provider has them no longer', async () => {
  const env = await newBook();
  const folder = writeFiles(temporaryFolder(), {
    'records.csv': [
      'requestId,type,amount,currency,status,occurredAt',
      'p-Z1,PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00',
    ],
    'reports/M1/20260105/z.zip': zipOf(
      'settlementItems_USD_Z1_000.csv',
      Buffer.from(`${details('Z1', 'C1').join('\n')}\n`),
      AT,
    ),
  });
  const sheet = details('S1', 'C1').map((line) => line.split(','));
  await writeSheet(join(folder, 'reports/M1/20260105/settlementItems_USD_S1_000.xlsx'), sheet, AT);
  await settlestream(['reconcile', 'reports', '--ledger', 'records.csv'], { env, cwd: folder });
  const before = await digestsOf(env.DATABASE_URL);
  assert.equal(Object.keys(before).length, 2);
  rmSync(join(folder, 'reports'), { recursive: true });
  for (const more of [['--dry-run'], []]) {
    const { code, json } = await settlestream(['replay', '--from', '2026-01-05', '--json', ...more], { env });
    assert.equal(code, 0);
    assert.equal(json.batches.length, 2);
    sameDigests(await digestsOf(env.DATABASE_URL), before);
  }
  await checkBook(env.DATABASE_URL);
});

suite('what was refused', () => {
  test('is read from the archive when a setting is mended; until then the service leaves it alone', async () => {
    const env = await newBook();
    const folder = temporaryFolder();
    const name = (batch: string) => `reports/M1/20260105/settlementItems_USD_${batch}_000.csv`;
    writeFiles(folder, {
      'records.csv': [
        'requestId,type,amount,currency,status,occurredAt',
        ...['A1', 'A2', 'A3'].map((batch) => `p-${batch},PAYMENT,10.00,USD,SUCCESS,2026-01-04T09:00:00+08:00`),
      ],
      [name('A1')]: details('A1', 'C1'),
      [name('A2')]: details('A2', 'C2'),
      [name('X1')]: ['a,b', '1,2', '<END>'],
    });
    const settings = (customers: string) =>
      writeFileSync(
        join(folder, 'settlestream.yaml'),
        `http: { port: 0 }\npollSeconds: 1\nsources:\n- { name: shop, merchantId: M1, folder: reports, customerIds: [${customers}] }\n`,
      );
    const options = { env, cwd: folder };
    settings('C1');
    await settlestream(['ledger', 'import', 'records.csv'], options);
    let service = startSettlestream(['run'], options);
    await until(env.DATABASE_URL, `delivery where state in ('closed', 'refused')`, (count) => count === 3);
    service.kill('SIGTERM');
    await service.ended;

    settings('C1, C2');
    writeFiles(folder, { [name('A3')]: details('A3', 'C2') });
    service = startSettlestream(['run'], options);
    await until(env.DATABASE_URL, `delivery where file like '%A3%' and state = 'closed'`, (count) => count === 1);
    service.kill('SIGTERM');
    await service.ended;
    assert.deepEqual(
      await query(
        env.DATABASE_URL,
        'select state, error_code, archived is not null as archived from delivery order by file',
      ),
      [
        { state: 'closed', error_code: null, archived: false },
        { state: 'refused', error_code: 'mixed_merchants', archived: false },
        { state: 'closed', error_code: null, archived: false },
        { state: 'refused', error_code: 'no_header', archived: true },
      ],
    );

    // The provider may have deleted them by now.
    rmSync(join(folder, 'reports'), { recursive: true });
    writeFiles(folder, { 'reports/none': [] });
    const { code, json } = await settlestream(['replay', '--refused', '--json'], options);
    assert.equal(code, 3, 'one of the two is as wrong as before');
    assert.deepEqual(
      json.batches.map(({ settlementBatchId, before, after }: Record<string, { net: string }>) => [
        settlementBatchId,
        before!.net,
        after!.net,
      ]),
      [
        ['X1', null, null],
        ['A2', null, '10.00'],
      ],
    );
    assert.deepEqual(
      await query(
        env.DATABASE_URL,
        `select state, error_code, revision from delivery where replay_of is not null order by file`,
      ),
      [
        { state: 'closed', error_code: null, revision: 1 },
        { state: 'refused', error_code: 'no_header', revision: 1 },
      ],
    );
    const kept = await query<{ archived: string }>(
      env.DATABASE_URL,
      'select archived from delivery where archived is not null',
    );
    assert.ok(kept.every(({ archived }) => existsSync(archived)));
    await checkBook(env.DATABASE_URL);
  });
});
