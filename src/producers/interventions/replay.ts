import type { Db } from '../../adapters/postgres/connection.ts';
import type { Actor } from '../../domain/audit.ts';
import { UsageError } from '../../domain/errors.ts';
import { recordAudit } from '../../store/audit.ts';
import { lockBatches } from '../../store/batches.ts';
import { keepFormat } from '../../store/formats.ts';
import { rulesOf } from '../discovery/find-reports.ts';
import type { Source } from '../discovery/source.ts';
import * as query from './revisions.sql.ts';

/** The source of this name, as it is configured today. */
export type SourceNamed = (name: string) => Source | null;

/** What is to be read again. */
export type ReplayRequest = query.RevisionFilter & {
  /** Only what is refused or was given up. */
  readonly isRefused: boolean;
};

/** What was recorded for a replay or withdrawal, and the runs after which everything is its doing. */
export type Recorded = {
  readonly interventionNo: number;
  readonly deliveryNos: readonly number[];
  readonly batchNos: readonly number[];
  readonly lastRuns: readonly { readonly merchantNo: number; readonly runNo: number }[];
};

/** A replay also takes up batches that were given up. */
type RecordedReplay = Recorded & { readonly parkedNos: readonly number[] };

/**
 * Records that known contents are to be read again, from the archive and under today's rules: each as a new delivery of its
 * report, which is worked on like any other. Of what was given up batches are reconciled again, too. What was never copied to the archive is set back and read from its source.
 * @param sourceNamed null where there is no such source any more: the rules of before hold
 * @throws UsageError when nothing fits.
 */
export async function recordReplay(
  db: Db,
  request: ReplayRequest,
  sourceNamed: SourceNamed,
  { isDry, actor }: { isDry: boolean; actor: Actor },
): Promise<RecordedReplay> {
  const parked = request.isRefused ? await query.parkedBatches(db, request) : [];
  await lockBatches(db, [...batchesOf(await chosen(db, request, parked)), ...parked]);
  const contents = await chosen(db, request, parked);
  const lost = contents.filter(({ fileDroppedAt }) => fileDroppedAt !== null);
  if (lost.length > 0) throw new UsageError(describeLost(lost, request));
  const asked = contents.map((content) => {
    const source = sourceNamed(content.source);
    const rules = source ? JSON.stringify(rulesOf(source)) : content.rules;
    return { content, deliveryNo: content.deliveryNo, rules };
  });
  for (const name of new Set(contents.map(({ source }) => source))) {
    const source = sourceNamed(name);
    if (source) await keepFormat(db, source.format);
  }
  const lastRuns = await query.lastRuns(db);
  const interventionNo = await query.recordIntervention(db, 'replay', describeRequest(request));
  const isSetBack = ({ content }: (typeof asked)[number]) =>
    !isDry && (content.isParked || (content.state === 'refused' && !content.isArchived));
  // What is read for the first time right now is waited for.
  const isFirst = ({ content }: (typeof asked)[number]) => isUnderWay(content) && !content.isArchived;
  const again = asked.filter((one) => !isSetBack(one) && !isFirst(one));
  const made = await query.recordAgain(db, again, { interventionNo, isDry });
  const back = await query.setBack(db, asked.filter(isSetBack), interventionNo);
  if (!isDry) await query.wantAgain(db, parked, interventionNo);
  const first = isDry ? [] : asked.filter(isFirst).map(({ deliveryNo }) => deliveryNo);
  if (!isDry) {
    const after = { reports: asked.length, batches: batchesOf(contents).length, parkedBatches: parked.length };
    await recordAudit(db, actor, [{ what: 'replay', subject: describeRequest(request), after }]);
  }
  return {
    interventionNo,
    deliveryNos: [...made, ...back, ...first],
    batchNos: [...new Set([...batchesOf(contents), ...parked])],
    parkedNos: parked,
    lastRuns,
  };
}

const batchesOf = (contents: readonly query.Revision[]): number[] => [
  ...new Set(contents.map(({ batchNo }) => batchNo)),
];

/** What was dropped cannot be read again, and the others alone would be half of what was asked for. */
function describeLost(lost: readonly query.Revision[], { from, to }: ReplayRequest): string {
  const named = lost.slice(0, 3).map(({ file, batch, fileDroppedAt }) => {
    const on = fileDroppedAt!.toISOString().slice(0, 10);
    return `\n  ${file} of ${batch}, dropped on ${on}`;
  });
  const more = lost.length > named.length ? `\n  and ${lost.length - named.length} more` : '';
  const last = lost
    .flatMap(({ date }) => date ?? [])
    .sort()
    .at(-1);
  const range = (from ?? to) !== undefined && last !== undefined ? ` Batches after ${last} can be replayed.` : '';
  return `retention dropped the archived copies, so they cannot be read again; totals and discrepancies are kept:${named.join('')}${more}\nDeliver the files again, under their names.${range}`;
}

const isUnderWay = ({ state, isParked }: query.Revision): boolean =>
  (state === 'found' || state === 'reading') && !isParked;

/** The contents that count, and newer ones that could not be read; a withdrawn one only where its report is named. */
async function chosen(db: Db, request: ReplayRequest, parked: readonly number[]): Promise<query.Revision[]> {
  const found = await query.revisionsOf(db, request);
  if (request.report !== undefined) return ofOneReport(found, request.report);
  const contents = found.filter(
    (content) =>
      content.state !== 'withdrawn' && (!request.isRefused || content.isParked || content.state === 'refused'),
  );
  if (contents.length === 0 && parked.length === 0)
    throw new UsageError(`there is nothing to replay: ${describeRequest(request)} names no report that was read.`);
  return contents;
}

/** Of one report alone: a content that is named by its digits, or all that count or might. */
function ofOneReport(found: readonly query.Revision[], report: string): query.Revision[] {
  const contents = isOneReport(found, report);
  const named = contents.filter(({ sha256 }) => sha256?.startsWith(report.toLowerCase()));
  const newest = contents.at(-1)!;
  const old = named.find(({ revision, countingRevision }) => revision !== null && revision < countingRevision);
  if (old)
    throw new UsageError(
      `${report} is revision ${old.revision} of ${old.file}, and revision ${old.countingRevision} counts: withdraw that one first, so that the one before it counts again.`,
    );
  return named.length > 0 ? named : contents.filter((content) => content.state !== 'withdrawn' || content === newest);
}

/** @throws UsageError unless all contents are of one report. */
export function isOneReport(found: readonly query.Revision[], report: string): readonly query.Revision[] {
  if (found.length === 0)
    throw new UsageError(
      `there is no report ${report}: use its file as "settlestream show" prints it, its name, or at least 8 digits of its SHA-256.`,
    );
  const reports = Map.groupBy(found, ({ reportNo }) => reportNo);
  if (reports.size === 1) return found;
  const list = [...reports.values()].map((contents) => {
    const { file, sha256 } = contents.at(-1)!;
    return `\n  ${file}${sha256 === null ? '' : ` (SHA-256 ${sha256.slice(0, 16)})`}`;
  });
  throw new UsageError(`${report} names several reports; choose one by its file or its SHA-256:${list.join('')}`);
}

function describeRequest({ merchant, batch, from, to, report, isRefused }: ReplayRequest): string {
  const said = [
    batch === undefined ? '' : `batch ${batch}`,
    report === undefined ? '' : `report ${report}`,
    from === undefined ? '' : `from ${from}`,
    to === undefined ? '' : `to ${to}`,
    isRefused ? 'what was refused' : '',
    merchant === undefined ? '' : `of merchant ${merchant}`,
  ];
  return said.filter((part) => part !== '').join(' ');
}
