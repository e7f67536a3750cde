/**
 * The 64-bit hash of a key, as two unsigned halves in `hash.high` and `hash.low`: the same that Postgres computes by
 * `hashtextextended(text, seed)`, so that keys of files and keys of tables meet in an integer index.
 * Bob Jenkins's lookup3, as in PostgreSQL's src/common/hashfn.c. A hash only finds; the texts are compared too.
 */
export const hash = { high: 0, low: 0 };

/** Hashes bytes `start` to `end` (UTF-8) into `hash`. Halves rather than a bigint: no allocation per row. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed = 0): void {
  let length = end - start;
  let a = (0x9e3779b9 + length + 3923095) | 0;
  let b = a;
  let c = a;
  if (seed !== 0) {
    b = (b + seed) | 0;
    // The mixing step, written out here and below: a function would have to return three numbers.
    a = (a - c) ^ ((c << 4) | (c >>> 28));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 6) | (a >>> 26));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 8) | (b >>> 24));
    b = (b + a) | 0;
    a = (a - c) ^ ((c << 16) | (c >>> 16));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 19) | (a >>> 13));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 4) | (b >>> 28));
    b = (b + a) | 0;
  }
  let i = start;
  while (length >= 12) {
    a = (a + (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))) | 0;
    b = (b + (bytes[i + 4]! | (bytes[i + 5]! << 8) | (bytes[i + 6]! << 16) | (bytes[i + 7]! << 24))) | 0;
    c = (c + (bytes[i + 8]! | (bytes[i + 9]! << 8) | (bytes[i + 10]! << 16) | (bytes[i + 11]! << 24))) | 0;
    a = (a - c) ^ ((c << 4) | (c >>> 28));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 6) | (a >>> 26));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 8) | (b >>> 24));
    b = (b + a) | 0;
    a = (a - c) ^ ((c << 16) | (c >>> 16));
    c = (c + b) | 0;
    b = (b - a) ^ ((a << 19) | (a >>> 13));
    a = (a + c) | 0;
    c = (c - b) ^ ((b << 4) | (b >>> 28));
    b = (b + a) | 0;
    i += 12;
    length -= 12;
  }
  // The last bytes; the lowest byte of c is left to the length.
  for (let k = length - 1; k >= 0; k--) {
    const byte = bytes[i + k]!;
    if (k >= 8) c = (c + (byte << ((k - 7) * 8))) | 0;
    else if (k >= 4) b = (b + (byte << ((k - 4) * 8))) | 0;
    else a = (a + (byte << (k * 8))) | 0;
  }
  c ^= b;
  c = (c - ((b << 14) | (b >>> 18))) | 0;
  a ^= c;
  a = (a - ((c << 11) | (c >>> 21))) | 0;
  b ^= a;
  b = (b - ((a << 25) | (a >>> 7))) | 0;
  c ^= b;
  c = (c - ((b << 16) | (b >>> 16))) | 0;
  a ^= c;
  a = (a - ((c << 4) | (c >>> 28))) | 0;
  b ^= a;
  b = (b - ((a << 14) | (a >>> 18))) | 0;
  c ^= b;
  c = (c - ((b << 24) | (b >>> 8))) | 0;
  hash.high = b >>> 0;
  hash.low = c >>> 0;
}
