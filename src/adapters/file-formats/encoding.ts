import { isAscii } from 'node:buffer';

import type { Encoding as Said } from '../../domain/formats/format.ts';

/** How the text of a report is read. UTF-8 covers plain ASCII; `gbk` stands in books of before, and GB18030 covers it. */
export type Encoding = Said | 'gbk';

/** As people call them. */
export const ENCODING_NAMES: Readonly<Record<Encoding, string>> = {
  utf8: 'UTF-8',
  gbk: 'GB18030',
  gb18030: 'GB18030',
  'windows-1252': 'Windows-1252',
};

const DECODERS = {
  gbk: new TextDecoder('gb18030', { ignoreBOM: true }),
  gb18030: new TextDecoder('gb18030', { ignoreBOM: true }),
  'windows-1252': new TextDecoder('windows-1252', { ignoreBOM: true }),
};

/** The text of `bytes[start, end)`; what cannot be read becomes U+FFFD, so one broken cell costs one cell. */
export function decode(bytes: Buffer, start: number, end: number, encoding: Encoding): string {
  return encoding === 'utf8'
    ? bytes.toString('utf8', start, end)
    : DECODERS[encoding].decode(bytes.subarray(start, end));
}

/** So many bytes decide whether a file is UTF-16: longer than any column name, within the first line of every report. */
const HEAD_BYTES = 16;

/**
 * Finds out, while a file streams past, how its text is to be read, where nobody has said it.
 *
 * What is valid UTF-8 throughout, or begins with its byte order mark, is UTF-8; else what is valid GB18030 throughout is that; else it is UTF-8, broken
 * cells and all. So a file of GBK is known although a word of two characters often is valid UTF-8, too. Cut characters make no GB18030 of a
 * file whose other ones are UTF-8: of three bytes or more, by accident there are few, and UTF-8 breaks at nearly each character of GB18030.
 * UTF-16 is not read.
 *
 * The result does not depend on how the file is cut into blocks.
 */
export class EncodingDetector {
  readonly #said: Encoding | null;
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headLength = 0;
  #isUtf16 = false;
  #isMarked = false;
  #isGb = true;
  readonly #utf8 = new Utf8Watch();
  readonly #gb = new GbWatch();
  /** Whether there is anything to decide. */
  hasText = false;

  /** `said`: what the settings say of the file, which then is so. */
  constructor(said: Encoding | null = null) {
    this.#said = said;
  }

  /** Nothing that may still come changes the result, and `push` has become free. */
  get isDecided(): boolean {
    return this.#headLength === HEAD_BYTES && (this.#isUtf16 || this.#said !== null || this.#isMarked || !this.#isGb);
  }

  push(block: Uint8Array): void {
    if (this.#headLength < HEAD_BYTES) this.#watchHead(block);
    if (this.#said !== null || this.#isMarked || !this.#isGb) return;
    // Nearly every block of nearly every file ends here, at several GB/s.
    if (this.#utf8.isIdle && this.#gb.isIdle && isAscii(block)) return;
    this.hasText = true;
    for (let at = 0; at < block.length; at++) {
      const byte = block[at]!;
      if (byte < 0x80 && this.#utf8.isIdle && this.#gb.isIdle) continue;
      this.#utf8.see(byte);
      if (this.#gb.breaks(byte)) {
        this.#isGb = false;
        return;
      }
    }
  }

  /** What the bytes so far come to. Final when the whole file was pushed. */
  result(): Encoding | 'bad_encoding' {
    if (this.#isUtf16 || isUtf16(this.#head.subarray(0, this.#headLength))) return 'bad_encoding';
    if (this.#said !== null) return this.#said;
    const broken = this.#utf8.broken + (this.#utf8.isIdle ? 0 : 1);
    const isUtf8 = this.#isMarked || broken === 0 || this.#utf8.wide > broken;
    return !isUtf8 && this.#isGb && this.#gb.isIdle ? 'gb18030' : 'utf8';
  }

  #watchHead(block: Uint8Array): void {
    const wanted = block.subarray(0, HEAD_BYTES - this.#headLength);
    this.#head.set(wanted, this.#headLength);
    this.#headLength += wanted.length;
    this.#isMarked = this.#headLength >= 3 && this.#head.readUIntBE(0, 3) === 0xefbbbf;
    if (this.#headLength === HEAD_BYTES) this.#isUtf16 = isUtf16(this.#head);
  }
}

/** A byte order mark, or ASCII in 16 bits: a NUL in every other byte, on the same side. */
export function isUtf16(head: Buffer): boolean {
  const mark = head.length >= 2 ? head.readUInt16BE(0) : 0;
  if (mark === 0xfffe || mark === 0xfeff) return true;
  if (head.length < 4) return false;
  return hasNulAtEvery(head, 0) !== hasNulAtEvery(head, 1);
}

function hasNulAtEvery(head: Buffer, side: 0 | 1): boolean {
  for (let i = side; i < head.length; i += 2) if (head[i] !== 0) return false;
  return true;
}

/** Counts the characters of three bytes or more that are UTF-8, and the places where it breaks. */
class Utf8Watch {
  wide = 0;
  broken = 0;
  #missing = 0;
  #isWide = false;
  /** The range of the next byte: the second byte of E0, ED, F0 and F4 has a narrower one (no overlong form, no surrogate). */
  #low = 0x80;
  #high = 0xbf;

  get isIdle(): boolean {
    return this.#missing === 0;
  }

  see(byte: number): void {
    if (this.#missing > 0) {
      const isNext = byte >= this.#low && byte <= this.#high;
      this.#low = 0x80;
      this.#high = 0xbf;
      this.#missing = isNext ? this.#missing - 1 : 0;
      if (isNext) {
        if (this.#missing === 0 && this.#isWide) this.wide += 1;
        return;
      }
      // What cuts a character off may begin one.
      this.broken += 1;
    }
    if (byte < 0x80) return;
    if (byte < 0xc2 || byte > 0xf4) {
      this.broken += 1;
      return;
    }
    this.#missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    this.#isWide = byte >= 0xe0;
    this.#low = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
    this.#high = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf;
  }
}

/**
 * Tells where GB18030 breaks. Its characters are ASCII; a lead byte 81–FE and a trail byte 40–7E or 80–FE; or four bytes 81–FE, 30–39,
 * 81–FE, 30–39, of which two ranges stand for characters.
 */
class GbWatch {
  #length = 0;
  #pointer = 0;

  get isIdle(): boolean {
    return this.#length === 0;
  }

  breaks(byte: number): boolean {
    const isLead = byte > 0x80 && byte < 0xff;
    const isDigit = byte >= 0x30 && byte <= 0x39;
    if (this.#length === 0) {
      if (byte < 0x80) return false;
      this.#length = 1;
      this.#pointer = byte - 0x81;
      return !isLead;
    }
    if (this.#length === 1 && !isDigit) {
      this.#length = 0;
      return byte < 0x40 || byte === 0x7f || byte === 0xff;
    }
    this.#pointer = this.#length === 2 ? this.#pointer * 126 + byte - 0x81 : this.#pointer * 10 + byte - 0x30;
    this.#length = (this.#length + 1) % 4;
    if (this.#length === 3) return !isLead;
    if (!isDigit) return true;
    return this.#length === 0 && (this.#pointer > 1_237_575 || (this.#pointer > 39_419 && this.#pointer < 189_000));
  }
}
