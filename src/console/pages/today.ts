import { html } from 'hono/html';
import type { Db } from '../../adapters/postgres/connection.ts';
import { formatAmount } from '../../domain/money/money.ts';
import type { Person } from '../../domain/roles.ts';
import { isBankUsed } from '../../views/bank/payouts.sql.ts';
import {
  changedSinceYesterday,
  type DayState,
  openSums,
  type PayoutSum,
  payoutSums,
  statesByDay,
  type Unknown,
  unknownOf,
} from '../../views/today/today.sql.ts';
import { address, badge, dataTable, type Html, link, minute, signOf } from '../layout.ts';
import type { Looked } from '../remembered.ts';

const DAYS = 35;
const DAY_MS = 86_400_000;
const EARLIER_MS = 10_000;
/** Some batches are dated ahead; with a wrong date, far ahead. */
const MOST_DATES = DAYS + 7;
/** The worst first: it is what a day shows. */
const RANK = ['discrepant', 'incomplete', 'waiting', 'reconciled'] as const;

/** What the first page is made of. */
export async function lookAtToday(db: Db, { merchants }: Pick<Person, 'merchants'>) {
  return {
    states: await statesByDay(db, DAYS, merchants),
    sums: await openSums(db, merchants),
    since: await changedSinceYesterday(db, merchants),
    unknown: await unknownOf(db, merchants),
    payouts: await payoutSums(db, DAYS, merchants),
    hasBank: await isBankUsed(db),
  };
}
export type Today = Awaited<ReturnType<typeof lookAtToday>>;

/** Does it add up, and what has changed since yesterday. Where it was looked up earlier it says when. */
export function todayPage({ result, atMs }: Looked<Today>, nowMs: number): readonly Html[] {
  const { states, sums, since, unknown, payouts, hasBank } = result;
  const open = sums.reduce((sum, { count }) => sum + count, 0);
  const isEarlier = nowMs - atMs > EARLIER_MS;
  return [
    isEarlier ? html`<p class="note">As of ${new Date(atMs).toISOString().slice(11, 19)} UTC.</p>` : html``,
    ...warningOf(unknown),
    html`<p>${open === 0 ? 'No discrepancy is open.' : html`${link('/discrepancies', open.toLocaleString('en'))} open`},
${link('/discrepancies?handling=accepted', since.accepted.toLocaleString('en'))} accepted,
${link('/discrepancies?handling=pendingApproval', since.pending.toLocaleString('en'))} waiting for approval.
Within a day: ${since.opened.toLocaleString('en')} opened, ${since.closed.toLocaleString('en')} closed, ${since.handled.toLocaleString('en')} actions.</p>`,
    strip(states, nowMs),
    payoutTable(payouts, hasBank),
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

/** A line for each merchant, a cell for each day with the sign of its worst state: of what is settled or was sold on it. */
function strip(states: readonly DayState[], nowMs: number): Html {
  if (states.length === 0)
    return html`<p class="none">No batch or day of the last ${DAYS} days has a result. Earlier ones: ${link('/batches?from=2000-01-01', 'all batches')}.</p>`;
  const dates = datesOf(states, nowMs);
  const begins = (date: string) => (date.endsWith('-01') ? html` class="month"` : '');
  const lines = [...Map.groupBy(states, ({ merchantId }) => merchantId)].map(([merchantId, ofMerchant]) => {
    const byDate = Map.groupBy(ofMerchant, ({ date }) => date);
    const cells = dates.map((date) => {
      const ofDay = byDate.get(date) ?? [];
      const worst = RANK.find((state) => ofDay.some((one) => one.state === state));
      if (worst === undefined) return html`<td${begins(date)}></td>`;
      const said = ofDay.map(({ state, count }) => `${count} ${state}`).join(', ');
      return html`<td${begins(date)}><a class="${worst}" href="${address('/batches', { merchant: merchantId, from: date, to: date })}" title="${date}: ${said}" aria-label="${date}: ${said}">${signOf(worst)}</a></td>`;
    });
    return html`<tr><th scope="row">${merchantId}</th>${cells}</tr>`;
  });
  const head = dates.map(
    (date) => html`<th scope="col"${begins(date)}><abbr title="${date}">${date.slice(8)}</abbr></th>`,
  );
  const caption = `The last ${DAYS} days, until ${dates.at(-1)}`;
  return html`<section><h2>${caption}</h2><div class="scroll recent" tabindex="0" role="region" aria-label="${caption}"><table class="strip"><thead><tr><td></td>${head}</tr></thead><tbody>${lines}</tbody></table></div>
<p class="note">${RANK.map((state) => html`${badge(state)} `)} · a day shows its worst state</p></section>`;
}

/** Every day, also those of which nothing is known; and later ones, which a batch may name. */
function datesOf(states: readonly DayState[], nowMs: number): string[] {
  const dayAt = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const all = Array.from({ length: DAYS }, (_, at) => dayAt(nowMs - (DAYS - 1 - at) * DAY_MS));
  return [...new Set([...all, ...states.map(({ date }) => date)])].sort().slice(0, MOST_DATES);
}

/** Whether the money has arrived, as far as anybody can know. */
function payoutTable(sums: readonly PayoutSum[], hasBank: boolean): Html {
  if (!hasBank)
    return html`<section><h2>Payouts</h2><p class="none">No bank statements are read, so nothing is said of whether payouts have arrived.</p></section>`;
  return dataTable(
    'Payouts',
    ['state', 'count#', 'amount#', 'currency', 'earliest due'],
    sums.map(({ state, currency, count, minor, earliestDue }) => [
      html`${badge(state)}${state === 'arrived' ? ` (of ${DAYS} days)` : ''}`,
      count.toLocaleString('en'),
      minor === null ? null : formatAmount(BigInt(minor), currency),
      currency,
      state === 'arrived' ? null : earliestDue,
    ]),
    'No payout of a known account has arrived or is expected.',
  );
}
