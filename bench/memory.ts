/**
 * How much memory a file of millions of rows takes, all processes together, with the Postgres that comes with the program.
 * Needs about 1.5 GB of disk a million rows, below TMPDIR and where the book is.
 *
 *     node bench/memory.ts [--rows 5000000] [--json]
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { makeBatch } from './make-batch.ts';
import type { Peak } from './memory-of.ts';
import {
  count,
  inPlace,
  megabytes,
  type Place,
  readOptions,
  removeBook,
  tell,
  timeReconcile,
  timeSettlestream,
} from './place.ts';

const { rows, json } = readOptions({ rows: 5_000_000 });

async function measure({ dir, signal }: Place): Promise<void> {
  tell(`making ${count(rows)} rows …`);
  const batch = await makeBatch(dir, rows);
  const fileBytes = statSync(join(batch.batchDir, batch.details)).size;
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
