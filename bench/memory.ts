/**
 * How much memory a file of millions of rows takes, all processes together, with the Postgres that comes with the program; with --xlsx
 * the same rows in a workbook, which holds a million at most.
 * Needs about 1.5 GB of disk a million rows, below TMPDIR and where the book is.
 *
 *     node bench/memory.ts [--rows 5000000] [--xlsx] [--json]
 */
import { createReadStream, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeBatch } from './make-batch.ts';
import type { Peak } from './memory-of.ts';
import {
  count,
  inPlace,
  megabytes,
  readOptions,
  removeBook,
  tell,
  timeReconcile,
  timeSettlestream,
  type Workspace,
} from './place.ts';

const { rows, xlsx, json } = readOptions({ rows: 5_000_000 }, ['xlsx']);

async function measure({ dir, signal }: Workspace): Promise<void> {
  tell(`making ${count(rows)} rows …`);
  const batch = await makeBatch(dir, rows);
  const details = xlsx ? await asWorkbook(join(batch.batchDir, batch.details)) : join(batch.batchDir, batch.details);
  const fileBytes = statSync(details).size;
  const dataDir = join(dir, 'book');
  try {
    tell('importing their records …');
    const imported = await timeSettlestream(['ledger', 'import', batch.recordsFile, '--data-dir', dataDir], {
      signal,
      watched: dataDir,
    });
    tell(`reconciling a file of ${megabytes(fileBytes)} …`);
    const { seconds, memory } = await timeReconcile(batch, dataDir, { signal, watched: dataDir });
    const result = { rows, fileBytes, seconds, rowsPerSecond: rows / seconds, memory, import: memoryAnd(imported) };
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${textOf(result)}\n`);
  } finally {
    await removeBook(dataDir);
  }
}

/** The same report as a workbook, in place of the CSV. None of its cells is quoted. */
async function asWorkbook(csv: string): Promise<string> {
  tell('writing them as a workbook …');
  const { default: exceljs } = await import('exceljs');
  const filename = csv.replace(/csv$/, 'xlsx');
  const writer = new exceljs.stream.xlsx.WorkbookWriter({ filename });
  const sheet = writer.addWorksheet('details');
  for await (const line of createInterface({ input: createReadStream(csv) })) {
    sheet
      .addRow(line.split(',').map((cell) => (/^-?\d{1,12}\.\d{2}$/.test(cell) ? Number(cell) : cell || null)))
      .commit();
  }
  await writer.commit();
  rmSync(csv);
  return filename;
}

const memoryAnd = ({ seconds, memory }: { seconds: number; memory: Peak | null }) => ({ seconds, memory });

function textOf(result: {
  rows: number;
  seconds: number;
  rowsPerSecond: number;
  memory: Peak | null;
  import: ReturnType<typeof memoryAnd>;
}) {
  const { seconds, rowsPerSecond, memory } = result;
  return [
    `${count(result.rows)} rows reconciled in ${seconds.toFixed(1)} s, ${count(Math.round(rowsPerSecond))} rows a second`,
    `reconcile: ${peakText(memory)}`,
    `ledger import (${result.import.seconds.toFixed(1)} s): ${peakText(result.import.memory)}`,
  ].join('\n');
}

const peakText = (peak: Peak | null) =>
  peak === null
    ? 'memory is read from /proc, which this system has not'
    : `peak ${megabytes(peak.pssBytes)} PSS (node ${megabytes(peak.node.pssBytes)}, postgres ${megabytes(peak.postgres.pssBytes)}); ` +
      `the RSS of all added up ${megabytes(peak.peakRssBytes)}; ${peak.samples} samples`;

await inPlace(measure);
