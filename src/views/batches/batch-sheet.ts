import type { HeaderChange } from '../../domain/report/header.ts';
import { amountCell, type Cell, type Column, dayCell, timeCell } from '../output/columns.ts';
import { type Sheet, sheetOf } from '../output/workbook.ts';
import type { BatchView } from './batches.sql.ts';
import { ageOf, batchJson, coverageJson, matchedRowsOf, stateOfBatch } from './batches.ts';

/** A report that a run has read. */
export type BatchReport = {
  readonly file: string;
  readonly kind: string;
  readonly sha256: string;
  readonly revision: number;
  readonly rows: number;
  /** How its header differs from that of the source's report of its kind before. Left out where it does not, or there was none. */
  readonly headerChange?: { readonly since: string } & HeaderChange;
};

/** A line of the sheet: of the batch itself, of a report, of a total, of a part of its coverage, or of a check. */
type Line = {
  readonly about: string;
  readonly name: string;
  readonly value?: Cell;
  readonly rows?: number;
  readonly settlement?: Cell;
  readonly fee?: Cell;
};

const COLUMNS: readonly Column<Line>[] = [
  { name: 'about', width: 12, cell: ({ about }) => about },
  { name: 'name', width: 44, cell: ({ name }) => name },
  { name: 'value', width: 68, cell: ({ value = null }) => value },
  { name: 'rows', width: 12, cell: ({ rows = null }) => rows },
  { name: 'settlementAmount', width: 18, cell: ({ settlement = null }) => settlement },
  { name: 'feeAmount', width: 18, cell: ({ fee = null }) => fee },
];

/** A batch or day, its reports and its totals, for one who opens the workbook of its discrepancies. */
export const batchSheet = (batch: BatchView, reports: readonly BatchReport[]): Sheet =>
  sheetOf('batch', COLUMNS, [
    [...linesOf(batch), ...reports.map(reportLine), ...totalLines(batch), ...coverageLines(batch)],
  ]);

const linesOf = (batch: BatchView): Line[] => {
  const { since, ageDays } = ageOf(batch);
  const said: readonly (readonly [string, Cell])[] = [
    ['merchantId', batch.merchantId],
    ['settlementBatchId', batch.batchId],
    ['date', dayCell(batch.settlementDate ?? batch.day)],
    ['acquirer', batch.acquirer],
    ['settlementCurrency', batch.currency],
    ['state', stateOfBatch(batch)],
    ['rows', batch.facts.rows],
    ['matchedRows', matchedRowsOf(batch)],
    ['open', batch.open],
    ['accepted', batch.accepted === 0 ? null : batch.accepted],
    ['since', timeCell(since)],
    ['ageDays', ageDays],
    ['run', batch.run],
    ['digest', batch.digest],
  ];
  return said.flatMap(([name, value]) => (value === null ? [] : [{ about: 'batch', name, value }]));
};

const reportLine = ({ file, kind, revision, sha256, rows }: BatchReport): Line => ({
  about: 'report',
  name: file,
  value: `${kind}, revision ${revision}, SHA-256 ${sha256}`,
  rows,
});

function coverageLines(batch: BatchView): Line[] {
  const coverage = coverageJson(batch);
  if (coverage === null) return [];
  const { matched, noRecordNeeded, notDone, discrepant, refused, checks } = coverage;
  const line = (
    name: string,
    { rows, settlementAmount = null }: { rows: number; settlementAmount?: string | null },
  ): Line => ({
    about: 'coverage',
    name,
    rows,
    settlement: settlementAmount === null ? null : amountCell(settlementAmount, batch.currency),
  });
  return [
    line('matched', matched),
    ...noRecordNeeded.map(({ type, ...part }) => line(`noRecordNeeded ${type}`, part)),
    line('notDone', notDone),
    line('discrepant', discrepant),
    line('refused', refused),
    ...checks.map(({ name, state, why }) => ({
      about: 'check',
      name,
      value: why === null ? state : `${state}: ${why}`,
    })),
  ];
}

function totalLines(batch: BatchView): Line[] {
  if (batch.batchId === null) return [];
  const { totals, details, summary, residual } = batchJson(batch);
  const amount = (text: string | undefined) => (text === undefined ? null : amountCell(text, batch.currency));
  const line = (
    name: string,
    sums: { count?: number | null; settlementAmount?: string; feeAmount?: string },
  ): Line => ({
    about: 'total',
    name,
    ...(typeof sums.count === 'number' ? { rows: sums.count } : {}),
    settlement: amount(sums.settlementAmount),
    fee: amount(sums.feeAmount),
  });
  return [
    ...totals.map((total) => line(total.type, total)),
    ...(details ? [line('details', details)] : []),
    ...(summary ? [line('summary', summary)] : []),
    ...(residual === null ? [] : [line('residual', { settlementAmount: residual })]),
  ];
}
