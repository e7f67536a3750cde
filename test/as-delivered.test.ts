/** Reports and records as they come from spreadsheets, banks and browsers: what can be read is, and what cannot is told by its own name. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { Answer } from './support/answer.ts';
import { inBook, temporaryFolder } from './support/book.ts';
import type { Ended } from './support/settlestream.ts';
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
  return inBook(['reconcile', ...paths, '--merchant', 'M1', '--json']);
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
    assert.equal(ended.stderr.split('ids of this report are written as').length, 2, ended.stderr);
    assert.equal(ended.stderr.split('note: records.csv: ids are written as').length, 2, ended.stderr);
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
      /refused: records\.csv, line 4, column requestId, "2\.02603E\+21": A spreadsheet turned this id into a number/,
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

const PAYMENT = 'PAYMENT,r-2,20.00,EUR,20.00';
const withSeparator = (separator: string) => `${HEADER}\n${PAYMENT}\n`.replaceAll(',', separator);

/** By name: what is delivered, the code that it is refused with, and what its message says of it. */
const STRANGE: Readonly<Record<string, readonly [content: Content, code: string, message: RegExp]>> = {
  'semicolons.csv': [withSeparator(';'), 'no_header', /^line 1: the columns are separated by semicolons: .*commas/],
  'tabs.csv': [withSeparator('\t'), 'no_header', /^line 1: the columns are separated by tabs: /],
  'bars.csv': [withSeparator('|'), 'no_header', /^line 1: the columns are separated by vertical bars: /],
  'sep.csv': [`sep=,\n${withSeparator(',')}`, 'no_header', /^line 1 is "sep=,", which .*: Remove that line\.$/],
  'sep-semicolon.csv': [
    `sep=;\n${withSeparator(';')}`,
    'no_header',
    /^line 1 is "sep=;".* separated by semicolons: Remove/,
  ],
  'title.csv': [
    `Settlement of March\n\n${withSeparator(',')}`,
    'no_header',
    /^the header is in line 3, below "Settlement of March": Remove/,
  ],
  'comment.csv': [
    `# made\n# twice\n${withSeparator(';')}`,
    'no_header',
    /^the header is in line 3, .* semicolons: Remove/,
  ],
  'quoted.csv': [`"${HEADER}"\n"${PAYMENT}"\n`, 'no_header', /^line 1 is in quotes as a whole/],
  'columns.csv': [`${HEADER}${',x'.repeat(5_001)}\n`, 'row_too_long', /^line 1 has more than 4096 columns/],
  'other.csv': ['a,b\n1,2\n', 'no_header', /^line 1 is "a,b": /],
  'chinese.csv': [
    Buffer.from('d2b5cef1c0e0d0cd2c310a', 'hex'),
    'no_header',
    /^read as GB18030, line 1 is "业务类型,1": /,
  ],
  'latin.csv': [
    Buffer.from('Geb\xfchr,\xff\n', 'latin1'),
    'no_header',
    /^read as UTF-8, line 1 is "Geb\ufffdhr,\ufffd": /,
  ],
  'lower.csv': [
    withSeparator(',').replace('EUR', 'eur'),
    'missing_columns',
    /^line 2, column Currency, "eur": .*three upper case letters/,
  ],
  'backtick.csv': [
    withSeparator(',').replace('EUR', '`CNY'),
    'missing_columns',
    /^line 2, column Currency, "`CNY": .*upper case/,
  ],
  'no-currency.csv': [
    withSeparator(',').replace('EUR', ''),
    'missing_columns',
    /column Currency is blank: Ask the provider to fill/,
  ],
  'no-row.csv': [`${HEADER}\n`, 'missing_columns', /there is no row: /],
  'empty.csv': ['', 'no_header', /^the file is empty \(0 bytes\): /],
  'html.csv': ['<!DOCTYPE html><html></html>', 'no_header', /^the file is an HTML page: /],
  'json.csv': ['{"error":"gone"}', 'no_header', /^the file is JSON: /],
  'pdf.csv': ['%PDF-1.7\n', 'no_header', /^the file is a PDF: /],
  'zip.csv': [Buffer.from('PK\x03\x04\x14\x00'), 'no_header', /^the file is a ZIP archive or a workbook: /],
  'gzip.csv': [Buffer.of(0x1f, 0x8b, 8, 0), 'no_header', /^the file is packed by gzip: /],
  'utf16.csv': [
    Buffer.from(`\ufeff${withSeparator(',')}`, 'utf16le'),
    'bad_encoding',
    /^the file is UTF-16: Save it in UTF-8/,
  ],
  'utf16-unmarked.csv': [Buffer.from(withSeparator(','), 'utf16le'), 'bad_encoding', /^the file is UTF-16: /],
  'text.xlsx': [withSeparator(','), 'not_xlsx', /^this is text, not a ZIP archive: If it is CSV, name it \.csv\.$/],
  'html.xlsx': ['<html></html>', 'not_xlsx', /^this is an HTML page: /],
  'old.xlsx': [oldContainer('Workbook'), 'not_xlsx', /^this is a workbook of the old kind/],
  'locked.xlsx': [
    oldContainer('EncryptedPackage'),
    'not_xlsx',
    /^this is a workbook with a password: Save it without a password\.$/,
  ],
  'locked.zip': [
    zipOf([{ name: 'payout_in.csv', content: withSeparator(','), says: { flags: 1 } }]),
    'unreadable',
    /^payout_in\.csv is encrypted in the zip: Ask for it without a password/,
  ],
};

/** The container of workbooks before .xlsx, with one name in its directory. */
function oldContainer(name: string): Buffer {
  const bytes = Buffer.alloc(2_048);
  Buffer.from('d0cf11e0a1b11ae1', 'hex').copy(bytes);
  bytes.writeUInt16LE(9, 30);
  bytes.writeUInt32LE(1, 48);
  bytes.write(name, 1_024, 'utf16le');
  return bytes;
}

test('what is no report is told by its own name: what is there, where, and what to do', async () => {
  const ended = await reconcile(
    Object.fromEntries(Object.entries(STRANGE).map(([name, [content]]) => [`payout_${name}`, content])),
  );
  assert.equal(ended.code, 3);
  const { reports } = ended.json as Answer;
  assert.equal(reports.length, Object.keys(STRANGE).length);
  for (const { file, state, error } of reports) {
    const [, code, message] = STRANGE[file.slice('payout_'.length)]!;
    assert.deepEqual([state, error?.code], ['refused', code], `${file}: ${error?.message}`);
    assert.match(error!.message, message, file);
  }
});

test('a report that needs its end mark and is none at all does not wait for it', async () => {
  const format = FORMAT.replace('required:', 'endMarker: <END>\nrequired:');
  const ended = await reconcile(
    {
      'payout_1.csv': withSeparator(';'),
      'payout_2.csv': '<html></html>',
      'payout_3.csv': withSeparator(','),
      'payout_4.csv': HEADER.slice(0, 20).replaceAll(',', ';'),
    },
    RECORDS,
    format,
  );
  assert.deepEqual(
    (ended.json as Answer).reports.map(({ state, error }) => `${state} ${error?.code}`),
    ['refused no_header', 'refused no_header', 'waiting no_end', 'waiting no_end'],
  );
});

suite('the encoding of a report', () => {
  const HEADER_IN_GBK = Buffer.concat([Buffer.from(`${HEADER},`), Buffer.from('cbb5c3f7', 'hex')]); // 说明
  // 佳 is C3A8 in GBK, and a letter in UTF-8.
  const row = (id: string, text: string) =>
    Buffer.concat([Buffer.from(`\nPAYMENT,${id},20.00,EUR,20.00,`), Buffer.from(text, 'hex')]);
  const format = FORMAT.replace('[transactionType,', '[说明, transactionType,');

  test('is GB18030 where all of it is, although words of it are valid UTF-8', async () => {
    const ended = await reconcile(
      { 'payout_1.csv': Buffer.concat([HEADER_IN_GBK, row('r-2', 'c3a8')]) },
      RECORDS,
      format,
    );
    assert.deepEqual([ended.code, rows(ended)], [0, [[1, 0]]], ended.stdout);
  });

  test('is what the format says, else what the bytes say', async () => {
    const umlaut = Buffer.from(`${HEADER},Geb\xfchr\n${PAYMENT},x\n`, 'latin1');
    const latin = FORMAT.replace('[transactionType,', '[Gebühr, transactionType,').replace('说明', 'Gebühr');
    const guessed = await reconcile({ 'payout_1.csv': umlaut }, RECORDS, latin);
    assert.match(guessed.json.reports[0].error.message, /^read as (UTF-8|GB18030), Gebühr/);
    const said = await reconcile({ 'payout_1.csv': umlaut }, RECORDS, `${latin}encoding: latin1\n`);
    assert.deepEqual([said.code, rows(said)], [0, [[1, 0]]], said.stdout);
  });

  test('of records is found in the same way, and what is no text is told', async () => {
    const ids = Buffer.concat([
      Buffer.from(RECORDS),
      Buffer.from('b6a9b5a5', 'hex'),
      Buffer.from(',PAYMENT,20.00,EUR,SUCCESS,2026-03-02T10:15:00+01:00\n'),
    ]);
    const report = `${HEADER}\nPAYMENT,订单,20.00,EUR,20.00\n`;
    const ended = await reconcile({ 'payout_1.csv': report }, ids);
    assert.deepEqual([ended.code, ended.json?.discrepancies], [0, []], ended.stderr);
    const utf16 = await reconcile({ 'payout_1.csv': report }, Buffer.from(`\ufeff${RECORDS}`, 'utf16le'));
    assert.deepEqual(
      [utf16.code, /records\.csv is UTF-16, .* Save it in UTF-8/.test(utf16.stderr)],
      [2, true],
      utf16.stderr,
    );
    const semicolons = await reconcile({ 'payout_1.csv': report }, RECORDS.replaceAll(',', ';'));
    assert.match(semicolons.stderr, /records\.csv: line 1: the columns are separated by semicolons\. /);
  });
});
