import { formatAmount } from '../../domain/money/money.ts';
import { amountCell, type Column, dayCell } from '../output/columns.ts';
import { table } from '../output/tables.ts';
import type { EntryView } from './entries.sql.ts';

export const entryJson = (entry: EntryView) => ({
  id: entry.id,
  file: entry.file,
  line: entry.line,
  account: entry.account,
  currency: entry.currency,
  statement: entry.statement,
  bookingDate: entry.bookingDate,
  valueDate: entry.valueDate,
  amount: formatAmount(entry.amountMinor, entry.currency),
  charges: entry.chargesMinor === null ? null : formatAmount(entry.chargesMinor, entry.currency),
  status: entry.status,
  reference: entry.reference,
  counterparty: entry.counterparty,
  pays: entry.pays.map(({ merchantId, settlementBatchId, matchedBy, role }) => ({
    merchantId,
    settlementBatchId,
    matchedBy,
    role,
  })),
});

const paysText = ({ pays }: EntryView): string =>
  pays
    .map(({ settlementBatchId, matchedBy, role }) => `${settlementBatchId} (${role === 'paid' ? matchedBy : role})`)
    .join('\n');

export const ENTRY_COLUMNS: readonly Column<EntryView>[] = [
  { name: 'id', width: 20, cell: ({ id }) => id },
  { name: 'bookingDate', width: 11, cell: ({ bookingDate }) => dayCell(bookingDate) },
  { name: 'valueDate', width: 11, cell: ({ valueDate }) => dayCell(valueDate) },
  { name: 'account', width: 24, cell: ({ account }) => account },
  {
    name: 'amount',
    width: 16,
    cell: ({ amountMinor, currency }) => amountCell(formatAmount(amountMinor, currency), currency),
  },
  { name: 'currency', width: 9, cell: ({ currency }) => currency },
  { name: 'status', width: 11, cell: ({ status }) => status },
  { name: 'reference', width: 30, cell: ({ reference }) => reference },
  { name: 'counterparty', width: 30, cell: ({ counterparty }) => counterparty },
  { name: 'statement', width: 10, cell: ({ statement }) => statement },
  { name: 'file', width: 40, cell: ({ file }) => file },
  { name: 'line', width: 8, cell: ({ line }) => line },
  { name: 'pays', width: 40, cell: (entry) => paysText(entry).replaceAll('\n', ', ') },
];

export const entryTable = (entries: readonly EntryView[]): string =>
  table(
    ['booked', 'account', 'amount', 'currency', 'counterparty', 'reference', 'pays', 'entry'],
    entries.map((entry) => [
      entry.bookingDate,
      entry.account,
      formatAmount(entry.amountMinor, entry.currency),
      entry.currency,
      entry.counterparty,
      entry.reference,
      entry.status === 'booked' ? paysText(entry) : entry.status,
      entry.id,
    ]),
    [2],
  );
