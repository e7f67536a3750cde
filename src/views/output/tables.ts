import type { Writable } from 'node:stream';
import Table from 'cli-table3';
import type { Database } from '../../adapters/postgres/connection.ts';
import { compareText, type Kind } from '../../domain/discrepancy.ts';
import { bankText, bankWord } from '../bank/payouts.ts';
import { type StatementView, statementsOf } from '../bank/statements.ts';
import * as query from '../batches/batches.sql.ts';
import {
  ageOf,
  batchJson,
  coverageJson,
  dayJson,
  matchedRowsOf,
  notReport,
  stateOfBatch,
  totalJson,
} from '../batches/batches.ts';
import { KIND_DESCRIPTIONS } from '../batches/kind-descriptions.ts';

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

/** Whose it is, is said only where there are several merchants. */
export function batchTable(batches: readonly query.BatchView[], { isAged = false } = {}): string {
  const ofAge = (batch: query.BatchView): (string | number | null)[] => {
    const { since, ageDays } = ageOf(batch);
    return isAged ? [since && minuteOf(since), ageDays] : [];
  };
  const hasSeveral = new Set(batches.map(({ merchantId }) => merchantId)).size > 1;
  const ofMerchant = (id: string): string[] => (hasSeveral ? [id] : []);
  // Where the money is, is said only in a book that is asked for it.
  const hasBank = batches.some(({ payout }) => payout !== null);
  const ofBank = <Said>(said: Said): Said[] => (hasBank ? [said] : []);
  const head = ['acquirer', 'currency', 'rows', 'matched', 'settled', 'summary says', 'open', 'state'];
  return table(
    [
      ...ofMerchant('merchant'),
      'date',
      'batch or day',
      ...head,
      ...ofBank('bank'),
      ...(isAged ? ['since', 'days old'] : []),
    ],
    batches.map((batch) => {
      if (batch.batchId === null) {
        const day = dayJson(batch);
        // A day's report has rows of every acquirer, and settles nothing.
        const said = [day.rows, day.matchedRows, '', '', batch.open, stateText(batch)];
        const cells = ['', '', ...said, ...ofBank(null), ...ofAge(batch)];
        return [...ofMerchant(day.merchantId), day.transactionDate, 'transactions', ...cells];
      }
      const shown = batchJson(batch);
      return [
        ...ofMerchant(shown.merchantId),
        shown.settlementDate,
        shown.settlementBatchId,
        shown.acquirer,
        shown.settlementCurrency,
        shown.rows,
        shown.matchedRows,
        shown.details?.settlementAmount ?? null,
        shown.summary?.settlementAmount ?? null,
        batch.open,
        stateText(batch),
        ...ofBank(shown.bank === null ? null : bankText(shown.bank)),
        ...ofAge(batch),
      ];
    }),
    [4, 5, 6, 7, 8, ...(hasBank ? [12] : [11])].map((column) => column + ofMerchant('').length),
  );
}

/** What was accepted stands beside the state: it is reconciled because somebody said so. */
const stateText = (batch: query.BatchView): string =>
  batch.accepted === 0 ? stateOfBatch(batch) : `${stateOfBatch(batch)}, ${batch.accepted} accepted`;

/** What the answer of a batch or day is made of, and what was checked of it. Empty where a run of before did not count it. */
export function coverageText(batch: query.BatchView): string {
  const coverage = coverageJson(batch);
  if (coverage === null) return '';
  const { matched, noRecordNeeded, notDone, discrepant, refused, checks } = coverage;
  const parts: (readonly [string, { rows: number; settlementAmount: string | null }])[] = [
    ['matched with their record', matched],
    ...noRecordNeeded.map(({ type, ...part }) => [`no record needed: ${type}`, part] as const),
    ['not done', notDone],
    ['with a discrepancy', discrepant],
    ['refused', { ...refused, settlementAmount: null }],
  ];
  const rows = table(
    ['rows that are', 'rows', 'settled'],
    parts.map(([what, part]) => [what, part.rows, part.settlementAmount]),
    [1, 2],
  );
  const checked = table(
    ['check', 'state', 'why not'],
    checks.map(({ name, state, why }) => [name, state === 'done' ? 'done' : 'not possible', wrap(why ?? '', 80)]),
  );
  return `${rows}\n\n${checked}\n\n`;
}

/** As people write a time, in UTC, to the minute. */
export const minuteOf = (time: Date): string => time.toISOString().slice(0, 16).replace('T', ' ');

/** One line a kind, with a line in it for each currency, so that what it means is said once. */
export const totalsTable = (totals: readonly query.KindTotal[]): string =>
  table(
    ['what does not add up', 'count', 'at stake', 'what it means'],
    [...Map.groupBy(totals.map(totalJson), (total) => total.kind)].map(([kind, ofKind]) => [
      kind,
      ofKind.reduce((sum, { count }) => sum + count, 0),
      ofKind
        .flatMap(({ amountAtStake, currency }) => (amountAtStake === null ? [] : [`${amountAtStake} ${currency}`]))
        .join('\n'),
      wrap(KIND_DESCRIPTIONS[kind as Kind] ?? '', 60),
    ]),
    [1, 2],
  );

/** Lines of at most so many characters, broken between words. */
export const wrap = (text: string, width: number): string =>
  text.replaceAll(new RegExp(`(?=.{${width + 1}})(.{1,${width}})\\s+`, 'g'), '$1\n');

export const discrepancyTable = (rows: readonly query.HandledDiscrepancy[]): string =>
  table([...DISCREPANCY_HEAD], rows.map(discrepancyCells), AMOUNTS_OF_DISCREPANCY);

/** With since when each is open; where closed ones are among them, also until when and why. */
export function datedTable(rows: readonly query.DatedDiscrepancy[], isClosedToo: boolean): string {
  const ending = ({ until, closedBecause }: query.DatedDiscrepancy) =>
    isClosedToo ? [until && minuteOf(until), wrap(closedBecause ?? '', 40)] : [];
  return table(
    [...DISCREPANCY_HEAD, 'since', ...(isClosedToo ? ['until', 'closed because'] : [])],
    rows.map((row) => [...discrepancyCells(row), minuteOf(row.since), ...ending(row)]),
    AMOUNTS_OF_DISCREPANCY,
  );
}

const DISCREPANCY_HEAD = [
  'no',
  'batch or day',
  'kind',
  'file',
  'line',
  'request id',
  'reported',
  'recorded',
  'currency',
  'handling',
];
const AMOUNTS_OF_DISCREPANCY = [0, 4, 6, 7];

const discrepancyCells = (row: query.HandledDiscrepancy): (string | number | null)[] => [
  Number(row.no),
  row.settlementBatchId ?? row.transactionDate,
  row.kind,
  row.file,
  row.line,
  row.requestId,
  row.reported,
  row.recorded,
  row.currency,
  handlingText(row.handling),
];

/** How it stands, and whose it is. */
const handlingText = (handling: query.HandlingView | null): string => {
  if (handling === null) return '';
  const { state, assignedTo, until, reason } = handling;
  return [state, reason ?? '', assignedTo === null ? '' : `to ${assignedTo}`, until === null ? '' : `until ${until}`]
    .filter((text) => text !== '')
    .join(' ');
};

/** The answer for people: reports that cannot be used, batches and days, and what does not add up. */
export async function printSummary(
  { db }: Database,
  { deliveryNos, batchNos, notReports, bankFileNos = [] }: query.Asked,
  out: Writable,
): Promise<void> {
  const reports = await query.reportsOf(db, deliveryNos);
  const batches = await query.batchesOf(db, { batchNos });
  const totals = await query.totalsOf(db, { batchNos, isOfBankToo: bankFileNos.length > 0 });
  const statements = bankFileNos.length === 0 ? [] : await statementsOf(db, bankFileNos);
  const unusable = [
    ...reports.filter((report) => report.state === 'waiting' || report.state === 'refused'),
    ...notReports.filter(({ isRefused, isUnseen }) => isRefused || isUnseen).map(notReport),
  ].sort((a, b) => compareText(a.file, b.file));
  if (unusable.length > 0) {
    out.write(
      `${table(
        ['report', 'state', 'why'],
        unusable.map((report) => [report.file, report.state, wrap(report.errorMessage ?? '', 60)]),
      )}\n\n`,
    );
  }
  const unread = statements.filter(({ state }) => state === 'refused' || state === 'waiting');
  if (unread.length > 0) {
    const rows = unread.map(({ file, state, errorMessage }) => [file, state, wrap(errorMessage ?? '', 60)]);
    out.write(`${table(['bank statement', 'state', 'why'], rows)}\n\n`);
  }
  const failed = await query.failedBatchesOf(db, batchNos);
  if (failed.length > 0) {
    const why = failed.map((batch) => [batch.name, wrap(batch.reason, 80)]);
    out.write(`${table(['batch or day that could not be reconciled', 'why'], why)}\n\n`);
  }
  out.write(`${batchTable(batches)}\n\n`);
  if (totals.length > 0) out.write(`${totalsTable(totals)}\n\n`);
  const discrepancies = totals.reduce((sum, total) => sum + total.count, 0);
  const rows = batches.reduce((sum, batch) => sum + batch.facts.rows, 0);
  const matched = batches.reduce((sum, batch) => sum + matchedRowsOf(batch), 0);
  const reconciled = batches.filter((batch) => stateOfBatch(batch) === 'reconciled').length;
  const accepted = batches.reduce((sum, batch) => sum + batch.accepted, 0);
  out.write(
    `${reports.length} reports, ${rows.toLocaleString('en')} rows, ${matched.toLocaleString('en')} matched; ` +
      `${reconciled} of ${batches.length} batches and days reconciled, ${discrepancies.toLocaleString('en')} discrepancies${accepted === 0 ? '' : `, ${accepted.toLocaleString('en')} accepted`}.\n`,
  );
  if (statements.length > 0) out.write(`${bankSummary(batches, statements)}\n`);
}

/** How many payouts are where, and how many statements say so. */
function bankSummary(batches: readonly query.BatchView[], statements: readonly StatementView[]): string {
  const states = batches.flatMap(({ payout }) => (payout === null ? [] : [payout.state]));
  const counted = [...Map.groupBy(states, (state) => state)].map(([state, of]) => `${of.length} ${bankWord(state)}`);
  const files = new Set(statements.map(({ file }) => file)).size;
  const read = `${statements.length} bank statements in ${files} files`;
  return `${read}; payouts: ${counted.length === 0 ? 'none on these accounts' : counted.sort().join(', ')}.`;
}
