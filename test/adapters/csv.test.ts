import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import {
  BoundaryFinder,
  type Chunk,
  cellsOf,
  cellText,
  MAX_CELLS,
  MAX_ROW_BYTES,
  RowReader,
  rowText,
} from '../../src/adapters/file-formats/csv.ts';
import type { Encoding } from '../../src/adapters/file-formats/encoding.ts';

type Read = { status: string; cells: string[]; offset: number; line: number; byteLength: number };

/** All rows of `file[offset, …)`. Every block is wiped when the reader is done with it, as a caller may reuse it. */
function read(
  file: Buffer,
  { blockSize = 65_536, offset = 0, line = 1, encoding = 'utf8' as Encoding, rowsAreLines = false } = {},
): Read[] {
  const reader = new RowReader({ offset, line, rowsAreLines });
  const rows: Read[] = [];
  const take = () => {
    while (reader.next()) {
      const cells = Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, encoding));
      rows.push({
        status: reader.status,
        cells,
        offset: reader.offset,
        line: reader.line,
        byteLength: reader.byteLength,
      });
    }
  };
  for (let at = 0; at < file.length; at += blockSize) {
    const block = Buffer.from(file.subarray(at, at + blockSize));
    reader.push(block);
    take();
    block.fill('"');
  }
  reader.end();
  take();
  return rows;
}

function find(file: Buffer, { blockSize = 65_536, targetBytes = 1 }) {
  const finder = new BoundaryFinder(targetBytes);
  const chunks: Chunk[] = [];
  for (let at = 0; at < file.length; at += blockSize) {
    const block = Buffer.from(file.subarray(at, at + blockSize));
    chunks.push(...finder.push(block));
    block.fill('"');
  }
  chunks.push(...finder.end());
  return { finder, chunks };
}

const readChunk = (
  file: Buffer,
  { offset, lengthBytes, firstLine }: Chunk,
  encoding: Encoding = 'utf8',
  rowsAreLines = false,
) => read(file.subarray(offset, offset + lengthBytes), { offset, line: firstLine, encoding, rowsAreLines });

/** Reads by chunks and checks that nothing but header, blank lines and what follows `<END>` is left out. */
function assertChunksGive(
  rows: Read[],
  file: Buffer,
  cut: { blockSize: number; targetBytes: number },
  encoding: Encoding,
) {
  const { finder, chunks } = find(file, cut);
  const isEnd = ({ status, cells: [first, ...others] }: Read) =>
    status === 'ok' && /^[ \t-\r]*<END>[ \t-\r]*$/.test(first!) && others.every((cell) => /^[ \t-\r]*$/.test(cell));
  const end = rows.findIndex(isEnd);
  const [header, ...data] = end < 0 ? rows : rows.slice(0, end);
  assert.deepEqual(
    chunks.flatMap((chunk) => readChunk(file, chunk, encoding)),
    data,
  );
  assert.deepEqual([finder.header?.offset, finder.header?.line], [header?.offset, header?.line]);
  if (header?.status === 'ok') assert.deepEqual(cellsOf(finder.header!.bytes, encoding), header.cells);
  assert.equal(finder.endLine, rows[end]?.line ?? null);
  assert.equal(finder.rowsAfterEndLine, end < 0 ? null : (rows[end + 1]?.line ?? null));
  for (const [i, chunk] of chunks.entries()) {
    const next = chunks[i + 1];
    assert.equal(linesBefore(file, chunk.offset) + 1, chunk.firstLine);
    if (next === undefined) continue;
    assert.equal(chunk.offset + chunk.lengthBytes, next.offset);
    assert.equal(chunk.firstLine + chunk.lines, next.firstLine);
    assert.ok(chunk.lengthBytes >= cut.targetBytes);
    const late = data.filter(({ offset }) => offset >= chunk.offset + cut.targetBytes && offset < next.offset);
    assert.deepEqual(late, [], 'rows behind the first place to cut');
  }
}

const linesBefore = (file: Buffer, offset: number) =>
  file.toString('latin1', 0, offset).match(/\r\n|\r|\n/g)?.length ?? 0;

/** csv-parse's records, without the lines of white space that it makes records of and we pass. */
function referenceRecords(file: Buffer, encoding: BufferEncoding, relax = true): string[][] {
  const records = parse(file, {
    bom: true,
    encoding,
    raw: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    relax_quotes: relax,
    skip_empty_lines: true,
  }) as unknown as { raw: string; record: string[] }[];
  return records
    .filter(({ raw, record }) => /[^ \t\v\f\r\n\ufeff]/.test(raw) || record.length > 1)
    .map(({ record }) => record);
}

/** The grammar in two regular expressions, over the whole file at once, without the limits. */
function referenceRows(text: string): Omit<Read, 'offset' | 'byteLength'>[] {
  const rows: Omit<Read, 'offset' | 'byteLength'>[] = [];
  const match = (pattern: RegExp, at: number) => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  for (let at = 0; at < text.length; ) {
    const line = (text.slice(0, at).match(/\r\n|\r|\n/g)?.length ?? 0) + 1;
    const start = at;
    const cells: string[] = [];
    let status = 'ok';
    for (;;) {
      const isQuoted = text[at] === '"';
      const raw = match(isQuoted ? /"(?:[^"]|"")*"(?=[,\r\n]|$)/y : /[^,\r\n]*/y, at);
      if (raw === undefined) {
        status = 'bad_quotes';
        at += match(/[^\r\n]*/y, at)!.length;
        break;
      }
      cells.push(isQuoted ? raw.slice(1, -1).replaceAll('""', '"') : raw);
      at += raw.length;
      if (text[at] !== ',') break;
      at++;
    }
    if (text.slice(start, at).trim() !== '') rows.push({ status, cells: status === 'ok' ? cells : [], line });
    at += match(/\r\n|\r|\n|$/y, at)!.length || 1;
  }
  return rows;
}

const lean = (rows: Read[]) => rows.map(({ status, cells, line }) => ({ status, cells, line }));
const toGbk = (text: string) => Buffer.from(text.replaceAll('中', '\xd6\xd0').replaceAll('单', '\xb5\xa5'), 'latin1');

const cell = fc
  .tuple(
    fc.array(fc.constantFrom('a', '7', '中', '单', ' ', ',', '"', '\n', '\r', '\r\n'), { maxLength: 5, size: 'max' }),
    fc.boolean(),
  )
  .map(([pieces, isQuoted]) => {
    const text = pieces.join('');
    return isQuoted || /[,\r\n]|^"/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
const lineEnd = fc.constantFrom('\n', '\r\n', '\r', '\n\n', '\n \t\r\n');
const table = fc
  .tuple(
    fc.array(fc.tuple(fc.array(cell, { minLength: 1, maxLength: 5, size: 'max' }), lineEnd), {
      maxLength: 8,
      size: 'max',
    }),
    fc.boolean(),
  )
  .map(([rows, isEnded]) => {
    const text = rows.map(([cells, end]) => cells.join(',') + end).join('');
    return isEnded ? text : text.trimEnd();
  });
const blockSize = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 9, max: 300 }));

test('tables read as csv-parse reads them, at every block and chunk size', () => {
  fc.assert(
    fc.property(
      table,
      fc.boolean(),
      fc.boolean(),
      blockSize,
      blockSize,
      (text, isGbk, hasMark, blockSize, targetBytes) => {
        const encoding = isGbk ? 'gbk' : 'utf8';
        const file = isGbk ? toGbk(text) : Buffer.from((hasMark ? '\ufeff' : '') + text);
        const rows = read(file, { blockSize, encoding });
        const records = isGbk
          ? referenceRecords(file, 'latin1').map((record) =>
              record.map((cell) => new TextDecoder('gbk').decode(Buffer.from(cell, 'latin1'))),
            )
          : referenceRecords(file, 'utf8');
        assert.deepEqual(
          rows.map(({ cells }) => cells),
          records,
        );
        for (const { offset, line } of rows) assert.equal(line, linesBefore(file, offset) + 1);
        assertChunksGive(rows, file, { blockSize, targetBytes }, encoding);
      },
    ),
    { numRuns: 1_500 },
  );
});

const token = (...more: string[]) =>
  fc.constantFrom('"', '"', '""', ',', '\n', '\n', '\r', '\r\n', 'a', ' ', '\x80', ...more);
const soup = fc.array(token(), { maxLength: 40, size: 'max' }).map((tokens) => tokens.join(''));

test('any bytes read by the grammar, and as csv-parse reads them where it finds no fault', () => {
  let compared = 0;
  fc.assert(
    fc.property(soup, blockSize, (text, blockSize) => {
      const file = Buffer.from(text, 'latin1');
      const rows = read(file, { blockSize });
      const expected = referenceRows(text).map((row) => ({ ...row, cells: row.cells.map((cell) => toUtf8(cell)) }));
      assert.deepEqual(lean(rows), expected);
      assert.deepEqual(read(file), rows, 'the size of blocks shows');
      let records: string[][];
      try {
        records = referenceRecords(file, 'latin1', false);
      } catch {
        return;
      }
      compared++;
      assert.deepEqual(
        rows.map(({ cells }) => cells),
        records.map((record) => record.map((cell) => toUtf8(cell))),
      );
    }),
    { numRuns: 3_000 },
  );
  assert.ok(compared > 300, `only ${compared} files were good enough for csv-parse`);
});
const toUtf8 = (latin1: string) => Buffer.from(latin1, 'latin1').toString('utf8');

test('any bytes give the same rows by chunks, long plain stretches and <END> among them', () => {
  const stretch = (end: string) => `plain,row${end}`.repeat(700);
  const pieces = token(
    '<END>',
    '\n<END>\n',
    '\n"<END>",\n',
    stretch('\n'),
    stretch('\r\n'),
    stretch('\r'),
    stretch(' '),
  );
  fc.assert(
    fc.property(
      fc.array(pieces, { maxLength: 30, size: 'max' }),
      fc.constantFrom(1_000, 5_000, 65_536),
      fc.constantFrom(1, 100, 3_000, 9_000, 20_000),
      (tokens, blockSize, targetBytes) => {
        const file = Buffer.from(`h,i\n${tokens.join('')}`, 'latin1');
        assertChunksGive(read(file), file, { blockSize, targetBytes }, 'utf8');
      },
    ),
    {
      numRuns: 300,
      // A quote that turns out to be open only when the file ends, long behind the block in which it stands.
      examples: [[[stretch('\n'), '"', stretch('\n'), '""', '\n<END>\n'], 65_536, 100]],
    },
  );
});

test('any small file gives the same rows by chunks, at every block and chunk size', () => {
  fc.assert(
    fc.property(
      fc.array(token('<END>', '\n<END>,', '\xef\xbb\xbf'), { maxLength: 40, size: 'max' }),
      blockSize,
      blockSize,
      (tokens, blockSize, targetBytes) => {
        const file = Buffer.from(tokens.join(''), 'latin1');
        assertChunksGive(read(file), file, { blockSize, targetBytes }, 'utf8');
      },
    ),
    { numRuns: 3_000 },
  );
});

test('the grammar', () => {
  const cases: [string, string][] = [
    ['a,b\nc,d\n', '1 a|b; 2 c|d'],
    ['a,b\r\nc\rd', '1 a|b; 2 c; 3 d'],
    ['a,\n,\n', '1 a|; 2 |'],
    ['a,', '1 a|'],
    ['"a","b,c"\n', '1 a|b,c'],
    ['"a\nb\r\nc\rd",e\nf', '1 a\nb\r\nc\rd|e; 5 f'],
    ['"say ""hi"""\n', '1 say "hi"'],
    ['""\n"",""', '1 ; 2 |'],
    ['a"b,c""\n', '1 a"b|c""'],
    [' "a"\n', '1  "a"'],
    ['\n\n  \n\t\r\na\n\n', '5 a'],
    ['\ufeff"a"\n\ufeffb', '1 a; 2 \ufeffb'],
    ['\ufeff\na', '2 a'],
    ['"a"b\nc\n', '1 bad_quotes; 2 c'],
    ['"a" ,b\nc\n', '1 bad_quotes; 2 c'],
    ['x,"a\nb\nc\n', '1 bad_quotes; 2 b; 3 c'],
    ['x,"a', '1 bad_quotes'],
    ['"', '1 bad_quotes'],
    ['"a\nb","c\nd\ne', '1 bad_quotes; 3 d; 4 e'],
    ['"a\nb"c\n"d"\n', '1 bad_quotes; 2 b"c; 3 d'],
    ['a,"b\r\nc\r\n', '1 bad_quotes; 2 c'],
    ['a,"b\rc', '1 bad_quotes; 2 c'],
    ['a,"b"c,"d\ne"\nf', '1 bad_quotes; 2 e"; 3 f'],
  ];
  for (const [text, expected] of cases) {
    const shown = read(Buffer.from(text))
      .map(({ status, cells, line }) => `${line} ${status === 'ok' ? cells.join('|') : status}`)
      .join('; ');
    assert.equal(shown, expected, JSON.stringify(text));
  }
});

test('of a sheet, each row is one line', () => {
  const cases: [string, string][] = [
    ['"a\nb\r\nc\rd",e\nf', '1 a\nb\r\nc\rd|e; 2 f'],
    ['"\n"\n\n"\r\n",""\n\n\ng', '1 \n; 3 \r\n|; 6 g'],
    ['x,"a\nb"c\nd\n', '1 bad_quotes; 2 b"c; 3 d'],
  ];
  for (const [text, expected] of cases) {
    for (const blockSize of [1, 2, 3, 100]) {
      const rows = read(Buffer.from(text), { blockSize, rowsAreLines: true });
      const shown = rows.map(({ status, cells, line }) => `${line} ${status === 'ok' ? cells.join('|') : status}`);
      assert.equal(shown.join('; '), expected, JSON.stringify(text));
    }
  }
});

test('of a sheet, chunks begin on the lines of their rows', () => {
  const rows = fc.array(fc.array(cell, { minLength: 1, maxLength: 4, size: 'max' }), { maxLength: 12, size: 'max' });
  fc.assert(
    fc.property(rows, blockSize, blockSize, (rows, blockSize, targetBytes) => {
      const lines = [['header'], ...rows.map((cells) => ['x', ...cells])];
      const file = Buffer.from(lines.map((cells) => `${cells.join(',')}\n`).join(''));
      const finder = new BoundaryFinder(targetBytes, { rowsAreLines: true });
      const chunks: Chunk[] = [];
      for (let at = 0; at < file.length; at += blockSize)
        chunks.push(...finder.push(file.subarray(at, at + blockSize)));
      chunks.push(...finder.end());
      const read = chunks.flatMap((chunk) => readChunk(file, chunk, 'utf8', true));
      assert.deepEqual(
        read.map(({ line }) => line),
        rows.map((_, i) => i + 2),
      );
      assert.equal(
        chunks.reduce((sum, { lines }) => sum + lines, 0),
        rows.length,
      );
    }),
    { numRuns: 500 },
  );
});

test('a refused row shows its beginning', () => {
  const reader = new RowReader();
  reader.push(Buffer.from('a\nx,"订单😀" cut\nb\n'));
  assert.ok(reader.next() && reader.next());
  assert.deepEqual([reader.status, reader.cells, reader.byteLength], ['bad_quotes', 0, 18]);
  assert.equal(rowText(reader, 'utf8', 6), 'x,"订单😀');
  assert.equal(rowText(reader, 'utf8', 200), 'x,"订单😀" cut');
});

test('a row is at most 1 MiB long and 4,096 cells wide', () => {
  const long = (bytes: number) => 'x'.repeat(bytes);
  const cases: [string, string, string][] = [
    ['as long as may be', `${long(MAX_ROW_BYTES)}\nb`, 'ok 1, ok 2'],
    ['and with CRLF', `${long(MAX_ROW_BYTES)}\r\nb`, 'ok 1, ok 2'],
    ['and at the end', long(MAX_ROW_BYTES), 'ok 1'],
    ['a byte longer', `${long(MAX_ROW_BYTES + 1)}\nb`, 'row_too_long 1, ok 2'],
    ['and at the end', long(MAX_ROW_BYTES + 1), 'row_too_long 1'],
    ['much longer', `a\n${long(3 * MAX_ROW_BYTES)},"\r\nb`, 'ok 1, row_too_long 2, ok 3'],
    ['ending in a comma', `${long(MAX_ROW_BYTES - 1)},\nb`, 'ok 1, ok 2'],
    ['a comma too many', `${long(MAX_ROW_BYTES)},\nb`, 'row_too_long 1, ok 2'],
    ['a comma too many at the end', `${long(MAX_ROW_BYTES)},`, 'row_too_long 1'],
    ['quoted', `"${long(MAX_ROW_BYTES - 2)}"\nb`, 'ok 1, ok 2'],
    ['quoted, at the end', `"${long(MAX_ROW_BYTES - 2)}"`, 'ok 1'],
    ['quoted, then a cell', `"${long(MAX_ROW_BYTES - 2)}",\nb`, 'row_too_long 1, ok 2'],
    ['quoted, a byte longer', `"${long(MAX_ROW_BYTES - 1)}"\nb`, 'bad_quotes 1, ok 2'],
    ['an escape across the limit', `"${long(MAX_ROW_BYTES - 2)}"""\nb`, 'bad_quotes 1, ok 2'],
    ['a quote that opens at the limit', `${long(MAX_ROW_BYTES - 1)},"a\nb"`, 'row_too_long 1, ok 2'],
    ['a quote that opens before it', `${long(MAX_ROW_BYTES - 2)},"a\nb"`, 'bad_quotes 1, ok 2'],
    ['lines, then too long', `"a\nb",${long(MAX_ROW_BYTES)}\nb`, 'row_too_long 1, ok 3'],
    ['lines, then unclosed', `"a\nb","c\nd\n${long(MAX_ROW_BYTES)}\ne"`, 'bad_quotes 1, ok 3, ok 4, ok 5'],
    ['as wide as may be', `${','.repeat(MAX_CELLS - 1)}\nb`, 'ok 1, ok 2'],
    ['a cell wider', `${','.repeat(MAX_CELLS)}\nb`, 'row_too_long 1, ok 2'],
    ['a cell wider, quoted', `${'"",'.repeat(MAX_CELLS)}"a\nb`, 'row_too_long 1, ok 2'],
  ];
  for (const [name, text, expected] of cases) {
    const file = Buffer.from(text);
    const rows = read(file);
    assert.equal(rows.map(({ status, line }) => `${status} ${line}`).join(', '), expected, name);
    for (const blockSize of [4_093, MAX_ROW_BYTES - 1, MAX_ROW_BYTES, MAX_ROW_BYTES + 1, file.length]) {
      assert.deepEqual(read(file, { blockSize }), rows, `${name}, blocks of ${blockSize}`);
    }
    assertChunksGive(rows, file, { blockSize: 65_536, targetBytes: 1 }, 'utf8');
  }
});

test('<END> is a row, not a text', () => {
  const cases: [string, { rows: number; endLine: number | null; rowsAfterEndLine: number | null }][] = [
    ['h\na\n<END>', { rows: 1, endLine: 3, rowsAfterEndLine: null }],
    ['h\na\n\n<END>\r\n\r\n  \r\n', { rows: 1, endLine: 4, rowsAfterEndLine: null }],
    ['h,i\na,b\n" <END> ",,"", \n', { rows: 1, endLine: 3, rowsAfterEndLine: null }],
    ['h\n<END>\n', { rows: 0, endLine: 2, rowsAfterEndLine: null }],
    ['<END>\n', { rows: 0, endLine: 1, rowsAfterEndLine: null }],
    ['h\na\n', { rows: 1, endLine: null, rowsAfterEndLine: null }],
    ['h\na\n<END', { rows: 2, endLine: null, rowsAfterEndLine: null }],
    ['h\n"a\n<END>\n"\n', { rows: 1, endLine: null, rowsAfterEndLine: null }],
    ['h,i\n<END>,b\nx,<END>\n<END>', { rows: 2, endLine: 4, rowsAfterEndLine: null }],
    ['h\na\n<END>\n\nb\nc', { rows: 1, endLine: 3, rowsAfterEndLine: 5 }],
    ['h\na\n<END>\n<END>\n', { rows: 1, endLine: 3, rowsAfterEndLine: 4 }],
    ['h\n"a\n<END>\n', { rows: 1, endLine: 3, rowsAfterEndLine: null }],
  ];
  for (const [text, expected] of cases) {
    for (const blockSize of [1, 3, 100]) {
      const file = Buffer.from(text);
      const { finder, chunks } = find(file, { blockSize });
      const rows = chunks.flatMap((chunk) => readChunk(file, chunk)).length;
      const { endLine, rowsAfterEndLine } = finder;
      assert.deepEqual({ rows, endLine, rowsAfterEndLine }, expected, JSON.stringify(text));
    }
  }
});

test('a header that cannot be read is told', () => {
  assert.equal(find(Buffer.from('\n \n'), {}).finder.header, null);
  assert.equal(find(Buffer.from('"h"i\na\n'), {}).finder.header?.status, 'bad_quotes');
  assert.equal(find(Buffer.alloc(MAX_ROW_BYTES + 1, 'h'), {}).finder.header?.status, 'row_too_long');
  const header = find(Buffer.from('\ufeff\n"h",i\r\na\n'), { blockSize: 2 }).finder.header!;
  assert.deepEqual({ ...header, bytes: header.bytes.toString() }, { status: 'ok', offset: 4, line: 2, bytes: '"h",i' });
  assert.equal(cellsOf(Buffer.from('"h"i'), 'utf8'), null);
});

test('no file takes more than linear time', () => {
  const MILLION = 1_000_000;
  const hostile: Record<string, () => Buffer> = {
    'a quote that opens on every line and closes on the next': () => Buffer.from('a","b\n'.repeat(MILLION)),
    'three quotes a line': () => Buffer.from('"""\n'.repeat(MILLION)),
    'an escape on every line inside an open quote': () => Buffer.from(`x,"\n${'a""b\n'.repeat(MILLION)}`),
    'an even run at every line start inside an open quote': () => Buffer.from(`x,"\n${'""b,\n'.repeat(MILLION)}`),
    'an open quote on every line, badly closed on the next': () => Buffer.from('a,"""b\n'.repeat(MILLION)),
    'one open quote, then lines': () => Buffer.from(`"${'a,b,c,d,e,f,g,h,i\n'.repeat(5 * MILLION)}`),
    'one open quote, then nothing else': () => Buffer.alloc(100 * MILLION, 'x').fill('"', 0, 1),
    'one line': () => Buffer.alloc(100 * MILLION, 'x'),
    'one line of commas': () => Buffer.alloc(100 * MILLION, ','),
    'one line of quotes': () => Buffer.alloc(100 * MILLION - 1, '"'),
    'empty lines': () => Buffer.alloc(20 * MILLION, '\n'),
    'lone CRs': () => Buffer.alloc(20 * MILLION, 'a\r'),
    'lone CRs and quotes': () => Buffer.alloc(20 * MILLION, '"a"\r'),
  };
  for (const [name, make] of Object.entries(hostile)) {
    const file = make();
    const before = process.cpuUsage();
    const reader = new RowReader();
    const finder = new BoundaryFinder(1_048_576);
    for (let at = 0; at < file.length; at += 65_536) {
      reader.push(file.subarray(at, at + 65_536));
      while (reader.next());
      finder.push(file.subarray(at, at + 65_536));
    }
    finder.end();
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system) / 1_000_000;
    // Processor time: a few tenths where this was written; were it quadratic, minutes.
    assert.ok(seconds < 10, `${name}: ${seconds.toFixed(1)} s of processor time`);
  }
});
