/** The answer of a call covers whatever its files became, also where only their rows say which batch they belong to. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Answer } from './support/answer.ts';
import { answerOf, inBook, temporaryFolder, writeFiles } from './support/book.ts';
import type { Ended } from './support/settlestream.ts';

const HEADER =
  'Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Payment Method Variant,Modification Merchant Reference,Batch Number';
const payment = (amount: string, net: string) =>
  `Corner,CornerShop,P1,order-1,visa,2026-03-02 10:15:00,CET,Settled,MP1,EUR,,${amount},1,EUR,,${net},0.40,,,,,<auto>,7`;
const payout = (net: string) =>
  `Corner,CornerShop,,,,2026-03-03 00:10:00,CET,MerchantPayout,"TX1 batch 7, CornerShop",,,,,EUR,${net},,,,,,,,7`;
const ADYEN = [HEADER, payment('20.00', '19.60'), payout('19.60')];
const OWN = ['transactionType,transactionRequestId,Amount,Currency,Net', 'PAYMENT,order-1,20.00,EUR,20.00'];
const PORTAL = [
  'settlementBatchId,transactionType,transactionId,transactionRequestId,transactionAmountValue,transactionCurrency,settlementAmountValue,settlementCurrency',
  '7,PAYMENT,t-1,order-1,20.00,EUR,20.00,EUR',
  '<END>',
];
const FORMAT = `name: corner-own
names:
  settlementDetails: payout_{batchId}
required:
  settlementDetails: [transactionType, transactionRequestId, Amount, Currency, Net]
amounts:
  settlementDetails:
    - { column: Amount, currencyColumn: Currency, role: transaction }
    - { column: Net, currencyColumn: Currency, role: settlement }
types:
  PAYMENT: { matchBy: own, grossSign: 1 }
`;
const RECORDS = [
  'requestId,type,amount,currency,status,occurredAt',
  'order-1,PAYMENT,21.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00',
];
const ADYEN_NAME = 'settlement_detail_report_batch_7.csv';

const folderOf = (files: Parameters<typeof writeFiles>[1]): string =>
  writeFiles(temporaryFolder(), { 'records.csv': RECORDS, 'own.yaml': Buffer.from(FORMAT), ...files });

const run = (folder: string, format: string, more: readonly string[]): Promise<Ended> =>
  inBook([
    'reconcile',
    join(folder, 'reports'),
    ...['--ledger', join(folder, 'records.csv'), '--merchant', 'M1', '--time-zone', 'Europe/Amsterdam'],
    ...['--format', format, ...more],
  ]);

const reconcile = async (folder: string, format: string, ...more: string[]): Promise<Answer> =>
  answerOf(await run(folder, format, [...more, '--json']));

const told = ({ batches, discrepancies, exitCode }: Answer) => ({
  batches: batches.map(({ settlementBatchId, settlementCurrency, rows }) => [
    settlementBatchId,
    settlementCurrency,
    rows,
  ]),
  kinds: discrepancies.map(({ kind, reported, recorded }) => [kind, reported, recorded]),
  exitCode,
});
const wanted = (rows: number) => ({
  batches: [['7', 'EUR', rows]],
  kinds: [['amount_mismatch', '20.00', '21.00']],
  exitCode: 1,
});

suite('a report whose name does not say what it settles in', () => {
  const cases = {
    "Adyen's": { format: 'adyen-settlement-details', files: { [`reports/${ADYEN_NAME}`]: ADYEN }, rows: 2 },
    'of an own format': { format: 'own.yaml', files: { 'reports/payout_7.csv': OWN }, rows: 1 },
    "the portal's": { format: 'antom', files: { 'reports/SETTLEMENT_DETAIL_7_20260303.csv': PORTAL }, rows: 1 },
  };
  for (const [which, { format, files, rows }] of Object.entries(cases))
    test(`${which}: its batch is answered the first time, and when it is named again`, async () => {
      const folder = folderOf(files);
      const named = format.endsWith('.yaml') ? join(folder, format) : format;
      const dataDir = temporaryFolder();
      const without = await reconcile(folder, named);
      // That the portal's comes without a summary is told, too.
      const expected = wanted(rows);
      const ofRows = (answer: Answer) => {
        const { kinds, ...rest } = told(answer);
        return { ...rest, kinds: kinds.filter(([kind]) => kind !== 'missing_summary') };
      };
      assert.deepEqual(ofRows(without), expected);
      assert.equal(without.counts.rows, rows);
      assert.deepEqual(ofRows(await reconcile(folder, named, '--data-dir', dataDir)), expected);
      assert.deepEqual(ofRows(await reconcile(folder, named, '--data-dir', dataDir)), expected);
    });

  test('one that brings nothing new is answered with the batch of the report that it repeats', async () => {
    const folder = folderOf({ [`reports/${ADYEN_NAME}`]: ADYEN });
    const dataDir = temporaryFolder();
    await reconcile(folder, 'adyen-settlement-details', '--data-dir', dataDir);
    const copy = folderOf({ [`reports/again/${ADYEN_NAME}`]: ADYEN });
    const answer = await reconcile(copy, 'adyen-settlement-details', '--data-dir', dataDir);
    assert.deepEqual(
      answer.reports.map(({ file, state }) => [file, state]),
      [[`again/${ADYEN_NAME}`, 'duplicate']],
    );
    assert.deepEqual(told(answer), wanted(2));
  });

  test('the tables say so too', async () => {
    const folder = folderOf({ [`reports/${ADYEN_NAME}`]: ADYEN });
    const { stdout, code } = await run(folder, 'adyen-settlement-details', []);
    assert.match(stdout, /amount_mismatch/);
    assert.match(stdout, /1 reports, 2 rows, 0 matched; 0 of 1 batches and days reconciled, 1 discrepancies/);
    assert.equal(code, 1);
  });

  test('a report that was withdrawn, and one that is read again, are told with their batch', async () => {
    const folder = folderOf({ [`reports/${ADYEN_NAME}`]: ADYEN });
    const dataDir = temporaryFolder();
    await reconcile(folder, 'adyen-settlement-details', '--data-dir', dataDir);
    const at = ['--report', ADYEN_NAME, '--data-dir', dataDir, '--json'];
    for (const more of [['--dry-run'], []]) {
      const { json } = await inBook(['replay', ...at, ...more]);
      assert.deepEqual(
        json.batches.map((batch: { settlementBatchId: string; kept: number }) => [batch.settlementBatchId, batch.kept]),
        [['7', 1]],
      );
    }
    const { json } = await inBook(['withdraw', ...at, '--reason', 'the wrong one']);
    assert.deepEqual(
      json.batches.map((batch: { settlementBatchId: string; closed: number }) => [
        batch.settlementBatchId,
        batch.closed,
      ]),
      [['7', 1]],
    );
    const answer = await reconcile(folder, 'adyen-settlement-details', '--data-dir', dataDir);
    assert.deepEqual(
      answer.reports.map(({ state, error }) => [state, error?.code]),
      [['refused', 'withdrawn']],
    );
    assert.equal(answer.exitCode, 3);
  });
});
