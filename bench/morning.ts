/**
 * A morning: the records are imported and the reports reconciled, start of the program included, beside what somebody would type in psql.
 * Then imports alone: of new records, of as many again, of the same file once more.
 *
 *     node bench/morning.ts [--rows 1000000 --runs 3 --json]
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { importByHand, reconcileByHand } from './by-hand.ts';
import { type MadeBatch, makeBatch } from './make-batch.ts';
import { count, inPlace, median, readOptions, tell, timeSettlestream, type Workspace } from './place.ts';
import { type Server, withServer } from './records.ts';

const given = readOptions({ rows: 1_000_000, runs: 3 });

/** Seconds. */
type Run = {
  readonly morning: number;
  readonly importNew: number;
  readonly importNext: number;
  readonly importSame: number;
  readonly importByHand: number;
  readonly morningByHand: number;
};

async function runOnce(server: Server, { batch, nextFile, dir, signal }: Given): Promise<Run> {
  const onEmpty = async <T>(work: (url: string) => Promise<T>): Promise<T> => {
    await server.query('create database bench');
    await server.query('checkpoint');
    return work(server.urlOf('bench')).finally(() => server.query('drop database bench with (force)'));
  };
  const settlestream = async (url: string, ...args: string[]) =>
    (await timeSettlestream(args, { signal, env: { DATABASE_URL: url } })).seconds;
  const { reportsDir, recordsFile } = batch;
  const dataDir = join(dir, 'book');
  const morning = await onEmpty((url) =>
    settlestream(url, 'reconcile', reportsDir, '--ledger', recordsFile, '--data-dir', dataDir, '--json'),
  );
  await rm(dataDir, { recursive: true });
  const byHand = await onEmpty(async (url) => {
    const importByHandSeconds = await importByHand(url, batch, signal);
    return {
      importByHand: importByHandSeconds,
      morningByHand: importByHandSeconds + (await reconcileByHand(url, batch, signal)),
    };
  });
  const imports = await onEmpty(async (url) => {
    const importNew = await settlestream(url, 'ledger', 'import', recordsFile);
    await server.query('checkpoint');
    const importNext = await settlestream(url, 'ledger', 'import', nextFile);
    await server.query('checkpoint');
    return { importNew, importNext, importSame: await settlestream(url, 'ledger', 'import', recordsFile) };
  });
  return { morning, ...imports, ...byHand };
}

type Given = Workspace & { readonly batch: MadeBatch; readonly nextFile: string };

/** As many records again, of the day after. */
async function makeNext(batch: MadeBatch, dir: string): Promise<string> {
  const path = join(dir, 'next.csv');
  const text = await readFile(batch.recordsFile, 'latin1');
  await writeFile(
    path,
    text.replaceAll('req-20260104', 'req-20260105').replaceAll('2026-01-04T', '2026-01-05T'),
    'latin1',
  );
  return path;
}

function report(runs: readonly Run[]): void {
  const of = (read: (run: Run) => number) => median(runs.map(read));
  const lines = [
    ['the whole morning', 'morning', (run: Run) => run.morningByHand / run.morning],
    ['import of new records', 'importNew', (run: Run) => run.importByHand / run.importNew],
    ['import of as many again', 'importNext', (run: Run) => run.importByHand / run.importNext],
    ['import of the same file again', 'importSame', (run: Run) => run.importByHand / run.importSame],
  ] as const;
  const table = lines.map(([what, key, ratio]) => ({ what, seconds: of((run) => run[key]), timesByHand: of(ratio) }));
  const byHand = { morning: of((run) => run.morningByHand), import: of((run) => run.importByHand) };
  if (given.json) {
    process.stdout.write(`${JSON.stringify({ rows: given.rows, runs, table, byHand })}\n`);
    return;
  }
  const rows = table.map(
    ({ what, seconds, timesByHand }) => `| ${what} | ${seconds.toFixed(1)} | ${timesByHand.toFixed(2)} |`,
  );
  const head = [`| ${count(given.rows)} rows | seconds | times by hand |`, '|---|---:|---:|'];
  const foot = `By hand: the morning ${byHand.morning.toFixed(1)} s, the import of new records ${byHand.import.toFixed(1)} s. Medians of ${runs.length} runs in turns.`;
  process.stdout.write(`${[...head, ...rows, '', foot].join('\n')}\n`);
}

await inPlace(async ({ dir, signal }) => {
  tell(`making ${count(given.rows)} rows …`);
  const batch = await makeBatch(dir, given.rows);
  const nextFile = await makeNext(batch, dir);
  await withServer(dir, signal, async (server) => {
    const runs: Run[] = [];
    for (let run = 1; run <= given.runs; run++) {
      signal.throwIfAborted();
      runs.push(await runOnce(server, { batch, nextFile, dir, signal }));
      tell(
        `run ${run}: ${Object.entries(runs.at(-1)!)
          .map(([what, seconds]) => `${what} ${seconds.toFixed(1)}`)
          .join(', ')}`,
      );
    }
    report(runs);
  });
});
