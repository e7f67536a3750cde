import { html } from 'hono/html';
import type { Db } from '../../adapters/postgres/connection.ts';
import { AUDITED } from '../../domain/audit.ts';
import { type AuditFilter, type AuditView, auditEvents, auditHead } from '../../views/audit/audit.sql.ts';
import { belowList, dataTable, type Html, input, minute, select } from '../layout.ts';

const PAGE_ROWS = 200;

/** Who did what, in the order in which it was done. */
export async function auditPage(db: Db, filter: AuditFilter): Promise<readonly Html[]> {
  const { rows } = (await auditEvents({ ...filter, limit: PAGE_ROWS + 1 }).execute(db)) as { rows: AuditView[] };
  const shown = rows.slice(0, PAGE_ROWS);
  const head = await auditHead(db);
  const { after: _, limit: __, ...query } = filter;
  return [
    html`<form class="filter" method="get">${input('From', 'from', filter.from, 'date')}${input('To', 'to', filter.to, 'date')}${input('Who', 'who', filter.who)}${select('What', 'what', AUDITED, filter.what)}<button>Show</button></form>`,
    dataTable(
      'Events',
      ['no#', 'when', 'who', 'how', 'what', 'on', 'reason'],
      shown.map(({ no, at, who, via, what, on, reason }) => [Number(no), minute(at), who, via, what, on, reason]),
      'Nothing was done that this filter names.',
    ),
    belowList('/audit', query, rows.length > shown.length ? Number(shown.at(-1)!.no) : undefined),
    html`<p class="note">The last event is ${Number(head.no)}, with hash ${head.hash}. "settlestream audit --verify" checks all of them.</p>`,
  ];
}
