/** What a book holds, in a form that can be compared: the same reports must lead to the same, however they were worked on. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import type { Answer } from './answer.ts';
import type { Made } from './faults.ts';
import { freshDatabase, query } from './postgres.ts';
import { type Ended, settlestream } from './settlestream.ts';

/** A folder that goes away with the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'settlestream-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes files below a folder. A text is given as its lines. */
export function writeFiles(folder: string, files: Readonly<Record<string, readonly string[] | Buffer>>): string {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.isBuffer(content) ? content : content.map((line) => `${line}\n`).join(''));
  }
  return folder;
}

/** How a made-up delivery has to be read. */
export const optionsOf = ({ options }: Pick<Made, 'options'>): string[] => {
  const given = {
    '--merchant': options.merchant,
    '--amount-unit': options.amountUnit,
    '--time-zone': options.timeZone,
    '--tolerance': options.toleranceMinor?.toString(),
  };
  return Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
};

/** The answer of `reconcile --json` with its exit code; what the program said stands in the message when there is none. */
export const answerOf = (ended: Ended): Answer => ({ ...ended.json, exitCode: ended.code });

const books = new Map<string, Promise<string>>();

/**
 * Runs the program to its end with its book on the server that the tests share: one for each `--data-dir`, else a new one. A Postgres of
 * its own for each call takes seconds, and has tests of its own. One parser reads a handful of files as fast as two.
 */
export async function inBook(args: readonly string[], processes = 1): Promise<Ended> {
  const at = args.indexOf('--data-dir');
  const dataDir = at < 0 ? temporaryFolder() : args[at + 1]!;
  const url = books.get(dataDir) ?? freshDatabase();
  books.set(dataDir, url);
  const env = { DATABASE_URL: await url, SETTLESTREAM_DATA_DIR: dataDir, SETTLESTREAM_PROCESSES: `${processes}` };
  return settlestream(args, { env });
}

export { query };

/**
 * By batch or day: the digest of its current run, and all that belongs to keys rather than to the batch. Two books with equal
 * digests say the same, to the cent and to the row.
 */
export async function digestsOf(url: string): Promise<Record<string, string>> {
  const found = await query<{ batch: string; digest: string; cross: string | null }>(
    url,
    `select concat_ws(' ', m.id, b.batch_id, b.currency, b.day) as batch, r.digest,
            (select string_agg(concat_ws('|', kind, type, request_id, transaction_id, reported, recorded, currency), ' ' order by
                               kind, type, request_id, transaction_id, reported, recorded)
               from discrepancy x where x.batch_no = b.no and x.closed_run is null and x.is_cross_batch) as cross
       from batch b join merchant m on m.no = b.merchant_no join run r on r.no = b.current_run order by 1`,
  );
  return Object.fromEntries(found.map(({ batch, digest, cross }) => [batch, `${digest} ${cross ?? ''}`]));
}

/** Fails with those batches alone that differ. */
export function sameDigests(
  actual: Readonly<Record<string, string>>,
  expected: Readonly<Record<string, string>>,
): void {
  const batches = [...new Set([...Object.keys(expected), ...Object.keys(actual)])];
  const differing = batches.filter((batch) => actual[batch] !== expected[batch]);
  const show = (digests: Readonly<Record<string, string>>) =>
    differing.map((batch) => [batch, digests[batch] ?? 'none']);
  assert.deepEqual(show(actual), show(expected));
}

/** No row twice, none lost, and nothing left to do. */
export async function checkBook(url: string): Promise<void> {
  const miscounted = await query(
    url,
    `select l.no, counted.rows, counted.lines, read.rows as read
       from load l join report r on r.no = l.report_no
       cross join lateral (select count(*)::int as rows, count(distinct line)::int as lines from report_row where load_no = l.no) counted
       cross join lateral (select coalesce(sum((value->>'count')::int), 0)::int as rows from jsonb_each(l.facts->'types')) read
       cross join lateral (select case when l.rows_dropped_at is null then read.rows else 0 end as rows) kept
      where l.state = 'closed' and r.kind <> 'settlementSummary' and (counted.rows <> kept.rows or counted.lines <> kept.rows)`,
  );
  assert.deepEqual(miscounted, [], 'rows that are kept twice or not at all');
  const twice = await query(
    url,
    `select rl.run_no, l.report_no from run_load rl join load l on l.no = rl.load_no group by 1, 2 having count(*) > 1
     union all
     select delivery_no, count(*)::int from load where state = 'closed' group by 1 having count(*) > 1`,
  );
  assert.deepEqual(twice, [], 'reports that count twice');
  const open = await query(
    url,
    `select no, state, parked_reason from delivery where state in ('found', 'reading') or parked_reason is not null
     union all select no, wanted || ' > ' || done, parked_reason from batch where done < wanted or parked_reason is not null`,
  );
  assert.deepEqual(open, [], 'work that is not done');
}
