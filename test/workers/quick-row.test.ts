import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cellText, RowReader } from '../../src/adapters/file-formats/csv.ts';
import { CopyWriter } from '../../src/adapters/postgres/copy-binary.ts';
import { adyenSettlementDetails } from '../../src/domain/formats/adyen-settlement-details.ts';
import { antom } from '../../src/domain/formats/antom.ts';
import { apo } from '../../src/domain/formats/apo.ts';
import type { Format } from '../../src/domain/formats/format.ts';
import { isReturnAbove } from '../../src/domain/matching/whole-report.ts';
import { directionIn } from '../../src/domain/report/cells.ts';
import { FactsCounter } from '../../src/domain/report/facts.ts';
import { readHeader } from '../../src/domain/report/header.ts';
import { type RowContext, readRow } from '../../src/domain/report/read-row.ts';
import type { Row } from '../../src/domain/report/row.ts';
import { FastRowParser, writeContent } from '../../src/workers/load/fast-row.ts';

// Two readers of a row: one that takes everything, one that takes only plain rows, six times as fast. Wherever the quick one
// says yes, both must have read the same, to the byte, and nothing may be wrong with the row.

type Kind = RowContext['kind'];
type Unit = RowContext['amountUnit'];

const columnsOf = (format: Format, kind: Kind) => [...format.columns[kind], 'aColumnOfTheirOwn'];

const contextOf = (format: Format, kind: Kind, unit: Unit): RowContext => ({
  kind,
  columns: readHeader(columnsOf(format, kind), kind, format),
  format,
  batchId: 'B-1',
  settlementCurrency: 'USD',
  amountUnit: unit,
  toleranceMinor: 2n,
});

/** A plain payment or refund, to be made less plain. Where the layout has several fees, two make the sum. */
const plain = (format: Format, unit: Unit, cents: number, fee: number): Record<string, string> => {
  const print = (minor: number) => (unit === 'minor' ? `${minor}` : (minor / 100).toFixed(2));
  const [first, second] = format.amounts.settlementDetails.filter(({ role }) => role === 'fee');
  return {
    settlementBatchId: 'B-1',
    customerId: 'C-1',
    acquirer: 'Alipay_SG',
    transactionId: `t-${cents}`,
    transactionRequestId: `r-${cents}`,
    transactionType: 'PAYMENT',
    status: 'SUCCESS',
    paymentTime: '2026-02-28T23:59:59+08:00',
    settlementTime: '2026-03-01T02:00:00Z',
    transactionAmountValue: print(cents),
    transactionCurrency: 'USD',
    settlementAmountValue: print(cents + fee),
    settlementCurrency: 'USD',
    [first!.column]: print(second ? fee - 7 : fee),
    [first!.currencyColumn]: 'USD',
    ...(second ? { [second.column]: print(7), [second.currencyColumn]: 'USD' } : {}),
  };
};

const SURPRISES = [
  '',
  'null',
  'NONE',
  ' x',
  'x ',
  'x',
  'é',
  '中',
  'x\0',
  '1e3',
  '+5',
  '-0',
  '0',
  '-0.01',
  '5.',
  '.5',
  '007',
  '12.345',
  '12.340',
  '1',
  '2',
  '9999999999999',
  '999999999999.99',
  'USD',
  'usd',
  'JPY',
  'XXX',
  'EUR',
  'PAYMENT',
  'REFUND',
  'CAPTURE',
  'DISPUTE',
  'PAYMENT_REVERSAL',
  'DEFAULT',
  'SOMETHING',
  'SUCCESS',
  'success',
  'FAIL',
  'Hundsun',
  'Alipay_SG',
  'B-1',
  'B-2',
  '2026-02-29T00:00:00Z',
  '2026-02-28',
  '2024-02-29T00:00:00+14:00',
  '2026-01-01T00:00:00+15:00',
  '2026-01-01 00:00:00Z',
  '2026-01-01T00:00:00.5Z',
  '2026-01-01T00:00:00,5Z',
  '2026-01-01T00:00:00.Z',
  '2026-01-01 23:59:59.1234567+05:30',
  '2026-01-01T00:00:00.000',
  '2026-01-01T00:00+00:00',
  '2026-01-01T00:00:00+0000',
  '2026-01-01T00:00:00+14:30',
  '2026-13-01T00:00:00Z',
  '1999-01-01T00:00:00Z',
  '2100-06-01T00:00:00Z',
  '2000-02-29T12:00:00-08:30',
  '2026-06-30T23:59:60Z',
  "'r-100",
  '="t-100"',
  "'",
  '2.02603E+21',
  '2E+20',
  '1E+100',
  '12E+3',
  'x+12',
  '2,02603e+21',
  'x'.repeat(1_000),
  'x'.repeat(1_001),
];

const line = (columns: readonly string[], cells: Record<string, string>, extra: readonly string[]) =>
  [...columns.map((column) => cells[column] ?? ''), ...extra]
    .map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell))
    .join(',');

const rowsOf = (columns: readonly string[]) =>
  fc.array(
    fc.record({
      cents: fc.integer({ min: 1, max: 10 ** 9 }),
      fee: fc.integer({ min: -500, max: 500 }),
      off: fc.integer({ min: -4, max: 4 }),
      isRefund: fc.boolean(),
      changes: fc.array(fc.tuple(fc.constantFrom(...columns), fc.constantFrom(...SURPRISES)), { maxLength: 2 }),
      extra: fc.array(fc.constantFrom('', '', ' ', 'x'), { maxLength: 2 }),
    }),
    { minLength: 1, maxLength: 12 },
  );

const checkRows = (format: Format, kind: Kind, numRuns: number) => {
  let quick = 0;
  let slow = 0;
  const columns = columnsOf(format, kind);
  const property = fc.property(fc.constantFrom('major', 'minor'), rowsOf(columns), (unit, rows) => {
    const context = contextOf(format, kind, unit);
    const quickRows = FastRowParser.for(context)!;
    const [expected, found] = [new FactsCounter(), new FactsCounter()];
    const isAbove = (row: Row) => kind === 'transactionDetails' && isReturnAbove(row, directionIn(format, row.type));
    const expect = (row: Row) => {
      expected.addRow(row);
      if (isAbove(row)) expected.returnsAbove++;
    };
    const text = rows
      .map(({ cents, fee, off, isRefund, changes, extra }) => {
        const cells = plain(format, unit, isRefund ? -cents : cents, fee + off);
        if (isRefund) Object.assign(cells, { transactionType: 'REFUND', originalTransactionRequestId: 'r-0' });
        for (const [column, surprise] of changes) cells[column] = surprise;
        return line(columns, cells, extra);
      })
      .join('\n');
    const reader = new RowReader({ offset: 1 });
    reader.push(Buffer.from(text));
    reader.end();
    while (reader.next()) {
      if (reader.status !== 'ok') continue;
      const cells = Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, 'utf8'));
      const read = readRow(cells, reader.line, context);
      const writer = new CopyWriter();
      writer.take();
      // A NUL anywhere ends quick reading before it begins: the loader looks for one in every block.
      if (!cells.some((cell) => cell.includes('\0')) && quickRows.write(reader, writer)) {
        quick++;
        assert.ok('row' in read, `refused, yet read quickly: ${cells}`);
        assert.deepEqual(read.findings, [], `${cells}`);
        const whole = new CopyWriter();
        whole.take();
        writeContent(whole, read.row);
        assert.deepEqual(writer.take(), whole.take(), `${cells}`);
        expect(read.row);
      } else {
        slow++;
        assert.equal(writer.length, 0, 'nothing is written of a row that is not taken');
        if ('refused' in read) continue;
        expect(read.row);
        found.addRow(read.row);
        if (isAbove(read.row)) found.returnsAbove++;
        quickRows.learn(reader);
      }
    }
    quickRows.moveTo(found);
    const sorted = (facts: FactsCounter) => {
      const { types, ...rest } = facts.toFacts();
      return { ...rest, types: Object.entries(types).sort() };
    };
    assert.deepEqual(sorted(found), sorted(expected));
  });
  fc.assert(property, { numRuns });
  assert.ok(quick > 500 && slow > 500, `${quick} rows were read quickly, ${slow} in full: both must be tried`);
};

test('a row that is read quickly is read the same, and nothing is wrong with it', () =>
  checkRows(apo, 'settlementDetails', 2_000));

test('so it is in the newer layout, with its many fees', () => checkRows(antom, 'settlementDetails', 1_000));

test('so it is where all states are listed', () => checkRows(antom, 'transactionDetails', 1_000));

test('a format that prints what takes thought in every row is left to the full reader', () => {
  const kind = 'settlementDetails' as const;
  const columns = readHeader(adyenSettlementDetails.columns[kind], kind, adyenSettlementDetails);
  assert.equal(FastRowParser.for({ ...contextOf(apo, kind, 'major'), columns, format: adyenSettlementDetails }), null);
});
