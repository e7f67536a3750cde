import { CAMT_NAMES, CamtReader } from '../../domain/bank/camt.ts';
import type { BankEvent } from '../../domain/bank/statement.ts';
import { BadXml, ByteText, CLOSE, MORE, nameCode, OPEN, XmlReader } from './xml.ts';

/** Longer texts are cut: no batch is named that far behind. */
const MAX_TEXT_BYTES = 4_096;

const NAMES: ReadonlyMap<number, string> = new Map(CAMT_NAMES.map((name) => [nameCode(name), name]));
const CURRENCY = nameCode('Ccy');
const NAMESPACE = /^urn:iso:std:iso:20022:tech:xsd:camt\.05[234]\.001\.(0[2-9]|1[0-3])$/;

/**
 * Reads a camt.052, .053 or .054 block by block, in memory that does not grow with the file.
 * @throws BadXml where it is not the XML that it should be.
 */
export class CamtFile {
  readonly #xml = new XmlReader();
  readonly #reader = new CamtReader();
  readonly #text = new ByteText(MAX_TEXT_BYTES);

  /** The physical line at which it reads. */
  get line(): number {
    return this.#xml.line;
  }

  push(block: Buffer): BankEvent[] {
    const events: BankEvent[] = [];
    this.pushInto(block, events);
    return events;
  }

  /** The same; what was read before something is wrong is there, too. */
  pushInto(block: Buffer, events: BankEvent[]): void {
    this.#xml.push(block);
    this.#read(events);
  }

  end(): void {
    const trouble = this.#xml.end();
    if (trouble) throw trouble;
  }

  #read(events: BankEvent[]): void {
    const xml = this.#xml;
    for (let token = xml.next(); token !== MORE; token = xml.next()) {
      if (token === OPEN) {
        this.#text.length = 0;
        this.#reader.open(NAMES.get(xml.name) ?? '', this.#currency(), xml.line);
      } else if (token === CLOSE) {
        const { bytes, length } = this.#text;
        if (length > 0) this.#reader.text(bytes.toString('utf8', 0, Math.min(length, MAX_TEXT_BYTES)));
        this.#text.length = 0;
        const read = this.#reader.close();
        if (read.length > 0) events.push(...read);
      } else xml.addTo(this.#text);
    }
  }

  #currency(): string | null {
    const xml = this.#xml;
    const isRoot = xml.depth === 1;
    let currency: string | null = null;
    let isCamt = false;
    while (xml.nextAttribute()) {
      if (xml.attribute === CURRENCY) currency = xml.value();
      else if (isRoot) isCamt ||= NAMESPACE.test(xml.value());
    }
    if (isRoot && !isCamt)
      throw new BadXml('its root is not in the namespace of camt.052, camt.053 or camt.054, version 02 to 13');
    return currency;
  }
}
