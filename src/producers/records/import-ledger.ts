import { cellText, Head, RowReader, refusalOf } from '../../adapters/file-formats/csv.ts';
import { type Encoding, EncodingDetector } from '../../adapters/file-formats/encoding.ts';
import { strangerIn } from '../../adapters/file-formats/strangers.ts';
import { copyIn, type Database, type Db, onOneConnection } from '../../adapters/postgres/connection.ts';
import { CopyWriter } from '../../adapters/postgres/copy-binary.ts';
import { inTransaction } from '../../adapters/postgres/transactions.ts';
import { openFolders } from '../../adapters/source-files/local-folder.ts';
import { RowRefused, UsageError } from '../../domain/errors.ts';
import { headerTrouble } from '../../domain/report/header-trouble.ts';
import { hash, hashBytes } from '../../domain/report/key.ts';
import {
  hasWrappedId,
  type ReadRecord,
  type RecordColumns,
  readLedgerHeader,
  readRecord,
} from '../../domain/report/record.ts';
import { merchantNamed } from '../../store/merchants.ts';
import { wantRunsOfDropped } from './dropped-rows.sql.ts';
import * as query from './import-ledger.sql.ts';

export type Imported = {
  readonly records: number;
  readonly inserted: number;
  readonly changed: number;
  readonly refused: number;
};

/**
 * Loads the merchant's records from a CSV file, in one transaction: what can be read is in the book at the end, what cannot is
 * told by line, column and reason. The same file again changes nothing; a key with other content replaces the older one.
 * @throws UsageError when the file cannot serve at all.
 */
export async function importLedger(
  database: Database,
  path: string,
  merchantId: string | null,
  onRefused: (line: number, reason: string) => void,
  onNote: (note: string) => void = () => {},
): Promise<Imported> {
  return onOneConnection(database, (db, client) =>
    inTransaction(db, async () => {
      await query.lockLedger(db);
      await query.makeStagingTable(db);
      const file = new LedgerFile(path, onRefused, await lookAt(path));
      await copyIn(client, query.COPY_STAGED, file.records());
      for (const id of await query.stagedMerchants(db)) await assignMerchant(db, id, merchantId);
      for (const line of await query.dropUnassigned(db))
        file.refuse(line, new RowRefused('unclear_merchant', 'merchantId', ''));
      for (const line of await query.dropContradictions(db)) {
        file.refuse(line, new RowRefused('contradicting_record', 'requestId', null));
      }
      if (file.hasWrappedIds) onNote(WRAPPED_IDS);
      const merged = await query.mergeStaged(db);
      if (merged.inserted + merged.changed > 0) await query.wantRunsOfChanged(db);
      if (merged.changed > 0) await wantRunsOfDropped(db, 'changed_record');
      return { records: file.read, ...merged, refused: file.refused };
    }),
  );
}

const WRAPPED_IDS = 'ids stand in ="…" or behind \', as a spreadsheet writes them: read as what they mean';

/** A record that names no merchant belongs to the one that was given, or to the only one there is. */
async function assignMerchant(db: Db, id: string | null, given: string | null): Promise<void> {
  try {
    await query.assignMerchant(db, id, await merchantNamed(db, id ?? given));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
}

type Look = { readonly head: Head; readonly encoding: Encoding };

/** What the file is, by all of its bytes. @throws UsageError when it is no text that is read. */
async function lookAt(path: string): Promise<Look> {
  const head = new Head();
  const encoding = new EncodingDetector();
  for await (const block of blocksOf(path)) {
    head.push(block);
    if (!encoding.isDecided) encoding.push(block);
  }
  const stranger = strangerIn(head.bytes);
  if (stranger !== null)
    throw new UsageError(`${path} is ${stranger.what}, and a file of records is CSV. ${stranger.advice}`);
  const known = encoding.result();
  if (known === 'bad_encoding') throw new UsageError(`${path} is UTF-16. Save it in UTF-8.`);
  return { head, encoding: known };
}

async function* blocksOf(path: string): AsyncGenerator<Buffer> {
  try {
    yield* openFolders().blocks(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}.`);
  }
}

class LedgerFile {
  read = 0;
  refused = 0;
  hasWrappedIds = false;
  readonly #path: string;
  readonly #onRefused: (line: number, reason: string) => void;
  readonly #look: Look;

  constructor(path: string, onRefused: (line: number, reason: string) => void, look: Look) {
    this.#look = look;
    this.#path = path;
    this.#onRefused = onRefused;
  }

  refuse(line: number, refused: RowRefused): void {
    this.refused += 1;
    this.#onRefused(line, refused.message);
  }

  /** The file's records in COPY format, a block at a time. */
  async *records(): AsyncGenerator<Buffer> {
    const reader = new RowReader();
    const writer = new CopyWriter();
    let columns: RecordColumns | null = null;
    const takeRows = () => {
      while (reader.next()) {
        const cells = Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, this.#look.encoding));
        if (!columns) columns = this.#header(cells, reader);
        else this.#take(cells, reader, columns, writer);
      }
    };
    for await (const block of blocksOf(this.#path)) {
      reader.push(block);
      takeRows();
      yield writer.take();
    }
    reader.end();
    takeRows();
    if (!columns) throw new UsageError(`${this.#path} is empty: a ledger file begins with a header of column names.`);
    yield writer.finish();
  }

  #header(cells: string[], { status, byteLength }: RowReader): RecordColumns {
    if (status !== 'ok')
      throw new UsageError(
        `${this.#path}, line 1: ${new RowRefused(refusalOf({ status, byteLength }), null, null).message}`,
      );
    const { columns, problems } = readLedgerHeader(cells);
    if (problems.length > 0) {
      const { head, encoding } = this.#look;
      const known = (names: readonly string[]) => Object.keys(readLedgerHeader(names).columns).length;
      const trouble = headerTrouble(head.lines(encoding), known);
      if (trouble !== null) throw new UsageError(`${this.#path}: ${trouble.what}. ${trouble.advice}`);
      throw new UsageError(
        `${this.#path}, line 1: ${problems.join('; ')}. Needed are requestId, type, amount or amountMinor, currency, status and occurredAt.`,
      );
    }
    return columns;
  }

  #take(cells: string[], reader: RowReader, columns: RecordColumns, writer: CopyWriter): void {
    this.read += 1;
    const { line } = reader;
    try {
      if (reader.status !== 'ok') throw new RowRefused(refusalOf(reader), null, null);
      this.hasWrappedIds ||= hasWrappedId(cells, columns);
      this.#write(writer, line, readRecord(cells, columns));
    } catch (error) {
      if (!(error instanceof RowRefused)) throw error;
      this.refuse(line, error);
    }
  }

  #write(writer: CopyWriter, line: number, record: ReadRecord): void {
    const key = Buffer.from(record.requestId);
    hashBytes(key, 0, key.length);
    writer.beginRow(12);
    writer.int4(line);
    writer.text(record.merchantId);
    writer.text(record.type);
    writer.text(record.requestId);
    writer.int8(record.amountMinor);
    writer.text(record.currency);
    writer.text(record.status);
    writer.time(record.occurredAtMicros);
    writer.text(record.originalRequestId);
    writer.text(record.orderId);
    writer.text(record.source);
    writer.int8Halves(hash.high, hash.low);
  }
}
