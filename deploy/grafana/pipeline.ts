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
    stat({ title: 'Reports to be done', good: 'Zero, but for minutes after a delivery.', unit: 'short' }, STAT, {
      ask: whole('recon_backlog_reports', 'source'),
      called: '{{source}}',
    }),
    stat({ title: 'Bytes of them', good: 'Zero, and falling while it is not.', unit: 'bytes' }, STAT, {
      ask: whole('recon_backlog_bytes', 'source'),
      called: '{{source}}',
    }),
    stat(
      { title: 'Batches that want a run', good: 'Zero, but for seconds after a report was read.', unit: 'short' },
      STAT,
      { ask: whole('recon_backlog_batches', 'source'), called: '{{source}}' },
    ),
    stat(
      {
        title: 'Oldest report not done',
        good: 'None, or minutes old; an alert comes at two hours.',
        unit: 's',
        bad: { warning: 1_800, critical: 7_200 },
      },
      STAT,
      { ask: 'source:recon_oldest_open_report:age_seconds{source=~"$source"}', called: '{{source}}' },
    ),
    stat(
      {
        title: 'Looks that fail',
        good: 'Zero: every process sees the book, the queue and the database.',
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
        good: 'Minutes: the pause between two looks and the time to read. Hours where files are found late.',
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
        title: 'Behind the calendar',
        good: 'A day or two, by what was agreed: since the end of the last day up to which everything is read and reconciled.',
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
      { title: 'Rows read', good: 'Peaks after each delivery; a core reads some 100,000 a second.', unit: 'rowsps' },
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
        good: 'Matched, with a thin line of others; it follows what is read by seconds.',
        unit: 'rowsps',
      },
      THIRD,
      { ask: rate('recon_rows_total', 'outcome'), called: '{{outcome}}' },
    ),
    lines(
      {
        title: 'Reports ended in 15 minutes',
        good: 'Closed; a duplicate now and then is harmless, and refused is rare.',
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
        title: 'Seconds of work a second, by stage',
        good: 'Below the number of parser processes; at it, more of them would help. It shows where time goes.',
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
        good: 'Waiting rises with a delivery and falls to zero; failed is always zero, for the book decides what is tried again.',
        unit: 'short',
      },
      THIRD,
      { ask: 'queue_state:recon_queue_jobs:max', called: '{{queue}} {{state}}' },
    ),
    lines(
      {
        title: 'Wait of a job (p95)',
        good: 'Below a second where workers are idle; minutes during a large delivery. More workers shorten it.',
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
  title: 'What goes wrong',
  panels: [
    lines(
      {
        title: 'Retries in 15 minutes',
        good: 'Zero. A few after a restart of a neighbour are harmless; a steady number is not.',
        unit: 'short',
      },
      THIRD,
      { ask: increase('recon_job_retries_total', 'exported_job'), called: '{{exported_job}}' },
    ),
    lines(
      {
        title: 'Stalled jobs, fenced writes, replays in 15 minutes',
        good: 'Zero of the first two but after a killed worker: then a job was taken over, and a late write turned away. Replays are asked for by people.',
        unit: 'short',
      },
      THIRD,
      { ask: 'sum(increase(recon_jobs_stalled_total[15m]))', called: 'stalled' },
      { ask: 'sum(increase(recon_fenced_writes_total[15m]))', called: 'fenced' },
      { ask: 'sum(increase(recon_replays_total[15m]))', called: 'replayed' },
    ),
    lines(
      {
        title: 'Given up and refused',
        good: 'Zero refused and parked; waiting is a file without its end, and passes.',
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
        title: 'Since the last good look',
        good: 'Never more than twice the pause between two looks (pollSeconds).',
        unit: 's',
        bad: { warning: 1_800, critical: 3_600 },
      },
      THIRD,
      { ask: 'source:recon_last_poll_success:age_seconds{source=~"$source"}', called: '{{source}}' },
    ),
    lines({ title: 'Looks in 15 minutes', good: 'Done, and none failed.', unit: 'short' }, THIRD, {
      ask: increase('recon_polls_total', 'source, outcome', 'source=~"$source"'),
      called: '{{source}} {{outcome}}',
    }),
    lines(
      {
        title: 'Time of a look (p95)',
        good: 'Seconds; it grows with the days and files that lie on the server, and jumps when the server is slow.',
        unit: 's',
      },
      THIRD,
      { ask: p95('recon_poll_duration_seconds', 'source', 'source=~"$source"'), called: '{{source}}' },
    ),
    bars(
      {
        title: 'Until the provider may delete the oldest file not fetched',
        good: 'None: everything is fetched. Else days; an alert comes at two.',
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
        title: 'Away',
        good: 'Zero. What needs a source or the archive that is away waits, and goes on by itself when it is back.',
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
        good: 'Below the cores: parsers use one each while they read, and the process that holds the queue nearly nothing.',
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
        good: 'Flat, however large the files are: some 150 MB for the process and up to 300 MB for each parser.',
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
        good: 'Idle between deliveries, busy during one. All busy for long: more of them would help.',
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
        title: 'Answer of the database',
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
        good: 'It grows with the rows that are kept, and with nothing else.',
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
        good: 'Used is well below allowed, if anything is allowed (0 is no limit); a job takes about 1 KB. Empty where Postgres holds the queue.',
        unit: 'bytes',
      },
      THIRD,
      { ask: 'max by (of) (recon_redis_memory_bytes)', called: '{{of}}' },
    ),
    stat(
      {
        title: 'What Redis does when memory is short',
        good: 'It is noeviction: no job is thrown away.',
        unit: 'short',
      },
      { width: 8, height: 9 },
      { ask: 'max by (policy) (recon_redis_memory_policy)', called: '{{policy}}' },
    ),
    lines(
      {
        title: 'Looks that go well',
        good: 'All at 1. What a process could not look at three times is no longer told by it.',
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
