import type { Currency } from '../../domain/money/currency.ts';
import { wayOfMoney } from '../bank/tables.ts';
import { acceptedText } from '../output/columns.ts';
import { batchTable, coverageText, table, totalsTable } from '../output/tables.ts';
import { revisionTable, runTable } from '../restatements/tables.ts';
import type { BatchDetail } from './batch-detail.ts';
import type { BatchReport } from './batch-sheet.ts';
import type { KindTotal } from './batches.sql.ts';
import { droppedText } from './dropped.ts';

/** What people read of a batch or day, up to its discrepancies. */
export function batchText({ batch, reports, runs, revisions }: BatchDetail, totals: readonly KindTotal[]): string[] {
  const dropped = droppedText(reports);
  const way = wayOfMoney(batch.payout, batch.currency as Currency);
  return [
    `${batchTable([batch], { isAged: true })}\n\n`,
    coverageText(batch),
    ...(way === '' ? [] : [`${way}\n`]),
    `${reportTable(reports)}\n\n`,
    ...(dropped === '' ? [] : [`${dropped}\n`]),
    ...reports.flatMap(({ file, sameBytesAs }) =>
      sameBytesAs.length === 0 ? [] : [`${file} has the same content as ${sameBytesAs.join(', ')}\n\n`],
    ),
    ...reports.flatMap(({ file, headerChange }) =>
      headerChange === undefined ? [] : [headerText(file, headerChange)],
    ),
    `run ${batch.run} of ${batch.publishedAt.toISOString()}, rules ${batch.rules}\ndigest ${batch.digest}\n\n`,
    `${runTable(runs)}\n\n`,
    ...(revisions.length === 0 ? [] : [`${revisionTable(revisions)}\n\n`]),
    `${totalsTable(totals)}\n`,
    ...(batch.accepted === 0 ? [] : [`accepted: ${batch.accepted}, ${acceptedText(batch) || 'no money at stake'}\n`]),
  ];
}

const reportTable = (reports: readonly BatchReport[]): string =>
  table(
    ['report', 'kind', 'revision', 'rows', 'SHA-256'],
    reports.map((report) => [report.file, report.kind, report.revision, report.rows, report.sha256]),
    [2, 3],
  );

const headerText = (file: string, { since, came, went }: NonNullable<BatchReport['headerChange']>): string =>
  `the header of ${file} differs from that of ${since}: ${[
    ...(came.length > 0 ? [`added: ${came.join(', ')}`] : []),
    ...(went.length > 0 ? [`removed: ${went.join(', ')}`] : []),
  ].join('; ')}\n\n`;
