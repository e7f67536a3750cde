import type { Writable } from 'node:stream';
import Table from 'cli-table3';
import type { Database } from '../adapters/postgres.ts';
import * as query from './answer.sql.ts';
import { batchJson, dayJson, matchedRowsOf, stateOfBatch, totalJson } from './answer.ts';

/** A plain table: no colours, so that it reads the same in a terminal, a file and a mail. Numbers stand to the right. */
export function table(head: string[], rows: (string | number | null)[][], right: readonly number[] = []): string {
  const made = new Table({
    head,
    style: { head: [], border: [], compact: true },
    colAligns: head.map((_, column) => (right.includes(column) ? 'right' : 'left')),
  });
  made.push(...rows.map((row) => row.map((cell) => (cell === null ? '' : String(cell)))));
  return made.toString();
}

export const batchTable = (batches: readonly query.BatchView[]): string =>
  table(
    [
      'date',
      'batch or day',
      'merchant',
      'acquirer',
      'currency',
      'rows',
      'matched',
      'settled',
      'summary says',
      'open',
      'state',
    ],
    batches.map((batch) => {
      if (batch.batchId === null) {
        const day = dayJson(batch);
        return [
          day.transactionDate,
          'transactions',
          day.merchantId,
          batch.acquirer,
          '',
          day.rows,
          day.matchedRows,
          '',
          '',
          batch.open,
          day.state,
        ];
      }
      const shown = batchJson(batch);
      return [
        shown.settlementDate,
        shown.settlementBatchId,
        shown.merchantId,
        shown.acquirer,
        shown.settlementCurrency,
        shown.rows,
        shown.matchedRows,
        shown.details?.settlementAmount ?? null,
        shown.summary?.settlementAmount ?? null,
        batch.open,
        shown.state,
      ];
    }),
    [5, 6, 7, 8, 9],
  );

export const totalsTable = (totals: readonly query.KindTotal[]): string =>
  table(
    ['what does not add up', 'count', 'at stake', 'currency'],
    totals.map(totalJson).map((total) => [total.kind, total.count, total.amountAtStake, total.currency]),
    [1, 2],
  );

export const discrepancyTable = (rows: readonly query.DiscrepancyView[]): string =>
  table(
    ['batch or day', 'kind', 'file', 'line', 'request id', 'reported', 'recorded', 'currency'],
    rows.map((row) => [
      row.settlementBatchId ?? row.transactionDate,
      row.kind,
      row.file,
      row.line,
      row.requestId,
      row.reported,
      row.recorded,
      row.currency,
    ]),
    [3, 5, 6],
  );

/** The answer for people: reports that cannot be used, batches and days, and what does not add up. */
export async function printSummary(
  { db }: Database,
  { deliveryNos, batchNos }: { deliveryNos: readonly number[]; batchNos: readonly number[] },
  out: Writable,
): Promise<{ discrepancies: number; isIncomplete: boolean }> {
  const reports = await query.reportsOf(db, deliveryNos);
  const batches = await query.batchesOf(db, { batchNos });
  const totals = await query.totalsOf(db, { batchNos });
  const unusable = reports.filter((report) => report.state === 'waiting' || report.state === 'refused');
  if (unusable.length > 0) {
    out.write(
      `${table(
        ['report', 'state', 'why'],
        unusable.map((report) => [report.file, report.state, report.errorMessage]),
      )}\n\n`,
    );
  }
  out.write(`${batchTable(batches)}\n\n`);
  if (totals.length > 0) out.write(`${totalsTable(totals)}\n\n`);
  const discrepancies = totals.reduce((sum, total) => sum + total.count, 0);
  const rows = batches.reduce((sum, batch) => sum + batch.facts.rows, 0);
  const matched = batches.reduce((sum, batch) => sum + matchedRowsOf(batch), 0);
  const reconciled = batches.filter((batch) => stateOfBatch(batch) === 'reconciled').length;
  out.write(
    `${reports.length} reports, ${rows.toLocaleString('en')} rows, ${matched.toLocaleString('en')} matched; ` +
      `${reconciled} of ${batches.length} batches and days reconciled, ${discrepancies.toLocaleString('en')} discrepancies.\n`,
  );
  return { discrepancies, isIncomplete: unusable.length > 0 };
}
