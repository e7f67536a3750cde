/** `node bench/rows.ts FILE`: what reading a row of a settlement details report costs, by each of the two readers. No database. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { cellText, RowReader } from '../src/adapters/file-formats/csv.ts';
import { CopyWriter } from '../src/adapters/postgres/copy-binary.ts';
import { apo } from '../src/domain/formats/apo.ts';
import { FactsCounter } from '../src/domain/report/facts.ts';
import { readHeader } from '../src/domain/report/header.ts';
import { type RowContext, readRow } from '../src/domain/report/read-row.ts';
import { readReportName } from '../src/domain/report/report-name.ts';
import { FastRowParser, writeContent } from '../src/workers/load/fast-row.ts';

const path = process.argv[2];
const name = path ? readReportName(basename(path), [apo]) : null;
if (!path || name?.kind !== 'settlementDetails')
  throw new Error('give a settlement details file; bench/make-batch.ts makes one');
const file = readFileSync(path);
const cellsOf = (reader: RowReader) =>
  Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, 'utf8'));

/** Microseconds a row, splitting the line into cells included. */
function measure(reading: 'cells only' | 'QuickRows' | 'readRow'): string {
  const reader = new RowReader();
  reader.push(file);
  reader.end();
  reader.next();
  const context: RowContext = {
    kind: 'settlementDetails',
    columns: readHeader(cellsOf(reader), 'settlementDetails', apo),
    format: apo,
    batchId: name!.batchId,
    settlementCurrency: name!.settlementCurrency,
    amountUnit: 'major',
    toleranceMinor: 2n,
  };
  const quick = FastRowParser.for(context)!;
  const facts = new FactsCounter();
  const writer = new CopyWriter();
  let rows = 0;
  const startedAt = performance.now();
  for (; reader.next(); rows++) {
    if (reading === 'QuickRows') {
      if (!quick.write(reader, writer)) quick.learn(reader);
      if (quick.isFull) quick.moveTo(facts);
    } else if (reading === 'readRow') {
      const read = readRow(cellsOf(reader), reader.line, context);
      if ('row' in read) writeContent(writer, read.row);
    }
    if (writer.length > 200_000) writer.take();
  }
  return (((performance.now() - startedAt) * 1000) / rows).toFixed(1);
}

for (const reading of ['cells only', 'QuickRows', 'readRow'] as const) {
  measure(reading); // The first time is the compiler's.
  process.stdout.write(`${reading}: ${measure(reading)} µs a row\n`);
}
