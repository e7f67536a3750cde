import { createHash } from 'node:crypto';
import { cellText, Head, RowReader, refusalOf } from '../../adapters/file-formats/csv.ts';
import { type Encoding, EncodingDetector } from '../../adapters/file-formats/encoding.ts';
import { strangerIn } from '../../adapters/file-formats/strangers.ts';
import { CopyWriter } from '../../adapters/postgres/copy-binary.ts';
import { openFolders } from '../../adapters/source-files/local-folder.ts';
import { RowRefused, UsageError } from '../../domain/errors.ts';
import { headerTrouble } from '../../domain/report/header-trouble.ts';
import { hash } from '../../domain/report/key.ts';
import { hasWrappedId, type RecordColumns, readLedgerHeader, readRecord } from '../../domain/report/record.ts';
import { FastRecordParser, NamedMerchants, writeRecord } from './fast-record.ts';
import { SeenKeys } from './seen-keys.ts';

type Look = { readonly head: Head; readonly encoding: Encoding; readonly sha256: Buffer };

/** Raised with every change of what a record is read as: a file that was read before is read again then. */
const READ_AS = 1;
const newHash = () => createHash('sha256').update(`records ${READ_AS}\n`);

/** What the file is, by all of its bytes. @throws UsageError when it is no text that is read. */
async function lookAt(path: string): Promise<Look> {
  const head = new Head();
  const encoding = new EncodingDetector();
  const sha256 = newHash();
  for await (const block of blocksOf(path)) {
    sha256.update(block);
    head.push(block);
    if (!encoding.isDecided) encoding.push(block);
  }
  const stranger = strangerIn(head.bytes);
  if (stranger !== null)
    throw new UsageError(`${path} is ${stranger.what}, but a file of records must be CSV. ${stranger.advice}`);
  const known = encoding.result();
  if (known === 'bad_encoding') throw new UsageError(`${path} is UTF-16. Save it in UTF-8.`);
  return { head, encoding: known, sha256: sha256.digest() };
}

async function* blocksOf(path: string): AsyncGenerator<Buffer> {
  try {
    yield* openFolders().blocks(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}.`);
  }
}

/** A file of records, read from end to end: once to see what it is, and once its records. */
export class LedgerFile {
  read = 0;
  refused = 0;
  hasWrappedIds = false;
  readonly merchants = new NamedMerchants();
  readonly keys = new SeenKeys();
  readonly #path: string;
  readonly #onRefused: (line: number, reason: string) => void;
  readonly #look: Look;
  readonly #hash = newHash();

  private constructor(path: string, onRefused: (line: number, reason: string) => void, look: Look) {
    this.#look = look;
    this.#path = path;
    this.#onRefused = onRefused;
  }

  /** @throws UsageError when it is no text that is read. */
  static async open(path: string, onRefused: (line: number, reason: string) => void): Promise<LedgerFile> {
    return new LedgerFile(path, onRefused, await lookAt(path));
  }

  /** Of its bytes, and of how they are read. */
  get sha256(): Buffer {
    return this.#look.sha256;
  }

  refuse(line: number, refused: RowRefused): void {
    this.refused += 1;
    this.#onRefused(line, refused.message);
  }

  /** The file's records in COPY format, a block at a time. */
  async *records(): AsyncGenerator<Buffer> {
    const reader = new RowReader();
    const writer = new CopyWriter();
    let takeRecord: (() => void) | null = null;
    const takeRows = () => {
      while (reader.next()) {
        if (takeRecord) takeRecord();
        else takeRecord = this.#recordTaker(this.#header(this.#cells(reader), reader), reader, writer);
      }
    };
    for await (const block of blocksOf(this.#path)) {
      this.#hash.update(block);
      reader.push(block);
      takeRows();
      yield writer.take();
    }
    reader.end();
    takeRows();
    if (!this.#hash.digest().equals(this.sha256))
      throw new UsageError(`${this.#path} changed while it was read: import it again when it is complete.`);
    if (!takeRecord)
      throw new UsageError(`${this.#path} is empty: a file of records must begin with a header of column names.`);
    yield writer.finish();
  }

  #cells(reader: RowReader): string[] {
    return Array.from({ length: reader.cells }, (_, cell) => cellText(reader, cell, this.#look.encoding));
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
        `${this.#path}, line 1: ${problems.join('; ')}. Required: requestId, type, amount or amountMinor, currency, status and occurredAt.`,
      );
    }
    return columns;
  }

  #recordTaker(columns: RecordColumns, reader: RowReader, writer: CopyWriter): () => void {
    const fast = new FastRecordParser(columns, this.merchants);
    return () => {
      this.read += 1;
      const isWritten =
        (reader.status === 'ok' && fast.write(reader, writer)) || this.#readInFull(columns, reader, writer);
      // Of the id that was written last.
      if (isWritten) this.keys.add(hash.high, hash.low);
    };
  }

  /** False: it was refused. */
  #readInFull(columns: RecordColumns, reader: RowReader, writer: CopyWriter): boolean {
    const { line } = reader;
    try {
      if (reader.status !== 'ok') throw new RowRefused(refusalOf(reader), null, null);
      const cells = this.#cells(reader);
      this.hasWrappedIds ||= hasWrappedId(cells, columns);
      writeRecord(writer, line, readRecord(cells, columns), this.merchants);
      return true;
    } catch (error) {
      if (!(error instanceof RowRefused)) throw error;
      this.refuse(line, error);
      return false;
    }
  }
}
