import { basename } from 'node:path';
import type { Place } from '../adapters/place.ts';
import { type Database, inTransaction, onOneConnection } from '../adapters/postgres.ts';
import { openZip, type Zip } from '../adapters/zip.ts';
import { Denied, REPORT_REFUSALS, Unreachable } from '../domain/errors.ts';
import type { Format } from '../domain/formats/format.ts';
import { type ReportName, readReportName } from '../domain/report-name.ts';
import { dateIn } from '../domain/time.ts';
import { type Enqueue, ingestReport } from '../jobs.ts';
import * as query from './find-reports.sql.ts';
import { type ListedFile, listFiles } from './list-files.ts';
import { layoutOf, type Source } from './source.ts';
import { type LateFile, lateFiles } from './watch-source.ts';

export type Found = {
  /** The deliveries of what is listed now, known ones included. */
  readonly deliveryNos: readonly number[];
  readonly notReports: readonly NotReport[];
  readonly growing: readonly ListedFile[];
  /** What the provider may soon delete, and is not fetched. */
  readonly late: readonly LateFile[];
  /** What could not be looked at, and so may hide reports; all others were. The next round looks again. */
  readonly unseen: readonly Error[];
  /** The server answered, or the folder is there. */
  readonly isReached: boolean;
};

/** A file that is no report by its name, or by what a zip holds. */
export type NotReport = {
  readonly file: ListedFile;
  /** Also says what to do. */
  readonly why: string;
};

type Named = ReportName & { /** Inside a zip: the file that is the report. */ readonly entry: string | null };

/**
 * Lists a source, skips what is known or still growing, records the rest and asks for its ingest. Run twice, or twice at once,
 * a file is recorded once: the same path with the same size and time is the same delivery.
 */
export async function findReports(
  {
    database,
    enqueue,
    now = Date.now,
    isForGood = false,
  }: {
    database: Database;
    enqueue: Enqueue;
    now?: () => number;
    /** A file that was read is not read again because a setting changed: a replay does that. */
    isForGood?: boolean;
  },
  source: Source,
  place: Place,
  isSettled: (file: ListedFile, isWhole: boolean) => boolean,
): Promise<Found> {
  const { formats } = layoutOf(source);
  const { files: listed, notListed } = await listFiles(source, place, dateIn(BigInt(now()) * 1000n, source.timeZone));
  const knownUnder = isForGood ? null : rulesOf(source);
  const known = await query.knownDeliveries(database.db, source.name, knownUnder, listed);
  const notReports: NotReport[] = [];
  const growing: ListedFile[] = [];
  const unseen: Error[] = [...notListed];
  const fresh: { file: ListedFile; name: Named }[] = [];
  const look = async (file: ListedFile) => {
    const isZip = /\.zip$/i.test(file.path);
    const outer = readReportName(basename(file.path), formats);
    if (outer === null && !isZip) return void notReports.push({ file, why: REPORT_REFUSALS.unknown_format });
    // One that cannot be read is left to its ingest, which says why; it must not keep the others from being found.
    const isWhole = await endsWhole(place, file, source.format).catch((error) => !isAway(error));
    if (!isSettled(file, isWhole)) return void growing.push(file);
    const name = outer && !isZip ? { ...outer, entry: null } : await nameInside(place, file, formats, outer);
    if (typeof name === 'string') notReports.push({ file, why: name });
    else if (file.kinds?.includes(name.kind) ?? true) fresh.push({ file, name });
    else notReports.push({ file, why: OTHER_KIND });
  };
  await atOnce(
    listed.filter((file) => !known.has(file.path)),
    LOOKS_AT_ONCE,
    (file) =>
      look(file).catch((error) => {
        if (!isAway(error)) throw error;
        unseen.push(error);
      }),
  );
  fresh.sort((a, b) => (a.file.path < b.file.path ? -1 : 1));
  const recorded = await onOneConnection(database, (db) =>
    inTransaction(db, async () => {
      const deliveryNos: number[] = [];
      if (fresh.length > 0) await query.keepFormat(db, source.format);
      for (const { file, name } of fresh)
        deliveryNos.push(await record(db, source, file, name, { knownUnder, foundAtMs: now() }));
      return deliveryNos;
    }),
  );
  const again = await query.takeUpVanished(database.db, [...known.values()]);
  for (const deliveryNo of [...again, ...recorded]) await enqueue(ingestReport, { deliveryNo, attempt: 0 });
  const late = await lateFiles(database.db, source, listed, now());
  return {
    deliveryNos: [...known.values(), ...recorded],
    notReports,
    growing,
    late,
    unseen,
    isReached: await isReached(source, place, listed),
  };
}

/** A server that lists anything answers; a folder that is not mounted is not there, or an empty one. */
async function isReached({ at }: Source, place: Place, listed: readonly ListedFile[]): Promise<boolean> {
  if (!('folder' in at) || listed.length > 0) return true;
  if (await place.stat(at.folder)) return true;
  return (await place.entries(at.folder).catch(deniedIsNotThere)) !== null;
}

function deniedIsNotThere(error: unknown): null {
  if (error instanceof Denied) return null;
  throw error;
}

const OTHER_KIND =
  'By its name this is a report of another kind than its directory is for: check directories and names of the source.';

/** A look takes a few round trips to the server: so many files are looked at side by side. */
const LOOKS_AT_ONCE = 16;

async function atOnce<T>(all: readonly T[], width: number, look: (one: T) => Promise<void>): Promise<void> {
  const left = all.values();
  const lane = async () => {
    for (const one of left) await look(one);
  };
  await Promise.all(Array.from({ length: Math.min(width, all.length) }, lane));
}

/** A server that does not answer says nothing of a file. */
const isAway = (error: unknown): boolean => error instanceof Unreachable && !(error instanceof Denied);

/** What a report that is still uploaded does not have at its end. */
const TAIL_BYTES = 65_536;

/** Whether a report's last bytes say that all of it is there. Only a CSV can say so; others have to stay as they are for a while. */
async function endsWhole(place: Place, { path, sizeBytes }: ListedFile, format: Format): Promise<boolean> {
  if (format.endMarker === null || !/\.csv$/i.test(path)) return false;
  const length = Math.min(TAIL_BYTES, sizeBytes);
  return (await place.read(path, sizeBytes - length, length)).includes(format.endMarker);
}

/**
 * A zip is the one report that is in it; else why it is none. One that cannot be opened keeps its own name, and its ingest says
 * what is wrong.
 * @throws Unreachable when the server does not tell what is in it: that says nothing of the zip.
 */
async function nameInside(
  place: Place,
  { path, sizeBytes }: ListedFile,
  formats: readonly Format[],
  outer: ReportName | null,
): Promise<Named | string> {
  const source = { sizeBytes, blocks: (from: number, to: number) => place.blocks(path, from, to) };
  let zip: Zip;
  try {
    zip = await openZip(source);
  } catch (error) {
    if (isAway(error)) throw error;
    if (outer) return { ...outer, entry: null };
    return `The zip cannot be opened (${(error as Error).message}), so it is open what is in it: fetch it again.`;
  }
  const reports = zip.entries.flatMap((entry) => {
    const name = /\.zip$/i.test(entry.name) ? null : readReportName(basename(entry.name), formats);
    return name ? [{ ...name, entry: entry.name }] : [];
  });
  await zip.close();
  const [report] = reports;
  if (report === undefined)
    return 'No file in the zip has the name of a report: check the names, and the name patterns of the source.';
  if (reports.length > 1) return `The zip holds ${reports.length} reports, and one is read of each zip: unpack it.`;
  return report;
}

/** What a source's reports are read under today. */
export const rulesOf = (
  source: Pick<Source, 'format' | 'amountUnit' | 'toleranceMinor' | 'timeZone' | 'customerIds'>,
): query.Rules => ({
  format: source.format.id,
  amountUnit: source.amountUnit,
  tolerance: source.toleranceMinor.toString(),
  timeZone: source.timeZone,
  ...(source.customerIds ? { customerIds: source.customerIds } : {}),
});

async function record(
  db: Parameters<typeof query.merchantNamed>[0],
  source: Source,
  file: ListedFile,
  name: Named,
  { knownUnder, foundAtMs }: { knownUnder: query.Rules | null; foundAtMs: number },
): Promise<number> {
  const merchantNo = await query.merchantNamed(db, file.merchantId ?? source.merchantId);
  const isSettlement = name.batchId !== null;
  const batchNo = await query.batchNamed(db, {
    merchantNo,
    batchId: name.batchId,
    currency: name.settlementCurrency,
    // An id of all zeros says nothing: such batches are told apart by their date.
    day: isSettlement ? (/^0+$/.test(name.batchId) ? file.date : null) : (file.date ?? name.date),
  });
  const reportNo = await query.reportNamed(db, {
    batchNo,
    kind: name.kind,
    name: name.name,
    psp: name.psp,
    seq: name.seq,
    isPortal: name.isPortal,
  });
  return query.recordDelivery(db, {
    reportNo,
    source: source.name,
    file,
    entry: name.entry,
    isSheet: /\.xlsx$/i.test(name.entry ?? file.path),
    directoryDate: file.date,
    foundAtMs,
    rules: rulesOf(source),
    knownUnder,
  });
}
