import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import exceljs from 'exceljs';
import fc from 'fast-check';
import { BoundaryFinder, MAX_CELLS, MAX_ROW_BYTES, RowReader } from '../../src/adapters/file-formats/csv.ts';
import { isTimeFormat, numberText, SheetTimes } from '../../src/adapters/file-formats/xlsx/sheet-values.ts';
import { sheetAsCsv } from '../../src/adapters/file-formats/xlsx/workbook.ts';
import type { ReportRefused } from '../../src/domain/errors.ts';
import { convert } from '../support/libreoffice.ts';
import {
  fileOf,
  OFFICE,
  type Part,
  relationships,
  rowsOf,
  sheetXml,
  withParts,
  workbookParts,
  xmlText,
  zipOf,
} from '../support/sheets.ts';

const folder = mkdtempSync(join(tmpdir(), 'settlestream-xlsx-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const open = (parts: readonly Part[]) => rowsOf(fileOf(folder, zipOf(parts)));
/** The cells of each row that is not blank. */
const cells = async (parts: readonly Part[]) => (await open(parts)).map((row) => row.cells);
async function csv(path: string): Promise<string> {
  let text = '';
  for await (const block of sheetAsCsv(path, { timeZone: 'Asia/Shanghai' })) text += block.toString();
  return text;
}
const inline = (text: string) => `<c t="inlineStr"><is><t>${xmlText(text)}</t></is></c>`;
const row = (...texts: string[]) => `<row>${texts.map(inline).join('')}</row>`;

/** Why a workbook is refused, within seconds. */
async function refusal(bytes: Buffer): Promise<string> {
  const startedAt = performance.now();
  const error = await rowsOf(fileOf(folder, bytes)).then(
    () => assert.fail('it was read'),
    (error: ReportRefused) => error,
  );
  assert.equal(error.name, 'ReportRefused', error.stack);
  assert.ok(performance.now() - startedAt < 10_000, `${error.code} after seconds`);
  return `${error.code}: ${error.message}`;
}

const TABLE: (string | number | boolean | null)[][] = [
  ['settlementBatchId', '订单', 'amount', 'note', 'paid'],
  ['2026010112345678901234567890', '一二三', 1234.5, 'a, "b"\nc', true],
  [' 007', null, -0.07, '<a> & b', false],
  ['_x000D_ is text', '😀', 100, 'plain', null],
];
const EXPECTED = TABLE.map((cells) =>
  cells.map((cell) => (cell === null ? '' : typeof cell === 'boolean' ? String(cell).toUpperCase() : String(cell))),
);

test('a workbook of exceljs reads as what was put into it', async () => {
  // exceljs does not escape what looks like an escape.
  const table = TABLE.map((cells) => cells.map((cell) => (cell === '_x000D_ is text' ? 'text' : cell)));
  const expected = EXPECTED.map((cells) => cells.map((cell) => (cell === '_x000D_ is text' ? 'text' : cell)));
  const atOnce = new exceljs.Workbook();
  atOnce.addWorksheet('a').addRows(table);
  const path = join(folder, 'at-once.xlsx');
  await atOnce.xlsx.writeFile(path);
  assert.deepEqual(
    (await rowsOf(path)).map((row) => row.cells),
    expected,
  );
  for (const useSharedStrings of [true, false]) {
    const filename = join(folder, `streamed-${useSharedStrings}.xlsx`);
    const streamed = new exceljs.stream.xlsx.WorkbookWriter({ filename, useSharedStrings, useStyles: true });
    const sheet = streamed.addWorksheet('a');
    for (const cells of table) sheet.addRow(cells).commit();
    await streamed.commit();
    assert.deepEqual(
      (await rowsOf(filename)).map((row) => row.cells),
      expected,
    );
  }
});

test('a workbook of LibreOffice reads as the CSV that it was made from', async () => {
  const text = [
    'transactionId,amount,currency,name,note',
    'T20260101123456789012345678,1234.5,CNY,Zhang,"a, ""b"""',
    'T2,-0.07,USD,<a> & b,"two\nlines"',
    'T3,100,JPY,,plain',
    '<END>,,,,',
    '',
  ].join('\n');
  const path = join(folder, 'made.csv');
  writeFileSync(path, text);
  const reader = new RowReader({ rowsAreLines: true });
  const made = await convert(path, 'xlsx', join(folder, 'made'));
  reader.push(Buffer.from(text));
  reader.end();
  for (const { line, cells } of await rowsOf(made)) {
    assert.ok(reader.next());
    const expected = Array.from({ length: reader.cells }, (_, i) =>
      reader.buf.toString('utf8', reader.starts[i], reader.ends[i]).replaceAll('""', '"'),
    );
    assert.deepEqual([line, ...cells], [reader.line, ...expected]);
  }
  assert.equal(reader.next(), false);
});

test('one report by exceljs, by LibreOffice and by hand is the same records', async () => {
  const columns = ['transactionId', 'acquirer', 'amount', 'fee', 'rate', 'paymentTime', 'installmentsNum', 'note'];
  const ids = ['2026010112345678901234567890', '00012', '=1+1', 'it\'s "so", <a> & b\nline two'];
  const expected = [
    columns,
    [ids[0]!, '支付宝', '1234.56', '-0.07', '0.3', '2026-11-02T10:00:00+08:00', '3', ids[3]!],
    [ids[1]!, '支付宝', '100', '0', '7.1234', '2026-12-31T23:59:59+08:00', '', ids[2]!],
    ['<END>', '', '', '', '', '', '', ''],
  ];
  // By hand: rich and phonetic text, shared and inline, numbers as a float leaves them, a date as a number of days.
  const strings = '<si><r><t>支付</t></r><r><rPr><b/></rPr><t>宝</t></r></si>';
  const number = (text: string, style = 0) => `<c s="${style}"><v>${text}</v></c>`;
  const shared = '<c t="s"><v>0</v></c>';
  const byHand = fileOf(
    folder,
    zipOf(
      workbookParts(
        sheetXml(
          [
            row(...columns),
            `<row>${inline(ids[0]!)}${shared}${number('1234.5599999999999')}${number('-7.0000000000000007E-2')}` +
              `${number('0.30000000000000004')}${number('46328.416666666664', 1)}${number('3')}${inline(ids[3]!)}</row>`,
            `<row>${inline(ids[1]!)}${shared}${number('1E2')}${number('-0')}${number('7.1234')}` +
              `${number('46387.999988425923', 1)}<c/>${inline(ids[2]!)}</row>`,
            row('<END>'),
          ].join(''),
        ),
        { strings, styles: ['General', 'yyyy-mm-dd hh:mm:ss'] },
      ),
    ),
  );
  const byExceljs = join(folder, 'by-exceljs.xlsx');
  const writer = new exceljs.stream.xlsx.WorkbookWriter({
    filename: byExceljs,
    useSharedStrings: true,
    useStyles: true,
  });
  const sheet = writer.addWorksheet('a');
  sheet.getColumn(6).numFmt = 'yyyy-mm-dd hh:mm:ss';
  const rich = { richText: [{ text: '支付' }, { font: { bold: true }, text: '宝' }] };
  // A workbook knows no zone: exceljs writes the clock of UTC.
  const at = (clock: string) => new Date(`${clock}Z`);
  for (const cells of [
    columns,
    [ids[0], rich, 1234.56, -0.07, 0.1 + 0.2, at('2026-11-02T10:00:00'), 3, ids[3]],
    [ids[1], rich, 100, -0, 7.1234, at('2026-12-31T23:59:59'), null, ids[2]],
    ['<END>'],
  ])
    sheet.addRow(cells).commit();
  await writer.commit();
  const byLibreOffice = await convert(byHand, 'xlsx', join(folder, 'by-libreoffice'));
  assert.notDeepEqual(readFileSync(byLibreOffice), readFileSync(byHand));
  for (const path of [byHand, byExceljs, byLibreOffice]) {
    assert.deepEqual(
      (await rowsOf(path)).map(({ cells }) => cells),
      expected,
      path,
    );
  }
});

test('a workbook that LibreOffice has read and written again reads as before', async () => {
  const styles = ['General', 'yyyy-mm-dd hh:mm:ss.000'];
  const strings = '<si><r><t>张</t></r><r><rPr><b/></rPr><t>三</t></r></si>';
  const sheet = sheetXml(
    [
      row('id', 'name', 'amount', 'paid'),
      '<row><c t="inlineStr"><is><t>2026010112345678901234567890</t></is></c><c t="s"><v>0</v></c><c><v>0.1</v></c>' +
        '<c s="1"><v>46328.4166666782</v></c></row>',
      `<row r="5">${inline('_x0041_ "a"\nb')}<c t="b"><v>1</v></c><c><v>1E2</v></c></row>`,
    ].join(''),
  );
  const path = fileOf(folder, zipOf(workbookParts(sheet, { strings, styles })));
  const before = await rowsOf(path);
  assert.deepEqual(before[1]!.cells, ['2026010112345678901234567890', '张三', '0.1', '2026-11-02T10:00:00.001+08:00']);
  assert.deepEqual(await rowsOf(await convert(path, 'xlsx', join(folder, 'again'))), before);
});

test('any texts and numbers are read back as they were written', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc
      .array(fc.constantFrom('"', ',', '\n', '\r', '_x0041_', '\ufeff', '&', '<', ']]>', ' ', '单', '\0'), {
        maxLength: 6,
      })
      .map((pieces) => pieces.join('')),
  );
  const cell = fc.oneof(
    text,
    fc.integer({ min: -99_999_999, max: 99_999_999 }).map((number) => number / 100),
  );
  // The first cell of a row is never blank, so that no row is.
  const table = fc.array(fc.tuple(fc.constantFrom('a', 'b"'), fc.array(cell, { maxLength: 5 })), {
    minLength: 1,
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(table, fc.boolean(), fc.boolean(), async (rows, isShared, isStored) => {
      const strings: string[] = [];
      const cellXml = (cell: string | number) => {
        if (typeof cell === 'number') return `<c><v>${cell}</v></c>`;
        if (!isShared) return `<c t="inlineStr"><is><t>${xmlText(cell)}</t></is></c>`;
        return `<c t="s"><v>${strings.push(`<si><t>${xmlText(cell)}</t></si>`) - 1}</v></c>`;
      };
      const sheet = rows.map(([first, rest]) => `<row>${[first, ...rest].map(cellXml).join('')}</row>`).join('');
      const parts = workbookParts(sheetXml(sheet), { strings: strings.join('') }).map((part) => ({
        ...part,
        isStored,
      }));
      const width = [rows[0]![0], ...rows[0]![1].map(String)].findLastIndex((cell) => cell !== '') + 1;
      const expected = rows.map(([first, rest]) => {
        const texts = [first, ...rest.map((cell) => (Object.is(cell, -0) ? '0' : String(cell)))];
        const last = texts.findLastIndex((cell) => cell !== '') + 1;
        return Array.from({ length: Math.max(width, last) }, (_, i) => texts[i] ?? '');
      });
      assert.deepEqual(await cells(parts), expected);
    }),
    { numRuns: 300 },
  );
});

test('a cell holds what a sheet shows', async () => {
  const cases: [xml: string, text: string][] = [
    ['<c t="s"><v>0</v></c>', 'shared'],
    ['<c t="s"><v>1</v></c>', 'rich text'],
    ['<c t="s"><v>2</v></c>', '東京'],
    ['<c t="s"><v>3</v></c>', '\r'],
    [
      '<c t="inlineStr"><is><r><rPr><b/></rPr><t>in</t></r><r><t xml:space="preserve"> line </t></r></is></c>',
      'in line ',
    ],
    ['<c t="str"><f>A1&amp;"x"</f><v>a formula</v></c>', 'a formula'],
    ['<c><f>1+1</f><v>2</v></c>', '2'],
    ['<c t="b"><v>1</v></c>', 'TRUE'],
    ['<c t="b"><v>0</v></c>', 'FALSE'],
    ['<c t="e"><v>#N/A</v></c>', '#N/A'],
    ['<c t="d"><v>2026-11-02T10:00:00</v></c>', '2026-11-02T10:00:00+08:00'],
    ['<c t="d"><v>2026-11-02</v></c>', '2026-11-02T00:00:00+08:00'],
    ['<c t="d"><v>2026-11-02T10:00:00Z</v></c>', '2026-11-02T10:00:00Z'],
    ['<c t="str"><v>&lt;&gt;&amp;&quot;&apos;&#20013;&#x1F600;</v></c>', '<>&"\'中😀'],
    ['<c t="str"><v>a<!-- <v>no</v> -->b<![CDATA[<&amp;]]>c<?no way?></v></c>', 'ab<&amp;c'],
    ['<c t="str"><v>a\r\nb\rc&#13;</v></c>', 'a\nb\nc\r'],
    ['<c t="str"><v>_x000D__x4E2D__x005F_x0041_ _xyz_</v></c>', '\r中_x0041_ _xyz_'],
    ["<c t='str' ><v\n>quotes &#39;</v ></c>", "quotes '"],
    ['<x:c t="str"><x:v>prefix</x:v></x:c>', 'prefix'],
    ['<c t="str" x:r="Z9" note="a>b"><v>other attributes</v></c>', 'other attributes'],
    ['<c s="1"><v>1</v></c>', '1'],
    ['<c><v>1,"2</v></c>', '1,"2'],
  ];
  const strings =
    '<si><t>shared</t></si><si><r><t>rich</t></r><r><t xml:space="preserve"> text</t></r></si>' +
    '<si><t>東京</t><rPh sb="0" eb="2"><t>とうきょう</t></rPh><phoneticPr fontId="1"/></si><si><t>_x000d_</t></si>';
  for (const [xml, text] of cases) {
    const sheet = sheetXml(`<row>${xml}${inline('end')}</row>`);
    assert.deepEqual(await cells(workbookParts(sheet, { strings })), [[text, 'end']], xml);
  }
});

test('XML reads the same wherever its blocks end', async () => {
  const long = '<>&"中_x0041_\n'.repeat(3_000);
  const texts = Array.from({ length: 40 }, (_, i) => `${i}${long.slice(0, 100 * i * i)}`);
  const parts = workbookParts(sheetXml(texts.map((text) => row(text)).join('\n')));
  assert.deepEqual(
    await cells(parts),
    texts.map((text) => [text]),
  );
});

test('numbers are plain, at 15 digits', async () => {
  const cases: [string, string][] = [
    ['0', '0'],
    ['-0', '0'],
    ['-0.0', '0'],
    ['1', '1'],
    ['-12.34', '-12.34'],
    ['0.30000000000000004', '0.3'],
    ['1234.5600000000001', '1234.56'],
    ['1E2', '100'],
    ['1.5E-7', '0.00000015'],
    ['-1.5e-07', '-0.00000015'],
    ['12.50', '12.5'],
    ['5.', '5'],
    ['.5', '0.5'],
    ['+7', '7'],
    ['007', '7'],
    ['999999999999999', '999999999999999'],
    ['999999999999999.9', '1E+15'],
    ['1000000000000000', '1E+15'],
    ['2018122611021040000', '2.01812261102104E+18'],
    ['-2018122611021049999', '-2.01812261102105E+18'],
    ['9.9999999999999995E-1', '1'],
    ['123456789.123456789', '123456789.123457'],
    ['1E400', '1E400'],
    ['NaN', 'NaN'],
    ['0x10', '0x10'],
    ['1 2', '1 2'],
  ];
  for (const [text, expected] of cases) assert.equal(numberText(text), expected, text);
  const endless = `${'1'.repeat(500_000)}x`;
  assert.equal(numberText(endless), endless);
  const sheet = sheetXml(cases.map(([text]) => `<row><c><v>${text}</v></c></row>`).join(''));
  assert.deepEqual(
    await cells(workbookParts(sheet)),
    cases.map(([, expected]) => [expected]),
  );
});

test('every amount is the decimal that was entered, through floating point', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(10n ** 14n), max: 10n ** 14n }),
      fc.integer({ min: 0, max: 4 }),
      (minor, decimals) => {
        const digits = String(minor < 0n ? -minor : minor).padStart(decimals + 1, '0');
        const [whole, fraction] = [digits.slice(0, digits.length - decimals), digits.slice(digits.length - decimals)];
        const sign = minor < 0n ? '-' : '';
        const expected = sign + `${whole}.${fraction}`.replace(/\.?0*$/, '');
        // Seventeen digits are what a writer leaves of a float.
        assert.equal(numberText(Number(`${sign}${whole}.${fraction}`).toPrecision(17)), expected);
      },
    ),
  );
});

test('numbers of a date format are times of the zone', async () => {
  const styles = ['General', 'yyyy-mm-dd hh:mm:ss', '0.00;[Red]"yd"\\d'];
  const at = (value: string, style = 1) => `<row><c s="${style}"><v>${value}</v></c></row>`;
  const sheet = sheetXml(
    [
      at('46328.4166666667'),
      at('46328'),
      at('0.5'),
      at('46328.416666677'),
      at('46328', 0),
      at('46328', 2),
      at('1E9'),
    ].join(''),
  );
  assert.deepEqual((await cells(workbookParts(sheet, { styles }))).flat(), [
    '2026-11-02T10:00:00+08:00',
    '2026-11-02T00:00:00+08:00',
    '0.5',
    '2026-11-02T10:00:00.001+08:00',
    '46328',
    '46328',
    '1000000000',
  ]);
  const times = new SheetTimes('UTC', false);
  assert.deepEqual(
    ['1', '59', '60', '61', '2958465.5', '2958466'].map((days) => times.ofDays(days)),
    [
      '1900-01-01T00:00:00+00:00',
      '1900-02-28T00:00:00+00:00',
      '1900-02-28T00:00:00+00:00',
      '1900-03-01T00:00:00+00:00',
      '9999-12-31T12:00:00+00:00',
      null,
    ],
  );
  const since1904 = await cells(workbookParts(sheetXml(at('44866.4166666667')), { styles, is1904: true }));
  assert.deepEqual(since1904, [['2026-11-02T10:00:00+08:00']]);
});

test('an offset is the one that holds at the time on the clock', () => {
  const cases: [zone: string, wall: string, offset: string][] = [
    ['Asia/Shanghai', '2026-11-02T10:00:00', '+08:00'],
    ['UTC', '2026-11-02T10:00:00', '+00:00'],
    ['Europe/Berlin', '2026-03-29T01:59:59', '+01:00'],
    ['Europe/Berlin', '2026-03-29T02:30:00', '+01:00'],
    ['Europe/Berlin', '2026-03-29T03:00:00', '+02:00'],
    ['Europe/Berlin', '2026-10-25T02:30:00', '+02:00'],
    ['Europe/Berlin', '2026-10-25T03:00:00', '+01:00'],
    ['America/New_York', '2026-11-01T01:30:00', '-04:00'],
    ['America/New_York', '2026-11-01T02:00:00', '-05:00'],
    ['Asia/Kathmandu', '2026-01-01T00:00:00', '+05:45'],
    ['Australia/Lord_Howe', '2026-04-05T01:29:00', '+11:00'],
    ['Australia/Lord_Howe', '2026-04-05T02:00:00', '+10:30'],
  ];
  for (const [zone, wall, offset] of cases) {
    assert.equal(new SheetTimes(zone, false).ofIso(wall), wall + offset, `${zone} ${wall}`);
  }
});

test('a format is one of times if it shows parts of one', () => {
  const times = ['yyyy-mm-dd', 'h:mm AM/PM', '[h]:mm', 'd/m', 'ss.0', '[$-804]yyyy"年"m"月"', 'General;mm'];
  const others = [
    'General',
    '0.00',
    '#,##0.00_);[Red](#,##0.00)',
    '"days"0',
    '\\d0',
    '0_d',
    '*m0',
    '@',
    '[$USD] 0',
    '0.0E+00',
  ];
  for (const code of times) assert.equal(isTimeFormat(200, code), true, code);
  for (const code of others) assert.equal(isTimeFormat(14, code), false, code);
  const builtIn = [...Array(60).keys()].filter((id) => isTimeFormat(id, undefined));
  assert.deepEqual(builtIn, [
    14,
    15,
    16,
    17,
    18,
    19,
    20,
    21,
    22,
    ...Array.from({ length: 10 }, (_, i) => 27 + i),
    45,
    46,
    47,
    ...Array.from({ length: 9 }, (_, i) => 50 + i),
  ]);
});

test('line n is row n, each as wide as the header', async () => {
  const sheet = sheetXml(
    [
      '<row r="2"/>',
      `<row r="3">${inline('a')}${inline('b')}<c/><c r="D3" t="inlineStr"><is><t/></is></c></row>`,
      '<row r="6"><c r="B6"><v>1</v></c></row>',
      '<row><c r="D7"><v>2</v></c></row>',
      '<row><c><v>3</v></c><c r="C8"><v>4</v></c><c><v>5</v></c></row>',
      '<row r="12"><c r="A12" s="4"/></row>',
    ].join(''),
  );
  const wrong = sheet.replace('<sheetData>', '<dimension ref="A1"/><sheetData>');
  for (const xml of [sheet, wrong]) {
    const path = fileOf(folder, zipOf(workbookParts(xml)));
    assert.equal(await csv(path), '\n\na,b\n\n\n,1\n,,,2\n3,,4,5\n\n\n\n\n');
  }
});

test('a row stays one line, whatever its cells hold', async () => {
  const sheet = sheetXml([row('h', 'i'), row('a\r\nb', '"\n\n'), row('<END>', ''), ''].join(''));
  const path = fileOf(folder, zipOf(workbookParts(sheet)));
  assert.deepEqual(await rowsOf(path), [
    { line: 1, status: 'ok', cells: ['h', 'i'] },
    { line: 2, status: 'ok', cells: ['a\r\nb', '"\n\n'] },
    { line: 3, status: 'ok', cells: ['<END>', ''] },
  ]);
  const finder = new BoundaryFinder(1, { rowsAreLines: true });
  const chunks = [...finder.push(Buffer.from(await csv(path))), ...finder.end()];
  assert.deepEqual(
    chunks.map(({ firstLine, lines }) => [firstLine, lines]),
    [[2, 1]],
  );
  assert.equal(finder.endLine, 3);
});

test('a row that is too long is refused on its own line, and no other', async () => {
  const lines = '"\n'.repeat(MAX_ROW_BYTES / 4);
  const long = 'x'.repeat(MAX_ROW_BYTES);
  const cases: [name: string, xml: string, status: string][] = [
    ['as long as may be', row(long.slice(2), 'i'), 'ok'],
    ['a byte longer', row(long.slice(1), 'i'), 'row_too_long'],
    ['in one cell', row(`${long}${long}${long}`), 'row_too_long'],
    ['in its padding', row(long), 'row_too_long'],
    ['with quotes and line ends', row(lines, lines, lines, lines), 'row_too_long'],
    ['in many runs', `<row><c t="inlineStr"><is>${`<r><t>${lines}</t></r>`.repeat(9)}</is></c></row>`, 'row_too_long'],
    [
      'in one piece that is longer than it may be',
      `<row><c t="str"><v><![CDATA[${'x'.repeat(MAX_ROW_BYTES - 100)}]]>${'<![CDATA[x]]>'.repeat(101)}</v></c></row>`,
      'row_too_long',
    ],
    ['as wide as may be', row(...Array<string>(MAX_CELLS).fill('\n')), 'ok'],
    ['a cell wider', row(...Array<string>(MAX_CELLS + 1).fill('\n')), 'row_too_long'],
    ['at the last column', `<row>${inline('\n')}<c r="XFD2"><v>1</v></c></row>`, 'row_too_long'],
  ];
  for (const [name, xml, status] of cases) {
    const rows = await open(workbookParts(sheetXml(row('h', 'i') + xml + row('a', 'b'))));
    const shown = rows.map((row) => `${row.line} ${row.status}`);
    assert.deepEqual(shown, ['1 ok', `2 ${status}`, '3 ok'], name);
    assert.deepEqual(rows[2]!.cells, ['a', 'b'], name);
  }
});

test('the first visible sheet is read, wherever the parts stand', async () => {
  const parts = workbookParts(sheetXml(row('first')));
  const sheets = (xml: string) => ({
    content: `<x:workbook xmlns:x="y" xmlns:rel="${OFFICE}"><x:sheets>${xml}</x:sheets></x:workbook>`,
  });
  const related = {
    content: relationships(
      ['chart', 'chartsheet', 'chartsheets/sheet1.xml'],
      ['first', 'worksheet', '/xl/worksheets/Sheet1.XML'],
      ['second', 'worksheet', './other/../second.xml'],
    ),
  };
  const second = { content: `\ufeff${sheetXml(row('second'))}` };
  const sheet = (id: string, more = '') => `<x:sheet name="${id}" sheetId="7" rel:id="${id}" ${more}/>`;
  const cases: [xml: string, cell: string][] = [
    [sheet('first') + sheet('second'), 'first'],
    [sheet('second') + sheet('first'), 'second'],
    [sheet('first', 'state="hidden"') + sheet('second'), 'second'],
    [sheet('first', 'state="veryHidden"') + sheet('second', 'state="visible"'), 'second'],
    [sheet('chart') + sheet('second') + sheet('first'), 'second'],
  ];
  for (const [xml, cell] of cases) {
    const changed = withParts(parts, {
      'xl/workbook.xml': sheets(xml),
      'xl/_rels/workbook.xml.rels': related,
      'xl/second.xml': second,
    });
    assert.deepEqual(await cells(changed), [[cell]]);
    assert.deepEqual(await cells(changed.toReversed()), [[cell]], 'workbook.xml last');
  }
  const lost = sheets(sheet('nowhere') + sheet('first'));
  const changed = withParts(parts, { 'xl/workbook.xml': lost, 'xl/_rels/workbook.xml.rels': related });
  assert.match(await refusal(zipOf(changed)), /^not_xlsx: .*is missing/);
  const strict = parts.map((part) => ({
    ...part,
    content: String(part.content)
      .replaceAll('http://schemas.openxmlformats.org/officeDocument/2006', 'http://purl.oclc.org/ooxml/officeDocument')
      .replaceAll(
        'http://schemas.openxmlformats.org/spreadsheetml/2006/main',
        'http://purl.oclc.org/ooxml/spreadsheetml/main',
      ),
  }));
  assert.ok(strict.some(({ content }) => content.includes('purl.oclc.org')));
  assert.deepEqual(await cells(strict), [['first']], 'Strict Open XML');
  const moved = parts.map((part) => ({ ...part, name: part.name.replace(/^xl\//, 'book/') }));
  const root = { '_rels/.rels': { content: relationships(['a', 'officeDocument', '/book/workbook.xml']) } };
  assert.deepEqual(await cells(withParts(moved, root)), [['first']]);
});

test('what is no workbook is refused', async () => {
  const parts = workbookParts(sheetXml(row('a')));
  const withSheet = (sheet: string | Buffer) =>
    zipOf(withParts(parts, { 'xl/worksheets/sheet1.xml': { content: sheet } }));
  const without = (name: string) => zipOf(withParts(parts, { [name]: null }));
  const cases: [name: string, bytes: Buffer, reason: RegExp][] = [
    ['nothing', Buffer.alloc(0), /^not_xlsx: the file is empty/],
    ['CSV', Buffer.from('a,b\nc,d\n'), /^not_xlsx: this is text, not a ZIP archive/],
    ['a page', Buffer.from('<html><body>Please log in'), /^not_xlsx/],
    ['an old .xls', Buffer.from('d0cf11e0a1b11ae1', 'hex'), /^not_xlsx: .*password.*\.xls/],
    ['another ZIP', zipOf([{ name: 'a.csv', content: 'a' }]), /^not_xlsx: .*no xl\/workbook\.xml/],
    ['an empty ZIP', zipOf([]), /^not_xlsx/],
    ['no workbook', without('xl/workbook.xml'), /^not_xlsx/],
    ['no relationships', without('xl/_rels/workbook.xml.rels'), /^not_xlsx: .*no visible sheet/],
    ['no sheet', without('xl/worksheets/sheet1.xml'), /^not_xlsx/],
    ['UTF-16', withSheet(Buffer.from(`\ufeff${sheetXml('')}`, 'utf16le')), /^not_xlsx: .*sheet1\.xml: .*UTF-16/],
    ['another encoding', withSheet('<?xml version="1.0" encoding="GBK"?><worksheet/>'), /^not_xlsx: .*GBK/],
    ['a DTD', withSheet('<!DOCTYPE a [<!ENTITY b "c">]><worksheet/>'), /^not_xlsx: .*document type/],
    ['an entity', withSheet(sheetXml('<row><c t="str"><v>&b;</v></c></row>')), /^not_xlsx: .*&b;/],
    ['a lone &', withSheet(sheetXml('<row><c t="str"><v>a & b</v></c></row>')), /^not_xlsx: .*&/],
    ['tags that do not match', withSheet(sheetXml('<row><c></row></c>')), /^not_xlsx/],
    ['a tag in a tag', withSheet(sheetXml('<row <c></c></row>')), /^not_xlsx/],
    ['text outside', withSheet(`${sheetXml('')}more`), /^not_xlsx/],
    ['two roots', withSheet(sheetXml('') + sheetXml('').slice(21)), /^not_xlsx/],
    ['no XML', withSheet(Buffer.alloc(100_000, 7)), /^not_xlsx/],
    ['XML that ends early', withSheet(sheetXml(row('a')).slice(0, -30)), /^truncated_xlsx: .*ends too early/],
    ['rows that go down', withSheet(sheetXml('<row r="2"/><row r="2"/>')), /^not_xlsx: .*row 2/],
    ['row 0', withSheet(sheetXml('<row r="0"/>')), /^not_xlsx: .*row 0/],
    ['a row that is no number', withSheet(sheetXml('<row r="1e"/>')), /^not_xlsx/],
    ['a row too many', withSheet(sheetXml('<row r="1048577"/>')), /^not_xlsx: .*1048577/],
    ['cells that go back', withSheet(sheetXml('<row><c r="B1"/><c r="A1"/></row>')), /^not_xlsx: .*column 1 of row 1/],
    ['a cell of another row', withSheet(sheetXml('<row><c r="B2"/></row>')), /^not_xlsx: .*B2 is in row 1/],
    ['a cell beyond the last', withSheet(sheetXml('<row><c r="XFE1"/></row>')), /^not_xlsx: .*column 16385/],
    ['a text that is not there', withSheet(sheetXml('<row><c t="s"><v>0</v></c></row>')), /^not_xlsx: .*text 0/],
    ['a type that is not there', withSheet(sheetXml('<row><c t="z"><v>0</v></c></row>')), /^not_xlsx: .*type/],
  ];
  for (const [name, bytes, reason] of cases) assert.match(await refusal(bytes), reason, name);
});

test('the last row of a sheet is read', async () => {
  const rows = await open(workbookParts(sheetXml(`${row('a')}<row r="1048576"><c><v>1</v></c></row>`)));
  assert.deepEqual(
    rows.map(({ line }) => line),
    [1, 1_048_576],
  );
});

test('a workbook that is cut off anywhere is refused as such', async () => {
  const sheet = sheetXml(Array.from({ length: 500 }, (_, i) => row(`id ${i * 7_919}`, 'text')).join(''));
  for (const isStored of [true, false]) {
    const whole = zipOf(workbookParts(sheet).map((part) => ({ ...part, isStored })));
    for (let part = 1; part < 20; part++) {
      assert.match(await refusal(whole.subarray(0, Math.floor((whole.length * part) / 20))), /^truncated_xlsx/);
    }
    for (const missing of [1, 2, 21, 22, 23])
      assert.match(await refusal(whole.subarray(0, -missing)), /^truncated_xlsx/);
    assert.match(await refusal(whole.subarray(0, 2)), /^truncated_xlsx/);
  }
});

test('a workbook that was damaged is refused as such', async () => {
  const sheet = sheetXml(Array.from({ length: 500 }, (_, i) => row(`id ${i}`)).join(''));
  const parts = workbookParts(sheet);
  const lying = (says: Part['says'], isStored = false) =>
    zipOf(withParts(parts, { 'xl/worksheets/sheet1.xml': { content: sheet, isStored, says: says! } }));
  assert.match(await refusal(lying({ sum: 7 })), /^truncated_xlsx: .*sheet1\.xml has another checksum/);
  assert.match(await refusal(lying({ sum: 7 }, true)), /^truncated_xlsx: .*checksum/);
  assert.match(await refusal(lying({ sizeBytes: sheet.length + 1 })), /^truncated_xlsx: .*shorter/);
  assert.match(await refusal(lying({ sizeBytes: sheet.length - 1 })), /^truncated_xlsx: .*longer/);
  assert.match(await refusal(lying({ sizeBytes: sheet.length - 1 }, true)), /^truncated_xlsx/);
  assert.match(await refusal(lying({ flags: 1 })), /^not_xlsx: .*encrypted/);
  // One byte of what was stored is another: as a tag it breaks the XML, and the checksum says why.
  const whole = zipOf(parts.map((part) => ({ ...part, isStored: true })));
  const at = whole.indexOf('<row><c', 2_000);
  for (const byte of ['<', 'x', '&']) {
    const damaged = Buffer.from(whole);
    damaged.write(byte, at + 1);
    assert.match(await refusal(damaged), /^truncated_xlsx: .*checksum/);
  }
});

test('a bomb is refused before it goes off', async () => {
  const parts = workbookParts(sheetXml(row('a')));
  const sheetName = 'xl/worksheets/sheet1.xml';
  const bytes = (name: string, sizeBytes: number) =>
    zipOf(withParts(parts, { [name]: { content: 'x', says: { sizeBytes } } }));
  assert.match(
    await refusal(bytes('xl/sharedStrings.xml', 600 * 1024 ** 2)),
    /^too_large: xl\/sharedStrings\.xml is 629145600/,
  );
  assert.match(await refusal(bytes('xl/styles.xml', 17 * 1024 ** 2)), /^too_large/);
  assert.match(await refusal(bytes('xl/workbook.xml', 17 * 1024 ** 2)), /^too_large/);
  assert.match(await refusal(bytes('_rels/.rels', 17 * 1024 ** 2)), /^too_large/);
  const blanks = { content: Buffer.alloc(100 * 1024 ** 2, ' '), says: { sizeBytes: 1_000 } };
  assert.match(await refusal(zipOf(withParts(parts, { [sheetName]: blanks }))), /^truncated_xlsx: .*longer/);
  // What is so much larger than it is packed is not even begun with.
  const packed = { content: Buffer.alloc(300 * 1024 ** 2, ' ') };
  assert.match(
    await refusal(zipOf(withParts(parts, { [sheetName]: packed }))),
    /^too_large: xl\/worksheets\/sheet1\.xml would be 314572800 bytes, out of \d+:/,
  );
  const many = Array.from({ length: 10_001 }, (_, i) => ({ name: `${i}`, content: '' }));
  assert.match(await refusal(zipOf([...parts, ...many])), /^too_large: 10008 entries/);
  const text = `<si><t>${'x'.repeat(1_000_000)}</t></si>`;
  const same = sheetXml('<row><c t="s"><v>0</v></c></row>'.repeat(100_000));
  assert.match(await refusal(zipOf(workbookParts(same, { strings: text }))), /^too_large: the same long text/);
  const deep = '<a>'.repeat(100_000) + '</a>'.repeat(100_000);
  assert.match(await refusal(zipOf(workbookParts(deep))), /^not_xlsx: .*64 deep/);
  const attribute = `<worksheet a="${'x'.repeat(2_000_000)}"/>`;
  assert.match(await refusal(zipOf(workbookParts(attribute))), /^not_xlsx: .*longer than 1048576/);
  const comment = `<worksheet><!--${'x'.repeat(2_000_000)}--></worksheet>`;
  assert.match(await refusal(zipOf(workbookParts(comment))), /^not_xlsx: .*longer than 1048576/);
});

test('any XML in a sheet is read, or refused with a reason', async () => {
  const pieces = fc.constantFrom(
    ...[
      '<row>',
      '</row>',
      '<row r="3">',
      '<c>',
      '</c>',
      '<c t="s">',
      '<c r="B2" s="1">',
      '<v>',
      '</v>',
      '<is>',
      '</is>',
      '<t>',
    ],
    ...[
      '</t>',
      '<t/>',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '<?',
      '?>',
      '&',
      '&lt;',
      '&#65;',
      ';',
      '"',
      "'",
      '<',
      '>',
      '/',
      '=',
      ' ',
    ],
    ...['0', '1', 'a', '\r', '\n', '\0', '中', '</sheetData>', '<a:b c=', '<!DOCTYPE'],
  );
  const whole = `${row('a')}<row><c r="B2" t="str"><v>b &amp; c</v></c></row>`;
  await fc.assert(
    fc.asyncProperty(fc.array(pieces, { maxLength: 6 }), fc.nat(whole.length), fc.nat(8), async (pieces, at, left) => {
      const sheet = sheetXml(whole.slice(0, at) + pieces.join('') + whole.slice(at + left));
      const path = fileOf(folder, zipOf(workbookParts(sheet, { strings: '<si><t>s</t></si>' })));
      const rows = await rowsOf(path).catch((error: ReportRefused) => error);
      if (Array.isArray(rows))
        assert.deepEqual(
          rows.map(({ status }) => status).filter((status) => status !== 'ok'),
          [],
        );
      else assert.match(`${rows.name} ${rows.code}`, /^ReportRefused (not|truncated)_xlsx$/, rows.stack);
    }),
    { numRuns: 1_000 },
  );
});

test('the file is closed whatever happens', async () => {
  const openFiles = () => readdirSync('/dev/fd').length;
  const rows = Array.from({ length: 20_000 }, (_, i) => row(`${i}`, 'text of some length')).join('');
  const whole = fileOf(folder, zipOf(workbookParts(sheetXml(rows))));
  const cut = fileOf(folder, readFileSync(whole).subarray(0, 10_000));
  const before = openFiles();
  for await (const _ of sheetAsCsv(whole, { timeZone: 'UTC' })) break;
  await assert.rejects(rowsOf(cut));
  await rowsOf(whole);
  assert.equal(openFiles(), before);
});
