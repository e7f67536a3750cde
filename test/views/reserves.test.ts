import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BatchView } from '../../src/views/batches/batches.sql.ts';
import { holdingsOf, reservesTable } from '../../src/views/reserves/reserves.ts';

/** Each line: date, acquirer, currency, then `TYPE=settled` in the smallest unit, as the details of a batch add it up. */
const batches = (story: string): BatchView[] =>
  story
    .trim()
    .split('\n')
    .map((line, run) => {
      const [settlementDate, acquirer, currency, ...sums] = line.trim().split(/\s+/);
      const totals = sums.map((sum) => {
        const [type, settled] = sum.split('=');
        return { type: type!, count: 1, settlementMinor: settled === '-' ? null : settled!, feeMinor: null };
      });
      return { run, merchantId: 'M1', settlementDate, acquirer, currency, facts: { totals } } as unknown as BatchView;
    });

const shown = (story: string, ownTypes: Parameters<typeof holdingsOf>[1] = new Map()) =>
  holdingsOf(batches(story), ownTypes).map(({ acquirer, currency, of, withheld, released, held, isOverReleased }) =>
    [acquirer, currency, of, withheld, released, held, ...(isOverReleased ? ['over'] : [])].join(' '),
  );

test('every type that keeps back or gives back is counted, under both of its names', () =>
  assert.deepEqual(
    shown(`
      2026-01-05 Acme USD COLLATERAL_WITHHOLDING=-100 COLLATERAL_WITHHELD=-20 RESERVE_WITHHOLDING=-300 RESERVE=-40
      2026-01-06 Acme USD COLLATERAL_RELEASE=5 COLLATERAL_RELEASED=60 RESERVE_RELEASE=7 RESERVE_RELEASED=80
      2026-01-07 Acme USD PAYMENT=5000 SETTLEMENT_FEE=-10 ADJUSTMENT_FEE=-10 DEFAULT=-1 constructor=-9`),
    ['Acme USD collateral 1.20 0.65 0.55', 'Acme USD reserve 3.40 0.87 2.53'],
  ));

test('acquirers and currencies are never added', () =>
  assert.deepEqual(
    shown(`
      2026-01-05 Acme  USD RESERVE=-300
      2026-01-05 Acme  JPY RESERVE=-300
      2026-01-05 Other USD RESERVE=-400
      2026-01-06 Other USD RESERVE_RELEASE=400`),
    ['Acme JPY reserve 300 0 300', 'Acme USD reserve 3.00 0.00 3.00', 'Other USD reserve 4.00 4.00 0.00'],
  ));

test('more released than withheld is seen', () => {
  const story = `
    2026-01-05 Acme KWD RESERVE=-1000
    2026-01-06 Acme KWD RESERVE_RELEASED=1001`;
  assert.deepEqual(shown(story), ['Acme KWD reserve 1.000 1.001 -0.001 over']);
  assert.match(reservesTable(holdingsOf(batches(story), new Map())), /more released than withheld/);
});

test('the sign is data: what a report takes back of either adds to the other side', () =>
  assert.deepEqual(
    shown(`
      2026-01-05 Acme USD RESERVE=-300 RESERVE_RELEASE=-
      2026-01-06 Acme USD RESERVE=50 RESERVE_RELEASE=100
      2026-01-07 Acme USD RESERVE_RELEASE=-20`),
    ['Acme USD reserve 2.50 0.80 1.70'],
  ));

test("a format of one's own says which of its types keep money back, in the runs that read it", () => {
  const holdback = { ownId: false, matchBy: 'none', holding: { of: 'reserve', step: 'withheld' } } as const;
  const story = `
    2026-01-05 Acme USD Holdback=-300
    2026-01-06 Acme USD Holdback=-500`;
  assert.deepEqual(shown(story, new Map([[0, { Holdback: holdback }]])), ['Acme USD reserve 3.00 0.00 3.00']);
  assert.deepEqual(shown(story), []);
});
