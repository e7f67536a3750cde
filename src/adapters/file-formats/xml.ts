/**
 * Reads XML as bytes, block by block: the parts of a workbook are hundreds of megabytes of short elements, and nothing of them
 * becomes a string before somebody asks for it.
 *
 * It reads UTF-8, and all of XML but document type declarations, which are refused: nothing is declared and nothing fetched.
 * Of names only the part behind the prefix counts. What is not well-formed is refused as far as it would change what is read:
 * tags that do not match, text outside the root, unknown entities.
 *
 * Rows of 44 cells a second, with nothing done but to find tags, attributes and texts: this 150,000, saxes 50,000.
 */

/** The part is not XML as it should be; a handler throws it, too, for what it cannot make sense of. */
export class BadXml extends Error {
  override readonly name = 'BadXml';
  /** The XML ends amid an element. */
  readonly isCut: boolean;

  constructor(detail: string, isCut = false) {
    super(detail);
    this.isCut = isCut;
  }
}

/** What a part is made of, as it streams past. The reader stands at it. */
export type XmlHandler = {
  open(xml: XmlReader): void;
  /** Comes in pieces. */
  text(xml: XmlReader): void;
  close(xml: XmlReader): void;
};

/** A name as it is compared: a hash. Those of the format differ, and who makes another one equal could as well write the right one. */
export const nameCode = (name: string) => hashOf(Buffer.from(name), 0, name.length);

/** The bytes of a text that is gathered from pieces. Once it is longer than `maxBytes`, nothing is added to it. */
export class ByteText {
  readonly bytes: Buffer;
  readonly maxBytes: number;
  length = 0;

  constructor(maxBytes: number) {
    this.bytes = Buffer.allocUnsafeSlow(maxBytes + 8); // One more character fits in.
    this.maxBytes = maxBytes;
  }
}

export type Token = typeof MORE | typeof OPEN | typeof CLOSE | typeof TEXT;
export const MORE = 0;
export const OPEN = 1;
export const CLOSE = 2;
export const TEXT = 3;
const NOTHING = 4;

/** A tag, a comment or a character data section may be this long. Longer texts come in pieces. */
const MAX_PIECE_BYTES = 1 << 20;
const MAX_DEPTH = 64;
/** `&#x10FFFF;` and some zeros. */
const MAX_ENTITY_BYTES = 16;

const LT = 0x3c;
const GT = 0x3e;
const SLASH = 0x2f;
const AMP = 0x26;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const EQUALS = 0x3d;
const COLON = 0x3a;
const BANG = 0x21;
const QUESTION = 0x3f;
const SEMICOLON = 0x3b;
const SPACE = 0x20;
const CR = 0x0d;
const LF = 0x0a;

/**
 * ```ts
 * xml.push(block); // after the last one xml.end()
 * while ((token = xml.next()) !== MORE) use(xml.name, xml.depth, …);
 * ```
 * The fields describe the current token until the next call. An empty element opens and closes.
 */
export class XmlReader {
  /** Of the element that opens or closes. */
  name = 0;
  /** How many elements are open, the one that opens or closes among them. */
  depth = 0;
  /** Of the attribute at hand: its name without a prefix, and whether it has one. Its value stands in `buf`. */
  attribute = 0;
  hasPrefix = false;
  valueStart = 0;
  valueEnd = 0;
  buf: Buffer = Buffer.alloc(0);

  /** The line of the byte up to which lines were counted, and that byte. */
  #line = 1;
  #countedTo = 0;
  #length = 0;
  #pos = 0;
  /** A text's bytes, or those between a tag's name and its end. */
  #start = 0;
  #end = 0;
  /** The text is a character data section: `&` is a character. */
  #isPlain = false;
  /** The element at hand is empty, and closes next. */
  #isClosing = false;
  /** The last token was CLOSE: one element less is open from the next on. */
  #hasClosed = false;
  readonly #names = new Int32Array(MAX_DEPTH + 1);
  #hasBegun = false;
  #hasRoot = false;

  /** Takes the next bytes. */
  push(block: Buffer): void {
    this.#countLines();
    const rest = this.#length - this.#pos;
    if (this.buf.length < rest + block.length) {
      const larger = Buffer.allocUnsafeSlow(2 * (rest + block.length));
      this.buf.copy(larger, 0, this.#pos, this.#length);
      this.buf = larger;
    } else this.buf.copyWithin(0, this.#pos, this.#length);
    block.copy(this.buf, rest);
    this.#length = rest + block.length;
    this.#pos = this.#countedTo = 0;
  }

  /** The physical line on which the current token ends, from 1. */
  get line(): number {
    this.#countLines();
    return this.#line;
  }

  #countLines(): void {
    const passed = this.buf.subarray(this.#countedTo, this.#pos);
    for (let at = passed.indexOf(LF); at >= 0; at = passed.indexOf(LF, at + 1)) this.#line++;
    this.#countedTo = this.#pos;
  }

  /** Says that there are no more; returns what is wrong with that. */
  end(): BadXml | null {
    if (this.depth > 0 || this.#pos < this.#length) return new BadXml('its XML ends too early', true);
    return this.#hasRoot ? null : new BadXml('it holds no XML');
  }

  /** Goes to the next token. */
  next(): Token {
    if (this.#isClosing) {
      this.#isClosing = false;
      this.#hasClosed = true;
      return CLOSE;
    }
    if (this.#hasClosed) {
      this.#hasClosed = false;
      this.depth--;
    }
    if (!this.#hasBegun && !this.#begin()) return MORE;
    for (;;) {
      const token = this.#read();
      if (token !== NOTHING) return token;
    }
  }

  /** Goes to the next attribute of the element that opens. */
  nextAttribute(): boolean {
    const { buf } = this;
    const end = this.#end;
    let at = this.#start;
    while (at < end && buf[at]! <= SPACE) at++;
    if (at === end) return false;
    const from = at;
    this.hasPrefix = false;
    while (at < end && buf[at] !== EQUALS && buf[at]! > SPACE) if (buf[at++] === COLON) this.hasPrefix = true;
    this.attribute = hashOf(buf, from, at);
    while (at < end && buf[at]! <= SPACE) at++;
    if (buf[at] !== EQUALS) return refuse('an attribute has no value');
    at++;
    while (at < end && buf[at]! <= SPACE) at++;
    const quote = buf[at];
    if (at >= end || (quote !== QUOTE && quote !== APOSTROPHE)) return refuse("an attribute's value has no quotes");
    this.valueStart = ++at;
    // The tag was found to end outside quotes, so this one closes before.
    while (buf[at] !== quote) at++;
    this.valueEnd = at;
    this.#start = at + 1;
    return true;
  }

  /** The value of the attribute at hand. */
  value(): string {
    const text = this.buf.toString('utf8', this.valueStart, this.valueEnd);
    return text.replaceAll(/&([^;]*);?/g, (_, entity: string) => characterOf(entity));
  }

  /** The same, to be compared with a `nameCode`. */
  valueCode(): number {
    return hashOf(this.buf, this.valueStart, this.valueEnd);
  }

  /** Adds the text at hand. */
  addTo(text: ByteText): void {
    const { buf } = this;
    const { bytes, maxBytes } = text;
    const end = this.#end;
    let length = text.length;
    for (let at = this.#start; at < end && length <= maxBytes; at++) {
      const byte = buf[at]!;
      if (byte === AMP && !this.#isPlain) {
        const semicolon = this.#entityEnd(at);
        length += bytes.write(characterOf(buf.toString('latin1', at + 1, semicolon)), length);
        at = semicolon;
      } else if (byte === CR) {
        bytes[length++] = LF;
        if (buf[at + 1] === LF) at++;
      } else bytes[length++] = byte;
    }
    text.length = length;
  }

  /** Passes a byte order mark. False: it takes more bytes to know. */
  #begin(): boolean {
    if (this.#length < 4) return false;
    const [first, second] = this.buf;
    const isUtf16 = (first! >= 0xfe && second! >= 0xfe) || first === 0 || second === 0;
    if (isUtf16) refuse('it is written in UTF-16: only UTF-8 is read');
    if (first === 0xef && second === 0xbb && this.buf[2] === 0xbf) this.#pos = 3;
    this.#hasBegun = true;
    return true;
  }

  #read(): Token | typeof NOTHING {
    if (this.#pos === this.#length) return MORE;
    if (this.buf[this.#pos] !== LT) return this.#readText();
    if (this.#pos + 1 === this.#length) return MORE;
    const second = this.buf[this.#pos + 1];
    if (second === SLASH) return this.#readClose();
    if (second === BANG) return this.#readDeclaration();
    if (second === QUESTION) return this.#readInstruction();
    return this.#readOpen();
  }

  #readText(): Token | typeof NOTHING {
    const { buf } = this;
    const length = this.#length;
    let end = this.#pos;
    while (end < length && buf[end] !== LT) end++;
    if (end === length && this.depth > 0) end = this.#wholeText();
    if (end === this.#pos) return MORE;
    this.#start = this.#pos;
    this.#end = this.#pos = end;
    this.#isPlain = false;
    if (this.depth > 0) return TEXT;
    for (let at = this.#start; at < end; at++) if (buf[at]! > SPACE) refuse('text stands outside its elements');
    return NOTHING;
  }

  /** Where a text that goes on in the next block can be cut: not within an entity or a line end. */
  #wholeText(): number {
    const { buf } = this;
    const length = this.#length;
    const from = Math.max(this.#pos, length - MAX_ENTITY_BYTES);
    const entity = buf.subarray(from, length).lastIndexOf(AMP);
    if (entity >= 0 && buf.subarray(from + entity, length).indexOf(SEMICOLON) < 0) return from + entity;
    return buf[length - 1] === CR ? length - 1 : length;
  }

  #readOpen(): Token {
    const { buf } = this;
    const length = this.#length;
    const nameEnd = this.#nameEnd(this.#pos + 1);
    let quote = 0;
    let at = nameEnd;
    for (; at < length; at++) {
      const byte = buf[at]!;
      if (byte > GT) continue;
      if (byte === quote) quote = 0;
      else if (byte === LT) refuse('a tag stands within another one');
      else if (quote !== 0) continue;
      else if (byte === GT) break;
      else if (byte === QUOTE || byte === APOSTROPHE) quote = byte;
    }
    if (at === length) return this.#wait();
    this.#isClosing = buf[at - 1] === SLASH;
    this.name = hashOf(buf, this.#pos + 1, nameEnd);
    this.#start = nameEnd;
    this.#end = this.#isClosing ? at - 1 : at;
    this.#pos = at + 1;
    if (this.depth === 0 && this.#hasRoot) refuse('it has two roots');
    if (this.depth === MAX_DEPTH) refuse(`elements stand in each other more than ${MAX_DEPTH} deep`);
    this.#hasRoot = true;
    this.#names[++this.depth] = this.name;
    return OPEN;
  }

  #readClose(): Token {
    const { buf } = this;
    const nameEnd = this.#nameEnd(this.#pos + 2);
    let at = nameEnd;
    while (at < this.#length && buf[at]! <= SPACE) at++;
    if (at === this.#length) return this.#wait();
    this.name = hashOf(buf, this.#pos + 2, nameEnd);
    if (buf[at] !== GT || this.depth === 0 || this.name !== this.#names[this.depth])
      refuse('an element ends that does not stand there');
    this.#pos = at + 1;
    this.#hasClosed = true;
    return CLOSE;
  }

  #nameEnd(from: number): number {
    const { buf } = this;
    let at = from;
    for (; at < this.#length; at++) {
      const byte = buf[at]!;
      if (byte <= SPACE || byte === GT || byte === SLASH) break;
    }
    return at;
  }

  /** A comment, a character data section, or what is not read. */
  #readDeclaration(): Token | typeof NOTHING {
    const start = this.buf.toString('latin1', this.#pos, Math.min(this.#pos + CDATA.length, this.#length));
    if (start.startsWith('<!--')) return this.#pass('-->', 4);
    if (start === CDATA) {
      this.#start = this.#pos + CDATA.length;
      if (this.#pass(']]>', CDATA.length) === MORE) return MORE;
      this.#end = this.#pos - 3;
      this.#isPlain = true;
      return this.depth > 0 ? TEXT : refuse('text stands outside its elements');
    }
    if (CDATA.startsWith(start) || '<!--'.startsWith(start)) return this.#wait();
    return refuse('it has a document type declaration, which is not read');
  }

  #readInstruction(): Token | typeof NOTHING {
    const from = this.#pos;
    if (this.#pass('?>', 2) === MORE) return MORE;
    const text = this.buf.toString('latin1', from, Math.min(this.#pos, from + 200));
    const encoding = /^<\?xml\s.*?encoding\s*=\s*["']([^"']*)/s.exec(text)?.[1] ?? 'utf-8';
    if (!/^(utf-?8|us-ascii)$/i.test(encoding)) refuse(`it is written in ${encoding}: only UTF-8 is read`);
    return NOTHING;
  }

  /** Goes behind the next `end` that stands `from` bytes further on, or later. */
  #pass(end: string, from: number): typeof MORE | typeof NOTHING {
    const at = this.buf.subarray(0, this.#length).indexOf(end, this.#pos + from);
    if (at < 0) return this.#wait();
    this.#pos = at + end.length;
    return NOTHING;
  }

  #wait(): typeof MORE {
    if (this.#length - this.#pos > MAX_PIECE_BYTES)
      refuse(`a tag or a comment is longer than ${MAX_PIECE_BYTES} bytes`);
    return MORE;
  }

  #entityEnd(from: number): number {
    const to = Math.min(this.#end, from + MAX_ENTITY_BYTES);
    for (let at = from; at < to; at++) if (this.buf[at] === SEMICOLON) return at;
    return refuse('an & stands for itself');
  }
}

const CDATA = '<![CDATA[';

/** Of the name without its prefix. */
function hashOf(bytes: Buffer, from: number, to: number): number {
  let hash = 0;
  for (let at = from; at < to; at++) hash = bytes[at] === COLON ? 0 : (Math.imul(hash, 31) + bytes[at]!) | 0;
  return hash;
}

const CHARACTERS: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** What stands between & and ; is a name or a number. */
function characterOf(entity: string): string {
  const [, hex, decimal] = /^#(?:x([0-9a-f]+)|([0-9]+))$/i.exec(entity) ?? [];
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  if (code <= 0x10ffff) return String.fromCodePoint(code);
  return CHARACTERS[entity] ?? refuse(`&${entity}; stands for nothing`);
}

function refuse(detail: string): never {
  throw new BadXml(detail);
}
