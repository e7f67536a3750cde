import { html } from 'hono/html';
import type { Database, Db } from '../../adapters/postgres/connection.ts';
import { BATCH_STATES } from '../../domain/discrepancy.ts';
import { waterfallOf } from '../../domain/matching/waterfall.ts';
import type { Currency } from '../../domain/money/currency.ts';
import type { Person } from '../../domain/roles.ts';
import { bankJson } from '../../views/bank/payouts.ts';
import { batchDetail } from '../../views/batches/batch-detail.ts';
import { type BatchPage, batchPage } from '../../views/batches/batch-page.ts';
import { type BatchView, batchesOf, totalsOf } from '../../views/batches/batches.sql.ts';
import {
  acceptedJson,
  batchJson,
  coverageJson,
  matchedRowsOf,
  stateOfBatch,
  totalJson,
} from '../../views/batches/batches.ts';
import { feeSignOf } from '../../views/batches/fee-sign.ts';
import { address, badge, belowList, dataTable, fileCell, type Html, input, link, minute, select } from '../layout.ts';
import { waterfallTable } from './waterfall.ts';

const PAGE_ROWS = 200;

export type BatchQuery = Omit<BatchPage, 'merchants' | 'limit' | 'isLatestFirst'>;

const nameOf = ({ batchId, day }: BatchView): string => batchId ?? `transactions of ${day}`;

/** Money that was accepted, one currency after the other. */
const acceptedOf = (batch: BatchView): string => {
  const { count, amounts } = acceptedJson(batch);
  return count === 0 ? '' : [`${count}`, ...amounts.map(({ amount, currency }) => `${amount} ${currency}`)].join(', ');
};

/** Batches and days, the latest first. */
export async function batchesPage(
  { db }: Database,
  query: BatchQuery,
  { merchants }: Person,
): Promise<readonly Html[]> {
  const found = await batchPage(db, { ...query, merchants, limit: PAGE_ROWS + 1, isLatestFirst: true });
  const shown = found.slice(0, PAGE_ROWS);
  const { merchant, from, to, state } = query;
  const filter = { merchant, from, to, state };
  return [
    html`<form class="filter" method="get">${input('Merchant', 'merchant', merchant)}${input('From', 'from', from, 'date')}${input('To', 'to', to, 'date')}${select('State', 'state', BATCH_STATES, state)}<button>Show</button></form>`,
    dataTable(
      'Batches and days, the latest first',
      [
        'date',
        'batch or day',
        'merchant',
        'acquirer',
        'rows#',
        'matched#',
        'settled#',
        'summary says#',
        'currency',
        'open#',
        'accepted',
        'state',
        'payout',
      ],
      shown.map(lineOf),
      'There is none. Reports are reconciled as they arrive: "settlestream run", or "settlestream reconcile".',
    ),
    belowList('/batches', filter, found.length > shown.length ? shown.at(-1)!.no : undefined),
  ];
}

function lineOf(batch: BatchView) {
  const { details = null, summary = null } = batch.batchId === null ? {} : batchJson(batch);
  return [
    batch.settlementDate ?? batch.day,
    link(`/batches/${batch.no}`, nameOf(batch)),
    batch.merchantId,
    batch.acquirer,
    batch.facts.rows.toLocaleString('en'),
    matchedRowsOf(batch).toLocaleString('en'),
    details?.settlementAmount ?? null,
    summary?.settlementAmount ?? null,
    batch.currency,
    batch.open.toLocaleString('en'),
    acceptedOf(batch),
    badge(stateOfBatch(batch)),
    batch.payout === null ? null : badge(batch.payout.state),
  ];
}

/** One batch or day; null where there is none of this number, or it has no result. */
export async function batchDetails(
  database: Database,
  no: number,
  { merchants }: Person,
): Promise<{ readonly title: string; readonly body: readonly Html[] } | null> {
  const { db } = database;
  const [batch] = await batchesOf(db, { batchNos: [no], merchants });
  if (batch === undefined) return null;
  const detail = await batchDetail(database, batch, { batchNos: [no], merchants });
  const totals = await totalsOf(db, { batchNos: [no] });
  const accepted = acceptedOf(batch);
  return {
    title: `${batch.batchId === null ? 'Transactions of' : 'Batch'} ${batch.batchId ?? batch.day}`,
    body: [
      html`<p>${badge(stateOfBatch(batch))} · ${batch.merchantId} · ${batch.settlementDate ?? batch.day} · ${batch.currency ?? ''} · ${batch.open} open${accepted === '' ? '' : `, accepted: ${accepted}`}</p>`,
      ...(await moneyOf(db, batch)),
      coverageTables(batch),
      dataTable(
        'What does not add up',
        ['kind', 'count#', 'at stake#', 'currency'],
        totals
          .map(totalJson)
          .map(({ kind, count, amountAtStake, currency }) => [
            link(
              address('/discrepancies', { batch: batch.batchId ?? batch.day ?? '', merchant: batch.merchantId, kind }),
              kind,
            ),
            count,
            amountAtStake,
            currency,
          ]),
        'Nothing is open.',
      ),
      dataTable(
        'Reports',
        ['report', 'kind', 'revision#', 'rows#', 'SHA-256'],
        detail.reports.map(({ file, kind, revision, rows, sha256 }) => [
          fileCell(file),
          kind,
          revision,
          rows,
          `${sha256.slice(0, 16)}…`,
        ]),
        'No report of it counts.',
      ),
      dataTable(
        'Runs',
        ['run#', 'published', 'because of'],
        detail.runs.map((run) => [
          run.run,
          minute(run.publishedAt),
          run.causes.map(({ cause, by }) => (by === null ? cause : `${cause} ${by}`)).join(', '),
        ]),
        'There is none.',
      ),
    ],
  };
}

/** From the rows to the bank. */
async function moneyOf(db: Db, batch: BatchView): Promise<Html[]> {
  const { batchId, currency, facts, payout } = batch;
  if (batchId === null) return [];
  const steps = waterfallOf(facts, await feeSignOf(db, batch), payout);
  if (steps.length === 0 || currency === null)
    return [html`<section><h2>From the rows to the bank</h2><p class="none">No row was read.</p></section>`];
  return [waterfallTable(steps, currency as Currency), ...bankTables(batch)];
}

function bankTables({ payout, currency }: BatchView): Html[] {
  if (payout === null)
    return [
      html`<p class="note">No account is known for its payout, so nothing is said of whether it has arrived.</p>`,
    ];
  const { state, dueBy, entries } = bankJson(payout, currency as Currency)!;
  return [
    html`<p>Payout: ${badge(state)}${dueBy === null ? '' : `, due by ${dueBy}`}</p>`,
    dataTable(
      'At the bank',
      ['booked', 'account', 'amount#', 'reference', 'file', 'line#'],
      entries.map(({ bookingDate, account, amount, reference, file, line }) => [
        ...[bookingDate, account, amount, reference],
        fileCell(file),
        line,
      ]),
      'No entry pays it.',
    ),
  ];
}

function coverageTables(batch: BatchView): Html {
  const coverage = coverageJson(batch);
  if (coverage === null) return html``;
  const { matched, noRecordNeeded, notDone, discrepant, refused, checks } = coverage;
  return html`${dataTable(
    'What the answer is made of',
    ['rows that are', 'rows#', 'settled#'],
    [
      ['matched with their record', matched.rows, matched.settlementAmount],
      ...noRecordNeeded.map(({ type, rows, settlementAmount }) => [
        `no record needed: ${type}`,
        rows,
        settlementAmount,
      ]),
      ['not done', notDone.rows, notDone.settlementAmount],
      ['with a discrepancy', discrepant.rows, discrepant.settlementAmount],
      ['refused', refused.rows, null],
    ],
    '',
  )}${dataTable(
    'What was checked',
    ['check', 'state', 'why not'],
    checks.map(({ name, state, why }) => [name, state === 'done' ? 'done' : 'not possible', why]),
    '',
  )}`;
}
