import { awayServer } from './away.ts';

/** What a line of the log carries beside its sentence. */
type Fields = Readonly<Record<string, unknown>>;
type Write = (fields: Fields, message: string) => void;
type Line = { readonly fields: Fields; readonly message: string; readonly write: Write };

/** So often, at most, a cause is told. */
const WINDOW_MS = 60_000;
/** So many of the reports, batches or sources of lines that were only counted are named. */
const NAMED = 10;
/** These keep their words where a server is away: people look for them. */
const OF_WORK = /^(failed, will be tried again|gave up after many tries|looking for reports failed)/;

/**
 * Keeps a log readable while something is away: of a cause the first line is written at once, those that follow are counted, and once a
 * minute the last of them is written with their `count` and, in `among`, the reports, batches or sources that they were about. Of one cause are
 *
 * - lines whose `error` says that a server is away (`awayText`): they become one line about the server, whatever it was wanted for;
 * - else lines with the same sentence and the same `cause` in their fields or, without one, the same `error`: numbers, paths and quoted
 *   words in it make no difference.
 *
 * A line with neither is a piece of news of its own, and is never counted; nor is one that says how something ended (`outcome`).
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

  /** Writes what was only counted so far: at the end of a process nobody else does. */
  flush(): void {
    for (const key of [...this.#counted.keys()]) this.#write(key);
  }

  #wait(key: string): void {
    setTimeout(() => this.#write(key) && this.#wait(key), this.#windowMs).unref();
  }

  /** False where nothing came in this minute: the next line of the cause is news again. */
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
  return server === null || OF_WORK.test(message) ? message : `${server}, and is tried again`;
}
