import { AGES } from '../../src/adapters/metrics/definitions.ts';
import { bars, dashboardOf, lines, type Row, stat, table, whole } from './panels.ts';

const STAT = { width: 6, height: 5 };
const HALF = { width: 12, height: 9 };
const WHOLE = { width: 24, height: 9 };

const FROM_SOURCE = `coalesce(source, '') ~ '^(\${source:regex})$'`;

const doesItAddUp: Row = {
  title: 'Does it add up?',
  panels: [
    stat(
      {
        title: 'Settlement batches',
        good: 'All are reconciled; a few may wait for reports that have not arrived yet.',
        unit: 'short',
      },
      STAT,
      { ask: whole('recon_batches', 'state', 'of="settlement",'), called: '{{state}}' },
    ),
    stat(
      {
        title: 'Days of transactions',
        good: 'All are reconciled; the last one may be waiting.',
        unit: 'short',
      },
      STAT,
      { ask: whole('recon_batches', 'state', 'of="day",'), called: '{{state}}' },
    ),
    stat(
      {
        title: 'Complete batches that do not add up',
        good: 'Zero: the payout is the sum of the rows in every batch with both reports.',
        unit: 'short',
        bad: { warning: 1, critical: 1 },
      },
      STAT,
      { ask: whole('recon_residual_batches', 'source'), called: '{{source}}' },
    ),
    stat(
      {
        title: 'Read and reconciled up to',
        good: 'Yesterday, or the last day whose reports are due.',
        unit: 'dateTimeFromNow',
      },
      STAT,
      {
        ask: 'max by (source) (recon_reconciled_until_timestamp_seconds{source=~"$source"}) * 1000',
        called: '{{source}}',
      },
    ),
    lines(
      {
        title: 'Match rate by rows, over a day',
        good: 'Near 100 %: rows that need a record have one and agree with it. A bad file or missing records lower it.',
        unit: 'percentunit',
      },
      HALF,
      { ask: 'source:recon_rows_matched:ratio_increase1d{source=~"$source"}', called: '{{source}}' },
    ),
    lines(
      {
        title: 'Match rate by value, over a day',
        good: 'Near 100 %, and not far below the rate by rows: otherwise large payments do not agree.',
        unit: 'percentunit',
      },
      HALF,
      {
        ask: 'source_currency:recon_settlement_amount_matched:ratio_increase1d{source=~"$source"}',
        called: '{{source}} {{currency}}',
      },
    ),
    lines(
      {
        title: 'Batches and days that are not reconciled',
        good: 'Discrepant and incomplete fall during the day; waiting rises and falls with each delivery.',
        unit: 'short',
      },
      HALF,
      { ask: whole('recon_batches', 'of, state', 'state!="reconciled",'), called: '{{of}} {{state}}' },
    ),
    lines(
      {
        title: 'Differences of complete batches',
        good: 'Nothing, in every currency.',
        unit: 'short',
      },
      HALF,
      { ask: whole('recon_residual_amount', 'source, currency'), called: '{{source}} {{currency}}' },
    ),
  ],
};

const moneyAtRisk: Row = {
  title: 'Money at risk',
  panels: [
    bars(
      {
        title: 'Money at risk, by kind and currency',
        good: 'Small, and explained: each bar is money that somebody should check.',
        unit: 'short',
      },
      HALF,
      { ask: `${whole('recon_discrepancy_amount_open', 'kind, currency')} > 0`, called: '{{kind}} {{currency}}' },
    ),
    bars(
      {
        title: 'Open discrepancies, by kind',
        good: 'Few, and none of a new kind.',
        unit: 'short',
      },
      HALF,
      { ask: `${whole('recon_discrepancies_open', 'kind')} > 0`, called: '{{kind}}' },
    ),
    lines(
      {
        title: 'Money at risk, by currency',
        good: 'Rises when a batch is read, falls as discrepancies are resolved, and stays below the dashed limit of the alert.',
        unit: 'short',
      },
      HALF,
      { ask: whole('recon_discrepancy_amount_open', 'currency'), called: '{{currency}}' },
      {
        ask: 'currency:recon_money_at_risk:limit and on (currency) currency:recon_discrepancy_amount_open:sum',
        called: 'limit {{currency}}',
      },
    ),
    lines(
      {
        title: 'Opened within an hour',
        good: 'Tens at most when a batch arrives; hundreds are probably one error, not so many payments.',
        unit: 'short',
      },
      HALF,
      { ask: 'source:recon_discrepancies_opened:1h{source=~"$source"}', called: '{{source}}' },
    ),
    table(
      'Largest open discrepancies',
      'Each has an owner. settlestream explain REQUEST_ID shows everything about one.',
      WHOLE,
      `select no, first_seen_at, handling, assigned_to, kind, amount_at_stake, stake_currency, merchant, settlement_batch, date, request_id, transaction_id, reported, recorded, message, file, line
  from dashboard.discrepancy where ${FROM_SOURCE} and amount_at_stake > 0
 order by amount_at_stake desc limit 100`,
    ),
  ],
};

const handled: Row = {
  title: 'What was accepted',
  panels: [
    stat(
      {
        title: 'Waiting for approval',
        good: 'Few, and none for longer than a day: a second person must look at each.',
        unit: 'short',
      },
      STAT,
      { ask: whole('recon_handling_pending_approval', 'source'), called: '{{source}}' },
    ),
    lines(
      {
        title: 'Accepted money, by kind and currency',
        good: 'Flat. It grows when somebody accepts differences, and falls when the data resolves them.',
        unit: 'short',
      },
      { width: 18, height: 9 },
      { ask: `${whole('recon_discrepancy_amount_accepted', 'kind, currency')} > 0`, called: '{{kind}} {{currency}}' },
    ),
    bars(
      {
        title: 'Accepted discrepancies, by kind',
        good: 'Few, each with a reason that still holds.',
        unit: 'short',
      },
      HALF,
      { ask: `${whole('recon_discrepancies_accepted', 'kind')} > 0`, called: '{{kind}}' },
    ),
    table(
      'Accepted last',
      'Each has a reason that somebody else understands.',
      HALF,
      `select decided_at, decided_by, reason, text, no, kind, amount_at_stake, stake_currency, merchant, settlement_batch, date, request_id
  from dashboard.accepted order by decided_at desc limit 200`,
    ),
  ],
};

const atTheBank: Row = {
  title: 'At the bank',
  panels: [
    stat(
      {
        title: 'Payouts, by what the bank says',
        good: 'All have arrived but the latest; none is overdue, different or returned.',
        unit: 'short',
      },
      { width: 12, height: 5 },
      { ask: 'max by (state) (recon_payouts)', called: '{{state}}' },
    ),
    stat(
      {
        title: 'Oldest payout that has not arrived',
        good: 'Younger than a week.',
        unit: 's',
        bad: { warning: 7 * 86_400, critical: 14 * 86_400 },
      },
      STAT,
      { ask: 'time() - max(recon_oldest_expected_payout_timestamp_seconds)', called: 'age' },
    ),
    stat(
      {
        title: 'Age of the last bank statement',
        good: 'About a day, over weekends three: of the account that has been silent for longest.',
        unit: 's',
        bad: { warning: 4 * 86_400, critical: 7 * 86_400 },
      },
      STAT,
      { ask: 'max(recon_bank_statement_lag_seconds)', called: 'age' },
    ),
    lines(
      {
        title: 'Payouts that are not at the bank, by currency',
        good: 'Rises when a batch is read, and falls when its money arrives.',
        unit: 'short',
      },
      WHOLE,
      { ask: 'max by (currency) (recon_payout_amount_open)', called: '{{currency}}' },
    ),
  ],
};

const ageing: Row = {
  title: 'Ageing',
  panels: [
    bars(
      {
        title: 'Open discrepancies, by age',
        good: 'Nearly all are young; those older than a week need an owner.',
        unit: 'short',
      },
      HALF,
      ...AGES.map((age) => ({ ask: whole('recon_discrepancies_open_by_age', 'age', `age="${age}",`), called: age })),
    ),
    bars(
      {
        title: 'Money at risk, by age and currency',
        good: 'As little as possible is older than a week.',
        unit: 'short',
      },
      HALF,
      { ask: `${whole('recon_discrepancy_amount_open_by_age', 'age, currency')} > 0`, called: '{{age}} {{currency}}' },
    ),
    table(
      'Batches and days that have been open longest',
      'None is older than what is in discussion with the provider.',
      WHOLE,
      `select open_since, date, merchant, settlement_batch, source, state, rows, matched_rows, open_discrepancies, residual, currency
  from dashboard.batch where ${FROM_SOURCE} and state <> 'reconciled'
 order by open_since nulls last, date limit 200`,
    ),
  ],
};

const missing: Row = {
  title: 'What is missing',
  panels: [
    stat(
      {
        title: 'Overdue reports',
        good: 'Zero of each. Reports that are not due yet are not counted.',
        unit: 'short',
        bad: { warning: 1, critical: 10 },
      },
      HALF,
      {
        ask: whole('recon_discrepancies_open', 'kind', 'kind=~"missing_(report|summary|details|part)",'),
        called: '{{kind}}',
      },
    ),
    table(
      'Which',
      'Empty. Each line is a report to ask the provider for.',
      HALF,
      `select date, kind, merchant, settlement_batch, recorded as part, message, first_seen_at
  from dashboard.discrepancy where kind in ('missing_report', 'missing_summary', 'missing_details', 'missing_part')
 order by date, settlement_batch limit 200`,
    ),
    table(
      'Reports that are there and cannot be used',
      'Empty. Refused needs another file or other settings, parked another try; waiting has no end yet and may be complete tomorrow.',
      WHOLE,
      `select state, found_at, source, merchant, kind, settlement_batch, date, file, reason, modified_at
  from dashboard.report where ${FROM_SOURCE} and state in ('refused', 'parked', 'waiting')
 order by state, found_at limit 200`,
    ),
  ],
};

const batches: Row = {
  title: 'Batches and days',
  panels: [
    table(
      'Residuals',
      'Empty: details and summary are both complete, and agree.',
      WHOLE,
      `select date, merchant, settlement_batch, acquirer, source, details_amount, summary_amount, residual, currency, rows, reconciled_at
  from dashboard.batch where ${FROM_SOURCE} and residual <> 0
 order by date desc, abs(residual) desc limit 200`,
    ),
    table(
      'What the answers are made of',
      'Nearly all rows are matched. Rows that need no record are fees and reserves, and what did not happen settles nothing.',
      WHOLE,
      `select date, merchant, settlement_batch, of, state, rows, matched_rows, no_record_rows, not_done_rows, discrepant_rows, refused_rows,
       matched_amount, no_record_amount, not_done_amount, discrepant_amount, currency
  from dashboard.batch where ${FROM_SOURCE} and date between $__timeFrom()::date - 1 and $__timeTo()::date
 order by date desc, settlement_batch limit 1000`,
    ),
    table(
      'What could not be checked',
      'Only what this format never states. A reason that is new means that a report changed.',
      WHOLE,
      `select name, why, count(*) as batches, min(date) as first, max(date) as last, min(settlement_batch) as for_example
  from dashboard.checked where ${FROM_SOURCE} and state = 'notPossible' and coalesce(date between $__timeFrom()::date - 1 and $__timeTo()::date, true)
 group by name, why order by max(date) desc, count(*) desc limit 200`,
    ),
    table(
      'Days',
      'Each day has its batches, and all of them are reconciled.',
      HALF,
      `select date, count(*) filter (where state = 'reconciled') as reconciled, count(*) filter (where state = 'discrepant') as discrepant,
       count(*) filter (where state = 'incomplete') as incomplete, count(*) filter (where state = 'waiting') as waiting,
       sum(rows) as rows, round(100.0 * sum(matched_rows) / nullif(sum(matchable_rows), 0), 2) as matched_percent
  from dashboard.batch where ${FROM_SOURCE} and date between $__timeFrom()::date - 1 and $__timeTo()::date
 group by date order by date desc`,
    ),
    table(
      'Batches',
      'Rows are matched, and the residual is 0.00.',
      HALF,
      `select date, merchant, settlement_batch, of, state, rows, matched_rows, details_amount, fee_amount, summary_amount, residual, currency, open_discrepancies, reconciled_at
  from dashboard.batch where ${FROM_SOURCE} and date between $__timeFrom()::date - 1 and $__timeTo()::date
 order by date desc, settlement_batch limit 1000`,
    ),
  ],
};

/** For finance: is every cent there, and if not, which one is missing, why, and since when. */
export const reconciliation = dashboardOf(
  {
    uid: 'settlestream-reconciliation',
    title: 'Reconciliation',
    about: 'For finance: does it add up, how much money is open, since when, and what is missing.',
    from: 'now-7d',
    refresh: '1m',
  },
  [doesItAddUp, moneyAtRisk, atTheBank, handled, ageing, missing, batches],
);
