import { PAYOUT_STATES } from '../../domain/bank/payouts.ts';
import { type BatchState, KINDS } from '../../domain/discrepancy.ts';
import type { ReportKind } from '../../domain/formats/format.ts';

export type Definition = {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Each label with the values that it takes; null where only the running program knows them. */
  readonly labels: Readonly<Record<string, readonly string[] | null>>;
  readonly help: string;
  /** Upper bounds of a histogram's buckets, in seconds. */
  readonly buckets?: readonly number[];
};

const REPORT_KINDS = [
  'transactionDetails',
  'settlementDetails',
  'settlementSummary',
] as const satisfies readonly ReportKind[];
const SOURCE = { source: null } as const;
const SOURCE_AND_KIND = { source: null, kind: REPORT_KINDS } as const;
const BATCH_STATES = ['waiting', 'incomplete', 'discrepant', 'reconciled'] as const satisfies readonly BatchState[];
/** How long something is open. The word of the last one is the rest. */
export const AGES = ['under 1 day', '1 to 3 days', '3 to 7 days', '7 to 30 days', 'over 30 days'] as const;

/** From a chunk of few rows to a batch of millions. */
const WORK_SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 5, 15, 60, 300, 900, 1_800];
/** From a report that is read as it comes to one that the provider is about to delete. */
const LAG_SECONDS = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200, 86_400, 172_800, 604_800];

/**
 * All metrics of the program. Names and labels are promises to dashboards. No file, batch or row is ever a label: each value
 * would be a series that stays for ever.
 */
export const METRICS = {
  recon_rows_total: {
    type: 'counter',
    labels: { ...SOURCE_AND_KIND, outcome: ['matched', 'discrepant', 'refused', 'unmatchable'] },
    help: 'Rows of published runs by outcome; a row counts again whenever its batch is reconciled again. Unmatchable rows need no record, such as fees.',
  },
  recon_settlement_amount_total: {
    type: 'counter',
    labels: { source: null, currency: null, outcome: ['matched', 'discrepant', 'unmatchable'] },
    help: 'Settlement amounts of the rows of published settlement batches by outcome of the row, each as a magnitude, in major units; counted again as in recon_rows_total. A new series starts at zero.',
  },
  recon_rows_loaded_total: {
    type: 'counter',
    labels: SOURCE_AND_KIND,
    help: 'Rows that were read from reports, counted as they are loaded.',
  },
  recon_bytes_total: {
    type: 'counter',
    labels: SOURCE,
    help: 'Bytes of reports that were read from their source.',
  },
  recon_reports_total: {
    type: 'counter',
    labels: { ...SOURCE_AND_KIND, outcome: ['closed', 'refused', 'duplicate'] },
    help: 'Reports by outcome: closed (read to the end), refused (cannot be read as a whole) or duplicate.',
  },
  recon_stage_duration_seconds: {
    type: 'histogram',
    labels: { stage: ['fetch', 'load', 'match', 'total', 'publish'] },
    help: 'Duration of one stage in seconds: fetch of a file, load of a chunk, the others of a batch or day.',
    buckets: WORK_SECONDS,
  },
  recon_report_lag_seconds: {
    type: 'histogram',
    labels: SOURCE_AND_KIND,
    help: "Seconds from a file's modification time until its rows were loaded.",
    buckets: LAG_SECONDS,
  },
  recon_oldest_open_report_timestamp_seconds: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Modification time of the oldest file that was found and is unfinished or parked, in seconds since 1970. No series while there is none.',
  },
  recon_reconciled_until_timestamp_seconds: {
    type: 'gauge',
    labels: SOURCE,
    help: "End of the last day, in the source's time zone, up to which every report that was found is closed and its batch is reconciled, in seconds since 1970.",
  },
  recon_backlog_reports: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Files that were found and are unfinished, without parked ones.',
  },
  recon_backlog_bytes: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Bytes of the files in recon_backlog_reports.',
  },
  recon_backlog_batches: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Batches and days with a requested run that is not published yet, without parked ones.',
  },
  recon_batches_parked: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Batches and days that could not be reconciled in several tries and were parked.',
  },
  recon_reports_unusable: {
    type: 'gauge',
    labels: { source: null, state: ['waiting', 'refused', 'parked'] },
    help: 'Reports whose newest file is not loaded: it waits for its end, was refused as a whole, or was parked after several tries.',
  },
  recon_last_report_found_timestamp_seconds: {
    type: 'gauge',
    labels: SOURCE,
    help: 'When a new file of the source was last found, in seconds since 1970. No series before the first.',
  },
  recon_batches: {
    type: 'gauge',
    labels: { source: null, of: ['settlement', 'day'], state: BATCH_STATES },
    help: 'Settlement batches and days of transactions that have a result, by their state.',
  },
  recon_residual_batches: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Settlement batches whose details and summary are complete and have different settlement amounts.',
  },
  recon_residual_amount: {
    type: 'gauge',
    labels: { source: null, currency: null },
    help: 'Differences of the batches in recon_residual_batches, each as a magnitude, in major units of the currency.',
  },
  recon_payouts: {
    type: 'gauge',
    labels: { state: PAYOUT_STATES },
    help: 'Batches by what the statements of the bank say of their payout. Absent in a database without a bank.',
  },
  recon_payout_amount_open: {
    type: 'gauge',
    labels: { currency: null },
    help: 'Money of payouts that is not at the bank, or differs there, each as a magnitude, in major units of the currency.',
  },
  recon_oldest_expected_payout_timestamp_seconds: {
    type: 'gauge',
    labels: {},
    help: 'Settlement date of the oldest payout that has not arrived. Absent if all have.',
  },
  recon_bank_statement_lag_seconds: {
    type: 'gauge',
    labels: {},
    help: 'Seconds since the end of the last day of which there is a statement, of the account that has been silent for longest.',
  },
  recon_queue_jobs: {
    type: 'gauge',
    labels: { queue: null, state: ['waiting', 'active', 'delayed', 'failed'] },
    help: 'Jobs in each queue by state: waiting, active, delayed or failed.',
  },
  recon_queue_oldest_waiting_timestamp_seconds: {
    type: 'gauge',
    labels: { queue: null },
    help: 'Time since when the next job has been ready, in seconds since 1970. No series while nothing waits.',
  },
  recon_job_wait_seconds: {
    type: 'histogram',
    labels: { job: null },
    help: 'Seconds from when a job was ready until a worker first took it.',
    buckets: WORK_SECONDS,
  },
  recon_job_duration_seconds: {
    type: 'histogram',
    labels: { job: null, outcome: ['done', 'failed'] },
    help: 'Seconds from when a job was taken until it was done or failed. Failed jobs are retried.',
    buckets: WORK_SECONDS,
  },
  recon_job_retries_total: {
    type: 'counter',
    labels: { job: null },
    help: 'Failed jobs that are retried.',
  },
  recon_jobs_stalled_total: {
    type: 'counter',
    labels: {},
    help: 'Jobs of a worker that was killed, stopped or stuck; another worker took them over.',
  },
  recon_fenced_writes_total: {
    type: 'counter',
    labels: {},
    help: 'Writes that were rejected because another worker had claimed the task. The data is correct.',
  },
  recon_replays_total: {
    type: 'counter',
    labels: {},
    help: 'Runs that reconciled the same reports again.',
  },
  recon_discrepancies_open: {
    type: 'gauge',
    labels: { source: null, kind: KINDS },
    help: 'Discrepancies that are open, by kind. What was accepted is not.',
  },
  recon_discrepancy_amount_open: {
    type: 'gauge',
    labels: { source: null, kind: KINDS, currency: null },
    help: 'Money at stake in open discrepancies, in major units of the currency.',
  },
  recon_discrepancies_open_by_age: {
    type: 'gauge',
    labels: { source: null, age: AGES },
    help: 'Open discrepancies by the time since they were first seen.',
  },
  recon_discrepancy_amount_open_by_age: {
    type: 'gauge',
    labels: { source: null, age: AGES, currency: null },
    help: 'Money at stake in open discrepancies by the time since they were first seen, in major units of the currency.',
  },
  recon_discrepancies_accepted: {
    type: 'gauge',
    labels: { source: null, kind: KINDS },
    help: 'Discrepancies that the data still shows and a person accepted, by kind. They are not open.',
  },
  recon_discrepancy_amount_accepted: {
    type: 'gauge',
    labels: { source: null, kind: KINDS, currency: null },
    help: 'Money at stake in accepted discrepancies, in major units of the currency.',
  },
  recon_handling_pending_approval: {
    type: 'gauge',
    labels: { source: null },
    help: 'Discrepancies that one person accepted and another one must approve. They are open.',
  },
  recon_polls_total: {
    type: 'counter',
    labels: { source: null, outcome: ['done', 'failed'] },
    help: 'Polls of a source for new reports. Only producers poll.',
  },
  recon_poll_duration_seconds: {
    type: 'histogram',
    labels: SOURCE,
    help: 'Duration of a poll in seconds, login and listing included, also of failed polls.',
    buckets: WORK_SECONDS,
  },
  recon_last_poll_success_timestamp_seconds: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Time of the last poll of the source without an error, in seconds since 1970. Only on producers.',
  },
  recon_retention_headroom_seconds: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Seconds until the provider may delete the oldest file that is not fetched yet. No series while all are fetched.',
  },
  recon_process_info: {
    type: 'gauge',
    labels: { role: ['run', 'produce', 'work'] },
    help: 'Always 1: the role of this process. The role run is producer and worker.',
  },
  recon_parsers: {
    type: 'gauge',
    labels: { state: ['busy', 'idle'] },
    help: 'Parser processes of this worker.',
  },
  recon_parser_cpu_seconds_total: {
    type: 'counter',
    labels: { parser: null },
    help: 'Seconds of processor time used by the parser process with this number, and by its predecessors.',
  },
  recon_parser_resident_memory_bytes: {
    type: 'gauge',
    labels: { parser: null },
    help: 'Resident memory of each parser process.',
  },
  recon_parser_event_loop_lag_seconds: {
    type: 'gauge',
    labels: { parser: null },
    help: 'Longest time for which a parser process was too busy to answer since its last report, which it sends every second if it can.',
  },
  recon_parser_restarts_total: {
    type: 'counter',
    labels: {},
    help: 'Parser processes that died or were killed, and were replaced.',
  },
  recon_database_answer_seconds: {
    type: 'gauge',
    labels: {},
    help: 'Seconds that the simplest query took when this process last sent it to the database.',
  },
  recon_database_size_bytes: {
    type: 'gauge',
    labels: {},
    help: 'Size of the database on disk.',
  },
  recon_database_connections: {
    type: 'gauge',
    labels: { of: ['used', 'allowed'] },
    help: 'Connections of all clients to the database server, and its limit.',
  },
  recon_redis_memory_bytes: {
    type: 'gauge',
    labels: { of: ['used', 'allowed'] },
    help: 'Memory of the Redis that holds the queue, and its maxmemory; 0 if it has no limit. No series without Redis.',
  },
  recon_redis_memory_policy: {
    type: 'gauge',
    labels: { policy: null },
    help: 'Always 1: the maxmemory-policy of the Redis that holds the queue. Any other than noeviction evicts jobs when memory is short.',
  },
  recon_unreachable: {
    type: 'gauge',
    labels: { what: ['database', 'queue', 'archive', 'source'], source: null },
    help: 'Is 1 if it is unavailable, so that work that needs it waits; else 0. Database and queue as this process sees them, the archive and each source as the last process that tried. The label source is set for sources only.',
  },
  recon_collector_up: {
    type: 'gauge',
    labels: { of: ['reports', 'batches', 'discrepancies', 'queue', 'database'] },
    help: 'Is 1 if the last collection succeeded: of reports, batches and discrepancies in the database, of the queue, of the database server. After three failures their metrics are no longer shown.',
  },
} as const satisfies Readonly<Record<string, Definition>>;

type Table = typeof METRICS;
export type MetricName = keyof Table;
export type GaugeName = { [N in MetricName]: Table[N]['type'] extends 'gauge' ? N : never }[MetricName];

type LabelsOf<N extends MetricName> = {
  readonly [L in keyof Table[N]['labels']]: Table[N]['labels'][L] extends readonly (infer V)[] ? V : string;
};

/** One thing that was measured; plain data, so that a parser process can send it to its parent. */
export type Measurement = {
  [N in MetricName]: { readonly name: N; readonly labels: LabelsOf<N>; readonly value: number };
}[MetricName];

/** Counters add the value, histograms observe it, gauges take it. */
export type RecordMetric = (measure: Measurement) => void;

/** Gauges with all their series. */
export type GaugeValues = {
  readonly [N in GaugeName]?: readonly { readonly labels: LabelsOf<N>; readonly value: number }[];
};
