import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Database, Db } from '../adapters/postgres.ts';
import type { Config } from '../config.ts';
import { KINDS } from '../domain/discrepancy.ts';
import { UsageError } from '../domain/errors.ts';
import * as query from '../views/answer.sql.ts';
import {
  agedJson,
  datedJson,
  discrepancies,
  discrepancyPage,
  discrepancyPortions,
  jsonArray,
  stateOfBatch,
} from '../views/answer.ts';
import { type BatchReport, batchSheet } from '../views/batch-sheet.ts';
import { BATCH_COLUMNS, DATED_COLUMNS, DISCREPANCY_COLUMNS, HISTORY_COLUMNS } from '../views/columns.ts';
import { csv, writeAll } from '../views/output.ts';
import { holdingsOf, RESERVE_COLUMNS, reservesTable } from '../views/reserves.ts';
import { storyJson, storyOf } from '../views/story.ts';
import { STORY_COLUMNS, storyText } from '../views/story-tables.ts';
import { batchTable, datedTable, discrepancyTable, table, totalsTable } from '../views/tables.ts';
import { sheetOf, workbook, workbookOf } from '../views/workbook.ts';
import { migrate, openBook } from './book.ts';

type Given = Readonly<Record<string, string | undefined>>;

const STATES = ['waiting', 'incomplete', 'discrepant', 'reconciled'];

/** Lists batches and days, by date. */
export async function listBatches(config: Config, options: Given): Promise<number> {
  const output = outputOf('batches', options);
  const filter = filterOf(options);
  return looking(config, async ({ db }) => {
    const batches = await batchesIn(db, filter, options);
    if (output === 'table') return writeAll([`${batchTable(batches, { isAged: true })}\n`]);
    if (output === 'json') return writeAll([`${JSON.stringify({ batches: batches.map(agedJson) })}\n`]);
    return writeAll(output === 'csv' ? csv(BATCH_COLUMNS, [batches]) : workbook('batches', BATCH_COLUMNS, [batches]));
  });
}

/** Lists what does not add up, and with `--closed` what once did not. Any number of them passes in flat memory. */
export async function listDiscrepancies(config: Config, options: Given): Promise<number> {
  const output = outputOf('discrepancies', options);
  const isClosedToo = Boolean(options['closed']);
  const { batch, source, kind } = options;
  const asked = { ...filterOf(options), kind, batch, source, isClosedToo };
  const after = numberIn('after', options);
  const limit = numberIn('limit', options);
  const page = { after: after === undefined ? undefined : BigInt(after), limit };
  return looking(config, async (database) => {
    if (page.after !== undefined && !(await query.isDiscrepancy(database.db, page.after)))
      throw new UsageError(`--after ${page.after}: is no place in this list; give what the call before said is next.`);
    const batches = options['state'] === undefined ? null : await batchesIn(database.db, filterOf(options), options);
    const filter = batches === null ? asked : { ...asked, batchNos: batches.map(({ no }) => no) };
    const list = discrepancyPage(database, { ...filter, ...page });
    const columns = isClosedToo ? HISTORY_COLUMNS : DATED_COLUMNS;
    if (output === 'json') {
      await writeAll(['{"discrepancies":']);
      await writeAll(jsonArray(list.portions(), (row) => datedJson(row, isClosedToo)));
      await writeAll([`,"next":${JSON.stringify(list.next())}}\n`]);
    } else if (output === 'csv') await writeAll(csv(columns, list.portions()));
    else if (output === 'xlsx') await writeAll(workbook('discrepancies', columns, list.portions()));
    else for await (const rows of list.portions()) await writeAll([`${datedTable(rows, isClosedToo)}\n`]);
    if (list.next() !== null) process.stderr.write(`settlestream: there are more: --after ${list.next()}\n`);
  });
}

/** Shows one batch or day with its reports, its run and its discrepancies. */
export async function showBatch(config: Config, id: string, options: Given): Promise<number> {
  const output = outputOf('show', options);
  return looking(config, async (database) => {
    const batch = await batchNamed(database.db, id, options);
    const reports = await reportsOfRun(database.db, batch.run);
    const crossDigest = await crossDigestOf(database.db, batch.no);
    const filter = { batchNos: [batch.no] };
    if (output === 'csv') return writeAll(csv(DISCREPANCY_COLUMNS, discrepancyPortions(database, filter)));
    if (output === 'xlsx') {
      const found = sheetOf('discrepancies', DISCREPANCY_COLUMNS, discrepancyPortions(database, filter));
      return writeAll(workbookOf([batchSheet(batch, reports), found]));
    }
    if (output === 'json') {
      const head = JSON.stringify({
        ...agedJson(batch),
        reports,
        run: batch.run,
        rulesVersion: batch.rules,
        digest: batch.digest,
        crossDigest,
      });
      await writeAll([`${head.slice(0, -1)},"discrepancies":`]);
      await writeAll(discrepancies(database, filter));
      return writeAll(['}\n']);
    }
    await writeAll([
      `${batchTable([batch], { isAged: true })}\n\n`,
      `${table(
        ['report', 'kind', 'revision', 'rows', 'SHA-256'],
        reports.map((r) => [r.file, r.kind, r.revision, r.rows, r.sha256]),
        [2, 3],
      )}\n\n`,
      `run ${batch.run} of ${batch.publishedAt.toISOString()}, rules ${batch.rules}\ndigest ${batch.digest}\n\n`,
      `${totalsTable(await query.totalsOf(database.db, filter))}\n`,
    ]);
    for await (const rows of discrepancyPortions(database, filter)) await writeAll([`${discrepancyTable(rows)}\n`]);
    return undefined;
  });
}

/** Lists what acquirers keep back as a safeguard, what they gave back of it, and what they still hold. */
export async function showReserves(config: Config, options: Given): Promise<number> {
  const output = outputOf('show reserves', options);
  return looking(config, async ({ db }) => {
    const reserves = holdingsOf(await query.batchesOf(db, { merchant: options['merchant'] })).filter(
      ({ currency }) => options['currency'] === undefined || currency === options['currency'],
    );
    if (output === 'table') return writeAll([`${reservesTable(reserves)}\n`]);
    if (output === 'json') return writeAll([`${JSON.stringify({ reserves })}\n`]);
    return writeAll(
      output === 'csv' ? csv(RESERVE_COLUMNS, [reserves]) : workbook('reserves', RESERVE_COLUMNS, [reserves]),
    );
  });
}

/** Tells all that is known of a payment: its records, every row about it, what was settled, and what does not add up. */
export async function explain(config: Config, id: string, options: Given): Promise<number> {
  const output = outputOf('explain', options);
  return looking(config, async (database) => {
    const tell = (note: string) => process.stderr.write(`settlestream: ${note}\n`);
    const story = await storyOf(database, id, options['merchant'], tell);
    if (output === 'table') return writeAll(storyText(story));
    if (output === 'json') return writeAll([`${JSON.stringify(storyJson(story))}\n`]);
    return writeAll(
      output === 'csv' ? csv(STORY_COLUMNS, [story.rows]) : workbook('rows', STORY_COLUMNS, [story.rows]),
    );
  });
}

/** The batches and days that are asked for. */
async function batchesIn(db: Db, filter: query.BatchFilter, { state, kind }: Given): Promise<query.BatchView[]> {
  const all = await query.batchesOf(db, { ...filter, kind });
  return state === undefined ? all : all.filter((batch) => stateOfBatch(batch) === state);
}

async function looking(config: Config, look: (database: Database) => Promise<void>): Promise<number> {
  const book = await openBook(config, { mayBeTemporary: false });
  try {
    process.stderr.write(`settlestream: ${book.description}\n`);
    await migrate(book.database);
    await look(book.database);
    return 0;
  } finally {
    await book.close();
  }
}

async function batchNamed(db: Db, id: string, options: Given): Promise<query.BatchView> {
  const all = await query.batchesOf(db, { merchant: options['merchant'] });
  const named = all.filter(
    (batch) =>
      (batch.batchId ?? batch.day) === id &&
      (options['currency'] === undefined || batch.currency === options['currency']),
  );
  if (named.length === 1) return named[0]!;
  if (named.length === 0)
    throw new UsageError(`there is no batch or day ${id} with a result: see "settlestream batches".`);
  const which = named
    .map((batch) => `${batch.merchantId} ${batch.settlementDate ?? batch.day} ${batch.currency ?? ''}`)
    .join(', ');
  throw new UsageError(`${id} is the name of several batches (${which}): say which with --merchant or --currency.`);
}

async function reportsOfRun(db: Db, run: number): Promise<BatchReport[]> {
  const found = await sql<BatchReport>`
    select d.file, r.kind, l.sha256, d.revision, (l.facts->>'rows')::int as rows
      from run_load rl join load l on l.no = rl.load_no join delivery d on d.no = l.delivery_no join report r on r.no = l.report_no
     where rl.run_no = ${run} order by d.file collate "C"`.execute(db);
  return found.rows;
}

/** SHA-256 over what belongs to keys rather than to the batch, without files and lines. */
async function crossDigestOf(db: Db, batchNo: number): Promise<string> {
  const told = sql`concat_ws('|', kind, type, request_id, coalesce(transaction_id, '~'), coalesce(reported, '~'), coalesce(recorded, '~'), currency)`;
  const found = await sql<{ told: string }>`
    select ${told} as told
      from discrepancy where batch_no = ${batchNo} and closed_run is null and kind in ('settled_twice', 'over_refunded')
     order by ${told} collate "C"`.execute(db);
  const hash = createHash('sha256');
  for (const { told } of found.rows) hash.update(`${told}\n`);
  return hash.digest('hex');
}

const OUTPUTS = ['table', 'json', 'csv', 'xlsx'] as const;

function outputOf(verb: string, options: Given): (typeof OUTPUTS)[number] {
  const format = options['json'] ? 'json' : (options['format'] ?? 'table');
  const output = OUTPUTS.find((name) => name === format);
  if (output === undefined) throw notAllowed('--format', format, OUTPUTS);
  if (output === 'xlsx' && process.stdout.isTTY)
    throw new UsageError(
      `--format xlsx: a workbook is bytes, which no terminal shows; send it to a file: settlestream ${verb} --format xlsx > ${verb.replace(' ', '-')}.xlsx`,
    );
  return output;
}

function filterOf(options: Given): query.BatchFilter {
  const { kind, state } = options;
  if (kind !== undefined && !(KINDS as readonly string[]).includes(kind)) throw notAllowed('--kind', kind, KINDS);
  if (state !== undefined && !STATES.includes(state)) throw notAllowed('--state', state, STATES);
  for (const name of ['from', 'to'] as const) {
    const day = options[name];
    const isDay = day === undefined || (/^\d{4}-\d{2}-\d{2}$/.test(day) && !Number.isNaN(Date.parse(day)));
    if (!isDay) throw new UsageError(`--${name} ${day}: is no day, give it as YYYY-MM-DD.`);
  }
  return { merchant: options['merchant'], from: options['from'], to: options['to'] };
}

/** A whole number above zero; undefined where it is not given. */
function numberIn(name: string, options: Given): number | undefined {
  const given = options[name];
  if (given === undefined) return undefined;
  if (!/^[1-9]\d{0,14}$/.test(given)) throw new UsageError(`--${name} ${given}: is no whole number above zero.`);
  return Number(given);
}

const notAllowed = (option: string, value: string, allowed: readonly string[]) =>
  new UsageError(`${option} ${value}: is not known; allowed are ${allowed.join(', ')}.`);
