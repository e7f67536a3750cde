import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import {
  type Definition,
  type GaugeName,
  type GaugeValues,
  METRICS,
  type MetricName,
  type RecordMetric,
} from './definitions.ts';

export type Metrics = {
  readonly recordMetric: RecordMetric;
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
  const late = lateBeginners(named);
  return {
    recordMetric({ name, labels, value }) {
      const metric = metrics.get(name)!;
      if (metric instanceof Counter) {
        if (!late.holdsBack(metric, name, labels, value)) metric.inc(labels, value);
      }
      // A file from a clock that is ahead was not read before it came.
      else if (metric instanceof Histogram) metric.observe(labels, Math.max(0, value));
      else metric.set(labels, value);
    },
    replaceGauges(values) {
      for (const [name, series] of Object.entries(values)) {
        const gauge = metrics.get(name) as Gauge;
        forget(gauge, METRICS[name as GaugeName]);
        for (const { labels, value } of series) gauge.set(labels, value);
      }
    },
    async text() {
      const count = late.take();
      const text = await registry.metrics();
      count();
      return text;
    },
    contentType: registry.contentType,
  };
}

/** Without labels a gauge is zero from the start, and again after a reset; what is not known is no zero. */
function forget(gauge: Gauge, { labels }: Definition): void {
  gauge.reset();
  if (Object.keys(labels).length === 0) gauge.remove();
}

/**
 * Counters whose labels nobody knows before, such as currencies. Their first increase would not show, for Prometheus sees no
 * increase in a series that was not there: so a new one is told as zero once, and counts from then on.
 */
function lateBeginners(named: Readonly<Record<string, unknown>>) {
  type Held = { readonly counter: Counter; readonly labels: Record<string, string>; value: number };
  const begun = new Set<string>();
  let held = new Map<string, Held>();
  return {
    holdsBack(counter: Counter, name: MetricName, labels: Record<string, string>, value: number): boolean {
      const definition: Definition = METRICS[name];
      const isKnown = Object.entries(definition.labels).every(([label, values]) => values !== null || label in named);
      const key = `${name} ${JSON.stringify(Object.entries(labels).sort())}`;
      if (isKnown || begun.has(key)) return false;
      const holding = held.get(key) ?? { counter, labels, value: 0 };
      holding.value += value;
      held.set(key, holding);
      counter.inc(labels, 0);
      return true;
    },
    /** What is told now as zero; it counts when the returned function is called. */
    take(): () => void {
      const shown = held;
      held = new Map();
      return () => {
        for (const [key, { counter, labels, value }] of shown) {
          begun.add(key);
          counter.inc(labels, value);
        }
      };
    },
  };
}

function makeMetric(
  registry: Registry,
  name: string,
  definition: Definition,
  known: readonly Record<string, string>[],
): Counter | Gauge | Histogram {
  const { type, labels, help, buckets = [] } = definition;
  const settings = { name, help, labelNames: Object.keys(labels), registers: [registry] };
  if (type === 'gauge') {
    const gauge = new Gauge(settings);
    forget(gauge, definition);
    return gauge;
  }
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
