import { html } from 'hono/html';
import type { Database } from '../../adapters/postgres/connection.ts';
import { UsageError } from '../../domain/errors.ts';
import { formatAmount } from '../../domain/money/money.ts';
import type { Person } from '../../domain/roles.ts';
import { merchantSeen } from '../../store/sessions.ts';
import { type OrderRecord, recordsOfOrder } from '../../views/payment-trace/orders.sql.ts';
import { type PaymentTrace, storyJson, tracePayment } from '../../views/payment-trace/trace.ts';
import { address, dataTable, fileCell, type Html, input, link, minute } from '../layout.ts';

/** The whole trace of a payment, by any id of it. */
export async function paymentsPage(
  database: Database,
  { id, merchant }: { readonly id: string | undefined; readonly merchant: string | undefined },
  person: Person,
): Promise<readonly Html[]> {
  const form = html`<form class="filter" method="get">${input('Request id, transaction id or order id', 'id', id)}${input('Merchant', 'merchant', merchant)}<button>Find</button></form>`;
  if (id === undefined)
    return [form, html`<p class="note">Any id of the payment, or of what belongs to it: yours or the provider's.</p>`];
  try {
    return [form, ...tablesOf(await tracePayment(database, id, merchantSeen(person, merchant), () => {}))];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const ofOrder = await recordsOfOrder(database.db, { order: id, merchant, merchants: person.merchants });
    if (ofOrder.length > 0) return [form, orderTable(id, ofOrder)];
    return [
      form,
      html`<p class="wrong" role="alert">${error.message.replace('with --merchant', 'in the field Merchant')}</p>`,
    ];
  }
}

/** An order may have been paid in several ways: each leads to its trace. */
const orderTable = (order: string, records: readonly OrderRecord[]): Html =>
  dataTable(
    `Your records of order ${order}`,
    ['type', 'request id', 'amount#', 'currency', 'status', 'occurred', 'merchant'],
    records.map(({ type, requestId, merchantId, amountMinor, currency, status, occurredAt }) => [
      type,
      link(address('/payments', { id: requestId, merchant: merchantId }), requestId),
      ...[formatAmount(amountMinor, currency), currency, status, minute(occurredAt), merchantId],
    ]),
    '',
  );

function tablesOf(trace: PaymentTrace): Html[] {
  const story = storyJson(trace);
  return [
    html`<p>Merchant ${story.merchantId}${story.isCut ? ': there is more than is shown' : ''}</p>`,
    dataTable(
      'Your records',
      ['type', 'request id', 'amount#', 'currency', 'status', 'occurred', 'of', 'order'],
      story.records.map(({ type, requestId, amount, currency, status, occurredAt, originalRequestId, orderId }) => [
        ...[type, requestId, amount, currency, status],
        ...[minute(occurredAt), originalRequestId, orderId],
      ]),
      'There is no record of it.',
    ),
    rowTable(story.rows),
    dataTable(
      'What was settled',
      ['type', 'rows#', 'settled#', 'fees#', 'currency'],
      story.settled.map(({ type, count, settlementAmount, feeAmount, settlementCurrency }) => [
        ...[type, count, settlementAmount],
        ...[feeAmount, settlementCurrency],
      ]),
      'Nothing yet.',
    ),
    dataTable(
      'What does not add up, and did not',
      ['no#', 'kind', 'message', 'since', 'closed'],
      trace.discrepancies.map(({ no, kind, message, since, until }) => [
        link(`/discrepancies/${no}`, Number(no)),
        ...[kind, message, minute(since), until === null ? null : minute(until)],
      ]),
      'Nothing.',
    ),
  ];
}

const rowTable = (rows: ReturnType<typeof storyJson>['rows']): Html =>
  dataTable(
    'Rows of reports',
    [
      'batch or day',
      'file',
      'line#',
      'type',
      'request id',
      'transaction id',
      'amount#',
      'currency',
      'settled#',
      'fee#',
      'matched by',
    ],
    rows.map((row) => [
      row.settlementBatchId ?? row.transactionDate,
      row.isCounted ? fileCell(row.file) : html`${fileCell(row.file)} (does not count)`,
      ...[row.line, row.type, row.requestId, row.transactionId, row.amount, row.currency],
      ...[row.settlementAmount, row.feeAmount, row.matchedBy],
    ]),
    'No report has a row of it.',
  );
