import { type Database, inPortions, inTransaction, onOneConnection } from '../adapters/postgres.ts';
import type { Currency } from '../domain/currency.ts';
import { compareText, stateOf } from '../domain/discrepancy.ts';
import { REPORT_REFUSALS } from '../domain/errors.ts';
import { formatAmount } from '../domain/money.ts';
import * as query from './answer.sql.ts';

/** What `reconcile --json` prints, as one document; the discrepancies come a few thousand at a time. */
export async function* answer(
  database: Database,
  { deliveryNos, batchNos, notReports }: query.Asked,
): AsyncGenerator<string> {
  const filter = { batchNos };
  const reports = [...(await query.reportsOf(database.db, deliveryNos)), ...notReports.map(notReport)].sort(
    (a, b) => compareText(a.file, b.file) || a.revision - b.revision,
  );
  const views = await query.batchesOf(database.db, filter);
  const totals = await query.totalsOf(database.db, filter);
  const batches = views.filter((view) => view.batchId !== null).map(batchJson);
  const days = views.filter((view) => view.batchId === null).map(dayJson);
  const all = [...batches, ...days];
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  yield `{"reports":${JSON.stringify(reports.map(reportJson))},"batches":${JSON.stringify(batches)},"transactionDays":${JSON.stringify(days)},`;
  yield '"discrepancies":';
  yield* discrepancies(database, filter);
  const counts = {
    reports: reports.length,
    rows: sum(all.map((batch) => batch.rows)),
    matchedRows: sum(all.map((batch) => batch.matchedRows)),
    refusedRows: sum(reports.map((report) => report.refusedRows)),
    discrepancies: sum(totals.map((total) => total.count)),
  };
  yield `,"discrepancyTotals":${JSON.stringify(totals.map(totalJson))},"counts":${JSON.stringify(counts)}}\n`;
}

/** Open discrepancies as a JSON array, in flat memory. */
export async function* discrepancies(database: Database, filter: query.BatchFilter): AsyncGenerator<string> {
  let separator = '[\n';
  for await (const rows of discrepancyPortions(database, filter)) {
    yield rows.map((row, index) => `${index === 0 ? separator : ',\n'}${JSON.stringify(row)}`).join('');
    separator = ',\n';
  }
  yield separator === '[\n' ? '[]' : '\n]';
}

/** Open discrepancies, a few thousand at a time. */
export async function* discrepancyPortions(
  database: Database,
  filter: query.BatchFilter,
): AsyncGenerator<query.DiscrepancyView[]> {
  // A cursor lives in a transaction; its connection is held until the last row is out.
  const portions: query.DiscrepancyView[][] = [];
  let wake: (() => void) | undefined;
  let drained: (() => void) | undefined;
  let failure: unknown;
  let isDone = false;
  const reading = onOneConnection(database, (db) =>
    inTransaction(db, async () => {
      for await (const rows of inPortions<query.DiscrepancyView>(db, query.openDiscrepancies(filter))) {
        portions.push(rows);
        wake?.();
        if (portions.length >= 4) await new Promise<void>((resolve) => (drained = resolve));
      }
    }),
  ).catch((error) => {
    failure = error;
  });
  reading.then(() => {
    isDone = true;
    wake?.();
  });
  for (;;) {
    const rows = portions.shift();
    if (rows) {
      drained?.();
      yield rows;
    } else if (isDone) break;
    else await new Promise<void>((resolve) => (wake = resolve));
  }
  if (failure) throw failure;
}

/** A file that was named, and whose name is no report's. */
const notReport = (file: string): query.ReportView => ({
  file,
  kind: null,
  state: 'refused',
  revision: 1,
  rows: 0,
  refusedRows: 0,
  errorCode: 'unknown_format',
  errorMessage: REPORT_REFUSALS.unknown_format,
});

const reportJson = (report: query.ReportView) => ({
  file: report.file,
  kind: report.kind,
  state: report.state,
  revision: report.revision,
  rows: report.rows,
  refusedRows: report.refusedRows,
  error: report.errorCode === null ? null : { code: report.errorCode, message: report.errorMessage },
});

/** Zero rows of a report whose unit is wrong are matched. */
export const matchedRowsOf = ({ facts, toldRows }: query.BatchView): number =>
  facts.wrongUnit ? 0 : facts.matchableRows - toldRows;

export const stateOfBatch = ({ facts, open }: query.BatchView) =>
  stateOf({ waiting: facts.waiting ?? false, missing: facts.missing, open });

export function batchJson(batch: query.BatchView) {
  const currency = batch.currency as Currency;
  const amount = (minor: string) => formatAmount(BigInt(minor), currency);
  // What no row states is shown as nothing: here every sum is a number.
  const sums = (shown: { count: number | null; settlementMinor: string | null; feeMinor: string | null } | null) =>
    shown && {
      count: shown.count ?? 0,
      settlementAmount: amount(shown.settlementMinor ?? '0'),
      feeAmount: amount(shown.feeMinor ?? '0'),
    };
  const { facts } = batch;
  return {
    merchantId: batch.merchantId,
    settlementBatchId: batch.batchId,
    acquirer: batch.acquirer,
    settlementCurrency: batch.currency,
    settlementDate: batch.settlementDate,
    state: stateOfBatch(batch),
    rows: facts.rows,
    matchedRows: matchedRowsOf(batch),
    totals: facts.totals.map(({ type, ...shown }) => ({ type, ...sums(shown) })),
    details: sums(facts.details),
    summary: sums(facts.summary),
    residual: facts.residualMinor === null ? null : amount(facts.residualMinor),
  };
}

export const dayJson = (day: query.BatchView) => ({
  merchantId: day.merchantId,
  transactionDate: day.day,
  state: stateOfBatch(day),
  rows: day.facts.rows,
  matchedRows: matchedRowsOf(day),
});

export const totalJson = ({ kind, currency, count, stakeMinor }: query.KindTotal) => ({
  kind,
  currency,
  count,
  amountAtStake: stakeMinor === null ? null : formatAmount(BigInt(stakeMinor), currency as Currency),
});
