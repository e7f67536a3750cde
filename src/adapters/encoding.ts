import { isAscii } from 'node:buffer';

/** How the text of a report is read. UTF-8 covers plain ASCII. */
export type Encoding = 'utf8' | 'gbk';

const GBK = new TextDecoder('gbk', { ignoreBOM: true });

/** The text of `bytes[start, end)`; what cannot be read becomes U+FFFD, so one broken cell costs one cell. */
export function decode(bytes: Buffer, start: number, end: number, encoding: Encoding): string {
  return encoding === 'utf8' ? bytes.toString('utf8', start, end) : GBK.decode(bytes.subarray(start, end));
}

/** So many bytes decide whether a file is UTF-16: longer than any column name, within the first line of every report. */
const HEAD_BYTES = 16;

/**
 * Finds out, while a file streams past, how its text is to be read.
 *
 * A file is GBK only if all of it is valid GBK and no valid multi-byte UTF-8 sequence stands anywhere in it; otherwise
 * it is UTF-8, broken cells and all: one character cut in half must not turn a whole file into GBK. UTF-16 is not read.
 *
 * The result does not depend on how the file is cut into blocks.
 */
export class EncodingDetector {
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headLength = 0;
  #isUtf16 = false;
  #isGbk = true;
  #hasUtf8 = false;
  readonly #utf8 = new Utf8Watch();
  readonly #gbk = new GbkWatch();

  /** Nothing that may still come changes the result, and `push` has become free. */
  get isDecided(): boolean {
    return this.#headLength === HEAD_BYTES && (this.#isUtf16 || this.#hasUtf8 || !this.#isGbk);
  }

  push(block: Uint8Array): void {
    if (this.#headLength < HEAD_BYTES) this.#watchHead(block);
    if (this.#hasUtf8 || !this.#isGbk) return;
    // Nearly every block of nearly every file ends here, at several GB/s.
    if (this.#utf8.isIdle && this.#gbk.isIdle && isAscii(block)) return;
    for (const byte of block) {
      // UTF-8 first: where both speak at the same byte the answer is the same.
      if (this.#utf8.completes(byte)) this.#hasUtf8 = true;
      else if (this.#gbk.breaks(byte)) this.#isGbk = false;
      else continue;
      return;
    }
  }

  /** What the bytes so far come to. Final when the whole file was pushed. */
  result(): Encoding | 'bad_encoding' {
    if (this.#isUtf16 || isUtf16(this.#head.subarray(0, this.#headLength))) return 'bad_encoding';
    const isGbk = this.#isGbk && this.#gbk.hasText && this.#gbk.isIdle;
    return isGbk && !this.#hasUtf8 ? 'gbk' : 'utf8';
  }

  #watchHead(block: Uint8Array): void {
    const wanted = block.subarray(0, HEAD_BYTES - this.#headLength);
    this.#head.set(wanted, this.#headLength);
    this.#headLength += wanted.length;
    if (this.#headLength === HEAD_BYTES) this.#isUtf16 = isUtf16(this.#head);
  }
}

/** A byte order mark, or ASCII in 16 bits: a NUL in every other byte, on the same side. */
function isUtf16(head: Buffer): boolean {
  const mark = head.length >= 2 ? head.readUInt16BE(0) : 0;
  if (mark === 0xfffe || mark === 0xfeff) return true;
  if (head.length < 4) return false;
  return hasNulAtEvery(head, 0) !== hasNulAtEvery(head, 1);
}

function hasNulAtEvery(head: Buffer, side: 0 | 1): boolean {
  for (let i = side; i < head.length; i += 2) if (head[i] !== 0) return false;
  return true;
}

/** Tells where a valid multi-byte UTF-8 sequence ends; falls back into step after a broken one as a decoder does. */
class Utf8Watch {
  #missing = 0;
  /** The range of the next byte: the second byte of E0, ED, F0 and F4 has a narrower one (no overlong form, no surrogate). */
  #low = 0x80;
  #high = 0xbf;

  get isIdle(): boolean {
    return this.#missing === 0;
  }

  completes(byte: number): boolean {
    if (this.#missing > 0 && byte >= this.#low && byte <= this.#high) {
      this.#low = 0x80;
      this.#high = 0xbf;
      return --this.#missing === 0;
    }
    // A byte that breaks a sequence may itself begin the next one.
    this.#missing = byte < 0xc2 || byte > 0xf4 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    this.#low = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
    this.#high = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf;
    return false;
  }
}

/** Tells where GBK breaks: its characters are ASCII, or a lead byte 81–FE and a trail byte 40–7E or 80–FE. */
class GbkWatch {
  #hasLead = false;
  hasText = false;

  get isIdle(): boolean {
    return !this.#hasLead;
  }

  breaks(byte: number): boolean {
    if (this.#hasLead) {
      this.#hasLead = false;
      this.hasText = true;
      return byte < 0x40 || byte === 0x7f || byte === 0xff;
    }
    this.#hasLead = byte > 0x80 && byte < 0xff;
    return byte === 0x80 || byte === 0xff;
  }
}
