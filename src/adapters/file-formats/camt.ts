import { CAMT_NAMES, CamtReader } from '../../domain/bank/camt.ts';
import type { BankEvent } from '../../domain/bank/statement.ts';
import { ByteText, CLOSE, MORE, nameCode, OPEN, XmlReader } from './xml.ts';

/** Longer texts are cut: no batch is named that far behind. */
const MAX_TEXT_BYTES = 4_096;

const NAMES: ReadonlyMap<number, string> = new Map(CAMT_NAMES.map((name) => [nameCode(name), name]));
const CURRENCY = nameCode('Ccy');

/**
 * Reads a camt.052, .053 or .054 block by block, in memory that does not grow with the file.
 * @throws BadXml where it is not the XML that it should be.
 */
export class CamtFile {
  readonly #xml = new XmlReader();
  readonly #reader = new CamtReader();
  readonly #text = new ByteText(MAX_TEXT_BYTES);

  push(block: Buffer): BankEvent[] {
    this.#xml.push(block);
    return this.#read();
  }

  end(): void {
    const trouble = this.#xml.end();
    if (trouble) throw trouble;
  }

  #read(): BankEvent[] {
    const xml = this.#xml;
    const events: BankEvent[] = [];
    for (let token = xml.next(); token !== MORE; token = xml.next()) {
      if (token === OPEN) {
        this.#text.length = 0;
        this.#reader.open(NAMES.get(xml.name) ?? '', this.#currency(), xml.line);
      } else if (token === CLOSE) {
        const { bytes, length } = this.#text;
        this.#reader.text(bytes.toString('utf8', 0, Math.min(length, MAX_TEXT_BYTES)));
        this.#text.length = 0;
        events.push(...this.#reader.close());
      } else xml.addTo(this.#text);
    }
    return events;
  }

  #currency(): string | null {
    const xml = this.#xml;
    let currency: string | null = null;
    while (xml.nextAttribute()) if (xml.attribute === CURRENCY) currency = xml.value();
    return currency;
  }
}
