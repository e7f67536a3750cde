import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parse } from 'yaml';
import { debianProgram } from './debian.ts';
import { freePort } from './port.ts';

type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** A Prometheus of this test's own, which scrapes every second. */
export type TestPrometheus = {
  readonly url: string;
  /** What the expression says now. */
  query(expression: string): Promise<Sample[]>;
  /** What it says as soon as it says anything. */
  untilSeen(expression: string, withinMs?: number): Promise<Sample[]>;
  /** Takes what it knows of these series away, as time would. */
  forget(series: string): Promise<void>;
  stop(): Promise<void>;
};

/** The server lives as long as the standard input of its shell is open, which the kernel closes however this process ends. */
const KEEPER = '"$@" 2>&1 & read -r _; kill -9 $! 2>/dev/null; wait';

/** What every Prometheus of a test scrapes at least. Targets are `host:port`. */
const plainConfig = (targets: readonly string[]): object => ({
  global: { scrape_interval: '1s', scrape_timeout: '1s' },
  scrape_configs: [{ job_name: 'settlestream', static_configs: [{ targets }] }],
});

const SHIPPED = resolve(import.meta.dirname, '../../deploy/prometheus');

/** The config and the rules that we ship. Only where to scrape is another place, and how often. */
export function shippedConfig(targets: readonly string[]): object {
  const shipped = parse(readFileSync(join(SHIPPED, 'prometheus.yml'), 'utf8'));
  return {
    ...shipped,
    global: { ...shipped.global, scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: shipped.rule_files.map((file: string) => join(SHIPPED, file)),
    scrape_configs: shipped.scrape_configs.map(({ dns_sd_configs, ...job }: { dns_sd_configs: unknown }) => {
      if (!dns_sd_configs) throw new Error('the shipped config finds its targets in another way now');
      return { ...job, static_configs: [{ targets }] };
    }),
  };
}

/** Starts a Prometheus on a free port of the loopback. */
export async function startPrometheus(
  targets: readonly string[],
  configOf: (targets: readonly string[]) => object = plainConfig,
): Promise<TestPrometheus> {
  // A port that was free a moment ago may be taken by now.
  for (let tries = 1; ; tries++) {
    const started = await start(await freePort(), configOf(targets));
    if (typeof started !== 'string') return started;
    if (tries === 5) throw new Error(`Prometheus did not start on 5 ports. Its last output:\n${started}`);
  }
}

/** The server, once it answers; or its last words. */
function start(port: number, settings: object): Promise<TestPrometheus | string> {
  const { path, libraries } = debianProgram('prometheus', 'usr/bin/prometheus');
  const folder = mkdtempSync(join(tmpdir(), 'settlestream-prometheus-'));
  const config = join(folder, 'prometheus.json');
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(settings));
  const options = [
    ...[`--config.file=${config}`, `--storage.tsdb.path=${join(folder, 'data')}`],
    // The first scrape comes after five seconds; without this it may be ten.
    ...[`--web.listen-address=127.0.0.1:${port}`, '--scrape.discovery-reload-interval=100ms'],
    '--web.enable-admin-api',
  ];
  const child = spawn('/bin/sh', ['-c', KEEPER, 'prometheus', path, ...options], {
    env: { ...process.env, LD_LIBRARY_PATH: libraries },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve())).then(() =>
    rmSync(folder, { recursive: true, force: true }),
  );
  const stop = () => {
    child.ref();
    child.stdin.destroy();
    return ended;
  };
  return new Promise((resolve) => {
    const words: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      words.push(line);
      if (line.includes('Server is ready')) {
        // Nothing that is left of the server keeps a test from ending.
        child.unref();
        for (const stream of [child.stdin, child.stdout]) (stream as unknown as { unref(): void }).unref();
        resolve({ ...speakerTo(`http://127.0.0.1:${port}`), stop });
      }
      // Its shell outlives it.
      if (/level=error/.test(line)) void stop();
    });
    ended.then(() => resolve(words.slice(-10).join('\n')));
  });
}

function speakerTo(url: string): Omit<TestPrometheus, 'stop'> {
  const query = async (expression: string) => {
    const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const answer = (await response.json()) as Answer;
    if (answer.status !== 'success') throw new Error(`${expression}: ${answer.error}`);
    return answer.data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  };
  return {
    url,
    query,
    async forget(series) {
      const path = `/api/v1/admin/tsdb/delete_series?match[]=${encodeURIComponent(series)}`;
      const { status } = await fetch(`${url}${path}`, { method: 'POST' });
      if (status !== 204) throw new Error(`${series}: HTTP ${status}`);
    },
    async untilSeen(expression, withinMs = 15_000) {
      const deadline = performance.now() + withinMs;
      for (;;) {
        const samples = await query(expression);
        if (samples.length > 0) return samples;
        if (performance.now() > deadline) throw new Error(`${expression} said nothing for ${withinMs} ms`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
  };
}

type Answer =
  | { status: 'success'; data: { result: { metric: Record<string, string>; value: [number, string] }[] } }
  | { status: 'error'; error: string };

/** What Prometheus' own checker finds to say about metrics in text format: nothing where they are as they should be. */
export const lintMetrics = (text: string): string => promtool(['check', 'metrics'], text).said;

/** Runs Prometheus' own checker. */
export function promtool(args: readonly string[], input = ''): { readonly isOk: boolean; readonly said: string } {
  const { path, libraries } = debianProgram('prometheus', 'usr/bin/promtool');
  const env = { ...process.env, LD_LIBRARY_PATH: libraries };
  const run = spawnSync(path, args, { env, input, encoding: 'utf8' });
  if (run.error) throw run.error;
  return { isOk: run.status === 0, said: run.stdout + run.stderr };
}
