/** Reports and records as they come from spreadsheets, banks and browsers: what can be read is, and what cannot is told by its own name. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Answer } from './support/answer.ts';
import { temporaryFolder } from './support/book.ts';
import { type Ended, settlestream } from './support/settlestream.ts';

const FORMAT = `name: own
names: { settlementDetails: 'payout_{batchId}' }
required: { settlementDetails: [transactionType, transactionRequestId, Amount, Currency, Net] }
columns: { settlementDetails: [说明] }
amounts:
  settlementDetails:
    - { column: Amount, currencyColumn: Currency, role: transaction }
    - { column: Net, currencyColumn: Currency, role: settlement }
types:
  PAYMENT: { matchBy: own, grossSign: 1 }
`;
const HEADER = 'transactionType,transactionRequestId,Amount,Currency,Net';
const RECORDS = `requestId,type,amount,currency,status,occurredAt
00123,PAYMENT,10.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00
r-2,PAYMENT,20.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00
`;

type Content = string | Buffer;

/** Reconciles files of the own format; `records` is the ledger. */
async function reconcile(
  reports: Readonly<Record<string, Content>>,
  records: Content = RECORDS,
  format = FORMAT,
): Promise<Ended> {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'reports'));
  for (const [name, content] of Object.entries(reports)) writeFileSync(join(folder, 'reports', name), content);
  writeFileSync(join(folder, 'records.csv'), records);
  writeFileSync(join(folder, 'own.yaml'), format);
  const paths = [
    join(folder, 'reports'),
    '--ledger',
    join(folder, 'records.csv'),
    '--format',
    join(folder, 'own.yaml'),
  ];
  return settlestream(['reconcile', ...paths, '--merchant', 'M1', '--json']);
}

const rows = ({ json }: Ended) => (json as Answer).reports.map(({ rows, refusedRows }) => [rows, refusedRows]);

suite('what spreadsheets do to ids', () => {
  test('around an id it is read as what it means, on both sides, and noted once per file', async () => {
    const ended = await reconcile(
      {
        'payout_po_1.csv': `${HEADER}\nPAYMENT,"=""00123""",10.00,EUR,10.00\nPAYMENT,'r-2,20.00,EUR,20.00\n`,
      },
      RECORDS.replace('00123', '="00123"').replace('r-2', "'r-2'"),
    );
    assert.deepEqual([ended.code, ended.json.discrepancies, rows(ended)], [0, [], [[2, 0]]]);
    assert.equal(ended.stderr.split('ids of this report stand in').length, 2, ended.stderr);
    assert.equal(ended.stderr.split('note: records.csv: ids stand in').length, 2, ended.stderr);
  });

  test('an id whose last digits are lost is refused: two payments do not become one', async () => {
    const ended = await reconcile(
      { 'payout_1.csv': `${HEADER}\nPAYMENT,2.02603E+21,10.00,EUR,10.00\nPAYMENT,r-2,20.00,EUR,20.00\n` },
      `${RECORDS}2.02603E+21,PAYMENT,10.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00\n`,
    );
    assert.equal(ended.code, 3);
    assert.deepEqual(rows(ended), [[2, 1]]);
    const [refused] = ended.json.discrepancies;
    assert.deepEqual(
      [refused.kind, refused.line, refused.field, refused.reported],
      ['refused_row', 2, 'transactionRequestId', '2.02603E+21'],
    );
    assert.match(
      ended.stderr,
      /refused: records\.csv, line 4, column requestId, "2\.02603E\+21": A spreadsheet made a number/,
    );
  });
});
