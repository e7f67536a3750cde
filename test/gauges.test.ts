/** What is told of the whole, from a book that is filled by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGES, type GaugeValues } from '../src/adapters/metrics/definitions.ts';
import type { Database } from '../src/adapters/postgres/connection.ts';
import {
  gaugesOfBatches,
  gaugesOfDatabase,
  gaugesOfDiscrepancies,
  gaugesOfReports,
} from '../src/views/gauges/refresh.ts';
import { newBook } from './support/by-hand.ts';

const seconds = (time: string) => Date.parse(time) / 1_000;

/** The one value of a gauge that has one series; null where it has none. */
const onlyValue = (values: GaugeValues, name: keyof GaugeValues) => {
  const series = values[name] ?? [];
  assert.ok(series.length <= 1, `${name} has ${series.length} series`);
  return series[0]?.value ?? null;
};

/** The series that are not zero, each as its labels and value. */
const told = (values: GaugeValues, name: keyof GaugeValues): string[] =>
  (values[name] ?? [])
    .filter(({ value }) => value !== 0)
    .map(({ labels, value }) => [...Object.values(labels), value].join(' '))
    .sort();

const gauges = async (database: Database) => gaugesOfReports(database.db, ['shop']);

test('nothing was found yet: no backlog, and no time that would be invented', async () => {
  const { database } = await newBook();
  const values = await gauges(database);
  assert.deepEqual(values.recon_backlog_reports, [{ labels: { source: 'shop' }, value: 0 }]);
  assert.deepEqual(values.recon_backlog_bytes, [{ labels: { source: 'shop' }, value: 0 }]);
  assert.deepEqual(values.recon_oldest_open_report_timestamp_seconds, []);
  assert.deepEqual(values.recon_retention_headroom_seconds, []);
  assert.deepEqual(values.recon_reconciled_until_timestamp_seconds, []);
});

test('all is closed: reconciled to the end of the last day, as days end where the source is', async () => {
  const { database, find } = await newBook();
  await find({ day: '2026-03-01' });
  await find({ batchId: 'B1', directoryDate: '2026-03-02' });
  await find({ batchId: 'B2', settlementDate: '2026-03-03' });
  const values = await gauges(database);
  assert.equal(onlyValue(values, 'recon_reconciled_until_timestamp_seconds'), seconds('2026-03-03T16:00:00Z'));
  assert.equal(onlyValue(values, 'recon_backlog_reports'), 0);
});

test('a day on which a file is not done, not whole, refused, or not reconciled holds back all days after it', async () => {
  const { database, pool, find } = await newBook();
  const untilNow = async () => onlyValue(await gauges(database), 'recon_reconciled_until_timestamp_seconds');
  for (const day of ['2026-03-01', '2026-03-02', '2026-03-03']) await find({ day });
  for (const state of ['found', 'reading', 'waiting', 'refused']) {
    await find({ day: '2026-03-02', state });
    assert.equal(await untilNow(), seconds('2026-03-01T16:00:00Z'), state);
    // What is found last under the name counts.
    await find({ day: '2026-03-02', state: state === 'waiting' ? 'duplicate' : 'closed' });
    assert.equal(await untilNow(), seconds('2026-03-03T16:00:00Z'), `after ${state}`);
  }
  await pool.query(`update batch set wanted = 2 where day = '2026-03-03'`);
  assert.equal(await untilNow(), seconds('2026-03-02T16:00:00Z'));
});

test('a file whose day nobody says stands for the day on which it was written', async () => {
  const { database, find } = await newBook();
  await find({ day: '2026-03-05' });
  // The second of March there.
  await find({ batchId: 'B', state: 'found', modifiedAt: '2026-03-01T17:00:00Z' });
  const values = await gauges(database);
  assert.equal(onlyValue(values, 'recon_reconciled_until_timestamp_seconds'), seconds('2026-03-01T16:00:00Z'));
});

test('the backlog is what is found and not done; what was given up is no work, but open', async () => {
  const { database, find } = await newBook();
  const [old, older, oldest] = ['2026-03-09T00:00:00Z', '2026-03-08T00:00:00Z', '2026-03-07T00:00:00Z'];
  await find({ day: '2026-03-01', state: 'found', modifiedAt: old, sizeBytes: 1_000 });
  await find({ day: '2026-03-02', state: 'reading', modifiedAt: older, sizeBytes: 500, isFetched: true });
  await find({ day: '2026-03-03', state: 'refused', modifiedAt: '2026-01-01T00:00:00Z' });
  let values = await gauges(database);
  assert.equal(onlyValue(values, 'recon_backlog_reports'), 2);
  assert.equal(onlyValue(values, 'recon_backlog_bytes'), 1_500);
  assert.equal(onlyValue(values, 'recon_oldest_open_report_timestamp_seconds'), seconds(older));
  const headroom = onlyValue(values, 'recon_retention_headroom_seconds')!;
  // Seven days after the file was written the provider may delete it. What is in the archive may go.
  assert.ok(Math.abs(headroom - (seconds(old) + 7 * 86_400 - Date.now() / 1_000)) < 60, `${headroom}`);

  await find({ day: '2026-03-04', state: 'found', modifiedAt: oldest, sizeBytes: 70, parkedReason: 'tried 8 times' });
  values = await gauges(database);
  assert.equal(onlyValue(values, 'recon_backlog_reports'), 2);
  assert.equal(onlyValue(values, 'recon_backlog_bytes'), 1_500);
  assert.equal(onlyValue(values, 'recon_oldest_open_report_timestamp_seconds'), seconds(oldest));
  // Another content took its place: nobody waits for it any more.
  await find({ day: '2026-03-04', state: 'closed' });
  values = await gauges(database);
  assert.equal(onlyValue(values, 'recon_oldest_open_report_timestamp_seconds'), seconds(older));
});

test('a report is unusable as long as its newest file is not whole, refused or given up', async () => {
  const { database, pool, find } = await newBook();
  await find({ day: '2026-03-01', state: 'waiting' });
  await find({ day: '2026-03-02', state: 'refused' });
  await find({ day: '2026-03-03', state: 'refused' });
  await find({ day: '2026-03-03', state: 'closed' });
  await find({ day: '2026-03-04', state: 'reading', parkedReason: 'tried 8 times' });
  await find({ day: '2026-03-05', state: 'found', parkedReason: 'tried 8 times', source: 'portal' });
  await find({ day: '2026-03-06', state: 'refused' });
  await find({ day: '2026-03-06', state: 'dry' });
  const values = await gauges(database);
  assert.deepEqual(told(values, 'recon_reports_unusable'), [
    'portal parked 1',
    'shop parked 1',
    'shop refused 2',
    'shop waiting 1',
  ]);
  assert.equal(values.recon_reports_unusable?.length, 6, 'a zero for every state of every source');
  const { rows } = await pool.query(`update delivery set found_at = '2026-03-09T00:00:00Z' returning no`);
  await pool.query(`update delivery set found_at = now(), replay_of = no where no = $1`, [rows[0].no]);
  const found = (await gauges(database)).recon_last_report_found_timestamp_seconds;
  assert.deepEqual(
    found?.map(({ value }) => value),
    [seconds('2026-03-09T00:00:00Z'), seconds('2026-03-09T00:00:00Z')],
    'what is read again was not found again',
  );
});

test('batches and days are told by state, and what their two reports differ by', async () => {
  const { database, pool, find, publish, tell } = await newBook();
  const made = async (batchId: string, facts: object, currency = 'USD', source = 'shop') => {
    const { batchNo } = await find({ batchId, currency, source });
    await publish(batchNo, facts);
    return batchNo;
  };
  await made('B1', { residualMinor: '0' });
  await made('B2', { residualMinor: '-150' });
  await made('B3', { residualMinor: '20' });
  await made('B4', { residualMinor: '7' }, 'JPY');
  await made('B5', { waiting: true, missing: true });
  await made('B6', { missing: true }, 'USD', 'portal');
  await tell(await made('B7', {}), 'amount_mismatch');
  await tell(await made('B8', {}), 'amount_mismatch', { isClosed: true });
  // Nothing came for this day; whoever should have sent its report is known.
  await pool.query(
    `insert into checked_day (source, merchant_no, duty, day) values ('shop', 1, 'transactionDetails', '2026-03-01')`,
  );
  const day = await pool.query(`insert into batch (merchant_no, day) values (1, '2026-03-01') returning no`);
  await publish(day.rows[0].no, { missing: true });
  await tell(day.rows[0].no, 'missing_report');
  await pool.query(`update batch set wanted = 2 where batch_id in ('B1', 'B2')`);
  await pool.query(`update batch set parked_reason = 'tried 8 times' where batch_id = 'B2'`);

  const values = await gaugesOfBatches(database.db, ['shop', 'quiet']);
  assert.deepEqual(told(values, 'recon_batches'), [
    'portal settlement incomplete 1',
    'shop day incomplete 1',
    'shop settlement discrepant 1',
    'shop settlement reconciled 5',
    'shop settlement waiting 1',
  ]);
  assert.equal(values.recon_batches?.length, 3 * 2 * 4, 'a zero for every state of every source');
  assert.deepEqual(told(values, 'recon_residual_batches'), ['shop 3']);
  assert.deepEqual(told(values, 'recon_residual_amount'), ['shop JPY 7', 'shop USD 1.7']);
  assert.deepEqual(told(values, 'recon_backlog_batches'), ['shop 1']);
  assert.deepEqual(told(values, 'recon_batches_parked'), ['shop 1']);
  assert.equal(values.recon_batches_parked?.length, 3);
  const { recon_discrepancies_open } = await gaugesOfDiscrepancies(database.db, []);
  assert.deepEqual(told({ recon_discrepancies_open: recon_discrepancies_open! }, 'recon_discrepancies_open'), [
    'shop amount_mismatch 1',
    'shop missing_report 1',
  ]);
});

test('open discrepancies count for the source of the newest file of their batch, and their money is in major units', async () => {
  const { database, find, tell } = await newBook();
  const { batchNo: moved } = await find({ batchId: 'B1', source: 'portal' });
  await find({ batchId: 'B1', source: 'shop', state: 'duplicate' });
  const { batchNo: portal } = await find({ batchId: 'B2', source: 'portal' });
  for (const stakeMinor of ['1005', '995']) await tell(moved, 'amount_mismatch', { stakeMinor, currency: 'USD' });
  await tell(moved, 'amount_mismatch', { stakeMinor: '500', currency: 'JPY' });
  await tell(moved, 'amount_mismatch', { stakeMinor: '77', currency: 'EUR', isClosed: true });
  await tell(portal, 'orphan_row', { stakeMinor: '90000000000000000000', currency: 'KWD' });
  await tell(portal, 'missing_part');

  const values = await gaugesOfDiscrepancies(database.db, ['shop', 'quiet']);
  assert.deepEqual(told(values, 'recon_discrepancies_open'), [
    'portal missing_part 1',
    'portal orphan_row 1',
    'shop amount_mismatch 3',
  ]);
  assert.ok(
    values.recon_discrepancies_open?.some(
      ({ labels, value }) => labels.source === 'quiet' && labels.kind === 'orphan_row' && value === 0,
    ),
  );
  assert.deepEqual(told(values, 'recon_discrepancy_amount_open'), [
    'portal orphan_row KWD 90000000000000000',
    'shop amount_mismatch JPY 500',
    'shop amount_mismatch USD 20',
  ]);
});

test('what is open ages', async () => {
  const { database, find, tell } = await newBook();
  const { batchNo } = await find({ batchId: 'B1' });
  for (const [hoursAgo, stakeMinor] of [
    [0, '1'],
    [23.9, '2'],
    [24.1, '4'],
    [71, '8'],
    [73, '16'],
    [169, '32'],
    [24 * 31, '64'],
    [24 * 500, '128'],
  ] as const)
    await tell(batchNo, 'amount_mismatch', { hoursAgo, stakeMinor, currency: 'JPY' });
  await tell(batchNo, 'missing_part', { hoursAgo: 24 * 31 });
  const values = await gaugesOfDiscrepancies(database.db, ['shop']);
  assert.deepEqual(
    values.recon_discrepancies_open_by_age?.map(({ labels, value }) => [labels.age, value]),
    AGES.map((age, index) => [age, [2, 2, 1, 1, 3][index]]),
  );
  assert.deepEqual(told(values, 'recon_discrepancy_amount_open_by_age'), [
    'shop 1 to 3 days JPY 12',
    'shop 3 to 7 days JPY 16',
    'shop 7 to 30 days JPY 32',
    'shop over 30 days JPY 192',
    'shop under 1 day JPY 3',
  ]);
});

test('what was accepted is told apart, and what waits for approval is open', async () => {
  const { database, find, tell } = await newBook();
  const { batchNo } = await find({ batchId: 'B1' });
  const money = { stakeMinor: '100', currency: 'USD' };
  for (const handling of ['accepted', 'accepted', 'pendingApproval', 'assigned'] as const)
    await tell(batchNo, 'amount_mismatch', { ...money, handling });
  await tell(batchNo, 'missing_part', { handling: 'accepted' });
  await tell(batchNo, 'orphan_row', money);
  const values = await gaugesOfDiscrepancies(database.db, ['quiet']);
  const shown = (name: keyof typeof values) => told(values, name);
  assert.deepEqual(shown('recon_discrepancies_open'), ['shop amount_mismatch 2', 'shop orphan_row 1']);
  assert.deepEqual(shown('recon_discrepancy_amount_open'), ['shop amount_mismatch USD 2', 'shop orphan_row USD 1']);
  assert.deepEqual(shown('recon_discrepancies_open_by_age'), ['shop under 1 day 3']);
  assert.deepEqual(shown('recon_discrepancies_accepted'), ['shop amount_mismatch 2', 'shop missing_part 1']);
  assert.deepEqual(shown('recon_discrepancy_amount_accepted'), ['shop amount_mismatch USD 2']);
  assert.deepEqual(shown('recon_handling_pending_approval'), ['shop 1']);
});

test('what a bank statement says alone counts for its source, and what is accepted of it goes nowhere unseen', async () => {
  const { database, pool } = await newBook();
  await pool.query(
    `insert into bank_file (source, path, file, size_bytes, modified_at) values ('house-bank', 'p', 'f', 1, now())`,
  );
  await pool.query(`insert into discrepancy (bank_file_no, identity, of_matchable, is_cross_batch, kind, message, stake_minor, stake_currency, first_seen_at, opened_run, opened_at)
    select 1, no::text, false, true, 'unexplained_credit', 'm', 100, 'USD', now(), 0, now() from generate_series(1, 3) as no`);
  await pool.query(`insert into handling (discrepancy_no, thread, action, state, decided_by, decided_at, by, via, at)
    select no, no, 'accept', case identity when '1' then 'accepted' else 'pendingApproval' end, 'ann', now(), 'ann', 'test', now()
      from discrepancy where identity in ('1', '2')`);
  const values = await gaugesOfDiscrepancies(database.db, []);
  assert.deepEqual(told(values, 'recon_discrepancies_open'), ['house-bank unexplained_credit 2']);
  assert.deepEqual(told(values, 'recon_discrepancies_accepted'), ['house-bank unexplained_credit 1']);
  assert.deepEqual(told(values, 'recon_discrepancy_amount_accepted'), ['house-bank unexplained_credit USD 1']);
  assert.deepEqual(told(values, 'recon_handling_pending_approval'), ['house-bank 1']);
});

test('the database server is told as it is', async () => {
  const { database, pool } = await newBook();
  const values = await gaugesOfDatabase(database.db);
  const [answer] = values.recon_database_answer_seconds!;
  assert.ok(answer!.value > 0 && answer!.value < 5);
  assert.ok(values.recon_database_size_bytes![0]!.value > 5_000_000);
  const { rows } = await pool.query('show max_connections');
  const [used, allowed] = values.recon_database_connections!;
  assert.equal(allowed?.value, Number(rows[0].max_connections));
  assert.ok(used!.value >= 1 && used!.value <= allowed!.value);
});
