import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode, type Encoding, EncodingDetector } from '../../src/adapters/file-formats/encoding.ts';

const ORDER_IN_GBK = Buffer.of(0xb6, 0xa9, 0xb5, 0xa5); // 订单

function detect(file: Buffer, blockSize = file.length || 1, said: Encoding | null = null) {
  const detector = new EncodingDetector(said);
  for (let at = 0; at < file.length; at += blockSize) detector.push(file.subarray(at, at + blockSize));
  return detector.result();
}

test('what is valid UTF-8 throughout is UTF-8, else what is valid GB18030 throughout is that, else it is UTF-8', () => {
  const header = Buffer.from('customerId,orderDescription\n');
  const cases: [string, Buffer, string][] = [
    ['nothing', Buffer.alloc(0), 'utf8'],
    ['ASCII', header, 'utf8'],
    ['UTF-8', Buffer.from('订单'), 'utf8'],
    ['UTF-8 that is valid GB18030, too', Buffer.from('café, Zoë'), 'utf8'],
    ['UTF-8 outside the first plane', Buffer.from('😀'), 'utf8'],
    ['GBK', ORDER_IN_GBK, 'gb18030'],
    ['GBK, then ASCII', Buffer.concat([ORDER_IN_GBK, header]), 'gb18030'],
    ['GBK with a trail byte below 80', Buffer.of(0x81, 0x40), 'gb18030'],
    // 佳 is C3 A8 and 银 D2 F8: the first is é in UTF-8, and the second none.
    ['GBK of which a word is valid UTF-8', Buffer.concat([Buffer.of(0xc3, 0xa8), header, ORDER_IN_GBK]), 'gb18030'],
    ['GBK, then UTF-8 that is valid GBK', Buffer.concat([ORDER_IN_GBK, header, Buffer.from('é')]), 'gb18030'],
    ['four bytes of GB18030', Buffer.concat([ORDER_IN_GBK, Buffer.of(0x81, 0x30, 0x81, 0x30)]), 'gb18030'],
    [
      'four bytes that stand for no character',
      Buffer.concat([ORDER_IN_GBK, Buffer.of(0xfe, 0x39, 0xfe, 0x39)]),
      'utf8',
    ],
    ['a byte order mark and GBK behind it', Buffer.concat([Buffer.from('\ufeffa,b\n'), ORDER_IN_GBK]), 'utf8'],
    [
      'UTF-8 with a cut character',
      Buffer.concat([Buffer.from('订单').subarray(0, 5), header, Buffer.from('订')]),
      'utf8',
    ],
    ['a cut character and no other', Buffer.concat([Buffer.from('订').subarray(0, 2), header]), 'gb18030'],
    ['GBK cut at the end', ORDER_IN_GBK.subarray(0, 3), 'utf8'],
    ['UTF-8 cut at the end', Buffer.from('xxé').subarray(0, 3), 'utf8'],
    ['GBK, then a byte that is neither', Buffer.concat([ORDER_IN_GBK, Buffer.of(0xff)]), 'utf8'],
    ['Windows-1252', Buffer.concat([Buffer.from('Geb\xfchr,Ums\xe4tze\xa0', 'latin1'), Buffer.of(0xff)]), 'utf8'],
    ['a surrogate in UTF-8 is no UTF-8', Buffer.of(0xed, 0xa0, 0x81, 0x40), 'gb18030'],
    ['an overlong slash is no UTF-8', Buffer.of(0xe0, 0x80, 0xaf, 0x41), 'gb18030'],
    ['UTF-16, little end first', Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from('a,b', 'utf16le')]), 'bad_encoding'],
    ['UTF-16, big end first', Buffer.of(0xfe, 0xff, 0, 0x61), 'bad_encoding'],
    ['UTF-16 without a mark', Buffer.from('customerId', 'utf16le'), 'bad_encoding'],
    ['UTF-16 without a mark, swapped', Buffer.from('customerId', 'utf16le').swap16(), 'bad_encoding'],
    ['a NUL here and there', Buffer.from('a\0bcdefg'), 'utf8'],
  ];
  for (const [name, file, expected] of cases) {
    for (const blockSize of [1, 2, 3, file.length + 1]) assert.equal(detect(file, blockSize), expected, name);
  }
});

test('cut characters make no GB18030 of a file whose other characters are UTF-8, nor accidents UTF-8 of one in GBK', () => {
  const cut = Buffer.from('订').subarray(0, 2);
  const lines = (...cells: (string | Buffer)[]) =>
    Buffer.concat(cells.flatMap((cell) => [Buffer.from(cell as string), Buffer.from(',\n')]));
  // Each of these is valid GB18030 throughout, and no valid UTF-8.
  const cases: [string, Buffer, string][] = [
    ['one cut character among many', lines('订单', '订单', '中国', cut), 'utf8'],
    ['the cut one comes first', lines(cut, '订单', '中国'), 'utf8'],
    ['two of five are cut', lines(cut, '订单', cut, '中国'), 'utf8'],
    ['beside characters of two bytes', lines('é', '订单', cut, 'ü'), 'utf8'],
    ['most are cut', lines(cut, cut, '订单', cut), 'gb18030'],
    ['characters of two bytes and a cut one', lines('é', 'ü', cut), 'gb18030'],
    // 涓璏 is E4 B8 AD D1, which begins with 中 in UTF-8.
    ['GBK with an accident', lines(ORDER_IN_GBK, Buffer.of(0xe4, 0xb8, 0xad, 0xd1), ORDER_IN_GBK), 'gb18030'],
  ];
  for (const [name, file, expected] of cases) {
    assert.ok(new TextDecoder('gb18030', { fatal: true }).decode(file), name);
    for (const blockSize of [1, 2, 3, file.length]) assert.equal(detect(file, blockSize), expected, name);
  }
});

test('what the settings say of a file is so, unless it is UTF-16', () => {
  for (const said of ['utf8', 'gb18030', 'windows-1252'] as const) {
    for (const file of [Buffer.alloc(0), Buffer.from('订单'), ORDER_IN_GBK]) assert.equal(detect(file, 1, said), said);
    assert.equal(detect(Buffer.of(0xff, 0xfe, 0x61, 0), 1, said), 'bad_encoding');
  }
});

test('the result is that of decoders over the whole file, however the file is cut', () => {
  const token = fc.constantFrom(
    ...[
      '61',
      '30',
      '39',
      '2c',
      'b6a9',
      'd6d0',
      'c3',
      'a9',
      'e8aea2',
      'e8',
      'f09f9880',
      'f0',
      '80',
      'ff',
      'ed',
      'e0',
      'f4',
    ],
    ...['81308130', '84', '8431a530', '90308130', 'fe39fe39'],
  );
  const isValid = (file: Buffer, encoding: string) => {
    try {
      new TextDecoder(encoding, { fatal: true }).decode(file);
      return true;
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(fc.array(token, { maxLength: 8, size: 'max' }), fc.integer({ min: 1, max: 9 }), (tokens, blockSize) => {
      const file = Buffer.from(tokens.join(''), 'hex');
      const isUtf16 = file.length > 1 && ['fffe', 'feff'].includes(file.toString('hex', 0, 2));
      // A lone 80 is a euro sign to decoders, and no byte of GB18030.
      const isGb = isValid(file, 'gb18030') && !new TextDecoder('gb18030').decode(file).includes('€');
      const shown = new TextDecoder('utf-8', { ignoreBOM: true }).decode(file);
      const broken = shown.split('\ufffd').length - 1;
      const wide = [...shown].filter((character) => character >= '\u0800').length - broken;
      const expected = isUtf16 ? 'bad_encoding' : broken > 0 && wide <= broken && isGb ? 'gb18030' : 'utf8';
      assert.equal(detect(file, blockSize), expected, file.toString('hex'));
    }),
    { numRuns: 3_000 },
  );
});

test('what is no GB18030 is decided at once', () => {
  const detector = new EncodingDetector();
  detector.push(Buffer.from('a,b,c,d,e,f,g,h,é'));
  assert.equal(detector.isDecided, false);
  detector.push(Buffer.from('€,'));
  assert.equal(detector.isDecided, true);
  const marked = new EncodingDetector();
  marked.push(Buffer.from('\ufeffa,b,c,d,e,f,g,h,'));
  assert.equal(marked.isDecided, true);
});

test('text is decoded cell by cell, and a broken cell shows it', () => {
  assert.equal(decode(Buffer.from('x订单y'), 1, 7, 'utf8'), '订单');
  for (const encoding of ['gb18030', 'gbk'] as const) assert.equal(decode(ORDER_IN_GBK, 0, 4, encoding), '订单');
  assert.equal(decode(Buffer.from('Geb\xfchr', 'latin1'), 0, 6, 'windows-1252'), 'Gebühr');
  assert.equal(decode(ORDER_IN_GBK, 0, 4, 'utf8'), '\ufffd'.repeat(4));
});
