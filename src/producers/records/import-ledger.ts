import { basename } from 'node:path';
import { copyIn, type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { type Actor, PROGRAM } from '../../domain/audit.ts';
import { RowRefused } from '../../domain/errors.ts';
import { recordAudit } from '../../store/audit.ts';
import { merchantNamed, nameMerchants } from '../../store/merchants.ts';
import { wantRunsOfDropped } from './dropped-rows.sql.ts';
import * as query from './import-ledger.sql.ts';
import { LedgerFile } from './ledger-file.ts';

export type Imported = {
  readonly records: number;
  readonly inserted: number;
  readonly changed: number;
  readonly refused: number;
};

/**
 * Loads the merchant's records from a CSV file, in one transaction: what can be read is in the book at the end, what cannot is
 * told by line, column and reason. The same file again changes nothing, and is known by its bytes until a record is changed; a key with
 * other content replaces the older one.
 * @throws UsageError when the file cannot serve at all.
 */
export async function importLedger(
  database: Database,
  path: string,
  merchantId: string | null,
  onRefused: (line: number, reason: string) => void,
  onNote: (note: string) => void = () => {},
  actor: Actor = PROGRAM,
): Promise<Imported> {
  return onOneConnection(database, (db, client) =>
    inTransaction(db, async () => {
      await query.lockLedger(db);
      const file = await LedgerFile.open(path, onRefused);
      const before = await query.importedBefore(db, file.sha256);
      if (before && (await isStillHis(db, before, merchantId)))
        return { records: before.recordCount, inserted: 0, changed: 0, refused: 0 };
      await query.makeStagingTable(db);
      await copyIn(client, query.COPY_STAGED, file.records());
      const merchants = await merchantsOf(db, file, merchantId);
      const contradictions = file.keys.mayRepeat ? await query.dropContradictions(db, merchants) : [];
      for (const line of contradictions) file.refuse(line, new RowRefused('contradicting_record', 'requestId', null));
      if (file.hasWrappedIds) onNote(WRAPPED_IDS);
      const merged = await query.mergeStaged(db, merchants);
      if (merged.inserted + merged.changed > 0) await query.wantRunsOfChanged(db);
      if (merged.changed > 0) await wantRunsOfDropped(db, 'changed_record');
      if (merged.inserted + merged.changed > 0) {
        const after = { ...merged, refused: file.refused };
        await recordAudit(db, actor, [{ what: 'import', subject: `records of ${basename(path)}`, after }]);
      }
      await keepWhatWasRead(db, file, merchants);
      return { records: file.read, ...merged, refused: file.refused };
    }),
  );
}

/** Whether the records that name no merchant are those of the same one as then. */
const isStillHis = async (db: Db, { unnamedMerchantNo }: query.ImportedFile, given: string | null): Promise<boolean> =>
  unnamedMerchantNo === null || (await merchantNamed(db, given)) === unnamedMerchantNo;

/** Whatever had to be told of the file is told each time, so such a file is read each time. */
async function keepWhatWasRead(db: Db, file: LedgerFile, merchants: query.MerchantNos): Promise<void> {
  if (file.refused > 0 || file.hasWrappedIds) return;
  const unnamedMerchantNo = merchants[file.merchants.ids.indexOf(null)] ?? null;
  const { sha256, read: recordCount } = file;
  await query.keepImportedFile(db, { sha256, recordCount, unnamedMerchantNo });
}

const WRAPPED_IDS = 'ids are written as ="…" or behind \', as by a spreadsheet: the characters around them are ignored';

/**
 * Returns the database number of each merchant that the file names. A record that names none belongs to the one that was given, or to the only one
 * there is. Records that belong to nobody are refused and taken out.
 */
async function merchantsOf(db: Db, file: LedgerFile, given: string | null): Promise<query.MerchantNos> {
  const { ids } = file.merchants;
  const nos: (number | null)[] = ids.map(() => null);
  const sorted = [...ids].sort(byIdNullsLast);
  // The first one that is named may give its name to the only one there is, so the order must not be that of the lines.
  await nameMerchants(
    db,
    sorted.flatMap((id) => id ?? given ?? []),
  );
  for (const id of sorted) nos[ids.indexOf(id)] = await merchantNamed(db, id ?? given);
  for (const line of await query.dropUnassigned(db, nos))
    file.refuse(line, new RowRefused('unclear_merchant', 'merchantId', ''));
  return nos;
}

const byIdNullsLast = (a: string | null, b: string | null): number =>
  a === null || b === null ? Number(a === null) - Number(b === null) : Buffer.compare(Buffer.from(a), Buffer.from(b));
