/** A book that is filled by hand, for tests of what is told of it. */
import { after } from 'node:test';
import { type Database, openDatabase } from '../../src/adapters/postgres/connection.ts';
import { freshDatabase } from './postgres.ts';

const RULES = { format: 'apo', amountUnit: 'major', tolerance: '2', timeZone: 'Asia/Shanghai' };

export type File = {
  /** Of the batch; the report is new if the batch is. */
  batchId: string | null;
  currency: string | null;
  day: string | null;
  directoryDate: string | null;
  settlementDate: string | null;
  state: string;
  modifiedAt: string;
  sizeBytes: number;
  isFetched: boolean;
  parkedReason: string | null;
  source: string;
};

/** The merchant is M, number 1. */
export async function newBook() {
  const database = await openDatabase(await freshDatabase(), 2);
  after(() => database.close());
  await database.pool.query(`insert into merchant (id) values ('M')`);
  return {
    database,
    pool: database.pool,
    find: (file: Partial<File>) => find(database, file),
    tell: (batchNo: number, kind: string, of: Partial<Finding> = {}) => tell(database, batchNo, kind, of),
    publish: (batchNo: number, facts: object) => publish(database, batchNo, facts),
  };
}

/** Records a file as it stands. Another one of the same batch is another content of the same report. */
async function find({ pool }: Database, file: Partial<File>): Promise<{ batchNo: number; deliveryNo: number }> {
  const batch = await pool.query(
    `insert into batch (merchant_no, batch_id, currency, day, settlement_date, wanted, done) values (1, $1, $2, $3, $4, 1, 1)
     on conflict (merchant_no, batch_id, currency, day) do update set wanted = batch.wanted returning no`,
    [file.batchId, file.currency, file.day, file.settlementDate],
  );
  const batchNo = batch.rows[0].no;
  const report = await pool.query(
    `insert into report (batch_no, kind, name, seq) values ($1, 'settlementDetails', 'r', 0)
     on conflict (batch_no, kind, name) do update set seq = 0 returning no`,
    [batchNo],
  );
  const reportNo = report.rows[0].no;
  const delivery = await pool.query(
    `insert into delivery (report_no, source, rules, path, file, directory_date, size_bytes, modified_at, state, parked_reason)
     values ($1, $2, $3, 'p', 'f', $4, $5, $6, $7, $8) returning no`,
    [
      ...[reportNo, file.source ?? 'shop', RULES, file.directoryDate, file.sizeBytes ?? 1],
      ...[file.modifiedAt ?? '2026-03-10T00:00:00Z', file.state ?? 'closed', file.parkedReason],
    ],
  );
  const deliveryNo = delivery.rows[0].no;
  if (file.isFetched) {
    await pool.query(
      `insert into load (delivery_no, report_no, series, slot, rules, format, header, archive_path, size_bytes, chunks) values ($1, $2, 's', 1, $3, 'apo', '{}', 'a', 1, 1)`,
      [deliveryNo, reportNo, RULES],
    );
  }
  return { batchNo, deliveryNo };
}

export type Finding = {
  readonly stakeMinor: string;
  readonly currency: string;
  readonly isClosed: boolean;
  readonly hoursAgo: number;
  readonly handling: 'assigned' | 'accepted' | 'pendingApproval';
};

/** Opens a discrepancy of a batch. */
async function tell({ pool }: Database, batchNo: number, kind: string, of: Partial<Finding>): Promise<void> {
  const { rows } = await pool.query(
    `insert into discrepancy (batch_no, identity, of_matchable, kind, message, stake_minor, stake_currency, first_seen_at, opened_run, opened_at, closed_run)
     values ($1, gen_random_uuid()::text, true, $2, 'm', $3, $4, now() - $5 * interval '1 hour', 1, now(), $6) returning no`,
    [batchNo, kind, of.stakeMinor, of.currency, of.hoursAgo ?? 0, of.isClosed ? 1 : null],
  );
  if (of.handling === undefined) return;
  await pool.query(
    `insert into handling (discrepancy_no, batch_no, thread, action, state, decided_by, decided_at, by, via, at)
     values ($1, $2, $1, 'accept', $3, 'ann', now(), 'ann', 'test', now())`,
    [rows[0].no, batchNo, of.handling],
  );
}

/** Makes this the current run of a batch. */
async function publish({ pool }: Database, batchNo: number, facts: object): Promise<void> {
  await pool.query(
    `with made as (insert into run (batch_no, answers, rules, facts, digest, changed) values ($1, 1, '', $2, '', true) returning no)
     update batch set current_run = made.no from made where batch.no = $1`,
    [batchNo, { rows: 0, matchableRows: 0, wrongUnit: false, missing: false, residualMinor: null, ...facts }],
  );
}
