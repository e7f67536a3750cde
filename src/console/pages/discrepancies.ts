import { html } from 'hono/html';
import type { Database } from '../../adapters/postgres/connection.ts';
import { KINDS } from '../../domain/discrepancy.ts';
import { ACTIONS, REASONS, STATES } from '../../domain/handling.ts';
import { type DatedDiscrepancy, type DiscrepancyFilter, datedDiscrepancies } from '../../views/batches/batches.sql.ts';
import { discrepancyPage } from '../../views/batches/batches.ts';
import { KIND_DESCRIPTIONS } from '../../views/batches/kind-descriptions.ts';
import { handlingHistory, latestOf } from '../../views/handling/history.ts';
import {
  address,
  badge,
  belowList,
  dataTable,
  type Html,
  input,
  link,
  minute,
  type Signed,
  select,
} from '../layout.ts';

const PAGE_ROWS = 100;

/** What the address says: texts of filters, as they are written there. */
export type ListQuery = Readonly<
  Partial<Record<'merchant' | 'from' | 'to' | 'kind' | 'batch' | 'handling' | 'assigned' | 'after' | 'ticked', string>>
>;

/** The list with its filter, and a form that handles those that are ticked. */
export async function discrepanciesPage(
  database: Database,
  query: ListQuery,
  filter: DiscrepancyFilter,
  signed: Signed,
): Promise<readonly Html[]> {
  const list = discrepancyPage(database, { ...filter, limit: PAGE_ROWS });
  const rows: DatedDiscrepancy[] = [];
  for await (const portion of list.portions()) rows.push(...portion);
  const seen = await latestOf(
    database.db,
    rows.map(({ no }) => no),
  );
  const next = list.next();
  const here = address('/discrepancies', { ...query, ticked: undefined });
  const { after: _, ticked, ...all } = query;
  return [
    html`<form class="filter" method="get">${select('Kind', 'kind', KINDS, query.kind)}${input('Merchant', 'merchant', query.merchant)}${input('Batch or day', 'batch', query.batch)}${input('From', 'from', query.from, 'date')}${input('To', 'to', query.to, 'date')}${select('Handling', 'handling', STATES, query.handling, 'all that is open')}${input('Assigned to', 'assigned', query.assigned)}<button>Show</button></form>`,
    html`<form method="post" action="/discrepancies/handle">
<input type="hidden" name="token" value="${signed.formToken}"><input type="hidden" name="back" value="${here.slice('/discrepancies'.length)}">
${rows.map(({ no }) => html`<input type="hidden" name="seen-${no.toString()}" value="${seen.get(no)?.toString() ?? ''}">`)}
${dataTable(
  rows.length === 0 ? 'Discrepancies' : `Discrepancies, by batch${next === null ? '' : `, the first ${PAGE_ROWS}`}`,
  [
    '',
    'no#',
    'handling',
    'kind',
    'merchant',
    'batch or day',
    'request id',
    'reported#',
    'recorded#',
    'difference#',
    'currency',
    'since',
  ],
  rows.map((row) => lineOf(row, ticked === 'all')),
  'Nothing is open that this filter names.',
)}
${rows.length === 0 || !mayHandle(signed) ? '' : html`<p>${link(address('/discrepancies', { ...query, ticked: ticked === 'all' ? undefined : 'all' }), ticked === 'all' ? 'Tick none' : `Tick all ${rows.length} of this page`)}</p>${actionForm()}`}
</form>`,
    belowList('/discrepancies', all, next ?? undefined),
  ];
}

const handlingCell = ({ handling }: DatedDiscrepancy): Html | null =>
  handling === null
    ? null
    : html`${badge(handling.state)}${handling.assignedTo === null ? '' : ` ${handling.assignedTo}`}`;

const lineOf = (row: DatedDiscrepancy, isTicked: boolean) => [
  html`<input type="checkbox" name="no" value="${row.no.toString()}" aria-label="discrepancy ${row.no.toString()}"${isTicked ? html` checked` : ''}>`,
  link(`/discrepancies/${row.no}`, Number(row.no)),
  handlingCell(row),
  row.kind,
  row.merchantId,
  row.settlementBatchId ?? row.transactionDate,
  row.requestId === null
    ? null
    : link(address('/payments', { id: row.requestId, merchant: row.merchantId ?? undefined }), row.requestId),
  row.reported,
  row.recorded,
  row.difference,
  row.currency,
  minute(row.since),
];

/** Whether somebody may do anything about discrepancies. */
export const mayHandle = ({ roles }: Signed): boolean => roles.includes('analyst') || roles.includes('approver');

/** What to do: each action takes those of the fields that it needs. */
const actionForm = (): Html => html`<fieldset class="act"><legend>What to do</legend>
${select('Action', 'action', ACTIONS, undefined, 'choose')}${select('Reason (accept)', 'reason', REASONS, undefined, 'none')}
<label>Text <input name="text" size="40"></label>${input('To (assign)', 'to', undefined)}${input('Until (snooze), due (assign)', 'until', undefined, 'date')}<button>Do it</button></fieldset>`;

/** One discrepancy: what both sides say, and what was done about it. Null where there is none of this number. */
export async function discrepancyDetail({ db }: Database, no: bigint, signed: Signed): Promise<readonly Html[] | null> {
  const { rows } = (await datedDiscrepancies({
    nos: [no],
    isClosedToo: true,
    limit: 1,
    merchants: signed.merchants,
  }).execute(db)) as { rows: DatedDiscrepancy[] };
  const [row] = rows;
  if (row === undefined) return null;
  const history = await handlingHistory(db, no);
  const seen = await latestOf(db, [no]);
  const facts: readonly (readonly [string, Html | string | number | null])[] = [
    ['kind', row.kind],
    ['meaning', KIND_DESCRIPTIONS[row.kind]],
    ['merchant', row.merchantId],
    ['batch or day', row.settlementBatchId ?? row.transactionDate],
    ['file', row.file === null ? null : `${row.file}${row.line === null ? '' : `, line ${row.line}`}`],
    ['type', row.type],
    [
      'request id',
      row.requestId === null
        ? null
        : link(address('/payments', { id: row.requestId, merchant: row.merchantId ?? undefined }), row.requestId),
    ],
    ['transaction id', row.transactionId],
    ['open since', minute(row.since)],
    ['closed', row.until === null ? null : `${minute(row.until)}: ${row.closedBecause}`],
  ];
  return [
    html`<p>${row.message}</p><dl>${facts.flatMap(([name, value]) => (value === null ? [] : [html`<dt>${name}</dt><dd>${value}</dd>`]))}</dl>`,
    dataTable(
      'Both sides',
      ['field', 'the provider reports#', 'you recorded#', 'difference#', 'currency'],
      [[row.field, row.reported, row.recorded, row.difference, row.currency]],
      '',
    ),
    row.until === null && mayHandle(signed)
      ? html`<form method="post" action="/discrepancies/handle"><input type="hidden" name="token" value="${signed.formToken}"><input type="hidden" name="back" value="/${no.toString()}"><input type="hidden" name="no" value="${no.toString()}"><input type="hidden" name="seen-${no.toString()}" value="${seen.get(no)?.toString() ?? ''}">${actionForm()}</form>`
      : html``,
    dataTable(
      'What was done',
      ['when', 'who', 'action', 'state after', 'what was said', 'assigned to', 'until'],
      history.map((event) => [
        minute(event.at),
        `${event.by} (${event.via})`,
        [event.action, event.action === 'accept' ? event.reason : null].filter((text) => text !== null).join(': '),
        badge(event.state),
        event.said,
        event.assignedTo,
        event.until ?? event.due,
      ]),
      'Nothing yet.',
    ),
  ];
}
