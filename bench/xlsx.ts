/**
 * What reading a workbook costs, beside the streaming reader of exceljs: 44 columns, texts of which some repeat, and numbers. Each reads
 * it in a process of its own. Fails where ours takes more memory than 500 MB. No database (`node bench/memory.ts --rows 300000 --xlsx`
 * takes the whole path); needs about 300 bytes of disk a row, below TMPDIR.
 *
 *     node bench/xlsx.ts [--rows 300000] [--json]
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { count, inPlace, megabytes, readOptions, tell, type Workspace } from './place.ts';

/** However many rows there are. */
const MOST_BYTES = 500_000_000;

type Read = { readonly rows: number; readonly seconds: number; readonly peakRssBytes: number };

async function measure({ dir, signal }: Workspace): Promise<void> {
  const { rows, json } = readOptions({ rows: 300_000 });
  const path = join(dir, 'report.xlsx');
  // Linux counts what the parent of a process takes at its start for the process's own peak: this one stays small.
  const run = async (...args: string[]) =>
    (await promisify(execFile)(process.execPath, [import.meta.filename, ...args], { signal })).stdout;
  tell(`making a workbook of ${count(rows)} rows …`);
  await run('make', path, `${rows}`);
  const results: Record<string, Read> = {};
  for (const reader of ['sheetAsCsv', 'exceljs']) {
    tell(`reading it by ${reader} …`);
    const read: Read = JSON.parse(await run(reader, path));
    if (read.rows !== rows + 1) throw new Error(`${reader} read ${read.rows} of ${rows + 1} rows`);
    results[reader] = read;
  }
  process.stdout.write(json ? `${JSON.stringify(results)}\n` : `${textOf(results)}\n`);
  const { peakRssBytes } = results['sheetAsCsv']!;
  if (peakRssBytes > MOST_BYTES)
    throw new Error(`it took ${megabytes(peakRssBytes)}, of ${megabytes(MOST_BYTES)} at most`);
}

function textOf(results: Readonly<Record<string, Read>>): string {
  const lines = Object.entries(results).map(([reader, { rows, seconds, peakRssBytes }]) => {
    const perSecond = count(Math.round(rows / seconds));
    return `${reader}: ${seconds.toFixed(1)} s, ${perSecond} rows a second, peak RSS ${megabytes(peakRssBytes)}`;
  });
  const ratio = results['exceljs']!.seconds / results['sheetAsCsv']!.seconds;
  return [...lines, `${ratio.toFixed(1)} times as fast`].join('\n');
}

async function makeWorkbook(filename: string, rows: number): Promise<void> {
  const { default: exceljs } = await import('exceljs');
  const writer = new exceljs.stream.xlsx.WorkbookWriter({ filename, useSharedStrings: true });
  const sheet = writer.addWorksheet('details');
  sheet.addRow(Array.from({ length: 44 }, (_, column) => `column${column}`)).commit();
  for (let row = 0; row < rows; row++)
    sheet.addRow(Array.from({ length: 44 }, (_, column) => cellOf(row, column))).commit();
  await writer.commit();
}

const REPEATED = ['CNY', 'USD', 'PAYMENT', '2026-01-31T10:00:00+08:00', 'ALIPAY_CN', 'a <shop> & more'];

function cellOf(row: number, column: number): string | number {
  if (column < 5) return `2026010112345678${column}${String(row).padStart(8, '0')}`;
  if (column < 17) return ((row * 7_919 + column * 104_729) % 10_000_000) / 100;
  return REPEATED[(row + column) % REPEATED.length]!;
}

async function readAsCsv(path: string): Promise<number> {
  const { sheetAsCsv } = await import('../src/adapters/file-formats/xlsx/workbook.ts');
  let rows = 0;
  for await (const block of sheetAsCsv(path, { timeZone: 'Asia/Shanghai' })) {
    for (let at = block.indexOf('\n'); at >= 0; at = block.indexOf('\n', at + 1)) rows++;
  }
  return rows;
}

async function readByExceljs(path: string): Promise<number> {
  const { default: exceljs } = await import('exceljs');
  const options = { sharedStrings: 'cache', styles: 'cache', hyperlinks: 'ignore', worksheets: 'emit' } as const;
  let rows = 0;
  for await (const sheet of new exceljs.stream.xlsx.WorkbookReader(path, options)) for await (const _ of sheet) rows++;
  return rows;
}

async function timeOf(reading: Promise<number>): Promise<void> {
  const startedAt = performance.now();
  const rows = await reading;
  const seconds = (performance.now() - startedAt) / 1_000;
  const read: Read = { rows, seconds, peakRssBytes: process.resourceUsage().maxRSS * 1_024 };
  process.stdout.write(JSON.stringify(read));
}

const [what, path, rows] = process.argv.slice(2);
if (what === 'make') await makeWorkbook(path!, Number(rows));
else if (what === 'sheetAsCsv') await timeOf(readAsCsv(path!));
else if (what === 'exceljs') await timeOf(readByExceljs(path!));
else await inPlace(measure);
