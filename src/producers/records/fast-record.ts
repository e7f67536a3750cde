import type { RowReader } from '../../adapters/file-formats/csv.ts';
import type { CopyWriter } from '../../adapters/postgres/copy-binary.ts';
import { hash, hashBytes } from '../../domain/report/key.ts';
import {
  amountAt,
  BLANK_TIME,
  codeAt,
  DIGITS_OF_CODE,
  equals,
  isBlank,
  isPlainId,
  timeAt,
} from '../../domain/report/plain-cells.ts';
import {
  LEDGER_STATUSES,
  LEDGER_TYPES,
  type ReadRecord,
  type RecordColumn,
  type RecordColumns,
} from '../../domain/report/record.ts';

/** The merchants that a file names, each by a small number that stands for it in the staged rows: its place in `ids`, from 1. */
export class NamedMerchants {
  readonly ids: (string | null)[] = [];
  readonly #numbers = new Map<string | null, number>();
  /** The same as bytes, as far as these are plain. */
  readonly #plain: { readonly bytes: Uint8Array; readonly number: number }[] = [];

  numberOf(id: string | null): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const number = this.ids.push(id);
    this.#numbers.set(id, number);
    // A file names a few merchants. Where it names many, those after the first few are read in full.
    if (this.#plain.length < 16) this.#plain.push({ bytes: Buffer.from(id ?? ''), number });
    return number;
  }

  /** The number of the merchant whose id stands there; 0 where none is known by these bytes. */
  numberAt(buf: Uint8Array, start: number, end: number): number {
    for (const { bytes, number } of this.#plain) if (equals(buf, start, end, bytes)) return number;
    return 0;
  }
}

const COLUMNS = 12;

/** Writes a record in COPY format. What FastRecordParser writes is the same, byte for byte. */
export function writeRecord(writer: CopyWriter, line: number, record: ReadRecord, merchants: NamedMerchants): void {
  const key = Buffer.from(record.requestId);
  hashBytes(key, 0, key.length);
  writer.beginRow(COLUMNS);
  writer.int4(line);
  writer.int4(merchants.numberOf(record.merchantId));
  writer.int8Halves(hash.high, hash.low);
  writer.int8(record.amountMinor);
  writer.time(record.occurredAtMicros);
  writer.text(record.type);
  writer.text(record.requestId);
  writer.text(record.currency);
  writer.text(record.status);
  writer.text(record.originalRequestId);
  writer.text(record.orderId);
  writer.text(record.source);
}

/**
 * Reads plain lines straight from their bytes into COPY format. A line is plain when nothing in it needs thought: ASCII, one amount of at most
 * twelve digits, a merchant that was named before. Of every other line it says no, having written nothing, and `readRecord`, which is the
 * whole truth, reads it. A property test holds that both write the same bytes wherever this one says yes.
 */
export class FastRecordParser {
  readonly #at: Readonly<Record<RecordColumn, number>>;
  readonly #merchants: NamedMerchants;
  readonly #amount: number;
  readonly #otherAmount: number;
  readonly #isMinor: boolean;
  readonly #width: number;

  constructor(columns: RecordColumns, merchants: NamedMerchants) {
    const at = (column: RecordColumn) => columns[column] ?? -1;
    this.#at = {
      requestId: at('requestId'),
      type: at('type'),
      currency: at('currency'),
      status: at('status'),
      occurredAt: at('occurredAt'),
      amount: at('amount'),
      amountMinor: at('amountMinor'),
      merchantId: at('merchantId'),
      orderId: at('orderId'),
      originalRequestId: at('originalRequestId'),
      source: at('source'),
    };
    this.#merchants = merchants;
    this.#isMinor = columns.amount === undefined;
    this.#amount = this.#isMinor ? this.#at.amountMinor : this.#at.amount;
    this.#otherAmount = this.#isMinor ? -1 : this.#at.amountMinor;
    this.#width = Math.max(...Object.values(this.#at)) + 1;
  }

  /** Writes the current line of the file. False: it is not plain, and nothing was written. */
  write(reader: RowReader, writer: CopyWriter): boolean {
    if (reader.hasEscapes || reader.cells < this.#width) return false;
    const { buf, starts, ends } = reader;
    const at = this.#at;
    const type = wordAt(TYPES, buf, starts[at.type]!, ends[at.type]!);
    const status = wordAt(STATUSES, buf, starts[at.status]!, ends[at.status]!);
    if (type === null || status === null) return false;
    if (isBlank(starts, ends, at.requestId) || !isPlainId(buf, starts, ends, at.requestId)) return false;
    if (!isPlainId(buf, starts, ends, at.originalRequestId)) return false;
    if (!isPlainId(buf, starts, ends, at.orderId) || !isPlainId(buf, starts, ends, at.source)) return false;

    const digits = DIGITS_OF_CODE.get(codeAt(buf, starts, ends, at.currency));
    if (digits === undefined || !isBlank(starts, ends, this.#otherAmount)) return false;
    const amount = amountAt(buf, starts[this.#amount]!, ends[this.#amount]!, digits, this.#isMinor);
    if (!(amount >= 0)) return false;
    const occurredAt = timeAt(buf, starts[at.occurredAt]!, ends[at.occurredAt]!);
    if (Number.isNaN(occurredAt) || occurredAt === BLANK_TIME) return false;
    const merchant =
      at.merchantId < 0
        ? this.#merchants.numberOf(null)
        : this.#merchants.numberAt(buf, starts[at.merchantId]!, ends[at.merchantId]!);
    if (merchant === 0) return false;

    hashBytes(buf, starts[at.requestId]!, ends[at.requestId]!);
    writer.beginRow(COLUMNS);
    writer.int4(reader.line);
    writer.int4(merchant);
    writer.int8Halves(hash.high, hash.low);
    writer.safeInt8(amount);
    writer.safeTime(occurredAt);
    writer.asciiBytes(type, 0, type.length);
    writer.asciiBytes(buf, starts[at.requestId]!, ends[at.requestId]!);
    writer.asciiBytes(buf, starts[at.currency]!, ends[at.currency]!);
    writer.asciiBytes(status, 0, status.length);
    writer.asciiCell(buf, starts, ends, at.originalRequestId);
    writer.asciiCell(buf, starts, ends, at.orderId);
    writer.asciiCell(buf, starts, ends, at.source);
    return true;
  }
}

const TYPES = LEDGER_TYPES.map((word) => Buffer.from(word));
const STATUSES = LEDGER_STATUSES.map((word) => Buffer.from(word));

function wordAt(words: readonly Uint8Array[], buf: Uint8Array, start: number, end: number): Uint8Array | null {
  for (const word of words) if (equals(buf, start, end, word)) return word;
  return null;
}
