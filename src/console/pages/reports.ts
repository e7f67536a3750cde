import { html } from 'hono/html';
import type { Database } from '../../adapters/postgres/connection.ts';
import { originalOf } from '../../views/batches/archived-original.ts';
import { type ListedReport, listedReports, type ReportFilter } from '../../views/batches/batches.sql.ts';
import { stateOfReport } from '../../views/batches/report-list.ts';
import type { Change } from '../../views/restatements/changes.ts';
import {
  address,
  badge,
  belowList,
  dataTable,
  fileCell,
  type Html,
  input,
  link,
  minute,
  type Signed,
  select,
} from '../layout.ts';

const PAGE_ROWS = 200;
const STATES = ['closed', 'waiting', 'refused'];

/** Reports, the first delivered first, each as its newest delivery is. */
export async function reportsPage(
  { db }: Database,
  filter: ReportFilter,
  { merchants }: Signed,
): Promise<readonly Html[]> {
  const found = await listedReports(db, { ...filter, merchants, limit: PAGE_ROWS + 1 });
  const shown = found.slice(0, PAGE_ROWS);
  const { merchant, batch, state } = filter;
  return [
    html`<form class="filter" method="get">${input('Merchant', 'merchant', merchant)}${input('Batch or day', 'batch', batch)}${select('State', 'state', STATES, state)}<button>Show</button></form>`,
    dataTable(
      'Reports',
      [
        'no#',
        'file',
        'state',
        'kind',
        'merchant',
        'batch or day',
        'revision#',
        'rows#',
        'refused rows#',
        'found',
        'error',
      ],
      shown.map((report) => [
        link(`/reports/${report.no}`, report.no),
        fileCell(report.file),
        badge(stateOfReport(report)),
        ...[report.kind, report.merchantId, report.settlementBatchId ?? report.transactionDate],
        ...[report.revision, report.rows, report.refusedRows, minute(report.foundAt)],
        report.errorMessage,
      ]),
      'There is none that this filter names.',
    ),
    belowList('/reports', { merchant, batch, state }, found.length > shown.length ? shown.at(-1)!.no : undefined),
  ];
}

/** The report of this number; null where it is not there for whoever asks. */
export async function reportNumbered(
  { db }: Database,
  no: number,
  { merchants }: Signed,
): Promise<ListedReport | null> {
  return (await listedReports(db, { nos: [no], merchants }))[0] ?? null;
}

/** Whether somebody may replay and withdraw. */
export const mayRepair = ({ roles }: Signed): boolean => roles.includes('engineer');

/** One report, its archived original, and what may be done about it. */
export async function reportDetail({ db }: Database, report: ListedReport, signed: Signed): Promise<readonly Html[]> {
  const { no, errorCode, errorMessage } = report;
  const original = await originalOf(db, no);
  const batch = report.settlementBatchId ?? report.transactionDate ?? undefined;
  const facts: readonly (readonly [string, Html | string | number | null])[] = [
    ['file', report.file],
    ['kind', report.kind],
    ['merchant', report.merchantId],
    [
      'batch or day',
      batch === undefined ? null : link(address('/reports', { merchant: report.merchantId, batch }), batch),
    ],
    ['state', badge(stateOfReport(report))],
    ['error', errorCode === null ? null : `${errorCode}: ${errorMessage}`],
    ['revision', report.revision],
    ['rows', report.rows],
    ['rows refused', report.refusedRows],
    ['found', minute(report.foundAt)],
    ['SHA-256', original?.sha256 ?? null],
    ['original', originalText(no, original)],
  ];
  return [
    html`<dl>${facts.flatMap(([name, value]) => (value === null ? [] : [html`<dt>${name}</dt><dd>${value}</dd>`]))}</dl>`,
    mayRepair(signed) ? repairForms(no, signed) : html``,
  ];
}

function originalText(no: number, original: Awaited<ReturnType<typeof originalOf>>): Html | string {
  if (original === null) return 'not read to its end yet';
  return original.droppedAt === null
    ? link(`/reports/${no}/original`, 'download')
    : `dropped on ${minute(original.droppedAt)}, because it is old`;
}

const repairForms = (no: number, { formToken }: Signed): Html => html`
<form class="act" method="post" action="/reports/${no}/replay"><input type="hidden" name="token" value="${formToken}"><span>Read it again under today's settings and records.</span> <button>Show what that would change</button></form>
<form class="act" method="post" action="/reports/${no}/withdraw"><input type="hidden" name="token" value="${formToken}"><label>Why it is withdrawn <input name="reason" size="40" required></label><button>Withdraw</button></form>`;

/** What a replay would change, or what a replay or a withdrawal has changed. */
export function changesPage(
  no: number,
  { changes, hasFailed }: { readonly changes: readonly Change[]; readonly hasFailed: boolean },
  { isDry, formToken }: { readonly isDry: boolean; readonly formToken: string },
): readonly Html[] {
  return [
    hasFailed
      ? html`<p class="wrong" role="alert">Some report or batch could not be read or reconciled: see Health and the log.</p>`
      : html``,
    dataTable(
      isDry ? 'What would change' : 'What changed',
      ['merchant', 'batch or day', 'currency', 'settled before#', 'after#', 'opened#', 'closed#', 'kept#'],
      changes.map((change) => [
        ...[change.merchantId, change.settlementBatchId ?? change.transactionDate, change.settlementCurrency],
        ...[change.before.net, change.after.net, change.opened, change.closed, change.kept],
      ]),
      'Nothing.',
    ),
    isDry
      ? html`<form class="act" method="post" action="/reports/${no}/replay"><input type="hidden" name="token" value="${formToken}"><input type="hidden" name="confirmed" value="yes"><span>Nothing was changed yet.</span> <button>Replay</button></form>`
      : html``,
    html`<p>${link(`/reports/${no}`, 'Back to the report')}</p>`,
  ];
}
