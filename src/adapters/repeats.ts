import { awayServer } from './away.ts';

/** Fields of a log line beside its text. */
type Fields = Readonly<Record<string, unknown>>;
type Write = (fields: Fields, message: string) => void;
type Line = { readonly fields: Fields; readonly message: string; readonly write: Write };

/** A cause is logged once in this time. */
const WINDOW_MS = 60_000;
/** Of counted lines, this many reports, batches or sources are named. */
const NAMED = 10;
/** These texts stay as they are while a server is unavailable: people search for them. */
const OF_WORK = /^(failed, will be tried again|gave up after many tries|poll failed)/;

/**
 * Keeps a log readable while something is unavailable. The first line of a cause is written at once. Later ones are counted, and once a
 * minute the last of them is written with their `count` and, in `among`, the reports, batches or sources concerned. One cause have
 *
 * - lines whose `error` names an unavailable server (`awayText`): they become one line about the server, whatever needed it;
 * - else lines with the same text and the same `cause` in their fields or, without one, the same `error`: numbers, paths and quoted
 *   words in it are ignored.
 *
 * A line with neither is always written, and so is one that says how something ended (`outcome`).
 */
export class Repeats {
  readonly #counted = new Map<string, { count: number; last: Line; readonly among: Set<string> }>();
  readonly #windowMs: number;

  constructor(windowMs = WINDOW_MS) {
    this.#windowMs = windowMs;
  }

  tell(fields: Fields, message: string, write: Write): void {
    const key = causeOf(fields, message);
    if (key === null) {
      write(fields, message);
      return;
    }
    const line = { fields, message: sentenceOf(fields, message), write };
    const counted = this.#counted.get(key);
    if (!counted) {
      this.#counted.set(key, { count: 0, last: line, among: new Set() });
      this.#wait(key);
      write(line.fields, line.message);
      return;
    }
    counted.count++;
    counted.last = line;
    const subject = fields['report'] ?? fields['batch'] ?? fields['source'];
    if (typeof subject === 'string' && counted.among.size < NAMED) counted.among.add(subject);
  }

  /** Writes what was only counted so far, at the end of a process. */
  flush(): void {
    for (const key of [...this.#counted.keys()]) this.#write(key);
  }

  #wait(key: string): void {
    setTimeout(() => this.#write(key) && this.#wait(key), this.#windowMs).unref();
  }

  /** False if nothing came in this minute: the next line of the cause is then written at once. */
  #write(key: string): boolean {
    const { count, last, among } = this.#counted.get(key) ?? {};
    this.#counted.delete(key);
    if (!count || !last) return false;
    this.#counted.set(key, { count: 0, last, among: new Set() });
    last.write({ ...last.fields, count, ...(among!.size > 1 ? { among: [...among!] } : {}) }, last.message);
    return true;
  }
}

function causeOf(fields: Fields, message: string): string | null {
  const { cause, error, outcome } = fields;
  if (outcome !== undefined) return null;
  if (typeof cause === 'string') return `${message}: ${cause}`;
  if (typeof error !== 'string') return null;
  const server = awayServer(error);
  if (server !== null) return OF_WORK.test(message) ? `${message}: ${server}` : server;
  return `${message}: ${error.replaceAll(/'[^']*'|"[^"]*"|\/\S+|\d+/g, '…')}`;
}

function sentenceOf({ error }: Fields, message: string): string {
  const server = typeof error === 'string' ? awayServer(error) : null;
  return server === null || OF_WORK.test(message) ? message : `${server}; retrying`;
}
