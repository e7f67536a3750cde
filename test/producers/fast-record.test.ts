import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cellText, RowReader } from '../../src/adapters/file-formats/csv.ts';
import { CopyWriter } from '../../src/adapters/postgres/copy-binary.ts';
import { RowRefused } from '../../src/domain/errors.ts';
import { type ReadRecord, readLedgerHeader, readRecord } from '../../src/domain/report/record.ts';
import { FastRecordParser, NamedMerchants, writeRecord } from '../../src/producers/records/fast-record.ts';

// Two readers of a record: one that takes everything, one that takes only plain lines. Wherever the fast one says yes, both must have read the
// same, to the byte.

const HEADERS = [
  'requestId,type,amount,currency,status,occurredAt',
  'requestId,type,amount,currency,status,occurredAt,merchantId,originalRequestId',
  'source,note,status,currency,amountMinor,occurredAt,type,requestId,orderId',
  'requestId,type,amount,amountMinor,currency,status,occurredAt,merchantId,orderId,originalRequestId,source,note',
];

const SURPRISES = [
  ...[
    '',
    'null',
    'NONE',
    ' x',
    'x ',
    'é',
    '中',
    'x\0',
    "'r-1",
    '="r-1"',
    '2.02603E+21',
    'x'.repeat(1_000),
    'x'.repeat(1_001),
  ],
  ...['1e3', '+5', '-0', '-1', '0', '5.', '.5', '007', '12.345', '12.340', '12.30', '9999999999999', '999999999999.99'],
  ...[
    'USD',
    'usd',
    'JPY',
    'KWD',
    'XXX',
    'PAYMENT',
    'CANCEL',
    'payment',
    'DISPUTE',
    'SUCCESS',
    'PENDING',
    'FAIL',
    'M1',
    'M2',
  ],
  ...['2026-02-29T00:00:00Z', '2024-02-29T00:00:00+14:00', '2026-01-01T00:00:00+15:00', '2026-01-01 00:00:00.25-00:30'],
  ...[
    '2026-01-01T00:00:00,5Z',
    '2026-01-01T00:00:00',
    '2026-01-01T00:00:00.1234567Z',
    '1999-01-01T00:00:00Z',
    '2100-01-01T00:00:00Z',
  ],
];

const lines = (columns: readonly string[]) =>
  fc.array(
    fc.record({
      minor: fc.integer({ min: 0, max: 10 ** 9 }),
      changes: fc.array(fc.tuple(fc.constantFrom(...columns), fc.constantFrom(...SURPRISES)), { maxLength: 2 }),
      cut: fc.constantFrom(0, 0, 0, 0, 1, 2),
      surplus: fc.constantFrom('', '', '', ',', ',x'),
    }),
    { minLength: 1, maxLength: 12 },
  );

const quoted = (cell: string) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

function plain(minor: number): Record<string, string> {
  return {
    requestId: `r-${minor}`,
    type: 'PAYMENT',
    amount: (minor / 100).toFixed(2),
    currency: 'USD',
    status: 'SUCCESS',
    occurredAt: '2026-01-31T10:00:00+00:00',
    merchantId: 'M1',
    note: 'free text',
  };
}

for (const header of HEADERS) {
  test(`a line that is read fast is read the same: ${header}`, () => {
    const names = header.split(',');
    const { columns } = readLedgerHeader(names);
    let fastLines = 0;
    fc.assert(
      fc.property(lines(names), (rows) => {
        const merchants = new NamedMerchants();
        const fast = new FastRecordParser(columns, merchants);
        const text = rows.map(({ minor, changes, cut, surplus }) => {
          const cells: Record<string, string> = {
            ...plain(minor),
            ...(names.includes('amount') ? {} : { amountMinor: `${minor}` }),
          };
          for (const [column, surprise] of changes) cells[column] = surprise;
          return (
            names
              .map((name) => quoted(cells[name] ?? ''))
              .slice(0, names.length - cut)
              .join(',') + surplus
          );
        });
        const reader = new RowReader({ offset: 1 });
        reader.push(Buffer.from(text.join('\n')));
        reader.end();
        while (reader.next()) {
          const cells = Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, 'utf8'));
          const [writer, whole] = [new CopyWriter(), new CopyWriter()];
          writer.take();
          whole.take();
          const read = recordOf(cells, columns);
          if (fast.write(reader, writer)) {
            fastLines++;
            assert.ok(read !== null, `refused, yet read fast: ${cells}`);
            writeRecord(whole, reader.line, read, merchants);
            assert.deepEqual(writer.take(), whole.take(), `${cells}`);
          } else {
            assert.equal(writer.length, 0, 'nothing is written of a line that is not taken');
            if (read !== null) writeRecord(whole, reader.line, read, merchants);
          }
        }
      }),
      { numRuns: 300 },
    );
    assert.ok(fastLines > 100, `${fastLines} lines were read fast`);
  });
}

function recordOf(cells: readonly string[], columns: Parameters<typeof readRecord>[1]): ReadRecord | null {
  try {
    return readRecord(cells, columns);
  } catch (error) {
    if (error instanceof RowRefused) return null;
    throw error;
  }
}

test('each merchant that is named has a number of its own, from 1, and so have those that name none', () => {
  const merchants = new NamedMerchants();
  const ids = [null, ...Array.from({ length: 40 }, (_, at) => `M${at}`)];
  for (const id of [...ids, ...ids]) assert.equal(merchants.ids[merchants.numberOf(id) - 1], id);
  assert.deepEqual(merchants.ids, ids);
});
