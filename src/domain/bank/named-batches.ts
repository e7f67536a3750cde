/** A bank may put blanks into an id that is longer than this. */
const BLANKS_FROM_LENGTH = 13;
const PREFIX = 4;

const isAlphanumeric = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code > 0x7f;

/**
 * Finds which ids of many stand in a text as whole words: not inside a longer run of letters and digits. Blanks inside an id of more than
 * twelve characters are passed. Time grows with the text, not with the number of ids.
 */
export class NamedIds<T> {
  readonly #byId = new Map<string, T[]>();
  readonly #prefixes = new Set<string>();
  #longest = 0;

  add(id: string, value: T): void {
    const known = this.#byId.get(id);
    if (known) known.push(value);
    else this.#byId.set(id, [value]);
    this.#prefixes.add(id.slice(0, PREFIX));
    this.#longest = Math.max(this.#longest, id.length);
  }

  /** The values of all ids that the text names, each once, in the order of their places. */
  in(text: string): T[] {
    const found = new Set<T>();
    for (let at = 0; at < text.length; at++) {
      const isStart = text[at] !== ' ' && (at === 0 || !isAlphanumeric(text.charCodeAt(at - 1)));
      if (isStart) this.#readFrom(text, at, found);
    }
    return [...found];
  }

  #readFrom(text: string, from: number, found: Set<T>): void {
    let built = '';
    let hasBlanks = false;
    for (let at = from; at < text.length && built.length < this.#longest; at++) {
      if (text[at] === ' ') {
        hasBlanks = true;
        continue;
      }
      built += text[at];
      if (built.length === PREFIX && !this.#prefixes.has(built)) return;
      const isEnd = at + 1 === text.length || !isAlphanumeric(text.charCodeAt(at + 1));
      if (!isEnd && isAlphanumeric(text.charCodeAt(at))) continue;
      if (hasBlanks && built.length < BLANKS_FROM_LENGTH) continue;
      for (const value of this.#byId.get(built) ?? []) found.add(value);
    }
  }
}
