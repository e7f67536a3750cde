import { mkdtempSync } from 'node:fs';
import { realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startSettlestream } from '../test/support/settlestream.ts';
import type { MadeBatch } from './make-batch.ts';
import { type CpuSeconds, type Peak, watchCpu, watchMemory } from './memory-of.ts';

/** Where a benchmark works; all of it is removed at the end. Ctrl-C aborts `signal`, and the rest follows from there. */
export type Workspace = { readonly dir: string; readonly signal: AbortSignal };

/** A benchmark goes on for long; a program that hangs must still end. */
const TIMEOUT_MS = 60 * 60_000;

/** Runs a benchmark in a folder of its own below TMPDIR. */
export async function inPlace(work: (place: Workspace) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'settlestream-bench-'));
  const stopping = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => stopping.abort(new Error(`${name} came`)));
  try {
    await work({ dir, signal: stopping.signal });
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
    tell(`stopped: ${stopping.signal.reason.message}`);
    process.exitCode = 130;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Removes a data folder. Its cluster may lie elsewhere: with root, who cannot run Postgres, `postgres` is a link. */
export async function removeBook(dataDir: string): Promise<void> {
  const cluster = await realpath(join(dataDir, 'postgres')).catch(() => dataDir);
  // A server whose program was stopped may still be writing its last words.
  for (const folder of [cluster, dataDir]) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

export type Timed = { readonly seconds: number; readonly memory: Peak | null; readonly cpu: CpuSeconds | null };

/** Runs the program to its end as a user would. `watched`: the data folder of the Postgres that it uses. */
export async function timeSettlestream(
  args: readonly string[],
  { signal, env = {}, watched }: { signal: AbortSignal; env?: Record<string, string>; watched?: string },
): Promise<Timed & { readonly stdout: string }> {
  signal.throwIfAborted();
  const startedAt = performance.now();
  const { pid, ended } = startSettlestream(args, { env, signal, timeoutMs: TIMEOUT_MS });
  const stopWatching = watched === undefined ? () => null : watchMemory(pid, watched);
  const stopCounting = watched === undefined ? () => null : watchCpu(pid, watched);
  try {
    const end = await ended;
    const seconds = (performance.now() - startedAt) / 1_000;
    if (end.code !== 0)
      throw new Error(`settlestream ${args.join(' ')} ended with ${end.code}:\n${end.stderr.slice(-2_000)}`);
    return { stdout: end.stdout, seconds, memory: stopWatching(), cpu: stopCounting() };
  } finally {
    stopWatching();
    stopCounting();
  }
}

/** Reconciles the batch once. @throws unless every row matched and nothing else was found. */
export async function timeReconcile(
  { reportsDir, rows }: MadeBatch,
  dataDir: string,
  options: Parameters<typeof timeSettlestream>[1],
): Promise<Timed> {
  const args = ['reconcile', reportsDir, '--data-dir', dataDir, '--json'];
  const { stdout, seconds, memory, cpu } = await timeSettlestream(args, options);
  const { counts } = JSON.parse(stdout);
  const { rows: read, matchedRows, refusedRows, discrepancies } = counts;
  if (read !== rows || matchedRows !== rows || refusedRows !== 0 || discrepancies !== 0) {
    throw new Error(`not all ${rows} rows matched: ${JSON.stringify(counts)}`);
  }
  return { seconds, memory, cpu };
}

/** Whole numbers and --json from the command line; what is not given has its default. */
export function readOptions<Name extends string, Flag extends string = never>(
  defaults: Record<Name, number>,
  flags: readonly Flag[] = [],
): Record<Name, number> & Record<Flag | 'json', boolean> {
  const all = [...flags, 'json'] as const;
  const options = {
    ...Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' as const }])),
    ...Object.fromEntries(all.map((name) => [name, { type: 'boolean' as const }])),
  };
  const given = parseArgs({ options }).values as Record<string, string | boolean | undefined>;
  const numbers = { ...defaults };
  for (const name of Object.keys(defaults) as Name[]) {
    if (given[name] !== undefined) numbers[name] = Number(given[name]);
    if (!Number.isSafeInteger(numbers[name]) || numbers[name] < 1)
      throw new Error(`--${name} takes a whole number above 0`);
  }
  const said = Object.fromEntries(all.map((name) => [name, given[name] === true])) as Record<Flag | 'json', boolean>;
  return { ...numbers, ...said };
}

/** How it goes on is told on stderr: stdout holds the result. */
export const tell = (line: string): void => void process.stderr.write(`${line}\n`);

export const megabytes = (bytes: number): string => `${Math.round(bytes / (1 << 20)).toLocaleString('en')} MiB`;
export const count = (number: number): string => number.toLocaleString('en');

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
