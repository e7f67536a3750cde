import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { KINDS } from '../domain/discrepancy.ts';
import type { ReportKind } from '../domain/formats/format.ts';

type Definition = {
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
    help: 'Rows of published runs by what became of them; a row counts again whenever its batch is reconciled again. Unmatchable rows need no record, such as fees.',
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
    help: 'Reports that were read to their end, cannot be read as a whole, or brought nothing new.',
  },
  recon_stage_duration_seconds: {
    type: 'histogram',
    labels: { stage: ['fetch', 'load', 'match', 'total', 'publish'] },
    help: 'Seconds that one step of the work took: fetch for a file, load for a chunk, the others for a batch or day.',
    buckets: WORK_SECONDS,
  },
  recon_report_lag_seconds: {
    type: 'histogram',
    labels: SOURCE_AND_KIND,
    help: "Seconds from a file's modification time until its rows were part of the book.",
    buckets: LAG_SECONDS,
  },
  recon_oldest_open_report_timestamp_seconds: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Modification time of the oldest file that was found and is not done or was given up, in seconds since 1970. No series while there is none.',
  },
  recon_reconciled_until_timestamp_seconds: {
    type: 'gauge',
    labels: SOURCE,
    help: "End of the last day, in the source's time zone, up to which every report that was found is closed and its batch is reconciled, in seconds since 1970.",
  },
  recon_backlog_reports: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Files that were found and are not done. Those that were given up do not count.',
  },
  recon_backlog_bytes: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Bytes of the files in recon_backlog_reports.',
  },
  recon_queue_jobs: {
    type: 'gauge',
    labels: { queue: null, state: ['waiting', 'active', 'delayed', 'failed'] },
    help: 'Jobs that the queue holds.',
  },
  recon_queue_oldest_waiting_timestamp_seconds: {
    type: 'gauge',
    labels: { queue: null },
    help: 'Since when the job that is next could have been done, in seconds since 1970. No series while nothing waits.',
  },
  recon_job_wait_seconds: {
    type: 'histogram',
    labels: { job: null },
    help: 'Seconds from when a job could have been done until it was first taken.',
    buckets: WORK_SECONDS,
  },
  recon_job_duration_seconds: {
    type: 'histogram',
    labels: { job: null, outcome: ['done', 'failed'] },
    help: 'Seconds from when a job was taken until it was done or had failed. What failed is tried again.',
    buckets: WORK_SECONDS,
  },
  recon_jobs_stalled_total: {
    type: 'counter',
    labels: {},
    help: 'Jobs whose worker was killed, stopped or stuck, so that another took them over.',
  },
  recon_fenced_writes_total: {
    type: 'counter',
    labels: {},
    help: 'Writes that were turned away because another worker had taken the task over. Nothing is wrong with the data.',
  },
  recon_replays_total: {
    type: 'counter',
    labels: {},
    help: 'Runs that reconciled the same reports again.',
  },
  recon_discrepancies_open: {
    type: 'gauge',
    labels: { source: null, kind: KINDS },
    help: 'Discrepancies that the newest runs tell of.',
  },
  recon_discrepancy_amount_open: {
    type: 'gauge',
    labels: { source: null, kind: KINDS, currency: null },
    help: 'Money that the open discrepancies are about, in major units of the currency.',
  },
  recon_last_poll_success_timestamp_seconds: {
    type: 'gauge',
    labels: SOURCE,
    help: 'When the files of the source were last listed without an error, in seconds since 1970. Only where a producer runs.',
  },
  recon_retention_headroom_seconds: {
    type: 'gauge',
    labels: SOURCE,
    help: 'Seconds until the provider may delete the oldest file that is not fetched yet. No series while all are fetched.',
  },
  recon_collector_up: {
    type: 'gauge',
    labels: { of: ['reports', 'discrepancies', 'queue'] },
    help: 'Whether the last look went well: at reports and discrepancies in the database, at the queue. After three that did not, what they tell of is no longer shown.',
  },
} as const satisfies Readonly<Record<string, Definition>>;

type Table = typeof METRICS;
type MetricName = keyof Table;
export type GaugeName = { [N in MetricName]: Table[N]['type'] extends 'gauge' ? N : never }[MetricName];

type LabelsOf<N extends MetricName> = {
  readonly [L in keyof Table[N]['labels']]: Table[N]['labels'][L] extends readonly (infer V)[] ? V : string;
};

/** One thing that was measured; plain data, so that a parser process can send it to its parent. */
export type Measure = {
  [N in MetricName]: { readonly name: N; readonly labels: LabelsOf<N>; readonly value: number };
}[MetricName];

/** Counters add the value, histograms observe it, gauges take it. */
export type Measured = (measure: Measure) => void;

/** Gauges with all their series. */
export type GaugeValues = {
  readonly [N in GaugeName]?: readonly { readonly labels: LabelsOf<N>; readonly value: number }[];
};

export type Metrics = {
  readonly measured: Measured;
  /** What was told before of these gauges is forgotten. */
  replaceGauges(values: GaugeValues): void;
  /** Everything that is known now, in Prometheus' text format. It waits for nobody. */
  text(): Promise<string>;
  readonly contentType: string;
};

/** Opens the metrics of this process. Counters of the sources and jobs that are named begin at zero, so that the first increase shows. */
export function openMetrics(named: { readonly source: readonly string[]; readonly job: readonly string[] }): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = new Map<string, Counter | Gauge | Histogram>();
  for (const [name, definition] of Object.entries<Definition>(METRICS)) {
    metrics.set(name, makeMetric(registry, name, definition, seriesOf(definition.labels, named)));
  }
  return {
    measured({ name, labels, value }) {
      const metric = metrics.get(name)!;
      if (metric instanceof Counter) metric.inc(labels, value);
      // A file from a clock that is ahead was not read before it came.
      else if (metric instanceof Histogram) metric.observe(labels, Math.max(0, value));
      else metric.set(labels, value);
    },
    replaceGauges(values) {
      for (const [name, series] of Object.entries(values)) {
        const gauge = metrics.get(name) as Gauge;
        gauge.reset();
        for (const { labels, value } of series) gauge.set(labels, value);
      }
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function makeMetric(
  registry: Registry,
  name: string,
  { type, labels, help, buckets = [] }: Definition,
  known: readonly Record<string, string>[],
): Counter | Gauge | Histogram {
  const settings = { name, help, labelNames: Object.keys(labels), registers: [registry] };
  if (type === 'gauge') return new Gauge(settings);
  if (type === 'counter') {
    const counter = new Counter(settings);
    for (const series of known) counter.inc(series, 0);
    return counter;
  }
  const histogram = new Histogram({ ...settings, buckets: [...buckets] });
  for (const series of known) histogram.zero(series);
  return histogram;
}

/** Every combination of the values that are known; none where a label has no known value. */
function seriesOf(
  labels: Definition['labels'],
  named: Readonly<Record<string, readonly string[]>>,
): Record<string, string>[] {
  let series: Record<string, string>[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    series = series.flatMap((one) => (values ?? named[label] ?? []).map((value) => ({ ...one, [label]: value })));
  }
  return series;
}
