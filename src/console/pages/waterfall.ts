import { html } from 'hono/html';
import type { WaterfallStep } from '../../domain/matching/waterfall.ts';
import type { Currency } from '../../domain/money/currency.ts';
import { formatAmount } from '../../domain/money/money.ts';
import type { Html } from '../layout.ts';

const WIDTH = 1_000n;

/** A table of the steps with a bar in each line: together the bars are the chart, and every number stands beside its bar. */
export function waterfallTable(steps: readonly WaterfallStep[], currency: Currency): Html {
  const ends = [0n, ...steps.flatMap(({ from, to }) => [from, to])];
  const least = ends.reduce((a, b) => (b < a ? b : a));
  const most = ends.reduce((a, b) => (b > a ? b : a));
  const span = most === least ? 1n : most - least;
  const across = (minor: bigint) => Number(((minor - least) * WIDTH) / span);
  const lines = steps.map((step, at) => {
    const before = steps[at - 1];
    return html`<tr${step.isTotal ? html` class="total"` : ''}><th scope="row">${step.name}</th><td class="number rows">${step.rows?.toLocaleString('en') ?? ''}</td><td class="number">${amountOf(step, currency)}</td><td class="chart">${bar(step, across, { before, isLast: at === steps.length - 1 })}</td></tr>`;
  });
  const caption = 'From the rows to the bank';
  return html`<section><h2>${caption}</h2><div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table class="waterfall">
<thead><tr><th scope="col">step</th><th scope="col" class="number rows">rows</th><th scope="col" class="number">${currency}</th><td></td></tr></thead>
<tbody>${lines}</tbody>
</table></div>
<p class="note">Bars: a total has the colour of the text, what is added is filled, what is taken off is hollow.</p></section>`;
}

/** What a step adds has a sign, a total has none. */
function amountOf({ minor, isTotal }: WaterfallStep, currency: Currency): string {
  const text = formatAmount(minor, currency);
  return isTotal || minor <= 0n ? text : `+${text}`;
}

const kindOf = ({ isTotal, minor }: WaterfallStep): string => (isTotal ? 'total' : minor < 0n ? 'down' : 'up');

function bar(
  step: WaterfallStep,
  across: (minor: bigint) => number,
  { before, isLast }: { readonly before: WaterfallStep | undefined; readonly isLast: boolean },
): Html {
  const [left, right] = [across(step.from), across(step.to)].sort((a, b) => a - b) as [number, number];
  const link = (at: bigint, top: number, bottom: number) =>
    html`<line x1="${across(at)}" x2="${across(at)}" y1="${top}" y2="${bottom}"/>`;
  return html`<svg viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true" focusable="false">
<line class="zero" x1="${across(0n)}" x2="${across(0n)}" y1="0" y2="20"/>${before === undefined ? '' : link(before.to, 0, 5)}${isLast ? '' : link(step.to, 15, 20)}
${step.minor === 0n ? link(step.to, 5, 15) : html`<rect class="${kindOf(step)}" x="${left}" y="4" width="${Math.max(right - left, 3)}" height="12"/>`}</svg>`;
}
