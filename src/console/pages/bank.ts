import { html } from 'hono/html';
import type { Database } from '../../adapters/postgres/connection.ts';
import { type EntryFilter, type EntryView, entries } from '../../views/bank/entries.sql.ts';
import { entryJson } from '../../views/bank/entries.ts';
import { belowList, dataTable, fileCell, type Html, input, type Signed } from '../layout.ts';
import { mayHandle } from './discrepancies.ts';

const PAGE_ROWS = 200;

/** Entries belong to accounts, and only who sees all merchants sees those that pay nothing. */
export const mayMatch = (signed: Signed): boolean => mayHandle(signed) && signed.merchants === null;

/** What the bank says, what it pays, and a form to say what an unexplained entry pays. */
export async function bankPage({ db }: Database, filter: EntryFilter, signed: Signed): Promise<readonly Html[]> {
  const asked = { ...filter, merchants: signed.merchants, limit: PAGE_ROWS + 1 };
  const { rows } = (await entries(asked).execute(db)) as { rows: EntryView[] };
  const shown = rows.slice(0, PAGE_ROWS);
  const { account, from, to, isOpen } = filter;
  const query = { account, from, to, open: isOpen ? 'yes' : undefined };
  const last = shown.at(-1);
  const isChoice = mayMatch(signed) && shown.some(isUnexplained);
  return [
    html`<form class="filter" method="get">${input('Account', 'account', account)}${input('From', 'from', from, 'date')}${input('To', 'to', to, 'date')}<label><input type="checkbox" name="open" value="yes"${isOpen ? html` checked` : ''}> only unexplained</label><button>Show</button></form>`,
    html`<form method="post" action="/bank/match"><input type="hidden" name="token" value="${signed.formToken}">
${dataTable(
  'Entries',
  ['', 'booked', 'account', 'amount#', 'currency', 'counterparty', 'reference', 'pays', 'file', 'entry'],
  shown.map((entry) => lineOf(entry, isChoice)),
  'There is none that this filter names. Statements are read from the sources under "bank" in the settings.',
)}
${isChoice ? matchForm() : ''}
</form>`,
    belowList('/bank', query, rows.length > shown.length && last ? `${last.fileNo}.${last.ordinal}` : undefined),
  ];
}

const isUnexplained = ({ status, pays }: EntryView): boolean => status === 'booked' && pays.length === 0;

function lineOf(entry: EntryView, isChoice: boolean) {
  const { id, bookingDate, account, amount, currency, counterparty, reference, pays, file, status } = entryJson(entry);
  const choice = html`<input type="radio" name="entry" value="${id}" aria-label="entry ${id}">`;
  const paid = pays.map(
    ({ settlementBatchId, matchedBy, role }) => `${settlementBatchId} (${role === 'paid' ? matchedBy : role})`,
  );
  return [
    isChoice && isUnexplained(entry) ? choice : null,
    ...[bookingDate, account, amount, currency, counterparty, reference],
    status === 'booked' ? paid.join(', ') || 'unexplained' : status,
    fileCell(file),
    id,
  ];
}

const matchForm = (): Html => html`<fieldset class="act"><legend>What the chosen entry pays</legend>
<label>Batch <input name="batch" required></label>${input('Merchant, if several have it', 'merchant', undefined)}<button>Confirm</button></fieldset>`;
