/**
 * Whether the standing service holds out: the demo goes on with a new batch every few seconds, a real Prometheus looks at it,
 * and at the end it is told what became of every batch, how memory went, and what Prometheus saw. Fails where a batch had no
 * result within a minute or another one than was planned, where Prometheus says another lag than files and book do, where
 * memory grew, and where SIGTERM took more than seconds.
 *
 *     node bench/standing.ts [--minutes 10] [--every 3] [--json]
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPrometheus, type TestPrometheus } from '../test/support/prometheus.ts';
import { type Started, startSettlestream } from '../test/support/settlestream.ts';
import { type Lag, lagOf } from './lag-of.ts';
import { type Peak, watchMemory } from './memory-of.ts';
import { count, inPlace, megabytes, readOptions, removeBook, tell, type Workspace } from './place.ts';

const { minutes, every, json } = readOptions({ minutes: 10, every: 3 });

/** The first batches pay for what is loaded once. */
const WARM_UP_MS = 20_000;
const SAMPLE_MS = 10_000;
const MINUTE_MS = 60_000;
/** Prometheus scrapes every second, and may be late by one. */
const SCRAPED_AFTER_MS = 3_000;
/** Clocks of processes, and the time from the book's commit to the count. */
const LAG_SLACK_SECONDS = 0.5;
const MOST_GROWTH = 1.1;
const MOST_STOP_SECONDS = 10;

/** The most that all processes together had in a span of time. */
type Sample = { readonly minute: number; readonly peak: Peak };

async function measure({ dir, signal }: Workspace): Promise<void> {
  const dataDir = join(dir, 'book');
  const args = ['demo', '--keep', '--every', String(every), '--data-dir', dataDir];
  const demo = startSettlestream(args, { signal, timeoutMs: (minutes + 10) * MINUTE_MS });
  let prometheus: TestPrometheus | undefined;
  try {
    tell('starting the demo …');
    const { host } = new URL(JSON.parse(await demo.says(/"pages: /)).url);
    // The week's reports were closed before.
    const since = new Date();
    prometheus = await startPrometheus([host]);
    await sleep(WARM_UP_MS, undefined, { signal });
    tell(`a batch every ${every} s, for ${minutes} minutes …`);
    const memory = await sampleMemory(demo, dataDir, signal);
    const seen = await whatPrometheusSaw(prometheus);
    const lag = await lagSoFar(dataDir, since);
    const { seconds, stderr, code } = await stop(demo);
    const result = {
      minutes,
      everySeconds: every,
      ...outcomes(stderr),
      memory: trend(memory),
      seen,
      lag: lag.most,
      stopSeconds: seconds,
    };
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${textOf(result)}\n`);
    const failed = [
      ...(code === 0 ? [] : [`it ended with ${code}: ${stderr.slice(-2_000)}`]),
      ...result.missing,
      ...result.wrong,
      // What came last may have been under way at the end.
      ...atMost('batches without a result', result.put - result.reconciled - result.discrepant, 1),
      ...atMost('the growth of memory', result.memory?.growth ?? 1, MOST_GROWTH),
      ...atMost('the seconds that SIGTERM took', seconds, MOST_STOP_SECONDS),
      ...otherThan(lag, seen),
    ];
    if (failed.length > 0) throw new Error(failed.join('\n'));
  } finally {
    demo.kill('SIGTERM');
    await demo.ended;
    await prometheus?.stop();
    await removeBook(dataDir);
  }
}

const atMost = (what: string, value: number, most: number): string[] =>
  value <= most ? [] : [`${what}: ${value}, of ${most} at most`];

/** What was closed by the last scrape is between what was closed a little before it and what is closed by now. */
async function lagSoFar(dataDir: string, since: Date): Promise<{ least: Lag; most: Lag }> {
  const scrapedAt = new Date(Date.now() - SCRAPED_AFTER_MS);
  const until = await lagOf(dataDir, join(dataDir, 'demo-week/reports'), since);
  return { least: until(scrapedAt), most: until(new Date()) };
}

/** Where Prometheus counts other reports, or lags of other lengths, than there were. */
function otherThan({ least, most }: { least: Lag; most: Lag }, { closed, reportsClosed }: Seen): string[] {
  const slack = LAG_SLACK_SECONDS * Math.max(1, most.reports);
  const isRight =
    closed.reports === reportsClosed &&
    least.reports > 0 &&
    closed.reports >= least.reports &&
    closed.reports <= most.reports &&
    closed.seconds >= least.seconds - slack &&
    closed.seconds <= most.seconds + slack;
  return isRight
    ? []
    : [
        `Prometheus saw ${JSON.stringify({ closed, reportsClosed })}, and there were ${JSON.stringify({ least, most })}`,
      ];
}

async function sampleMemory({ pid }: Started, dataDir: string, signal: AbortSignal): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startedAt = Date.now();
  while (Date.now() - startedAt < minutes * MINUTE_MS) {
    const stopWatching = watchMemory(pid, dataDir);
    try {
      await sleep(SAMPLE_MS, undefined, { signal });
    } finally {
      const peak = stopWatching();
      if (peak) samples.push({ minute: (Date.now() - startedAt) / MINUTE_MS, peak });
    }
  }
  return samples;
}

/**
 * At the beginning, in the middle and at the end, and how what the processes made themselves grew: the slope of the straight line
 * nearest to all samples, and the most of the last third beside the most of all before. Between two collections of garbage, which
 * are minutes apart, it always grows.
 */
function trend(samples: readonly Sample[]) {
  if (samples.length < 6) return null;
  const third = Math.floor(samples.length / 3);
  const mostOf = (some: readonly Sample[]) => Math.max(...some.map(ownBytes));
  const growth = mostOf(samples.slice(-third)) / mostOf(samples.slice(0, -third));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const middle = mean(samples.map(({ minute }) => minute));
  const usual = mean(samples.map(ownBytes));
  const spread = samples.reduce((sum, { minute }) => sum + (minute - middle) ** 2, 0);
  const rise = samples.reduce((sum, sample) => sum + (sample.minute - middle) * (ownBytes(sample) - usual), 0);
  return {
    start: samples[0]!.peak,
    middle: samples[samples.length >> 1]!.peak,
    end: samples.at(-1)!.peak,
    bytesAMinute: rise / spread,
    growth,
    /** In the order of time. */
    ownBytes: samples.map(ownBytes),
  };
}

const ownBytes = ({ peak }: Sample): number => peak.node.anonymousBytes + peak.postgres.anonymousBytes;

/** The week's reports are from long ago and were read before Prometheus looked, so that lag is that of the new batches. */
async function whatPrometheusSaw(prometheus: TestPrometheus) {
  const one = async (expression: string) => (await prometheus.query(expression))[0]?.value ?? null;
  const lag = (quantile: number) =>
    one(`histogram_quantile(${quantile}, sum by (le) (recon_report_lag_seconds_bucket))`);
  const span = `${minutes + 1}m`;
  // All of one scrape, or a report between two queries would make a difference.
  const counted = await prometheus.query(
    `label_replace(sum(recon_reports_total{outcome="closed"}), "of", "closed", "", "")
     or label_replace(sum(recon_report_lag_seconds_count), "of", "lags", "", "")
     or label_replace(sum(recon_report_lag_seconds_sum), "of", "seconds", "", "")`,
  );
  const of = (name: string) => counted.find(({ labels }) => labels['of'] === name)?.value ?? 0;
  return {
    reportsClosed: of('closed'),
    closed: { reports: of('lags'), seconds: of('seconds') },
    rows: await one('sum(recon_rows_total)'),
    lagSeconds: { p50: await lag(0.5), p95: await lag(0.95), p99: await lag(0.99) },
    oldestOpenSeconds: await one(
      `max(max_over_time((timestamp(recon_oldest_open_report_timestamp_seconds) - recon_oldest_open_report_timestamp_seconds)[${span}:1s]))`,
    ),
    mostBacklogReports: await one(`max(max_over_time(recon_backlog_reports[${span}]))`),
    fencedWrites: await one('sum(recon_fenced_writes_total)'),
    stalledJobs: await one('sum(recon_jobs_stalled_total)'),
    scrapes: await one(`sum(count_over_time(up[${span}]))`),
    failedScrapes: await one(`sum(count_over_time((up == 0)[${span}:1s]))`),
  };
}

async function stop(demo: Started) {
  const stoppedAt = performance.now();
  demo.kill('SIGTERM');
  const { stderr, code } = await demo.ended;
  return { seconds: (performance.now() - stoppedAt) / 1_000, stderr, code };
}

/** What the demo said of its batches. */
function outcomes(stderr: string) {
  const lines = stderr.split('\n');
  const all = (pattern: RegExp) => lines.filter((line) => pattern.test(line));
  const seconds = all(/^demo: batch .* after its last file came/).map((line) =>
    Number(/([\d.]+) s after/.exec(line)![1]),
  );
  return {
    put: all(/^demo: batch \d+ comes to the server/).length,
    reports: all(/^demo: batch \d+ comes to the server/).reduce((sum, line) => sum + line.split('.').length - 1, 0),
    reconciled: all(/^demo: batch \d+ is reconciled as planned/).length,
    discrepant: all(/^demo: batch \d+ is discrepant .* as planned/).length,
    wrong: all(/^demo: batch .* against the plan/),
    missing: all(/has no result after/),
    longestSeconds: Math.max(0, ...seconds),
  };
}

type Seen = Awaited<ReturnType<typeof whatPrometheusSaw>>;

type Result = ReturnType<typeof outcomes> & {
  readonly minutes: number;
  readonly everySeconds: number;
  readonly memory: ReturnType<typeof trend>;
  readonly seen: Seen;
  readonly lag: Lag;
  readonly stopSeconds: number;
};

function textOf({ memory, seen, lag, ...result }: Result): string {
  const seconds = (value: number | null) => (value === null ? 'nothing' : `${value.toFixed(1)} s`);
  const { p50, p95, p99 } = seen.lagSeconds;
  return [
    `${result.put} batches in ${count(result.reports)} reports: ${result.reconciled} reconciled and ${result.discrepant} discrepant as planned, ` +
      `${result.wrong.length} against the plan, ${result.missing.length} without a result`,
    `longest from the last file of a batch to its result: ${seconds(result.longestSeconds)}`,
    memory === null
      ? 'memory: too few samples, or no /proc to read it from'
      : `memory of all processes (PSS): ${peakText(memory.start)} at the start, ${peakText(memory.middle)} in the middle, ` +
        `${peakText(memory.end)} at the end; what they made themselves grew by ${megabytes(memory.bytesAMinute)} a minute, ` +
        `and the most in the last third was ${Math.round(memory.growth * 100)} % of the most before`,
    `Prometheus: lag of reports ${seconds(p50)} (median), ${seconds(p95)} (95 %), ${seconds(p99)} (99 %); ` +
      `oldest open report ${seconds(seen.oldestOpenSeconds)}; at most ${seen.mostBacklogReports} reports waiting; ` +
      `${seen.reportsClosed} reports closed, with ${seconds(seen.closed.seconds)} of lag in all; by files and book there are ` +
      `${lag.reports} by now, with ${seconds(lag.seconds)}; ${seen.rows} rows; ${seen.failedScrapes ?? 0} of ${seen.scrapes} scrapes failed`,
    `SIGTERM took ${seconds(result.stopSeconds)}`,
  ].join('\n');
}

const peakText = ({ pssBytes, node, postgres }: Peak) =>
  `${megabytes(pssBytes)} (node ${megabytes(node.pssBytes)}, postgres ${megabytes(postgres.pssBytes)})`;

await inPlace(measure);
