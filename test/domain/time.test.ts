import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dateIn, parseCompactDate, parseTime } from '../../src/domain/calendar/time.ts';

test('a time with an offset is a moment', () => {
  const table: [string, string, bigint?][] = [
    ['2018-12-25T10:00:00+08:30', '2018-12-25T01:30:00Z'],
    ['2023-01-09 02:45:29+08:00', '2023-01-08T18:45:29Z'],
    ['2023-01-09T02:45:29+0800', '2023-01-08T18:45:29Z'],
    ['2023-01-09T02:45:29-03', '2023-01-09T05:45:29Z'],
    ['2023-01-09T02:45Z', '2023-01-09T02:45:00Z'],
    ['2024-02-29T23:59:59.999Z', '2024-02-29T23:59:59.999Z'],
    ['2024-02-29T23:59:59.1234567Z', '2024-02-29T23:59:59.123Z', 456n],
    ['2024-02-29T23:59:59,5Z', '2024-02-29T23:59:59.500Z'],
    ['2000-01-01T00:00:00+14:00', '1999-12-31T10:00:00Z'],
    ['2100-12-31T23:59:59Z', '2100-12-31T23:59:59Z'],
  ];
  for (const [text, expected, micros = 0n] of table) {
    assert.equal(parseTime(text), BigInt(Date.parse(expected)) * 1000n + micros, text);
  }
});

test('anything else is refused', () => {
  for (const text of [
    '',
    '2023-01-09',
    '2023-01-09T02:45:29',
    '2023-01-09T02:45:29 +08:00',
    '20230109T024529Z',
    '2023-1-9T02:45:29Z',
    '2023-02-29T00:00:00Z',
    '2023-04-31T00:00:00Z',
    '2023-13-01T00:00:00Z',
    '2023-00-10T00:00:00Z',
    '2023-01-00T00:00:00Z',
    '2023-01-01T24:00:00Z',
    '2023-01-01T00:60:00Z',
    '2023-01-01T00:00:60Z',
    '2023-01-01T00:00:00+24:00',
    '2023-01-01T00:00:00+08:60',
    '1999-12-31T23:59:59Z',
    '2101-01-01T00:00:00Z',
    '1672531200',
    '2023-01-09t02:45:29Z',
    '2023-01-09T02:45:29.Z',
    '2023-01-09  02:45:29Z',
    '２023-01-09T02:45:29Z',
    '2023-01-09T02:45:29Z\n',
  ]) {
    assert.throws(() => parseTime(text, 'paymentTime'), { code: 'bad_time', column: 'paymentTime' }, text);
  }
});

test('what Date prints is read as the same moment', () =>
  fc.assert(
    fc.property(
      fc.date({ min: new Date('2000-01-01Z'), max: new Date('2100-12-31Z'), noInvalidDate: true }),
      (date) => {
        assert.equal(parseTime(date.toISOString()), BigInt(date.getTime()) * 1000n);
      },
    ),
  ));

test('the day depends on where one stands, summer time included', () => {
  const table: [string, string, string][] = [
    ['2018-12-25T23:59:59.999999+08:00', 'Asia/Shanghai', '2018-12-25'],
    ['2018-12-26T00:00:00+08:00', 'Asia/Shanghai', '2018-12-26'],
    ['2018-12-26T00:00:00+08:00', 'UTC', '2018-12-25'],
    ['2018-12-26T00:00:00+08:00', 'America/New_York', '2018-12-25'],
    ['2024-03-31T00:30:00+01:00', 'Europe/Berlin', '2024-03-31'],
    ['2024-03-31T23:30:00+02:00', 'Europe/Berlin', '2024-03-31'],
    ['2024-10-27T23:30:00+01:00', 'Europe/Berlin', '2024-10-27'],
    ['2024-01-01T10:00:00Z', 'Pacific/Kiritimati', '2024-01-02'],
  ];
  for (const [text, zone, expected] of table) assert.equal(dateIn(parseTime(text), zone), expected, `${text} ${zone}`);
  assert.throws(() => dateIn(0n, 'Mars/Olympus'), RangeError);
});

test('a compact date is a real day, or none', () => {
  assert.equal(parseCompactDate('20240229'), '2024-02-29');
  for (const text of ['20230229', '20231301', '19991231', '21010101', '2024-01-01', '2024011', '']) {
    assert.equal(parseCompactDate(text), null, text);
  }
});
