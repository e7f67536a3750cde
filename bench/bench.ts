/**
 * What settlestream takes for one large batch, beside what somebody would use instead, on the same Postgres in turns:
 * psql by hand, and a worker that asks for one record a row.
 *
 *     npm run bench [-- --rows 1000000 --runs 5 --sample 20000 --json]
 */
import { rm } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { psqlVersion, reconcileByHand } from './by-hand.ts';
import { makeBatch } from './make-batch.ts';
import type { Peak } from './memory-of.ts';
import { count, inPlace, median, megabytes, readOptions, tell, timeReconcile, type Workspace } from './place.ts';
import { type Bench, withRecords } from './records.ts';
import { secondsARow } from './row-by-row.ts';

const given = readOptions({ rows: 1_000_000, runs: 5, sample: 20_000 });

type Result = {
  readonly machine: {
    readonly cores: number;
    readonly cpu: string;
    readonly node: string;
    readonly postgres: string;
    readonly psql: string | null;
  };
  readonly rows: number;
  /** Seconds of each pair of runs, one after the other. */
  readonly pairs: readonly { readonly settlestream: number; readonly byHand: number }[];
  readonly settlestreamSeconds: number;
  readonly byHandSeconds: number;
  /** Median over the pairs: what else the machine does changes slowly, and meets both of a pair. */
  readonly byHandRatio: number;
  readonly rowByRow: { readonly sample: number; readonly seconds: number; readonly ratio: number };
  readonly memory: Peak | null;
};

async function bench({ dir, signal }: Workspace): Promise<void> {
  tell(`making ${count(given.rows)} rows …`);
  const batch = await makeBatch(dir, given.rows);
  await withRecords(dir, batch, signal, async (bench) => {
    const result = await compare(bench, join(dir, 'book'));
    process.stdout.write(given.json ? `${JSON.stringify(result)}\n` : `${markdownOf(result)}\n`);
  });
}

async function compare(bench: Bench, dataDir: string): Promise<Result> {
  // Not timed: looking at memory takes time of its own, and the first run fills the caches for both.
  const { memory } = await settlestreamRun(bench, dataDir, true);
  const pairs: Result['pairs'][number][] = [];
  for (let run = 1; run <= given.runs; run++) {
    const { seconds: settlestream } = await settlestreamRun(bench, dataDir, false);
    const byHand = await bench.onFreshDatabase((url) => reconcileByHand(url, bench.batch, bench.signal));
    pairs.push({ settlestream, byHand });
    tell(
      `run ${run}: settlestream ${settlestream.toFixed(2)} s, by hand ${byHand.toFixed(2)} s, ratio ${(byHand / settlestream).toFixed(2)}`,
    );
  }
  const settlestreamSeconds = median(pairs.map((pair) => pair.settlestream));
  const sample = Math.min(given.sample, given.rows);
  const each = await bench.onFreshDatabase((url) => secondsARow(url, bench.batch, sample, bench.signal));
  const seconds = each * given.rows;
  return {
    machine: {
      cores: availableParallelism(),
      cpu: cpus()[0]?.model ?? 'unknown',
      node: process.versions.node,
      postgres: bench.postgres,
      psql: psqlVersion(),
    },
    rows: given.rows,
    pairs,
    settlestreamSeconds,
    byHandSeconds: median(pairs.map((pair) => pair.byHand)),
    byHandRatio: median(pairs.map((pair) => pair.byHand / pair.settlestream)),
    rowByRow: { sample, seconds, ratio: seconds / settlestreamSeconds },
    memory,
  };
}

async function settlestreamRun(
  { batch, serverDir, signal, onFreshDatabase }: Bench,
  dataDir: string,
  isWatched: boolean,
) {
  const timed = await onFreshDatabase((url) =>
    timeReconcile(batch, dataDir, { signal, env: { DATABASE_URL: url }, ...(isWatched ? { watched: serverDir } : {}) }),
  );
  await rm(dataDir, { recursive: true });
  return timed;
}

function markdownOf(result: Result): string {
  const { machine, pairs, rowByRow, memory } = result;
  const hand = machine.psql === null ? 'the same SQL by hand (over pg: there is no psql here)' : 'psql by hand';
  const rows = [
    [`settlestream reconcile`, result.settlestreamSeconds, 1],
    [`${hand}: COPY, typed table, index, join, totals`, result.byHandSeconds, result.byHandRatio],
    [`a worker with one query a row (from ${count(rowByRow.sample)} rows)`, rowByRow.seconds, rowByRow.ratio],
  ] as const;
  return [
    ...(memory
      ? [
          `Peak memory of all processes: ${megabytes(memory.pssBytes)} PSS (node ${megabytes(memory.node.pssBytes)}, postgres ${megabytes(memory.postgres.pssBytes)}).`,
          '',
        ]
      : []),
    `| one batch of ${count(result.rows)} rows | seconds | rows a second | times ours |`,
    '|---|---:|---:|---:|',
    ...rows.map(
      ([what, seconds, ratio]) =>
        `| ${what} | ${seconds.toFixed(1)} | ${count(Math.round(result.rows / seconds))} | ${ratio.toFixed(1)} |`,
    ),
    '',
    `Median of ${pairs.length} pairs of runs in turns, start of the program included; ${machine.cores} cores (${machine.cpu}), ` +
      `Node ${machine.node}, Postgres ${machine.postgres}${machine.psql === null ? '' : `, psql ${machine.psql}`}.`,
  ].join('\n');
}

await inPlace(bench);
