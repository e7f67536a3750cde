import type { Db } from '../../adapters/postgres/connection.ts';
import { type Column, dayCell, timeCell } from '../output/columns.ts';
import { type ListedReport, listedReports, type ReportFilter } from './batches.sql.ts';

const PORTION = 1_000;

/** All reports that the filter names, a thousand at a time. */
export async function* reportPortions(
  db: Db,
  filter: Omit<ReportFilter, 'nos' | 'after' | 'limit'>,
): AsyncGenerator<ListedReport[]> {
  for (let after: number | undefined; ; ) {
    const portion = await listedReports(db, { ...filter, after, limit: PORTION });
    if (portion.length > 0) yield portion;
    if (portion.length < PORTION) return;
    after = portion.at(-1)!.no;
  }
}

export const stateOfReport = ({ isWithdrawn, state }: ListedReport): string => (isWithdrawn ? 'withdrawn' : state);

export const REPORT_COLUMNS: readonly Column<ListedReport>[] = [
  { name: 'no', width: 8, cell: ({ no }) => no },
  { name: 'file', width: 60, cell: ({ file }) => file },
  { name: 'kind', width: 20, cell: ({ kind }) => kind },
  { name: 'merchantId', width: 20, cell: ({ merchantId }) => merchantId },
  { name: 'settlementBatchId', width: 22, cell: ({ settlementBatchId }) => settlementBatchId },
  { name: 'transactionDate', width: 11, cell: ({ transactionDate }) => dayCell(transactionDate) },
  { name: 'state', width: 12, cell: stateOfReport },
  { name: 'revision', width: 9, cell: ({ revision }) => revision },
  { name: 'rows', width: 10, cell: ({ rows }) => rows },
  { name: 'refusedRows', width: 12, cell: ({ refusedRows }) => refusedRows },
  { name: 'foundAt', width: 11, cell: ({ foundAt }) => timeCell(foundAt) },
  { name: 'errorCode', width: 20, cell: ({ errorCode }) => errorCode },
  { name: 'errorMessage', width: 60, cell: ({ errorMessage }) => errorMessage },
];
