import { html } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';
import type { Person } from '../domain/roles.ts';

/** HTML in which every value was escaped. */
export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** Who looks, and what their forms carry. */
export type Signed = Person & { readonly formToken: string };

const PAGES = [
  ['/', 'Today'],
  ['/batches', 'Batches'],
  ['/discrepancies', 'Discrepancies'],
  ['/payments', 'Payments'],
  ['/reports', 'Reports'],
  ['/bank', 'Bank'],
  ['/audit', 'Audit'],
  ['/health', 'Health'],
] as const;

/** A page with the way to all others. `at` is the address of its section. */
export const page = (
  title: string,
  at: string,
  signed: Signed | null,
  body: Html | readonly Html[],
  head: Html | '' = '',
): Html => html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · settlestream</title>
<link rel="stylesheet" href="/style.css">${head}
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
${signed === null ? '' : header(at, signed)}
<main id="main">
<h1>${title}</h1>
${body}
</main>
</body>
</html>
`;

const header = (at: string, { name, formToken }: Signed): Html => html`<header>
<nav aria-label="Pages">${PAGES.map(([path, label]) => html`<a href="${path}"${path === at ? html` aria-current="page"` : ''}>${label}</a>`)}</nav>
<form class="find" action="/payments" method="get" role="search">
<label>Payment <input name="id" placeholder="any id of it, or of its order" size="24"></label><button>Find</button>
</form>
<form class="out" action="/logout" method="post"><input type="hidden" name="token" value="${formToken}"><span>${name}</span> <button>Sign out</button></form>
</header>`;

export type Cell = Html | string | number | null;

const MOST_ON_ONE_LINE = 60;

/** Sentences may take several lines; ids, dates and amounts are read and compared on one. */
function classOf(cell: Cell, isNumber: boolean): Html | '' {
  if (isNumber) return html` class="number"`;
  return typeof cell === 'string' && cell.length > MOST_ON_ONE_LINE ? html` class="text"` : '';
}

/** A table; columns whose name ends with `#` hold numbers. */
export const dataTable = (
  caption: string,
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  empty: string,
): Html => {
  if (rows.length === 0) return html`<section><h2>${caption}</h2><p class="none">${empty}</p></section>`;
  const isNumber = head.map((name) => name.endsWith('#'));
  return html`<section><h2>${caption}</h2><div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table>
<thead><tr>${head.map((name, at) => html`<th scope="col"${isNumber[at] ? html` class="number"` : ''}>${name.replace(/#$/, '')}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell, at) => html`<td${classOf(cell, isNumber[at]!)}>${cell ?? ''}</td>`)}</tr>`)}</tbody>
</table></div></section>`;
};

const SIGNS: Readonly<Record<string, string>> = {
  reconciled: '✓',
  discrepant: '≠',
  incomplete: '?',
  waiting: '…',
  accepted: '✓',
  pendingApproval: '2',
  assigned: '→',
  snoozed: '–',
  open: '≠',
  arrived: '✓',
  expected: '…',
  overdue: '!',
  different: '≠',
  returned: '↩',
  nothingDue: '–',
  ok: '✓',
  warning: '!',
  problem: '✕',
  closed: '✓',
  refused: '✕',
  withdrawn: '–',
};

/** The sign of a state, for where there is no room for its word. */
export const signOf = (state: string): string => SIGNS[state] ?? '·';

/** A state, told by a sign, a word and a colour. */
export const badge = (state: string): Html =>
  html`<span class="state ${state}"><span aria-hidden="true">${signOf(state)}</span> ${state}</span>`;

/** A file by its name; the whole path is in its title. */
export const fileCell = (file: string | null): Html | null =>
  file === null ? null : html`<span title="${file}">${file.replace(/^.*\//, '')}</span>`;

/** In UTC, to the minute. */
export const minute = (time: Date): string => time.toISOString().slice(0, 16).replace('T', ' ');

/** An address with a query, in which what is undefined is left out. */
export function address(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== '') said.append(name, String(value));
  return said.size === 0 ? path : `${path}?${said}`;
}

export const link = (to: string, text: string | number): Html => html`<a href="${to}">${text}</a>`;

/** What stands below a list: the next page, if there is one, and all that the filter names as a file. */
export function belowList(path: string, query: Parameters<typeof address>[1], next: string | number | undefined): Html {
  const file = (format: string) => link(address(path, { ...query, format }), format.toUpperCase());
  const page = next === undefined ? '' : html`${link(address(path, { ...query, after: next }), 'Next page')} · `;
  return html`<p>${page}${file('csv')} · ${file('xlsx')}</p>`;
}

export const input = (label: string, name: string, value: string | undefined, type = 'text'): Html =>
  html`<label>${label} <input type="${type}" name="${name}" value="${value ?? ''}"></label>`;

export const select = (
  label: string,
  name: string,
  options: readonly string[],
  value: string | undefined,
  none = 'all',
): Html =>
  html`<label>${label} <select name="${name}"><option value="">${none}</option>${options.map((option) => html`<option${option === value ? html` selected` : ''}>${option}</option>`)}</select></label>`;
