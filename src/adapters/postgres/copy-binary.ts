/** Rows in Postgres's binary COPY format, written into one buffer that grows as needed and is handed on when it is full enough. */
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const TRAILER = Buffer.from([0xff, 0xff]);
/** Microseconds from 1970 to 2000, where Postgres begins to count. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000;

export class CopyWriter {
  bytes: Buffer;
  length = 0;

  constructor(size = 1 << 18) {
    this.bytes = Buffer.allocUnsafe(size);
    this.length = 0;
    this.#put(SIGNATURE);
  }

  #put(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Makes room for so many bytes. */
  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  beginRow(columns: number): void {
    this.reserve(2);
    this.length = this.bytes.writeInt16BE(columns, this.length);
  }

  null(): void {
    this.reserve(4);
    this.length = this.bytes.writeInt32BE(-1, this.length);
  }

  int2(value: number): void {
    this.reserve(6);
    this.bytes.writeInt32BE(2, this.length);
    this.length = this.bytes.writeInt16BE(value, this.length + 4);
  }

  int4(value: number): void {
    this.reserve(8);
    this.bytes.writeInt32BE(4, this.length);
    this.length = this.bytes.writeInt32BE(value, this.length + 4);
  }

  boolean(value: boolean): void {
    this.reserve(5);
    this.bytes.writeInt32BE(1, this.length);
    this.length = this.bytes.writeInt8(value ? 1 : 0, this.length + 4);
  }

  /** A date, in days since 2000. */
  day(days: number | null): void {
    if (days === null) this.null();
    else this.int4(days);
  }

  int8(value: bigint | null): void {
    if (value === null) {
      this.null();
      return;
    }
    this.reserve(12);
    this.bytes.writeInt32BE(8, this.length);
    this.length = this.bytes.writeBigInt64BE(value, this.length + 4);
  }

  /** An int8 given as its unsigned halves. */
  int8Halves(high: number, low: number): void {
    this.reserve(12);
    const { bytes } = this;
    bytes.writeInt32BE(8, this.length);
    bytes.writeUInt32BE(high, this.length + 4);
    this.length = bytes.writeUInt32BE(low, this.length + 8);
  }

  /** An int8 given as a number that is exact. */
  safeInt8(value: number): void {
    const high = Math.floor(value / 0x1_0000_0000);
    this.int8Halves(high >>> 0, (value - high * 0x1_0000_0000) >>> 0);
  }

  /** Text that stands in `source` as ASCII. A loop: for texts this short it is quicker than a call that copies. */
  asciiBytes(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.reserve(4 + length);
    const { bytes } = this;
    let at = this.length;
    bytes[at++] = length >>> 24;
    bytes[at++] = length >>> 16;
    bytes[at++] = length >>> 8;
    bytes[at++] = length;
    for (let i = start; i < end; i++) bytes[at++] = source[i]!;
    this.length = at;
  }

  /** The cell of a row as `asciiBytes`; null where the report lacks the column (−1), or nothing stands in it. */
  asciiCell(source: Uint8Array, starts: Int32Array, ends: Int32Array, cell: number): void {
    if (cell < 0 || starts[cell] === ends[cell]) this.null();
    else this.asciiBytes(source, starts[cell]!, ends[cell]!);
  }

  /** A timestamptz, from microseconds since 1970 given as a number that is exact. */
  safeTime(micros: number): void {
    this.safeInt8(micros - POSTGRES_EPOCH_MICROS);
  }

  /** A timestamptz, from microseconds since 1970. */
  time(micros: bigint | null): void {
    this.int8(micros === null ? null : micros - BigInt(POSTGRES_EPOCH_MICROS));
  }

  text(value: string | null): void {
    if (value === null) {
      this.null();
      return;
    }
    // No UTF-16 unit takes more than three bytes of UTF-8.
    this.reserve(4 + value.length * 3);
    const written = this.bytes.write(value, this.length + 4, 'utf8');
    this.bytes.writeInt32BE(written, this.length);
    this.length += 4 + written;
  }

  /** What was written since the last call, to be sent on. The writer goes on in new memory, so the block stays as it is. */
  take(): Buffer {
    const block = this.bytes.subarray(0, this.length);
    this.bytes = Buffer.allocUnsafe(this.bytes.length);
    this.length = 0;
    return block;
  }

  /** The rest, with the end mark of the format. */
  finish(): Buffer {
    this.#put(TRAILER);
    return this.take();
  }
}
