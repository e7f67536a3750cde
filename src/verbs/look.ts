import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Database, Db } from '../adapters/postgres/connection.ts';
import type { Config } from '../config/config.ts';
import { isDay } from '../domain/calendar/time.ts';
import { KINDS } from '../domain/discrepancy.ts';
import { UsageError } from '../domain/errors.ts';
import { headerChange } from '../domain/report/header.ts';
import { type BatchReport, batchSheet } from '../views/batches/batch-sheet.ts';
import * as query from '../views/batches/batches.sql.ts';
import {
  agedJson,
  datedJson,
  discrepancies,
  discrepancyPage,
  discrepancyPortions,
  jsonArray,
  stateOfBatch,
} from '../views/batches/batches.ts';
import { dayOf, droppedText, type Kept } from '../views/batches/dropped.ts';
import { BATCH_COLUMNS, DATED_COLUMNS, DISCREPANCY_COLUMNS, HISTORY_COLUMNS } from '../views/output/columns.ts';
import { csv, writeAll } from '../views/output/output.ts';
import { batchTable, coverageText, datedTable, discrepancyTable, table, totalsTable } from '../views/output/tables.ts';
import { sheetOf, workbook, workbookOf } from '../views/output/workbook.ts';
import { STORY_COLUMNS, storyText } from '../views/payment-trace/tables.ts';
import { storyJson, tracePayment } from '../views/payment-trace/trace.ts';
import { holdingsOf, ownTypesOf, RESERVE_COLUMNS, reservesTable } from '../views/reserves/reserves.ts';
import {
  causeText,
  type RevisedRow,
  type Revision,
  type RevisionView,
  type RunView,
  revisedRows,
  revisionsOf,
  revisionView,
  runsOf,
} from '../views/restatements/history.ts';
import { migrate, openStorage } from './session/storage.ts';

type Given = Readonly<Record<string, string | undefined>>;

const STATES = ['waiting', 'incomplete', 'discrepant', 'reconciled'];

/** Lists batches and days, by date. */
export async function listBatches(config: Config, options: Given): Promise<number> {
  const output = outputOf('batches', options);
  const filter = { ...filterOf(options), asOf: asOfGiven(options) };
  return withDatabase(config, async ({ db }) => {
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
  return withDatabase(config, async (database) => {
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
  const asOf = asOfGiven(options);
  return withDatabase(config, async (database) => {
    const { db } = database;
    const batch = await batchNamed(db, id, { ...options, asOf });
    const reports = await reportsOfRun(db, batch.run);
    const filter = { batchNos: [batch.no], asOf };
    const crossDigest = await crossDigestOf(db, batch.no, filter);
    const runs = await runsOf(db, batch.no, asOf);
    const steps = await revisionsOf(db, batch.no, asOf);
    const revisions: RevisionView[] = [];
    for (const step of steps) revisions.push(await revisionView(db, step, batch.currency));
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
        runs,
        revisions,
      });
      await writeAll([head.slice(0, -1)]);
      if (options['rows']) {
        await writeAll([',"revisedRows":']);
        await writeAll(jsonArray(allRevisedRows(database, steps, batch)));
      }
      await writeAll([',"discrepancies":']);
      await writeAll(discrepancies(database, filter));
      return writeAll(['}\n']);
    }
    await writeAll([
      `${batchTable([batch], { isAged: true })}\n\n`,
      coverageText(batch),
      `${table(
        ['report', 'kind', 'revision', 'rows', 'SHA-256'],
        reports.map((r) => [r.file, r.kind, r.revision, r.rows, r.sha256]),
        [2, 3],
      )}\n\n`,
      ...[droppedText(reports)].flatMap((text) => (text === '' ? [] : [`${text}\n`])),
      ...reports.flatMap(({ file, sameBytesAs }) =>
        sameBytesAs.length === 0 ? [] : [`${file} has the same bytes as ${sameBytesAs.join(', ')}\n\n`],
      ),
      ...reports.flatMap(({ file, headerChange }) =>
        headerChange === undefined ? [] : [headerText(file, headerChange)],
      ),
      `run ${batch.run} of ${batch.publishedAt.toISOString()}, rules ${batch.rules}\ndigest ${batch.digest}\n\n`,
      `${runTable(runs)}\n\n`,
      ...(revisions.length === 0 ? [] : [`${revisionTable(revisions)}\n\n`]),
      `${totalsTable(await query.totalsOf(database.db, filter))}\n`,
    ]);
    if (options['rows']) {
      for await (const rows of allRevisedRows(database, steps, batch)) await writeAll([`${rowTable(rows)}\n`]);
    }
    for await (const rows of discrepancyPortions(database, filter)) await writeAll([`${discrepancyTable(rows)}\n`]);
    return undefined;
  });
}

async function* allRevisedRows(database: Database, steps: readonly Revision[], { currency }: query.BatchView) {
  for (const step of steps) yield* revisedRows(database, step, currency);
}

/** Lists what acquirers keep back as a safeguard, what they gave back of it, and what they still hold. */
export async function showReserves(config: Config, options: Given): Promise<number> {
  const output = outputOf('show reserves', options);
  return withDatabase(config, async ({ db }) => {
    const batches = await query.batchesOf(db, { merchant: options['merchant'] });
    const reserves = holdingsOf(batches, await ownTypesOf(db, batches)).filter(
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
  return withDatabase(config, async (database) => {
    const tell = (note: string) => process.stderr.write(`settlestream: ${note}\n`);
    const story = await tracePayment(database, id, options['merchant'], tell);
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

export async function withDatabase(config: Config, look: (database: Database) => Promise<void>): Promise<number> {
  const book = await openStorage(config, { mayBeTemporary: false });
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
  const all = await query.batchesOf(db, { merchant: options['merchant'], asOf: options['asOf'] });
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

async function reportsOfRun(
  db: Db,
  run: number,
): Promise<(BatchReport & Kept & { readonly sameBytesAs: readonly string[] })[]> {
  const found = await sql<
    BatchReport & Kept & { sameBytesAs: string[]; header: string[]; since: string | null; before: string[] }
  >`
    select l.header, h.file as since, h.header as before, d.file, r.kind, l.sha256, d.revision, (l.facts->>'rows')::int as rows, l.rows_dropped_at as "rowsDroppedAt",
           (select f.dropped_at from dropped f where f.path = coalesce(l.original_path, l.archive_path)) as "fileDroppedAt",
           -- Reports without rows all look the same.
           array(select distinct y.file from load o join delivery y on y.no = o.delivery_no or y.duplicate_of = o.no
                  where o.sha256 = l.sha256 and (l.facts->>'rows')::int > 0 and y.report_no <> r.no and y.state in ('closed', 'duplicate')
                  order by 1) as "sameBytesAs"
      from run_load rl join load l on l.no = rl.load_no join delivery d on d.no = l.delivery_no join report r on r.no = l.report_no
      left join lateral header_before(l.no) h on true
     where rl.run_no = ${run} order by d.file collate "C"`.execute(db);
  return found.rows.map(({ header, since, before, ...report }) => {
    const change = since === null ? null : headerChange(before, header);
    return change ? { ...report, headerChange: { since: since!, ...change } } : report;
  });
}

/** SHA-256 over what belongs to keys rather than to the batch, without files and lines. */
async function crossDigestOf(db: Db, batchNo: number, filter: query.BatchFilter): Promise<string> {
  const told = sql`concat_ws('|', kind, type, request_id, coalesce(transaction_id, '~'), coalesce(reported, '~'), coalesce(recorded, '~'), currency)`;
  const found = await sql<{ told: string }>`
    select ${told} as told
      from discrepancy d where batch_no = ${batchNo} and ${query.isOpen(filter)} and is_by_key
     order by ${told} collate "C"`.execute(db);
  const hash = createHash('sha256');
  for (const { told } of found.rows) hash.update(`${told}\n`);
  return hash.digest('hex');
}

const headerText = (file: string, { since, came, went }: NonNullable<BatchReport['headerChange']>): string =>
  `the header of ${file} is not that of ${since}: ${[
    ...(came.length > 0 ? [`${came.join(', ')} came`] : []),
    ...(went.length > 0 ? [`${went.join(', ')} went`] : []),
  ].join('; ')}\n\n`;

const runTable = (runs: readonly RunView[]): string =>
  table(
    ['run', 'published', 'settled', 'digest', 'because of'],
    runs.map((run) => [
      run.run,
      run.publishedAt.toISOString(),
      run.net,
      run.digest?.slice(0, 16) ?? 'nothing left',
      run.causes.map(causeText).join('\n'),
    ]),
    [0, 2],
  );

const revisionTable = (revisions: readonly RevisionView[]): string =>
  table(
    ['restated report', 'from', 'to', 'rows added', 'removed', 'changed', 'money moved'],
    revisions.map((revision) => {
      const { file, from, to, added, removed, changed, settlementAmount, transactionAmounts, rowsDroppedAt } = revision;
      const moved = (transactionAmounts ?? []).map(({ amount, currency }) => `${amount} ${currency}`).join('\n');
      const money = rowsDroppedAt === null ? (settlementAmount ?? moved) : `rows dropped on ${dayOf(rowsDroppedAt)}`;
      return [file, from, to, added, removed, changed, money];
    }),
    [1, 2, 3, 4, 5, 6],
  );

const rowTable = (rows: readonly RevisedRow[]): string =>
  table(
    ['restated report', 'to', 'type', 'transaction id', 'request id', 'line', 'before', 'line', 'after'],
    rows.map(({ file, to, type, transactionId, requestId, before, after }) => [
      file,
      to,
      type,
      transactionId,
      requestId,
      before?.line ?? null,
      before && (before.settlementAmount ?? before.transactionAmount),
      after?.line ?? null,
      after && (after.settlementAmount ?? after.transactionAmount),
    ]),
    [1, 5, 6, 7, 8],
  );

const OUTPUTS = ['table', 'json', 'csv', 'xlsx'] as const;

export function outputOf(verb: string, options: Given): (typeof OUTPUTS)[number] {
  const format = options['json'] ? 'json' : (options['format'] ?? 'table');
  const output = OUTPUTS.find((name) => name === format);
  if (output === undefined) throw notAllowed('--format', format, OUTPUTS);
  if (output === 'xlsx' && process.stdout.isTTY)
    throw new UsageError(
      `--format xlsx: a workbook is bytes, which no terminal shows; send it to a file: settlestream ${verb} --format xlsx > ${verb.replace(' ', '-')}.xlsx`,
    );
  return output;
}

export function filterOf(options: Given): query.BatchFilter {
  const { kind, state } = options;
  if (kind !== undefined && !(KINDS as readonly string[]).includes(kind)) throw notAllowed('--kind', kind, KINDS);
  if (state !== undefined && !STATES.includes(state)) throw notAllowed('--state', state, STATES);
  for (const name of ['from', 'to'] as const) {
    const day = options[name];
    if (day !== undefined && !isDay(day)) throw new UsageError(`--${name} ${day}: is no day, give it as YYYY-MM-DD.`);
  }
  return { merchant: options['merchant'], from: options['from'], to: options['to'] };
}

/**
 * The moment that is looked back to, as a time in UTC: for a day its last one.
 * @throws UsageError when it is neither a day nor a time with an offset.
 */
function asOfGiven({ asOf }: Given): string | undefined {
  if (asOf === undefined) return undefined;
  const isTime = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$/.test(asOf);
  if (!isDay(asOf) && !(isTime && isDay(asOf.slice(0, 10)) && !Number.isNaN(Date.parse(asOf))))
    throw new UsageError(
      `--as-of ${asOf}: is no day (YYYY-MM-DD, up to its end in UTC) and no time with an offset (2026-01-31T10:00:00+08:00).`,
    );
  const time = isDay(asOf) ? `${asOf}T23:59:59.999999Z` : asOf;
  process.stderr.write(`settlestream: as it was known at ${time}\n`);
  return time;
}

/** A whole number above zero; undefined where it is not given. */
export function numberIn(name: string, options: Given): number | undefined {
  const given = options[name];
  if (given === undefined) return undefined;
  if (!/^[1-9]\d{0,14}$/.test(given)) throw new UsageError(`--${name} ${given}: is no whole number above zero.`);
  return Number(given);
}

const notAllowed = (option: string, value: string, allowed: readonly string[]) =>
  new UsageError(`${option} ${value}: is not known; allowed are ${allowed.join(', ')}.`);
