import { basename } from 'node:path';
import { type ListedFile, listFiles, tailHolds } from '../adapters/folder.ts';
import { type Database, inTransaction, onOneConnection } from '../adapters/postgres.ts';
import { formatNamed } from '../domain/formats/all.ts';
import { type ReportName, readDirectory, readReportName } from '../domain/report-name.ts';
import { type Enqueue, ingestReport } from '../jobs.ts';
import * as query from './find-reports.sql.ts';

/** Where reports come from, and how they are read. */
export type Source = {
  readonly name: string;
  /** A folder, or a file that was named itself. */
  readonly folder: string;
  /** For files whose directory names none. */
  readonly merchantId: string | null;
  readonly format: string;
  readonly amountUnit: 'major' | 'minor';
  readonly toleranceMinor: bigint;
  readonly timeZone: string;
};

export type Found = {
  /** The deliveries of what is listed now, known ones included. */
  readonly deliveryNos: readonly number[];
  /** Files whose name is no report's. */
  readonly notReports: readonly ListedFile[];
  readonly growing: readonly ListedFile[];
};

/**
 * Lists a source, skips what is known or still growing, records the rest and asks for its ingest. Run twice, or twice at once,
 * a file is recorded once: the same path with the same size and time is the same delivery.
 */
export async function findReports(
  { database, enqueue }: { database: Database; enqueue: Enqueue },
  source: Source,
  isSettled: (file: ListedFile, isWhole: boolean) => boolean,
): Promise<Found> {
  const format = formatNamed(source.format);
  const listed = (await listFiles(source.folder)).map((file) => ({
    file,
    name: readReportName(basename(file.path), format),
  }));
  const known = await query.knownDeliveries(
    database.db,
    source.name,
    rulesOf(source),
    listed.map(({ file }) => file),
  );
  const growing: ListedFile[] = [];
  const fresh: { file: ListedFile; name: ReportName }[] = [];
  for (const { file, name } of listed) {
    if (!name || known.has(file.path)) continue;
    // One that cannot be read is left to its ingest, which says why; it must not keep the others from being found.
    const isWhole = await tailHolds(file.path, file.sizeBytes, format.endMarker).catch(() => true);
    if (isSettled(file, isWhole)) fresh.push({ file, name });
    else growing.push(file);
  }
  const recorded = await onOneConnection(database, (db) =>
    inTransaction(db, async () => {
      const deliveryNos: number[] = [];
      for (const { file, name } of fresh) deliveryNos.push(await record(db, source, file, name));
      return deliveryNos;
    }),
  );
  for (const deliveryNo of recorded) await enqueue(ingestReport, { deliveryNo, attempt: 0 });
  return {
    deliveryNos: [...known.values(), ...recorded],
    notReports: listed.filter(({ name }) => !name).map(({ file }) => file),
    growing,
  };
}

const rulesOf = (source: Source): query.Rules => ({
  format: source.format,
  amountUnit: source.amountUnit,
  tolerance: source.toleranceMinor.toString(),
  timeZone: source.timeZone,
});

async function record(
  db: Parameters<typeof query.merchantNamed>[0],
  source: Source,
  file: ListedFile,
  name: ReportName,
): Promise<number> {
  const directory = readDirectory(file.path);
  const merchantNo = await query.merchantNamed(db, directory.merchantId ?? source.merchantId);
  const isSettlement = name.batchId !== null;
  const batchNo = await query.batchNamed(db, {
    merchantNo,
    batchId: name.batchId,
    currency: name.settlementCurrency,
    // An id of all zeros says nothing: such batches are told apart by their date.
    day: isSettlement ? (/^0+$/.test(name.batchId) ? directory.date : null) : (directory.date ?? name.date),
  });
  const reportNo = await query.reportNamed(db, {
    batchNo,
    kind: name.kind,
    name: name.name,
    psp: name.psp,
    seq: name.seq,
  });
  return query.recordDelivery(db, {
    reportNo,
    source: source.name,
    file,
    directoryDate: directory.date,
    rules: rulesOf(source),
  });
}
