import { basename } from 'node:path';
import { type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import type { SourceFiles } from '../../adapters/source-files/source-files.ts';
import { dateIn } from '../../domain/calendar/time.ts';
import { compareText } from '../../domain/discrepancy.ts';
import { Denied } from '../../domain/errors.ts';
import type { Format } from '../../domain/formats/format.ts';
import { isZipName, mayBeReport } from '../../domain/report/report-name.ts';
import type { Rules } from '../../domain/report/rules.ts';
import { type Enqueue, ingestReport } from '../../jobs.ts';
import { keepFormat } from '../../store/formats.ts';
import { merchantNamed, nameMerchants, namesOfMerchants } from '../../store/merchants.ts';
import { type LateFile, lateFiles } from './expiry.ts';
import * as query from './find-reports.sql.ts';
import { type ListedFile, listFiles } from './list-files.ts';
import { isAway, type Named, type NotReport, namedIn, notLookedInto, ofNobody } from './name-reports.ts';
import { layoutOf, type Source } from './source.ts';

export type Found = {
  /** Of all files that are listed, whatever they are. */
  readonly paths: readonly string[];
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

type Context = {
  readonly database: Database;
  readonly now?: () => number;
  /** A file that was read is not read again because a setting changed: a replay does that. */
  readonly isForGood?: boolean;
};

export type DiscoveryContext = Context & { readonly enqueue: Enqueue };

type Settled = (file: ListedFile, isWhole: boolean) => boolean;

/** What a listing of a source shows, before anything of it is written down. */
export type Looked = Omit<Found, 'deliveryNos'> & {
  readonly source: Source;
  readonly isAllSeen: boolean;
  /** The deliveries of files that are known, by path. */
  readonly known: ReadonlyMap<string, readonly number[]>;
  readonly fresh: readonly Fresh[];
};

/**
 * Lists a source, skips what is known or still growing, records the rest and asks for its ingest. Run twice, or twice at once,
 * a file is recorded once: the same path with the same size and time is the same delivery.
 */
export async function findReports(
  { enqueue, ...context }: DiscoveryContext,
  source: Source,
  place: SourceFiles,
  isSettled: Settled,
): Promise<Found> {
  const looked = await lookForReports(context, source, place, isSettled);
  await nameMerchantsOf(context.database, [looked]);
  return recordReports({ ...context, enqueue }, looked);
}

export async function lookForReports(
  { database, now = Date.now, isForGood = false }: Context,
  source: Source,
  place: SourceFiles,
  isSettled: Settled,
): Promise<Looked> {
  const { formats } = layoutOf(source);
  const today = dateIn(BigInt(now()) * 1000n, source.timeZone);
  const { files: listed, others, notListed } = await listFiles(source, place, today);
  const known = await query.knownDeliveries(database.db, source.name, isForGood ? null : rulesOf(source), listed);
  const notReports: NotReport[] = others.map((other) => notLookedInto(other, formats));
  const growing: ListedFile[] = [];
  const unseen: Error[] = [...notListed];
  const fresh: Fresh[] = [];
  const look = async (file: ListedFile) => {
    if (mayBeReport(basename(file.path), formats)) {
      // One that cannot be read is left to its ingest, which says why; it must not keep the others from being found.
      const isWhole = await endsWhole(place, file, source.format).catch((error) => !isAway(error));
      if (!isSettled(file, isWhole)) return void growing.push(file);
    }
    const { reports, notReports: others } = await namedIn(place, file, formats);
    notReports.push(...others);
    if (known.has(file.path)) return;
    for (const name of reports) fresh.push({ file, name });
  };
  await atOnce(
    // What else lies in a known zip is told again to who asks once; the standing service has told it.
    listed.filter(({ path }) => !known.has(path) || (!isForGood && isZipName(path))),
    LOOKS_AT_ONCE,
    (file) =>
      look(file).catch((error) => {
        if (!isAway(error)) throw error;
        unseen.push(error);
      }),
  );
  return {
    source,
    paths: listed.map(({ path }) => path),
    isAllSeen: unseen.length === 0,
    known,
    fresh: fresh.sort(inOrder),
    notReports,
    growing,
    unseen,
    late: await lateFiles(database.db, source, listed, now()),
    isReached: await isReached(source, place, listed),
  };
}

/** The merchants that listings name are there before any report is recorded: what names none belongs to the only one, or to nobody. */
export const nameMerchantsOf = (database: Database, looked: readonly Looked[]): Promise<void> =>
  onOneConnection(database, (db) =>
    inTransaction(db, () =>
      nameMerchants(
        db,
        looked.flatMap(({ source, fresh }) => fresh.flatMap(({ file }) => file.merchantId ?? source.merchantId ?? [])),
      ),
    ),
  );

/** Records what is new of a listing, and asks for its ingest. */
export async function recordReports(
  {
    database,
    enqueue,
    now = Date.now,
    isForGood = false,
    before,
  }: Context & {
    readonly enqueue: Enqueue;
    /** What the same call found below other paths of this source: to whoever asks it is one listing. */
    readonly before?: Pick<Found, 'deliveryNos' | 'paths'> | undefined;
  },
  { source, known, fresh, isAllSeen, ...looked }: Looked,
): Promise<Found> {
  const knownUnder = isForGood ? null : rulesOf(source);
  const knownNos = [...known.values()].flat();
  const notReports = [...looked.notReports];
  const recorded = await onOneConnection(database, (db) =>
    inTransaction(db, async () => {
      const deliveryNos: number[] = [];
      if (fresh.length > 0) await keepFormat(db, source.format);
      for (const { file, name } of fresh) {
        const merchantNo = await merchantNamed(db, file.merchantId ?? source.merchantId);
        if (merchantNo === null) notReports.push(ofNobody(name, await namesOfMerchants(db)));
        else deliveryNos.push(await record(db, source, merchantNo, file, name, { knownUnder, foundAtMs: now() }));
      }
      const shown = [...(before?.deliveryNos ?? []), ...knownNos, ...deliveryNos];
      const paths = [...(before?.paths ?? []), ...looked.paths];
      await query.recordRivals(db, source.name, shown, isAllSeen ? paths : null);
      return deliveryNos;
    }),
  );
  const again = await query.takeUpVanished(database.db, knownNos);
  for (const deliveryNo of [...again, ...recorded]) await enqueue(ingestReport, { deliveryNo, attempt: 0 });
  notReports.sort((a, b) => compareText(a.file, b.file));
  return { ...looked, deliveryNos: [...knownNos, ...recorded], notReports };
}

/** A server that lists anything answers; a folder that is not mounted is not there, or an empty one. */
async function isReached({ at }: Source, place: SourceFiles, listed: readonly ListedFile[]): Promise<boolean> {
  if (!('folder' in at) || listed.length > 0) return true;
  if (await place.stat(at.folder)) return true;
  return (await place.entries(at.folder).catch(deniedIsNotThere)) !== null;
}

function deniedIsNotThere(error: unknown): null {
  if (error instanceof Denied) return null;
  throw error;
}

type Fresh = { readonly file: ListedFile; readonly name: Named };

/** In this order they are recorded, and contents of one report are read in the order in which they were recorded. */
const inOrder = (a: Fresh, b: Fresh): number =>
  // What is written as the provider writes it gives the report its name.
  Number(a.name.isOtherCase) - Number(b.name.isOtherCase) ||
  compareText(a.file.date, b.file.date) ||
  compareText(a.file.path, b.file.path) ||
  compareText(a.name.entry ?? '', b.name.entry ?? '');

/** A look takes a few round trips to the server: so many files are looked at side by side. */
const LOOKS_AT_ONCE = 16;

async function atOnce<T>(all: readonly T[], width: number, look: (one: T) => Promise<void>): Promise<void> {
  const left = all.values();
  const lane = async () => {
    for (const one of left) await look(one);
  };
  await Promise.all(Array.from({ length: Math.min(width, all.length) }, lane));
}

/** What a report that is still uploaded does not have at its end. */
const TAIL_BYTES = 65_536;

/** Whether a report's last bytes say that all of it is there. Only a CSV can say so; others have to stay as they are for a while. */
async function endsWhole(place: SourceFiles, { path, sizeBytes }: ListedFile, format: Format): Promise<boolean> {
  if (format.endMarker === null || !/\.csv$/i.test(path)) return false;
  const length = Math.min(TAIL_BYTES, sizeBytes);
  return (await place.read(path, sizeBytes - length, length)).includes(format.endMarker);
}

/** What a source's reports are read under today. */
export const rulesOf = (
  source: Pick<Source, 'format' | 'amountUnit' | 'toleranceMinor' | 'timeZone' | 'customerIds' | 'encoding'>,
): Rules => ({
  format: source.format.id,
  amountUnit: source.amountUnit,
  tolerance: source.toleranceMinor.toString(),
  timeZone: source.timeZone,
  ...(source.customerIds ? { customerIds: source.customerIds } : {}),
  ...(source.encoding ? { encoding: source.encoding } : {}),
});

async function record(
  db: Db,
  source: Source,
  merchantNo: number,
  file: ListedFile,
  name: Named,
  { knownUnder, foundAtMs }: { knownUnder: Rules | null; foundAtMs: number },
): Promise<number> {
  const isSettlement = name.batchId !== null;
  const batchNo = await query.batchNamed(db, {
    merchantNo,
    batchId: name.batchId,
    currency: name.settlementCurrency,
    isOtherCase: name.isOtherCase,
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
    isOtherCase: name.isOtherCase,
  });
  return query.recordDelivery(db, {
    reportNo,
    source: source.name,
    file,
    shown: name.shown,
    entry: name.entry,
    isSheet: /\.xlsx(\.gz)?$/i.test(name.entry ?? file.path),
    directoryDate: file.date,
    foundAtMs,
    rules: rulesOf(source),
    knownUnder,
  });
}
