/** What a format of one's own says, seen from the answers that it changes. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, writeFiles } from './support/book.ts';
import { freshDatabase } from './support/postgres.ts';
import { settlestream } from './support/settlestream.ts';

const FORMAT = `name: corner
names: { settlementDetails: 'payout_{batchId}' }
required: { settlementDetails: [transactionType, transactionRequestId, Amount, Currency, Net] }
aliases: { transactionType: Kind, settlementBatchId: Payout }
amounts:
  settlementDetails:
    - { column: Amount, currencyColumn: Currency, role: transaction }
    - { column: Net, currencyColumn: Currency, role: settlement }
typeNames: { Sale: PAYMENT }
types:
  PAYMENT: { matchBy: own, grossSign: 1 }
  Rolling Reserve: { matchBy: none, ids: { transactionRequestId: none }, holding: { of: reserve, step: withheld } }
  Reserve Back: { matchBy: none, ids: { transactionRequestId: none }, holding: { of: reserve, step: released } }
  Deposit: { matchBy: none, ids: { transactionRequestId: none }, holding: { of: collateral, step: withheld } }
`;
const HEADER = 'Kind,transactionRequestId,Amount,Currency,Net';
const RECORDS = [
  'requestId,type,amount,currency,status,occurredAt',
  'p-1,PAYMENT,100.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00',
  'p-2,PAYMENT,60.00,EUR,SUCCESS,2026-03-03T10:15:00+01:00',
];

async function reconcile(reports: Readonly<Record<string, readonly string[]>>) {
  const folder = writeFiles(temporaryFolder(), {
    'format.yaml': [FORMAT],
    'records.csv': RECORDS,
    ...Object.fromEntries(Object.entries(reports).map(([name, lines]) => [`reports/${name}`, [HEADER, ...lines]])),
  });
  const env = { DATABASE_URL: await freshDatabase(), SETTLESTREAM_DATA_DIR: join(folder, 'data') };
  const given = ['--ledger', join(folder, 'records.csv'), '--merchant', 'M1', '--format', join(folder, 'format.yaml')];
  const ended = await settlestream(['reconcile', join(folder, 'reports'), ...given, '--json'], { env });
  return { ended, show: async (what: string) => (await settlestream(['show', what, '--json'], { env })).json };
}

test('what its types hold back and give back is shown, over all batches', async () => {
  const { ended, show } = await reconcile({
    'payout_1.csv': ['Sale,p-1,100.00,EUR,100.00', 'Rolling Reserve,,,EUR,-10.00', 'Deposit,,,EUR,-3.50'],
    'payout_2.csv': ['Sale,p-2,60.00,EUR,60.00', 'Rolling Reserve,,,EUR,-6.00', 'Reserve Back,,,EUR,4.00'],
  });
  assert.deepEqual([ended.code, ended.json.discrepancies], [0, []]);
  const { reserves } = await show('reserves');
  assert.deepEqual(
    reserves.map(({ of, currency, withheld, released, held }: Record<string, unknown>) =>
      [of, currency, withheld, released, held].join(' '),
    ),
    ['collateral EUR 3.50 0.00 3.50', 'reserve EUR 16.00 4.00 12.00'],
  );
});

test('the id of a batch is what the name leaves for it', async () => {
  for (const id of ['po_1Abc', '2026_03.02-b']) {
    const { ended } = await reconcile({ [`payout_${id}.csv`]: ['Sale,p-1,100.00,EUR,100.00'] });
    const [{ settlementBatchId, state, matchedRows }] = ended.json.batches;
    assert.deepEqual([ended.code, settlementBatchId, state, matchedRows], [0, id, 'reconciled', 1]);
  }
});
