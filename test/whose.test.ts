/** Whose a report is, its folders say, or the call, or it is the only merchant's. Where there are several, nobody guesses. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { answerOf, temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const HEADER =
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency';
/** A batch of one payment, which merchants have records of. */
const batch = (id: string, folder: string) => ({
  [join(folder, `settlementItems_USD_${id}_000.csv`)]: [
    HEADER,
    `${id},PAYMENT,t-${id},p-${id},10.00,USD,10.00,USD`,
    '<END>',
  ],
  [join(folder, `settlementSummary_USD_${id}_000.csv`)]: [
    'settlementBatchId,summaryType,count,settlementAmountValue,settlementCurrency',
    `${id},TOTAL,1,10.00,USD`,
    '<END>',
  ],
});
const records = (of: Readonly<Record<string, string>>) => [
  'requestId,type,amount,currency,status,occurredAt,merchantId',
  ...Object.entries(of).map(([id, who]) => `p-${id},PAYMENT,10.00,USD,SUCCESS,2026-03-02T10:15:00+08:00,${who}`),
];
const OF_BOTH = { ...batch('B1', 'in/M1/20260303'), ...batch('B2', 'in/M2/20260303') };
const RECORDS = records({ B1: 'M1', B2: 'M2', B3: 'M1' });

const folderOf = (files: Readonly<Record<string, readonly string[]>>) =>
  writeFiles(temporaryFolder(), { 'records.csv': RECORDS, ...files });
/** In a book of its own, unless one is named. */
const reconcile = async (
  folder: string,
  paths: readonly string[],
  { options = [], url }: { readonly options?: readonly string[]; readonly url?: string } = {},
) => {
  const where = paths.map((path) => join(folder, path));
  const env = { DATABASE_URL: url ?? (await freshDatabase()), SETTLESTREAM_DATA_DIR: temporaryFolder() };
  const call = ['reconcile', ...where, '--ledger', join(folder, 'records.csv'), '--json', ...options];
  return answerOf(await settlestream(call, { env }));
};
type Answered = Awaited<ReturnType<typeof reconcile>>;
const refused = ({ reports }: Answered) =>
  reports.filter(({ state }) => state === 'refused').map(({ file, kind, error }) => [file, kind, error?.code]);
const batches = (answer: Answered) =>
  answer.batches.map(({ merchantId, settlementBatchId, state }) => [merchantId, settlementBatchId, state]);
const READ = [
  ['M1', 'B1', 'reconciled'],
  ['M2', 'B2', 'reconciled'],
];
const NOBODYS = [
  ['settlementItems_USD_B3_000.csv', 'settlementDetails', 'unclear_merchant'],
  ['settlementSummary_USD_B3_000.csv', 'settlementSummary', 'unclear_merchant'],
];

suite('a report whose path names no merchant, where there are several', () => {
  const calls: Record<string, readonly [files: Readonly<Record<string, readonly string[]>>, paths: readonly string[]]> =
    {
      'in the folder of theirs': [{ ...OF_BOTH, ...batch('B3', 'in') }, ['in']],
      'in a folder of no day, named before theirs': [{ ...OF_BOTH, ...batch('B3', 'flat/M1') }, ['flat/M1', 'in']],
    };
  for (const [where, [files, paths]] of Object.entries(calls))
    test(`is refused alone, and the others are read: ${where}`, async () => {
      const answer = await reconcile(folderOf(files), paths);
      assert.deepEqual([batches(answer), refused(answer), answer.exitCode], [READ, NOBODYS, 3]);
      const { error } = answer.reports.find(({ state }) => state === 'refused')!;
      for (const said of ['M1, M2', '<merchant>/<yyyyMMdd>', '--merchant'])
        assert.ok(error!.message.includes(said), error!.message);
    });

  test('is refused where the records alone name several', async () => {
    const answer = await reconcile(folderOf(batch('B3', 'in')), ['in']);
    assert.deepEqual([batches(answer), refused(answer), answer.exitCode], [[], NOBODYS, 3]);
  });

  test('is refused where the book knows several, and is read in a call that says whose it is', async () => {
    const folder = folderOf({ ...OF_BOTH, ...batch('B3', 'flat') });
    const url = await freshDatabase();
    assert.deepEqual(batches(await reconcile(folder, ['in'], { url })), READ);
    assert.deepEqual(refused(await reconcile(folder, ['flat'], { url })), NOBODYS);
    const said = await reconcile(folder, ['flat'], { url, options: ['--merchant', 'M1'] });
    assert.deepEqual([batches(said), said.exitCode], [[['M1', 'B3', 'reconciled']], 0]);
  });
});

test('a report whose path names no merchant is that of the only one there is, by whatever names it', async () => {
  const byFolder = folderOf({
    'records.csv': records({ B1: '', B3: '' }),
    ...batch('B1', 'in/M1/20260303'),
    ...batch('B3', 'in'),
  });
  const byRecords = folderOf({ 'records.csv': records({ B3: 'M1' }), ...batch('B3', 'in') });
  const byNothing = folderOf({ 'records.csv': records({ B3: '' }), ...batch('B3', 'in') });
  const answers = await Promise.all([byFolder, byRecords, byNothing].map((folder) => reconcile(folder, ['in'])));
  assert.deepEqual(
    answers.map((answer) => [batches(answer), answer.exitCode]),
    [
      [[['M1', 'B3', 'reconciled'], READ[0]], 0],
      [[['M1', 'B3', 'reconciled']], 0],
      [[['default', 'B3', 'reconciled']], 0],
    ],
  );
});
