import type { Database, Db } from '../../adapters/postgres/connection.ts';
import { streamHeld } from '../../adapters/postgres/cursors.ts';
import { compareText, stateOf } from '../../domain/discrepancy.ts';
import { coverageOf, type Rows } from '../../domain/matching/coverage.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import { headerChange } from '../../domain/report/header.ts';
import { isBankUsed } from '../bank/payouts.sql.ts';
import { bankJson } from '../bank/payouts.ts';
import { statementJson, statementsOf } from '../bank/statements.ts';
import * as query from './batches.sql.ts';

/** What `reconcile --json` prints, as one document; the discrepancies come a few thousand at a time. */
export async function* answer(
  database: Database,
  { deliveryNos, batchNos, notReports, bankFileNos = [] }: query.Asked,
): AsyncGenerator<string> {
  const filter = { batchNos, isOfBankToo: bankFileNos.length > 0 };
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
    reports: reports.filter(({ state }) => state !== 'skipped').length,
    rows: sum(all.map((batch) => batch.rows)),
    matchedRows: sum(all.map((batch) => batch.matchedRows)),
    // As with rows: what was replaced is not counted.
    refusedRows: sum(reports.map((report) => (report.isNewest ? report.refusedRows : 0))),
    discrepancies: sum(totals.map((total) => total.count)),
  };
  yield `,"discrepancyTotals":${JSON.stringify(totals.map(totalJson))},"counts":${JSON.stringify(counts)}`;
  if (await isBankUsed(database.db))
    yield `,"bankStatements":${JSON.stringify((await statementsOf(database.db, bankFileNos)).map(statementJson))}`;
  yield '}\n';
}

/** Open discrepancies as a JSON array, in flat memory. */
const discrepancies = (database: Database, filter: query.DiscrepancyFilter): AsyncGenerator<string> =>
  jsonArray(discrepancyPortions(database, filter));

/** A JSON array, a line for each of its values. */
export async function* jsonArray<Row>(
  portions: AsyncIterable<readonly Row[]>,
  shown: (row: Row) => unknown = (row) => row,
): AsyncGenerator<string> {
  let separator = '[\n';
  for await (const rows of portions) {
    yield rows.map((row, index) => `${index === 0 ? separator : ',\n'}${JSON.stringify(shown(row))}`).join('');
    separator = ',\n';
  }
  yield separator === '[\n' ? '[]' : '\n]';
}

/** Open discrepancies, some hundred at a time. */
const discrepancyPortions = (
  database: Database,
  filter: query.DiscrepancyFilter,
): AsyncGenerator<query.DiscrepancyView[]> => streamHeld(database, query.openDiscrepancies(filter));

/** The same with how they are handled; those that were accepted are among them. */
export const handledPortions = (
  database: Database,
  filter: query.DiscrepancyFilter,
): AsyncGenerator<query.HandledDiscrepancy[]> =>
  streamHeld(database, query.handledDiscrepancies({ ...filter, isAcceptedToo: true }));

const MOST_AT_ONCE = 1_001;

/** Discrepancies up to the limit, and where the rest of them begins: known when all portions were read. */
export function discrepancyPage(database: Database, filter: query.DiscrepancyFilter) {
  const { limit = Number.POSITIVE_INFINITY } = filter;
  let next: string | null = null;
  return {
    /** What to give as `after` to go on; null when nothing is left. */
    next: () => next,
    async *portions(): AsyncGenerator<query.DatedDiscrepancy[]> {
      // One more than is shown tells that there is more.
      const more = filter.limit === undefined ? filter : { ...filter, limit: filter.limit + 1 };
      let left = limit;
      let last: query.DatedDiscrepancy | undefined;
      for await (const rows of portionsOf(database, more)) {
        const shown = rows.slice(0, left);
        last = shown.at(-1) ?? last;
        if (rows.length > left) next = String(last!.no);
        left -= shown.length;
        if (shown.length > 0) yield shown;
      }
    },
  };
}

/** What is held to be fetched in portions is not bounded in time: what fits into one is asked for at once. */
async function* portionsOf(database: Database, filter: query.DiscrepancyFilter) {
  const statement = query.datedDiscrepancies(filter);
  if (filter.limit === undefined || filter.limit > MOST_AT_ONCE)
    return yield* streamHeld<query.DatedDiscrepancy>(database, statement);
  yield ((await statement.execute(database.db)) as { rows: query.DatedDiscrepancy[] }).rows;
}

export const datedJson = ({ until, closedBecause, ...row }: query.DatedDiscrepancy, isClosedToo: boolean) =>
  handledJson(isClosedToo ? { ...row, until, closedBecause } : row);

/** With its number, by which it is handled, and how it is handled. */
export const handledJson = <Row extends query.HandledDiscrepancy>({ no, handling, ...row }: Row) => ({
  ...row,
  no: Number(no),
  handling,
});

/** A file that is no report that can be read. */
export const notReport = ({ file, isRefused, kind, code, why }: query.NotReport): query.ReportView => ({
  file,
  kind,
  state: isRefused ? 'refused' : 'skipped',
  revision: 1,
  rows: 0,
  refusedRows: 0,
  isNewest: true,
  errorCode: code,
  errorMessage: why,
  header: null,
  headerOf: null,
  headerBefore: null,
});

/** With its number, whose it is, and when it was found. */
export const listedReportJson = (report: query.ListedReport) => ({
  no: report.no,
  merchantId: report.merchantId,
  settlementBatchId: report.settlementBatchId,
  transactionDate: report.transactionDate,
  foundAt: report.foundAt,
  isWithdrawn: report.isWithdrawn,
  ...reportJson(report),
});

const reportJson = (report: query.ReportView) => ({
  file: report.file,
  kind: report.kind,
  state: report.state,
  revision: report.revision,
  rows: report.rows,
  refusedRows: report.refusedRows,
  error: report.errorCode === null ? null : { code: report.errorCode, message: report.errorMessage },
  ...headerNote(report),
});

/** How its header differs from that of the report before; nothing where it does not, or there was none. */
function headerNote({ header, headerOf, headerBefore }: query.ReportView) {
  const change = header && headerBefore && headerChange(headerBefore, header);
  return change ? { headerChange: { since: headerOf, ...change } } : {};
}

/** Zero rows of a report whose unit is wrong are matched. */
export const matchedRowsOf = ({ facts, toldRows }: query.BatchView): number =>
  facts.wrongUnit ? 0 : facts.matchableRows - toldRows;

export const stateOfBatch = ({ facts, open }: query.BatchView) =>
  stateOf({ waiting: facts.waiting ?? false, missing: facts.missing, uncompared: facts.uncompared ?? false, open });

/** Batches and days of a filter that are in a state; in any, where none is given. */
export async function batchesIn(db: Db, filter: query.BatchFilter, state?: string): Promise<query.BatchView[]> {
  const all = await query.batchesOf(db, filter);
  return state === undefined ? all : all.filter((batch) => stateOfBatch(batch) === state);
}

/** What the answer is made of; null where a run of before did not count it. */
export function coverageJson({ facts, coverage: split, named, batchId, currency }: query.BatchView) {
  if (split === null) return null;
  const { matched, noRecordNeeded, notDone, discrepant, refused } = coverageOf(split, named, facts.wrongUnit);
  // Days settle nothing.
  const shown = ({ rows, settlementMinor }: Rows) => ({
    rows,
    settlementAmount: batchId === null ? null : formatAmount(BigInt(settlementMinor), currency as Currency),
  });
  return {
    matched: shown(matched),
    noRecordNeeded: noRecordNeeded.map(({ type, ...rows }) => ({ type, ...shown(rows) })),
    notDone: shown(notDone),
    discrepant: shown(discrepant),
    refused: { rows: refused },
    // In an order of its own: the database keeps none of keys.
    checks: split.checks.map(({ name, state, why }) => ({ name, state, why })),
  };
}

export function batchJson(batch: query.BatchView) {
  const currency = batch.currency as Currency;
  const amount = (minor: string) => formatAmount(BigInt(minor), currency);
  // Of amounts, what no row states is shown as nothing: here each of them is a number.
  const sums = <Count extends number | null>(shown: {
    count: Count;
    settlementMinor: string | null;
    feeMinor: string | null;
  }) => ({
    count: shown.count,
    settlementAmount: amount(shown.settlementMinor ?? '0'),
    feeAmount: amount(shown.feeMinor ?? '0'),
  });
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
    details: facts.details && sums(facts.details),
    summary: facts.summary && sums(facts.summary),
    residual: facts.residualMinor === null ? null : amount(facts.residualMinor),
    coverage: coverageJson(batch),
    accepted: acceptedJson(batch),
    bank: bankJson(batch.payout, currency),
  };
}

export const dayJson = (day: query.BatchView) => ({
  merchantId: day.merchantId,
  transactionDate: day.day,
  state: stateOfBatch(day),
  rows: day.facts.rows,
  matchedRows: matchedRowsOf(day),
  coverage: coverageJson(day),
  accepted: acceptedJson(day),
});

/** What was accepted of it, which is no longer open. */
export const acceptedJson = ({ accepted, acceptedMoney }: query.BatchView) => ({
  count: accepted,
  amounts: acceptedMoney.map(({ currency, minor }) => ({ currency, amount: formatAmount(BigInt(minor), currency) })),
});

/** A batch or day with since when it is not reconciled, and how old it is; what is reconciled does not age. */
export const agedJson = (batch: query.BatchView) => ({
  ...(batch.batchId === null ? dayJson(batch) : batchJson(batch)),
  ...ageOf(batch),
});

export const ageOf = (batch: query.BatchView): { since: Date | null; ageDays: number | null } =>
  stateOfBatch(batch) === 'reconciled'
    ? { since: null, ageDays: null }
    : { since: batch.since, ageDays: batch.ageDays };

export const totalJson = ({ kind, currency, count, stakeMinor }: query.KindTotal) => ({
  kind,
  currency,
  count,
  amountAtStake: stakeMinor === null ? null : formatAmount(BigInt(stakeMinor), currency as Currency),
});
