/** The same reports come to the same result: whatever the order, the number of processes, the size of a chunk, the queue. */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { openDatabase } from '../src/adapters/postgres/connection.ts';
import type { Enqueue, JobKind } from '../src/jobs.ts';
import type { ListedFile } from '../src/producers/discovery/list-files.ts';
import { importLedger } from '../src/producers/records/import-ledger.ts';
import { sweep } from '../src/producers/recovery/sweep.ts';
import { runJob } from '../src/workers/runtime/run-job.ts';
import { type Answer, sameAnswer } from './support/answer.ts';
import {
  answerOf,
  checkBook,
  digestsOf,
  optionsOf,
  query,
  sameDigests,
  temporaryFolder,
  writeFiles,
} from './support/book.ts';
import { contextOf, listFolder } from './support/context.ts';
import { makeFaults } from './support/faults.ts';
import { expectedAnswer } from './support/oracle.ts';
import { freshDatabase } from './support/postgres.ts';
import { startRedis } from './support/redis.ts';
import { settlestream } from './support/settlestream.ts';
import { sized } from './support/size.ts';

// No fault of whole files (an odd seed has none): which of two revisions is the newer one depends on the order, and should.
const made = makeFaults(temporaryFolder(), 13, 2_500);
// Some of its days are enough for the check, among them files of several chunks and batches of several parts.
const days = sized(/(20240428|20240524|20240821|20240823|20240825)$/, /\d$/);
for (const path of readdirSync(made.paths[0]!, { recursive: true, encoding: 'utf8' }))
  if (/\/\d{8}$/.test(path) && !days.test(path)) rmSync(join(made.paths[0]!, path), { recursive: true });
const SMALL_CHUNKS = { SETTLESTREAM_CHUNK_BYTES: '65536' };

type Env = Readonly<Record<string, string>>;
const newBook = async (env: Env = {}) => ({
  DATABASE_URL: await freshDatabase(),
  SETTLESTREAM_DATA_DIR: temporaryFolder(),
  ...env,
});

async function reconcile(env: Env, ledger: readonly string[] = ['--ledger', made.ledger]): Promise<Answer> {
  return answerOf(await settlestream(['reconcile', ...made.paths, ...ledger, ...optionsOf(made), '--json'], { env }));
}

const rowsOf = (url: string) =>
  query(url, 'select load_no, count(*)::int as rows, min(line), max(line) from report_row group by 1 order by 1');

const expected = expectedAnswer(made.paths, made.ledger, made.options);
const book = await newBook(SMALL_CHUNKS);
const bookOfRelations = await newBook();
const redis = await startRedis();
after(() => redis.stop());

suite('a delivery with faults', () => {
  let digests: Record<string, string>;

  test('in small chunks', async () => {
    const answer = await reconcile(book);
    digests = await digestsOf(book.DATABASE_URL);
    sameAnswer(answer, expected);
    await checkBook(book.DATABASE_URL);
    assert.equal(Object.keys(digests).length, expected.batches.length + expected.transactionDays.length);
    const chunks = await query<{ most: number; loads: number }>(
      book.DATABASE_URL,
      'select max(chunks) as most, count(*) filter (where chunks > 1)::int as loads from load',
    );
    assert.ok(chunks[0]!.most >= 2 && chunks[0]!.loads >= 3, `several chunks: ${JSON.stringify(chunks)}`);
  });

  test('once more: nothing is new, no row stands twice', async () => {
    const rows = await rowsOf(book.DATABASE_URL);
    const runs = await query(book.DATABASE_URL, 'select max(no) as no, count(*) as count from run');
    sameAnswer(await reconcile(book, []), expected);
    assert.deepEqual(await rowsOf(book.DATABASE_URL), rows);
    assert.deepEqual(await query(book.DATABASE_URL, 'select max(no) as no, count(*) as count from run'), runs);
    // With the same records too; they change nothing.
    sameAnswer(await reconcile(book), expected);
    sameDigests(await digestsOf(book.DATABASE_URL), digests);
    await checkBook(book.DATABASE_URL);
  });

  const ways: Record<string, Env> = {
    'in one chunk, by one process': { SETTLESTREAM_CHUNK_BYTES: '67108864', SETTLESTREAM_PROCESSES: '1' },
    'in small chunks, by four processes': { ...SMALL_CHUNKS, SETTLESTREAM_PROCESSES: '4' },
    'through Redis, in larger chunks, by two processes': {
      SETTLESTREAM_CHUNK_BYTES: '200000',
      SETTLESTREAM_PROCESSES: '2',
      REDIS_URL: redis.url,
    },
  };
  for (const [name, env] of Object.entries(ways)) {
    test(name, async () => {
      const other = await newBook(env);
      sameAnswer(await reconcile(other), expected);
      sameDigests(await digestsOf(other.DATABASE_URL), digests);
      await checkBook(other.DATABASE_URL);
    });
  }

  test('show tells the digests of the book', async () => {
    const { settlementBatchId } = expected.batches[0]!;
    const shown = await settlestream(['show', settlementBatchId, '--json'], { env: book });
    assert.ok(Object.values(digests).some((digest) => digest.startsWith(shown.json.digest)));
    assert.match(shown.json.crossDigest, /^[0-9a-f]{64}$/);
  });

  test('one file at a time, in any order', async () => {
    const url = await freshDatabase();
    await inAnyOrder(url, made.paths[0]!, made.ledger, randomOf(1), optionsFor(made.options));
    sameDigests(await digestsOf(url), digests);
    await checkBook(url);
  });
});

/**
 * Much of what is told of a row depends on rows of other reports. Here nearly everything does, across three batches and four
 * days, and every order in which the files arrive, and in which their jobs run, has to come to the same.
 */
suite('results that depend on other reports', () => {
  const BATCH =
    'settlementBatchId,transactionType,transactionId,transactionRequestId,originalTransactionRequestId,originalTransactionId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency,installmentsNum';
  const DAY =
    'transactionType,transactionId,transactionRequestId,originalTransactionRequestId,originalTransactionId,transactionAmountValue,transactionCurrency,paymentTime';
  const reports = join(
    writeFiles(temporaryFolder(), {
      'reports/M1/20260105/settlementItems_USD_A_000.csv': [
        BATCH,
        'A,PAYMENT,t-1,p-1,,,10.00,USD,10.00,USD,',
        'A,PAYMENT,t-2,p-2,,,20.00,USD,20.00,USD,',
        // Of a payment that only the last batch knows the id of.
        'A,REFUND,t-r1,r-1,,t-9,-5.00,USD,-5.00,USD,',
        'A,DISPUTE,t-d1,,,t-9,-9.00,USD,-9.00,USD,',
        // Takes back a refund that stands in another batch, so that it counts for that refund's payment.
        'A,REFUND_REVERSAL,t-v1,v-1,r-3,,3.00,USD,3.00,USD,',
        // The first of two instalments, which together are less than recorded; and one that is too much with those to come.
        'A,PAYMENT,t-10a,p-10,,,4.00,USD,4.00,USD,2',
        'A,PAYMENT,t-11a,p-11,,,6.00,USD,6.00,USD,3',
        // With the captures of other batches, more than was authorized.
        'A,CAPTURE,t-k1,k-1,a-1,,6.00,USD,6.00,USD,',
        '<END>',
      ],
      'reports/M1/20260105/settlementItems_USD_B_000.csv': [
        BATCH,
        // Settled on the same date as in A, and again in C.
        'B,PAYMENT,t-1,p-1,,,10.00,USD,10.00,USD,',
        'B,REFUND,t-r2,r-2,p-2,,-15.00,USD,-15.00,USD,',
        'B,REFUND,t-r3,r-3,,t-2,-8.00,USD,-8.00,USD,',
        'B,PAYMENT,t-11b,p-11,,,6.00,USD,6.00,USD,3',
        // Its authorization is only named by the provider's id, which stands in a day's report.
        'B,CAPTURE,t-k2,k-2,,t-a1,6.00,USD,6.00,USD,',
        // Refunded in C, disputed here and given back in part.
        'B,DISPUTE,t-d2,,p-12,,-9.00,USD,-9.00,USD,',
        '<END>',
      ],
      'reports/M1/20260106/settlementItems_USD_C_000.csv': [
        BATCH,
        'C,PAYMENT,t-1,p-1,,,10.00,USD,10.00,USD,',
        'C,PAYMENT,t-9,p-9,,,9.00,USD,9.00,USD,',
        'C,REFUND,t-r4,r-4,p-9,,-6.00,USD,-6.00,USD,',
        'C,REFUND,t-r5,r-5,,t-2,-4.00,USD,-4.00,USD,',
        'C,PAYMENT,t-10b,p-10,,,5.00,USD,5.00,USD,2',
        'C,PAYMENT,t-11c,p-11,,,1.00,USD,1.00,USD,3',
        'C,CAPTURE,t-k3,k-3,a-1,,1.00,USD,1.00,USD,',
        'C,REFUND,t-r6,r-6,p-12,,-4.00,USD,-4.00,USD,',
        'C,DISPUTE_REVERSAL,t-w2,,p-12,,2.00,USD,2.00,USD,',
        // Recorded as cancelled; what cancels it is reported on a day, under the provider's id.
        'C,PAYMENT,t-7,p-7,,,7.00,USD,7.00,USD,',
        // Recorded as cancelled; the only cancellation names it by our own id.
        'C,PAYMENT,t-8,p-8,,,8.00,USD,8.00,USD,',
        '<END>',
      ],
      'reports/M1/20260103/transactionItems_20260103_000.csv': [
        DAY,
        'PAYMENT,t-1,p-1,,,10.00,USD,2026-01-03T10:00:00+08:00',
        'CANCEL,t-c7,c-7,,t-7,7.00,USD,2026-01-03T11:00:00+08:00',
        '<END>',
      ],
      'reports/M1/20260104/transactionItems_20260104_000.csv': [
        DAY,
        // Recorded on the day before.
        'PAYMENT,t-2,p-2,,,20.00,USD,2026-01-04T00:00:01+08:00',
        'PAYMENT,t-8,p-8,,,8.00,USD,2026-01-04T10:00:00+08:00',
        '<END>',
      ],
      'reports/M1/20260105/transactionItems_20260105_000.csv': [
        DAY,
        'PAYMENT,t-9,p-9,,,9.00,USD,2026-01-05T09:00:00+08:00',
        'AUTHORIZATION,t-a1,a-1,,,10.00,USD,2026-01-05T09:00:00+08:00',
        'CANCEL,t-c8,c-8,p-8,,8.00,USD,2026-01-05T10:00:00+08:00',
        '<END>',
      ],
      'reports/M1/20260106/transactionItems_20260106_000.csv': [
        DAY,
        // Too late for a record of the 4th, but not for one of the 5th.
        'PAYMENT,t-5,p-5,,,5.00,USD,2026-01-06T00:00:01+08:00',
        'PAYMENT,t-4,p-4,,,4.00,USD,2026-01-06T00:00:02+08:00',
        '<END>',
      ],
    }),
    'reports',
  );
  const ledger = join(
    writeFiles(temporaryFolder(), {
      'records.csv': [
        'requestId,type,amount,currency,status,occurredAt,originalRequestId',
        'p-1,PAYMENT,10.00,USD,SUCCESS,2026-01-03T10:00:00+08:00,',
        'p-2,PAYMENT,20.00,USD,SUCCESS,2026-01-03T23:59:59+08:00,',
        'p-4,PAYMENT,4.00,USD,SUCCESS,2026-01-04T23:59:00+08:00,',
        'p-5,PAYMENT,5.00,USD,SUCCESS,2026-01-05T23:59:59+08:00,',
        'p-7,PAYMENT,7.00,USD,CANCELLED,2026-01-02T10:00:00+08:00,',
        'p-8,PAYMENT,8.00,USD,CANCELLED,2026-01-04T10:00:00+08:00,',
        'p-9,PAYMENT,9.00,USD,SUCCESS,2026-01-05T09:00:00+08:00,',
        'p-10,PAYMENT,10.00,USD,SUCCESS,2026-01-02T10:00:00+08:00,',
        'p-11,PAYMENT,10.00,USD,SUCCESS,2026-01-02T10:00:00+08:00,',
        'p-12,PAYMENT,10.00,USD,SUCCESS,2026-01-02T10:00:00+08:00,',
        'a-1,AUTHORIZATION,10.00,USD,SUCCESS,2026-01-05T09:00:00+08:00,',
        'k-1,CAPTURE,6.00,USD,SUCCESS,2026-01-02T10:00:00+08:00,a-1',
        'k-2,CAPTURE,6.00,USD,SUCCESS,2026-01-02T10:00:00+08:00,a-1',
        'k-3,CAPTURE,1.00,USD,SUCCESS,2026-01-02T10:00:00+08:00,a-1',
        'r-6,REFUND,4.00,USD,SUCCESS,2026-01-02T10:00:00+08:00,p-12',
        'r-1,REFUND,5.00,USD,SUCCESS,2026-01-02T09:00:00+08:00,p-9',
        'r-2,REFUND,15.00,USD,SUCCESS,2026-01-02T09:00:00+08:00,p-2',
        'r-3,REFUND,8.00,USD,SUCCESS,2026-01-02T09:00:00+08:00,',
        'r-4,REFUND,6.00,USD,SUCCESS,2026-01-02T09:00:00+08:00,p-9',
        'r-5,REFUND,4.00,USD,SUCCESS,2026-01-02T09:00:00+08:00,p-2',
        'c-7,CANCEL,7.00,USD,SUCCESS,2026-01-02T11:00:00+08:00,',
        'c-8,CANCEL,8.00,USD,SUCCESS,2026-01-02T11:00:00+08:00,',
      ],
    }),
    'records.csv',
  );
  const env = bookOfRelations;
  let digests: Record<string, string>;

  test('all at once, as the oracle reads them', async () => {
    const answer = answerOf(await settlestream(['reconcile', reports, '--ledger', ledger, '--json'], { env }));
    digests = await digestsOf(env.DATABASE_URL);
    sameAnswer(answer, expectedAnswer([reports], ledger));
    const kinds = new Set(answer.discrepancies.map(({ kind }) => kind));
    for (const kind of ['settled_twice', 'over_refunded', 'over_captured', 'amount_mismatch', 'unreported_transaction'])
      assert.ok(kinds.has(kind), `${kind} is among ${[...kinds].join(', ')}`);
  });

  test('one cent of one row is another digest, of its batch alone', async () => {
    const other = join(temporaryFolder(), 'reports');
    cpSync(reports, other, { recursive: true });
    const file = join(other, 'M1/20260106/settlementItems_USD_C_000.csv');
    const changed = readFileSync(file, 'utf8').replace('7.00,USD,7.00,USD', '7.00,USD,7.01,USD');
    writeFileSync(file, changed);
    const url = await freshDatabase();
    await inAnyOrder(url, other, ledger, randomOf(1), optionsFor({}));
    const found = await digestsOf(url);
    assert.deepEqual(
      Object.keys(digests).filter((batch) => found[batch] !== digests[batch]),
      ['M1 C USD'],
    );
  });

  const orders = Number(process.env['SETTLESTREAM_TEST_ORDERS'] ?? sized(6, 100));
  for (let seed = 1; seed <= orders; seed++) {
    test(`in order ${seed}`, async () => {
      const url = await freshDatabase();
      await inAnyOrder(url, reports, ledger, randomOf(seed), optionsFor({}));
      sameDigests(await digestsOf(url), digests);
      await checkBook(url);
    });
  }
});

type Random = (below: number) => number;
function randomOf(seed: number): Random {
  let state = seed * 2_654_435_761;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) >>> 0;
    return (state ^ (state >>> 13)) % below;
  };
}

const optionsFor = (options: typeof made.options) => ({
  merchantId: options.merchant ?? null,
  amountUnit: options.amountUnit ?? ('major' as const),
  toleranceMinor: BigInt(options.toleranceMinor ?? 2),
  timeZone: options.timeZone ?? 'Asia/Shanghai',
});

/**
 * Files arrive one by one in a random order, and between two arrivals some of the jobs run, in a random order too: some of
 * them twice, some twice at once, as a queue may do it.
 */
async function inAnyOrder(
  url: string,
  folder: string,
  ledger: string,
  random: Random,
  options: ReturnType<typeof optionsFor>,
): Promise<void> {
  const database = await openDatabase(url, 6);
  try {
    await importLedger(database, ledger, options.merchantId, () => {});
    const jobs: { name: string; payload: unknown }[] = [];
    const enqueue: Enqueue = async <P>(job: JobKind<P>, payload: P) => void jobs.push({ name: job.name, payload });
    const context = contextOf(database, enqueue, temporaryFolder());
    const runOne = async () => {
      const [job] = jobs.splice(random(jobs.length), 1);
      const run = () => runJob(context, job!.name, job!.payload);
      const luck = random(8);
      if (luck === 0) jobs.push(job!);
      // Two at once: the one that comes second takes over, and what becomes of the first does not matter.
      if (luck === 1) await Promise.allSettled([run(), run()]);
      else await run();
    };
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    while (files.length > 0) {
      const [file] = files.splice(random(files.length), 1);
      const isNext = ({ path }: ListedFile) => path === file;
      const found = await listFolder(database, enqueue, folder, { ...options, isSettled: isNext });
      assert.ok(found.deliveryNos.length > 0 || found.notReports.length > 0);
      for (let some = random(4) * jobs.length; some > 0 && jobs.length > 0; some--) await runOne();
    }
    // Two at once can end each other. What was left undone by that, the sweep asks for again.
    do {
      while (jobs.length > 0) await runOne();
      await sweep({ database, enqueue });
    } while (jobs.length > 0);
  } finally {
    await database.close();
  }
}
