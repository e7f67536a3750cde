/**
 * How long a large batch takes to be read again, beside the first time: pairs of `reconcile` and `replay`, each pair on a book of
 * its own. What the replay clears away in the background afterwards is not counted.
 *
 *     node bench/replay.ts [--rows 1000000 --runs 3 --json]
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeBatch } from './make-batch.ts';
import { count, inPlace, median, readOptions, tell, timeReconcile, timeSettlestream } from './place.ts';
import { type Bench, withRecords } from './records.ts';

const given = readOptions({ rows: 1_000_000, runs: 3 });

type Pair = { readonly firstSeconds: number; readonly replaySeconds: number };

async function runPair({ batch, signal, onFreshDatabase }: Bench, dataDir: string): Promise<Pair> {
  const pair = await onFreshDatabase(async (url) => {
    const env = { DATABASE_URL: url };
    const first = await timeReconcile(batch, dataDir, { signal, env });
    const everything = ['replay', '--from', '2000-01-01', '--to', '2100-01-01', '--data-dir', dataDir, '--json'];
    const replay = await timeSettlestream(everything, { signal, env });
    const [replayed] = JSON.parse(replay.stdout).batches;
    if (replayed.before.digest !== replayed.after.digest)
      throw new Error(`the replay came to something else: ${JSON.stringify(replayed)}`);
    return { firstSeconds: first.seconds, replaySeconds: replay.seconds };
  });
  await rm(dataDir, { recursive: true });
  return pair;
}

await inPlace(async ({ dir, signal }) => {
  tell(`making ${count(given.rows)} rows …`);
  const batch = await makeBatch(dir, given.rows);
  await withRecords(dir, batch, signal, async (bench) => {
    const pairs: Pair[] = [];
    for (let run = 1; run <= given.runs; run++) {
      const pair = await runPair(bench, join(dir, 'book'));
      pairs.push(pair);
      tell(`run ${run}: first ${pair.firstSeconds.toFixed(2)} s, replay ${pair.replaySeconds.toFixed(2)} s`);
    }
    const ratio = median(pairs.map(({ firstSeconds, replaySeconds }) => replaySeconds / firstSeconds));
    process.stdout.write(
      given.json
        ? `${JSON.stringify({ rows: given.rows, pairs, ratio })}\n`
        : `A replay of ${count(given.rows)} rows takes ${ratio.toFixed(2)} times the first run (median of ${pairs.length} pairs).\n`,
    );
  });
});
