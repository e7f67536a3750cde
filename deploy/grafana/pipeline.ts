import { bars, dashboardOf, lines, type Row, stat, whole } from './panels.ts';

const STAT = { width: 4, height: 5 };
const THIRD = { width: 8, height: 9 };

/** Events a second, of all processes. */
const rate = (metric: string, by: string, labels = 'source=~"$source"') =>
  `sum by (${by}) (rate(${metric}{${labels}}[$__rate_interval]))`;

/** Events in a quarter of an hour: seldom ones would be fractions a second. */
const increase = (metric: string, by: string, labels = '') => `sum by (${by}) (increase(${metric}{${labels}}[15m]))`;

/** Nineteen of twenty took at most so long, over a quarter of an hour. */
const p95 = (histogram: string, by: string, labels = '') =>
  `histogram_quantile(0.95, sum by (le, ${by}) (rate(${histogram}_bucket{${labels}}[15m])))`;

const keepingUp: Row = {
  title: 'Does it keep up?',
  panels: [
    stat({ title: 'Unfinished reports', good: 'Zero, except for minutes after a delivery.', unit: 'short' }, STAT, {
      ask: whole('recon_backlog_reports', 'source'),
      called: '{{source}}',
    }),
    stat({ title: 'Unfinished bytes', good: 'Zero, or falling.', unit: 'bytes' }, STAT, {
      ask: whole('recon_backlog_bytes', 'source'),
      called: '{{source}}',
    }),
    stat(
      {
        title: 'Batches with a requested run',
        good: 'Zero, except for seconds after a report was read.',
        unit: 'short',
      },
      STAT,
      { ask: whole('recon_backlog_batches', 'source'), called: '{{source}}' },
    ),
    stat(
      {
        title: 'Oldest unfinished report',
        good: 'None, or minutes old; the alert fires at two hours.',
        unit: 's',
        bad: { warning: 1_800, critical: 7_200 },
      },
      STAT,
      { ask: 'source:recon_oldest_open_report:age_seconds{source=~"$source"}', called: '{{source}}' },
    ),
    stat(
      {
        title: 'Failed collections',
        good: 'Zero: every process can query the database and the queue.',
        unit: 'short',
        bad: { warning: 1, critical: 3 },
      },
      STAT,
      { ask: 'sum(1 - recon_collector_up)', called: 'in vain' },
    ),
    stat(
      {
        title: 'Processes',
        good: 'As many as you started: a run, or a producer and its workers.',
        unit: 'short',
      },
      STAT,
      { ask: 'sum by (role) (recon_process_info)', called: '{{role}}' },
    ),
    lines(
      {
        title: 'From written to read (p95)',
        good: 'Minutes: the pause between two polls and the time to read. Hours if files are found late.',
        unit: 's',
      },
      THIRD,
      { ask: p95('recon_report_lag_seconds', 'kind', 'source=~"$source"'), called: '{{kind}}' },
    ),
    lines(
      {
        title: 'Ages',
        good: 'The oldest report and the oldest job are seconds to minutes old, or there is none.',
        unit: 's',
      },
      THIRD,
      { ask: 'source:recon_oldest_open_report:age_seconds{source=~"$source"}', called: 'report of {{source}}' },
      { ask: 'queue:recon_queue_oldest_waiting:age_seconds', called: 'job {{queue}}' },
    ),
    lines(
      {
        title: 'Time since the last reconciled day',
        good: 'A day or two, depending on the calendar: since the end of the last day up to which everything is read and reconciled.',
        unit: 's',
      },
      THIRD,
      { ask: 'source:recon_reconciled_until:age_seconds{source=~"$source"}', called: '{{source}}' },
    ),
  ],
};

const throughput: Row = {
  title: 'Throughput',
  panels: [
    lines(
      { title: 'Rows read', good: 'Peaks after each delivery; a core reads about 100,000 a second.', unit: 'rowsps' },
      THIRD,
      { ask: rate('recon_rows_loaded_total', 'kind'), called: '{{kind}}' },
      { ask: 'sum by (kind) (source_kind:recon_rows_loaded:rate5m{source=~"$source"})', called: '{{kind}}, 5 minutes' },
    ),
    lines(
      { title: 'Bytes read', good: 'Peaks of tens of megabytes a second; less from a slow server.', unit: 'Bps' },
      THIRD,
      { ask: rate('recon_bytes_total', 'source'), called: '{{source}}' },
      { ask: 'source:recon_bytes:rate5m{source=~"$source"}', called: '{{source}}, 5 minutes' },
    ),
    lines(
      {
        title: 'Rows reconciled, by outcome',
        good: 'Mostly matched; follows the rows read within seconds.',
        unit: 'rowsps',
      },
      THIRD,
      { ask: rate('recon_rows_total', 'outcome'), called: '{{outcome}}' },
    ),
    lines(
      {
        title: 'Reports ended in 15 minutes',
        good: 'Closed; an occasional duplicate is harmless, refused is rare.',
        unit: 'short',
      },
      THIRD,
      { ask: increase('recon_reports_total', 'outcome', 'source=~"$source"'), called: '{{outcome}}' },
    ),
    lines(
      {
        title: 'Time of a stage (p95)',
        good: 'Flat: load is a chunk and stays below seconds, match and publish grow with the size of a batch.',
        unit: 's',
      },
      THIRD,
      { ask: p95('recon_stage_duration_seconds', 'stage'), called: '{{stage}}' },
    ),
    lines(
      {
        title: 'Seconds of work per second, by stage',
        good: 'Below the number of parser processes; if it reaches that number, more processes help. Shows where time is spent.',
        unit: 'short',
      },
      THIRD,
      { ask: 'sum by (stage) (rate(recon_stage_duration_seconds_sum[$__rate_interval]))', called: '{{stage}}' },
    ),
  ],
};

const queue: Row = {
  title: 'Queue',
  panels: [
    lines(
      {
        title: 'Jobs in the queue',
        good: 'Waiting rises with a delivery and falls to zero; failed is always zero, because retries are managed in the database.',
        unit: 'short',
      },
      THIRD,
      { ask: 'queue_state:recon_queue_jobs:max', called: '{{queue}} {{state}}' },
    ),
    lines(
      {
        title: 'Wait of a job (p95)',
        good: 'Below a second if workers are idle; minutes during a large delivery. More workers shorten it.',
        unit: 's',
      },
      THIRD,
      { ask: p95('recon_job_wait_seconds', 'exported_job'), called: '{{exported_job}}' },
    ),
    lines({ title: 'Time of a job (p95)', good: 'Flat; reconcile grows with the size of a batch.', unit: 's' }, THIRD, {
      ask: p95('recon_job_duration_seconds', 'exported_job', 'outcome="done"'),
      called: '{{exported_job}}',
    }),
  ],
};

const failures: Row = {
  title: 'Failures',
  panels: [
    lines(
      {
        title: 'Retries in 15 minutes',
        good: 'Zero. A few after a restart of a server are harmless; a steady number is not.',
        unit: 'short',
      },
      THIRD,
      { ask: increase('recon_job_retries_total', 'exported_job'), called: '{{exported_job}}' },
    ),
    lines(
      {
        title: 'Stalled jobs, fenced writes, replays in 15 minutes',
        good: 'The first two are zero, except after a killed worker: a job was taken over, and a late write rejected. People start replays.',
        unit: 'short',
      },
      THIRD,
      { ask: 'sum(increase(recon_jobs_stalled_total[15m]))', called: 'stalled' },
      { ask: 'sum(increase(recon_fenced_writes_total[15m]))', called: 'fenced' },
      { ask: 'sum(increase(recon_replays_total[15m]))', called: 'replayed' },
    ),
    lines(
      {
        title: 'Parked and refused',
        good: 'Zero refused and parked; waiting is a file without its end, and resolves itself.',
        unit: 'short',
      },
      THIRD,
      { ask: whole('recon_reports_unusable', 'source, state'), called: '{{source}} reports {{state}}' },
      { ask: whole('recon_batches_parked', 'source'), called: '{{source}} batches parked' },
    ),
  ],
};

const sftp: Row = {
  title: 'Sources (SFTP and folders)',
  panels: [
    lines(
      {
        title: 'Since the last successful poll',
        good: 'Never more than twice the pause between two polls (pollSeconds).',
        unit: 's',
        bad: { warning: 1_800, critical: 3_600 },
      },
      THIRD,
      { ask: 'source:recon_last_poll_success:age_seconds{source=~"$source"}', called: '{{source}}' },
    ),
    lines({ title: 'Polls in 15 minutes', good: 'Done, and none failed.', unit: 'short' }, THIRD, {
      ask: increase('recon_polls_total', 'source, outcome', 'source=~"$source"'),
      called: '{{source}} {{outcome}}',
    }),
    lines(
      {
        title: 'Duration of a poll (p95)',
        good: 'Seconds; grows with the days and files on the server, and jumps when the server is slow.',
        unit: 's',
      },
      THIRD,
      { ask: p95('recon_poll_duration_seconds', 'source', 'source=~"$source"'), called: '{{source}}' },
    ),
    bars(
      {
        title: 'Until the provider may delete the oldest file not fetched',
        good: 'None: everything is fetched. Otherwise days; the alert fires at two.',
        unit: 's',
        bad: { warning: 4 * 86_400, critical: 2 * 86_400 },
        isUpGood: true,
      },
      THIRD,
      { ask: 'source:recon_retention_headroom_seconds:min{source=~"$source"}', called: '{{source}}' },
    ),
    bars(
      {
        title: 'Since a new file was found',
        good: 'A day or two. An account that is unused for 90 days is disabled.',
        unit: 's',
        bad: { warning: 7 * 86_400, critical: 80 * 86_400 },
      },
      THIRD,
      { ask: 'source:recon_last_report_found:age_seconds{source=~"$source"}', called: '{{source}}' },
    ),
    lines(
      {
        title: 'Unavailable',
        good: 'Zero. Work that needs an unavailable source or archive waits, and continues by itself.',
        unit: 'short',
      },
      THIRD,
      { ask: 'max by (what, source) (recon_unreachable)', called: '{{what}} {{source}}' },
    ),
  ],
};

const processes: Row = {
  title: 'Processes',
  panels: [
    lines(
      {
        title: 'Processor',
        good: 'Below the number of cores: each parser uses one while it reads, the parent process nearly nothing.',
        unit: 'short',
      },
      THIRD,
      {
        ask: 'sum by (instance) (rate(recon_parser_cpu_seconds_total[$__rate_interval]))',
        called: '{{instance}} parsers',
      },
      {
        ask: 'rate(process_cpu_seconds_total[$__rate_interval]) and on (instance) recon_process_info',
        called: '{{instance}} itself',
      },
    ),
    lines(
      {
        title: 'Memory',
        good: 'Flat, whatever the size of the files: about 150 MB for the process and up to 300 MB for each parser.',
        unit: 'bytes',
      },
      THIRD,
      { ask: 'recon_parser_resident_memory_bytes', called: '{{instance}} parser {{parser}}' },
      { ask: 'process_resident_memory_bytes and on (instance) recon_process_info', called: '{{instance}} itself' },
    ),
    lines(
      {
        title: 'Event loop',
        good: 'The process itself below 0.1 s: it holds the locks of the queue, which live for 10 s. Parsers may be busy for seconds; at 30 s they are replaced.',
        unit: 's',
      },
      THIRD,
      { ask: 'nodejs_eventloop_lag_p99_seconds and on (instance) recon_process_info', called: '{{instance}} itself' },
      { ask: 'max by (instance) (recon_parser_event_loop_lag_seconds)', called: '{{instance}} parsers' },
    ),
    lines(
      {
        title: 'Parsers',
        good: 'Idle between deliveries, busy during one. All busy for long: more parsers help.',
        unit: 'short',
      },
      THIRD,
      { ask: 'sum by (state) (recon_parsers)', called: '{{state}}' },
    ),
    lines(
      {
        title: 'Parsers that were replaced in 15 minutes',
        good: 'Zero: parsers live as long as their worker.',
        unit: 'short',
      },
      THIRD,
      {
        ask: increase('recon_parser_restarts_total', 'instance'),
        called: '{{instance}}',
      },
    ),
  ],
};

const neighbours: Row = {
  title: 'Database and Redis',
  panels: [
    lines(
      {
        title: 'Response time of the database',
        good: 'Milliseconds, from every process.',
        unit: 's',
        bad: { warning: 0.5, critical: 2 },
      },
      THIRD,
      { ask: 'max by (instance) (recon_database_answer_seconds)', called: '{{instance}}' },
    ),
    lines(
      {
        title: 'Size of the database',
        good: 'Grows only with the stored rows.',
        unit: 'bytes',
      },
      THIRD,
      { ask: 'max(recon_database_size_bytes)', called: 'size' },
    ),
    lines({ title: 'Connections of the database', good: 'Used is well below allowed.', unit: 'short' }, THIRD, {
      ask: 'max by (of) (recon_database_connections)',
      called: '{{of}}',
    }),
    lines(
      {
        title: 'Memory of Redis',
        good: 'Used is well below allowed (0 is no limit); a job takes about 1 KB. Empty if the queue is in Postgres.',
        unit: 'bytes',
      },
      THIRD,
      { ask: 'max by (of) (recon_redis_memory_bytes)', called: '{{of}}' },
    ),
    stat(
      {
        title: 'Eviction policy of Redis',
        good: 'It is noeviction: no job is evicted.',
        unit: 'short',
      },
      { width: 8, height: 9 },
      { ask: 'max by (policy) (recon_redis_memory_policy)', called: '{{policy}}' },
    ),
    lines(
      {
        title: 'Successful collections',
        good: 'All at 1. After three failures a process no longer reports these metrics.',
        unit: 'short',
      },
      THIRD,
      { ask: 'min by (of) (recon_collector_up)', called: '{{of}}' },
    ),
  ],
};

/** For SREs: does it keep up, and if not, where does it hang. */
export const pipeline = dashboardOf(
  {
    uid: 'settlestream-pipeline',
    title: 'Pipeline',
    about: 'For SREs: throughput, lag, queue, what goes wrong, sources, processes, database and Redis.',
    from: 'now-6h',
    refresh: '15s',
  },
  [keepingUp, throughput, queue, failures, sftp, processes, neighbours],
);
