import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readLedgerHeader, readRecord } from '../../src/domain/report/record.ts';

const HEADER = 'requestId type amount currency status occurredAt merchantId originalRequestId'.split(' ');
const { columns, problems } = readLedgerHeader(HEADER);
assert.deepEqual(problems, []);

const cellsWith = (changes: Readonly<Record<string, string>>): string[] => {
  const plain: Record<string, string> = {
    requestId: 'r-1',
    type: 'PAYMENT',
    amount: '1.00',
    currency: 'USD',
    status: 'SUCCESS',
    occurredAt: '2026-01-31T10:00:00Z',
    ...changes,
  };
  return HEADER.map((name) => plain[name] ?? '');
};

test('an id of a record that no index holds is refused, and is measured in bytes', () => {
  for (const column of ['requestId', 'originalRequestId', 'merchantId'] as const) {
    for (const most of ['x'.repeat(1_000), 'é'.repeat(500)]) {
      assert.equal(readRecord(cellsWith({ [column]: ` ${most} ` }), columns)[column], most);
    }
    for (const [tooLong, text] of [
      ['x'.repeat(1_001), 'x'.repeat(200)],
      ['é'.repeat(501), 'é'.repeat(200)],
    ] as const) {
      assert.throws(() => readRecord(cellsWith({ [column]: tooLong }), columns), { code: 'id_too_long', column, text });
    }
  }
});

test("what is wrong with a line of the merchant's own file is not blamed on a provider", () => {
  const table: [string[], string][] = [
    [cellsWith({}).slice(0, 5), 'too_few_cells'],
    [cellsWith({ requestId: 'r\0' }), 'nul_in_cell'],
    [cellsWith({ requestId: 'x'.repeat(1_001) }), 'id_too_long'],
    [cellsWith({ currency: 'usd' }), 'unknown_currency'],
    [cellsWith({ amount: '1e3' }), 'bad_amount'],
    [cellsWith({ amount: '1.001' }), 'too_many_decimals'],
    [cellsWith({ amount: '9'.repeat(20) }), 'out_of_range'],
    [cellsWith({ occurredAt: 'yesterday' }), 'bad_time'],
    [cellsWith({ requestId: '' }), 'missing_value'],
    [cellsWith({ type: 'GIFT' }), 'not_allowed'],
    [cellsWith({ amount: '-1' }), 'negative_amount'],
  ];
  for (const [cells, code] of table) {
    assert.throws(() => readRecord(cells, columns), { code, message: /^(?!.*(provider|report)).*$/ }, code);
  }
});

test('ids of records are what spreadsheets mean by them, and none where their last digits are lost', () => {
  for (const column of ['requestId', 'originalRequestId', 'merchantId'] as const) {
    for (const text of ['="00123"', "'00123", " '00123' "])
      assert.equal(readRecord(cellsWith({ [column]: text }), columns)[column], '00123', text);
    for (const text of ['2.02603E+21', '2,02603e+21', '="2E+20"'])
      assert.throws(() => readRecord(cellsWith({ [column]: text }), columns), { code: 'lost_digits', column, text });
  }
  assert.throws(() => readRecord(cellsWith({ requestId: '=""' }), columns), { code: 'missing_value' });
});
