/** Reports and records as they come from spreadsheets, banks and browsers: what can be read is, and what cannot is told by its own name. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Answer } from './support/answer.ts';
import { temporaryFolder } from './support/book.ts';
import { type Ended, settlestream } from './support/settlestream.ts';
import { sheetXml, workbookParts, zipOf } from './support/sheets.ts';

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

const ZONED = `${FORMAT.replace('columns: { settlementDetails: [说明] }', 'columns: { settlementDetails: [Zone, paymentTime, settlementTime] }')}
times: { paymentTime: { zoneColumn: Zone }, settlementTime: { zoneColumn: Zone, mayBeDate: true } }
zones: { CET: "+01:00", PST: "-08:00" }
`;

/** A workbook with one row below the header: style 1 is a date with a time, 2 a date. */
function workbookOf(row: readonly string[], { is1904 = false } = {}): Buffer {
  const header = `${HEADER},paymentTime,settlementTime,Zone`.split(',').map(inline).join('');
  const styles = ['General', 'yyyy-mm-dd hh:mm:ss', 'yyyy-mm-dd'];
  return zipOf(workbookParts(sheetXml(`<row>${header}</row><row>${row.join('')}</row>`), { styles, is1904 }));
}

const inline = (text: string) => `<c t="inlineStr"><is><t>${text}</t></is></c>`;
const days = (value: number, style: 1 | 2) => `<c s="${style}"><v>${value}</v></c>`;

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

test("dates in cells of a workbook are a clock's time in the zone that the row names", async () => {
  const whole = inline('CET');
  // 2026-03-02 14:58:48, and the same day without a time; a sheet may count days from 1904.
  const sheets: { cells: string[]; is1904?: boolean }[] = [
    { cells: [days(46083.6241666667, 1), days(46083, 2), whole] },
    { cells: [days(46083.6241666667, 1), days(46083, 2), inline('PST')] },
    { cells: [days(44621.6241666667, 1), days(44621, 2), whole], is1904: true },
    { cells: ['<c t="d"><v>2026-03-02T14:58:48</v></c>', '<c t="d"><v>2026-03-02</v></c>', whole] },
    { cells: [inline('2026-03-02 14:58:48'), inline('2026-03-02'), whole] },
    // A text with an offset of its own has two zones for one time.
    { cells: [inline('2026-03-02T14:58:48+05:00'), '<c/>', whole] },
  ];
  const payment = (no: number) => ['PAYMENT', `r-${no}`, '20.00', 'EUR', '20.00'].map(inline);
  const record = (no: number) => `r-${no},PAYMENT,20.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00\n`;
  const ended = await reconcile(
    Object.fromEntries(
      sheets.map(({ cells, ...is1904 }, no) => [`payout_${no}.xlsx`, workbookOf([...payment(no), ...cells], is1904)]),
    ),
    [RECORDS.split('\n')[0], ...sheets.map((_, no) => record(no))].join('\n'),
    ZONED,
  );
  assert.deepEqual(
    ended.json.discrepancies.map(({ kind, file, field, reported }: Record<string, string>) => [
      kind,
      file,
      field,
      reported,
    ]),
    [['refused_row', 'payout_5.xlsx', 'paymentTime', '2026-03-02T14:58:48+05:00']],
  );
  assert.deepEqual(
    (ended.json as Answer).batches.map(({ settlementDate, state }) => `${settlementDate} ${state}`).slice(1),
    sheets.slice(0, 5).map(() => '2026-03-02 reconciled'),
  );
});
