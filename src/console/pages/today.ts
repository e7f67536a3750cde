import { html } from 'hono/html';
import type { Db } from '../../adapters/postgres/connection.ts';
import { formatAmount } from '../../domain/money/money.ts';
import type { Person } from '../../domain/roles.ts';
import {
  changedSinceYesterday,
  type DayState,
  openSums,
  statesByDay,
  type Unknown,
  unknownOf,
} from '../../views/today/today.sql.ts';
import { address, badge, dataTable, type Html, link, minute } from '../layout.ts';

const DAYS = 35;
/** The worst first: it is what a day shows. */
const RANK = ['discrepant', 'incomplete', 'waiting', 'reconciled'] as const;

/** Does it add up, and what has changed since yesterday. */
export async function todayPage(db: Db, { merchants }: Person): Promise<readonly Html[]> {
  const [states, sums, since, unknown] = [
    await statesByDay(db, DAYS, merchants),
    await openSums(db, merchants),
    await changedSinceYesterday(db, merchants),
    await unknownOf(db, merchants),
  ];
  const open = sums.reduce((sum, { count }) => sum + count, 0);
  return [
    ...warningOf(unknown),
    html`<p>${open === 0 ? 'No discrepancy is open.' : html`${link('/discrepancies', open.toLocaleString('en'))} open`},
${link('/discrepancies?handling=accepted', since.accepted.toLocaleString('en'))} accepted,
${link('/discrepancies?handling=pendingApproval', since.pending.toLocaleString('en'))} waiting for approval.
Within a day: ${since.opened.toLocaleString('en')} opened, ${since.closed.toLocaleString('en')} closed, ${since.handled.toLocaleString('en')} actions.</p>`,
    strip(states),
    dataTable(
      'Money that is open',
      ['kind', 'count#', 'at stake#', 'currency', 'oldest'],
      sums.map(({ kind, currency, count, stakeMinor, oldest }) => [
        link(address('/discrepancies', { kind }), kind),
        count.toLocaleString('en'),
        stakeMinor === null || currency === null ? null : formatAmount(BigInt(stakeMinor), currency),
        currency,
        minute(oldest),
      ]),
      'No discrepancy is open.',
    ),
  ];
}

/** What is open is said of what was read: the rest comes first. */
function warningOf({ reports, batches, away }: Unknown): Html[] {
  const said = [
    ...counted(reports, 'report is not read', 'reports are not read'),
    ...counted(batches, 'batch or day was given up', 'batches or days were given up'),
    ...counted(away, 'source cannot be reached', 'sources cannot be reached'),
  ];
  return said.length === 0
    ? []
    : [
        html`<p class="wrong" role="alert">${said.join(', ')}: what they say is not in what follows. ${link('/health', 'Why')}</p>`,
      ];
}

const counted = (count: number, one: string, many: string): string[] =>
  count === 0 ? [] : [`${count.toLocaleString('en')} ${count === 1 ? one : many}`];

/** A line for each merchant, a cell for each day: the worst state of what is settled or was sold on it. */
function strip(states: readonly DayState[]): Html {
  if (states.length === 0)
    return html`<p class="none">No batch or day of the last ${DAYS} days has a result. Earlier ones: ${link('/batches?from=2000-01-01', 'all batches')}.</p>`;
  const dates = [...new Set(states.map(({ date }) => date))].sort();
  const lines = [...Map.groupBy(states, ({ merchantId }) => merchantId)].map(([merchantId, ofMerchant]) => {
    const cells = dates.map((date) => {
      const ofDay = ofMerchant.filter((one) => one.date === date);
      const worst = RANK.find((state) => ofDay.some((one) => one.state === state));
      if (worst === undefined) return html`<td></td>`;
      const said = ofDay.map(({ state, count }) => `${count} ${state}`).join(', ');
      return html`<td><a class="${worst}" href="${address('/batches', { merchant: merchantId, from: date, to: date })}" title="${date}: ${said}" aria-label="${date}: ${said}">${date.slice(8)}</a></td>`;
    });
    return html`<tr><th scope="row">${merchantId}</th>${cells}</tr>`;
  });
  return html`<section><h2>The last ${DAYS} days</h2><div class="scroll" tabindex="0" role="region" aria-label="The last ${DAYS} days"><table class="strip"><tbody>${lines}</tbody></table></div>
<p class="note">${RANK.map((state) => html`${badge(state)} `)}</p></section>`;
}
