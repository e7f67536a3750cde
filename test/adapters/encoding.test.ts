import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode, EncodingDetector } from '../../src/adapters/encoding.ts';

const ORDER_IN_GBK = Buffer.of(0xb6, 0xa9, 0xb5, 0xa5); // 订单

function detect(file: Buffer, blockSize = file.length || 1) {
  const detector = new EncodingDetector();
  for (let at = 0; at < file.length; at += blockSize) detector.push(file.subarray(at, at + blockSize));
  return detector.result();
}

test('a file is UTF-8 unless all of it is GBK and nothing of it is UTF-8', () => {
  const header = Buffer.from('customerId,orderDescription\n');
  const cases: [string, Buffer, string][] = [
    ['nothing', Buffer.alloc(0), 'utf8'],
    ['ASCII', header, 'utf8'],
    ['UTF-8', Buffer.from('订单'), 'utf8'],
    ['a byte order mark', Buffer.from('\ufeffa,b\n'), 'utf8'],
    ['UTF-8 outside the first plane', Buffer.from('😀'), 'utf8'],
    ['GBK', ORDER_IN_GBK, 'gbk'],
    ['GBK, then ASCII', Buffer.concat([ORDER_IN_GBK, header]), 'gbk'],
    ['GBK with a trail byte below 80', Buffer.of(0x81, 0x40), 'gbk'],
    [
      'UTF-8 with a cut character',
      Buffer.concat([Buffer.from('订单').subarray(0, 5), header, Buffer.from('订')]),
      'utf8',
    ],
    ['a cut character and no other', Buffer.concat([Buffer.from('订').subarray(0, 2), header]), 'gbk'],
    ['GBK cut at the end', ORDER_IN_GBK.subarray(0, 3), 'utf8'],
    ['GBK, then a byte that is neither', Buffer.concat([ORDER_IN_GBK, Buffer.of(0xff)]), 'utf8'],
    ['GBK, then UTF-8', Buffer.concat([ORDER_IN_GBK, header, Buffer.from('é')]), 'utf8'],
    ['a surrogate in UTF-8 is no UTF-8', Buffer.of(0xed, 0xa0, 0x81, 0x40), 'gbk'],
    ['an overlong slash is no UTF-8', Buffer.of(0xe0, 0x80, 0xaf, 0x41), 'gbk'],
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

test('the result is that of a decoder over the whole file, however the file is cut', () => {
  const token = fc.constantFrom(
    '61',
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
  );
  fc.assert(
    fc.property(fc.array(token, { maxLength: 8, size: 'max' }), fc.integer({ min: 1, max: 9 }), (tokens, blockSize) => {
      const file = Buffer.from(tokens.join(''), 'hex');
      const isGbk = /^(?:[\x20-\x7e]|[\x81-\xfe][\x40-\x7e\x80-\xfe])*$/.test(file.toString('latin1'));
      const hasGbk = file.some((byte) => byte > 0x7f);
      const hasUtf8 = /[^\x20-\x7e\ufffd]/u.test(file.toString('utf8'));
      const isUtf16 = file.length > 1 && ['fffe', 'feff'].includes(file.toString('hex', 0, 2));
      const expected = isUtf16 ? 'bad_encoding' : isGbk && hasGbk && !hasUtf8 ? 'gbk' : 'utf8';
      assert.equal(detect(file, blockSize), expected);
    }),
    { numRuns: 2_000 },
  );
});

test('the first UTF-8 character decides', () => {
  const detector = new EncodingDetector();
  detector.push(Buffer.from('a,b,c,d,e,f,g,h,'));
  assert.equal(detector.isDecided, false);
  detector.push(Buffer.from('é').subarray(0, 1));
  assert.equal(detector.isDecided, false);
  detector.push(Buffer.from('é').subarray(1));
  assert.equal(detector.isDecided, true);
});

test('text is decoded cell by cell, and a broken cell shows it', () => {
  assert.equal(decode(Buffer.from('x订单y'), 1, 7, 'utf8'), '订单');
  assert.equal(decode(ORDER_IN_GBK, 0, 4, 'gbk'), '订单');
  assert.equal(decode(ORDER_IN_GBK, 0, 4, 'utf8'), '\ufffd'.repeat(4));
});
